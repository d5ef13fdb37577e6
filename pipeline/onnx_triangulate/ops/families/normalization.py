"""Normalizations: moments of the input, which amplify their own rounding where the variance is small.

A variance may be computed as E(x - m)^2 or as E x^2 - m^2; the bound holds for both, and the second is what makes it
large where |m| is large beside the deviation.

Running error analysis: Higham, Accuracy and Stability, 2nd ed., 1.9, 3.3, 4.4.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from onnx_triangulate.ops import axis_propagation as links
from onnx_triangulate.ops import rounding_counts as counts
from onnx_triangulate.ops.calls import ExpectedOutput, NodeCall, NotCovered, contracted
from onnx_triangulate.ops.enclosures import Enclosure
from onnx_triangulate.ops.examples import Example
from onnx_triangulate.ops.operator import bounded


def moments(x: Enclosure, axes: tuple[int, ...]) -> tuple[Enclosure, Enclosure]:
    """Mean and biased variance.  E x^2 - m^2 passes through E x^2 and m^2 with n + 4 roundings; so does its bound."""
    n = int(np.prod([x.shape[a] for a in axes], dtype=np.int64))
    mean = x.mean(axes)
    with np.errstate(all="ignore"):
        value = ((x.value - mean.value) ** 2).mean(axis=axes, keepdims=True)
        square = (x.value**2).mean(axis=axes, keepdims=True)
        away = np.abs(x.value).mean(axis=axes, keepdims=True)
    scale = square + 2 * np.abs(mean.value) * away + mean.value**2
    inherited = 4 * np.broadcast_to(x.error, x.shape).mean(axis=axes, keepdims=True) * np.abs(x.value).max(initial=0)
    variance = x.contracted(value, scale, n + 4, inherited if np.any(x.error) else 0.0)
    return mean, Enclosure(variance.value, variance.error, x.format)


def _root(x: Enclosure) -> Enclosure:
    """A square root and its reciprocal, or a reciprocal root in one, to a few units."""
    return x.sqrt() * x.like(1.0) * x.like(1.0)


def _affine(call: NodeCall, normal: Enclosure, index: int, shape: tuple[int, ...] | None = None) -> Enclosure:
    result = normal
    if call.has_input(index):
        scale = call.enclosure(index)
        result = result * (scale if shape is None else scale.shaped(lambda v: v.reshape(shape)))
    if call.has_input(index + 1):
        shift = call.enclosure(index + 1)
        result = result + (shift if shape is None else shift.shaped(lambda v: v.reshape(shape)))
    return result


def _normalized(
    call: NodeCall, x: Enclosure, mean: Enclosure, root: Enclosure, shape: tuple[int, ...] | None = None
) -> Enclosure:
    """(x - m) / root s + b, or x a + (b - m a) with a = s / root, which rounds x a and m a at their full size."""
    result = _affine(call, (x - mean) / root, 1, shape)
    scale, shift = (
        np.abs(call.x(i)).reshape(shape if shape is not None else call.array(i).shape)
        if call.has_input(i)
        else otherwise
        for i, otherwise in ((1, np.ones(())), (2, np.zeros(())))
    )
    folded = 4 * (np.abs(x.value) + np.abs(mean.value)) / root.value * scale + 2 * shift
    return x.checked(result.value, result.error + x.format.unit * np.where(np.isfinite(folded), folded, 0.0))


def _bare(call: NodeCall, index: int) -> Enclosure:
    return call.enclose(call.x(index))


def _batch(call: NodeCall) -> Sequence[ExpectedOutput | Enclosure | None]:
    """(x - m) / sqrt(v + e) s + b, or the same as x a + (b - m a): gamma_8 of the sizes of both."""
    x = call.x(0)
    shape = (1, -1, *[1] * (x.ndim - 2))
    scale, shift, mean, variance = (call.x(i).reshape(shape) for i in range(1, 5))
    epsilon = float(np.float32(call.attribute("epsilon", 1e-5)))
    if not call.attribute("training_mode", 0):
        root = np.sqrt(variance + epsilon)
        value = x - mean
        value /= root
        value *= scale
        value += shift
        return [contracted(call, value, lambda: np.abs(scale) * (np.abs(x) + np.abs(mean)) / root + np.abs(shift), 8)]
    near = _bare(call, 0)
    own, spread = moments(near, (0, *range(2, x.ndim)))
    result = _normalized(call, near, own, _root(spread + call.number(epsilon)), shape)
    keep = call.number(float(call.attribute("momentum", 0.9)))
    flat = [
        _bare(call, i) * keep + m.shaped(lambda v: v.reshape(-1)) * (call.number(1.0) - keep)
        for i, m in ((3, own), (4, spread))
    ]
    return [result, *flat]


def _instance(call: NodeCall) -> Sequence[Enclosure]:
    x = _bare(call, 0)
    mean, variance = moments(x, tuple(range(2, x.value.ndim)))
    root = _root(variance + call.number(float(call.attribute("epsilon", 1e-5))))
    return [_normalized(call, x, mean, root, (1, -1, *[1] * (x.value.ndim - 2)))]


def _layer(call: NodeCall) -> Sequence[Enclosure | ExpectedOutput | None]:
    x = _bare(call, 0)
    axis = int(call.attribute("axis", -1)) % x.value.ndim
    mean, variance = moments(x, tuple(range(axis, x.value.ndim)))
    root = _root(variance + call.number(float(call.attribute("epsilon", 1e-5))))
    inverse = 1.0 / root
    return [_normalized(call, x, mean, root), _stashed(mean), _stashed(inverse)]


def _stashed(near: Enclosure) -> ExpectedOutput:
    """Statistics are float32 (stash_type 1), also of a float16 input."""
    return ExpectedOutput(near.value, "float32" if near.format.dtype != "float64" else "float64", near.error)


def _group(call: NodeCall) -> Sequence[Enclosure]:
    """Groups of channels; the scale is per channel from opset 21, per group before."""
    x = _bare(call, 0)
    n, c, *rest = x.shape
    groups = int(call.attribute("num_groups"))
    parts = x.shaped(lambda v: v.reshape(n, groups, -1))
    mean, variance = moments(parts, (2,))
    root = _root(variance + call.number(float(call.attribute("epsilon", 1e-5))))
    if call.opset < 21:
        return [_normalized(call, parts, mean, root, (1, groups, 1)).shaped(lambda v: v.reshape(n, c, *rest))]
    by_channel = (n, groups, c // groups, -1)
    parts = x.shaped(lambda v: v.reshape(by_channel))
    mean, root = (m.shaped(lambda v: v.reshape(n, groups, 1, 1)) for m in (mean, root))
    return [_normalized(call, parts, mean, root, (1, groups, -1, 1)).shaped(lambda v: v.reshape(n, c, *rest))]


def _rms(call: NodeCall) -> Sequence[Enclosure]:
    x = _bare(call, 0)
    axis = int(call.attribute("axis", -1)) % x.value.ndim
    square = (x * x).mean(tuple(range(axis, x.value.ndim)))
    root = _root(square + call.number(float(call.attribute("epsilon", 1e-5))))
    return [_affine(call, x / root, 1)]


def _lp(call: NodeCall) -> Sequence[Enclosure]:
    x = _bare(call, 0)
    axis, p = int(call.attribute("axis", -1)) % x.value.ndim, int(call.attribute("p", 2))
    if p not in (1, 2):
        raise NotCovered(f"p={p}")
    norm = abs(x).sum((axis,), extra=1) if p == 1 else _root((x * x).sum((axis,), extra=1))
    result = x / norm
    nothing = np.broadcast_to(norm.value == 0, x.shape)
    return [Enclosure(np.where(nothing, 0.0, result.value), np.where(nothing, 0.0, result.error), x.format)]


def _mean_variance(call: NodeCall) -> Sequence[ExpectedOutput]:
    """(x - m) / sqrt v: ONNX's function body adds 1e-9 to the root, its formula does not, and either is right."""
    x = _bare(call, 0)
    mean, variance = moments(x, tuple(int(a) % x.value.ndim for a in call.attribute("axes", [0, 2, 3])))
    root = _root(variance)
    small = np.float32(1e-9)
    plain, added = (x - mean) / root, (x - mean) / (root + call.number(float(small)))
    error = added.error + plain.error + np.abs(added.value - plain.value)
    return [ExpectedOutput(added.value, x.format.dtype, error, unsaid=np.broadcast_to(root.value == 0, x.shape))]


