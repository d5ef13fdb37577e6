"""The comparison under way: which values of B are A's so far, either side of it, and what it comes to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from onnx_triangulate.locate.teacher_forced.reference import Reference, sorted_digest
from onnx_triangulate.numerics.float64_evaluation import Graph, Step
from onnx_triangulate.onnxgraph.dataflow import Alignment, Namer, Orientation, Pair
from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.faults import Fault

Ways = Mapping[str, tuple[str, Orientation]]  # by B's name: A's, and how A's array becomes B's


@dataclass(frozen=True)
class Judgement:
    """A value of B against its counterpart in A: distance over bound, the largest distance, and where it is, with A's
    (``expected``) and B's element there."""

    ratio: float
    max_abs: float | None = None
    index: tuple[int, ...] | None = None
    expected: float | None = None
    actual: float | None = None
    problem: str | None = None


@dataclass(frozen=True)
class TeacherForcedResult:
    """What was found: the alignment, the faults in the order of B's nodes, the worst healthy ratio.

    ``compared`` counts elements of B's outputs that were compared; ``unjudged`` says which could not be, and why.
    ``held`` is the bytes of intermediate values of both graphs held at most, constants left out.  ``unshown`` are those
    of ``unjudged`` that no value shows on this feed, each with the values of A and B concerned; ``exercised`` are such
    pairs of other feeds that this feed tells apart.

    ``ends`` are B's nodes where one side holds infinities and the other the largest numbers of its type, with such a
    pair of A's and B's; what is computed from them does not differ here.  ``rounded`` are B's constants that are not
    A's to the bit although their consumers make A's values: how many numbers of how many, and the largest distance
    relative to a number.  ``cancelled``: all faults are cancelled before any output.
    """

    alignment: Alignment
    faults: tuple[Fault, ...]
    compared: int
    worst: float
    unjudged: tuple[str, ...]
    held: int = 0
    unshown: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    exercised: frozenset[tuple[str, str]] = frozenset()
    ends: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    rounded: Mapping[str, tuple[int, int, float]] = field(default_factory=dict)
    cancelled: bool = False


@dataclass(frozen=True)
class GraphSide:
    """A or B as the comparison stands: its values, the classes of these, which are aligned, which no data reaches."""

    letter: Literal["A", "B"]
    graph: Graph
    values: Mapping[str, Array]
    classes: Mapping[str, bytes]
    aligned: Collection[str]
    is_constant: Callable[[str], bool]

    def region(self, name: str, through: Collection[str] = ()) -> tuple[list[Step], set[str]]:
        """The steps that make ``name`` of aligned values and of constants, in order, and the values that they start
        from.  Values that a region may go ``through`` do not end it, aligned or not."""

        def takes(value: str, _: Step) -> bool:
            ends = (value in self.aligned and value not in through) or self.is_constant(value)
            return value == name or not ends

        made = above(self.graph, [name], takes)
        steps = {step.index: step for step in made.values()}
        read = {value for step in steps.values() for value in step.reads}
        return [steps[index] for index in sorted(steps)], (read - made.keys() if made else {name})


def above(
    graph: Graph, names: Iterable[str], takes: Callable[[str, Step], bool], most: float = np.inf
) -> dict[str, Step]:
    """The values, with the steps that make them, which are ``names`` or what these are made of: those that ``takes``
    allows, about so many at ``most``."""
    found: dict[str, Step] = {}
    waiting = list(names)
    while waiting and len(found) < most:
        name = waiting.pop()
        step = graph.producer.get(name)
        if step is not None and name not in found and takes(name, step):
            found[name] = step
            waiting += step.reads
    return found


def below(graph: Graph, names: Iterable[str], without: Collection[int] = ()) -> list[Step]:
    """The steps that are reached from some values, in order, ``without`` those of these numbers."""
    reached, found = set(names), []
    for step in graph.steps:
        if step.index not in without and reached.intersection(step.reads):
            reached.update(step.makes)
            found.append(step)
    return found


