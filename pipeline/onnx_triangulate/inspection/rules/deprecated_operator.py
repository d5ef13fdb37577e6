"""STR018: an operator that ONNX has taken back."""

from __future__ import annotations

from collections.abc import Iterator

from onnx_triangulate.facts.view import View
from onnx_triangulate.inspection.rules._helpers import Gathered
from onnx_triangulate.inspection.rules._operators import deprecated, judged
from onnx_triangulate.inspection.rules._registry import Found, Rule

_GRAPH = "g (float[1,1,2,2] x) => (y) <float[4] s = {1.0, 1.0, 2.0, 2.0}>"


def _find(view: View) -> Iterator[Found]:
    gathered = Gathered()
    for _, place, op, where, version in judged(view):
        if deprecated(op, where, version):
            gathered.add(
                place.name, f"{op} is withdrawn as of version {version} ({{n}}): the checker refuses it, runtimes may"
            )
    yield from gathered.found()


RULE = Rule(
    code="STR018",
    name="deprecated-operator",
    severity="error",
    about="The version of the operator set that the model asks for lists this operator as withdrawn: Upsample became "
    "Resize, Scatter became ScatterElements.",
    find=_find,
    fires=(f'<ir_version: 8, opset_import: ["" : 10]> {_GRAPH} {{ y = Upsample (x, s) }}',),
    quiet=(
        f'<ir_version: 8, opset_import: ["" : 9]> {_GRAPH} {{ y = Upsample (x, s) }}',
        f'<ir_version: 8, opset_import: ["" : 10]> {_GRAPH} {{ y = Resize (x, s) }}',
    ),
)
