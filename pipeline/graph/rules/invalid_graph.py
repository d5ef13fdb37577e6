"""STR001: The graph breaks a rule that ONNX's own checker knows."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.graph.rules._registry import Found, Rule
from pipeline.graph.view import View

_HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (float[2,3] x) => (float[2,3] y)'


def _find(view: View) -> Iterator[Found]:
    if view.invalid:
        yield Found((), f"not a valid ONNX graph, so runtimes may refuse it: {view.invalid}")


RULE = Rule(
    code="STR001",
    name="invalid-graph",
    severity="error",
    about="The graph breaks a rule of the ONNX specification that ONNX's own checker (`onnx.checker.check_model`) "
    "knows: an attribute that an operator does not have, a value that is used before it is made, two nodes that make "
    "one value, a tensor that holds less than its dims promise. Runtimes differ in what they let pass, so such a file "
    "may load in one and not in another. The checker stops at the first thing it finds; weights and external data are "
    "not read for it.",
    find=_find,
    fires=(
        f"{_HEAD} {{ y = Relu <slope = 0.1> (x) }}",
        f"{_HEAD} {{ y = Relu (a) a = Neg (x) }}",
        f"{_HEAD} {{ y = Relu (x) y = Neg (x) }}",
    ),
    quiet=(f"{_HEAD} {{ y = Relu (x) }}",),
)
