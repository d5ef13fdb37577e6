"""Two graphs that should mean the same, in float64: every value of B made of A's values, and judged where it is.

Design note.  A is evaluated once.  B is evaluated node by node; a value that some value of A is (up to the order of
its axes, within the bound) is *aligned* and A's value takes its place, so that nothing is inherited.  What lies between
aligned values is a region: a fused or decomposed operator has values of its own inside, and is healthy if what comes
out of it is A's.  Where an output of B is not A's, the values on the way to it that are nobody's are looked at in
order: the first that, replaced by a value of A, lets its consumers make A's values again is where the graphs meet
again, and what lies before it is guilty.  Then the search goes on from there, so every fault is found, not the first.

The bound.  In float64 two graphs of one meaning part by three things: float64's own roundings; constants that a
rewriting computed in float32 (a folded weight); and Python scalars that either side holds in float32.  All are
responses to moving something by one rounding: the region's inputs and constants for the first, for the others the
constants and float attributes that one side's region has and the other's has not.  The responses are measured, with
random signs, on both sides; the first counts as often as roundings lie on the graphs' longest path, the others
:data:`FOLDED` times for each node that one region has more than the other, because it was folded away (gamma_6, the
count of BatchNormalization, the longest formula that is folded).  A region whose constants are all found on the other
side has only the first: 1e-13, not 1e-7.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx

from pipeline.data import Array, Unsupported
from pipeline.graph.align import Alignment, How, Orientation, Pair, orientations
from pipeline.numerics.bounds import unit_roundoff
from pipeline.numerics.node64 import Graph, Step

FOLDED = 6
JITTERS = 4
_U32 = 2.0**-24
_LIKE = 1e-5  # only chooses which hypothesis is looked at; the verdict is the bound's
_NEAR = 0.05  # the same
_DEPTH = 8
_CANDIDATES = 24


@dataclass(frozen=True)
class Part:
    """A region of B that does not make what A makes of the same values: its last node, all of its nodes, A's nodes."""

    node: str
    op: str
    output: str
    counterpart: str
    ratio: float
    max_abs: float | None
    nodes: tuple[str, ...]
    against: tuple[str, ...]
    index: tuple[int, ...] | None = None
    values: tuple[float, float] | None = None
    problem: str | None = None


@dataclass(frozen=True)
class Judged:
    """A value of B against its counterpart: distance over bound, how far, where."""

    ratio: float
    max_abs: float | None = None
    index: tuple[int, ...] | None = None
    values: tuple[float, float] | None = None
    problem: str | None = None


@dataclass(frozen=True)
class Forced:
    """What was found: the alignment, the guilty parts in B's order, the worst healthy ratio.

    ``compared`` counts elements of B's outputs that were compared; ``unjudged`` says which could not be, and why.
    """

    alignment: Alignment
    guilty: tuple[Part, ...]
    compared: int
    worst: float
    unjudged: tuple[str, ...]
    constants: int = 0


@dataclass
class _State:
    """The comparison under way."""

    a: Graph
    b: Graph
    have: dict[str, Array]
    outputs: Mapping[str, tuple[str, Orientation]]
    roundings: int
    same_class: Mapping[str, str]
    index: dict[int, list[tuple[str, float, float]]] = field(default_factory=dict)
    env: dict[str, Array] = field(default_factory=dict)
    own: dict[str, Array] = field(default_factory=dict)
    pairs: dict[str, Pair] = field(default_factory=dict)
    forced: dict[str, tuple[str, Orientation]] = field(default_factory=dict)
    ratios: dict[str, float] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    prints: dict[tuple[bool, str], bytes] = field(default_factory=dict)
    unsupported: dict[str, str] = field(default_factory=dict)
    unjudged: dict[str, str] = field(default_factory=dict)


def evaluate(graph: Graph, feeds: Mapping[str, Array]) -> tuple[dict[str, Array], dict[str, str]]:
    """Every value that can be had, and by node why one could not be evaluated."""
    values: dict[str, Array] = {**graph.constants, **feeds}
    errors: dict[str, str] = {}
    for step in graph.steps:
        if all(name in values for name in step.reads):
            try:
                values |= graph.run(step, values)
            except Exception as error:  # an operator's numpy raises whatever numpy raises
                errors[step.name] = _one_line(error)
    return values, errors


