"""Strict inference and shapes that a file records: a stored tensor has its own, and a wrong node is seen all the same."""

from __future__ import annotations

import onnx
import onnx.parser
from onnx import helper

from pipeline.graph.inference import refusals

TEXT = """<ir_version: 8, opset_import: ["" : 18]> g (float[3, 6] x) => (float[3, 6] y)
    <float[6] k = {1, 2, 3, 4, 5, 6}, int64[1] start = {-1}, int64[1] stop = {-9223372036854775807}, int64[1] axis = {0}>
    { r = Slice (x, start, stop, axis, start) s = Add (r, k) y = Add (x, s) }"""


def test_a_stored_tensor_that_is_listed_among_the_values() -> None:
    model = onnx.parser.parse_model(TEXT)
    for name, kind in (("start", 7), ("stop", 7), ("axis", 7), ("k", 1)):
        shape = [6] if name == "k" else [1]
        model.graph.value_info.append(helper.make_tensor_value_info(name, kind, shape))
    onnx.checker.check_model(model, full_check=True)
    assert refusals(model) == ()


def test_a_node_that_cannot_be_is_refused_beside_it() -> None:
    model = onnx.parser.parse_model(TEXT.replace("Add (r, k)", "MatMul (r, k)").replace("float[6] k", "float[4] k"))
    model.graph.value_info.append(helper.make_tensor_value_info("k", 1, [4]))
    del model.graph.initializer[0].float_data[4:]
    assert refusals(model)
