"""Which step of one graph stands beside which of another: by dataflow and by what they compute, never by name.

Design note.  Steps are first gathered to *units*: a convolution or a product with weights, and the scales and shifts
per channel behind it (bias, BatchNormalization, Mul, Add), because optimizers fold these into one another.  Units are
then paired, the surest means first, each linear in the size of the graphs:

1. the same function of the same inputs (a hash forwards; copies of one computation share a counterpart);
2. the same use until the outputs (a hash backwards);
3. the same structure in both directions without looking at numbers, parallel twins told apart by their numbers;
4. equal weights that nothing else has;
5. from what is paired to its neighbours, where these do the same, more and more loosely;
6. what holds weights and is still alone, in order, by the shapes of the weights.

A unit without a counterpart stays alone: a wrong pair would be reported as a false difference.
"""

from __future__ import annotations

import itertools
from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any, TypeVar

from onnx_triangulate.diff.ir import Const, NormalForm, Ref, Step
from onnx_triangulate.diff.operators import COMMUTATIVE
from onnx_triangulate.ops.random_draws import DRAWS

_LINEAR = ("Conv", "ConvTranspose", "MatMul")
_AFFINE = ("Add", "Sub", "Mul", "Div", "BatchNormalization")
_SEQUENCE = 600
LEVELS = (0, 1, 2, 3)  # exactly; numbers roughly; shapes only; the operator only
_Item = TypeVar("_Item")


@dataclass(eq=False)
class Unit:
    """A step and the affine steps behind it."""

    head: Step
    tail: list[Step] = field(default_factory=list)

    @property
    def steps(self) -> list[Step]:
        return [self.head, *self.tail]

    @property
    def outputs(self) -> tuple[int, ...]:
        return self.tail[-1].outputs if self.tail else self.head.outputs

    @property
    def weighted(self) -> bool:
        return any(isinstance(o, Const) and o.large for o in self.head.operands)

    @property
    def drawn(self) -> bool:
        """Whether it may give another value each time it is asked: it draws numbers, or nobody knows what it does."""
        waiting = [self.head]
        while waiting:
            step = waiting.pop()
            if step.op in DRAWS or "." in step.op:
                return True
            waiting += [inner for form in step.bodies.values() for inner in form.steps]
        return False


class Side:
    """A form as units, and who reads whom."""

    def __init__(self, form: NormalForm) -> None:
        self.readers: dict[int, list[tuple[int, int, Ref]]] = defaultdict(list)
        self.given: dict[int, list[tuple[int, Ref]]] = defaultdict(list)
        self.units: list[Unit] = []
        self.maker: dict[int, tuple[int, int]] = {}
        for place, border in enumerate(form.outputs):
            if isinstance(border.operand, Ref):
                self.given[border.operand.value].append((place, border.operand))
        taken: set[int] = set()
        for index, step in enumerate(form.steps):
            if index not in taken:
                behind = self._behind(step, form)
                taken.update(behind)
                self.units.append(Unit(step, [form.steps[i] for i in behind]))
        for number, unit in enumerate(self.units):
            self.maker |= {value: (number, slot) for slot, value in enumerate(unit.outputs)}
            for slot, ref in unit.head.refs():
                self.readers[ref.value].append((number, slot, ref))
        self.inputs = {b.operand.value: i for i, b in enumerate(form.inputs) if isinstance(b.operand, Ref)}

    def _behind(self, head: Step, form: NormalForm) -> list[int]:
        """The affine steps behind a linear one: each the only reader of the one before."""
        found: list[int] = []
        last = head
        while linear(head):
            value = last.outputs[0]
            readers = form.readers.get(value, ())
            if len(readers) != 1 or self.given.get(value) or not _affine(form.steps[readers[0][0]], value, head):
                break
            found.append(readers[0][0])
            last = form.steps[found[-1]]
        return found

    def place(self, unit: int, slot: int) -> int:
        """The slot in which a unit reads a value; -1 where the order of operands is of no account."""
        return -1 if self.units[unit].head.op in COMMUTATIVE else slot


