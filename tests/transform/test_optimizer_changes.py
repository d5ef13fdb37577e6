"""What an optimizer made of a graph, on pairs of graphs in which it is known."""

from __future__ import annotations

import onnx.parser

from onnx_triangulate.transform.optimizer_changes import Counted, counted, regions

HEAD = '<ir_version: 8, opset_import: ["" : 17, "own" : 1]> g (float[2] x) => (float[2] y) '


def model(body: str) -> onnx.ModelProto:
    return onnx.parser.parse_model(f"{HEAD} {{ {body} }}")


PLAIN = model("a = Abs (x) [first] b = Relu (a) c = Neg (b) [second] d = Relu (c) y = Exp (d)")


def test_what_was_not_touched_is_no_region() -> None:
    assert regions(PLAIN, PLAIN, PLAIN) == ()


def test_a_fusion_is_one_region_with_the_value_that_is_gone() -> None:
    fused = model("b = own.AbsRelu (x) c = Neg (b) [second] d = Relu (c) y = Exp (d)")
    (found,) = regions(PLAIN, PLAIN, fused)
    assert (found.ops, found.into, found.inner) == (("Abs", "Relu"), ("own.AbsRelu",), ("a",))
    assert found.nodes[1] == "first"


def test_two_places_are_two_regions_in_the_graphs_order() -> None:
    fused = model("d = own.NegRelu (b) b = own.AbsRelu (x) y = Exp (d)")
    first, second = regions(PLAIN, PLAIN, fused)
    assert (first.nodes[1], second.nodes[1]) == ("first", "second")
    assert (first.inner, second.inner) == (("a",), ("c",))


def test_nodes_are_named_as_in_the_exported_graph() -> None:
    """The runtime has saved its graph with names of its own."""
    renamed, fused = onnx.ModelProto(), model("b = own.AbsRelu (x) c = Neg (b) d = Relu (c) y = Exp (d)")
    renamed.CopyFrom(PLAIN)
    for node in renamed.graph.node:
        node.name = f"again_{node.name}"
    (found,) = regions(PLAIN, renamed, fused)
    assert found.nodes[1] == "first"


def test_an_attribute_that_was_changed_is_a_region() -> None:
    before = model("y = LeakyRelu <alpha: float = 0.1> (x)")
    after = model("y = LeakyRelu <alpha: float = 0.2> (x)")
    (found,) = regions(before, before, after)
    assert (found.ops, found.into, found.inner) == (("LeakyRelu",), ("LeakyRelu",), ())


def test_a_node_that_is_gone_takes_its_reader_along() -> None:
    before = model("[same] a = Identity (x) [last] y = Abs (a)")
    (found,) = regions(before, before, model("[last] y = Abs (x)"))
    assert (found.nodes, found.inner) == (("same", "last"), ("a",))


def test_a_value_that_became_a_constant_is_not_gone() -> None:
    before = model("c = Constant <value = float[2] {1.0, 2.0}> () d = Neg (c) y = Add (x, d)")
    after = onnx.parser.parse_model(f"{HEAD} <float[2] d = {{-1.0, -2.0}}> {{ y = Add (x, d) }}")
    (found,) = regions(before, before, after)
    assert "d" not in found.inner


def test_nodes_of_the_runtimes_own_are_counted() -> None:
    assert counted(PLAIN) == Counted(5, {})
    assert counted(model("b = own.AbsRelu (x) y = own.AbsRelu (b)")) == Counted(2, {"own.AbsRelu": 2})
