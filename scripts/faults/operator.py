"""Operators mapped to their neighbours."""

from __future__ import annotations

import numpy as np
from onnx import NodeProto

from faults.site import Accepted, Site, attribute, kind

ACTIVATION = {
    "Relu": ("Abs", "LeakyRelu", "Elu", "Softplus"),
    "LeakyRelu": ("Relu", "Elu"),
    "Elu": ("Selu", "Relu"),
    "Tanh": ("Sigmoid", "Erf", "Softsign"),
    "Sigmoid": ("Tanh", "HardSigmoid"),
    "Erf": ("Tanh",),
    "Softplus": ("Relu", "Softsign"),
    "Gelu": ("Relu",),
    "Softmax": ("LogSoftmax",),
    "LogSoftmax": ("Softmax",),
    "Sqrt": ("Reciprocal", "Abs"),
    "Exp": ("Abs", "Softplus"),
    "Log": ("Abs", "Neg"),
    "Reciprocal": ("Neg", "Sqrt"),
    "Floor": ("Round", "Ceil"),
    "Abs": ("Relu",),
    "Neg": ("Abs",),
}
ARITHMETIC = {"Add": ("Sub", "Mul", "Max"), "Sub": ("Add",), "Mul": ("Add", "Div"), "Div": ("Mul",), "Pow": ("Mul",)}
COMPARISON = {
    "Greater": ("Less", "GreaterOrEqual", "LessOrEqual"),
    "Less": ("LessOrEqual", "Greater"),
    "GreaterOrEqual": ("Greater", "Less"),
    "And": ("Or",),
    "Or": ("And",),
    "Max": ("Min",),
    "Min": ("Max",),
    "ArgMax": ("ArgMin",),
    "Mod": ("Add",),
}
REDUCTION = {
    "ReduceMean": ("ReduceSum", "ReduceMax", "ReduceL2"),
    "ReduceSum": ("ReduceMean", "ReduceL1"),
    "ReduceMax": ("ReduceMin", "ReduceMean"),
    "ReduceMin": ("ReduceMax",),
    "ReduceSumSquare": ("ReduceL2", "ReduceSum"),
    "GlobalAveragePool": ("GlobalMaxPool",),
    "GlobalMaxPool": ("GlobalAveragePool",),
}


def _renamed(node: NodeProto, table: dict[str, tuple[str, ...]], random: np.random.Generator, keep: str) -> Accepted:
    node.op_type = str(random.choice(table[node.op_type]))
    kept = [a for a in node.attribute if a.name in keep.split()]
    del node.attribute[:]
    node.attribute.extend(kept)
    return (node.name,)


@kind("operator", " ".join(ACTIVATION))
def function_swapped(_: Site, node: NodeProto, random: np.random.Generator) -> Accepted | None:
    """A function of one value is mapped to its neighbour."""
    keep = "axis" if "oftmax" in node.op_type else ""
    return _renamed(node, ACTIVATION, random, keep)


@kind("operator", " ".join(ARITHMETIC))
def arithmetic_swapped(site: Site, node: NodeProto, random: np.random.Generator) -> Accepted | None:
    """An arithmetic operator is mapped to another."""
    return _renamed(node, ARITHMETIC, random, "") if site.is_float(node.output[0]) else None


@kind("operator", " ".join(COMPARISON))
def comparison_swapped(_: Site, node: NodeProto, random: np.random.Generator) -> Accepted | None:
    """A comparison or a selection is mapped to its neighbour."""
    return _renamed(node, COMPARISON, random, "axis keepdims")


@kind("operator", " ".join(REDUCTION))
def reduction_swapped(_: Site, node: NodeProto, random: np.random.Generator) -> Accepted | None:
    """A reduction is mapped to another."""
    return _renamed(node, REDUCTION, random, "axes keepdims noop_with_empty_axes")


@kind("operator", "MaxPool AveragePool")
def pooling_swapped(_: Site, node: NodeProto, __: np.random.Generator) -> Accepted | None:
    """The largest of a window instead of its mean, or the other way."""
    node.op_type = "AveragePool" if node.op_type == "MaxPool" else "MaxPool"
    kept = [a for a in node.attribute if a.name in ("kernel_shape", "strides", "pads", "auto_pad", "ceil_mode")]
    del node.attribute[:]
    node.attribute.extend(kept)
    return (node.name,)


@kind("operator", "LSTM GRU RNN")
def direction_reversed(_: Site, node: NodeProto, __: np.random.Generator) -> Accepted | None:
    """A recurrent layer reads its sequence from the other end."""
    said = attribute(node, "direction", "forward")
    if said not in ("forward", "reverse"):
        return None
    from faults.site import assign

    assign(node, "direction", "reverse" if said == "forward" else "forward")
    return (node.name,)
