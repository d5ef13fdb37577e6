"""Controls: edits that leave the meaning as it is.  Whoever is accused of one is falsely accused."""

from __future__ import annotations

import numpy as np
from onnx import NodeProto, helper, numpy_helper

from faults.site import CONTROL, Accepted, Site, assign, attribute, kind


@kind(CONTROL, keeps_names=False)
def values_renamed(site: Site, _: NodeProto, __: np.random.Generator) -> Accepted | None:
    """Every value and every node has another name."""
    border = {v.name for v in (*site.graph.input, *site.graph.output)}
    if any(site.is_captured(name) for node in site.graph.node for name in node.output):
        return None
    for number, node in enumerate(site.graph.node):
        node.name = f"renamed_{number}"
        for names in (node.input, node.output):
            names[:] = [n if not n or n in border or n in site.base.weights else f"v_{n}" for n in names]
    return ()


@kind(CONTROL)
def nodes_reordered(site: Site, _: NodeProto, random: np.random.Generator) -> Accepted | None:
    """The nodes stand in another order that works as well."""
    waiting = list(site.graph.node)
    made = {n for node in waiting for n in node.output}
    done: list[NodeProto] = []
    while waiting:
        ready = [n for n in waiting if not made.intersection(_names(site, n))]
        chosen = ready[int(random.integers(len(ready)))]
        waiting.remove(chosen)
        made.difference_update(chosen.output)
        done.append(chosen)
    copies = []
    for node in done:
        copy = NodeProto()
        copy.CopyFrom(node)
        copies.append(copy)
    del site.graph.node[:]
    site.graph.node.extend(copies)
    return ()


def _names(site: Site, node: NodeProto) -> list[str]:
    from faults.site import reads

    return list(reads(node))


@kind(CONTROL)
def identity_inserted(site: Site, node: NodeProto, random: np.random.Generator) -> Accepted | None:
    """An Identity stands between two nodes."""
    slots = [i for i, name in enumerate(node.input) if name and site.is_data(name)]
    return site.insert(node, int(random.choice(slots)), helper.make_node("Identity", [], [])) if slots else None


@kind(CONTROL)
def transposes_that_cancel(site: Site, node: NodeProto, random: np.random.Generator) -> Accepted | None:
    """Two transposes that undo each other stand between two nodes."""
    slots = [i for i, n in enumerate(node.input) if n and site.is_data(n) and len(site.shape(n) or ()) > 1]
    if not slots:
        return None
    slot = int(random.choice(slots))
    perm = [int(a) for a in random.permutation(len(site.shape(node.input[slot]) or ()))]
    back = [int(a) for a in np.argsort(perm)]
    pair = (helper.make_node("Transpose", [], [], perm=p) for p in (perm, back))
    return site.insert(node, slot, *pair)


@kind(CONTROL)
def constants_as_nodes(site: Site, _: NodeProto, random: np.random.Generator) -> Accepted | None:
    """Some initializers are Constant nodes."""
    names = sorted({n for node in site.graph.node for n in node.input if n in site.base.weights})
    if not names:
        return None
    for name in (n for n in names if random.integers(2)):
        value = numpy_helper.from_array(np.asarray(site.base.weights[name]), name)
        made = helper.make_node("Constant", [], [f"{name}_constant"], name=site.fresh("Constant"), value=value)
        for node in site.graph.node:
            node.input[:] = [f"{name}_constant" if n == name else n for n in node.input]
        site.graph.node.insert(0, made)
    return ()


@kind(CONTROL, "Conv Gemm")
def bias_as_an_addition(site: Site, node: NodeProto, _: np.random.Generator) -> Accepted | None:
    """A bias is added by a node of its own."""
    shape = site.shape(node.output[0])
    bias = site.constant(node.input[2]) if len(node.input) > 2 and node.input[2] else None
    if bias is None or shape is None or float(attribute(node, "beta", 1.0)) != 1.0:
        return None
    name = site.fresh("bias")
    site.changed[name] = bias.reshape(-1, *[1] * (len(shape) - 2)) if node.op_type == "Conv" else bias
    del node.input[2]
    return site.follow(node, helper.make_node("Add", [name], []))


@kind(CONTROL, "Gemm")
def product_and_sum(site: Site, node: NodeProto, _: np.random.Generator) -> Accepted | None:
    """A Gemm is written as MatMul and Add."""
    weight, bias = site.constant(node.input[1]), site.constant(node.input[2]) if len(node.input) > 2 else None
    plain = float(attribute(node, "alpha", 1.0)) == float(attribute(node, "beta", 1.0)) == 1.0
    if weight is None or bias is None or not plain or int(attribute(node, "transA", 0)):
        return None
    turned = np.ascontiguousarray(weight.T) if int(attribute(node, "transB", 0)) else weight
    name = site.fresh("bias")
    site.changed[name] = bias
    site.turn_into(node, "MatMul", [node.input[0], node.input[1]])
    site.feed(node, 1, turned)
    return site.follow(node, helper.make_node("Add", [name], []))


