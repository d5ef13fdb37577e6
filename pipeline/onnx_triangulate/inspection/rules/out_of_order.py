"""STR003: a node that stands in front of one whose result it reads."""

from __future__ import annotations

from collections.abc import Iterator

from onnx_triangulate.facts.view import View
from onnx_triangulate.inspection.rules._cycles import on_cycles
from onnx_triangulate.inspection.rules._helpers import count, some
from onnx_triangulate.inspection.rules._registry import Found, Rule

_HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (float[2,3] x) => (y)'


def _find(view: View) -> Iterator[Found]:
    for body in view.bodies:
        sources = [
            [body.made[name] for name in body.reads(index) if name in body.made and name not in body.given]
            for index in range(len(body.places))
        ]
        early = [index for index, makers in enumerate(sources) if any(maker >= index for maker in makers)]
        if not early:
            continue
        cyclic = on_cycles(sources)
        if len(cyclic) == 1:
            name = body.places[cyclic[0]].name
            yield Found((name,), f"1 node waits for itself ({some([name])}): it can never run")
        elif cyclic:
            names = [body.places[index].name for index in cyclic]
            yield Found(
                tuple(names),
                f"{count(len(names), 'node')} wait for one another ({some(names)}): none of them can ever run",
            )
        rest = [body.places[index].name for index in sorted(set(early) - set(cyclic))]
        if rest:
            does = "stand in front of a node whose result they read"
            if len(rest) == 1:
                does = "stands in front of a node whose result it reads"
            yield Found(
                tuple(rest),
                f"{count(len(rest), 'node')} {does} ({some(rest)}): ONNX wants nodes in the order in which they can "
                "run, and not every reader sorts them",
            )


RULE = Rule(
    code="STR003",
    name="out-of-order",
    severity="error",
    about="ONNX demands that a node stands behind all nodes that it reads from. A file whose nodes are merely out of "
    "order is refused by the checker and by some runtimes, and sorted by others; one whose nodes form a cycle means "
    "nothing.",
    find=_find,
    fires=(
        f"{_HEAD} {{ y = Relu (a) a = Neg (x) }}",
        f"{_HEAD} {{ a = Add (x, b) b = Neg (a) y = Relu (b) }}",
    ),
    quiet=(f"{_HEAD} {{ a = Neg (x) y = Relu (a) }}",),
)