def compare_graphs(
    a: Graph,
    b: Graph,
    feeds: Mapping[str, Array],
    inputs: Mapping[str, tuple[str, Orientation]],
    outputs: Mapping[str, tuple[str, Orientation]],
    *,
    roundings: int,
    same_class: Mapping[str, str],
    evaluated: tuple[Mapping[str, Array], Mapping[str, str]] | None = None,
) -> Forced:
    """Judge B by A.

    ``feeds`` are A's inputs in float64; ``inputs`` and ``outputs`` give for each of B's border values A's and the way
    to turn it.  ``roundings`` is how many lie on both graphs' longest paths together; ``same_class`` maps values of B
    to the value of A that is the same function of the same inputs, whose numbers need no evaluation.  ``evaluated`` is
    what :func:`evaluate` makes of A, where it is there already.
    """
    have, errors = evaluated if evaluated is not None else evaluate(a, feeds)
    state = _State(a, b, dict(have), outputs, roundings, same_class)
    data = [n for n in [*a.inputs, *(m for s in a.steps for m in s.makes)] if n in have and not a.is_constant(n)]
    for name in data:
        value = have[name]
        if isinstance(value, np.ndarray) and value.size:
            state.index.setdefault(value.size, []).append((name, *_marks(value)))
    state.env |= b.constants
    for name, (left, orientation) in inputs.items():
        if left in have:
            state.env[name] = orientation.apply(have[left])
            state.pairs[name] = Pair(left, name, orientation, "border")
    guilty: list[Part] = []
    start = 0
    for _ in range(len(b.steps) + 1):
        _advance(state, start)
        bad = [name for name in outputs if name not in state.pairs and outputs[name][0] in have]
        found = _resume(state, bad) if bad else _hidden(state)
        if found is None:
            break
        parts, start = found
        guilty += parts
    unjudged = [
        f"{name}: A's value could not be had in float64" for name, (left, _) in outputs.items() if left not in have
    ]
    unjudged += [f"{name} of A: {why}" for name, why in errors.items()]
    unjudged += [f"{name} of B: {why}" for name, why in state.unjudged.items()]
    judged = [name for name, (left, _) in outputs.items() if left in have and name in state.own]
    taken = {pair.left for pair in state.pairs.values()}
    values_b = [n for s in b.steps for n in s.makes if not b.is_constant(n)]
    order = {name: i for i, name in enumerate([*b.inputs, *values_b])}
    pairs = sorted((p for n, p in state.pairs.items() if n in order), key=lambda p: order[p.right])
    return Forced(
        Alignment(
            tuple(pairs),
            tuple(n for n in data if n not in taken and not _twice(state, n, taken)),
            tuple(n for n in values_b if n not in state.pairs),
        ),
        tuple(_merged(guilty, b)),
        sum(np.size(state.own[name]) for name in judged),
        max((r for n, r in state.ratios.items() if state.pairs[n].how != "assumed" and r <= 1), default=0.0),
        tuple(unjudged),
    )


def _twice(state: _State, name: str, taken: set[str]) -> bool:
    """Whether a value of A is also there under a name that was aligned."""
    value = state.have[name]
    if not isinstance(value, np.ndarray):
        return False
    return any(
        other in taken and np.array_equal(state.have[other].reshape(-1), value.reshape(-1), equal_nan=_nans(value))
        for other, *_ in state.index.get(value.size, ())
    )


def _nans(value: Array) -> bool:
    return value.dtype.kind in "fc"


def _merged(guilty: Sequence[Part], graph: Graph) -> Iterator[Part]:
    """One part per node, the worst, in B's order."""
    best: dict[str, Part] = {}
    for part in guilty:
        if part.node not in best or best[part.node].ratio < part.ratio:
            best[part.node] = part
    order = {step.name: step.index for step in graph.steps}
    yield from sorted(best.values(), key=lambda part: order.get(part.node, len(order)))


def _advance(state: _State, start: int) -> None:
    """Evaluate B from a step on, aligning what it makes."""
    for step in state.b.steps[start:]:
        for name in step.makes:
            state.env.pop(name, None)
            state.own.pop(name, None)
            state.pairs.pop(name, None)
            state.ratios.pop(name, None)
        state.errors.pop(step.name, None)
        made: Mapping[str, Array] = {}
        known = [state.same_class.get(name) for name in step.makes]
        straight = all(k is not None and k in state.have for k in known) and _aligned_alike(state, step)
        if straight:
            made = {n: state.have[k] for n, k in zip(step.makes, known, strict=True) if k is not None}
        elif all(name in state.env for name in step.reads):
            try:
                made = state.b.run(step, state.env)
            except Unsupported as error:
                state.unsupported[step.name] = str(error)
            except Exception as error:  # as in evaluate
                state.errors[step.name] = _one_line(error)
        for name in step.makes:
            if name in made:
                state.own[name] = state.env[name] = made[name]
            if name in state.forced:
                left, orientation = state.forced[name]
                state.env[name] = orientation.apply(state.have[left])
                state.pairs[name] = Pair(left, name, orientation, "assumed")
            elif name in made and step.index not in state.b.folded:
                _align(state, name, known[step.makes.index(name)] if straight else None)
            elif name in made and name in state.outputs:
                _align(state, name, None)


