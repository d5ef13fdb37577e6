"""STR021: two functions of one name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from onnx_triangulate.facts.view import View
from onnx_triangulate.inspection.rules._helpers import shown
from onnx_triangulate.inspection.rules._operators import domain
from onnx_triangulate.inspection.rules._registry import Found, Rule
from onnx_triangulate.onnxgraph.nodes import text

_HEAD = '<ir_version: 8, opset_import: ["" : 17, "mine" : 1]> g (float[2,3] x) => (y) { y = mine.a (x) }'
_DOMAIN = '<domain: "mine", opset_import: ["" : 17]>'


def _find(view: View) -> Iterator[Found]:
    keys = Counter((domain(f.domain), text(f.name), text(getattr(f, "overload", ""))) for f in view.model.functions)
    for (where, name, _), times in keys.items():
        if times > 1:
            full = f"{where}.{name}" if where else name
            yield Found((full,), f"function {shown(full)} is defined {times} times: which one a call means is open")


RULE = Rule(
    code="STR021",
    name="function-defined-twice",
    severity="error",
    about="Two of the model's functions have the same domain, name and overload.",
    find=_find,
    fires=(f"{_HEAD} {_DOMAIN} a (p) => (q) {{ q = Relu (p) }} {_DOMAIN} a (p) => (q) {{ q = Neg (p) }}",),
    quiet=(f"{_HEAD} {_DOMAIN} a (p) => (q) {{ q = Relu (p) }} {_DOMAIN} b (p) => (q) {{ q = Neg (p) }}",),
)
