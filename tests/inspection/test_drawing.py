"""What is drawn of a graph: which boxes, which arrows, what stands on them, what is left out and counted."""

from __future__ import annotations

from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper, parser

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.inspection.drawing import draw
from onnx_triangulate.inspection.run import inspected
from onnx_triangulate.records.errors import UnusableInput
from onnx_triangulate.records.inspection import Diagnostic, Drawing, Inspection
from tests.counting import calls

CONV = """<ir_version: 8, opset_import: ["" : 17]> g (float[1,2,8,8] x, float[3,2,3,3] w) => (float[1,3,4,4] y)
<float[3] b = {1.0, 2.0, 3.0}>
{ c = Conv <auto_pad = "SAME_UPPER", strides = [2, 2]> (x, w, b)
  six = Constant <value = float {6.0}> ()
  y = Min (c, six) }"""


def drawn(model: onnx.ModelProto | str, found: Inspection | None = None, **options: Any) -> Drawing:
    view = ModelView(parser.parse_model(model) if isinstance(model, str) else model)
    return draw(view, found or inspected(view, ()), **options)


def boxes(drawing: Drawing) -> dict[str, Any]:
    return {box.title: box for box in drawing.boxes}


def arrows(drawing: Drawing) -> list[tuple[str, str]]:
    titles = {box.key: box.title for box in drawing.boxes}
    return [(titles[arrow.source], titles[arrow.target]) for arrow in drawing.arrows]


def forward(drawing: Drawing) -> bool:
    order = [box.key for box in drawing.boxes]
    return all(order.index(arrow.source) < order.index(arrow.target) for arrow in drawing.arrows)


def test_a_node_shows_its_padding_in_effect_its_constants_and_what_it_makes() -> None:
    drawing = drawn(CONV)
    lines = boxes(drawing)["Conv"].lines
    assert lines[0] == "pads 0 0 | 1 1 (SAME_UPPER)"
    assert "B = [1, 2, 3]" in lines
    assert "strides [2, 2]" in lines
    assert lines[-1] == "→ float32[1,3,4,4]"
    assert not any(line.startswith("auto_pad") for line in lines)


def test_constants_are_lines_and_no_boxes() -> None:
    drawing = drawn(CONV)
    assert list(boxes(drawing)) == ["x", "w", "Conv", "Min", "y"]
    assert arrows(drawing) == [("x", "Conv"), ("w", "Conv"), ("Conv", "Min"), ("Min", "y")]
    assert any(line.endswith("= 6") for line in boxes(drawing)["Min"].lines)
    assert drawing.left_out == 0
    assert forward(drawing)


def test_a_large_weight_is_no_input() -> None:
    w = helper.make_tensor("w", TensorProto.FLOAT, [64, 64], bytes(4 * 64 * 64), raw=True)
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 64]) for n in "xy")
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", [x], [y], [w])
    drawing = drawn(helper.make_model(graph))
    assert list(boxes(drawing)) == ["x", "MatMul", "y"]
    assert "B 64×64" in boxes(drawing)["MatMul"].lines


def test_a_constant_that_is_an_output_is_a_box() -> None:
    drawing = drawn(
        '<ir_version: 8, opset_import: ["" : 17]> g () => (float y) { y = Constant <value = float {1.0}> () }'
    )
    assert arrows(drawing) == [("Constant", "y")]


def test_an_input_that_is_an_output_is_one_arrow() -> None:
    drawing = drawn('<ir_version: 8, opset_import: ["" : 17]> g (float x) => (float x) { }')
    assert arrows(drawing) == [("x", "x")]


BRANCHES = """<ir_version: 8, opset_import: ["" : 17]> g (bool c, float[2] x) => (float[2] y)
{ a = Abs (x)
  b = Neg (x)
  [choice] y = If (c) <then_branch = t () => (float[2] p) { [inner] p = Sqrt (a) },
                       else_branch = e () => (float[2] q) { s = Exp (a) q = Add (s, b) }>
}"""


def test_what_a_subgraph_reads_from_outside_is_an_arrow_into_its_node() -> None:
    drawing = drawn(BRANCHES)
    assert {("Abs", "If"), ("Neg", "If"), ("c", "If")} <= set(arrows(drawing))
    assert {"then_branch: 1 node", "else_branch: 2 nodes"} <= set(boxes(drawing)["If"].lines)
    assert "Sqrt" not in boxes(drawing)


