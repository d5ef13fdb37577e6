"""Graphs inside of graphs: what each takes, gives and reads from outside."""

from __future__ import annotations

import onnx.parser

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.onnxgraph.graph import graphs_of

NESTED = """<ir_version: 8, opset_import: ["" : 17, "mine" : 1]> g (float[2,3] x, bool c) => (y)
<float[3] w = {1.0, 2.0, 3.0}> {
    a = Abs (x)
    [if] y = If (c) <
        then_branch = t () => (d) { [inner] d = If (c) <
            then_branch = tt () => (p) { p = Mul (a, w) }, else_branch = ee () => (q) { q = mine.twice (a) }> },
        else_branch = e () => (b) { b = Neg (x) }>
} <domain: "mine", opset_import: ["" : 17]> twice (u) => (v) { v = Add (u, u) }"""


def test_each_graph_comes_before_those_inside_it_and_functions_last() -> None:
    found = ModelView(onnx.parser.parse_model(NESTED)).graphs
    assert [(b.path, b.kind, len(b.places)) for b in found] == [
        ("", "graph", 2),
        ("if/then_branch/", "subgraph", 1),
        ("if/else_branch/", "subgraph", 1),
        ("if/then_branch/inner/then_branch/", "subgraph", 1),
        ("if/then_branch/inner/else_branch/", "subgraph", 1),
        ("twice/", "function", 1),
    ]
    main, then, other, inner, _, function = found
    assert (then.parent, then.holder) == (main, main.places[1])
    assert inner.parent is then
    assert function.parent is None
    assert main.places[1].captured == ("c", "a", "w", "x")
    assert then.places[0].captured == ("a", "w")
    assert other.places[0].captured == ()
    tensor = inner.tensor("w")
    assert tensor is not None
    assert tensor.name == "w"
    assert inner.tensor("a") is None


def test_who_makes_and_who_reads_a_value() -> None:
    main, then, other, *_ = graphs_of(onnx.parser.parse_model(NESTED))
    assert main.consumers("x") == [0, 1]  # the second in a branch
    assert main.consumers("w") == [1]
    assert main.consumers("y") == ()
    assert main.reads(1) == ["c", "c", "a", "w", "x"]
    producer = other.producer("a")  # outside
    assert producer is not None
    assert producer.op_type == "Abs"
    assert other.name_of_producer("a") == "Abs_0"
    assert other.owner("x") is main
    assert other.owner("gone") is None
    assert list(then.read) == ["c", "a", "w", "d"]


def test_graphs_nested_deeper_than_python_recurses() -> None:
    model = onnx.parser.parse_model('<ir_version: 8, opset_import: ["" : 17]> g (float[2] x) => (y) { y = Relu (x) }')
    inner = onnx.GraphProto()
    inner.CopyFrom(model.graph)
    inner.ClearField("input")
    for _ in range(400):
        outer = onnx.GraphProto(output=inner.output)
        node = outer.node.add(op_type="If", input=["c"], output=["y"])
        node.attribute.add(name="then_branch", type=onnx.AttributeProto.GRAPH).g.CopyFrom(inner)
        inner = outer
    model.graph.CopyFrom(inner)
    graphs = graphs_of(model)
    assert len(graphs) == 401
    assert graphs[0].free == ("c", "x")
