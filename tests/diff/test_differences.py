"""Two graphs of one model: a rewrite that changes nothing is not listed; a planted change is, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnx_triangulate.diff.differences import differences
from onnx_triangulate.diff.formatting import numbers, says_numbers, views_agree
from onnx_triangulate.diff.ir import Ref
from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.records.inspection import Differences, Inspection

EMPTY = Inspection(None, "", 0, {}, {}, {}, {})
WEIGHTS = {
    "w1": (8, 3, 3, 3),
    "b1": (8,),
    "s1": (8,),
    "t1": (8,),
    "m1": (8,),
    "v1": (8,),
    "w2": (8, 4, 3, 3),
    "w3": (16, 16),
    "b3": (16,),
    "w4": (5, 4),
    "w4t": (4, 5),
    "w1t": (3, 3, 3, 8),
    "b1c": (1, 8, 1, 1),
    "w5": (8, 3, 3, 3),
}
BODY = """
[conv1] c1 = Conv <pads = [1,1,1,1], strides = [2,2]> (x, w1, b1)
[norm1] n1 = BatchNormalization <epsilon = 0.001> (c1, s1, t1, m1, v1)
[relu1] r1 = Relu (n1)
[pool1] p1 = MaxPool <kernel_shape = [3,3], pads = [1,1,1,1]> (r1)
[conv2] c2 = Conv <group = 2, pads = [1,1,1,1]> (p1, w2)
[leaky] l2 = LeakyRelu <alpha = 0.1> (c2)
[minus] d = Sub (l2, r1)
[join] j = Concat <axis = 1> (d, p1)
[mean] m = ReduceMean <keepdims = 0> (j, axes)
[dense] g = Gemm <transB = 1> (m, w3, b3)
[heads] h = Reshape (g, target)
[turn] t = Transpose <perm = [0,2,1]> (h)
[score] s = MatMul (h, t)
[soft] f = Softmax <axis = -1> (s)
[mix] o = MatMul (f, h)
[out] y = MatMul (o, w4t)
[large] u = Resize <mode = "nearest", coordinate_transformation_mode = "asymmetric"> (d, , scales)
[clip] z = Clip (u, low, high)
"""
CONSTANTS = (
    "int64[2] axes = {2, 3}, int64[3] target = {2, 4, 4}, float[4] scales = {1, 1, 2, 2}, float low = {-1}, "
    "float high = {6}"
)


def weight(name: str) -> Any:
    """The numbers of a weight by its name, the same in every graph; those ending in t and c are others, rearranged."""
    if name == "w4t":
        return np.ascontiguousarray(weight("w4").T)
    if name == "w1t":
        return np.ascontiguousarray(weight("w1").transpose(2, 3, 1, 0))
    if name == "b1c":
        return weight("b1").reshape(1, 8, 1, 1)
    made = np.random.default_rng([7, *name.encode()]).normal(size=WEIGHTS[name]).astype(np.float32)
    return np.abs(made) + np.float32(0.5) if name == "v1" else made


def graph(
    body: str = BODY,
    *,
    inputs: str = "float[2,3,9,7] x",
    outputs: str = "float[2,4,5] y, float[n,c,h,w] z",
    constants: str = CONSTANTS,
    opset: int = 20,
    change: Callable[[dict[str, Any]], None] | None = None,
) -> onnx.ModelProto:
    head = f'<ir_version: 9, opset_import: ["" : {opset}, "com.microsoft" : 1]>'
    model = onnx.parser.parse_model(f"{head} g ({inputs}) => ({outputs}) <{constants}> {{ {body} }}")
    read = {name for node in model.graph.node for name in node.input}
    weights = {name: weight(name) for name in WEIGHTS if name in read}
    if change is not None:
        change(weights)
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in weights.items())
    return model


def compare(left: onnx.ModelProto, right: onnx.ModelProto) -> Differences:
    return differences(ModelView(left), ModelView(right), EMPTY, EMPTY)


def said(found: Differences) -> list[tuple[str, str, str, str]]:
    return [(d.kind, d.what, d.left, d.right) for d in found.differences]


def edited(*pairs: str, body: str = BODY) -> str:
    """The body with one text in place of another, each of which must be there."""
    for old, new in zip(pairs[::2], pairs[1::2], strict=True):
        assert body.count(old) == 1, old
        body = body.replace(old, new)
    return body


def set_to(name: str, make: Callable[[Any], Any]) -> Callable[[dict[str, Any]], None]:
    def change(weights: dict[str, Any]) -> None:
        weights[name] = make(weights[name].copy())

    return change


def one_more(value: Any) -> Any:
    value.reshape(-1)[3] += 1
    return value


# -- nothing is listed


def test_a_graph_and_itself() -> None:
    found = compare(graph(), graph())
    assert (found.differences, found.only_left, found.only_right) == ((), (), ())
    assert found.matched == 16  # Reshape and Transpose are how values are seen, not steps


RESIZE = '[large] u = Resize <mode = "nearest", coordinate_transformation_mode = "asymmetric"> (d, , scales)\n'
PADDED = ("[conv1] c1 = Conv <pads = [1,1,1,1], strides = [2,2]> (x, w1, b1)",)
HEALTHY: dict[str, dict[str, Any]] = {
    "renamed": {"body": edited("[conv1] c1", "[other] q", "(c1, s1", "(q, s1")},
    "in another order": {"body": edited(RESIZE, "", "[join]", f"{RESIZE}[join]")},
    "Identity": {"body": edited("(r1)\n[conv2]", "(ri)\n[conv2]", "[pool1]", "ri = Identity (r1)\n[pool1]")},
    "Dropout": {"body": edited("(r1)\n[conv2]", "(ri)\n[conv2]", "[pool1]", "ri = Dropout (r1)\n[pool1]")},
    "a Cast to what it is": {
        "body": edited("[pool1]", "ri = Cast <to = 1> (r1)\n[pool1]", "(r1)\n[conv2]", "(ri)\n[conv2]")
    },
    "Transposes that cancel": {
        "body": edited(
            "[leaky] l2 = LeakyRelu <alpha = 0.1> (c2)",
            "k = Transpose <perm = [0,2,3,1]> (c2)\n[leaky] kk = LeakyRelu <alpha = 0.1> (k)\n"
            "l2 = Transpose <perm = [0,3,1,2]> (kk)",
        )
    },
    "joined in NHWC": {
        "body": edited(
            "[join] j = Concat <axis = 1> (d, p1)",
            "da = Transpose <perm = [0,2,3,1]> (d)\npa = Transpose <perm = [0,2,3,1]> (p1)\n"
            "[join] ja = Concat <axis = -1> (da, pa)\nj = Transpose <perm = [0,3,1,2]> (ja)",
        )
    },
    "a mean in NHWC": {
        "body": edited(
            "[mean] m = ReduceMean <keepdims = 0> (j, axes)",
            "ja = Transpose <perm = [0,2,3,1]> (j)\n[mean] m = ReduceMean <keepdims = 0> (ja, axes12)",
        ),
        "constants": CONSTANTS + ", int64[2] axes12 = {1, 2}",
    },
    "a Pad in front": {
        "body": edited(PADDED[0], "xp = Pad (x, amounts)\n[conv1] c1 = Conv <strides = [2,2]> (xp, w1, b1)"),
        "constants": CONSTANTS + ", int64[8] amounts = {0,0,1,1,0,0,1,1}",
    },
    "a Pad in front, in NHWC, and the rest in the node": {
        "body": edited(
            PADDED[0],
            "xn = Transpose <perm = [0,2,3,1]> (x)\nxp = Pad (xn, amounts)\nxc = Transpose <perm = [0,3,1,2]> (xp)\n"
            "[conv1] c1 = Conv <pads = [0,1,0,1], strides = [2,2]> (xc, w1, b1)",
        ),
        "constants": CONSTANTS + ", int64[8] amounts = {0,1,0,0,0,1,0,0}",
    },
    "auto_pad": {"body": edited("group = 2, pads = [1,1,1,1]", 'group = 2, auto_pad = "SAME_UPPER"')},
    "zeros below what is never negative": {
        "body": edited(
            "[pool1] p1 = MaxPool <kernel_shape = [3,3], pads = [1,1,1,1]> (r1)",
            "rp = Pad (r1, amounts)\n[pool1] p1 = MaxPool <kernel_shape = [3,3]> (rp)",
        ),
        "constants": CONSTANTS + ", int64[8] amounts = {0,0,1,1,0,0,1,1}",
    },
    "a bias as Add": {
        "body": edited("(x, w1, b1)", "(x, w1)", "[norm1]", "cb = Add (c1, b1c)\n[norm1]", "(c1, s1", "(cb, s1")
    },
    "a weight turned at run time": {
        "body": edited("[conv1]", "w1 = Transpose <perm = [3,2,0,1]> (w1t)\n[conv1]"),
    },
    "a constant as a node": {
        "body": edited("[mean]", "ax = Constant <value = int64[2] {2, 3}> ()\n[mean]", "(j, axes)", "(j, ax)"),
    },
    "a shape that is computed": {
        "body": edited(
            "[heads]",
            "sh = Shape <start = 0, end = 1> (x)\ntt = Concat <axis = 0> (sh, rest)\n[heads]",
            "(g, target)",
            "(g, tt)",
        ),
        "constants": CONSTANTS + ", int64[2] rest = {4, -1}",
    },
    "Gemm as MatMul and Add": {
        "body": edited(
            "[dense] g = Gemm <transB = 1> (m, w3, b3)",
            "w3t = Transpose <perm = [1,0]> (w3)\n[dense] gm = MatMul (m, w3t)\ng = Add (b3, gm)",
        ),
    },
    "MatMul as Gemm between Reshapes": {
        "body": edited(
            "[out] y = MatMul (o, w4t)",
            "oo = Reshape (o, flat)\n[out] yy = Gemm <transB = 1> (oo, w4)\ny = Reshape (yy, back)",
        ),
        "constants": CONSTANTS + ", int64[2] flat = {-1, 4}, int64[3] back = {2, 4, 5}",
    },
    "Relu as Max": {
        "body": edited("[relu1] r1 = Relu (n1)", "[relu1] r1 = Max (n1, nought)"),
        "constants": CONSTANTS + ", float nought = {0}",
    },
    "Clip as Min and Max": {
        "body": edited("[clip] z = Clip (u, low, high)", "zz = Max (u, low)\n[clip] z = Min (zz, high)"),
    },
    "computed twice": {
        "body": edited("[minus] d = Sub (l2, r1)", "r2 = Relu (n1)\n[minus] d = Sub (l2, r2)"),
    },
    "defaults written out": {
        "body": edited(
            "group = 2, pads = [1,1,1,1]",
            "group = 2, pads = [1,1,1,1], strides = [1,1], dilations = [1,1], kernel_shape = [3,3]",
        ),
    },
    "an axis from the front": {"body": edited("axis = -1", "axis = 2")},
    "zeros added": {
        "body": edited(
            "[leaky] l2 = LeakyRelu <alpha = 0.1> (c2)",
            "ca = Add (c2, nought)\n[leaky] l2 = LeakyRelu <alpha = 0.1> (ca)",
        ),
        "constants": CONSTANTS + ", float nought = {0}",
    },
    "another opset, axes as an attribute": {
        "body": edited("<keepdims = 0> (j, axes)", "<keepdims = 0, axes = [2, 3]> (j)"),
        "opset": 17,
    },
}


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_rewrite_is_not_listed(name: str) -> None:
    for left, right in ((graph(), graph(**HEALTHY[name])), (graph(**HEALTHY[name]), graph())):
        found = compare(left, right)
        assert said(found) == []
        assert (found.only_left, found.only_right) == ((), ())


# -- one change, one line

PLANTED: dict[str, tuple[dict[str, Any], tuple[str, str, str, str], tuple[str, str]]] = {
    "pads": (
        {"body": edited("<pads = [1,1,1,1], strides", "<pads = [0,0,2,2], strides")},
        ("pads", "pads", "(1,1,1,1)", "(0,0,2,2)"),
        ("conv1", "conv1"),
    ),
    "a Pad with other amounts": (
        {
            "body": edited(PADDED[0], "xp = Pad (x, amounts)\n[conv1] c1 = Conv <strides = [2,2]> (xp, w1, b1)"),
            "constants": CONSTANTS + ", int64[8] amounts = {0,0,0,0,0,0,2,2}",
        },
        ("pads", "pads", "(1,1,1,1)", "(0,0,2,2)"),
        ("conv1", "conv1"),
    ),
    "pads of a pool": (
        {"body": edited("kernel_shape = [3,3], pads = [1,1,1,1]", "kernel_shape = [3,3], pads = [2,2,0,0]")},
        ("pads", "pads", "(1,1,1,1)", "(2,2,0,0)"),
        ("pool1", "pool1"),
    ),
    "epsilon": (
        {"body": edited("epsilon = 0.001", "epsilon = 0.00001")},
        ("attribute", "epsilon", "0.001", "1e-05"),
        ("norm1", "norm1"),
    ),
    "alpha": (
        {"body": edited("alpha = 0.1", "alpha = 0.2")},
        ("attribute", "alpha", "0.1", "0.2"),
        ("leaky", "leaky"),
    ),
    "alpha of Gemm": (
        {"body": edited("transB = 1", "transB = 1, alpha = 0.5")},
        ("attribute", "alpha", "1.0", "0.5"),
        ("dense", "dense"),
    ),
    "axis": (
        {"body": edited("Softmax <axis = -1>", "Softmax <axis = 1>")},
        ("attribute", "axis", "2", "1"),
        ("soft", "soft"),
    ),
    "mode": (
        {"body": edited('mode = "nearest"', 'mode = "linear"')},
        ("attribute", "mode", "nearest", "linear"),
        ("large", "large"),
    ),
    "coordinates": (
        {"body": edited('"asymmetric"', '"half_pixel"')},
        ("attribute", "coordinate_transformation_mode", "asymmetric", "half_pixel"),
        ("large", "large"),
    ),
    "kernel": (
        {
            "body": edited(
                "kernel_shape = [3,3], pads",
                "dilations = [1,1], kernel_shape = [3,3], strides = [1,1], pads",
                "MaxPool",
                "LpPool",
            )
        },
        ("operator", "op", "MaxPool", "LpPool"),
        ("pool1", "pool1"),
    ),
    "a bound": (
        {"constants": CONSTANTS.replace("high = {6}", "high = {5}")},
        ("attribute", "max", "6.0", "5.0"),
        ("clip", "clip"),
    ),
    "a bound that is not there": (
        {"body": edited("(u, low, high)", "(u, low)")},
        ("attribute", "max", "6.0", "none"),
        ("clip", "clip"),
    ),
    "scales": (
        {"constants": CONSTANTS.replace("{1, 1, 2, 2}", "{1, 1, 2, 3}")},
        ("attribute", "scales", "(1.0,1.0,2.0,2.0)", "(1.0,1.0,2.0,3.0)"),
        ("large", "large"),
    ),
    "an activation": (
        {"body": edited("LeakyRelu <alpha = 0.1>", "Elu")},
        ("operator", "op", "LeakyRelu", "Elu"),
        ("leaky", "leaky"),
    ),
    "operands of Sub": (
        {"body": edited("Sub (l2, r1)", "Sub (r1, l2)")},
        ("operator", "operands", "leaky, relu1", "relu1, leaky"),
        ("minus", "minus"),
    ),
    "operands of Concat": (
        {"body": edited("(d, p1)", "(p1, d)")},
        ("operator", "operands", "minus, pool1", "pool1, minus"),
        ("join", "join"),
    ),
    "another operand": (
        {"body": edited("Sub (l2, r1)", "Sub (l2, p1)")},
        ("operator", "operand 1", "relu1", "pool1"),
        ("minus", "minus"),
    ),
    "a Transpose that is not there": (
        {"body": edited("[turn] t = Transpose <perm = [0,2,1]> (h)\n", "", "(h, t)", "(h, h)")},
        ("layout", "perm", "(0,2,1)", "none"),
        ("turn", "score"),
    ),
    "another permutation": (
        {"body": edited("perm = [0,2,1]", "perm = [0,1,2]")},
        ("layout", "perm", "(0,2,1)", "none"),
        ("turn", "score"),
    ),
    "a Transpose too many": (
        {
            "body": edited(
                "[mix] o = MatMul (f, h)", "[again] ft = Transpose <perm = [0,2,1]> (f)\n[mix] o = MatMul (ft, h)"
            )
        },
        ("layout", "perm", "none", "(0,2,1)"),
        ("mix", "again"),
    ),
    "a weight": (
        {"change": set_to("w2", one_more)},
        ("weights", "weight", f"{weight('w2').reshape(-1)[3]:.6g}", f"{weight('w2').reshape(-1)[3] + 1:.6g}"),
        ("conv2", "conv2"),
    ),
    "a bias": (
        {"change": set_to("b3", one_more)},
        ("weights", "bias", f"{weight('b3')[3]:.6g}", f"{weight('b3')[3] + 1:.6g}"),
        ("dense", "dense"),
    ),
    "a variance": (
        {"change": set_to("v1", one_more)},
        ("weights", "variance", f"{weight('v1')[3]:.6g}", f"{weight('v1')[3] + 1:.6g}"),
        ("norm1", "norm1"),
    ),
    "a weight turned over": (
        {"change": set_to("w2", lambda w: np.ascontiguousarray(w[:, :, ::-1]))},
        ("weights", "weight", "", ""),
        ("conv2", "conv2"),
    ),
    "a bias that is not there": (
        {"body": edited("(m, w3, b3)", "(m, w3)")},
        ("weights", "bias", "there", "none"),
        ("dense", "dense"),
    ),
    "a node that is not there": (
        {"body": edited("[leaky] l2 = LeakyRelu <alpha = 0.1> (c2)\n", "", "Sub (l2, r1)", "Sub (c2, r1)")},
        ("only", "nodes", "LeakyRelu", "none"),
        ("leaky", ""),
    ),
    "a BatchNormalization that is not there": (
        {
            "body": edited(
                "[norm1] n1 = BatchNormalization <epsilon = 0.001> (c1, s1, t1, m1, v1)\n", "", "(n1)", "(c1)"
            )
        },
        ("only", "nodes", "BatchNormalization", "none"),
        ("norm1", ""),
    ),
    "a node too many": (
        {"body": edited("[pool1]", "[extra] re = Tanh (r1)\n[pool1]", "(r1)\n[conv2]", "(re)\n[conv2]")},
        ("only", "nodes", "none", "Tanh"),
        ("", "extra"),
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_change_is_listed_and_nothing_else(name: str) -> None:
    arguments, expected, (node, other) = PLANTED[name]
    (found,) = compare(graph(), graph(**arguments)).differences
    assert (found.kind, found.what) == expected[:2]
    if expected[2:] != ("", ""):
        assert (found.left, found.right) == expected[2:]
    assert node in found.left_nodes if node else found.left_nodes == ()
    assert other in found.right_nodes if other else found.right_nodes == ()
    assert not found.harmless


def test_a_planted_change_in_the_other_direction() -> None:
    (found,) = compare(graph(body=edited("alpha = 0.1", "alpha = 0.2")), graph()).differences
    assert (found.left, found.right) == ("0.2", "0.1")


def test_two_changes_are_two_lines_pads_first() -> None:
    body = edited(
        "alpha = 0.1",
        "alpha = 0.2",
        "<pads = [1,1,1,1], strides",
        "<pads = [0,0,2,2], strides",
        "(f, h)",
        "(ft, h)",
        "[mix]",
        "[again] ft = Transpose <perm = [0,2,1]> (f)\n[mix]",
    )
    assert [d.kind for d in compare(graph(), graph(body)).differences] == ["pads", "layout", "attribute"]


# -- exports of one model by two frameworks

TORCH = """
<ir_version: 10, opset_import: ["" : 20], producer_name: "pytorch">
main_graph (float[2,2,6,6] x) => (float[2,3,3,3] y) <float[3,2,3,3] w> {
   [node_Conv_9] y = Conv <group: int = 1, pads: ints = [1, 1, 1, 1], auto_pad: string = "NOTSET",
       strides: ints = [2, 2], dilations: ints = [1, 1], kernel_shape: ints = [3, 3]> (x, w)
}
"""
TENSORFLOW = """
<ir_version: 8, opset_import: ["" : 15, "ai.onnx.ml" : 2], producer_name: "tf2onnx">
tf2onnx (float[2,6,6,2] x) => (float[2,3,3,3] "Identity:0") <float[3,2,3,3] "Conv2D/ReadVariableOp:0"> {
   [Conv2D__5] "Conv2D__5:0" = Transpose <perm: ints = [0, 3, 1, 2]> (x)
   [Conv2D] "Conv2D:0" = Conv <dilations: ints = [1, 1], strides: ints = [2, 2], kernel_shape: ints = [3, 3],
       pads: ints = [0, 0, 1, 1], group: int = 1> ("Conv2D__5:0", "Conv2D/ReadVariableOp:0")
   [Conv2D__6] "Identity:0" = Transpose <perm: ints = [0, 2, 3, 1]> ("Conv2D:0")
}
"""
NCHW = """
<ir_version: 8, opset_import: ["" : 15, "ai.onnx.ml" : 2], producer_name: "tf2onnx">
tf2onnx (float[2,2,6,6] x) => (float[2,3,3,3] "Identity:0") <float[3,2,3,3] "Conv2D/ReadVariableOp:0"> {
   [Conv2D] "Identity:0" = Conv <dilations: ints = [1, 1], strides: ints = [2, 2], kernel_shape: ints = [3, 3],
       pads: ints = [0, 0, 1, 1], group: int = 1> (x, "Conv2D/ReadVariableOp:0")
}
"""


def with_weights(text: str) -> onnx.ModelProto:
    model = onnx.parser.parse_model(text)
    for tensor in model.graph.initializer:
        count = int(np.prod(tensor.dims))
        tensor.CopyFrom(numpy_helper.from_array(np.arange(count, dtype=np.float32).reshape(tensor.dims), tensor.name))
    return model


@pytest.mark.parametrize("right", [TENSORFLOW, NCHW])
def test_the_even_convolution_is_one_line(right: str) -> None:
    found = compare(with_weights(TORCH), with_weights(right))
    assert said(found) == [("pads", "pads", "(1,1,1,1)", "(0,0,1,1)")]
    assert (found.differences[0].left_nodes, found.differences[0].right_nodes) == (("node_Conv_9",), ("Conv2D",))
    assert (found.matched, found.only_left, found.only_right) == (1, (), ())


def test_the_layout_of_a_border_is_a_note() -> None:
    notes = compare(with_weights(TORCH), with_weights(TENSORFLOW)).notes
    assert "input x: the right has its axes in another order, those of the left by (0,2,3,1)" in notes
    assert "output y: the right has its axes in another order, those of the left by (0,2,3,1)" in notes
    assert not any("order" in note for note in compare(with_weights(TORCH), with_weights(NCHW)).notes)


def test_a_border_that_is_permuted_otherwise_is_a_difference() -> None:
    wrong = TENSORFLOW.replace("[0, 3, 1, 2]", "[0, 3, 2, 1]").replace("[0, 0, 1, 1]", "[1, 1, 1, 1]")
    (found,) = compare(with_weights(TORCH), with_weights(wrong)).differences
    assert (found.kind, found.what, found.left_nodes) == ("layout", "input", ("x",))


# -- folded and fused


def folded(weights: dict[str, Any]) -> None:
    scale = weight("s1") / np.sqrt(weight("v1") + np.float32(0.001))
    weights["w1"] = weights["w1"] * scale.reshape(-1, 1, 1, 1)
    weights["b1"] = (weights["b1"] - weight("m1")) * scale + weight("t1")


FOLDED = edited("[norm1] n1 = BatchNormalization <epsilon = 0.001> (c1, s1, t1, m1, v1)\n", "", "(n1)", "(c1)")


def test_a_batch_normalization_that_is_folded_is_one_operator_difference() -> None:
    (found,) = compare(graph(), graph(FOLDED, change=folded)).differences
    assert (found.kind, found.what, found.left, found.right) == (
        "operator",
        "folded",
        "Conv, BatchNormalization",
        "Conv",
    )
    assert found.message.startswith("folded: the numbers agree up to rounding")


def test_a_batch_normalization_that_is_folded_wrongly_is_not_called_folded() -> None:
    def wrongly(weights: dict[str, Any]) -> None:
        folded(weights)
        weights["b1"] = one_more(weights["b1"])

    (found,) = compare(graph(), graph(FOLDED, change=wrongly)).differences
    assert (found.kind, found.what) == ("operator", "folded")
    assert "not those of folding" in found.message


def test_a_small_weight_that_doubles_beside_a_large_one_is_no_rounding() -> None:
    weights = np.array([1000, 1, 0.004], np.float32)
    doubled, rounded = weights * np.array([1, 1, 2], np.float32), np.nextafter(weights, np.float32(np.inf))
    found = numbers(weights, doubled)
    assert found is not None
    assert not found.rounding
    assert says_numbers(found) == "1 of 3 differ, by 0.004 at most"
    found = numbers(weights, rounded)
    assert found is not None
    assert found.rounding
    assert says_numbers(found).startswith("rounding: at most 1e-07 of each number")


def test_rounding_of_a_weight_is_said_to_be_rounding() -> None:
    (found,) = compare(graph(), graph(change=set_to("w2", lambda w: np.nextafter(w, np.float32(9))))).differences
    assert (found.kind, found.what) == ("weights", "weight")
    assert found.message.startswith("rounding")


def test_a_fused_operator_is_one_difference_that_is_the_same() -> None:
    fused = edited(
        "[conv2] c2 = Conv <group = 2, pads = [1,1,1,1]> (p1, w2)\n[leaky] l2 = LeakyRelu <alpha = 0.1> (c2)",
        '[conv2] l2 = com.microsoft.FusedConv <group = 2, pads = [1,1,1,1], activation = "Relu"> (p1, w2)',
    )
    (found,) = compare(graph(edited("LeakyRelu <alpha = 0.1>", "Relu")), graph(fused)).differences
    assert (found.kind, found.left, found.right) == ("operator", "Conv, Relu", "com.microsoft.FusedConv")
    assert found.harmless


def test_of_a_fused_operator_that_does_more_it_is_not_said_that_it_is_the_same() -> None:
    fused = edited(
        "[conv2] c2 = Conv <group = 2, pads = [1,1,1,1]> (p1, w2)\n[leaky] l2 = LeakyRelu <alpha = 0.1> (c2)",
        '[conv2] l2 = com.microsoft.FusedConv <group = 2, pads = [0,0,2,2], activation = "Relu"> (p1, w2)',
    )
    found = compare(graph(edited("LeakyRelu <alpha = 0.1>", "Relu")), graph(fused)).differences
    assert [(d.kind, d.harmless) for d in found] == [("pads", False), ("operator", False)]


# -- subgraphs, functions, borders

IF = """
c = ReduceMax <keepdims = 0> (x)
q = Greater (c, nought)
[choose] y = If (q) <
   then_branch = a () => (float[2,3] t) { [up] t = Elu <alpha = 2.0> (x) },
   else_branch = b () => (float[2,3] e) { [down] e = Neg (x) }
