"""Selection: the result is one of the inputs' own values, or its bits turned; no rounding.

Which value is selected follows from the values alone, so that the input's own bound passes through a maximum (it is
continuous) and matters only where a place is returned: ``ops.families.discontinuous``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from onnx_triangulate.ops.families.reductions import reduced_axes
from onnx_triangulate.ops.registry import Answer, Asked, Example, NoRule, Rule, exact
from onnx_triangulate.ops.windows import pooled_axes, windows
from onnx_triangulate.records.arrays import Array

_SOURCE = "one of the inputs' values comes out: no arithmetic is done"


def _elementwise(function: Callable[[Asked], Array]) -> Callable[[Asked], Sequence[Answer]]:
    return lambda asked: [exact(function(asked))]


def _relu(asked: Asked) -> Sequence[Answer]:
    x = asked.array(0)
    return [exact(np.where(x < 0, np.zeros((), x.dtype), x), unsaid=_nan(x))]


def _extreme(function: Callable[[Array, Array], Array]) -> Callable[[Asked], Sequence[Answer]]:
    def bound(asked: Asked) -> Sequence[Answer]:
        values = [v for v in asked.consumed if v is not None]
        result = values[0]
        for value in values[1:]:
            result = function(result, value)
        return [exact(np.asarray(result, dtype=values[0].dtype), unsaid=_nan(result))]

    return bound


def _clip(asked: Asked) -> Sequence[Answer]:
    x = asked.array(0)
    if asked.opset < 11:
        low: Array | None = np.asarray(asked.attribute("min", -3.4028234663852886e38), dtype=x.dtype)
        high: Array | None = np.asarray(asked.attribute("max", 3.4028234663852886e38), dtype=x.dtype)
    else:
        low = asked.array(1) if asked.given(1) else None
        high = asked.array(2) if asked.given(2) else None
    result = x if low is None else np.maximum(x, low)
    result = result if high is None else np.minimum(result, high)
    # Some runtimes clip to their type's largest number where no bound is given.
    return [exact(np.asarray(result, dtype=x.dtype), unsaid=_nan(x) | (np.isinf(x) if x.dtype.kind == "f" else False))]


def _thresholded(asked: Asked) -> Sequence[Answer]:
    x = asked.array(0)
    return [exact(np.where(x > x.dtype.type(asked.attribute("alpha", 1.0)), x, x.dtype.type(0)), unsaid=_nan(x))]


def _reduced(function: Callable[..., Array]) -> Callable[[Asked], Sequence[Answer]]:
    def bound(asked: Asked) -> Sequence[Answer]:
        x = asked.array(0)
        axes = reduced_axes(asked, x.ndim)
        if any(x.shape[a] == 0 for a in axes):
            raise NoRule("an extreme of nothing")
        keep = bool(asked.attribute("keepdims", 1))
        result = function(x, axis=axes, keepdims=keep) if axes else x
        unsaid = _nan(x).any(axis=axes, keepdims=keep) if axes else _nan(x)
        return [exact(np.asarray(result), unsaid=np.asarray(unsaid))]

    return bound


def _max_pool(asked: Asked) -> Sequence[Answer | None]:
    x = asked.array(0)
    least = np.iinfo(x.dtype).min if x.dtype.kind in "iu" else -np.inf
    geometry = pooled_axes(asked, x.shape[2:])
    values = windows(x, geometry, least)
    axes = tuple(range(2 + len(geometry), values.ndim))
    pooled = values.max(axis=axes)
    unsaid = np.isnan(pooled) if x.dtype.kind == "f" else np.zeros(pooled.shape, bool)
    answers: list[Answer | None] = [exact(pooled, unsaid=unsaid)]
    if asked.wanted(1):
        answers.append(_places(asked, x, values, pooled, axes))
    return answers


def _places(asked: Asked, x: Array, values: Array, pooled: Array, axes: tuple[int, ...]) -> Answer | None:
    """Indices into the flattened input, as an equality of values: ties may be broken either way."""
    seen = asked.produced[1] if len(asked.produced) > 1 else None
    if seen is None or seen.shape != pooled.shape or seen.dtype != np.int64:
        return Answer(np.full(pooled.shape, -1, np.int64), "int64")
    ranks = list(range(x.ndim))
    if asked.attribute("storage_order", 0) == 1:
        ranks = [0, 1, *reversed(ranks[2:])]
    flat = np.transpose(x, ranks).reshape(-1)
    spot = np.clip(seen, 0, flat.size - 1)
    plane = int(np.prod(x.shape[2:], dtype=np.int64))
    owner = (np.arange(pooled.size) // max(int(np.prod(pooled.shape[2:])), 1)).reshape(pooled.shape)
    right = (flat[spot] == pooled) & (seen == spot) & (spot // plane == owner)
    return exact(np.where(right, seen, -1))


def _global_max(asked: Asked) -> Sequence[Answer]:
    x = asked.array(0)
    axes = tuple(range(2, x.ndim))
    return [exact(x.max(axis=axes, keepdims=True), unsaid=np.asarray(_nan(x).any(axis=axes, keepdims=True)))]


def _max_unpool(asked: Asked) -> Sequence[Array]:
    if asked.given(2):
        raise NoRule("an output shape, for which ONNX's own evaluator puts values elsewhere than its operator says")
    return asked.reference(double=False)


def _nan(x: Array) -> Array:
    return np.asarray(np.isnan(x.astype(np.float64))) if x.dtype.kind not in "iub" else np.zeros(x.shape, bool)


_X = {"x": "float[2,3,7]"}
_PAIR = {"x": "float[2,3,7]", "z": "float[3,1]"}
_IMAGE = {"x": "float[2,3,7,8]"}

RULES = (
    Rule("relu", ("Relu",), _relu, "negatives become 0", _SOURCE, (Example("Relu(x)", _X, "Abs(x)"),)),
    Rule("larger", ("Max",), _extreme(np.maximum), "the largest", _SOURCE, (Example("Max(x, z)", _PAIR, "Min(x, z)"),)),
    Rule(
        "smaller", ("Min",), _extreme(np.minimum), "the smallest", _SOURCE, (Example("Min(x, z)", _PAIR, "Max(x, z)"),)
    ),
    Rule(
        "clip",
        ("Clip",),
        _clip,
        "values between two bounds",
        _SOURCE,
        (Example("Clip(x, a, b)", _X | {"a": np.float32(-1), "b": np.float32(0.5)}, "Clip(x, a)"),),
    ),
    Rule(
        "thresholded relu",
        ("ThresholdedRelu",),
        _thresholded,
        "values above a threshold",
        _SOURCE,
        (Example("ThresholdedRelu<alpha=0.75>(x)", _X, "ThresholdedRelu<alpha=0.1>(x)"),),
    ),
    Rule(
        "absolute value",
        ("Abs",),
        _elementwise(lambda a: np.abs(a.array(0))),
        "the sign is dropped",
        _SOURCE,
        (Example("Abs(x)", _X, "Relu(x)"),),
    ),
    Rule(
        "negation",
        ("Neg",),
        _elementwise(lambda a: np.asarray(-a.array(0))),
        "the sign is turned",
        _SOURCE,
        (Example("Neg(x)", _X, "Identity(x)"),),
    ),
    Rule(
        "largest along axes",
        ("ReduceMax",),
        _reduced(np.max),
        "the largest along axes",
        _SOURCE,
        (Example("ReduceMax<keepdims=0>(x, a)", _X | {"a": [1]}, "ReduceMin<keepdims=0>(x, a)"),),
    ),
    Rule(
        "smallest along axes",
        ("ReduceMin",),
        _reduced(np.min),
        "the smallest along axes",
        _SOURCE,
        (Example("ReduceMin<keepdims=0>(x, a)", _X | {"a": [1]}, "ReduceMax<keepdims=0>(x, a)"),),
    ),
    Rule(
        "max pooling",
        ("MaxPool",),
        _max_pool,
        "the largest in each window; of equal ones any place may be named",
        _SOURCE,
        (
            Example(
                "MaxPool<kernel_shape=[3,3],strides=[2,2],pads=[0,0,1,1]>(x)",
                _IMAGE,
                "MaxPool<kernel_shape=[3,3],strides=[2,2],pads=[1,1,0,0]>(x)",
            ),
            Example("MaxPool<kernel_shape=[2,3],ceil_mode=1,strides=[2,2]>(x)", _IMAGE, {"x": 1.01}, outputs="y, i"),
        ),
    ),
    Rule(
        "global max pooling",
        ("GlobalMaxPool",),
        _global_max,
        "the largest of each plane",
        _SOURCE,
        (Example("GlobalMaxPool(x)", _IMAGE, "GlobalAveragePool(x)"),),
    ),
    Rule(
        "max unpooling",
        ("MaxUnpool",),
        _max_unpool,
        "values put back to their places",
        _SOURCE,
        (
            Example(
                "MaxUnpool<kernel_shape=[2,2],strides=[2,2]>(x, i)",
                {"x": "float[1,1,2,2]", "i": [[[[5, 7], [13, 15]]]]},
                {"x": 1.01},
            ),
        ),
    ),
)
