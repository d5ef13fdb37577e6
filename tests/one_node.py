"""One node in ONNX Runtime with its optimizations off, and what its operator's bound says of the result."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx

from onnx_triangulate.numerics.replay import NodeCheck, replay
from onnx_triangulate.ops.examples import Example
from onnx_triangulate.records.arrays import Array

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
FINE = ("equal", "rounding", "flip within rounding")


def model_of(node: onnx.NodeProto, opset: int, feeds: Mapping[str, Array]) -> onnx.ModelProto:
    """A model of one node with typed inputs."""
    inputs = [
        onnx.helper.make_tensor_value_info(n, onnx.helper.np_dtype_to_tensor_dtype(feeds[n].dtype), feeds[n].shape)
        for n in dict.fromkeys(node.input)
        if n
    ]
    outputs = [onnx.ValueInfoProto(name=name) for name in node.output if name]
    graph = onnx.helper.make_graph([node], "g", inputs, outputs)
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)], ir_version=10)


def session(model: onnx.ModelProto) -> Any:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def run(node: onnx.NodeProto, opset: int, feeds: Mapping[str, Array]) -> list[Array | None]:
    """A node's outputs from ONNX Runtime."""
    model = model_of(node, opset, feeds)
    found = iter(session(model).run(None, {i.name: np.asarray(feeds[i.name]) for i in model.graph.input}))
    return [np.asarray(next(found)) if name else None for name in node.output]


def judged(example: Example, feeds: Mapping[str, Array], produced: list[Array | None]) -> tuple[NodeCheck, ...]:
    node = example.proto(example.node)
    return replay(node, example.opset, [feeds[n] if n else None for n in node.input], produced)


def faulty(example: Example, feeds: Mapping[str, Array]) -> list[Array | None]:
    """What the example's fault makes of the same inputs."""
    if isinstance(example.fault, str):
        node = example.proto(example.fault)
        return run(node, example.opset, feeds)
    turned = {
        n: np.asarray(v * np.asarray(example.fault[n]).astype(v.dtype)) if n in example.fault else v
        for n, v in feeds.items()
    }
    return run(example.proto(example.node), example.opset, turned)
