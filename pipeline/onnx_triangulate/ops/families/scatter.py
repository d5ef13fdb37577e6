"""Updates put to their places; with a reduction, sums and products over repeated places."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from onnx_triangulate.ops.near import Near
from onnx_triangulate.ops.registry import Asked, Example, NoRule, Rule
from onnx_triangulate.records.arrays import Array

_HIGHAM = "sums in any order: Higham, Accuracy and Stability, 2nd ed., (4.4); moved values keep their bits"


def _places(asked: Asked, shape: tuple[int, ...]) -> tuple[Array, ...]:
    """Index arrays of every update, for ScatterND or ScatterElements."""
    index = asked.array(1)
    if asked.node.op_type == "ScatterND":
        return tuple(index[..., i] % shape[i] for i in range(index.shape[-1]))
    axis = int(asked.attribute("axis", 0)) % len(shape)
    grid: list[Array] = list(np.indices(index.shape, sparse=True))
    grid[axis] = index % shape[axis]
    return tuple(np.broadcast_to(g, index.shape) for g in grid)


def _scatter(asked: Asked) -> Sequence[Near | Array]:
    data, updates = asked.array(0), asked.array(2)
    reduction = asked.attribute("reduction", "none")
    places = _places(asked, data.shape)
    hits = np.zeros(data.shape, dtype=np.int64)
    np.add.at(hits, places, 1)
    if reduction == "none":
        if hits.max(initial=0) > 1:
            raise NoRule("several updates of one place without a reduction, whose order ONNX leaves open")
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
    near = asked.near(0).contracted(value, size, int(hits.max(initial=0)))
    untouched = hits == 0
    return [Near(near.value, np.where(untouched, 0.0, near.error), near.format)]


def _examples() -> Iterator[Example]:
    inputs = {"x": "float[4,5]", "i": [[0], [2], [0]], "z": "float[3,5]"}
    yield Example('ScatterND<reduction="add">(x, i, z)', inputs, {"z": 1.01}, opset=18)
    yield Example("ScatterND(x, i, z)", inputs | {"i": [[0], [2], [1]]}, 'ScatterND<reduction="add">(x, i, z)')
    inputs = {"x": "float[3,5]", "i": [[1, 0, 2], [1, 2, 0]], "z": "float[2,3]"}
    yield Example("ScatterElements<axis=1>(x, i, z)", inputs, "ScatterElements<axis=0>(x, i, z)")
    yield Example("Scatter<axis=1>(x, i, z)", inputs, "Scatter<axis=0>(x, i, z)", opset=10)
    yield Example('ScatterElements<axis=1,reduction="mul">(x, i, z)', inputs, {"z": 1.01})


RULES = (
    Rule(
        "scatter",
        ("Scatter", "ScatterElements", "ScatterND"),
        _scatter,
        "exact without a reduction; gamma of the updates per place with one",
        _HIGHAM,
        tuple(_examples()),
    ),
)
