"""Types and casts: what is narrowed, truncated, wrapped or rounded on the way."""

from __future__ import annotations

import numpy as np
from onnx import NodeProto, TensorProto, helper

from faults.site import Accepted, Site, assign, attribute, kind

FLOAT = TensorProto.FLOAT


def _cast(to: int) -> NodeProto:
    return helper.make_node("Cast", [], [], to=to)


def _through(site: Site, node: NodeProto, random: np.random.Generator, to: int) -> Accepted | None:
    slots = [i for i, name in enumerate(node.input) if name and site.is_data(name) and site.is_float(name)]
    if not slots:
        return None
    return (*site.insert(node, int(random.choice(slots)), _cast(to), _cast(FLOAT)), node.name)


@kind("dtype")
def through_int32(site: Site, node: NodeProto, random: np.random.Generator) -> Accepted | None:
    """A value is an integer for a moment."""
    return _through(site, node, random, TensorProto.INT32)


@kind("dtype")
def through_float16(site: Site, node: NodeProto, random: np.random.Generator) -> Accepted | None:
    """A value has half its precision for a moment."""
    return _through(site, node, random, TensorProto.FLOAT16)


@kind("dtype")
def through_bool(site: Site, node: NodeProto, random: np.random.Generator) -> Accepted | None:
    """A value is a truth for a moment."""
    return _through(site, node, random, TensorProto.BOOL)


def _narrowed(site: Site, node: NodeProto, convert: type) -> Accepted | None:
    slots = [
        i
        for i, name in enumerate(node.input)
        if name and (held := site.constant(name)) is not None and held.dtype == np.float32 and held.size
    ]
    rounded = {i: _round(site.constant(node.input[i]), convert) for i in slots}
    slots = [i for i, array in rounded.items() if not np.array_equal(array, np.asarray(site.constant(node.input[i])))]
    if not slots:
        return None
    for slot in slots:
        site.feed(node, slot, rounded[slot])
    return (node.name,)


def _round(array: np.ndarray | None, convert: type) -> np.ndarray:
    assert array is not None
    if convert is np.float16:
        return array.astype(np.float16).astype(np.float32)
    bits = np.ascontiguousarray(array).view(np.uint32)
    return ((bits + 0x8000) & 0xFFFF0000).astype(np.uint32).view(np.float32).reshape(array.shape)


@kind("dtype")
def constants_in_half_precision(site: Site, node: NodeProto, _: np.random.Generator) -> Accepted | None:
    """A node's constants were stored in float16."""
    return _narrowed(site, node, np.float16)


@kind("dtype")
def constants_in_bfloat16(site: Site, node: NodeProto, _: np.random.Generator) -> Accepted | None:
    """A node's constants were stored in bfloat16."""
    return _narrowed(site, node, np.uint16)


@kind("dtype")
def constants_truncated(site: Site, node: NodeProto, _: np.random.Generator) -> Accepted | None:
    """A float constant is stored as an integer."""
    for slot, name in enumerate(node.input):
        held = site.constant(name) if name else None
        if held is not None and held.dtype == np.float32 and held.size and not np.array_equal(np.trunc(held), held):
            site.feed(node, slot, np.trunc(held))
            return (node.name,)
    return None


@kind("dtype", "Cast")
def cast_rounds(site: Site, node: NodeProto, _: np.random.Generator) -> Accepted | None:
    """A cast to an integer rounds instead of truncating."""
    if attribute(node, "to") not in (TensorProto.INT32, TensorProto.INT64) or not site.is_float(node.input[0]):
        return None
    return (*site.insert(node, 0, helper.make_node("Round", [], [])), node.name)


@kind("dtype")
def integers_wrapped(site: Site, node: NodeProto, random: np.random.Generator) -> Accepted | None:
    """An integer passes through a type that cannot hold it, or a sign."""
    kinds = {"int32": TensorProto.INT32, "int64": TensorProto.INT64}
    slots = [
        i
        for i, name in enumerate(node.input)
        if name and site.is_data(name) and (v := site.value(name)) is not None and v.dtype.name in kinds
    ]
    if not slots:
        return None
    slot = int(random.choice(slots))
    value = site.value(node.input[slot])
    assert value is not None
    return (*site.insert(node, slot, _cast(TensorProto.BOOL), _cast(kinds[value.dtype.name])), node.name)


@kind("dtype", "Cast")
def cast_to_bool_and_back(site: Site, node: NodeProto, _: np.random.Generator) -> Accepted | None:
    """A cast of integers or truths to float goes by way of another type."""
    if attribute(node, "to") != FLOAT or site.is_float(node.input[0]):
        return None
    value = site.value(node.input[0])
    to = TensorProto.BOOL if value is not None and value.dtype.kind in "iu" else TensorProto.INT8
    return (*site.insert(node, 0, _cast(to)), node.name)


@kind("dtype", "Cast")
def cast_keeps_the_fraction(site: Site, node: NodeProto, _: np.random.Generator) -> Accepted | None:
    """A cast to an integer takes the ceiling of what it is given."""
    if not site.is_float(node.input[0]) or attribute(node, "to") not in (TensorProto.INT32, TensorProto.INT64):
        return None
    assign(node, "to", attribute(node, "to"))
    return (*site.insert(node, 0, helper.make_node("Ceil", [], [])), node.name)