def linear(step: Step) -> bool:
    return step.op in _LINEAR and len(step.operands) > 1 and isinstance(step.operands[1], Const)


def channels(step: Step) -> tuple[int | None, int]:
    """How many results a linear step has per place, and how many axes follow that of the channels."""
    weight = step.operands[1]
    dims = weight.dims if isinstance(weight, Const) else None
    if dims is None:
        return None, 0
    if step.op == "MatMul":
        return (dims[-1] if len(dims) == 2 else None), 0
    count = dims[0]
    if step.op == "ConvTranspose":
        group = step.attributes.get("group", 1)
        count = dims[1] * group if isinstance(group, int) and dims[1] is not None else None
    return count, len(dims) - 2


def _affine(step: Step, value: int, head: Step) -> bool:
    """Whether a step scales or shifts the channels of ``value`` by constants, and does nothing else."""
    if step.op not in _AFFINE or len(step.outputs) != 1:
        return False
    places = [slot for slot, ref in step.refs()]
    if len(places) != 1 or (places[0] and step.op not in ("Add", "Mul")):
        return False
    ref = step.operands[places[0]]
    if not isinstance(ref, Ref) or ref.value != value or not ref.plain:
        return False
    count, behind = channels(head)
    rest = [o for o in step.operands if not isinstance(o, Ref)]
    if count is None or not rest or (step.op == "BatchNormalization" and head.op == "MatMul"):
        return False
    allowed = ((count,),) if step.op == "BatchNormalization" else ((), (count, *(1,) * behind))
    return all(isinstance(o, Const) and o.dims in allowed for o in rest)


class Names(dict[tuple[Any, ...], int]):
    """A number for everything that is told apart: the same for the same, on both sides."""

    def of(self, *parts: Any) -> int:
        return self.setdefault(parts, len(self))


def signature(unit: Unit, level: int, names: Names) -> int:
    """What a unit does by itself."""
    if level == 0 and unit.tail:
        return names.of("unit", *(_said(step, 0, names) for step in unit.steps))
    return _said(unit.head, level, names)


def _said(step: Step, level: int, names: Names) -> int:
    if level == LEVELS[-1]:
        return names.of("op", step.op)
    commutes = step.op in COMMUTATIVE
    parts = []
    for slot, operand in enumerate(step.operands):
        where = -1 if commutes else slot
        if isinstance(operand, Const):
            parts.append(names.of("const", where, _number(operand, level)))
        elif isinstance(operand, Ref):
            parts.append(names.of("ref", where, operand.seen if level == 0 else None))
    if commutes:
        parts.sort()
    bodies = [_body(form, names) for _, form in sorted(step.bodies.items())] if level < 2 else []
    return names.of("step", step.op, step.said if level < 2 else "", len(step.outputs), tuple(parts), tuple(bodies))


def _number(operand: Const, level: int) -> bytes:
    if level == 0:
        return operand.exact
    # Whether axes of size one in front may be left out, one side may know and the other not.
    return operand.bare.roughly if level == 1 else operand.bare.shape


def _body(form: NormalForm, names: Names) -> int:
    """A subgraph by what its outputs are functions of."""
    side = Side(form)
    said = [signature(u, 0, names) for u in side.units]
    values = forwards(side, said, True, {i: i for i in range(len(form.inputs))}, names)
    made: list[Any] = []
    for border in form.outputs:
        operand = border.operand
        if isinstance(operand, Ref):
            made.append((values.get(operand.value), operand.seen))
        else:
            made.append(operand.exact if isinstance(operand, Const) else None)
    return names.of("body", len(form.inputs), tuple(made))