def test_around_a_node_of_a_subgraph_that_subgraph_is_drawn() -> None:
    drawing = drawn(BRANCHES, around="choice/then_branch/inner")
    assert arrows(drawing) == [("a", "Sqrt"), ("Sqrt", "p")]
    assert "choice/then_branch" in drawing.title


def test_a_function_is_drawn_around_one_of_its_nodes() -> None:
    text = """<ir_version: 8, opset_import: ["" : 17, "own" : 1]> g (float[2] x) => (float[2] y) { y = own.twice (x) }
    <domain: "own", opset_import: ["" : 17]> twice (i) => (o) { [sum] o = Add (i, i) }"""
    assert arrows(drawn(text)) == [("x", "own.twice"), ("own.twice", "y")]
    assert arrows(drawn(text, around="twice/sum")) == [("i", "Add"), ("Add", "o")]


def chain(length: int) -> onnx.ModelProto:
    nodes = [helper.make_node("Neg", [f"v{i}"], [f"v{i + 1}"], name=f"n{i}") for i in range(length)]
    ends = [helper.make_tensor_value_info(f"v{i}", TensorProto.FLOAT, [2]) for i in (0, length)]
    return helper.make_model(helper.make_graph(nodes, "g", ends[:1], ends[1:]))


def test_around_a_node_only_what_is_near_and_the_rest_is_counted() -> None:
    drawing = drawn(chain(50), around="n20", depth=2)
    assert [box.name for box in drawing.boxes if box.kind == "node"] == ["n18", "n19", "n20", "n21", "n22"]
    assert [box.title for box in drawing.boxes if box.kind == "more"] == ["1 more", "1 more"]
    assert drawing.left_out == 52 - 5
    assert forward(drawing)


def test_what_was_asked_for_is_marked() -> None:
    assert [box.name for box in drawn(chain(50), around="n20", depth=2).boxes if box.focused] == ["n20"]
    assert [box.name for box in drawn(chain(50), around="v0", depth=1).boxes if box.focused] == ["v0"]
    assert not any(box.focused for box in drawn(chain(5)).boxes)


def test_values_of_a_subgraph_have_layouts_too() -> None:
    text = """<ir_version: 8, opset_import: ["" : 17]> g (bool c, float[1,8,8,2] x, float[3,2,3,3] w) => (y)
    { [turn] t = Transpose <perm = [0,3,1,2]> (x)
      [choice] y = If (c) <then_branch = a () => (p)
      { [inner] q = Conv (t, w) [back] p = Transpose <perm = [0,2,3,1]> (q) },
        else_branch = b () => (r) { r = Identity (x) }> }"""
    inside = {box.name: box.layout for box in drawn(text, around="choice/then_branch/inner").boxes}
    assert inside["choice/then_branch/inner"] == "NCHW"
    assert inside["choice/then_branch/back"] == "NHWC"
    assert inside["t"] == "NCHW"
    assert boxes(drawn(text))["x"].layout == "NHWC"


def test_around_a_value_is_around_its_maker() -> None:
    drawing = drawn(chain(50), around="v21", depth=0)
    assert [box.name for box in drawing.boxes if box.kind == "node"] == ["n20"]
    drawing = drawn(chain(50), around="v0", depth=1)
    assert [box.name for box in drawing.boxes] == ["v0", "n0", ""]


def test_around_nobody_is_said_with_names_that_are_near() -> None:
    with pytest.raises(UnusableInput, match=r"n9x: no node"):
        drawn(chain(3), around="n9x")
    with pytest.raises(UnusableInput, match=r"N1: no node.*there is n1"):
        drawn(chain(3), around="N1")


def test_a_large_graph_is_drawn_in_part() -> None:
    drawing = drawn(chain(20_000), most=400)
    assert sum(box.kind != "more" for box in drawing.boxes) == 400
    assert drawing.left_out == 20_002 - 400
    assert [box.title for box in drawing.boxes if box.kind == "more"] == ["1 more"]


def test_work_grows_with_the_nodes_and_no_faster() -> None:
    def work(size: int) -> int:
        view = ModelView(chain(size))
        found = inspected(view, ())
        return calls(lambda: draw(view, found, most=400))

    assert work(4000) < 8 * 1.2 * work(500)


