"""Whole numbers and booleans that rounding puts on either side of a jump: no alarm, and no licence for another jump."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from onnx_triangulate.numerics.compare import compare
from onnx_triangulate.records.verdict import Report, Verdict
from onnx_triangulate.verification.verify import exit_status, verify

SOURCE = """
from onnx_triangulate import Case, Tensor

X = Tensor("n c", (4, 8), low=-8, high=8)

def case(name, function, **more):
    return Case(name, inputs={"x": X}, builders={"torch": lambda torch: lambda x: function(torch, x)}, **more)

CASES = [
    case("nearest", lambda t, x: t.argmax(x * 0.1 + x * 0.2 - x * 0.3, 1)),
    case("equal", lambda t, x: (x * 0.1 * 3 == x * 0.3).long()),
    case("counted", lambda t, x: (x * 0.1 >= 0.3).sum(1)),
    case("reached", lambda t, x: x * 0.1 >= 0.3),
    case("passed", lambda t, x: x * 0.1 >= 0.3, onnx={"torch": "passed.onnx"}),
    case("exact", lambda t, x: (x >= 3).long(), onnx={"torch": "exact.onnx"}),
]
"""
HEALTHY = ("nearest", "equal", "counted", "reached")
PASSED = """<ir_version: 8, opset_import: ["" : 18]> g (float[4, 8] x) => (bool[4, 8] y)
    <float a = {0.1}, float b = {0.3}> { c = Mul (x, a) y = Greater (c, b) }"""
EXACT = """<ir_version: 8, opset_import: ["" : 18]> g (float[4, 8] x) => (int64[4, 8] y)
    <float b = {3}> { c = Greater (x, b) y = Cast <to = 7> (c) }"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    folder = tmp_path_factory.mktemp("jumps")
    for name, text in (("passed", PASSED), ("exact", EXACT)):
        onnx.save(onnx.parser.parse_model(text), folder / f"{name}.onnx")
    (folder / "jumps.py").write_text(SOURCE)
    return verify([str(folder / "jumps.py")])


def of(report: Report, name: str) -> Verdict:
    return next(v for v in report.verdicts if v.case == f"jumps/{name}")


@pytest.mark.parametrize("name", HEALTHY)
def test_rounding_in_front_of_a_jump_is_nobodys_fault(report: Report, name: str) -> None:
    verdict = of(report, name)
    assert (verdict.status, verdict.blame) == ("expected", ("agree",))


def test_the_definition_is_on_the_other_side_somewhere(report: Report) -> None:
    edges = [e for name in HEALTHY for e in of(report, name).evidence.edges]
    assert any("on the other side of a jump" in (e.explanation or "") for e in edges)


@pytest.mark.parametrize("name", ["passed", "exact"])
def test_greater_for_greater_or_equal_is_seen_at_the_tie(report: Report, name: str) -> None:
    verdict = of(report, name)
    assert exit_status([verdict]) == 1
    assert "export" in verdict.blame


def test_whole_numbers_are_open_only_where_it_is_said() -> None:
    left, right = {"y": np.array([1, 5, 9])}, {"y": np.array([2, 5, 9])}
    near = {"y": np.array([3.0, 0, 0])}
    assert compare(left, right, {}, sides=near).outcome == "rounding"
    assert compare(left, right, {}, sides={"y": np.array([0, 3.0, 3.0])}).outcome == "diverges"
    assert compare(left, right, near).outcome == "diverges"
    far = compare({"y": np.array([1, 5, 9])}, {"y": np.array([2, 5, 8])}, {}, sides=near)
    assert (far.outcome, far.index, far.differing) == ("diverges", (2,), 2)
