"""Probes of two aligned nodes: what these do not share although nothing that was compared shows it.

Design note.  Two values were the same on the feeds at hand; that they are the same function is another question where
constants, attributes or inner graphs are not.  Other numbers of one size in the same place are said as they are.
Attributes and whole numbers may differ in writing alone (an axis counted from the end, pads by a rule, a size of -1):
there both nodes are evaluated again on one set of probes, values that feeds hardly hold: large, tiny, tied, negative,
infinite ones, and those around the numbers that differ.  What shows there, and did not before, is said.  A node that
is linear in what it reads, or only moves it, hides nothing from numbers that are not all the same.  How often a Loop
may run is said without a probe: none knows what ends it; for the rest of it the count is cut short.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx

from onnx_triangulate.diff.operators import FOLLOWS
from onnx_triangulate.locate.teacher_forced.state import AlignmentState, GraphSide
from onnx_triangulate.numerics.compare import equal_elements, is_float, same_values
from onnx_triangulate.numerics.float64_evaluation import Graph, Step
from onnx_triangulate.onnxgraph.dataflow import Orientation, Pair, settings
from onnx_triangulate.onnxgraph.nodes import array, subgraphs, whole_slots
from onnx_triangulate.ops.registry import operators, operators_where
from onnx_triangulate.records.arrays import Array

SILENT = "nothing that was compared shows it"
_LINEAR = operators_where(lambda op: op.linear)
_CLOSE = 2.0**-20  # computed by two exporters in float32
_APART = 1e-5
_ROUNDS = 8
_PLAIN = FOLLOWS - {"Concat"}  # element by element
_TOGETHER = 6  # nodes that are taken together, and values that are made of one
_LARGEST = float(np.finfo(np.float32).max)
_FAR = ("far", "farther", "above", "below", "tiny", "ties", "zero", "odd")
_MILD = ("far", "ties", "zero")


@dataclass(frozen=True)
class _Region:
    """One graph's steps between aligned values: the class of each value that they start from, and what they make."""

    graph: Graph
    steps: tuple[Step, ...]
    start: Mapping[str, bytes]
    fixed: Mapping[str, Array]
    makes: str

    @property
    def node(self) -> Step | None:
        """The first step that does something."""
        return next((step for step in self.steps if step.op != "Identity"), None)


def unseen(state: AlignmentState) -> dict[str, tuple[str, str]]:
    """Where B holds other numbers, attributes or inner graphs than A does in the same place, and no value that was
    compared shows it: rows of a table that no index picked, a limit that nothing reached, a branch not taken.

    By what is said, the value of A and the value of B that are taken for one.
    """
    said: dict[str, tuple[str, str]] = {}
    for name, pair in _plain_pairs(state):
        found = list(_constants(state, name, pair)) or list(_probed(state, name, pair))
        said |= {f"{text}; {SILENT}": (pair.left, name) for text in found}
    return said


def exercised(state: AlignmentState, pair: tuple[str, str]) -> bool:
    """Whether two values that were taken for one elsewhere say more here: they are not the same here, or what makes
    them hides nothing from the numbers that are."""
    left, name = pair
    due, made = state.have.get(left), state.own.get(name, state.env.get(name))
    if not isinstance(due, np.ndarray) or not isinstance(made, np.ndarray):
        return False
    if due.shape != made.shape or due.dtype != made.dtype or _parted(due, made):
        return True
    regions = _both_regions(state, name, Pair(left, name, Orientation(), "numbers"))
    return regions is not None and not _hides(state, *regions)


def rounded(state: AlignmentState) -> dict[str, tuple[int, int, float]]:
    """B's constants that are not A's to the bit, though what is made of them is A's within the bound: how many numbers
    of how many, and the largest distance relative to a number (to the largest one, where it is 0)."""
    found: dict[str, tuple[int, int, float]] = {}
    placed = (each for name, pair in _plain_pairs(state) for each in _placed(state, name, pair))
    for _, b, one, other in placed:
        if not is_float(one):
            continue
        wide, due = one.astype(np.float64), other.astype(np.float64)
        odd = ~equal_elements(wide, due)
        if odd.any():
            with np.errstate(all="ignore"):
                size = np.where(due == 0, np.abs(due).max(initial=0.0), np.abs(due))
                far = float(np.max((np.abs(wide - due) / size)[odd]))
            found[state.b.aliases.get(b, b)] = int(odd.sum()), odd.size, far
    return found


