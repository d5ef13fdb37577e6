"""What two graphs of one model have differently, attribute by attribute.

Design note.  Both graphs are brought to normal form, their steps paired, and each pair compared: how it pads, how it
sees its operands, its attributes, its constants.  What has no counterpart is gathered to connected pieces: a piece that
stands between the same values on both sides is one operator written in another way (or replaced), any other is "only"
on its side.  One change is one difference: what merely follows from it (a reader of a value that the other side lacks)
is not repeated.  Numbers decide where they can: a BatchNormalization is folded into a convolution if its numbers are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from onnx_triangulate.diff import interface
from onnx_triangulate.diff.builder import LAYOUTS
from onnx_triangulate.diff.formatting import (
    SHOWN,
    affine,
    agree,
    between_perms,
    compatible,
    dims_text,
    furthest,
    heads_differ,
    in_one_place,
    in_order,
    kind_of,
    kinds_of,
    merged,
    nodes_of,
    numbers,
    once,
    operand_at,
    ops_of,
    rank_of,
    same_number,
    says_numbers,
    seen_shape,
    shown,
    size_of,
    slot_name,
    sorted_dims,
    stored_types,
    there_or_none,
    through,
    turning,
    type_name,
    views_agree,
)
from onnx_triangulate.diff.harmless import of_no_effect
from onnx_triangulate.diff.ir import Border, Const, Form, Ints, Operand, Ref, Step, positive, turned
from onnx_triangulate.diff.matching import Matching, Side, Unit, same_border
from onnx_triangulate.diff.normal_form import normal_forms
from onnx_triangulate.diff.one_size import at_one_size
from onnx_triangulate.diff.operators import COMMUTATIVE
from onnx_triangulate.diff.schemas import BY_RESULT, is_default
from onnx_triangulate.facts.view import View
from onnx_triangulate.onnxgraph.nodes import Dims
from onnx_triangulate.records.inspection import Difference, Differences, Inspection

ORDER = ("pads", "layout", "attribute", "operator", "weights", "type", "border", "only")
_PADDED = ("pads", "output_padding")


def differences(left: View, right: View, left_inspection: Inspection, right_inspection: Inspection) -> Differences:
    """Two graphs of one model side by side."""
    sizes, first, second, found = _compared_at_one_size(left, right)
    notes = [*sizes, *found.notes]
    for side, form in (("left", first), ("right", second)):
        notes += [f"{side}: {note}" for note in form.notes]
        total = sum(form.traceless.values())
        if total:
            ops = ", ".join(
                f"{op} {n}" for op, n in sorted(form.traceless.items(), key=lambda i: (-i[1], i[0]))[:SHOWN]
            )
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


def of_effect(left: View, right: View) -> tuple[Difference, ...]:
    """The differences that change a number, in order."""
    *_, found = _compared_at_one_size(left, right)
    return tuple(difference for difference in ordered(found.differences) if not difference.harmless)


def _compared_at_one_size(left: View, right: View) -> tuple[Sequence[str], Form, Form, Compared]:
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


def compared(left: Form, right: Form) -> Compared:
    return _Comparison(left, right).result()


# -- comparison


class _Comparison:
    def __init__(self, left: Form, right: Form) -> None:
        self.forms = left, right
        self.sides = Side(left), Side(right)
        self.inputs = same_border(left.inputs, right.inputs)
        self.outputs = same_border(left.outputs, right.outputs)
        if left.captured or right.captured or left.path or right.path:  # formal inputs of a body have no names to go by
            self.inputs = [(i, i) for i in range(min(len(left.inputs), len(right.inputs)))]
            self.outputs = [(i, i) for i in range(min(len(left.outputs), len(right.outputs)))]
        self.matching = Matching(self.sides[0], self.sides[1], self.inputs, self.outputs)
        self.found: list[Difference] = []
        self.notes: list[str] = []
        self.fused: dict[tuple[int, str], tuple[str, dict[str, str]]] = {}
        self.replaced: tuple[set[int], set[int]] = (set(), set())
        self.matched: set[str] = set()
        self.turned = False  # whether an input has its axes in another order: then outputs may have, too
        self.inner: tuple[list[str], list[str]] = ([], [])

    def result(self) -> Compared:
        left, right = self.sides
        for ours, theirs in sorted(self.matching.there.items()):
            self._pair(left.units[ours], right.units[theirs])
        self._pieces()
        self._borders()
        self._say_fused()
        held = (*self.matching.there, *self.matching.copies[0], *self.replaced[0])
        self.matched.update(n for i in held for n in nodes_of(s for s in left.units[i].steps if s.part != "view"))
        only = []
        for which, side in enumerate(self.sides):
            known = (self.matching.there, self.matching.back)[which]
            beside: set[str] = set()
            alone: dict[str, None] = {}
            for number, unit in enumerate(side.units):
                paired = number in known or number in self.matching.copies[which] or number in self.replaced[which]
                names = nodes_of(s for s in unit.steps if s.part != "view")
                if paired:
                    beside.update(names)
                else:
                    alone.update(dict.fromkeys(names))
            only.append(tuple(n for n in (*alone, *self.inner[which]) if n not in beside))
        self.matched -= set(only[0])
        return Compared(frozenset(self.matched), once(self.found), only[0], only[1], tuple(self.notes))

    def _add(
        self, kind: str, what: str, nodes: Sequence[str], others: Sequence[str], left: str, right: str, says: str = "",
        same: bool = False,
    ) -> None:  # fmt: skip
        self.found.append(Difference(kind, what, tuple(nodes), tuple(others), left, right, says, same))

    # -- pairs

    def _pair(self, left: Unit, right: Unit) -> None:
        one, two = left.head, right.head
        if one.op != two.op:
            self._add("operator", "op", one.nodes, two.nodes, ops_of([one]), ops_of([two]))
            return
        folded = self._tails(left, right)
        self._attributes(one, two)
        if one.bodies or two.bodies:
            self._bodies(one, two)
        self._operands(one, two, numbers_too=not folded)
        self._fused(left, right)

    def _fused(self, left: Unit, right: Unit) -> None:
        """Operators of other domains that normal form has taken apart."""
        foreign = [{o for s in unit.steps for o in s.ops if "." in o} for unit in (left, right)]
        if foreign[0] == foreign[1]:
            return
        for which, unit in enumerate((left, right)):
            other = (right, left)[which]
            for step in unit.steps:
                for node, op in zip(step.nodes, step.ops, strict=False):
                    if "." in op:
                        beside = self.fused.setdefault((which, node), (op, {}))[1]
                        beside.update({n: o for s in other.steps for n, o in zip(s.nodes, s.ops, strict=False)})

    def _say_fused(self) -> None:
        said = [{n for d in self.found for n in d.left_nodes}, {n for d in self.found for n in d.right_nodes}]
        for (which, node), (op, beside) in self.fused.items():
            same = node not in said[which]
            here, there = ((node,), op), (tuple(beside), ", ".join(beside.values()))
            left, right = (here, there) if which == 0 else (there, here)
            says = "the same, written as another operator" if same else ""
            self._add("operator", "fused", left[0], right[0], left[1], right[1], says, same)

    def _attributes(self, one: Step, two: Step) -> None:
        ranks = [self._rank_of(s, i) for i, s in enumerate((one, two))]
        rank = ranks[0] or ranks[1]
        nothing: Mapping[str, str] | None = None
        for name in sorted({*one.attributes, *two.attributes}):
            left, right = one.attributes.get(name), two.attributes.get(name)
            if name in ("axis", "axes") and rank:
                left, right = positive(left, rank), positive(right, rank)
            if repr(left) == repr(right):
                continue
            if same_number(left, right) or (name == "shape" and one.op == "Reshape" and self._one_shape(one, two)):
                continue
            if self._newer(one, two, name, left, right):
                continue
            nothing = of_no_effect(one, two, self.forms) if nothing is None else nothing
            kind, says = "pads" if name in _PADDED else "attribute", nothing.get(name, "")
            as_type = one.op == "Cast" and name == "to"
            texts = (type_name(left), type_name(right)) if as_type else (shown(left), shown(right))
            self._add("type" if as_type else kind, name, one.nodes, two.nodes, *texts, says, bool(says))

    def _one_shape(self, one: Step, two: Step) -> bool:
        """Whether two Reshapes are to one shape."""
        dims: list[Dims | None] = []
        for step, form in zip((one, two), self.forms, strict=True):
            ref = operand_at(step, 0)
            dims.append(turned(form.values[ref.value].dims, ref.perm) if isinstance(ref, Ref) and ref.plain else None)
        whole = size_of(merged(dims[0], dims[1]))
        return compatible(one.attributes.get("shape"), two.attributes.get("shape"), whole)

    def _newer(self, one: Step, two: Step, name: str, left: Any, right: Any) -> bool:
        """An attribute that one opset lacks and that does in the other what was done before."""
        opsets = self.forms[0].opset, self.forms[1].opset
        if opsets[0] == opsets[1] or (left is not None and right is not None):
            return False
        step, opset, value = (two, opsets[1], right) if left is None else (one, opsets[0], left)
        return is_default(step.op, opset, name, value)

    def _rank_of(self, step: Step, which: int) -> int | None:
        """The rank by which the axes of a step are counted."""
        values, first = self.forms[which].values, operand_at(step, 0)
        seen: Dims | None = None
        if step.op in BY_RESULT:
            seen = values[step.outputs[0]].dims
        elif isinstance(first, Ref) and "." not in step.op:
            seen = first.perm or values[first.value].dims if first.shape is None else first.shape
        elif isinstance(first, Const) and "." not in step.op:
            seen = first.dims
        return None if seen is None else len(seen)

    def _bodies(self, one: Step, two: Step) -> None:
        for name in sorted({*one.bodies, *two.bodies}):
            left, right = one.bodies.get(name), two.bodies.get(name)
            if left is None or right is None:
                self._add("only", name, one.nodes, two.nodes, there_or_none(left), there_or_none(right))
                continue
            inner = compared(left, right)
            self.found += inner.differences
            self.notes += inner.notes
            self.matched |= inner.matched
            self.inner[0].extend(inner.only_left)
            self.inner[1].extend(inner.only_right)

    # -- what is folded into a linear step

    def _tails(self, left: Unit, right: Unit) -> bool:
        """Compare what follows two linear steps; whether their weights are compared with it."""
        if [s.op for s in left.tail] == [s.op for s in right.tail]:
            for one, two in zip(left.tail, right.tail, strict=True):
                self._attributes(one, two)
                self._constants(one, two)
            return False
        ours, theirs = affine(left), affine(right)
        nodes, others = nodes_of(left.steps), nodes_of(right.steps)
        if ours is not None and theirs is not None and ours[0].shape == theirs[0].shape:
            formulas, types = max(1, len(left.tail) + len(right.tail)), stored_types(left, right)
            weights = numbers(ours[0], theirs[0], None, formulas, types)
            both = weights, numbers(ours[1], theirs[1], ours[2] + theirs[2], formulas, types)
            apart = [n for n in both if n is not None]
            if all(n.rounding for n in apart):
                worst = max((n.largest for n in apart), default=0.0)
                says = (
                    f"folded: the numbers agree up to rounding ({worst:.1g})" if worst else "folded: the same numbers"
                )
                self._add("operator", "folded", nodes, others, ops_of(left.steps), ops_of(right.steps), says, not worst)
                return True
        if self._missing(left, right):
            return False
        says = "the numbers are not those of folding one into the other"
        if ours is None or theirs is None:
            says = "whether one is folded into the other is not known: the numbers are not there"
        self._add("operator", "folded", nodes, others, ops_of(left.steps), ops_of(right.steps), says)
        return True

    def _missing(self, left: Unit, right: Unit) -> bool:
        """Whether one tail is the other without some steps: these are then said."""
        ours, theirs = [s.op for s in left.tail], [s.op for s in right.tail]
        longer, shorter = (left, right) if len(ours) > len(theirs) else (right, left)
        rest = iter(enumerate(longer.tail))
        kept: list[tuple[Step, Step]] = []
        absent: list[Step] = []
        for step in shorter.tail:
            for _, other in rest:
                if other.op == step.op:
                    kept.append((other, step))
                    break
                absent.append(other)
            else:
                return False
        absent += [other for _, other in rest]
        if heads_differ(left.head, right.head):
            return False
        for other, step in kept:
            pair = (other, step) if longer is left else (step, other)
            self._attributes(*pair)
            self._constants(*pair)
        mine = set(nodes_of([longer.head, *(a for a, _ in kept)]))
        for step in absent:
            ours_first = longer is left
            if step.part and set(step.nodes) <= mine:
                given = "there"
                if step.part == "alpha":
                    factor = next(o.array for o in step.operands if isinstance(o, Const))
                    given = shown(float(factor.reshape(-1)[0])) if factor is not None else given
                texts = [given, "1.0" if step.part == "alpha" else "none"]
                kind = "attribute" if step.part == "alpha" else "weights"
                ours_, theirs_ = texts if ours_first else texts[::-1]
                self._add(kind, step.part, left.head.nodes, right.head.nodes, ours_, theirs_)
                continue
            self._only([step], 0 if ours_first else 1)
            self.inner[0 if ours_first else 1].extend(n for n in step.nodes if n not in mine)
        return True

    # -- operands

    def _constants(self, one: Step, two: Step) -> None:
        ours = [(s, o) for s, o in enumerate(one.operands) if isinstance(o, Const)]
        theirs = [(s, o) for s, o in enumerate(two.operands) if isinstance(o, Const)]
        if one.op in COMMUTATIVE and len(ours) > 1:
            ours, theirs = (sorted(side, key=lambda e: e[1].exact) for side in (ours, theirs))
        for (slot, left), (_, right) in zip(ours, theirs, strict=False):
            self._constant(one, two, slot, left, right)

    def _constant(self, one: Step, two: Step, slot: int, left: Const, right: Const) -> None:
        what = one.part or slot_name(one, slot)
        if left.exact == right.exact:
            return
        if left.dims != right.dims:  # perhaps as one side knows a rank that the other does not
            left, right = left.whole or left, right.whole or right
        if left.exact == right.exact:
            return
        if left.dims != right.dims:
            self._add("weights", what, one.nodes, two.nodes, *kinds_of(left, right, what), "shapes differ")
            return
        if left.array is None or right.array is None:
            if left.array is None and right.array is None and left.token == right.token:
                return
            self._add("weights", what, one.nodes, two.nodes, *kinds_of(left, right, what),
                      "the numbers are not there to compare")  # fmt: skip
            return
        found = numbers(left.array, right.array)
        if left.dtype != right.dtype:
            says = "the same numbers" if found is None else says_numbers(found)
            self._add("type", what, one.nodes, two.nodes, left.dtype, right.dtype, says)
        elif found is not None:
            texts = furthest(left.array, right.array)
            self._add(
                "attribute" if what == "alpha" else "weights", what, one.nodes, two.nodes, *texts, says_numbers(found)
            )

    def _operands(self, one: Step, two: Step, numbers_too: bool) -> None:
        if one.op in COMMUTATIVE:
            self._unordered(one, two)
            return
        slots = range(max(len(one.operands), len(two.operands)))
        pairs = [(operand_at(one, s), operand_at(two, s)) for s in slots]
        if self._swapped(one, two, pairs):
            return
        for slot, (left, right) in enumerate(pairs):
            if isinstance(left, Const) and isinstance(right, Const):
                if numbers_too or slot != 1:
                    self._constant(one, two, slot, left, right)
            elif isinstance(left, Ref) and isinstance(right, Ref):
                self._reads(one, two, slot, left, right)
            elif left is not None or right is not None:
                self._add(
                    "operator",
                    slot_name(one, slot),
                    one.nodes,
                    two.nodes,
                    self._source(left, 0),
                    self._source(right, 1),
                )

    def _unordered(self, one: Step, two: Step) -> None:
        self._constants(one, two)
        ours, theirs = [o for _, o in one.refs()], [o for _, o in two.refs()]
        constants = [sum(isinstance(o, Const) for o in s.operands) for s in (one, two)]
        if len(ours) != len(theirs) or constants[0] != constants[1]:
            texts = self._sources(one, two)
            if all(self.matching.value(r.value, i) is not None for i, refs in enumerate((ours, theirs)) for r in refs):
                self._add("operator", "operands", one.nodes, two.nodes, *texts)
            return
        rest = list(theirs)
        left_over: list[Ref] = []
        for exactly in (True, False):
            for left in ours if exactly else left_over[:]:
                here = self.matching.value(left.value, 0)
                beside = next(
                    (r for r in rest if here is not None and self.matching.value(r.value, 1) == here
                     and (not exactly or r.seen == left.seen)), None,
                )  # fmt: skip
                if beside is not None:
                    rest.remove(beside)
                    self._reads(one, two, -1, left, beside)
                    if not exactly:
                        left_over.remove(left)
                elif exactly:
                    left_over.append(left)
        for left, right in zip(left_over, rest, strict=False):
            self._reads(one, two, -1, left, right)

    def _swapped(self, one: Step, two: Step, pairs: Sequence[tuple[Operand, Operand]]) -> bool:
        """Two operands that changed places."""
        if len(pairs) != 2:
            return False
        (a, c), (b, d) = pairs
        if not self._equal(a, d) or not self._equal(b, c) or self._equal(a, c) or self._equal(b, d):
            return False
        texts = self._sources(one, two)
        self._add("operator", "operands", one.nodes, two.nodes, *texts, "the operands changed places")
        return True

    def _equal(self, left: Operand, right: Operand) -> bool:
        if isinstance(left, Const) and isinstance(right, Const):
            return left.exact == right.exact
        if not isinstance(left, Ref) or not isinstance(right, Ref):
            return False
        here = self.matching.value(left.value, 0)
        return here is not None and here == self.matching.value(right.value, 1)

    def _reads(self, one: Step, two: Step, slot: int, left: Ref, right: Ref) -> None:
        here, there = self.matching.value(left.value, 0), self.matching.value(right.value, 1)
        if here is not None and here == there:
            self._seen(one.nodes, two.nodes, left, right)
            return
        (root, chain), (other, second) = self._chain(left, 0), self._chain(right, 1)
        below, beside = self.matching.value(root, 0), self.matching.value(other, 1)
        if below is None or beside is None:
            return  # said where the value is that has no counterpart
        if below == beside and (here is None or there is None):
            if chain == second:
                return
            bare = [
                c[:-1] if r.perm is not None and r.shape is None else c for c, r in ((chain, left), (second, right))
            ]
            kind = "perm" if bare[0] == bare[1] else "shape"
            texts = (through(chain), through(second)) if kind == "shape" else (shown(left.perm), shown(right.perm))
            self._add("layout", kind, turning(left, one.nodes), turning(right, two.nodes), *texts)
            return
        if here is None or there is None:
            return
        texts = self._source(left, 0), self._source(right, 1)
        self._add("operator", "operands" if slot < 0 else slot_name(one, slot), one.nodes, two.nodes, *texts,
                  "they read different values")  # fmt: skip

    def _chain(self, ref: Ref, which: int) -> tuple[int, list[tuple[int, ...]]]:
        """Through which permutations and shapes a value is seen, and which one it is."""
        made: list[tuple[int, ...]] = []
        while True:
            made[:0] = [p for p in (ref.perm, ref.shape) if p is not None]
            step = self._maker(ref, which)
            inner = step.operands[0] if step is not None and step.part == "view" else None
            if step is None or not isinstance(inner, Ref):
                return ref.value, made
            made.insert(0, step.attributes["shape"])
            ref = inner

    def _seen(self, nodes: Sequence[str], others: Sequence[str], left: Ref, right: Ref) -> None:
        """How one value is seen from both sides."""
        dims = [form.values[r.value].dims for form, r in zip(self.forms, (left, right), strict=True)]
        if left.seen == right.seen or views_agree(left, right, dims):
            return
        steps = [self._maker(r, i) for i, r in enumerate((left, right))]
        if steps[0] is not None and steps[1] is not None:
            softs = [(k, steps[0].soft.get(k), steps[1].soft.get(k)) for k in {*steps[0].soft, *steps[1].soft}]
            apart = [(k, a, b) for k, a, b in softs if a != b]
            if apart and left.perm == right.perm:
                for name, a, b in apart:
                    self._add("attribute", name, steps[0].nodes, steps[1].nodes, shown(a), shown(b))
                return
        ours, theirs = left.via or nodes, right.via or others
        if left.perm != right.perm:
            by = turning(left, nodes), turning(right, others)
            self._add("layout", "perm", *by, shown(left.perm), shown(right.perm))
        if left.shape != right.shape and not compatible(left.shape, right.shape, size_of(merged(*dims))):
            texts = seen_shape(left, dims[0]), seen_shape(right, dims[1])
            if texts[0] == texts[1]:  # one shape, which one side makes of the axes in another order
                if left.perm != right.perm:
                    return
                texts = shown(left.shape), shown(right.shape)
            self._add("layout", "shape", ours, theirs, *texts)

    def _maker(self, ref: Ref, which: int) -> Step | None:
        side = self.sides[which]
        if ref.value not in side.maker:
            return None
        return side.units[side.maker[ref.value][0]].steps[-1]

    def _sources(self, one: Step, two: Step) -> tuple[str, str]:
        """Where the operands of two steps come from."""
        made = [", ".join(self._source(o, i) for o in s.operands) for i, s in enumerate((one, two))]
        return made[0], made[1]

    def _source(self, operand: Operand, which: int) -> str:
        """Where an operand comes from, in words."""
        if operand is None:
            return "none"
        if isinstance(operand, Const):
            return f"constant {operand.name}".strip()
        step = self._maker(operand, which)
        if step is not None:
            return step.nodes[-1] if step.nodes else step.op
        return self.forms[which].values[operand.value].name or "?"

    # -- what has no counterpart

    def _pieces(self) -> None:
        left, right = (self._connected(i) for i in (0, 1))
        ours, theirs = list(left), list(right)
        for piece in ours:
            here = self._edges(piece, 0)
            beside = next((p for p in theirs if in_one_place(here, self._edges(p, 1))), None)
            if beside is None:
                self._only([s for u in piece for s in self.sides[0].units[u].steps], 0)
                continue
            theirs.remove(beside)
            self.replaced[0].update(piece)
            self.replaced[1].update(beside)
            one = [s for u in piece for s in self.sides[0].units[u].steps]
            two = [s for u in beside for s in self.sides[1].units[u].steps]
            self._add("operator", "op", nodes_of(one), nodes_of(two), ops_of(one), ops_of(two))
        for piece in theirs:
            self._only([s for u in piece for s in self.sides[1].units[u].steps], 1)

    def _only(self, steps: Sequence[Step], which: int) -> None:
        steps = [s for s in steps if s.part != "view"]  # said where the value is read
        names, ops = nodes_of(steps), ops_of(steps)
        if not names:
            return
        if which == 0:
            self._add("only", "nodes", names, (), ops, "none")
        else:
            self._add("only", "nodes", (), names, "none", ops)

    def _connected(self, which: int) -> Iterator[list[int]]:
        """Units without a counterpart, those that read one another together."""
        side = self.sides[which]
        known = (self.matching.there, self.matching.back)[which]
        alone = {i for i in range(len(side.units)) if i not in known and i not in self.matching.copies[which]}
        while alone:
            first = min(alone)
            alone.discard(first)
            piece, waiting = [], [first]
            while waiting:
                unit = waiting.pop()
                piece.append(unit)
                near = [side.maker[r.value][0] for _, r in side.units[unit].head.refs() if r.value in side.maker]
                near += [reader for v in side.units[unit].outputs for reader, _, _ in side.readers.get(v, ())]
                for other in near:
                    if other in alone:
                        alone.discard(other)
                        waiting.append(other)
            yield sorted(piece)

    def _edges(self, piece: Sequence[int], which: int) -> tuple[frozenset[Any], frozenset[Any]]:
        """What a piece reads and who reads it, in the terms of the right graph."""
        side, inside = self.sides[which], set(piece)
        reads: set[Any] = set()
        readers: set[Any] = set()
        given = {pair[which]: pair[1] for pair in self.outputs}
        for number in piece:
            for _, ref in side.units[number].head.refs():
                if side.maker.get(ref.value, (-1, 0))[0] not in inside:
                    reads.add(self.matching.value(ref.value, which))
            for value in side.units[number].outputs:
                for reader, _, _ in side.readers.get(value, ()):
                    if reader not in inside:
                        known = self.matching.there.get(reader) if which == 0 else reader
                        readers.add(("unit", known))
                for place, _ in side.given.get(value, ()):
                    readers.add(("output", given.get(place)))
        return frozenset(reads - {None}), frozenset(readers)

    # -- borders

    def _borders(self) -> None:
        left, right = self.forms
        for what, one, two, pairs in (
            ("input", left.inputs, right.inputs, self.inputs),
            ("output", left.outputs, right.outputs, self.outputs),
        ):
            if left.path or right.path:
                if len(one) != len(two):
                    self._add("border", f"{what}s", (left.path,), (right.path,), str(len(one)), str(len(two)))
            else:
                found, notes = interface.names(what, one, two, pairs)
                self.found += found
                self.notes += notes
            for ours, theirs in pairs:
                self._border(what, one[ours], two[theirs])
        self.found += interface.replaceable(left, right)
        for ours, theirs in self.outputs:
            self._output(left.outputs[ours], right.outputs[theirs])

    def _border(self, what: str, one: Border, two: Border) -> None:
        self.found += interface.types(what, one, two)
        if what == "output":
            return
        left, right = (b.operand for b in (one, two))
        if not isinstance(left, Ref) or not isinstance(right, Ref):
            return
        self._declared(what, one, two, between_perms(left.perm, right.perm))

    def _declared(self, what: str, one: Border, two: Border, between: Ints | None) -> None:
        """``between`` turns the left border's axes to those of the right."""
        self.turned |= what == "input" and between is not None
        if between is not None and between in LAYOUTS and agree(turned(one.dims, between), two.dims):
            self.notes.append(
                f"{what} {one.name}: the right has its axes in another order, those of the left by {shown(between)}"
            )
            return
        if between is not None:
            self._add("layout", what, (one.name,), (two.name,), dims_text(one.dims), dims_text(two.dims),
                      f"the axes of the left by {shown(between)}")  # fmt: skip
        elif not agree(one.dims, two.dims) and what == "output" and self.found:
            self.notes.append(
                f"{what} {one.name}: {dims_text(one.dims)} on the left, {dims_text(two.dims)} on the right"
            )
        elif not agree(one.dims, two.dims):
            self._add("border", f"shape of {what}", (one.name,), (two.name,), dims_text(one.dims), dims_text(two.dims))
        elif one.dims != two.dims:
            self.notes.append(
                f"{what} {one.name}: {dims_text(one.dims)} on the left, {dims_text(two.dims)} on the right"
            )

    def _output(self, one: Border, two: Border) -> None:
        left, right = one.operand, two.operand
        if left is None and right is None:
            return  # neither side makes it
        if isinstance(left, Const) and isinstance(right, Const):
            if left.exact != right.exact:
                found = None
                if left.array is not None and right.array is not None and left.dims == right.dims:
                    found = numbers(left.array, right.array)
                self._add(
                    "weights",
                    "output",
                    (one.name,),
                    (two.name,),
                    kind_of(left),
                    kind_of(right),
                    says_numbers(found) if found else "",
                )
            return
        if not isinstance(left, Ref) or not isinstance(right, Ref):
            self._add("operator", "output", (one.name,), (two.name,), self._source(left, 0), self._source(right, 1))
            return
        here, there = self.matching.value(left.value, 0), self.matching.value(right.value, 1)
        if here is None or there is None:
            if rank_of(one) == rank_of(two) and sorted_dims(one) != sorted_dims(two):
                self._declared("output", one, two, None)
            return
        if here != there:
            self._add("operator", "output", (one.name,), (two.name,), self._source(left, 0), self._source(right, 1))
            return
        between = between_perms(left.perm, right.perm)
        if left.shape is None and right.shape is None and (between is None or between in LAYOUTS):
            forced = between is not None and not in_order(one.dims, two.dims, between)
            if between is not None and (forced or self.turned) and agree(turned(one.dims, between), two.dims):
                self._declared("output", one, two, between)
                return
            if between is None:
                self._declared("output", one, two, None)
                return
        self._seen((one.name,), (two.name,), left, right)
