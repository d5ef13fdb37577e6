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
from typing import NamedTuple

from onnx_triangulate.onnxgraph.nodes import Dims
from onnx_triangulate.ops.graph_node import MOST_AXES, GraphNode, counted

Axes = tuple[int | None, ...]
Group = tuple[tuple[int, ...], tuple[int, ...]]  # axes before a Reshape, and after it, that hold the same elements

# What may travel along an axis: anything, names of single axes (a part of a merged H·W is no H·W), channels (whatever
# a MatMul makes of them they stay channels), or only from the output to the input (an axis of size one broadcast).
ANY, PLAIN, CHANNELS, BACKWARD = "", "plain", "channels", "backward"
MOST_OPERANDS = 10_000


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


AxisRule = Callable[[GraphNode], Linked]

NOTHING = Linked()
_ALL_AXES = Linked((Link(0, 0),), True)
_IN_ORDER = Linked((Link(0, 0),))


def same(_: GraphNode) -> Linked:
    return _ALL_AXES


def same_order(_: GraphNode) -> Linked:
    return _IN_ORDER


def dropout(node: GraphNode) -> Linked:
    return Linked(tuple(Link(0, t) for t in range(min(2, len(node.place.outputs)))), True)


def quantize(node: GraphNode) -> Linked:
    return _IN_ORDER if node.integer("block_size", 0) else _ALL_AXES


def _altered(node: GraphNode, axes: Sequence[int] | None, free: bool, source: int = 0, targets: int = 1) -> Linked:
    """All axes stay in place, of ``axes`` (``None``: of any) not the whole."""
    rank = node.rank(source)
    if rank is None:
        return NOTHING
    only = tuple(PLAIN if axes is None or a in axes else ANY for a in range(rank))
    return Linked(tuple(Link(source, t, None, only) for t in range(targets)), free)


def softmax(node: GraphNode) -> Linked:
    # Before opset 13 it flattened all axes from `axis` on, so that their order mattered.
    return _ALL_AXES if node.version >= 13 else _IN_ORDER


def _stretched(dims: Dims | None, made: Dims | None, rank: int) -> tuple[str, ...] | None:
    """What may travel along axes of which some are of size one and, for all that is known, stretched."""
    if dims is None or len(dims) != rank or 1 not in dims:
        return None
    if made is None or len(made) != rank:
        made = (None,) * rank
    return tuple(BACKWARD if d == 1 and m != 1 else ANY for d, m in zip(dims, made, strict=True))


def broadcast(node: GraphNode, slots: Sequence[int]) -> Linked:
    slots = [s for s in slots if node.has(s)]
    if "axis" in node.held or "broadcast" in node.held:  # opset 6 and before: the first operand's shape is the result's
        return Linked((Link(slots[0], 0),), node.constants_from(slots[0] + 1)) if slots else NOTHING
    ranks = [node.rank(s) for s in slots]
    known = [r for r in ranks if r is not None]
    rank = max(known, default=None) if len(known) == len(slots) else node.outs[0] if node.outs else None
    if rank is None:
        return NOTHING
    result, found, free = node.made(), [], True
    for slot, own in zip(slots, ranks, strict=True):
        if own == rank:
            found.append(Link(slot, 0, None, _stretched(node.shape(slot), result, rank)))
        elif not node.fixed[slot]:
            free = free and own == 0
    return Linked(tuple(found), free)


def elementwise(node: GraphNode) -> Linked:
    return broadcast(node, range(len(node.place.inputs)))


def quantized_pair(node: GraphNode) -> Linked:
    return broadcast(node, (0, 3))


def concat(node: GraphNode, first: int = 0, step: int = 1) -> Linked:
    slots = [s for s in range(first, len(node.place.inputs), step) if node.has(s)]
    rank = next((r for r in (node.rank(s) for s in slots) if r is not None), node.outs[0] if node.outs else None)
    axis = counted((node.integer("axis", 1),), rank)
    if rank is None or axis is None:
        return NOTHING
    only = tuple(PLAIN if a in axis else ANY for a in range(rank))
    return Linked(tuple(Link(s, 0, None, only) for s in slots if node.rank(s) in (rank, None)), True)


def quantized_concat(node: GraphNode) -> Linked:
    return concat(node, 2, 3)


