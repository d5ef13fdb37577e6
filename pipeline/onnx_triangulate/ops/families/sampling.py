"""Values read between the pixels, at coordinates that are an input.

Multilinear interpolation is Lipschitz in each coordinate: gamma of the corners, and what a rounded coordinate moves.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from onnx_triangulate.ops import rounding_counts as counts
from onnx_triangulate.ops.calls import ExpectedOutput, NodeCall, NotCovered
from onnx_triangulate.ops.enclosures import Enclosure
from onnx_triangulate.ops.examples import Example
from onnx_triangulate.ops.operator import Operator, bounded
from onnx_triangulate.records.arrays import Array

_Limits = Sequence[tuple[float, float]]


def _coordinates(grid: Array, sizes: Sequence[int], aligned: bool) -> list[Array]:
    """Pixel coordinates by axis of x; ``grid`` [n, ..., d] holds coordinates from -1 to 1, last axis first."""
    by_axis = [(grid[..., -1 - k], n) for k, n in enumerate(sizes)]
    return [(at + 1) / 2 * (n - 1) if aligned else ((at + 1) * n - 1) / 2 for at, n in by_axis]


def _sampled(x: Array, grid: Array, mode: str, padding: str, aligned: bool) -> Array:
    sizes = x.shape[2:]
    at = _coordinates(grid, sizes, aligned)
    limits = [(0.0, n - 1.0) if aligned else (-0.5, n - 0.5) for n in sizes]
    cubic = mode in ("cubic", "bicubic")  # whose taps are padded one by one
    if padding == "border" and not cubic:
        at = [np.clip(place, 0, n - 1) for place, n in zip(at, sizes, strict=True)]
    elif padding == "reflection" and not cubic:
        at = [_reflected(place, *limit) for place, limit in zip(at, limits, strict=True)]
    if mode == "nearest":
        return _pixels(x, [np.round(place) for place in at], padding, limits)
    offsets: Sequence[int] = (-1, 0, 1, 2) if cubic else (0, 1)
    weigh: Callable[[Array], Array] = partial(cubic_tap, a=-0.75) if cubic else _linear_tap
    bases = [np.floor(place) for place in at]
    result = np.zeros((*x.shape[:2], *grid.shape[1:-1]), x.dtype)
    for corner in itertools.product(offsets, repeat=len(sizes)):
        weight = np.ones(grid.shape[:-1], x.dtype)
        for place, base, step in zip(at, bases, corner, strict=True):
            weight = weight * weigh(place - (base + step))
        spots = [base + step for base, step in zip(bases, corner, strict=True)]
        result += weight[:, None] * _pixels(x, spots, padding, limits)
    return result


def _linear_tap(t: Array) -> Array:
    return np.asarray(np.maximum(1 - np.abs(t), 0))


def cubic_tap(t: Array, a: float) -> Array:
    """The weight of a pixel that is ``t`` away (Keys, Cubic convolution interpolation, IEEE ASSP 29, 1981)."""
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


def _pixels(x: Array, places: Sequence[Array], padding: str, limits: _Limits) -> Array:
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


def _asked(call: NodeCall) -> tuple[str, str, bool]:
    """The mode, the padding, and whether corners are aligned."""
    mode, padding = call.attribute("mode", "linear"), call.attribute("padding_mode", "zeros")
    return mode, padding, bool(call.attribute("align_corners", 0))


def _value(call: NodeCall) -> Sequence[Array]:
    x, grid = call.array(0), call.array(1)
    return [_sampled(x, grid.astype(x.dtype) if x.dtype.kind == "f" else grid, *_asked(call))]


def _bound(call: NodeCall) -> Sequence[Enclosure | ExpectedOutput]:
    x, grid = call.x(0), call.x(1)
    mode, padding, aligned = _asked(call)
    if mode not in ("linear", "bilinear", "nearest") or padding not in ("zeros", "border"):
        raise NotCovered(f"{mode} with {padding}")
    if not np.all(np.isfinite(grid)):
        raise NotCovered("places that are not finite")
    sizes = x.shape[2:]
    at = _coordinates(grid, sizes, aligned)
    if padding == "border":
        at = [np.clip(place, 0, n - 1) for place, n in zip(at, sizes, strict=True)]
    # Of float32's coordinates: four operations on numbers up to n.
    off = [4 * call.format.unit * (np.abs(grid[..., -1 - k]) + 2) * n for k, n in enumerate(sizes)]
    if mode == "nearest":
        return [_nearest(call, x, at, off)]
    value, size = (_sampled(v, grid, mode, padding, aligned) for v in (x, np.abs(x)))
    # A coordinate that is off by d moves the result by at most d times the largest step between neighbours around it.
    around = [
        _inside(np.abs(x), [np.floor(place) + k for place, k in zip(at, corner, strict=True)])
        for corner in itertools.product((-1, 0, 1, 2), repeat=len(sizes))
    ]
    steepest = 2 * np.max(around, axis=0)
    error = sum((one[:, None] * steepest for one in off), np.zeros(()))
    return [call.enclosure(0).contracted(value, size, 3 * 2 ** len(sizes), error)]


def _inside(x: Array, places: Sequence[Array]) -> Array:
    """x at whole coordinates, zero outside."""
    return _pixels(x, places, "zeros", [(0.0, 0.0)] * len(places))


def _nearest(call: NodeCall, x: Array, at: Sequence[Array], off: Sequence[Array]) -> ExpectedOutput:
    """Exact, except where a coordinate may be rounded to either neighbour."""
    chosen = _inside(x, [np.round(place) for place in at])
    seen = call.produced[0] if call.produced else None
    flips = None
    if seen is not None and seen.shape == chosen.shape:
        flips = np.zeros(chosen.shape, bool)
        for signs in itertools.product((-1, 1), repeat=len(at)):
            other = _inside(x, [np.round(place + s * d) for place, d, s in zip(at, off, signs, strict=True)])
            flips |= other == seen
    return ExpectedOutput(chosen.astype(call.array(0).dtype), call.array(0).dtype.name, flips=flips)


def _affine_grid(call: NodeCall) -> Sequence[Array]:
    """Where a sampler is to look, x first, in coordinates from -1 to 1."""
    theta, lengths = call.array(0), list(call.integers(1) or ())[2:]
    lines = []
    for n in lengths:
        steps = np.arange(n, dtype=theta.dtype)
        if call.attribute("align_corners", 0):
            lines.append(2 * steps / (n - 1) - 1 if n > 1 else np.full(1, -1, theta.dtype))
        else:
            lines.append((2 * steps + 1) / n - 1)
    places = np.meshgrid(*lines, indexing="ij")
    homogeneous = np.stack([*reversed(places), np.ones(lengths, theta.dtype)], axis=-1)
    grid = homogeneous.reshape(-1, len(lengths) + 1) @ np.swapaxes(theta, 1, 2)
    return [np.asarray(grid.reshape(theta.shape[0], *lengths, len(lengths))).astype(theta.dtype)]


_INPUTS = {"x": "float[2,3,5,6]", "g": "unit[2,4,7,2]"}

OPERATORS = (
    Operator("AffineGrid", value=_affine_grid, stock="wrong", roundings=8),
    bounded(
        "grid sampling",
        _bound,
        Example(
            'GridSample<mode="linear">(x, g)', _INPUTS, 'GridSample<mode="linear",align_corners=1>(x, g)', opset=20
        ),
        Example('GridSample<mode="nearest">(x, g)', _INPUTS, 'GridSample<mode="linear">(x, g)', opset=20),
        value=_value,
        stock="wrong",
        roundings=counts.grid_sample,
        jumps="at places",
        images=(0,),
    ),
)
