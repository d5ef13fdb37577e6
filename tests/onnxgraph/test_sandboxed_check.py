"""Inference and checker die alone, are given no numbers, and complain of nothing that was left out for them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx.parser
import pytest
from onnx import AttributeProto, ModelProto, TensorProto, helper, numpy_helper

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.onnxgraph import inference, sandbox, sandboxed_check
from onnx_triangulate.onnxgraph.graph import places
from onnx_triangulate.onnxgraph.inference import endless
from onnx_triangulate.onnxgraph.sandboxed_check import numberless
from scripts.inspect_files import external

HEAD = '<ir_version: 9, opset_import: ["" : 18, "l" : 1]>'
LOCAL = '<domain: "l", opset_import: ["" : 18, "l" : 1]>'


def parsed(text: str) -> ModelProto:
    return onnx.parser.parse_model(f"{HEAD} {text}")


def large(name: str, *dims: int) -> TensorProto:
    return numpy_helper.from_array(np.ones(dims, np.float32), name)


def weighty() -> ModelProto:
    """Large tensors wherever a tensor can be: initializers, a Constant, a branch, a function, a sparse one."""
    model = parsed(
        f"""g (float[1,3,40,50] x, bool c) => (float[d] y) {{
            k = Constant <value = float {{0}}> ()
            a = Conv (x, w)
            b = Add (a, k)
            s = l.F (b)
            y = If (c) <
                then_branch = t () => (float[n] t0) {{ u = Constant <value = float {{0}}> () t0 = Mul (u, v) }},
                else_branch = e () => (float[m] e0) {{ e0 = Relu (s) }}>
        }}
        {LOCAL} F (x) => (y) {{ q = Constant <value = float {{0}}> () y = Mul (x, q) }}"""
    )
    model.graph.initializer.append(large("w", 7, 3, 40, 50))
    model.graph.node[0].attribute[0].t.CopyFrom(large("", 1, 7, 1, 1, 300))
    branch = model.graph.node[-1].attribute[0].g
    branch.node[0].attribute[0].t.CopyFrom(large("", 3000))
    branch.initializer.append(large("v", 3000))
    model.functions[0].node[0].attribute[0].t.CopyFrom(large("", 10, 1, 1, 1, 300))
    return model


def test_no_numbers_are_left_and_nothing_else_is_lost() -> None:
    model = weighty()
    copy = numberless(model)
    assert model.ByteSize() > 100_000
    assert copy.ByteSize() < 2_000
    assert [t.dims for t in copy.graph.initializer] == [[7, 3, 40, 50]]
    names = [(p.name, p.op, list(p.node.input), list(p.node.output)) for p in places(model)]
    assert [(p.name, p.op, list(p.node.input), list(p.node.output)) for p in places(copy)] == names
    assert len(names) == 10
    small = parsed("g (float[2] x) => (float[2] y) <float[2] w = {1, 2}> { [n] y = Add (x, w) }")
    assert numberless(small) == small
    small.graph.node[0].name = "n" * 1000
    assert numberless(small) == small


def test_numbers_that_a_tensor_has_no_dims_for_are_left_out() -> None:
    model = parsed("g (float[2] x) => (float[2] y) { y = Add (x, w) }")
    model.graph.initializer.append(TensorProto(name="w", data_type=1, dims=[1], raw_data=b"\0" * 100_000))
    assert numberless(model).ByteSize() < 200


def test_stack_traces_of_exporters_are_left_out() -> None:
    model = parsed("g (float[2] x) => (float[2] y) { y = Relu (x) }")
    model.graph.node[0].metadata_props.add(key="trace", value="t" * 10_000)
    model.graph.node[0].doc_string = "d" * 10_000
    assert numberless(model).ByteSize() < 200


def test_shapes_are_inferred_through_what_has_no_numbers() -> None:
    view = ModelView(weighty())
    shape = {name: place.graph.shape(name) for place in view.places for name in place.node.output}
    assert shape["a"] == (1, 7, 1, 1)
    assert shape["k"] == (1, 7, 1, 1, 300)
    assert shape["t0"] == (3000,)
    assert view.problems == []


def test_places_are_those_of_the_model_itself() -> None:
    model = weighty()
    view = ModelView(model)
    place = next(p for p in view.places if p.name == "Conv_1")
    assert place.node is model.graph.node[1] or place.node == model.graph.node[1]
    tensor = place.graph.tensor("w")
    assert tensor is not None
    assert len(tensor.raw_data) == 4 * 7 * 3 * 40 * 50


def test_the_checker_is_content_without_numbers() -> None:
    assert ModelView(weighty()).invalid is None


def _sparse(count: int) -> ModelProto:
    model = parsed("g (float[3,5000] x) => (float[3,5000] y) { y = Add (x, w) }")
    sparse = model.graph.sparse_initializer.add()
    sparse.dims.extend([3, 5000])
    sparse.values.CopyFrom(large("w", count))
    indices = np.stack([np.zeros(count, np.int64), np.arange(count)], 1)
    sparse.indices.CopyFrom(numpy_helper.from_array(indices, "w_indices"))
    return model


@pytest.mark.parametrize("count", [4, 600, 2000])
def test_sparse_tensors_are_emptied_together(count: int) -> None:
    model = _sparse(count)
    onnx.checker.check_model(model)
    invalid = ModelView(model).invalid  # ONNX has no Add of a sparse tensor; the checker says nothing of its numbers
    assert invalid is not None
    assert invalid.message == "ONNX's full check says: B typestr: T, has unsupported type: sparse_tensor(float) (Add)"
    assert numberless(model, empty=True).ByteSize() < 30_000


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("g (float[2] x) => (float[2] y) { y = Relu <slope = 0.5> (x) }", "slope"),
        ("g (float[2] x) => (float[2] y) { a = Add (x, b) b = Relu (a) y = Relu (b) }", "topologically sorted"),
    ],
)
def test_what_the_checker_says(text: str, says: str) -> None:
    invalid = ModelView(parsed(text)).invalid
    assert invalid is not None
    assert says in invalid.message
    assert "\n" not in invalid.message


@pytest.mark.parametrize("held", [{"raw_data": b"\0" * 8}, {"float_data": [1.0] * 3000}])
def test_a_tensor_that_holds_less_than_it_promises(held: dict[str, object]) -> None:
    model = parsed("g (float[2] x) => (float[n,m] y) { y = Add (x, w) }")
    model.graph.initializer.append(TensorProto(name="w", data_type=1, dims=[5000, 2], **held))
    invalid = ModelView(model).invalid
    assert invalid is not None
    assert "tensor w: its dims promise" in invalid.message
    model.graph.initializer[0].CopyFrom(large("w", 5000, 2))
    assert ModelView(model).invalid is None


def test_data_in_other_files_are_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe: who opens it waits until the child is killed for it."""
    os.mkfifo(tmp_path / "weights.bin")
    monkeypatch.chdir(tmp_path)
    for location in ("weights.bin", "missing.bin"):
        view = ModelView(external(location), tmp_path / "model.onnx")
        assert view.invalid is None
        assert view.places
        assert view.problems == []


