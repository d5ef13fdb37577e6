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
    compose,
    inverse,
    number_in,
    numbers_in,
    plain,
    positive,
    size_of,
    small_integers,
    turned,
)
from onnx_triangulate.onnxgraph.nodes import Dims
from onnx_triangulate.ops import axis_propagation as links
from onnx_triangulate.ops.registry import operators_where

COMMUTATIVE = operators_where(lambda op: op.commutes)
# Element by element, of one operand and of several; five have rules of their own.
_OWN_RULES = frozenset("Cast CastLike Clip Identity Relu".split())
UNARY = operators_where(lambda op: op.axes is links.same and not op.domain) - _OWN_RULES
NARY = operators_where(lambda op: op.axes is links.elementwise)
# Those that keep the order of axes of what they read, and so can be seen in any.
FOLLOWS = frozenset([*UNARY, *NARY, "Clip", "Cast", "Concat"])
LARGEST = 3.0e38
_ZEROS = 1 << 16
_FLOAT8 = frozenset(kind for name, kind in TensorProto.DataType.items() if name.startswith("FLOAT8"))


@rule("Identity")
def identity(b: Builder, operands: Sequence[Operand]) -> Sequence[Operand] | None:
    return operands[:1]


@rule("Dropout", since=7)
def dropout(b: Builder, operands: Sequence[Operand]) -> Sequence[Operand] | None:
    training = operands[2] if len(operands) > 2 else None
    infers = training is None or ((mode := numbers_in(training)) is not None and not np.any(mode))
    return operands[:1] if infers and not any(b.node.output[1:2]) else None


@rule("Cast", "CastLike", computed=True)
def cast(b: Builder, operands: Sequence[Operand]) -> Sequence[Operand] | None:
    to = b.cast_type
    if not isinstance(to, int):
        return None
    if b.type(operands[0]) == to:
        return operands[:1]
    rest = {n: b.held[n] for n in ("saturate", "round_mode") if n in b.held} if to in _FLOAT8 else {}
    return push(b, "Cast", {"to": to} | rest, operands[:1])


@rule("Transpose")
def transpose(b: Builder, operands: Sequence[Operand]) -> Sequence[Operand] | None:
    rank = b.rank(operands[0])
    perm = b.held.get("perm", None if rank is None else tuple(reversed(range(rank))))
    if not isinstance(perm, tuple) or sorted(perm) != list(range(len(perm))):
        return None
    return [b.turn(operands[0], perm, b.name)]


@rule("Reshape", "Flatten", "Squeeze", "Unsqueeze")
def reshape(b: Builder, operands: Sequence[Operand]) -> Sequence[Operand] | None:
    op, before = b.node.op_type, b.dims(operands[0])
    if op != "Reshape":
        derived = None if before is None or op == "Flatten" else _squeezed(b, before)
        made = b.reshape(operands[0], b.known(derived), b.name)
        return None if made is None else [made]
    wanted, allowzero = small_integers(operands[1]) if len(operands) > 1 else None, bool(b.held.get("allowzero"))
    if wanted is not None and not allowzero and _as_it_is(wanted, before):
        return operands[:1]
    made = b.reshape(operands[0], b.known(_reshaped(wanted, before, allowzero)), b.name)
    if made is None and (not allowzero or (wanted is not None and 0 not in wanted)):
        b.held.pop("allowzero", None)  # what it says is what Reshape does anyway
    return None if made is None else [made]


def _as_it_is(wanted: Ints, before: Dims | None) -> bool:
    """Whether a constant target asks for the sizes that are there, one of which it may leave open."""
    if before is None or len(wanted) != len(before) or wanted.count(-1) > 1:
        return False
    return all(w in (0, -1) or w == d for w, d in zip(wanted, before, strict=True))


def _reshaped(wanted: Ints | None, before: Dims | None, allowzero: bool) -> Dims | None:
    """What a constant target makes of a shape."""
    if wanted is None or min(wanted, default=0) < -1 or wanted.count(-1) > 1:
        return None
    copied = (*(before or ()), *(None,) * len(wanted))
    made = [copied[at] if d == 0 and not allowzero else None if d < 0 else d for at, d in enumerate(wanted)]
    if -1 in wanted:
        at = wanted.index(-1)
        whole, part = size_of(before), size_of((*made[:at], *made[at + 1 :]))
        if whole is not None and part and whole % part == 0:
            made[at] = whole // part
    return tuple(made)


