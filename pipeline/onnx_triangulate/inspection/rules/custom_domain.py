"""STR013: operators that are not ONNX's."""

from __future__ import annotations

from collections.abc import Iterator

import onnx

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.inspection.rules._helpers import count, shown, some
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule
from onnx_triangulate.onnxgraph.nodes import domain_of, text

_DOMAINS = frozenset(schema.domain for schema in onnx.defs.get_all_schemas())
_HEAD = '<ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]> g (float[2,3] x) => (y)'
_LOCAL = '<ir_version: 8, opset_import: ["" : 17, "mine" : 1]> g (float[2,3] x) => (y)'


def _find(view: ModelView) -> Iterator[Occurrence]:
    """Operators outside of ONNX's own domains that the model does not define as functions. Only a runtime that knows
    them can run the model; their shapes and meaning are not checked by anybody else.
    """
    own = {(domain_of(f), text(f.name)) for f in view.model.functions}
    by_domain: dict[str, tuple[list[str], dict[str, None]]] = {}
    for place in view.places:
        where, op = domain_of(place.node), text(place.node.op_type)
        if where not in _DOMAINS and (where, op) not in own:
            nodes, ops = by_domain.setdefault(where, ([], {}))
            nodes.append(place.name)
            ops.setdefault(op)
    for where, (nodes, ops) in by_domain.items():
        who = (
            "ONNX Runtime has them, no other runtime has to"
            if where == "com.microsoft"
            else "a runtime has to bring them"
        )
        yield Occurrence(tuple(nodes), f"{count(len(nodes), 'node')} of domain {shown(where)} ({some(ops)}): {who}")


RULE = Rule(
    code="STR013",
    name="custom-domain",
    severity="info",
    find=_find,
    fires=(f"{_HEAD} {{ y = com.microsoft.FusedGelu (x) }}",),
    quiet=(
        f"{_HEAD} {{ y = Relu (x) }}",
        f'{_LOCAL} {{ y = mine.twice (x) }} <domain: "mine", opset_import: ["" : 17]> '
        "twice (a) => (b) { b = Add (a, a) }",
    ),
)
