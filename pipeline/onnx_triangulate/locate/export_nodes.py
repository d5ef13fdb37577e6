"""The faulty nodes of an export: every node judged on its own, in one pass over the graph.

Design note.  Each node is evaluated in float64 on the *source's* values of its inputs, and the result is compared with
the source's value of its output, within the bound of its operator.  An inherited error therefore never counts, and two
faults are told apart.  Where the source has its values in float64, these are used: nothing is rounded then, and only a
node with another meaning exceeds a bound of float32 arithmetic.  (A runtime's kernels are judged on what they consumed
in a run: ``locate.kernels``.)

A node whose output the source does not have is judged together with the next node whose output it has.  What rounding
and rounded constants between the two may do is measured by moving them (:data:`TRIALS` draws of random signs) and added
to the bound; most nodes are healthy without that, so it is measured only where one is not.  An operator without a rule
(a loop, a branch) is compared with what it does when its inputs are moved by one rounding; that is a noise floor and no
bound, so in float32 nobody is accused by it.

No engine runs here: arrays are handed in one by one, each is released after its last consumer was judged, and weights
are read where they are used.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx

from onnx_triangulate.numerics.float64_evaluation import runner
from onnx_triangulate.numerics.noise_floor import FLOOR, noise_floor
from onnx_triangulate.numerics.perturbation import UNIT, distance, moved, signs
from onnx_triangulate.numerics.replay import NodeCheck, expected, judge
from onnx_triangulate.onnxgraph.graph import reads
from onnx_triangulate.onnxgraph.nodes import node_name, opset
from onnx_triangulate.onnxgraph.weights import Weights, without_weights
from onnx_triangulate.ops.calls import ExpectedOutput
from onnx_triangulate.ops.elementary import elementary, measured
from onnx_triangulate.ops.random_draws import draws, stored
from onnx_triangulate.ops.registry import operators_where
from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.faults import Fault, Localization, SourceValues
from onnx_triangulate.records.party import Party
from onnx_triangulate.transform.cut import array_values, constants
from onnx_triangulate.transform.float64 import to_float64

TRIALS = 4
TINY = 2.0**-126
# Channels last to channels first, by rank: how tf2onnx turns what it moves.
_PERMUTED = {3: (0, 2, 1), 4: (0, 3, 1, 2), 5: (0, 4, 1, 2, 3)}
# Sums of products: four roundings of a weight move the sum of k by at most 4 u |x| |w|, which is 4 / (k + 1) of the
# bound gamma_(k+1) |x| |w|, so thrice the bound holds for every k and no version needs to be evaluated.
_SUMS = operators_where(lambda op: op.linear and (op.kernel or op.matrices))
_SPATIAL = operators_where(lambda op: op.images and not op.domain)
_COMPARED = 4096  # elements, when two orders of axes are told apart
Answers = tuple[ExpectedOutput | None, ...] | str


@dataclass(frozen=True, eq=False)
class Export:
    """An exported graph, without its weights, with what it is fed and what its source makes of the same.

    ``computed`` are constants that the exporter computed itself, in float32.  ``weights`` are the initializers.
    ``engine`` made the source's values: its measured constants bound their elementary functions.
    """

    model: onnx.ModelProto
    feeds: Mapping[str, Array]
    source: SourceValues
    party: str
    computed: frozenset[str]
    weights: Weights
    engine: str

    @classmethod
    def of(
        cls,
        model: onnx.ModelProto,
        feeds: Mapping[str, Array],
        source: SourceValues,
        *,
        party: str,
        computed: Collection[str] = (),
        weights: Weights | None = None,
    ) -> Export:
        """``weights`` are the model's own unless it comes without."""
        framework = Party.parse(party).framework
        engine = framework if framework in measured()["runtimes"] else "onnxruntime"
        weights = Weights(model) if weights is None else weights
        return cls(without_weights(model), feeds, source, party, frozenset(computed), weights, engine)


def exported(export: Export, arrays: Callable[[str], Array | None], *, double: bool) -> Localization:
    """Judge every node of an exported graph on the source's values; see :class:`ExportJudge`."""
    return ExportJudge(export, arrays, double=double).localization()


