"""STR023: stored tensors that an old file should list as inputs."""

from __future__ import annotations

from collections.abc import Iterator

from onnx_triangulate.facts.view import View
from onnx_triangulate.inspection.rules._helpers import count, some
from onnx_triangulate.inspection.rules._registry import Found, Rule

_GRAPH = "<float[3] w = {1.0, 2.0, 3.0}> { y = Mul (x, w) }"


def _find(view: View) -> Iterator[Found]:
    body = view.bodies[0]
    inputs = set(body.inputs)
    missing = tuple(name for name in body.initializers if name not in inputs)
    if missing and 0 < view.model.ir_version < 4:
        yield Found(
            missing,
            f"{count(len(missing), 'stored tensor')} not listed as inputs ({some(missing)}), which IR version "
            f"{view.model.ir_version} demands: the number of the version is wrong, or the file",
        )


RULE = Rule(
    code="STR023",
    name="initializer-is-no-input",
    severity="error",
    about="Before IR version 4 each stored tensor had to be among the inputs, and ONNX's checker refuses a file where "
    "one is not. A tool has removed them from the inputs and left the number of the version as it was: set it to 4 or "
    "more.",
    find=_find,
    fires=(f'<ir_version: 3, opset_import: ["" : 9]> g (float[2,3] x) => (y) {_GRAPH}',),
    quiet=(
        f'<ir_version: 3, opset_import: ["" : 9]> g (float[2,3] x, float[3] w) => (y) {_GRAPH}',
        f'<ir_version: 8, opset_import: ["" : 9]> g (float[2,3] x) => (y) {_GRAPH}',
    ),
)
