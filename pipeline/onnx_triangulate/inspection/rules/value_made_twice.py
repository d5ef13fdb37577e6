"""STR004: a value that two nodes make."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from onnx import GraphProto

from onnx_triangulate.facts.view import View
from onnx_triangulate.inspection.rules._helpers import shown, some
from onnx_triangulate.inspection.rules._registry import Found, Rule

_HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (float[2,3] x) => (y)'


def _find(view: View) -> Iterator[Found]:
    for body in view.bodies:
        makers: dict[str, list[str]] = {}
        for place in body.places:
            for output in place.outputs:
                if output:
                    makers.setdefault(output, []).append(place.name)
        for name, nodes in makers.items():
            if len(nodes) > 1:
                yield Found(
                    tuple(nodes),
                    f"{shown(name)} is made by {len(nodes)} nodes ({some(nodes)}): by which one, none can say",
                )
            elif name in body.given:
                yield Found(tuple(nodes), f"makes {shown(name)}, which is an input or a stored tensor already")
        stored = [t.name for t in body.proto.initializer] if isinstance(body.proto, GraphProto) else []
        for what, names in (("input", body.inputs), ("initializer", stored)):
            for name, times in Counter(names).items():
                if times > 1 and name:
                    yield Found((name,), f"there are {times} of one name among {what}s ({shown(name)})")


RULE = Rule(
    code="STR004",
    name="value-made-twice",
    severity="error",
    about="Each name may be given a value once (single static assignment). Where two nodes write one name, or a node "
    "writes over an input or an initializer, runtimes refuse the model or take one of them.",
    find=_find,
    fires=(
        f"{_HEAD} {{ y = Relu (x) y = Neg (x) }}",
        f"{_HEAD} <float[2,3] y = {{1,2,3,4,5,6}}> {{ y = Relu (x) }}",
    ),
    quiet=(f"{_HEAD} {{ a = Neg (x) y = Relu (a) }}",),
)
