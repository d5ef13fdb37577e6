"""Shapes and broadcasting: the right numbers in the wrong places, or one where many should be."""

from __future__ import annotations

import numpy as np
from onnx import NodeProto, helper

from faults.site import Accepted, Site, assign, attribute, kind

ELEMENTWISE = "Add Sub Mul Div Where Pow Max Min PRelu Greater Less Equal And Or"


@kind("shape", ELEMENTWISE)
def operand_collapsed(site: Site, node: NodeProto, random: np.random.Generator) -> Accepted | None:
    """One operand's first entry along an axis is broadcast to all."""
    out = site.shape(node.output[0])
    choices = []
    for slot, name in enumerate(node.input):
        shape = site.shape(name)
        rest = [s for i, n in enumerate(node.input) if i != slot and (s := site.shape(n)) is not None]
        if shape is None or out is None:
            continue
        for axis, size in enumerate(shape):
            back = axis - len(shape)
            if size > 1 and any(len(s) >= -back and s[back] == size for s in rest):
                choices.append((slot, axis))
    if not choices:
        return None
    slot, axis = choices[int(random.integers(len(choices)))]
    held = site.constant(node.input[slot])
    if held is not None:
        site.feed(node, slot, np.take(held, [0], axis=axis))
        return (node.name,)
    names = [site.fresh("bound") for _ in range(3)]
    for name, number in zip(names, (0, 1, axis), strict=True):
        site.changed[name] = np.array([number], np.int64)
    return (*site.insert(node, slot, helper.make_node("Slice", names, [])), node.name)


@kind("shape", "Add Sub Mul Div PRelu BatchNormalization")
def vector_rolled(site: Site, node: NodeProto, random: np.random.Generator) -> Accepted | None:
    """A vector is broadcast with its entries moved on by one place."""
    for slot, name in enumerate(node.input):
        held = site.constant(name)
        if held is not None and held.dtype == np.float32 and held.size > 1:
            axes = [i for i, size in enumerate(held.shape) if size > 1]
            site.feed(node, slot, np.roll(held, 1, axis=int(random.choice(axes))))
            return (node.name,)
    return None


@kind("shape", "Reshape")
def reshaped_in_another_order(site: Site, node: NodeProto, random: np.random.Generator) -> Accepted | None:
    """A target shape has two sizes in the wrong order, and a transpose puts the sizes right."""
    shape = site.shape(node.output[0])
    if shape is None or len(shape) < 2 or not site.is_data(node.output[0]):
        return None
    pairs = [(i, i + 1) for i in range(len(shape) - 1) if shape[i] != 1 and shape[i + 1] != 1]
    if not pairs:
        return None
    first, second = pairs[int(random.integers(len(pairs)))]
    perm = list(range(len(shape)))
    perm[first], perm[second] = perm[second], perm[first]
    readers = site.follow(node, helper.make_node("Transpose", [], [], perm=perm))
    node = site.node(node.name)
    site.feed(node, 1, np.array([shape[i] for i in perm], np.int64))
    return (node.name, *readers)


@kind("shape", "ReduceMean ReduceSum ReduceMax ReduceMin ReduceL2 ReduceProd ArgMax ArgMin")
def dimensions_kept_or_not(_: Site, node: NodeProto, __: np.random.Generator) -> Accepted | None:
    """A reduction keeps the axes that it should drop, or drops them."""
    assign(node, "keepdims", 1 - int(attribute(node, "keepdims", 1)))
    return (node.name,)


@kind("shape", "Unsqueeze Squeeze")
def axis_of_one_elsewhere(site: Site, node: NodeProto, random: np.random.Generator) -> Accepted | None:
    """An axis of size one is put in another place, and broadcasting does the rest."""
    if node.op_type != "Unsqueeze" or len(node.input) < 2:
        return None
    shape, axes = site.shape(node.output[0]), site.constant(node.input[1])
    if shape is None or axes is None or axes.size != 1:
        return None
    others = [i for i in range(len(shape)) if i != int(axes.reshape(-1)[0]) % len(shape)]
    if not others:
        return None
    site.feed(node, 1, np.array([random.choice(others)], np.int64))
    return (node.name,)


@kind("shape", "Expand Tile")
def repeated_the_other_way(site: Site, node: NodeProto, random: np.random.Generator) -> Accepted | None:
    """What is repeated is repeated entry by entry where it should be as a whole: the result is rolled."""
    shape = site.shape(node.output[0])
    axes = [i for i, size in enumerate(shape or ()) if size > 2]
    if not axes or shape is None:
        return None
    axis = int(random.choice(axes))
    order = site.fresh("order")
    site.changed[order] = np.roll(np.arange(shape[axis]), 1).astype(np.int64)
    return (*site.follow(node, helper.make_node("Gather", [order], [], axis=axis)), node.name)


@kind("shape", "Flatten Reshape")
def flattened_from_the_other_end(site: Site, node: NodeProto, random: np.random.Generator) -> Accepted | None:
    """Two axes are exchanged in front of a reshape, which takes whatever comes."""
    shape = site.shape(node.input[0])
    if shape is None or not site.is_data(node.input[0]):
        return None
    axes = [i for i, size in enumerate(shape) if size > 1]
    if len(axes) < 2 or (node.op_type == "Reshape" and _copies(site, node)):
        return None
    first, second = (int(i) for i in sorted(random.choice(axes, 2, replace=False)))
    perm = list(range(len(shape)))
    perm[first], perm[second] = perm[second], perm[first]
    return (*site.insert(node, 0, helper.make_node("Transpose", [], [], perm=perm)), node.name)


def _copies(site: Site, node: NodeProto) -> bool:
    target = site.constant(node.input[1])
    return target is None or bool((target == 0).any())