@dataclass(frozen=True, eq=False)
class _Value:
    """A value on its way, in float64: whether rounding before it may have led elsewhere (``uncertain``), whether it
    does not depend on the inputs (``fixed``) and is a constant as it stands, and why it is unknown, if it is."""

    value: Array | None
    uncertain: bool = False
    fixed: bool = False
    constant: bool = False
    problem: str | None = None
    channels_first: bool | None = None  # how the source's axes stand, where the two may have different orders


@dataclass(frozen=True, eq=False)
class _Output:
    """One output of a node that is to be judged: the number of the node, the output's place and name, what the node
    reads, what that makes (``answers``), and this output of it as a value on its way."""

    index: int
    position: int
    name: str
    inputs: Sequence[_Value | None]
    answers: Answers
    made: _Value


class HeldBytes:
    """The bytes of what is alive, and how many there were at most."""

    def __init__(self) -> None:
        self._sizes: dict[str, int] = {}
        self.now = self.peak = 0

    def add(self, name: str, size: int) -> None:
        self.now += size - self._sizes.get(name, 0)
        self._sizes[name] = size
        self.peak = max(self.peak, self.now)

    def also(self, size: int) -> None:
        """What is there besides for the moment."""
        self.peak = max(self.peak, self.now + size)

    def drop(self, name: str) -> None:
        self.now -= self._sizes.pop(name, 0)


