"""NUM012: a Softmax of an old opset, which normalizes over all axes that follow."""

from __future__ import annotations

from collections.abc import Iterator

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.inspection.rules._helpers import DiagnosticGroups, words
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule

_OLD = '<ir_version: 8, opset_import: ["" : 11]> g (float[1,3,4,5] x) => (y)'
_NEW = '<ir_version: 8, opset_import: ["" : 13]> g (float[1,3,4,5] x) => (y)'


def _find(view: ModelView) -> Iterator[Occurrence]:
    """Before opset 13, Softmax, LogSoftmax and Hardmax flatten their input at `axis` and normalize over everything from
    there on; with channels first that is rarely what was meant. A model that is moved to a newer opset without being
    converted computes something else.
    """
    groups = DiagnosticGroups()
    for place in view.of("Softmax", "LogSoftmax", "Hardmax"):
        opset, shape = place.graph.opset, place.graph.shape(place.input(0))
        if opset is None or opset >= 13 or shape is None:
            continue
        axis = place.attribute("axis", int, 1)
        axis += len(shape) if axis < 0 else 0
        together = shape[max(axis, 0) :]
        if sum(size is not None and size > 1 for size in together) > 1:
            groups.add(
                (place.name,),
                f"{place.op} over axis {axis} of opset {opset} normalizes all of {words(together)} together ({{n}}); "
                "from opset 13 on, and in the frameworks, it is that axis alone",
            )
    yield from groups.occurrences()


RULE = Rule(
    code="NUM012",
    name="softmax-over-several-axes",
    severity="warning",
    find=_find,
    fires=(f"{_OLD} {{ y = Softmax <axis = 1> (x) }}",),
    quiet=(
        f"{_OLD} {{ y = Softmax <axis = 3> (x) }}",
        f"{_NEW} {{ y = Softmax <axis = 1> (x) }}",
    ),
)
