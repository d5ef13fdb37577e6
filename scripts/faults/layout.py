"""Layouts: axes in the wrong order, at the border of an operator or in its weights."""

from __future__ import annotations

import itertools

import numpy as np
from onnx import NodeProto, helper

from faults.site import Accepted, Site, assign, attribute, kind


@kind("layout", "Transpose")
def other_perm(site: Site, node: NodeProto, random: np.random.Generator) -> Accepted | None:
    """A transpose by another permutation, by preference one that leaves the shape."""
    shape = site.shape(node.input[0])
    if shape is None or not site.is_data(node.output[0]):
        return None
    now = tuple(attribute(node, "perm", tuple(reversed(range(len(shape))))))
    others = [p for p in itertools.permutations(range(len(shape))) if p != now]
    alike = [p for p in others if [shape[a] for a in p] == [shape[a] for a in now]]
    pool = alike or others
    if not pool:
        return None
    assign(node, "perm", list(pool[int(random.integers(len(pool)))]))
    return (node.name,)


@kind("layout", "Transpose")
def reshaped_for_transposed(site: Site, node: NodeProto, _: np.random.Generator) -> Accepted | None:
    """A reshape to the right shape stands where axes should be moved."""
    shape = site.shape(node.output[0])
    if shape is None or not site.is_data(node.output[0]):
        return None
    site.turn_into(node, "Reshape", [node.input[0], ""])
    site.feed(node, 1, np.array(shape, np.int64))
    return (node.name,)


@kind("layout", "Conv ConvTranspose MatMul Gemm")
def weights_in_another_order(site: Site, node: NodeProto, random: np.random.Generator) -> Accepted | None:
    """A weight's numbers are read in another order of axes, and its shape is right."""
    weight = site.constant(node.input[1])
    if weight is None or weight.dtype != np.float32 or sum(s > 1 for s in weight.shape) < 2:
        return None
    orders = [p for p in itertools.permutations(range(weight.ndim)) if p != tuple(range(weight.ndim))]
    order = orders[int(random.integers(len(orders)))]
    changed = np.ascontiguousarray(weight.transpose(order)).reshape(weight.shape)
    if np.array_equal(changed, weight):
        return None
    site.feed(node, 1, changed)
    return (node.name,)


@kind("layout", "Conv MaxPool AveragePool Resize Relu Add Mul BatchNormalization MatMul LSTM GRU Softmax")
def axes_exchanged(site: Site, node: NodeProto, random: np.random.Generator) -> Accepted | None:
    """A transpose too many, and a reshape that hides it."""
    shape = site.shape(node.input[0])
    if shape is None or not site.is_data(node.input[0]):
        return None
    axes = [i for i, size in enumerate(shape) if size > 1]
    if len(axes) < 2:
        return None
    first, second = (int(i) for i in sorted(random.choice(axes, 2, replace=False)))
    perm = list(range(len(shape)))
    perm[first], perm[second] = perm[second], perm[first]
    chain = [helper.make_node("Transpose", [], [], perm=perm)]
    if shape[first] != shape[second]:
        target = site.fresh("shape")
        site.changed[target] = np.array(shape, np.int64)
        chain.append(helper.make_node("Reshape", [target], []))
    return (*site.insert(node, 0, *chain), node.name)


@kind("layout", "Gemm")
def operand_transposed(site: Site, node: NodeProto, _: np.random.Generator) -> Accepted | None:
    """A matrix is transposed, or is not."""
    shape = site.shape(node.input[1])
    if shape is None:
        return None
    assign(node, "transB", 1 - int(attribute(node, "transB", 0)))
    return (node.name,)


@kind("layout", "DepthToSpace SpaceToDepth")
def depth_in_another_order(_: Site, node: NodeProto, __: np.random.Generator) -> Accepted | None:
    """DCR for CRD."""
    if node.op_type != "DepthToSpace":
        return None
    assign(node, "mode", "CRD" if attribute(node, "mode", "DCR") == "DCR" else "DCR")
    return (node.name,)