def test_a_value_that_all_read_does_not_draw_all() -> None:
    nodes = [helper.make_node("Neg", ["x"], [f"y{i}"], name=f"n{i}") for i in range(3000)]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])
    ys = [helper.make_tensor_value_info(f"y{i}", TensorProto.FLOAT, [2]) for i in range(3000)]
    drawing = drawn(helper.make_model(helper.make_graph(nodes, "g", [x], ys)), around="n7", depth=9, most=50)
    assert len(drawing.boxes) <= 50 + 12
    assert drawing.left_out == 6001 - 50
    assert "n7" in {box.name for box in drawing.boxes}


def test_a_circle_is_drawn() -> None:
    nodes = [helper.make_node("Neg", ["b"], ["a"]), helper.make_node("Abs", ["a"], ["b"])]
    y = helper.make_tensor_value_info("b", TensorProto.FLOAT, [2])
    drawing = drawn(helper.make_model(helper.make_graph(nodes, "g", [], [y])))
    assert sorted(arrows(drawing)) == [("Abs", "Neg"), ("Abs", "b"), ("Neg", "Abs")]


def test_nodes_that_are_out_of_order_are_drawn_in_order() -> None:
    nodes = [helper.make_node("Neg", ["a"], ["y"]), helper.make_node("Abs", ["x"], ["a"])]
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, [2]) for n in "xy")
    drawing = drawn(helper.make_model(helper.make_graph(nodes, "g", [x], [y])))
    assert arrows(drawing) == [("x", "Abs"), ("Abs", "Neg"), ("Neg", "y")]
    assert forward(drawing)


def test_two_nodes_of_one_name_have_each_its_own_padding() -> None:
    text = """<ir_version: 8, opset_import: ["" : 17]> g (float[1,2,8,8] x) => (y)
    { [n] a = MaxPool <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x)
      [n] y = MaxPool <kernel_shape = [3, 3], pads = [0, 0, 2, 2]> (a) }"""
    pads = [box.lines[0] for box in drawn(text).boxes if box.kind == "node"]
    assert pads == ["pads 1 1 | 1 1", "pads 0 0 | 2 2"]
    view = ModelView(parser.parse_model(text))
    found = inspected(view, ())
    fewer = Inspection(**{**vars(found), "pads": found.pads[:1]})
    assert not any(line.startswith("pads 1 1 | 1 1") for box in draw(view, fewer).boxes for line in box.lines)


def test_remarks_and_layouts_reach_their_boxes() -> None:
    view = ModelView(parser.parse_model(CONV.replace("c = Conv", "[conv] c = Conv")))
    found = inspected(view, ())
    remarks = (
        Diagnostic("A001", "info", ("conv",), "one"),
        Diagnostic("B001", "error", ("c", "conv"), "two"),
        Diagnostic("C001", "warning", ("x",), "three"),
    )
    found = Inspection(**{**vars(found), "diagnostics": remarks, "layouts": {"x": "NCHW", "c": "NCHW"}})
    made = boxes(draw(view, found))
    assert made["Conv"].severity == "error"
    assert made["Conv"].diagnostics == ("A001 one", "B001 two")
    assert (made["x"].severity, made["x"].layout) == ("warning", "NCHW")
    assert (made["w"].severity, made["w"].layout) == (None, "")
    assert {a.name: a.layout for a in draw(view, found).arrows}["c"] == "NCHW"


@pytest.mark.parametrize("case", ["missing input", "no name", "bytes", "wild attribute"])
def test_what_is_wrong_with_a_file_does_not_raise(case: str) -> None:
    model = parser.parse_model(CONV)
    node = model.graph.node[0]
    if case == "missing input":
        del node.input[:]
        node.input.append("nowhere")
    elif case == "no name":
        node.output[0] = ""
        node.op_type = ""
    elif case == "bytes":
        node.name = "x" * 5
        content = model.SerializeToString().replace(b"xxxxx", b"\xff\xfe\xedx\x00")
        model = onnx.ModelProto.FromString(content)
    else:
        node.attribute[0].type = onnx.AttributeProto.INTS
        node.attribute.append(helper.make_attribute("pads", [2**62] * 3000))
    assert drawn(model).boxes