def forwards(side: Side, said: Sequence[int], exactly: bool, inputs: Mapping[int, int], names: Names) -> dict[int, int]:
    """The class of every value: what function of the inputs it is, as far as ``said`` tells units apart."""
    found: dict[int, int] = {}
    seen_before: dict[int, int] = {}
    for value, place in side.inputs.items():
        found[value] = names.of("input", inputs[place]) if place in inputs else names.of("alone", id(side), place)
    for number, unit in enumerate(side.units):
        commutes = unit.head.op in COMMUTATIVE
        parts: list[Any] = []
        for slot, ref in unit.head.refs():
            if ref.value not in found:
                found[ref.value] = names.of("unknown", id(side), ref.value)
            seen = ref.seen if exactly and not ref.plain else None
            parts.append(names.of("reads", found[ref.value], seen) if commutes else (slot, found[ref.value], seen))
        if commutes:
            parts.sort()
        whole = names.of("forwards", said[number], tuple(parts))
        if unit.drawn:  # the second of two is another value; it stands beside the second of the other side
            seen_before[whole] = seen_before.get(whole, 0) + 1
            whole = names.of("drawn", whole, seen_before[whole])
        for slot, value in enumerate(unit.outputs):
            found[value] = names.of("result", whole, slot)
    return found


def backwards(side: Side, said: Sequence[int], exactly: bool, outputs: Mapping[int, int], names: Names) -> list[int]:
    """The class of every unit: what it does and what becomes of it."""
    found = [-1] * len(side.units)
    for number in range(len(side.units) - 1, -1, -1):
        parts = []
        for value in side.units[number].outputs:
            uses = []
            for reader, place, ref in side.readers.get(value, ()):
                uses.append(
                    names.of(
                        "read",
                        found[reader],
                        side.place(reader, place),
                        ref.seen if exactly and not ref.plain else None,
                    )
                )
            for place, ref in side.given.get(value, ()):
                label = outputs[place] if place in outputs else ("alone", id(side), place)
                uses.append(names.of("output", label, ref.seen if exactly and not ref.plain else None))
            parts.append(tuple(sorted(uses)))
        found[number] = names.of("backwards", said[number], tuple(parts))
    return found


