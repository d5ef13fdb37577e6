"""Interpolation: a weighted mean of neighbours along each axis, whose weights come from rounded coordinates.

The coordinate formula of ONNX is evaluated in float64 and in float32; where both give the same number the coordinate is
certain, otherwise it may be off by a few units of itself, which moves the weights by as much, and in ``nearest`` mode
lets either neighbour be right.  Linear interpolation is Lipschitz in the coordinate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from onnx_triangulate.ops import axis_propagation as links
from onnx_triangulate.ops import rounding_counts as counts
from onnx_triangulate.ops.calls import ExpectedOutput, NodeCall, NotCovered
from onnx_triangulate.ops.enclosures import Enclosure
from onnx_triangulate.ops.examples import Example
from onnx_triangulate.ops.families.sampling import cubic_tap
from onnx_triangulate.ops.operator import bounded
from onnx_triangulate.records.arrays import Array


def _coordinates(mode: str, n: int, m: int, scale: float, roi: tuple[float, float]) -> tuple[Array, Array]:
    """Where each of m outputs looks in the n inputs, and how far off a float32 evaluation may be."""
    both = []
    kinds: tuple[Any, Any] = (np.float64, np.float32)
    for kind in kinds:
        i = np.arange(m, dtype=kind)
        s, one, half = kind(scale), kind(1), kind(0.5)
        if mode == "half_pixel" or (mode == "pytorch_half_pixel" and m > 1):
            x = (i + half) / s - half
        elif mode == "pytorch_half_pixel":
            x = i * kind(0)
        elif mode == "half_pixel_symmetric":
            adjust = kind(m) / (s * kind(n))
            x = kind(n) / kind(2) * (one - adjust) + (i + half) / s - half
        elif mode == "align_corners":
            x = i * kind(0) if m == 1 else i * kind(n - 1) / kind(m - 1)
        elif mode == "asymmetric":
            x = i / s
        elif mode == "tf_half_pixel_for_nn":
            x = (i + half) / s
        elif mode == "tf_crop_and_resize":
            start, end = kind(roi[0]), kind(roi[1])
            x = (
                start * kind(n - 1) + i * (end - start) * kind(n - 1) / kind(m - 1)
                if m > 1
                else (half * (start + end) * kind(n - 1) + i)
            )
        else:
            raise NotCovered(f"coordinates {mode!r}")
        both.append(x.astype(np.float64))
    exact, single = both
    reciprocal = float(np.float32(1) / np.float32(scale)) == 1 / scale  # multiplied by, it is exact as well
    certain = np.all(exact == single) and (reciprocal or (mode == "align_corners" and (n - 1) % max(m - 1, 1) == 0))
    return exact, np.zeros(m) if certain else 8 * 2.0**-24 * (np.abs(exact) + n)


def _weights(call: NodeCall, x: Array, off: Array, n: int, mode: str) -> tuple[Array, Array]:
    """(m, n) weights and their largest error."""
    m = len(x)
    weights, errors = np.zeros((m, n)), np.zeros((m, n))
    unit = call.format.unit
    rows = np.arange(m)
    if mode == "linear":
        x = np.clip(x, 0, n - 1)
        base = np.clip(np.floor(x), 0, max(n - 2, 0)).astype(int)
        part = x - base
        np.add.at(weights, (rows, base), 1 - part)
        np.add.at(weights, (rows, np.minimum(base + 1, n - 1)), part)
        for k in (-1, 0, 1, 2):  # a coordinate beside a whole number may fall into the next interval
            errors[rows, np.clip(base + k, 0, n - 1)] += np.where((k in (0, 1)) | (off > 0), off, 0)
        return weights, errors + 2 * unit * np.abs(weights)
    a = float(call.attribute("cubic_coeff_a", -0.75))
    base = np.floor(x).astype(int)
    outside = bool(call.attribute("exclude_outside", 0))
    taps = np.stack([cubic_tap(x - (base + k), a) for k in (-1, 0, 1, 2)])
    inside = np.stack([(base + k >= 0) & (base + k < n) for k in (-1, 0, 1, 2)])
    if outside:
        taps = np.where(inside, taps, 0)
        taps = taps / taps.sum(0)
    for k in (-1, 0, 1, 2):
        spot = np.clip(base + k, 0, n - 1)
        np.add.at(weights, (rows, spot), taps[k + 1])
        # Horner's rule on coefficients of size below 8: the slope of a tap is below 3.
        np.add.at(
            errors, (rows, spot), np.where((taps[k + 1] != 0) | (off > 0), 3 * off + 24 * unit * (1 + outside), 0)
        )
    return weights, errors


def _nearest(call: NodeCall, x: Array, off: Array, n: int) -> tuple[Array, Array]:
    """The two indices between which a coordinate may fall (equal where it is certain)."""
    mode = call.attribute("nearest_mode", "round_prefer_floor" if call.opset >= 11 else "floor")
    rounding: dict[str, Callable[[Array], Array]] = {
        "round_prefer_floor": lambda v: np.ceil(v - 0.5),
        "round_prefer_ceil": lambda v: np.floor(v + 0.5),
        "floor": np.floor,
        "ceil": np.ceil,
    }
    if mode not in rounding:
        raise NotCovered(f"nearest mode {mode!r}")
    low, high = (np.clip(rounding[mode](x + d), 0, n - 1).astype(int) for d in (-off, off))
    return low, high


def _resize(call: NodeCall) -> Sequence[Enclosure | ExpectedOutput | Array]:
    x = call.array(0)
    mode = call.attribute("mode", "nearest")
    if call.attribute("antialias", 0):
        raise NotCovered("antialiasing")
    how = call.attribute("coordinate_transformation_mode", "half_pixel" if call.opset >= 11 else "asymmetric")
    axes = [int(a) % x.ndim for a in call.attribute("axes", list(range(x.ndim)))]
    roi_at, scales_at, sizes_at = (1, 2, 3) if call.opset >= 11 and call.node.op_type == "Resize" else (9, 1, 9)
    roi = call.x(roi_at).ravel() if call.has_input(roi_at) else np.zeros(0)
    shape, scale = list(x.shape), [1.0] * x.ndim
    policy = call.attribute("keep_aspect_ratio_policy", "stretch")
    if call.has_input(scales_at) and call.array(scales_at).size:
        for a, s in zip(axes, call.x(scales_at), strict=True):
            # In float32, as every runtime multiplies: 3 times the scale of 17 / 3 is 17 there, and less in float64.
            scale[a], shape[a] = float(s), int(np.floor(np.float32(x.shape[a]) * np.float32(s)))
    elif call.has_input(sizes_at) and policy == "stretch":
        for a, size in zip(axes, call.integers(sizes_at) or (), strict=True):
            shape[a], scale[a] = size, size / x.shape[a]
    else:
        raise NotCovered("a size that keeps the aspect ratio")
    if how == "tf_crop_and_resize" and len(roi) != 2 * len(axes):
        raise NotCovered("a crop without its region")
    found = []
    for k, a in enumerate(axes):
        if shape[a] == x.shape[a] and scale[a] == 1 and how != "tf_crop_and_resize":
            continue
        region = (float(roi[k]), float(roi[len(axes) + k])) if how == "tf_crop_and_resize" else (0.0, 1.0)
        found.append((a, *_coordinates(how, x.shape[a], shape[a], scale[a], region)))
    if mode == "nearest":
        return [_picked(call, x, found, how)]
    return [_blended(call, found, mode, how)]


def _picked(call: NodeCall, x: Array, found: Sequence[tuple[int, Array, Array]], how: str) -> ExpectedOutput:
    chosen, others = x, [x]
    outside: Any = np.zeros([1] * x.ndim, bool)
    for axis, at, off in found:
        low, high = _nearest(call, at, off, x.shape[axis])
        middle, _same = _nearest(call, at, 0 * off, x.shape[axis])
        chosen = np.take(chosen, middle, axis)
        picks = (low, high) if np.any(low != high) else (low,)
        others = [np.take(o, p, axis) for o in others for p in picks]
        if how == "tf_crop_and_resize":
            beyond = (at < 0) | (at > x.shape[axis] - 1)
            outside = outside | beyond.reshape([-1 if i == axis else 1 for i in range(x.ndim)])
    if np.any(outside):
        raise NotCovered("a crop that leaves the input")
    seen = call.produced[0] if call.produced else None
    flips = None
    if len(others) > 1 and seen is not None and seen.shape == chosen.shape:
        flips = np.any([o == seen for o in others], axis=0)
    return ExpectedOutput(chosen, x.dtype.name, flips=flips)


def _blended(call: NodeCall, found: Sequence[tuple[int, Array, Array]], mode: str, how: str) -> Enclosure:
    if call.array(0).dtype.kind in "iu":
        raise NotCovered("whole numbers, blended")
    value, size, error = call.x(0), np.abs(call.x(0)), np.zeros(())
    for axis, at, off in found:
        n = value.shape[axis]
        if how == "tf_crop_and_resize" and np.any((at < 0) | (at > n - 1)):
            raise NotCovered("a crop that leaves the input")
        w, dw = _weights(call, at, off, n, mode)
        error = _along(np.broadcast_to(error, value.shape), np.abs(w) + dw, axis) + _along(size, dw, axis)
        value, size = _along(value, w, axis), _along(size, np.abs(w), axis)
    k = (2 if mode == "linear" else 6) * max(len(found), 1) + 2
    return call.enclosure(0).contracted(value, size, k if found else 0, error)


def _along(values: Array, weights: Array, axis: int) -> Array:
    return np.moveaxis(np.moveaxis(values, axis, -1) @ weights.T, -1, axis)


_IMAGE = {"x": "float[1,2,5,6]", "r": np.zeros(0, np.float32), "s": np.array([1, 1, 2, 1.5], np.float32)}

OPERATORS = (
    bounded(
        "interpolation",
        _resize,
        Example(
            'Resize<mode="linear">(x, r, s)',
            _IMAGE,
            'Resize<mode="linear",coordinate_transformation_mode="asymmetric">(x, r, s)',
        ),
        Example('Resize<mode="cubic">(x, r, s)', _IMAGE, 'Resize<mode="cubic",cubic_coeff_a=-0.5>(x, r, s)'),
        Example(
            'Resize<mode="nearest",coordinate_transformation_mode="asymmetric",nearest_mode="floor">(x, r, s)',
            _IMAGE | {"s": np.array([1, 1, 2, 2], np.float32)},
            'Resize<mode="nearest",coordinate_transformation_mode="asymmetric",nearest_mode="ceil">(x, r, s)',
        ),
        stock="wrong",
        roundings=counts.resize,
        axes=links.resize,
        linear=True,
    ),
    bounded(
        "interpolation",
        _resize,
        Example(
            'Upsample<mode="nearest">(x, s)',
            {"x": "float[1,2,5,6]", "s": np.array([1, 1, 2, 3], np.float32)},
            'Upsample<mode="linear">(x, s)',
            opset=9,
        ),
        stock="wrong",
        roundings=counts.resize,
        axes=links.resize,
        linear=True,
    ),
)
