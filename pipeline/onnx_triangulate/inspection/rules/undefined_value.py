"""STR002: a value that is read and that nothing makes."""

from __future__ import annotations

from collections.abc import Iterator

from onnx_triangulate.facts.view import View
from onnx_triangulate.inspection.rules._helpers import shown
from onnx_triangulate.inspection.rules._registry import Found, Rule
from onnx_triangulate.onnxgraph.bodies import Body

_HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (float[2,3] x) => (y)'


def _known(body: Body | None, name: str) -> bool:
    while body is not None:
        if name in body.made or name in body.given:
            return True
        body = body.parent
    return False


def _find(view: View) -> Iterator[Found]:
    for body in view.bodies:
        missing: dict[str, dict[str, None]] = {}
        for place in body.places:
            for name in place.inputs:
                if name and not _known(body, name):
                    missing.setdefault(name, {}).setdefault(place.name)
        for name, nodes in missing.items():
            yield Found(tuple(nodes), f"reads {shown(name)}, which no node makes and the graph does not hold")
        for name in body.outputs:
            if not _known(body, name):
                yield Found((name,), f"output {shown(name)} is declared, and no node makes it")


RULE = Rule(
    code="STR002",
    name="undefined-value",
    severity="error",
    about="A node reads a name, or the graph gives one out, that is no input, no initializer and no node's output. "
    "Such a model does not load. A model that was cut out of a larger one, or whose weights were stripped, looks like "
    "this.",
    find=_find,
    fires=(
        f"{_HEAD} {{ y = Add (x, gone) }}",
        f"{_HEAD} {{ z = Relu (x) }}",
    ),
    quiet=(
        f"{_HEAD} {{ y = Relu (x) }}",
        '<ir_version: 8, opset_import: ["" : 17]> g (float[2,3] x, bool c) => (y) '
        "{ y = If (c) <then_branch = a () => (t) { t = Relu (x) }, else_branch = b () => (e) { e = Neg (x) }> }",
    ),
)
