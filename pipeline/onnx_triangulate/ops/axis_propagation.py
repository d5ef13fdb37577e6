"""Which axis of a node's output is which axis of its inputs, operator by operator.

Design note.  Everything about layouts rests on one question: where does an axis go?  Each rule below answers it for a
family of operators as :class:`Link` records; names of axes then travel along links in both directions without anybody
knowing operators (``facts.layouts``).  A rule that does not know (dims that are not static, axes that are
computed) gives no link.  ``free`` says more of a node: that a Transpose of all its inputs that are no constants could
stand behind it instead, once its attributes and constants are rewritten.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, NamedTuple

from onnx import NodeProto

from onnx_triangulate.onnxgraph.graph import Place
from onnx_triangulate.onnxgraph.nodes import Dims

Axes = tuple[int | None, ...]
Group = tuple[tuple[int, ...], tuple[int, ...]]  # axes before a Reshape, and after it, that hold the same elements

# What may travel along an axis: anything, names of single axes (a part of a merged H·W is no H·W), channels (whatever
# a MatMul makes of them they stay channels), or only from the output to the input (an axis of size one broadcast).
ANY, PLAIN, CHANNELS, BACKWARD = "", "plain", "channels", "backward"
_MOST_AXES = 64  # ONNX sets no limit; numpy's is this
_MOST_OPERANDS = 10_000


class Link(NamedTuple):
    """Axis i of output ``target`` is axis ``axes[i]`` of input ``source``; ``None`` for ``axes`` is: all the same.

    ``None`` for one axis is a new one, or one that is not known.  ``merged`` names, for the axes that are several of
    the input's, which.  ``only`` is what may travel, per axis of the output.
    """

    source: int
    target: int
    axes: Axes | None = None
    only: tuple[str, ...] | None = None
    merged: tuple[tuple[int, tuple[int, ...]], ...] = ()


class Linked(NamedTuple):
    links: tuple[Link, ...] = ()
    free: bool = False


class Node:
    """A node as a rule sees it: ranks, dims and constants of its inputs, its attributes."""

    def __init__(
        self, place: Place, version: int, ranks: Sequence[int | None], outs: Sequence[int | None], fixed: Sequence[bool]
    ) -> None:
        self.place, self.version, self.ranks, self.outs, self.fixed = place, version, ranks, outs, fixed

    @property
    def node(self) -> NodeProto:
        return self.place.node

    @property
    def held(self) -> dict[str, Any]:
        return self.place.attributes

    @property
    def refers(self) -> bool:
        return any(a.ref_attr_name for a in self.node.attribute)

    def has(self, slot: int) -> bool:
        return bool(self.place.input(slot))

    def rank(self, slot: int) -> int | None:
        return self.ranks[slot] if slot < len(self.ranks) else None

    def shape(self, slot: int) -> Dims | None:
        return self.place.graph.shape(self.place.inputs[slot]) if self.has(slot) else None

    def made(self, slot: int = 0) -> Dims | None:
        return self.place.graph.shape(self.place.outputs[slot]) if slot < len(self.place.outputs) else None

    def ints(self, slot: int) -> tuple[int, ...] | None:
        return self.place.graph.integers(self.place.inputs[slot]) if self.has(slot) else None

    def integer(self, name: str, default: int) -> int:
        value = self.held.get(name, default)
        return value if isinstance(value, int) else default

    def constants_from(self, slot: int) -> bool:
        """Whether every input from ``slot`` on is left out or a constant."""
        return all(self.fixed[s] for s in range(slot, len(self.fixed)) if self.has(s))

    def axes(self, slot: int, rank: int | None) -> tuple[int, ...] | None:
        """The attribute ``axes``, or the input that took its place, counted from the front; ``None``: not known."""
        held = self.held.get("axes")
        if held is None:
            held = self.ints(slot)
        if not isinstance(held, tuple) or not all(isinstance(a, int) for a in held):
            return None
        return counted(held, rank)


def counted(axes: Sequence[int], rank: int | None) -> tuple[int, ...] | None:
    """Axes counted from the front, or ``None`` where one is outside, twice there, or negative without a rank."""
    if rank is None:
        return tuple(axes) if all(0 <= a < _MOST_AXES for a in axes) and len(set(axes)) == len(axes) else None
    if not all(-rank <= a < rank for a in axes):
        return None
    found = tuple(a % rank for a in axes)
    return found if len(set(found)) == len(found) else None


_NOTHING = Linked()
_SAME = Linked((Link(0, 0),), True)
_SAME_BOUND = Linked((Link(0, 0),))


def _same(_: Node) -> Linked:
    return _SAME


def _bound(_: Node) -> Linked:
    return _SAME_BOUND


def _dropout(node: Node) -> Linked:
    return Linked(tuple(Link(0, t) for t in range(min(2, len(node.place.outputs)))), True)


def _quantize(node: Node) -> Linked:
    return _SAME_BOUND if node.integer("block_size", 0) else _SAME


def _altered(node: Node, axes: Sequence[int] | None, free: bool, source: int = 0, targets: int = 1) -> Linked:
    """All axes stay in place, of ``axes`` (``None``: of any) not the whole."""
    rank = node.rank(source)
    if rank is None:
        return _NOTHING
    only = tuple(PLAIN if axes is None or a in axes else ANY for a in range(rank))
    return Linked(tuple(Link(source, t, None, only) for t in range(targets)), free)


def _softmax(node: Node) -> Linked:
    # Before opset 13 it flattened all axes from `axis` on, so that their order mattered.
    return _SAME if node.version >= 13 else _SAME_BOUND


def _stretched(dims: Dims | None, made: Dims | None, rank: int) -> tuple[str, ...] | None:
    """What may travel along axes of which some are of size one and, for all that is known, stretched."""
    if dims is None or len(dims) != rank or 1 not in dims:
        return None
    if made is None or len(made) != rank:
        made = (None,) * rank
    return tuple(BACKWARD if d == 1 and m != 1 else ANY for d, m in zip(dims, made, strict=True))


def broadcast(node: Node, slots: Sequence[int]) -> Linked:
    slots = [s for s in slots if node.has(s)]
    if "axis" in node.held or "broadcast" in node.held:  # opset 6 and before: the first operand's shape is the result's
        return Linked((Link(slots[0], 0),), node.constants_from(slots[0] + 1)) if slots else _NOTHING
    ranks = [node.rank(s) for s in slots]
    known = [r for r in ranks if r is not None]
    rank = max(known, default=None) if len(known) == len(slots) else node.outs[0] if node.outs else None
    if rank is None:
        return _NOTHING
    result, found, free = node.made(), [], True
    for slot, own in zip(slots, ranks, strict=True):
        if own == rank:
            found.append(Link(slot, 0, None, _stretched(node.shape(slot), result, rank)))
        elif not node.fixed[slot]:
            free = free and own == 0
    return Linked(tuple(found), free)


def _elementwise(node: Node) -> Linked:
    return broadcast(node, range(len(node.place.inputs)))


def _quantized_pair(node: Node) -> Linked:
    return broadcast(node, (0, 3))


def _concat(node: Node, first: int = 0, step: int = 1) -> Linked:
    slots = [s for s in range(first, len(node.place.inputs), step) if node.has(s)]
    rank = next((r for r in (node.rank(s) for s in slots) if r is not None), node.outs[0] if node.outs else None)
    axis = counted((node.integer("axis", 1),), rank)
    if rank is None or axis is None:
        return _NOTHING
    only = tuple(PLAIN if a in axis else ANY for a in range(rank))
    return Linked(tuple(Link(s, 0, None, only) for s in slots if node.rank(s) in (rank, None)), True)


def _quantized_concat(node: Node) -> Linked:
    return _concat(node, 2, 3)


def _split(node: Node) -> Linked:
    axis = counted((node.integer("axis", 0),), node.rank(0))
    return _altered(node, axis, axis is not None, targets=len(node.place.outputs))


def _slice(node: Node) -> Linked:
    axes = node.axes(3, node.rank(0))
    by_default = not node.has(3) and "axes" not in node.held
    return _altered(node, axes, by_default or axes is not None)


def _pad(node: Node) -> Linked:
    return _altered(node, None, node.constants_from(1))


def _resize(node: Node) -> Linked:
    # With `roi` or a non-constant size the vector itself would have to be permuted at run time.
    return _altered(node, None, node.constants_from(1))


def _axis(node: Node) -> Linked:
    return _altered(node, counted((node.integer("axis", -1),), node.rank(0)), True, targets=len(node.place.outputs))


def _cumulative(node: Node) -> Linked:
    return _altered(node, (), node.constants_from(1))


def without(rank: int, gone: Sequence[int]) -> Axes:
    return tuple(a for a in range(rank) if a not in gone)


def _reduced(node: Node, axes: tuple[int, ...] | None) -> Linked:
    rank = node.rank(0)
    if node.integer("keepdims", 1):
        return _altered(node, axes, axes is not None)
    if rank is None or axes is None:
        return _NOTHING
    return Linked((Link(0, 0, without(rank, axes)),))


def _reduce(node: Node) -> Linked:
    rank = node.rank(0)
    axes = node.axes(1, rank)
    if not node.has(1) and "axes" not in node.held:
        axes = ()
    if axes == ():
        if node.integer("noop_with_empty_axes", 0):
            return _SAME
        axes = tuple(range(rank)) if rank is not None else None
    return _reduced(node, axes)


def _arg(node: Node) -> Linked:
    return _reduced(node, counted((node.integer("axis", 0),), node.rank(0)))


def _squeeze(node: Node) -> Linked:
    rank, dims = node.rank(0), node.shape(0)
    if rank is None:
        return _NOTHING
    axes = node.axes(1, rank)
    if not node.has(1) and "axes" not in node.held:
        axes = tuple(a for a, d in enumerate(dims) if d == 1) if dims is not None and None not in dims else None
    return _NOTHING if axes is None else Linked((Link(0, 0, without(rank, axes)),))


def _unsqueeze(node: Node) -> Linked:
    rank, held = node.rank(0), node.held.get("axes")
    given = held if isinstance(held, tuple) else node.ints(1)
    if rank is None or given is None or rank + len(given) > _MOST_AXES:
        return _NOTHING
    axes = node.axes(1, rank + len(given))
    if axes is None:
        return _NOTHING
    old = iter(range(rank))
    return Linked((Link(0, 0, tuple(None if a in axes else next(old) for a in range(rank + len(given)))),))


def permutation(node: Node) -> tuple[int, ...] | None:
    """A Transpose's permutation: ``None`` where it is not known, ``()`` where what is written is none."""
    if any(a.ref_attr_name for a in node.node.attribute):
        return None
    if "perm" in node.held:
        perm = node.held["perm"]
        if not isinstance(perm, tuple) or len(perm) > _MOST_AXES or not all(isinstance(p, int) for p in perm):
            return ()
        return perm if sorted(perm) == list(range(len(perm))) else ()
    rank = node.rank(0)
    return None if rank is None else tuple(reversed(range(rank)))


