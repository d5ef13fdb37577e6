"""Strict inference beside recorded shapes: a stored tensor has its own, and a wrong node is seen all the same."""

from __future__ import annotations

import onnx
import onnx.parser
import pytest
from onnx import ModelProto, helper

from onnx_triangulate.onnxgraph.inference import refusals

TEXT = """<ir_version: 8, opset_import: ["" : 18]> g (float[3, 6] x) => (float[3, 6] y)
    <int64[1] start = {-1}, int64[1] stop = {-9223372036854775808}, int64[1] axis = {0}, float[4] k = {1, 2, 3, 4}>
    { r = Slice (x, start, stop, axis, start) y = Add (x, r) }"""


def recorded(text: str, *shapes: tuple[str, int, list[int]]) -> ModelProto:
    model = onnx.parser.parse_model(text)
    for name, kind, shape in shapes:
        model.graph.value_info.append(helper.make_tensor_value_info(name, kind, shape))
    return model


WHOLE = [(name, 7, [1]) for name in ("start", "stop", "axis")]


def test_a_stored_tensor_that_is_listed_among_the_values() -> None:
    """torch's exporter lists them; without their shapes inference takes the slice for another one."""
    model = recorded(TEXT, *WHOLE, ("r", 1, [3, 6]))
    onnx.checker.check_model(model, full_check=True)
    assert refusals(model) == ()


@pytest.mark.parametrize("shapes", [[], [*WHOLE, ("k", 1, [4])]])
def test_a_node_that_cannot_be_is_refused_beside_it(shapes: list[tuple[str, int, list[int]]]) -> None:
    assert refusals(recorded(TEXT.replace("Add (x, r)", "Add (r, k)"), *shapes))
