"""How far a value of B may be from its counterpart, and how far it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx

from onnx_triangulate.locate.teacher_forced.reference import exact_digest
from onnx_triangulate.locate.teacher_forced.state import AlignmentState, GraphSide, Judgement
from onnx_triangulate.numerics.compare import equal_elements, same_values
from onnx_triangulate.numerics.float64_evaluation import Step
from onnx_triangulate.numerics.perturbation import STEPS, UNIT, distance, neighbour, signs
from onnx_triangulate.numerics.perturbation import moved as moved_by_rounding
from onnx_triangulate.onnxgraph.dataflow import Orientation
from onnx_triangulate.ops.bounds import unit_roundoff
from onnx_triangulate.records.arrays import Array

FOLDED = 6
JITTERS = 4
_FAR, _NONE = 8, 2.0**-40  # roundings of float32; what float64's own may do


def judge(state: AlignmentState, name: str, left: str, orientation: Orientation) -> Judgement:
    """The own value of B at ``name`` against A's at ``left``."""
    held: Any = state.have[left]
    value: Any = state.own.get(name)
    if isinstance(held, list) and isinstance(value, list):
        alike = len(held) == len(value) and all(
            exact_digest(a) == exact_digest(b) for a, b in zip(held, value, strict=True)
        )
        return Judgement(0.0, 0.0) if alike else Judgement(np.inf, problem="its sequence holds other arrays")
    if not isinstance(value, np.ndarray) or not isinstance(held, np.ndarray):
        return Judgement(np.inf, problem="it could not be evaluated on A's values")
    try:
        turned = orientation.apply(held)
    except ValueError:
        return Judgement(np.inf, problem=f"has shape {value.shape} where A has {held.shape}")
    if turned.shape != value.shape:
        return Judgement(np.inf, problem=f"has shape {value.shape} where A has {turned.shape}")
    if turned.dtype != value.dtype:
        return Judgement(np.inf, problem=f"is {value.dtype} where A has {turned.dtype}")
    if value.dtype.kind not in "fc":
        if same_values(turned, value):
            return Judgement(0.0, 0.0)
        where = tuple(int(i) for i in np.argwhere(turned != value)[0])
        return Judgement(np.inf, None, where, problem=f"{int((turned != value).sum())} of {value.size} elements differ")
    same = equal_elements(turned, value)
    if same.all():
        return Judgement(0.0, 0.0)
    with np.errstate(all="ignore"):
        distance = np.where(same, 0.0, np.abs(turned - value))
        strict = ~same & ~np.isfinite(distance)
        limit = np.broadcast_to(allowed(state, name, left, orientation), value.shape)
        ratio = np.where(strict, np.inf, np.where(distance > 0, distance / limit, 0.0))
    worst = tuple(int(i) for i in np.unravel_index(int(np.argmax(ratio)), ratio.shape))
    return Judgement(float(ratio[worst]), float(distance[worst]), worst, float(turned[worst]), float(value[worst]))


def one_in_float32(state: AlignmentState, name: str, left: str, orientation: Orientation) -> bool:
    """Whether the regions that end in these two values make the same bits where every step is rounded to float32,
    though they are far apart in float64.

    Then float64 evaluates other programs than the files hold: a number that is added and taken off again rounds, one
    that underflows is gone.  What is apart by less than a few roundings of float32 shows nothing here: there a small
    difference of meaning would be rounded away.
    """
    due: Any = state.have[left]
    wide: Any = state.own.get(name)
    floats = all(isinstance(v, np.ndarray) and v.dtype == np.float64 for v in (due, wide))
    if not (state.a.single and state.b.single and floats):
        return False
    made: list[Any] = []
    try:
        for side, target in ((state.of_a, left), (state.of_b, name)):
            steps, start = side.region(target)
            held = {n: _single(side.values[n]) for n in start if n in side.values}
            for step in steps:
                held |= {n: _single(value) for n, value in side.graph.run(step, held).items()}
            made.append(held[target])
        made[0], due = orientation.apply(made[0]), orientation.apply(due)
    except Exception:  # an operator's numpy raises whatever numpy raises
        return False
    if due.shape != wide.shape or made[1].shape != due.shape or not np.array_equal(made[0], made[1], equal_nan=True):
        return False
    with np.errstate(all="ignore"):
        apart = np.abs(wide - due)
        return bool(np.all((apart <= _NONE * np.abs(due)) | (apart > _FAR * UNIT * np.abs(due))))


def _single(value: Any) -> Any:
    """A value as float32 holds it, in float64."""
    if not isinstance(value, np.ndarray) or value.dtype != np.float64:
        return value
    with np.errstate(all="ignore"):
        return value.astype(np.float32).astype(np.float64)


