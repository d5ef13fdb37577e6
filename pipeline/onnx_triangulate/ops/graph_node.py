"""A node of a graph as an operator's record sees it before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onnx import NodeProto

from onnx_triangulate.onnxgraph.graph import Place
from onnx_triangulate.onnxgraph.nodes import Dims

MOST_AXES = 64  # ONNX sets no limit; numpy's is this


class GraphNode:
    """Ranks, dims and constants of a node's inputs, its attributes, and the opset it stands in."""

    def __init__(
        self, place: Place, version: int, ranks: Sequence[int | None], outs: Sequence[int | None], fixed: Sequence[bool]
    ) -> None:
        self.place, self.version, self.ranks, self.outs, self.fixed = place, version, ranks, outs, fixed

    @property
    def node(self) -> NodeProto:
        return self.place.node

    @property
    def held(self) -> dict[str, Any]:
        return self.place.attributes

    @property
    def refers(self) -> bool:
        return any(a.ref_attr_name for a in self.node.attribute)

    def has(self, slot: int) -> bool:
        return bool(self.place.input(slot))

    def rank(self, slot: int) -> int | None:
        return self.ranks[slot] if slot < len(self.ranks) else None

    def shape(self, slot: int) -> Dims | None:
        return self.place.graph.shape(self.place.inputs[slot]) if self.has(slot) else None

    def made(self, slot: int = 0) -> Dims | None:
        return self.place.graph.shape(self.place.outputs[slot]) if slot < len(self.place.outputs) else None

    def ints(self, slot: int) -> tuple[int, ...] | None:
        return self.place.graph.integers(self.place.inputs[slot]) if self.has(slot) else None

    def integer(self, name: str, default: int) -> int:
        value = self.held.get(name, default)
        return value if isinstance(value, int) else default

    def constants_from(self, slot: int) -> bool:
        """Whether every input from ``slot`` on is left out or a constant."""
        return all(self.fixed[s] for s in range(slot, len(self.fixed)) if self.has(s))

    def axes(self, slot: int, rank: int | None) -> tuple[int, ...] | None:
        """The attribute ``axes``, or the input that took its place, counted from the front; ``None``: not known."""
        held = self.held.get("axes")
        if held is None:
            held = self.ints(slot)
        if not isinstance(held, tuple) or not all(isinstance(a, int) for a in held):
            return None
        return counted(held, rank)


def counted(axes: Sequence[int], rank: int | None) -> tuple[int, ...] | None:
    """Axes counted from the front, or ``None`` where one is outside, twice there, or negative without a rank."""
    if rank is None:
        return tuple(axes) if all(0 <= a < MOST_AXES for a in axes) and len(set(axes)) == len(axes) else None
    if not all(-rank <= a < rank for a in axes):
        return None
    found = tuple(a % rank for a in axes)
    return found if len(set(found)) == len(found) else None