def _local(call: NodeCall) -> Sequence[Enclosure]:
    """x / (bias + alpha / size sum x^2)^beta over neighbouring channels."""
    x = _bare(call, 0)
    size = int(call.attribute("size"))
    before, after = (size - 1) // 2, size - 1 - (size - 1) // 2
    squares = x * x
    total = np.zeros(x.shape)
    error = np.zeros(x.shape)
    for shift in range(-before, after + 1):
        low, high = max(0, -shift), min(x.shape[1], x.shape[1] - shift)
        if low < high:
            total[:, low:high] += squares.value[:, low + shift : high + shift]
            error[:, low:high] += squares.error[:, low + shift : high + shift]
    # A running sum adds the next channel and takes the last one away: it rounds as if it held all channels so far.
    held = squares.size.sum(axis=1, keepdims=True)
    summed = x.contracted(total, np.broadcast_to(held, x.shape), 2 * x.shape[1] + 1, error)
    alpha = call.number(float(call.attribute("alpha", 1e-4)))
    beta = float(np.float32(call.attribute("beta", 0.75)))
    inner = summed * alpha / float(size) + call.number(float(call.attribute("bias", 1.0)))
    c, floor = call.format.elementary["Pow"]
    return [x / inner.rising(lambda v: np.maximum(v, 0) ** beta, c, floor)]


