"""Averages and norms over windows: sums in any order (Higham, Accuracy and Stability, 2nd ed., (4.4))."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from onnx_triangulate.ops import rounding_counts as counts
from onnx_triangulate.ops.calls import ExpectedOutput, NodeCall, NotCovered, contracted
from onnx_triangulate.ops.enclosures import Enclosure
from onnx_triangulate.ops.examples import Example
from onnx_triangulate.ops.operator import WindowForm, bounded
from onnx_triangulate.ops.window_geometry import Axis, pooled_axes, windows
from onnx_triangulate.records.arrays import Array


def _windowed_sum(x: Array, axes: Sequence[Axis]) -> Array:
    seen = windows(x, axes, 0)
    result = np.zeros(seen.shape[: 2 + len(axes)])
    for spot in np.ndindex(*(a.kernel for a in axes)):
        result += seen[(..., *spot)]
    return result


def _average(call: NodeCall) -> Sequence[ExpectedOutput]:
    """A sum of up to k terms and a division (k additions and two roundings, the count's reciprocal being one)."""
    x = call.x(0)
    axes = pooled_axes(call, x.shape[2:])
    include = bool(call.attribute("count_include_pad", 0))
    counts = np.ones([a.outputs for a in axes])
    for i, a in enumerate(axes):
        starts = np.arange(a.outputs)[:, None] * a.stride - a.begin + np.arange(a.kernel) * a.dilation
        low, high = (-a.begin, a.size + a.end) if include else (0, a.size)
        along = ((starts >= low) & (starts < high)).sum(1)
        counts = counts * along.reshape([-1 if j == i else 1 for j in range(len(axes))])
    if not counts.all():
        raise NotCovered("an average of nothing")
    k = int(np.prod([a.kernel for a in axes]))
    value = _windowed_sum(x, axes) / counts
    return [contracted(call, value, lambda: _windowed_sum(np.abs(x), axes) / counts, k + 2)]


def _global_average(call: NodeCall) -> Sequence[Enclosure]:
    x = call.enclose(call.x(0))
    return [x.mean(tuple(range(2, x.value.ndim)))]


def _root(total: Enclosure, p: int) -> Enclosure:
    if p == 1:
        return total
    if p == 2:
        return total.sqrt() * total.like(1.0)
    c, floor = total.format.elementary["Pow"]
    return total.rising(lambda v: np.maximum(v, 0) ** (1 / p), c + 16 * p, floor + total.format.tiny)


def _powers(x: Enclosure, p: int) -> Enclosure:
    if p <= 2:
        return abs(x) if p == 1 else x * x
    c, floor = x.format.elementary["Pow"]
    return abs(x).rising(lambda v: np.maximum(v, 0) ** p, c + p, floor + x.format.tiny)


def _lp(call: NodeCall) -> Sequence[Enclosure]:
    x = call.enclose(call.x(0))
    p = int(call.attribute("p", 2))
    powers = _powers(x, p)
    axes = pooled_axes(call, x.shape[2:])
    sums, inherited = _windowed_sum(powers.value, axes), _windowed_sum(np.broadcast_to(powers.error, x.shape), axes)
    k = int(np.prod([a.kernel for a in axes]))
    return [_root(x.contracted(sums, sums + inherited, k, inherited), p)]


def _global_lp(call: NodeCall) -> Sequence[Enclosure]:
    x = call.enclose(call.x(0))
    p = int(call.attribute("p", 2))
    return [_root(_powers(x, p).sum(tuple(range(2, x.value.ndim)), extra=1), p)]


_IMAGE = {"x": "float[2,3,7,8]"}

OPERATORS = (
    bounded(
        "average pooling",
        _average,
        Example(
            "AveragePool<kernel_shape=[3,3],strides=[2,2],pads=[1,1,1,1]>(x)",
            _IMAGE,
            "AveragePool<kernel_shape=[3,3],strides=[2,2],pads=[1,1,1,1],count_include_pad=1>(x)",
        ),
        Example("AveragePool<kernel_shape=[2,3],ceil_mode=1,strides=[2,2]>(x)", _IMAGE, {"x": 1.01}),
        stock="wrong",
        roundings=counts.pool,
        linear=True,
        zero_sign_open=True,
        window=WindowForm("AveragePool"),
        images=(0,),
    ),
    bounded(
        "global average pooling",
        _global_average,
        Example("GlobalAveragePool(x)", _IMAGE, "GlobalMaxPool(x)"),
        roundings=counts.global_pool,
        linear=True,
        zero_sign_open=True,
        images=(0,),
    ),
    bounded(
        "norm pooling",
        _lp,
        Example("LpPool<kernel_shape=[2,2],p=3>(x)", _IMAGE, "LpPool<kernel_shape=[2,2],p=2>(x)"),
        stock="wrong",
        roundings=counts.more(counts.pool, 2 * counts.TRANSCENDENTAL),
        window=WindowForm("LpPool"),
        images=(0,),
    ),
    bounded(
        "global norm pooling",
        _global_lp,
        Example("GlobalLpPool<p=2>(x)", _IMAGE, "GlobalLpPool<p=1>(x)"),
        stock="wrong",
        roundings=counts.more(counts.global_pool, 2 * counts.TRANSCENDENTAL),
        images=(0,),
    ),
)
