"""Convolution and pooling: pads, strides, dilations, kernels."""

from __future__ import annotations

import numpy as np
from onnx import NodeProto

from faults.site import Accepted, Site, assign, attribute, kind

WINDOWS = "Conv ConvTranspose MaxPool AveragePool"


@kind("geometry", WINDOWS)
def pads_to_one_side(site: Site, node: NodeProto, random: np.random.Generator) -> Accepted | None:
    """A row of padding stands on the other side: SAME_UPPER for symmetric pads, or the other way."""
    rank = len(site.shape(node.input[0]) or ()) - 2
    if rank < 1:
        return None
    pads = list(attribute(node, "pads", [0] * 2 * rank))
    if attribute(node, "auto_pad", "NOTSET") != "NOTSET":
        return None
    moves = [(a, b) for i in range(rank) for a, b in ((i, i + rank), (i + rank, i)) if pads[a] > 0]
    if not moves:
        return None
    source, target = moves[int(random.integers(len(moves)))]
    pads[source] -= 1
    pads[target] += 1
    assign(node, "pads", pads)
    return (node.name,)


@kind("geometry", WINDOWS)
def same_the_other_way(_: Site, node: NodeProto, __: np.random.Generator) -> Accepted | None:
    """SAME_UPPER for SAME_LOWER."""
    said = attribute(node, "auto_pad", "NOTSET")
    if said not in ("SAME_UPPER", "SAME_LOWER"):
        return None
    assign(node, "auto_pad", "SAME_LOWER" if said == "SAME_UPPER" else "SAME_UPPER")
    return (node.name,)


@kind("geometry", WINDOWS)
def stride_of_one_axis(site: Site, node: NodeProto, random: np.random.Generator) -> Accepted | None:
    """A stride is lost or doubled; the shape that follows may be refused."""
    rank = len(site.shape(node.input[0]) or ()) - 2
    if rank < 1:
        return None
    strides = list(attribute(node, "strides", [1] * rank))
    axis = int(random.integers(rank))
    strides[axis] = 1 if strides[axis] > 1 else 2
    assign(node, "strides", strides)
    return (node.name,)


@kind("geometry", "Conv MaxPool AveragePool")
def dilated(site: Site, node: NodeProto, random: np.random.Generator) -> Accepted | None:
    """A dilation is lost or added, with pads that keep the size."""
    shape = site.shape(node.input[1]) if node.op_type == "Conv" else None
    kernel = list(attribute(node, "kernel_shape", None) or (shape[2:] if shape else []))
    rank = len(kernel)
    if not rank or attribute(node, "auto_pad", "NOTSET") != "NOTSET":
        return None
    dilations = list(attribute(node, "dilations", [1] * rank))
    pads = list(attribute(node, "pads", [0] * 2 * rank))
    axes = [i for i in range(rank) if kernel[i] > 1]
    if not axes:
        return None
    axis = int(random.choice(axes))
    after = 1 if dilations[axis] > 1 else 2
    extra = (after - dilations[axis]) * (kernel[axis] - 1)
    begin, end = pads[axis] + extra // 2, pads[axis + rank] + extra - extra // 2
    if begin < 0 or end < 0:
        return None
    dilations[axis], pads[axis], pads[axis + rank] = after, begin, end
    assign(node, "dilations", dilations)
    assign(node, "pads", pads)
    return (node.name,)


@kind("geometry", "Conv ConvTranspose")
def kernel_flipped(site: Site, node: NodeProto, random: np.random.Generator) -> Accepted | None:
    """A convolution for a correlation: the kernel is turned over."""
    weight = site.constant(node.input[1])
    axes = [i for i in range(2, weight.ndim) if weight.shape[i] > 1] if weight is not None else []
    if weight is None or not axes:
        return None
    site.feed(node, 1, np.flip(weight, axis=tuple(axes) if random.integers(2) else (int(axes[0]),)))
    return (node.name,)


@kind("geometry", "AveragePool")
def padding_counted(_: Site, node: NodeProto, __: np.random.Generator) -> Accepted | None:
    """Padding counts in the mean, or does not."""
    assign(node, "count_include_pad", 1 - int(attribute(node, "count_include_pad", 0)))
    return (node.name,)


@kind("geometry", "Conv")
def groups_mixed(site: Site, node: NodeProto, random: np.random.Generator) -> Accepted | None:
    """The groups of a grouped or depthwise convolution are in another order."""
    weight, group = site.constant(node.input[1]), int(attribute(node, "group", 1))
    if weight is None or group < 2:
        return None
    parts = np.split(weight, group)
    site.feed(node, 1, np.concatenate(parts[1:] + parts[:1]))
    return (node.name,)


@kind("geometry", "Pad")
def padded_elsewhere(site: Site, node: NodeProto, random: np.random.Generator) -> Accepted | None:
    """An amount of padding is put to the other side, or reflected where it should be constant."""
    pads = site.constant(node.input[1]) if len(node.input) > 1 else None
    if pads is None:
        return None
    if random.integers(2):
        assign(node, "mode", "edge" if attribute(node, "mode", "constant") != "edge" else "constant")
        return (node.name,)
    rank = pads.size // 2
    axes = [i for i in range(rank) if pads[i] != pads[i + rank]]
    if not axes:
        return None
    axis, changed = int(random.choice(axes)), pads.copy()
    changed[axis], changed[axis + rank] = pads[axis + rank], pads[axis]
    site.feed(node, 1, changed)
    return (node.name,)