def _plain_pairs(state: AlignmentState) -> Iterator[tuple[str, Pair]]:
    """The values of B that are A's as they stand, and not because of what computes them."""
    for name, pair in state.pairs.items():
        if pair.how in ("numbers", "border") and pair.orientation == Orientation():
            yield name, pair


def _constants(state: AlignmentState, name: str, pair: Pair) -> Iterator[str]:
    """Other numbers in the same place."""
    for node, b, one, other in _placed(state, name, pair):
        same = _alike(one, other)
        if not same.all():
            yield f"{node} of B reads {b}, {int((~same).sum())} of {one.size} numbers of which are not A's"


def _placed(state: AlignmentState, name: str, pair: Pair) -> Iterator[tuple[str, str, Array, Array]]:
    """Constants of one shape in the same place, of nodes of one operator that read the same data; but not places and
    sizes, which are written in several ways.  The node, the constant's name in B, its numbers and A's."""
    mine, theirs = state.b.producer.get(name), state.a.producer.get(pair.left)
    if mine is None or theirs is None or mine.op != theirs.op or len(mine.node.input) != len(theirs.node.input):
        return
    operands = list(zip(mine.node.input, theirs.node.input, strict=True))
    if not all(_same_data(state, b, a) for b, a in operands if b and not state.is_constant(b)):
        return  # of other data other constants may make the same
    places = whole_slots(mine.node, state.b.version)
    for slot, (b, a) in enumerate(operands):
        if not (b and a and state.is_constant(b) and state.a.is_constant(a)):
            continue
        one, other = state.env.get(b), state.have.get(a)
        if not isinstance(one, np.ndarray) or not isinstance(other, np.ndarray):
            continue
        if one.shape == other.shape and one.dtype == other.dtype and (one.dtype.kind == "f" or slot not in places):
            yield mine.name, b, one, other


def _same_data(state: AlignmentState, b: str, a: str) -> bool:
    """Whether a value of B is that value of A, as it stands."""
    pair = state.pairs.get(b)
    return pair is not None and pair.left == a and pair.orientation == Orientation()


def _alike(one: Array, other: Array) -> Array:
    if not is_float(one):
        return np.asarray(one == other)
    if one.dtype.kind != "f":  # a type that numpy lacks
        one, other = one.astype(np.float64), other.astype(np.float64)
    with np.errstate(all="ignore"):
        close = np.abs(one - other) <= _CLOSE * np.abs(other)
    return np.asarray(equal_elements(one, other) | close)


def _probed(state: AlignmentState, name: str, pair: Pair) -> Iterator[str]:
    """Nodes of one operator that make the same of the same data on the feeds, and not on probes; or a node in the
    place of none or of another, on probes that every spelling of one function agrees on."""
    regions = _both_regions(state, name, pair)
    if regions is None or not _same_start(*regions) or not _hides(state, *regions):
        return
    theirs, mine = regions
    there, here = theirs.node, mine.node
    alone = here is not None and there is not None and here.op == there.op
    what = _what(state, there, here) if alone else ""  # type: ignore[arg-type]  # both are nodes then
    if (here is None and there is None) or (alone and not what):
        return
    endless = _most(theirs) != _most(mine) or any(_nested(step.node) for each in regions for step in each.steps)
    if not endless and not _part_on_probes(state, theirs, mine, alone=alone):
        return
    if endless or alone or not (_further(state, theirs, mine) or _together(state, name, pair.left)):
        shown = here or (mine.steps[-1] if mine.steps else None)
        of_a = f"{there.name} of A" if there is not None else "nothing in A"
        yield f"{shown.name if shown is not None else name} of B {'has ' + what if what else 'stands for ' + of_a}"


def _part_on_probes(state: AlignmentState, theirs: _Region, mine: _Region, *, alone: bool) -> bool:
    """Whether two sides make other values of some probe; of two operators one may know fewer types, or shapes."""
    short = [_shortened(side) for side in (theirs, mine)]
    for given in _probes(state, theirs, _all_numbers(theirs, mine), _FAR if alone else _MILD):
        made = [_made(side, given) for side in short]
        if _parted(*made) and (alone or not any(value is None for value in made)):
            return True
    return False


