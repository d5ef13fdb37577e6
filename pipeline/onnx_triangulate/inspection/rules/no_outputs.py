"""STR012: a graph that gives nothing out."""

from __future__ import annotations

from collections.abc import Iterator

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.inspection.rules._helpers import count, shown
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule

_HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (float[2,3] x)'


def _find(view: ModelView) -> Iterator[Occurrence]:
    """A graph without outputs computes nothing that anybody could see, and runtimes refuse it. Left behind by tools
    that cut graphs apart.
    """
    for graph in view.graphs:
        if not graph.outputs:
            where = (graph.holder.name,) if graph.holder is not None else ()
            what = {
                "graph": "the graph",
                "subgraph": "a graph inside of it",
                "function": f"function {shown(graph.proto.name)}",
            }
            does = f"has {count(len(graph.places), 'node')} and no output: nobody sees what it computes"
            yield Occurrence(
                where, f"{what[graph.kind]} {does if graph.places else 'has no nodes and no outputs: it is empty'}"
            )


RULE = Rule(
    code="STR012",
    name="no-outputs",
    severity="error",
    find=_find,
    fires=(f"{_HEAD} => () {{ y = Relu (x) }}",),
    quiet=(f"{_HEAD} => (y) {{ y = Relu (x) }}",),
)