def split(node: GraphNode) -> Linked:
    axis = counted((node.integer("axis", 0),), node.rank(0))
    return _altered(node, axis, axis is not None, targets=len(node.place.outputs))


def slice_(node: GraphNode) -> Linked:
    axes = node.axes(3, node.rank(0))
    by_default = not node.has(3) and "axes" not in node.held
    return _altered(node, axes, by_default or axes is not None)


def pad(node: GraphNode) -> Linked:
    return _altered(node, None, node.constants_from(1))


def resize(node: GraphNode) -> Linked:
    # With `roi` or a non-constant size the vector itself would have to be permuted at run time.
    return _altered(node, None, node.constants_from(1))


def along_axis(node: GraphNode) -> Linked:
    return _altered(node, counted((node.integer("axis", -1),), node.rank(0)), True, targets=len(node.place.outputs))


def cumulative(node: GraphNode) -> Linked:
    return _altered(node, (), node.constants_from(1))


def without(rank: int, gone: Sequence[int]) -> Axes:
    return tuple(a for a in range(rank) if a not in gone)


def _reduced(node: GraphNode, axes: tuple[int, ...] | None) -> Linked:
    rank = node.rank(0)
    if node.integer("keepdims", 1):
        return _altered(node, axes, axes is not None)
    if rank is None or axes is None:
        return NOTHING
    return Linked((Link(0, 0, without(rank, axes)),))


def reduce(node: GraphNode) -> Linked:
    rank = node.rank(0)
    axes = node.axes(1, rank)
    if not node.has(1) and "axes" not in node.held:
        axes = ()
    if axes == ():
        if node.integer("noop_with_empty_axes", 0):
            return _ALL_AXES
        axes = tuple(range(rank)) if rank is not None else None
    return _reduced(node, axes)


def arg(node: GraphNode) -> Linked:
    return _reduced(node, counted((node.integer("axis", 0),), node.rank(0)))


def squeeze(node: GraphNode) -> Linked:
    rank, dims = node.rank(0), node.shape(0)
    if rank is None:
        return NOTHING
    axes = node.axes(1, rank)
    if not node.has(1) and "axes" not in node.held:
        axes = tuple(a for a, d in enumerate(dims) if d == 1) if dims is not None and None not in dims else None
    return NOTHING if axes is None else Linked((Link(0, 0, without(rank, axes)),))


def unsqueeze(node: GraphNode) -> Linked:
    rank, held = node.rank(0), node.held.get("axes")
    given = held if isinstance(held, tuple) else node.ints(1)
    if rank is None or given is None or rank + len(given) > MOST_AXES:
        return NOTHING
    axes = node.axes(1, rank + len(given))
    if axes is None:
        return NOTHING
    old = iter(range(rank))
    return Linked((Link(0, 0, tuple(None if a in axes else next(old) for a in range(rank + len(given)))),))


def permutation(node: GraphNode) -> tuple[int, ...] | None:
    """A Transpose's permutation: ``None`` where it is not known, ``()`` where what is written is none."""
    if any(a.ref_attr_name for a in node.node.attribute):
        return None
    if "perm" in node.held:
        perm = node.held["perm"]
        if not isinstance(perm, tuple) or len(perm) > MOST_AXES or not all(isinstance(p, int) for p in perm):
            return ()
        return perm if sorted(perm) == list(range(len(perm))) else ()
    rank = node.rank(0)
    return None if rank is None else tuple(reversed(range(rank)))


def transpose(node: GraphNode) -> Linked:
    perm = permutation(node)
    if not perm or (node.rank(0) is not None and node.rank(0) != len(perm)):
        return NOTHING
    return Linked((Link(0, 0, perm),))


def flatten(node: GraphNode) -> Linked:
    rank = node.rank(0)
    if rank is None or not -rank <= node.integer("axis", 1) <= rank:
        return NOTHING
    axis = node.integer("axis", 1)
    axis += rank if axis < 0 else 0
    sides = (tuple(range(axis)), tuple(range(axis, rank)))
    return Linked((_grouped([(side, (a,)) for a, side in enumerate(sides)], node.shape(0), 2),))


def reshape(node: GraphNode) -> Linked:
    groups = reshaped(node)
    made = target_dims(node)
    return NOTHING if groups is None or made is None else Linked((_grouped(groups, node.shape(0), len(made)),))


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


