"""What a rounding inside a graph does to its outputs, measured: every node's result moved by its own rounding.

Design note.  That a rounding in a node acts like a rounding of what the node consumed holds where the node responds to
what it consumes.  At the minimum of a GELU it does not: nothing that is moved in front of it moves its result, and it
is rounded all the same.  So the graph is evaluated in float64 once as it is and several times with the result of every
node that rounds moved by one unit roundoff of float32, signs at random; the largest response over u joins the scale of
``perturbed_runs.derive_bounds``.  Two nodes of one size may cancel under every sign that is drawn (a quotient
and the sum that it goes into, once in 2^n for each of thousands of elements), so draws come in pairs: in the second the
signs of those nodes are turned whose number has a certain bit, another bit for each pair, so that of any two of up to
2^:data:`PAIRS` nodes some draw has both push the same way.

Functions of several steps in one kernel (a GELU is x times 1 + erf(..), and the sum cancels) are moved by their rule's
bound and by the floor that was measured of them, over the function's own count of roundings, because the scale is
multiplied by a count.  What IEEE 754 rounds correctly and float32 can hold is not moved: nobody jumps for it.

A sum of products is rounded at the size of its terms.  Whoever moves what the sum consumes as well (a definition's
scale does) has that in the response; who asks what another arithmetic of the same meaning may give (``sums``) has every
sum moved by its terms, exact or not: the other may add in another order, or multiply by a ninth where this one divides.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx

from onnx_triangulate.numerics.evaluate import Graph, Step
from onnx_triangulate.numerics.perturbation import STEPS, UNIT, largest_responses, paired, signs, turned
from onnx_triangulate.numerics.replay import expected
from onnx_triangulate.ops.elementary import measured
from onnx_triangulate.ops.registry import operators, operators_where
from onnx_triangulate.records.arrays import Array

PAIRS, FEWEST = 8, 4
# IEEE 754 rounds these correctly, so where the exact result is a float32 nothing is rounded, and nobody jumps for it.
_EXACT = frozenset("Add Sub Mul Div Sqrt Reciprocal".split())
_SUMS = operators_where(lambda op: op.linear and op.rule != "interpolation")
_UNROUNDED = operators_where(lambda op: op.roundings == 0 and not op.domain)
_FUSED = {name: op.steps for name, op in operators().items() if op.steps}
_COARSEST = "tensorflow" if "tensorflow" in measured()["runtimes"] else "onnxruntime"


@dataclass(frozen=True)
class Inner:
    """The float outputs as they are and, by output, the largest response to roundings inside the graph, over u.

    ``shapes`` are those of all arrays that were made.  ``jumps``: floats reach an operator whose result does not move
    smoothly, so that the smallest rounding in front of it may move it far.
    """

    centre: dict[str, Array]
    scale: dict[str, Array]
    shapes: dict[str, tuple[int, ...]]
    jumps: bool


def inner_scale(
    graph: Graph,
    feeds: Mapping[str, Array],
    outputs: Collection[str],
    *,
    sums: bool = False,
    fused: bool = False,
    folded: bool = False,
) -> Inner:
    """What roundings inside the graph do to ``outputs``; with ``sums`` those of a sum are as large as its terms, with
    ``fused`` those alone of functions of several steps in one kernel, with ``folded`` those alone of what is computed
    of constants.

    A graph that amplifies rounding has a large one: it is no licence for that graph itself.  Raises whatever the
    evaluation of a node raises.
    """
    sizes: dict[str, Array] = {}
    jumping: set[str] = set()
    shapes: dict[str, tuple[int, ...]] = {}
    centre = _evaluated(graph, feeds, outputs, sizes, None, jumping=jumping, shapes=shapes, sums=sums, folded=folded)
    if fused:
        sizes = {name: sizes[name] for step in graph.steps if step.op in _FUSED for name in step.makes if name in sizes}
    floats = [name for name in outputs if centre[name].dtype.kind == "f"]
    scale = {name: np.zeros(centre[name].shape) for name in floats}
    if not sizes:
        return Inner({name: centre[name] for name in floats}, scale, shapes, bool(jumping))
    numbers = {step.index: place for place, step in enumerate(s for s in graph.steps if sizes.keys() & set(s.makes))}
    pairs = min(max(len(numbers).bit_length(), FEWEST), PAIRS)

    def draw(pair: int, second: bool) -> dict[str, Array]:
        flipped = {index for index, place in numbers.items() if second and turned(place, pair)}
        made = _evaluated(graph, feeds, floats, sizes, np.random.default_rng([pair, 7]), flipped)
        for name in floats:
            if made[name].shape != centre[name].shape:
                raise ValueError(f"the shape of {name} depends on what rounding decides")
        return made

    centres = {name: centre[name] for name in floats}
    responses = largest_responses(centres, itertools.starmap(draw, paired(pairs)), infinite=0.0)
    return Inner(centres, {name: moves / UNIT for name, moves in responses.items()}, shapes, bool(jumping))


def _evaluated(
    graph: Graph,
    feeds: Mapping[str, Array],
    outputs: Collection[str],
    sizes: dict[str, Array],
    random: np.random.Generator | None,
    flipped: Collection[int] = (),
    jumping: set[str] | None = None,
    shapes: dict[str, tuple[int, ...]] | None = None,
    sums: bool = False,
    folded: bool = False,
) -> dict[str, Array]:
    """``outputs``; without ``random`` as they are, and ``sizes`` gets each value's rounding, which else moves it, the
    other way for the steps ``flipped``.  ``jumping`` gets the steps that jump,
    ``shapes`` the shapes."""
    last = {name: step.index for step in graph.steps for name in step.reads}
    values: dict[str, Array] = {**graph.constants, **feeds}
    kept: dict[str, Array] = {name: values[name] for name in outputs if name in values}
    for step in graph.steps:
        made = graph.run(step, values)
        if jumping is not None and step.index not in graph.folded and _jumps(step, values, made):
            jumping.add(step.name)
        if shapes is not None:
            shapes |= {n: v.shape for n, v in made.items() if isinstance(v, np.ndarray)}
        rounds = (step.index in graph.folded) is folded and step.op not in _UNROUNDED
        if random is None and rounds:
            sizes |= _roundings(graph, step, values, made, strict=sums)
            if sums and step.op in _SUMS:
                sizes |= {n: np.maximum(sizes.get(n, 0.0), size) for n, size in _terms(graph, step, values).items()}
        elif random is not None:
            way = -1.0 if step.index in flipped else 1.0
            made = {n: v + way * sizes[n] * signs(random, v.shape) if n in sizes else v for n, v in made.items()}
        values |= made
        kept |= {name: value for name, value in made.items() if name in outputs}
        for name in {*step.reads, *made}:
            if last.get(name, step.index) <= step.index:
                values.pop(name, None)
    return kept


def _roundings(
    graph: Graph, step: Step, values: Mapping[str, Array], made: Mapping[str, Array], *, strict: bool
) -> dict[str, Array]:
    """How far one rounding moves each float64 result of a node: of the result and, in a fused function, inside it.

    ``strict``: raises ``ValueError`` where nobody knows of such a function, which else counts for its result alone.
    """
    exact = step.op in _EXACT or (step.op in _SUMS and _whole([values[n] for n in step.reads]))
    found = {}
    for name, value in made.items():
        if not isinstance(value, np.ndarray) or value.dtype != np.float64:
            continue
        with np.errstate(all="ignore"):
            size = UNIT * np.abs(value)
            found[name] = np.nan_to_num(np.where(value.astype(np.float32) == value, 0.0, size) if exact else size)
    if step.op in _FUSED and found:
        consumed = [values[name] if name else None for name in step.node.input]
        answers = expected(step.node, graph.version or 1, consumed, unit=UNIT, runtime=_COARSEST)
        for name, answer in zip(step.node.output, answers if not isinstance(answers, str) else (), strict=False):
            if name in found and answer is not None:
                if strict and not np.isfinite(answer.limit()).all():
                    raise ValueError(f"{step.op} has no bound for these numbers")
                limit = np.broadcast_to(np.nan_to_num(answer.limit(), posinf=0.0), found[name].shape)
                found[name] = np.maximum(found[name], limit / _FUSED[step.op])
        found = {name: size + _floor(step.op) / _FUSED[step.op] for name, size in found.items()}
    return found


def _terms(graph: Graph, step: Step, values: Mapping[str, Array]) -> dict[str, Array]:
    """One rounding of a sum at the size of its terms: the same sum of absolute values."""
    node = onnx.NodeProto()
    node.CopyFrom(step.node)
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.FLOAT:
            attribute.f = abs(attribute.f)
    with np.errstate(all="ignore"):
        held = {
            n: np.abs(v) if v.dtype.kind == "f" else v for n in step.reads if isinstance(v := values[n], np.ndarray)
        }
        made = graph.run(replace(step, node=node), held)
        return {n: np.nan_to_num(UNIT * v, posinf=0.0) for n, v in made.items() if v.dtype == np.float64}


def _jumps(step: Step, values: Mapping[str, Array], made: Mapping[str, Array]) -> bool:
    """Whether a step takes floats to other numbers without moving smoothly: whole ones, truths, fewer digits."""
    taken = [values[n] for n in step.reads if isinstance(values[n], np.ndarray) and values[n].dtype.kind == "f"]
    if not taken:
        return False
    given = [value.dtype for value in made.values() if isinstance(value, np.ndarray)]
    return step.op in STEPS or any(d.kind in "biu" or d.itemsize < 4 for d in given)


def _whole(operands: Sequence[Array]) -> bool:
    """Whether all floats are whole numbers so small that sums of products of them are exact in float32, in any order:
    of 2^8 addends at most (longer sums count as rounded, which only widens)."""
    floats = [a for a in operands if isinstance(a, np.ndarray) and a.dtype.kind == "f"]
    return all(a.size and bool((a == np.rint(a)).all()) and float(np.abs(a).max()) <= 2.0**8 for a in floats)


def _floor(op: str) -> float:
    """The largest absolute error that was measured of a function where it is small, of any engine."""
    found = [engine["constants"][op][1] for engine in measured()["runtimes"].values() if op in engine["constants"]]
    return float(max(found, default=0.0))
