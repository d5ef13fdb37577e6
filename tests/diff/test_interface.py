"""What two graphs take and give."""

from __future__ import annotations

import pytest

from tests.diff.test_differences import compare, parsed, said, told


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ("seq(double[4])", "seq(int64[4])", [("type", "input", "sequence(float64[4])", "sequence(int64[4])")]),
        ("seq(double[4])", "seq(double[n])", []),
        (
            "seq(double[4])",
            "seq(double[5])",
            [("border", "shape of input", "sequence(float64[4])", "sequence(float64[5])")],
        ),
        ("seq(double[4])", "optional(double[4])", [("type", "input", "sequence(float64[4])", "optional(float64[4])")]),
        ("seq(double[4])", "double[4]", [("type", "input", "sequence(float64[4])", "float64[4]")]),
        ("map(int64, float)", "map(string, float)", [
            ("type", "input", "map of int64 to float32[]", "map of string to float32[]")
        ]),
        ("sparse_tensor(float[4])", "float[4]", [("type", "input", "sparse float32[4]", "float32[4]")]),
        ("optional(seq(float))", "optional(seq(float))", []),
    ],
)  # fmt: skip
def test_types_that_are_no_tensors_are_compared(left: str, right: str, expected: list[tuple[str, ...]]) -> None:
    text = "(%s s) => (float[4] y) { y = my.Read (s) }"
    assert told(text % left, text % right) == expected


def test_types_of_outputs_that_are_no_tensors_are_compared() -> None:
    text = "(float[4] x) => (%s y) { y = my.Made (x) }"
    assert [d[:2] for d in told(text % "seq(float[4])", text % "seq(int64[4])")] == [("type", "output")]


@pytest.mark.parametrize("ir_version", [3, 4, 9])
def test_a_constant_that_a_caller_may_replace_is_not_one_that_he_may_not(ir_version: int) -> None:
    text = "(float[4] x%s) => (float[4] y) <float[4] k = {1,2,3,4}> { y = Mul (x, k) }"
    own, other = parsed(text % ", float[4] k"), parsed(text % "")
    own.ir_version = ir_version
    expected = [] if ir_version < 4 else [("border", "constants that a caller may replace", "(k)", "none")]
    assert said(compare(own, other)) == expected
    assert said(compare(own, own)) == []
