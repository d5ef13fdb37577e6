"""One graph: its nodes in order, who makes and who reads each value, what subgraphs capture, what is constant.

Design note.  A :class:`Graph` is the main graph, a subgraph, or the body of a local function; a subgraph has a parent,
because its nodes see the outer values.  Everything is made when first asked for: nobody pays for an index that he does
not read.  Shapes and types come from what the file itself declares (inputs, value_info, initializers, Constant nodes)
and, by :func:`declare`, from what ONNX's inference adds.  Names of values are kept as the file has them: text, or bytes
where they are no UTF-8.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from onnx import FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto

from onnx_triangulate.onnxgraph.folding import fold, fold_shape
from onnx_triangulate.onnxgraph.nodes import (
    Dims,
    array,
    attributes,
    constant_tensor,
    dims_of,
    domain_of,
    elements,
    in_onnx,
    node_name,
    operator,
    subgraphs,
    text,
)

_SMALL = 1024  # elements of a constant that is worth folding
_MOST_NAME = 200
_MOST_PATH = 500


@dataclass(frozen=True, eq=False)
class Graph:
    """One graph or function body.  ``path`` is ``""`` for the main graph and ends in ``"/"`` for others.

    ``at`` is the index of the node in ``parent`` that holds a subgraph, and its position among that node's graphs;
    ``opsets`` has the version of each domain; ``shapes`` and ``types`` are what :meth:`declare` read.
    """

    proto: GraphProto | FunctionProto
    path: str = ""
    parent: Graph | None = None
    at: tuple[int, int] = (-1, -1)
    opsets: Mapping[str, int] = field(default_factory=dict)
    shapes: dict[str, Dims | None] = field(default_factory=dict)
    types: dict[str, int] = field(default_factory=dict)
    _folded: dict[str, NDArray[Any] | None] = field(default_factory=dict)

    @property
    def kind(self) -> Literal["graph", "subgraph", "function"]:
        if isinstance(self.proto, FunctionProto):
            return "function"
        return "graph" if self.parent is None else "subgraph"

    @property
    def opset(self) -> int | None:
        """The version of ONNX's own operator set in here."""
        return self.opsets.get("")

    @property
    def holder(self) -> Place | None:
        """The node, in ``parent``, that a subgraph belongs to."""
        return None if self.parent is None else self.parent.places[self.at[0]]

    @cached_property
    def nodes(self) -> Sequence[NodeProto]:
        return tuple(self.proto.node)

    @cached_property
    def places(self) -> tuple[Place, ...]:
        """The graph's own nodes in the file's order."""
        return tuple(self.place(index, node) for index, node in enumerate(self.nodes))

    def place(self, index: int, node: NodeProto) -> Place:
        name, inner = node_name(node, index), []
        for position, (attribute, proto) in enumerate(subgraphs(node) if node.attribute else ()):
            branch = "" if attribute == "body" else f"{_short(attribute, _MOST_NAME)}/"
            path = _short(f"{self.path}{_short(name, _MOST_NAME)}/{branch}", _MOST_PATH)
            inner.append(Graph(proto, path, self, (index, position), self.opsets))
        return Place(
            node, self.path + name, self, operator(node), tuple(node.input), tuple(node.output), index, tuple(inner)
        )

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        proto = self.proto
        return tuple(i.name for i in proto.input) if isinstance(proto, GraphProto) else tuple(proto.input)

    @cached_property
    def input_names(self) -> frozenset[str]:
        return frozenset(self.inputs)

    @cached_property
    def outputs(self) -> tuple[str, ...]:
        proto = self.proto
        return tuple(o.name for o in proto.output) if isinstance(proto, GraphProto) else tuple(proto.output)

    @cached_property
    def output_names(self) -> frozenset[str]:
        return frozenset(self.outputs)

    @cached_property
    def initializers(self) -> Mapping[str, TensorProto]:
        """The dense tensors that are stored here, by name."""
        return {t.name: t for t in self.proto.initializer} if isinstance(self.proto, GraphProto) else {}

    @cached_property
    def given(self) -> frozenset[str]:
        """The names that are there before any node runs: inputs and what is stored."""
        sparse = self.proto.sparse_initializer if isinstance(self.proto, GraphProto) else ()
        return frozenset({*self.inputs, *self.initializers, *(s.values.name for s in sparse)} - {""})

    @cached_property
    def producers(self) -> Mapping[str, int]:
        """The index of the node that makes a value, the first one where several do."""
        found: dict[str, int] = {}
        for index, node in enumerate(self.nodes):
            for output in node.output:
                if output:
                    found.setdefault(output, index)
        return found

    @cached_property
    def _consumers(self) -> Mapping[str, Sequence[int]]:
        found: dict[str, list[int]] = {}
        for index in range(len(self.places)):
            for name in dict.fromkeys(self.reads(index)):
                found.setdefault(name, []).append(index)
        return found

    def consumers(self, name: str) -> Sequence[int]:
        """The indices of the nodes that read a value, themselves or in a subgraph of theirs, in order."""
        return self._consumers.get(name, ())

    def reads(self, index: int) -> list[str]:
        """The names that a node reads, and those that its subgraphs read from outside of themselves."""
        place = self.places[index]
        return [name for name in (*place.inputs, *place.captured) if name]

    @cached_property
    def read(self) -> Mapping[str, None]:
        """All names that its nodes read, in order, and then its outputs."""
        found: dict[str, None] = {}
        for place in self.places:
            found.update(dict.fromkeys((*place.inputs, *place.captured)))
        return found | dict.fromkeys(self.outputs)

    @cached_property
    def free(self) -> tuple[str, ...]:
        """The outer values that it reads, or a graph inside of it, or that it gives out, in order."""
        for inner in reversed(list(_inside(self))):
            assert inner.free is not None  # the innermost first, so that no depth of nesting is a recursion
        return tuple(name for name in self.read if name and not self.defines(name))

    @cached_property
    def tensors(self) -> Mapping[str, TensorProto]:
        """The tensors behind its own values that are initializers or made by Constant nodes."""
        found = dict(self.initializers)
        for node in self.nodes:
            if node.op_type == "Constant" and node.output and (constant := constant_tensor(node)) is not None:
                found.setdefault(node.output[0], constant)
        return found

    def defines(self, name: str) -> bool:
        """Whether a name stands for a value of this very graph."""
        return name in self.producers or name in self.given

    def owner(self, name: str) -> Graph | None:
        """The graph, this one or an outer one, whose value a name stands for in here; ``None`` where nothing does."""
        graph: Graph | None = self
        while graph is not None and not graph.defines(name):
            graph = graph.parent
        return graph

    def declare(self, inferred: GraphProto | None = None) -> Graph:
        """Read what the graph says about its values, or what a copy of it, ``inferred``, says beyond that."""
        said = self.proto if inferred is None else inferred
        declared = list(said.value_info)
        if isinstance(self.proto, GraphProto) and isinstance(said, GraphProto):
            declared += [*said.output, *self.proto.input]
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
        graph: Graph | None = self
        while graph is not None and name not in graph.shapes:
            graph = None if graph.defines(name) else graph.parent
        return None if graph is None else graph.shapes[name]

    def type(self, name: str) -> int | None:
        """The declared ``TensorProto.DataType`` of a value, where there is one."""
        graph: Graph | None = self
        while graph is not None and name not in graph.types:
            graph = None if graph.defines(name) else graph.parent
        return None if graph is None else graph.types[name]

    def tensor(self, name: str) -> TensorProto | None:
        """The tensor behind a value that is an initializer or a Constant, here or outside."""
        owner = self.owner(name)
        return None if owner is None else owner.tensors.get(name)

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
            return fold_shape(held, self.shape(node.input[0]))
        given = [self.folded(n, depth - 1) if n else None for n in node.input]
        if any(n and value is None for n, value in zip(node.input, given, strict=True)):
            return None
        return fold(text(node.op_type), held, given)

    def producer(self, name: str) -> NodeProto | None:
        """The node that makes a value, in this graph or an outer one."""
        owner = self.owner(name)
        index = None if owner is None else owner.producers.get(name)
        return None if owner is None or index is None else owner.nodes[index]

    def name_of_producer(self, name: str) -> str:
        """The full name of the node that makes a value; ``""`` where none does."""
        owner = self.owner(name)
        index = None if owner is None else owner.producers.get(name)
        return "" if owner is None or index is None else owner.path + node_name(owner.nodes[index], index)


