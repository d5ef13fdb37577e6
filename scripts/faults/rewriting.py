"""Rewriting and folding: what an optimizer's pattern matches too much of, or puts together wrongly."""

from __future__ import annotations

import numpy as np
from onnx import NodeProto, helper

from faults.site import Accepted, Site, kind

ACTIVATIONS = "Relu LeakyRelu Tanh Sigmoid Elu Clip PRelu Softplus HardSwish HardSigmoid Gelu Erf Selu Softmax"


@kind("rewriting", ACTIVATIONS)
def activation_dropped(site: Site, node: NodeProto, _: np.random.Generator) -> Accepted | None:
    """An activation is fused away and not done by anybody."""
    return site.bypass(node, 0)


@kind("rewriting", "Add Sub")
def addend_dropped(site: Site, node: NodeProto, random: np.random.Generator) -> Accepted | None:
    """A bias or a residual branch is taken for zero."""
    shapes = [site.shape(name) for name in node.input]
    fitting = [i for i, s in enumerate(shapes) if s == site.shape(node.output[0]) and site.is_data(node.input[i])]
    return site.bypass(node, int(random.choice(fitting))) if fitting else None


@kind("rewriting", "Mul Div")
def factor_dropped(site: Site, node: NodeProto, random: np.random.Generator) -> Accepted | None:
    """A factor is taken for one."""
    shapes = [site.shape(name) for name in node.input]
    fitting = [i for i, s in enumerate(shapes) if s == site.shape(node.output[0]) and site.is_data(node.input[i])]
    return site.bypass(node, int(random.choice(fitting))) if fitting else None


@kind("rewriting", "Mul Add Sub Div")
def folded_and_kept(site: Site, node: NodeProto, _: np.random.Generator) -> Accepted | None:
    """A constant is folded into its neighbour and applied once more."""
    slot = next((i for i, name in enumerate(node.input) if site.constant(name) is not None), None)
    if slot is None or not site.is_float(node.output[0]) or (slot == 0 and node.op_type in ("Sub", "Div")):
        return None
    again = helper.make_node(node.op_type, [node.input[slot]], [])
    return (*site.follow(node, again), node.name)


@kind("rewriting", "Sub Div Pow MatMul Less Greater Where")
def operands_swapped(_: Site, node: NodeProto, __: np.random.Generator) -> Accepted | None:
    """An operator that does not commute is taken for one that does."""
    first = 1 if node.op_type == "Where" else 0
    if node.input[first] == node.input[first + 1]:
        return None
    node.input[first], node.input[first + 1] = node.input[first + 1], node.input[first]
    return (node.name,)


@kind("rewriting")
def merged_with_another(site: Site, node: NodeProto, random: np.random.Generator) -> Accepted | None:
    """Two different values of one shape and type are taken for one."""
    slots = [i for i, name in enumerate(node.input) if name and site.is_data(name)]
    if not slots:
        return None
    slot = int(random.choice(slots))
    value = site.value(node.input[slot])
    before = set(site.base.data & {i.name for i in site.graph.input})
    for other in site.graph.node:
        if other.name == node.name:
            break
        before.update(other.output)
    if value is None:
        return None
    others = [
        name
        for name in sorted(before)
        if (found := site.value(name)) is not None
        and name != node.input[slot]
        and site.is_data(name)
        and found.shape == value.shape
        and found.dtype == value.dtype
        and not np.array_equal(found, value)
    ]
    if not others:
        return None
    node.input[slot] = str(random.choice(others))
    return (node.name,)


@kind("rewriting")
def frozen_from_the_trace(site: Site, node: NodeProto, random: np.random.Generator) -> Accepted | None:
    """A value that depends on the inputs is folded to what it was for the example inputs."""
    slots = [
        i
        for i, name in enumerate(node.input)
        if name and site.is_data(name) and name in site.base.others and site.base.others[name].size <= 4096
    ]
    if not slots:
        return None
    slot = int(random.choice(slots))
    site.feed(node, slot, site.base.others[node.input[slot]])
    return (node.name,)


@kind("rewriting", "Conv ConvTranspose Gemm")
def bias_lost(_: Site, node: NodeProto, __: np.random.Generator) -> Accepted | None:
    """A bias is forgotten where operators are put together."""
    if len(node.input) < 3 or not node.input[2]:
        return None
    del node.input[2]
    return (node.name,)


@kind("rewriting", "Conv ConvTranspose Gemm MatMul")
def folded_without_the_bias(site: Site, node: NodeProto, random: np.random.Generator) -> Accepted | None:
    """A normalization's factors reach the weights of a layer twice, and its bias once."""
    weight = site.constant(node.input[1])
    if weight is None or weight.dtype != np.float32 or weight.ndim < 2:
        return None
    axis = {"Conv": 0, "ConvTranspose": 1}.get(node.op_type, weight.ndim - 1)
    shape = [weight.shape[i] if i == axis else 1 for i in range(weight.ndim)]
    site.feed(node, 1, weight * random.uniform(0.7, 1.4, shape).astype(np.float32))
    return (node.name,)


@kind("rewriting", "BatchNormalization")
def statistics_swapped(_: Site, node: NodeProto, __: np.random.Generator) -> Accepted | None:
    """A normalization's operands arrive in another framework's order."""
    node.input[1], node.input[2] = node.input[2], node.input[1]
    return (node.name,)


@kind("rewriting", "Reshape Transpose Squeeze Unsqueeze Cast Identity")
def reciprocal_twice(site: Site, node: NodeProto, _: np.random.Generator) -> Accepted | None:
    """A negation is pushed through an operator and left where it was."""
    if not site.is_float(node.output[0]) or not site.is_data(node.output[0]):
        return None
    return (*site.follow(node, helper.make_node("Neg", [], [])), node.name)
