"""How each operator is written in normal form: one rule for one way of saying things.

Design note.  A rule takes the builder, at the node at hand, and its operands, and gives the node's results; ``None``
means that the node is left as it is.  A rule that is not sure gives ``None``: two graphs then differ in how they say
it, which is true, and not in what they do, which might not be.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from onnx import TensorProto

from onnx_triangulate.diff.builder import Builder, rule
from onnx_triangulate.diff.ir import (
    Const,
    Ints,
    Operand,
    Ref,
    Step,
    as_number,
    compose,
    inverse,
    plain,
    positive,
    small_integers,
    turned,
)
from onnx_triangulate.onnxgraph.nodes import Dims
from onnx_triangulate.ops import axis_propagation as links
from onnx_triangulate.ops.registry import operators_where

COMMUTATIVE = operators_where(lambda op: op.commutes)
# Element by element, of one operand and of several; five have rules of their own.
UNARY = operators_where(lambda op: op.axes is links.same and not op.domain) - {
    "Cast",
    "CastLike",
    "Clip",
    "Identity",
    "Relu",
}
NARY = operators_where(lambda op: op.axes is links.elementwise)
# Those that keep the order of axes of what they read, and so can be seen in any.
FOLLOWS = frozenset([*UNARY, *NARY, "Clip", "Cast", "Concat"])
LARGEST = 3.0e38
_ZEROS = 1 << 16
_FLOAT8 = frozenset(kind for name, kind in TensorProto.DataType.items() if name.startswith("FLOAT8"))


@rule("Identity")
def identity(b: Builder, operands: Sequence[Operand]) -> Sequence[Operand] | None:
    return operands[:1] or None


@rule("Dropout")
def dropout(b: Builder, operands: Sequence[Operand]) -> Sequence[Operand] | None:
    mask = len(b.node.output) > 1 and b.node.output[1]
    if mask or not operands or (b.version or 0) < 7:
        return None
    training = operands[2] if len(operands) > 2 else None
    if training is not None and not (isinstance(training, Const) and training.array is not None):
        return None
    return None if isinstance(training, Const) and np.any(training.array) else operands[:1]


@rule("Cast", "CastLike")
def cast(b: Builder, operands: Sequence[Operand]) -> Sequence[Operand] | None:
    if not operands or not isinstance(operands[0], Ref):
        return None
    if b.node.op_type == "CastLike":
        to = b.graph.type(b.node.input[1]) if len(b.node.input) > 1 else None
    else:
        to = b.held.get("to")
    if not isinstance(to, int):
        return None
    if b.type(operands[0]) == to:
        return operands[:1]
    rest = {n: b.held[n] for n in ("saturate", "round_mode") if n in b.held} if to in _FLOAT8 else {}
    return push(b, "Cast", {"to": to} | rest, operands[:1])


@rule("Transpose")
def transpose(b: Builder, operands: Sequence[Operand]) -> Sequence[Operand] | None:
    if not operands:
        return None
    perm = b.held.get("perm")
    if perm is None:
        rank = b.rank(operands[0])
        if rank is None:
            return None
        perm = tuple(reversed(range(rank)))
    if not isinstance(perm, tuple) or sorted(perm) != list(range(len(perm))):
        return None
    return [b.turn(operands[0], perm, b.name)]


@rule("Reshape", "Flatten", "Squeeze", "Unsqueeze")
def reshape(b: Builder, operands: Sequence[Operand]) -> Sequence[Operand] | None:
    if not operands:
        return None
    op = b.node.op_type
    derived = None
    if op == "Reshape":
        if _as_it_is(b, operands):
            return operands[:1]
        derived = _reshaped(b, operands)
    elif op in ("Squeeze", "Unsqueeze"):
        derived = _squeezed(b, operands)
    target = b.known(derived)
    made = b.reshape(operands[0], target, b.name)
    wanted = small_integers(operands[1]) if op == "Reshape" and len(operands) > 1 else None
    if made is None and op == "Reshape" and (not b.held.get("allowzero") or (wanted is not None and 0 not in wanted)):
        b.held.pop("allowzero", None)  # what it says is what Reshape does anyway
    return None if made is None else [made]


def _as_it_is(b: Builder, operands: Sequence[Operand]) -> bool:
    """Whether a constant target asks for the sizes that are there, one of which it may leave open."""
    wanted = small_integers(operands[1]) if len(operands) > 1 else None
    before = b.dims(operands[0])
    if wanted is None or before is None or len(wanted) != len(before) or b.held.get("allowzero"):
        return False
    return wanted.count(-1) <= 1 and all(w in (0, -1) or w == d for w, d in zip(wanted, before, strict=True))


def _reshaped(b: Builder, operands: Sequence[Operand]) -> Dims | None:
    """What a constant target makes of a shape."""
    wanted = small_integers(operands[1]) if len(operands) > 1 else None
    before = b.dims(operands[0])
    if wanted is None or any(d < -1 for d in wanted) or wanted.count(-1) > 1:
        return None
    copied = before or ()
    made: list[int | None] = []
    for place, size in enumerate(wanted):
        if size == 0 and not b.held.get("allowzero"):
            made.append(copied[place] if place < len(copied) else None)
        else:
            made.append(None if size < 0 else size)
    if -1 in wanted and before is not None:
        at = wanted.index(-1)
        whole, part = _count(before), _count([*made[:at], *made[at + 1 :]])
        if whole is not None and part and whole % part == 0:
            made[at] = whole // part
    return tuple(made)


def _count(dims: Sequence[int | None]) -> int | None:
    """How many elements a shape has, where all of it is known."""
    known = [d for d in dims if d is not None]
    return math.prod(known) if len(known) == len(dims) else None


def _squeezed(b: Builder, operands: Sequence[Operand]) -> Dims | None:
    dims, axes = b.dims(operands[0]), b.integers(1, "axes")
    if dims is None or axes is None:
        return None
    if b.node.op_type == "Squeeze":
        gone = {axis % len(dims) for axis in axes} if dims else set()
        return tuple(d for axis, d in enumerate(dims) if axis not in gone)
    rank = len(dims) + len(axes)
    new = {axis % rank for axis in axes}
    left = iter(dims)
    return tuple(1 if axis in new else next(left, None) for axis in range(rank))


# -- element-wise


def _bare(b: Builder, operands: Sequence[Operand]) -> list[Operand]:
    """Operands, constants among them without the axes of size one in front: where these do not raise the rank."""
    ranks = [b.rank(o) for o in operands if isinstance(o, Ref)]
    least = max((rank for rank in ranks if rank is not None), default=0)
    return [o.bare if isinstance(o, Const) and o.dims is not None and len(o.dims) <= least else o for o in operands]


def push(b: Builder, op: str, held: Mapping[str, Any], operands: Sequence[Operand], **more: Any) -> list[Operand]:
    """An element-wise step: what is the same about how its operands are seen is how its result is seen."""
    refs = [o for o in operands if isinstance(o, Ref)]
    # Whose view the result has: that of the first, or where they have no order that of the one which was there first.
    leader = min((r.value, place) for place, r in enumerate(refs))[1] if op in COMMUTATIVE and refs else 0
    out = b.known(b.broadcast(operands))
    if any(r.shape is not None for r in refs):
        if _seen_alike(b, refs, operands):
            kept = [Ref(o.value) if isinstance(o, Ref) else o for o in _bare(b, operands)]
            (made,) = b.emit(op, held, kept, [b.values[refs[0].value].dims], **more)
            return [Ref(made.value, refs[0].perm, refs[0].shape, refs[0].via)]
        operands = [b.settled(o) if isinstance(o, Ref) else o for o in operands]
        refs = [o for o in operands if isinstance(o, Ref)]
    rank = next((len(r.perm) for r in refs if r.perm is not None), None)
    ranks = [b.rank(o) for o in operands if o is not None]
    if rank is None or any(r is None or r > rank for r in ranks) or any(b.rank(r) != rank for r in refs):
        (made,) = b.emit(op, held, _bare(b, operands), [out], **more)
        return [made]
    first = refs[leader]
    back = inverse(first.perm)
    (made,) = b.emit(op, held, [_turned_by(o, back, rank) for o in operands], [turned(out, back)], **more)
    return [Ref(made.value, first.perm, None, first.via)]


def _seen_alike(b: Builder, refs: Sequence[Ref], operands: Sequence[Operand]) -> bool:
    """Whether all operands are seen through one reshaping of values of one shape."""
    views = {(r.perm, r.shape) for r in refs}
    bases = {b.values[r.value].dims for r in refs if r.shape is not None}
    if len(views) != 1 or len(bases) != 1 or not _constants_follow(b, refs[0], operands):
        return False
    return len(refs) == 1 or b.values[refs[0].value].dims is not None


def _turned_by(operand: Operand, perm: Ints | None, rank: int) -> Operand:
    """An operand of at most ``rank`` axes with these in another order."""
    if isinstance(operand, Const):
        dims = operand.dims or ()
        wide = operand.reshaped((1,) * (rank - len(dims)) + tuple(d or 0 for d in dims)) if dims else operand
        return (wide.transposed(perm) if perm is not None and dims else wide).bare
    return operand if operand is None else Ref(operand.value, compose(operand.perm, perm), None, operand.via)


def _constants_follow(b: Builder, ref: Ref, operands: Sequence[Operand]) -> bool:
    """Whether constants mean the same beside a value and beside its reshaped form: scalars, and what lies along the
    last axis where that stays."""
    base, seen = b.values[ref.value].dims, b.dims(ref)
    for operand in operands:
        if not isinstance(operand, Const):
            continue
        dims = operand.bare.dims
        if dims is None or len(dims) > 1 or len(operand.dims or ()) > len(seen or ()):
            return False
        if dims and not (base and seen and ref.perm is None and base[-1] == seen[-1] == dims[0]):
            return False
    return True


@rule(*UNARY)
def unary(b: Builder, operands: Sequence[Operand]) -> Sequence[Operand] | None:
    if len(operands) != 1 or not isinstance(operands[0], Ref) or len(b.node.output) != 1:
        return None
    return push(b, b.node.op_type, plain(b.held), operands)


@rule(*NARY)
def nary(b: Builder, operands: Sequence[Operand]) -> Sequence[Operand] | None:
    op = b.node.op_type
    if not operands or any(o is None for o in operands) or len(b.node.output) != 1 or (b.version or 0) < 7:
        return None
    if op == "Sum" and len(operands) == 2:
        op = "Add"
    if len(operands) == 1 and op in ("Sum", "Mean", "Max", "Min"):
        return operands
    if op == "Add":
        kept = [o for o in operands if not is_nothing(b, o, operands)]
        if len(kept) == 1:
            return kept
    if op in ("Max", "Min") and len(operands) == 2 and (clipped := _as_clip(b, op, operands)) is not None:
        return clipped
    return push(b, op, plain(b.held), operands)


def _as_clip(b: Builder, op: str, operands: Sequence[Operand]) -> Sequence[Operand] | None:
    """A Max or Min with one number as the Clip that it is."""
    bound = next((o for o in operands if isinstance(o, Const) and o.array is not None and o.array.size == 1), None)
    other = next((o for o in operands if isinstance(o, Ref)), None)
    held = bound.array if bound is not None else None
    if held is None or other is None or held.dtype.kind != "f" or held.ndim > (b.rank(other) or 0):
        return None
    limit = as_number(held.reshape(-1)[0])
    if math.isnan(limit):  # which a Clip may leave out
        return None
    return _clip(b, other, *((limit, None) if op == "Max" else (None, limit)))


def is_nothing(b: Builder, operand: Operand, operands: Sequence[Operand]) -> bool:
    """Whether an operand of an Add is zeros that make the other no larger, and its rank no higher."""
    if not isinstance(operand, Const) or operand.array is None or operand.array.size > _ZEROS:
        return False
    if operand.array.dtype.kind not in "fiu" or np.any(operand.array):
        return False
    other = next((b.dims(o) for o in operands if o is not operand), None)
    mine = operand.dims or ()
    if other is None or len(mine) > len(other):
        return False
    return all(m in (1, o) for m, o in zip(reversed(mine), reversed(other), strict=False))


@rule("Relu")
def relu(b: Builder, operands: Sequence[Operand]) -> Sequence[Operand] | None:
    return _clip(b, operands[0], 0.0, None) if len(operands) == 1 and isinstance(operands[0], Ref) else None


@rule("Clip")
def clip(b: Builder, operands: Sequence[Operand]) -> Sequence[Operand] | None:
    if not operands or not isinstance(operands[0], Ref):
        return None
    bounds: list[float | None] = []
    for slot, name in ((1, "min"), (2, "max")):
        value: Any = b.held.get(name)
        operand = operands[slot] if slot < len(operands) else None
        if operand is not None:
            if not isinstance(operand, Const) or operand.array is None or operand.array.size != 1:
                return None
            value = as_number(operand.array.reshape(-1)[0])
        if value is not None and not isinstance(value, (int, float)):
            return None
        bounds.append(value)
    return _clip(b, operands[0], *bounds)


def _clip(b: Builder, operand: Ref, low: float | None, high: float | None) -> list[Operand]:
    low = None if low is None or low <= -_largest(low) else _number(low)
    high = None if high is None or high >= _largest(high) else _number(high)
    before = b.producer(operand)
    also: list[Step] = []
    if before is not None and before.op == "Clip" and isinstance(before.operands[0], Ref) and operand.plain:
        first, last = before.attributes["min"], before.attributes["max"]
        if not (first is not None and last is not None and first > last) and not (
            low is not None and high is not None and low > high
        ):
            also = [before]
            operand = before.operands[0]
            first, last = _limited(first, low, high, -np.inf), _limited(last, low, high, np.inf)
            low, high = first, last
    return push(b, "Clip", {"min": low, "max": high}, [operand], also=also)


def _limited(value: float | None, low: float | None, high: float | None, missing: float) -> float | None:
    made = missing if value is None else value
    if low is not None:
        made = max(made, low)
    if high is not None:
        made = min(made, high)
    return None if np.isinf(made) else made


def _largest(bound: float) -> float:
    return float("inf") if isinstance(bound, np.float64) else LARGEST


def _number(value: float) -> float:
    return float(np.float32(value)) if isinstance(value, float) and not isinstance(value, np.float64) else value


# -- along axes


@rule("Concat")
def concat(b: Builder, operands: Sequence[Operand]) -> Sequence[Operand] | None:
    axis = b.held.get("axis")
    if not isinstance(axis, int) or not any(isinstance(o, Ref) for o in operands):
        return None
    if len(operands) == 1:
        return operands
    shapes = [b.dims(o) for o in operands]
    dims = shapes[0]
    if dims is None or not -len(dims) <= axis < len(dims) or any(d is None or len(d) != len(dims) for d in shapes):
        return None
    axis %= len(dims)
    kept: list[Operand] = [b.settled(o) if isinstance(o, Ref) else o for o in operands]
    perm = next(o.perm for o in kept if isinstance(o, Ref))
    back = inverse(perm)
    if back is not None:
        kept = [b.turn(o, back) for o in kept]
    parts = [d[axis] for d in shapes if d is not None]
    whole = None if None in parts else sum(p or 0 for p in parts)
    out = turned(b.known((*dims[:axis], whole, *dims[axis + 1 :])), back)
    (made,) = b.emit("Concat", {"axis": perm[axis] if perm else axis}, kept, [out])
    return [Ref(made.value, perm)]


@rule("Split")
def split(b: Builder, operands: Sequence[Operand]) -> Sequence[Operand] | None:
    """By the sizes of the parts, which opsets have as an attribute, as an input or as a number of parts."""
    rank, axis = (b.rank(operands[0]), b.held.get("axis", 0)) if operands else (None, None)
    if rank is None or not isinstance(axis, int) or not -rank <= axis < rank or not isinstance(operands[0], Ref):
        return None
    axis %= rank
    outputs = [b.out(slot) for slot in range(len(b.node.output))]
    sizes = [o[axis] if o is not None and len(o) == rank else None for o in outputs]
    if None in sizes or not all(b.node.output):
        return None
    types = [b.graph.type(n) for n in b.node.output]
    return list(b.emit("Split", {"axis": axis, "split": tuple(sizes)}, operands[:1], outputs, types=types))


@rule("LSTM", "GRU", "RNN")
def recurrent(b: Builder, operands: Sequence[Operand]) -> Sequence[Operand] | None:
    """An initial state of zeros is the one that is taken where none is given."""
    kept = [None if slot in (5, 6) and _zeros(o) else o for slot, o in enumerate(operands)]
    while kept and kept[-1] is None:
        kept.pop()
    return b.generic(kept)


def _zeros(operand: Operand) -> bool:
    return isinstance(operand, Const) and operand.array is not None and not np.any(operand.array)


@rule("Softmax", "LogSoftmax", "Hardmax")
def softmax(b: Builder, operands: Sequence[Operand]) -> Sequence[Operand] | None:
    """Along one axis; before opset 13 along all from the given one on, taken as one."""
    rank, axis = (b.rank(operands[0]), b.held.get("axis")) if operands else (None, None)
    flat = (b.version or 0) < 13
    if rank is None or not isinstance(axis, int) or not -rank <= axis < rank or not isinstance(operands[0], Ref):
        if flat and axis != -1:
            b.held["axis"] = f"from {axis} on"
        return None
    axis %= rank
    dims = b.dims(operands[0]) or ()
    over = [a for a in range(axis, rank) if dims[a] != 1] if flat else [axis]
    ref = b.settled(operands[0])
    at = [ref.perm[a] if ref.perm else a for a in over or [axis]]
    held = {"axis": at[0] if len(at) == 1 else tuple(sorted(at))}
    if len(at) > 1 and at != sorted(at) and b.node.op_type == "Hardmax":
        b.held["axis"] = f"from {axis} on"
        return None  # which of two largest is the first depends on the order
    (made,) = b.emit(b.node.op_type, held, [Ref(ref.value)], [b.values[ref.value].dims])
    return [Ref(made.value, ref.perm, None, ref.via)]


_REDUCE = "ReduceMean ReduceSum ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp".split()

_OF_ONE = ("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd")  # of one number they are that number


@rule(*_REDUCE, "ReduceSumSquare", "GlobalAveragePool", "GlobalMaxPool", "ArgMax", "ArgMin")
def reduced(b: Builder, operands: Sequence[Operand]) -> Sequence[Operand] | None:
    if not operands or not isinstance(operands[0], Ref):
        return None
    rank = b.rank(operands[0])
    keep = b.node.op_type.startswith("Global") or bool(b.held.get("keepdims", 1))
    if rank is None:
        return _reduced_of_any_rank(b, operands, keep)
    op = {"GlobalAveragePool": "ReduceMean", "GlobalMaxPool": "ReduceMax"}.get(b.node.op_type, b.node.op_type)
    axes = _reduced_axes(b, operands, rank)
    if axes is None or any(not -rank <= axis < rank for axis in axes):
        return None
    if not axes:
        return operands[:1] if op in _OF_ONE else None
    ref = b.settled(operands[0])
    at = sorted(axis % rank for axis in axes)
    before = b.dims(ref)
    full = None if before is None else tuple(1 if axis in at else d for axis, d in enumerate(before))
    wanted = full if full is None or keep else tuple(d for axis, d in enumerate(full) if axis not in at)
    held = {k: v for k, v in plain(b.held).items() if k not in _OF_REDUCTION}
    if not keep and (wanted is None or sum(d is None for d in wanted) > 1):
        return list(b.emit(op, {**held, "axes": tuple(at), "keepdims": 0}, [ref], [wanted]))
    held["axes"] = tuple(sorted(ref.perm[axis] if ref.perm else axis for axis in at))
    (made,) = b.emit(op, held, [Ref(ref.value)], [turned(full, inverse(ref.perm))], soft={"keepdims": int(keep)})
    result: Operand = Ref(made.value, ref.perm, None, ref.via)
    return [result if keep else b.reshape(result, wanted, b.name)]


_OF_REDUCTION = ("axes", "axis", "keepdims", "noop_with_empty_axes")


def _reduced_axes(b: Builder, operands: Sequence[Operand], rank: int) -> Ints | None:
    """The axes that a reduction goes over; none where it does nothing, ``None`` where they are not known."""
    if b.node.op_type.startswith("Global"):
        return tuple(range(2, rank))
    if b.node.op_type.startswith("Arg"):
        axis = b.held.get("axis", 0)
        return (axis,) if isinstance(axis, int) else None
    axes = b.integers(1, "axes")
    if axes is None and ("axes" in b.held or (len(operands) > 1 and operands[1] is not None)):
        return None
    return axes or (() if b.held.get("noop_with_empty_axes") else tuple(range(rank)))


def _reduced_of_any_rank(b: Builder, operands: Sequence[Operand], keep: bool) -> Sequence[Operand] | None:
    """As :func:`reduced` says it, as far as that is known."""
    op = b.node.op_type
    axis = b.held.get("axis", 0)
    axes = (axis,) if op.startswith("Arg") and isinstance(axis, int) else b.integers(1, "axes")
    if not axes or op.startswith("Global"):
        return None
    held = {k: v for k, v in plain(b.held).items() if k not in _OF_REDUCTION}
    held |= {"axes": tuple(sorted(axes))} | ({} if keep else {"keepdims": 0})
    return list(b.emit(op, held, operands[:1], [b.out()]))


@rule("Pad")
def pad(b: Builder, operands: Sequence[Operand]) -> Sequence[Operand] | None:
    if not operands or not isinstance(operands[0], Ref):
        return None
    amounts = _padded_axes(b, operands)
    value = _pad_value(b, operands)
    if amounts is None or value is None:
        return None
    mode = b.held.get("mode", "constant")
    ref = b.settled(operands[0])
    begin, end = [0] * len(amounts), [0] * len(amounts)
    for axis, both in enumerate(amounts):
        at = ref.perm[axis] if ref.perm else axis
        begin[at], end[at] = both
    if not any(begin) and not any(end):
        return operands[:1]
    held = {"mode": mode, "pads": (*begin, *end)} | ({"value": value} if mode == "constant" else {})
    base = b.values[ref.value].dims
    if base is None:
        out = turned(b.out(), inverse(ref.perm))
    else:
        out = tuple(None if d is None else d + first + last for d, first, last in zip(base, begin, end, strict=True))
    (made,) = b.emit("Pad", held, [Ref(ref.value)], [out])
    return [Ref(made.value, ref.perm, None, ref.via)]


def _padded_axes(b: Builder, operands: Sequence[Operand]) -> Sequence[tuple[int, int]] | None:
    """What a Pad adds before and after, axis by axis; ``None`` where that is not known."""
    rank, amounts = b.rank(operands[0]), b.integers(1, "pads")
    axes = small_integers(operands[3]) if len(operands) > 3 and operands[3] is not None else ()
    if amounts is None or axes is None:
        return None
    if len(operands) < 4 or operands[3] is None:
        rank = len(amounts) // 2 if rank is None else rank
        axes = tuple(range(rank))
    if rank is None or len(amounts) != 2 * len(axes):
        return None
    if any(not -rank <= axis < rank for axis in axes) or len({a % rank for a in axes}) != len(axes):
        return None
    made = [(0, 0)] * rank
    for place, axis in enumerate(axes):
        made[axis % rank] = amounts[place], amounts[place + len(axes)]
    return made


def _pad_value(b: Builder, operands: Sequence[Operand]) -> Any:
    """What a Pad fills in; ``None`` where that is not one known number."""
    if len(operands) < 3 or operands[2] is None:
        return b.held.get("value", 0.0)
    if not isinstance(operands[2], Const) or operands[2].array is None or operands[2].array.size != 1:
        return None
    return as_number(operands[2].array.reshape(-1)[0])


# -- matrices


@rule("MatMul")
def matmul(b: Builder, operands: Sequence[Operand]) -> Sequence[Operand] | None:
    return _matmul(b, operands) if len(operands) == 2 else None


def _matmul(b: Builder, operands: Sequence[Operand], alpha: float = 1.0) -> Sequence[Operand]:
    """A product.  With a matrix on the right it is one of matrices, whatever axes are in front of the last."""
    left, right = operands
    dims, columns = b.dims(left), (b.dims(right) or (None,))[-1]
    flat, lead = left, None
    if isinstance(left, Ref) and dims is not None and len(dims) > 2 and len(b.dims(right) or ()) == 2:
        known = [d for d in dims[:-1] if d is not None]
        rows = math.prod(known) if len(known) == len(dims) - 1 else None
        if dims[-1] is not None and columns is not None and len(known) >= len(dims) - 2:
            flat, lead = b.reshape(left, (rows, dims[-1])), dims[:-1]
    if flat is None or lead is None:
        out = b.known(_product(b, operands))
        made = b.emit("MatMul", {}, operands, [out])[0]
        return [_scaled(b, made, alpha, out)]
    made = b.emit("MatMul", {}, [flat, right], [((b.dims(flat) or (None,))[0], columns)])[0]
    made = _scaled(b, made, alpha, b.values[made.value].dims)
    return [b.reshape(made, (*lead, columns))]


def _product(b: Builder, operands: Sequence[Operand]) -> Dims | None:
    left, right = (b.dims(o) for o in operands)
    if left is None or right is None or len(left) < 2 or len(right) not in (2, len(left)):
        return None
    if len(right) > 2 and left[:-2] != right[:-2]:
        return None
    return (*left[:-1], right[-1])


def _scaled(b: Builder, made: Ref, alpha: float, dims: Dims | None) -> Ref:
    if alpha == 1.0:
        return made
    factor = Const.of("alpha", np.asarray(alpha, np.float32))
    return b.emit("Mul", {}, [made, factor], [dims], part="alpha")[0]


@rule("Gemm")
def gemm(b: Builder, operands: Sequence[Operand]) -> Sequence[Operand] | None:
    if len(operands) < 2 or operands[0] is None or operands[1] is None or (b.version or 0) < 7:
        return None
    left: Operand = operands[0]
    right: Operand = operands[1]
    if b.held.get("transA"):
        left = b.turn(left, (1, 0))
    if b.held.get("transB"):
        right = b.turn(right, (1, 0))
    alpha, beta = b.held.get("alpha", 1.0), b.held.get("beta", 1.0)
    (made,) = _matmul(b, [left, right], alpha)
    if len(operands) < 3 or operands[2] is None or beta == 0.0:
        return [made]
    return push(b, "Add", {} if beta == 1.0 else {"beta": beta}, [made, operands[2]], part="bias")


@rule("com.microsoft.FusedMatMul")
def fused_matmul(b: Builder, operands: Sequence[Operand]) -> Sequence[Operand] | None:
    if len(operands) != 2 or b.held.get("transBatchA") or b.held.get("transBatchB"):
        return None
    sides: list[Operand] = []
    for operand, name in zip(operands, ("transA", "transB"), strict=True):
        rank = b.rank(operand)
        if b.held.get(name):
            if rank is None or rank < 2:
                return None
            operand = b.turn(operand, (*range(rank - 2), rank - 1, rank - 2))
        sides.append(operand)
    alpha = b.held.get("alpha", 1.0)
    return _matmul(b, sides, alpha)


@rule("com.microsoft.SkipLayerNormalization")
def skip_layer_normalization(b: Builder, operands: Sequence[Operand]) -> Sequence[Operand] | None:
    if len(operands) < 3 or any(n for n in b.node.output[1:3]) or any(o is None for o in operands):
        return None
    out = b.known(b.broadcast(operands[:2]))
    total = push(b, "Add", {}, operands[:2], part="sum")[0]
    if len(operands) > 4:
        total = push(b, "Add", {}, [total, operands[4]], part="bias")[0]
    rank = b.rank(operands[0])
    held = {"axis": rank - 1 if rank else -1, "epsilon": b.held.get("epsilon", 1e-12), "stash_type": 1}
    made = b.emit("LayerNormalization", plain(held), [total, *operands[2:4]], [out], part="normalization")
    if len(b.node.output) > 3:
        return [made[0], None, None, total]
    return list(made)


@rule("com.microsoft.BiasGelu")
def bias_gelu(b: Builder, operands: Sequence[Operand]) -> Sequence[Operand] | None:
    if len(operands) != 2:
        return None
    total = push(b, "Add", {}, operands, part="bias")
    return push(b, "Gelu", {"approximate": "none"}, total, part="gelu")


@rule("BatchNormalization")
def batch_normalization(b: Builder, operands: Sequence[Operand]) -> Sequence[Operand] | None:
    if len(operands) != 5 or any(b.node.output[1:]) or b.held.get("training_mode") or (b.version or 0) < 9:
        return None
    held = {"epsilon": plain(b.held).get("epsilon")}
    return list(b.emit("BatchNormalization", held, operands, [b.known(b.dims(operands[0]))]))


@rule("LayerNormalization")
def layer_normalization(b: Builder, operands: Sequence[Operand]) -> Sequence[Operand] | None:
    if not operands or any(b.node.output[1:]):
        return None
    held = plain(b.held)
    rank = b.rank(operands[0])
    if rank:
        held["axis"] = positive(held.get("axis", -1), rank)
    return list(b.emit("LayerNormalization", held, operands, [b.known(b.dims(operands[0]))]))