def _squeezed(b: Builder, dims: Dims) -> Dims | None:
    axes = b.integers(1, "axes")
    if axes is None:
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


@rule(*UNARY, most=1, computed=True)
def unary(b: Builder, operands: Sequence[Operand]) -> Sequence[Operand] | None:
    return push(b, b.node.op_type, plain(b.held), operands) if len(b.node.output) == 1 else None


@rule(*NARY, since=7)
def nary(b: Builder, operands: Sequence[Operand]) -> Sequence[Operand] | None:
    op = "Add" if b.node.op_type == "Sum" and len(operands) == 2 else b.node.op_type
    if None in operands or len(b.node.output) != 1:
        return None
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
    bound = next((o for o in operands if number_in(o) is not None), None)
    other = next((o for o in operands if isinstance(o, Ref)), None)
    held, limit = numbers_in(bound), number_in(bound)
    if held is None or other is None or held.dtype.kind != "f" or held.ndim > (b.rank(other) or 0):
        return None
    if math.isnan(limit):  # which a Clip may leave out
        return None
    return _clip(b, other, *((limit, None) if op == "Max" else (None, limit)))


def is_nothing(b: Builder, operand: Operand, operands: Sequence[Operand]) -> bool:
    """Whether an operand of an Add is zeros that make the other no larger, and its rank no higher."""
    held = numbers_in(operand)
    if held is None or held.size > _ZEROS or held.dtype.kind not in "fiu" or np.any(held):
        return False
    other, mine = next((b.dims(o) for o in operands if o is not operand), None), b.dims(operand) or ()
    if other is None or len(mine) > len(other):
        return False
    return all(m in (1, o) for m, o in zip(reversed(mine), reversed(other), strict=False))


@rule("Relu", most=1, computed=True)
def relu(b: Builder, operands: Sequence[Operand]) -> Sequence[Operand] | None:
    return _clip(b, operands[0], 0.0, None)


@rule("Clip", computed=True)
def clip(b: Builder, operands: Sequence[Operand]) -> Sequence[Operand] | None:
    bounds: list[float | None] = []
    for slot, name in ((1, "min"), (2, "max")):
        given = operands[slot] if slot < len(operands) else None
        value = b.held.get(name) if given is None else number_in(given)
        if not isinstance(value, (int, float)) and (value is not None or given is not None):
            return None
        bounds.append(value)
    return _clip(b, operands[0], *bounds)


def _clip(b: Builder, operand: Operand, low: float | None, high: float | None) -> list[Operand]:
    low = None if low is None or low <= -_largest(low) else _number(low)
    high = None if high is None or high >= _largest(high) else _number(high)
    before = b.producer(operand)
    also: list[Step] = []
    if before is not None and before.op == "Clip" and isinstance(before.operands[0], Ref) and _is_plain(operand):
        first, last = before.attributes["min"], before.attributes["max"]
        if not _crossed(first, last) and not _crossed(low, high):
            operand, also = before.operands[0], [before]
            low, high = _limited(first, low, high, -np.inf), _limited(last, low, high, np.inf)
    return push(b, "Clip", {"min": low, "max": high}, [operand], also=also)


def _is_plain(operand: Operand) -> bool:
    return isinstance(operand, Ref) and operand.plain


def _crossed(low: float | None, high: float | None) -> bool:
    return low is not None and high is not None and low > high


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


@rule("Split", computed=True)
def split(b: Builder, operands: Sequence[Operand]) -> Sequence[Operand] | None:
    """By the sizes of the parts, which opsets have as an attribute, as an input or as a number of parts."""
    rank, axis = b.rank(operands[0]), b.held.get("axis", 0)
    if rank is None or not isinstance(axis, int) or not -rank <= axis < rank:
        return None
    axis %= rank
    outputs = [b.out(slot) for slot in range(len(b.node.output))]
    sizes = [o[axis] if o is not None and len(o) == rank else None for o in outputs]
    if None in sizes or not all(b.node.output):
        return None
    return b.opaque("Split", {"axis": axis, "split": tuple(sizes)}, operands[:1])


