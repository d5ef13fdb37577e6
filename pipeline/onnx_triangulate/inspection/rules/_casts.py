"""Casts, and what is lost on the way from one type to another and back."""

from __future__ import annotations

from collections.abc import Iterator

from onnx import NodeProto, TensorProto

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.inspection.rules._helpers import maker, slot
from onnx_triangulate.onnxgraph.graph import Place
from onnx_triangulate.onnxgraph.nodes import attributes, refers

_INTEGERS = {
    TensorProto.INT8: 7,
    TensorProto.INT16: 15,
    TensorProto.INT32: 31,
    TensorProto.INT64: 63,
    TensorProto.UINT8: 8,
    TensorProto.UINT16: 16,
    TensorProto.UINT32: 32,
    TensorProto.UINT64: 64,
}
_SIGNED = frozenset({TensorProto.INT8, TensorProto.INT16, TensorProto.INT32, TensorProto.INT64})
# Bits of the significand, and the exponents reached.
_FLOATS = {
    TensorProto.FLOAT16: (11, 16),
    TensorProto.BFLOAT16: (8, 128),
    TensorProto.FLOAT: (24, 128),
    TensorProto.DOUBLE: (53, 1024),
}


def holds(wide: int, narrow: int) -> bool | None:
    """Whether every value of the type ``narrow`` has its place in ``wide``; ``None`` where this is not known here."""
    if wide == narrow:
        return True
    if wide in _FLOATS and narrow in _FLOATS:
        return all(w >= n for w, n in zip(_FLOATS[wide], _FLOATS[narrow], strict=True))
    if wide in _FLOATS and narrow in _INTEGERS:
        return _FLOATS[wide][0] >= _INTEGERS[narrow] and _FLOATS[wide][1] > _INTEGERS[narrow]
    if wide in _INTEGERS and narrow in _INTEGERS:
        return _INTEGERS[wide] >= _INTEGERS[narrow] and (wide in _SIGNED or narrow not in _SIGNED)
    if wide in _INTEGERS and narrow in _FLOATS:
        return False
    return None


def target(node: NodeProto) -> int | None:
    """The type that a Cast casts to."""
    to = attributes(node).get("to")
    return to if isinstance(to, int) and not refers(node, "to") else None


def returns(view: ModelView) -> Iterator[tuple[Place, str, int, int]]:
    """Every Cast of a Cast that comes back to the type it began with: place, name of the first, that type, the type in
    between."""
    for place in view.of("Cast"):
        source = place.input(0)
        before = maker(place, source)
        if before is None or before.op_type != "Cast":
            continue
        first, between, last = place.graph.type(slot(before, 0)), target(before), target(place.node)
        if first is not None and between is not None and first == last and first != between:
            yield place, place.graph.name_of_producer(source), first, between


def integer(kind: int) -> bool:
    return kind in _INTEGERS
