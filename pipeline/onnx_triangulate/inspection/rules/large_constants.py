"""STR027: weights that are written into the graph as Constant nodes."""

from __future__ import annotations

from collections.abc import Iterator

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.facts.size_summary import size
from onnx_triangulate.inspection.rules._helpers import count, some
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule
from onnx_triangulate.onnxgraph.nodes import constant_tensor

_HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (float[2,3] x) => (y)'
_LARGE = 1 << 16
_ZEROS = ", ".join(["0"] * (_LARGE // 8))


def _find(view: ModelView) -> Iterator[Occurrence]:
    """A large tensor is the attribute of a Constant node. Tools treat initializers as weights (they count them, keep
    them as external data, quantize them, let shape inference pass them by) and Constant nodes as part of the graph.
    """
    names, bytes_ = [], 0
    for place in view.of("Constant"):
        tensor = constant_tensor(place.node)
        if tensor is not None and size(tensor) >= _LARGE:
            names.append(place.name)
            bytes_ += size(tensor)
    if names:
        yield Occurrence(
            tuple(names),
            f"{count(len(names), 'Constant node')} of 64 kB and more ({some(names)}; {bytes_:,} bytes): as "
            "initializers they could be shared, kept in another file and left out when the graph alone is read",
        )


RULE = Rule(
    code="STR027",
    name="large-constants",
    severity="info",
    find=_find,
    fires=(f"{_HEAD} {{ c = Constant <value = int64[{_LARGE // 8}] {{{_ZEROS}}}> () y = Gather (c, x) }}",),
    quiet=(f"{_HEAD} {{ c = Constant <value_floats = [1.0, 2.0, 3.0]> () y = Mul (x, c) }}",),
)
