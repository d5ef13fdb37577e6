"""Which value of one graph is which value of another: by dataflow, never by name or position.

Design note.  Two means, both without running a model.  A :class:`Namer` hashes forward from inputs and constants: two
values of one class are the same function of the same inputs, whatever they are called and wherever they stand.
Constants count by their values, attributes with their defaults filled in, operands of commutative operators in any
order; Identity is transparent, and Transposes compose, so that two which cancel leave no trace.  Where rewriting
changed the structure (a folded BatchNormalization, a fused Gelu), arrays that somebody else computed decide:
:func:`orientations` lists the ways in which one array may be another with its axes moved or its shape written
differently.  What the two means find is an :class:`Alignment`.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import AttributeProto, NodeProto

from onnx_triangulate.onnxgraph.graph import captured
from onnx_triangulate.onnxgraph.nodes import array, attributes, in_onnx, subgraphs, text

Array = NDArray[Any]
How = Literal["border", "structure", "numbers", "assumed"]

_MOST_AXES = 5


@dataclass(frozen=True)
class Orientation:
    """How a value of A becomes one of B: axes moved by ``perm``, then written in ``shape`` (``None``: as it is)."""

    perm: tuple[int, ...] | None = None
    shape: tuple[int, ...] | None = None

    def apply(self, value: Array) -> Array:
        turned = value if self.perm is None else np.transpose(value, self.perm)
        return turned if self.shape is None else turned.reshape(self.shape)

    @property
    def says(self) -> str:
        said = [] if self.perm is None else [f"axes {self.perm}"]
        return ", ".join(said if self.shape is None else [*said, f"reshaped to {self.shape}"])


@dataclass(frozen=True)
class Pair:
    """A value of A and the value of B that it is; ``how`` it was found, ``assumed`` where a fault lies between them."""

    left: str
    right: str
    orientation: Orientation
    how: How


@dataclass(frozen=True)
class Alignment:
    """The pairs, in B's order, and the values of either side that have no counterpart."""

    pairs: tuple[Pair, ...]
    only_left: tuple[str, ...]
    only_right: tuple[str, ...]


def orientations(have: tuple[int, ...], want: tuple[int, ...]) -> Iterator[Orientation]:
    """The ways in which an array of shape ``have`` may be one of shape ``want``, the plainest first."""
    if have == want:
        yield Orientation()
    rank = len(have)
    if rank == len(want) and 2 <= rank <= _MOST_AXES and sorted(have) == sorted(want):
        for perm in itertools.permutations(range(rank)):
            if perm != tuple(range(rank)) and tuple(have[axis] for axis in perm) == want:
                yield Orientation(perm=perm)
    if have != want and int(np.prod(have)) == int(np.prod(want)):
        yield Orientation(shape=want)
        if rank != len(want) and 3 <= rank <= _MOST_AXES:  # split or merged axes, of the other layout
            last, first = (0, *range(2, rank), 1), (0, rank - 1, *range(1, rank - 1))
            yield from (Orientation(perm, want) for perm in dict.fromkeys((last, first)) if _turns(perm, have))