def _both_regions(state: AlignmentState, name: str, pair: Pair) -> tuple[_Region, _Region] | None:
    """A's and B's regions: of one node at most, or of a few where one has all operators of the other and one more."""
    for most in (1, _TOGETHER):
        theirs, mine = _region(state.of_a, pair.left, most), _region(state.of_b, name, most)
        own = state.known.classes.get(pair.left)
        if mine is not None and mine.steps and own is not None and set(mine.start.values()) == {own}:
            # made of what has its like in A's place
            return _Region(state.a, (), {pair.left: own}, {}, pair.left), mine
        if theirs is None or mine is None:
            continue
        ops = [Counter(step.op for step in each.steps if step.op != "Identity") for each in (theirs, mine)]
        if most == 1 or ((ops[0] - ops[1]) + (ops[1] - ops[0])).total() == 1:
            return theirs, mine
    return None


def _further(state: AlignmentState, theirs: _Region, mine: _Region) -> bool:
    """Whether two values are one function of what stands further in front: what they start from may be aligned by
    chance (a Max that nothing reached, and what it limits)."""
    a = _region(state.of_a, theirs.makes, _TOGETHER, through=theirs.start.keys())
    b = _region(state.of_b, mine.makes, _TOGETHER, through=mine.start.keys())
    return _agree(state, theirs, b) or _agree(state, a, mine) or _agree(state, a, b)


def _together(state: AlignmentState, name: str, left: str) -> bool:
    """Whether two values that are one on the feeds alone (the Max of a Max and a Min, and a Clip) are no fault: where
    all that is made of B's is what A makes, from what stands in front of both.
    """
    readers = state.b.consumers.get(name, ())
    if any(step.op not in _PLAIN for step in readers):  # a sum or a smallest of many hides what one of them is
        return False
    made = [v for step in readers for v in step.makes]
    if name in state.b.outputs or not 0 < len(made) <= _TOGETHER or any(v not in state.pairs for v in made):
        return False
    return all(
        _agree(
            state,
            _region(state.of_a, state.pairs[value].left, _TOGETHER, through={left}),
            _region(state.of_b, value, _TOGETHER, through={name}),
        )
        for value in made
    )


def _agree(state: AlignmentState, theirs: _Region | None, mine: _Region | None) -> bool:
    """Whether two regions make the same of every probe; what makes nothing of one agrees with nobody."""
    if theirs is None or mine is None or not _same_start(theirs, mine):
        return False
    for given in _probes(state, theirs, _all_numbers(theirs, mine), _FAR):
        one, other = _made(theirs, given), _made(mine, given)
        if one is None or other is None or _parted(one, other):
            return False
    return True


def _same_start(theirs: _Region, mine: _Region) -> bool:
    return set(theirs.start.values()) == set(mine.start.values())


def _region(side: GraphSide, name: str, most: int, through: Collection[str] = ()) -> _Region | None:
    """The region in front of a value, where it is at most so many nodes, Identities aside, and its data are arrays;
    what it may go ``through`` ends it nowhere."""
    steps, start = side.region(name, through)
    if sum(step.op != "Identity" for step in steps) > most or (not steps and name not in start):
        return None
    if most > 1 and any(step.op in ("Loop", "Scan", "If") for step in steps):
        return None
    data = {n: side.classes.get(n, b"") for n in start if not side.is_constant(n)}
    if not data or not all(data.values()) or any(not isinstance(side.values.get(n), np.ndarray) for n in data):
        return None
    held = {n: side.values[n] for n in start if n not in data and n in side.values}
    return _Region(side.graph, tuple(steps), data, held, name)


def _what(state: AlignmentState, theirs: Step, mine: Step) -> str:
    """What two nodes of one operator do not share, in words; empty where it is nothing."""
    both = ((state.of_a, theirs), (state.of_b, mine))
    held = [{n: v for n, v in settings(step.node, side.graph.version).items() if not _graph(v)} for side, step in both]
    odd = sorted(n for n in held[0].keys() | held[1].keys() if not _same(held[0].get(n), held[1].get(n)))
    if odd:
        return ", ".join(f"{n} {_word(held[1].get(n))} where A has {_word(held[0].get(n))}" for n in odd)
    inner = [sorted((n, _bare(g, side.classes)) for n, g in subgraphs(step.node)) for side, step in both]
    if inner[0] != inner[1]:
        return "another graph inside than A"
    return _other_operand(*(_constant_operands(side, step) for side, step in both))


def _constant_operands(side: GraphSide, step: Step) -> list[tuple[str, Any]]:
    """What a step reads, its inner graphs included, each with its numbers where it is a constant."""
    names = dict.fromkeys((*step.node.input, *step.reads))
    return [(n, side.values.get(n)) if n and side.is_constant(n) else ("", None) for n in names]


