"""Geometry of convolutions and pooling, and their fast float64 evaluation.

Everything is written as a few large matrix products or sums of shifted views, over slabs of rows, so that no more than
about ``SLAB`` bytes are held besides inputs and outputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from onnx_triangulate.cases.same_padding import same_total, split_pads
from onnx_triangulate.ops.calls import NodeCall, NotCovered
from onnx_triangulate.records.arrays import Array

SLAB = 16_000_000


@dataclass(frozen=True)
class Axis:
    """One spatial axis: how many outputs, and where their windows lie."""

    size: int
    kernel: int
    stride: int
    dilation: int
    begin: int
    end: int
    outputs: int

    @property
    def reach(self) -> int:
        """Length of a dilated window."""
        return (self.kernel - 1) * self.dilation + 1


def _axis(call: NodeCall, i: int, n: int, size: int, kernel: int, ceil: bool) -> Axis:
    stride = int(call.attribute("strides", [1] * n)[i])
    dilation = int(call.attribute("dilations", [1] * n)[i])
    auto = call.attribute("auto_pad", "NOTSET") or "NOTSET"
    reach = (kernel - 1) * dilation + 1
    pads = call.attribute("pads", [0] * 2 * n)
    begin, end = (int(pads[i]), int(pads[n + i])) if auto == "NOTSET" else (0, 0)
    if auto.startswith("SAME"):
        total = same_total(size, stride, reach)
        if total < 0 and "kernel_shape" in call.attributes and call.node.op_type != "Conv":
            raise NotCovered("SAME padding of windows with gaps between them, whose formula gives negative padding")
        begin, end = split_pads(max(total, 0), auto == "SAME_UPPER")
        return Axis(size, kernel, stride, dilation, begin, end, -(-size // stride))
    room = size + begin + end - reach
    outputs = room // stride + 1
    if ceil:
        outputs = -(-room // stride) + 1
        if (outputs - 1) * stride >= size + begin:  # a window that starts in the end padding is left out
            outputs -= 1
    return Axis(size, kernel, stride, dilation, begin, end, max(outputs, 0))


def pooled_axes(call: NodeCall, sizes: Sequence[int]) -> tuple[Axis, ...]:
    """The axes of a pooling operator over an input of those spatial sizes."""
    kernel = call.attribute("kernel_shape")
    ceil = bool(call.attribute("ceil_mode", 0))
    return tuple(_axis(call, i, len(sizes), s, int(kernel[i]), ceil) for i, s in enumerate(sizes))


def convolved_axes(call: NodeCall, sizes: Sequence[int], kernel: Sequence[int]) -> tuple[Axis, ...]:
    """The axes of a convolution; the weight's own shape is what counts."""
    return tuple(_axis(call, i, len(sizes), s, int(kernel[i]), False) for i, s in enumerate(sizes))


def padded(x: Array, axes: Sequence[Axis], fill: Any) -> Array:
    """x with as much padding as the last window needs."""
    pads = [(0, 0), (0, 0)]
    for axis in axes:
        after = max((axis.outputs - 1) * axis.stride + axis.reach - axis.size - axis.begin, 0)
        pads.append((axis.begin, after))
    return np.pad(x, pads, constant_values=fill) if any(p != (0, 0) for p in pads) else x


def windows(x: Array, axes: Sequence[Axis], fill: Any) -> Array:
    """(n, c, outputs..., kernel...): a view of every window."""
    full = padded(x, axes, fill)
    shape, strides = list(full.shape[:2]), list(full.strides[:2])
    for i, axis in enumerate(axes):
        shape.append(axis.outputs)
        strides.append(full.strides[2 + i] * axis.stride)
    for i, axis in enumerate(axes):
        shape.append(axis.kernel)
        strides.append(full.strides[2 + i] * axis.dilation)
    return np.lib.stride_tricks.as_strided(full, shape, strides, writeable=False)


def _slabs(rows: int, bytes_per_row: int) -> Iterator[slice]:
    step = max(1, SLAB // max(bytes_per_row, 1))
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


def convolve(x: Array, w: Array, axes: Sequence[Axis], group: int) -> Array:
    """Convolution (n, c, ...) * (o, c / group, ...) in the arrays' own type, as matrix products over slabs of rows."""
    n, c = x.shape[:2]
    o, per = w.shape[:2]
    result = np.zeros((n, o, *(a.outputs for a in axes)), dtype=x.dtype)
    if result.size == 0 or w.size == 0:
        return result
    rank = len(axes)
    if all(a.kernel == a.stride == 1 and a.outputs == a.size and not a.begin for a in axes):
        flat = x.reshape(n, group, per, -1)
        return np.asarray((w.reshape(group, o // group, per) @ flat).reshape(result.shape))
    seen = windows(x, axes, 0)
    if per == 1 and group == c:  # depthwise: as many products as there are, without a matrix
        times = o // group
        for spot in np.ndindex(*w.shape[2:]):
            part = seen[(..., *spot)]
            for m in range(times):
                result[:, m::times] += part * w[(slice(m, None, times), 0, *spot)].reshape(1, -1, *[1] * rank)
        return result
    matrix = w.reshape(group, o // group, -1)
    inner = int(np.prod(w.shape[2:], dtype=np.int64)) * c
    row = inner * x.itemsize * int(np.prod([a.outputs for a in axes[1:]], dtype=np.int64))
    for i in range(n):
        for rows in _slabs(axes[0].outputs, row):
            part = seen[i, :, rows]  # (c, rows, ..., kernel...)
            order = (0, *range(1 + rank, 1 + 2 * rank), *range(1, 1 + rank))
            columns = part.transpose(order).reshape(group, per * (inner // c), -1)
            result[i, :, rows] = (matrix @ columns).reshape(o, *part.shape[1 : 1 + rank])
    return result


def convolve_back(x: Array, w: Array, axes: Sequence[Axis], group: int) -> Array:
    """Transposed convolution of (n, c, ...) with (c, o / group, ...): every product is added to its place.

    ``axes`` describe the convolution it is the transpose of: ``size`` is this one's output.
    """
    n, c = x.shape[:2]
    per = w.shape[1]
    full = [max((a.outputs - 1) * a.stride + a.reach, a.begin + a.size) for a in axes]
    result = np.zeros((n, group * per, *full), dtype=x.dtype)
    flat = x.reshape(n, group, c // group, -1)
    for spot in np.ndindex(*w.shape[2:]):
        part = w[(slice(None), slice(None), *spot)].reshape(group, c // group, per)
        product = (part.transpose(0, 2, 1) @ flat).reshape(n, group * per, *x.shape[2:])
        place = tuple(
            slice(k * a.dilation, k * a.dilation + (a.outputs - 1) * a.stride + 1, a.stride)
            for k, a in zip(spot, axes, strict=True)
        )
        result[(slice(None), slice(None), *place)] += product
    return result[(slice(None), slice(None), *(slice(a.begin, a.begin + a.size) for a in axes))]
