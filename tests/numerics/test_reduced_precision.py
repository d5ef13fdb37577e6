"""Reduced precision is named where it is, and nowhere else."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

from onnx_triangulate.locate.kernels import kernels
from onnx_triangulate.numerics.reduced_precision import CUT, FORMATS, NEAREST, ROUNDINGS, reduced_precision, shortened
from onnx_triangulate.numerics.replay import replay
from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.verdict import Blame
from onnx_triangulate.verification.diagnosis.nodes import CAUSE, REDUCED, name_nodes

RANDOM = np.random.default_rng(5)
X = RANDOM.uniform(-1, 1, (7, 96)).astype(np.float32)
W = RANDOM.uniform(-1, 1, (96, 5)).astype(np.float32)
B = RANDOM.uniform(-1, 1, 5).astype(np.float32)
NODE = onnx.helper.make_node("Gemm", ["x", "w", "b"], ["y"])
EXACT = [(f, how) for f in FORMATS for how in ROUNDINGS]


def gemm(x: Array, w: Array) -> Array:
    return (x @ w + B).astype(np.float32)


def judged(y: Array, **more: Any) -> Any:
    return replay(NODE, 17, [X, W, B], [y], **more)[0]


def named(y: Array) -> str | None:
    return reduced_precision(NODE, 17, [X, W, B], [y])


@pytest.mark.parametrize(("name", "how"), EXACT)
def test_f17_a_run_in_a_shorter_format_is_named(name: str, how: str) -> None:
    y = gemm(*(shortened(v, FORMATS[name], how) for v in (X, W)))
    assert judged(y).faulty
    assert judged(y).ratio > 3
    assert str(named(y)).split(" or ")[0] == f"{name}, {how}"


def test_f17_tf32_is_inside_the_bound_of_its_own_unit() -> None:
    y = gemm(*(shortened(v, 10, NEAREST) for v in (X, W)))
    assert not judged(y, unit=2.0**-11).faulty


def test_float16_factors_are_named() -> None:
    x, w = (v.astype(np.float16).astype(np.float32) for v in (X, W))
    assert named(gemm(x, w)) == "TF32, rounded to nearest or float16, rounded to nearest"
    large = X * 1e6  # TF32 has float32's exponent, float16 has not
    y = (shortened(large, 10, NEAREST) @ shortened(W, 10, NEAREST) + B).astype(np.float32)
    assert reduced_precision(NODE, 17, [large, W, B], [y]) == "TF32, rounded to nearest"


FAULTS = {
    "a weight that is a little off": gemm(X, W * np.float32(1 + 1e-4)),
    "one weight that is off": gemm(X, W + 1e-3 * (np.arange(W.size).reshape(W.shape) == 17).astype(np.float32)),
    "noise of that size": gemm(X, W) * (1 + 2.0**-11 * RANDOM.uniform(-1, 1, (7, 5)).astype(np.float32)),
    "another meaning": gemm(X, -W),
    "NaN": gemm(X, W) * np.float32(np.nan),
}


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_another_fault_is_not_called_reduced_precision(fault: str) -> None:
    assert judged(FAULTS[fault]).faulty
    assert named(FAULTS[fault]) is None


def test_other_types_and_operators_have_no_shorter_format() -> None:
    double = [v.astype(np.float64) for v in (X, W, B)]
    assert reduced_precision(NODE, 17, double, [double[0] @ double[1]]) is None
    assert reduced_precision(onnx.helper.make_node("Relu", ["x"], ["y"]), 17, [X], [-X]) is None
    assert reduced_precision(NODE, 17, [X, None, B], [gemm(X, W)]) is None


@pytest.mark.parametrize(("how", "kept"), [(NEAREST, (1.0, 1 + 2**-6)), (CUT, (1.0, 1 + 2**-7))])
def test_ties_go_where_they_are_said_to_go(how: str, kept: tuple[float, float]) -> None:
    ties = np.array([1 + 2**-8, 1 + 3 * 2**-8], np.float32)
    assert shortened(ties, 7, how).tolist() == list(kept)
    assert shortened(-ties, 7, how).tolist() == [-v for v in kept]


def test_what_is_no_number_stays_as_it_is() -> None:
    odd = np.array([np.nan, np.inf, -np.inf, -0.0], np.float32)
    kept = shortened(odd, 10, NEAREST)
    assert np.isnan(kept[0])
    assert kept[1:].tolist() == [np.inf, -np.inf, 0]
    assert np.signbit(kept[3])


def test_f17_the_finding_says_so_and_names_the_node() -> None:
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]> g (float[7,96] x, float[96,5] w, float[5] b) => (float[7,5] z) '
        "{ [first] y = Gemm (x, w, b) [last] z = Relu (y) }"
    )
    blamed = Blame("kernel", "torch>ort.off", ("torch>reference", "torch>ort.off"))

    def findings(y: Array) -> Any:
        produced = {"y": y, "z": np.maximum(y, 0)}
        found = kernels(model, {"x": X, "w": W, "b": B}, produced, graph="torch", party=blamed.party, blame="kernel")
        return name_nodes([blamed], [found])[1]

    (short,) = findings(gemm(*(shortened(v, 10, NEAREST) for v in (X, W))))
    assert (short.cause, short.nodes) == (REDUCED, ("first",))
    assert "factors in TF32, rounded to nearest" in short.message
    (wrong,) = findings(FAULTS["a weight that is a little off"])
    assert (wrong.cause, wrong.nodes) == (CAUSE, ("first",))
    assert findings(gemm(X, W))[0].cause not in (REDUCED, CAUSE)
