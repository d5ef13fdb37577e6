"""What one node, tensor or value of a file says: also where it says what ONNX does not want."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import AttributeProto, TensorProto, helper

from onnx_triangulate.onnxgraph.nodes import (
    array,
    attributes,
    constant_tensor,
    dims_of,
    domain_of,
    elements,
    every_graph,
    every_tensor,
    message,
    named_dims,
    node_name,
    nodes_within,
    operator,
    opset,
    printable,
    refers,
    sparse_tensor,
    subgraphs,
    text,
    whole_slots,
    without_large_initializers,
)

NESTED = """<ir_version: 8, opset_import: ["" : 18]> g (bool c, float[2] x) => (float[2] y) <float[2] w = {1, 2}> {
    a = Add (x, w)
    y = If (c) <
        then_branch = t () => (float[2] p) { p = Neg (a) },
        else_branch = e () => (float[2] q) <float[2] v = {3, 4}> {
            q = If (c) <
                then_branch = tt () => (float[2] r) { r = Mul (a, v) },
                else_branch = ee () => (float[2] s) { s = Relu (a) }
            >
        }
    >
}"""


def test_every_graph_node_and_tensor_at_any_depth() -> None:
    proto = onnx.parser.parse_model(NESTED)
    assert sorted(graph.name for graph in every_graph(proto.graph)) == ["e", "ee", "g", "t", "tt"]
    assert sorted(node.op_type for node in nodes_within(proto.graph)) == ["Add", "If", "If", "Mul", "Neg", "Relu"]
    named = sorted(tensor.name for tensor in every_tensor(proto.graph) if tensor.name)
    assert named == ["v", "w"]


def test_a_graph_in_an_attribute_of_no_type_is_walked_and_is_none_of_the_nodes_own() -> None:
    proto = onnx.parser.parse_model(NESTED)
    (branch,) = [a for a in proto.graph.node[1].attribute if a.name == "then_branch"]
    branch.type = AttributeProto.UNDEFINED
    assert "t" in {graph.name for graph in every_graph(proto.graph)}
    assert [name for name, _ in subgraphs(proto.graph.node[1])] == ["else_branch"]


def test_names_operators_and_domains() -> None:
    node = helper.make_node("Conv", ["x"], ["y"])
    assert (node_name(node, 3), operator(node), domain_of(node)) == ("Conv_3", "Conv", "")
    node.name, node.domain = "own", "ai.onnx"
    assert (node_name(node, 3), operator(node), domain_of(node)) == ("own", "Conv", "")
    node.domain = "com.microsoft"
    assert (operator(node), domain_of(node)) == ("com.microsoft.Conv", "com.microsoft")


@pytest.mark.parametrize(
    ("model", "version"),
    [
        (helper.make_model(onnx.GraphProto(), opset_imports=[helper.make_opsetid("", 13)]), 13),
        (helper.make_model(onnx.GraphProto(), opset_imports=[helper.make_opsetid("ai.onnx", 12)]), 12),
        (helper.make_model(onnx.GraphProto(), opset_imports=[helper.make_opsetid("mine", 1)]), None),
    ],
)
def test_the_opset_that_a_model_asks_for(model: onnx.ModelProto, version: int | None) -> None:
    assert opset(model) == version


def test_slots_for_whole_numbers() -> None:
    slice_node = helper.make_node("Slice", ["x", "starts", "ends", "axes"], ["y"])
    assert whole_slots(slice_node, 13) == {1, 2, 3}
    assert whole_slots(slice_node, None) == {0, 1, 2, 3}  # nobody knows
    assert whole_slots(helper.make_node("Mine", ["x", "y"], ["z"], domain="mine"), 13) == {0, 1}
    assert whole_slots(helper.make_node("Concat", ["a", "b", "c"], ["y"], axis=0), 13) == frozenset()


def test_attributes_are_python_values_and_parameters_are_none() -> None:
    node = helper.make_node(
        "Mine", ["x"], ["y"], number=2, real=0.5, many=[1, 2], reals=[0.5], word="abc", words=["a", "b"]
    )
    node.attribute.add(name="given", ref_attr_name="outer", type=AttributeProto.INT)
    held = attributes(node)
    assert held == {"number": 2, "real": 0.5, "many": (1, 2), "reals": (0.5,), "word": "abc", "words": ("a", "b")}
    assert refers(node, "given")
    assert not refers(node, "number")


CONSTANTS: dict[str, tuple[dict[str, Any], Any]] = {
    "a number": ({"value_float": 0.5}, np.float32(0.5)),
    "numbers": ({"value_floats": [0.5, 2.0]}, np.array([0.5, 2], np.float32)),
    "a whole number": ({"value_int": 3}, np.int64(3)),
    "whole numbers": ({"value_ints": [3, 4]}, np.array([3, 4])),
    "a tensor": ({"value": onnx.numpy_helper.from_array(np.eye(2, dtype=np.float16))}, np.eye(2, dtype=np.float16)),
}


@pytest.mark.parametrize("name", CONSTANTS)
def test_what_a_constant_makes(name: str) -> None:
    given, due = CONSTANTS[name]
    tensor = constant_tensor(helper.make_node("Constant", [], ["y"], **given))
    assert tensor is not None
    made = array(tensor)
    assert made is not None
    assert made.dtype == due.dtype
    assert np.array_equal(made, due)


@pytest.mark.parametrize(
    "node",
    [
        helper.make_node("Constant", [], ["y"], value_string="abc"),
        helper.make_node("Constant", [], ["y"], value_float=1),  # a whole number, whatever the attribute is called
        helper.make_node("Constant", [], ["y"], value_int=1, domain="mine"),
        helper.make_node("Identity", [], ["y"], value_int=1),
    ],
)
def test_what_makes_no_dense_tensor(node: onnx.NodeProto) -> None:
    assert constant_tensor(node) is None


def test_a_sparse_constant() -> None:
    values = helper.make_tensor("v", TensorProto.FLOAT, [1], [2.0])
    held = helper.make_sparse_tensor(values, helper.make_tensor("i", TensorProto.INT64, [1], [3]), [5])
    node = helper.make_node("Constant", [], ["y"], sparse_value=held)
    found = sparse_tensor(node)
    assert found is not None
    assert list(found.dims) == [5]
    assert sparse_tensor(helper.make_node("Mine", [], ["y"], sparse_value=held)) is None
    assert sparse_tensor(helper.make_node("Constant", [], ["y"], value_int=1)) is None


def _external(tensor: TensorProto) -> None:
    tensor.data_location = TensorProto.EXTERNAL


def _short(tensor: TensorProto) -> None:
    tensor.raw_data = b"123"


@pytest.mark.parametrize("damage", [_external, _short])
def test_numbers_that_the_file_does_not_hold(damage: Callable[[TensorProto], None]) -> None:
    tensor = onnx.numpy_helper.from_array(np.ones(4, np.float32))
    assert array(tensor) is not None
    damage(tensor)
    assert array(tensor) is None


def test_elements_are_what_dims_promise() -> None:
    assert [elements(TensorProto(dims=dims)) for dims in ([], [3], [3, 4], [3, 0], [3, -1])] == [1, 3, 12, 0, 0]
    assert elements(TensorProto(dims=[1 << 40] * 1000)) >= 1 << 64


def test_dims_as_sizes_and_as_written() -> None:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, None, -2])
    assert dims_of(value) == (None, 3, None, None)
    assert named_dims(value) == ("n", 3, None, -2)
    assert dims_of(helper.make_tensor_value_info("x", TensorProto.FLOAT, None)) is None
    assert dims_of(helper.make_tensor_value_info("x", TensorProto.FLOAT, [])) == ()
    sequence = helper.make_tensor_sequence_value_info("s", TensorProto.FLOAT, [2])
    assert dims_of(sequence) is None
    assert named_dims(sequence) is None


def test_text_of_a_file_is_printable() -> None:
    assert text(b"a\xff") == "a\\xff"
    assert printable("a\x1b[2J\nb") == "a\\x1b[2J\\nb"
    assert printable("a" * 200, 10) == "a" * 9 + "…"
    assert printable("a" * 10, 10) == "a" * 10


def test_an_engines_words_are_cut_behind_a_word_and_without_its_sources() -> None:
    said = "/onnxruntime_src/onnxruntime/core/graph/graph.cc:583 void onnxruntime::Graph::f(int) No opset\nimport"
    assert message(said) == "No opset import"
    assert message("one two three", 8) == "one two…"
    assert message("one two, three", 9) == "one two…"
    assert message("unbroken", 5) == "unbr…"
    assert message("exact", 5) == "exact"


def test_large_initializers_become_inputs() -> None:
    graph = helper.make_graph([], "g", [], [])
    for name, size in (("small", 1024), ("large", 1025), ("given", 1025), ("outside", 1)):
        graph.initializer.append(onnx.numpy_helper.from_array(np.zeros(size, np.float32), name))
    graph.initializer[3].data_location = TensorProto.EXTERNAL
    graph.input.append(helper.make_tensor_value_info("given", TensorProto.FLOAT, [1025]))
    bare = without_large_initializers(helper.make_model(graph))
    assert [tensor.name for tensor in bare.graph.initializer] == ["small"]
    assert [(value.name, dims_of(value)) for value in bare.graph.input] == [
        ("given", (1025,)),
        ("large", (1025,)),
        ("outside", (1,)),
    ]
