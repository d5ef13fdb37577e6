"""The guilty nodes: every node of a graph judged on its own, in one pass, all of them and not only the first.

Design note.  Two views.  A *kernel* is judged on what it consumed in the run under test: its value against the node in
float64, over the bound of its operator (:func:`kernels`).  An *export* is judged in the cut view (:func:`exported`): a
node is given the source's values, and what it should make of them, in float64, is held against the source's value of
its output.  So an error that was inherited never counts, and two faults are told apart.  Where the source has its
values in float64 these are used: nothing is rounded then, and a bound of float32 arithmetic is only ever reached by a
node that means something else.  A node whose value the source does not have is judged through the next one it has;
what rounding and rounded constants on the way may do to that one is measured by moving them (:data:`TRIALS` times by
random signs) and added to the bound.

Nothing is run here: the arrays of a run are handed in, and each is let go when its last consumer was judged.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Collection, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx

from pipeline.data import Array, Localization, NodeError, SourceValues
from pipeline.graph.cut import array_values, constants
from pipeline.graph.float64 import to_float64
from pipeline.graph.walk import node_name, opset
from pipeline.numerics.reduced import reduced_precision
from pipeline.numerics.replay import NodeCheck, expected, judge, replay
from pipeline.numerics.rules import Answer

TRIALS = 4
UNIT = 2.0**-24
TINY = 2.0**-126
# Channels last to channels first, by rank: how tf2onnx turns what it moves.
_PERMUTED = {3: ((0, 2, 1),), 4: ((0, 3, 1, 2),), 5: ((0, 4, 1, 2, 3),)}


@dataclass(frozen=True, eq=False)
class _Carried:
    """A value on its way: in float64, with versions of it that rounding may have led to instead, the nodes that made it
    since the last value of the source, whether it depends on the inputs at all, and why it is unknown, if it is."""

    value: Array | None
    trials: tuple[Array, ...] = ()
    nodes: tuple[str, ...] = ()
    fixed: bool = False
    problem: str | None = None
    channels_first: bool | None = None  # how the source's axes stand, where the two may have different orders

    @property
    def bytes(self) -> int:
        return sum(array.nbytes for array in (self.value, *self.trials) if array is not None)


def kernels(
    model: onnx.ModelProto,
    feeds: Mapping[str, Array],
    produced: MutableMapping[str, Array],
    *,
    graph: str,
    party: str,
    blame: str,
    constants_of: str = "onnxruntime",
) -> Localization:
    """Judge every node on what it consumed in one run.

    ``produced`` holds the run's values by name; they are taken out of it as they are done with.  ``constants_of`` names
    the runtime whose measured constants bound the elementary functions.
    """
    started = time.perf_counter()
    version = opset(model) or 1
    fixed = constants(model)
    values: dict[str, Array] = {**feeds}
    last = _last_uses(model)
    guilty, uncompared, judged = [], [], 0
    peak = sum(v.nbytes for v in produced.values()) + sum(v.nbytes for v in feeds.values())
    for index, node in enumerate(model.graph.node):
        name = node_name(node, index)
        consumed = [_found(n, values, produced, fixed) for n in node.input]
        results = [produced.get(n) for n in node.output]
        lacking = [n for n, v in zip(node.input, consumed, strict=True) if n and v is None]
        if lacking:
            says = f"the run did not return what it consumed ({lacking[0]})"
            uncompared.append(NodeError(name, node.op_type, node.output[0] if node.output else "", problem=says))
        else:
            checks = replay(node, version, consumed, results, runtime=constants_of)
            judged += any(check.outcome != "uncompared by bound" for check in checks)
            for check in checks:
                error = _error(name, node.op_type, check)
                if check.guilty:
                    shorter = reduced_precision(node, version, consumed, results, runtime=constants_of)
                    guilty.append(replace(error, precision=shorter))
                elif check.outcome == "uncompared by bound" and produced.get(check.output, np.zeros(1)).size:
                    uncompared.append(error)
        for gone in last.get(index, ()):
            values.pop(gone, None)
            produced.pop(gone, None)
    return Localization(
        graph,
        party,
        blame,
        tuple(guilty),
        judged,
        len(model.graph.node),
        tuple(uncompared),
        peak=peak,
        precision="float32",
        seconds=time.perf_counter() - started,
    )


def exported(
    model: onnx.ModelProto,
    feeds: Mapping[str, Array],
    source: SourceValues,
    arrays: Callable[[str], Array | None],
    *,
    party: str,
    double: bool,
    computed: Collection[str] = (),
    whole: MutableMapping[str, Array] | None = None,
    alone: Mapping[str, Array] | None = None,
    constants_of: str = "onnxruntime",
) -> Localization:
    """Judge every node of an exported graph on the source's values.

    ``arrays(NAME)`` gives the source's value of one of the graph's values, or None; ``double`` says that they are in
    float64.  ``computed`` are constants that the exporter computed itself, in float32.  ``whole`` holds the values of
    an ordinary run, for what was propagated; ``alone`` those of the cut model's run, for what float32 alone shows: a
    value that is not finite where the source's is.  ``constants_of`` names the engine that made the source's values,
    whose measured constants bound its elementary functions.
    """
    started = time.perf_counter()
    wide = to_float64(model)
    version = opset(wide) or 1
    names = {out: node_name(n, i) for i, n in enumerate(model.graph.node) for out in n.output if out}
    values: dict[str, _Carried] = {}
    random = np.random.default_rng(0)
    for name, array in constants(wide).items():
        values[name] = _constant(np.asarray(array), 4.0 if name in computed else 1.0, name in computed, random)
    weights = sum(v.bytes for v in values.values())
    for name, array in feeds.items():
        values[name] = _Carried(_wide(array))
    last = _last_uses(wide)
    guilty, uncompared = [], []
    judged: set[str] = set()
    peak = held = sum(v.bytes for v in values.values()) - weights
    mapped = 0
    for index, node in enumerate(wide.graph.node):
        own = next((names[out] for out in node.output if out in names), "")
        inputs = [values.get(n, _Carried(None, problem=f"{n} is unknown")) if n else None for n in node.input]
        sources = [_wide(a) if n and (a := arrays(n)) is not None else None for n in node.output]
        answers = _answers(node, version, inputs, sources, constants_of)
        here = (own,) if own and node.op_type != "Constant" else ()
        since = tuple(dict.fromkeys(itertools.chain(*(c.nodes for c in inputs if c), here)))
        fixed = all(c.fixed for c in inputs if c) and node.op_type not in _RANDOM
        for position, name in enumerate(node.output):
            if not name:
                continue
            given = sources[position]
            alone_on = given is not None and not fixed
            made = _carried(answers, position, since, fixed, None if alone_on else random)
            if node.op_type == "Constant" and made.value is not None:
                made = _constant(made.value, 1.0, name in computed, random)
            if given is None or fixed:
                values[name] = made
                held += made.bytes
                continue
            mapped += 1
            first = _channels_first(node, given.ndim, inputs) if source.permuted else None
            turned, first = _turned(given, made.value, first) if source.permuted else (given, None)
            if turned is None:  # the graph has it in a form of its own: judged through the next one
                values[name] = made = _carried(answers, position, since, fixed, random)
                held += made.bytes
                mapped -= 1
                continue
            error = _judged(name, node.op_type, own, answers, made, position, turned)
            if error.problem is not None and error.ratio is None:
                uncompared.append(error)
            else:
                judged.update(since)
            if (error.ratio or 0) <= 1 and alone is not None and name in alone:
                error = _not_finite(error, turned, alone[name])
            if (error.ratio or 0) > 1:
                others = tuple(n for n in since if n != own)
                origin = source.origins.get(name)
                apart = _distance(turned, whole.get(name)) if whole is not None else None
                guilty.append(replace(error, together=others, origin=origin, propagated=apart))
            values[name] = _Carried(turned, channels_first=first)
            held += turned.nbytes
            peak = max(peak, held)
        peak = max(peak, held)
        for gone in last.get(index, ()):
            if gone in values:
                held -= 0 if values[gone].fixed else values[gone].bytes
                del values[gone]
            if whole is not None:
                whole.pop(gone, None)
    made_by_nodes = [n for n in array_values(model) if n not in _fixed_values(model)]
    return Localization(
        source.graph,
        party,
        "export",
        tuple(guilty),
        len(judged),
        len(model.graph.node),
        tuple(uncompared),
        unmapped=sum(n not in source.keys for n in made_by_nodes),
        mapped=mapped,
        peak=peak,
        precision="float64" if double else "float32",
        seconds=time.perf_counter() - started,
        notes=source.notes,
    )


# Sums of products: four roundings of a weight move the sum of k by at most 4 u |x| |w|, which is 4 / (k + 1) of the
# bound gamma_(k+1) |x| |w|, so thrice the bound holds for every k and no version needs to be evaluated.
_SUMS = frozenset(("Conv", "ConvTranspose", "Gemm", "MatMul"))
_RANDOM = frozenset("RandomNormal RandomUniform RandomNormalLike RandomUniformLike Bernoulli Multinomial".split())


def _found(name: str, *places: Mapping[str, Array]) -> Array | None:
    return next((place[name] for place in places if name in place), None) if name else None


def _wide(array: Array) -> Array:
    return array.astype(np.float64) if array.dtype == np.float32 else array


def _last_uses(model: onnx.ModelProto) -> dict[int, list[str]]:
    """By the index of a node, the values that nobody needs after it."""
    last: dict[str, int] = {}
    for index, node in enumerate(model.graph.node):
        for name in [*node.output, *_reads(node)]:
            if name:
                last[name] = index
    ends: dict[int, list[str]] = {}
    for name, index in last.items():
        ends.setdefault(index, []).append(name)
    return ends


def _reads(node: onnx.NodeProto) -> Iterable[str]:
    """The names a node reads, those of its subgraphs included."""
    yield from node.input
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            for inner in graph.node:
                yield from _reads(inner)


def _fixed_values(model: onnx.ModelProto) -> set[str]:
    """The values that do not depend on the inputs."""
    known = {tensor.name for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type not in _RANDOM and all(not n or n in known for n in _reads(node)):
            known.update(node.output)
    return known


def _constant(array: Array, roundings: float, computed: bool, random: np.random.Generator) -> _Carried:
    """A constant; one that float32 has rounded (a scalar, or computed by the exporter) may be off by that."""
    noisy = array.dtype == np.float64 and array.size and (computed or array.size == 1)
    if not noisy or (not computed and np.all(array == np.round(array))):
        return _Carried(array, fixed=True)
    moved = tuple(array * (1 + roundings * UNIT * _signs(random, array.shape)) for _ in range(TRIALS))
    return _Carried(array, moved, fixed=True)


def _signs(random: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return random.integers(0, 2, shape, dtype=np.int8) * 2.0 - 1.0


def _answers(
    node: onnx.NodeProto,
    version: int,
    inputs: Sequence[_Carried | None],
    produced: Sequence[Array | None],
    constants_of: str,
) -> list[tuple[Answer | None, ...]] | str:
    """What a node makes of its inputs and of every version of them, or why that is unknown."""
    for carried in inputs:
        if carried is not None and carried.problem is not None:
            return carried.problem
    moved = [c for c in inputs if c is not None and c.trials]
    plain = bool(moved) and node.op_type in _SUMS and all(c.fixed and not c.nodes for c in moved)
    versions = 1 + (TRIALS if moved and not plain else 0)
    found = []
    for k in range(versions):
        given = [None if c is None else c.trials[k - 1] if k and c.trials else c.value for c in inputs]
        answer = expected(node, version, given, produced, runtime=constants_of, unit=UNIT)
        if isinstance(answer, str):
            return answer
        found.append(answer)
    if plain:
        return [tuple(a and replace(a, error=np.asarray(a.error) * 3) for a in found[0])]
    return found


def _carried(
    answers: list[tuple[Answer | None, ...]] | str,
    position: int,
    nodes: tuple[str, ...],
    fixed: bool,
    random: np.random.Generator | None,
) -> _Carried:
    if isinstance(answers, str):
        return _Carried(None, nodes=nodes, fixed=fixed, problem=answers)
    each = [answer[position] if position < len(answer) else None for answer in answers]
    if any(answer is None for answer in each):
        return _Carried(None, nodes=nodes, fixed=fixed, problem="no rule covers this output")
    sure = [answer for answer in each if answer is not None]
    value = np.asarray(sure[0].value)
    if value.dtype.kind != "f":
        varied = [v.value for v in sure[1:] if v.value.shape != value.shape or (v.value != value).any()]
        return _Carried(value, tuple(np.asarray(v.value) for v in sure[1:]) if varied else (), nodes, fixed)
    error = np.asarray(sure[0].error)
    rounds = bool(np.any(error)) and not fixed
    if random is None or (not rounds and len(sure) == 1):  # no versions are needed of what is replaced at once
        return _Carried(value, (), nodes, fixed)
    several = sure[1:] if len(sure) > 1 else sure * TRIALS
    limit = np.where(np.isfinite(error), error, 0.0) + TINY if rounds else np.zeros(())
    trials = tuple(np.asarray(v.value + limit * _signs(random, v.value.shape)) for v in several)
    return _Carried(value, trials, nodes, fixed)


def _judged(
    name: str,
    op: str,
    node: str,
    answers: list[tuple[Answer | None, ...]] | str,
    made: _Carried,
    position: int,
    given: Array,
) -> NodeError:
    """The source's value of an output against what the graph makes of the source's values before it."""
    if isinstance(answers, str) or made.problem is not None:
        return NodeError(node, op, name, problem=answers if isinstance(answers, str) else made.problem)
    each = [answer[position] for answer in answers]
    answer = each[0]
    assert answer is not None
    moved = [np.asarray(a.value) for a in each[1:] if a is not None]
    if any(m.shape != answer.value.shape for m in moved):
        return NodeError(node, op, name, problem="its shape depends on what rounding decides")
    flips, error = answer.flips, np.asarray(answer.error)
    if moved and answer.value.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            response = np.max([np.abs(m - answer.value) for m in moved], axis=0)
        response = np.where(np.isnan(response), 0.0, response)
        finite = response[np.isfinite(response)]
        error = error + np.maximum(response, finite.mean() if finite.size else 0.0)
    elif moved:
        changed = np.any([m != answer.value for m in moved], axis=0)
        flips = changed if flips is None else flips | changed
    if np.any(error):  # runtimes flush what is below the smallest normal number
        error = error + TINY
    value = np.asarray(answer.value)
    seen = given
    if value.dtype != seen.dtype and {value.dtype.kind, seen.dtype.kind} <= set("f"):
        seen = seen.astype(value.dtype)
    elif value.dtype != seen.dtype and {value.dtype.kind, seen.dtype.kind} <= set("iub"):
        seen, value = seen.astype(np.int64), value.astype(np.int64)
    check = judge(
        name, replace(answer, value=value, dtype=value.dtype.name, error=error, flips=flips, signed_zeros=False), seen
    )
    return _error(node, op, check)


def _error(node: str, op: str, check: NodeCheck) -> NodeError:
    ratio = check.ratio if check.outcome != "uncompared by bound" else None
    if check.outcome in ("equal", "rounding", "flip within rounding") and ratio is None:
        ratio = 0.0
    return NodeError(
        node, op, check.output, ratio, check.max_abs, index=check.index, values=check.values, problem=check.problem
    )


def _not_finite(error: NodeError, given: Array, seen: Array) -> NodeError:
    """The error of a node that is right in float64 and not finite in float32 where the source's value is."""
    if seen.shape != given.shape or seen.dtype.kind != "f" or given.dtype.kind != "f":
        return error
    lost = np.isfinite(given) & ~np.isfinite(seen)
    if not lost.any():
        return error
    index = tuple(int(i) for i in np.argwhere(lost)[0])
    says = "in float32 it is not finite where the source's value is"
    due = float(given[index])
    return replace(error, ratio=np.inf, introduced=np.inf, index=index, values=(due, float(seen[index])), problem=says)


