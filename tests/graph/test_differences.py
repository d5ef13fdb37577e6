"""Two graphs of one model: a rewrite that changes nothing is not listed, a planted change is listed, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pipeline.graph.differences import differences
from pipeline.graph.view import View
from pipeline.inspection import Difference, Differences, Inspection

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
    return differences(View(left), View(right), EMPTY, EMPTY)


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
    "a Cast to what it is": {"body": edited("[pool1]", "ri = Cast <to = 1> (r1)\n[pool1]", "(r1)\n[conv2]", "(ri)\n[conv2]")},
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
        "body": edited("[mean] m = ReduceMean <keepdims = 0> (j, axes)",
                       "ja = Transpose <perm = [0,2,3,1]> (j)\n[mean] m = ReduceMean <keepdims = 0> (ja, axes12)"),
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
        "body": edited("[pool1] p1 = MaxPool <kernel_shape = [3,3], pads = [1,1,1,1]> (r1)",
                       "rp = Pad (r1, amounts)\n[pool1] p1 = MaxPool <kernel_shape = [3,3]> (rp)"),
        "constants": CONSTANTS + ", int64[8] amounts = {0,0,1,1,0,0,1,1}",
    },
    "a bias as Add": {"body": edited("(x, w1, b1)", "(x, w1)", "[norm1]", "cb = Add (c1, b1c)\n[norm1]", "(c1, s1", "(cb, s1")},
    "a weight turned at run time": {
        "body": edited("[conv1]", "w1 = Transpose <perm = [3,2,0,1]> (w1t)\n[conv1]"),
    },
    "a constant as a node": {
        "body": edited("[mean]", "ax = Constant <value = int64[2] {2, 3}> ()\n[mean]", "(j, axes)", "(j, ax)"),
    },
    "a shape that is computed": {
        "body": edited(
            "[heads]", "sh = Shape <start = 0, end = 1> (x)\ntt = Concat <axis = 0> (sh, rest)\n[heads]", "(g, target)", "(g, tt)"
        ),
        "constants": CONSTANTS + ", int64[2] rest = {4, -1}",
    },
    "Gemm as MatMul and Add": {
        "body": edited("[dense] g = Gemm <transB = 1> (m, w3, b3)",
                       "w3t = Transpose <perm = [1,0]> (w3)\n[dense] gm = MatMul (m, w3t)\ng = Add (b3, gm)"),
    },
    "MatMul as Gemm between Reshapes": {
        "body": edited("[out] y = MatMul (o, w4t)",
                       "oo = Reshape (o, flat)\n[out] yy = Gemm <transB = 1> (oo, w4)\ny = Reshape (yy, back)"),
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
        "body": edited("group = 2, pads = [1,1,1,1]",
                       "group = 2, pads = [1,1,1,1], strides = [1,1], dilations = [1,1], kernel_shape = [3,3]"),
    },
    "an axis from the front": {"body": edited("axis = -1", "axis = 2")},
    "zeros added": {
        "body": edited("[leaky] l2 = LeakyRelu <alpha = 0.1> (c2)", "ca = Add (c2, nought)\n[leaky] l2 = LeakyRelu <alpha = 0.1> (ca)"),
        "constants": CONSTANTS + ", float nought = {0}",
    },
    "another opset, axes as an attribute": {
        "body": edited("<keepdims = 0> (j, axes)", "<keepdims = 0, axes = [2, 3]> (j)"), "opset": 17,
    },
}  # fmt: skip


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
        ("pads", "pads", "(1,1,1,1)", "(0,0,2,2)"), ("conv1", "conv1"),
    ),
    "a Pad with other amounts": (
        {"body": edited(PADDED[0], "xp = Pad (x, amounts)\n[conv1] c1 = Conv <strides = [2,2]> (xp, w1, b1)"),
         "constants": CONSTANTS + ", int64[8] amounts = {0,0,0,0,0,0,2,2}"},
        ("pads", "pads", "(1,1,1,1)", "(0,0,2,2)"), ("conv1", "conv1"),
    ),
    "pads of a pool": (
        {"body": edited("kernel_shape = [3,3], pads = [1,1,1,1]", "kernel_shape = [3,3], pads = [2,2,0,0]")},
        ("pads", "pads", "(1,1,1,1)", "(2,2,0,0)"), ("pool1", "pool1"),
    ),
    "epsilon": (
        {"body": edited("epsilon = 0.001", "epsilon = 0.00001")},
        ("attribute", "epsilon", "0.001", "1e-05"), ("norm1", "norm1"),
    ),
    "alpha": (
        {"body": edited("alpha = 0.1", "alpha = 0.2")}, ("attribute", "alpha", "0.1", "0.2"), ("leaky", "leaky"),
    ),
    "alpha of Gemm": (
        {"body": edited("transB = 1", "transB = 1, alpha = 0.5")},
        ("attribute", "alpha", "1.0", "0.5"), ("dense", "dense"),
    ),
    "axis": (
        {"body": edited("Softmax <axis = -1>", "Softmax <axis = 1>")}, ("attribute", "axis", "2", "1"), ("soft", "soft"),
    ),
    "mode": (
        {"body": edited('mode = "nearest"', 'mode = "linear"')},
        ("attribute", "mode", "nearest", "linear"), ("large", "large"),
    ),
    "coordinates": (
        {"body": edited('"asymmetric"', '"half_pixel"')},
        ("attribute", "coordinate_transformation_mode", "asymmetric", "half_pixel"), ("large", "large"),
    ),
    "ceil_mode": (
        {"body": edited("kernel_shape = [3,3], pads", "ceil_mode = 1, kernel_shape = [3,3], pads")},
        ("attribute", "ceil_mode", "0", "1"), ("pool1", "pool1"),
    ),
    "kernel": (
        {"body": edited("kernel_shape = [3,3], pads", "dilations = [1,1], kernel_shape = [3,3], strides = [1,1], pads", "MaxPool", "LpPool")},
        ("operator", "op", "MaxPool", "LpPool"), ("pool1", "pool1"),
    ),
    "a bound": (
        {"constants": CONSTANTS.replace("high = {6}", "high = {5}")}, ("attribute", "max", "6.0", "5.0"), ("clip", "clip"),
    ),
    "a bound that is not there": (
        {"body": edited("(u, low, high)", "(u, low)")}, ("attribute", "max", "6.0", "none"), ("clip", "clip"),
    ),
    "scales": (
        {"constants": CONSTANTS.replace("{1, 1, 2, 2}", "{1, 1, 2, 3}")},
        ("attribute", "scales", "(1.0,1.0,2.0,2.0)", "(1.0,1.0,2.0,3.0)"), ("large", "large"),
    ),
    "an activation": (
        {"body": edited("LeakyRelu <alpha = 0.1>", "Elu")}, ("operator", "op", "LeakyRelu", "Elu"), ("leaky", "leaky"),
    ),
    "operands of Sub": (
        {"body": edited("Sub (l2, r1)", "Sub (r1, l2)")},
        ("operator", "operands", "leaky, relu1", "relu1, leaky"), ("minus", "minus"),
    ),
    "operands of Concat": (
        {"body": edited("(d, p1)", "(p1, d)")},
        ("operator", "operands", "minus, pool1", "pool1, minus"), ("join", "join"),
    ),
    "another operand": (
        {"body": edited("Sub (l2, r1)", "Sub (l2, p1)")},
        ("operator", "operand 1", "relu1", "pool1"), ("minus", "minus"),
    ),
    "a Transpose that is not there": (
        {"body": edited("[turn] t = Transpose <perm = [0,2,1]> (h)\n", "", "(h, t)", "(h, h)")},
        ("layout", "perm", "(0,2,1)", "none"), ("turn", "score"),
    ),
    "another permutation": (
        {"body": edited("perm = [0,2,1]", "perm = [0,1,2]")},
        ("layout", "perm", "(0,2,1)", "none"), ("turn", "score"),
    ),
    "a Transpose too many": (
        {"body": edited("[mix] o = MatMul (f, h)", "[again] ft = Transpose <perm = [0,2,1]> (f)\n[mix] o = MatMul (ft, h)")},
        ("layout", "perm", "none", "(0,2,1)"), ("mix", "again"),
    ),
    "a weight": (
        {"change": set_to("w2", one_more)},
        ("weights", "weight", f"{weight('w2').reshape(-1)[3]:.6g}", f"{weight('w2').reshape(-1)[3] + 1:.6g}"),
        ("conv2", "conv2"),
    ),
    "a bias": (
        {"change": set_to("b3", one_more)},
        ("weights", "bias", f"{weight('b3')[3]:.6g}", f"{weight('b3')[3] + 1:.6g}"), ("dense", "dense"),
    ),
    "a variance": (
        {"change": set_to("v1", one_more)},
        ("weights", "variance", f"{weight('v1')[3]:.6g}", f"{weight('v1')[3] + 1:.6g}"), ("norm1", "norm1"),
    ),
    "a weight turned over": (
        {"change": set_to("w2", lambda w: np.ascontiguousarray(w[:, :, ::-1]))},
        ("weights", "weight", "", ""), ("conv2", "conv2"),
    ),
    "a bias that is not there": (
        {"body": edited("(m, w3, b3)", "(m, w3)")}, ("weights", "bias", "there", "none"), ("dense", "dense"),
    ),
    "a node that is not there": (
        {"body": edited("[leaky] l2 = LeakyRelu <alpha = 0.1> (c2)\n", "", "Sub (l2, r1)", "Sub (c2, r1)")},
        ("only", "nodes", "LeakyRelu", "none"), ("leaky", ""),
    ),
    "a BatchNormalization that is not there": (
        {"body": edited("[norm1] n1 = BatchNormalization <epsilon = 0.001> (c1, s1, t1, m1, v1)\n", "", "(n1)", "(c1)")},
        ("only", "nodes", "BatchNormalization", "none"), ("norm1", ""),
    ),
    "a node too many": (
        {"body": edited("[pool1]", "[extra] re = Tanh (r1)\n[pool1]", "(r1)\n[conv2]", "(re)\n[conv2]")},
        ("only", "nodes", "none", "Tanh"), ("", "extra"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_change_is_listed_and_nothing_else(name: str) -> None:
    arguments, expected, (node, other) = PLANTED[name]
    (found,) = compare(graph(), graph(**arguments)).differences
    assert (found.kind, found.what) == expected[:2]
    if expected[2:] != ("", ""):
        assert (found.left, found.right) == expected[2:]
    assert node in found.nodes if node else found.nodes == ()
    assert other in found.others if other else found.others == ()
    assert not found.same


def test_a_planted_change_in_the_other_direction() -> None:
    (found,) = compare(graph(body=edited("alpha = 0.1", "alpha = 0.2")), graph()).differences
    assert (found.left, found.right) == ("0.2", "0.1")


def test_two_changes_are_two_lines_pads_first() -> None:
    body = edited("alpha = 0.1", "alpha = 0.2", "<pads = [1,1,1,1], strides", "<pads = [0,0,2,2], strides", "(f, h)", "(ft, h)",
                  "[mix]", "[again] ft = Transpose <perm = [0,2,1]> (f)\n[mix]")  # fmt: skip
    assert [d.kind for d in compare(graph(), graph(body)).differences] == ["pads", "layout", "attribute"]