class ExportJudge:
    """Every node of an exported graph, judged on the source's values.

    ``arrays(NAME)`` gives the source's value of one of the graph's values, or None; ``double`` says that they are in
    float64.
    """

    def __init__(self, export: Export, arrays: Callable[[str], Array | None], *, double: bool) -> None:
        self.started = time.perf_counter()
        wide = to_float64(export.model)
        self.export, self.arrays, self.double = export, arrays, double
        self.version = opset(wide) or 1
        self.nodes = list(wide.graph.node)
        self.names = {out: node_name(n, i) for i, n in enumerate(export.model.graph.node) for out in n.output if out}
        self.small = constants(wide)
        self.order = {name: i for i, name in enumerate([*self.small, *export.weights])}
        self.reads = [tuple(dict.fromkeys(reads(node))) for node in self.nodes]
        self.maker = {name: i for i, node in enumerate(self.nodes) for name in node.output if name}
        self.last = last_uses(wide)
        self.values: dict[str, _Value] = {}
        self.given: dict[str, tuple[int, ...] | None] = {}  # the source's values that were used, and how they stand
        self.fits: set[str] = set()  # those of them that the graph has in the same shape and type
        self.sizes: dict[str, int] = {}
        self.fixed: set[str] = set()
        self.outputs = {output.name for output in export.model.graph.output}
        self.held = HeldBytes()
        self.faults: list[Fault] = []
        self.uncompared: list[Fault] = []
        self.within: list[Fault] = []
        self.judged: set[str] = set()
        self.perturbed: set[str] = set()
        self._run = runner(wide)
        for name, array in export.feeds.items():
            self._keep(name, _Value(_wide(array)))

    def localization(self) -> Localization:
        """All nodes, in order; to be asked for once."""
        for index in range(len(self.nodes)):
            self._step(index)
            for gone in self.last.get(index, ()):
                self.values.pop(gone, None)
                self.held.drop(gone)
        model, source = self.export.model, self.export.source
        without = fixed_values(model, self.export.weights)
        made_by_nodes = [n for n in array_values(model) if n not in without]
        notes = list(source.notes)
        if self.perturbed:
            listed = ", ".join(sorted(self.perturbed)[:4])
            notes.append(f"{len(self.perturbed)} nodes without a rule judged by perturbation ({listed})")
        return Localization(
            source.graph,
            self.export.party,
            "export",
            tuple(self.faults),
            len(self.judged),
            sum(node.op_type != "Constant" for node in model.graph.node),  # they are judged where they are used
            tuple(self.uncompared),
            unmapped=sum(n not in source.names for n in made_by_nodes),
            mapped=len(self.given),
            peak=self.held.peak,
            precision="float64" if self.double else "float32",
            seconds=time.perf_counter() - self.started,
            notes=tuple(notes),
            within=tuple(self.within),
        )

    def stretch(self, name: str) -> tuple[str, ...]:
        """The graph's nodes that make a value from the last values of the source, and from constants."""
        return self._named(self._region(self.maker[name])) if name in self.maker else ()

    def operator(self, name: str) -> str:
        """The operator that makes a value."""
        op: str = self.nodes[self.maker[name]].op_type
        return op

    def owners(self, indices: Sequence[int]) -> tuple[str, ...]:
        """The names of nodes of the graph by their places."""
        return tuple(node_name(self.export.model.graph.node[i], i) for i in indices)

    def given_spread(self, name: str) -> tuple[Array, Array] | None:
        """What the graph makes in float64 of the source's values before this one, and how far one rounding of these
        moves it; None where that cannot be evaluated."""
        centre = self._from_given(name, 0)
        if centre is None or centre.dtype != np.float64:
            return None
        response = np.zeros(centre.shape)
        for trial in range(1, TRIALS + 1):
            version = self._from_given(name, trial)
            if version is None or version.shape != centre.shape:
                return None
            with np.errstate(all="ignore"):
                response = np.fmax(response, np.abs(version - centre))
        return centre, response

    def _from_given(self, name: str, trial: int) -> Array | None:
        """A value by the nodes of its region, on the source's values moved by one rounding (0: as they are)."""
        index = self.maker[name]

        def look(read: str) -> Array | None:
            array = self._moved(read, 0)
            if array is None or not trial or array.dtype != np.float64 or read not in {*self.given, *self.export.feeds}:
                return array
            random = np.random.default_rng([trial, self.maker.get(read, len(self.nodes)), *read.encode()])
            return moved(array, random)

        answers = self._along(index, look, lambda answer, *_: np.asarray(answer.value))
        if isinstance(answers, str):
            return None
        answer = dict(zip(self.nodes[index].output, answers, strict=False)).get(name)
        return None if answer is None else np.asarray(answer.value)

    def _along(
        self, index: int, look: Callable[[str], Array | None], version: Callable[[ExpectedOutput, int, int], Array]
    ) -> Answers:
        """What a node makes when all nodes of its region are evaluated one after another.

        ``look`` gives a value from outside of the region; what a node inside hands on is a ``version`` of its answer,
        whose node and place among its outputs it is told.
        """
        region = self._region(index)
        last = {name: i for i in region for name in self.reads[i]}
        made: dict[str, Array] = {}

        def read(name: str) -> Array | None:
            return made[name] if name in made else look(name)

        answers: Answers = "it is a constant"
        for i in region:
            node = self.nodes[i]
            if node.op_type == "Constant":  # moved as every constant is
                continue
            answers = self._evaluated(i, [read(n) if n else None for n in node.input], read)
            if isinstance(answers, str) or i == index:
                break
            for place, (name, answer) in enumerate(zip(node.output, answers, strict=False)):
                if name and answer is not None:
                    made[name] = version(answer, i, place)
            for name in [*node.input, *node.output]:
                if last.get(name, -1) <= i:
                    made.pop(name, None)
        return answers

    def condition(self, node: str) -> float | None:
        """The median of |w|.|x| / |w.x| of a node that sums products, on the source's values; None for any other."""
        index = next((i for i in range(len(self.nodes)) if self._own(i) == node), None)
        if index is None or self.nodes[index].op_type not in _SUMS:
            return None
        given = [self._moved(n, 0) if n else None for n in self.nodes[index].input]
        answers = self._evaluated(index, given, lambda n: self._moved(n, 0))
        answer = None if isinstance(answers, str) else answers[0]
        if answer is None or not answer.relative:
            return None
        with np.errstate(all="ignore"):
            return float(np.nanmedian(answer.limit() / (answer.relative * np.abs(answer.value))))

    def standing(self, name: str, array: Array | None) -> Array | None:
        """The source's array of a value in the graph's order of axes."""
        return None if array is None else _turn(array, self.given.get(name))

    def _step(self, index: int) -> None:
        node = self.nodes[index]
        inputs = [self._look(n) if n else None for n in node.input]
        wide = [None if c is None or c.value is None else _wide(c.value) for c in inputs]
        problem = next((carried.problem for carried in inputs if carried and carried.problem), None)
        answers: Answers = problem or self._evaluated(index, wide, lambda n: self._look(n).value)
        moving = (n for n in self.reads[index] if n in self.maker or n in self.export.feeds)
        fixed = not draws(node, self._constant, self.version) and self.fixed.issuperset(moving)
        if not isinstance(answers, str) and not fixed:
            self.held.also(sum(_bytes(answer) for answer in answers if answer is not None))
        self.fixed.update(node.output if fixed else ())
        for position, name in ((p, n) for p, n in enumerate(node.output) if n):
            made = _made(answers, position, inputs, fixed)
            if node.op_type == "Constant" and made.value is not None:
                self.small[name] = made.value
                self.order.setdefault(name, len(self.order))
                continue
            given = None if fixed and name not in self.outputs else self.arrays(name)
            if given is not None:
                made = self._beside(_Output(index, position, name, inputs, answers, made), given)
            self._keep(name, made)

    def _beside(self, output: _Output, given: Array) -> _Value:
        """The source's value of an output, in the graph's order of axes, once the graph's is judged by it; the graph's
        own where that is in a form that the source has not, so that it is judged through the next one."""
        name, made, order, first = output.name, output.made, None, None
        if self.export.source.permuted:
            stands_first = _channels_first(self.nodes[output.index], given.ndim, output.inputs)
            order, first = _turned(given, made.value, stands_first)
        if order == ():
            if name not in self.outputs:
                return made
            order = None  # what is returned in another form is wrong
        turned = _turn(given, order)
        self.sizes[name] = turned.nbytes
        self.held.add(name, turned.nbytes)
        self._record(self._judge(output, turned), output.index)
        self.given[name] = order
        if made.value is not None and made.value.shape == turned.shape:
            alike = made.value.dtype == (np.float64 if turned.dtype == np.float32 else turned.dtype)
            self.fits.update([name] if alike else ())
        return _Value(turned, channels_first=first)

    def _keep(self, name: str, carried: _Value) -> None:
        self.values[name] = carried
        self.held.add(name, 0 if carried.fixed or carried.value is None else carried.value.nbytes)

    def _own(self, index: int) -> str:
        """The name that the graph's own node has, of which this one is the float64 form (or a part of it)."""
        return next((self.names[out] for out in self.nodes[index].output if out in self.names), "")

    def _record(self, error: Fault, index: int) -> None:
        if error.problem is not None and error.ratio is None:
            self.uncompared.append(error)
            return
        region = self._region(index)
        stretch = self._named(region)
        self.judged.update(stretch)
        if (error.ratio or 0) > 1:
            likely = self._likeliest(region, index)
            if likely != index:
                error = replace(error, node=self._own(likely), op=self.nodes[likely].op_type)
            self.faults.append(replace(error, nodes=stretch, origin=self.export.source.origins.get(error.output)))
        else:
            self.within.append(replace(error, origin=self.export.source.origins.get(error.output)))

    def _judge(self, output: _Output, given: Array) -> Fault:
        """The source's value of an output against what the graph makes of the source's values before it."""
        name, op, own = output.name, self.nodes[output.index].op_type, self._own(output.index)
        if isinstance(output.answers, str) or output.made.problem is not None:
            problem = output.answers if isinstance(output.answers, str) else output.made.problem
            return Fault(own, op, name, problem=problem)
        answer = _sure(output.answers[output.position])
        doubtful = [c for c in output.inputs if c is not None and c.uncertain]
        if doubtful and op in _SUMS and all(c.constant for c in doubtful):
            answer, doubtful = _changed(answer, lambda bound: 3 * bound, relative=3 * answer.relative), []
        check = _compared(name, answer, given)
        if check.faulty and not self.double and (whole := self._in_one_piece(name, op, answer)) is not None:
            answer = whole
            check = _compared(name, answer, given)
        if check.faulty and doubtful:
            widened = self._widened(output.index, output.position, answer)
            if isinstance(widened, str):
                return Fault(own, op, name, problem=widened)
            check = _compared(name, widened, given)
        error = error_of(own, op, check)
        # What the graph makes is judged, and the source's value is what was to be made.
        error = replace(error, expected=error.actual, actual=error.expected)
        if check.faulty and not self.double and self.perturbed.intersection(self._named(self._region(output.index))):
            says = f"beyond {FLOOR}, {error.ratio or 0:.3g} times, which is no bound"
            return replace(error, ratio=None, problem=says)
        return error

    def _in_one_piece(self, name: str, op: str, answer: ExpectedOutput) -> ExpectedOutput | None:
        """The answer with the error of the source's own kernel, where the source has one elementary function for what
        the graph writes with several nodes (a sigmoid as 1 / (1 + exp(-x)))."""
        made = self.export.source.origins[name].op if name in self.export.source.origins else ""
        constants = elementary(self.export.engine).get(made) if made != op else None
        if constants is None or not answer.rounds:
            return None
        c, floor = constants
        with np.errstate(all="ignore"):
            own = c * UNIT * np.abs(np.asarray(answer.value, np.float64)) + floor
        return replace(answer, error=answer.limit() + own, at=None)

    def _look(self, name: str) -> _Value:
        """A value as it stands at this node."""
        if name in self.values:
            return self.values[name]
        array = self._constant(name)
        if array is None:
            return _Value(None, problem=f"{name} is unknown")
        return _Value(array, uncertain=self._noisy(name, array), fixed=True, constant=True)

    def _constant(self, name: str) -> Array | None:
        if name in self.small:
            return self.small[name]
        try:
            return _wide(self.export.weights[name]) if name in self.export.weights else None
        except ValueError:  # its data is not there
            return None

    def _noisy(self, name: str, array: Array) -> bool:
        """Whether float32 has rounded a constant: a scalar, or one that the exporter computed."""
        if array.dtype != np.float64 or not array.size or (name not in self.export.computed and array.size > 1):
            return False
        return name in self.export.computed or not bool(np.all(array == np.round(array)))

    def _evaluated(self, index: int, given: Sequence[Array | None], captured: Callable[[str], Array | None]) -> Answers:
        """What a node makes of arrays, by its operator's rule or else by its noise floor, or why that is unknown."""
        node = self.nodes[index]
        produced = [_wide(a) if n and (a := self.arrays(n)) is not None else None for n in node.output]
        answers: Answers = "it reads a sequence"
        if not any(array is not None and array.dtype == object for array in given):
            answers = expected(node, self.version, given, produced, runtime=self.export.engine, unit=UNIT)
        if not isinstance(answers, str) or draws(node, self._constant, self.version):
            return answers
        values = {n: v for n, v in zip(node.input, given, strict=True) if n and v is not None}
        for name in (n for n in self.reads[index] if n not in values and self._is_known(n)):
            outer = captured(name)
            if outer is None:
                return answers
            values[name] = _wide(outer)
        found = noise_floor(self._run, node, index, self._own(index), values)
        if isinstance(found, str):
            return f"{answers}, and {found}"
        self.perturbed.add(self._own(index))
        return found

    def _is_known(self, name: str) -> bool:
        """Whether a name stands for a value of the main graph."""
        return name in self.maker or name in self.export.feeds or name in self.order

    def _widened(self, index: int, position: int, answer: ExpectedOutput) -> ExpectedOutput | str:
        """The answer with what rounding since the last values of the source may do to it."""
        value = np.asarray(answer.value)
        response = np.zeros(value.shape)
        flips = np.zeros(value.shape, bool) if answer.flips is None else np.array(answer.flips)
        for answers in self._versions(index):
            if isinstance(answers, str):
                return answers
            version = np.asarray(_sure(answers[position]).value)
            if version.shape != value.shape:
                return "its shape depends on what rounding decides"
            if value.dtype.kind == "f":
                response = np.maximum(response, distance(version, value, infinite=np.inf))
            else:
                flips |= np.asarray(version != value)
        self.held.also(4 * value.nbytes)
        if value.dtype.kind != "f":
            return replace(answer, flips=flips)
        finite = response[np.isfinite(response)]
        response = np.maximum(response, finite.mean() if finite.size else 0.0)
        return replace(answer, error=answer.limit() + response, at=None)

    def _versions(self, index: int) -> Iterator[Answers]:
        """What a node makes when everything that was rounded since the source's values is moved, by random signs."""
        for trial in range(1, TRIALS + 1):

            def look(name: str, trial: int = trial) -> Array | None:
                return self._moved(name, trial)

            def version(answer: ExpectedOutput, i: int, place: int, trial: int = trial) -> Array:
                still = self.nodes[i].output[place] in self.fixed
                return _moved_answer(answer, np.random.default_rng([trial, i, place]), still=still)

            yield self._along(index, look, version)

    def _moved(self, name: str, trial: int) -> Array | None:
        """A value from outside a stretch, in one of its versions (0: as it is): of the source, fed, or constant."""
        if name in self.given:
            array = self.arrays(name)
            return None if array is None else _wide(_turn(array, self.given[name]))
        if name in self.export.feeds:
            return _wide(self.export.feeds[name])
        array = self._constant(name)
        if array is None or not trial or not self._noisy(name, array):
            return array
        roundings = 4.0 if name in self.export.computed else 1.0
        random = np.random.default_rng([trial, self.order.get(name, 0)])
        return moved(array, random, roundings=roundings)

    def _region(self, index: int) -> list[int]:
        """The nodes through which one is judged: itself and those before it up to the source's values."""
        found, waiting = {index}, [index]
        while waiting:
            for name in self.reads[waiting.pop()]:
                maker = self.maker.get(name)
                if maker is not None and name not in self.given and maker not in found:
                    found.add(maker)
                    waiting.append(maker)
        return sorted(found)

    def _likeliest(self, region: Sequence[int], index: int) -> int:
        """Which of nodes that are not told apart to name: the one that alone reads numbers that the source has not."""
        reading = [i for i in region if not self.export.computed.isdisjoint(self.nodes[i].input)]
        return reading[0] if len(reading) == 1 and self._own(reading[0]) else index

    def _named(self, indices: Sequence[int]) -> tuple[str, ...]:
        named = (self._own(i) for i in indices if self.nodes[i].op_type != "Constant")
        return tuple(dict.fromkeys(name for name in named if name))