def _aligned_alike(state: _State, step: Step) -> bool:
    """Whether everything above a step was found by structure: a value assumed above breaks the class below it."""
    return all(
        state.b.is_constant(name) or (name in state.pairs and state.pairs[name].how in ("border", "structure"))
        for name in step.reads
    )


def _align(state: _State, name: str, same: str | None) -> None:
    """Find which value of A this value of B is, and put it in its place."""
    designated = state.outputs.get(name)
    if designated is not None:
        left, orientation = designated
        candidates: Iterable[tuple[str, Orientation]] = [(left, orientation)] if left in state.have else []
        how: How = "structure" if same == left and orientation == Orientation() else "numbers"
    elif same is not None:
        candidates, how = [(same, Orientation())], "structure"
    else:
        candidates, how = _alike(state, name), "numbers"
    for left, orientation in candidates:
        if designated is None and _moved_elsewhere(state, name, left, orientation):
            break
        judged = judge(state, name, left, orientation)
        if judged.ratio <= 1:
            turned = orientation.apply(state.have[left])
            state.env[name] = turned
            state.pairs[name] = Pair(left, name, orientation, how)
            state.ratios[name] = judged.ratio
            return


def _moved_elsewhere(state: _State, name: str, left: str, orientation: Orientation) -> bool:
    """Whether a step that only moves numbers puts them where its twin in A does not: perhaps it is wrong.

    Every order of a value's axes is an alignment, so a wrong ``perm`` would pass and its consumer be blamed.
    """
    step = state.b.producer[name]
    mine = _sorted(state.own[name])
    if not any(n in state.env and not state.b.is_constant(n) and _sorted(state.env[n]) == mine for n in step.reads):
        return False
    twins = list(_twins(state, name))
    due = orientation.apply(state.have[left])
    return bool(twins) and not any(_exact(state.have[twin]) == _exact(due) for twin in twins)


def _marks(value: Array) -> tuple[float, float]:
    """Mean and root mean square: alike for a value in any order of its elements."""
    if value.dtype.kind not in "fiub":
        return 0.0, 0.0
    with np.errstate(all="ignore"):
        wide = value.astype(np.float64)
        finite = wide[np.isfinite(wide)]
        if not finite.size:
            return 0.0, 0.0
        return float(finite.mean()), float(np.sqrt((finite**2).mean()))


def _alike(state: _State, name: str, tolerance: float = 1e-3) -> Iterator[tuple[str, Orientation]]:
    """Values of A with nearly the marks of a value of B, the nearest elementwise first."""
    value = state.own[name]
    if not isinstance(value, np.ndarray) or not value.size:
        return
    mean, rms = _marks(value)
    near: list[tuple[float, bool, int, str, Orientation]] = []
    for left, m, r in state.index.get(value.size, ()):
        if abs(m - mean) > tolerance * max(r, rms) or abs(r - rms) > tolerance * max(r, rms):
            continue
        held = state.have[left]
        if held.dtype.kind != value.dtype.kind:
            continue
        for orientation in orientations(held.shape, value.shape):
            away = _away(orientation.apply(held), value)
            if away <= tolerance:
                near.append((away, orientation.perm is not None, len(near), left, orientation))
    for _, _, _, left, orientation in sorted(near, key=lambda found: found[:3]):
        yield left, orientation


def _away(held: Array, value: Array) -> float:
    """The largest distance, relative to the largest number; infinite where NaNs or infinities are elsewhere."""
    if held.shape != value.shape:
        return np.inf
    if value.dtype.kind not in "f" or held.dtype.kind not in "f":
        return 0.0 if np.array_equal(held, value) else np.inf
    with np.errstate(all="ignore"):
        same = (held == value) | (np.isnan(held) & np.isnan(value))
        if same.all():
            return 0.0
        distance = np.abs(held - value)[~same]
        if not np.isfinite(distance).all():
            return np.inf
        return float(distance.max() / max(np.abs(held[~same]).max(), np.abs(value[~same]).max()))


