"""Which nodes draw random numbers: their operators' records say which may.

Design note.  A node that draws gives another answer each time it runs: it is no constant whatever it reads, nobody can
say what it should give, and two runs of it are not compared.  Dropout draws only in training, which an input says from
opset 12 on, an attribute before opset 7, and nothing in between.  Where that input is not known it may draw, which is
what counts.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnx.numpy_helper

from onnx_triangulate.onnxgraph.nodes import in_onnx, nodes_within, operator, opset, subgraphs
from onnx_triangulate.ops.registry import operators_where
from onnx_triangulate.records.arrays import Array

DRAWS = operators_where(lambda op: op.draws)
# Before a definition says in its opset that an input decides, what did.
_BY_INPUT, _NEVER = 12, 7


def draws(node: onnx.NodeProto, value: Callable[[str], Array | None], version: int | None) -> bool:
    """Whether a node may draw; ``value`` gives the constants that are known, ``version`` is the opset of its domain."""
    if not in_onnx(node) or operator(node) not in DRAWS:
        return False
    if node.op_type != "Dropout":
        return True
    if version is not None and version < _BY_INPUT:
        attributes = {a.name: a for a in node.attribute}
        return version < _NEVER and not ("is_test" in attributes and attributes["is_test"].i)
    if len(node.input) < 3 or not node.input[2]:
        return False
    mode = value(node.input[2])
    ratio = value(node.input[1]) if node.input[1] else None
    still = [known for known in (mode, ratio) if known is not None and not known.any()]
    return not still


def draws_in(model: onnx.ModelProto) -> bool:
    """Whether any node of a model may draw."""
    value, version = stored(model), opset(model)
    return any(draws(node, value, version) for node in nodes_within(model.graph, *model.functions))


def stored(model: onnx.ModelProto) -> Callable[[str], Array | None]:
    """What a model holds under a name, in any of its graphs: small initializers and Constants, where the name is one's.

    Large ones and those in other files are not read: a mode and a ratio are single numbers.
    """
    found: dict[str, onnx.TensorProto | None] = {}

    def gather(graph: onnx.GraphProto) -> None:
        for tensor in graph.initializer:
            found[tensor.name] = None if tensor.name in found else tensor
        for node in graph.node:
            if node.op_type == "Constant" and node.output:
                held = [a.t for a in node.attribute if a.name == "value"]
                found[node.output[0]] = held[0] if held and node.output[0] not in found else None
            for _, inner in subgraphs(node):
                gather(inner)

    gather(model.graph)

    def value(name: str) -> Array | None:
        tensor = found.get(name)
        if tensor is None or tensor.external_data or len(tensor.dims) > 1 or any(size != 1 for size in tensor.dims):
            return None
        try:
            return np.asarray(onnx.numpy_helper.to_array(tensor))
        except Exception:  # bytes that are no number of its type
            return None

    return value
