"""Judge graph B by graph A in float64, node by node, with A's values as inputs (teacher forcing).

Design note.  The *reference* A is evaluated once.  The nodes of B are visited in topological order, and each value of B
is *aligned* with a value of A where that is possible:

* **by structure**: B computes the same function of aligned values as A does.  Equal hashes prove that; nothing is
  evaluated.
* **by numbers**: B's node is evaluated on A's values, and the result equals a value of A within the bound, up to the
  order of axes.

An aligned value of B is replaced by A's, so a node is always judged on correct inputs and no error is inherited.  The
nodes between aligned values form a *region*.  A fused or decomposed operator has intermediate values that A lacks; its
region is healthy if the values that leave it are A's.

Where an output of B is not A's, the unaligned values upstream of it are *candidates*: the first one that, replaced by a
value of A, makes its consumers produce A's values again is where the graphs realign.  The region before it is faulty.
The search then continues behind it, so all faults are found and not only the first.

Alignment by numbers may be a coincidence: exp(x) - 1 equals x for tiny x.  So where a faulty region reads such a value,
B is visited again without that alignment, and if no fault remains there is none.

A difference may be cancelled before any output: padding that is cropped again, a bias that a normalization removes.  So
where faults were found, B is also evaluated on its own values.  If its outputs then equal A's to almost all digits, the
faults are ``cancelled``: they are reported, and other feeds decide whether they reach an output.

The bound.  In float64 two graphs with one meaning differ by float64's own roundings, by constants that a rewriting
computed in float32 (a folded weight), and by Python scalars that either file stores in float32.  Each is measured as a
response to moving numbers by one rounding (``numerics.perturbation``), on both sides.  For float64's roundings the
inputs and constants of the region are moved, and the response counts once for each rounding on the graphs' longest
path.  For the others, the constants and float attributes are moved that one region has and the other has not; that
response counts ``FOLDED`` times for each node that one region has more than the other (gamma_6 of Higham's section 3.1
for the six operations of a folded BatchNormalization, the longest formula that is folded).  Where all constants of a
region occur on the other side, only the first term is left: about 1e-13, not 1e-7.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from onnx_triangulate.diff.operators import COMMUTATIVE
from onnx_triangulate.locate.teacher_forced.alignment import advance, fold
from onnx_triangulate.locate.teacher_forced.cancelled import is_cancelled
from onnx_triangulate.locate.teacher_forced.faulty_regions import blame
from onnx_triangulate.locate.teacher_forced.probes import SILENT, exercised, rounded, unseen
from onnx_triangulate.locate.teacher_forced.realignment import hidden, resume
from onnx_triangulate.locate.teacher_forced.reference import Reference, SpillStore, evaluate, evaluate_reference
from onnx_triangulate.locate.teacher_forced.state import AlignmentState, Judgement, TeacherForcedResult, Ways
from onnx_triangulate.numerics.compare import same_values
from onnx_triangulate.numerics.float64_evaluation import Graph
from onnx_triangulate.onnxgraph.dataflow import Alignment, Namer, Pair
from onnx_triangulate.records.faults import Fault

_AGAIN = 3


def compare_graphs(
    known: Reference,
    b: Graph,
    inputs: Ways,
    outputs: Ways,
    *,
    roundings: int,
    watched: Iterable[tuple[str, str]] = (),
) -> TeacherForcedResult:
    """Judge B by A, which :func:`evaluate_reference` evaluated.

    ``inputs`` and ``outputs`` give for each of B's inputs and outputs A's and the way to turn it.  ``roundings`` is how
    many lie on both graphs' longest paths together.  ``watched`` are pairs of values that no other feed told apart.
    """
    pairs = tuple(watched)

    def walked(never: frozenset[str]) -> TeacherForcedResult:
        """One walk of B; no number makes the values ``never`` A's."""
        state = _started(known, b, inputs, outputs, roundings, never)
        return _result(state, _searched(state), pairs)

    found = first = walked(frozenset())
    never: frozenset[str] = frozenset()
    for _ in range(_AGAIN):
        if not found.faults or not (chance := _by_chance(found, b) - never):
            break
        never |= chance
        found = walked(never)
    return first if found.faults else found