def judge(state: _State, name: str, left: str, orientation: Orientation) -> Judged:
    """The own value of B at ``name`` against A's at ``left``."""
    held, value = state.have[left], state.own.get(name)
    if isinstance(held, list) and isinstance(value, list):
        alike = len(held) == len(value) and all(_exact(a) == _exact(b) for a, b in zip(held, value, strict=True))
        return Judged(0.0, 0.0) if alike else Judged(np.inf, problem="its sequence holds other arrays")
    if not isinstance(value, np.ndarray) or not isinstance(held, np.ndarray):
        return Judged(np.inf, problem="it could not be evaluated on A's values")
    try:
        turned = orientation.apply(held)
    except ValueError:
        return Judged(np.inf, problem=f"has shape {value.shape} where A has {held.shape}")
    if turned.shape != value.shape:
        return Judged(np.inf, problem=f"has shape {value.shape} where A has {turned.shape}")
    if turned.dtype != value.dtype:
        return Judged(np.inf, problem=f"is {value.dtype} where A has {turned.dtype}")
    if value.dtype.kind not in "fc":
        if np.array_equal(turned, value):
            return Judged(0.0, 0.0)
        where = tuple(int(i) for i in np.argwhere(turned != value)[0])
        return Judged(np.inf, None, where, problem=f"{int((turned != value).sum())} of {value.size} elements differ")
    with np.errstate(all="ignore"):
        same = (turned == value) | (np.isnan(turned) & np.isnan(value))
        if same.all():
            return Judged(0.0, 0.0)
        distance = np.where(same, 0.0, np.abs(turned - value))
        strict = ~same & ~np.isfinite(distance)
        allowed = np.broadcast_to(_allowed(state, name, left, orientation), value.shape)
        ratio = np.where(strict, np.inf, np.where(distance > 0, distance / allowed, 0.0))
    worst = np.unravel_index(int(np.argmax(ratio)), ratio.shape)
    return Judged(
        float(ratio[worst]),
        float(distance[worst]),
        tuple(int(i) for i in worst),
        (float(turned[worst]), float(value[worst])),
    )


def _region(graph: Graph, name: str, cut: Mapping[str, object] | set[str]) -> tuple[list[Step], set[str]]:
    """The steps that make ``name`` of aligned values, in order, and the values that they start from."""
    steps: dict[int, Step] = {}
    start: set[str] = set()
    waiting = [name]
    while waiting:
        current = waiting.pop()
        step = graph.producer.get(current)
        if step is None or (current != name and (current in cut or graph.is_constant(current))):
            start.add(current)
        elif step.index not in steps:
            steps[step.index] = step
            waiting += step.reads
    return [steps[index] for index in sorted(steps)], start


def _allowed(state: _State, name: str, left: str, orientation: Orientation) -> Array:
    """How far the regions that end in these two values may part, elementwise in B's axes."""
    taken = {pair.left for right, pair in state.pairs.items() if right != name} - {left}
    steps_b, start_b = _region(state.b, name, state.pairs)
    steps_a, start_a = _region(state.a, left, taken)
    prints = [
        {_print(state, graph is state.a, n, values) for n in start if graph.is_constant(n)}
        for graph, start, values in ((state.a, start_a, state.have), (state.b, start_b, state.env))
    ]
    numbers = [{v for step in steps for v in _floats(step.node)} for steps in (steps_a, steps_b)]
    folded = FOLDED * max(1, abs(len(steps_a) - len(steps_b)))
    total: Array = np.zeros(())
    unit = unit_roundoff(state.have[left].dtype)  # both sides are of one type here; float16 stays float16
    for side, (graph, steps, start, values, target) in enumerate(
        (
            (state.a, steps_a, start_a, state.have, left),
            (state.b, steps_b, start_b, state.env, name),
        )
    ):
        constants = {n for n in start if graph.is_constant(n)}
        alone = {n for n in constants if _print(state, side == 0, n, values) not in prints[1 - side]}
        odd = numbers[side] - numbers[1 - side]
        turn = orientation if side == 0 else Orientation()
        if alone or odd:
            total = total + folded * turn.apply(_response(graph, steps, values, target, alone, odd))
        everything = _response(graph, steps, values, target, start, set())
        total = total + (2 * state.roundings + 2) * (unit / _U32) * turn.apply(everything)
    return total


def _print(state: _State, of_a: bool, name: str, values: Mapping[str, Array]) -> bytes:
    """Equal for constants that hold the same numbers in any order."""
    if (of_a, name) not in state.prints:
        value = values[name]
        state.prints[of_a, name] = _sorted(value)
    return state.prints[of_a, name]


def _floats(node: onnx.NodeProto) -> Iterator[float]:
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.FLOAT:
            yield attribute.f
        elif attribute.type == onnx.AttributeProto.FLOATS:
            yield from attribute.floats


