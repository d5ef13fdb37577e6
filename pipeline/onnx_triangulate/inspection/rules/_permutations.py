"""Transposes as permutations, for the rules about layout."""

from __future__ import annotations

from collections.abc import Iterator

from onnx import NodeProto

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.inspection.rules._helpers import maker, slot
from onnx_triangulate.onnxgraph.graph import Place
from onnx_triangulate.onnxgraph.nodes import attributes, refers


def permutation(place: Place, node: NodeProto, source: str) -> tuple[int, ...] | None:
    """The permutation of a Transpose that reads ``source`` where ``place`` stands; ``None`` where it is not known."""
    if refers(node, "perm"):
        return None
    perm = attributes(node).get("perm")
    if perm is None:
        shape = place.graph.shape(source)
        return None if shape is None else tuple(reversed(range(len(shape))))
    if not isinstance(perm, tuple) or not all(isinstance(p, int) for p in perm):
        return None
    return perm if sorted(perm) == list(range(len(perm))) else None


def pairs(view: ModelView) -> Iterator[tuple[Place, str, tuple[int, ...], tuple[int, ...]]]:
    """Every Transpose that reads another one: its place, the other's name, what both do, and the other's own
    permutation."""
    for place in view.of("Transpose"):
        source = place.input(0)
        before = maker(place, source)
        if before is None or before.op_type != "Transpose":
            continue
        second = permutation(place, place.node, source)
        first = permutation(place, before, slot(before, 0))
        if first is not None and second is not None and len(first) == len(second):
            both = tuple(first[axis] for axis in second)
            yield place, place.graph.name_of_producer(source), both, first
