"""Two graphs that should mean the same, in float64: every value of B made of A's values, and judged where it is.

Design note.  A is evaluated once.  B is walked node by node.  What is the same function of A's values as some value of
A is that value, by structure: nothing is evaluated.  What is not is evaluated on A's values, and where some value of A
is that (up to the order of its axes, within the bound) it takes its place, so that nothing is inherited.  What lies
between aligned values is a region: a fused or decomposed operator has values of its own inside, and is healthy if what
comes out of it is A's.  Where an output of B is not A's, the values on the way to it that are nobody's are looked at in
order: the first that, replaced by a value of A, lets its consumers make A's values again is where the graphs meet
again, and what lies before it is faults.  Then the search goes on from there, so every fault is found, not the first.

A value may be A's by its numbers alone, and by chance: exp(x) - 1 of tiny numbers is x as well.  So where a region that
reads such a value is faults, B is walked again with its own value there, and if nothing is faults then, nothing is.

What parts inside may be undone before any output is made: a filler that is cropped away, a bias that a normalization
takes off again.  So where something is faults, B is evaluated once more on its own values; if its outputs are A's
there, not within a bound but as good as exactly, the faults are ``asleep``: they are named, and whether they ever wake
is for other feeds to say.

The bound.  In float64 two graphs of one meaning part by three things: float64's own roundings; constants that a
rewriting computed in float32 (a folded weight); and Python scalars that either side holds in float32.  All are
responses to moving something by one rounding: the region's inputs and constants for the first, for the others the
constants and float attributes that one side's region has and the other's has not.  The responses are measured, with
random signs, on both sides; the first counts as often as roundings lie on the graphs' longest path, the others
``FOLDED`` times for each node that one region has more than the other, because it was folded away (gamma_6, the count
of BatchNormalization, the longest formula that is folded).  A region whose constants are all found on the other side
has only the first: 1e-13, not 1e-7.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from onnx_triangulate.locate.teacher_forced._aligning import advance, fold
from onnx_triangulate.locate.teacher_forced._blaming import blame
from onnx_triangulate.locate.teacher_forced._judging import jumps
from onnx_triangulate.locate.teacher_forced._searching import hidden, resume
from onnx_triangulate.locate.teacher_forced._state import (
    Forced,
    Judged,
    Known,
    Shelf,
    State,
    evaluate,
    know,
)
from onnx_triangulate.locate.teacher_forced._unseen import SILENT, exercised, rounded, unseen
from onnx_triangulate.numerics.compare import same_values
from onnx_triangulate.numerics.evaluate import Graph
from onnx_triangulate.numerics.perturbation import signs
from onnx_triangulate.onnxgraph.dataflow import Alignment, Namer, Orientation, Pair
from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.faults import Fault

_AGAIN = 3
_ROUNDED = 2.0**-46  # some of float64's roundings
_UNDONE = 1e-10  # of what a faults value is off by, each of its own size: float64's roundings leave less


def compare_graphs(
    known: Known,
    b: Graph,
    inputs: Mapping[str, tuple[str, Orientation]],
    outputs: Mapping[str, tuple[str, Orientation]],
    *,
    roundings: int,
    watched: Iterable[tuple[str, str]] = (),
) -> Forced:
    """Judge B by A, which :func:`know` evaluated.

    ``inputs`` and ``outputs`` give for each of B's border values A's and the way to turn it.  ``roundings`` is how many
    lie on both graphs' longest paths together.  ``watched`` are pairs of values that other feeds did not tell apart.
    """
    found = first = _walked(known, b, inputs, outputs, roundings, tuple(watched), frozenset())
    never: frozenset[str] = frozenset()
    for _ in range(_AGAIN):
        if not found.faults or not (chance := _by_chance(found, b) - never):
            break
        never |= chance
        found = _walked(known, b, inputs, outputs, roundings, tuple(watched), never)
    return first if found.faults else found


def _by_chance(found: Forced, b: Graph) -> frozenset[str]:
    """The values of B that a faults region reads and that are A's by their numbers alone."""
    faults = {node for part in found.faults for node in (part.node, *part.nodes)}
    reads = {name for step in b.steps if step.name in faults for name in step.reads}
    return frozenset(pair.right for pair in found.alignment.pairs if pair.how == "numbers" and pair.right in reads)