def allowed(state: AlignmentState, name: str, left: str, orientation: Orientation) -> Array:
    """How far the regions that end in these two values may part, elementwise in B's axes."""
    ends = ((state.of_a, left, orientation), (state.of_b, name, Orientation()))
    regions = [side.region(end) for side, end, _ in ends]
    prints = [
        {n: state.print_of(side.letter, n) for n in start if side.is_constant(n)}
        for (side, _, _), (_, start) in zip(ends, regions, strict=True)
    ]
    numbers = [{v for step in steps for v in floats(step.node)} for steps, _ in regions]
    counts = [len(steps) for steps, _ in regions]
    folded = FOLDED * max(1, abs(counts[0] - counts[1]))
    unit = unit_roundoff(state.have[left].dtype)  # both sides are of one type here; float16 stays float16
    stored = max(unit, UNIT) / UNIT  # in what a constant was folded
    # A node in sixteen bits is evaluated in float64 and rounds its result once, whatever it sums.
    rounds = sum(counts) if unit > UNIT else 2 * state.roundings
    total: Array = np.zeros(())
    for place, ((side, end, turn), (steps, start)) in enumerate(zip(ends, regions, strict=True)):
        theirs = {*prints[1 - place].values()}
        alone = {n for n, held in prints[place].items() if held not in theirs}
        odd = numbers[place] - numbers[1 - place]
        if alone or odd:
            total = total + folded * stored * turn.apply(response(side, steps, end, alone, odd))
        everything = response(side, steps, end, start, set())
        total = total + (rounds + 2) * (unit / UNIT) * turn.apply(everything)
    return total


def floats(node: onnx.NodeProto) -> Iterator[float]:
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.FLOAT:
            yield attribute.f
        elif attribute.type == onnx.AttributeProto.FLOATS:
            yield from attribute.floats


def response(side: GraphSide, steps: Sequence[Step], target: str, moved: set[str], numbers: set[float]) -> Array:
    """The largest answer of ``target`` to moving values and attributes by one rounding of float32, random signs.

    An element's response is at least the mean: one that a Relu holds at zero has none of its own.  Not so where a step
    jumps (Floor, a comparison): there some elements move far and the others not at all.  Sixteen bits are widened: in
    them nothing moves by so little.
    """
    random = np.random.default_rng(0)
    wide = {n: _widened(side.values[n]) for step in steps for n in step.reads if n in side.values}
    centre = None
    largest: Array = np.zeros(())
    for jitter in range(JITTERS + 1):
        held = dict(wide)
        for name in sorted(moved & wide.keys()) if jitter else ():
            if isinstance(held[name], np.ndarray):
                held[name] = moved_by_rounding(held[name], random, draw=np.int64)
        try:
            for step in steps:
                if narrows(step, side.values):  # a coarser grid would pass for a response
                    held[step.makes[0]] = held[step.reads[0]]
                else:
                    held |= side.graph.run(nudged(step, numbers, random) if jitter and numbers else step, held)
        except Exception:  # what cannot be evaluated when moved a little gives no room
            return np.zeros(())
        made = held.get(target, _widened(side.values.get(target)))
        if not isinstance(made, np.ndarray) or made.dtype.kind != "f":
            return np.zeros(())
        if centre is None:
            centre = made
        else:
            largest = np.maximum(largest, distance(made, centre, infinite=0.0))
    if not largest.size or any(jumps(step, held) for step in steps):
        return largest
    return np.asarray(np.maximum(largest, largest.mean()))


def _widened(value: Any) -> Any:
    short = isinstance(value, np.ndarray) and value.dtype.name in ("float16", "bfloat16")
    return value.astype(np.float64) if short else value


def jumps(step: Step, values: Mapping[str, Array]) -> bool:
    """Whether what a step makes does not move smoothly with what it is made of."""
    if step.op in STEPS:
        return True
    before = any(getattr(values.get(n), "dtype", np.dtype(bool)).kind == "f" for n in step.reads)
    return before and any(getattr(values.get(n), "dtype", np.dtype(float)).kind in "iub" for n in step.makes)


def narrows(step: Step, values: Mapping[str, Array]) -> bool:
    """Whether a step rounds to a type of fewer digits."""
    if step.op != "Cast":
        return False
    before, after = (unit_roundoff(values[n].dtype) if n in values else 0.0 for n in (step.reads[0], step.makes[0]))
    return after > before > 0


def nudged(step: Step, numbers: set[float], random: np.random.Generator) -> Step:
    if not numbers.intersection(floats(step.node)):
        return step
    node = onnx.NodeProto()
    node.CopyFrom(step.node)

    def moved(value: float) -> float:
        sign = float(signs(random, (), draw=np.int64))
        return neighbour(value, sign) if value in numbers else value

    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.FLOAT:
            attribute.f = moved(attribute.f)
        elif attribute.type == onnx.AttributeProto.FLOATS:
            attribute.floats[:] = [moved(v) for v in attribute.floats]
    return replace(step, node=node)


def away(held: Array, value: Array, size: float = 0.0) -> float:
    """The largest distance, relative to ``size`` or else to the largest number that is another; infinite where NaNs or
    infinities are elsewhere."""
    if held.shape != value.shape:
        return np.inf
    if value.dtype.kind not in "f" or held.dtype.kind not in "f":
        return 0.0 if same_values(held, value) else np.inf
    odd = ~equal_elements(held, value)
    if not odd.any():
        return 0.0
    with np.errstate(all="ignore"):
        distance = np.abs(held - value)[odd]
        if not np.isfinite(distance).all():
            return np.inf
        return float(distance.max() / (size or max(np.abs(held[odd]).max(), np.abs(value[odd]).max())))
