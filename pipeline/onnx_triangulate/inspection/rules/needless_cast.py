"""TYP004: a Cast that changes nothing."""

from __future__ import annotations

from collections.abc import Iterator

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.facts.value_types import dtype_name
from onnx_triangulate.inspection.rules._casts import holds, returns, target
from onnx_triangulate.inspection.rules._helpers import DiagnosticGroups
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule

_HEAD = '<ir_version: 8, opset_import: ["" : 17]> g'


def _find(view: ModelView) -> Iterator[Occurrence]:
    """A Cast to the type that its input has, or a pair of Casts through a larger type and back. Harmless; often a trace
    of a promotion rule that a script applied without looking.
    """
    groups = DiagnosticGroups()
    for place in view.of("Cast"):
        to = target(place.node)
        if to is not None and place.graph.type(place.input(0)) == to:
            groups.add(
                place.name, f"Cast to {dtype_name(to)} of what is {dtype_name(to)} already ({{n}}): it does nothing"
            )
    for place, _, outer, inner in returns(view):
        if holds(inner, outer):
            groups.add(
                place.name,
                f"Cast back to {dtype_name(outer)} of what a Cast made {dtype_name(inner)} ({{n}}): what comes out is "
                "what went in",
            )
    yield from groups.occurrences()


RULE = Rule(
    code="TYP004",
    name="needless-cast",
    severity="info",
    find=_find,
    fires=(
        f"{_HEAD} (float[2,3] x) => (float[2,3] y) {{ y = Cast <to = 1> (x) }}",
        f"{_HEAD} (float16[2,3] x) => (float16[2,3] y) {{ h = Cast <to = 1> (x) y = Cast <to = 10> (h) }}",
    ),
    quiet=(f"{_HEAD} (float[2,3] x) => (double[2,3] y) {{ y = Cast <to = 11> (x) }}",),
)
