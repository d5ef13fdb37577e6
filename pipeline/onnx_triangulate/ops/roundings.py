"""How many float roundings a result passes on its way through a graph, at most.

Design note.  For a user's model without a truth, gamma_k * scale needs a k.  It is the largest sum of per-node counts
(``ops.rounding_counts``) along any path: no bound by itself, cancellation is what the scale is for.  An operator
without a count, or a size that is not known, never gets a small default: it is counted as if it took up every number
that the model holds or is fed, one rounding each, and it is named.
"""

from __future__ import annotations

import math

from onnx import ModelProto, TensorProto

from onnx_triangulate.onnxgraph.graph import Place, places
from onnx_triangulate.onnxgraph.inference import with_inferred_shapes
from onnx_triangulate.onnxgraph.inlining import inlined
from onnx_triangulate.onnxgraph.nodes import constant_tensor, elements, opset
from onnx_triangulate.ops.graph_node import GraphNode
from onnx_triangulate.ops.registry import operators
from onnx_triangulate.records.runs import Roundings


def _count(place: Place, version: int) -> int | None:
    known = operators().get(place.op)
    if place.subgraphs or known is None:
        return None
    if not callable(known.roundings):
        return known.roundings
    try:
        return known.roundings(GraphNode(place, version, (), (), ()))
    except (TypeError, ValueError, IndexError):
        return None  # an attribute of another type, or an axis that is not there: nothing is known


def longest_roundings(model: ModelProto) -> int | None:
    """The largest number of float roundings on any path from an input to an output of the graph.

    ``None`` ("no count") where a node's operator has no count, holds a subgraph, or has a size that is not
    known.  Only nodes that an output depends on are asked.  Local functions are inlined first.
    """
    found = roundings(model)
    return None if found is None or found.unknown else found.count


def roundings(model: ModelProto) -> Roundings | None:
    """As :func:`longest_roundings`, with a count for every operator: see this module's design note.

    ``None`` where the graph has no opset, its functions cannot be inlined, or its inputs have no known size.
    """
    version = opset(model)
    if version is None:
        return None
    held = _everything(model)
    unknown: list[str] = []
    try:
        model = inlined(model)
    except ValueError:  # then nothing is known
        return None
    inferred = with_inferred_shapes(model)
    by_output: dict[str, tuple[int, Place]] = {}
    order = places(inferred if inferred is not None else model)
    for index, place in enumerate(order):
        for output in place.outputs:
            by_output[output] = (index, place)
    needed: set[int] = set()
    waiting = [o.name for o in model.graph.output]
    while waiting:
        name = waiting.pop()
        if name in by_output and by_output[name][0] not in needed:
            index, place = by_output[name]
            needed.add(index)
            waiting += [n for n in place.inputs if n]
    passed: dict[str, int] = {}
    for index in sorted(needed):
        place = order[index]
        own = 0 if _whole(place) else _count(place, version)
        if own is None:
            if held is None:
                return None
            unknown.append(place.op)
            own = held
        total = own + max((passed.get(n, 0) for n in place.inputs), default=0)
        for output in place.outputs:
            passed[output] = total
    count = max((passed.get(o.name, 0) for o in model.graph.output), default=0)
    return Roundings(count, tuple(dict.fromkeys(unknown)))


_FLOATS = frozenset(
    number for name, number in TensorProto.DataType.items() if "FLOAT" in name or name in ("DOUBLE", "UNDEFINED")
)


def _whole(place: Place) -> bool:
    """Whether all that a node gives are whole numbers or truth values, which no arithmetic rounds."""
    kinds = [place.graph.types.get(name) for name in place.outputs if name]
    return bool(kinds) and not place.subgraphs and all(kind is not None and kind not in _FLOATS for kind in kinds)


def _everything(model: ModelProto) -> int | None:
    """How many numbers the model holds and is fed; None where an input's size is not known."""
    total = sum(elements(tensor) for tensor in model.graph.initializer)
    weights = {tensor.name for tensor in model.graph.initializer}
    for place in places(model):
        tensor = constant_tensor(place.node)
        total += elements(tensor) if tensor is not None else 0
    for value in model.graph.input:
        dims = value.type.tensor_type.shape.dim
        if value.name in weights:
            continue
        if not value.type.tensor_type.HasField("shape") or any(not dim.HasField("dim_value") for dim in dims):
            return None
        total += math.prod(dim.dim_value for dim in dims)
    return total
