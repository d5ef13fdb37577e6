"""Bounds are the formulas of the standard model, at the unit roundoff of the type that computed, and nothing else."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnx_triangulate.ops.bounds import allowance, gamma, unit_roundoff
from onnx_triangulate.records.arrays import ArrayFile
from onnx_triangulate.records.runs import Bound


def kept(folder: Path, name: str, values: Any) -> ArrayFile:
    array = np.asarray(values, dtype=np.float64)
    np.save(folder / f"{name}.npy", array)
    return ArrayFile(folder / f"{name}.npy", array.shape, "float64")


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_unit_roundoff_is_half_the_gap_after_one(dtype: type[np.floating[Any]]) -> None:
    assert unit_roundoff(dtype) == float(np.finfo(dtype).eps) / 2
    assert unit_roundoff(np.dtype(dtype).name) == unit_roundoff(dtype)


def test_types_beside_numpys_and_types_that_do_not_round() -> None:
    assert unit_roundoff(ml_dtypes.bfloat16) == float(ml_dtypes.finfo(ml_dtypes.bfloat16).eps) / 2
    assert unit_roundoff("int64") == 0
    assert unit_roundoff("bool") == 0


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.integers(0, 10**7), st.sampled_from([2.0**-11, 2.0**-24, 2.0**-53]))
def test_gamma_is_highams(k: int, u: float) -> None:
    exact = Fraction(k) * Fraction(u) / (1 - Fraction(k) * Fraction(u)) if k * u < 1 else None
    assert gamma(k, u) == (math.inf if exact is None else pytest.approx(float(exact), rel=1e-14))


def test_gamma_ends_where_nothing_is_left() -> None:
    assert gamma(2**24 - 1, 2.0**-24) == 2**24 - 1
    assert gamma(2**24, 2.0**-24) == math.inf
    assert gamma(2**30, 2.0**-24) == math.inf
    assert gamma(0, 2.0**-24) == 0


def test_no_bound_permits_nothing() -> None:
    assert allowance(None, "float32") == 0
    assert allowance(None, "float32").shape == ()
    assert allowance(Bound(), "float32") == 0


def test_scale_floor_and_slack_add_up_elementwise(tmp_path: Path) -> None:
    scale, slack = kept(tmp_path, "scale", [1, 4, 0]), kept(tmp_path, "slack", [0.5, 0, -0.25])
    got = allowance(Bound(scale, 3, 2.0, slack), "float32")
    g = gamma(3, 2.0**-24)
    assert got.tolist() == [2 + g + 0.5, 2 + 4 * g, 2.25]
    assert allowance(Bound(scale, 3), "float32").tolist() == [g, 4 * g, 0]
    assert allowance(Bound(floor=1e-38), "float32") == 1e-38


def test_it_is_that_of_the_type_that_computed(tmp_path: Path) -> None:
    bound = Bound(kept(tmp_path, "scale", 1.0), 2)
    single, double, half = (float(allowance(bound, dtype)) for dtype in ("float32", "float64", "float16"))
    assert single == gamma(2, 2.0**-24)
    assert double == gamma(2, 2.0**-53)
    assert half == gamma(2, 2.0**-11)
    assert allowance(bound, "int64") == 0


def test_a_negative_scale_counts_by_its_size(tmp_path: Path) -> None:
    assert allowance(Bound(kept(tmp_path, "scale", [-2.0]), 1), "float32") == 2 * gamma(1, 2.0**-24)


@pytest.mark.parametrize("order", [1, -1])
def test_a_sum_in_float32_stays_inside_and_a_wrong_one_does_not(tmp_path: Path, order: int) -> None:
    """k - 1 additions of k numbers: the bound holds for the sum, and not for one number changed in its 20th bit."""
    x = np.random.default_rng(0).uniform(-1, 1, 200).astype(np.float32)[::order]
    total = np.float32(0)
    for value in x:
        total = np.float32(total + value)
    exact = float(np.sum(x.astype(np.float64)))
    allowed = float(allowance(Bound(kept(tmp_path, "s", np.abs(x).sum(dtype=np.float64)), 199), "float32"))
    assert abs(float(total) - exact) <= allowed
    assert abs(float(total) + 2 * allowed - exact) > allowed