def _response(
    graph: Graph,
    steps: Sequence[Step],
    values: Mapping[str, Array],
    target: str,
    moved: set[str],
    numbers: set[float],
) -> Array:
    """The largest answer of ``target`` to moving values and attributes by one rounding of float32, random signs.

    An element's response is at least the mean: one that a Relu holds at zero has none of its own.
    """
    random = np.random.default_rng(0)
    centre = None
    largest: Array = np.zeros(())
    for jitter in range(JITTERS + 1):
        held = dict(values)
        for name in sorted(moved) if jitter else ():
            value = values.get(name)
            if isinstance(value, np.ndarray) and value.dtype == np.float64:
                held[name] = value * (1 + _U32 * random.choice((-1.0, 1.0), value.shape))
        try:
            for step in steps:
                if _narrows(step, values):  # a coarser grid would pass for a response
                    held[step.makes[0]] = held[step.reads[0]]
                else:
                    held |= graph.run(_nudged(step, numbers, random) if jitter and numbers else step, held)
        except Exception:  # what cannot be evaluated when moved a little gives no room
            return np.zeros(())
        made = held.get(target)
        if not isinstance(made, np.ndarray) or made.dtype.kind != "f":
            return np.zeros(())
        if centre is None:
            centre = made
            continue
        with np.errstate(all="ignore"):
            distance = np.nan_to_num(np.abs(made - centre), nan=0.0, posinf=0.0)
        largest = np.maximum(largest, distance)
    return np.maximum(largest, largest.mean()) if largest.size else largest


def _narrows(step: Step, values: Mapping[str, Array]) -> bool:
    """Whether a step rounds to a type of fewer digits."""
    if step.op != "Cast":
        return False
    before, after = (unit_roundoff(values[n].dtype) if n in values else 0.0 for n in (step.reads[0], step.makes[0]))
    return after > before > 0


def _nudged(step: Step, numbers: set[float], random: np.random.Generator) -> Step:
    if not numbers.intersection(_floats(step.node)):
        return step
    node = onnx.NodeProto()
    node.CopyFrom(step.node)

    def moved(value: float) -> float:
        target = np.float32(random.choice((-np.inf, np.inf)))
        return float(np.nextafter(np.float32(value), target)) if value in numbers else value

    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.FLOAT:
            attribute.f = moved(attribute.f)
        elif attribute.type == onnx.AttributeProto.FLOATS:
            attribute.floats[:] = [moved(v) for v in attribute.floats]
    return replace(step, node=node)


def _resume(state: _State, bad: Sequence[str]) -> tuple[list[Part], int] | None:
    """Where the graphs meet again after what parted them: the guilty parts, and the step to go on from."""
    for name, left in _movers(state, bad):
        if _confirmed(state, name, left, Orientation()):
            return _blame(state, name, left, Orientation())
    open_values = _open(state, bad)
    for name in open_values:
        if name in state.outputs:
            return _blame(state, name, *state.outputs[name])
        proposed = list(_hypotheses(state, name))
        near = [proposal for proposal in proposed if _is_near(state, name, *proposal)]
        twins = [(twin, Orientation()) for twin in _twins(state, name)]
        for left, orientation in near:
            if _confirmed(state, name, left, orientation):
                return _blame(state, name, left, orientation)
        for proposal in near:
            if proposal in twins:  # its consumer is at fault too
                return _blame(state, name, *proposal)
        for left, orientation in proposed:
            if (left, orientation) not in near and _confirmed(state, name, left, orientation):
                return _blame(state, name, left, orientation)
    for name in open_values:
        twin = next(iter(_twins(state, name)), None)
        if twin is not None:
            return _blame(state, name, twin, _plainest(state, name, twin))
    remaining = [name for name in bad if name not in open_values]  # made by nothing: an input or a constant of B
    return _blame(state, remaining[0], *state.outputs[remaining[0]]) if remaining else None


def _hidden(state: _State) -> tuple[list[Part], int] | None:
    """A difference that these feeds let vanish again (a Relu holds it at zero): an operator that does not make what
    its twin makes of the same values, while its consumers would take the twin's value for their own.
    """
    for step in state.b.steps:
        for name in step.makes if step.index not in state.b.folded else ():
            if name in state.pairs or name not in state.own or name in state.outputs:
                continue
            for twin in _twins(state, name):
                held = state.have[twin]
                alike = isinstance(held, np.ndarray) and held.shape == np.shape(state.own[name])
                if alike and _confirmed(state, name, twin, Orientation()):
                    return _blame(state, name, twin, Orientation())
    return None


