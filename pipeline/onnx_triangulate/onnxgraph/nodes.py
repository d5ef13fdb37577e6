"""What one node, tensor, type or name of a file says, read with suspicion: none of it needs to be what ONNX wants.

Design note.  These are functions of one protobuf message each; what needs the messages around it (who makes a value,
what shape it has) is in ``onnxgraph.graph``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import (
    AttributeProto,
    FunctionProto,
    GraphProto,
    ModelProto,
    NodeProto,
    OperatorSetIdProto,
    SparseTensorProto,
    TensorProto,
    numpy_helper,
)

Dims = tuple[int | None, ...]

_SMALL = 1024
_ENDLESS = 1 << 64
_NO_ARRAY = (ValueError, TypeError, KeyError, OverflowError, MemoryError)
_CONSTANTS = {
    "value_float": (float, np.float32),
    "value_floats": (float, np.float32),
    "value_int": (int, np.int64),
    "value_ints": (int, np.int64),
}
_FIELDS = {
    AttributeProto.FLOAT: "f",
    AttributeProto.INT: "i",
    AttributeProto.STRING: "s",
    AttributeProto.FLOATS: "floats",
    AttributeProto.INTS: "ints",
    AttributeProto.STRINGS: "strings",
    AttributeProto.TENSOR: "t",
    AttributeProto.GRAPH: "g",
}


def text(value: str | bytes) -> str:
    """A protobuf string as text: onnx hands out bytes where a file's string is not UTF-8."""
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value


# /onnxruntime_src/onnxruntime/core/x.cc:583 and the C++ function that stands behind it
_SOURCES = re.compile(
    r"/onnxruntime_src/[^\s:]+:\d+"
    r"(?: [\w:<>,&* ]*::[~\w]+\([^()]*(?:\([^()]*\)[^()]*)*\)(?: const)?)?"
    r"(?: \[with [^\]]*\])?"
)


def printable(value: str | bytes, limit: int = 120) -> str:
    """A name out of a file, fit for a terminal: nothing but printable characters, and not endless."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text(value))
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def message(error: object, limit: int = 200) -> str:
    """What an engine says, as one line: no places in its own sources, and cut, where it is too long, behind a word."""
    said = " ".join(_SOURCES.sub("", " ".join(str(error).split())).split())
    if len(said) <= limit:
        return said
    kept = said[: limit - 1]
    kept = kept if said[limit - 1] == " " else kept.rpartition(" ")[0] or kept
    return kept.rstrip(" ,;:") + "…"


def in_onnx(node: NodeProto) -> bool:
    """Whether a node is in ONNX's own domain."""
    return domain_of(node) == ""


def domain_of(entry: NodeProto | FunctionProto | OperatorSetIdProto) -> str:
    """The domain of a node, a function or an import; ``""`` for ONNX's own, which has two names."""
    domain = text(entry.domain)
    return "" if domain == "ai.onnx" else domain


def operator(node: NodeProto) -> str:
    """The node's operator, ``DOMAIN.OP`` outside ONNX's own domain."""
    return text(node.op_type) if in_onnx(node) else f"{text(node.domain)}.{text(node.op_type)}"


def whole_slots(node: NodeProto, version: int | None) -> frozenset[int]:
    """The inputs for which an operator takes whole numbers only: places, sizes, axes; all where nobody knows."""
    if version is None or not in_onnx(node) or not onnx.defs.has(text(node.op_type), version, ""):
        return frozenset(range(len(node.input)))
    schema = onnx.defs.get_schema(text(node.op_type), version, "")
    allowed = {c.type_param_str: set(c.allowed_type_strs) for c in schema.type_constraints}
    found = set()
    for slot in range(len(node.input)):
        parameter = schema.inputs[min(slot, len(schema.inputs) - 1)].type_str if schema.inputs else ""
        if allowed.get(parameter, {parameter}) <= {"tensor(int32)", "tensor(int64)"}:
            found.add(slot)
    return frozenset(found)


def node_name(node: NodeProto, index: int) -> str:
    """The node's name, or ``Op_INDEX`` (its place in its graph) where it has none."""
    return text(node.name) or f"{text(node.op_type)}_{index}"


def attributes(node: NodeProto) -> dict[str, Any]:
    """The attributes a node really has: those that refer to a function's parameter are left out.

    Integers and floats are Python numbers, lists of them tuples, strings text; tensors and graphs the protobuf itself.
    """
    found: dict[str, Any] = {}
    for attribute in node.attribute:
        source = _FIELDS.get(attribute.type)
        if source is None or attribute.ref_attr_name:
            continue
        value = getattr(attribute, source)
        if source in ("ints", "floats"):
            value = tuple(value)
        elif source == "s":
            value = text(value)
        elif source == "strings":
            value = tuple(text(v) for v in value)
        found[text(attribute.name)] = value
    return found


def refers(node: NodeProto, name: str) -> bool:
    """Whether the attribute ``name`` of a node in a function body is a parameter of the function."""
    return any(a.ref_attr_name and text(a.name) == name for a in node.attribute)


def subgraphs(node: NodeProto) -> Iterator[tuple[str, GraphProto]]:
    """The graphs a node holds, by attribute."""
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            yield text(attribute.name), attribute.g
        for index, graph in enumerate(attribute.graphs):
            yield f"{text(attribute.name)}{index}", graph


