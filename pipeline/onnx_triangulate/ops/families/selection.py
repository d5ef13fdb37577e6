"""Selection: the result is one of the inputs' own values, or its bits turned; no rounding.

Which value is selected follows from the values alone, so that the input's own bound passes through a maximum (it is
continuous) and matters only where a place is returned: ``ops.families.discontinuous``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from onnx_triangulate.ops import axis_propagation as links
from onnx_triangulate.ops.calls import ExpectedOutput, NodeCall, NotCovered, exact
from onnx_triangulate.ops.examples import Example
from onnx_triangulate.ops.families.reductions import reduced_axes
from onnx_triangulate.ops.operator import WindowForm, alike, bounded
from onnx_triangulate.ops.window_geometry import pooled_axes, windows
from onnx_triangulate.records.arrays import Array


def _elementwise(function: Callable[[NodeCall], Array]) -> Callable[[NodeCall], Sequence[ExpectedOutput]]:
    return lambda call: [exact(function(call))]


def _relu(call: NodeCall) -> Sequence[ExpectedOutput]:
    x = call.array(0)
    return [exact(np.where(x < 0, np.zeros((), x.dtype), x), unsaid=_nan(x))]


def _extreme(function: Callable[[Array, Array], Array]) -> Callable[[NodeCall], Sequence[ExpectedOutput]]:
    def bound(call: NodeCall) -> Sequence[ExpectedOutput]:
        values = [v for v in call.consumed if v is not None]
        result = values[0]
        for value in values[1:]:
            result = function(result, value)
        return [exact(np.asarray(result, dtype=values[0].dtype), unsaid=_nan(result))]

    return bound


def _clip(call: NodeCall) -> Sequence[ExpectedOutput]:
    x = call.array(0)
    if call.opset < 11:
        low: Array | None = np.asarray(call.attribute("min", -3.4028234663852886e38), dtype=x.dtype)
        high: Array | None = np.asarray(call.attribute("max", 3.4028234663852886e38), dtype=x.dtype)
    else:
        low = call.array(1) if call.has_input(1) else None
        high = call.array(2) if call.has_input(2) else None
    result = x if low is None else np.maximum(x, low)
    result = result if high is None else np.minimum(result, high)
    # Some runtimes clip to their type's largest number where no bound is given.
    return [exact(np.asarray(result, dtype=x.dtype), unsaid=_nan(x) | (np.isinf(x) if x.dtype.kind == "f" else False))]


def _thresholded(call: NodeCall) -> Sequence[ExpectedOutput]:
    x = call.array(0)
    return [exact(np.where(x > x.dtype.type(call.attribute("alpha", 1.0)), x, x.dtype.type(0)), unsaid=_nan(x))]


def _reduced(function: Callable[..., Array]) -> Callable[[NodeCall], Sequence[ExpectedOutput]]:
    def bound(call: NodeCall) -> Sequence[ExpectedOutput]:
        x = call.array(0)
        axes = reduced_axes(call, x.ndim)
        if any(x.shape[a] == 0 for a in axes):
            raise NotCovered("an extreme of nothing")
        keep = bool(call.attribute("keepdims", 1))
        result = function(x, axis=axes, keepdims=keep) if axes else x
        unsaid = _nan(x).any(axis=axes, keepdims=keep) if axes else _nan(x)
        return [exact(np.asarray(result), unsaid=np.asarray(unsaid))]

    return bound


def _max_pool(call: NodeCall) -> Sequence[ExpectedOutput | None]:
    x = call.array(0)
    least = np.iinfo(x.dtype).min if x.dtype.kind in "iu" else -np.inf
    geometry = pooled_axes(call, x.shape[2:])
    values = windows(x, geometry, least)
    axes = tuple(range(2 + len(geometry), values.ndim))
    pooled = values.max(axis=axes)
    unsaid = np.isnan(pooled) if x.dtype.kind == "f" else np.zeros(pooled.shape, bool)
    answers: list[ExpectedOutput | None] = [exact(pooled, unsaid=unsaid)]
    if call.has_output(1):
        answers.append(_places(call, x, values, pooled, axes))
    return answers


def _places(call: NodeCall, x: Array, values: Array, pooled: Array, axes: tuple[int, ...]) -> ExpectedOutput | None:
    """Indices into the flattened input, as an equality of values: ties may be broken either way."""
    seen = call.produced[1] if len(call.produced) > 1 else None
    if seen is None or seen.shape != pooled.shape or seen.dtype != np.int64:
        return ExpectedOutput(np.full(pooled.shape, -1, np.int64), "int64")
    ranks = list(range(x.ndim))
    if call.attribute("storage_order", 0) == 1:
        ranks = [0, 1, *reversed(ranks[2:])]
    flat = np.transpose(x, ranks).reshape(-1)
    spot = np.clip(seen, 0, flat.size - 1)
    plane = int(np.prod(x.shape[2:], dtype=np.int64))
    owner = (np.arange(pooled.size) // max(int(np.prod(pooled.shape[2:])), 1)).reshape(pooled.shape)
    right = (flat[spot] == pooled) & (seen == spot) & (spot // plane == owner)
    return exact(np.where(right, seen, -1))


def _max_pool_value(call: NodeCall) -> Sequence[Array]:
    """The largest number of each window, and the first place of it in the flattened input."""
    x, rank = call.array(0), call.array(0).ndim - 2
    axes = pooled_axes(call, x.shape[2:])
    seen = windows(x, axes, np.iinfo(x.dtype).min if x.dtype.kind in "iu" else -np.inf)
    columns_first, kernel = bool(call.attribute("storage_order", 0)), seen.shape[2 + rank :]
    taps = np.arange(int(np.prod(kernel))).reshape(kernel)
    order = (taps.transpose() if columns_first else taps).reshape(-1)
    flat = seen.reshape(*seen.shape[: 2 + rank], -1)[..., order]
    best = flat.argmax(-1)
    most = np.take_along_axis(flat, best[..., None], -1)[..., 0]
    place = np.arange(x.shape[0] * x.shape[1], dtype=np.int64).reshape(x.shape[:2] + (1,) * rank)
    place = place * int(np.prod(x.shape[2:], dtype=np.int64))
    for i, (axis, tap) in enumerate(zip(axes, np.unravel_index(order[best], kernel), strict=True)):
        outputs = np.arange(axis.outputs).reshape([-1 if j == i else 1 for j in range(rank)])
        others = x.shape[2 : 2 + i] if columns_first else x.shape[3 + i :]
        place = place + (outputs * axis.stride + tap * axis.dilation - axis.begin) * int(
            np.prod(others, dtype=np.int64)
        )
    return [most, place]


def _global_max(call: NodeCall) -> Sequence[ExpectedOutput]:
    x = call.array(0)
    axes = tuple(range(2, x.ndim))
    return [exact(x.max(axis=axes, keepdims=True), unsaid=np.asarray(_nan(x).any(axis=axes, keepdims=True)))]


def _max_unpool(call: NodeCall) -> Sequence[Array]:
    if call.has_input(2):
        raise NotCovered("an output shape, for which ONNX's own evaluator puts values elsewhere than its operator says")
    return call.reference(double=False)


def _nan(x: Array) -> Array:
    return np.asarray(np.isnan(x.astype(np.float64))) if x.dtype.kind not in "iub" else np.zeros(x.shape, bool)


_X = {"x": "float[2,3,7]"}
_PAIR = {"x": "float[2,3,7]", "z": "float[3,1]"}
_IMAGE = {"x": "float[2,3,7,8]"}

OPERATORS = (
    *alike(
        bounded("relu", _relu, Example("Relu(x)", _X, "Abs(x)"), axes=links.same),
        bounded(
            "larger",
            _extreme(np.maximum),
            Example("Max(x, z)", _PAIR, "Min(x, z)"),
            axes=links.elementwise,
            commutes=True,
            limits=(0, 1),
        ),
        bounded(
            "smaller",
            _extreme(np.minimum),
            Example("Min(x, z)", _PAIR, "Max(x, z)"),
            axes=links.elementwise,
            commutes=True,
            limits=(0, 1),
        ),
        bounded(
            "clip",
            _clip,
            Example("Clip(x, a, b)", _X | {"a": np.float32(-1), "b": np.float32(0.5)}, "Clip(x, a)"),
            axes=links.same,
            limits=(1, 2),
        ),
        bounded(
            "largest along axes",
            _reduced(np.max),
            Example("ReduceMax<keepdims=0>(x, a)", _X | {"a": [1]}, "ReduceMin<keepdims=0>(x, a)"),
            axes=links.reduce,
            picks=True,
        ),
        bounded(
            "smallest along axes",
            _reduced(np.min),
            Example("ReduceMin<keepdims=0>(x, a)", _X | {"a": [1]}, "ReduceMax<keepdims=0>(x, a)"),
            axes=links.reduce,
            picks=True,
        ),
        bounded(
            "max pooling",
            _max_pool,
            Example(
                "MaxPool<kernel_shape=[3,3],strides=[2,2],pads=[0,0,1,1]>(x)",
                _IMAGE,
                "MaxPool<kernel_shape=[3,3],strides=[2,2],pads=[1,1,0,0]>(x)",
            ),
            Example("MaxPool<kernel_shape=[2,3],ceil_mode=1,strides=[2,2]>(x)", _IMAGE, {"x": 1.01}, outputs="y, i"),
            value=_max_pool_value,
            stock="wrong",
            picks=True,
            window=WindowForm("MaxPool"),
            images=(0,),
        ),
        bounded(
            "global max pooling",
            _global_max,
            Example("GlobalMaxPool(x)", _IMAGE, "GlobalAveragePool(x)"),
            stock="wrong",
            picks=True,
            images=(0,),
        ),
        roundings=0,
        nan_open=True,
        zero_sign_open=True,
    ),
    bounded(
        "thresholded relu",
        _thresholded,
        Example("ThresholdedRelu<alpha=0.75>(x)", _X, "ThresholdedRelu<alpha=0.1>(x)"),
        roundings=0,
        axes=links.same,
        jumps="at places",
    ),
    bounded(
        "absolute value",
        _elementwise(lambda a: np.abs(a.array(0))),
        Example("Abs(x)", _X, "Relu(x)"),
        roundings=0,
        axes=links.same,
    ),
    bounded(
        "negation",
        _elementwise(lambda a: np.asarray(-a.array(0))),
        Example("Neg(x)", _X, "Identity(x)"),
        roundings=0,
        axes=links.same,
    ),
    bounded(
        "max unpooling",
        _max_unpool,
        Example(
            "MaxUnpool<kernel_shape=[2,2],strides=[2,2]>(x, i)",
            {"x": "float[1,1,2,2]", "i": [[[[5, 7], [13, 15]]]]},
            {"x": 1.01},
        ),
        roundings=0,
        window=WindowForm("MaxUnpool"),
        images=(0, 1),
    ),
)
