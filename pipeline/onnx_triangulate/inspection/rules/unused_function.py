"""STR019: functions that nobody calls."""

from __future__ import annotations

from collections.abc import Iterator

from onnx_triangulate.facts.view import View
from onnx_triangulate.inspection.rules._calls import Calls
from onnx_triangulate.inspection.rules._helpers import count, some
from onnx_triangulate.inspection.rules._registry import Found, Rule

_HEAD = '<ir_version: 8, opset_import: ["" : 17, "mine" : 1]> g (float[2,3] x) => (y)'
_TWICE = '<domain: "mine", opset_import: ["" : 17]> twice (a) => (b) { b = Add (a, a) }'


def _find(view: View) -> Iterator[Found]:
    if not view.model.functions:
        return
    calls = Calls(view)
    reached = calls.reached()
    unused = [calls.name(position) for position in range(len(calls.names)) if position not in reached]
    if unused:
        yield Found(
            tuple(unused),
            f"{count(len(unused), 'function')} that the graph does not call, nor one it calls ({some(unused)})",
        )


RULE = Rule(
    code="STR019",
    name="unused-function",
    severity="info",
    about="The model carries functions that are never called: they make the file larger, no more.",
    find=_find,
    fires=(f"{_HEAD} {{ y = Relu (x) }} {_TWICE}",),
    quiet=(f"{_HEAD} {{ y = mine.twice (x) }} {_TWICE}",),
)
