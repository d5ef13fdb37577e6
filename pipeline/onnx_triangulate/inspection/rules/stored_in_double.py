"""TYP002: weights stored in double precision for a model of single precision."""

from __future__ import annotations

from collections.abc import Iterator

from onnx import TensorProto

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.facts.size_summary import size, tensors
from onnx_triangulate.inspection.rules._helpers import some
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule
from onnx_triangulate.onnxgraph.nodes import elements

_HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (float[2,3] x) => (y)'


def _find(view: ModelView) -> Iterator[Occurrence]:
    """Tensors of more than one element are stored in float64 in a model none of whose inputs is float64. numpy makes
    arrays of doubles where it is not told otherwise.
    """
    if any(value.type.tensor_type.elem_type == TensorProto.DOUBLE for value in view.model.graph.input):
        return
    held = [(n, size(t)) for n, t in tensors(view) if t.data_type == TensorProto.DOUBLE and elements(t) > 1]
    if held:
        names = [name for name, _ in held]
        yield Occurrence(
            tuple(names),
            f"stored in float64, {sum(s for _, s in held):,} bytes ({some(names)}), although no input is float64: "
            "twice the size, and whatever meets it is float64 too or has to be cast",
        )


RULE = Rule(
    code="TYP002",
    name="stored-in-double",
    severity="info",
    find=_find,
    fires=(f"{_HEAD} <double[3] c = {{1.0, 2.0, 3.0}}> {{ d = Cast <to = 1> (c) y = Mul (x, d) }}",),
    quiet=(f"{_HEAD} <float[3] c = {{1.0, 2.0, 3.0}}> {{ y = Mul (x, c) }}",),
)
