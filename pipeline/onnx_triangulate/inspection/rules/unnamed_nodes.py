"""STR009: nodes without a name."""

from __future__ import annotations

from collections.abc import Iterator

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.inspection.rules._helpers import count
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule

_HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (float[2,3] x) => (y)'


def _find(view: ModelView) -> Iterator[Occurrence]:
    """ONNX does not ask for names of nodes, but reports, profiles and quantization settings go by them."""
    unnamed = [place.name for place in view.places if not place.node.name]
    if unnamed:
        yield Occurrence(
            tuple(unnamed),
            f"{count(len(unnamed), 'node')} of {len(view.places):,} without a name: here each is called by its "
            "operator and its place in the file, which change with the next export",
        )


RULE = Rule(
    code="STR009",
    name="unnamed-nodes",
    severity="info",
    find=_find,
    fires=(f"{_HEAD} {{ y = Relu (x) }}",),
    quiet=(f"{_HEAD} {{ [relu] y = Relu (x) }}",),
)
