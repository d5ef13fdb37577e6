"""What two graphs take and give: names, their order, types, and which constants a caller may replace.

Design note.  All that the files themselves declare, and nothing of what the graphs make of it: how values are laid out
is for ``diff.differences``, which has seen how they are used.
"""

from __future__ import annotations

from collections.abc import Sequence

from onnx_triangulate.diff.builder import LAYOUTS
from onnx_triangulate.diff.findings import Findings
from onnx_triangulate.diff.formatting import (
    agree,
    between_perms,
    dims_text,
    in_order,
    kind_of,
    numbers,
    says_numbers,
    shown,
)
from onnx_triangulate.diff.ir import Const, Ints, NormalForm, Ref, ValueInfo, turned
from onnx_triangulate.diff.operand_differences import seen
from onnx_triangulate.facts.value_types import Kind, dtype_name, one_kind, sizes
from onnx_triangulate.onnxgraph.nodes import Dims
from onnx_triangulate.records.inspection import Difference


def names(
    what: str, one: Sequence[ValueInfo], two: Sequence[ValueInfo], pairs: Sequence[tuple[int, int]]
) -> tuple[list[Difference], list[str]]:
    """What is there on one side only, or in another order; and a note for each that has another name."""
    ours, theirs = [b.name for b in one], [b.name for b in two]
    texts = shown(tuple(ours)), shown(tuple(theirs))
    paired = {a for a, _ in pairs}, {b for _, b in pairs}
    alone, extra = ([n for i, n in enumerate(s) if i not in p] for s, p in zip((ours, theirs), paired, strict=True))
    found = []
    if alone or extra:
        found.append(Difference("border", f"{what}s", tuple(alone), tuple(extra), *texts))
    elif sorted(ours) == sorted(theirs) and ours != theirs:
        found.append(Difference("border", f"order of {what}s", tuple(ours), tuple(theirs), *texts))
    notes = [
        f"{what} {a + 1} is {ours[a]} on the left and {theirs[b]} on the right"
        for a, b in pairs
        if ours[a] != theirs[b]
    ]
    return found, notes


def types(what: str, one: ValueInfo, two: ValueInfo) -> list[Difference]:
    """Types of elements; and the whole types where one at least is no tensor's."""
    who = (one.name,), (two.name,)
    if one.kind is None and two.kind is None:
        if one.type is None or two.type is None or one.type == two.type:
            return []
        return [Difference("type", what, *who, dtype_name(one.type), dtype_name(two.type))]
    left, right = (b.kind or (None if b.type is None else Kind(dtype_name(b.type), b.dims)) for b in (one, two))
    if not one_kind(left, right):
        return [Difference("type", what, *who, str(left), str(right))]
    if not agree(sizes(left), sizes(right)):
        return [Difference("border", f"shape of {what}", *who, str(left), str(right))]
    return []


def replaceable(left: NormalForm, right: NormalForm) -> list[Difference]:
    """Constants that are inputs too: what a caller gives in their place is refused where they are not."""
    ours = tuple(n for n in left.replaceable if n not in right.replaceable)
    theirs = tuple(n for n in right.replaceable if n not in left.replaceable)
    if not ours and not theirs:
        return []
    texts = [shown(names) if names else "none" for names in (ours, theirs)]
    return [Difference("border", "constants that a caller may replace", ours, theirs, texts[0], texts[1])]


def borders(c: Findings) -> None:
    left, right = c.forms
    for what, one, two, pairs in (
        ("input", left.inputs, right.inputs, c.inputs),
        ("output", left.outputs, right.outputs, c.outputs),
    ):
        if left.path or right.path:
            if len(one) != len(two):
                c.add("border", f"{what}s", (left.path,), (right.path,), str(len(one)), str(len(two)))
        else:
            found, notes = names(what, one, two, pairs)
            c.found += found
            c.notes += notes
        for ours, theirs in pairs:
            c.found += types(what, one[ours], two[theirs])
            left_end, right_end = one[ours].operand, two[theirs].operand
            if what == "input" and isinstance(left_end, Ref) and isinstance(right_end, Ref):
                declared(c, what, one[ours], two[theirs], between_perms(left_end.perm, right_end.perm))
    c.found += replaceable(left, right)
    for ours, theirs in c.outputs:
        output(c, left.outputs[ours], right.outputs[theirs])


def declared(c: Findings, what: str, one: ValueInfo, two: ValueInfo, between: Ints | None) -> None:
    """``between`` turns the left border's axes to those of the right."""
    c.turned |= what == "input" and between is not None
    if between is not None and between in LAYOUTS and agree(turned(one.dims, between), two.dims):
        c.notes.append(
            f"{what} {one.name}: the right has its axes in another order, those of the left by {shown(between)}"
        )
        return
    if between is not None:
        c.add("layout", what, (one.name,), (two.name,), dims_text(one.dims), dims_text(two.dims),
                  f"the axes of the left by {shown(between)}")  # fmt: skip
    elif not agree(one.dims, two.dims) and not (what == "output" and c.found):
        c.add("border", f"shape of {what}", (one.name,), (two.name,), dims_text(one.dims), dims_text(two.dims))
    elif one.dims != two.dims:
        c.notes.append(f"{what} {one.name}: {dims_text(one.dims)} on the left, {dims_text(two.dims)} on the right")


def output(c: Findings, one: ValueInfo, two: ValueInfo) -> None:
    left, right = one.operand, two.operand
    if left is None and right is None:
        return  # neither side makes it
    if isinstance(left, Const) and isinstance(right, Const):
        if left.exact != right.exact:
            _stored(c, one, two, left, right)
        return
    both = isinstance(left, Ref) and isinstance(right, Ref)
    here = c.matching.value(left.value, 0) if isinstance(left, Ref) else None
    beside = c.matching.value(right.value, 1) if isinstance(right, Ref) else None
    if both and (here is None or beside is None):
        if _sizes_differ(one.dims, two.dims):
            declared(c, "output", one, two, None)
    elif not isinstance(left, Ref) or not isinstance(right, Ref) or here != beside:
        c.add("operator", "output", (one.name,), (two.name,), c.source(left, 0), c.source(right, 1))
    elif not _by_layout(c, one, two, left, right):
        seen(c, (one.name,), (two.name,), left, right)


def _sizes_differ(left: Dims | None, right: Dims | None) -> bool:
    """Whether two shapes of one rank have other sizes, in whatever order."""
    if left is None or right is None or len(left) != len(right):
        return False
    return sorted(map(str, left)) != sorted(map(str, right))


def _stored(c: Findings, one: ValueInfo, two: ValueInfo, left: Const, right: Const) -> None:
    """Two outputs that are constants, and not the same."""
    known = left.array is not None and right.array is not None and left.dims == right.dims
    found = numbers(left.array, right.array) if known else None  # type: ignore[arg-type]  # both are there
    texts = kind_of(left), kind_of(right)
    c.add("weights", "output", (one.name,), (two.name,), *texts, says_numbers(found) if found else "")


def _by_layout(c: Findings, one: ValueInfo, two: ValueInfo, left: Ref, right: Ref) -> bool:
    """Whether two outputs that are one value are that value in a layout each, which is then said."""
    between = between_perms(left.perm, right.perm)
    if left.shape is not None or right.shape is not None:
        return False
    if between is None:
        declared(c, "output", one, two, None)
        return True
    forced = c.turned or not in_order(one.dims, two.dims, between)
    if between not in LAYOUTS or not forced or not agree(turned(one.dims, between), two.dims):
        return False
    declared(c, "output", one, two, between)
    return True
