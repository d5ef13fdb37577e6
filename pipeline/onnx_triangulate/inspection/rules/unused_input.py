"""STR008: an input of the model that nothing reads."""

from __future__ import annotations

from collections.abc import Iterator

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.inspection.rules._helpers import count, some
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule


def _find(view: ModelView) -> Iterator[Occurrence]:
    """The model asks for a value that no node reads. Either the model it was made from ignores it too, or the exporter
    took the value of the example input for a constant: then the answer is right for that example only.
    """
    graph = view.graphs[0]
    unused = [name for name in graph.inputs if name not in graph.read and name not in graph.initializers]
    if unused:
        yield Occurrence(
            tuple(unused),
            f"{count(len(unused), 'input')} that nothing reads ({some(unused)}): what is fed there has no effect",
        )


RULE = Rule(
    code="STR008",
    name="unused-input",
    severity="warning",
    find=_find,
    fires=('<ir_version: 8, opset_import: ["" : 17]> g (float[2,3] x, float[2] mask) => (y) { y = Relu (x) }',),
    quiet=('<ir_version: 8, opset_import: ["" : 17]> g (float[2,3] x, float[3] mask) => (y) { y = Mul (x, mask) }',),
)
