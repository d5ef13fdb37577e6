"""What two sides have, as text and as numbers: how far arrays are apart, how values are seen, what steps are called."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from onnx_triangulate.diff.ir import (
    Array,
    Const,
    Ints,
    Operand,
    Position,
    Ref,
    Shape,
    Step,
    compose,
    inverse,
    size_of,
    turned,
)
from onnx_triangulate.diff.matching import Unit, channels
from onnx_triangulate.onnxgraph.nodes import Dims
from onnx_triangulate.ops.bounds import gamma
from onnx_triangulate.records.inspection import Difference

# (x - mean) * (scale / sqrt(variance + epsilon)) + shift: the longest formula that is folded into a weight.
ROUNDINGS = 6
SHOWN = 12
_LISTED = 100  # characters
_KINDS = 3
_NAMES = {
    "Conv": ("input", "weight"),
    "ConvTranspose": ("input", "weight"),
    "MatMul": ("input", "weight"),
    "BatchNormalization": ("input", "scale", "bias", "mean", "variance"),
    "LayerNormalization": ("input", "scale", "bias"),
    "InstanceNormalization": ("input", "scale", "bias"),
    "Gather": ("data", "indices"),
}


def shown(value: Any) -> str:
    """An attribute as it is written."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, np.float64):
        return repr(float(value))
    if isinstance(value, float):
        return f"{np.float32(value)!s}" if np.isfinite(value) else str(value)
    if isinstance(value, tuple):
        listed = ", ".join(shown(v) for v in value[:SHOWN])
        return f"({listed}{f' and {len(value) - SHOWN} more' if len(value) > SHOWN else ''})".replace(", ", ",")
    return str(value)


def ops_of(steps: Iterable[Step]) -> str:
    """The operators of the nodes of some steps, each node once; of many, how many of which."""
    listed: dict[str, str] = {}
    for step in steps:
        listed.update(dict(zip(step.nodes, step.ops, strict=False)))
    whole = ", ".join(listed.values())
    if len(listed) <= SHOWN and len(whole) <= _LISTED:
        return whole
    kinds = Counter(listed.values()).most_common()
    rest = f" and {len(kinds) - _KINDS} other operators" if len(kinds) > _KINDS + 1 else ""
    shown = kinds[: _KINDS if rest else _KINDS + 1]
    return f"{len(listed)} nodes ({', '.join(f'{op} {number}' for op, number in shown)}{rest})"


def nodes_of(steps: Iterable[Step]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for step in steps for name in step.nodes))


@dataclass(frozen=True)
class Numbers:
    """How two arrays differ: how many elements, by how much, and whether that is rounding: every element within
    gamma_k of its own size; ``relative`` is the largest distance over that size."""

    differing: int
    size: int
    largest: float
    rounding: bool
    relative: float
    integers: bool = False


def numbers(
    left: Array,
    right: Array,
    sizes: Array | None = None,
    formulas: int = 1,
    stored: Sequence[np.dtype[Any]] | None = None,
) -> Numbers | None:
    """None where the arrays are the same.

    ``sizes`` are what the arrays were computed of (the formula on absolute values), their own where nothing is said,
    ``formulas`` how many of :data:`ROUNDINGS` made them, and ``stored`` the types in which the files hold them.
    """
    one, two = np.atleast_1d(left), np.atleast_1d(right)
    if one.dtype.kind not in "fiub" or two.dtype.kind not in "fiub":
        differing = int(np.sum(one != two))
        return Numbers(differing, one.size, float("nan"), False, float("nan")) if differing else None
    floats = one.dtype.kind == two.dtype.kind == "f"
    signs = (one == 0) & (two == 0) & (np.signbit(one) != np.signbit(two)) if floats else np.zeros(1, bool)
    if one.dtype == two.dtype and not signs.any() and np.array_equal(one, two, equal_nan=floats):
        return None
    wide, other = one.astype(np.float64), two.astype(np.float64)
    with np.errstate(all="ignore"):
        apart = np.abs(wide - other)
        # float64 cannot tell apart all integers
        same = (one == two) if "f" not in (one.dtype.kind, two.dtype.kind) else (wide == other)
        same |= np.isnan(wide) & np.isnan(other)
        same = np.asarray(same & ~signs)
        apart[same] = 0.0
        differing = int(apart.size - np.count_nonzero(same))
        if not differing:
            return None
        largest = float(np.max(apart))
        own = np.maximum(np.abs(wide), np.abs(other))
        each = own if sizes is None else np.maximum(own, np.broadcast_to(sizes, own.shape))
        relative = float(np.max(np.where(same, 0.0, apart / each)))
        unit = max(float(np.finfo(t).eps) / 2 for t in stored or (one.dtype, two.dtype)) if floats else 0.0
        allowed = gamma(ROUNDINGS * formulas, unit) if floats else 0.0
    return Numbers(differing, one.size, largest, bool(relative <= allowed), relative, not floats)


