"""STR010: nodes that share a name."""

from __future__ import annotations

from collections.abc import Iterator

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.inspection.rules._helpers import count, some
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule

_HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (float[2,3] x) => (y)'


def _find(view: ModelView) -> Iterator[Occurrence]:
    """Names of nodes should tell them apart: quantization settings, profiles and every report go by them. ONNX does not
    enforce it.
    """
    shared: dict[str, None] = {}
    nodes = 0
    for graph in view.graphs:
        seen: dict[str, int] = {}
        for place in graph.places:
            if place.node.name:
                seen[place.name] = seen.get(place.name, 0) + 1
        for name, times in seen.items():
            if times > 1:
                shared.setdefault(name)
                nodes += times
    if shared:
        yield Occurrence(
            tuple(shared),
            f"{count(nodes, 'node')} share {count(len(shared), 'name')} ({some(shared)}): a report, a profile or a "
            "setting that goes by names means any of them",
        )


RULE = Rule(
    code="STR010",
    name="one-name-for-several-nodes",
    severity="warning",
    find=_find,
    fires=(f"{_HEAD} {{ [a] z = Relu (x) [a] y = Neg (z) }}",),
    quiet=(f"{_HEAD} {{ [a] z = Relu (x) [b] y = Neg (z) }}",),
)
