"""STR001: The graph breaks a rule that ONNX's own checker knows."""

from __future__ import annotations

import re
from collections.abc import Iterator

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.inspection.rules._helpers import some
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule
from onnx_triangulate.onnxgraph.nodes import text

_HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (float[2,3] x) => (float[2,3] y)'
_IR = _HEAD.replace("ir_version: 8", "ir_version: {}")
_LATER = _HEAD.replace("17", "20")
_MINE = _HEAD.replace("17]", '17, "mine" : 1]')
_BRANCHES = (
    "then_branch = t () => (float[2,3] a) { a = Relu (x) }, else_branch = e () => (float[2,3] b) { b = Neg (x) }"
)
_FUNCTION = '<domain: "mine", opset_import: ["" : 17, "mine" : 1]>'
_UNORDERED = re.compile(r"input '([^']+)' of node: .* is not output of any previous nodes")
_MADE_TWICE = re.compile(r"'([^']+)' has been used as output names multiple times")


def _makers(view: ModelView, value: str) -> tuple[str, ...]:
    return tuple(place.name for place in view.places if value in map(text, place.outputs))


def _more(view: ModelView, says: str) -> tuple[tuple[str, ...], str]:
    """Nodes that the checker's words are about and do not name, and what they leave open."""
    if (twice := _MADE_TWICE.search(says)) is not None:
        return _makers(view, twice[1]), ""
    if (unordered := _UNORDERED.search(says)) is not None:
        makers = _makers(view, unordered[1])
        return (), f" ({some(makers)} makes it)" if makers else " (no node makes it)"
    return (), ""


def _find(view: ModelView) -> Iterator[Occurrence]:
    """The graph breaks a rule of the ONNX specification that ONNX's own full check
    (`onnx.checker.check_model(full_check=True)`) knows: a value that nothing makes, or that is used before it is made;
    two nodes that make one value, or a subgraph that reuses an outer name; an operator or an attribute that this
    version of its domain does not have or has withdrawn; a domain of which no version is imported; functions that are
    defined twice or call themselves; a version of the format that is none, or newer than the installed ONNX; a tensor
    that holds less than its dims promise; an operator on a type that it is not defined for; a recorded type that is not
    the one that is made; an axis that is not there. Runtimes differ in what they let pass, so such a file may load in
    one and not in another. The checker stops at the first thing it finds; weights and external data are not read for
    it, and recorded shapes are SHP006's.
    """
    found = view.invalid
    if found is not None:
        nodes, more = _more(view, found.message)
        nodes = (found.node,) if found.node else nodes
        yield Occurrence(nodes, f"not a valid ONNX graph, so runtimes may refuse it: {found.message}{more}")


RULE = Rule(
    code="STR001",
    name="invalid-graph",
    severity="error",
    find=_find,
    fires=(
        f"{_HEAD} {{ y = Relu <slope = 0.1> (x) }}",
        f"{_HEAD} {{ y = Add (x, gone) }}",
        f"{_HEAD} {{ z = Relu (x) }}",
        f"{_HEAD} {{ y = Relu (a) a = Neg (x) }}",
        f"{_HEAD} {{ a = Add (x, b) b = Neg (a) y = Relu (b) }}",
        f"{_HEAD} {{ y = Relu (x) y = Neg (x) }}",
        f"{_HEAD} <float[2,3] y = {{1,2,3,4,5,6}}> {{ y = Relu (x) }}",
        f"{_HEAD} {{ c = Constant <value = bool {{1}}> () a = Abs (x) y = If (c) <{_BRANCHES}> }}",
        f"{_HEAD} {{ y = FusedBatchNormV3 (x) }}",
        f"{_HEAD} {{ y = Gelu (x) }}",
        '<ir_version: 8, opset_import: ["" : 10]> g (float[1,1,2,2] x) => (float[1,1,4,4] y) '
        "<float[4] s = {1.0, 1.0, 2.0, 2.0}> { y = Upsample (x, s) }",
        f"{_HEAD} {{ y = com.microsoft.FusedGelu (x) }}",
        f"{_HEAD} {{ y = mine.a (x) }}",
        f"{_MINE} {{ y = mine.a (x) }} "
        f"{_FUNCTION} a (p) => (q) {{ q = Relu (p) }} {_FUNCTION} a (p) => (q) {{ q = Neg (p) }}",
        f"{_MINE} {{ y = mine.a (x) }} "
        f"{_FUNCTION} a (p) => (q) {{ q = mine.b (p) }} {_FUNCTION} b (p) => (q) {{ q = mine.a (p) }}",
        f"{_IR.format(3)} <float[3] w = {{1.0, 2.0, 3.0}}> {{ y = Mul (x, w) }}",
        f"{_IR.format(9999)} {{ y = Relu (x) }}",
        f"{_IR.format(0)} {{ y = Relu (x) }}",
        f"{_HEAD} {{ [rounded] k = Shape (x) f = Floor (k) y = Neg (x) }}",
        f"{_HEAD} {{ y = Cast <to = 11> (x) }}",
    ),
    quiet=(
        f"{_HEAD} {{ y = Relu (x) }}",
        f"{_HEAD} {{ y = Cast <to = 1> (x) }}",
        f"{_HEAD} {{ a = Neg (x) y = Relu (a) }}",
        f"{_LATER} {{ y = Gelu (x) }}",
        f"{_MINE} {{ y = mine.a (x) }} {_FUNCTION} a (p) => (q) {{ q = Relu (p) }}",
    ),
)
