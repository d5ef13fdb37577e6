"""The comparer: two parties' outputs, and what is between them.

It returns a record that says how many elements it compared, and why not more.  Names, count, shape and type come
before values; nothing is broadcast and nothing is skipped; NaN equals only NaN and an infinity only itself; integers do
not wrap; nothing compared is never agreement.  A difference is measured against what each element is allowed, which the
caller derives; there is no tolerance here.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.case import Absent
from onnx_triangulate.records.runs import Outcome

_SEVERITY: dict[str, int] = {"equal": 0, "rounding": 1, "missing": 2, "diverges": 3}


@dataclass(frozen=True)
class Comparison:
    """What lies between two sets of outputs; see ``records.runs.Diff`` for the meaning of the fields."""

    outcome: Outcome
    compared: int = 0
    max_abs: float | None = None
    ratio: float | None = None
    output: str | None = None
    index: tuple[int, ...] | None = None
    values: tuple[float, float] | None = None
    differing: int = 0
    nan_only: bool = False
    problem: str | None = None
    explanation: str | None = None
    empty: tuple[str, ...] = ()


def compare(
    left: Mapping[str, Array | Absent],
    right: Mapping[str, Array | Absent],
    allowed: Mapping[str, Array | None],
    *,
    definition: bool = False,
    zero_sign_open: bool = False,
    sides: Mapping[str, Array] = MappingProxyType({}),
) -> Comparison:
    """Compare outputs by name.

    ``allowed`` gives each output's permitted distance, broadcastable to its shape; ``None`` (or no entry) says that no
    bound is known, so that anything but equality stays undecided.  ``definition``: the left side is a definition in
    float64 and is compared to a result of any float type.  No bound excuses an integer; ``sides`` say, by output, how
    far whole numbers may be apart that rounding puts on either side of a jump.  ``zero_sign_open``: nothing specifies
    the sign of a zero here, and -0 against +0 is equal with a note.
    """
    if set(left) != set(right):
        lacking = {"left": sorted(set(right) - set(left)), "right": sorted(set(left) - set(right))}
        said = [f"the {side} side has no output {', '.join(names)}" for side, names in lacking.items() if names]
        return Comparison("missing", problem="; ".join(said), output=[*lacking["right"], *lacking["left"]][0])
    parts = {
        name: _one(name, left[name], right[name], allowed.get(name), definition, zero_sign_open, sides.get(name))
        for name in sorted(left)
    }
    return _worst(parts, [name for name, part in parts.items() if _has_nothing(left[name], part)])


def _worst(parts: Mapping[str, Comparison], empty: Sequence[str]) -> Comparison:
    """What is said of several outputs: the worst, with the numbers of all."""
    rows = list(parts.values())
    compared = sum(part.compared for part in rows)
    if not rows or (compared == 0 and all(part.outcome == "equal" for part in rows)):
        return Comparison("missing", problem="nothing was compared: no output has an element")
    worst = max(rows, key=lambda part: (_SEVERITY[part.outcome], _rank(part.ratio), _rank(part.max_abs)))
    apart = [part for part in rows if part.outcome not in ("equal", "rounding")]
    return replace(
        worst,
        empty=tuple(empty),
        compared=compared,
        differing=sum(part.differing for part in rows),
        nan_only=any(part.nan_only for part in rows) and all(part.nan_only for part in apart),
        max_abs=max((part.max_abs for part in rows if part.max_abs is not None), default=None, key=_rank),
        explanation=worst.explanation or next((part.explanation for part in rows if part.explanation), None),
    )


def _has_nothing(value: Array | Absent, part: Comparison) -> bool:
    """Whether an output is equal because it has no element; what is absent on purpose is equal by that."""
    return not isinstance(value, Absent) and part.outcome == "equal" and not part.compared


def same_bits(left: Array, right: Array) -> bool:
    """Whether two arrays are of one type and shape and hold the same values: same NaNs, same signs of zero."""
    if left.dtype != right.dtype or left.shape != right.shape:
        return False
    if left.dtype.kind == "c":
        return same_bits(_parts(left), _parts(right))
    if not is_float(left):
        return bool(np.array_equal(left, right))
    a, b = _wide(left), _wide(right)
    return bool(np.all(((a == b) & (np.signbit(a) == np.signbit(b))) | (np.isnan(a) & np.isnan(b))))


def same_values(left: Array, right: Array) -> bool:
    """Whether two arrays are of one shape and hold the same values: NaN is NaN in every type of floats, and the sign of
    a zero counts for nothing."""
    if left.shape != right.shape:
        return False
    if left.dtype.kind == right.dtype.kind == "c":
        return bool(np.array_equal(left, right, equal_nan=True))
    if not (is_float(left) and is_float(right)):
        return bool(np.array_equal(left, right))
    return bool(np.array_equal(_wide(left), _wide(right), equal_nan=True))


def equal_elements(left: Array, right: Array) -> Array:
    """Elementwise, whether two arrays of numbers in one shape hold the same, as :func:`same_values` has it."""
    with np.errstate(all="ignore"):
        return np.asarray((left == right) | (np.isnan(left) & np.isnan(right)))


def _rank(value: float | None) -> float:
    if value is None:
        return -1.0
    return np.inf if np.isnan(value) else float(value)


def _one(
    name: str,
    left: Array | Absent,
    right: Array | Absent,
    allowed: Array | None,
    definition: bool,
    zero_sign_open: bool,
    side: Array | None = None,
) -> Comparison:
    if isinstance(left, Absent) or isinstance(right, Absent):
        if isinstance(left, Absent) and isinstance(right, Absent):
            return Comparison("equal", output=name)
        which = "left" if isinstance(left, Absent) else "right"
        return Comparison("diverges", output=name, problem=f"{name} is absent on the {which} side only")
    if left.shape != right.shape:
        seen = f"{name} has shape {_shape(left)} against {_shape(right)}"
        return Comparison("diverges", output=name, problem=seen, explanation=_transposed(left, right, allowed))
    if left.dtype.kind == right.dtype.kind == "c" and (definition or left.dtype == right.dtype):
        wide = None if allowed is None else np.asarray(allowed)[..., None] if np.ndim(allowed) else allowed
        return _one(name, _parts(left), _parts(right), wide, definition, zero_sign_open)
    if left.dtype != right.dtype and not (definition and _kind(left) == _kind(right)):
        return Comparison("diverges", output=name, problem=f"{name} is {left.dtype} against {right.dtype}")
    if left.size == 0:
        return Comparison("equal", output=name)
    if is_float(left):
        return _floats(name, left, right, allowed, definition, zero_sign_open)
    return _discrete(name, left, right, side)


def _parts(array: Array) -> Array:
    """Complex numbers as real and imaginary parts along a last axis."""
    return np.stack([array.real, array.imag], axis=-1)


def _discrete(name: str, left: Array, right: Array, side: Array | None) -> Comparison:
    """Integers, booleans and text: equal or not; integer distances as unsigned, so that nothing wraps.

    Some may be on either side of a jump: for these ``side`` is not zero.
    """
    apart = left != right
    if not apart.any():
        return Comparison("equal", left.size, max_abs=0.0, ratio=0.0, output=name)
    if left.dtype.kind in "iub" and right.dtype.kind in "iub":
        distance = _integer_distance(left, right)
        near = np.zeros(left.shape) if side is None else _spread(side, left)
        beyond = distance.astype(np.float64) > near
        if not beyond.any():
            return _on_either_side(name, left, right, distance, near)
        distance = np.where(beyond, distance, 0)
        worst = np.unravel_index(int(np.argmax(distance)), left.shape)
        max_abs: float | None = float(distance[worst])
        values: tuple[float, float] | None = (float(left[worst]), float(right[worst]))
    else:
        worst = np.unravel_index(int(np.argmax(apart)), left.shape)
        max_abs, values = None, None
    return Comparison(
        "diverges",
        left.size,
        max_abs=max_abs,
        ratio=np.inf,
        output=name,
        index=tuple(int(i) for i in worst),
        values=values,
        differing=int(apart.sum()),
        explanation=_transposed(left, right, None),
    )


def _on_either_side(name: str, left: Array, right: Array, distance: Array, allowed: Array) -> Comparison:
    """Whole numbers that differ only where rounding decides on which side of a jump they are."""
    apart = distance > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(apart, distance.astype(np.float64) / allowed, 0.0)
    worst = np.unravel_index(int(np.argmax(ratio)), left.shape)
    return Comparison(
        "rounding",
        left.size,
        max_abs=float(distance.max()),
        ratio=float(ratio[worst]),
        output=name,
        index=tuple(int(i) for i in worst),
        values=(float(left[worst]), float(right[worst])),
        differing=int(apart.sum()),
        explanation=f"{int(apart.sum())} of {left.size} are on the other side of a jump, where rounding decides",
    )


def _integer_distance(left: Array, right: Array) -> Array:
    """|left - right|: uint64 holds every distance within one type, and Python's integers every other."""
    if left.dtype != right.dtype:
        return np.asarray(np.abs(left.astype(object) - right.astype(object)))
    a, b = left.astype(np.uint64), right.astype(np.uint64)
    return np.asarray(np.where(left > right, a - b, b - a))