def target_dims(node: GraphNode) -> Dims | None:
    """The dims that a Reshape makes, as far as they are known."""
    target = node.ints(1) if node.has(1) else node.held.get("shape")
    made, dims = node.made(), node.shape(0)
    if not isinstance(target, tuple) or node.refers:
        return made
    if not all(isinstance(t, int) and t >= -1 for t in target) or len(target) > MOST_AXES:
        return None
    found: list[int | None] = []
    for axis, size in enumerate(target):
        declared = made[axis] if made is not None and len(made) == len(target) else None
        if size == 0 and not node.integer("allowzero", 0):
            found.append(dims[axis] if dims is not None and axis < len(dims) else None)
        else:
            found.append(declared if size == -1 else size)
    return tuple(found)


def reshaped(node: GraphNode) -> list[Group] | None:
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
    front = _groups(dims, made, old, new, copied)
    old, new = old[sum(len(o) for o, _ in front) :], new[sum(len(n) for _, n in front) :]
    turned = _groups(dims, made, old[::-1], new[::-1], frozenset())
    back = [(o[::-1], n[::-1]) for o, n in reversed(turned)]
    left = tuple(old[: len(old) - sum(len(o) for o, _ in back)])
    right = tuple(new[: len(new) - sum(len(n) for _, n in back)])
    if (left or right) and not _may_be_equal(dims, made, left, right):
        return None
    middle = [(left, right)] if left or right else []
    ones_old = [a for a, d in enumerate(dims) if d == 1]
    ones_new = [a for a, d in enumerate(made) if d == 1]
    ones = [((a,), (b,)) for a, b in zip(ones_old, ones_new, strict=True)] if len(ones_old) == len(ones_new) else []
    return [*front, *middle, *back, *ones]


def _groups(dims: Dims, made: Dims, old: Sequence[int], new: Sequence[int], copied: frozenset[int]) -> list[Group]:
    """The smallest groups of equal size, from the first axes on, as far as sizes are known."""
    found: list[Group] = []
    i = j = 0
    while i < len(old) and j < len(new):
        taken = _equal(dims, made, old[i:], new[j:], copied)
        if taken is None:
            break
        found.append((tuple(old[i : i + taken[0]]), tuple(new[j : j + taken[1]])))
        i, j = i + taken[0], j + taken[1]
    return found


def _may_be_equal(dims: Dims, made: Dims, left: tuple[int, ...], right: tuple[int, ...]) -> bool:
    """Whether what is left over may be one group: not on one side alone, where an unknown size must be one."""
    if not left or not right:
        return False
    holes = [sum(d[a] is None for a in side) for d, side in ((dims, left), (made, right))]
    if max(holes) == 0:
        return prod(dims[a] or 1 for a in left) == prod(made[a] or 1 for a in right)
    return max(holes) == 1 or (len(left), len(right)) == (1, 1) or min(len(left), len(right)) == 1


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


def matmul(node: GraphNode, right: int = 1) -> Linked:
    rank = node.rank(0)
    if rank is None or rank < 2 or node.rank(right) != 2 or not node.fixed[right]:
        return NOTHING
    return Linked((Link(0, 0, None, (ANY,) * (rank - 1) + (CHANNELS,)),))


def quantized_matmul(node: GraphNode) -> Linked:
    return matmul(node, 3)


def gather(node: GraphNode) -> Linked:
    rank, picked = node.rank(0), node.rank(1)
    axis = counted((node.integer("axis", 0),), rank)
    if rank is None or axis is None or picked is None or picked > 1:
        return NOTHING
    if picked == 1:
        return _altered(node, axis, node.fixed[1])
    return Linked((Link(0, 0, without(rank, axis)),))


def expand(node: GraphNode) -> Linked:
    rank, dims, made = node.rank(0), node.shape(0), node.made()
    if rank is None or made is None or rank > len(made):
        return NOTHING
    ahead = len(made) - rank
    axes: Axes = (None,) * ahead + tuple(range(rank))
    only = (ANY,) * ahead + tuple(
        BACKWARD if dims is None or dims[a] is None or dims[a] != made[a + ahead] else ANY for a in range(rank)
    )
    return Linked((Link(0, 0, axes, only),))