def _transpose(node: Node) -> Linked:
    perm = permutation(node)
    if not perm or (node.rank(0) is not None and node.rank(0) != len(perm)):
        return _NOTHING
    return Linked((Link(0, 0, perm),))


def _flatten(node: Node) -> Linked:
    rank = node.rank(0)
    if rank is None or not -rank <= node.integer("axis", 1) <= rank:
        return _NOTHING
    axis = node.integer("axis", 1)
    axis += rank if axis < 0 else 0
    sides = (tuple(range(axis)), tuple(range(axis, rank)))
    return Linked((_grouped([(side, (a,)) for a, side in enumerate(sides)], node.shape(0), 2),))


def _reshape(node: Node) -> Linked:
    groups = reshaped(node)
    made = target_dims(node)
    return _NOTHING if groups is None or made is None else Linked((_grouped(groups, node.shape(0), len(made)),))


def _grouped(groups: Sequence[tuple[tuple[int, ...], tuple[int, ...]]], dims: Dims | None, rank: int) -> Link:
    axes: list[int | None] = [None] * rank
    merged = []
    for old, new in groups:
        if len(new) != 1:
            continue
        real = [a for a in old if dims is None or dims[a] != 1] or list(old)
        if len(real) == 1:
            axes[new[0]] = real[0]
        elif real:
            merged.append((new[0], tuple(real)))
    return Link(0, 0, tuple(axes), None, tuple(merged))


