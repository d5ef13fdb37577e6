"""What two steps read, and through which orders and shapes they see it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from onnx_triangulate.diff.findings import Findings
from onnx_triangulate.diff.formatting import (
    compatible,
    merged,
    operand_at,
    seen_shape,
    shown,
    slot_name,
    through,
    turning,
    views_agree,
)
from onnx_triangulate.diff.ir import Const, Operand, Ref, Step, size_of
from onnx_triangulate.diff.operators import COMMUTATIVE
from onnx_triangulate.diff.step_differences import constant, constants


def operands(c: Findings, one: Step, two: Step, numbers_too: bool) -> None:
    if one.op in COMMUTATIVE:
        unordered(c, one, two)
        return
    slots = range(max(len(one.operands), len(two.operands)))
    pairs = [(operand_at(one, s), operand_at(two, s)) for s in slots]
    if swapped(c, one, two, pairs):
        return
    for slot, (left, right) in enumerate(pairs):
        if isinstance(left, Const) and isinstance(right, Const):
            if numbers_too or slot != 1:
                constant(c, one, two, slot, left, right)
        elif isinstance(left, Ref) and isinstance(right, Ref):
            reads(c, one, two, slot, left, right)
        elif left is not None or right is not None:
            sources = c.source(left, 0), c.source(right, 1)
            c.add("operator", slot_name(one, slot), one.nodes, two.nodes, *sources)


def unordered(c: Findings, one: Step, two: Step) -> None:
    """Operands of a commutative operator: those that are one value stand beside one another, best as they are seen."""
    constants(c, one, two)
    ours, theirs = [o for _, o in one.refs()], [o for _, o in two.refs()]
    if _counts(one) != _counts(two):
        known = [c.matching.value(r.value, i) for i, refs in enumerate((ours, theirs)) for r in refs]
        if None not in known:
            c.add("operator", "operands", one.nodes, two.nodes, *c.sources(one, two))
        return
    for exactly in (True, False):
        for left in list(ours):
            right = next((r for r in theirs if _one_value(c, left, r) and (not exactly or r.seen == left.seen)), None)
            if right is not None:
                ours.remove(left)
                theirs.remove(right)
                reads(c, one, two, -1, left, right)
    for left, right in zip(ours, theirs, strict=False):
        reads(c, one, two, -1, left, right)


def _counts(step: Step) -> Counter[type]:
    """How many operands of a step are computed, and how many constant."""
    return Counter(type(operand) for operand in step.operands if operand is not None)


def _one_value(c: Findings, left: Ref, right: Ref) -> bool:
    here = c.matching.value(left.value, 0)
    return here is not None and here == c.matching.value(right.value, 1)


def swapped(c: Findings, one: Step, two: Step, pairs: Sequence[tuple[Operand, Operand]]) -> bool:
    """Two operands that changed places."""
    if len(pairs) != 2:
        return False
    (first, other_first), (second, other_second) = pairs
    crossed = equal(c, first, other_second) and equal(c, second, other_first)
    if not crossed or equal(c, first, other_first) or equal(c, second, other_second):
        return False
    c.add("operator", "operands", one.nodes, two.nodes, *c.sources(one, two), "the operands changed places")
    return True


def equal(c: Findings, left: Operand, right: Operand) -> bool:
    if isinstance(left, Const) and isinstance(right, Const):
        return left.exact == right.exact
    if not isinstance(left, Ref) or not isinstance(right, Ref):
        return False
    return _one_value(c, left, right)


def reads(c: Findings, one: Step, two: Step, slot: int, left: Ref, right: Ref) -> None:
    here, there = c.matching.value(left.value, 0), c.matching.value(right.value, 1)
    if here is not None and here == there:
        seen(c, one.nodes, two.nodes, left, right)
        return
    (root, chain), (other, second) = views_to(c, left, 0), views_to(c, right, 1)
    below, beside = c.matching.value(root, 0), c.matching.value(other, 1)
    if below is None or beside is None:
        return  # said where the value is that has no counterpart
    if below == beside and (here is None or there is None):
        if chain == second:
            return
        bare = [c[:-1] if r.perm is not None and r.shape is None else c for c, r in ((chain, left), (second, right))]
        kind = "perm" if bare[0] == bare[1] else "shape"
        texts = (through(chain), through(second)) if kind == "shape" else (shown(left.perm), shown(right.perm))
        c.add("layout", kind, turning(left, one.nodes), turning(right, two.nodes), *texts)
        return
    if here is None or there is None:
        return
    texts = c.source(left, 0), c.source(right, 1)
    c.add("operator", "operands" if slot < 0 else slot_name(one, slot), one.nodes, two.nodes, *texts,
              "they read different values")  # fmt: skip


def views_to(c: Findings, ref: Ref, which: int) -> tuple[int, list[tuple[int, ...]]]:
    """Through which permutations and shapes a value is seen, and which one it is."""
    made: list[tuple[int, ...]] = []
    while True:
        made[:0] = [p for p in (ref.perm, ref.shape) if p is not None]
        step = c.maker(ref, which)
        inner = step.operands[0] if step is not None and step.part == "view" else None
        if step is None or not isinstance(inner, Ref):
            return ref.value, made
        made.insert(0, step.attributes["shape"])
        ref = inner


def seen(c: Findings, nodes: Sequence[str], others: Sequence[str], left: Ref, right: Ref) -> None:
    """How one value is seen from both sides."""
    dims = [form.values[r.value].dims for form, r in zip(c.forms, (left, right), strict=True)]
    if left.seen == right.seen or views_agree(left, right, dims):
        return
    if left.perm != right.perm:
        by = turning(left, nodes), turning(right, others)
        c.add("layout", "perm", *by, shown(left.perm), shown(right.perm))
    elif soft(c, left, right):
        return
    if left.shape == right.shape or compatible(left.shape, right.shape, size_of(merged(*dims))):
        return
    texts = seen_shape(left, dims[0]), seen_shape(right, dims[1])
    if texts[0] == texts[1]:  # one shape, which one side makes of the axes in another order
        if left.perm != right.perm:
            return
        texts = shown(left.shape), shown(right.shape)
    c.add("layout", "shape", left.via or nodes, right.via or others, *texts)


def soft(c: Findings, left: Ref, right: Ref) -> bool:
    """Whether how a value is seen differs by an attribute of what makes it, which is then said."""
    one, two = c.maker(left, 0), c.maker(right, 1)
    if one is None or two is None:
        return False
    apart = [name for name in {*one.soft, *two.soft} if one.soft.get(name) != two.soft.get(name)]
    for name in apart:
        c.add("attribute", name, one.nodes, two.nodes, shown(one.soft.get(name)), shown(two.soft.get(name)))
    return bool(apart)