def _turns(perm: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Whether a permutation moves numbers: axes of length 1 it may exchange as it likes."""
    moved = [axis for axis in perm if shape[axis] != 1]
    return moved != sorted(moved)


class Namer:
    """Classes one node at a time, for a graph whose values may be found to be another graph's on the way.

    ``version`` is the graph's opset; the inputs of ``commutative`` operators may stand in any order.  Nodes with
    subgraphs are of one class if their text and all that they read is.
    """

    def __init__(self, version: int | None, commutative: frozenset[str]) -> None:
        self._version, self._commutative = version, commutative
        self._turned: dict[bytes, tuple[tuple[int, ...], bytes]] = {}

    def of_input(self, name: str) -> bytes:
        return digest("input", name)

    def of_constant(self, value: Any) -> bytes:
        """By type, shape and numbers; a sequence by its arrays."""
        if isinstance(value, list):
            return digest("sequence", *(self.of_constant(item) for item in value))
        return digest("constant", str(value.dtype), repr(value.shape), np.ascontiguousarray(value).tobytes())

    def unknown(self, name: str) -> bytes:
        """A class that nothing else has."""
        return digest("unknown", str(id(self)), name)

    def of_node(self, node: NodeProto, operands: Sequence[bytes], reads: Mapping[str, bytes]) -> dict[str, bytes]:
        """The class of each named output.  ``operands`` are the inputs' classes in order, absent ones empty; ``reads``
        those of everything that the node reads, its subgraphs included, by name."""
        if any(True for _ in subgraphs(node)):
            bare = NodeProto()
            bare.CopyFrom(node)
            bare.ClearField("name")
            del bare.input[:], bare.output[:]
            said = bare.SerializeToString(deterministic=True)
            inside = sorted(set(captured(node)) & set(reads))
            read = [part for name in inside for part in (name.encode("utf-8", "surrogatepass"), reads[name])]
            parts = (str(self._version).encode(), said, b"operands", *operands, b"captured", *read)
            return {n: digest("subgraph", str(i), *parts) for i, n in enumerate(node.output) if n}
        return {
            name: _class(node, self._version, operands, slot, self._turned, self._commutative)
            for slot, name in enumerate(node.output)
            if name
        }

    def hole(self, node: NodeProto, operands: Sequence[bytes]) -> bytes | None:
        """What a node is apart from one operand, which is marked among ``operands``; None for one with a subgraph."""
        if any(True for _ in subgraphs(node)):
            return None
        held = sorted(operands) if in_onnx(node) and text(node.op_type) in self._commutative else operands
        return digest("hole", text(node.domain), text(node.op_type), *canonical(node, self._version), *held)

    def turned_by(self, base: bytes, orientation: Orientation) -> bytes:
        """The class of a value of a known class in another order of axes or shape."""
        if orientation.perm is not None:
            first, start = self._turned.get(base, (tuple(range(len(orientation.perm))), base))
            perm = tuple(first[axis] for axis in orientation.perm)
            if perm == tuple(range(len(perm))):
                base = start
            else:
                base = digest("Transpose", repr(perm), start)
                self._turned[base] = (perm, start)
        return base if orientation.shape is None else digest("reshaped", repr(orientation.shape), base)


def _class(
    node: NodeProto,
    version: int | None,
    operands: Sequence[bytes],
    slot: int,
    turned: dict[bytes, tuple[tuple[int, ...], bytes]],
    commutative: frozenset[str],
) -> bytes:
    op = text(node.op_type)
    if in_onnx(node):
        if op == "Identity":
            return operands[0]
        if op == "Constant" and len(node.attribute) == 1 and node.attribute[0].type == AttributeProto.TENSOR:
            return _constant(node.attribute[0].t)
        perm = next((tuple(a.ints) for a in node.attribute if a.name == "perm"), None) if op == "Transpose" else None
        if perm is not None:
            first, base = turned.get(operands[0], (tuple(range(len(perm))), operands[0]))
            if len(first) == len(perm) and sorted(perm) == sorted(first):
                perm = tuple(first[axis] for axis in perm)
                if perm == tuple(range(len(perm))):
                    return base
                made = digest("Transpose", repr(perm), base)
                turned[made] = (perm, base)
                return made
        if op in commutative:
            operands = sorted(operands)
    return digest(text(node.domain), op, str(slot), *canonical(node, version), *operands)


def _written_out(node: NodeProto, version: int | None) -> tuple[int, dict[str, AttributeProto]]:
    """The version of a node's operator, and its attributes with the defaults of those that it leaves out."""
    said = {text(a.name): a for a in node.attribute}
    op = text(node.op_type)
    since = 0
    if version is not None and in_onnx(node) and onnx.defs.has(op, version, ""):
        schema = onnx.defs.get_schema(op, version, "")
        since = schema.since_version
        for name, declared in schema.attributes.items():
            if name not in said and declared.default_value.type != AttributeProto.UNDEFINED:
                said[name] = declared.default_value
    return since, said


def settings(node: NodeProto, version: int | None) -> dict[str, Any]:
    """A node's attributes as ``onnxgraph.nodes.attributes`` reads them, defaults written out."""
    _, said = _written_out(node, version)
    return attributes(NodeProto(attribute=list(said.values())))


def declares(node: NodeProto, version: int | None, name: str) -> bool:
    """Whether a node's operator has an attribute of that name; one that nobody declares may have any."""
    op = text(node.op_type)
    if version is None or not in_onnx(node) or not onnx.defs.has(op, version, ""):
        return True
    return name in onnx.defs.get_schema(op, version, "").attributes


def canonical(node: NodeProto, version: int | None) -> list[bytes]:
    """A node's attributes in one order, defaults written out, and the version of its operator."""
    since, said = _written_out(node, version)
    parts = [str(since).encode()]
    for name in sorted(said):
        attribute = AttributeProto()
        attribute.CopyFrom(said[name])
        attribute.name = name
        attribute.ClearField("doc_string")
        parts.append(attribute.SerializeToString(deterministic=True))
    return parts


def _constant(tensor: onnx.TensorProto) -> bytes:
    held = array(tensor)
    if held is None:
        return digest("outside", tensor.name, *(f"{e.key}={e.value}" for e in tensor.external_data))
    return digest("constant", str(held.dtype), repr(held.shape), np.ascontiguousarray(held).tobytes())


def digest(*parts: str | bytes) -> bytes:
    """One name for all parts in their order; where one ends counts."""
    made = hashlib.blake2b(digest_size=16)
    for part in parts:
        held = part if isinstance(part, bytes) else part.encode("utf-8", "surrogatepass")
        made.update(len(held).to_bytes(8, "little"))
        made.update(held)
    return made.digest()
