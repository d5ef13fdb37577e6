"""STR007: stored tensors that nothing reads."""

from __future__ import annotations

from collections.abc import Iterator

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.facts.size_summary import size
from onnx_triangulate.inspection.rules._helpers import count, some
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule
from onnx_triangulate.onnxgraph.nodes import text

_HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (float[2,3] x) => (y)'


def _find(view: ModelView) -> Iterator[Occurrence]:
    """Tensors are stored that no node reads: they make the file larger, and may be what is left of a layer that the
    exporter lost.
    """
    unused, bytes_ = [], 0
    for graph in view.graphs:
        for name, tensor in graph.initializers.items():
            if name not in graph.read:
                unused.append(graph.path + text(name))
                bytes_ += size(tensor)
    if unused:
        yield Occurrence(
            tuple(unused),
            f"{count(len(unused), 'stored tensor')} ({bytes_:,} bytes) that nothing reads ({some(unused)})",
        )


RULE = Rule(
    code="STR007",
    name="unused-initializers",
    severity="info",
    find=_find,
    fires=(f"{_HEAD} <float[2] w = {{1.0, 2.0}}> {{ y = Relu (x) }}",),
    quiet=(f"{_HEAD} <float[3] w = {{1.0, 2.0, 3.0}}> {{ y = Mul (x, w) }}",),
)