def _walked(
    known: Known,
    b: Graph,
    inputs: Mapping[str, tuple[str, Orientation]],
    outputs: Mapping[str, tuple[str, Orientation]],
    roundings: int,
    watched: Sequence[tuple[str, str]],
    never: frozenset[str],
) -> Forced:
    """One walk of B; no number makes the values ``never`` A's."""
    have = known.values
    state = State(known, b, outputs, roundings, Namer(b.version), never=never)
    state.env |= b.constants
    state.classes |= {name: state.namer.of_constant(value) for name, value in b.constants.items()}
    for name, (left, orientation) in inputs.items():
        if left in have:
            state.env[name] = orientation.apply(have[left])
            state.join(Pair(left, name, orientation, "border"))
    fold(state)
    faults: list[Fault] = []
    start = 0
    for _ in range(len(b.steps) + 1):
        found = advance(state, start)
        bad = [name for name in outputs if name not in state.pairs and outputs[name][0] in have]
        if found is None:
            found = resume(state, bad) if bad else hidden(state)
        if found is None:
            break
        parts, start = blame(state, found)
        faults += parts
    unjudged = [
        f"{name}: A's value could not be had in float64" for name, (left, _) in outputs.items() if left not in have
    ]
    unjudged += [f"{name} of A: {why}" for name, why in known.errors.items()]
    unjudged += [f"{b.aliases.get(name, name)} of B: {why}" for name, why in state.unjudged.items()]
    asleep = bool(faults) and not unjudged and _undone(known, b, inputs, outputs, faults)
    silent = {} if faults and not asleep else unseen(state)
    told = frozenset() if faults or unjudged else frozenset(pair for pair in watched if exercised(state, pair))
    unjudged += silent
    judged = [name for name, (left, _) in outputs.items() if left in have and name in state.own]
    values_b = [n for s in b.steps for n in s.makes if not b.is_constant(n)]
    order = {name: i for i, name in enumerate([*b.inputs, *values_b])}
    pairs = sorted((p for n, p in state.pairs.items() if n in order), key=lambda p: order[p.right])
    return Forced(
        Alignment(
            tuple(pairs),
            tuple(n for n in known.data if n not in state.uses and not twice(state, n)),
            tuple(n for n in values_b if n not in state.pairs),
        ),
        tuple(replace(part, output=b.aliases.get(part.output, part.output)) for part in merged(faults, b)),
        sum(np.size(state.own[name]) for name in judged),
        max((r for n, r in state.ratios.items() if state.pairs[n].how != "assumed" and r <= 1), default=0.0),
        tuple(unjudged),
        known.held + _own_bytes(state),
        silent,
        told,
        state.ends,
        {} if faults else rounded(state),
        asleep,
    )


def _undone(
    known: Known,
    b: Graph,
    inputs: Mapping[str, tuple[str, Orientation]],
    outputs: Mapping[str, tuple[str, Orientation]],
    faults: Sequence[Fault],
) -> bool:
    """Whether nothing of what each faults part adds is left in any output that B makes of its own values.

    What jumps behind it (a class, a comparison) hides small things from nearly all feeds, and undoes nothing.
    """
    sizes = [_apart_by(part) for part in faults]
    if not all(sizes) or any(left not in known.values for left, _ in (*inputs.values(), *outputs.values())):
        return False
    values, errors = evaluate(b, {name: way.apply(known.values[left]) for name, (left, way) in inputs.items()})
    if errors or any(name not in values for name in outputs):
        return False
    behind = {part.output for part in faults}
    for step in b.steps:
        if behind.intersection(step.reads):
            behind.update(step.makes)
            if jumps(step, values):
                return False
    left_over = [_left_over(known.values[left], way, values[name]) for name, (left, way) in outputs.items()]
    if max(left_over) > _UNDONE * min(sizes):
        return False
    return all(_undone_however_far(known, b, outputs, values, part) for part in faults)


