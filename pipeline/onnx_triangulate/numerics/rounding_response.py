"""The response of a graph's outputs to roundings inside it, measured: every node's result is moved by its own rounding.

Design note.  A rounding in a node usually acts like a rounding of what the node consumed.  It does not where the node
does not respond to its inputs: at the minimum of a GELU nothing moves its result, and yet the result is rounded.  So
the graph is evaluated in float64 once as it is, and several times with the result of every node that rounds moved by
one unit roundoff of float32, signs at random and in pairs of draws (``numerics.perturbation``); the largest response
over u joins the scale of ``perturbed_runs.derive_bounds``.

A function of several steps in one kernel (a GELU is x times 1 + erf(..), and the sum cancels) is moved by its rule's
bound and by its measured floor, divided by the function's own count of roundings, because the scale is multiplied by a
count.  What IEEE 754 rounds correctly and float32 can hold is not moved: it is exact.

A sum of products is rounded at the size of its terms.  Whoever also moves the inputs of the sum (a definition's scale
does) has that in the response.  Whoever asks what another arithmetic with the same meaning may give (``sums``) has
every sum moved by its terms, exact or not: the other may add in another order, or multiply by a ninth where this one
divides.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import onnx

from onnx_triangulate.numerics.float64_evaluation import Graph, Step
from onnx_triangulate.numerics.perturbation import STEPS, UNIT, largest_responses, paired, signs, turned
from onnx_triangulate.numerics.replay import expected
from onnx_triangulate.ops.elementary import measured
from onnx_triangulate.ops.registry import operators, operators_where
from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.runs import Jitter

PAIRS, FEWEST = 8, 4
# IEEE 754 rounds these correctly, so where the exact result is a float32 nothing is rounded, and nobody jumps for it.
_EXACT = frozenset("Add Sub Mul Div Sqrt Reciprocal".split())
_SUMS = operators_where(lambda op: op.linear and op.rule != "interpolation")
_UNROUNDED = operators_where(lambda op: op.roundings == 0 and not op.domain)
_DECISIVE = {"Resize": (1, 2), "Upsample": (1,), "Range": (0, 1, 2)}  # inputs, floats among them, that say sizes
_FUSED = {name: op.steps for name, op in operators().items() if op.steps}
_COARSEST = "tensorflow" if "tensorflow" in measured()["runtimes"] else "onnxruntime"


@dataclass(frozen=True)
class Inner:
    """The float outputs as they are and, by output, the largest response to roundings inside the graph, over u.

    ``shapes`` are those of all arrays that were made.  ``jumps``: floats reach an operator whose result does not move
    smoothly, so that the smallest rounding in front of it may move it far.
    """

    centre: dict[str, Array]
    scale: dict[str, Array]
    shapes: dict[str, tuple[int, ...]]
    jumps: bool


def inner_scale(
    graph: Graph,
    feeds: Mapping[str, Array],
    outputs: Collection[str],
    *,
    sums: bool = False,
    fused: bool = False,
    folded: bool = False,
) -> Inner:
    """What roundings inside the graph do to ``outputs``; with ``sums`` those of a sum are as large as its terms, with
    ``fused`` those alone of functions of several steps in one kernel, with ``folded`` those alone of what is computed
    of constants.

    A graph that amplifies rounding has a large one: it is no licence for that graph itself.  Raises whatever the
    evaluation of a node raises.
    """
    seen = _GraphRoundings(graph, sums, folded)
    centre = _evaluated(graph, feeds, outputs, seen.look)
    sizes = seen.sizes
    if fused:
        sizes = {name: sizes[name] for step in graph.steps if step.op in _FUSED for name in step.makes if name in sizes}
    floats = [name for name in outputs if centre[name].dtype.kind == "f"]
    centres = {name: centre[name] for name in floats}
    if not sizes:
        return Inner(centres, {name: np.zeros(v.shape) for name, v in centres.items()}, seen.shapes, seen.jumps)
    numbers = {step.index: place for place, step in enumerate(s for s in graph.steps if sizes.keys() & set(s.makes))}
    pairs = min(max(len(numbers).bit_length(), FEWEST), PAIRS)

    def draw(pair: int, second: bool) -> dict[str, Array]:
        flipped = {index for index, place in numbers.items() if second and turned(place, pair)}
        made = _evaluated(graph, feeds, floats, _mover(sizes, np.random.default_rng([pair, 7]), flipped))
        for name in floats:
            if made[name].shape != centre[name].shape:
                raise ValueError(f"the shape of {name} depends on what rounding decides")
        return made

    responses = largest_responses(centres, itertools.starmap(draw, paired(pairs)), infinite=0.0)
    return Inner(centres, {name: moves / UNIT for name, moves in responses.items()}, seen.shapes, seen.jumps)


@dataclass
class MovedEvaluation:
    """A float64 graph, run on ``feeds`` as often as asked, with what a jitter says moved."""

    graph: Graph
    feeds: Mapping[str, Array]
    outputs: tuple[str, ...]
    _sizes: dict[bool, dict[str, Array]] = field(default_factory=dict)

    @property
    def held(self) -> Mapping[str, Array]:
        """What the graph holds and is fed."""
        return {**self.graph.constants, **self.feeds}

    def run(self, jitter: Jitter | None = None) -> dict[str, Array]:
        """The outputs; under a jitter its float inputs and weights, or the roundings of its nodes, are moved."""
        if jitter is None:
            return _evaluated(self.graph, self.feeds, self.outputs, _as_made)
        if jitter.what == "inputs":
            held = (self.graph.constants, self.feeds)
            constants, feeds = (self._moved(arrays, jitter) for arrays in held)
            return _evaluated(replace(self.graph, constants=constants), feeds, self.outputs, _as_made)
        sizes = {n: size * (jitter.step / UNIT) for n, size in self._rounded(jitter).items()}
        rounding = [step.index for step in self.graph.steps if sizes.keys() & set(step.makes)]
        flipped = {index for number, index in enumerate(rounding, 1) if jitter.way(number) < 0}
        random = np.random.default_rng([jitter.seed, 7])
        return _evaluated(self.graph, self.feeds, self.outputs, _mover(sizes, random, flipped))

    def _moved(self, arrays: Mapping[str, Array], jitter: Jitter) -> dict[str, Array]:
        found = {}
        for place, (name, value) in enumerate(arrays.items()):
            random = np.random.default_rng([jitter.seed, place, len(self.feeds)])
            ways = signs(random, value.shape)
            ways = np.minimum(ways, 0.0) if jitter.inward else ways
            moves = value.dtype == np.float64 and name not in self._decisive
            found[name] = np.asarray(value * (1 + jitter.step * ways)) if moves else value
        return found

    @cached_property
    def _decisive(self) -> frozenset[str]:
        """What decides the size of a result, and all that this is made of: nobody rounds it to another size."""
        graph = self.graph
        waiting = [n for s in graph.steps for slot in _DECISIVE.get(s.op, ()) for n in s.node.input[slot : slot + 1]]
        found = set(filter(None, waiting))
        while waiting:
            step = graph.producer.get(waiting.pop())
            new = [n for n in step.reads if n not in found] if step is not None and step.index in graph.folded else []
            found.update(new)
            waiting += new
        return frozenset(found)

    def _rounded(self, jitter: Jitter) -> dict[str, Array]:
        """How far one rounding moves what each node makes; of constants alone where the jitter says so."""
        for folded in (True, False):
            if folded not in self._sizes:
                seen = _GraphRoundings(self.graph, False, folded)
                _evaluated(self.graph, self.feeds, self.outputs, seen.look)
                self._sizes[folded] = {n: size for n, size in seen.sizes.items() if n not in self._decisive}
        return self._sizes[True] if jitter.what == "constants" else {**self._sizes[True], **self._sizes[False]}


Made = dict[str, Array]
Visit = Callable[[Step, Mapping[str, Array], Made], Made]


def _evaluated(graph: Graph, feeds: Mapping[str, Array], outputs: Collection[str], visit: Visit) -> Made:
    """``outputs``, where what each step makes is what ``visit`` gives for it."""
    last = {name: step.index for step in graph.steps for name in step.reads}
    values: Made = {**graph.constants, **feeds}
    kept: Made = {name: values[name] for name in outputs if name in values}
    for step in graph.steps:
        made = visit(step, values, graph.run(step, values))
        values |= made
        kept |= {name: value for name, value in made.items() if name in outputs}
        for name in {*step.reads, *made}:
            if last.get(name, step.index) <= step.index:
                values.pop(name, None)
    return kept


def _as_made(_: Step, __: Mapping[str, Array], made: Made) -> Made:
    return made


def _mover(sizes: Mapping[str, Array], random: np.random.Generator, flipped: Collection[int]) -> Visit:
    """Moves every value by its own rounding, the other way for the steps ``flipped``."""

    def moved(step: Step, _: Mapping[str, Array], made: Made) -> Made:
        way = -1.0 if step.index in flipped else 1.0
        return {n: v + way * sizes[n] * signs(random, v.shape) if n in sizes else v for n, v in made.items()}

    return moved


@dataclass
class _GraphRoundings:
    """What is seen of a graph as it stands: how far one rounding moves each value, all shapes, whether a step jumps."""

    graph: Graph
    sums: bool
    folded: bool
    sizes: dict[str, Array] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    jumps: bool = False

    def look(self, step: Step, values: Mapping[str, Array], made: Made) -> Made:
        graph = self.graph
        self.jumps |= step.index not in graph.folded and _jumps(step, values, made)
        self.shapes |= {n: v.shape for n, v in made.items() if isinstance(v, np.ndarray)}
        if (step.index in graph.folded) is self.folded and step.op not in _UNROUNDED:
            self.sizes |= _roundings(graph, step, values, made, strict=self.sums)
            if self.sums and step.op in _SUMS:
                terms = _terms(graph, step, values)
                self.sizes |= {n: np.maximum(self.sizes.get(n, 0.0), size) for n, size in terms.items()}
        return made


def _roundings(
    graph: Graph, step: Step, values: Mapping[str, Array], made: Mapping[str, Array], *, strict: bool
) -> dict[str, Array]:
    """How far one rounding moves each float64 result of a node: of the result and, in a fused function, inside it.

    ``strict``: raises ``ValueError`` where nobody knows of such a function, which else counts for its result alone.
    """
    exact = step.op in _EXACT or (step.op in _SUMS and _whole([values[n] for n in step.reads]))
    found = {}
    for name, value in made.items():
        if not isinstance(value, np.ndarray) or value.dtype != np.float64:
            continue
        with np.errstate(all="ignore"):
            size = UNIT * np.abs(value)
            found[name] = np.nan_to_num(np.where(value.astype(np.float32) == value, 0.0, size) if exact else size)
    return _fused(graph, step, values, found, strict=strict) if step.op in _FUSED and found else found


def _fused(
    graph: Graph, step: Step, values: Mapping[str, Array], sizes: Mapping[str, Array], *, strict: bool
) -> dict[str, Array]:
    """The roundings of a function of several steps, by its rule's bound and by what was measured where it is small."""
    consumed = [values[name] if name else None for name in step.node.input]
    answers = expected(step.node, graph.version or 1, consumed, unit=UNIT, runtime=_COARSEST)
    found, told = dict(sizes), _FUSED[step.op]
    steps = told(consumed) if callable(told) else told
    for name, answer in zip(step.node.output, answers if not isinstance(answers, str) else (), strict=False):
        if name in found and answer is not None:
            if strict and not np.isfinite(answer.limit()).all():
                raise ValueError(f"{step.op} has no bound for these numbers")
            limit = np.broadcast_to(np.nan_to_num(answer.limit(), posinf=0.0), found[name].shape)
            found[name] = np.maximum(found[name], limit / steps)
    return {name: size + _floor(step.op) / steps for name, size in found.items()}


