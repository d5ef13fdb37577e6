"""The constants of a graph that are limits: what they do shows only where something reaches them.

Design note.  A number that caps a range, ends a slice or is compared with a position does nothing as long as all sizes
stay below it, and the rows of a table are a limit to the positions that pick them.  So they say at which sizes two
graphs are to be fed (``locate.sizes``), and that a limit was reached is measured (``locate.sweep``): it
was if moving it away from the data is felt.  A constant may be moved about (a Cast, an Unsqueeze, a Concat) on its way.
A slice of an axis whose size the file fixes is no limit.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from numpy.typing import NDArray

from onnx_triangulate.onnxgraph.inference import with_inferred_shapes
from onnx_triangulate.onnxgraph.nodes import array, dense_constants, dims_of, elements, nodes_within
from onnx_triangulate.ops.registry import operators, operators_where

_SLOTS: Mapping[str, tuple[int, ...]] = {name: op.limits for name, op in operators().items() if op.limits}
_MOVERS = operators_where(lambda op: op.moves) | {"Cast", "Concat"}
_PICKS = frozenset("Gather GatherElements GatherND Slice".split())  # from what stands in slot 0
_AXES = 8
_NO_END = 2**31 - 1  # what exporters write for "to the end"


def limiting(model: onnx.ModelProto) -> dict[str, NDArray[np.generic]]:
    """The constants that are limits, by name: of one number, which is no end of its type."""
    held = _constants(model)
    wanted: dict[str, None] = {}
    sizes: dict[str, tuple[object, ...] | None] | None = None
    nodes = list(nodes_within(model.graph))
    for node in nodes:
        if node.op_type == "Slice":
            sizes = _sizes(model) if sizes is None else sizes
            if _fixed(node, sizes, held):
                continue
        wanted |= dict.fromkeys(node.input[slot] for slot in _SLOTS.get(node.op_type, ()) if slot < len(node.input))
    for node in reversed(nodes):
        if node.op_type in _MOVERS and any(name in wanted for name in node.output):
            wanted |= dict.fromkeys(node.input[:1] if node.op_type != "Concat" else node.input)
    return {n: v for n in wanted if (v := held.get(n)) is not None and v.size == 1 and _is_limit(v)}


def limits(model: onnx.ModelProto) -> tuple[int, ...]:
    """The numbers and lengths of tables that something of an open size may reach, the largest first."""
    tables = {name: tensor.dims for name, tensor in dense_constants(model.graph)}
    found = {abs(int(value.reshape(-1)[0])) for value in limiting(model).values()}  # a band below is a limit, too
    for node in nodes_within(model.graph):
        if node.op_type in _PICKS and node.input:
            found |= set(tables.get(node.input[0], ()))
    return tuple(sorted((n for n in found if n > 1), reverse=True))


def _is_limit(value: NDArray[np.generic]) -> bool:
    number = value.reshape(-1)[0]
    return value.dtype.kind in "fiu" and bool(np.isfinite(number)) and abs(float(number)) < _NO_END


def _fixed(
    node: onnx.NodeProto, sizes: Mapping[str, tuple[object, ...] | None], held: Mapping[str, NDArray[np.generic]]
) -> bool:
    """Whether all axes that a Slice cuts have one size."""
    shape = sizes.get(node.input[0]) if node.input else None
    axes = held.get(node.input[3]) if len(node.input) > 3 else None
    if shape is None or (axes is None and len(node.input) > 3 and node.input[3]):
        return False
    if axes is not None and axes.dtype.kind not in "iu":
        return False
    chosen = range(len(shape)) if axes is None else [int(axis) for axis in axes.reshape(-1)]
    return all(-len(shape) <= axis < len(shape) and isinstance(shape[axis], int) for axis in chosen)


def _sizes(model: onnx.ModelProto) -> dict[str, tuple[object, ...] | None]:
    shaped = with_inferred_shapes(model) or model
    known = (*shaped.graph.input, *shaped.graph.value_info, *shaped.graph.output)
    return {
        **{value.name: dims_of(value) for value in known},
        **{tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer},
    }


def _constants(model: onnx.ModelProto) -> dict[str, NDArray[np.generic]]:
    """The short ones: single numbers, and axes."""
    short = [(name, tensor) for name, tensor in dense_constants(model.graph) if elements(tensor) <= _AXES]
    return {name: value for name, tensor in short if (value := array(tensor)) is not None}


__all__ = ("limiting", "limits")