def _other_operand(theirs: list[tuple[str, Any]], mine: list[tuple[str, Any]]) -> str:
    if len(theirs) != len(mine):
        return "other operands than A"
    for (_, a), (n, b) in zip(theirs, mine, strict=True):
        if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
            if a.shape != b.shape or a.dtype != b.dtype or not _alike(b, a).all():
                return f"another {n} than A"
        elif (a is None) != (b is None):
            return "other operands than A"
    return ""


def _bare(graph: onnx.GraphProto, outside: Mapping[str, bytes]) -> bytes:
    """A graph that a node holds without its names; what it reads from outside goes by its class."""
    copy = onnx.GraphProto()
    copy.CopyFrom(graph)
    names, numbers = {name: held.hex() for name, held in outside.items()}, itertools.count()

    def said(name: str) -> str:
        if name and name not in names:
            names[name] = f"value {next(numbers)}"
        return names[name] if name else ""

    def strip(held: onnx.GraphProto) -> None:
        for field in ("name", "doc_string", "value_info"):
            held.ClearField(field)
        inside = [*held.input, *held.initializer]
        for name in [v.name for v in inside] + [n for node in held.node for n in node.output]:
            names.pop(name, None)
        for value in inside:
            value.name = said(value.name)
        for node in held.node:
            for field in ("name", "doc_string", "metadata_props"):
                node.ClearField(field)
            node.input[:] = [said(name) for name in node.input]
            for _, below in subgraphs(node):
                strip(below)
            node.output[:] = [said(name) for name in node.output]
        for value in held.output:
            value.name = said(value.name)

    strip(copy)
    return bytes(copy.SerializeToString(deterministic=True))


def _graph(value: object) -> bool:
    return isinstance(value, onnx.GraphProto)


def _same(one: object, other: object) -> bool:
    if isinstance(one, onnx.TensorProto) and isinstance(other, onnx.TensorProto):
        return bool(one.SerializeToString(deterministic=True) == other.SerializeToString(deterministic=True))
    return bool(one == other)


def _word(value: object) -> str:
    if value is None or isinstance(value, onnx.TensorProto):
        return "none" if value is None else "another tensor"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _hides(state: AlignmentState, theirs: _Region, mine: _Region) -> bool:
    """Whether anything that a node does may stay unseen on the numbers that it read."""
    data = [state.have[n] for n in theirs.start]
    floats = all(v.dtype.kind == "f" and (v.size <= 1 or bool(v.min() != v.max())) for v in data)
    table = operators()
    moves = [
        step.op == "Identity" or step.op in _LINEAR or (step.op in table and table[step.op].rule == "data movement")
        for side in (theirs, mine)
        for step in side.steps
    ]
    return not (floats and all(moves))


def _all_numbers(*sides: _Region) -> list[float]:
    return sorted({n for side in sides for n in _numbers(side)})


def _numbers(side: _Region) -> Iterator[float]:
    """The numbers that a side's node and its inner graphs hold, a few of each."""
    held: list[Any] = list(side.fixed.values())
    nodes = [step.node for step in side.steps]
    while nodes:
        node = nodes.pop()
        held += [v for v in settings(node, side.graph.version).values() if not _graph(v)]
        for _, inner in subgraphs(node):
            held += inner.initializer
            nodes += inner.node
    for value in held:
        found = array(value) if isinstance(value, onnx.TensorProto) else value
        if isinstance(found, (np.ndarray, tuple, int, float)):
            flat = np.asarray(found).reshape(-1)[:_ROUNDS]
            if flat.dtype.kind in "fiu":
                yield from (float(v) for v in flat if abs(v) <= _LARGEST)


