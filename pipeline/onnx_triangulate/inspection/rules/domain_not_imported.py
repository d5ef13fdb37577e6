"""STR014: a domain that is used and not imported."""

from __future__ import annotations

from collections.abc import Iterator

from onnx_triangulate.facts.view import View
from onnx_triangulate.inspection.rules._helpers import count, shown, some
from onnx_triangulate.inspection.rules._operators import domain
from onnx_triangulate.inspection.rules._registry import Found, Rule

_GRAPH = "g (float[2,3] x) => (y)"


def _find(view: View) -> Iterator[Found]:
    missing: dict[str, list[str]] = {}
    for body in view.bodies:
        for place in body.places:
            where = domain(place.node.domain)
            if where not in body.opsets:
                missing.setdefault(where, []).append(place.name)
    for where, nodes in missing.items():
        of = f"domain {shown(where)}" if where else "ONNX's own domain"
        yield Found(
            tuple(nodes),
            f"{count(len(nodes), 'node')} of {of}, of which no version is imported ({some(nodes)}): what they mean is "
            "open",
        )


RULE = Rule(
    code="STR014",
    name="domain-not-imported",
    severity="error",
    about="A model lists the operator sets that it uses with their versions. Nodes of a domain that is not listed have "
    "no meaning: ONNX's operators changed from version to version.",
    find=_find,
    fires=(
        f'<ir_version: 8, opset_import: ["com.microsoft" : 1]> {_GRAPH} {{ y = Relu (x) }}',
        f'<ir_version: 8, opset_import: ["" : 17]> {_GRAPH} {{ y = com.microsoft.FusedGelu (x) }}',
    ),
    quiet=(f'<ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]> {_GRAPH} {{ y = Relu (x) }}',),
)