def chained(levels: int, calls: int) -> ModelProto:
    functions = [f"{LOCAL} F0 (x) => (y) {{ y = Relu (x) }}"]
    for level in range(1, levels + 1):
        steps = [f"t{i + 1} = l.F{level - 1} (t{i})" for i in range(calls)]
        functions.append(f"{LOCAL} F{level} (t0) => (t{calls}) {{ {' '.join(steps)} }}")
    text = " ".join(functions)
    return parsed(f"g (float[2] x) => (float[2] y) {{ y = l.F{levels} (x) }} {text}")


def test_expansions_are_counted_before_they_happen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "_MOST_EXPANDED", 0)
    assert "expand to 2 nodes" in endless(chained(0, 1))
    assert "expand to 22 nodes" in endless(chained(2, 3))
    assert "expand to 3071 nodes" in endless(chained(10, 2))
    assert "10^12 or more" in endless(chained(40, 2))


def test_functions_that_do_nothing_are_followed_as_well() -> None:
    model = chained(40, 2)
    model.functions[0].ClearField("node")
    assert "expand to" in endless(model)


def test_few_expansions_are_followed() -> None:
    model = chained(3, 3)
    assert endless(model) == ""
    view = ModelView(model)
    assert view.shaped is not model
    assert view.problems == []


@pytest.mark.parametrize("calls", ["A", "B"])
def test_functions_in_a_circle(calls: str) -> None:
    model = parsed(
        f"g (float[2] x) => (float[2] y) {{ y = l.A (x) }} {LOCAL} A (x) => (y) {{ z = Relu (x) y = l.{calls} (z) }} "
        f"{LOCAL} B (x) => (y) {{ z = l.A (x) y = l.A (z) }}"
    )
    assert "in a circle" in endless(model)
    view = ModelView(model)
    assert view.shaped is model
    assert any("in a circle" in problem for problem in view.problems)


