"""Constants made of constants: what an exporter computes in the graph and an optimizer has computed already.

Design note.  Two graphs are not different because one holds ``Shape``, ``Gather``, ``Concat`` where the other holds the
shape that comes out.  This is arithmetic of numpy on constants of a few elements, no run of a model: an operator that
is not listed, a constant that is large or anything that goes wrong is "not folded", never a guess.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

Array = NDArray[Any]
Fold = Callable[[Mapping[str, Any], Sequence[Any]], Any]

_MOST = 1 << 16
_MOST_BROADCAST = 1 << 40


class _No(Exception):
    """It is not folded."""


def _ints(value: Any) -> tuple[int, ...]:
    if value is None:
        raise _No
    return tuple(int(v) for v in np.asarray(value).reshape(-1))


def _axes(held: Mapping[str, Any], given: Sequence[Any], slot: int = 1) -> tuple[int, ...] | None:
    if len(given) > slot and given[slot] is not None:
        return _ints(given[slot])
    return _ints(held["axes"]) if "axes" in held else None


def _slice(held: Mapping[str, Any], given: Sequence[Any]) -> Array:
    data, rest = given[0], list(given[1:])
    starts = _ints(held.get("starts") if not rest else rest[0])
    ends = _ints(held.get("ends") if not rest else rest[1])
    axes = _axes(held, given, 3) or tuple(range(len(starts)))
    steps = _ints(rest[3]) if len(rest) > 3 and rest[3] is not None else (1,) * len(starts)
    cut = [slice(None)] * data.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        size = data.shape[axis]
        first = max(start + size, 0) if start < 0 else min(start, size)
        last: int | None = max(end + size, -1) if end < 0 else min(end, size)
        if step < 0:
            first = min(first, size - 1)
            last = None if last is not None and last < 0 else last
        elif last is not None:
            last = max(last, 0)
        cut[axis] = slice(first, last, step)
    return np.asarray(data[tuple(cut)])


def _unsqueeze(held: Mapping[str, Any], given: Sequence[Any]) -> Array:
    axes = _axes(held, given) or ()
    rank = given[0].ndim + len(axes)
    at = {axis % rank for axis in axes}
    left = iter(given[0].shape)
    return np.asarray(given[0].reshape([1 if axis in at else next(left) for axis in range(rank)]))


def _squeeze(held: Mapping[str, Any], given: Sequence[Any]) -> Array:
    axes = _axes(held, given)
    return np.asarray(np.squeeze(given[0], axes if axes is None else tuple(axes)))


def _reshape(held: Mapping[str, Any], given: Sequence[Any]) -> Array:
    wanted = list(_ints(given[1] if len(given) > 1 else held.get("shape")))
    if not held.get("allowzero"):
        wanted = [given[0].shape[i] if d == 0 else d for i, d in enumerate(wanted)]
    return np.asarray(given[0].reshape(wanted))


def _expand(held: Mapping[str, Any], given: Sequence[Any]) -> Array:
    wanted = _ints(given[1])
    shape = np.broadcast_shapes(given[0].shape, wanted)
    return _broadcast(given[0], shape)


def _broadcast(value: Array, shape: Sequence[int]) -> Array:
    if int(np.prod(shape, dtype=object)) > _MOST_BROADCAST:
        raise _No
    return np.broadcast_to(value, shape)


def _constant_of_shape(held: Mapping[str, Any], given: Sequence[Any]) -> Array:
    value = held.get("value")
    filled = np.zeros(1, np.float32) if value is None else onnx.numpy_helper.to_array(value)
    return _broadcast(filled.reshape(()), _ints(given[0]))


def _cast(held: Mapping[str, Any], given: Sequence[Any]) -> Array:
    return np.asarray(given[0].astype(onnx.helper.tensor_dtype_to_np_dtype(held["to"])))


def _range(held: Mapping[str, Any], given: Sequence[Any]) -> Array:
    start, limit, delta = (np.asarray(v).reshape(()) for v in given)
    if delta == 0 or abs((limit - start) / delta) > _MOST:
        raise _No
    return np.asarray(np.arange(start.item(), limit.item(), delta.item(), dtype=start.dtype))


def _divide(held: Mapping[str, Any], given: Sequence[Any]) -> Array:
    left, right = given
    if np.issubdtype(left.dtype, np.integer):
        if not np.all(right):
            raise _No
        return np.asarray(np.trunc(np.true_divide(left, right)).astype(left.dtype))
    return np.asarray(left / right)


def _gather(held: Mapping[str, Any], given: Sequence[Any]) -> Array:
    return np.asarray(np.take(given[0], given[1], axis=held.get("axis", 0)))


def _concat(held: Mapping[str, Any], given: Sequence[Any]) -> Array:
    return np.concatenate(list(given), axis=held["axis"])


def _trilu(held: Mapping[str, Any], given: Sequence[Any]) -> Array:
    k = int(np.asarray(given[1]).reshape(())) if len(given) > 1 and given[1] is not None else 0
    return np.asarray(np.triu(given[0], k) if held.get("upper", 1) else np.tril(given[0], k))


def _reduce(function: Callable[..., Any]) -> Fold:
    def fold(held: Mapping[str, Any], given: Sequence[Any]) -> Array:
        axes = _axes(held, given)
        if axes is None and held.get("noop_with_empty_axes"):
            raise _No
        return np.asarray(function(given[0], axis=axes, keepdims=bool(held.get("keepdims", 1)))).astype(given[0].dtype)

    return fold


def _plain(function: Callable[..., Any]) -> Fold:
    return lambda held, given: function(*given)


_FOLDS: Mapping[str, Fold] = {
    "Slice": _slice,
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "Reshape": _reshape,
    "Expand": _expand,
    "ConstantOfShape": _constant_of_shape,
    "Cast": _cast,
    "Range": _range,
    "Div": _divide,
    "Gather": _gather,
    "Concat": _concat,
    "Trilu": _trilu,
    "ReduceProd": _reduce(np.prod),
    "ReduceSum": _reduce(np.sum),
    "ReduceMax": _reduce(np.max),
    "ReduceMin": _reduce(np.min),
    "Add": _plain(np.add),
    "Sub": _plain(np.subtract),
    "Mul": _plain(np.multiply),
    "Neg": _plain(np.negative),
    "Abs": _plain(np.abs),
    "Sqrt": _plain(np.sqrt),
    "Floor": _plain(np.floor),
    "Ceil": _plain(np.ceil),
    "Reciprocal": _plain(lambda x: (1 / x).astype(x.dtype)),
    "Not": _plain(np.logical_not),
    "And": _plain(np.logical_and),
    "Or": _plain(np.logical_or),
    "Equal": _plain(np.equal),
    "Less": _plain(np.less),
    "Greater": _plain(np.greater),
    "LessOrEqual": _plain(np.less_equal),
    "GreaterOrEqual": _plain(np.greater_equal),
    "Where": _plain(np.where),
    "Max": _plain(lambda *all_: np.maximum.reduce(np.broadcast_arrays(*all_))),
    "Min": _plain(lambda *all_: np.minimum.reduce(np.broadcast_arrays(*all_))),
}
_LAZY = ("Expand", "ConstantOfShape")
_VIEWS = ("Squeeze", "Unsqueeze", "Reshape")


def fold(op: str, held: Mapping[str, Any], given: Sequence[Array | None]) -> Array | None:
    """The one result of an operator on constants (an absent one is ``None``), or ``None`` where it is not folded."""
    rule = _FOLDS.get(op)
    present = [v for v in given if v is not None]
    if rule is None or not present or given[0] is None:
        return None
    if op not in _VIEWS and sum(v.size for v in present) > _MOST:
        return None
    if op not in (*_LAZY, *_VIEWS) and int(np.prod([max(1, v.size) for v in present], dtype=object)) > _MOST:
        shapes = [v.shape for v in present]
        try:
            wide = int(np.prod(np.broadcast_shapes(*shapes), dtype=object))
        except ValueError:
            wide = 0  # no broadcasting operator: the result is not larger than its operands
        if wide > _MOST:
            return None
    try:
        with np.errstate(all="ignore"):
            made = np.asarray(rule(held, given))
    except Exception:  # whatever numpy says to operands that somebody else wrote: it is not folded
        return None
    return made if op in (*_LAZY, *_VIEWS) or made.size <= _MOST else None
