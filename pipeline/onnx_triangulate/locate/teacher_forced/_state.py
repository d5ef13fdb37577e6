"""What is known of A, and the comparison under way."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from onnx_triangulate.numerics.evaluate import Graph, Step
from onnx_triangulate.onnxgraph.dataflow import Alignment, Namer, Orientation, Pair
from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.faults import Fault

HOLE = b"?"
_SMALL = 4096  # bytes of an array that is not worth a file


@dataclass(frozen=True)
class Judged:
    """A value of B against its counterpart in A: distance over bound, the largest distance, and where it is, with A's
    (``expected``) and B's element there."""

    ratio: float
    max_abs: float | None = None
    index: tuple[int, ...] | None = None
    expected: float | None = None
    actual: float | None = None
    problem: str | None = None


@dataclass(frozen=True)
class Forced:
    """What was found: the alignment, the faults in the order of B's nodes, the worst healthy ratio.

    ``compared`` counts elements of B's outputs that were compared; ``unjudged`` says which could not be, and why.
    ``held`` is how many bytes of values of the two graphs were there at most, constants left out.  ``silent`` are those
    of ``unjudged`` that nothing shows here, each with the value of A and the value of B that it is about; ``exercised``
    such pairs of other feeds that are told apart here.  ``ends`` are B's nodes where one side holds infinities and the
    other numbers at the end of its type, with such a pair of A's and B's: nothing that is made of them differs here.
    ``rounded`` are B's constants that are not A's to the bit, though what is made of them is A's: how many numbers of
    how many, and the largest distance relative to a number.  ``asleep``: all that is at fault is undone again before an
    output is made, so that here B's outputs, of its own values, are A's.
    """

    alignment: Alignment
    faults: tuple[Fault, ...]
    compared: int
    worst: float
    unjudged: tuple[str, ...]
    held: int = 0
    silent: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    exercised: frozenset[tuple[str, str]] = frozenset()
    ends: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    rounded: Mapping[str, tuple[int, int, float]] = field(default_factory=dict)
    asleep: bool = False


@dataclass(frozen=True, eq=False)
class Known:
    """A, evaluated on one set of feeds, with what finds a value of it: by class, by hole, by twin, by size.

    A *class* is a function of the inputs.  A *hole* is an operand of a step seen from everything else that the step
    reads: whatever stands there in B ought to be that operand.
    """

    graph: Graph
    values: Mapping[str, Array]
    errors: Mapping[str, str]
    held: int = 0

    @cached_property
    def classes(self) -> dict[str, bytes]:
        namer = Namer(self.graph.version)
        found = {name: namer.of_input(name) for name in self.graph.inputs}
        for name in self.graph.constants:
            found[name] = namer.of_constant(self.values[name])
        for step in self.graph.steps:
            found |= classes_of(step, step.index in self.graph.folded, namer, found, self.values)
        return found

    @cached_property
    def first(self) -> dict[bytes, str]:
        """The first value of each class."""
        found: dict[bytes, str] = {}
        for name, digest in self.classes.items():
            if name in self.values and not self.graph.is_constant(name):
                found.setdefault(digest, name)
        return found

    @cached_property
    def folds(self) -> dict[bytes, bytes]:
        """The class of a constant by that of the computation which makes it of constants."""
        found: dict[bytes, bytes] = {}
        namer = Namer(self.graph.version)
        for step in self.graph.steps:
            if step.index in self.graph.folded and all(n in self.classes for n in step.reads):
                operands = [self.classes[n] if n else b"" for n in step.node.input]
                made = namer.of_node(step.node, operands, {n: self.classes[n] for n in step.reads})
                found |= {digest: self.classes[name] for name, digest in made.items()}
        return found

    @cached_property
    def constants(self) -> frozenset[bytes]:
        """The classes of everything that no data reaches."""
        return frozenset(c for name, c in self.classes.items() if self.graph.is_constant(name))

    @cached_property
    def holes(self) -> dict[bytes, list[str]]:
        found: dict[bytes, list[str]] = {}
        namer = Namer(self.graph.version)
        for step in self.graph.steps:
            if step.op != "Constant":
                for name in dict.fromkeys(step.reads):
                    key = hole(step, name, namer, self.classes)
                    if key is not None and name not in (rest := found.setdefault(key, [])):
                        rest.append(name)
        return found

    @cached_property
    def twins(self) -> dict[tuple[str, ...], list[Step]]:
        """The steps of one operator that read the same data, whatever their constants and attributes."""
        found: dict[tuple[str, ...], list[Step]] = {}
        for step in self.graph.steps:
            reads = [self.classes[n].hex() for n in step.reads if not self.graph.is_constant(n) and n in self.classes]
            if step.index not in self.graph.folded and reads:
                found.setdefault((step.op, *sorted(reads)), []).append(step)
        return found

    @cached_property
    def index(self) -> dict[int, list[tuple[str, float, float]]]:
        found: dict[int, list[tuple[str, float, float]]] = {}
        for name in self.data:
            value = self.values[name]
            if isinstance(value, np.ndarray) and value.size:
                found.setdefault(value.size, []).append((name, *marks(value)))
        return found

    @cached_property
    def data(self) -> tuple[str, ...]:
        """The values that depend on the inputs, in order."""
        made = [*self.graph.inputs, *(m for s in self.graph.steps for m in s.makes)]
        return tuple(n for n in made if n in self.values and not self.graph.is_constant(n))


