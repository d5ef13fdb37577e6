"""Nodes that train in a graph that should only infer, and the graph with them in inference.

A BatchNormalization of ``training_mode=1`` takes mean and variance from the batch; a Dropout whose third input is true
drops.  Only nodes of the main graph, and only those that can be told otherwise by themselves.
"""

from __future__ import annotations

from onnx import ModelProto, NodeProto

from onnx_triangulate.onnxgraph.nodes import attributes, in_onnx, node_name, opset, subgraphs
from onnx_triangulate.ops.random_draws import draws, stored


def training_nodes(model: ModelProto) -> dict[str, str]:
    """The operator of each node that trains, by the node's name."""
    value, version = stored(model), opset(model)

    def trains(node: NodeProto) -> bool:
        if not in_onnx(node) or node.op_type not in ("BatchNormalization", "Dropout"):
            return False
        if node.op_type == "BatchNormalization":
            return bool(attributes(node).get("training_mode"))
        if len(node.input) < 3:
            return False
        mode = value(node.input[2])
        return mode is not None and bool(mode.any()) and draws(node, value, version)

    return {node_name(node, i): node.op_type for i, node in enumerate(model.graph.node) if trains(node)}


def in_inference(model: ModelProto) -> ModelProto | None:
    """The model with all of them in inference; None where there are none, or where what only training makes is read."""
    names = training_nodes(model)
    changed = ModelProto()
    changed.CopyFrom(model)
    read = {value.name for value in model.graph.output}
    read |= {name for node in model.graph.node for name in node.input}
    read |= {n for node in model.graph.node for _, inner in subgraphs(node) for m in inner.node for n in m.input}
    for index, node in enumerate(changed.graph.node):
        if node_name(node, index) not in names:
            continue
        if node.op_type == "Dropout":
            del node.input[2:]
            continue
        if read.intersection(node.output[1:]):
            return None
        del node.output[1:]
        kept = [a for a in node.attribute if a.name != "training_mode"]
        del node.attribute[:]
        node.attribute.extend(kept)
    return changed if names else None
