"""An export with dynamic axes beside one without: compared at the size that both take, and never beyond that."""

from __future__ import annotations

import onnx
import pytest

from onnx_triangulate.diff.differences import differences
from onnx_triangulate.diff.static_sizes import at_one_size
from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.inspection.run import inspected
from onnx_triangulate.records.inspection import Differences

STATIC = """(float[2,5,16] x) => (float[2,4,5,4] z)
{ y = Reshape <allowzero = 1> (x, s) z = Transpose <perm = [0,2,1,3]> (y) }"""
DYNAMIC = """(float[b,t,16] x) => (float[b,u,t,4] z)
{ n = Shape <start = 0, end = 1> (x) k = Shape <start = 1, end = 2> (x)
  s = Concat <axis = 0> (n, k, fours) y = Reshape (x, s) z = Transpose <perm = [0,2,1,3]> (y) }"""


def parsed(text: str, **ints: list[int]) -> onnx.ModelProto:
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> g {text}')
    for name, values in ints.items():
        model.graph.initializer.append(onnx.helper.make_tensor(name, onnx.TensorProto.INT64, [len(values)], values))
    return model


def compare(left: onnx.ModelProto, right: onnx.ModelProto) -> Differences:
    one, two = ModelView(left), ModelView(right)
    return differences(one, two, inspected(one, ()), inspected(two, ()))


def static(*shape: int) -> onnx.ModelProto:
    return parsed(STATIC, s=list(shape or (2, 5, 4, 4)))


def dynamic(*fours: int) -> onnx.ModelProto:
    return parsed(DYNAMIC, fours=list(fours or (4, 4)))


@pytest.mark.parametrize("swapped", [False, True])
def test_shapes_that_are_computed_are_those_that_are_written(swapped: bool) -> None:
    found = compare(dynamic(), static()) if swapped else compare(static(), dynamic())
    assert (found.differences, found.only_left, found.only_right) == ((), (), ())
    assert found.at_one_size
    said = ("[b,t,16] on the left, [2,5,16]" if swapped else "[2,5,16] on the left, [b,t,16]") + " on the right"
    assert any(said in note and "at that size" in note for note in found.notes)


@pytest.mark.parametrize("swapped", [False, True])
def test_what_differs_at_that_size_is_listed(swapped: bool) -> None:
    one, two = static(), dynamic(2, 8)
    found = compare(two, one) if swapped else compare(one, two)
    assert {d.kind for d in found.differences} <= {"attribute", "layout", "border"}
    assert any(d.what == "shape" for d in found.differences)


def test_a_planted_permutation_is_the_one_difference() -> None:
    other = dynamic()
    other.graph.node[-1].attribute[0].ints[:] = [0, 2, 3, 1]
    other.graph.output[0].type.tensor_type.ClearField("shape")
    one = static()
    one.graph.output[0].type.tensor_type.ClearField("shape")
    (found,) = compare(one, other).differences
    assert (found.kind, found.what) == ("layout", "perm")


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("float[2,3] x", "float[n,m] x"),
        ("float[n,m] x", "float[2,3] x"),
        ("float[2,3,7] x", "float[n,m,7] x"),
        ("float[2,3] x, float[5,3] y", "float[n,k] x, float[m,k] y"),
    ],
)
def test_open_sizes_are_taken_from_the_other(left: str, right: str) -> None:
    views = [ModelView(parsed(f"({text}) => (float[a] z) {{ z = Flatten (x) }}")) for text in (left, right)]
    one, two, notes = at_one_size(*views)
    shapes = [[[d.dim_value for d in v.type.tensor_type.shape.dim] for v in s.model.graph.input] for s in (one, two)]
    assert shapes[0] == shapes[1]
    assert all(size for shape in shapes[0] for size in shape)
    assert notes
    # The files themselves are left alone.
    assert any(d.dim_param for v in views for i in v.model.graph.input for d in i.type.tensor_type.shape.dim)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("float[2,3] x, float[5,3] y", "float[n,k] x, float[n,k] y"),  # one name, two numbers
        ("float[1,3,8,8] x", "float[n,h,w,3] x"),  # another layout
        ("float[1,3,8,8] x", "float[n,h,w,c] x"),  # perhaps another layout
        ("float[b,3,8,8] x", "float[2,3,h,w] x"),  # neither is whole
        ("float[2,3] x", "float[n,m,3] x"),
        ("float[2,3] x", "float x"),
        ("float[2,3] x", "float[2,3] x"),
        ("float[n,3] x", "float[m,3] x"),
    ],
)
def test_nothing_is_taken_where_it_may_be_no_question_of_sizes(left: str, right: str) -> None:
    views = [ModelView(parsed(f"({text}) => (float[a] z) {{ z = Identity (x) }}")) for text in (left, right)]
    assert at_one_size(*views) == (*views, ())


def test_names_of_sizes_are_replaced_wherever_they_are() -> None:
    text = "(float[n,m] x) => (float[m,n] y, float[q] z) { y = Transpose (x) z = Relu (w) }"
    model = parsed(text)
    between = (
        onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, d) for n, d in (("w", ["q"]), ("v", ["m"]))
    )
    model.graph.value_info.extend(between)
    _, right, _ = at_one_size(
        ModelView(parsed("(float[2,3] x) => (y, z) { y = Transpose (x) z = Relu (w) }")), ModelView(model)
    )
    graph = right.model.graph
    kept = {v.name: [d.dim_value or d.dim_param for d in v.type.tensor_type.shape.dim] for v in
            (*graph.value_info, *graph.output)}  # fmt: skip
    assert kept == {"w": [""], "v": [3], "y": [3, 2], "z": [""]}
