"""What roundings inside a graph do to its outputs: which are moved, how far, and which are exact."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

from onnx_triangulate.numerics.float64_evaluation import take_apart
from onnx_triangulate.numerics.rounding_response import Inner, inner_scale

HEAD = '<ir_version: 8, opset_import: ["" : 20]>'
SUM = f"{HEAD} g (double[2,3] x) => (double[2,2] y) <double[3,2] w = {{1, 2, 3, 4, 5, 6}}> {{ y = MatMul (x, w) }}"
WHOLE = np.arange(6.0).reshape(2, 3)


def measured(text: str, x: Any, **asked: bool) -> Inner:
    graph = take_apart(onnx.parser.parse_model(text), {})
    return inner_scale(graph, {"x": np.asarray(x, np.float64)}, graph.outputs, **asked)


def largest(text: str, x: Any, **asked: bool) -> float:
    return max(float(scale.max()) for scale in measured(text, x, **asked).scale.values())


@pytest.mark.parametrize(("x", "rounds"), [(WHOLE, False), (WHOLE + 0.1, True), (WHOLE + 300, True)])
def test_sums_of_products_of_small_whole_numbers_are_exact_in_any_order(x: Any, rounds: bool) -> None:
    assert (largest(SUM, x) > 0) is rounds


def test_where_another_arithmetic_is_asked_for_a_sum_rounds_at_the_size_of_its_terms() -> None:
    cancels = np.array([[3.0, -1.0, 0.0], [5.0, 0.0, -1.0]])  # the first column: 3 - 3, 5 - 5
    assert largest(SUM, cancels) == 0
    scale = measured(SUM, cancels, sums=True).scale["y"]
    terms = np.abs(cancels) @ np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    assert np.allclose(scale, terms)


def test_a_result_is_moved_by_one_rounding_and_amplified_by_what_follows() -> None:
    text = f"{HEAD} g (double[3] x) => (double[3] y) <double k = {{1000}}> {{ a = Exp (x)  y = Mul (a, k) }}"
    x = np.array([0.5, 1.25, -2.0])
    ratio = measured(text, x).scale["y"] / (1000 * np.exp(x))
    assert np.all((ratio > 0.99) & (ratio < 2.01))  # one rounding of each of two nodes


def test_what_is_computed_of_constants_is_measured_apart() -> None:
    text = f"{HEAD} g (double[3] x) => (double[3] y) <double k = {{3}}> {{ a = Log (k)  y = Add (x, a) }}"
    x = np.array([0.25, 0.5, 1.0])
    whole, constant = measured(text, x).scale["y"], measured(text, x, folded=True).scale["y"]
    assert np.allclose(constant, np.log(3))
    assert np.all((whole > 0) & (whole < 1.001 * (x + np.log(3))))  # of the sum alone


def test_only_functions_of_several_steps_are_moved_where_those_are_asked_for() -> None:
    text = f"{HEAD} g (double[3] x) => (double[3] y) {{ a = Exp (x)  y = %s (a) }}"
    x = np.array([0.1, 0.7, 1.3])
    assert largest(text % "Gelu", x, fused=True) > 0
    assert largest(text % "Log", x, fused=True) == 0


@pytest.mark.parametrize(("op", "jumps"), [("Floor", True), ("Round", True), ("Relu", False), ("Tanh", False)])
def test_a_graph_jumps_where_floats_reach_a_step(op: str, jumps: bool) -> None:
    text = f"{HEAD} g (double[3] x) => (double[3] y) {{ y = {op} (x) }}"
    assert measured(text, [0.25, 1.5, 2.0]).jumps is jumps


def test_a_shape_that_hangs_on_rounding_is_no_answer() -> None:
    text = f"""{HEAD} g (double[2] x) => (int64[1,n] y) <double k = {{0.1}}, double[2] r = {{0.3, 0.3}}> {{
        a = Mul (x, k)  b = Less (a, r)  c = NonZero (b)  y = Identity (c) }}"""
    found = measured(text, [1.0, 2.0])
    assert found.scale == {}
    assert found.shapes["y"] == (1, 2)
    text = text.replace("int64[1,n] y", "double[n] y").replace(
        "c = NonZero (b)  y = Identity (c)", "y = Compress (a, b)"
    )
    with pytest.raises(ValueError, match="the shape of y depends on what rounding decides"):
        measured(text, [3.0, 3.0000001])