def _distance(given: Array, seen: Array | None) -> float | None:
    if seen is None or seen.shape != given.shape or given.dtype.kind not in "biuf" or not given.size:
        return None
    with np.errstate(invalid="ignore"):
        distance = np.abs(given.astype(np.float64) - seen.astype(np.float64))
    return float(np.nan_to_num(distance, nan=np.inf).max())


def _turned(given: Array, made: Array | None, first: bool | None) -> tuple[Array | None, bool | None]:
    """The source's value in the graph's order of axes, and whether that is channels first.

    It stands as in the source or with its channels first: whichever fits what the graph makes of it; where both do and
    neither is near, because a fault is, ``first`` decides.  None where the graph has it in a form of its own.
    """
    choices = {False: given}
    for order in _PERMUTED.get(given.ndim, ()):
        choices[True] = given.transpose(order)
    if made is None:
        known = True in choices and first
        return (choices[bool(known)], first) if len(choices) == 1 or first is not None else (None, None)
    fitting = {key: choice for key, choice in choices.items() if choice.shape == made.shape}
    if not fitting:
        return (None, None) if given.size == made.size else (choices.get(bool(first), given), first)
    if len(choices) == 1:
        return given, None
    if len(fitting) == 1 or made.dtype.kind not in "biuf":
        key = first if first in fitting else next(iter(fitting))
        return fitting[bool(key)], key
    far = {key: _far(choice, made) for key, choice in fitting.items()}
    near = min(far, key=far.__getitem__)
    key = near if first is None or far[near] <= 1e-3 * max(far.values()) else first
    return fitting[bool(key)], key


def _far(choice: Array, made: Array) -> float:
    with np.errstate(all="ignore"):
        return float(np.nan_to_num(np.abs(choice.astype(np.float64) - made.astype(np.float64)), nan=0.0).mean())


_SPATIAL = frozenset(
    "Conv ConvTranspose MaxPool AveragePool GlobalAveragePool GlobalMaxPool BatchNormalization LRN "
    "InstanceNormalization DepthToSpace SpaceToDepth".split()
)


def _channels_first(node: onnx.NodeProto, rank: int, inputs: Sequence[_Carried | None]) -> bool | None:
    """How the axes of what a node makes stand beside the source's, as far as its operator and its inputs say."""
    if node.op_type in _SPATIAL:
        return True
    if node.op_type == "Transpose":
        return None
    return next((c.channels_first for c in inputs if c and c.value is not None and c.value.ndim == rank), None)
