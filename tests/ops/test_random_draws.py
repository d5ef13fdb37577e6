"""Which nodes draw: the list is one, and Dropout is on it only where it may train."""

from __future__ import annotations

import re
from pathlib import Path

import onnx
import onnx.parser
import pytest

from onnx_triangulate.locate.model_interface import _drawn
from onnx_triangulate.ops.random_draws import DRAWS, draws, stored

HEAD = '<ir_version: 8, opset_import: ["" : {opset}]> g (float[2,3] x{inputs}) => (float[2,3] y) {body}'


def graph(body: str, opset: int = 17, inputs: str = "") -> onnx.ModelProto:
    return onnx.parser.parse_model(HEAD.format(opset=opset, inputs=inputs, body=body))


@pytest.mark.parametrize(
    ("body", "opset", "inputs", "drawn"),
    [
        ("<float r = {0.5}, bool t = {1}> { y = Dropout (x, r, t) }", 17, "", True),
        ("<float r = {0.5}, bool t = {0}> { y = Dropout (x, r, t) }", 17, "", False),
        ("<float r = {0.0}, bool t = {1}> { y = Dropout (x, r, t) }", 17, "", False),
        ('<bool t = {1}> { y = Dropout (x, "", t) }', 17, "", True),
        ("<float r = {0.5}> { y = Dropout (x, r, t) }", 17, ", bool t", True),
        ("<float r = {0.5}> { t = Constant <value = bool {1}> () y = Dropout (x, r, t) }", 17, "", True),
        ("<float r = {0.5}> { t = Constant <value = bool {0}> () y = Dropout (x, r, t) }", 17, "", False),
        ("{ y = Dropout (x) }", 17, "", False),
        ("{ y = Dropout <ratio = 0.5> (x) }", 10, "", False),
        ("{ y = Dropout <ratio = 0.5> (x) }", 6, "", True),
        ("{ y = Dropout <ratio = 0.5, is_test = 1> (x) }", 6, "", False),
        ("{ r = RandomNormalLike (x) y = Add (x, r) }", 17, "", True),
        ("{ r = RandomUniform <shape = [2, 3]> () y = Add (x, r) }", 17, "", True),
        ("{ r = Bernoulli (x) y = Add (x, r) }", 17, "", True),
        ("{ y = Add (x, x) }", 17, "", False),
    ],
)
def test_what_draws(body: str, opset: int, inputs: str, drawn: bool) -> None:
    model = graph(body, opset, inputs)
    assert any(draws(node, stored(model), opset) for node in model.graph.node) is drawn
    assert (_drawn(model) is not None) is drawn  # two files that draw are not compared


def test_what_draws_in_a_branch_and_reaches_no_output() -> None:
    branch = """{ y = If (c) <then_branch = t () => (float[2,3] a) { r = RandomNormalLike (x) a = Add (x, r) },
                              else_branch = e () => (float[2,3] b) { b = Identity (x) }> }"""
    assert _drawn(graph(branch, inputs=", bool c")) is not None
    assert _drawn(graph("{ r = RandomNormalLike (x) y = Add (x, x) }")) is None


def test_there_is_one_list() -> None:
    """An operator that draws stands by name beside another one in no file: records say of each by itself."""
    root = Path(__file__).parents[2] / "pipeline" / "onnx_triangulate"
    several = re.compile(r"(?:RandomNormal|RandomUniform|Bernoulli|Multinomial)\W+(?:Random|Bernoulli|Multinomial)")
    found = {str(file.relative_to(root)) for file in root.rglob("*.py") if several.search(file.read_text("utf-8"))}
    assert found == set()
    assert "Dropout" in DRAWS
    assert len(DRAWS) > 6
    assert all(onnx.defs.has(op) for op in DRAWS)