>
"""


def branching(body: str = IF) -> onnx.ModelProto:
    return graph(body, inputs="float[2,3] x", outputs="float[2,3] y", constants="float nought = {0}")


def test_subgraphs_are_entered() -> None:
    assert compare(branching(), branching()).differences == ()
    (found,) = compare(branching(), branching(edited("alpha = 2.0", "alpha = 3.0", body=IF))).differences
    assert (found.kind, found.what, found.left_nodes) == ("attribute", "alpha", ("choose/then_branch/up",))


def test_a_function_is_compared_as_what_it_does() -> None:
    text = """
    <ir_version: 9, opset_import: ["" : 20, "local" : 1]>
    g (float[2,3] x) => (float[2,3] y) { y = local.twice (x) }
    <domain: "local", opset_import: ["" : 20]>
    twice (a) => (b) { b = Add (a, a) }
    """
    plain = graph("y = Add (x, x)", inputs="float[2,3] x", outputs="float[2,3] y", constants="")
    assert compare(plain, onnx.parser.parse_model(text)).differences == ()


def test_the_order_of_inputs_is_part_of_the_border() -> None:
    body = "y = Sub (a, b)"
    left = graph(body, inputs="float[2,3] a, float[2,3] b", outputs="float[2,3] y", constants="")
    right = graph(body, inputs="float[2,3] b, float[2,3] a", outputs="float[2,3] y", constants="")
    (found,) = compare(left, right).differences
    assert (found.kind, found.what) == ("border", "order of inputs")


def test_a_type_to_which_is_cast_is_a_type() -> None:
    left, right = (
        graph(
            f"h = Cast <to = {to}> (x)\ny = Cast <to = 1> (h)",
            inputs="float[2,3] x",
            outputs="float[2,3] y",
            constants="",
        )
        for to in (10, 16)
    )
    (found,) = compare(left, right).differences
    assert (found.kind, found.what, found.left, found.right) == ("type", "to", "float16", "bfloat16")


@pytest.mark.parametrize("levels", [3, 40])
def test_functions_that_double_are_entered_while_they_are_small(levels: int) -> None:
    functions = "".join(
        f"""<domain: "local", opset_import: ["" : 20, "local" : 1]>
        f{i} (a) => (b) {{ t = local.f{i + 1} (a)\n b = local.f{i + 1} (t) }}\n"""
        for i in range(levels)
    )
    text = f"""
    <ir_version: 9, opset_import: ["" : 20, "local" : 1]>
    g (float[2,3] x) => (float[2,3] y) {{ y = local.f0 (x) }}
    {functions}<domain: "local", opset_import: ["" : 20]>
    f{levels} (a) => (b) {{ b = Tanh (a) }}
    """
    model = onnx.parser.parse_model(text)
    found = compare(model, model)
    assert found.differences == ()
    assert any("not entered" in note for note in found.notes) == (levels == 40)


# -- whatever it is


def test_what_is_planted_in_a_long_graph_is_found_in_time_that_grows_with_its_length() -> None:
    def long(count: int, at: int | None) -> onnx.ModelProto:
        lines = [f"v{i + 1} = {'Elu' if i == at else ('Tanh', 'Sigmoid', 'Relu')[i % 3]} (v{i})" for i in range(count)]
        return graph("\n".join(lines), inputs="float[2,3] v0", outputs=f"float[2,3] v{count}", constants="")

    (found,) = compare(long(3000, None), long(3000, 1500)).differences
    assert (found.kind, found.left, found.right) == ("operator", "Tanh", "Elu")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda n: n.attribute.append(helper.make_attribute("pads", "text")),
        lambda n: n.attribute.append(helper.make_attribute("strides", [0, 0])),
        lambda n: n.attribute.append(helper.make_attribute("axis", -(2**62))),
        lambda n: n.attribute.append(helper.make_attribute("perm", [7, 7])),
        lambda n: n.attribute.append(helper.make_attribute("alpha", [1.0])),
        lambda n: n.input.__delitem__(-1),
        lambda n: n.input.__setitem__(0, "nowhere"),
        lambda n: n.output.append("\x1b[2J"),
        lambda n: n.ClearField("output"),
        lambda n: setattr(n, "op_type", "::error::"),
    ],
)
@pytest.mark.slow
def test_hostile_nodes_are_compared_without_an_exception(spoil: Callable[[onnx.NodeProto], Any]) -> None:
    for index in range(len(graph().graph.node)):
        wrong = graph()
        spoil(wrong.graph.node[index])
        assert isinstance(compare(graph(), wrong), Differences)
        assert compare(wrong, wrong).differences == ()


def test_numbers_that_are_in_a_file_that_is_not_there_are_not_guessed() -> None:
    def outside(location: str) -> onnx.ModelProto:
        model = graph()
        tensor = next(t for t in model.graph.initializer if t.name == "w2")
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location)
        return model

    (found,) = compare(graph(), outside("one")).differences
    assert (found.kind, found.message) == ("weights", "the numbers are not there to compare")


# -- what must never be called the same


def parsed(text: str, opset: int = 17) -> onnx.ModelProto:
    return onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}, "my" : 1]> g {text}')


def told(left: str, right: str, opset: int = 17, other: int = 17) -> list[tuple[str, str, str, str]]:
    """What is said of two texts, which is the same in both directions."""
    there, back = compare(parsed(left, opset), parsed(right, other)), compare(parsed(right, other), parsed(left, opset))
    assert sorted((k, w, b, a) for k, w, a, b in said(back)) == sorted(said(there))
    return said(there)


@pytest.mark.parametrize(
    ("kind", "op", "left", "right"),
    [
        ("int64", "Add", str(2**53), str(2**53 + 1)),
        ("int64", "Mul", str(-(2**62)), str(-(2**62) - 1)),
        ("float", "Div", "0.0", "-0.0"),
        ("float", "Mul", "0.0", "-0.0"),
    ],
)
def test_numbers_that_compare_equal_in_float64_are_told_apart(kind: str, op: str, left: str, right: str) -> None:
    text = f"({kind}[2] x) => ({kind}[2] y) {{ c = Constant <value = {kind}[2] {{%s, 1}}> () y = {op} (x, c) }}"
    ((what, _, one, two),) = told(text % left, text % right)
    assert (what, one != two) == ("weights", True)
    assert told(text % left, text % left) == []


def bounded(bound: np.ndarray[Any, Any]) -> onnx.ModelProto:
    kind = {np.dtype(np.float64): "double", np.dtype(np.float32): "float"}[bound.dtype]
    model = parsed(f"({kind}[2] x) => ({kind}[2] y) {{ y = Clip (x, c) }}")
    model.graph.initializer.append(onnx.numpy_helper.from_array(bound, "c"))
    return model


@pytest.mark.parametrize(
    ("left", "right"),
    [(0.1, float(np.float32(0.1))), (0.0, -0.0), (-1e200, -np.inf)],
    ids=["float32 cannot tell", "signs", "beyond float32"],
)
def test_bounds_in_float64_are_compared_in_float64(left: float, right: float) -> None:
    one, two = bounded(np.array(left)), bounded(np.array(right))
    for found in (compare(one, two), compare(two, one)):
        ((what, _, a, b),) = said(found)
        assert (what, a != b) == ("attribute", True)
    assert said(compare(one, one)) == []


def test_a_bound_as_an_attribute_and_as_an_operand_are_one() -> None:
    attribute = parsed("(float[2] x) => (float[2] y) { y = Clip <min = 0.1> (x) }", 6)
    assert said(compare(attribute, bounded(np.array(0.1, np.float32)))) == []


def to(*shapes: str, inputs: str = "float[n,6] x", between: str = "Relu (s1)") -> str:
    made = " ".join(
        f"k{i} = Constant <value = int64[{s.count(',') + 1}] {{{s}}}> ()" for i, s in enumerate(shapes, start=1)
    )
    last = f"r = {between} y = " + (f"Reshape (r, k{len(shapes)})" if len(shapes) > 1 else "Identity (r)")
    return f"({inputs}) => (float[a,b] y) {{ {made} s1 = Reshape (x, k1) {last} }}"


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (to("2,-1"), to("-1,3")),
        (to("0,-1"), to("2,-1")),
        (to("2,-1", "-1,6", between="Softmax <axis = -1> (s1)"), to("-1,3", "-1,6", between="Softmax (s1)")),
        (to("2,-1", inputs="float[n,m] x"), to("-1,3", inputs="float[n,m] x")),
    ],
)
def test_reshapes_that_leave_other_sizes_open_are_two(left: str, right: str) -> None:
    assert {kind for kind, *_ in told(left, right)} & {"layout", "attribute"}
    for text in (left, right):
        assert told(text, text) == []


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (to("2,-1", inputs="float[2,6] x"), to("-1,6", inputs="float[2,6] x")),
        (to("2,6", inputs="float[2,6] x"), to("-1,6")),
        (to("0,-1"), to("-1,6")),
        (to("3,-1", inputs="float[2,6] x"), to("-1,4", inputs="float[2,6] x")),
    ],
)
def test_reshapes_to_one_shape_are_one(left: str, right: str) -> None:
    assert [d for d in told(left, right) if d[0] != "border"] == []


@pytest.mark.parametrize(
    "op",
    [
        "RandomNormalLike (x)",
        "RandomUniform <shape = [2]> ()",
        "Bernoulli (x)",
        "Dropout (x, ratio, train)",
        "my.Unknown (x)",
        "If (train) <then_branch = t () => (float[2] p) { p = RandomNormalLike (x) }, "
        "else_branch = e () => (float[2] q) { q = Neg (x) }>",
    ],
)
def test_what_may_give_other_values_each_time_is_not_one_value(op: str) -> None:
    head = "(float[2] x) => (float[2] y) <bool train = {1}, float ratio = {0.5}> { "
    twice = f"{head} a = {op} b = {op.replace('(float[2] p) { p', '(float[2] r) { r')} y = Sub (a, b) }}"
    once = f"{head} a = {op} y = Sub (a, a) }}"
    assert told(twice, once) != []
    assert told(twice, twice) == []
    assert told(twice.replace("Sub", "Add"), once.replace("Sub", "Add")) != []


def test_what_is_always_the_same_may_be_computed_once() -> None:
    twice = "(float[2] x) => (float[2] y) { a = Exp (x) b = Exp (x) y = Sub (a, b) }"
    assert told(twice, "(float[2] x) => (float[2] y) { a = Exp (x) y = Sub (a, a) }") == []


@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax", "Hardmax"])
def test_a_softmax_over_several_axes_is_not_one_over_one(op: str) -> None:
    text = "(%s x) => (float[a,b,c] y) { y = %s <axis = %d> (x) }"
    for shape in ("float[2,3,4]", "float[a,b,c]"):
        here = told(text % (shape, op, 1), text % (shape, op, 1), 12, 13)
        assert ("attribute", "axis", "(1,2)", "1") in here
    assert told(text % ("float[2,3,1]", op, 1), text % ("float[2,3,1]", op, 1), 12, 13) == []
    assert told(text % ("float[2,3,4]", op, -1), text % ("float[2,3,4]", op, 2), 12, 13) == []
    wide = f"(float x, int64[k] s) => (float z) {{ y = Reshape (x, s) z = {op} <axis = 1> (y) }}"
    assert told(wide, wide, 12, 13) != []


SEEN = "(%s x) => (%s y) { %s t = Transpose <perm = [0,3,1,2]> (x) r = Softmax <axis = 1> (t) %s }"
SHAPE = "s = Shape (x) k = Cast <to = 1> (s) m = ReduceSum <keepdims = 0> (k)"


@pytest.mark.parametrize(
    ("left", "right"), [("float[2,6,6,4]", "float[n,h,w,4]"), ("float[n,h,w,4]", "float[a,b,c,4]")]
)
def test_an_input_is_in_one_order_unless_sizes_say_otherwise(left: str, right: str) -> None:
    plain_ = SEEN % (left, "float[a,b,c,d]", "", "y = Exp (r)")
    also = SEEN % (right, "float[a,b,c,d]", SHAPE, "e = Exp (r) y = Add (e, m)")
    there = compare(parsed(plain_), parsed(also))
    assert not any("order" in note for note in there.notes)
    assert not {d.kind for d in there.differences} & {"layout", "border"}


@pytest.mark.parametrize("shape", ["float[n,2,q,w]", "float[1,3,3,3]"])
def test_a_flatten_in_another_order_is_a_difference(shape: str) -> None:
    turned = f"({shape} x) => (float[c,d] y) {{ a = Transpose <perm = [0,2,3,1]> (x) y = Flatten (a) }}"
    assert told(turned, f"({shape} x) => (float[c,d] y) {{ y = Flatten (x) }}") != []


@pytest.mark.parametrize("shape", ["float[n,c,q,w]", "float[1,3,3,3]"])
def test_an_output_in_another_order_is_a_difference_where_no_input_is(shape: str) -> None:
    turned = f"({shape} x) => ({shape} y) {{ a = Exp (x) y = Transpose <perm = [0,2,3,1]> (a) }}"
    assert told(turned, f"({shape} x) => ({shape} y) {{ y = Exp (x) }}") == [("layout", "perm", "(0,2,3,1)", "none")]


def test_an_order_that_sizes_say_is_a_note() -> None:
    turned = "(float[n,h,w,3] x) => (float[a,b,c,d] y) { a = Transpose <perm = [0,3,1,2]> (x) y = LRN <size = 3> (a) }"
    found = compare(parsed("(float[n,3,h,w] x) => (float[a,b,c,d] y) { y = LRN <size = 3> (x) }"), parsed(turned))
    assert (found.differences, any("another order" in note for note in found.notes)) == ((), True)


def test_allowzero_of_a_target_without_zeros_is_nothing() -> None:
    text = "(float[a,b,c] x, int64[2] s) => (float[d,e] y) { %s y = Reshape %s (x, s) }"
    assert told(text % ("", "<allowzero = 0>"), text % ("", ""), 17, 13) == []
    assert told(text % ("", "<allowzero = 1>"), text % ("", "")) != []


def test_what_an_operator_did_before_it_had_an_attribute_is_not_its_default() -> None:
    old = '(float[1,1,2,2] x) => (float[a,b,c,d] y) <float[4] k = {1,1,2,2}> { y = Resize <mode = "%s"> (x, k) }'
    new = old.replace("(x, k)", "(x, , k)")
    assert "coordinate_transformation_mode" in {d[1] for d in told(old % "linear", new % "linear", 10, 11)}
    same = new.replace("> (x", ', coordinate_transformation_mode = "asymmetric", nearest_mode = "floor"> (x')
    found = told(old % "nearest", same % "nearest", 10, 11)
    assert not {"coordinate_transformation_mode", "nearest_mode"} & {d[1] for d in found}


def test_a_default_that_changed_with_the_opset_is_a_difference() -> None:
    text = "(float[1,2,8,8] x, float[1,4] r, int64[1] b) => (y) {{ y = RoiAlign {} (x, r, b) }}"
    assert {d[1] for d in told(text.format(""), text.format(""), 10, 16)} == {"coordinate_transformation_mode"}
    as_before = text.format('<coordinate_transformation_mode = "output_half_pixel">')
    assert told(text.format(""), as_before, 10, 16) == []


def test_the_default_of_a_functions_attribute_is_compared() -> None:
    text = (
        '<ir_version: 8, opset_import: ["" : 17, "my" : 1]> g (float[3] x) => (float[3] y) { y = my.f%s (x) } '
        '<domain: "my", opset_import: ["" : 17]> f <al: float = %s> (p) => (q) '
        "{ q = LeakyRelu <alpha: float = @al> (p) }"
    )
    one, two, given = (
        onnx.parser.parse_model(text % pair) for pair in (("", "0.1"), ("", "0.2"), (" <al = 0.1>", "0.2"))
    )
    assert said(compare(one, two)) == [("attribute", "alpha", "0.1", "0.2")]
    assert said(compare(one, given)) == []


def test_one_value_in_two_ranks_is_seen_as_one() -> None:
    """A product that one side computes of matrices, because it knows the sizes, and the other does not."""
    flat, open_ = Ref(0, None, (16, 2, 48)), Ref(0)
    assert views_agree(flat, open_, [(32, 48), (None, None, 48)])
    assert not views_agree(flat, open_, [(32, 48), (None, None, 47)])


def test_of_a_long_piece_the_operators_are_counted() -> None:
    """A graph that a quantizer went through has no node left as it was."""
    chain = " ".join(f"a{i + 1} = {'Tanh' if i % 2 else 'Exp'} (a{i})" for i in range(30))
    other = " ".join(f"a{i + 1} = my.QuantizedOperator{i % 7} (a{i})" for i in range(30))
    texts = [f"(float[2] a0) => (float[2] y) {{ {body} y = Identity (a30) }}" for body in (chain, other)]
    (found,) = [d for d in compare(*map(parsed, texts)).differences if d.kind == "operator"]
    assert found.left == "30 nodes (Exp 15, Tanh 15)"
    assert found.right.startswith("30 nodes (my.QuantizedOperator0 5, ")
    assert found.right.endswith(" and 4 other operators)")
