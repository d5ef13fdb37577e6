"""VAL004: weights that are all one number."""

from __future__ import annotations

from collections.abc import Iterator

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.inspection.rules._helpers import DiagnosticGroups, number
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule
from onnx_triangulate.inspection.rules._values import Values, weights

_HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (float[2,3] x) => (y)'


def _find(view: ModelView) -> Iterator[Occurrence]:
    """All elements of a weight matrix or kernel are one number. Zeros are what is left where weights were not loaded,
    or pruned away; other numbers can be meant (a convolution that averages).
    """
    groups = DiagnosticGroups()
    digests = Values.of(view).digests
    for name, node, _, _ in weights(view):
        digest = digests.get(name)
        if digest is None or digest.lowest != digest.highest or digest.count < 2 or len(digest.dims) < 2:
            continue
        if digest.lowest == 0:
            groups.add((node,), "a weight is all zero ({n}): what it is multiplied with has no effect")
        else:
            says = f"a weight is {number(digest.lowest)} throughout ({{n}}): a sum or an average, if that is meant"
            groups.add((node,), says, "info")
    yield from groups.occurrences()


RULE = Rule(
    code="VAL004",
    name="constant-weights",
    severity="warning",
    find=_find,
    fires=(
        f"{_HEAD} <float[3,1] w = {{0.0, 0.0, 0.0}}> {{ y = MatMul (x, w) }}",
        f"{_HEAD} <float[3,1] w = {{0.5, 0.5, 0.5}}> {{ y = MatMul (x, w) }}",
    ),
    quiet=(
        f"{_HEAD} <float[3,1] w = {{0.0, 0.5, 0.0}}> {{ y = MatMul (x, w) }}",
        f"{_HEAD} <float[3,1] w = {{1.0, 0.5, 0.0}}, float[1] b = {{0.0}}> {{ y = Gemm (x, w, b) }}",
    ),
)