class Matching:
    """Pairs of units; ``copies`` are further units that do what a paired one does."""

    def __init__(
        self, left: Side, right: Side, inputs: Sequence[tuple[int, int]], outputs: Sequence[tuple[int, int]]
    ) -> None:
        self.sides = left, right
        self._inputs, self._outputs = _numbered(inputs), _numbered(outputs)
        self._input = dict(inputs), {right: right for _, right in inputs}
        self.there: dict[int, int] = {}
        self.back: dict[int, int] = {}
        self.copies: tuple[dict[int, int], dict[int, int]] = ({}, {})
        self.names = Names()
        self._signatures: dict[int, tuple[list[int], list[int]]] = {}
        self._new: deque[tuple[int, int]] = deque()
        self._exact()
        self._structure()
        self._anchors()
        self._neighbours()
        self._sequence()
        self._neighbours()

    def pair(self, left: int, right: int) -> None:
        self.there[left], self.back[right] = right, left
        self._new.append((left, right))

    def paired(self, unit: int, which: int) -> bool:
        """Whether a unit of a side has a counterpart, or does what one does that has."""
        return unit in (self.there, self.back)[which] or unit in self.copies[which]

    def _free(self) -> list[list[int]]:
        return [[u for u in range(len(s.units)) if not self.paired(u, i)] for i, s in enumerate(self.sides)]

    def _free_and_weighted(self) -> list[list[int]]:
        return [[u for u in free if s.units[u].weighted] for s, free in zip(self.sides, self._free(), strict=True)]

    def _said(self, level: int) -> tuple[list[int], list[int]]:
        """What every unit of either side does by itself; made when it is first asked for."""
        if level not in self._signatures:
            left, right = ([signature(u, level, self.names) for u in s.units] for s in self.sides)
            self._signatures[level] = left, right
        return self._signatures[level]

    @property
    def _done(self) -> bool:
        return not all(self._free())

    def _forward_keys(self, level: int) -> list[list[int]]:
        made = []
        for side, said, inputs in zip(self.sides, self._said(level), self._inputs, strict=True):
            values = forwards(side, said, level == 0, inputs, self.names)
            made.append([values[u.outputs[0]] if u.outputs else self.names.of("nothing", id(u)) for u in side.units])
        return made

    def _backward_keys(self, level: int) -> list[list[int]]:
        sides = zip(self.sides, self._said(level), self._outputs, strict=True)
        return [backwards(side, said, level == 0, outputs, self.names) for side, said, outputs in sides]

    def _exact(self) -> None:
        keys = self._forward_keys(0)
        for ours, theirs in _groups([range(len(k)) for k in keys], lambda which, unit: keys[which][unit]):
            for left, right in zip(ours, theirs, strict=False):
                self.pair(left, right)
            self.copies[0].update(dict.fromkeys(ours[len(theirs) :], theirs[-1]))
            self.copies[1].update(dict.fromkeys(theirs[len(ours) :], ours[-1]))
        if not self._done:
            self._by(self._backward_keys(0))

    def _structure(self) -> None:
        for level in (1, 2, 3):
            if self._done:
                return
            forward, backward = self._forward_keys(level), self._backward_keys(level)
            self._by([list(zip(f, b, strict=True)) for f, b in zip(forward, backward, strict=True)])
            if level < LEVELS[-1]:
                self._by(forward)
                self._by(backward)

    def _by(self, keys: Sequence[Sequence[Hashable]]) -> None:
        """Pair what has one key; among several those whose operands are paired, then those of equal numbers, then (if
        there are equally many) in order."""
        for ours, theirs in _groups(self._free(), lambda which, unit: keys[which][unit]):
            if len(ours) == len(theirs) == 1:
                self.pair(ours[0], theirs[0])
            else:
                self._tell_apart(ours, theirs)

    def _tell_apart(self, ours: Sequence[int], theirs: Sequence[int]) -> None:
        for level, known in itertools.product((0, 1, 2), (True, False)):
            free = [u for u in ours if u not in self.there], [u for u in theirs if u not in self.back]

            def key(which: int, unit: int, level: int = level, known: bool = known) -> Hashable:
                return self._said(level)[which][unit], self._operands(unit, which) if known else None

            self._pair_in_order(free, key)

    def _pair_in_order(self, items: Sequence[Iterable[int]], key: Callable[[int, int], Hashable]) -> None:
        """Pair the units of one key, where there are equally many on both sides."""
        for some, others in _groups(items, key):
            if len(some) == len(others):
                for left, right in zip(some, others, strict=True):
                    self.pair(left, right)

    def _operands(self, unit: int, which: int) -> Hashable:
        """What a unit reads, in the terms of the right graph, unpaired operands left open."""
        step = self.sides[which].units[unit].head
        made: list[Any] = [self.value(ref.value, which) for _, ref in step.refs()]
        return tuple(sorted(made, key=repr)) if step.op in COMMUTATIVE else tuple(made)

    def value(self, value: int, which: int) -> tuple[str, int, int] | None:
        """A value of either side as the right graph knows it; None where it has no counterpart."""
        side = self.sides[which]
        if value in side.inputs:
            place = self._input[which].get(side.inputs[value])
            return None if place is None else ("input", place, 0)
        if value not in side.maker:
            return None
        unit, slot = side.maker[value]
        if not self.paired(unit, which):
            return None
        if which == 0:
            return "unit", self.there[unit] if unit in self.there else self.copies[0][unit], slot
        return "unit", self.there[self.copies[1][unit]] if unit in self.copies[1] else unit, slot

    def _anchors(self) -> None:
        for level in (0, 1):

            def key(which: int, unit: int, level: int = level) -> Hashable:
                head = self.sides[which].units[unit].head
                return head.op, *(_number(o, level) for o in head.operands if isinstance(o, Const) and o.large)

            for ours, theirs in _groups(self._free_and_weighted(), key):
                if len(ours) == len(theirs) == 1:
                    self.pair(ours[0], theirs[0])

    def _neighbours(self) -> None:
        for _ in range(3):
            before = len(self.there)
            for level in LEVELS:
                if self._done:
                    return
                queue = deque(self.there.items())
                self._new.clear()
                while queue:
                    left, right = queue.popleft()
                    self._above(left, right, level)
                    self._below(left, right, level)
                    queue.extend(self._new)
                    self._new.clear()
            if len(self.there) == before:
                return

    def _alike(self, left: int, right: int, level: int) -> bool:
        ours, theirs = self._said(level)
        return not self.paired(left, 0) and not self.paired(right, 1) and ours[left] == theirs[right]

    def _above(self, left: int, right: int, level: int) -> None:
        heads = [side.units[unit].head for side, unit in zip(self.sides, (left, right), strict=True)]
        ours, theirs = ([ref.value for _, ref in head.refs()] for head in heads)
        commutes = heads[0].op in COMMUTATIVE
        if not commutes and len(ours) != len(theirs):
            return
        nowhere = -1, -1
        for place, value in enumerate(ours):
            maker, slot = self.sides[0].maker.get(value, nowhere)
            for other in theirs if commutes else [theirs[place]]:
                made = self.sides[1].maker.get(other, nowhere)
                if -1 not in (maker, made[0]) and made[1] == slot and self._alike(maker, made[0], level):
                    self.pair(maker, made[0])
                    break

    def _below(self, left: int, right: int, level: int) -> None:
        units = [side.units[unit] for side, unit in zip(self.sides, (left, right), strict=True)]

        def key(which: int, entry: tuple[int, int]) -> Hashable:
            unit, slot = entry
            return self._said(level)[which][unit], self.sides[which].place(unit, slot)

        for values in zip(units[0].outputs, units[1].outputs, strict=False):
            readers = [side.readers.get(value, ()) for side, value in zip(self.sides, values, strict=True)]
            free = [[(u, slot) for u, slot, _ in readers[0] if u not in self.there],
                    [(u, slot) for u, slot, _ in readers[1] if u not in self.back]]  # fmt: skip
            for some, others in _groups(free, key):
                if len(some) == len(others) or level == 0:
                    for (one, _), (another, _) in zip(some, others, strict=False):
                        if self._alike(one, another, level):
                            self.pair(one, another)

    def _sequence(self) -> None:
        for level in (2, 3):
            said, (ours, theirs) = self._said(level), self._free_and_weighted()
            if level == LEVELS[-1] and len(ours) != len(theirs):
                return
            if max(len(ours), len(theirs)) > _SEQUENCE:
                self._pair_in_order((ours, theirs), lambda which, unit, said=said: said[which][unit])  # type: ignore[misc]
                continue
            one, two = [said[0][u] for u in ours], [said[1][u] for u in theirs]
            for block in SequenceMatcher(None, one, two, autojunk=False).get_matching_blocks():
                for step in range(block.size):
                    self.pair(ours[block.a + step], theirs[block.b + step])