def _terms(graph: Graph, step: Step, values: Mapping[str, Array]) -> dict[str, Array]:
    """One rounding of a sum at the size of its terms: the same sum of absolute values."""
    node = onnx.NodeProto()
    node.CopyFrom(step.node)
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.FLOAT:
            attribute.f = abs(attribute.f)
    with np.errstate(all="ignore"):
        held = {
            n: np.abs(v) if v.dtype.kind == "f" else v for n in step.reads if isinstance(v := values[n], np.ndarray)
        }
        made = graph.run(replace(step, node=node), held)
        return {n: np.nan_to_num(UNIT * v, posinf=0.0) for n, v in made.items() if v.dtype == np.float64}


def _jumps(step: Step, values: Mapping[str, Array], made: Mapping[str, Array]) -> bool:
    """Whether a step takes floats to other numbers without moving smoothly: whole ones, truths, fewer digits."""
    taken = [values[n] for n in step.reads if isinstance(values[n], np.ndarray) and values[n].dtype.kind == "f"]
    if not taken:
        return False
    given = [value.dtype for value in made.values() if isinstance(value, np.ndarray)]
    return step.op in STEPS or any(d.kind in "biu" or d.itemsize < 4 for d in given)


def _whole(operands: Sequence[Array]) -> bool:
    """Whether all floats are whole numbers so small that sums of products of them are exact in float32, in any order:
    of 2^8 addends at most (longer sums count as rounded, which only widens)."""
    floats = [a for a in operands if isinstance(a, np.ndarray) and a.dtype.kind == "f"]
    return all(a.size and bool((a == np.rint(a)).all()) and float(np.abs(a).max()) <= 2.0**8 for a in floats)


def _floor(op: str) -> float:
    """The largest absolute error that was measured of a function where it is small, of any engine."""
    found = [engine["constants"][op][1] for engine in measured()["runtimes"].values() if op in engine["constants"]]
    return float(max(found, default=0.0))
