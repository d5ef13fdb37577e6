"""What is known of A: its values in float64 on one set of feeds, and what finds a value among them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from onnx_triangulate.diff.operators import COMMUTATIVE
from onnx_triangulate.numerics.float64_evaluation import Graph, Step
from onnx_triangulate.onnxgraph.dataflow import Namer
from onnx_triangulate.records.arrays import Array

OPERAND = b"?"

_SMALL = 4096  # bytes of an array that is not worth a file


@dataclass(frozen=True, eq=False)
class Reference:
    """A, evaluated on one set of feeds, with what finds a value of it: by class, by context, by operator, by size.

    A *class* is a function of the inputs.  A *hole* is an operand of a step seen from everything else that the step
    reads: whatever stands there in B ought to be that operand.
    """

    graph: Graph
    values: Mapping[str, Array]
    errors: Mapping[str, str]
    held: int = 0

    @cached_property
    def classes(self) -> dict[str, bytes]:
        namer = Namer(self.graph.version, COMMUTATIVE)
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
        namer = Namer(self.graph.version, COMMUTATIVE)
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
    def contexts(self) -> dict[bytes, list[str]]:
        found: dict[bytes, list[str]] = {}
        namer = Namer(self.graph.version, COMMUTATIVE)
        for step in self.graph.steps:
            if step.op != "Constant":
                for name in dict.fromkeys(step.reads):
                    key = context_hash(step, name, namer, self.classes)
                    if key is not None and name not in (rest := found.setdefault(key, [])):
                        rest.append(name)
        return found

    @cached_property
    def same_operator(self) -> dict[tuple[str, ...], list[Step]]:
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
                found.setdefault(value.size, []).append((name, *moments(value)))
        return found

    @cached_property
    def data(self) -> tuple[str, ...]:
        """The values that depend on the inputs, in order."""
        made = [*self.graph.inputs, *(m for s in self.graph.steps for m in s.makes)]
        return tuple(n for n in made if n in self.values and not self.graph.is_constant(n))


@dataclass
class SpillStore:
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
    graph: Graph, feeds: Mapping[str, Array], store: SpillStore | None = None
) -> tuple[dict[str, Array], dict[str, str]]:
    """Every value that can be had, and by node why one could not be evaluated."""
    values: dict[str, Array] = {**graph.constants, **feeds}
    errors: dict[str, str] = {}
    for step in graph.steps:
        if all(name in values for name in step.reads):
            try:
                made = graph.run(step, values)
                values |= made if store is None else {name: store.put(value) for name, value in made.items()}
            except Exception as error:  # an operator's numpy raises whatever numpy raises
                errors[step.name] = one_line(error)
    return values, errors


def evaluate_reference(graph: Graph, feeds: Mapping[str, Array], store: SpillStore | None = None) -> Reference:
    """A graph evaluated on feeds in float64, its values on ``store``."""
    values, errors = evaluate(graph, feeds, store)
    held = sum(v.nbytes for v in feeds.values())
    held += store.held if store is not None else sum(getattr(v, "nbytes", 0) for v in values.values())
    return Reference(graph, values, errors, held)


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


def context_hash(step: Step, name: str, namer: Namer, classes: Mapping[str, bytes]) -> bytes | None:
    """What a step is, seen from one of the values that it reads; None where that is not all known."""
    operands = [OPERAND if n == name else (classes.get(n) if n else b"") for n in step.node.input]
    if any(o is None for o in operands) or len(step.reads) > len(operands) or OPERAND not in operands:
        return None
    return namer.hole(step.node, [o for o in operands if o is not None])


def moments(value: Array) -> tuple[float, float]:
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


def one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
