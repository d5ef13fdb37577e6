"""What two graphs of one model have differently, attribute by attribute.

Design note.  Both graphs are brought to normal form, their steps paired, and each pair compared: how it pads, how it
sees its operands, its attributes, its constants.  What has no counterpart is gathered to connected pieces: a piece that
stands between the same values on both sides is one operator written in another way (or replaced), any other is "only"
on its side.  One change is one difference: what merely follows from it (a reader of a value that the other side lacks)
is not repeated.  Numbers decide where they can: a BatchNormalization is folded into a convolution if its numbers are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from onnx_triangulate.diff.findings import Findings
from onnx_triangulate.diff.formatting import SHOWN, once
from onnx_triangulate.diff.interface import borders
from onnx_triangulate.diff.ir import NormalForm, Step
from onnx_triangulate.diff.matching import Unit
from onnx_triangulate.diff.normal_form import normal_forms
from onnx_triangulate.diff.operand_differences import operands
from onnx_triangulate.diff.piece_differences import pieces
from onnx_triangulate.diff.static_sizes import at_one_size
from onnx_triangulate.diff.step_differences import attributes, tails
from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.records.inspection import Difference, Differences, Inspection

ORDER = ("pads", "layout", "attribute", "operator", "weights", "type", "border", "only")


def differences(
    left: ModelView, right: ModelView, left_inspection: Inspection, right_inspection: Inspection
) -> Differences:
    """Two graphs of one model side by side."""
    sizes, first, second, found = _compared_at_one_size(left, right)
    notes = [*sizes, *found.notes]
    for side, form in (("left", first), ("right", second)):
        notes += [f"{side}: {note}" for note in form.notes]
        total = sum(form.traceless.values())
        if total:
            counts = sorted(form.traceless.items(), key=lambda i: (-i[1], i[0]))
            ops = ", ".join(f"{op} {n}" for op, n in counts[:SHOWN])
            which = "1 node is no step of its own" if total == 1 else f"{total} nodes are no steps of their own"
            notes.append(f"{side}: {which} in this comparison ({ops})")
    return Differences(
        left=left_inspection,
        right=right_inspection,
        matched=len(found.matched),
        differences=ordered(found.differences),
        only_left=found.only_left,
        only_right=found.only_right,
        notes=tuple(notes),
        at_one_size=bool(sizes),
    )


def of_effect(left: ModelView, right: ModelView) -> tuple[Difference, ...]:
    """The differences that change a number, in order."""
    *_, found = _compared_at_one_size(left, right)
    return tuple(difference for difference in ordered(found.differences) if not difference.harmless)


def _compared_at_one_size(left: ModelView, right: ModelView) -> tuple[Sequence[str], NormalForm, NormalForm, Compared]:
    left, right, sizes = at_one_size(left, right)
    first, second = normal_forms(left, right)
    return sizes, first, second, compared(first, second)


@dataclass(frozen=True)
class Compared:
    """What :func:`compared` finds of two forms; ``matched`` are the nodes of the left that stand beside others."""

    matched: frozenset[str]
    differences: tuple[Difference, ...]
    only_left: tuple[str, ...]
    only_right: tuple[str, ...]
    notes: tuple[str, ...]


def ordered(found: Iterable[Difference]) -> tuple[Difference, ...]:
    return tuple(sorted(found, key=lambda d: ORDER.index(d.kind)))


def compared(left_form: NormalForm, right_form: NormalForm) -> Compared:
    """Two forms side by side."""
    c = Findings(left_form, right_form)
    left, right = c.sides
    for ours, theirs in sorted(c.matching.there.items()):
        pair(c, left.units[ours], right.units[theirs])
    pieces(c)
    borders(c)
    say_fused(c)
    only = []
    for which in (0, 1):
        beside, alone = c.beside_others(which)
        c.matched |= beside.keys() if which == 0 else set()
        only.append(tuple(n for n in (*alone, *c.inner[which]) if n not in beside))
    return Compared(frozenset(c.matched - set(only[0])), once(c.found), only[0], only[1], tuple(c.notes))


def pair(c: Findings, left: Unit, right: Unit) -> None:
    """Compare two units, which are of one operator: no means of :mod:`diff.matching` pairs others."""
    one, two = left.head, right.head
    folded = tails(c, left, right)
    attributes(c, one, two)
    if one.bodies or two.bodies:
        bodies(c, one, two)
    operands(c, one, two, numbers_too=not folded)
    fused(c, left, right)


def bodies(c: Findings, one: Step, two: Step) -> None:
    for name in sorted({*one.bodies, *two.bodies}):
        left, right = one.bodies.get(name), two.bodies.get(name)
        if left is None or right is None:
            there = "there" if left is not None else "none", "there" if right is not None else "none"
            c.add("only", name, one.nodes, two.nodes, *there)
            continue
        inner = compared(left, right)
        c.found += inner.differences
        c.notes += inner.notes
        c.matched |= inner.matched
        c.inner[0].extend(inner.only_left)
        c.inner[1].extend(inner.only_right)


def fused(c: Findings, left: Unit, right: Unit) -> None:
    """Operators of other domains that normal form has taken apart."""
    foreign = [{o for s in unit.steps for o in s.ops if "." in o} for unit in (left, right)]
    if foreign[0] == foreign[1]:
        return
    for which, unit in enumerate((left, right)):
        other = (right, left)[which]
        for step in unit.steps:
            for node, op in zip(step.nodes, step.ops, strict=False):
                if "." in op:
                    beside = c.fused.setdefault((which, node), (op, {}))[1]
                    beside.update({n: o for s in other.steps for n, o in zip(s.nodes, s.ops, strict=False)})


def say_fused(c: Findings) -> None:
    said = [{n for d in c.found for n in d.left_nodes}, {n for d in c.found for n in d.right_nodes}]
    for (which, node), (op, beside) in c.fused.items():
        same = node not in said[which]
        here, there = ((node,), op), (tuple(beside), ", ".join(beside.values()))
        left, right = (here, there) if which == 0 else (there, here)
        says = "the same, written as another operator" if same else ""
        c.add("operator", "fused", left[0], right[0], left[1], right[1], says, same)
