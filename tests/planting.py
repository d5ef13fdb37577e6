"""Faults planted into an exported graph: one node computes something else, everything else stays as it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

SWAPS = {
    "Relu": "Abs",
    "Add": "Sub",
    "Sub": "Add",
    "Mul": "Add",
    "Div": "Mul",
    "Tanh": "Sigmoid",
    "Sigmoid": "Tanh",
    "Sqrt": "Exp",
    "Erf": "Tanh",
    "Elu": "Selu",
    "Softmax": "LogSoftmax",
    "LogSoftmax": "Softmax",
    "GlobalAveragePool": "GlobalMaxPool",
    "Gelu": "Relu",
}


def copied(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def edits(model: onnx.ModelProto, index: int) -> Iterator[tuple[str, onnx.ModelProto]]:
    """Every edit to one node, by kind; some may be no model any more, or mean the same."""
    node = model.graph.node[index]
    places = {tensor.name: i for i, tensor in enumerate(model.graph.initializer)}
    uses = Counter(name for other in model.graph.node for name in other.input)
    for name in node.input:
        if name in places and uses[name] == 1:
            weight = numpy_helper.to_array(model.graph.initializer[places[name]])
            if weight.dtype == np.float32 and weight.size > 1:
                changed = weight.copy()
                changed.flat[weight.size // 2] += 0.01
                edited = copied(model)
                edited.graph.initializer[places[name]].CopyFrom(numpy_helper.from_array(changed, name))
                yield "weight", edited
    for place, attribute in enumerate(node.attribute):
        edited = copied(model)
        if changed_attribute(edited.graph.node[index].attribute[place]):
            yield attribute.name, edited
    if node.op_type in SWAPS:
        edited = copied(model)
        edited.graph.node[index].op_type = SWAPS[node.op_type]
        if node.op_type in ("Elu", "Gelu"):
            del edited.graph.node[index].attribute[:]
        yield "operator", edited


def changed_attribute(attribute: Any) -> bool:
    values = list(attribute.ints)
    if attribute.type == onnx.AttributeProto.FLOAT:
        attribute.f = attribute.f * 1.1 + 1e-3
    elif attribute.name == "perm":
        attribute.ints[:] = values[::-1]
    elif attribute.name == "pads" and values[len(values) // 2] > 0:
        values[0] += 1
        values[len(values) // 2] -= 1
        attribute.ints[:] = values
    elif attribute.name == "axis":
        attribute.i = int(attribute.i == 0)
    elif attribute.name in ("strides", "dilations"):
        attribute.ints[:] = [v - 1 if v > 1 else 2 for v in values]
    else:
        return False
    return True
