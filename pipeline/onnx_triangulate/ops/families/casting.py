"""Changes of type: one rounding to the type's nearest number, or towards zero to a whole one.

IEEE 754: u |x| of the target; sixteen bits to the bit; whole numbers exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx

from onnx_triangulate.ops import axis_propagation as links
from onnx_triangulate.ops import rounding_counts as counts
from onnx_triangulate.ops.calls import ExpectedOutput, NodeCall, NotCovered, exact
from onnx_triangulate.ops.enclosures import FLOATS, Enclosure, Format
from onnx_triangulate.ops.examples import Example
from onnx_triangulate.ops.operator import bounded
from onnx_triangulate.records.arrays import Array


def _cast(call: NodeCall) -> Sequence[Enclosure | ExpectedOutput | Array]:
    if call.node.op_type == "CastLike":
        target = call.array(1).dtype
    else:
        kind = int(call.attribute("to"))
        if kind == onnx.TensorProto.STRING or call.array(0).dtype.kind in "OUS":
            raise NotCovered("text")
        target = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind))
    return [_to(call, call.array(0), target)]


def _to(call: NodeCall, x: Array, target: np.dtype[Any]) -> Enclosure | ExpectedOutput | Array:
    narrow = target.name not in FLOATS and (
        target.kind not in "iub" or target.name in ("int4", "uint4", "int2", "uint2")
    )
    if narrow:
        raise NotCovered(f"{target.name}, which saturates or not by an attribute")
    if target.name in FLOATS:
        if x.dtype.kind == "b" or x.dtype == target:
            return exact(x.astype(target))
        wide = x.astype(np.float64)
        form = Format.of(target.name, call.format.elementary)
        if target.name in ("float16", "bfloat16"):
            return _halved(wide, target)
        zero = Enclosure(np.zeros(()), np.zeros(()), form)
        fits = wide.astype(target).astype(np.float64) == wide
        result = zero.rounded(wide, 0.0, 1, form.tiny)
        return Enclosure(wide, np.where(fits, 0.0, np.where(np.isfinite(result.error), result.error, 0)), form)
    if x.dtype.kind in "iub":
        return exact(x.astype(target))
    wide, margin = x.astype(np.float64), call.input_error(0)
    if target.kind == "b":
        return ExpectedOutput(wide != 0, "bool", flips=np.abs(wide) <= margin if np.any(margin) else None)
    info = np.iinfo(target)
    # What becomes of a number outside of the target's range is nobody's word.
    outside = ~((np.trunc(wide) >= float(info.min)) & (np.trunc(wide) <= float(info.max)))
    outside |= np.abs(wide) >= 2.0**63
    value = np.where(outside, 0, wide).astype(target)
    flips = None
    if np.any(margin):
        flips = np.trunc(wide - margin) != np.trunc(wide + margin)
    return ExpectedOutput(value, target.name, flips=flips, unsaid=outside)


def _halved(wide: Array, target: np.dtype[Any]) -> ExpectedOutput:
    """Sixteen bits of a number: the nearest, to the bit, but where float32 may have moved it across the middle of two.

    A bound of the target's own unit would hide that somebody casts at all.
    """
    rounded = wide.astype(target).astype(np.float64)
    low, high = ((wide * (1 + side * 2.0**-22)).astype(target).astype(np.float64) for side in (-1, 1))
    with np.errstate(invalid="ignore"):
        apart = np.abs(high - low)
    return ExpectedOutput(rounded, target.name, np.where(np.isfinite(apart), apart, 0.0))


_X = {"x": "float[3,7]"}

OPERATORS = (
    bounded(
        "cast",
        _cast,
        Example("Cast<to=10>(x)", _X, {"x": 1.01}),
        Example("Cast<to=7>(x)", _X, {"x": 2.0}),
        Example("Cast<to=11>(x)", _X, {"x": 1.01}),
        Example("Cast<to=1>(x)", {"x": [[1, 2], [3, 16777217]]}, {"x": 2}),
        roundings=counts.cast,
        axes=links.same,
        result_type="to",
    ),
    bounded(
        "cast", _cast, Example("CastLike(x, z)", {"x": "float[3]", "z": [1]}, {"x": 2.0}), roundings=0, axes=links.same
    ),
)
