"""Values read between the pixels, at coordinates that are an input."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from onnx_triangulate.ops.near import Near
from onnx_triangulate.ops.registry import Answer, Asked, Example, NoRule, Rule
from onnx_triangulate.records.arrays import Array

_SOURCE = "ONNX operator GridSample; multilinear interpolation is Lipschitz in each coordinate"


def _pixels(asked: Asked, grid: Array, n: int) -> tuple[Array, Array]:
    """Pixel coordinates of normalized ones, and how far off float32 may be: four operations on numbers up to n."""
    aligned = bool(asked.attribute("align_corners", 0))
    at = (grid + 1) / 2 * (n - 1) if aligned else ((grid + 1) * n - 1) / 2
    return at, 4 * asked.format.unit * (np.abs(grid) + 2) * n


def _sample(asked: Asked) -> Sequence[Near | Answer]:
    x, grid = asked.x(0), asked.x(1)
    mode, padding = asked.attribute("mode", "linear"), asked.attribute("padding_mode", "zeros")
    if mode not in ("linear", "bilinear", "nearest") or padding not in ("zeros", "border"):
        raise NoRule(f"{mode} with {padding}")
    if not np.all(np.isfinite(grid)):
        raise NoRule("places that are not finite")
    sizes = x.shape[2:]
    found = [_pixels(asked, grid[..., -1 - k], n) for k, n in enumerate(sizes)]
    if padding == "border":
        found = [(np.clip(at, 0, n - 1), off) for (at, off), n in zip(found, sizes, strict=True)]
    if mode == "nearest":
        return [_nearest(asked, x, found, padding)]
    value, size, error = (np.zeros((*x.shape[:2], *grid.shape[1:-1])) for _ in range(3))
    bases = [np.floor(at) for at, _off in found]
    for corner in itertools.product((0, 1), repeat=len(sizes)):
        weight = np.ones(grid.shape[:-1])
        for (at, _off), base, bit in zip(found, bases, corner, strict=True):
            weight = weight * (at - base if bit else 1 - (at - base))
        pixels = _read(x, [base + bit for base, bit in zip(bases, corner, strict=True)])
        value += weight[:, None] * pixels
        size += weight[:, None] * np.abs(pixels)
    # A coordinate that is off by d moves the result by at most d times the largest step between neighbours around it.
    around = [
        _read(np.abs(x), [base + k for base, k in zip(bases, corner, strict=True)])
        for corner in itertools.product((-1, 0, 1, 2), repeat=len(sizes))
    ]
    steepest = 2 * np.max(around, axis=0)
    for _at, off in found:
        error += off[:, None] * steepest
    return [asked.near(0).contracted(value, size, 3 * 2 ** len(sizes), error)]


def _read(x: Array, places: Sequence[Array]) -> Array:
    """x (n, c, ...) at whole coordinates (n, ...), zero outside."""
    inside = np.ones(places[0].shape, bool)
    index: list[Array] = []
    for place, n in zip(places, x.shape[2:], strict=True):
        inside &= (place >= 0) & (place < n)
        index.append(np.clip(place, 0, n - 1).astype(int))
    batch = np.arange(x.shape[0]).reshape(-1, *[1] * (places[0].ndim - 1))
    spot: tuple[Any, ...] = (batch, slice(None), *index)
    values = np.moveaxis(x[spot], -1, 1)
    return np.asarray(values * inside[:, None])


def _nearest(asked: Asked, x: Array, found: Sequence[tuple[Array, Array]], padding: str) -> Answer:
    """Exact, except where a coordinate may be rounded to either neighbour."""
    chosen = _read(x, [np.round(at) for at, _off in found])
    seen = asked.produced[0] if asked.produced else None
    flips = None
    if seen is not None and seen.shape == chosen.shape:
        flips = np.zeros(chosen.shape, bool)
        for signs in itertools.product((-1, 1), repeat=len(found)):
            other = _read(x, [np.round(at + s * off) for (at, off), s in zip(found, signs, strict=True)])
            flips |= other == seen
    return Answer(chosen.astype(asked.array(0).dtype), asked.array(0).dtype.name, flips=flips)


_INPUTS = {"x": "float[2,3,5,6]", "g": "unit[2,4,7,2]"}

RULES = (
    Rule(
        "grid sampling",
        ("GridSample",),
        _sample,
        "linear: gamma of the corners, and what a rounded coordinate moves; nearest: exact where it is certain",
        _SOURCE,
        (
            Example(
                'GridSample<mode="linear">(x, g)', _INPUTS, 'GridSample<mode="linear",align_corners=1>(x, g)', opset=20
            ),
            Example('GridSample<mode="nearest">(x, g)', _INPUTS, 'GridSample<mode="linear">(x, g)', opset=20),
        ),
    ),
)
