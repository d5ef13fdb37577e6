"""What must not be one in normal form, and what is: each pair is asked for as text, in both directions."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from onnx_triangulate.diff.differences import differences
from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.records.inspection import Inspection

EMPTY = Inspection(None, "", 0, {}, {}, {}, {})


def parsed(text: str, opset: int = 18) -> onnx.ModelProto:
    return onnx.parser.parse_model(f'<ir_version: 9, opset_import: ["" : {opset}, "my" : 1]> g {text}')


def told(left: str, right: str, opset: int = 18, other: int | None = None) -> list[tuple[str, str, str, str]]:
    one, two = ModelView(parsed(left, opset)), ModelView(parsed(right, opset if other is None else other))
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
        (
            "(float[3,3] x) => (float y) <%s> { g = GatherElements (x, c) y = ReduceMax <keepdims = 0> (g) }",
            "[1,3]",
            "[3,1]",
        ),
        (
            "(float[3,3,4] x) => (float y) <%s> { g = Gather (x, c) s = Softmax <axis = 1> (g) "
            "y = ReduceMax <keepdims = 0> (s) }",
            "[3]",
            "[1,3]",
        ),
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
    views = [ModelView(model) for model in models]
    assert differences(views[0], views[1], EMPTY, EMPTY).differences
    assert not differences(views[0], views[0], EMPTY, EMPTY).differences


def test_the_larger_of_a_number_and_none_is_not_a_bound() -> None:
    text = "(float[2] x) => (float[2] y) { y = %s (x, v) }"
    views = []
    for op in ("Max", "Clip"):
        model = parsed(text % op)
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(np.nan, np.float32), "v"))
        views.append(ModelView(model))
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


# -- places and sizes


SLICE = "(float[%s] x) => (float[] y) <%s> { s = Slice (x, %s) y = Softmax <axis = 0> (s) }"


def cut(size: str, *given: str) -> str:
    """Starts, ends, axes, steps, as far as they are given."""
    names = ["s", "e", "a", "p"][: len(given)]
    stored = ", ".join(f"int64[{g.count(',') + 1}] {n} = {{{g}}}" for n, g in zip(names, given, strict=True) if g)
    return SLICE % (size, stored, ", ".join(n if g else "" for n, g in zip(names, given, strict=True)))


MOST, SOME = str(2**63 - 1), str(2**31 - 1)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (("3,4", "1", "3", "0", "1"), ("3,4", "1", "3")),
        (("n,4", "1", "3", "0", "1"), ("n,4", "1", "3")),
        (("3,4", "1", "3"), ("3,4", "1", MOST)),
        (("3,4", "1", SOME), ("3,4", "-2", MOST)),
        (("n,4", "1", SOME), ("n,4", "1", MOST)),
        (("3,4", "1", "-1", "1"), ("3,4", "1", "3", "-1")),
        (("3,4", "0,1", "2,3"), ("3,4", "1,0", "3,2", "1,-2", "1,1")),
        (("3,4", "1,0", "2,4"), ("3,4", "1", "2")),
        (("3,4", "-1", str(-(2**63)), "0", "-1"), ("3,4", "2", "-4", "0", "-1")),
        (("n,4", "-1", str(-(2**63)), "0", "-1"), ("n,4", SOME, str(-(2**31)), "0", "-1")),
    ],
)
def test_cuts_at_one_place_are_one(left: tuple[str, ...], right: tuple[str, ...]) -> None:
    assert told(cut(*left), cut(*right)) == []


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (("3,4", "1", "3"), ("3,4", "1", "-1")),
        (("n,4", "1", "3"), ("n,4", "1", MOST)),
        (("n,4", "1", "-1"), ("n,4", "1", MOST)),
        (("n,4", "1", "3"), ("n,4", "1", "-1")),
        (("3,4", "1", "3", "0"), ("3,4", "1", "3", "1")),
        (("3,4", "0", "3", "0", "1"), ("3,4", "0", "3", "0", "2")),
        (("3,4", "-1", str(-(2**63)), "0", "-1"), ("3,4", "-1", "0", "0", "-1")),
        (("n,4", "-1", str(-(2**63)), "0", "-1"), ("n,4", "-1", "-1", "0", "-1")),
    ],
)
def test_cuts_at_other_places_are_two(left: tuple[str, ...], right: tuple[str, ...]) -> None:
    assert told(cut(*left), cut(*right)) != []
    for text in (left, right):
        assert told(cut(*text), cut(*text)) == []


def test_a_cut_of_a_size_that_one_side_knows_is_compared_as_it_is_written() -> None:
    text = "(float[2,6] x, int64[k] s) => (float[] y) <int64[1] a = {1}, int64[1] b = {%s}> { %s y = Slice (r, a, b) }"
    known, unknown = "r = Relu (x)", "q = Relu (x) r = Reshape (q, s)"
    for written in (MOST, "-1", "100"):
        found = told(text % (written, known), text % (written, unknown))
        assert not {"starts", "ends"} & {what for _, what, *_ in found}


@pytest.mark.parametrize(
    ("left", "right"),
    [("(x, k, e)", "(x, k, e, a, p)"), ("(x, k, e, a)", "(x, k, e, , p)"), ("(x, s, e, a)", "(x, s, e)")],
)
def test_the_axes_and_steps_of_a_cut_whose_start_is_not_known(left: str, right: str) -> None:
    text = (
        "(float[3,4] x, int64[1] k) => (float[] y) <int64[1] s = {1}, int64[1] e = {3}, int64[1] a = {0}, "
        "int64[1] p = {1}, int64[1] q = {2}> { s1 = Slice %s y = Softmax (s1) }"
    )
    one(text, (left, right))
    both(
        text, ("(x, k, e, a, p)", "(x, k, e, p, p)"), ("(x, k, e, a, p)", "(x, k, e, a, q)"), ("(x, k, e)", "(x, s, e)")
    )
    assert not {"axes", "steps"} & {what for _, what, *_ in told(text % "(x, k, e, a, p)", text % "(x, s, e)")}


INDEX = "(float[{shape}] x) => (float[] y) <int64{rank} i = {{{index}}}> {{ g = {op} (x, i) y = Exp (g) }}"


@pytest.mark.parametrize("op", ["Gather <axis = 1>", "Gather <axis = -1>"])
@pytest.mark.parametrize("rank", ["", "[1]"])
def test_the_last_is_the_one_of_index_minus_one(op: str, rank: str) -> None:
    def text(index: str, shape: str = "2,3") -> str:
        return INDEX.format(op=op, rank=rank, index=index, shape=shape)

    assert told(text("-1"), text("2")) == []
    for one_, two in (("-1", "1"), ("0", "-1"), ("-4", "2")):
        assert told(text(one_), text(two)) != []
    assert told(text("-1", "2,n"), text("2", "2,n")) != []
    assert told(text("-1", "2,n"), text("-1", "2,n")) == []


def test_two_indices_that_both_count_from_an_end_that_is_not_known_are_two() -> None:
    text = "(float[n,m] x, int64[1] k) => (float[] y) <int64[1] s = {%s}> { y = Expand (x, s) }"
    both(text, ("3", "5"), ("1", "3"))


def test_expanding_to_what_is_there_is_nothing() -> None:
    text = "(float[3,3] x) => (float[a,b] y) <%s> { e = Expand (x, s) y = Exp (e) }"
    one(text, ("int64[2] s = {3, 3}", "int64[2] s = {1, 1}"), ("int64[1] s = {3}", "int64[2] s = {1, 3}"))
    assert told(text % "int64[2] s = {1, 1}", "(float[3,3] x) => (float[a,b] y) { y = Exp (x) }") == []
    both(text, ("int64[2] s = {3, 3}", "int64[3] s = {1, 3, 3}"), ("int64[3] s = {1, 3, 3}", "int64[3] s = {2, 3, 3}"))


def test_a_target_of_the_sizes_that_are_there_is_nothing() -> None:
    text = "(float[n,m] x) => (float[a,b] y) <int64[2] s = {%s}> { r = Reshape (x, s) y = Softmax (r) }"
    one(text, ("0,-1", "-1,0"), ("0,0", "0,-1"))
    assert told(text % "0,-1", text % "-1,1") != []
    assert told(text % "0,-1", "(float[n,m] x) => (float[a,b] y) { y = Softmax (x) }") == []


def test_a_sum_of_no_axes_is_what_is_summed() -> None:
    text = "(float[2,3] x) => (float[a,b] y) <int64[0] e = {}> { r = ReduceSum %s y = Exp (r) }"
    one(text, ("<noop_with_empty_axes = 1> (x, e)", "<noop_with_empty_axes = 1> (x)"), ("(x, e)", "(x)"))
    assert told(text % "<noop_with_empty_axes = 1> (x)", "(float[2,3] x) => (float[a,b] y) { y = Exp (x) }") == []
    both(text, ("<noop_with_empty_axes = 1> (x, e)", "(x, e)"))


@pytest.mark.parametrize("op", ["Exp", "Softmax"])
def test_a_target_that_other_sizes_fit_as_well_is_not_nothing(op: str) -> None:
    text = (
        f"(float[a,b,c] x) => (float[] y) <int64[3] s = {{%s}}> {{ q = Sigmoid (x) r = Reshape (q, s) y = {op} (r) }}"
    )
    plain = f"(float[a,b,c] x) => (float[] y) {{ q = Sigmoid (x) y = {op} (q) }}"
    assert told(text % "3,2,4", plain) != []
    assert told(text % "0,-1,0", plain) == []
    both(text, ("3,2,4", "-1,0,0"))


@pytest.mark.parametrize("op", ["Exp", "Softmax"])
def test_a_number_is_not_an_array_of_one(op: str) -> None:
    text = f"(float[2,b,4] x) => (float[] y) {{ q = Sigmoid (x) r = ReduceSum <keepdims = %s> (q) y = {op} (r) }}"
    both(text, ("0", "1"))


# -- defaults


@pytest.mark.parametrize(
    ("op", "gates", "default", "other"),
    [
        ("RNN", 1, '"Tanh"', '"Relu"'),
        ("GRU", 3, '"Sigmoid", "Tanh"', '"Sigmoid", "Relu"'),
        ("LSTM", 4, '"Sigmoid", "Tanh", "Tanh"', '"Sigmoid", "Tanh", "Relu"'),
    ],
)
def test_the_activations_that_are_taken_where_none_are_named(op: str, gates: int, default: str, other: str) -> None:
    for ways, direction in ((1, "reverse"), (2, "bidirectional")):
        text = (
            f"(float[4,1,2] x, float[{ways},{2 * gates},2] w, float[{ways},{2 * gates},2] r) => (float[] y) "
            f'{{ y = {op} <hidden_size = 2, direction = "{direction}"%s> (x, w, r) }}'
        )
        named = [f", activations = [{', '.join([a] * ways)}]" for a in (default, other)]
        one(text, ("", named[0]))
        both(text, ("", named[1]))


def test_a_pad_and_a_mean_of_a_value_of_unknown_rank_are_said_as_others() -> None:
    known, unknown = "r = Relu (x)", "q = Relu (x) r = Reshape (q, s)"
    pad_ = "(float[1,2,6] x, int64[k] s) => (float[] y) <int64[6] p = {0,0,1,0,0,1}> { %s y = Pad (r, p) }"
    mean = "(float[1,2,6] x, int64[k] s) => (float[] y) { %s y = ReduceMean <axes = [1]> (r) }"
    for text in (pad_, mean):
        found = told(text % known, text % unknown, 13)
        assert {kind for kind, *_ in found} <= {"layout", "only"}
        assert not {"value", "keepdims", "mode", "axes", "pads"} & {what for _, what, *_ in found}
    for other in ("axes = [1], keepdims = 0", "axes = [-1]"):
        assert told(mean % unknown, (mean % unknown).replace("axes = [1]", other), 13) != []


@pytest.mark.parametrize("shape", ["1,3,8,8", "1,3,h,w"])
@pytest.mark.parametrize("op", ["Conv", "ConvTranspose"])
def test_a_kernel_that_the_weight_says_and_strides_that_nobody_writes(op: str, shape: str) -> None:
    text = (
        f'(float[{shape}] x, float[3,3,3,2] w) => (float[a,b,c,d] y) {{ y = {op} <auto_pad = "SAME_UPPER"%s> (x, w) }}'
    )
    one(text, ("", ", kernel_shape = [3, 2]"), ("", ", dilations = [1, 1]"), ("", ", strides = [1, 1]"))
    both(text, ("", ", kernel_shape = [2, 3]"), ("", ", dilations = [1, 2]"), ("", ", strides = [2, 1]"))


def test_strides_of_a_pool_over_an_unknown_size() -> None:
    text = (
        '(float[1,3,h,w] x) => (float[a,b,c,d] y) { y = MaxPool <auto_pad = "SAME_UPPER", kernel_shape = [3,3]%s> (x) }'
    )
    one(text, ("", ", dilations = [1, 1]"), ("", ", strides = [1, 1]"))
    both(text, ("", ", strides = [2, 2]"))


@pytest.mark.parametrize("op", ["Add", "Mul", "Max"])
def test_operands_without_an_order_in_another_order(op: str) -> None:
    text = (
        "(float[2,3,4] x) => (float[] y) { e = Exp (x) s = Softmax <axis = 1> (e) t = Transpose <perm = [2,0,1]> (s) "
        "u = Transpose <perm = [1,2,0]> (t) v = Transpose <perm = [1,0,2]> (s) "
        "w = Reshape (e, k) %s n = Softmax (a) m = MatMul (n, a) y = Softmax (m) }"
    ).replace("=> (float[] y) {", "=> (float[] y) <int64[3] k = {3,2,4}> {")
    one(text, (f"a = {op} (w, v)", f"a = {op} (v, w)"))
    assert told(text % "a = Sub (w, v)", text % "a = Sub (v, w)") != []
    both(text, (f"a = {op} (w, v)", f"a = {op} (w, w)"))
