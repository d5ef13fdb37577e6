"""TYP001: a model that takes single precision and computes in double."""

from __future__ import annotations

from collections.abc import Iterator

from onnx import TensorProto

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.inspection.rules._helpers import count, some
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule

_HEAD = '<ir_version: 8, opset_import: ["" : 17]> g'
# They bring a number into double or pass it on; the ones that compute with it are the news.
_CARRIERS = frozenset({"Constant", "Cast", "CastLike", "Identity"})


def _find(view: ModelView) -> Iterator[Occurrence]:
    """The inputs are float32 (or smaller), but some nodes give out float64. A Python or numpy number without a type is
    a double, and everything that meets it becomes one; exporters then write Casts on both sides. Give such constants
    the model's type.
    """
    types = {value.type.tensor_type.elem_type for value in view.model.graph.input}
    if TensorProto.DOUBLE in types or not types & {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16}:
        return
    doubles = [
        place.name
        for place in view.places
        if place.op not in _CARRIERS and any(place.graph.type(o) == TensorProto.DOUBLE for o in place.outputs if o)
    ]
    if doubles:
        yield Occurrence(
            tuple(doubles),
            f"float64 is computed with in {count(len(doubles), 'node')} of {len(view.places):,} ({some(doubles)}), "
            "although no input is float64: this is slow, and some runtimes and devices have no such kernels",
        )


RULE = Rule(
    code="TYP001",
    name="computes-in-double",
    severity="warning",
    find=_find,
    fires=(
        f"{_HEAD} (float[2,3] x) => (double[2,3] y) <double c = {{0.1}}> {{ d = Cast <to = 11> (x) y = Mul (d, c) }}",
    ),
    quiet=(
        f"{_HEAD} (double[2,3] x) => (double[2,3] y) {{ y = Mul (x, x) }}",
        f"{_HEAD} (float[2,3] x) => (double[2,3] y) {{ y = Cast <to = 11> (x) }}",
    ),
)