def says_numbers(found: Numbers) -> str:
    if not found.largest and found.integers:
        return f"{found.differing:,} of {found.size:,} differ, in integers of more than 53 bits"
    if not found.largest:
        return f"the same but for the sign of {found.differing:,} zeros: a division by them is another"
    if found.rounding:
        return f"rounding: at most {found.relative:.1g} of each number ({found.differing:,} of {found.size:,} differ)"
    return f"{found.differing:,} of {found.size:,} differ, by {found.largest:.3g} at most"


Affine = tuple[Array, Array, Array]


def affine(unit: Unit) -> Affine | None:
    """Weight and shift per channel of a linear step and what is folded into it or could be, in float64; and the shift's
    formula on absolute values, for a sum may be smaller than what it is made of."""
    weight = unit.head.operands[1]
    count, _ = channels(unit.head)
    if not isinstance(weight, Const) or weight.array is None or count is None:
        return None
    if weight.array.dtype.kind != "f":
        return None
    scale, shift, size = np.ones(count), np.zeros(count), np.zeros(count)
    for step in unit.tail:
        given = [o.array for o in step.operands if isinstance(o, Const)]
        if any(a is None or a.dtype.kind != "f" for a in given):
            return None
        values = [a.astype(np.float64).reshape(-1) for a in given if a is not None]
        with np.errstate(all="ignore"):
            scale, shift, size = _followed_by(step, values, scale, shift, size)
    wide = weight.array.astype(np.float64)
    if unit.head.op == "MatMul":
        return wide * scale, shift, size
    if unit.head.op == "Conv":
        return wide * scale.reshape(-1, *(1,) * (wide.ndim - 1)), shift, size
    group = unit.head.attributes.get("group", 1)
    if not isinstance(group, int) or wide.shape[0] % group:
        return None
    per = scale.reshape(group, 1, -1, *(1,) * (wide.ndim - 2))
    return (wide.reshape(group, -1, *wide.shape[1:]) * per).reshape(wide.shape), shift, size


def _followed_by(step: Step, given: Sequence[Array], scale: Array, shift: Array, size: Array) -> Affine:
    """A scale, a shift and its formula on absolute values, with one more step behind them."""
    if step.op == "BatchNormalization":
        gamma, beta, mean, variance = given
        factor = gamma / np.sqrt(variance + float(step.attributes.get("epsilon") or 0.0))
        size = (size + np.abs(mean)) * np.abs(factor) + np.abs(beta)
        return scale * factor, (shift - mean) * factor + beta, size
    if step.op in ("Mul", "Div"):
        factor = given[0] if step.op == "Mul" else 1 / given[0]
        return scale * factor, shift * factor, size * np.abs(factor)
    times = float(step.attributes.get("beta", 1.0))
    return scale, shift + (given[0] if step.op == "Add" else -given[0]) * times, size + np.abs(given[0] * times)


def stored_types(*units: Unit) -> list[np.dtype[Any]]:
    """The types of the weights of linear steps, as their files hold them."""
    weights = [unit.head.operands[1] for unit in units]
    return [w.array.dtype for w in weights if isinstance(w, Const) and w.array is not None]


