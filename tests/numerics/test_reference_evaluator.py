"""What the reference evaluator is given for float64, against ONNX Runtime, and against what it does by itself."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx.reference import ReferenceEvaluator

from onnx_triangulate.engines.runtimes import runtimes
from onnx_triangulate.numerics.float64_evaluation import take_apart
from onnx_triangulate.numerics.reference_evaluator import in_float64
from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.errors import Unsupported

# Two carried states of different shapes, a captured outer value, one scan output per iteration.
LOOP = """<ir_version: 8, opset_import: ["" : 17]>
g (float[2,3] x, int64 n) => (float[2,3] last, float[1] sum, float[N,2,3] all) {
    go = Constant <value = bool {1}> ()
    zero = Constant <value = float[1] {0}> ()
    last, sum, all = Loop <body = body (int64 i, bool c, float[2,3] h, float[1] s) =>
        (bool again, float[2,3] h2, float[1] s2, float[2,3] row) {
            again = Identity (c)
            half = Constant <value = float {0.5}> ()
            scaled = Mul (h, half)
            h2 = Add (scaled, x)
            total = ReduceSum <keepdims = 0> (h2)
            shape = Constant <value = int64[1] {1}> ()
            flat = Reshape (total, shape)
            s2 = Add (s, flat)
            row = Identity (h2)
        }> (n, go, x, zero)
}"""


def model(text: str) -> onnx.ModelProto:
    return onnx.parser.parse_model(text)


def random(*shape: int) -> Array:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("times", [1, 4])
def test_a_loop_stacks_what_its_iterations_give(tmp_path: Path, times: int) -> None:
    file = tmp_path / "loop.onnx"
    onnx.save(model(LOOP), file)
    feeds = {"x": random(2, 3), "n": np.array(times)}
    due = runtimes()["ort.off"].open(file)(feeds, ["last", "sum", "all"])
    seen: Any = ReferenceEvaluator(model(LOOP), new_ops=list(in_float64())).run(None, feeds)
    assert due[2].shape == seen[2].shape == (times, 2, 3)
    for expected, computed in zip(due, seen, strict=True):
        np.testing.assert_allclose(computed, expected, rtol=1e-6)


def test_the_evaluators_own_loop_is_still_wrong() -> None:
    """When this fails, :class:`Loop` in the module can go."""
    own: Any = ReferenceEvaluator(model(LOOP)).run(None, {"x": random(2, 3), "n": np.array(4)})
    assert own[2].shape == (8, 3), "four iterations of (2, 3), run together"


def test_a_loop_that_never_ran_gives_its_states() -> None:
    text = LOOP.replace(", float[N,2,3] all", "").replace("last, sum, all = Loop", "last, sum = Loop")
    text = text.replace(", float[2,3] row) {", ") {").replace("            row = Identity (h2)\n", "")
    x = random(2, 3)
    last, total = ReferenceEvaluator(model(text), new_ops=list(in_float64())).run(None, {"x": x, "n": np.array(0)})
    assert np.array_equal(last, x)
    assert total == 0


@pytest.mark.parametrize("group", [1, 2])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_a_convolution_is_the_evaluators(rank: int, group: int) -> None:
    x, w, b = random(2, 4, *[9, 8, 7][:rank]), random(6, 4 // group, *[3, 2, 2][:rank]), random(6)
    geometry = {
        "pads": [1, 0, 2, 2, 1, 0][:rank] + [0, 2, 1, 0, 1, 2][:rank],
        "strides": [2, 1, 1][:rank],
        "dilations": [1, 2, 1][:rank],
        "group": group,
    }
    node = onnx.helper.make_node("Conv", ["x", "w", "b"], ["y"], **geometry)
    feeds = {"x": x, "w": w, "b": b}
    (due,) = ReferenceEvaluator(node).run(None, feeds)
    (seen,) = ReferenceEvaluator(node, new_ops=list(in_float64())).run(None, feeds)
    assert seen.dtype == np.float32
    np.testing.assert_allclose(seen, due, rtol=1e-4, atol=1e-5)


def test_the_error_function_is_computed_in_double_precision() -> None:
    node = onnx.helper.make_node("Erf", ["x"], ["y"])
    x = np.linspace(-3, 3, 41)
    due = np.array([math.erf(v) for v in x])
    (own,) = ReferenceEvaluator(node).run(None, {"x": x})
    (ours,) = ReferenceEvaluator(node, new_ops=list(in_float64())).run(None, {"x": x})
    assert np.abs(ours - due).max() < 1e-15
    assert np.abs(own - due).max() > 1e-9, "the evaluator's own is in float32: when this fails, Erf can go"


@pytest.mark.parametrize(("attribute", "known"), [('approximate = "none"', True), ("unheard_of = 1", False)])
def test_a_foreign_operator_is_known_or_said_not_to_be(attribute: str, known: bool) -> None:
    """What ONNX Runtime's optimizer writes is evaluated; an attribute nobody knows is no fault of the graph's."""
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]> g (double[2] x) => (double[2] y) '
        f"{{ y = com.microsoft.Gelu <{attribute}> (x) }}"
    )
    graph = take_apart(model, {})
    x = {"x": np.array([-1.0, 2.0])}
    if known:
        made = graph.run(graph.steps[0], x)["y"]
        assert np.allclose(made, [-0.15865525, 1.95449974])
    else:
        with pytest.raises(Unsupported, match=r"com\.microsoft\.Gelu"):
            graph.run(graph.steps[0], x)


@pytest.mark.parametrize("pads", [(0, -1, 0, 2), (-1, 1, 2, -2), (-1, -1, -1, -1), (1, 0, 0, 1)])
@pytest.mark.parametrize(("opset", "mode"), [(2, "constant"), (11, "edge"), (18, "reflect"), (21, "wrap")])
def test_a_negative_pad_is_cut_off(tmp_path: Path, opset: int, mode: str, pads: tuple[int, ...]) -> None:
    listed = ", ".join(map(str, pads))
    node = f'Pad <mode = "{mode}", pads = [{listed}]> (x)' if opset == 2 else f'Pad <mode = "{mode}"> (x, p)'
    made = model(
        f'<ir_version: 8, opset_import: ["" : {opset}]> g (float[4,5] x) => (float[a,b] y) '
        f"<int64[4] p = {{{listed}}}> {{ y = {node} }}"
    )
    file = tmp_path / "pad.onnx"
    onnx.save(made, file)
    feeds = {"x": random(4, 5)}
    (due,) = runtimes()["ort.off"].open(file)(feeds, ["y"])
    (seen,) = ReferenceEvaluator(made, new_ops=list(in_float64())).run(None, feeds)
    assert np.array_equal(due, seen)


def test_half_precision_is_rounded_once() -> None:
    """By this project's own definition: the evaluator's takes minutes, and rounds every sum."""
    made = model(
        '<ir_version: 8, opset_import: ["" : 17]> g (float16[1,64,4,4] x) => (float16[a,b,c,d] y) '
        "{ y = ConvTranspose <strides = [2, 2]> (x, w) }"
    )
    x, w = random(1, 64, 4, 4).astype(np.float16), random(64, 2, 3, 3).astype(np.float16)
    made.graph.initializer.append(onnx.numpy_helper.from_array(w, "w"))
    graph = take_apart(made, {})
    y = graph.run(graph.steps[0], {"x": x, "w": w})["y"]
    wide = onnx.parser.parse_model(onnx.printer.to_text(made).replace("float16", "double"))
    double = take_apart(wide, {})
    due = double.run(double.steps[0], {"x": x.astype(np.float64), "w": w.astype(np.float64)})["y"]
    assert y.dtype == np.float16
    assert np.array_equal(y, due.astype(np.float16))