def _wide(array: Array) -> Array:
    return array.astype(np.float64) if array.dtype == np.float32 else array


def _sure(answer: ExpectedOutput | None) -> ExpectedOutput:
    assert answer is not None
    return answer


def _bytes(answer: ExpectedOutput) -> int:
    error = answer.error
    return int(answer.value.nbytes) + (error.nbytes if isinstance(error, np.ndarray) else 0)


def last_uses(model: onnx.ModelProto) -> dict[int, list[str]]:
    """By the index of a node, the values that nobody needs after it."""
    last: dict[str, int] = {}
    for index, node in enumerate(model.graph.node):
        for name in [*node.output, *reads(node)]:
            if name:
                last[name] = index
    ends: dict[int, list[str]] = {}
    for name, index in last.items():
        ends.setdefault(index, []).append(name)
    return ends


def fixed_values(model: onnx.ModelProto, weights: Collection[str]) -> set[str]:
    """The values that do not depend on the inputs."""
    known = {tensor.name for tensor in model.graph.initializer} | set(weights)
    value, version = stored(model), opset(model)
    for node in model.graph.node:
        if not draws(node, value, version) and all(name in known for name in reads(node)):
            known.update(node.output)
    return known


def _made(answers: Answers, position: int, inputs: Sequence[_Value | None], fixed: bool) -> _Value:
    if isinstance(answers, str):
        return _Value(None, fixed=fixed, problem=answers)
    answer = answers[position] if position < len(answers) else None
    if answer is None:
        return _Value(None, fixed=fixed, problem="no rule covers this output")
    uncertain = any(c is not None and c.uncertain for c in inputs) or (answer.rounds and not fixed)
    return _Value(np.asarray(answer.value), uncertain, fixed)


