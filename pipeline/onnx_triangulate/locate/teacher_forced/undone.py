"""Whether what parts inside of B is undone again before any output is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from onnx_triangulate.locate.teacher_forced.bound import jumps
from onnx_triangulate.locate.teacher_forced.reference import Reference, evaluate
from onnx_triangulate.numerics.compare import same_values
from onnx_triangulate.numerics.evaluate import Graph
from onnx_triangulate.numerics.perturbation import signs
from onnx_triangulate.onnxgraph.dataflow import Orientation
from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.faults import Fault

_ROUNDED = 2.0**-46  # some of float64's roundings

_UNDONE = 1e-10  # of what a faults value is off by, each of its own size: float64's roundings leave less


def _undone(
    known: Reference,
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
    known: Reference,
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