def _is_near(state: _State, name: str, left: str, orientation: Orientation) -> bool:
    value = state.own.get(name)
    if not isinstance(value, np.ndarray) or not isinstance(state.have[left], np.ndarray):
        return False
    try:
        return _away(orientation.apply(state.have[left]), value) < _NEAR
    except ValueError:  # shapes that do not fit
        return False


def _movers(state: _State, bad: Sequence[str]) -> list[tuple[str, str]]:
    """Steps that put numbers elsewhere than their twins do, and their twins, behind values aligned in another order.

    What a wrong ``perm`` disorders stays A's value in another order through every operator that does not care, up to
    the one that does.
    """
    found: dict[str, str] = {}
    seen: set[str] = set()
    waiting = list(bad)
    while waiting:
        name = waiting.pop()
        step = state.b.producer.get(name)
        pair = state.pairs.get(name)
        plain = pair is not None and (pair.how == "assumed" or pair.orientation == Orientation())
        if name in seen or step is None or plain or state.b.is_constant(name):
            continue
        seen.add(name)
        waiting += step.reads
        if pair is None and name in state.own and name not in state.outputs:
            mine = _sorted(state.own[name])
            if any(n in state.env and _sorted(state.env[n]) == mine for n in step.reads):
                twin = next(iter(_twins(state, name)), None)
                if twin is not None:
                    found[name] = twin
    return sorted(found.items(), key=lambda item: state.b.producer[item[0]].index)


def _open(state: _State, bad: Sequence[str]) -> list[str]:
    """Values without a counterpart from which an output that is wrong is made, in order."""
    found: set[str] = set()
    waiting = list(bad)
    while waiting:
        name = waiting.pop()
        if name in found or name in state.pairs or name not in state.b.producer:
            continue
        if state.b.is_constant(name) and name not in state.outputs:
            continue
        found.add(name)
        waiting += state.b.producer[name].reads
    return sorted(found, key=lambda name: state.b.producer[name].index)


def _plainest(state: _State, name: str, left: str) -> Orientation:
    value = state.own.get(name)
    if not isinstance(value, np.ndarray) or not isinstance(state.have[left], np.ndarray):
        return Orientation()
    return next(iter(orientations(state.have[left].shape, value.shape)), Orientation())


def _twins(state: _State, name: str) -> Iterator[str]:
    """Values of A that an operator of the same kind makes of the same values."""
    step = state.b.producer[name]
    slot = step.makes.index(name)
    reads = [n for n in step.reads if not state.b.is_constant(n)]
    if not reads or any(n not in state.pairs for n in reads):
        return
    wanted = sorted(_identity(state, state.pairs[n].left) for n in reads)
    taken = {pair.left for pair in state.pairs.values()}
    for other in state.a.steps:
        if other.op != step.op or slot >= len(other.makes) or other.index in state.a.folded:
            continue
        left = other.makes[slot]
        if left in taken or left not in state.have:
            continue
        if sorted(_identity(state, n) for n in other.reads if not state.a.is_constant(n)) == wanted:
            yield left


def _identity(state: _State, left: str) -> bytes:
    """Equal for values of A that hold the same numbers in the same order."""
    value = state.have.get(left)
    if not isinstance(value, np.ndarray):
        return left.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(np.ascontiguousarray(value).tobytes(), digest_size=16).digest()


def _hypotheses(state: _State, name: str) -> Iterator[tuple[str, Orientation]]:
    """What a value of B might have been: twins, what it is near to, what it was made of, what is left of its size."""
    value = state.own.get(name)
    step = state.b.producer[name]
    seen: set[tuple[str, Orientation]] = set()

    def proposals() -> Iterator[tuple[str, Orientation]]:
        for left in _twins(state, name):
            yield left, Orientation()
            yield left, _plainest(state, name, left)
        taken = {pair.left for pair in state.pairs.values()}
        if not isinstance(value, np.ndarray) or value.dtype.kind != "f":
            yield from (
                (s.makes[0], Orientation()) for s in state.a.steps if s.op == step.op and s.makes[0] not in taken
            )
            return
        mean, rms = _marks(value)
        reads = [state.pairs[n] for n in step.reads if n in state.pairs]
        ranked = []
        for left, m, r in state.index.get(value.size, ()):
            away = (abs(m - mean) + abs(r - rms)) / max(r, rms, 1e-300)
            made = state.a.producer.get(left)
            if left not in taken or away < 0.1:
                ranked.append((left in taken, made is None or made.op != step.op, away, left))
        for _, _, _, left in sorted(ranked)[:_CANDIDATES]:
            for orientation in list(orientations(state.have[left].shape, value.shape))[:8]:
                yield left, orientation
        for pair in reads:
            yield pair.left, pair.orientation
        for other in state.a.steps:
            for left in other.makes:
                if other.op == step.op and left not in taken and left in state.have:
                    yield left, Orientation()

    for proposal in proposals():
        if proposal not in seen and proposal[0] in state.have:
            seen.add(proposal)
            yield proposal


