"""A graph beside its weights: what becomes float64, and what keeps its own type."""

from __future__ import annotations

import numpy as np
import onnx.parser
from onnx import TensorProto

from onnx_triangulate.transform.skeleton import Skeleton, in_float64

TEXT = '<ir_version: 10, opset_import: ["" : 20]> g (float[2] x, float[2] w, int64[1] i) => (float[1] y) '
TEXT += "{ m = Mul(x, w) y = Gather(m, i) }"


def test_in_float64_the_weights_are_as_wide_as_the_borders_that_take_them() -> None:
    model = onnx.parser.parse_model(TEXT)
    held = {"w": np.array([0.1, 2], np.float32), "i": np.array([1], np.int64)}
    double = in_float64(Skeleton(model, dict(held)))
    assert {name: value.dtype.name for name, value in double.weights.items()} == {"w": "float64", "i": "int64"}
    np.testing.assert_array_equal(double.weights["w"], held["w"].astype(np.float64))
    types = {value.name: value.type.tensor_type.elem_type for value in double.model.graph.input}
    assert types == {"x": TensorProto.DOUBLE, "w": TensorProto.DOUBLE, "i": TensorProto.INT64}


def test_a_weight_that_no_border_turned_is_left_alone() -> None:
    model = onnx.parser.parse_model(TEXT)
    double = in_float64(Skeleton(model, {"stranger": np.array([0.1], np.float32)}))
    assert double.weights["stranger"].dtype == np.float32
