"""Operators without a rule: what they make in float64, and how far rounding may take it."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

from onnx_triangulate.engines.runtimes import runtimes
from onnx_triangulate.locate.export_nodes import Export, exported
from onnx_triangulate.locate.kernels import kernels
from onnx_triangulate.numerics.noise_floor import noise_floor
from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.faults import SourceValues

LOOP = """<ir_version: 8, opset_import: ["" : 18]> g (float[4] x) => (float[4] z)
<int64 n = {6}, bool yes = {1}, float[4] start = {1, 2, 3, 4}>
{
  y = Loop (n, yes, start) <body = body (int64 i, bool go, float[4] s) => (bool on, float[4] t) {
    on = Identity (go)
    u = Mul (s, x)
    t = Tanh (u)
  }>
  z = Neg (y)
}"""
X = np.array([0.5, -0.75, 1.25, 2.0], np.float32)


def looped(x: Array, times: int = 6) -> Array:
    s = np.array([1.0, 2, 3, 4])
    for _ in range(times):
        s = np.tanh(s * x)
    return s


@pytest.mark.parametrize(("times", "faulty"), [(6, []), (5, ["Loop"])])
def test_a_loop_is_judged_in_float64(times: int, faulty: list[str]) -> None:
    y = looped(X.astype(np.float64), times)
    values = {"y": y, "z": -y}
    found = exported(
        Export.of(onnx.parser.parse_model(LOOP), {"x": X}, SourceValues("torch"), party="torch"),
        values.get,
        double=True,
    )
    assert [error.op for error in found.faults] == faulty
    assert found.uncompared == ()
    assert found.judged == 2
    assert any("1 nodes without a rule judged by perturbation" in note for note in found.notes)


def test_in_float32_what_is_beyond_a_noise_floor_is_uncompared() -> None:
    y = (looped(X.astype(np.float64)) * 1.001).astype(np.float32)
    proto = onnx.parser.parse_model(LOOP)
    found = exported(
        Export.of(proto, {"x": X}, SourceValues("torch"), party="torch"), {"y": y, "z": -y}.get, double=False
    )
    assert found.faults == ()
    assert [(error.op, "which is no bound" in (error.problem or "")) for error in found.uncompared] == [("Loop", True)]


@pytest.mark.parametrize(("factor", "uncompared"), [(1.0, []), (1.001, ["Loop"])])
def test_a_kernel_without_a_rule_is_held_against_its_noise_floor(factor: float, uncompared: list[str]) -> None:
    y = (looped(X.astype(np.float64)) * factor).astype(np.float32)
    about: dict[str, Any] = {"graph": "torch", "party": "torch>ort.off", "blame": "kernel"}
    found = kernels(onnx.parser.parse_model(LOOP), {"x": X}, {"y": y, "z": -y}, **about)
    assert found.faults == ()
    assert [error.op for error in found.uncompared] == uncompared


def test_a_whole_number_is_open_where_rounding_can_change_it() -> None:
    node = onnx.helper.make_node("Loop", ["x"], ["y"])
    x = np.array([1.0, 1.5, -2.0], np.float32)
    (found,) = noise_floor(lambda step, values: {"y": np.ceil(values["x"]).astype(int)}, node, 0, "loop", {"x": x})
    assert not isinstance(found, str)
    assert found is not None
    assert found.flips is not None
    assert found.flips.tolist() == [True, False, True]


SEQUENCE = """<ir_version: 8, opset_import: ["" : 18]> g (float[4,6] x) => (float[2,6] z)
<int64 two = {2}, int64 one = {1}> { s = SplitToSequence <axis = 0> (x, two) y = SequenceAt (s, one) z = Relu (y) }"""


@pytest.mark.parametrize("wrong", [False, True])
def test_what_is_taken_out_of_a_sequence_is_judged(wrong: bool) -> None:
    x = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
    y = x[:2] if wrong else x[2:]
    values = {"y": y.astype(np.float64), "z": np.maximum(y, 0).astype(np.float64)}
    proto = onnx.parser.parse_model(SEQUENCE)
    found = exported(Export.of(proto, {"x": x}, SourceValues("torch"), party="torch"), values.get, double=True)
    assert [error.op for error in found.faults] == (["SequenceAt"] if wrong else [])
    assert found.uncompared == ()
    about: dict[str, Any] = {"graph": "torch", "party": "torch>ort.off", "blame": "kernel"}
    run = kernels(proto, {"x": x}, {n: v.astype(np.float32) for n, v in values.items()}, **about)
    assert [error.op for error in run.uncompared] == (["SequenceAt"] if wrong else [])
    assert run.faults == ()


def test_onnx_runtime_agrees_on_what_the_loop_means() -> None:
    (z,) = runtimes()["ort.off"].part(onnx.parser.parse_model(LOOP).SerializeToString(), {})({"x": X}, ["z"])
    assert np.allclose(z, -looped(X.astype(np.float64)), atol=1e-6)
