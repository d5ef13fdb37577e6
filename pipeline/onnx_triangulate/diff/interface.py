"""What two graphs take and give: names, their order, types, and which constants a caller may replace.

Design note.  All that the files themselves declare, and nothing of what the graphs make of it: how values are laid out
is for ``diff.differences``, which has seen how they are used.
"""

from __future__ import annotations

from collections.abc import Sequence

from onnx_triangulate.diff.formatting import agree, shown, type_name
from onnx_triangulate.diff.ir import Border, Form
from onnx_triangulate.facts.value_types import Kind, one_kind, sizes
from onnx_triangulate.records.inspection import Difference


def names(
    what: str, one: Sequence[Border], two: Sequence[Border], pairs: Sequence[tuple[int, int]]
) -> tuple[list[Difference], list[str]]:
    """What is there on one side only, or in another order; and a note for each that has another name."""
    ours, theirs = [b.name for b in one], [b.name for b in two]
    texts = shown(tuple(ours)), shown(tuple(theirs))
    alone = [n for i, n in enumerate(ours) if i not in {a for a, _ in pairs}]
    extra = [n for i, n in enumerate(theirs) if i not in {b for _, b in pairs}]
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


def types(what: str, one: Border, two: Border) -> list[Difference]:
    """Types of elements; and the whole types where one at least is no tensor's."""
    who = (one.name,), (two.name,)
    if one.kind is None and two.kind is None:
        if one.type is None or two.type is None or one.type == two.type:
            return []
        return [Difference("type", what, *who, type_name(one.type), type_name(two.type))]
    left, right = (b.kind or (None if b.type is None else Kind(type_name(b.type), b.dims)) for b in (one, two))
    if not one_kind(left, right):
        return [Difference("type", what, *who, str(left), str(right))]
    if not agree(sizes(left), sizes(right)):
        return [Difference("border", f"shape of {what}", *who, str(left), str(right))]
    return []


def replaceable(left: Form, right: Form) -> list[Difference]:
    """Constants that are inputs too: what a caller gives in their place is refused where they are not."""
    ours = tuple(n for n in left.replaceable if n not in right.replaceable)
    theirs = tuple(n for n in right.replaceable if n not in left.replaceable)
    if not ours and not theirs:
        return []
    texts = [shown(names) if names else "none" for names in (ours, theirs)]
    return [Difference("border", "constants that a caller may replace", ours, theirs, texts[0], texts[1])]
