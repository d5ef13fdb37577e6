"""Where a difference of outputs comes from when no node is faulty: exact hybrids of two runs.

Design note.  The hybrid h_k takes what the first k nodes make from the source and lets the runtime do the rest, so h_0
is the runtime's own run and the last one is the source's, and the difference of the two is the sum of h_k - h_(k+1),
exactly and without any bound.  One hybrid is a run of the rest of the graph; the largest differences are halved until
they are single nodes or :data:`RUNS` are spent.  A value that the source does not have cannot be taken from it: nodes
around such a value stay together.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

import numpy as np
import onnx

from onnx_triangulate.locate.export_nodes import ExportJudge, fixed_values
from onnx_triangulate.onnxgraph.graph import reads
from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.faults import Contribution
from onnx_triangulate.transform import cut

RUNS = 40
MOST = 5


def contributions(
    judge: ExportJudge,
    source: Callable[[str], Array | None],
    known: Collection[str],
    output: str,
    run: cut.Runner,
) -> tuple[Contribution, ...]:
    """What contributes most to the largest difference of an output, and what everything else does, last.

    ``source(NAME)`` is what is fed, or the source's value as the graph has it, in the case's precision, for every name
    of ``known``.  Nothing where the output does not differ.  Raises whatever the runtime raises.
    """
    theirs = source(output)
    if theirs is None:
        return ()
    fixed = fixed_values(judge.export.model, judge.export.weights)
    places = _places(judge, known, fixed)
    hybrids = _Hybrids(judge, source, fixed, output, run)
    mine = hybrids.output_at(0)
    with np.errstate(all="ignore"):
        apart = np.abs(mine.astype(np.float64) - theirs.astype(np.float64))
    if mine.shape != theirs.shape or not mine.size or not np.nanmax(apart) > 0:
        return ()
    index = np.unravel_index(int(np.nanargmax(apart)), mine.shape)
    answers = {len(judge.export.model.graph.node): float(theirs[index]), 0: float(mine[index])}

    def moved(span: tuple[int, int]) -> float:
        """By how much the element differs between two places of the graph."""
        for place in (places[span[0]], places[span[1]]):
            if place not in answers:
                answers[place] = float(hybrids.output_at(place)[index])
        return answers[places[span[0]]] - answers[places[span[1]]]

    spans = [(0, len(places) - 1)]
    while len(answers) < RUNS:
        spans.sort(key=lambda span: -abs(moved(span)))
        wide = next((s for s in spans[:MOST] if s[1] - s[0] > 1), None)
        if wide is None:
            break
        middle = (wide[0] + wide[1]) // 2
        spans.remove(wide)
        spans += [(wide[0], middle), (middle, wide[1])]
    spans.sort(key=lambda span: -abs(moved(span)))
    where = tuple(map(int, index))
    found = [Contribution(judge.owners(range(places[i], places[j])), output, moved((i, j)), where) for i, j in spans]
    rest = sum(c.difference for c in found[MOST:])
    top = [replace(c, condition=judge.condition(c.nodes[0]) if len(c.nodes) == 1 else None) for c in found[:MOST]]
    return (*top, Contribution((), output, rest, where, others=sum(len(c.nodes) for c in found[MOST:])))


def _places(judge: ExportJudge, known: Collection[str], fixed: Collection[str]) -> list[int]:
    """Where the graph can be cut: between nodes with nothing across that the source does not have."""
    nodes = judge.export.model.graph.node
    last = {name: i for i, node in enumerate(nodes) for name in reads(node)}
    last |= {output.name: len(nodes) for output in judge.export.model.graph.output}
    open_until, places = 0, [0]
    for index, node in enumerate(nodes):
        lacking = [last.get(n, -1) for n in node.output if n and n not in known and n not in fixed]
        open_until = max([open_until, *lacking])
        if open_until <= index and index + 1 < len(nodes):
            places.append(index + 1)
    return [*places, len(nodes)]


@dataclass(frozen=True, eq=False)
class _Hybrids:
    """Runs in which the source's values stand in front of a place in the graph."""

    judge: ExportJudge
    source: Callable[[str], Array | None]
    fixed: Collection[str]
    output: str
    run: cut.Runner

    def output_at(self, place: int) -> Array:
        """The output when what the nodes before ``place`` make is the source's."""
        model = self.judge.export.model
        nodes = cut.behind(model, {self.output}, lambda index, node: index >= place or self._is_fixed(node))
        if not nodes[0]:
            value = self.source(self.output)
            assert value is not None
            return value
        return cut.run_nodes(model, self.judge.export.weights, nodes, self.output, self.source, self.run)[0]

    def _is_fixed(self, node: onnx.NodeProto) -> bool:
        return all(name in self.fixed for name in node.output if name)
