"""A graph that may be edited, and what its values are: what every kind of edit works on.

Initializers are held beside the nodes, so that a copy of a large model costs nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, helper, numpy_helper

Array = NDArray[Any]
Accepted = tuple[str, ...]
STRATA: Mapping[str, float] = {
    "rewriting": 22,
    "dtype": 16,
    "shape": 12,
    "operator": 12,
    "axis": 10,
    "interpolation": 9,
    "geometry": 7,
    "layout": 7,
    "attribute": 5,
    "weights": 12,
}
CONTROL = "control"


@dataclass(frozen=True, eq=False)
class Base:
    """An exported graph without its initializers, which are ``weights``; ``values`` are those of a run, ``others``
    those of a run on other inputs; ``data`` names what depends on the inputs.
    """

    name: str
    model: onnx.ModelProto
    weights: Mapping[str, Array]
    values: Mapping[str, Array]
    others: Mapping[str, Array]
    data: frozenset[str]

    @property
    def nodes(self) -> Sequence[NodeProto]:
        return list(self.model.graph.node)


class Site:
    """A copy of a base that is edited in place."""

    def __init__(self, base: Base) -> None:
        self.base = base
        self.model = onnx.ModelProto()
        self.model.CopyFrom(base.model)
        self.changed: dict[str, Array] = {}
        self._count = 0

    @property
    def graph(self) -> onnx.GraphProto:
        return self.model.graph

    def node(self, name: str) -> NodeProto:
        return next(node for node in self.graph.node if node.name == name)

    def fresh(self, word: str) -> str:
        self._count += 1
        return f"planted_{word}_{self._count}"

    def constant(self, name: str) -> Array | None:
        """The numbers behind a name that no node computes of the inputs."""
        if name in self.changed:
            return self.changed[name]
        if name in self.base.weights:
            return self.base.weights[name]
        return self.base.values.get(name) if name not in self.base.data else None

    def is_data(self, name: str) -> bool:
        return name in self.base.data

    def value(self, name: str) -> Array | None:
        found = self.base.values.get(name)
        return self.base.weights.get(name) if found is None else found

    def shape(self, name: str) -> tuple[int, ...] | None:
        value = self.value(name)
        return None if value is None else value.shape

    def is_float(self, name: str) -> bool:
        value = self.value(name)
        return value is not None and value.dtype == np.float32

    def feed(self, node: NodeProto, slot: int, array: Array) -> None:
        """Give one input of one node a constant of its own."""
        name = self.fresh("constant")
        self.changed[name] = np.ascontiguousarray(array)
        node.input[slot] = name

    def readers(self, name: str) -> Accepted:
        return tuple(node.name for node in self.graph.node if name in node.input)

    def is_output(self, name: str) -> bool:
        return any(output.name == name for output in self.graph.output)

    def is_captured(self, name: str) -> bool:
        def inside(graph: onnx.GraphProto) -> bool:
            return any(name in n.input or below(n) for n in graph.node) or any(o.name == name for o in graph.output)

        def below(node: NodeProto) -> bool:
            return any(inside(g) for a in node.attribute for g in (*([a.g] if a.HasField("g") else []), *a.graphs))

        return any(below(node) for node in self.graph.node)

    def place(self, node: NodeProto) -> int:
        return next(i for i, other in enumerate(self.graph.node) if other.name == node.name)

    def insert(self, node: NodeProto, slot: int, *chain: NodeProto) -> Accepted:
        """A chain of new nodes between a value and one reader of it.  Each node of the chain lacks its data operand."""
        value, at = node.input[slot], self.place(node)
        names = []
        for link in chain:
            link.name = self.fresh(link.op_type)
            link.input.insert(0, value)
            value = f"{link.name}_value"
            link.output.append(value)
            names.append(link.name)
        self.graph.node[at].input[slot] = value
        for offset, link in enumerate(chain):
            self.graph.node.insert(at + offset, link)
        return tuple(names)

    def follow(self, node: NodeProto, *chain: NodeProto) -> Accepted:
        """A chain of new nodes behind a node's first output, in front of everybody who reads it."""
        value, at, readers = node.output[0], self.place(node), self.readers(node.output[0])
        last = value
        source = f"{value}_before_{self._count}"
        self.graph.node[at].output[0] = source
        names = []
        for number, link in enumerate(chain):
            link.name = self.fresh(link.op_type)
            link.input.insert(0, source)
            source = last if number == len(chain) - 1 else f"{link.name}_value"
            link.output.append(source)
            names.append(link.name)
        for offset, link in enumerate(chain):
            self.graph.node.insert(at + 1 + offset, link)
        return (*names, *readers)

    def bypass(self, node: NodeProto, slot: int) -> Accepted | None:
        """Take a node out: one of its operands takes the place of its value."""
        value, kept = node.output[0], node.input[slot]
        if self.is_captured(value):
            return None
        producer = tuple(n.name for n in self.graph.node if kept in n.output)
        if self.is_output(value):
            self.turn_into(node, "Identity", (kept,))
            return (node.name, *producer)
        readers = self.readers(value)
        for other in self.graph.node:
            for index, name in enumerate(other.input):
                if name == value:
                    other.input[index] = kept
        del self.graph.node[self.place(node)]
        return (*readers, *producer)

    def turn_into(self, node: NodeProto, op: str, inputs: Sequence[str] | None = None, **attributes: Any) -> None:
        """Another operator under the same name."""
        made = helper.make_node(op, [], [], **attributes)
        node.op_type = op
        del node.attribute[:]
        node.attribute.extend(made.attribute)
        if inputs is not None:
            node.input[:] = list(inputs)

    def digest(self) -> bytes:
        """The same for edits that come to the same graph; its weights are read only where they were changed."""
        made = hashlib.blake2b(self.model.SerializeToString(deterministic=True), digest_size=16)
        for name, array in sorted(self.changed.items()):
            made.update(f"{name}{array.dtype}{array.shape}".encode())
            made.update(np.ascontiguousarray(array).tobytes())
        return made.digest()

    def whole(self) -> onnx.ModelProto:
        """The edited model with its initializers."""
        made = onnx.ModelProto()
        made.CopyFrom(self.model)
        used = {name for node in made.graph.node for name in reads(node)} | {o.name for o in made.graph.output}
        for name, array in {**self.base.weights, **self.changed}.items():
            if name in used:
                made.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
        return made


