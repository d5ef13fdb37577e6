"""Moving by one rounding: the draws that bounds rest on, and what they measure."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from onnx_triangulate.numerics.perturbation import (
    UNIT,
    at_least_mean,
    distance,
    is_jump,
    largest_responses,
    moved,
    neighbour,
    paired,
    signs,
    turned,
)


@pytest.mark.parametrize(
    ("draw", "drawn"), [(np.int8, [-1, 1, 1, 1, 1, 1, -1, 1]), (np.int64, [1, 1, 1, -1, -1, -1, -1, -1])]
)
def test_the_draws_are_the_same_numbers_in_every_run(draw: Any, drawn: list[int]) -> None:
    assert signs(np.random.default_rng(0), (8,), draw=draw).tolist() == drawn


def test_numbers_move_by_one_unit_roundoff_and_only_in_float64() -> None:
    value = np.array([1.0, -4.0, 0.0, 2.0**100])
    away = moved(value, np.random.default_rng(0)) - value
    assert (np.abs(away) == UNIT * np.abs(value)).all()
    assert (moved(value, np.random.default_rng(0), roundings=4.0) - value == 4 * away).all()
    assert moved(value.astype(np.float32), np.random.default_rng(0)).tolist() == value.astype(np.float32).tolist()


def test_the_neighbour_of_a_number_is_the_next_float32() -> None:
    assert neighbour(1.0, 1) == 1 + 2.0**-23
    assert neighbour(1.0, -1) == 1 - 2.0**-24


def test_of_any_two_some_pair_of_draws_pushes_both_the_same_way() -> None:
    """Planted: two results that cancel whenever their signs are as in the first draw of each pair."""
    pairs = 5
    for one, other in itertools.combinations(range(2**pairs), 2):
        ways = {turned(one, pair) == turned(other, pair) for pair, second in paired(pairs) if second}
        assert False in ways, (one, other)


def test_the_largest_response_is_taken_by_element() -> None:
    draws = [{"y": np.array([1.0, 5.0, np.nan, np.inf])}, {"y": np.array([3.0, 4.0, 0.0, 0.0])}]
    centres = {"y": np.array([2.0, 2.0, 0.0, 0.0])}
    assert largest_responses(centres, draws, infinite=0.0)["y"].tolist() == [1.0, 3.0, 0.0, 0.0]
    assert largest_responses(centres, draws, infinite=np.inf)["y"].tolist() == [1.0, 3.0, 0.0, np.inf]
    assert distance(np.array(np.inf), np.array(1.0)) == np.finfo(np.float64).max


def test_an_element_without_a_response_is_given_the_mean() -> None:
    assert at_least_mean(np.array([0.0, 1.0, 5.0])).tolist() == [2.0, 1.0, 5.0]
    assert at_least_mean(np.zeros(0)).size == 0


def test_a_response_that_is_large_beside_the_output_is_a_jump() -> None:
    centre = np.array([1.0, -4.0, np.inf])
    assert is_jump(np.array([2.0**-10, 2.0**-9.9, 1.0]), centre, UNIT).tolist() == [False, True, True]
