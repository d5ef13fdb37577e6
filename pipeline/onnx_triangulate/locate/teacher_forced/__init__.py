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

from onnx_triangulate.diff.operators import COMMUTATIVE
from onnx_triangulate.locate.teacher_forced.alignment import advance, fold
from onnx_triangulate.locate.teacher_forced.faulty_regions import blame
from onnx_triangulate.locate.teacher_forced.realignment import hidden, resume
from onnx_triangulate.locate.teacher_forced.reference import Reference, SpillStore, evaluate, evaluate_reference
from onnx_triangulate.locate.teacher_forced.state import AlignmentState, Judgement, TeacherForcedResult
from onnx_triangulate.locate.teacher_forced.undone import _undone
from onnx_triangulate.locate.teacher_forced.unexercised import SILENT, exercised, rounded, unseen
from onnx_triangulate.numerics.compare import same_values
from onnx_triangulate.numerics.evaluate import Graph
from onnx_triangulate.onnxgraph.dataflow import Alignment, Namer, Orientation, Pair
from onnx_triangulate.records.faults import Fault

_AGAIN = 3


def compare_graphs(
    known: Reference,
    b: Graph,
    inputs: Mapping[str, tuple[str, Orientation]],
    outputs: Mapping[str, tuple[str, Orientation]],
    *,
    roundings: int,
    watched: Iterable[tuple[str, str]] = (),
) -> TeacherForcedResult:
    """Judge B by A, which :func:`evaluate_reference` evaluated.

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


def _by_chance(found: TeacherForcedResult, b: Graph) -> frozenset[str]:
    """The values of B that a faults region reads and that are A's by their numbers alone."""
    faults = {node for part in found.faults for node in (part.node, *part.nodes)}
    reads = {name for step in b.steps if step.name in faults for name in step.reads}
    return frozenset(pair.right for pair in found.alignment.pairs if pair.how == "numbers" and pair.right in reads)


def _walked(
    known: Reference,
    b: Graph,
    inputs: Mapping[str, tuple[str, Orientation]],
    outputs: Mapping[str, tuple[str, Orientation]],
    roundings: int,
    watched: Sequence[tuple[str, str]],
    never: frozenset[str],
) -> TeacherForcedResult:
    """One walk of B; no number makes the values ``never`` A's."""
    have = known.values
    state = AlignmentState(known, b, outputs, roundings, Namer(b.version, COMMUTATIVE), never=never)
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
    return TeacherForcedResult(
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


def _own_bytes(state: AlignmentState) -> int:
    """The bytes of B's values that are not A's very arrays."""
    shared = {id(value) for value in (*state.have.values(), *state.b.constants.values())}
    own = {id(v): getattr(v, "nbytes", 0) for v in (*state.env.values(), *state.own.values()) if id(v) not in shared}
    return sum(own.values())


def twice(state: AlignmentState, name: str) -> bool:
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


__all__ = [
    "SILENT",
    "Judgement",
    "Reference",
    "SpillStore",
    "TeacherForcedResult",
    "compare_graphs",
    "evaluate",
    "evaluate_reference",
]