@dataclass(frozen=True, eq=False)
class Place:
    """A node where it stands: its full name (``outer/inner`` in a subgraph) and the graph it reads its inputs from.

    ``op``, ``inputs``, ``outputs`` and ``subgraphs`` (those it holds) are read off the protobuf once: on a large graph
    that is what takes the time.  ``index`` is its place among the nodes of its graph.
    """

    node: NodeProto
    name: str
    graph: Graph
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    index: int
    subgraphs: tuple[Graph, ...] = ()

    @cached_property
    def attributes(self) -> dict[str, Any]:
        """As :func:`attributes` has them."""
        return attributes(self.node)

    @cached_property
    def captured(self) -> tuple[str, ...]:
        """The names that its subgraphs read and do not make themselves, in order."""
        return tuple(dict.fromkeys(name for graph in self.subgraphs for name in graph.free))

    def input(self, slot: int | None) -> str:
        """The name of an input, ``""`` where it is left out."""
        return self.inputs[slot] if slot is not None and slot < len(self.inputs) else ""

    def attribute(self, name: str, kind: type, default: Any) -> Any:
        """An attribute of the type that ONNX gives it; ``default`` where there is none or it is of another type."""
        value = self.attributes.get(name, default)
        return value if isinstance(value, kind) else default


def captured(node: NodeProto) -> tuple[str, ...]:
    """The names that the subgraphs of a node read from outside, in order."""
    return Graph(GraphProto()).place(0, node).captured


