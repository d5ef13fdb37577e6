"""STR017: an operator that ONNX does not have."""

from __future__ import annotations

from collections.abc import Iterator

from onnx_triangulate.facts.view import View
from onnx_triangulate.inspection.rules._helpers import Gathered, shown
from onnx_triangulate.inspection.rules._operators import defined, judged
from onnx_triangulate.inspection.rules._registry import Found, Rule

_HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (float[2,3] x) => (y)'


def _find(view: View) -> Iterator[Found]:
    gathered = Gathered()
    for _, place, op, where, version in judged(view):
        if not defined(op, where, version):
            why = (
                f"opset {version} has no such operator, another one has"
                if defined(op, where)
                else "ONNX has no such operator"
            )
            gathered.add(place.name, f"{shown(op)} ({{n}}): {why}")
    yield from gathered.found()


RULE = Rule(
    code="STR017",
    name="unknown-operator",
    severity="error",
    about="A node in one of ONNX's own domains has an operator that the model's version of that domain does not have. "
    "Exporters leave a framework's operator behind where they do not know how to convert it; or the version written "
    "into the file is not the one it was made for.",
    find=_find,
    fires=(
        f"{_HEAD} {{ y = FusedBatchNormV3 (x) }}",
        f"{_HEAD} {{ y = Gelu (x) }}",
    ),
    quiet=(
        f"{_HEAD} {{ y = Relu (x) }}",
        '<ir_version: 10, opset_import: ["" : 20]> g (float[2,3] x) => (y) { y = Gelu (x) }',
    ),
)
