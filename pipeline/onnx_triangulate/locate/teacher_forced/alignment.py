"""B evaluated step by step: what is A's by structure needs no numbers, what is by its numbers is put in its place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from onnx_triangulate.locate.teacher_forced.bound import away, judge
from onnx_triangulate.locate.teacher_forced.realignment import Found, candidates, suspect
from onnx_triangulate.locate.teacher_forced.reference import classes_of, exact_digest, moments, one_line, sorted_digest
from onnx_triangulate.locate.teacher_forced.state import AlignmentState, Judgement
from onnx_triangulate.numerics.compare import same_values
from onnx_triangulate.numerics.float64_evaluation import Step
from onnx_triangulate.onnxgraph.dataflow import How, Orientation, Pair, orientations
from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.errors import Unsupported

_SMALL = 12


def advance(state: AlignmentState, start: int) -> Found | None:
    """Evaluate B from a step on, aligning what it makes, up to a value that must be another (:func:`suspect`)."""
    for step in state.b.steps[start:]:
        if step.index in state.fixed and not state.live.intersection(step.reads) and not _looked_for(state, step):
            continue
        for name in step.makes:
            state.env.pop(name, None)
            state.own.pop(name, None)
            state.part(name)
            state.ratios.pop(name, None)
        state.errors.pop(step.index, None)
        if step.index in state.b.folded and state.live.intersection(step.reads):
            state.live.update(step.makes)
        _make(state, step)
        found = suspect(state, step)
        if found is not None:
            return found
    return None


def _make(state: AlignmentState, step: Step) -> None:
    """What a step makes: A's values, where it is the same function of them, else what evaluation gives; aligned."""
    folded = state.is_folded(step)
    classes = {} if folded else classes_of(step, folded, state.namer, state.classes, state.env)
    same = {name: left for name, c in classes.items() if (left := state.known.first.get(c)) is not None}
    made: Mapping[str, Array] = {}
    if len(same) == len(step.makes):
        made = {name: state.have[left] for name, left in same.items()}
    elif all(name in state.env for name in step.reads):
        made = _evaluated(state, step) or {}
    state.env |= made
    if folded:
        classes = classes_of(step, folded, state.namer, state.classes, state.env)
    state.classes |= classes
    for name in step.makes:
        if name in made:
            state.own[name] = made[name]
        if name in state.forced:
            left, orientation = state.forced[name]
            state.env[name] = orientation.apply(state.have[left])
            state.join(Pair(left, name, orientation, "assumed"))
        elif name in made and (name in state.outputs or not folded):
            align(state, name, same.get(name))


def _evaluated(state: AlignmentState, step: Step) -> Mapping[str, Array] | None:
    """What a step makes of B's values; None, with the reason kept, where it cannot be evaluated."""
    try:
        return state.b.run(step, state.env)
    except Unsupported as error:
        state.unsupported[step.name] = str(error)
    except Exception as error:  # an operator's numpy raises whatever numpy raises
        state.errors[step.index] = one_line(error)
    return None


def fold(state: AlignmentState) -> None:
    """Evaluate what no data reaches, once."""
    for step in state.b.steps:
        if step.index in state.b.folded and all(name in state.env for name in step.reads):
            made = _evaluated(state, step)
            if made is not None:
                state.fixed.add(step.index)
                state.env |= made
                state.own |= made
                state.classes |= classes_of(step, True, state.namer, state.classes, state.env)


def _looked_for(state: AlignmentState, step: Step) -> bool:
    """Whether a step that no data reaches makes an output, or what must be another value."""
    return any(name in state.outputs or name in state.forced for name in step.makes)


def align(state: AlignmentState, name: str, same: str | None) -> None:
    """Find which value of A this value of B is, and put it in its place.

    What a large region makes is judged only if that is twice as large as the last that was not A's: its bound costs as
    many evaluations as it has nodes, and a value that is not aligned only makes the next region larger.
    """
    candidates, how = _alignable(state, name, same)
    free = name not in state.outputs
    for left, orientation in candidates:
        if free and how != "structure" and moved_elsewhere(state, name, left, orientation):
            break
        size = len(state.of_b.region(name)[0]) if how == "numbers" else 0
        if free and _SMALL < size < 2 * state.failed:
            continue
        judged = Judgement(0.0, 0.0) if how == "structure" else judge(state, name, left, orientation)
        state.failed = max(state.failed, size if judged.ratio > 1 else 0)
        if judged.ratio <= 1:
            state.env[name] = orientation.apply(state.have[left])
            state.join(Pair(left, name, orientation, how))
            state.ratios[name] = judged.ratio
            return


def _alignable(state: AlignmentState, name: str, same: str | None) -> tuple[Iterable[tuple[str, Orientation]], How]:
    """What of A a value of B may be, and what says so: an output is its counterpart; else structure, or numbers."""
    designated = state.outputs.get(name)
    if designated is not None:
        left, orientation = designated
        one = same is not None and state.known.classes.get(left) == state.known.classes.get(same)
        plain = one and orientation == Orientation()
        return ([designated] if left in state.have else []), "structure" if plain else "numbers"
    if same is not None:
        return [(same, Orientation())], "structure"
    return () if name in state.never else alike(state, name), "numbers"


def moved_elsewhere(state: AlignmentState, name: str, left: str, orientation: Orientation) -> bool:
    """Whether a step that only moves numbers puts them where its counterpart in A does not: perhaps it is wrong.

    Every order of a value's axes is an alignment, so a wrong ``perm`` would pass and its consumer be blamed.  What
    writes a value in another shape that has another layout than A's cannot do as its counterpart does.
    """
    step = state.b.producer[name]
    if any(_rewritten(state, name, read) for read in step.reads):
        return False
    mine = sorted_digest(state.own[name])
    if not any(n in state.env and not state.is_constant(n) and sorted_digest(state.env[n]) == mine for n in step.reads):
        return False
    others = list(candidates(state, name))
    due = orientation.apply(state.have[left])
    return bool(others) and not any(
        exact_digest(state.have[counterpart]) == exact_digest(due) for counterpart in others
    )


def _rewritten(state: AlignmentState, name: str, read: str) -> bool:
    pair, value, held = state.pairs.get(read), state.own[name], state.env.get(read)
    if pair is None or pair.orientation.perm is None or not isinstance(held, np.ndarray):
        return False
    return bool(held.shape != value.shape and held.size == value.size and same_values(held.reshape(value.shape), value))


def alike(state: AlignmentState, name: str, tolerance: float = 1e-3) -> Iterator[tuple[str, Orientation]]:
    """Values of A with nearly the moments of a value of B, the nearest elementwise first, of these the plainest."""
    value = state.own[name]
    if not isinstance(value, np.ndarray) or not value.size:
        return
    mean, rms = moments(value)
    near: list[tuple[float, int, int, str, Orientation]] = []
    for left, m, r in state.known.index.get(value.size, ()):
        if abs(m - mean) > tolerance * max(r, rms) or abs(r - rms) > tolerance * max(r, rms):
            continue
        held = state.have[left]
        if held.dtype.kind != value.dtype.kind:
            continue
        for orientation in orientations(held.shape, value.shape):
            far = away(orientation.apply(held), value)
            if far <= tolerance:
                turned = 2 * (orientation.perm is not None) + (orientation.shape is not None)
                near.append((far, turned, len(near), left, orientation))
    for _, _, _, left, orientation in sorted(near, key=lambda found: found[:3]):
        yield left, orientation