def target_dims(node: Node) -> Dims | None:
    """The dims that a Reshape makes, as far as they are known."""
    target = node.ints(1) if node.has(1) else node.held.get("shape")
    made, dims = node.made(), node.shape(0)
    if not isinstance(target, tuple) or node.refers:
        return made
    if not all(isinstance(t, int) and t >= -1 for t in target) or len(target) > _MOST_AXES:
        return None
    found: list[int | None] = []
    for axis, size in enumerate(target):
        declared = made[axis] if made is not None and len(made) == len(target) else None
        if size == 0 and not node.integer("allowzero", 0):
            found.append(dims[axis] if dims is not None and axis < len(dims) else None)
        else:
            found.append(declared if size == -1 else size)
    return tuple(found)


def reshaped(node: Node) -> list[Group] | None:
    """A Reshape's axes in groups (old axes, new axes) that hold the same elements; ``None`` where too little is known.

    The order of elements does not change in a Reshape, so axes correspond wherever the products of the sizes before
    them are equal.  Axes of size one belong nowhere: they are paired in their order if there are as many.
    """
    dims, made = node.shape(0), target_dims(node)
    if dims is None or made is None:
        return None
    target = node.ints(1) if node.has(1) else None
    copied = frozenset(
        a for a, t in enumerate(target or ()) if t == 0 and not node.integer("allowzero", 0) and a < len(dims)
    )
    return group(dims, made, copied)


