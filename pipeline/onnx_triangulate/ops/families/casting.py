"""Changes of type: one rounding to the type's nearest number, or towards zero to a whole one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx

from onnx_triangulate.ops.near import FLOATS, Format, Near
from onnx_triangulate.ops.registry import Answer, Asked, Example, NoRule, Rule, exact
from onnx_triangulate.records.arrays import Array

_NEAREST = "IEEE 754: one rounding to the target's unit; whole numbers are cut off towards zero"


def _cast(asked: Asked) -> Sequence[Near | Answer | Array]:
    if asked.node.op_type == "CastLike":
        target = asked.array(1).dtype
    else:
        kind = int(asked.attribute("to"))
        if kind == onnx.TensorProto.STRING or asked.array(0).dtype.kind in "OUS":
            raise NoRule("text")
        target = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind))
    return [_to(asked, asked.array(0), target)]


def _to(asked: Asked, x: Array, target: np.dtype[Any]) -> Near | Answer | Array:
    narrow = target.name not in FLOATS and (
        target.kind not in "iub" or target.name in ("int4", "uint4", "int2", "uint2")
    )
    if narrow:
        raise NoRule(f"{target.name}, which saturates or not by an attribute")
    if target.name in FLOATS:
        if x.dtype.kind == "b" or x.dtype == target:
            return exact(x.astype(target))
        wide = x.astype(np.float64)
        form = Format.of(target.name, asked.format.elementary)
        if target.name in ("float16", "bfloat16"):
            return _halved(wide, target)
        zero = Near(np.zeros(()), np.zeros(()), form)
        fits = wide.astype(target).astype(np.float64) == wide
        result = zero.rounded(wide, 0.0, 1, form.tiny)
        return Near(wide, np.where(fits, 0.0, np.where(np.isfinite(result.error), result.error, 0)), form)
    if x.dtype.kind in "iub":
        return exact(x.astype(target))
    wide, margin = x.astype(np.float64), asked.margin(0)
    if target.kind == "b":
        return Answer(wide != 0, "bool", flips=np.abs(wide) <= margin if np.any(margin) else None)
    info = np.iinfo(target)
    # What becomes of a number outside of the target's range is nobody's word.
    outside = ~((np.trunc(wide) >= float(info.min)) & (np.trunc(wide) <= float(info.max)))
    outside |= np.abs(wide) >= 2.0**63
    value = np.where(outside, 0, wide).astype(target)
    flips = None
    if np.any(margin):
        flips = np.trunc(wide - margin) != np.trunc(wide + margin)
    return Answer(value, target.name, flips=flips, unsaid=outside)


def _halved(wide: Array, target: np.dtype[Any]) -> Answer:
    """Sixteen bits of a number: the nearest, to the bit, but where float32 may have moved it across the middle of two.

    A bound of the target's own unit would hide that somebody casts at all.
    """
    rounded = wide.astype(target).astype(np.float64)
    low, high = ((wide * (1 + side * 2.0**-22)).astype(target).astype(np.float64) for side in (-1, 1))
    with np.errstate(invalid="ignore"):
        apart = np.abs(high - low)
    return Answer(rounded, target.name, np.where(np.isfinite(apart), apart, 0.0))


_X = {"x": "float[3,7]"}

RULES = (
    Rule(
        "cast",
        ("Cast", "CastLike"),
        _cast,
        "u |x| of the target; sixteen bits to the bit; or exact",
        _NEAREST,
        (
            Example("Cast<to=10>(x)", _X, {"x": 1.01}),
            Example("Cast<to=7>(x)", _X, {"x": 2.0}),
            Example("Cast<to=11>(x)", _X, {"x": 1.01}),
            Example("Cast<to=1>(x)", {"x": [[1, 2], [3, 16777217]]}, {"x": 2}),
            Example("CastLike(x, z)", {"x": "float[3]", "z": [1]}, {"x": 2.0}),
        ),
    ),
)