def _confirmed(state: _State, name: str, left: str, orientation: Orientation) -> bool:
    """Whether B's consumers make A's values again when A's value takes the place of a value of B."""
    try:
        held = {name: orientation.apply(state.have[left])}
    except ValueError:
        return False
    marks = _sorted(state.have[left])
    below = {n for n in _below(state.a, left) if n not in state.have or _sorted(state.have[n]) != marks}
    layer = {name}
    for _ in range(_DEPTH):
        steps = {s.index: s for n in layer for s in state.b.consumers.get(n, ()) if s.index not in state.b.folded}
        layer = set()
        for index in sorted(steps):
            step = steps[index]
            if not all(n in held or n in state.env for n in step.reads):
                continue
            try:
                made = state.b.run(step, {**{n: state.env[n] for n in step.reads if n in state.env}, **held})
            except Exception:  # a value of another shape than this node can take is no answer
                return False
            for output, value in made.items():
                if _is_one_of(state, output, value, below):
                    return True
                held[output] = value
                layer.add(output)
    return False


def _sorted(value: Any) -> bytes:
    """Equal for values that hold the same numbers in any order and shape: what moving data leaves as it is."""
    if not isinstance(value, np.ndarray):
        return b""
    return hashlib.blake2b(np.sort(value.reshape(-1)).tobytes(), digest_size=16).digest()


def _below(graph: Graph, left: str) -> set[str]:
    found = {left}
    for step in graph.steps:
        if step.index not in graph.folded and found.intersection(step.reads):
            found.update(step.makes)
    return found


def _is_one_of(state: _State, output: str, value: Array, among: set[str]) -> bool:
    if not isinstance(value, np.ndarray) or value.size == 0 or (value.size > 1 and np.all(value == value.flat[0])):
        return False
    if output in state.outputs:
        among = among & {state.outputs[output][0]}
    for left, *_ in state.index.get(value.size, ()):
        if left not in among:
            continue
        held = state.have[left]
        if held.dtype.kind == value.dtype.kind and any(
            _away(way.apply(held), value) <= _LIKE for way in orientations(held.shape, value.shape)
        ):
            return True
    return False


def _blame(state: _State, name: str, left: str, orientation: Orientation) -> tuple[list[Part], int]:
    """Which nodes of the region that ends in ``name`` are guilty; every value that this settles is assumed from now on.

    Where the region has A's operators one by one, each is judged on A's values alone; otherwise it is guilty as a
    whole, under the name of its last node.
    """
    steps, _ = _region(state.b, name, state.pairs)
    if not steps:
        judged = judge(state, name, left, orientation) if name in state.own else Judged(np.inf)
        state.pairs[name] = Pair(left, name, orientation, "assumed")
        return [Part(name, "", name, left, judged.ratio, judged.max_abs, (), ())], len(state.b.steps)
    taken = {pair.left for right, pair in state.pairs.items() if right != name} - {left}
    others, _ = _region(state.a, left, taken)
    first = steps[0].index
    if sorted(s.op for s in steps) == sorted(s.op for s in others) and len(steps) > 1:
        parts = _one_by_one(state, steps, name, left, orientation)
        if parts:
            return parts, first
    near = _first_near(state, steps)
    if near is not None:
        return near, first
    state.forced[name] = (left, orientation)
    judged = judge(state, name, left, orientation)
    if judged.ratio <= 1:  # apart from the designated value only in what it was compared to
        return [], first
    unknown = next((state.unsupported[s.name] for s in steps if s.name in state.unsupported), None)
    if unknown is not None and judged.max_abs is None:
        state.unjudged[name] = unknown
        return [], first
    last = _inside(state, steps[-1])
    part = Part(
        last.name,
        last.op,
        name if last is steps[-1] else last.makes[0],
        left,
        judged.ratio,
        judged.max_abs,
        tuple(s.name for s in steps),
        tuple(s.name for s in others),
        judged.index,
        judged.values,
        judged.problem or _error_in(state, steps),
    )
    return [part], first


