"""Regions of images: pooled, aligned, chosen.  They have no bound; what ONNX specifies is written out."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from onnx_triangulate.ops.calls import NodeCall
from onnx_triangulate.ops.operator import Operator
from onnx_triangulate.records.arrays import Array


def _suppressed(call: NodeCall) -> Sequence[Array]:
    """[batch, class, box] of what is kept, best first within each class."""
    boxes, scores = call.array(0), call.array(1)
    most, overlap, least = (_number(call, i) for i in (2, 3, 4))
    centered = bool(call.attribute("center_point_box", 0))
    kept = []
    for batch, label in itertools.product(range(scores.shape[0]), range(scores.shape[1])):
        row = scores[batch, label]
        chosen: list[int] = []
        for i in np.argsort(-row, kind="stable"):
            if len(chosen) >= max(int(most or 0), 0):
                break
            high = least is None or row[i] > least
            if high and all(_overlap(boxes[batch, i], boxes[batch, j], centered) <= (overlap or 0.0) for j in chosen):
                chosen.append(int(i))
        kept += [(batch, label, i) for i in chosen]
    return [np.asarray(kept, np.int64).reshape(-1, 3)]


def _number(call: NodeCall, index: int) -> float | None:
    return float(call.array(index).reshape(())) if call.has_input(index) and call.array(index).size else None


def _overlap(a: Array, b: Array, centered: bool) -> float:
    """The area that two boxes share over the one that they cover."""

    def corners(box: Array) -> Iterator[tuple[float, float]]:
        for k in (0, 1):
            if centered:  # x, y of the center, then width and height
                yield float(box[k] - box[k + 2] / 2), float(box[k] + box[k + 2] / 2)
            else:
                yield float(min(box[k], box[k + 2])), float(max(box[k], box[k + 2]))

    mine, theirs = list(corners(a)), list(corners(b))
    shared = 1.0
    for (low, high), (other_low, other_high) in zip(mine, theirs, strict=True):
        shared *= max(0.0, min(high, other_high) - max(low, other_low))
    areas = [(x[1] - x[0]) * (y[1] - y[0]) for x, y in (mine, theirs)]
    covered = areas[0] + areas[1] - shared
    return shared / covered if min(areas) > 0 and covered > 0 else 0.0


def _max_pooled(call: NodeCall) -> Sequence[Array]:
    """The largest number of each cell of a grid laid over each region."""
    x, rois, scale = call.array(0), call.array(1), call.attribute("spatial_scale", 1.0)
    pooled = list(call.attribute("pooled_shape", ()))
    result = np.zeros((len(rois), x.shape[1], *pooled), x.dtype)
    for k, (batch, *corners) in enumerate(rois):
        left, top, right, bottom = (int(np.floor(c * scale + 0.5)) for c in corners)
        height, width = max(bottom - top + 1, 1), max(right - left + 1, 1)
        for i, j in np.ndindex(*pooled):
            rows = slice(*_cell(i, pooled[0], height, top, x.shape[2]))
            columns = slice(*_cell(j, pooled[1], width, left, x.shape[3]))
            cell = x[int(batch), :, rows, columns]
            if cell.shape[1] and cell.shape[2]:
                result[k, :, i, j] = cell.max(axis=(1, 2))
    return [result]


def _cell(i: int, cells: int, length: int, start: int, size: int) -> tuple[int, int]:
    low, high = int(np.floor(i * length / cells)), int(np.ceil((i + 1) * length / cells))
    return min(max(low + start, 0), size), min(max(high + start, 0), size)


OPERATORS = (
    Operator("MaxRoiPool", value=_max_pooled, stock="wrong", roundings=0, images=(0,)),
    Operator("NonMaxSuppression", value=_suppressed, stock="wrong", jumps="at places"),
    Operator("RoiAlign", images=(0,)),
)
