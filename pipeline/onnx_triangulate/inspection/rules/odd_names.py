"""STR028: names that are not what they look like."""

from __future__ import annotations

from collections.abc import Iterator

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.inspection.rules._helpers import count, some
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule
from onnx_triangulate.onnxgraph.nodes import text

_HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (float[2,3] x) => (y)'
_LONG = 1000


def _odd(name: str | bytes) -> bool:
    return isinstance(name, bytes) or len(name) > _LONG or not name.isprintable()


def _find(view: ModelView) -> Iterator[Occurrence]:
    """A name holds control characters, line breaks, marks that turn the reading direction, bytes that are no text, or
    is endless. No exporter writes such names; a terminal or a web page that shows them as they are can be fooled.
    """
    odd: dict[str, None] = {}
    for graph in view.graphs:
        names = [*graph.inputs, *graph.outputs, *graph.initializers]
        for place in graph.places:
            names += [place.node.name, place.node.op_type, place.node.domain, *place.outputs]
        odd.update(dict.fromkeys(text(name) for name in names if _odd(name)))
    if odd:
        yield Occurrence(
            tuple(odd),
            f"{count(len(odd), 'name')} that cannot be printed, or of more than {_LONG:,} characters ({some(odd)}): "
            "they may look like others, or do harm where they are shown unescaped",
        )


RULE = Rule(
    code="STR028",
    name="odd-names",
    severity="warning",
    find=_find,
    fires=(f"{_HEAD} {{ [{'n' * (_LONG + 1)}] y = Relu (x) }}",),
    quiet=(f"{_HEAD} {{ [relu] y = Relu (x) }}",),
)