def group(dims: Dims, made: Dims, copied: frozenset[int] = frozenset()) -> list[Group] | None:
    """:func:`reshaped` of plain dims; ``copied`` are the new axes that are told to be the old one at their place."""
    if 0 in dims or 0 in made:
        return None
    old = [a for a, d in enumerate(dims) if d != 1]
    new = [a for a, d in enumerate(made) if d != 1]
    front: list[Group] = []
    i = j = 0
    while i < len(old) and j < len(new):
        taken = _equal(dims, made, old[i:], new[j:], copied)
        if taken is None:
            break
        front.append((tuple(old[i : i + taken[0]]), tuple(new[j : j + taken[1]])))
        i, j = i + taken[0], j + taken[1]
    back: list[Group] = []
    m, n = len(old), len(new)
    while m > i and n > j:
        taken = _equal(dims, made, old[i:m][::-1], new[j:n][::-1], frozenset())
        if taken is None:
            break
        back.insert(0, (tuple(old[m - taken[0] : m]), tuple(new[n - taken[1] : n])))
        m, n = m - taken[0], n - taken[1]
    middle: list[Group] = []
    if i < m or j < n:
        left, right = tuple(old[i:m]), tuple(new[j:n])
        holes = [sum(d[a] is None for a in side) for d, side in ((dims, left), (made, right))]
        if not left or not right:
            # What is left over on one side alone is an unknown size that must be one here.
            return None
        if 0 in holes and max(holes) == 0 and prod(dims[a] or 1 for a in left) != prod(made[a] or 1 for a in right):
            return None
        if max(holes) > 1 and (len(left), len(right)) != (1, 1) and min(len(left), len(right)) > 1:
            return None
        middle = [(left, right)]
    ones_old = [a for a, d in enumerate(dims) if d == 1]
    ones_new = [a for a, d in enumerate(made) if d == 1]
    ones = [((a,), (b,)) for a, b in zip(ones_old, ones_new, strict=True)] if len(ones_old) == len(ones_new) else []
    return [*front, *middle, *back, *ones]


def _equal(
    dims: Dims, made: Dims, old: Sequence[int], new: Sequence[int], copied: frozenset[int]
) -> tuple[int, int] | None:
    """How many axes, old and new, from the first on make the smallest group of equal size."""
    if old[0] == new[0] and new[0] in copied:
        return 1, 1
    first, second = dims[old[0]], made[new[0]]
    i = j = 1
    while first is not None and second is not None and first != second:
        if first < second:
            if i == len(old):
                return None
            size = dims[old[i]]
            first, i = (None if size is None else first * size), i + 1
        else:
            if j == len(new):
                return None
            size = made[new[j]]
            second, j = (None if size is None else second * size), j + 1
    return None if first is None or second is None else (i, j)


def _matmul(node: Node, right: int = 1) -> Linked:
    rank = node.rank(0)
    if rank is None or rank < 2 or node.rank(right) != 2 or not node.fixed[right]:
        return _NOTHING
    return Linked((Link(0, 0, None, (ANY,) * (rank - 1) + (CHANNELS,)),))


def _quantized_matmul(node: Node) -> Linked:
    return _matmul(node, 3)