def _first_near(state: _State, steps: Sequence[Step]) -> list[Part] | None:
    """The first step of a region, but the last, that makes nearly, and not quite, what its twin makes."""
    for step in steps[:-1]:
        for output in step.makes:
            for twin in _twins(state, output):
                value, due = state.own.get(output), state.have[twin]
                if not isinstance(value, np.ndarray) or not isinstance(due, np.ndarray) or value.shape != due.shape or not 0 < _away(due, value) < _NEAR:
                    continue
                judged = judge(state, output, twin, Orientation())
                if judged.ratio > 1:
                    state.forced[output] = (twin, Orientation())
                    guilty = _inside(state, step)
                    made = output if guilty is step else guilty.makes[0]
                    against = (state.a.producer[twin].name,)
                    where = judged.index, judged.values, judged.problem
                    return [
                        Part(
                            guilty.name,
                            guilty.op,
                            made,
                            twin,
                            judged.ratio,
                            judged.max_abs,
                            (guilty.name,),
                            against,
                            *where,
                        )
                    ]
    return None


def _inside(state: _State, step: Step) -> Step:
    """The guilty step behind a guilty step: where an operand of it is computed of constants (a shape, a turned weight),
    the first step there that makes of A's constants what is no constant of A's.
    """
    chain: dict[int, Step] = {}
    waiting = [n for n in step.reads if state.b.is_constant(n)]
    while waiting:
        above = state.b.producer.get(waiting.pop())
        if above is not None and above.index not in chain:
            chain[above.index] = above
            waiting += [n for n in above.reads if state.b.is_constant(n)]
    if not chain:
        return step
    known = {_exact(state.have[n]) for n in (*state.a.constants, *_folded_values(state.a)) if n in state.have}
    due: dict[tuple[str, ...], set[bytes]] = {}
    for other in state.a.steps:
        if other.index in state.a.folded and all(n in state.have for n in (*other.reads, *other.makes)):
            key = (other.op, *(_exact(state.have[n]).hex() for n in other.reads))
            due.setdefault(key, set()).update(_exact(state.have[n]) for n in other.makes)
    for index in sorted(chain):
        above = chain[index]
        fed = all(
            _exact(state.env[n]) in known if state.b.is_constant(n) else n in state.pairs
            for n in above.reads
            if n in state.env
        )
        if not fed or above.op == "Constant" or not all(n in state.env for n in (*above.reads, *above.makes)):
            continue
        made = {_exact(state.env[n]) for n in above.makes}
        if not made <= due.get((above.op, *(_exact(state.env[n]).hex() for n in above.reads)), known):
            return above
    return step


def _folded_values(graph: Graph) -> Iterator[str]:
    for step in graph.steps:
        if step.index in graph.folded:
            yield from step.makes


def _exact(value: Any) -> bytes:
    if not isinstance(value, np.ndarray):
        return b""
    about = f"{value.dtype}{value.shape}".encode()
    return hashlib.blake2b(about + np.ascontiguousarray(value).tobytes(), digest_size=16).digest()


def _error_in(state: _State, steps: Sequence[Step]) -> str | None:
    return next((state.errors[s.name] for s in steps if s.name in state.errors), None)


def _one_by_one(state: _State, steps: Sequence[Step], name: str, left: str, orientation: Orientation) -> list[Part]:
    """Judge each step of a region on the values of its twin; nothing where one has no twin."""
    before = dict(state.forced), dict(state.pairs), dict(state.env), dict(state.own)
    parts = []
    for step in steps:
        made: Mapping[str, Array] = {}
        problem = None
        if all(n in state.env for n in step.reads):
            try:
                made = state.b.run(step, state.env)
            except Exception as error:  # as in evaluate
                problem = _one_line(error)
        for output in step.makes:
            state.own.pop(output, None)
            if output in made:
                state.own[output] = made[output]
            twin = left if output == name else next(iter(_twins(state, output)), None)
            if twin is None:
                state.forced, state.pairs, state.env, state.own = before
                return []
            way = orientation if output == name else _plainest(state, output, twin)
            judged = judge(state, output, twin, way)
            state.forced[output] = (twin, way)
            state.env[output] = way.apply(state.have[twin])
            state.pairs[output] = Pair(twin, output, way, "assumed")
            if judged.ratio > 1:
                against = (state.a.producer[twin].name,) if twin in state.a.producer else ()
                guilty = _inside(state, step)
                parts.append(
                    Part(
                        guilty.name,
                        guilty.op,
                        output if guilty is step else guilty.makes[0],
                        twin,
                        judged.ratio,
                        judged.max_abs,
                        (guilty.name,),
                        against,
                        judged.index,
                        judged.values,
                        judged.problem or problem,
                    )
                )
    return parts


def _one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
