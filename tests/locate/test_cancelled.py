"""Whether an output is off by no more than what a few roundings of a moved value make of it."""

from __future__ import annotations

import numpy as np
import pytest

from onnx_triangulate.locate.teacher_forced.cancelled import _is_rounding


@pytest.mark.parametrize(
    ("due", "made", "beside", "is_rounding"),
    [
        ([1.0, 2.0], [1.0, 2.0], [1.0, 2.0], True),
        ([1.0, 2.0], [1.0, 2.1], [1.0, 2.3], True),
        ([1.0, 2.0], [1.0, 2.1], [1.0, 2.15], False),
        ([1.0, 2.0], [1.0, 2.1], [1.0, 2.1], False),
    ],
)
def test_only_what_a_rounding_of_the_moved_value_reaches_is_one(
    due: list[float], made: list[float], beside: list[float], is_rounding: bool
) -> None:
    assert _is_rounding(np.array(due), np.array(made), np.array(beside)) is is_rounding


def test_neither_another_shape_nor_a_whole_number_is_a_rounding() -> None:
    assert not _is_rounding(np.array([1, 2]), np.array([1, 2]), np.array([1, 2]))
    assert not _is_rounding(np.array([1.0]), np.array([1.0, 1.0]), np.array([2.0]))
