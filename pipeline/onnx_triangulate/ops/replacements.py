"""Operators of ONNX by their definitions, in numpy and in the type they are given, where nobody else has them right.

Design note.  ONNX's reference evaluator does not run these at all, or not for every shape, attribute or opset, or in
float32 whatever it is given.  The bounds of ``ops.families`` hold definitions as well;
``numerics.evaluator`` takes an operator from there where that definition is whole.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from onnx_triangulate.records.arrays import Array


def elements_gathered(data: Array, indices: Array, axis: int) -> Array:
    """GatherElements: along the other axes ``indices`` may be shorter than ``data``."""
    axis %= data.ndim
    wanted = tuple(slice(None) if i == axis else slice(size) for i, size in enumerate(indices.shape))
    size = data.shape[axis]
    whole = np.asarray(indices).astype(np.int64)
    if whole.size and not bool(((whole >= -size) & (whole < size)).all()):
        raise ValueError(f"an index is outside of an axis of {size}")
    return np.asarray(np.take_along_axis(data[wanted], np.where(whole < 0, whole + size, whole), axis))


def elements_scattered(data: Array, indices: Array, updates: Array, axis: int) -> Array:
    """Scatter, which is ScatterElements without a reduction."""
    result = data.copy()
    places: list[Array] = [*np.indices(indices.shape)]
    places[axis % data.ndim] = indices
    result[tuple(places)] = updates
    return result


def one_hot(indices: Array, depth: Array, values: Array, axis: int) -> Array:
    """OneHot: negative indices count from the end, one that is outside hits nothing; ``depth`` may be of any shape."""
    count = int(np.asarray(depth).reshape(()))
    rank = indices.ndim + 1
    whole = np.asarray(indices).astype(np.int64)
    hit = np.expand_dims(np.where(whole < 0, whole + count, whole), axis % rank)
    levels = np.arange(count).reshape([-1 if i == axis % rank else 1 for i in range(rank)])
    return np.asarray(np.where(hit == levels, values[1], values[0])).astype(values.dtype)


def unique(x: Array, axis: int | None, ordered: bool) -> tuple[Array, Array, Array, Array]:
    """Unique: the values in order, or in that of their first occurrences; where each occurs first, which each is, how
    often."""
    flat = x.reshape(-1) if axis is None else x
    along = 0 if axis is None else axis % x.ndim
    values, first, which, counts = np.unique(flat, True, True, True, axis=along)
    order = np.arange(first.size) if ordered else np.argsort(first)
    places = np.empty_like(order)
    places[order] = np.arange(order.size)
    whole = [a.astype(np.int64) for a in (first[order], places[which.reshape(-1)], counts[order])]
    return np.take(values, order, axis=along), whole[0], whole[1], whole[2]


def affine_grid(theta: Array, size: Sequence[int], aligned: bool) -> Array:
    """AffineGrid: where a sampler is to look, x first, in coordinates from -1 to 1."""
    lengths = list(size)[2:]
    lines = []
    for n in lengths:
        steps = np.arange(n, dtype=theta.dtype)
        if aligned:
            lines.append(2 * steps / (n - 1) - 1 if n > 1 else np.full(1, -1, theta.dtype))
        else:
            lines.append((2 * steps + 1) / n - 1)
    places = np.meshgrid(*lines, indexing="ij")
    homogeneous = np.stack([*reversed(places), np.ones(lengths, theta.dtype)], axis=-1)
    grid = homogeneous.reshape(-1, len(lengths) + 1) @ np.swapaxes(theta, 1, 2)
    return np.asarray(grid.reshape(theta.shape[0], *lengths, len(lengths))).astype(theta.dtype)


def sampled(x: Array, grid: Array, mode: str, padding: str, aligned: bool, coefficient: float = -0.75) -> Array:
    """GridSample in any number of dimensions; ``grid`` [n, ..., d] holds coordinates from -1 to 1, last axis first."""
    sizes = x.shape[2:]
    at = []
    for k, n in enumerate(sizes):
        place = grid[..., -1 - k]
        at.append((place + 1) / 2 * (n - 1) if aligned else ((place + 1) * n - 1) / 2)
    limits = [(0.0, n - 1.0) if aligned else (-0.5, n - 0.5) for n in sizes]
    cubic = mode in ("cubic", "bicubic")  # whose taps are padded one by one
    if padding == "border" and not cubic:
        at = [np.clip(place, 0, n - 1) for place, n in zip(at, sizes, strict=True)]
    elif padding == "reflection" and not cubic:
        at = [_reflected(place, *limit) for place, limit in zip(at, limits, strict=True)]
    if mode == "nearest":
        return _pixels(x, [np.round(place) for place in at], padding, limits)
    offsets: tuple[int, ...]
    weigh: Callable[[Array], Array]
    if mode in ("linear", "bilinear"):
        offsets, weigh = (0, 1), _linear
    else:
        offsets, weigh = (-1, 0, 1, 2), partial(_cubic, a=coefficient)
    bases = [np.floor(place) for place in at]
    result = np.zeros((*x.shape[:2], *grid.shape[1:-1]), x.dtype)
    for corner in itertools.product(offsets, repeat=len(sizes)):
        weight = np.ones(grid.shape[:-1], x.dtype)
        for place, base, step in zip(at, bases, corner, strict=True):
            weight = weight * weigh(place - (base + step))
        spots = [base + step for base, step in zip(bases, corner, strict=True)]
        result += weight[:, None] * _pixels(x, spots, padding, limits)
    return result


def _linear(t: Array) -> Array:
    return np.asarray(np.maximum(1 - np.abs(t), 0))


def _cubic(t: Array, a: float) -> Array:
    s = np.abs(t)
    near = ((a + 2) * s - (a + 3)) * s * s + 1
    far = ((a * s - 5 * a) * s + 8 * a) * s - 4 * a
    return np.asarray(np.where(s <= 1, near, np.where(s < 2, far, 0.0)))


def _reflected(place: Array, low: float, high: float) -> Array:
    span = high - low
    if span == 0:
        return np.full_like(place, low)
    turned = np.abs(place - low) % (2 * span)
    return np.asarray(np.where(turned > span, 2 * span - turned, turned) + low)


def _pixels(x: Array, places: Sequence[Array], padding: str, limits: Sequence[tuple[float, float]]) -> Array:
    """x [n, c, ...] at whole coordinates [n, ...], padded as it is asked for."""
    inside = np.ones(places[0].shape, bool)
    index: list[Array] = []
    for place, n, limit in zip(places, x.shape[2:], limits, strict=True):
        if padding == "reflection":
            place = _reflected(place, *limit)
        elif padding == "zeros":
            inside &= (place >= 0) & (place < n)
        index.append(np.clip(place, 0, n - 1).astype(int))
    batch = np.arange(x.shape[0]).reshape(-1, *[1] * (places[0].ndim - 1))
    spot: tuple[Any, ...] = (batch, slice(None), *index)
    return np.asarray(np.moveaxis(x[spot], -1, 1) * inside[:, None])


def places_of_most(x: Array, windows: Array, begins: Sequence[Any], columns_first: bool) -> tuple[Array, Array]:
    """The largest number of each window and the first place of it in the flattened input.

    ``windows`` [n, c, outputs..., kernel...] are padded with what is smaller than any number; ``begins`` gives by axis
    what maps (output, tap) to a place of the input.
    """
    rank = x.ndim - 2
    outputs, kernel = windows.shape[2 : 2 + rank], windows.shape[2 + rank :]
    flat = windows.reshape(*windows.shape[: 2 + rank], -1)
    order = list(range(flat.shape[-1]))
    if columns_first:
        order = [int(i) for i in np.arange(flat.shape[-1]).reshape(kernel).transpose().reshape(-1)]
    flat = flat[..., order]
    best = flat.argmax(-1)
    most = np.take_along_axis(flat, best[..., None], -1)[..., 0]
    taps = np.unravel_index(np.asarray(order)[best], kernel)
    sizes = x.shape[2:]
    weights = [int(np.prod(sizes[:i] if columns_first else sizes[i + 1 :], dtype=np.int64)) for i in range(rank)]
    place = np.arange(x.shape[0] * x.shape[1], dtype=np.int64).reshape(x.shape[:2] + (1,) * rank)
    place = place * int(np.prod(sizes, dtype=np.int64))
    for i in range(rank):
        out = np.arange(outputs[i]).reshape([-1 if j == i else 1 for j in range(rank)])
        place = place + begins[i](out, taps[i]) * weights[i]
    return most, np.asarray(place, np.int64)


def suppressed(
    boxes: Array,
    scores: Array,
    most: Array | None,
    overlap: Array | None,
    least: Array | None,
    centered: bool,
) -> Array:
    """NonMaxSuppression: [batch, class, box] of what is kept, best first within each class."""
    count = int(np.asarray(most).reshape(())) if most is not None and np.size(most) else 0
    limit = float(np.asarray(overlap).reshape(())) if overlap is not None and np.size(overlap) else 0.0
    floor = float(np.asarray(least).reshape(())) if least is not None and np.size(least) else None
    kept = []
    for batch, label in itertools.product(range(scores.shape[0]), range(scores.shape[1])):
        row = scores[batch, label]
        order = [i for i in np.argsort(-row, kind="stable") if floor is None or row[i] > floor]
        chosen: list[int] = []
        for i in order:
            if len(chosen) >= max(count, 0):
                break
            if all(_overlap(boxes[batch, i], boxes[batch, j], centered) <= limit for j in chosen):
                chosen.append(int(i))
        kept += [(batch, label, i) for i in chosen]
    return np.asarray(kept, np.int64).reshape(-1, 3)


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


def roi_max_pooled(x: Array, rois: Array, pooled: Sequence[int], scale: float) -> Array:
    """MaxRoiPool: the largest number of each cell of a grid laid over each region."""
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
    return result


def _cell(i: int, cells: int, length: int, start: int, size: int) -> tuple[int, int]:
    low, high = int(np.floor(i * length / cells)), int(np.ceil((i + 1) * length / cells))
    return min(max(low + start, 0), size), min(max(high + start, 0), size)
