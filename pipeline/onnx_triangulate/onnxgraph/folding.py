"""Constants made of constants: what an exporter computes in the graph and an optimizer has computed already.

Design note.  Two graphs are not different because one holds ``Shape``, ``Gather``, ``Concat`` where the other holds the
shape that comes out.  This is arithmetic of numpy on constants of a few elements, no run of a model: an operator that
is not listed, a constant that is large or anything that goes wrong is "not folded", never a guess.  Nor is folded what
runtimes may have different results for: sums and ranges of floats that round, integers that overflow, numbers cast to
where they do not fit, the largest of what is no number.
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
_FRACTION = 1 << 10
_BFLOAT16 = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(onnx.TensorProto.BFLOAT16))
_MANTISSA = {np.dtype(np.float16): 11, np.dtype(np.float32): 24, np.dtype(np.float64): 53, _BFLOAT16: 8}


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


def _each_once(axes: Sequence[int], rank: int) -> set[int]:
    """Axes counted from the front, each of which there must be, and once."""
    made = {axis % rank for axis in axes if -rank <= axis < rank}
    if len(made) != len(axes):
        raise _No
    return made


def _one_type(given: Sequence[Any], kinds: str) -> None:
    """ONNX has no arithmetic of mixed types; numpy does."""
    types = {v.dtype for v in given}
    if len(types) != 1 or next(iter(types)).kind not in kinds:
        raise _No


def _fits(made: Array, wide: Any) -> None:
    """That no integer has overflown, by what comes out in float64: they wrap by far more than that is off."""
    if made.dtype.kind in "iu" and not np.all(np.abs(made - wide) < 2.0 ** (np.iinfo(made.dtype).bits - 1)):
        raise _No


def _whole(value: Array, size: Any) -> None:
    """That numbers are integers and small enough (``size``) for their type to hold any sum of them exactly."""
    if value.dtype.kind != "f":
        return
    whole = np.all((value == np.trunc(value)) & ~((value == 0) & np.signbit(value)))
    if not whole or not np.all(size < 2.0 ** _MANTISSA[value.dtype]):
        raise _No


def _slice(held: Mapping[str, Any], given: Sequence[Any]) -> Array:
    data, rest = given[0], list(given[1:])
    starts = _ints(held.get("starts") if not rest else rest[0])
    ends = _ints(held.get("ends") if not rest else rest[1])
    axes = _axes(held, given, 3) or tuple(range(len(starts)))
    steps = _ints(rest[3]) if len(rest) > 3 and rest[3] is not None else (1,) * len(starts)
    cut = [slice(None)] * data.ndim
    _each_once(axes, data.ndim)
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
    axes = _axes(held, given)
    if axes is None:
        raise _No
    rank = given[0].ndim + len(axes)
    at = _each_once(axes, rank)
    left = iter(given[0].shape)
    return np.asarray(given[0].reshape([1 if axis in at else next(left) for axis in range(rank)]))


def _squeeze(held: Mapping[str, Any], given: Sequence[Any]) -> Array:
    axes = _axes(held, given)
    if axes == ():
        raise _No  # all or none
    return np.asarray(np.squeeze(given[0], axes))


def _reshape(held: Mapping[str, Any], given: Sequence[Any]) -> Array:
    wanted = list(_ints(given[1] if len(given) > 1 else held.get("shape")))
    if any(d < -1 for d in wanted):
        raise _No
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
    value, wanted = given[0], np.dtype(onnx.helper.tensor_dtype_to_np_dtype(held["to"]))
    for dtype in (value.dtype, wanted):
        if dtype.kind not in "fiub" and dtype != _BFLOAT16:
            raise _No
    made = np.asarray(value.astype(wanted))
    real, whole = value.dtype in _MANTISSA, wanted.kind in "iu"
    if real and whole:
        wide = np.trunc(value.astype(np.float64))
        known = np.iinfo(wanted)
        if not np.all((wide >= float(known.min)) & (wide < 2.0 ** (known.bits - (wanted.kind == "i")))):
            raise _No
    elif _MANTISSA.get(wanted, 53) < 24 and value.dtype.itemsize > 2 and value.dtype != np.float32:
        back = made.astype(value.dtype)  # by way of float32 or not: two roundings or one
        if not np.array_equal(back, value):
            raise _No
    elif {value.dtype, wanted} == {np.dtype(np.float16), _BFLOAT16}:
        raise _No
    return made


def _range(held: Mapping[str, Any], given: Sequence[Any]) -> Array:
    """Floats where all that is added is exact: integers, or such of a fraction that is a power of two."""
    _one_type(given, "fi")
    dtype, scale = given[0].dtype, 1
    start, limit, delta = (np.asarray(v).reshape(()) for v in given)
    if dtype.kind == "f":
        wide = np.asarray([start, limit, delta], np.float64)
        scale = 1 if np.all(wide[::2] == np.trunc(wide[::2])) else _FRACTION
        wide *= scale
        if np.any(wide[::2] != np.trunc(wide[::2])) or not np.all(2 * np.abs(wide) < 2.0 ** _MANTISSA[dtype]):
            raise _No
        start, limit, delta = wide[0], np.ceil(wide[1]) if delta > 0 else np.floor(wide[1]), wide[2]
    if not delta or abs((int(limit) - int(start)) // int(delta)) > _MOST:
        raise _No
    made = np.asarray(range(int(start), int(limit), int(delta)), np.int64)
    return np.asarray(made / scale if scale > 1 else made).astype(dtype)


def _divide(left: Array, right: Array) -> Array:
    if left.dtype.kind == "f":
        return np.asarray(left / right)
    if not np.all(right):
        raise _No
    down = np.floor_divide(left, right)  # towards minus infinity, ONNX's towards zero
    return np.asarray(down + ((left % right != 0) & ((left < 0) != (right < 0)))).astype(left.dtype)


def _gather(held: Mapping[str, Any], given: Sequence[Any]) -> Array:
    return np.asarray(np.take(given[0], given[1], axis=held.get("axis", 0)))


def _concat(held: Mapping[str, Any], given: Sequence[Any]) -> Array:
    if len({v.dtype for v in given}) != 1:
        raise _No
    return np.concatenate(list(given), axis=held["axis"])


def _trilu(held: Mapping[str, Any], given: Sequence[Any]) -> Array:
    if given[0].ndim < 2:
        raise _No
    k = int(np.asarray(given[1]).reshape(())) if len(given) > 1 and given[1] is not None else 0
    return np.asarray(np.triu(given[0], k) if held.get("upper", 1) else np.tril(given[0], k))


def _reduce(function: Callable[..., Any], least: int | None = None) -> Fold:
    """``least`` is what makes a sum (or a product) on the way no larger; of the largest there is none."""

    def fold(held: Mapping[str, Any], given: Sequence[Any]) -> Array:
        data = given[0]
        _one_type([data], "fiu")
        axes = _axes(held, given) or None
        if axes is None and held.get("noop_with_empty_axes"):
            raise _No
        made = np.asarray(function(data, axis=axes, keepdims=bool(held.get("keepdims", 1)))).astype(data.dtype)
        if least is not None:
            wide = data.astype(np.float64)
            _whole(data, function(np.maximum(np.abs(wide), least)))
            _fits(made, function(wide, axis=axes, keepdims=bool(held.get("keepdims", 1))))
        else:
            _ordered(made, given[:1])
        return made

    return fold


def _ordered(made: Array, given: Sequence[Any]) -> None:
    """That the largest is one: no number and the two zeros are none."""
    if made.dtype.kind != "f":
        return
    if any(np.any(np.isnan(v)) for v in given) or (
        np.any(made == 0) and any(np.any(np.signbit(v) & (v == 0)) for v in given)
    ):
        raise _No


def _arithmetic(function: Callable[..., Any], kinds: str) -> Fold:
    def fold(held: Mapping[str, Any], given: Sequence[Any]) -> Array:
        _plainly(held, given, kinds)
        made = np.asarray(function(*given)).astype(given[0].dtype)
        _fits(made, function(*(v.astype(np.float64) for v in given)))
        return made

    return fold


def _plainly(held: Mapping[str, Any], given: Sequence[Any], kinds: str) -> None:
    if held.get("broadcast"):
        raise _No  # along an axis that early opsets say
    _one_type(given, kinds)


def _compared(function: Callable[..., Any], kinds: str = "fiub") -> Fold:
    def fold(held: Mapping[str, Any], given: Sequence[Any]) -> Array:
        _plainly(held, given, kinds)
        return np.asarray(function(*given))

    return fold


def _largest(function: Any) -> Fold:
    def fold(held: Mapping[str, Any], given: Sequence[Any]) -> Array:
        _one_type(given, "fiu")
        made = np.asarray(function.reduce(np.broadcast_arrays(*given)))
        _ordered(made, given)
        return made

    return fold


def _where(held: Mapping[str, Any], given: Sequence[Any]) -> Array:
    if given[0].dtype != np.bool_ or given[1].dtype != given[2].dtype:
        raise _No
    return np.asarray(np.where(*given))


FOLDS: Mapping[str, Fold] = {
    "Slice": _slice,
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "Reshape": _reshape,
    "Expand": _expand,
    "ConstantOfShape": _constant_of_shape,
    "Cast": _cast,
    "Range": _range,
    "Gather": _gather,
    "Concat": _concat,
    "Trilu": _trilu,
    "ReduceProd": _reduce(np.prod, 1),
    "ReduceSum": _reduce(np.sum, 0),
    "ReduceMax": _reduce(np.max),
    "ReduceMin": _reduce(np.min),
    "Add": _arithmetic(np.add, "fiu"),
    "Sub": _arithmetic(np.subtract, "fiu"),
    "Mul": _arithmetic(np.multiply, "fiu"),
    "Div": _arithmetic(_divide, "fiu"),
    "Neg": _arithmetic(np.negative, "fi"),
    "Abs": _arithmetic(np.abs, "fiu"),
    "Sqrt": _arithmetic(np.sqrt, "f"),
    "Floor": _arithmetic(np.floor, "f"),
    "Ceil": _arithmetic(np.ceil, "f"),
    "Reciprocal": _arithmetic(lambda x: 1 / x, "f"),
    "Not": _compared(np.logical_not, "b"),
    "And": _compared(np.logical_and, "b"),
    "Or": _compared(np.logical_or, "b"),
    "Equal": _compared(np.equal),
    "Less": _compared(np.less),
    "Greater": _compared(np.greater),
    "LessOrEqual": _compared(np.less_equal),
    "GreaterOrEqual": _compared(np.greater_equal),
    "Where": _where,
    "Transpose": lambda held, given: np.transpose(given[0], held.get("perm")),
    "Max": _largest(np.maximum),
    "Min": _largest(np.minimum),
}
_LAZY = ("Expand", "ConstantOfShape")
_VIEWS = ("Squeeze", "Unsqueeze", "Reshape")


def fold(op: str, held: Mapping[str, Any], given: Sequence[Array | None]) -> Array | None:
    """The one result of an operator on constants (an absent one is ``None``), or ``None`` where it is not folded."""
    rule = FOLDS.get(op)
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


def fold_shape(held: Mapping[str, Any], dims: Sequence[int | None] | None) -> Array | None:
    """What a Shape node makes of a value of these sizes; ``None`` where one of them is not known."""
    start, end = held.get("start", 0), held.get("end")
    if dims is None or None in dims or not isinstance(start, int) or not isinstance(end, int | None):
        return None
    return np.asarray(dims[start:end], np.int64)