@rule("LSTM", "GRU", "RNN", least=0)
def recurrent(b: Builder, operands: Sequence[Operand]) -> Sequence[Operand] | None:
    """An initial state of zeros is the one that is taken where none is given."""
    states = [numbers_in(o) if slot in (5, 6) else None for slot, o in enumerate(operands)]
    zeros = [state is not None and not np.any(state) for state in states]
    return b.generic([None if zero else o for zero, o in zip(zeros, operands, strict=True)])


@rule("Softmax", "LogSoftmax", "Hardmax", least=0)
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
    return [b.along(ref, b.node.op_type, held, b.values[ref.value].dims)]


_GLOBAL = {"GlobalAveragePool": "ReduceMean", "GlobalMaxPool": "ReduceMax"}
_OF_ONE = ("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd")  # of one number they are that number
_REDUCE = (*_OF_ONE, *"ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceSumSquare ArgMax ArgMin".split())


@rule(*_REDUCE, *_GLOBAL, computed=True)
def reduced(b: Builder, operands: Sequence[Operand]) -> Sequence[Operand] | None:
    rank, op = b.rank(operands[0]), _GLOBAL.get(b.node.op_type, b.node.op_type)
    keep = b.node.op_type in _GLOBAL or bool(b.held.get("keepdims", 1))
    axes = _reduced_axes(b, operands, rank)
    held = {k: v for k, v in plain(b.held).items() if k not in _OF_REDUCTION}
    if rank is None:
        held |= {} if keep else {"keepdims": 0}
        return b.emit(op, {**held, "axes": tuple(sorted(axes))}, operands[:1], [b.out()]) if axes else None
    if axes is None or any(not -rank <= axis < rank for axis in axes):
        return None
    if not axes:
        return operands[:1] if op in _OF_ONE else None
    ref = b.computed(operands)
    at = sorted(axis % rank for axis in axes)
    full = tuple(1 if axis in at else d for axis, d in enumerate(b.dims(ref) or ()))
    wanted = full if keep else tuple(d for axis, d in enumerate(full) if axis not in at)
    if not keep and wanted.count(None) > 1:
        return b.emit(op, {**held, "axes": tuple(at), "keepdims": 0}, [ref], [wanted])
    held["axes"] = tuple(sorted(ref.perm[axis] if ref.perm else axis for axis in at))
    result = b.along(ref, op, held, turned(full, inverse(ref.perm)), soft={"keepdims": int(keep)})
    return [result if keep else b.reshape(result, wanted, b.name)]


_OF_REDUCTION = ("axes", "axis", "keepdims", "noop_with_empty_axes")


def _reduced_axes(b: Builder, operands: Sequence[Operand], rank: int | None) -> Ints | None:
    """The axes that a reduction goes over; none where it does nothing, ``None`` where they are not known."""
    if b.node.op_type in _GLOBAL:
        return None if rank is None else tuple(range(2, rank))
    if b.node.op_type.startswith("Arg"):
        axis = b.held.get("axis", 0)
        return (axis,) if isinstance(axis, int) else None
    axes = b.integers(1, "axes")
    if axes is None and ("axes" in b.held or (len(operands) > 1 and operands[1] is not None)):
        return None
    return axes or (() if rank is None or b.held.get("noop_with_empty_axes") else tuple(range(rank)))


@rule("Pad", computed=True)
def pad(b: Builder, operands: Sequence[Operand]) -> Sequence[Operand] | None:
    amounts, mode = _padded_axes(b, operands), b.held.get("mode", "constant")
    given = operands[2] if len(operands) > 2 else None
    value = b.held.get("value", 0.0) if given is None else number_in(given)
    if amounts is None or value is None:
        return None
    ref = b.computed(operands)
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
    return [b.along(ref, "Pad", held, out)]


def _padded_axes(b: Builder, operands: Sequence[Operand]) -> Sequence[tuple[int, int]] | None:
    """What a Pad adds before and after, axis by axis; ``None`` where that is not known."""
    rank, amounts = b.rank(operands[0]), b.integers(1, "pads")
    given = operands[3] if len(operands) > 3 else None
    if amounts is None:
        return None
    if given is None and rank is None:
        rank = len(amounts) // 2
    axes = small_integers(given) if given is not None else tuple(range(rank or 0))
    if rank is None or axes is None or len(amounts) != 2 * len(axes):
        return None
    if any(not -rank <= axis < rank for axis in axes) or len({a % rank for a in axes}) != len(axes):
        return None
    made = [(0, 0)] * rank
    for place, axis in enumerate(axes):
        made[axis % rank] = amounts[place], amounts[place + len(axes)]
    return made