def _floats(
    name: str, left: Array, right: Array, allowed: Array | None, definition: bool, zero_sign_open: bool
) -> Comparison:
    a, b = _wide(left), _wide(right)
    both_nan = np.isnan(a) & np.isnan(b)
    equal = (a == b) | both_nan
    zero_signs = (a == 0) & (b == 0) & (np.signbit(a) != np.signbit(b))
    specials = ~equal & ~(np.isfinite(a) & np.isfinite(b))
    with np.errstate(invalid="ignore", over="ignore"):
        distance = np.where(equal, 0.0, np.abs(a - b))
    bits = np.where(definition, _as_type(a, right), a)
    same = ((bits == b) & (np.signbit(bits) == np.signbit(b))) | both_nan
    specials &= ~same
    distance = np.where(specials, np.inf, np.where(same & np.isinf(b), 0.0, distance))
    max_abs = float(distance.max())
    if same.all():
        return Comparison("equal", left.size, max_abs=max_abs, ratio=0.0, output=name)
    distance = np.where(same, 0.0, distance)  # no value of the result's type is nearer to the definition
    limit = np.full(a.shape, np.inf) if allowed is None else _spread(allowed, a)
    note = None
    if zero_signs.any():
        note = f"{int(zero_signs.sum())} zeros differ in sign"
        tolerated = zero_sign_open | ((limit > 0) & np.isfinite(limit))
        distance = np.where(zero_signs & ~tolerated, np.finfo(np.float64).tiny, distance)
        if not (distance > 0).any():
            return Comparison("equal", left.size, max_abs=max_abs, ratio=0.0, output=name, explanation=note)
    unknown = (distance > 0) & ~specials & ~np.isfinite(limit)  # a bound that is no number is no bound
    beyond = specials | ((distance > 0) & ~unknown & ~(distance <= limit))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = np.where((distance > 0) & ~unknown, distance / limit, 0.0).astype(np.float64)
    ratio = np.where(beyond, np.maximum(ratio, np.nextafter(1, 2)), ratio)  # also where the quotient rounds to 1
    ratio = np.where(specials | (beyond & ~(limit > 0)), np.inf, ratio)
    shown = beyond if beyond.any() else unknown if unknown.any() else distance > 0
    rank = np.where(shown, ratio, -1.0)  # the worst of several boundless elements is the one furthest apart
    worst = np.unravel_index(int(np.argmax(np.where(rank == rank.max(), distance, -1.0))), a.shape)
    part = Comparison(
        "rounding",
        left.size,
        max_abs=max_abs,
        ratio=float(ratio[worst]),
        output=name,
        index=tuple(int(i) for i in worst),
        values=(float(a[worst]), float(b[worst])),
        differing=int(shown.sum()),
        explanation=note,
    )
    if beyond.any():
        return replace(
            part,
            outcome="diverges",
            nan_only=bool(np.all(np.isnan(a[beyond]) != np.isnan(b[beyond]))),
            explanation=_transposed(left, right, allowed) or note,
        )
    if unknown.any():
        problem = f"{name} is apart by {float(distance[worst]):.3g} and no bound is known for it"
        return replace(part, outcome="missing", ratio=None, problem=problem)
    return part