def test_calls_in_a_branch_count() -> None:
    model = chained(25, 2)
    call = helper.make_node("F25", ["x"], ["z"], domain="l")
    branch = helper.make_graph([call], "b", [], [helper.make_tensor_value_info("z", 1, [2])])
    model.graph.node[0].CopyFrom(helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch))
    assert "expand to" in endless(model)


def _hang(_: ModelProto) -> bytes:
    while True:
        pass


def _die(_: ModelProto) -> bytes:
    os.abort()


@pytest.mark.skipif(not sandbox.FORKS, reason="nothing is run aside here")
@pytest.mark.parametrize(("fault", "says"), [(_hang, "processor time|no answer within"), (_die, "SIGABRT")])
@pytest.mark.parametrize("place", ["_infer", "_check"])
def test_a_death_is_a_problem_and_the_rest_is_answered(
    fault: Callable[[ModelProto], bytes], says: str, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandboxed_check, place, fault)
    monkeypatch.setattr(sandboxed_check, "_SECONDS", 0.1)
    model = parsed("g (float[2,3] x) => (y) { a = Transpose (x) y = Relu <slope = 0.5> (a) }")
    view = ModelView(model)
    shape = {name: p.graph.shape(name) for p in view.places for name in p.node.output}
    assert shape["a"] == (None if place == "_infer" else (3, 2))
    assert (view.invalid is None) == (place == "_check")
    (problem,) = view.problems
    assert re.search(says, problem)


def test_without_forking_it_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "FORKS", False)
    view = ModelView(weighty())
    assert view.shaped is not view.model
    assert view.invalid is None
    assert ModelView(chained(40, 2)).places
    assert "topologically" in (
        str(ModelView(parsed("g (float[2] x) => (float[2] y) { y = Relu (a) a = Neg (x) }")).invalid)
    )


def test_a_long_outer_name_is_not_repeated_in_front_of_every_inner_one() -> None:
    body = helper.make_graph([helper.make_node("Identity", ["c"], ["o"]) for _ in range(50)], "b", [], [])
    node = helper.make_node("Loop", ["n", "c"], [], name="L" * 10_000, body=body)
    other = helper.make_node("Loop", ["n", "c"], [], name="L" * 9_999, body=body)
    model = helper.make_model(helper.make_graph([node, other], "g", [], []))
    names = [p.name for p in places(model)]
    assert names[0] == "L" * 10_000
    assert all(len(name) < 400 for name in names[1:51])
    assert names[1].endswith("/Identity_0")
    assert len(set(names)) == len(names)


def test_graphs_nested_more_deeply_than_any_parser_reads() -> None:
    model = ModelProto(ir_version=9)
    graph = model.graph
    for _ in range(2000):
        node = graph.node.add(op_type="If", name="n")
        node.attribute.add(name="then_branch", type=AttributeProto.GRAPH)
        graph = node.attribute[0].g
    graph.node.add(op_type="Relu", name="last", input=["x"], output=["y"])
    view = ModelView(model)
    assert len(view.places) == 2001
    assert len(view.places[-1].name) < 1000
    assert view.places[-1].graph.shape("x") is None
    assert view.places[-1].graph.producer("x") is None
    assert any("no answer" in problem for problem in view.problems)


@pytest.mark.parametrize(
    "attribute",
    [
        helper.make_attribute("value", 7),
        helper.make_attribute("value_float", "x"),
        helper.make_attribute("value_floats", ["x"]),
        helper.make_attribute("value_int", 0.5),
        helper.make_attribute("value", TensorProto(data_type=99, dims=[2], raw_data=b"ab")),
        helper.make_attribute("value", TensorProto(data_type=1, dims=[1 << 62, 1 << 62], raw_data=b"ab")),
        helper.make_attribute("value", TensorProto(data_type=1, dims=[-3])),
    ],
)
def test_constants_that_are_none_are_unknown(attribute: AttributeProto) -> None:
    model = parsed("g (float[2] x) => (y) { k = Constant <value = float {0}> () y = Reshape (x, k) }")
    model.graph.node[0].attribute[0].CopyFrom(attribute)
    view = ModelView(model)
    assert view.places[1].graph.integers("k") is None
