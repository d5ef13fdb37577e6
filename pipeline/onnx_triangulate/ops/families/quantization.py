"""Quantization: a whole number is exact unless the real number before it lies within its own rounding of a boundary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx

from onnx_triangulate.ops.near import FLOATS, Near
from onnx_triangulate.ops.registry import Answer, Asked, Example, NoRule, Rule
from onnx_triangulate.ops.windows import convolve, convolved_axes
from onnx_triangulate.records.arrays import Array

_NEAREST = "round half to even of x / scale, which itself is rounded: a step of one where the margin is inside that"


def _spread(value: Array, like: Array, axis: int) -> Array:
    """A per-axis parameter at the rank of what it scales."""
    if value.ndim == 0 or value.size == 1:
        return value.reshape(())
    if value.ndim != 1 or like.ndim == 0:
        raise NoRule("blocked scales")
    shape = [1] * like.ndim
    shape[axis % like.ndim] = -1
    return value.reshape(shape)


def _whole(asked: Asked, real: Array, error: Array, zero: Array, target: np.dtype[Any], index: int = 0) -> Answer:
    """saturate(round(real) + zero)."""
    if target.kind not in "iu" or target.name in ("int4", "uint4", "int2", "uint2"):
        raise NoRule(f"quantization to {target.name}")
    info = np.iinfo(target)
    value = np.clip(np.round(real) + zero, info.min, info.max)
    low = np.clip(np.round(real - error) + zero, info.min, info.max)
    high = np.clip(np.round(real + error) + zero, info.min, info.max)
    seen = asked.produced[index] if index < len(asked.produced) else None
    flips = None
    if seen is not None and seen.shape == value.shape:
        flips = (seen >= low) & (seen <= high) & (low < high)
    unsaid = ~np.isfinite(real) | np.isnan(value)
    return Answer(np.where(unsaid, 0, value).astype(target), target.name, flips=flips, unsaid=unsaid)


def _quantize(asked: Asked) -> Sequence[Answer]:
    x = asked.array(0)
    kind = int(asked.attribute("output_dtype", 0))
    named = onnx.helper.tensor_dtype_to_np_dtype(kind) if kind else np.dtype(np.uint8)
    target = asked.array(2).dtype if asked.given(2) else np.dtype(named)
    axis = int(asked.attribute("axis", 1))
    if asked.attribute("block_size", 0):
        raise NoRule("blocked scales")
    scale = _spread(asked.x(1), x, axis)
    zero = _spread(asked.x(2), x, axis) if asked.given(2) else np.zeros(())
    real = asked.x(0) / scale
    error = 2 * asked.format.unit * np.abs(real) + asked.margin(0) / np.abs(scale)
    return [_whole(asked, real, error, zero, target)]


def _dequantize(asked: Asked) -> Sequence[Near]:
    """(x - zero) scale: exact but for the product, and for a large int32."""
    x = asked.array(0)
    if asked.attribute("block_size", 0) or x.dtype.kind not in "iu":
        raise NoRule(f"blocked scales or {x.dtype}")
    if asked.array(1).dtype.name not in FLOATS:
        raise NoRule(f"scales of type {asked.array(1).dtype}")
    axis = int(asked.attribute("axis", 1))
    scale = _spread(asked.x(1), x, axis)
    zero = _spread(asked.x(2), x, axis) if asked.given(2) else np.zeros(())
    nothing = Near(np.zeros(()), np.zeros(()), asked.format)
    return [nothing.rounded((x.astype(np.float64) - zero) * scale, 0.0, 3, asked.format.tiny)]


def _dynamic(asked: Asked) -> Sequence[Near | Answer]:
    """The scale is rounded; what follows is judged with the scale and zero point that the run itself made."""
    x = asked.x(0)
    low, high = min(float(x.min(initial=0)), 0.0), max(float(x.max(initial=0)), 0.0)
    scale = Near(np.asarray(high - low), np.zeros(()), asked.format)
    scale = scale.rounded(scale.value / 255, scale.format.unit * scale.value / 255, 2, scale.format.tiny)
    made = asked.produced[1] if len(asked.produced) > 1 else None
    point = asked.produced[2] if len(asked.produced) > 2 else None
    if made is None or point is None or not float(made) > 0:
        raise NoRule("a scale of nothing")
    unit = asked.format.unit
    own = float(made)
    zero = _whole(
        asked, np.asarray(-low / own), np.asarray(4 * unit * abs(low) / own), np.zeros(()), np.dtype(np.uint8), 2
    )
    real = x / own
    y = _whole(asked, real, 2 * unit * np.abs(real), np.asarray(float(point)), np.dtype(np.uint8))
    return [y, scale, zero]


def _q_matmul(asked: Asked) -> Sequence[Answer]:
    a, b = asked.x(0), asked.x(3)
    a_zero, b_zero, a_scale, b_scale = asked.x(2), asked.x(5), asked.x(1), asked.x(4)
    if a_scale.size > 1 or a_zero.size > 1:
        raise NoRule("scales per row")
    whole = (a - a_zero.reshape(())) @ (b - (b_zero.reshape(()) if b_zero.size == 1 else b_zero))
    b_scale = b_scale.reshape(()) if b_scale.size == 1 else b_scale
    real = whole * (a_scale.reshape(()) * b_scale) / asked.x(6).reshape(())
    error = 6 * asked.format.unit * np.abs(real)
    return [_whole(asked, real, error, asked.x(7).reshape(()), asked.array(7).dtype)]


def _q_conv(asked: Asked) -> Sequence[Answer]:
    x, w = asked.x(0) - asked.x(2).reshape(()), asked.x(3)
    column = [-1] + [1] * (w.ndim - 1)
    w = w - (asked.x(5).reshape(column) if asked.x(5).size > 1 else asked.x(5).reshape(()))
    whole = convolve(x, w, convolved_axes(asked, x.shape[2:], w.shape[2:]), int(asked.attribute("group", 1)))
    row = [1, -1] + [1] * (w.ndim - 2)
    if asked.given(8):
        whole = whole + asked.x(8).reshape(row)
    scale = asked.x(4).reshape(row) if asked.x(4).size > 1 else asked.x(4).reshape(())
    real = whole * (asked.x(1).reshape(()) * scale) / asked.x(6).reshape(())
    return [_whole(asked, real, 6 * asked.format.unit * np.abs(real), asked.x(7).reshape(()), asked.array(7).dtype)]


_F, _U = np.float32, np.uint8
_SCALES = {"s": _F(0.05), "o": _U(20)}

RULES = (
    Rule(
        "quantize",
        ("QuantizeLinear",),
        _quantize,
        "a step of one where x / scale lies within 2 u of a half",
        _NEAREST,
        (Example("QuantizeLinear(x, s, o)", {"x": "float[3,7]", **_SCALES}, {"s": 1.2}, opset=19),),
    ),
    Rule(
        "dequantize",
        ("DequantizeLinear",),
        _dequantize,
        "3 u |y|",
        "standard model",
        (Example("DequantizeLinear(x, s, o)", {"x": "uint8[3,7]", **_SCALES}, {"s": 1.01}, opset=19),),
    ),
    Rule(
        "dynamic quantization",
        ("DynamicQuantizeLinear",),
        _dynamic,
        "the scale to 4 u, the rest with the run's own scale",
        _NEAREST,
        (Example("DynamicQuantizeLinear(x)", {"x": "float[3,7]"}, {"x": 1.01}, outputs="y, s, z"),),
    ),
    Rule(
        "quantized matrix product",
        ("QLinearMatMul",),
        _q_matmul,
        "exact sums, one rescaling",
        _NEAREST,
        (
            Example(
                "QLinearMatMul(x, s, o, z, s, o, t, o)",
                {"x": "uint8[3,7]", "z": "uint8[7,5]", **_SCALES, "t": _F(0.2)},
                {"t": 1.2},
                opset=10,
            ),
        ),
    ),
    Rule(
        "quantized convolution",
        ("QLinearConv",),
        _q_conv,
        "exact sums, one rescaling",
        _NEAREST,
        (
            Example(
                "QLinearConv<pads=[1,1,1,1]>(x, s, o, w, s, o, t, o)",
                {"x": "uint8[1,2,5,4]", "w": "uint8[3,2,3,3]", **_SCALES, "t": _F(0.3)},
                {"t": 1.2},
                opset=10,
            ),
        ),
    ),
)
