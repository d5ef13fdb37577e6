"""An operator without a rule, judged by what it does when what it reads moves by one rounding.

Design note.  The node (with whatever graphs it holds) is evaluated in float64, and again with every float input moved
by one unit roundoff of float32 at random, several times; the largest response is a noise floor, not a bound: a loop may
round more than its inputs do.  So what is inside it is rounding, and what is outside of it nobody can say in float32;
in float64, where nothing is rounded, it is another meaning.  A sequence of arrays travels as an array of objects.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import onnx

from onnx_triangulate.numerics.float64_evaluation import Step
from onnx_triangulate.numerics.perturbation import UNIT, distance, moved
from onnx_triangulate.onnxgraph.nodes import operator
from onnx_triangulate.ops.calls import ExpectedOutput
from onnx_triangulate.records.arrays import Array

TIMES = 8
FLOOR = "the noise floor of an operator without a rule"

Run = Callable[[Step, Mapping[str, Array]], Mapping[str, Any]]


def noise_floor(
    run: Run, node: onnx.NodeProto, index: int, name: str, values: Mapping[str, Array]
) -> tuple[ExpectedOutput | None, ...] | str:
    """What a node makes of ``values`` (by name, what its graphs capture included) and its noise floor, or why not."""
    step = Step(index, node, name, operator(node), tuple(values), tuple(n for n in node.output if n))

    def once(given: Mapping[str, Array]) -> dict[str, Array]:
        made = run(step, {n: list(v) if v.dtype == object else v for n, v in given.items()})  # type: ignore[misc]
        return {n: boxed(v) if isinstance(v, list) else np.asarray(v) for n, v in made.items()}

    wide = {n: _each(v, lambda a: a.astype(np.float64) if a.dtype == np.float32 else a) for n, v in values.items()}
    try:
        centre = once(wide)
        error = {n: UNIT * np.abs(v) for n, v in centre.items() if v.dtype.kind == "f"}
        flips = {n: np.zeros(v.shape, bool) for n, v in centre.items() if v.dtype.kind in "biu"}
        for trial in range(TIMES if error or flips else 0):
            random = np.random.default_rng([trial, index])
            made = once({n: _each(v, partial(moved, random=random)) for n, v in wide.items()})
            for n, v in made.items():
                if v.shape != centre[n].shape:
                    return "its shape depends on what rounding decides"
                if n in error:
                    error[n] = np.maximum(error[n], distance(v, centre[n]))
                elif n in flips:
                    flips[n] |= np.asarray(v != centre[n])
    except Exception as raised:  # the evaluator's own operators raise whatever numpy raises
        return f"it could not be evaluated in float64: {type(raised).__name__}"
    return tuple(
        ExpectedOutput(centre[n], centre[n].dtype.name, error.get(n, 0.0), flips.get(n)) if n else None
        for n in node.output
    )


def boxed(arrays: list[Array]) -> Array:
    """A sequence of arrays as one array of objects."""
    box = np.empty(len(arrays), dtype=object)
    for place, array in enumerate(arrays):
        box[place] = np.asarray(array)
    return box


def _each(array: Array, change: Callable[[Array], Array]) -> Array:
    if array.dtype != object:
        return change(array)
    if any(isinstance(inner, str | bytes) for inner in array.reshape(-1)[:1]):
        return array  # text, not a sequence of arrays
    return boxed([change(inner) for inner in array])
