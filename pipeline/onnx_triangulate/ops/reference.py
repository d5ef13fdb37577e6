"""One node in ONNX's reference evaluator, without building a graph for each call.

An evaluator of one node is built once per node and kept; a run of it costs microseconds besides the operator itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import onnx

from onnx_triangulate.records.arrays import Array


@lru_cache(maxsize=1024)
def _evaluator(node: bytes, opset: int) -> Any:
    from onnx.reference import ReferenceEvaluator

    from onnx_triangulate.numerics.evaluator import as_specified  # which itself needs a neighbour of this module

    proto = onnx.NodeProto.FromString(node)
    inputs = [onnx.ValueInfoProto(name=name) for name in dict.fromkeys(n for n in proto.input if n)]
    outputs = [onnx.ValueInfoProto(name=name) for name in proto.output if name]
    graph = onnx.helper.make_graph([proto], "node", inputs, outputs)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
    return ReferenceEvaluator(model, new_ops=list(as_specified()))


def evaluate(node: onnx.NodeProto, opset: int, consumed: Sequence[Array | None]) -> list[Array]:
    """The outputs of a node, in order, absent ones left out; raises whatever the operator's numpy raises."""
    short = onnx.NodeProto()
    short.CopyFrom(node)
    short.ClearField("doc_string")
    short.ClearField("metadata_props")
    evaluator = _evaluator(short.SerializeToString(), opset)
    feeds = {name: value for name, value in zip(node.input, consumed, strict=False) if name}
    with np.errstate(all="ignore"):
        return [np.asarray(value) for value in evaluator.run(None, feeds)]