def reads(node: NodeProto) -> tuple[str, ...]:
    """The names that a node reads: its own inputs in order, then what its subgraphs capture."""
    own = tuple(name for name in node.input if name)
    inner = captured(node) if node.attribute else ()
    return tuple(dict.fromkeys((*own, *inner))) if inner else own


def graphs_of(model: ModelProto) -> tuple[Graph, ...]:
    """Every graph and function of a model: the main graph first, each before those inside it, functions last.

    What they say about shapes and types is yet to be read: by :func:`declare`.
    """
    opsets = _opsets(model)
    found = [Graph(model.graph, opsets=opsets)]
    found += [
        Graph(f, f"{_short(text(f.name), _MOST_NAME)}/", opsets={**opsets, **_opsets(f)}) for f in model.functions
    ]
    return tuple(graph for first in found for graph in (first, *_inside(first)))


def _opsets(proto: ModelProto | FunctionProto) -> dict[str, int]:
    return {domain_of(entry): entry.version for entry in reversed(proto.opset_import)}  # the first one counts


def _inside(outer: Graph) -> Iterator[Graph]:
    """The graphs inside of one, at any depth."""
    for place in _in_order(outer):
        yield from place.subgraphs


def _in_order(outermost: Graph) -> Iterator[Place]:
    """Without recursion: a graph made in memory may be nested more deeply than any parser would read."""
    waiting = [iter(outermost.places)]
    while waiting:
        place = next(waiting[-1], None)
        if place is None:
            waiting.pop()
            continue
        yield place
        waiting += [iter(inner.places) for inner in reversed(place.subgraphs)]


def in_order(graphs: Iterable[Graph]) -> tuple[Place, ...]:
    """Every node of graphs, each with those inside of it, in the file's order."""
    return tuple(place for graph in graphs for place in _in_order(graph))


def declare(graphs: Iterable[Graph], inferred: ModelProto | None = None) -> None:
    """Let graphs, each behind its parent, read what they say about values; or what their copies in ``inferred`` say,
    which knows nothing of functions."""
    copies: dict[Graph, GraphProto | None] = {}
    for graph in graphs:
        copies[graph] = _copy(graph, copies, inferred)
        graph.declare(copies[graph])


def _copy(graph: Graph, copies: Mapping[Graph, GraphProto | None], inferred: ModelProto | None) -> GraphProto | None:
    if graph.parent is None:
        return None if inferred is None or graph.kind == "function" else inferred.graph
    outer, (index, position) = copies[graph.parent], graph.at
    if outer is None or index >= len(outer.node):
        return None
    inner = [proto for _, proto in subgraphs(outer.node[index])]
    return inner[position] if len(inner) == len(graph.parent.places[index].subgraphs) else None


def places(model: ModelProto, inferred: ModelProto | None = None) -> tuple[Place, ...]:
    """Every node of a model in the file's order, with shapes and types.

    A node of a Loop's or Scan's body is ``outer/inner``; an If's branches are told apart, ``outer/then_branch/inner``;
    a node of a function is ``FUNCTION/inner``.  Long names of outer nodes are shortened there: they are repeated in
    front of every inner one.  ``inferred`` is a copy of the model, node by node, whose values have more shapes.
    """
    graphs = graphs_of(model)
    declare(graphs, inferred)
    return in_order(outermost(graphs))


def outermost(graphs: Iterable[Graph]) -> list[Graph]:
    """The main graph and the functions."""
    return [graph for graph in graphs if graph.parent is None]


def _short(name: str, limit: int) -> str:
    """A name, or its beginning, a mark of what was left out, and its end, so that two that differ still do."""
    if len(name) <= limit:
        return name
    mark = zlib.crc32(name.encode("utf-8", "backslashreplace"))
    return f"{name[: limit // 2]}…{mark:08x}…{name[-limit // 4 :]}"
