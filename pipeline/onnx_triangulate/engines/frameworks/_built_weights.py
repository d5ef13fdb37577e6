"""Weights that a builder computes of the case's parameters (two biases added, a normalization folded).

Design note.  The model that is exported is built in float32 and carries the roundings of that; its definition, and the
framework's run in float64, have none of them.  So such a weight of the run in float64 is the one that is built of
parameters in float64, and a graph's is a constant that was computed in float32 (``verification.constant_rounding``), no
copy of a weight of its source.  What is further off than a few roundings is something else, such as a draw from a
generator that depends on the number type: then the float32 model's weights count, which is the one that is shipped.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from onnx_triangulate.records.arrays import Array

ROUNDINGS = 7  # of a folded batch normalization: v + eps, sqrt, 1 /, times scale, times mean, minus, times weight
LARGE = 2**30  # bytes of weights beyond which a model is neither copied nor built twice
_UNIT = 2.0**-24


def in_float64(single: Array, double: Array) -> Array:
    """A weight of the model in float64, of those that the builder gives in float32 and in float64: of one shape."""
    wide = single.astype(double.dtype)
    if double.dtype != np.float64:
        return wide
    with np.errstate(invalid="ignore"):  # infinity less infinity
        close = np.abs(double - wide) <= ROUNDINGS * _UNIT * np.abs(wide)
    return double if bool((close | (double == wide)).all()) else wide


def given(singles: Sequence[Array], doubles: Sequence[Array]) -> list[Array]:
    """The float32 weights that are to the bit those of the model in float64: a graph that holds another one has not
    copied it."""
    moved = {id(single) for single, _ in computed(singles, doubles)}
    return [single for single in singles if id(single) not in moved]


def computed(singles: Sequence[Array], doubles: Sequence[Array]) -> list[tuple[Array, Array]]:
    """The weights that a model's builder computed, in float32 and in float64; none of two models that differ."""
    if [each.shape for each in singles] != [each.shape for each in doubles]:
        return []
    wide = [in_float64(single, double) for single, double in zip(singles, doubles, strict=True)]
    pairs = zip(singles, wide, strict=True)
    return [(one, other) for one, other in pairs if not np.array_equal(one.astype(other.dtype), other, equal_nan=True)]
