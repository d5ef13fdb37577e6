"""STR015: one domain with two versions."""

from __future__ import annotations

from collections.abc import Iterator

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.inspection.rules._helpers import shown
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule
from onnx_triangulate.onnxgraph.nodes import domain_of

_GRAPH = "g (float[2,3] x) => (y)"


def _find(view: ModelView) -> Iterator[Occurrence]:
    """The list of operator sets names a domain more than once. Readers take the first or the last version, or refuse
    the model. The empty name and `ai.onnx` are one domain.
    """
    versions: dict[str, list[int]] = {}
    for entry in view.model.opset_import:
        versions.setdefault(domain_of(entry), []).append(entry.version)
    for where, listed in versions.items():
        of = f"domain {shown(where)}" if where else "ONNX's own domain"
        if len(set(listed)) > 1:
            both = " and ".join(str(v) for v in listed[:4])
            yield Occurrence((), f"{of} is imported in versions {both}: which one its operators mean is open")
        elif len(listed) > 1:
            yield Occurrence((), f"{of} is imported {len(listed)} times in the same version", "info")


RULE = Rule(
    code="STR015",
    name="domain-imported-twice",
    severity="error",
    find=_find,
    fires=(f'<ir_version: 8, opset_import: ["" : 17, "ai.onnx" : 13]> {_GRAPH} {{ y = Relu (x) }}',),
    quiet=(f'<ir_version: 8, opset_import: ["" : 17, "ai.onnx.ml" : 3]> {_GRAPH} {{ y = Relu (x) }}',),
)
