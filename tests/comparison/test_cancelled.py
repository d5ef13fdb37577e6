"""What parts inside of two graphs and is undone before any output: no difference, until an output shows it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest

from onnx_triangulate.records.graph_comparison import GraphComparison
from onnx_triangulate.report.comparison import comparison_lines

Compared = Callable[[onnx.ModelProto, onnx.ModelProto], GraphComparison]
RANDOM = np.random.default_rng(3)


def model(border: str, nodes: str) -> onnx.ModelProto:
    """Both files of a pair hold all constants, so that none is the other's alone."""
    held = "float z = {0}, float s = {7}, float one = {1}, float two = {2}, float three = {3}, float[3] b = {1,-2,3}"
    held += ", int64[4] pp = {0,2,0,2}, int64[1] i1 = {1}, int64[1] i2 = {2}, int64[1] i6 = {6}, int64[1] i7 = {7}"
    held += ", float[3] ones = {1,1,1}, float[3] zeros = {0,0,0}, float[6] row = {1,2,3,-4,5,6}"
    held += ", float[6] r1 = {1,1,1,1,1,1}"
    made = onnx.parser.parse_model(f'<ir_version: 9, opset_import: ["" : 18]> g {border} <{held}> {{ {nodes} }}')
    weights = np.random.default_rng(3).normal(size=(3, 2, 3, 3)).astype(np.float32)
    made.graph.initializer.append(onnx.numpy_helper.from_array(weights, "cw"))
    return made


LINE = "(float[3,6] x) => (float[3,6] y)"
CROP = "(float[2,6] x) => (float[2,5] y)"
IMAGE = "(float[1,2,5,5] x) => (float[1,3,3,3] y)"
NORM = "y = InstanceNormalization (c, ones, zeros)"
LAYER = "y = LayerNormalization <axis = -1, epsilon = 0.00001> (a, r1)"
PAIRS = {  # the border, A, B that parts inside alone, B that an output shows
    "a filler that is multiplied by 0": (
        LINE, "c = Greater (x, z) w = Where (c, x, z) f = Cast <to = 1> (c) y = Mul (w, f)",
        "c = Greater (x, z) w = Where (c, x, s) f = Cast <to = 1> (c) y = Mul (w, f)",
        "c = Greater (x, z) w = Where (c, x, s) d = Greater (x, s) f = Cast <to = 1> (c) g = Cast <to = 1> (d) "
        "h = Max (f, g) y = Add (w, h)"),
    "a pad that is cropped away": (
        CROP, "p = Pad (x, pp, z) y = Slice (p, i2, i7, i1)", "p = Pad (x, pp, s) y = Slice (p, i2, i7, i1)",
        "p = Pad (x, pp, s) y = Slice (p, i1, i6, i1)"),
    "a bias in front of a normalization": (
        IMAGE, "c = Conv (x, cw, b) " + NORM, "c = Conv (x, cw) " + NORM, "d = Conv (x, cw) c = Relu (d) " + NORM),
    "a shift in front of a Softmax": (
        LINE, "a = Add (x, two) y = Softmax <axis = 1> (a)", "a = Add (x, s) y = Softmax <axis = 1> (a)",
        "a = Add (x, row) y = Softmax <axis = 1> (a)"),
    "a part of a Concat that is sliced off": (
        CROP, "k = Mul (x, two) c = Concat <axis = 1> (k, x) y = Slice (c, i6, i11, i1)",
        "k = Mul (x, three) c = Concat <axis = 1> (k, x) y = Slice (c, i6, i11, i1)",
        "k = Mul (x, three) c = Concat <axis = 1> (k, x) y = Slice (c, i1, i6, i1)"),
}  # fmt: skip
# A class or a flag tells of it on few feeds, and a normalization leaves a little of it.
SHOWN = {
    "a class": ("(float[3,6] x) => (int64[3] y)", "a = Mul (x, two) y = ArgMax <axis = 1, keepdims = 0> (a)",
                "l = Add (r1, tiny) m = Mul (x, l) a = Mul (m, two) y = ArgMax <axis = 1, keepdims = 0> (a)"),
    "a factor": (LINE, "a = Mul (x, two) " + LAYER, "a = Mul (x, three) " + LAYER),
    "a flag": ("(float[3,6] x) => (bool[3] y)",
               "m = ReduceSum <keepdims = 0> (x, i1) a = Mul (m, two) y = Greater (a, s)",
               "m = ReduceSum <keepdims = 0> (x, i1) a = Mul (m, nearly) y = Greater (a, s)"),
}  # fmt: skip


def pair(border: str, *bodies: str) -> list[onnx.ModelProto]:
    made = [model(border, body) for body in bodies]
    extra = {
        "i11": np.array([11]),
        "nearly": np.array(2.0001, np.float32),
        "tiny": np.array([0, 0, 1e-4, 0, 0, 0], np.float32),
    }
    for proto in made:
        proto.graph.initializer.extend(onnx.numpy_helper.from_array(v, n) for n, v in extra.items())
    return made


@pytest.mark.parametrize("bodies", PAIRS.values(), ids=list(PAIRS))
def test_what_is_undone_before_any_output_is_no_difference(compared: Compared, bodies: tuple[str, ...]) -> None:
    a, undone, shown = pair(*bodies)
    found = compared(a, undone)
    assert (found.outcome, found.faults, found.problems) == ("same", (), ()), comparison_lines(found)
    assert any(note.startswith("inside, ") for note in found.notes)
    other = compared(a, shown)
    assert other.outcome == "differs", comparison_lines(other)
    assert not any(note.startswith("inside, ") for note in other.notes)


@pytest.mark.parametrize("bodies", SHOWN.values(), ids=list(SHOWN))
def test_what_is_hidden_and_not_undone_is_a_difference(compared: Compared, bodies: tuple[str, ...]) -> None:
    found = compared(*pair(*bodies))
    assert found.outcome == "differs", comparison_lines(found)