# -- matrices


@rule("MatMul", least=2, most=2)
def matmul(b: Builder, operands: Sequence[Operand], alpha: float = 1.0) -> Sequence[Operand]:
    """A product.  With a matrix on the right it is one of matrices, whatever axes are in front of the last."""
    left, right = operands
    dims, (*_, columns) = b.dims(left) or (), b.dims(right) or (None,)
    flat: Operand = None
    sized = None not in (*dims[-1:], columns) and dims[:-1].count(None) < 2
    if isinstance(left, Ref) and len(dims) > 2 and b.rank(right) == 2 and sized:
        flat = b.reshape(left, (size_of(dims[:-1]), dims[-1]))
    if flat is None:
        out = b.known(_product(b, operands))
        return [_scaled(b, b.emit("MatMul", {}, operands, [out])[0], alpha, out)]
    out = ((b.dims(flat) or (None,))[0], columns)
    return [b.reshape(_scaled(b, b.emit("MatMul", {}, [flat, right], [out])[0], alpha, out), (*dims[:-1], columns))]


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


@rule("Gemm", least=2, since=7)
def gemm(b: Builder, operands: Sequence[Operand]) -> Sequence[Operand] | None:
    sides = zip(operands, ("transA", "transB"), strict=False)
    (made,) = matmul(b, [b.turn(o, (1, 0)) if b.held.get(name) else o for o, name in sides], b.held.get("alpha", 1.0))
    beta = b.held.get("beta", 1.0)
    if len(operands) < 3 or operands[2] is None or beta == 0.0:
        return [made]
    return push(b, "Add", {} if beta == 1.0 else {"beta": beta}, [made, operands[2]], part="bias")


@rule("com.microsoft.FusedMatMul", least=2, most=2)
def fused_matmul(b: Builder, operands: Sequence[Operand]) -> Sequence[Operand] | None:
    if b.held.get("transBatchA") or b.held.get("transBatchB"):
        return None
    sides: list[Operand] = []
    for operand, name in zip(operands, ("transA", "transB"), strict=True):
        rank = b.rank(operand)
        if b.held.get(name):
            if rank is None or rank < 2:
                return None
            operand = b.turn(operand, (*range(rank - 2), rank - 1, rank - 2))
        sides.append(operand)
    return matmul(b, sides, b.held.get("alpha", 1.0))


@rule("com.microsoft.SkipLayerNormalization", least=3)
def skip_layer_normalization(b: Builder, operands: Sequence[Operand]) -> Sequence[Operand] | None:
    if any(b.node.output[1:3]) or None in operands:
        return None
    out = b.known(b.broadcast(operands[:2]))
    total = push(b, "Add", {}, operands[:2], part="sum")[0]
    if len(operands) > 4:
        total = push(b, "Add", {}, [total, operands[4]], part="bias")[0]
    rank = b.rank(operands[0])
    held = {"axis": rank - 1 if rank else -1, "epsilon": b.held.get("epsilon", 1e-12), "stash_type": 1}
    made = b.emit("LayerNormalization", plain(held), [total, *operands[2:4]], [out], part="normalization")
    return [made[0], None, None, total] if len(b.node.output) > 3 else made


@rule("com.microsoft.BiasGelu", least=2, most=2)
def bias_gelu(b: Builder, operands: Sequence[Operand]) -> Sequence[Operand] | None:
    total = push(b, "Add", {}, operands, part="bias")
    return push(b, "Gelu", {"approximate": "none"}, total, part="gelu")


@rule("BatchNormalization", least=5, most=5, since=9)
def batch_normalization(b: Builder, operands: Sequence[Operand]) -> Sequence[Operand] | None:
    if any(b.node.output[1:]) or b.held.get("training_mode"):
        return None
    held = {"epsilon": plain(b.held).get("epsilon")}
    return b.emit("BatchNormalization", held, operands, [b.known(b.dims(operands[0]))])


@rule("LayerNormalization")
def layer_normalization(b: Builder, operands: Sequence[Operand]) -> Sequence[Operand] | None:
    if any(b.node.output[1:]):
        return None
    held, rank = plain(b.held), b.rank(operands[0])
    if rank:
        held["axis"] = positive(held.get("axis", -1), rank)
    return b.emit("LayerNormalization", held, operands, [b.known(b.dims(operands[0]))])