def _by_chance(found: TeacherForcedResult, b: Graph) -> frozenset[str]:
    """The values of B that a faulty region reads and that are A's by their numbers alone."""
    faulty = {node for fault in found.faults for node in (fault.node, *fault.nodes)}
    reads = {name for step in b.steps if step.name in faulty for name in step.reads}
    return frozenset(pair.right for pair in found.alignment.pairs if pair.how == "numbers" and pair.right in reads)


def _started(
    known: Reference, b: Graph, inputs: Ways, outputs: Ways, roundings: int, never: frozenset[str]
) -> AlignmentState:
    """A's inputs in the place of B's, and what no data reaches evaluated."""
    state = AlignmentState(known, b, inputs, outputs, roundings, Namer(b.version, COMMUTATIVE), never=never)
    state.env |= b.constants
    state.classes |= {name: state.namer.of_constant(value) for name, value in b.constants.items()}
    for name, (left, orientation) in inputs.items():
        if left in known.values:
            state.env[name] = orientation.apply(known.values[left])
            state.join(Pair(left, name, orientation, "border"))
    fold(state)
    return state


def _searched(state: AlignmentState) -> list[Fault]:
    """Every fault of B: align up to a value that must be another, say what makes it so, and go on from there."""
    faults: list[Fault] = []
    start = 0
    for _ in range(len(state.b.steps) + 1):
        found = advance(state, start)
        if found is None:
            bad = [n for n, (left, _) in state.outputs.items() if n not in state.pairs and left in state.have]
            found = resume(state, bad) if bad else hidden(state)
        if found is None:
            break
        parts, start = blame(state, found)
        faults += parts
    return faults


def _result(
    state: AlignmentState, faults: Sequence[Fault], watched: Collection[tuple[str, str]]
) -> TeacherForcedResult:
    """What a walk came to."""
    b = state.b
    unjudged = _unjudged(state)
    cancelled = bool(faults) and not unjudged and is_cancelled(state, faults)
    unshown = {} if faults and not cancelled else unseen(state)
    told = () if faults or unjudged else (pair for pair in watched if exercised(state, pair))
    judged = (name for name, (left, _) in state.outputs.items() if left in state.have and name in state.own)
    healthy = (r for n, r in state.ratios.items() if state.pairs[n].how != "assumed" and r <= 1)
    return TeacherForcedResult(
        _alignment(state),
        tuple(replace(fault, output=b.aliases.get(fault.output, fault.output)) for fault in merged(faults, b)),
        sum(np.size(state.own[name]) for name in judged),
        max(healthy, default=0.0),
        (*unjudged, *unshown),
        state.known.held + _own_bytes(state),
        unshown,
        frozenset(told),
        state.ends,
        {} if faults else rounded(state),
        cancelled,
    )


def _unjudged(state: AlignmentState) -> list[str]:
    """What could not be judged, in words."""
    known, b = state.known, state.b
    lacking = [name for name, (left, _) in state.outputs.items() if left not in known.values]
    return [
        *(f"{name}: A's value could not be had in float64" for name in lacking),
        *(f"{name} of A: {why}" for name, why in known.errors.items()),
        *(f"{b.aliases.get(name, name)} of B: {why}" for name, why in state.unjudged.items()),
    ]


def _alignment(state: AlignmentState) -> Alignment:
    """The values of B that are A's, in B's order, and those of either side alone."""
    values = [n for step in state.b.steps for n in step.makes if not state.b.is_constant(n)]
    order = {name: i for i, name in enumerate([*state.b.inputs, *values])}
    pairs = sorted((pair for n, pair in state.pairs.items() if n in order), key=lambda pair: order[pair.right])
    only_left = [n for n in state.known.data if n not in state.uses and not twice(state, n)]
    return Alignment(tuple(pairs), tuple(only_left), tuple(n for n in values if n not in state.pairs))


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
    "Ways",
    "compare_graphs",
    "evaluate",
    "evaluate_reference",
]
