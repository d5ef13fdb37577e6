"""STR006: nodes that nothing depends on."""

from __future__ import annotations

from collections.abc import Iterator

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.inspection.rules._helpers import count, some
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule
from onnx_triangulate.onnxgraph.graph import Graph

_HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (float[2,3] x) => (y)'


def _live(graph: Graph) -> set[int]:
    live: set[int] = set()
    waiting = list(graph.outputs)
    while waiting:
        index = graph.producers.get(waiting.pop())
        if index is not None and index not in live:
            live.add(index)
            waiting += graph.reads(index)
    return live


def _find(view: ModelView) -> Iterator[Occurrence]:
    """From these nodes no path leads to an output of the graph. Left over from an output that was taken away, or a sign
    that something which should be an output is none.
    """
    dead: list[str] = []
    inside_dead: set[int] = set()  # graphs of dead nodes: naming those nodes is enough
    for graph in view.graphs:
        if graph.parent is not None and id(graph.parent) in inside_dead:
            inside_dead.add(id(graph))
        if id(graph) in inside_dead or not graph.outputs:
            continue
        live = _live(graph)
        useless = {index for index in range(len(graph.places)) if index not in live}
        dead += [graph.places[index].name for index in sorted(useless)]
        if useless:
            names = {id(graph.places[index]) for index in useless}
            inside_dead |= {id(g) for g in view.graphs if g.parent is graph and id(g.holder) in names}
    if dead:
        yield Occurrence(
            tuple(dead),
            f"{count(len(dead), 'node')} of {len(view.places):,} {'leads' if len(dead) == 1 else 'lead'} to no output "
            f"({some(dead)}): whatever {'it computes' if len(dead) == 1 else 'they compute'} is thrown away",
        )


RULE = Rule(
    code="STR006",
    name="dead-nodes",
    severity="warning",
    find=_find,
    fires=(f"{_HEAD} {{ y = Relu (x) a = Neg (x) b = Abs (a) }}",),
    quiet=(
        f"{_HEAD} {{ a = Neg (x) y = Relu (a) }}",
        '<ir_version: 8, opset_import: ["" : 17]> g (float[2,3] x, bool c) => (y) '
        "{ a = Abs (x) y = If (c) <then_branch = t () => (d) { d = Relu (a) }, else_branch = e () => (b) { b = Neg (x) "
        "}> }",
    ),
)
