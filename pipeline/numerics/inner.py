"""What a rounding inside a graph does to its outputs, measured: every node's result moved by its own rounding.

Design note.  That a rounding in a node acts like a rounding of what the node consumed holds where the node responds to
what it consumes.  At the minimum of a GELU it does not: nothing that is moved in front of it moves its result, and it
is rounded all the same.  So the graph is evaluated in float64 once as it is and :data:`TIMES` times with the result of
every node that rounds moved by one unit roundoff of float32, signs at random; the largest response over u joins the
scale of :func:`pipeline.tasks.derive_bounds`.  Kernels of a fused function whose measured error has a floor (a GELU is
x * (1 + erf(..)) / 2, and the sum cancels) are moved by that floor too, over the function's own count of roundings,
because the scale is multiplied by a count.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from pipeline.data import Array
from pipeline.graph.roundings import FUSED, moves_only
from pipeline.numerics.node64 import Graph, Step
from pipeline.numerics.perturbed import UNIT, signs
from pipeline.numerics.rules import measured

TIMES = 8


def inner_scale(graph: Graph, feeds: Mapping[str, Array], outputs: Collection[str]) -> tuple[dict[str, Array], ...]:
    """The values of ``outputs`` and, by output, the largest response to roundings inside the graph, over u.

    Raises whatever the evaluation of a node raises.
    """
    centre = _evaluated(graph, feeds, outputs, None)
    floats = [name for name in outputs if centre[name].dtype.kind == "f"]
    scale = {name: np.zeros(centre[name].shape) for name in floats}
    for time in range(TIMES):
        moved = _evaluated(graph, feeds, floats, np.random.default_rng([time, 7]))
        for name in floats:
            if moved[name].shape != centre[name].shape:
                raise ValueError(f"the shape of {name} depends on what rounding decides")
            with np.errstate(invalid="ignore"):
                response = np.nan_to_num(np.abs(moved[name] - centre[name]), nan=0.0, posinf=0.0)
            scale[name] = np.maximum(scale[name], response / UNIT)
    return {name: centre[name] for name in floats}, scale


def _evaluated(
    graph: Graph, feeds: Mapping[str, Array], outputs: Collection[str], random: np.random.Generator | None
) -> dict[str, Array]:
    last = {name: step.index for step in graph.steps for name in step.reads}
    values: dict[str, Array] = {**graph.constants, **feeds}
    kept: dict[str, Array] = {name: values[name] for name in outputs if name in values}
    for step in graph.steps:
        made = graph.run(step, values)
        if random is not None and step.index not in graph.folded and not moves_only(step.op):
            made = {name: _moved(step, value, random) for name, value in made.items()}
        values |= made
        kept |= {name: value for name, value in made.items() if name in outputs}
        for name in {*step.reads, *made}:
            if last.get(name, step.index) <= step.index:
                values.pop(name, None)
    return kept


def _moved(step: Step, value: Array, random: np.random.Generator) -> Array:
    """A node's float64 result with its own rounding."""
    if not isinstance(value, np.ndarray) or value.dtype != np.float64:
        return value
    size = UNIT * np.abs(value)
    if step.op in FUSED:
        size = size + _floor(step.op) / FUSED[step.op]
    with np.errstate(all="ignore"):
        return np.asarray(value + size * signs(random, value.shape))


def _floor(op: str) -> float:
    """The largest absolute error that was measured of a function where it is small, of any engine."""
    found = [engine["constants"][op][1] for engine in measured()["runtimes"].values() if op in engine["constants"]]
    return float(max(found, default=0.0))
