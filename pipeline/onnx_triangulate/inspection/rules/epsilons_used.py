"""NUM003: the epsilons of a model, to be compared with those it was trained with."""

from __future__ import annotations

from collections.abc import Iterator

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.inspection.rules._epsilons import epsilons
from onnx_triangulate.inspection.rules._helpers import DiagnosticGroups, number
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule

_ARGUMENTS = "(float[2,3,4,4] x, float[3] s, float[3] b, float[3] m, float[3] v)"
_HEAD = f'<ir_version: 8, opset_import: ["" : 17]> g {_ARGUMENTS} => (y)'


def _find(view: ModelView) -> Iterator[Occurrence]:
    """The epsilons of all normalizations. Frameworks differ in their defaults (BatchNorm: PyTorch 1e-5, Keras 1e-3;
    LayerNorm: PyTorch 1e-5, Keras 1e-3, many transformers 1e-12), and a converted model that fell back to the other one
    is wrong by a little everywhere.
    """
    groups = DiagnosticGroups()
    for place, epsilon in epsilons(view):
        groups.add(
            place.name,
            f"{place.op} has epsilon {number(epsilon)} ({{n}}); it should be the one that the model was trained with",
        )
    yield from groups.occurrences()


RULE = Rule(
    code="NUM003",
    name="epsilons",
    severity="info",
    find=_find,
    fires=(f"{_HEAD} {{ y = BatchNormalization <epsilon = 0.001> (x, s, b, m, v) }}",),
    quiet=(f"{_HEAD} {{ y = Relu (x) }}",),
)
