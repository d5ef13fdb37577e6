"""How far two outputs are apart, by which the inputs of a given file are told from one another."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from onnx_triangulate.verification.external_models import _distance

NAN = float("nan")


@pytest.mark.parametrize(
    ("want", "value", "distance"),
    [
        (np.array([1.0, 4.0]), np.array([1.0, 4.0]), 0.0),
        (np.array([1.0, 4.0]), np.array([1.0, 5.0]), 0.25),
        (np.array([0.0, 0.0]), np.array([0.0, 3.0]), 3.0),
        (np.array([1, 4]), np.array([3, 4]), 0.5),
        (np.array([True, False]), np.array([True, True]), 1.0),
        (np.array([NAN, 2.0]), np.array([NAN, 2.0]), 0.0),
        (np.array([1.0]), np.array([1.0, 1.0]), np.inf),
        (np.array([1.0], np.float32), np.array([1.0]), np.inf),
        (np.zeros((0, 3)), np.zeros((0, 3)), 0.0),
        (np.array(["a"]), np.array(["a"]), 0.0),
    ],
)
def test_two_outputs_are_as_far_apart_as_their_worst_element(want: Any, value: Any, distance: float) -> None:
    assert _distance(want, value) == distance


@pytest.mark.parametrize(
    ("want", "value"), [(np.array([NAN, 2.0]), np.array([1.0, 2.0])), (np.array(["a"]), np.array(["b"]))]
)
def test_what_cannot_be_measured_is_far(want: Any, value: Any) -> None:
    assert _distance(want, value) > 1e200
