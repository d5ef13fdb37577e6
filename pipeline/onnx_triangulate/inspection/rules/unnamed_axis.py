"""SHP004: an axis of an input that has neither a size nor a name."""

from __future__ import annotations

from collections.abc import Iterator

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.inspection.rules._helpers import some
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule
from onnx_triangulate.inspection.rules._symbols import inputs
from onnx_triangulate.onnxgraph.nodes import named_dims


def _find(view: ModelView) -> Iterator[Occurrence]:
    """An axis of unknown size should have a name (`batch`): values that share it are then known to be of one size, and
    tools can set it by name. Without one, shape inference loses track at the first operator, and what depends on sizes
    (pads, memory) cannot be told.
    """
    tensors = [v for v in inputs(view) if v.type.HasField("tensor_type")]
    unknown = [v.name for v in tensors if named_dims(v) is None]
    if unknown:
        yield Occurrence(
            tuple(unknown), f"input without a shape ({some(unknown)}): not even the number of its axes is known"
        )
    unnamed = [v.name for v in tensors if None in (named_dims(v) or ())]
    if unnamed:
        yield Occurrence(
            tuple(unnamed),
            f"input with an axis that has neither a size nor a name ({some(unnamed)}): nothing says which axes of "
            "other values are as long, and tools that set sizes by name cannot set it",
        )


RULE = Rule(
    code="SHP004",
    name="unnamed-axis",
    severity="info",
    find=_find,
    fires=(
        '<ir_version: 8, opset_import: ["" : 17]> g (float[?,3] x) => (y) { y = Relu (x) }',
        '<ir_version: 8, opset_import: ["" : 17]> g (float[] x) => (y) { y = Relu (x) }',
    ),
    quiet=('<ir_version: 8, opset_import: ["" : 17]> g (float[n,3] x) => (y) { y = Relu (x) }',),
)
