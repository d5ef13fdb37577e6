"""The graphs of a model, one in another, and its functions: what each takes, gives, stores, and may read from outside.

Design note.  A :class:`Place` knows what its node may read; who needs a node is a question to the graph that holds it,
because only that has outputs.  A :class:`Body` is that graph, beside the places that :class:`View` already made: names
of nodes are theirs.  Names of values are kept as the file has them (text, or bytes where they are no UTF-8).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from onnx import FunctionProto, GraphProto, ModelProto, TensorProto

from onnx_triangulate.onnxgraph.nodes import Place, constant_tensor, domain_of, text

Kind = Literal["graph", "subgraph", "function"]


@dataclass(frozen=True, eq=False)
class Body:
    """One graph or function body; ``path`` is ``""`` for the main graph and ends in ``/`` for others.

    ``holder`` is the place of the node, in ``parent``, that a subgraph belongs to.  ``captured`` are, by the index of
    one of its nodes, the names that the subgraphs of that node read and do not make themselves.
    """

    path: str
    kind: Kind
    proto: GraphProto | FunctionProto
    places: tuple[Place, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    initializers: Mapping[str, TensorProto]
    sparse: frozenset[str]
    opsets: Mapping[str, int]
    parent: Body | None = None
    holder: Place | None = None
    captured: Mapping[int, frozenset[str]] = field(default_factory=dict)

    @cached_property
    def made(self) -> Mapping[str, int]:
        """The index of the node that makes a value, the first one where several do."""
        found: dict[str, int] = {}
        for index, place in enumerate(self.places):
            for output in place.outputs:
                if output:
                    found.setdefault(output, index)
        return found

    @cached_property
    def given(self) -> frozenset[str]:
        """The names that are there before any node runs: inputs and what is stored."""
        return frozenset({*self.inputs, *self.initializers, *self.sparse} - {""})

    @property
    def opset(self) -> int | None:
        """The version of ONNX's own operator set in here."""
        return self.opsets.get("")

    def reads(self, index: int) -> list[str]:
        """The names that a node reads, and those that its subgraphs read from outside of themselves."""
        read = self.places[index].inputs
        return [name for name in (*read, *self.captured.get(index, ())) if name]

    @cached_property
    def read(self) -> frozenset[str]:
        """All names that its nodes read, and its outputs."""
        found = set(self.outputs).union(*self.captured.values())
        for place in self.places:
            found.update(place.inputs)
        return frozenset(found)

    def tensor(self, name: str) -> TensorProto | None:
        """The tensor behind a value that is an initializer or a Constant, here or outside."""
        body: Body | None = self
        while body is not None:
            if name in body.initializers:
                return body.initializers[name]
            if name in body.made:
                return constant_tensor(body.places[body.made[name]].node)
            body = None if name in body.given else body.parent
        return None


def _opsets(proto: ModelProto | FunctionProto) -> dict[str, int]:
    return {domain_of(entry): entry.version for entry in reversed(proto.opset_import)}  # the first one counts


class _Open:
    """A graph or function that is being walked through."""

    def __init__(self, path: str, kind: Kind, proto: GraphProto | FunctionProto, parent: _Open | None, at: int) -> None:
        self.path, self.kind, self.proto, self.parent, self.at = path, kind, proto, parent, at
        self.nodes = iter(enumerate(proto.node))
        self.places: list[Place] = []
        self.captured: dict[int, frozenset[str]] = {}
        self.stored: dict[str, TensorProto] = {}
        self.sparse: frozenset[str] = frozenset()
        if isinstance(proto, GraphProto):
            for tensor in proto.initializer:
                self.stored.setdefault(tensor.name, tensor)
            self.sparse = frozenset(s.values.name for s in proto.sparse_initializer)
            self.inputs, self.outputs = tuple(i.name for i in proto.input), tuple(o.name for o in proto.output)
        else:
            self.inputs, self.outputs = tuple(proto.input), tuple(proto.output)

    def tell_parent(self) -> None:
        """Once all nodes are seen: what is read here and not made here, the node outside reads."""
        if self.parent is None:
            return
        read: set[str] = set(self.outputs).union(*self.captured.values())
        made: set[str] = {*self.inputs, *self.stored, *self.sparse, ""}
        for place in self.places:
            read.update(place.inputs)
            made.update(place.outputs)
        self.parent.captured[self.at] = self.parent.captured.get(self.at, frozenset()) | (read - made)

    def body(self, opsets: Mapping[str, int], parent: Body | None) -> Body:
        return Body(
            path=self.path,
            kind=self.kind,
            proto=self.proto,
            places=tuple(self.places),
            inputs=self.inputs,
            outputs=self.outputs,
            initializers=self.stored,
            sparse=self.sparse,
            opsets=opsets,
            parent=parent,
            holder=None if parent is None else parent.places[self.at],
            captured=self.captured,
        )


def bodies(model: ModelProto, places: tuple[Place, ...]) -> tuple[Body, ...]:
    """Every graph and function of a model: the main graph first, each before those inside it, functions last.

    ``places`` are all nodes of the model in the file's order, as ``onnxgraph.nodes.places`` gives them.
    """
    named = iter(places)
    found: list[Body] = []
    outermost: list[tuple[Kind, GraphProto | FunctionProto, str, Mapping[str, int]]] = [
        ("graph", model.graph, "", _opsets(model))
    ]
    outermost += [("function", f, f"{text(f.name)}/", {**_opsets(model), **_opsets(f)}) for f in model.functions]
    for kind, proto, path, opsets in outermost:
        found += _walked(_Open(path, kind, proto, None, -1), opsets, named)
    return tuple(found)


def _walked(first: _Open, opsets: Mapping[str, int], named: Iterator[Place]) -> list[Body]:
    order, waiting = [first], [first]
    while waiting:
        current = waiting[-1]
        step = next(current.nodes, None)
        if step is None:
            waiting.pop().tell_parent()
            continue
        index, _ = step
        place = next(named, None)
        if place is None:
            raise ValueError("these are not all places of this model")
        if index == 0:
            current.path = place.scope.path
        current.places.append(place)
        branches = [
            _Open(f"{place.name}/" + ("" if a == "body" else f"{a}/"), "subgraph", graph, current, index)
            for a, graph in place.graphs
        ]
        order += branches
        waiting += reversed(branches)
    made: dict[int, Body] = {}
    for opened in order:
        made[id(opened)] = opened.body(opsets, None if opened.parent is None else made[id(opened.parent)])
    return list(made.values())