def _moved_answer(answer: ExpectedOutput, random: np.random.Generator, *, still: bool) -> Array:
    """A version of a value that rounding may have led to instead."""
    value = np.asarray(answer.value)
    if value.dtype.kind != "f" or still or not answer.rounds:
        return value
    with np.errstate(all="ignore"):
        error = answer.limit()
        limit = np.where(np.isfinite(error), error, 0.0) + TINY
        return np.asarray(value + limit * signs(random, value.shape))


def _compared(name: str, answer: ExpectedOutput, seen: Array) -> NodeCheck:
    """An output's value in the source against what it should be, in float64 or in whole numbers of any size."""
    value = np.asarray(answer.value)
    if value.dtype != seen.dtype and {value.dtype.kind, seen.dtype.kind} <= set("f"):
        seen = seen.astype(value.dtype)
    elif value.dtype != seen.dtype and {value.dtype.kind, seen.dtype.kind} <= set("iub"):
        seen, value = seen.astype(np.int64), value.astype(np.int64)
    if answer.rounds:  # runtimes flush what is below the smallest normal number
        answer = _changed(answer, lambda bound: bound + TINY)
    return judge(name, replace(answer, value=value, dtype=value.dtype.name, signed_zeros=False), seen)


def _changed(answer: ExpectedOutput, change: Callable[[Array], Array], **more: Any) -> ExpectedOutput:
    """The answer with another bound, made when it is asked for if the first one is."""
    at = answer.at
    there = None if at is None else lambda places: change(at(places))
    if callable(answer.error):
        return replace(answer, error=lambda: change(answer.limit()), at=there, **more)
    return replace(answer, error=change(answer.limit()), at=there, **more)


