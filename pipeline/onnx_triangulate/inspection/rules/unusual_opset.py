"""STR016: a version of ONNX's operators that few runtimes read."""

from __future__ import annotations

from collections.abc import Iterator

import onnx

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule

_NEWEST = onnx.defs.onnx_opset_version()
_GRAPH = "g (float[2,3] x) => (y) { y = Relu (x) }"


def _find(view: ModelView) -> Iterator[Occurrence]:
    """The model asks for a version of ONNX's operator set that is older than 7 (from which on ONNX Runtime promises to
    read models) or newer than the installed ONNX knows. `onnx.version_converter` moves a model to another version.
    """
    opset = view.opset
    if opset is None:
        return
    if opset < 1:
        yield Occurrence((), f"opset {opset}: there is no such version", "error")
    elif opset < 7:
        yield Occurrence((), f"opset {opset}: ONNX Runtime promises to read models from opset 7 on")
    elif opset > _NEWEST:
        yield Occurrence(
            (), f"opset {opset}: the newest that is known here is {_NEWEST}, newer operators are not judged"
        )


RULE = Rule(
    code="STR016",
    name="unusual-opset",
    severity="warning",
    find=_find,
    fires=(
        f'<ir_version: 3, opset_import: ["" : 5]> {_GRAPH}',
        f'<ir_version: 8, opset_import: ["" : 9999]> {_GRAPH}',
    ),
    quiet=(f'<ir_version: 8, opset_import: ["" : 17]> {_GRAPH}',),
)
