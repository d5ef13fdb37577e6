"""Transforms, windows of signals and determinants: the Fourier transform is bounded, the others are counted at most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onnx_triangulate.ops import rounding_counts as counts
from onnx_triangulate.ops.calls import NodeCall
from onnx_triangulate.ops.enclosures import Enclosure
from onnx_triangulate.ops.examples import Example
from onnx_triangulate.ops.operator import Operator, bounded


def _fourier(call: NodeCall) -> Sequence[Enclosure]:
    """Sums of products with roots of unity, which a kernel may compute: one that is 0 is off by its angle's rounding.

    So the bound is that of a sum at the size of all its terms, also where a root takes them out of it.
    """
    x = call.x(0)
    axis = int(call.array(2).ravel()[0]) if call.has_input(2) else call.attribute("axis", 1 if call.opset < 20 else -2)
    (value,) = call.reference()
    size = np.abs(x).sum(axis=(axis % x.ndim, x.ndim - 1), keepdims=True)
    length = int(call.array(1).ravel()[0]) if call.has_input(1) else x.shape[axis]
    if call.attribute("inverse", 0):  # of one side the other is meant as well
        size = size * (2 if call.attribute("onesided", 0) else 1) / max(length, 1)
    return [call.enclosure(0).contracted(value, np.broadcast_to(size, value.shape), counts.of_fourier(length))]


def _longest(operands: Sequence[Any]) -> int:
    return counts.of_fourier(max(operands[0].shape))


_SIGNAL = {"x": "float[2,6,1]"}

OPERATORS = (
    Operator("Col2Im", roundings=counts.of_all()),
    bounded(
        "Fourier transform",
        _fourier,
        Example("DFT<axis=1>(x)", _SIGNAL, "DFT<axis=1,onesided=1>(x)", opset=17),
        Example("DFT(x)", {"x": "float[2,5,2]"}, "DFT<inverse=1>(x)", opset=20),
        roundings=counts.fourier,
        steps=_longest,
    ),
    Operator("Det", roundings=counts.of_all(1)),
    *(
        Operator(name, result_type="output_datatype", float_by_default=True)
        for name in ("BlackmanWindow", "HammingWindow", "HannWindow", "MelWeightMatrix")
    ),
)