def error_of(node: str, op: str, check: NodeCheck) -> Fault:
    ratio = check.ratio if check.outcome != "uncompared by bound" else None
    if check.outcome in ("equal", "rounding", "flip within rounding") and ratio is None:
        ratio = 0.0
    return Fault(
        node,
        op,
        check.output,
        ratio,
        check.max_abs,
        index=check.index,
        expected=check.expected,
        actual=check.actual,
        problem=check.problem,
    )


def not_finite(error: Fault, given: Array, seen: Array) -> Fault:
    """The error of a node that is right in float64 and not finite in float32 where the source's value is."""
    if seen.shape != given.shape or seen.dtype.kind != "f" or given.dtype.kind != "f":
        return error
    lost = np.isfinite(given) & ~np.isfinite(seen)
    if not lost.any():
        return error
    index = tuple(int(i) for i in np.argwhere(lost)[0])
    says = "in float32 it is not finite where the source's value is"
    due = float(given[index])
    return replace(
        error, ratio=np.inf, introduced=np.inf, index=index, expected=due, actual=float(seen[index]), problem=says
    )


def farthest(given: Array, seen: Array | None) -> float | None:
    """The largest distance of two arrays of numbers; infinite where one is no number."""
    if seen is None or seen.shape != given.shape or given.dtype.kind not in "biuf" or not given.size:
        return None
    with np.errstate(invalid="ignore"):
        apart = np.abs(given.astype(np.float64) - seen.astype(np.float64))
    return float(np.nan_to_num(apart, nan=np.inf).max())


