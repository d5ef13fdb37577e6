"""Nodes, names, shapes and constants: how every other module here gets around in a graph.

Design note.  A :class:`Scope` is one graph (or one function body) with what it says about its values; a subgraph's
scope has a parent, because its nodes see the outer values.  Shapes come from what the file itself declares
(inputs, value_info, initializers, Constant nodes); :func:`with_inferred_shapes` adds ONNX's own inference, on a copy
that has shed its large initializers, for the few questions that need it.  Inference that fails leaves things unknown.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
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

from onnx_triangulate.onnxgraph.folding import fold

Dims = tuple[int | None, ...]

_SMALL = 1024
_ENDLESS = 1 << 64
_MOST_NAME = 200
_MOST_PATH = 500
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


@dataclass(frozen=True, eq=False)
class Scope:
    """One graph or function body: who makes, declares and uses each value.  ``path`` is ``""`` or ends in ``"/"``.

    ``at`` is the index of the node in ``parent`` that holds it, and its position among that node's graphs.
    """

    path: str
    graph: GraphProto | FunctionProto
    parent: Scope | None
    at: tuple[int, int]
    tensors: Mapping[str, TensorProto]
    producers: Mapping[str, tuple[int, NodeProto]]
    consumers: Mapping[str, Sequence[tuple[NodeProto, int]]]
    inputs: frozenset[str]
    shapes: dict[str, Dims | None] = field(default_factory=dict)
    types: dict[str, int] = field(default_factory=dict)
    _folded: dict[str, NDArray[Any] | None] = field(default_factory=dict)

    @property
    def nodes(self) -> Sequence[NodeProto]:
        nodes: Sequence[NodeProto] = self.graph.node
        return nodes

    def declare(self, inferred: GraphProto | None = None) -> Scope:
        """Read what the graph says about its values, or what a copy of it, ``inferred``, says beyond that."""
        said = self.graph if inferred is None else inferred
        declared = list(said.value_info)
        if isinstance(self.graph, GraphProto) and isinstance(said, GraphProto):
            declared += [*said.output, *self.graph.input]
        shapes, types = self.shapes, self.types
        for value in declared:
            dims = dims_of(value)
            if dims is not None or value.name not in shapes:
                shapes[value.name] = dims
            if value.type.HasField("tensor_type"):
                types[value.name] = value.type.tensor_type.elem_type
        for name, tensor in self.tensors.items():
            shapes[name] = tuple(tensor.dims)
            types[name] = tensor.data_type
        return self

    def shape(self, name: str) -> Dims | None:
        """The declared shape of a value, ``None`` in place of a dimension (or of all) that is not known."""
        scope = self._knowing(name, "shapes")
        return None if scope is None else scope.shapes[name]

    def type(self, name: str) -> int | None:
        """The declared ``TensorProto.DataType`` of a value, where there is one."""
        scope = self._knowing(name, "types")
        return None if scope is None else scope.types[name]

    def tensor(self, name: str) -> TensorProto | None:
        """The tensor behind a value that is an initializer or a Constant."""
        scope = self._knowing(name, "tensors")
        return None if scope is None else scope.tensors[name]

    def _knowing(self, name: str, table: str) -> Scope | None:
        """The scope, this one or an outer one, whose ``table`` has a value that no scope on the way hides."""
        scope: Scope | None = self
        while scope is not None and name not in getattr(scope, table):
            scope = None if name in scope.producers or name in scope.inputs else scope.parent
        return scope

    def _making(self, name: str) -> Scope | None:
        """The scope, this one or an outer one, in which a node makes a value."""
        scope: Scope | None = self
        while scope is not None and name not in scope.producers:
            scope = None if name in scope.inputs or name in scope.tensors else scope.parent
        return scope

    def integers(self, name: str) -> tuple[int, ...] | None:
        """A small constant of integers as a flat tuple, also where it is computed of constants (exporters write the
        amounts of a Pad with ten nodes); ``None`` where the value is not one."""
        held = self.folded(name)
        if held is None or held.dtype not in (np.int64, np.int32) or held.size > _SMALL:
            return None
        return tuple(int(v) for v in held.reshape(-1))

    def folded(self, name: str, depth: int = 32) -> NDArray[Any] | None:
        """A small constant, or what nodes make of small constants and of shapes that are known."""
        if name in self._folded:
            return self._folded[name]
        tensor = self.tensor(name)
        if tensor is not None:
            made = None if elements(tensor) > _SMALL or tensor.data_type == TensorProto.STRING else array(tensor)
        else:
            made = self._computed(name, depth)
        self._folded[name] = made
        return made

    def _computed(self, name: str, depth: int) -> NDArray[Any] | None:
        node = self.producer(name)
        if node is None or not depth or not in_onnx(node) or len(node.output) != 1 or node.op_type == "Constant":
            return None
        held = attributes(node)
        if node.op_type == "Shape" and node.input:
            dims = self.shape(node.input[0])
            start, end = held.get("start", 0), held.get("end")
            if not isinstance(start, int) or not isinstance(end, int | None):
                return None
            asked = slice(start, end)
            known = None if dims is None else [d for d in dims if d is not None]
            return None if dims is None or known is None or len(known) < len(dims) else np.array(known[asked], np.int64)
        given = [self.folded(n, depth - 1) if n else None for n in node.input]
        if any(n and value is None for n, value in zip(node.input, given, strict=True)):
            return None
        return fold(text(node.op_type), held, given)

    def producer(self, name: str) -> NodeProto | None:
        """The node that makes a value, in this graph or an outer one."""
        scope = self._making(name)
        return None if scope is None else scope.producers[name][1]

    def name_of_producer(self, name: str) -> str:
        """The full name of the node that makes a value; ``""`` where none does."""
        scope = self._making(name)
        if scope is None:
            return ""
        index, node = scope.producers[name]
        return scope.path + node_name(node, index)


@dataclass(frozen=True, eq=False)
class Place:
    """A node where it stands: its full name (``outer/inner`` in a subgraph) and the scope it reads its inputs from.

    ``op``, ``inputs``, ``outputs`` and ``graphs`` (those it holds, by attribute) are read off the protobuf once: on a
    large graph that is what takes the time.
    """

    node: NodeProto
    name: str
    scope: Scope
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    graphs: tuple[tuple[str, GraphProto], ...] = ()

    @cached_property
    def attributes(self) -> dict[str, Any]:
        """As :func:`attributes` has them."""
        return attributes(self.node)

    def input(self, slot: int | None) -> str:
        """The name of an input, ``""`` where it is left out."""
        return self.inputs[slot] if slot is not None and slot < len(self.inputs) else ""

    def attribute(self, name: str, kind: type, default: Any) -> Any:
        """An attribute of the type that ONNX gives it; ``default`` where there is none or it is of another type."""
        value = self.attributes.get(name, default)
        return value if isinstance(value, kind) else default


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


def scope_of(
    graph: GraphProto | FunctionProto, path: str = "", parent: Scope | None = None, at: tuple[int, int] = (-1, -1)
) -> Scope:
    """Who makes and uses the values of a graph; what it says about them is yet to be read (:meth:`Scope.declare`)."""
    tensors: dict[str, TensorProto] = {}
    producers: dict[str, tuple[int, NodeProto]] = {}
    consumers: dict[str, list[tuple[NodeProto, int]]] = {}
    if isinstance(graph, GraphProto):
        inputs = frozenset(i.name for i in graph.input)
        for tensor in graph.initializer:
            tensors[tensor.name] = tensor
    else:
        inputs = frozenset(graph.input)
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
    return Scope(path, graph, parent, at, tensors, producers, consumers, inputs)


def places(model: ModelProto, inferred: ModelProto | None = None) -> tuple[Place, ...]:
    """Every node of a model in the file's order: the main graph with its subgraphs, then each local function once.

    A node of a Loop's or Scan's body is ``outer/inner``; an If's branches are told apart, ``outer/then_branch/inner``;
    a node of a function is ``FUNCTION/inner``.  Long names of outer nodes are shortened there: they are repeated in
    front of every inner one.  ``inferred`` is a copy of the model, node by node, whose values have more shapes.
    """
    return declared(undeclared(model), inferred)


def undeclared(model: ModelProto) -> tuple[Place, ...]:
    """As :func:`places`, but what the graphs say about shapes and types is yet to be read: by :func:`declared`."""
    found = list(_places(scope_of(model.graph)))
    for function in model.functions:
        found += _places(scope_of(function, f"{_short(text(function.name), _MOST_NAME)}/"))
    return tuple(found)


def declared(found: tuple[Place, ...], inferred: ModelProto | None) -> tuple[Place, ...]:
    """Let the scopes of places read what their graphs, or the copies of these in ``inferred``, say about values."""
    copies: dict[int, GraphProto | None] = {}
    for place in found:
        scope = place.scope
        if id(scope) not in copies:
            copies[id(scope)] = copy = _copy(scope, copies, inferred)
            scope.declare(copy)
    return found


def _copy(scope: Scope, copies: Mapping[int, GraphProto | None], inferred: ModelProto | None) -> GraphProto | None:
    """The copy of a graph in ``inferred``, which knows nothing of functions."""
    if scope.parent is None:
        return None if inferred is None or isinstance(scope.graph, FunctionProto) else inferred.graph
    outer, (index, position) = copies[id(scope.parent)], scope.at
    if outer is None or index >= len(outer.node):
        return None
    inner = [graph for _, graph in subgraphs(outer.node[index])]
    return inner[position] if len(inner) == sum(1 for _ in subgraphs(scope.parent.nodes[index])) else None


def _places(outermost: Scope) -> Iterator[Place]:
    """Without recursion: a graph made in memory may be nested more deeply than any parser would read."""
    waiting: list[tuple[Scope, Iterator[tuple[int, NodeProto]]]] = [(outermost, enumerate(outermost.nodes))]
    while waiting:
        scope, nodes = waiting[-1]
        step = next(nodes, None)
        if step is None:
            waiting.pop()
            continue
        index, node = step
        inner = tuple(subgraphs(node)) if node.attribute else ()
        name = scope.path + node_name(node, index)
        place = Place(node, name, scope, operator(node), tuple(node.input), tuple(node.output), inner)
        yield place
        for position, (attribute, graph) in reversed(list(enumerate(inner))):
            branch = "" if attribute == "body" else f"{_short(attribute, _MOST_NAME)}/"
            front = scope.path + _short(place.name[len(scope.path) :], _MOST_NAME)
            below = scope_of(graph, _short(f"{front}/{branch}", _MOST_PATH), scope, (index, position))
            waiting.append((below, enumerate(below.nodes)))


def _short(name: str, limit: int) -> str:
    """A name, or its beginning, a mark of what was left out, and its end, so that two that differ still do."""
    if len(name) <= limit:
        return name
    mark = zlib.crc32(name.encode("utf-8", "backslashreplace"))
    return f"{name[: limit // 2]}…{mark:08x}…{name[-limit // 4 :]}"


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