def _undone_however_far(
    known: Known,
    b: Graph,
    outputs: Mapping[str, tuple[str, Orientation]],
    values: Mapping[str, Array],
    part: Fault,
) -> bool:
    """Whether no output answers when a faults value is moved on, far along what it is off by: a saturated Sigmoid and a
    Relu at zero do, for they hide a difference and undo none."""
    due, own = known.values.get(part.counterpart or ""), values.get(part.output)
    if not isinstance(due, np.ndarray) or not isinstance(own, np.ndarray) or due.shape != own.shape:
        return False
    off = own - due
    largest = float(np.abs(off).max(initial=0.0))
    if not np.isfinite(largest) or not largest or not np.isfinite(due).all():
        return False
    far = max(30.0, 4 * float(np.abs(due).max()) / largest)
    turns = signs(np.random.default_rng(0), due.shape, draw=np.int64)
    for way in (-far, -30.0, 30.0, far):
        placed = due + way * off
        try:
            moved, beside = (
                _behind(b, values, part.output, value) for value in (placed, placed * (1 + _ROUNDED * turns))
            )
        except Exception:  # an operator's numpy raises whatever numpy raises
            return False
        for name, (left, to) in outputs.items():
            if _left_over(known.values[left], to, moved[name]) > _UNDONE and not _is_rounding(
                to.apply(known.values[left]), moved[name], beside[name]
            ):
                return False
    return True


def _behind(b: Graph, values: Mapping[str, Array], name: str, value: Array) -> dict[str, Array]:
    """B's values with another in one place."""
    held, moved = {**values, name: value}, {name}
    for step in b.steps:
        if moved.intersection(step.reads):
            held |= b.run(step, held)
            moved.update(step.makes)
    return held


def _is_rounding(due: Array, made: Array, beside: Array) -> bool:
    """Whether an output is off by no more than a few roundings of the value that was moved make of it."""
    if due.dtype.kind != "f" or due.shape != made.shape:
        return False
    with np.errstate(all="ignore"):
        return bool(np.abs(made - due).max(initial=0.0) <= np.abs(beside - made).max(initial=0.0))


def _apart_by(part: Fault) -> float:
    """How far a faults value is from A's, of what it is; 0 where that is no number."""
    if part.problem is not None or part.expected is None or part.actual is None:
        return 0.0
    largest, apart = max(abs(part.expected), abs(part.actual)), part.introduced
    return apart / largest if largest and apart is not None and np.isfinite(apart) else 0.0


def _left_over(due: Any, way: Orientation, made: Any) -> float:
    """How far an output is from A's, of its largest number; infinite where that is no question of how far."""
    if not isinstance(due, np.ndarray) or not isinstance(made, np.ndarray):
        return np.inf
    try:
        due = way.apply(due)
    except ValueError:
        return np.inf
    if due.shape != made.shape or due.dtype != made.dtype:
        return np.inf
    if due.dtype.kind != "f":
        return 0.0 if same_values(due, made) else np.inf
    with np.errstate(all="ignore"):
        same = (due == made) | (np.isnan(due) & np.isnan(made))
        if same.all():
            return 0.0
        if not np.isfinite(due[~same]).all() or not np.isfinite(made[~same]).all():
            return np.inf
        largest = float(np.abs(due[np.isfinite(due)]).max(initial=0.0))
        return float(np.abs(due[~same] - made[~same]).max() / largest) if largest else np.inf


def _own_bytes(state: State) -> int:
    """The bytes of B's values that are not A's very arrays."""
    shared = {id(value) for value in (*state.have.values(), *state.b.constants.values())}
    own = {id(v): getattr(v, "nbytes", 0) for v in (*state.env.values(), *state.own.values()) if id(v) not in shared}
    return sum(own.values())


def twice(state: State, name: str) -> bool:
    """Whether a value of A is also there under a name that was aligned."""
    value: Any = state.have[name]
    if not isinstance(value, np.ndarray):
        return False
    return any(
        other in state.uses and same_values(state.have[other].reshape(-1), value.reshape(-1))
        for other, *_ in state.known.index.get(value.size, ())
    )


def merged(faults: Sequence[Fault], graph: Graph) -> Iterator[Fault]:
    """One part per node, the worst, in B's order."""
    best: dict[str, Fault] = {}
    for part in faults:
        if part.node not in best or best[part.node].severity < part.severity:
            best[part.node] = part
    order = {step.name: step.index for step in graph.steps}
    yield from sorted(best.values(), key=lambda part: order.get(part.node, len(order)))


__all__ = ["SILENT", "Forced", "Judged", "Known", "Shelf", "compare_graphs", "evaluate", "know"]
