"""Constants of two graphs: which numbers they are, wherever they are stored and however their axes are written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnx_triangulate.diff.differences import differences
from onnx_triangulate.facts.model_view import ModelView
from tests.diff.test_differences import EMPTY, compare, graph, parsed, said, told


@pytest.mark.parametrize("shape", ["float[3,3]", "float[n,m]", "float"])
@pytest.mark.parametrize(
    ("kind", "numbers", "op"),
    [
        ("float", "1,2,3", "Add (x, c)"),
        ("float", "0,0,0", "Add (x, c)"),
        ("float", "1,2,3", "Sub (c, x)"),
        ("bool", "1,1,1", "Where (c, x, x)"),
    ],
)
def test_axes_of_size_one_that_raise_the_rank_are_not_left_aside(shape: str, kind: str, numbers: str, op: str) -> None:
    """The rank may be unknown, too: then nobody knows whether they raise it."""
    model = f"({shape} x, int64[k] s) => (float[a,b] y) <{kind}%s c = {{{numbers}}}, int64[1] k = {{1}}> {{ %s %s }}"
    read, text = "y = ReduceSum <keepdims = 0> (a, k)", model % ("%s", "%s", "%s")
    if shape == "float":
        before, op = "r = Reshape (x, s) a =", op.replace("x", "r")
    else:
        before = "a ="
    one, two = (text % (dims, f"{before} {op}", read) for dims in ("[1,1,3]", "[3]"))
    assert told(one, two, 18, 18) != []
    assert told(one, one, 18, 18) == []
    if numbers == "0,0,0":
        assert told(one, text % ("[3]", f"{before} Identity ({'r' if shape == 'float' else 'x'})", read), 18, 18) != []


@pytest.mark.parametrize("shape", ["float[2,3,3]", "float[n,m,k]", "float[a,b,c,3]"])
@pytest.mark.parametrize("op", ["Add (x, c)", "Sub (c, x)", "Div (x, c)", "Max (x, c)", "PRelu (x, c)"])
def test_axes_of_size_one_that_do_not_raise_the_rank_are_nothing(shape: str, op: str) -> None:
    text = f"({shape} x) => (float[a,b,c] y) <float%s c = {{1,2,3}}> {{ y = {op} }}"
    assert told(text % "[1,1,3]", text % "[3]") == []
    nothing = text.replace("{1,2,3}", "{0,0,0}")
    if "Add" in op and "3]" in shape:
        assert told(nothing % "[1,1,3]", f"({shape} x) => (float[a,b,c] y) {{ y = Identity (x) }}") == []


@pytest.mark.parametrize(("count", "numbers"), [(2, "1,2"), (1, "1")])
def test_a_bias_is_one_however_its_axes_are_written_where_no_shape_is_known(count: int, numbers: str) -> None:
    text = "(float x, int64[k] s) => (float[a,b,c,d] y) <float%s c = {%s}> { r = Reshape (x, s) %s }"
    one, two = (
        parsed(text % (dims, numbers, ops))
        for dims, ops in ((f"[1,{count},1,1]", "a = Conv (r, w) y = Add (a, c)"), (f"[{count}]", "y = Conv (r, w, c)"))
    )
    for model in (one, two):
        model.graph.initializer.append(numpy_helper.from_array(np.ones((count, 1, 3, 3), np.float32), "w"))
    assert said(compare(one, two)) == said(compare(two, one)) == []


def test_a_constant_is_one_where_only_one_side_knows_the_rank_of_what_it_is_added_to() -> None:
    text = "(float[%s] x, int64[k] s) => (float[a,b,c] y) <float[1,1,3] c = {1,2,3}> { %s t = Exp (r) y = Add (t, c) }"
    known = text % ("2,2,3", "n = Shape (x) r = Reshape (x, n)")
    open_ = text % ("2,2,3", "r = Reshape (x, s)")
    assert not {what for what, *_ in told(known, open_)} & {"weights"}
    other = open_.replace("{1,2,3}", "{1,2,4}")
    assert [d for d in told(known, other) if d[0] == "weights"] == [("weights", "operand 1", "3", "4")]


def test_a_bias_is_told_as_it_is_stored() -> None:
    def biased(location: str) -> onnx.ModelProto:
        model = graph()
        tensor = next(t for t in model.graph.initializer if t.name == "b1")
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location)
        return model

    (found,) = compare(graph(), biased("nowhere")).differences
    assert (found.what, found.left, found.right) == ("bias", "float32[8]", "float32[8]")


# -- numbers that lie elsewhere

BRANCH = "(bool q, float[4] x) => (float[4] y) { y = If (q) <then_branch = t () => (float[4] p) { p = Mul (x, k) }, "


def stored_in_a_subgraph(tensor: onnx.TensorProto) -> onnx.ModelProto:
    model = parsed(BRANCH + "else_branch = e () => (float[4] n) { n = Neg (x) }> }")
    next(a for a in model.graph.node[0].attribute if a.name == "then_branch").g.initializer.append(tensor)
    return model


def stored_in_a_constant(tensor: onnx.TensorProto) -> onnx.ModelProto:
    model = parsed("(float[4] x) => (float[4] y) { y = Mul (x, k) }")
    model.graph.node.insert(0, helper.make_node("Constant", [], ["k"], value=tensor))
    return model


def stored_in_an_attribute(tensor: onnx.TensorProto) -> onnx.ModelProto:
    model = parsed("(float[4] x) => (float[4] y) { y = my.Scaled (x) }")
    model.graph.node[0].attribute.append(helper.make_attribute("by", tensor))
    return model


def stored_in_the_graph(tensor: onnx.TensorProto) -> onnx.ModelProto:
    model = parsed("(float[4] x) => (float[4] y) { y = Mul (x, k) }")
    model.graph.initializer.append(tensor)
    return model


@pytest.mark.parametrize(
    "stored", [stored_in_a_subgraph, stored_in_a_constant, stored_in_an_attribute, stored_in_the_graph]
)
def test_numbers_in_other_files_are_read_wherever_they_are_said_to_be(
    stored: Callable[[onnx.TensorProto], onnx.ModelProto], tmp_path: Path
) -> None:
    outside = TensorProto(name="k", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    outside.external_data.add(key="location", value="w")
    views = []
    for name, number in (("one", 1), ("two", 2), ("again", 1), ("none", 0), ("nothing", 0)):
        (tmp_path / name).mkdir()
        if number:
            (tmp_path / name / "w").write_bytes(np.full(4, number, np.float32).tobytes())
        views.append(ModelView(stored(outside), tmp_path / name / "model.onnx"))
    here = ModelView(stored(numpy_helper.from_array(np.full(4, 1, np.float32), "k")))
    one, two, again, none, nothing = views
    assert len(differences(one, two, EMPTY, EMPTY).differences) == 1
    for other in (one, again, here):
        assert differences(one, other, EMPTY, EMPTY).differences == ()
    for left, right in ((one, none), (none, one), (none, nothing)):  # one place in two folders is two places
        assert len(differences(left, right, EMPTY, EMPTY).differences) == 1
    assert differences(none, none, EMPTY, EMPTY).differences == ()


def sparse(name: str, last: float = 2.0, flat: bool = True) -> onnx.SparseTensorProto:
    values = numpy_helper.from_array(np.array([1, last], np.float32), name)
    places = np.array([0, 3]) if flat else np.array([[0, 0], [1, 1]])
    return onnx.SparseTensorProto(values=values, indices=numpy_helper.from_array(places, f"{name}_i"), dims=[2, 2])


def test_a_sparse_constant_is_the_one_that_it_stands_for() -> None:
    def summed(name: str) -> onnx.ModelProto:
        return parsed(f"(float[2,2] x) => (float[2,2] y) {{ y = Add (x, {name}) }}")

    def with_sparse(name: str, *about: Any) -> onnx.ModelProto:
        model = summed(name)
        model.graph.sparse_initializer.append(sparse(name, *about))
        return model

    dense, node = summed("k"), summed("k")
    dense.graph.initializer.append(numpy_helper.from_array(np.array([[1, 0], [0, 2]], np.float32), "k"))
    node.graph.node.insert(0, helper.make_node("Constant", [], ["k"], sparse_value=sparse("other")))
    for other in (dense, node, with_sparse("q"), with_sparse("k", 2.0, False)):
        assert said(compare(with_sparse("k"), other)) == said(compare(other, with_sparse("k"))) == []
    ((kind, *_),) = said(compare(with_sparse("k"), with_sparse("k", 3.0)))
    assert kind == "weights"


@pytest.mark.parametrize("dims", [[2**40], [1, 1], [-4], []])
def test_a_sparse_constant_that_cannot_be_written_out_is_compared_by_what_it_says(dims: list[int]) -> None:
    def spoilt(name: str, last: float) -> onnx.ModelProto:
        model = parsed(f"(float[2,2] x) => (float[a,b] y) {{ y = Add (x, {name}) }}")
        model.graph.sparse_initializer.append(sparse(name, last))
        del model.graph.sparse_initializer[0].dims[:]
        model.graph.sparse_initializer[0].dims.extend(dims)
        return model

    assert said(compare(spoilt("k", 2.0), spoilt("q", 2.0))) == []
    assert [d.message for d in compare(spoilt("k", 2.0), spoilt("k", 3.0)).differences] == [
        "the numbers are not there to compare"
    ]
