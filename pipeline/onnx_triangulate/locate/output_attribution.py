"""Where a difference of outputs comes from when no node is faulty: exact hybrids of two runs.

Design note.  The hybrid h_k takes what the first k nodes make from the source and lets the runtime do the rest, so h_0
is the runtime's own run and the last one is the source's, and the difference of the two is the sum of h_k - h_(k+1),
exactly and without any bound.  One hybrid is a run of the rest of the graph; the largest differences are halved until
they are single nodes or :data:`RUNS` are spent.  A value that the source does not have cannot be taken from it: nodes
around such a value stay together.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

import numpy as np

from onnx_triangulate.locate.export_nodes import Exported, fixed_values
from onnx_triangulate.onnxgraph.weights import Weights
from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.faults import Contribution
from onnx_triangulate.transform import cut

RUNS = 40
MOST = 5


def contributions(
    judge: Exported,
    weights: Weights,
    feeds: Mapping[str, Array],
    source: Callable[[str], Array | None],
    known: Collection[str],
    output: str,
    run: cut.Runner,
) -> tuple[Contribution, ...]:
    """What contributes most to the largest difference of an output, and what everything else does, last.

    ``source(NAME)`` is the source's value as the graph has it, in the case's precision, for every name of ``known``.
    Nothing where the output does not differ.  Raises whatever the runtime raises.
    """
    theirs = source(output)
    if theirs is None:
        return ()
    model = judge.model
    fixed = fixed_values(model, weights)
    places = _places(judge, known, fixed)
    answers: dict[int, float] = {}
    mine = _hybrid(judge, weights, feeds, source, fixed, output, 0, run)
    with np.errstate(all="ignore"):
        apart = np.abs(mine.astype(np.float64) - theirs.astype(np.float64))
    if mine.shape != theirs.shape or not mine.size or not np.nanmax(apart) > 0:
        return ()
    index = np.unravel_index(int(np.nanargmax(apart)), mine.shape)

    def at(place: int) -> float:
        if place not in answers:
            made = theirs if place == len(model.graph.node) else None
            made = _hybrid(judge, weights, feeds, source, fixed, output, place, run) if made is None else made
            answers[place] = float(made[index])
        return answers[place]

    answers[0] = float(mine[index])
    spans = [(0, len(places) - 1)]
    while len(answers) < RUNS:
        spans.sort(key=lambda span: -abs(at(places[span[0]]) - at(places[span[1]])))
        wide = next((s for s in spans[:MOST] if s[1] - s[0] > 1), None)
        if wide is None:
            break
        middle = (wide[0] + wide[1]) // 2
        spans.remove(wide)
        spans += [(wide[0], middle), (middle, wide[1])]
    spans.sort(key=lambda span: -abs(at(places[span[0]]) - at(places[span[1]])))
    found = [
        Contribution(
            judge.owners(range(places[i], places[j])), output, at(places[i]) - at(places[j]), tuple(map(int, index))
        )
        for i, j in spans
    ]
    rest = sum(c.difference for c in found[MOST:])
    top = [replace(c, condition=judge.condition(c.nodes[0]) if len(c.nodes) == 1 else None) for c in found[:MOST]]
    return (
        *top,
        Contribution((), output, rest, tuple(map(int, index)), others=sum(len(c.nodes) for c in found[MOST:])),
    )


def _places(judge: Exported, known: Collection[str], fixed: Collection[str]) -> list[int]:
    """Where the graph can be cut: between nodes with nothing across that the source does not have."""
    nodes = judge.model.graph.node
    last = {name: i for i, node in enumerate(nodes) for name in cut.reads(node)}
    last |= {output.name: len(nodes) for output in judge.model.graph.output}
    open_until, places = 0, [0]
    for index, node in enumerate(nodes):
        lacking = [last.get(n, -1) for n in node.output if n and n not in known and n not in fixed]
        open_until = max([open_until, *lacking])
        if open_until <= index and index + 1 < len(nodes):
            places.append(index + 1)
    return [*places, len(nodes)]


def _hybrid(
    judge: Exported,
    weights: Weights,
    feeds: Mapping[str, Array],
    source: Callable[[str], Array | None],
    fixed: Collection[str],
    output: str,
    place: int,
    run: cut.Runner,
) -> Array:
    """The output when what the nodes before ``place`` make is the source's."""
    model = judge.model
    nodes = model.graph.node
    wanted, needed = {output}, []
    for index in reversed(range(len(nodes))):
        made = [name for name in nodes[index].output if name in wanted]
        if made and (index >= place or all(name in fixed for name in made)):
            needed.append(index)
            wanted.update(cut.reads(nodes[index]))
    inside = {name for index in needed for name in nodes[index].output}
    if output not in inside:
        value = source(output)
        assert value is not None
        return value
    held = {tensor.name for tensor in model.graph.initializer}
    arrays = {}
    for name in wanted - inside - held - set(weights):
        value = feeds.get(name) if name in feeds else source(name)
        if value is not None:
            arrays[name] = value
    part = cut.Part(
        tuple(sorted(needed)), tuple(arrays), (output,), tuple(n for n in wanted if n in weights and n not in held)
    )
    proto = cut.part_model(model, part, weights, {name: array.dtype for name, array in arrays.items()})
    (answer,) = run(proto.SerializeToString(), {name: weights[name] for name in part.weights}, arrays, [output])
    return answer