@kind(CONTROL, "BatchNormalization")
def normalization_folded(site: Site, node: NodeProto, _: np.random.Generator) -> Accepted | None:
    """A BatchNormalization is a factor and an offset, computed in float32 as optimizers do."""
    scale, shift, mean, variance = (site.constant(n) for n in node.input[1:5])
    shape = site.shape(node.output[0])
    if scale is None or shift is None or mean is None or variance is None or shape is None:
        return None
    factor = np.asarray(scale / np.sqrt(variance + np.float32(attribute(node, "epsilon", 1e-5))), np.float32)
    offset = np.asarray(shift - mean * factor, np.float32)
    broadcast = (-1, *[1] * (len(shape) - 2))
    name = site.fresh("offset")
    site.changed[name] = offset.reshape(broadcast)
    site.turn_into(node, "Mul", [node.input[0], ""])
    site.feed(node, 1, factor.reshape(broadcast))
    return site.follow(node, helper.make_node("Add", [name], []))


@kind(CONTROL, "Conv")
def scale_moved_into_weights(site: Site, node: NodeProto, random: np.random.Generator) -> Accepted | None:
    """A layer's weights are scaled, and a factor behind it undoes that: rounded in float32, like a fold."""
    weight = site.constant(node.input[1])
    shape = site.shape(node.output[0])
    if weight is None or shape is None:
        return None
    factor = np.asarray(random.uniform(0.5, 2, weight.shape[0]), np.float32)
    broadcast = (-1, *[1] * (weight.ndim - 1))
    site.feed(node, 1, weight * factor.reshape(broadcast))
    if len(node.input) > 2 and node.input[2]:
        bias = site.constant(node.input[2])
        if bias is None:
            return None
        site.feed(node, 2, bias * factor)
    name = site.fresh("factor")
    site.changed[name] = factor.reshape(-1, *[1] * (len(shape) - 2))
    return site.follow(node, helper.make_node("Div", [name], []))


@kind(CONTROL, "Relu Sub Sqrt Neg Sigmoid Softmax Reshape Clip")
def written_otherwise(site: Site, node: NodeProto, _: np.random.Generator) -> Accepted | None:
    """An operator is written by others: x - c as x + (-c), Relu as a maximum, 1/(1+exp(-x)), a size as -1."""
    if node.op_type == "Relu":
        zero = site.fresh("zero")
        site.changed[zero] = np.zeros((), np.float32)
        site.turn_into(node, "Max", [node.input[0], zero])
    elif node.op_type == "Sub" and (held := site.constant(node.input[1])) is not None and held.dtype == np.float32:
        site.turn_into(node, "Add", [node.input[0], ""])
        site.feed(node, 1, -held)
    elif node.op_type == "Sigmoid":
        one = site.fresh("one")
        site.changed[one] = np.ones((), np.float32)
        site.turn_into(node, "Neg")
        chain = (
            helper.make_node("Exp", [], []),
            helper.make_node("Add", [one], []),
            helper.make_node("Reciprocal", [], []),
        )
        site.follow(node, *chain)
    elif node.op_type == "Reshape":
        shape, target = site.shape(node.output[0]), site.constant(node.input[1])
        if shape is None or target is None or (target <= 0).any() or 0 in shape:
            return None
        changed = target.copy()
        changed[0] = -1
        site.feed(node, 1, changed)
    elif node.op_type == "Clip" and len(node.input) > 2 and node.input[1] and node.input[2]:
        low, high = node.input[1], node.input[2]
        site.turn_into(node, "Max", [node.input[0], low])
        site.follow(node, helper.make_node("Min", [high], []))
    else:
        return None
    return ()


@kind(CONTROL)
def defaults_written_out(site: Site, node: NodeProto, _: np.random.Generator) -> Accepted | None:
    """Attributes that have their default value are written, or left out."""
    import onnx

    version = next(o.version for o in site.model.opset_import if o.domain in ("", "ai.onnx"))
    changed = False
    for other in site.graph.node:
        if other.domain not in ("", "ai.onnx") or not onnx.defs.has(other.op_type, version, ""):
            continue
        said = {a.name for a in other.attribute}
        for name, declared in onnx.defs.get_schema(other.op_type, version, "").attributes.items():
            if declared.default_value.type in (1, 2) and name not in said:
                assign(other, name, helper.get_attribute_value(declared.default_value))
                changed = True
    return () if changed else None


@kind(CONTROL, keeps_names=False)
def next_opset(site: Site, _: NodeProto, __: np.random.Generator) -> Accepted | None:
    """onnx's own converter writes the graph for a later opset."""
    from onnx import version_converter

    version = next(o.version for o in site.model.opset_import if o.domain in ("", "ai.onnx"))
    if sum(w.nbytes for w in site.base.weights.values()) > 2**22:
        return None
    try:
        converted = version_converter.convert_version(site.whole(), min(version + 2, 22))
    except Exception:  # the converter has no adapter for some operators
        return None
    if version >= 22:
        return None
    site.model.CopyFrom(converted)
    site.changed = {t.name: numpy_helper.to_array(t) for t in converted.graph.initializer}
    del site.graph.initializer[:]
    return ()


@kind(CONTROL)
def nothing(_: Site, __: NodeProto, ___: np.random.Generator) -> Accepted | None:
    """The file itself, on other inputs."""
    return ()