def between_perms(left: Ints | None, right: Ints | None) -> Ints | None:
    """The permutation from one border to the other, where a common value is seen by ``left`` and by ``right``."""
    if left is None:
        return right
    return compose(inverse(left), right)


def in_one_place(one: tuple[frozenset[Any], frozenset[Any]], two: tuple[frozenset[Any], frozenset[Any]]) -> bool:
    """Whether two pieces stand in one place."""
    reads = one[0] & two[0] or (not one[0] and not two[0])
    return bool(reads) and bool(one[1] & two[1])


def once(found: Iterable[Difference]) -> tuple[Difference, ...]:
    """A changed Transpose that several nodes read behind is one change."""
    kept: dict[tuple[Any, ...], Difference] = {}
    for difference in found:
        kept.setdefault(tuple(replace(difference, harmless=False).__dict__.values()), difference)
    return tuple(kept.values())


def operand_at(step: Step, slot: int) -> Operand:
    return step.operands[slot] if slot < len(step.operands) else None


def slot_name(step: Step, slot: int) -> str:
    names = _NAMES.get(step.op, ())
    return names[slot] if 0 <= slot < len(names) else f"operand {slot}"


def kind_of(const: Const) -> str:
    return f"{const.dtype}{dims_text(const.dims)}"


def kinds_of(left: Const, right: Const, part: str) -> tuple[str, str]:
    """Both; a bias as it is stored, not as it lies along the axes of what it is added to."""
    if part == "bias":
        flat = [f"{c.dtype}{dims_text(None if c.dims is None else tuple(d for d in c.dims if d != 1))}"
                for c in (left, right)]  # fmt: skip
        if left.dims == right.dims or flat[0] != flat[1]:
            return flat[0], flat[1]
    return kind_of(left), kind_of(right)


def dims_text(dims: Dims | None) -> str:
    return "[...]" if dims is None else "[" + ",".join("?" if d is None else str(d) for d in dims) + "]"


def furthest(left: Array, right: Array) -> tuple[str, str]:
    """The pair of numbers that is furthest apart."""
    if left.shape != right.shape or not left.size:
        return f"[{left.size}]", f"[{right.size}]"
    if left.dtype.kind not in "fiub":
        return "other values", "other values"
    with np.errstate(all="ignore"):
        apart = np.abs(left.astype(np.float64) - right.astype(np.float64)).reshape(-1)
    at = int(np.argmax(np.where(np.isnan(apart), np.inf, apart)))
    if not apart[at]:  # what float64 does not tell apart
        other = (left != right) | (np.signbit(left) != np.signbit(right) if left.dtype.kind == "f" else False)
        at = int(np.argmax(np.asarray(other).reshape(-1)))
    texts = [f"{a.reshape(-1)[at]:.6g}" for a in (left, right)]
    return (texts[0], texts[1]) if texts[0] != texts[1] else (str(left.reshape(-1)[at]), str(right.reshape(-1)[at]))


def same_number(left: Any, right: Any) -> bool:
    """Whether two attributes are one: numbers as float32 holds them, lists element by element."""
    if isinstance(left, Position) or isinstance(right, Position):
        counted, other = (left, right) if isinstance(left, Position) else (right, left)
        return isinstance(other, (int, Position)) and counted.agrees(other)
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, (int, float)) and isinstance(right, (int, float)):
        exact = isinstance(left, int) and not isinstance(right, np.float64)
        return bool(left == right) if exact else _same_float(left, right)
    if isinstance(left, tuple) and isinstance(right, tuple) and len(left) == len(right):
        return all(same_number(a, b) for a, b in zip(left, right, strict=True))
    return False


def _same_float(left: float, right: float) -> bool:
    if isinstance(left, float) and isinstance(right, float) and np.isnan(left) and np.isnan(right):
        return True
    if isinstance(left, np.float64) or isinstance(right, np.float64):
        return float(left) == float(right) and bool(np.signbit(left) == np.signbit(right))
    with np.errstate(over="ignore"):
        one, two = np.float32(left), np.float32(right)
    return bool(one == two) and not (isinstance(right, float) and bool(np.signbit(one) != np.signbit(two)))