def _turn(array: Array, order: tuple[int, ...] | None) -> Array:
    return np.ascontiguousarray(array.transpose(order)) if order else array


def _turned(given: Array, made: Array | None, first: bool | None) -> tuple[tuple[int, ...] | None, bool | None]:
    """The order of axes that the source's value has in the graph, and whether that is channels first.

    It stands as in the source (None) or with its channels first: whichever fits what the graph makes of it; where both
    do and neither is near, because a fault is, ``first`` decides.  () where the graph has it in a form of its own.
    """
    turn = _PERMUTED.get(given.ndim)
    choices: dict[bool, tuple[int, ...] | None] = {False: None} | ({True: turn} if turn is not None else {})
    if made is None:
        known = bool(first) and True in choices
        return (choices[known], first) if len(choices) == 1 or first is not None else ((), None)
    shapes = {k: given.shape if o is None else tuple(given.shape[i] for i in o) for k, o in choices.items()}
    fitting = [key for key, shape in shapes.items() if shape == made.shape]
    if not fitting:
        return ((), None) if given.size == made.size else (choices.get(bool(first)), first)
    if len(choices) == 1:
        return None, None
    if len(fitting) == 1 or made.dtype.kind not in "biuf":
        key = bool(first) if first in fitting else fitting[0]
        return choices[key], key
    far = {key: _far(given if choices[key] is None else given.transpose(choices[key]), made) for key in fitting}
    near = min(far, key=far.__getitem__)
    key = near if first is None or far[near] <= 1e-3 * max(far.values()) else first
    return choices[key], key


def _far(choice: Array, made: Array) -> float:
    """The mean distance of some of their elements."""
    spots = np.unravel_index(np.unique(np.linspace(0, made.size - 1, _COMPARED).astype(np.int64)), made.shape)
    with np.errstate(all="ignore"):
        apart = np.abs(choice[spots].astype(np.float64) - made[spots].astype(np.float64))
    return float(np.nan_to_num(apart, nan=0.0).mean())


def _channels_first(node: onnx.NodeProto, rank: int, inputs: Sequence[_Value | None]) -> bool | None:
    """How the axes of what a node makes stand beside the source's, as far as its operator and its inputs say."""
    if node.op_type in _SPATIAL:
        return True
    if node.op_type == "Transpose":
        return None
    return next((c.channels_first for c in inputs if c and c.value is not None and c.value.ndim == rank), None)
