"""Averages and norms over windows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from onnx_triangulate.ops.near import Near
from onnx_triangulate.ops.registry import Answer, Asked, Example, NoRule, Rule, contracted
from onnx_triangulate.ops.windows import Axis, pooled_axes, windows
from onnx_triangulate.records.arrays import Array

_HIGHAM = "sums in any order: Higham, Accuracy and Stability, 2nd ed., (4.4)"


def _windowed_sum(x: Array, axes: Sequence[Axis]) -> Array:
    seen = windows(x, axes, 0)
    result = np.zeros(seen.shape[: 2 + len(axes)])
    for spot in np.ndindex(*(a.kernel for a in axes)):
        result += seen[(..., *spot)]
    return result


def _average(asked: Asked) -> Sequence[Answer]:
    """A sum of up to k terms and a division (k additions and two roundings, the count's reciprocal being one)."""
    x = asked.x(0)
    axes = pooled_axes(asked, x.shape[2:])
    include = bool(asked.attribute("count_include_pad", 0))
    counts = np.ones([a.outputs for a in axes])
    for i, a in enumerate(axes):
        starts = np.arange(a.outputs)[:, None] * a.stride - a.begin + np.arange(a.kernel) * a.dilation
        low, high = (-a.begin, a.size + a.end) if include else (0, a.size)
        along = ((starts >= low) & (starts < high)).sum(1)
        counts = counts * along.reshape([-1 if j == i else 1 for j in range(len(axes))])
    if not counts.all():
        raise NoRule("an average of nothing")
    k = int(np.prod([a.kernel for a in axes]))
    value = _windowed_sum(x, axes) / counts
    return [contracted(asked, value, lambda: _windowed_sum(np.abs(x), axes) / counts, k + 2)]


def _global_average(asked: Asked) -> Sequence[Near]:
    x = Near(asked.x(0), np.zeros(()), asked.format)
    return [x.mean(tuple(range(2, x.value.ndim)))]


def _root(total: Near, p: int) -> Near:
    if p == 1:
        return total
    if p == 2:
        return total.sqrt() * total.like(1.0)
    c, floor = total.format.elementary["Pow"]
    return total.rising(lambda v: np.maximum(v, 0) ** (1 / p), c + 16 * p, floor + total.format.tiny)


def _powers(x: Near, p: int) -> Near:
    if p <= 2:
        return abs(x) if p == 1 else x * x
    c, floor = x.format.elementary["Pow"]
    return abs(x).rising(lambda v: np.maximum(v, 0) ** p, c + p, floor + x.format.tiny)


def _lp(asked: Asked) -> Sequence[Near]:
    x = Near(asked.x(0), np.zeros(()), asked.format)
    p = int(asked.attribute("p", 2))
    powers = _powers(x, p)
    axes = pooled_axes(asked, x.shape[2:])
    sums, inherited = _windowed_sum(powers.value, axes), _windowed_sum(np.broadcast_to(powers.error, x.shape), axes)
    k = int(np.prod([a.kernel for a in axes]))
    return [_root(x.contracted(sums, sums + inherited, k, inherited), p)]


def _global_lp(asked: Asked) -> Sequence[Near]:
    x = Near(asked.x(0), np.zeros(()), asked.format)
    p = int(asked.attribute("p", 2))
    return [_root(_powers(x, p).sum(tuple(range(2, x.value.ndim)), extra=1), p)]


_IMAGE = {"x": "float[2,3,7,8]"}

RULES = (
    Rule(
        "average pooling",
        ("AveragePool",),
        _average,
        "gamma_(k+2) of the average of sizes",
        _HIGHAM,
        (
            Example(
                "AveragePool<kernel_shape=[3,3],strides=[2,2],pads=[1,1,1,1]>(x)",
                _IMAGE,
                "AveragePool<kernel_shape=[3,3],strides=[2,2],pads=[1,1,1,1],count_include_pad=1>(x)",
            ),
            Example("AveragePool<kernel_shape=[2,3],ceil_mode=1,strides=[2,2]>(x)", _IMAGE, {"x": 1.01}),
        ),
    ),
    Rule(
        "global average pooling",
        ("GlobalAveragePool",),
        _global_average,
        "gamma_(n+1) of the average of sizes",
        _HIGHAM,
        (Example("GlobalAveragePool(x)", _IMAGE, "GlobalMaxPool(x)"),),
    ),
    Rule(
        "norm pooling",
        ("LpPool",),
        _lp,
        "a root of a windowed sum of powers",
        _HIGHAM,
        (Example("LpPool<kernel_shape=[2,2],p=3>(x)", _IMAGE, "LpPool<kernel_shape=[2,2],p=2>(x)"),),
    ),
    Rule(
        "global norm pooling",
        ("GlobalLpPool",),
        _global_lp,
        "a root of a sum of powers",
        _HIGHAM,
        (Example("GlobalLpPool<p=2>(x)", _IMAGE, "GlobalLpPool<p=1>(x)"),),
    ),
)
