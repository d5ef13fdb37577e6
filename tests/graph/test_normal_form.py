"""What must not be one in normal form, and what is: each pair is asked for as text, in both directions."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from pipeline.graph.differences import differences
from pipeline.graph.view import View
from pipeline.inspection import Inspection

EMPTY = Inspection(None, "", 0, {}, {}, {}, {})


def parsed(text: str, opset: int = 18) -> onnx.ModelProto:
    return onnx.parser.parse_model(f'<ir_version: 9, opset_import: ["" : {opset}, "my" : 1]> g {text}')


def told(left: str, right: str, opset: int = 18, other: int | None = None) -> list[tuple[str, str, str, str]]:
    one, two = View(parsed(left, opset)), View(parsed(right, opset if other is None else other))
    there, back = (differences(a, b, EMPTY, EMPTY).differences for a, b in ((one, two), (two, one)))
    assert sorted((d.kind, d.what, d.right, d.left) for d in back) == sorted(
        (d.kind, d.what, d.left, d.right) for d in there
    )
    return [(d.kind, d.what, d.left, d.right) for d in there]


def both(text: str, *pairs: tuple[str, str], opset: int = 18) -> None:
    """A text with one and with another thing in it is two things, and each is one with itself."""
    for left, right in pairs:
        assert told(text % left, text % right, opset) != [], (left, right)
        assert told(text % left, text % left, opset) == []


def one(text: str, *pairs: tuple[str, str], opset: int = 18) -> None:
    for left, right in pairs:
        assert told(text % left, text % right, opset) == [], (left, right)


# -- constants as attributes: their type and their rank


def test_the_type_of_a_zero_point_is_that_of_the_result() -> None:
    text = (
        "(float[4] x) => (float[4] y) <float s = {0.5}, %s z = {0}> "
        "{ q = QuantizeLinear (x, s, z) y = DequantizeLinear (q, s, z) }"
    )
    both(text, ("uint8", "int8"))


def test_the_type_of_a_tensor_attribute_counts() -> None:
    text = (
        "(int64[2] s) => (float[a,b] y) { c = ConstantOfShape <value = %s[1] {100}> (s) "
        "d = Add (c, c) y = Cast <to = 1> (d) }"
    )
    both(text, ("uint8", "int32"), ("int64", "int32"), ("float", "double"))


def test_a_tensor_of_zero_is_what_nothing_says() -> None:
    text = "(int64[2] s) => (float[a,b] y) { y = ConstantOfShape %s (s) }"
    one(text, ("", "<value = float[1] {0}>"))
    both(text, ("", "<value = float[1] {1}>"))


@pytest.mark.parametrize(
    ("text", "left", "right"),
    [
        ("(float[3,3] x) => (float[a,b] y) <%s> { y = GatherElements <axis = 0> (x, c) }", "[1,3]", "[3,1]"),
        ("(float[3,3,4] x) => (float[] y) <%s> { g = Gather <axis = 0> (x, c) y = ReduceSum (g) }", "[3]", "[1,3]"),
        ('(int64[3,3] x) => (int64[3,3] y) <%s> { y = BitShift <direction = "LEFT"> (x, c) }', "[1,3]", "[3,1]"),
        ("(float[3,3] x, float[1,3] u) => (float[3,3] y) <%s> { y = ScatterElements (x, c, u) }", "[1,3]", "[3,1]"),
    ],
    ids=["GatherElements", "Gather", "BitShift", "ScatterElements"],
)
def test_the_rank_of_indices_counts(text: str, left: str, right: str) -> None:
    both(text, (f"int64{left} c = {{0,1,2}}", f"int64{right} c = {{0,1,2}}"))


def test_the_shape_of_a_small_kernel_counts() -> None:
    text = (
        "(uint8[1,1,5,5] x) => (int32[a,b,c,d] y) <int8[1,1,%s] w = {1,2,3}> "
        '{ y = ConvInteger <auto_pad = "SAME_UPPER"> (x, w) }'
    )
    both(text, ("1,3", "3,1"))


def test_the_type_of_the_values_of_a_one_hot_counts() -> None:
    head = "(int64[3] x) => (float[a,b] y) <int64 d = {3}, %s[2] v = {0, 1}>"
    text = f"{head} {{ o = OneHot (x, d, v) y = Cast <to = 1> (o) }}"
    both(text, ("float", "double"), ("int32", "int64"))


def test_the_type_of_axes_and_ends_says_nothing() -> None:
    text = "(float[n,m] x) => (float[a,b] y) <%s[1] s = {1}, %s[1] e = {4}> { y = Slice (x, s, e) }"
    assert told(text % ("int32", "int32"), text % ("int64", "int64")) == []


# -- axes


@pytest.mark.parametrize("shape", ["float[n,m]", "float[2,3]"])
@pytest.mark.parametrize(
    "text",
    [
        "(%s x) => (float[a,b,c] y) <int64[1] k = {%s}> { y = Unsqueeze (x, k) }",
        "(%s x) => (float[] y) <int64 d = {3}, float[2] v = {0,1}> "
        "{ i = Cast <to = 7> (x) y = OneHot <axis = %s> (i, d, v) }",
    ],
    ids=["Unsqueeze", "OneHot"],
)
def test_an_axis_of_the_result_is_counted_by_the_rank_of_the_result(text: str, shape: str) -> None:
    for left, right, same in (("-1", "1", False), ("-1", "2", True), ("-2", "1", True), ("0", "-3", True)):
        assert (told(text % (shape, left), text % (shape, right)) == []) == same, (left, right)


def test_an_axis_of_an_operator_that_nobody_knows_is_as_it_is_written() -> None:
    both("(float[2,3] x) => (float[a,b] y) { y = my.Op <axis = %s> (x) }", ("-1", "1"))


def test_an_axis_of_a_value_of_unknown_rank_is_as_it_is_written() -> None:
    text = "(float[2,6] x, int64[k] s) => (float[] y) { r = Reshape (x, s) y = LpNormalization <axis = %s> (r) }"
    both(text, ("-1", "1"))


# -- numbers


@pytest.mark.parametrize("given", ["float[3] x", "float16[3] x"])
def test_what_a_cast_to_float8_makes_of_large_numbers_counts(given: str) -> None:
    text = f"({given}) => (float[3] y) {{ c = Cast <to = 17%s> (x) y = Cast <to = 1> (c) }}"
    both(text, (", saturate = 0", ", saturate = 1"), (", saturate = 0", ""), opset=19)
    one(text, (", saturate = 1", ""), opset=19)
    constant = "(float[3] x) => (float[3] y) <float[3] k = {1000, 1, 2}> { c = Cast <to = 17%s> (k) "
    both(constant + "d = Cast <to = 1> (c) y = Mul (x, d) }", (", saturate = 0", ""), opset=19)


@pytest.mark.parametrize(
    "text",
    [
        "(double[2,3] x) => (double[2,5] y) <int64[4] p = {0,1,0,1}> { y = Pad (x, p, v) }",
        "(double[2,3] x) => (double[2,3] y) { y = Max (x, v) }",
        "(double[2,3] x) => (double[2,3] y) { y = Min (v, x) }",
        "(double[2,3] x) => (double[2,3] y) { y = Clip (x, v) }",
    ],
)
def test_numbers_in_float64_are_compared_in_float64(text: str) -> None:
    models = [parsed(text) for _ in range(2)]
    for model, value in zip(models, (0.1, float(np.float32(0.1))), strict=True):
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(value), "v"))
    views = [View(model) for model in models]
    assert differences(views[0], views[1], EMPTY, EMPTY).differences
    assert not differences(views[0], views[0], EMPTY, EMPTY).differences


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("r = ReduceSum <keepdims = 0> (k, e)", "r = ReduceSum <keepdims = 0, noop_with_empty_axes = 1> (k, e)"),
        ("r = Div (k, two)", "r = Cast <to = 7> (d)"),
    ],
)
def test_what_is_computed_of_constants_is_what_onnx_computes(left: str, right: str) -> None:
    text = (
        "(int64[2] x) => (int64[2] y) <int64[2] k = {4611686018427387905, -3}, int64[0] e = {}, int64[1] two = {1}, "
        "double[2] d = {4611686018427387904, -3}> { %s y = Mul (x, r) }"
    )
    both(text, (left, right))


def test_a_range_of_floats_is_not_guessed() -> None:
    text = "(float[10] x) => (float[10] y) <float a = {0}, float b = {1}, float c = {0.1}%s> { %s y = Mul (x, r) }"
    listed = ", float[10] r = {0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9}"
    assert told(text % ("", "r = Range (a, b, c)"), text % (listed, "")) != []
