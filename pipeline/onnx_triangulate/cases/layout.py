"""Named axes, and the only place that permutes.

A case writes each tensor once, in its own order of axes (``"n c h w"``).  A framework has a usual order for the usual
sets (``{"n c h w": "n h w c"}``); a tensor overrides it where that does not fit.  Everything else follows from names.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.case import Tensor
from onnx_triangulate.records.errors import UnusableInput


def order(tensor: Tensor, framework: str, layouts: Mapping[str, str]) -> str:
    """The order of ``tensor``'s axes in ``framework``, whose usual orders are ``layouts``."""
    return tensor.layouts.get(framework) or layouts.get(" ".join(tensor.axes.split()), tensor.axes)


def permutation(source: str, target: str) -> tuple[int, ...]:
    """The permutation that brings axes named ``source`` into the order ``target``.

    Raises :class:`UnusableInput` where the two do not name the same axes once each.
    """
    have, want = source.split(), target.split()
    if sorted(have) != sorted(want) or len(set(have)) != len(have):
        raise UnusableInput(f"axes {source!r}: expected a permutation of {target!r}, each axis once")
    return tuple(have.index(axis) for axis in want)


def permute(array: Array, source: str, target: str) -> Array:
    """``array`` with axes ``source`` in the order ``target``; the result is contiguous."""
    if source.split() == target.split():
        return array
    return np.transpose(array, permutation(source, target)).copy()  # ascontiguousarray would give a scalar an axis
