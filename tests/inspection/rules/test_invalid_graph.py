"""What ONNX's checker says of a graph, and which node the remark names."""

from __future__ import annotations

import onnx.parser
import pytest

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.inspection.rules import rules

HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (float[2,3] x) => (float[2,3] y)'
MINE = '<ir_version: 8, opset_import: ["" : 17, "mine" : 1]> g (float[2,3] x) => (float[2,3] y) { y = mine.a (x) }'
BODY = '<domain: "mine", opset_import: ["" : 17, "mine" : 1]>'


@pytest.mark.parametrize(
    ("graph", "nodes", "words"),
    [
        (f"{HEAD} {{ y = Add (x, gone) }}", ("Add_0",), "no node makes it"),
        (f"{HEAD} {{ [n] y = Add (x, gone) }}", ("n",), "no node makes it"),
        (f"{HEAD} {{ z = Relu (x) }}", (), "output 'y'"),
        (f"{HEAD} {{ y = Relu (a) a = Neg (x) }}", ("Relu_0",), "Neg_1 makes it"),
        (f"{HEAD} {{ y = Relu (x) y = Neg (x) }}", ("Relu_0", "Neg_1"), "multiple times"),
        (f"{HEAD} {{ y = Gelu (x) }}", ("Gelu_0",), "No Op registered for Gelu"),
        (f"{HEAD} {{ y = mine.a (x) }}", ("a_0",), "No opset import"),
        (f"{MINE} {BODY} a (p) => (q) {{ q = mine.a (p) }}", (), "recursive"),
        (f"{MINE} {BODY} a (p) => (q) {{ q = Relu (p) }} {BODY} a (p) => (q) {{ q = Neg (p) }}", (), "mine::a"),
        (f"{HEAD.replace('ir_version: 8', 'ir_version: 0')} {{ y = Relu (x) }}", (), "ir_version"),
    ],
)
def test_the_checkers_word_with_its_node(graph: str, nodes: tuple[str, ...], words: str) -> None:
    (remark,) = rules()["STR001"].diagnose(ModelView(onnx.parser.parse_model(graph)))
    assert remark.severity == "error"
    assert remark.nodes == nodes
    assert words in remark.message
