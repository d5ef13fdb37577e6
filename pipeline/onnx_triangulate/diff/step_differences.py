"""What two steps of one operator have differently: attributes, constants, and what is folded into them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from onnx_triangulate.diff.findings import Findings
from onnx_triangulate.diff.formatting import (
    Affine,
    affine,
    compatible,
    furthest,
    kinds_of,
    merged,
    nodes_of,
    numbers,
    operand_at,
    ops_of,
    same_number,
    says_numbers,
    shown,
    slot_name,
    stored_types,
)
from onnx_triangulate.diff.harmless import of_no_effect
from onnx_triangulate.diff.ir import Const, Ref, Step, positive, seen_dims, size_of
from onnx_triangulate.diff.matching import Unit, linear
from onnx_triangulate.diff.operators import COMMUTATIVE
from onnx_triangulate.diff.piece_differences import only
from onnx_triangulate.diff.schemas import BY_RESULT, is_default
from onnx_triangulate.facts.value_types import dtype_name

_PADDED = ("pads", "output_padding")


def attributes(c: Findings, one: Step, two: Step) -> None:
    ranks = [counted_rank(c, s, i) for i, s in enumerate((one, two))]
    rank = ranks[0] or ranks[1]
    nothing: Mapping[str, str] | None = None
    for name in sorted({*one.attributes, *two.attributes}):
        left, right = one.attributes.get(name), two.attributes.get(name)
        if name in ("axis", "axes") and rank:
            left, right = positive(left, rank), positive(right, rank)
        if repr(left) == repr(right):
            continue
        if same_number(left, right) or (name == "shape" and one.op == "Reshape" and one_shape(c, one, two)):
            continue
        if newer(c, one, two, name, left, right):
            continue
        nothing = of_no_effect(one, two, c.forms) if nothing is None else nothing
        kind, says = "pads" if name in _PADDED else "attribute", nothing.get(name, "")
        as_type = one.op == "Cast" and name == "to"
        texts = (dtype_name(left), dtype_name(right)) if as_type else (shown(left), shown(right))
        c.add("type" if as_type else kind, name, one.nodes, two.nodes, *texts, says, bool(says))


def one_shape(c: Findings, one: Step, two: Step) -> bool:
    """Whether two Reshapes are to one shape."""
    refs = operand_at(one, 0), operand_at(two, 0)
    dims = [
        seen_dims(ref, form.values) if isinstance(ref, Ref) and ref.plain else None
        for ref, form in zip(refs, c.forms, strict=True)
    ]
    whole = size_of(merged(dims[0], dims[1]))
    return compatible(one.attributes.get("shape"), two.attributes.get("shape"), whole)


def newer(c: Findings, one: Step, two: Step, name: str, left: Any, right: Any) -> bool:
    """An attribute that one opset lacks and that does in the other what was done before."""
    opsets = c.forms[0].opset, c.forms[1].opset
    if opsets[0] == opsets[1] or (left is not None and right is not None):
        return False
    step, opset, value = (two, opsets[1], right) if left is None else (one, opsets[0], left)
    return is_default(step.op, opset, name, value)


def counted_rank(c: Findings, step: Step, which: int) -> int | None:
    """The rank by which the axes of a step are counted."""
    values = c.forms[which].values
    if step.op in BY_RESULT:
        seen = values[step.outputs[0]].dims
    else:
        seen = None if "." in step.op else seen_dims(operand_at(step, 0), values)
    return None if seen is None else len(seen)


def tails(c: Findings, left: Unit, right: Unit) -> bool:
    """Compare what follows two linear steps; whether their weights are compared with it."""
    if [s.op for s in left.tail] == [s.op for s in right.tail]:
        for one, two in zip(left.tail, right.tail, strict=True):
            attributes(c, one, two)
            constants(c, one, two)
        return False
    ours, theirs = affine(left), affine(right)
    worst = _folded_apart(left, right, ours, theirs)
    if worst is None and missing(c, left, right):
        return False
    if worst is not None:
        says = f"folded: the numbers agree up to rounding ({worst:.1g})" if worst else "folded: the same numbers"
    elif ours is None or theirs is None:
        says = "whether one is folded into the other is not known: the numbers are not there"
    else:
        says = "the numbers are not those of folding one into the other"
    texts = ops_of(left.steps), ops_of(right.steps)
    c.add("operator", "folded", nodes_of(left.steps), nodes_of(right.steps), *texts, says, worst == 0.0)
    return True


def _folded_apart(left: Unit, right: Unit, ours: Affine | None, theirs: Affine | None) -> float | None:
    """How far two linear steps with what is folded into them are apart, if that is no more than rounding."""
    if ours is None or theirs is None or ours[0].shape != theirs[0].shape:
        return None
    formulas, types = max(1, len(left.tail) + len(right.tail)), stored_types(left, right)
    weights = numbers(ours[0], theirs[0], None, formulas, types)
    shifts = numbers(ours[1], theirs[1], ours[2] + theirs[2], formulas, types)
    apart = [n for n in (weights, shifts) if n is not None]
    return max((n.largest for n in apart), default=0.0) if all(n.rounding for n in apart) else None


def missing(c: Findings, left: Unit, right: Unit) -> bool:
    """Whether one tail is the other without some steps: these are then said."""
    which = 0 if len(left.tail) > len(right.tail) else 1
    longer, shorter = (left, right) if which == 0 else (right, left)
    found = _within(shorter.tail, longer.tail)
    if found is None or _weights_differ(left.head, right.head):
        return False
    kept, absent = found
    for other, step in kept:
        pair = (other, step) if which == 0 else (step, other)
        attributes(c, *pair)
        constants(c, *pair)
    mine = set(nodes_of([longer.head, *(step for step, _ in kept)]))
    for step in absent:
        if step.part and set(step.nodes) <= mine:
            _left_out(c, left.head, right.head, step, which)
            continue
        only(c, [step], which)
        c.inner[which].extend(n for n in step.nodes if n not in mine)
    return True


def _weights_differ(one: Step, two: Step) -> bool:
    weights = [head.operands[1] for head in (one, two) if linear(head)]
    return len({weight.exact for weight in weights if isinstance(weight, Const)}) > 1


def _within(
    shorter: Sequence[Step], longer: Sequence[Step]
) -> tuple[Sequence[tuple[Step, Step]], Sequence[Step]] | None:
    """The steps of ``longer`` beside those of ``shorter`` by their operators, in order, and the rest of ``longer``."""
    rest = iter(longer)
    kept: list[tuple[Step, Step]] = []
    absent: list[Step] = []
    for step in shorter:
        for other in rest:
            if other.op == step.op:
                kept.append((other, step))
                break
            absent.append(other)
        else:
            return None
    return kept, [*absent, *rest]


def _left_out(c: Findings, left: Step, right: Step, step: Step, which: int) -> None:
    """A factor or a bias that a fused operator has on side ``which`` only."""
    given, otherwise, kind = "there", "none", "weights"
    if step.part == "alpha":
        factor = next(o.array for o in step.operands if isinstance(o, Const))
        given = shown(float(factor.reshape(-1)[0])) if factor is not None else given
        otherwise, kind = "1.0", "attribute"
    texts = (given, otherwise) if which == 0 else (otherwise, given)
    c.add(kind, step.part, left.nodes, right.nodes, *texts)


def constants(c: Findings, one: Step, two: Step) -> None:
    ours = [(s, o) for s, o in enumerate(one.operands) if isinstance(o, Const)]
    theirs = [(s, o) for s, o in enumerate(two.operands) if isinstance(o, Const)]
    if one.op in COMMUTATIVE and len(ours) > 1:
        ours, theirs = (sorted(side, key=lambda e: e[1].exact) for side in (ours, theirs))
    for (slot, left), (_, right) in zip(ours, theirs, strict=False):
        constant(c, one, two, slot, left, right)


def constant(c: Findings, one: Step, two: Step, slot: int, left: Const, right: Const) -> None:
    what = one.part or slot_name(one, slot)
    if left.exact != right.exact and left.dims != right.dims:  # perhaps as one side knows a rank, the other does not
        left, right = left.whole or left, right.whole or right
    if left.exact == right.exact:
        return
    if left.dims != right.dims:
        c.add("weights", what, one.nodes, two.nodes, *kinds_of(left, right, what), "shapes differ")
        return
    if left.array is None or right.array is None:
        if left.array is not None or right.array is not None or left.token != right.token:
            says = "the numbers are not there to compare"
            c.add("weights", what, one.nodes, two.nodes, *kinds_of(left, right, what), says)
        return
    found = numbers(left.array, right.array)
    if left.dtype != right.dtype:
        says = "the same numbers" if found is None else says_numbers(found)
        c.add("type", what, one.nodes, two.nodes, left.dtype, right.dtype, says)
    elif found is not None:
        texts = furthest(left.array, right.array)
        c.add("attribute" if what == "alpha" else "weights", what, one.nodes, two.nodes, *texts, says_numbers(found))