@dataclass
class State:
    """The comparison under way."""

    known: Known
    b: Graph
    outputs: Mapping[str, tuple[str, Orientation]]
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
    prints: dict[tuple[bool, str], bytes] = field(default_factory=dict)
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


@dataclass
class Shelf:
    """Where values are kept: in memory up to ``budget`` bytes, beyond that as files in ``folder``, mapped."""

    folder: Path
    budget: int
    held: int = 0
    _count: int = 0

    def put(self, value: Array) -> Array:
        """The same array, or the same numbers in a file."""
        if not isinstance(value, np.ndarray) or value.nbytes < _SMALL or self.held + value.nbytes <= self.budget:
            self.held += getattr(value, "nbytes", 0)
            return value
        self._count += 1
        file = self.folder / f"{self._count}.npy"
        np.save(file, value, allow_pickle=False)
        return np.asarray(np.load(file, mmap_mode="r", allow_pickle=False))


def evaluate(
    graph: Graph, feeds: Mapping[str, Array], shelf: Shelf | None = None
) -> tuple[dict[str, Array], dict[str, str]]:
    """Every value that can be had, and by node why one could not be evaluated."""
    values: dict[str, Array] = {**graph.constants, **feeds}
    errors: dict[str, str] = {}
    for step in graph.steps:
        if all(name in values for name in step.reads):
            try:
                made = graph.run(step, values)
                values |= made if shelf is None else {name: shelf.put(value) for name, value in made.items()}
            except Exception as error:  # an operator's numpy raises whatever numpy raises
                errors[step.name] = one_line(error)
    return values, errors


def know(graph: Graph, feeds: Mapping[str, Array], shelf: Shelf | None = None) -> Known:
    """A graph evaluated on feeds in float64, its values on ``shelf``."""
    values, errors = evaluate(graph, feeds, shelf)
    held = sum(v.nbytes for v in feeds.values())
    held += shelf.held if shelf is not None else sum(getattr(v, "nbytes", 0) for v in values.values())
    return Known(graph, values, errors, held)


def classes_of(
    step: Step, folded: bool, namer: Namer, classes: Mapping[str, bytes], values: Mapping[str, Array]
) -> dict[str, bytes]:
    """The class of everything that a step makes: constants by their numbers, all else by what makes it of what."""
    if folded and all(name in values for name in step.makes):
        return {name: namer.of_constant(values[name]) for name in step.makes}
    reads = {name: classes.get(name, b"") for name in step.reads}
    if not all(reads.values()):
        return {name: namer.unknown(name) for name in step.makes}
    operands = [classes.get(name, b"") if name else b"" for name in step.node.input]
    return namer.of_node(step.node, operands, reads)


def hole(step: Step, name: str, namer: Namer, classes: Mapping[str, bytes]) -> bytes | None:
    """What a step is, seen from one of the values that it reads; None where that is not all known."""
    operands = [HOLE if n == name else (classes.get(n) if n else b"") for n in step.node.input]
    if any(o is None for o in operands) or len(step.reads) > len(operands) or HOLE not in operands:
        return None
    return namer.hole(step.node, [o for o in operands if o is not None])


def marks(value: Array) -> tuple[float, float]:
    """Mean and root mean square: alike for a value in any order of its elements."""
    if value.dtype.kind not in "fiub":
        return 0.0, 0.0
    with np.errstate(all="ignore"):
        wide = value.astype(np.float64)
        finite = wide[np.isfinite(wide)]
        if not finite.size:
            return 0.0, 0.0
        return float(finite.mean()), float(np.sqrt((finite**2).mean()))


def exact_digest(value: Any) -> bytes:
    """Equal for arrays of one type and shape that hold the same numbers in the same order."""
    if not isinstance(value, np.ndarray):
        return b""
    about = f"{value.dtype}{value.shape}".encode()
    return hashlib.blake2b(about + np.ascontiguousarray(value).tobytes(), digest_size=16).digest()


def sorted_digest(value: Any) -> bytes:
    """Equal for values that hold the same numbers in any order and shape: what moving data leaves as it is."""
    if not isinstance(value, np.ndarray):
        return b""
    return hashlib.blake2b(np.sort(value.reshape(-1)).tobytes(), digest_size=16).digest()


def print_of(state: State, of_a: bool, name: str, values: Mapping[str, Array]) -> bytes:
    """Equal for constants that hold the same numbers in any order."""
    if (of_a, name) not in state.prints:
        state.prints[of_a, name] = sorted_digest(values[name])
    return state.prints[of_a, name]


def one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
