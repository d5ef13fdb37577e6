"""SHP003: a model that takes one size of input only."""

from __future__ import annotations

from collections.abc import Iterator

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.inspection.rules._helpers import count, shown
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule
from onnx_triangulate.inspection.rules._symbols import inputs
from onnx_triangulate.onnxgraph.nodes import named_dims


def _find(view: ModelView) -> Iterator[Occurrence]:
    """No axis of any input is left for the caller to choose. That is what exporters do by default, and it lets shapes,
    pads and memory be known in advance; a batch of another size needs another export (`dynamic_shapes` in PyTorch,
    `None` in TensorFlow's input signature).
    """
    shapes = {value.name: named_dims(value) for value in inputs(view)}
    if not any(shapes.values()) or not all(
        s is not None and all(isinstance(d, int) for d in s) for s in shapes.values()
    ):
        return
    first = next(name for name, shape in shapes.items() if shape)
    sizes = ", ".join(str(d) for d in shapes[first] or ())
    yield Occurrence(
        tuple(shapes),
        f"{count(len(shapes), 'input')}, every axis of a fixed size ({shown(first)}: {sizes}): other sizes, another "
        "batch among them, are refused",
    )


RULE = Rule(
    code="SHP003",
    name="all-sizes-fixed",
    severity="info",
    find=_find,
    fires=('<ir_version: 8, opset_import: ["" : 17]> g (float[1,3] x) => (y) { y = Relu (x) }',),
    quiet=(
        '<ir_version: 8, opset_import: ["" : 17]> g (float[n,3] x) => (y) { y = Relu (x) }',
        '<ir_version: 8, opset_import: ["" : 17]> g (float x) => (y) { y = Relu (x) }',
    ),
)
