"""Quantization: a whole number is exact unless the real number before it lies within its own rounding of a boundary.

A whole number is the nearest, half to even, of x / scale, which itself is rounded: it may be one off where the real
number lies within 2 u of a half.  A product of integers is exact and rescaled once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx

from onnx_triangulate.ops import axis_propagation as links
from onnx_triangulate.ops.calls import ExpectedOutput, NodeCall, NotCovered
from onnx_triangulate.ops.enclosures import FLOATS, Enclosure
from onnx_triangulate.ops.examples import Example
from onnx_triangulate.ops.operator import WindowForm, bounded
from onnx_triangulate.ops.window_geometry import convolve, convolved_axes
from onnx_triangulate.records.arrays import Array


def _spread(value: Array, like: Array, axis: int) -> Array:
    """A per-axis parameter at the rank of what it scales."""
    if value.ndim == 0 or value.size == 1:
        return value.reshape(())
    if value.ndim != 1 or like.ndim == 0:
        raise NotCovered("blocked scales")
    shape = [1] * like.ndim
    shape[axis % like.ndim] = -1
    return value.reshape(shape)


def _whole(
    call: NodeCall, real: Array, error: Array, zero: Array, target: np.dtype[Any], index: int = 0
) -> ExpectedOutput:
    """saturate(round(real) + zero)."""
    if target.kind not in "iu" or target.name in ("int4", "uint4", "int2", "uint2"):
        raise NotCovered(f"quantization to {target.name}")
    info = np.iinfo(target)
    value = np.clip(np.round(real) + zero, info.min, info.max)
    low = np.clip(np.round(real - error) + zero, info.min, info.max)
    high = np.clip(np.round(real + error) + zero, info.min, info.max)
    seen = call.produced[index] if index < len(call.produced) else None
    flips = None
    if seen is not None and seen.shape == value.shape:
        flips = (seen >= low) & (seen <= high) & (low < high)
    unsaid = ~np.isfinite(real) | np.isnan(value)
    return ExpectedOutput(np.where(unsaid, 0, value).astype(target), target.name, flips=flips, unsaid=unsaid)


def _quantize(call: NodeCall) -> Sequence[ExpectedOutput]:
    x = call.array(0)
    kind = int(call.attribute("output_dtype", 0))
    named = onnx.helper.tensor_dtype_to_np_dtype(kind) if kind else np.dtype(np.uint8)
    target = call.array(2).dtype if call.has_input(2) else np.dtype(named)
    axis = int(call.attribute("axis", 1))
    if call.attribute("block_size", 0):
        raise NotCovered("blocked scales")
    scale = _spread(call.x(1), x, axis)
    zero = _spread(call.x(2), x, axis) if call.has_input(2) else np.zeros(())
    real = call.x(0) / scale
    error = 2 * call.format.unit * np.abs(real) + call.input_error(0) / np.abs(scale)
    return [_whole(call, real, error, zero, target)]


def _dequantize(call: NodeCall) -> Sequence[Enclosure]:
    """(x - zero) scale: exact but for the product, and for a large int32."""
    x = call.array(0)
    if call.attribute("block_size", 0) or x.dtype.kind not in "iu":
        raise NotCovered(f"blocked scales or {x.dtype}")
    if call.array(1).dtype.name not in FLOATS:
        raise NotCovered(f"scales of type {call.array(1).dtype}")
    axis = int(call.attribute("axis", 1))
    scale = _spread(call.x(1), x, axis)
    zero = _spread(call.x(2), x, axis) if call.has_input(2) else np.zeros(())
    nothing = call.enclose(0.0)
    return [nothing.rounded((x.astype(np.float64) - zero) * scale, 0.0, 3, call.format.tiny)]


def _dynamic(call: NodeCall) -> Sequence[Enclosure | ExpectedOutput]:
    """The scale is rounded; what follows is judged with the scale and zero point that the run itself made."""
    x = call.x(0)
    low, high = min(float(x.min(initial=0)), 0.0), max(float(x.max(initial=0)), 0.0)
    scale = call.enclose(np.asarray(high - low))
    scale = scale.rounded(scale.value / 255, scale.format.unit * scale.value / 255, 2, scale.format.tiny)
    made = call.produced[1] if len(call.produced) > 1 else None
    point = call.produced[2] if len(call.produced) > 2 else None
    if made is None or point is None or not float(made) > 0:
        raise NotCovered("a scale of nothing")
    unit = call.format.unit
    own = float(made)
    zero = _whole(
        call, np.asarray(-low / own), np.asarray(4 * unit * abs(low) / own), np.zeros(()), np.dtype(np.uint8), 2
    )
    real = x / own
    y = _whole(call, real, 2 * unit * np.abs(real), np.asarray(float(point)), np.dtype(np.uint8))
    return [y, scale, zero]


def _q_matmul(call: NodeCall) -> Sequence[ExpectedOutput]:
    a, b = call.x(0), call.x(3)
    a_zero, b_zero, a_scale, b_scale = call.x(2), call.x(5), call.x(1), call.x(4)
    if a_scale.size > 1 or a_zero.size > 1:
        raise NotCovered("scales per row")
    whole = (a - a_zero.reshape(())) @ (b - (b_zero.reshape(()) if b_zero.size == 1 else b_zero))
    b_scale = b_scale.reshape(()) if b_scale.size == 1 else b_scale
    real = whole * (a_scale.reshape(()) * b_scale) / call.x(6).reshape(())
    error = 6 * call.format.unit * np.abs(real)
    return [_whole(call, real, error, call.x(7).reshape(()), call.array(7).dtype)]


def _q_conv(call: NodeCall) -> Sequence[ExpectedOutput]:
    x, w = call.x(0) - call.x(2).reshape(()), call.x(3)
    column = [-1] + [1] * (w.ndim - 1)
    w = w - (call.x(5).reshape(column) if call.x(5).size > 1 else call.x(5).reshape(()))
    whole = convolve(x, w, convolved_axes(call, x.shape[2:], w.shape[2:]), int(call.attribute("group", 1)))
    row = [1, -1] + [1] * (w.ndim - 2)
    if call.has_input(8):
        whole = whole + call.x(8).reshape(row)
    scale = call.x(4).reshape(row) if call.x(4).size > 1 else call.x(4).reshape(())
    real = whole * (call.x(1).reshape(()) * scale) / call.x(6).reshape(())
    return [_whole(call, real, 6 * call.format.unit * np.abs(real), call.x(7).reshape(()), call.array(7).dtype)]


_F, _U = np.float32, np.uint8
_SCALES = {"s": _F(0.05), "o": _U(20)}

OPERATORS = (
    bounded(
        "quantize",
        _quantize,
        Example("QuantizeLinear(x, s, o)", {"x": "float[3,7]", **_SCALES}, {"s": 1.2}, opset=19),
        axes=links.quantize,
        jumps="at places",
    ),
    bounded(
        "dequantize",
        _dequantize,
        Example("DequantizeLinear(x, s, o)", {"x": "uint8[3,7]", **_SCALES}, {"s": 1.01}, opset=19),
        stock="wrong",
        roundings=2,
        axes=links.quantize,
    ),
    bounded(
        "dynamic quantization",
        _dynamic,
        Example("DynamicQuantizeLinear(x)", {"x": "float[3,7]"}, {"x": 1.01}, outputs="y, s, z"),
        jumps="at places",
    ),
    bounded(
        "quantized matrix product",
        _q_matmul,
        Example(
            "QLinearMatMul(x, s, o, z, s, o, t, o)",
            {"x": "uint8[3,7]", "z": "uint8[7,5]", **_SCALES, "t": _F(0.2)},
            {"t": 1.2},
            opset=10,
        ),
        axes=links.quantized_matmul,
        matrices=(0, 3),
    ),
    bounded(
        "quantized convolution",
        _q_conv,
        Example(
            "QLinearConv<pads=[1,1,1,1]>(x, s, o, w, s, o, t, o)",
            {"x": "uint8[1,2,5,4]", "w": "uint8[3,2,3,3]", **_SCALES, "t": _F(0.3)},
            {"t": 1.2},
            opset=10,
        ),
        window=WindowForm("QLinearConv", 3, zero=2),
        images=(0,),
        kernel=(3, "OI"),
    ),
)
