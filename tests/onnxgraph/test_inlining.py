"""Functions that stay where they are: compared by what they say."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto

from onnx_triangulate.diff.differences import differences
from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.onnxgraph.inlining import inlined
from tests.diff.test_differences import EMPTY, compare

FUNCTION = """
<ir_version: 9, opset_import: ["" : 18, "my" : 1]>
g (float[2,3] x) => (float[2,3] y) { t = my.f (x) y = my.f (t) }
<domain: "my", opset_import: ["" : 11, "my" : 1]> f (a) => (b) { h = Exp (a) b = my.g (h) }
<domain: "my", opset_import: ["" : 11]> g (a) => (b) { c = %s b = Neg (c) }
"""


def test_a_function_that_cannot_be_entered_is_compared_by_its_body_and_by_those_that_it_calls() -> None:
    one, two, renamed = (
        onnx.parser.parse_model(text)
        for text in (FUNCTION % "Relu (a)", FUNCTION % "Sigmoid (a)", (FUNCTION % "Relu (a)").replace("h", "k"))
    )
    found = compare(one, two)
    assert {(d.kind, d.what, d.harmless) for d in found.differences} == {("attribute", "the function's body", False)}
    assert [note for note in found.notes if "not entered" in note and "my.f" in note]
    assert compare(one, one).differences == compare(one, renamed).differences == ()


def test_functions_that_call_one_another_in_a_circle_are_compared_by_all_of_them() -> None:
    circle = FUNCTION.replace('["" : 11]> g', '["" : 11, "my" : 1]> g').replace("%s b", "%s e = my.f (c) b")
    one, two = (onnx.parser.parse_model(circle % op) for op in ("Relu (a)", "Sigmoid (a)"))
    assert {d.what for d in compare(one, two).differences} == {"the function's body"}
    assert compare(one, one).differences == ()


def test_functions_that_are_too_many_to_enter_are_told_apart() -> None:
    def doubling(last: str) -> onnx.ModelProto:
        functions = "".join(
            f'<domain: "my", opset_import: ["" : 20, "my" : 1]> f{i} (a) => (b) {{ t = my.f{i + 1} (a) '
            f"b = my.f{i + 1} (t) }}\n"
            for i in range(40)
        )
        head = '<ir_version: 9, opset_import: ["" : 20, "my" : 1]> g (float[2] x) => (float[2] y) { y = my.f0 (x) }\n'
        return onnx.parser.parse_model(
            f'{head}{functions}<domain: "my", opset_import: ["" : 20]> f40 (a) => (b) {{ b = {last} (a) }}'
        )

    assert {d.what for d in compare(doubling("Tanh"), doubling("Exp")).differences} == {"the function's body"}


def test_numbers_of_a_function_that_is_not_entered_are_not_those_of_another_folder(tmp_path: Path) -> None:
    model = onnx.parser.parse_model(FUNCTION % "Constant <value = float[2] {1, 2}> ()")
    tensor = next(n for f in model.functions for n in f.node if n.op_type == "Constant").attribute[0].t
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="w")
    one, two = (ModelView(model, tmp_path / folder / "model.onnx") for folder in ("one", "two"))
    assert differences(one, two, EMPTY, EMPTY).differences != ()
    assert differences(one, one, EMPTY, EMPTY).differences == ()


LEAK = """
<ir_version: 9, opset_import: ["" : 17, "own" : 1]>
g (float[2,3] x) => (float[2,3] y) { y = own.Leak%s (x) }
<domain: "own", opset_import: ["" : 17]>
Leak <alpha: float = 0.2> (a) => (b)
{ b = LeakyRelu <alpha: float = @alpha> (a) }
"""


@pytest.mark.parametrize(("given", "alpha"), [("", 0.2), ("<alpha = 0.3>", 0.3)])
def test_the_default_of_an_attribute_of_a_function_is_kept(given: str, alpha: float) -> None:
    (node,) = inlined(onnx.parser.parse_model(LEAK % given)).graph.node
    assert [round(a.f, 6) for a in node.attribute] == [alpha]


def test_functions_in_a_circle_cannot_be_inlined() -> None:
    circle = FUNCTION.replace('["" : 11]> g', '["" : 11, "my" : 1]> g').replace("%s b", "Relu (a) e = my.f (c) b")
    with pytest.raises(ValueError, match="circle"):
        inlined(onnx.parser.parse_model(circle))