@dataclass
class AlignmentState:
    """The comparison under way."""

    known: Reference
    b: Graph
    inputs: Ways
    outputs: Ways
    roundings: int
    namer: Namer
    classes: dict[str, bytes] = field(default_factory=dict)
    env: dict[str, Array] = field(default_factory=dict)
    own: dict[str, Array] = field(default_factory=dict)
    pairs: dict[str, Pair] = field(default_factory=dict)
    uses: Counter[str] = field(default_factory=Counter)
    forced: dict[str, tuple[str, Orientation]] = field(default_factory=dict)
    ratios: dict[str, float] = field(default_factory=dict)
    errors: dict[int, str] = field(default_factory=dict)  # by step
    prints: dict[tuple[str, str], bytes] = field(default_factory=dict)  # by side and name
    unsupported: dict[str, str] = field(default_factory=dict)
    unjudged: dict[str, str] = field(default_factory=dict)
    fixed: set[int] = field(default_factory=set)  # steps that were evaluated once and for all
    failed: int = 0  # the most nodes of a region that is not A's
    cleared: set[str] = field(default_factory=set)  # suspects behind which B is A's again all the same
    never: frozenset[str] = frozenset()  # values that no number makes A's
    ends: dict[str, tuple[float, float]] = field(default_factory=dict)  # by node: infinities in A or B, numbers there
    live: set[str] = field(default_factory=set)  # constants of B in whose place A has data, and what is made of them

    def is_constant(self, name: str) -> bool:
        """Whether no data reaches a value of B, nor should."""
        return self.b.is_constant(name) and name not in self.live

    def is_folded(self, step: Step) -> bool:
        return step.index in self.b.folded and not self.live.intersection(step.makes)

    @property
    def of_a(self) -> GraphSide:
        return GraphSide("A", self.a, self.have, self.known.classes, self.uses, self.a.is_constant)

    @property
    def of_b(self) -> GraphSide:
        return GraphSide("B", self.b, self.env, self.classes, self.pairs, self.is_constant)

    def made(self, step: Step, values: Mapping[str, Array]) -> Mapping[str, Array] | None:
        """What a step of B makes of some values; None where one is lacking, or it takes none of such a shape."""
        if any(name not in values for name in step.reads):
            return None
        try:
            return self.b.run(step, values)
        except Exception:  # an operator's numpy raises whatever numpy raises
            return None

    @property
    def a(self) -> Graph:
        return self.known.graph

    @property
    def have(self) -> Mapping[str, Array]:
        return self.known.values

    def join(self, pair: Pair) -> None:
        """A value of B is one of A from now on, and has its class."""
        self.part(pair.right)
        self.pairs[pair.right] = pair
        self.uses[pair.left] += 1
        base = self.known.classes.get(pair.left)
        if base is not None:
            self.classes[pair.right] = self.namer.turned_by(base, pair.orientation)

    def part(self, name: str) -> None:
        pair = self.pairs.pop(name, None)
        if pair is not None:
            self.uses[pair.left] -= 1
            if not self.uses[pair.left]:
                del self.uses[pair.left]

    def loosen(self, name: str) -> None:
        """A constant is to be another: what is computed of it is evaluated again."""
        waiting = [name]
        while waiting:
            for step in self.b.consumers.get(waiting.pop(), ()):
                if step.index in self.fixed:
                    self.fixed.discard(step.index)
                    waiting += step.makes

    def print_of(self, letter: Literal["A", "B"], name: str) -> bytes:
        """Equal for constants of either side that hold the same numbers in any order."""
        if (letter, name) not in self.prints:
            self.prints[letter, name] = sorted_digest((self.have if letter == "A" else self.env)[name])
        return self.prints[letter, name]

    def kept(self) -> tuple[Any, ...]:
        """Everything that :meth:`back` restores."""
        return tuple(
            (name, type(held)(held))
            for name in ("classes", "env", "own", "pairs", "uses", "forced", "ratios", "live")
            for held in (getattr(self, name),)
        )

    def back(self, kept: tuple[Any, ...]) -> None:
        for name, held in kept:
            setattr(self, name, held)
