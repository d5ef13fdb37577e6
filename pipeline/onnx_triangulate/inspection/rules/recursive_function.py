"""STR020: functions that call themselves."""

from __future__ import annotations

from collections.abc import Iterator

from onnx_triangulate.facts.view import View
from onnx_triangulate.inspection.rules._calls import Calls
from onnx_triangulate.inspection.rules._cycles import on_cycles
from onnx_triangulate.inspection.rules._helpers import some
from onnx_triangulate.inspection.rules._registry import Found, Rule

_HEAD = '<ir_version: 8, opset_import: ["" : 17, "mine" : 1]> g (float[2,3] x) => (y) { y = mine.a (x) }'
_IMPORTS = 'opset_import: ["" : 17, "mine" : 1]'


def _find(view: View) -> Iterator[Found]:
    if not view.model.functions:
        return
    calls = Calls(view)
    names = tuple(calls.name(position) for position in on_cycles(calls.calls))
    if names:
        yield Found(names, f"functions call themselves or one another in a circle ({some(names)}): they never end")


RULE = Rule(
    code="STR020",
    name="recursive-function",
    severity="error",
    about="ONNX's functions are abbreviations: a reader replaces each call by the function's body. One that leads back "
    "to itself can never be replaced, and a reader that does not look out runs out of memory.",
    find=_find,
    fires=(
        f'{_HEAD} <domain: "mine", {_IMPORTS}> a (p) => (q) {{ q = mine.b (p) }} '
        f'<domain: "mine", {_IMPORTS}> b (p) => (q) {{ q = mine.a (p) }}',
    ),
    quiet=(
        f'{_HEAD} <domain: "mine", {_IMPORTS}> a (p) => (q) {{ q = mine.b (p) }} '
        f'<domain: "mine", {_IMPORTS}> b (p) => (q) {{ q = Relu (p) }}',
    ),
)
