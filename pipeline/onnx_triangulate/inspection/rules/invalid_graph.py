"""STR001: The graph breaks a rule that ONNX's own checker knows."""

from __future__ import annotations

from collections.abc import Iterator

from onnx_triangulate.facts.view import View
from onnx_triangulate.inspection.rules._registry import Found, Rule

_HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (float[2,3] x) => (float[2,3] y)'


def _find(view: View) -> Iterator[Found]:
    found = view.invalid
    if found is not None:
        nodes = (found.node,) if found.node else ()
        yield Found(nodes, f"not a valid ONNX graph, so runtimes may refuse it: {found.message}")


RULE = Rule(
    code="STR001",
    name="invalid-graph",
    severity="error",
    about="The graph breaks a rule of the ONNX specification that ONNX's own full check "
    "(`onnx.checker.check_model(full_check=True)`) knows: an attribute that an operator does not have, a value that "
    "is used before it is made, two nodes that make one value, a tensor that holds less than its dims promise, an "
    "operator on a type that it is not defined for, a recorded type that is not the one that is made, an axis that "
    "is not there. Runtimes differ in what they let pass, so such a file may load in one and not in another. The "
    "checker stops at the first thing it finds; weights and external data are not read for it, and recorded shapes "
    "are SHP006's.",
    find=_find,
    fires=(
        f"{_HEAD} {{ y = Relu <slope = 0.1> (x) }}",
        f"{_HEAD} {{ y = Relu (a) a = Neg (x) }}",
        f"{_HEAD} {{ y = Relu (x) y = Neg (x) }}",
        f"{_HEAD} {{ [rounded] k = Shape (x) f = Floor (k) y = Neg (x) }}",
        f"{_HEAD} {{ y = Cast <to = 11> (x) }}",
    ),
    quiet=(f"{_HEAD} {{ y = Relu (x) }}", f"{_HEAD} {{ y = Cast <to = 1> (x) }}"),
)
