"""Nodes, names, shapes and constants: how every other module here gets around in a graph.

Design note.  A :class:`Scope` is one graph (or one function body) with what it says about its values; a subgraph's
scope has a parent, because its nodes see the outer values.  Shapes come from what the file itself declares
(inputs, value_info, initializers, Constant nodes); :func:`with_inferred_shapes` adds ONNX's own inference, on a copy
that has shed its large initializers, for the few questions that need it.  Inference that fails leaves things unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto, numpy_helper

Dims = tuple[int | None, ...]

_SMALL = 1024
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


@dataclass(frozen=True, eq=False)
class Scope:
    """One graph or function body: who makes, declares and uses each value.  ``path`` is ``""`` or ends in ``"/"``."""

    path: str
    nodes: Sequence[NodeProto]
    parent: Scope | None = None
    shapes: Mapping[str, Dims | None] = field(default_factory=dict)
    types: Mapping[str, int] = field(default_factory=dict)
    tensors: Mapping[str, TensorProto] = field(default_factory=dict)
    producers: Mapping[str, tuple[int, NodeProto]] = field(default_factory=dict)
    consumers: Mapping[str, tuple[tuple[NodeProto, int], ...]] = field(default_factory=dict)
    inputs: frozenset[str] = frozenset()

    def shape(self, name: str) -> Dims | None:
        """The declared shape of a value, ``None`` in place of a dimension (or of all) that is not known."""
        if name in self.shapes:
            return self.shapes[name]
        hidden = name in self.producers or name in self.inputs
        return None if hidden or self.parent is None else self.parent.shape(name)

    def type(self, name: str) -> int | None:
        """The declared ``TensorProto.DataType`` of a value, where there is one."""
        if name in self.types:
            return self.types[name]
        hidden = name in self.producers or name in self.inputs
        return None if hidden or self.parent is None else self.parent.type(name)

    def tensor(self, name: str) -> TensorProto | None:
        """The tensor behind a value that is an initializer or a Constant."""
        if name in self.tensors:
            return self.tensors[name]
        hidden = name in self.producers or name in self.inputs
        return None if hidden or self.parent is None else self.parent.tensor(name)

    def integers(self, name: str) -> tuple[int, ...] | None:
        """A small constant of integers as a flat tuple; ``None`` where the value is not one."""
        tensor = self.tensor(name)
        if tensor is None or tensor.data_type not in (TensorProto.INT64, TensorProto.INT32):
            return None
        if tensor.data_location == TensorProto.EXTERNAL or elements(tensor) > _SMALL:
            return None
        try:
            return tuple(int(v) for v in numpy_helper.to_array(tensor).reshape(-1))
        except (ValueError, TypeError):
            return None

    def producer(self, name: str) -> NodeProto | None:
        """The node that makes a value, in this graph or an outer one."""
        if name in self.producers:
            return self.producers[name][1]
        if name in self.inputs or name in self.tensors or self.parent is None:
            return None
        return self.parent.producer(name)

    def name_of_producer(self, name: str) -> str:
        """The full name of the node that makes a value; ``""`` where none does."""
        if name in self.producers:
            index, node = self.producers[name]
            return self.path + node_name(node, index)
        if name in self.inputs or name in self.tensors or self.parent is None:
            return ""
        return self.parent.name_of_producer(name)


@dataclass(frozen=True, eq=False)
class Place:
    """A node where it stands: its full name (``outer/inner`` in a subgraph) and the scope it reads its inputs from."""

    node: NodeProto
    name: str
    scope: Scope

    @property
    def op(self) -> str:
        return operator(self.node)


def text(value: str | bytes) -> str:
    """A protobuf string as text: onnx hands out bytes where a file's string is not UTF-8."""
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value


def printable(value: str | bytes, limit: int = 120) -> str:
    """A name out of a file, fit for a terminal: nothing but printable characters, and not endless."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text(value))
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def in_onnx(node: NodeProto) -> bool:
    """Whether a node is in ONNX's own domain."""
    return text(node.domain) in ("", "ai.onnx")


def operator(node: NodeProto) -> str:
    """The node's operator, ``DOMAIN.OP`` outside ONNX's own domain."""
    return text(node.op_type) if in_onnx(node) else f"{text(node.domain)}.{text(node.op_type)}"


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


def elements(tensor: TensorProto) -> int:
    """How many elements a tensor's dims promise (not how many it holds)."""
    count = 1
    for dim in tensor.dims:
        count *= max(0, dim)
    return count