def _gather(node: Node) -> Linked:
    rank, picked = node.rank(0), node.rank(1)
    axis = counted((node.integer("axis", 0),), rank)
    if rank is None or axis is None or picked is None or picked > 1:
        return _NOTHING
    if picked == 1:
        return _altered(node, axis, node.fixed[1])
    return Linked((Link(0, 0, without(rank, axis)),))


def _expand(node: Node) -> Linked:
    rank, dims, made = node.rank(0), node.shape(0), node.made()
    if rank is None or made is None or rank > len(made):
        return _NOTHING
    ahead = len(made) - rank
    axes: Axes = (None,) * ahead + tuple(range(rank))
    only = (ANY,) * ahead + tuple(
        BACKWARD if dims is None or dims[a] is None or dims[a] != made[a + ahead] else ANY for a in range(rank)
    )
    return Linked((Link(0, 0, axes, only),))


def _rules() -> dict[str, Callable[[Node], Linked]]:
    families: tuple[tuple[Callable[[Node], Linked], str], ...] = (
        (
            _same,
            "Abs Acos Acosh Asin Asinh Atan Atanh BitwiseNot Cast CastLike Ceil Celu Clip Cos Cosh Elu Erf Exp Floor "
            "Gelu HardSigmoid HardSwish Identity IsInf IsNaN LeakyRelu Log Mish Neg Not Reciprocal Relu Round Selu "
            "Shrink Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Swish Tan Tanh ThresholdedRelu "
            "com.microsoft.Gelu com.microsoft.QuickGelu com.microsoft.QLinearSigmoid com.microsoft.QLinearLeakyRelu",
        ),
        (
            _bound,
            "LayerNormalization RMSNormalization MeanVarianceNormalization Trilu ScatterElements ScatterND "
            "ReverseSequence SimplifiedLayerNormalization com.microsoft.SkipLayerNormalization "
            "com.microsoft.FastGelu com.microsoft.BiasGelu com.microsoft.QLinearSoftmax",
        ),
        (_dropout, "Dropout"),
        (
            _quantize,
            "QuantizeLinear DequantizeLinear com.microsoft.QuantizeLinear com.microsoft.DequantizeLinear",
        ),
        (
            _elementwise,
            "Add Sub Mul Div Pow Mod And Or Xor Equal Greater GreaterOrEqual Less LessOrEqual BitShift BitwiseAnd "
            "BitwiseOr BitwiseXor Min Max Mean Sum Where PRelu",
        ),
        (_quantized_pair, "com.microsoft.QLinearAdd com.microsoft.QLinearMul"),
        (_softmax, "Softmax LogSoftmax Hardmax"),
        (_axis, "LpNormalization TopK"),
        (_cumulative, "CumSum CumProd"),
        (_concat, "Concat"),
        (_quantized_concat, "com.microsoft.QLinearConcat"),
        (_split, "Split"),
        (_slice, "Slice"),
        (_pad, "Pad Tile"),
        (_resize, "Resize Upsample"),
        (
            _reduce,
            "ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum "
            "ReduceSumSquare com.microsoft.QLinearReduceMean",
        ),
        (_arg, "ArgMax ArgMin"),
        (_squeeze, "Squeeze"),
        (_unsqueeze, "Unsqueeze"),
        (_transpose, "Transpose"),
        (_flatten, "Flatten"),
        (_reshape, "Reshape"),
        (_matmul, "MatMul MatMulInteger"),
        (_quantized_matmul, "QLinearMatMul"),
        (_gather, "Gather"),
        (_expand, "Expand"),
    )
    found: dict[str, Callable[[Node], Linked]] = {}
    for rule, names in families:
        for name in names.split():
            if name in found:
                raise RuntimeError(f"{name} has two rules")
            found[name] = rule
    return found


_RULES = _rules()


def linked(node: Node) -> Linked:
    """The links of a node; none where its operator has no rule or too little is known.

    Nobody writes a node of ten thousand operands, or a value of a hundred axes, but a file can hold both; they are not
    followed.
    """
    rule, place = _RULES.get(node.place.op), node.place
    if rule is None or max(len(place.inputs), len(place.outputs)) > _MOST_OPERANDS:
        return _NOTHING
    return _NOTHING if any(rank is not None and rank > _MOST_AXES for rank in node.ranks) else rule(node)
