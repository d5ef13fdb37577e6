"""Weights that a builder computes: in float64 what float32 rounded, or what the shipped model has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnx_triangulate.engines.frameworks import adapter
from onnx_triangulate.engines.frameworks._built_weights import ROUNDINGS, computed, given, in_float64
from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.case import Case, Tensor

B = np.array([0.1, 0.2, 0.3], np.float32)
C = np.array([0.7, 0.05, 0.33], np.float32)
SUM, EXACT = B + C, B.astype(np.float64) + C.astype(np.float64)


def moved(roundings: float) -> Array:
    return SUM.astype(np.float64) * (1 + roundings * 2.0**-24)


def test_what_float32_rounded_counts_before_it_was() -> None:
    assert (EXACT != SUM).any()
    assert in_float64(SUM, EXACT) is EXACT
    assert in_float64(SUM, moved(ROUNDINGS - 1)).tolist() == moved(ROUNDINGS - 1).tolist()


@pytest.mark.parametrize(
    "double", [moved(ROUNDINGS + 1), -EXACT, np.full(3, np.nan), np.array([0.8, 0.25, np.inf]), np.zeros(3)]
)
def test_what_is_further_off_is_the_float32_models_own(double: Array) -> None:
    assert in_float64(SUM, double).tolist() == SUM.astype(np.float64).tolist()


def test_infinities_and_zeros_are_themselves() -> None:
    odd = np.array([np.inf, -np.inf, 0.0], np.float32)
    assert in_float64(odd, odd.astype(np.float64)).tolist() == odd.tolist()


@pytest.mark.parametrize("kind", [np.int64, np.bool_])
def test_other_types_are_taken_as_they_are(kind: Any) -> None:
    whole = np.array([0, 1, 1], kind)
    assert in_float64(whole, whole).tolist() == whole.tolist()
    assert given([whole], [whole]) == [whole]


def test_a_copy_is_given_and_a_sum_is_computed() -> None:
    doubles = [B.astype(np.float64), EXACT]
    assert [id(each) for each in given([B, SUM], doubles)] == [id(B)]
    ((single, double),) = computed([B, SUM], doubles)
    assert single is SUM
    assert double is EXACT


def test_of_two_models_that_differ_all_is_given() -> None:
    assert len(given([B, SUM], [EXACT])) == 2
    assert len(given([B, SUM], [])) == 2
    assert len(given([SUM], [EXACT[:2]])) == 1


def torch_layer(torch: Any, b: Any, c: Any) -> Any:
    layer = torch.nn.Linear(3, 3)
    layer.weight.data, layer.bias.data = torch.diag(b), b + c
    return layer


def torch_float32(torch: Any, b: Any, c: Any) -> Any:
    assert b.dtype == torch.float32
    return torch_layer(torch, b, c)


def torch_draw(torch: Any, b: Any, c: Any) -> Any:
    layer = torch.nn.Linear(3, 3)
    layer.weight.data, layer.bias.data = torch.diag(b), torch.randn(3, dtype=b.dtype) + c
    return layer


def keras_layer(tf: Any, b: Any, c: Any) -> Any:
    layer = tf.keras.layers.Dense(3)
    layer.build((None, 3))
    layer.kernel.assign(tf.linalg.diag(b))
    layer.bias.assign(b + c)
    return layer


def keras_closure(tf: Any, b: Any, c: Any) -> Any:
    layer = keras_layer(tf, b, c)

    def call(x: Any) -> Any:
        return layer(x)

    return call


def keras_float32(tf: Any, b: Any, c: Any) -> Any:
    assert b.dtype == tf.float32
    return keras_layer(tf, b, c)


def case(framework: str, builder: Any) -> Case:
    parameters = {"b": Tensor("o", (3,)), "c": Tensor("o", (3,))}
    return Case("sum", {"x": Tensor("n i", (1, 3))}, {framework: builder}, {"y": Tensor("n o")}, parameters=parameters)


VALUES = {"x": np.ones((1, 3), np.float32), "b": B, "c": C}


def held(framework: str, builder: Any, folder: Path) -> list[list[float]]:
    file = adapter(framework).weights(case(framework, builder), VALUES, folder, seed=0)
    with np.load(file) as arrays:
        return [arrays[name].ravel().tolist() for name in arrays]


@pytest.mark.parametrize(
    ("framework", "builder", "copies"),
    [
        ("torch", torch_layer, False),
        ("torch", torch_float32, True),
        ("tensorflow", keras_layer, False),
        ("tensorflow", keras_closure, False),
        ("tensorflow", keras_float32, True),
    ],
)
def test_a_computed_weight_is_no_weight_of_the_source(
    framework: str, builder: Any, copies: bool, tmp_path: Path
) -> None:
    pytest.importorskip(framework)
    weights = held(framework, builder, tmp_path)
    assert np.diag(B).ravel().tolist() in weights
    assert (SUM.tolist() in weights) is copies, "a builder that knows float32 only computes nothing twice"


@pytest.mark.parametrize(
    ("framework", "builder"), [("torch", torch_layer), ("tensorflow", keras_layer), ("tensorflow", keras_closure)]
)
def test_the_run_in_float64_has_no_rounding_of_the_builder(framework: str, builder: Any) -> None:
    pytest.importorskip(framework)
    run = adapter(framework).native(case(framework, builder), VALUES, double=True, seed=0)
    assert run["y"].ravel().tolist() == (B.astype(np.float64) + EXACT).tolist()


def test_a_draw_that_depends_on_the_type_is_the_shipped_models() -> None:
    pytest.importorskip("torch")
    drawn = case("torch", torch_draw)
    single = adapter("torch").native(drawn, VALUES, double=False, seed=0)["y"]
    double = adapter("torch").native(drawn, VALUES, double=True, seed=0)["y"]
    assert np.abs(single - double).max() < 1e-6
