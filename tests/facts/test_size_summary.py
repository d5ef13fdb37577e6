"""What a file holds is counted from dims: nothing is read, and no dim is believed to be harmless."""

from __future__ import annotations

import onnx.parser
import pytest
from onnx import ModelProto, TensorProto

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.facts.size_summary import contents_of
from onnx_triangulate.facts.value_types import bits, dtype_name
from onnx_triangulate.records.inspection import NestedGraph, SizeSummary

HEAD = '<ir_version: 8, opset_import: ["" : 17, "mine" : 1]> g (float[2,3] x, bool c) => (y)'


def parsed(text: str) -> ModelProto:
    return onnx.parser.parse_model(text)


def test_numbers_are_counted_by_type_largest_first() -> None:
    model = parsed(
        f"{HEAD} <float[3] w = {{1.0, 2.0, 3.0}}, int8[2] h = {{1, 2}}, float[1] v = {{1.0}}> "
        "{ k = Constant <value_ints = [1, 2, 3]> () y = Mul (x, w) }"
    )
    assert contents_of(ModelView(model)).stored == (
        SizeSummary("int64", 1, 3, 24),
        SizeSummary("float32", 2, 4, 16),
        SizeSummary("int8", 1, 2, 2),
    )


def test_external_data_are_counted_and_named_but_not_opened() -> None:
    model = parsed(f'{HEAD} <float[1000,1000] w = ["location": "gone.bin", "offset": "0"]> {{ y = MatMul (x, w) }}')
    held = contents_of(ModelView(model))
    assert held.stored == (SizeSummary("float32", 1, 1_000_000, 4_000_000, external=4_000_000),)
    assert held.external == ("gone.bin",)


def test_subgraphs_have_a_path_and_functions_the_number_of_their_calls() -> None:
    model = parsed(
        f"{HEAD} {{ [if] y = If (c) <then_branch = t () => (d) {{ e = mine.twice (x) d = mine.twice (e) }}, "
        "else_branch = e () => (b) { b = Neg (x) }> } "
        '<domain: "mine", opset_import: ["" : 17]> twice (u) => (v) { v = Add (u, u) } '
        '<domain: "mine", opset_import: ["" : 17]> never (u) => (v) { v = Add (u, u) w = Neg (v) }'
    )
    assert contents_of(ModelView(model)).inner == (
        NestedGraph("if/then_branch/", "subgraph", 2),
        NestedGraph("if/else_branch/", "subgraph", 1),
        NestedGraph("twice/", "function", 1, calls=2),
        NestedGraph("never/", "function", 2, calls=0),
    )


@pytest.mark.parametrize("dims", [[2**40, 2**40], [-1, 5], [0], [2**62] * 30])
def test_hostile_dims_are_only_multiplied(dims: list[int]) -> None:
    model = parsed(f"{HEAD} {{ y = Relu (x) }}")
    model.graph.initializer.append(TensorProto(name="w", data_type=TensorProto.FLOAT, dims=dims))
    (stored,) = contents_of(ModelView(model)).stored
    assert stored.elements >= 0
    assert stored.bytes == 4 * stored.elements


def test_every_type_of_onnx_has_a_width() -> None:
    kinds = set(TensorProto.DataType.values()) - {TensorProto.UNDEFINED, TensorProto.STRING}
    assert {k for k in kinds if not bits(k)} == set()
    assert (bits(TensorProto.BFLOAT16), bits(TensorProto.INT4), bits(TensorProto.COMPLEX64)) == (16, 4, 64)
    assert (bits(99), dtype_name(99)) == (0, "type 99")
