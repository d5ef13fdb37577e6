"""STR024: a version of the file format that is none, or newer than what is known."""

from __future__ import annotations

from collections.abc import Iterator

import onnx

from onnx_triangulate.facts.view import View
from onnx_triangulate.inspection.rules._registry import Found, Rule

_GRAPH = "g (float[2,3] x) => (y) { y = Relu (x) }"
_NEWEST = int(onnx.IR_VERSION)


def _find(view: View) -> Iterator[Found]:
    version = view.model.ir_version
    if version < 1:
        yield Found((), "the file does not say which version of the format it is in", "error")
    elif version > _NEWEST:
        yield Found((), f"IR version {version}: the newest that is known here is {_NEWEST}, and runtimes lag behind")


RULE = Rule(
    code="STR024",
    name="unusual-ir-version",
    severity="warning",
    about="`ir_version` is the version of ONNX's file format. A runtime refuses a file that is newer than itself, even "
    "where nothing new is used in it; one without a version breaks the specification.",
    find=_find,
    fires=(
        f'<ir_version: 9999, opset_import: ["" : 17]> {_GRAPH}',
        f'<ir_version: 0, opset_import: ["" : 17]> {_GRAPH}',
    ),
    quiet=(f'<ir_version: 8, opset_import: ["" : 17]> {_GRAPH}',),
)
