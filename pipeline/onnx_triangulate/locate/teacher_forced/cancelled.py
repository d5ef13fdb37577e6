"""Whether the differences inside B are cancelled before any output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from onnx_triangulate.locate.teacher_forced.bound import away, jumps
from onnx_triangulate.locate.teacher_forced.reference import evaluate
from onnx_triangulate.locate.teacher_forced.state import AlignmentState, below
from onnx_triangulate.numerics.float64_evaluation import Graph
from onnx_triangulate.numerics.perturbation import signs
from onnx_triangulate.onnxgraph.dataflow import Orientation
from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.faults import Fault

_ROUNDED = 2.0**-46  # some of float64's roundings

_CANCELLED = 1e-10  # of what a faulty value is off by, each of its own size: float64's roundings leave less


def is_cancelled(state: AlignmentState, faults: Sequence[Fault]) -> bool:
    """Whether nothing of what each fault adds is left in any output that B makes of its own values.

    What jumps behind it (a class, a comparison) hides small things from nearly all feeds, and undoes nothing.
    """
    b, have = state.b, state.have
    sizes = [_apart_by(fault) for fault in faults]
    if not all(sizes) or any(left not in have for left, _ in (*state.inputs.values(), *state.outputs.values())):
        return False
    values, errors = evaluate(b, {name: way.apply(have[left]) for name, (left, way) in state.inputs.items()})
    if errors or any(name not in values for name in state.outputs):
        return False
    if any(jumps(step, values) for step in below(b, [fault.output for fault in faults])):
        return False
    left_over = [_left_over(have[left], way, values[name]) for name, (left, way) in state.outputs.items()]
    if max(left_over) > _CANCELLED * min(sizes):
        return False
    return all(_however_far(state, values, fault) for fault in faults)


def _however_far(state: AlignmentState, values: Mapping[str, Array], fault: Fault) -> bool:
    """Whether no output answers when a faulty value is moved on, far along what it is off by: a saturated Sigmoid and a
    Relu at zero do, for they hide a difference and undo none."""
    due, own = state.have.get(fault.counterpart or ""), values.get(fault.output)
    if not isinstance(due, np.ndarray) or not isinstance(own, np.ndarray) or due.shape != own.shape:
        return False
    off = own - due
    largest = float(np.abs(off).max(initial=0.0))
    if not np.isfinite(largest) or not largest or not np.isfinite(due).all():
        return False
    far = max(30.0, 4 * float(np.abs(due).max()) / largest)
    turns = signs(np.random.default_rng(0), due.shape, draw=np.int64)
    return all(_same_outputs(state, values, fault, due + way * off, turns) for way in (-far, -30.0, 30.0, far))


def _same_outputs(
    state: AlignmentState, values: Mapping[str, Array], fault: Fault, placed: Array, turns: Array
) -> bool:
    """Whether B's outputs are A's with another number in a faulty value's place, but for the rounding of that."""
    try:
        moved, beside = (
            _behind(state.b, values, fault.output, value) for value in (placed, placed * (1 + _ROUNDED * turns))
        )
    except Exception:  # an operator's numpy raises whatever numpy raises
        return False
    return all(
        _left_over(state.have[left], to, moved[name]) <= _CANCELLED
        or _is_rounding(to.apply(state.have[left]), moved[name], beside[name])
        for name, (left, to) in state.outputs.items()
    )


def _behind(b: Graph, values: Mapping[str, Array], name: str, value: Array) -> dict[str, Array]:
    """B's values with another in one place."""
    held = {**values, name: value}
    for step in below(b, [name]):
        held |= b.run(step, held)
    return held


def _is_rounding(due: Array, made: Array, beside: Array) -> bool:
    """Whether an output is off by no more than a few roundings of the value that was moved make of it."""
    if due.dtype.kind != "f" or due.shape != made.shape:
        return False
    with np.errstate(all="ignore"):
        return bool(np.abs(made - due).max(initial=0.0) <= np.abs(beside - made).max(initial=0.0))


def _apart_by(part: Fault) -> float:
    """How far a faulty value is from A's, of what it is; 0 where that is no number."""
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
    return away(due, made, float(np.abs(due[np.isfinite(due)]).max(initial=0.0)) if due.dtype.kind == "f" else 0.0)
