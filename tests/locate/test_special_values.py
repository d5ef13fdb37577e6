"""Where two arrays part by more than rounding, when special values were fed."""

from __future__ import annotations

import numpy as np
import pytest

from onnx_triangulate.locate.special_values import _odd

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("a", "b", "rule", "odd"),
    [
        ([1.0, 2.0], [1.0, 2.0], "nan", [False, False]),
        ([1.0, 2.0], [1.0, 2.5], "nan", [False, True]),
        ([1.0, NAN], [1.0, 2.0], "nan", [False, True]),
        ([1.0, 2.0], [NAN, 2.0], "zero", [True, False]),
        ([NAN, 2.0], [NAN, 2.0], "nan", [False, False]),
        ([1.0, NAN], [1.0, 2.0], "inf", [False, False]),  # an infinity less another is open
        ([1.0, INF], [1.0, 2.0], "inf", [False, True]),
        ([1.0, INF], [1.0, INF], "nan", [False, False]),
    ],
)
def test_where_special_values_make_two_graphs_part(a: list[float], b: list[float], rule: str, odd: list[bool]) -> None:
    assert _odd(np.array(a), np.array(b), rule).tolist() == odd


def test_whole_numbers_part_where_they_differ() -> None:
    assert _odd(np.array([1, 2]), np.array([1, 3]), "inf").tolist() == [False, True]