def reads(node: NodeProto) -> Sequence[str]:
    found = list(node.input)
    for attribute in node.attribute:
        for graph in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
            for inner in graph.node:
                found += reads(inner)
            found += [output.name for output in graph.output]
    return found


def attribute(node: NodeProto, name: str, default: Any = None) -> Any:
    found = next((helper.get_attribute_value(a) for a in node.attribute if a.name == name), default)
    return found.decode() if isinstance(found, bytes) else found


def assign(node: NodeProto, name: str, value: Any) -> None:
    """Set or replace an attribute."""
    kept = [a for a in node.attribute if a.name != name]
    del node.attribute[:]
    node.attribute.extend([*kept, helper.make_attribute(name, value)])


Plant = Callable[[Site, NodeProto, np.random.Generator], Accepted | None]


@dataclass(frozen=True, eq=False)
class Kind:
    """A kind of edit.  ``ops`` are the operators it may apply to (none: any); ``keeps_names`` says of a control that
    values keep the names by which they are found in their framework.
    """

    name: str
    stratum: str
    about: str
    plant: Plant
    ops: frozenset[str] = field(default_factory=frozenset)
    keeps_names: bool = True


KINDS: dict[str, Kind] = {}


def kind(stratum: str, ops: str = "", *, keeps_names: bool = True) -> Callable[[Plant], Plant]:
    """Register a function as a kind of edit under its own name."""

    def register(plant: Plant) -> Plant:
        name = plant.__name__
        if name in KINDS:
            raise ValueError(f"two kinds of edit are called {name}")
        if stratum not in (*STRATA, CONTROL):
            raise ValueError(f"{name}: there is no stratum {stratum}")
        about = " ".join((plant.__doc__ or "").split())
        KINDS[name] = Kind(name, stratum, about, plant, frozenset(ops.split()), keeps_names)
        return plant

    return register
