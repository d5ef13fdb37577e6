"""Operators by their definitions against another engine's: what the stock evaluator lacks or has wrong, and its twin.

Each node is run in ONNX Runtime (float32), in the stock evaluator and in the patched one (float64).  The patched one
must agree; the stock one must not, or the operator need not be here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from onnx_triangulate.engines.runtimes import runtimes
from onnx_triangulate.numerics.reference_evaluator import in_float64
from onnx_triangulate.records.arrays import Array


@dataclass(frozen=True)
class Node:
    op: str
    inputs: tuple[Any, ...]
    opset: int = 17
    attributes: dict[str, Any] = field(default_factory=dict)
    outputs: int = 1

    def __str__(self) -> str:
        return f"{self.op}-{self.opset}-{','.join(f'{k}={v}' for k, v in self.attributes.items())}"


def reals(*shape: int, low: float = -2, high: float = 2) -> Array:
    return np.random.default_rng([*shape, 7]).uniform(low, high, shape).astype(np.float32)


def whole(*shape: int, below: int) -> Array:
    return np.random.default_rng([*shape, 8]).integers(0, below, shape)


def made(op: str, *inputs: Any, opset: int = 17, outputs: int = 1, **attributes: Any) -> Node:
    return Node(op, inputs, opset, attributes, outputs)


IMAGE = reals(2, 4, 7, 8)
GRID = reals(1, 3, 4, 2, low=-1.2, high=1.2)
BOXES = np.array([[[0, 0, 1, 1], [0, 0.1, 1, 1.1], [0, 10, 1, 11]]], np.float32)
SCORES = np.array([[[0.9, 0.8, 0.7]]], np.float32)
SCALES = np.array([1, 1, 2, 1.5], np.float32)
NONE = np.zeros(0, np.float32)

# What the stock evaluator of onnx 1.23 refuses, or answers otherwise than ONNX specifies.
WRONG = (
    made("BatchNormalization", IMAGE, *(reals(4, low=0.5) for _ in range(4)), opset=9),
    made("ConvTranspose", IMAGE, reals(4, 3, 3, 2), kernel_shape=[3, 2], group=2, strides=[2, 2]),
    made("ConvTranspose", IMAGE, reals(4, 1, 3, 2), reals(4), kernel_shape=[3, 2], group=4),
    made("ConvTranspose", IMAGE, reals(4, 3, 3, 2), strides=[2, 2], output_shape=[15, 17], auto_pad="SAME_UPPER"),
    made("CumSum", reals(3, 4), np.array([1])),
    made("DequantizeLinear", whole(3, 4, below=9).astype(np.uint8), np.float32(0.1), np.uint8(3), opset=10),
    made("GatherElements", reals(1, 512), whole(1, 5, below=512), axis=1),
    made("GatherElements", reals(4, 5), whole(2, 3, below=4), axis=0),
    made("GlobalLpPool", IMAGE, p=3),
    made("GlobalMaxPool", reals(2, 3, 4)),
    made("GridSample", reals(1, 2, 5, 6), GRID, opset=16, mode="bicubic", padding_mode="border"),
    made("Hardmax", reals(2, 3, 4), opset=11),
    made("LogSoftmax", reals(2, 3, 4), opset=11, axis=1),
    made("LpNormalization", reals(2, 3, 4), axis=1, p=1),
    made("MaxPool", IMAGE, kernel_shape=[3, 2], outputs=2),
    made("MaxPool", IMAGE, kernel_shape=[3, 2], pads=[1, 0, 1, 1]),
    made("MaxRoiPool", reals(1, 2, 8, 8), np.array([[0, 1, 1, 6, 6]], np.float32), pooled_shape=[2, 2]),
    made("NonMaxSuppression", BOXES, SCORES, np.array(3), np.float32(0.5), np.float32(0)),
    made("OneHot", np.array([1, -1, 3]), np.array([4]), np.array([2, 5], np.float32)),
    made("Pad", reals(3, 4), np.array([-1, 0, 2, 1])),
    made("Resize", reals(1, 2, 4, 5), SCALES, opset=10, mode="linear"),
    made("RoiAlign", reals(1, 2, 8, 8), BOXES[0] * 3, np.array([0, 0, 0]), opset=10, output_height=2, output_width=3),
    made("Scatter", reals(3, 4), whole(1, 4, below=3), reals(1, 4), opset=9),
    made("Softmax", reals(2, 3, 4), opset=9),
    made("Softmax", reals(2, 3, 4), opset=11, axis=1),
    made("Upsample", reals(1, 2, 4, 5), SCALES, opset=9, mode="nearest"),
)
# Right in the stock evaluator, but in float32 there, or beside what is wrong: the healthy twins.
RIGHT = (
    made("AffineGrid", reals(2, 2, 3), np.array([2, 3, 4, 5]), opset=20, align_corners=1),
    made("AveragePool", IMAGE, kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1),
    made("BatchNormalization", IMAGE, *(reals(4, low=0.5) for _ in range(4)), opset=15),
    made("ConvTranspose", IMAGE, reals(4, 3, 3, 2), kernel_shape=[3, 2], strides=[2, 2], output_padding=[1, 1]),
    made("CumSum", reals(3, 4), np.array(0), exclusive=1, reverse=1),
    made("Gelu", reals(3, 4), opset=20),
    made("GatherElements", reals(3, 4), whole(3, 4, below=3)),
    made("GridSample", reals(1, 2, 5, 6), GRID, opset=16, padding_mode="reflection"),
    made("GridSample", reals(1, 2, 5, 6), GRID, opset=16, mode="nearest", padding_mode="border"),
    made("LRN", IMAGE, size=3),
    made("LpPool", IMAGE, kernel_shape=[3, 2], p=3),
    made("MaxPool", IMAGE, kernel_shape=[3, 2], strides=[2, 2]),
    made("MeanVarianceNormalization", IMAGE),
    made("OneHot", np.array([1, 2, 3]), np.array(4), np.array([2, 5], np.float32), axis=0),
    made("Resize", reals(1, 2, 4, 5), NONE, SCALES, mode="cubic"),
    made("Softmax", reals(2, 3, 4), opset=13),
)


def model_of(node: Node) -> tuple[onnx.ModelProto, dict[str, Array], list[str]]:
    feeds = {f"i{k}": np.asarray(value) for k, value in enumerate(node.inputs)}
    outputs = [f"o{k}" for k in range(node.outputs)]
    proto = onnx.helper.make_node(node.op, list(feeds), outputs, **node.attributes)
    inputs = [
        onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
        for name, value in feeds.items()
    ]
    graph = onnx.helper.make_graph([proto], "g", inputs, [onnx.ValueInfoProto(name=name) for name in outputs])
    opsets = [onnx.helper.make_opsetid("", node.opset)]
    return onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10), feeds, outputs


def due(node: Node, tmp_path: Any) -> list[Array]:
    model, feeds, outputs = model_of(node)
    onnx.save(model, tmp_path / "node.onnx")
    return [np.asarray(value) for value in runtimes()["ort.off"].open(tmp_path / "node.onnx")(feeds, outputs)]


def near(seen: list[Array], wanted: list[Array]) -> bool:
    def close(a: Array, b: Array) -> bool:
        return a.shape == b.shape and bool(np.allclose(a, b, rtol=1e-4, atol=1e-4, equal_nan=True))

    return all(close(np.asarray(a), b) for a, b in zip(seen, wanted, strict=True))


def ours(node: Node) -> list[Array]:
    model, feeds, outputs = model_of(node)
    wide = {n: v.astype(np.float64) if v.dtype == np.float32 else v for n, v in feeds.items()}
    found: list[Array] = ReferenceEvaluator(model, new_ops=list(in_float64())).run(outputs, wide)
    return found


@pytest.mark.parametrize("node", [*WRONG, *RIGHT], ids=str)
def test_an_operator_by_its_definition_is_what_a_runtime_gives(node: Node, tmp_path: Any) -> None:
    wanted = due(node, tmp_path)
    seen = ours(node)
    assert near(seen, wanted)
    for mine, theirs in zip(seen, wanted, strict=True):
        assert np.asarray(mine).dtype == (np.float64 if theirs.dtype == np.float32 else theirs.dtype)


@pytest.mark.parametrize("node", WRONG, ids=str)
def test_the_stock_evaluator_does_not_have_it(node: Node, tmp_path: Any) -> None:
    wanted = due(node, tmp_path)
    model, feeds, outputs = model_of(node)
    try:
        seen = ReferenceEvaluator(model).run(outputs, feeds)
    except Exception:  # it refuses in its own ways
        return
    assert not near(seen, wanted), "the evaluator is right by now: take the operator out"


@pytest.mark.parametrize("node", RIGHT, ids=str)
def test_in_float64_a_little_more_is_seen(node: Node) -> None:
    """An input moved by 1e-10 moves the result: nothing is computed in float32 on the way."""
    model, feeds, outputs = model_of(node)
    wide = {n: v.astype(np.float64) if v.dtype == np.float32 else v for n, v in feeds.items()}
    first = next(name for name, value in wide.items() if value.dtype == np.float64)
    evaluator = ReferenceEvaluator(model, new_ops=list(in_float64()))
    before = np.asarray(evaluator.run(outputs, wide)[0], np.float64)
    after = np.asarray(evaluator.run(outputs, wide | {first: wide[first] * (1 + 1e-10)})[0], np.float64)
    assert 0 < np.abs(after - before).max() < 1e-7