def _numbered(pairs: Sequence[tuple[int, int]]) -> tuple[dict[int, int], dict[int, int]]:
    """The number of the pair that an input or output is in, for either side."""
    return {left: i for i, (left, _) in enumerate(pairs)}, {right: i for i, (_, right) in enumerate(pairs)}


def _groups(sides: Sequence[Iterable[_Item]], key: Callable[[int, _Item], Hashable]) -> list[tuple[list[_Item], ...]]:
    """What has one key, ``key(side, item)``, on both sides."""
    found: dict[Hashable, tuple[list[_Item], ...]] = {}
    for which, items in enumerate(sides):
        for item in items:
            found.setdefault(key(which, item), ([], []))[which].append(item)
    return [group for group in found.values() if all(group)]


def match_values(left: Sequence[Any], right: Sequence[Any]) -> list[tuple[int, int]]:
    """Which input (or output) is which: by name (one that comes twice by its order), and those left by their order."""
    names: dict[str, list[int]] = {}
    for i, b in enumerate(right):
        names.setdefault(b.name, []).append(i)
    pairs = [(i, names[b.name].pop(0)) for i, b in enumerate(left) if names.get(b.name)]
    ours = [i for i in range(len(left)) if i not in {a for a, _ in pairs}]
    theirs = [i for i in range(len(right)) if i not in {b for _, b in pairs}]
    return sorted([*pairs, *zip(ours, theirs, strict=False)])
