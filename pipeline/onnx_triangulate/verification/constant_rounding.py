"""How far a graph in float64 may be from its source, because ONNX and its exporters keep some numbers in float32.

Design note.  ONNX keeps float attributes and scalars in float32: each is moved by one float32 rounding and the
responses are added up.  Constants that the exporter computed (folded) in float32 carry the roundings of that: all are
moved at once by one rounding with random signs, and the largest response counts for each of them.  That takes dozens
of evaluations, so it is asked only where a float64 pair parts without it: slack can only make a bound wider, so a pair
that agrees without it agrees with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from onnx_triangulate.engines import running
from onnx_triangulate.engines.frameworks._built_weights import ROUNDINGS
from onnx_triangulate.engines.protocols import Evaluate
from onnx_triangulate.engines.runtimes import runtimes
from onnx_triangulate.numerics.perturbation import BEYOND, largest_responses, signs
from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.case import Case, CaseRef
from onnx_triangulate.records.runs import Bound, Model, Run
from onnx_triangulate.transform import float64
from onnx_triangulate.transform.skeleton import Skeleton, in_float64, shaken, skeleton

SHAKES = 8
ONE_BY_ONE = 8  # constants; with more, all are moved at once, SHAKES times (an attribute by twice its rounding)

Answer = Callable[[Skeleton], dict[str, Array]]


def with_constant_rounding(
    ref: CaseRef, model: Model, run: Run, sources: Sequence[Path], seed: int, folder: Path, memory: int | None = None
) -> Run:
    """A graph's float64 ``run`` with what float32 constants allow its outputs; a refusal, where that cannot be had.

    ``sources`` are files of arrays or models whose constants this graph's may be copies of; a constant that is none of
    them was computed in float32, by the exporter or by the case's builder.  Without sources the graph is a source
    itself.
    """
    assert model.file is not None
    try:
        allowances = _allowances(ref, model, run, sources, seed, folder, memory)
    except Exception as error:  # a runtime's refusal, whatever its type
        return replace(run, outputs=None, error=running.refusal(error, model.file))
    kept = {name: running.save(folder, run.party, name, v, kind="slack") for name, v in allowances.items()}
    return replace(run, bounds={name: Bound(constant_rounding=file) for name, file in kept.items()})


def _allowances(
    ref: CaseRef, model: Model, run: Run, sources: Sequence[Path], seed: int, folder: Path, memory: int | None
) -> dict[str, Array]:
    """By output, what one rounding of each constant makes."""
    assert model.file is not None
    case = running.loaded(ref, seed)
    slim = skeleton(model.file, memory=memory)
    double = in_float64(replace(slim, model=float64.with_bodies(slim.model)))
    answer = _answering(run, case, model, running.feeds_in_float64(running.feeds_of(ref, case, model, seed)), folder)
    allowances: dict[str, Array] = {}

    def add(responses: Mapping[str, Array], times: float) -> None:
        for name, response in responses.items():
            allowances[name] = allowances.get(name, np.zeros(())) + response * times

    constants = float64.float_constants(double.model)
    if len(constants) <= ONE_BY_ONE:
        for constant in constants:
            moved = (replace(double, model=float64.nudged(double.model, constant, sign)) for sign in (-1, 1))
            add(_responses(run, moved, answer), constant.weight)
    else:
        add(_responses(run, (_all_nudged(double, constants, shake) for shake in range(SHAKES)), answer), BEYOND)
    known = (array for file in sources for array in running.arrays_of(file))
    computed = frozenset(float64.computed_initializers(double.model, known, double.weights) if sources else ())
    if computed:
        add(_responses(run, (shaken(double, computed, shake) for shake in range(SHAKES)), answer), ROUNDINGS)
    return allowances


def _answering(run: Run, case: Case, model: Model, feeds: Mapping[str, Array], folder: Path) -> Answer:
    """What a graph answers to the case's inputs; one that was asked last is opened once."""
    names = list(model.outputs.values())
    opened: list[tuple[object, Evaluate]] = []

    def answer(moved: Skeleton) -> dict[str, Array]:
        if not opened or opened[0][0] is not moved.model:
            file = running.written(moved.model, folder / f"{run.party.slug}.moved.onnx")
            opened[:] = [(moved.model, runtimes()[run.party.runtime].open(file, double=True))]
        values = opened[0][1]({**moved.weights, **feeds}, names)
        return {n: running.in_case_axes(case, model, n, v) for n, v in zip(model.outputs, values, strict=True)}

    return answer


def _all_nudged(double: Skeleton, constants: Sequence[float64.ConstantRef], seed: int) -> Skeleton:
    """Every constant moved by one rounding, up or down at random."""
    model = double.model
    ways = signs(np.random.default_rng(seed), (len(constants),), draw=np.int64)
    for constant, sign in zip(constants, ways, strict=True):
        model = float64.nudged(model, constant, int(sign))
    return replace(double, model=model)


def _responses(run: Run, moved: Iterable[Skeleton], answer: Answer) -> dict[str, Array]:
    """By output, the largest distance of any of the ``moved`` models' answers from the ``run``'s."""
    return largest_responses(run.arrays("f"), map(answer, moved))
