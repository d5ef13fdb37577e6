"""STR005: a name in a subgraph that hides one outside of it."""

from __future__ import annotations

from collections.abc import Iterator

from onnx_triangulate.facts.view import View
from onnx_triangulate.inspection.rules._helpers import some
from onnx_triangulate.inspection.rules._registry import Found, Rule

_HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (float[2,3] x, bool c) => (y)'


def _find(view: View) -> Iterator[Found]:
    for body in view.bodies:
        outer = body.parent
        own = {*body.made, *body.given} if outer is not None else set()
        hidden: dict[str, None] = {}
        while outer is not None:
            hidden.update(dict.fromkeys(sorted(n for n in own if n in outer.made or n in outer.given)))
            outer = outer.parent
        if hidden:
            nodes = (body.holder.name,) if body.holder is not None else ()
            yield Found(nodes, f"a graph inside of it has names that stand for something else outside ({some(hidden)})")


RULE = Rule(
    code="STR005",
    name="shadowed-value",
    severity="warning",
    about="A subgraph (of an If, a Loop, a Scan) gives a name to a value of its own that exists outside as well. ONNX "
    "forbids it, because a subgraph reads the outer values by their names: which one is meant then depends on the "
    "reader.",
    find=_find,
    fires=(
        f"{_HEAD} {{ a = Abs (x) y = If (c) <then_branch = t () => (a) {{ a = Relu (x) }}, "
        "else_branch = e () => (b) { b = Neg (x) }> }",
    ),
    quiet=(
        f"{_HEAD} {{ a = Abs (x) y = If (c) <then_branch = t () => (d) {{ d = Relu (a) }}, "
        "else_branch = e () => (b) { b = Neg (x) }> }",
    ),
)