def constant_tensor(node: NodeProto) -> TensorProto | None:
    """The dense tensor a Constant node makes, whichever attribute holds it; ``None`` for strings and sparse ones."""
    if not in_onnx(node) or node.op_type != "Constant":
        return None
    held = attributes(node)
    if "value" in held:
        tensor: TensorProto = held["value"]
        return tensor
    for attribute, kind in (("value_float", np.float32), ("value_floats", np.float32)):
        if attribute in held:
            return numpy_helper.from_array(np.asarray(held[attribute], kind))
    for attribute in ("value_int", "value_ints"):
        if attribute in held:
            return numpy_helper.from_array(np.asarray(held[attribute], np.int64))
    return None


def array(tensor: TensorProto) -> NDArray[Any] | None:
    """The tensor's values, or ``None`` where the file does not hold them (external data, damaged)."""
    if tensor.data_location == TensorProto.EXTERNAL:
        return None
    try:
        return np.asarray(numpy_helper.to_array(tensor))
    except (ValueError, TypeError):
        return None


def _dims(value: onnx.ValueInfoProto) -> Dims | None:
    kind = value.type.tensor_type
    if not value.type.HasField("tensor_type") or not kind.HasField("shape"):
        return None
    return tuple(d.dim_value if d.HasField("dim_value") and d.dim_value >= 0 else None for d in kind.shape.dim)


def scope_of(graph: GraphProto | FunctionProto, path: str = "", parent: Scope | None = None) -> Scope:
    """What a graph says about its values."""
    shapes: dict[str, Dims | None] = {}
    types: dict[str, int] = {}
    tensors: dict[str, TensorProto] = {}
    producers: dict[str, tuple[int, NodeProto]] = {}
    consumers: dict[str, list[tuple[NodeProto, int]]] = {}
    inputs: frozenset[str] = frozenset()
    declared = list(graph.value_info)
    if isinstance(graph, GraphProto):
        declared += [*graph.output, *graph.input]
        inputs = frozenset(i.name for i in graph.input)
        for tensor in graph.initializer:
            tensors[tensor.name] = tensor
    else:
        inputs = frozenset(graph.input)
    for value in declared:
        dims = _dims(value)
        if dims is not None or value.name not in shapes:
            shapes[value.name] = dims
        if value.type.HasField("tensor_type"):
            types[value.name] = value.type.tensor_type.elem_type
    for index, node in enumerate(graph.node):
        for output in node.output:
            if output:
                producers.setdefault(output, (index, node))
        for slot, name in enumerate(node.input):
            if name:
                consumers.setdefault(name, []).append((node, slot))
        constant = constant_tensor(node)
        if constant is not None and node.output:
            tensors.setdefault(node.output[0], constant)
    for name, tensor in tensors.items():
        shapes[name] = tuple(tensor.dims)
        types[name] = tensor.data_type
    frozen = {name: tuple(users) for name, users in consumers.items()}
    return Scope(path, graph.node, parent, shapes, types, tensors, producers, frozen, inputs)


def _places(scope: Scope) -> Iterator[Place]:
    for index, node in enumerate(scope.nodes):
        name = scope.path + node_name(node, index)
        yield Place(node, name, scope)
        for attribute, graph in subgraphs(node):
            branch = "" if attribute == "body" else f"{attribute}/"
            yield from _places(scope_of(graph, f"{name}/{branch}", scope))


def places(model: ModelProto) -> Iterator[Place]:
    """Every node of a model in the file's order: the main graph with its subgraphs, then each local function once.

    A node of a Loop's or Scan's body is ``outer/inner``; an If's branches are told apart, ``outer/then_branch/inner``;
    a node of a function is ``FUNCTION/inner``.
    """
    yield from _places(scope_of(model.graph))
    for function in model.functions:
        yield from _places(scope_of(function, f"{text(function.name)}/"))


def opset(model: ModelProto) -> int | None:
    """The version of ONNX's own operator set that a model asks for."""
    versions = [o.version for o in model.opset_import if text(o.domain) in ("", "ai.onnx")]
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


def with_inferred_shapes(model: ModelProto) -> ModelProto | None:
    """A copy of the model, without its large initializers, in which ONNX's inference has filled in what it could.

    ``None`` where inference fails.  The copy is for asking about shapes and types; it is not a model to run.
    """
    try:
        return onnx.shape_inference.infer_shapes(without_large_initializers(model), data_prop=True)
    except Exception:
        # It fails in many ways (its own errors, names that are no UTF-8, protobuf's size limit): all mean "unknown".
        return None