def _probes(
    state: AlignmentState, side: _Region, numbers: Sequence[float], kinds: Sequence[str]
) -> Iterator[dict[bytes, Array]]:
    """Arrays by the class of the value whose place they take."""
    data = {n: np.asarray(state.have[n]) for n in sorted(side.start)}
    near = [n * m for n in numbers for m in (0.5, 0.75, 1.0, 1.5)] + [sum(p) / 2 for p in itertools.pairwise(numbers)]
    near = list(dict.fromkeys(n for n in near if abs(n) <= _LARGEST)) or [0.0]
    longest = max((max(np.shape(v), default=1) for v in side.fixed.values()), default=1)
    turns = min(_ROUNDS, -(-len(near) // max(1, min((v.size for v in data.values()), default=1))))
    places = [(kind, 0) for kind in kinds] + [("around", turn // 2) for turn in range(2 * turns)]
    places += [("even", turn) for turn in range(min(len(near), 2 * _ROUNDS))]
    for place, (kind, turn) in enumerate(places):
        random = np.random.default_rng(place)
        yield {side.start[n]: _probe(v, kind, place, np.roll(near, -turn * v.size), longest, random)
               for n, v in data.items()}  # fmt: skip


def _probe(held: Array, kind: str, place: int, near: Array, longest: int, random: np.random.Generator) -> Array:
    shape = held.shape
    if held.dtype.kind == "b":
        alike = held.size == 1 or place < 4
        return np.full(shape, place % 2 == 0) if alike else random.integers(0, 2, shape).astype(bool)
    if held.dtype.kind in "iu":
        if kind == "even":
            drawn: Array = np.full(shape, np.rint(near[place % len(near)]))
        elif kind == "around":
            drawn = np.rint(np.resize(near, shape)) + random.integers(-1, 2, shape)
        else:
            top = max(2, longest if place % 2 else int(held.max(initial=1)) + 1)
            drawn = random.integers(0 if held.dtype.kind == "u" or place % 3 else -top, top, shape).astype(np.float64)
        bounds = np.iinfo(held.dtype)
        return np.asarray(np.clip(drawn, max(bounds.min, -(2.0**53)), min(bounds.max, 2.0**53))).astype(held.dtype)
    if held.dtype.kind != "f":
        return held
    unit = random.uniform(-1, 1, shape)
    with np.errstate(all="ignore"):
        drawn = {
            "far": unit * 1e4,
            "farther": unit * 1e10,
            "above": np.abs(unit) * 1e10,
            "below": -np.abs(unit) * 1e10,
            "tiny": unit * 1e-9,
            "ties": np.rint(unit),
            "zero": np.zeros(shape),
            "odd": random.choice((-np.inf, np.inf, np.nan, 0.0, -1.0), shape),
            "around": np.resize(near, shape),
            "even": np.full(shape, near[place % len(near)]),
        }[kind]
        return np.asarray(drawn).astype(held.dtype)


def _nested(node: onnx.NodeProto) -> bool:
    """Whether a loop stands inside of a node, where nothing bounds it."""
    return any(inner.op_type == "Loop" or _nested(inner) for _, g in subgraphs(node) for inner in g.node)


def _most(side: _Region) -> int | None:
    """How often the loop of a side may run at most; None where it is none, or data says how often."""
    step = next((step for step in side.steps if step.op == "Loop"), None)
    if step is None or step.node.input[0] in side.start:
        return None
    count = side.fixed.get(step.node.input[0])
    return np.iinfo(np.int64).max if count is None else int(np.min(count))


def _shortened(side: _Region) -> _Region:
    """A side whose Loop, if it is one, runs a few times at most."""
    if not any(step.op == "Loop" for step in side.steps):
        return side
    steps, fixed = [], dict(side.fixed)
    for step in side.steps:
        if step.op == "Loop":
            most = step.node.input[0]
            count = _most(side)
            node = onnx.NodeProto()
            node.CopyFrom(step.node)
            node.input[0] = limit = f"\0at most {most}"
            fixed[limit] = np.array(_ROUNDS if count is None else min(_ROUNDS, count), np.int64)
            step = replace(step, node=node, reads=(limit, *(n for n in step.reads if n != most)))
        steps.append(step)
    return replace(side, steps=tuple(steps), fixed=fixed)


def _made(side: _Region, given: Mapping[bytes, Array]) -> Any:
    """What a side makes of a probe; None where it makes nothing."""
    values: dict[str, Array] = {**side.fixed, **{n: given[c] for n, c in side.start.items()}}
    try:
        for step in side.steps:
            values |= side.graph.run(step, values)
    except Exception:  # an operator's numpy raises whatever numpy raises
        return None
    return values.get(side.makes)


def _parted(one: Any, other: Any) -> bool:
    if not isinstance(one, np.ndarray) or not isinstance(other, np.ndarray):
        return (one is None) != (other is None)
    if one.shape != other.shape or one.dtype != other.dtype:
        return True
    if one.dtype.kind != "f":
        return not same_values(one, other)
    finite = np.isfinite(one) & np.isfinite(other)
    with np.errstate(all="ignore"):
        near = np.abs(one - other) <= _APART * np.abs(one[finite]).max(initial=0.0)
    return bool((~equal_elements(one, other) & ~(finite & near)).any())
