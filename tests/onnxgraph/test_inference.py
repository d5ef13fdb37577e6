"""Shapes that a file records are believed where nothing else is known, and only there."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

from onnx_triangulate.diff.differences import differences
from onnx_triangulate.facts.view import View
from onnx_triangulate.inspection.run import inspected
from onnx_triangulate.onnxgraph.inference import contradicted, infer, refusals, with_inferred_shapes

HEAD = '<ir_version: 8, opset_import: ["" : 17, "my" : 1]> g'


def parsed(text: str, **ints: list[int]) -> onnx.ModelProto:
    model = onnx.parser.parse_model(f"{HEAD} {text}")
    for name, values in ints.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(values, np.int64), name))
    return model


def shapes(model: onnx.ModelProto) -> dict[str, list[Any]]:
    values = (*model.graph.value_info, *model.graph.output)
    return {v.name: [d.dim_value or d.dim_param for d in v.type.tensor_type.shape.dim] for v in values}


def test_what_the_nodes_make_goes_before_what_is_recorded() -> None:
    stale = parsed("(float[2,12] x) => (float[7,7] y) <float[3,4] z> { z = Relu (x) y = Transpose (z) }")
    assert shapes(infer(stale)) == {"z": [2, 12], "y": [12, 2]}
    assert shapes(stale) == {"z": [3, 4], "y": [7, 7]}  # the file itself is left alone
    copy = with_inferred_shapes(stale)
    assert copy is not None
    assert shapes(copy)["y"] == [12, 2]


def test_what_nobody_can_infer_is_believed_and_followed() -> None:
    found = shapes(infer(parsed("(float[n,12] x) => (y) <float[m,4] z> { z = my.Op (x) y = Transpose (z) }")))
    assert found == {"z": ["m", 4], "y": [4, "m"]}


def test_a_record_adds_sizes_and_names_to_what_is_inferred_in_part() -> None:
    found = shapes(infer(parsed("(float[n,1] x, int64[2] k) => (float[batch,5] y) { y = Expand (x, k) }")))
    assert found["y"] == ["batch", 5]


def test_a_record_in_a_subgraph_counts_as_little() -> None:
    text = """(bool c, float[2,12] x) => (y) { y = If (c) <
    then_branch = t () => (float[5,5] a) <float[9,9] q> { q = Neg (x) a = Relu (q) },
    else_branch = e () => (float[5,5] b) { b = Abs (x) }> }"""
    found = infer(parsed(text))
    assert shapes(found)["y"] == [2, 12]
    inner = found.graph.node[0].attribute[0].g
    assert {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in inner.value_info} == {"q": [2, 12]}


def test_what_follows_from_the_record_of_an_output_in_a_loop_is_known() -> None:
    text = """(int64 n, bool c, float[3,4] x) => (y, z) { y, z = Loop (n, c, x) <
    body = b (int64 i, bool go, float[] h) => (bool more, float[3,4] h, t)
    { more = Identity (go) t = Transpose (h) }> }"""
    inner = infer(parsed(text)).graph.node[0].attribute[0].g
    found = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in (*inner.value_info, *inner.output)}
    assert found["t"] == [4, 3]


@pytest.mark.parametrize(
    ("recorded", "count"), [("float[2,12] y", 0), ("float[n,m] y", 0), ("float[2,13] y", 1), ("float[24] y", 1)]
)
def test_contradictions_are_listed(recorded: str, count: int) -> None:
    model = parsed(f"(float[2,12] x) => ({recorded}) {{ y = Relu (x) }}")
    assert len(list(contradicted(model, infer(model)))) == count


def test_an_edit_that_left_the_recorded_shapes_is_a_difference() -> None:
    text = "(float[3,4] x) => (float[2,6] y) <float[2,6] r> { r = Reshape (x, s) y = Neg (r) }"
    views = [View(parsed(text, s=[2, -1])), View(parsed(text, s=[3, -1]))]
    found = differences(views[0], views[1], inspected(views[0], ()), inspected(views[1], ()))
    assert any(d.what == "shape" for d in found.differences)


def test_pads_go_by_the_size_that_is_made() -> None:
    text = """(float[1,1,33,33] x, float[1,1,1,1] u, float[1,1,3,3] w) => (y) <float[1,1,32,32] c>
    { c = Conv (x, u) y = Conv <auto_pad = "SAME_UPPER", strides = [2,2]> (c, w) }"""
    (first, second) = View(parsed(text)).pads
    assert (first.begin, first.end) == ((0, 0), (0, 0))
    assert (second.begin, second.end) == ((1, 1), (1, 1))


_HEAD = '<ir_version: 8, opset_import: ["" : 17]> g '
# What ONNX refuses with the node it names, and a healthy twin of each.
_REFUSED = {
    "Floor": ("(int64[3] x) => (int64[3] y) { [bad] y = Floor (x) }", "(float[3] x) => (float[3] y) { y = Floor (x) }"),
    "IsInf": ("(int64[3] x) => (bool[3] y) { [bad] y = IsInf (x) }", "(float[3] x) => (bool[3] y) { y = IsInf (x) }"),
    "Softmax": (
        "(int64[3] x) => (int64[3] y) { [bad] y = Softmax (x) }",
        "(double[3] x) => (double[3] y) { y = Softmax (x) }",
    ),
    "Einsum": (
        '(float[2,3,4] a, float[4,5] b) => (float[n,m,k] y) { [bad] y = Einsum <equation = "...ij,...jk"> (a, b) }',
        '(float[2,3,4] a, float[2,4,5] b) => (float[n,m,k] y) { y = Einsum <equation = "...ij,...jk"> (a, b) }',
    ),
    "ConvTranspose": (
        "(float[1,1,4,4] x, float[1,1,3,3] w) => (float[a,b,c,d] y) "
        "{ [bad] y = ConvTranspose <pads = [-1, -1, -1, -1]> (x, w) }",
        "(float[1,1,4,4] x, float[1,1,3,3] w) => (float[a,b,c,d] y) "
        "{ y = ConvTranspose <strides = [2, 2], dilations = [4, 4], output_padding = [3, 3]> (x, w) }",
    ),
    "Cast": (
        "(float[3] x) => (int64[3] y) { [bad] y = Cast <to = 6> (x) }",
        "(float[3] x) => (int64[3] y) { y = Cast <to = 7> (x) }",
    ),
    "Squeeze": (
        "(float[1,3] x) => (float[n] y) { a = Constant <value_ints = [1]> () [bad] y = Squeeze (x, a) }",
        "(float[1,3] x) => (float[n] y) { a = Constant <value_ints = [0]> () y = Squeeze (x, a) }",
    ),
    "Transpose": (
        "(float[2,3] x) => (float[n,m] y) { [bad] y = Transpose <perm = [0, 0]> (x) }",
        "(float[2,3] x) => (float[n,m] y) { y = Transpose <perm = [1, 0]> (x) }",
    ),
    "Add": (
        "(float[2] x, float[3] z) => (float[n] y) { [bad] y = Add (x, z) }",
        "(float[n] x, float[m] z) => (float[k] y) { y = Add (x, z) }",
    ),
}


@pytest.mark.parametrize(("op", "pair"), _REFUSED.items(), ids=_REFUSED.keys())
def test_what_onnx_refuses_is_said_with_its_node(op: str, pair: tuple[str, str]) -> None:
    bad, good = (onnx.parser.parse_model(_HEAD + text) for text in pair)
    (found,) = refusals(bad)
    assert (found.op, found.node) == (op, "bad")
    assert f"({op}, node bad)" in found.message
    assert refusals(good) == ()


def test_a_node_inside_and_one_without_a_name_are_found() -> None:
    inside = (
        "(bool c, int64[2] x) => (int64[2] y) { y = If (c) <"
        "then_branch = t () => (int64[2] a) { [deep] a = Floor (x) }, "
        "else_branch = e () => (int64[2] b) { b = Identity (x) }> }"
    )
    (found,) = refusals(onnx.parser.parse_model(_HEAD + inside))
    assert (found.op, found.node) == ("Floor", "deep")
    (found,) = refusals(onnx.parser.parse_model(_HEAD + "(int64[2] x) => (int64[2] y) { z = Neg (x) y = Floor (z) }"))
    assert (found.op, found.node) == ("Floor", "Floor_1")


@pytest.mark.parametrize(
    "text",
    [
        "(float[1,3] x) => (float[1,4] y) { y = Relu (x) }",
        "(float[1,3] x) => (float[1,3] y) <float[1,5] m> { m = Relu (x) y = Neg (m) }",
        "(float[2,3,4,5] x) => (float[2,3,4,5] y) { y = MeanVarianceNormalization (x) }",
    ],
    ids=["a recorded shape", "one in between", "ONNX's own definition of an operator is broken"],
)
def test_what_no_runtime_minds_is_no_refusal(text: str) -> None:
    model = onnx.parser.parse_model(_HEAD + text)
    assert refusals(model) == ()
    with pytest.raises(onnx.shape_inference.InferenceError):
        onnx.checker.check_model(model, full_check=True)


@pytest.mark.parametrize("auto", ["SAME_UPPER", "SAME_LOWER"])
def test_a_transposed_convolution_with_same_pads_is_as_large_as_onnx_says(auto: str) -> None:
    """onnx 1.23 adds ``output_padding`` to what is strides times the input already."""
    text = (
        "(float[1,2,3,3] x, float[2,1,3,3] w) => (float[1,1,6,6] y) "
        f'{{ y = ConvTranspose <auto_pad = "{auto}", strides = [2, 2], output_padding = [1, 1]> (x, w) }}'
    )
    model = onnx.parser.parse_model(_HEAD + text)
    made = infer(model)
    assert list(contradicted(model, made)) == []
    assert made.graph.node[0] == model.graph.node[0], "what the node says is left as it is"
    wrong = onnx.parser.parse_model(_HEAD + text.replace("[1,1,6,6]", "[1,1,7,7]"))
    assert [name for name, _, _ in contradicted(wrong, infer(wrong))] == ["y"]