def compatible(left: Any, right: Any, size: int | None = None) -> bool:
    """Whether two targets of a Reshape of ``size`` elements are one.

    A target without open sizes fits one size only, and there one with an open size may be the same.  Two that leave
    different sizes open are two functions, unless the number of elements says what is open.
    """
    if not isinstance(left, tuple) or not isinstance(right, tuple) or len(left) != len(right):
        return False
    if not all(a == b or -1 in (a, b) for a, b in zip(left, right, strict=True)):
        return False
    open_ = [{axis for axis, d in enumerate(shape) if d == -1} for shape in (left, right)]
    if open_[0] == open_[1] or not all(open_):
        return True
    return size is not None and _closed(left, size) == _closed(right, size)


def _closed(shape: Shape, size: int) -> Shape | None:
    """A target with its open size, where there is one and it fits."""
    known = math.prod(d for d in shape if d != -1)
    if shape.count(-1) != 1 or known <= 0 or size % known:
        return None if -1 in shape else shape
    return tuple(size // known if d == -1 else d for d in shape)


def merged(left: Dims | None, right: Dims | None) -> Dims | None:
    """The shape of a value as two graphs know it together; what they contradict one another about is not known."""
    if left is None or right is None or len(left) != len(right):
        return left if right is None else right if left is None else None
    return tuple(b if a is None else a if b is None or a == b else None for a, b in zip(left, right, strict=True))


def turning(ref: Ref, reader: Sequence[str]) -> Sequence[str]:
    """The nodes by which a value is seen in another order or shape, or who reads it as it is."""
    return reader if not ref.via or (ref.perm is None and ref.shape is not None) or ref.plain else ref.via


def through(chain: Sequence[tuple[int, ...]]) -> str:
    return ", then ".join(shown(step) for step in chain) or "as it is"


def views_agree(left: Ref, right: Ref, dims: Sequence[Dims | None]) -> bool:
    """Whether two ways of seeing a value are one where its axes of size one are left aside."""
    whole = merged(*dims)
    known = [whole if whole is not None else d for d in dims]  # one value may be written in two ranks
    if whole is not None and whole.count(None) > 1 and (left.shape is None) != (right.shape is None):
        return False  # 24 elements may be 2x3x4 as well as 3x2x4
    shapes = [_shape_of(r, d) for r, d in zip((left, right), known, strict=True)]
    shapes = [None if s is None else tuple(-1 if d is None else d for d in s) for s in shapes]
    if None in shapes or not compatible(shapes[0], shapes[1], size_of(whole)):
        return False
    kept = [_order_of_axes(ref, base) for ref, base in zip((left, right), dims, strict=True)]
    return left.perm == right.perm or (None not in kept and kept[0] == kept[1])


def _order_of_axes(ref: Ref, base: Dims | None) -> list[int] | None:
    """The axes of a value that are not of size one, as they are seen; ``None`` where that is not known."""
    perm = ref.perm or tuple(range(len(base or ())))
    return None if base is None or len(perm) != len(base) else [axis for axis in perm if base[axis] != 1]


def _shape_of(ref: Ref, dims: Dims | None) -> Shape | Dims | None:
    """The shape in which a value of some dims is seen."""
    return turned(dims, ref.perm) if ref.shape is None else ref.shape


def seen_shape(ref: Ref, dims: Dims | None) -> str:
    shape = _shape_of(ref, dims)
    return "unknown" if shape is None else shown(tuple(-1 if d is None else d for d in shape))


def agree(left: Dims | None, right: Dims | None) -> bool:
    if left is None or right is None:
        return True
    return len(left) == len(right) and all(a == b or None in (a, b) for a, b in zip(left, right, strict=True))


def in_order(left: Dims | None, right: Dims | None, between: Ints) -> bool:
    """Whether the declared sizes of two borders leave it open that their axes have one order.

    They do not where sizes contradict one another, nor where all that is known of either is the same in the order
    ``between`` and only there (a 3 here, a 3 at another place there).
    """
    if not agree(left, right):
        return False
    if left is None or right is None or turned(left, between) != right:
        return True
    return left == right