def _kind(array: Array) -> str:
    """What may stand for a definition's own type: a float for a float, an integer for an integer."""
    return "float" if is_float(array) else "integer" if array.dtype.kind in "iu" else array.dtype.name


def is_float(array: Array) -> bool:
    """Whether an array is of floats, those that numpy lacks (bfloat16, float8) included."""
    return (
        bool(np.issubdtype(array.dtype, np.floating))
        or array.dtype.name in ("bfloat16",)
        or "float8" in array.dtype.name
    )


def _wide(array: Array) -> Array:
    """Float values in a type that holds them and their differences: longdouble for float64, else float64."""
    return array.astype(np.longdouble if array.dtype == np.float64 else np.float64)


def _as_type(values: Array, like: Array) -> Array:
    with np.errstate(over="ignore"):
        return _wide(values.astype(like.dtype))


def _spread(allowed: Array, like: Array) -> Array:
    """``allowed`` at ``like``'s shape; a bound of another shape than its result is a bug and raises."""
    return np.broadcast_to(np.asarray(allowed), like.shape)


def _shape(array: Array) -> str:
    return f"({', '.join(map(str, array.shape))})"


def _transposed(left: Array, right: Array, allowed: Array | None) -> str | None:
    """The permutation under which the sides would agree, as an explanation; it never makes a pass."""
    if left.ndim != right.ndim or not 2 <= left.ndim <= 5 or left.size < 2 or sorted(left.shape) != sorted(right.shape):
        return None
    limit = np.zeros(()) if allowed is None or np.shape(allowed) not in ((), left.shape) else allowed
    limit = np.where(np.isfinite(limit), limit, 0.0)
    for axes in itertools.permutations(range(left.ndim)):
        turned = np.transpose(right, axes)
        if axes == tuple(range(left.ndim)) or turned.shape != left.shape:
            continue
        if is_float(left) and is_float(turned):
            a, b = _wide(left), _wide(turned)
            with np.errstate(invalid="ignore"):
                apart = np.abs(a - b) > limit
            near = not np.any(apart & (_as_type(a, right) != b)) and bool(np.all(np.isnan(a) == np.isnan(b)))
        else:
            near = bool(np.array_equal(left, turned))
        if near:
            return f"equals the other side transposed by {axes}"
    return None