def every_graph(*outermost: GraphProto | FunctionProto) -> Iterator[GraphProto | FunctionProto]:
    """Graphs and functions, and every graph inside of them.

    Without recursion, and whatever type an attribute that holds a graph says it has: a graph made in memory may be
    nested more deeply, and say more nonsense, than any parser would read.
    """
    waiting = [*reversed(outermost)]
    while waiting:
        graph = waiting.pop()
        yield graph
        waiting += [inner for node in graph.node for inner in _held(node)]


def every_tensor(*outermost: GraphProto | FunctionProto) -> Iterator[TensorProto]:
    """The tensors of :func:`every_graph`: initializers, the parts of sparse ones, and what attributes hold."""
    for graph in every_graph(*outermost):
        if isinstance(graph, GraphProto):
            yield from graph.initializer
            for sparse in graph.sparse_initializer:
                yield from (sparse.values, sparse.indices)
        for attribute in (a for node in graph.node for a in node.attribute):
            yield from (attribute.t, *attribute.tensors)


def nodes_within(*outermost: GraphProto | FunctionProto) -> Iterator[NodeProto]:
    """The nodes of :func:`every_graph` in the file's order, each followed by those of the graphs that it holds."""
    waiting = [iter(graph.node) for graph in reversed(outermost)]
    while waiting:
        node = next(waiting[-1], None)
        if node is None:
            waiting.pop()
            continue
        yield node
        waiting += [iter(graph.node) for graph in reversed(_held(node))]


def _held(node: NodeProto) -> list[GraphProto]:
    return [g for a in node.attribute for g in ([a.g] if a.HasField("g") else []) + list(a.graphs)]


def dense_constants(graph: GraphProto) -> Iterator[tuple[str, TensorProto]]:
    """The dense tensors of a graph by the name of their value: initializers, and what Constant nodes make."""
    yield from ((tensor.name, tensor) for tensor in graph.initializer)
    made = ((node, constant_tensor(node)) for node in graph.node if node.output)
    yield from ((node.output[0], tensor) for node, tensor in made if tensor is not None)


def elements(tensor: TensorProto) -> int:
    """How many elements a tensor's dims promise (not how many it holds)."""
    count = 1
    for dim in tensor.dims:
        if dim <= 0:
            return 0
        if count < _ENDLESS:  # a product of a million large dims would be a number of megabytes
            count *= dim
    return count


def constant_tensor(node: NodeProto) -> TensorProto | None:
    """The dense tensor a Constant node makes, whichever attribute holds it; ``None`` for strings and sparse ones."""
    if node.op_type != "Constant" or not in_onnx(node):
        return None
    held = attributes(node)
    tensor = held.get("value")
    if isinstance(tensor, TensorProto):
        return tensor
    for attribute, (kind, dtype) in _CONSTANTS.items():
        value = held.get(attribute)
        listed = value if attribute.endswith("s") else (value,)
        if isinstance(listed, tuple) and all(isinstance(v, kind) for v in listed):
            return numpy_helper.from_array(np.asarray(value, dtype))
    return None


def sparse_tensor(node: NodeProto) -> SparseTensorProto | None:
    """The sparse tensor that a Constant node makes, where it makes one."""
    if node.op_type != "Constant" or not in_onnx(node):
        return None
    held = (a.sparse_tensor for a in node.attribute if a.type == AttributeProto.SPARSE_TENSOR and not a.ref_attr_name)
    return next(held, None)


def array(tensor: TensorProto) -> NDArray[Any] | None:
    """The tensor's values, or ``None`` where the file does not hold them (external data, damaged)."""
    if tensor.data_location == TensorProto.EXTERNAL:
        return None
    try:
        return np.asarray(numpy_helper.to_array(tensor))
    except _NO_ARRAY:
        return None


def dims_of(value: onnx.ValueInfoProto) -> Dims | None:
    """The declared shape of a value, ``None`` in place of a size (or of all) that is no number from 0 on."""
    kind = value.type.tensor_type
    if not value.type.HasField("tensor_type") or not kind.HasField("shape"):
        return None
    return tuple(d.dim_value if d.HasField("dim_value") and d.dim_value >= 0 else None for d in kind.shape.dim)


def named_dims(value: onnx.ValueInfoProto) -> tuple[int | str | None, ...] | None:
    """The declared shape of a value as it is written: a size, the name of a size, or ``None`` where it has neither."""
    kind = value.type.tensor_type
    if not value.type.HasField("tensor_type") or not kind.HasField("shape"):
        return None
    return tuple(d.dim_value if d.HasField("dim_value") else (text(d.dim_param) or None) for d in kind.shape.dim)


def opset(model: ModelProto) -> int | None:
    """The version of ONNX's own operator set that a model asks for."""
    versions = [o.version for o in model.opset_import if domain_of(o) == ""]
    return versions[0] if versions else None


def without_large_initializers(model: ModelProto) -> ModelProto:
    """A copy of the model in which each initializer of more than a few elements is an input."""
    copy = ModelProto()
    copy.ir_version = model.ir_version
    copy.opset_import.extend(model.opset_import)
    copy.functions.extend(model.functions)
    graph = model.graph
    copy.graph.name = "g"
    copy.graph.node.extend(graph.node)
    copy.graph.input.extend(graph.input)
    copy.graph.output.extend(graph.output)
    copy.graph.value_info.extend(graph.value_info)
    inputs = {i.name for i in graph.input}
    for tensor in graph.initializer:
        if elements(tensor) <= _SMALL and tensor.data_location != TensorProto.EXTERNAL:
            copy.graph.initializer.append(tensor)
        elif tensor.name not in inputs:
            copy.graph.input.append(
                onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
            )
    return copy
