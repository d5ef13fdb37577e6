"""VAL007: weights that are larger than training makes them."""

from __future__ import annotations

import math
from collections.abc import Iterator

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.inspection.rules._helpers import count, number, some
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule
from onnx_triangulate.inspection.rules._values import Values, weights

_HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (float[2,3] x) => (y)'
_HUGE = 1e6


def _find(view: ModelView) -> Iterator[Occurrence]:
    """A weight matrix or kernel has elements above a million. Products with them swallow everything else in a sum, and
    nothing that was trained looks so: a byte order, a scale or a type was taken for another.
    """
    digests = Values.of(view).digests
    nodes: dict[str, float] = {}
    for name, node, _, _ in weights(view):
        digest = digests.get(name)
        if digest is None or len(digest.dims) < 2:
            continue
        largest = max(-digest.lowest, digest.highest)
        if math.isfinite(largest) and largest > _HUGE:
            nodes[node] = max(largest, nodes.get(node, 0.0))
    if nodes:
        most = number(max(nodes.values()))
        yield Occurrence(
            tuple(nodes),
            f"weights of {count(len(nodes), 'node')} ({some(nodes)}) reach {most}: small terms of a sum vanish beside "
            "them",
        )


RULE = Rule(
    code="VAL007",
    name="huge-weights",
    severity="warning",
    find=_find,
    fires=(f"{_HEAD} <float[3,1] w = {{1.0, 1e9, 3.0}}> {{ y = MatMul (x, w) }}",),
    quiet=(
        f"{_HEAD} <float[3,1] w = {{1.0, 2.0, 3.0}}> {{ y = MatMul (x, w) }}",
        f"{_HEAD} <float[3] mask = {{0.0, -3.4e38, 0.0}}> {{ y = Add (x, mask) }}",
    ),
)
