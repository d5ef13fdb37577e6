"""STR019: functions that nobody calls."""

from __future__ import annotations

from collections.abc import Iterator

from onnx_triangulate.facts.view import View
from onnx_triangulate.inspection.rules._helpers import count, some
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule
from onnx_triangulate.onnxgraph.inlining import Key, called_in, key_of_function

_HEAD = '<ir_version: 8, opset_import: ["" : 17, "mine" : 1]> g (float[2,3] x) => (y)'
_TWICE = '<domain: "mine", opset_import: ["" : 17]> twice (a) => (b) { b = Add (a, a) }'


def _find(view: View) -> Iterator[Occurrence]:
    """The model carries functions that are never called: they make the file larger, no more."""
    bodies = {key_of_function(f): f for f in view.model.functions}
    called: set[Key] = set()
    waiting = [view.model.graph] if bodies else []
    while waiting:
        reached = set(called_in(waiting.pop())) & bodies.keys()
        waiting += [bodies[key] for key in reached - called]
        called |= reached
    unused = tuple(".".join(filter(None, key[:2])) for key in bodies if key not in called)
    if unused:
        yield Occurrence(
            unused, f"{count(len(unused), 'function')} that the graph does not call, nor one it calls ({some(unused)})"
        )


RULE = Rule(
    code="STR019",
    name="unused-function",
    severity="info",
    find=_find,
    fires=(f"{_HEAD} {{ y = Relu (x) }} {_TWICE}",),
    quiet=(f"{_HEAD} {{ y = mine.twice (x) }} {_TWICE}",),
)
