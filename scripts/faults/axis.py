"""Axes and slices: along the wrong one, from the wrong place, in the wrong order."""

from __future__ import annotations

import numpy as np
from onnx import NodeProto

from faults.site import Accepted, Site, assign, attribute, kind


@kind(
    "axis",
    "Softmax LogSoftmax Concat Gather Split ArgMax ArgMin TopK GatherElements Hardmax Flatten LayerNormalization",
)
def axis_attribute(site: Site, node: NodeProto, random: np.random.Generator) -> Accepted | None:
    """An operator works along another axis."""
    shape = site.shape(node.input[0])
    if shape is None or len(shape) < 2:
        return None
    default = {"Softmax": -1, "LogSoftmax": -1, "TopK": -1, "LayerNormalization": -1, "Flatten": 1}.get(node.op_type, 0)
    axis = int(attribute(node, "axis", default)) % len(shape)
    assign(node, "axis", int(random.choice([i for i in range(len(shape)) if i != axis])))
    return (node.name,)


@kind("axis", "ReduceMean ReduceSum ReduceMax ReduceMin ReduceL2 CumSum ReduceSumSquare")
def reduced_along_another(site: Site, node: NodeProto, random: np.random.Generator) -> Accepted | None:
    """A reduction or a running sum takes another axis."""
    shape = site.shape(node.input[0])
    axes = site.constant(node.input[1]) if len(node.input) > 1 and node.input[1] else attribute(node, "axes")
    if shape is None or axes is None or len(shape) < 2:
        return None
    held = [int(a) % len(shape) for a in np.reshape(axes, -1)]
    free = [i for i in range(len(shape)) if i not in held]
    if not held or not free:
        return None
    held[int(random.integers(len(held)))] = int(random.choice(free))
    if len(node.input) > 1 and node.input[1]:
        before = site.constant(node.input[1])
        assert before is not None
        site.feed(node, 1, np.array(held, before.dtype).reshape(before.shape))
    else:
        assign(node, "axes", held)
    return (node.name,)


@kind("axis", "Slice")
def slice_off_by_one(site: Site, node: NodeProto, random: np.random.Generator) -> Accepted | None:
    """A slice begins one place early or late and is as long as before."""
    if len(node.input) < 4:
        return None
    shape, out = site.shape(node.input[0]), site.shape(node.output[0])
    starts, ends, axes = (site.constant(node.input[i]) for i in (1, 2, 3))
    if shape is None or out is None or starts is None or ends is None or axes is None:
        return None
    for place in random.permutation(starts.size):
        size = shape[int(axes[place])]
        first, last = int(starts[place]), int(min(ends[place], size))
        first, last = first + size if first < 0 else first, last + size if last < 0 else last
        moves = [m for m in (-1, 1) if first + m >= 0 and last + m <= size]
        if moves:
            move = int(random.choice(moves))
            first_array, last_array = starts.copy(), ends.copy()
            first_array[place], last_array[place] = first + move, last + move
            site.feed(node, 1, first_array)
            site.feed(node, 2, last_array)
            return (node.name,)
    return None


@kind("axis", "Gather GatherElements GatherND ScatterND")
def index_off_by_one(site: Site, node: NodeProto, random: np.random.Generator) -> Accepted | None:
    """One index of a gather is another."""
    index, shape = site.constant(node.input[1]), site.shape(node.input[0])
    if index is None or shape is None or not index.size or not site.is_data(node.output[0]):
        return None
    size = shape[int(attribute(node, "axis", 0))]
    changed = index.copy().reshape(-1)
    place = int(random.integers(changed.size))
    changed[place] = (int(changed[place]) + 1) % size
    site.feed(node, 1, changed.reshape(index.shape))
    return (node.name,)


@kind("axis", "Concat Stack")
def joined_in_another_order(_: Site, node: NodeProto, random: np.random.Generator) -> Accepted | None:
    """Two parts of a concatenation are exchanged."""
    if len(node.input) < 2:
        return None
    first = int(random.integers(len(node.input) - 1))
    if node.input[first] == node.input[first + 1]:
        return None
    node.input[first], node.input[first + 1] = node.input[first + 1], node.input[first]
    return (node.name,)


@kind("axis", "Split")
def parts_exchanged(site: Site, node: NodeProto, random: np.random.Generator) -> Accepted | None:
    """Two parts of a split are exchanged."""
    if len(node.output) < 2:
        return None
    first = int(random.integers(len(node.output) - 1))
    readers = (*site.readers(node.output[first]), *site.readers(node.output[first + 1]))
    node.output[first], node.output[first + 1] = node.output[first + 1], node.output[first]
    return (node.name, *readers)


@kind("axis", "Slice Split Gather Transpose Conv MatMul Relu Add")
def order_reversed(site: Site, node: NodeProto, random: np.random.Generator) -> Accepted | None:
    """A value is read backwards along one axis (a flip too much)."""
    from onnx import helper

    shape = site.shape(node.output[0])
    if shape is None or not site.is_data(node.output[0]) or len(node.output) > 1:
        return None
    axes = [i for i, size in enumerate(shape) if size > 1]
    if not axes:
        return None
    axis = int(random.choice(axes))
    names = [site.fresh("bound") for _ in range(4)]
    for name, number in zip(names, (-1, -(2**31), axis, -1), strict=True):
        site.changed[name] = np.array([number], np.int64)
    return (*site.follow(node, helper.make_node("Slice", names, [])), node.name)
