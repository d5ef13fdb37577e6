"""Updates put to their places; with a reduction, sums and products over repeated places (Higham 4.4)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from onnx_triangulate.ops import axis_propagation as links
from onnx_triangulate.ops import rounding_counts as counts
from onnx_triangulate.ops.calls import NodeCall, NotCovered
from onnx_triangulate.ops.enclosures import Enclosure
from onnx_triangulate.ops.examples import Example
from onnx_triangulate.ops.operator import bounded
from onnx_triangulate.records.arrays import Array


def _places(call: NodeCall, shape: tuple[int, ...]) -> tuple[Array, ...]:
    """Index arrays of every update, for ScatterND or ScatterElements."""
    index = call.array(1)
    if call.node.op_type == "ScatterND":
        return tuple(index[..., i] % shape[i] for i in range(index.shape[-1]))
    axis = int(call.attribute("axis", 0)) % len(shape)
    grid: list[Array] = list(np.indices(index.shape, sparse=True))
    grid[axis] = index % shape[axis]
    return tuple(np.broadcast_to(g, index.shape) for g in grid)


def _scatter(call: NodeCall) -> Sequence[Enclosure | Array]:
    data, updates = call.array(0), call.array(2)
    reduction = call.attribute("reduction", "none")
    places = _places(call, data.shape)
    hits = np.zeros(data.shape, dtype=np.int64)
    np.add.at(hits, places, 1)
    if reduction == "none":
        if hits.max(initial=0) > 1:
            raise NotCovered("several updates of one place without a reduction, whose order ONNX leaves open")
        result = data.copy()
        result[places] = updates
        return [result]
    function = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}[reduction]
    if reduction in ("max", "min") or data.dtype.kind in "iu":
        result = data.copy()
        function.at(result, places, updates)
        return [result]
    value, size = data.astype(np.float64), np.abs(data.astype(np.float64))
    function.at(value, places, updates.astype(np.float64))
    function.at(size, places, np.abs(updates.astype(np.float64)))
    near = call.enclosure(0).contracted(value, size, int(hits.max(initial=0)))
    untouched = hits == 0
    return [Enclosure(near.value, np.where(untouched, 0.0, near.error), near.format)]


def _scattered(call: NodeCall) -> Sequence[Array]:
    """Of several updates of one place, the last one is taken."""
    result = call.array(0).copy()
    result[_places(call, result.shape)] = call.array(2)
    return [result]


_ROWS = {"x": "float[4,5]", "i": [[0], [2], [0]], "z": "float[3,5]"}
_ELEMENTS = {"x": "float[3,5]", "i": [[1, 0, 2], [1, 2, 0]], "z": "float[2,3]"}

OPERATORS = (
    bounded(
        "scatter",
        _scatter,
        Example('ScatterND<reduction="add">(x, i, z)', _ROWS, {"z": 1.01}, opset=18),
        Example("ScatterND(x, i, z)", _ROWS | {"i": [[0], [2], [1]]}, 'ScatterND<reduction="add">(x, i, z)'),
        roundings=counts.scatter,
        axes=links.same_order,
    ),
    bounded(
        "scatter",
        _scatter,
        Example("ScatterElements<axis=1>(x, i, z)", _ELEMENTS, "ScatterElements<axis=0>(x, i, z)"),
        Example('ScatterElements<axis=1,reduction="mul">(x, i, z)', _ELEMENTS, {"z": 1.01}),
        roundings=counts.scatter,
        axes=links.same_order,
    ),
    bounded(
        "scatter",
        _scatter,
        Example("Scatter<axis=1>(x, i, z)", _ELEMENTS, "Scatter<axis=0>(x, i, z)", opset=10),
        value=_scattered,
        stock="wrong",
        roundings=counts.scatter,
    ),
)
