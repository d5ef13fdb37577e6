"""VAL002: weights that are infinite."""

from __future__ import annotations

import math
from collections.abc import Iterator

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.inspection.rules._helpers import DiagnosticGroups
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule
from onnx_triangulate.inspection.rules._values import Values, weights

_HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (float[2,3] x) => (y)'


def _find(view: ModelView) -> Iterator[Occurrence]:
    """A weight of a convolution, a matrix product, a normalization or a recurrent layer is infinite. No training ends
    there; a conversion to float16 does, for what is above 65504. (Masks are filled with −inf on purpose and are not
    meant.)
    """
    groups = DiagnosticGroups()
    digests = Values.of(view).digests
    for name, node, _, _ in weights(view):
        digest = digests.get(name)
        if digest is not None and (math.isinf(digest.lowest) or math.isinf(digest.highest)):
            why = ": float16 ends at 65504, converted from a larger number?" if digest.dtype == "float16" else ""
            groups.add((node,), f"a weight has infinite elements ({{n}}){why}")
    yield from groups.occurrences()


RULE = Rule(
    code="VAL002",
    name="infinite-weights",
    severity="warning",
    find=_find,
    fires=(f"{_HEAD} <float[3,1] w = {{1.0, inf, 3.0}}> {{ y = MatMul (x, w) }}",),
    quiet=(
        f"{_HEAD} <float[3] mask = {{0.0, -inf, 0.0}}> {{ y = Add (x, mask) }}",
        f"{_HEAD} <float[3,1] w = {{1.0, 2.0, 3.0}}> {{ y = MatMul (x, w) }}",
    ),
)