_IMAGE = {"x": "float[2,4,5,3]", "s": "float[4]", "b": "float[4]"}
_ROWS = {"x": "float[2,3,64]", "s": "float[64]", "b": "float[64]"}


OPERATORS = (
    bounded(
        "batch normalization",
        _batch,
        Example("BatchNormalization(x, s, b, m, v)", _IMAGE | {"m": "float[4]", "v": "positive[4]"}, {"v": 1.01}),
        Example(
            "BatchNormalization<training_mode=1>(x, s, b, m, v)",
            _IMAGE | {"m": "float[4]", "v": "positive[4]"},
            {"s": 1.01},
            outputs="y, rm, rv",
        ),
        stock="wrong",
        roundings=counts.batch_normalization,
        steps=6,
        images=(0,),
    ),
    bounded(
        "instance normalization",
        _instance,
        Example("InstanceNormalization(x, s, b)", _IMAGE, "InstanceNormalization<epsilon=0.01>(x, s, b)"),
        roundings=counts.instance_normalization,
        steps=8,
        images=(0,),
    ),
    bounded(
        "layer normalization",
        _layer,
        Example("LayerNormalization(x, s, b)", _ROWS, "LayerNormalization<epsilon=0.01>(x, s, b)"),
        Example("LayerNormalization(x, s)", _ROWS, {"s": 1.01}),
        roundings=counts.from_axis(8),
        steps=8,
        axes=links.same_order,
        any_float=True,
    ),
    bounded(
        "group normalization",
        _group,
        Example(
            "GroupNormalization<num_groups=2>(x, s, b)", _IMAGE, "GroupNormalization<num_groups=4>(x, s, b)", opset=21
        ),
        roundings=counts.of_all(8),
        steps=8,
        images=(0,),
        result_type="stash_type",
    ),
    bounded(
        "root mean square normalization",
        _rms,
        Example("RMSNormalization(x, s)", {"x": "float[2,3,64]", "s": "float[64]"}, {"s": 1.01}, opset=23),
        roundings=counts.from_axis(8),
        steps=8,
        axes=links.same_order,
    ),
    bounded(
        "normalization by a norm",
        _lp,
        Example("LpNormalization<axis=1>(x)", {"x": "float[2,3,7]"}, "LpNormalization<axis=2>(x)"),
        stock="wrong",
        roundings=counts.along_axis(3),
        axes=links.along_axis,
    ),
    bounded(
        "mean variance normalization",
        _mean_variance,
        Example("MeanVarianceNormalization(x)", {"x": "float[2,3,5,4]"}, "MeanVarianceNormalization<axes=[2,3]>(x)"),
        stock="wrong",
        roundings=counts.of_all(8),
        axes=links.same_order,
    ),
    bounded(
        "local response normalization",
        _local,
        Example("LRN<size=3,alpha=0.1>(x)", {"x": "float[2,5,4,3]"}, "LRN<size=5,alpha=0.1>(x)"),
        stock="wrong",
        roundings=counts.channels,
        images=(0,),
    ),
)
