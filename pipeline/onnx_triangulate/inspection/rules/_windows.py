"""Sliding windows axis by axis."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from onnx_triangulate.facts.pads import Window


class Axis(NamedTuple):
    """One spatial axis of a window; only ``size`` may be unknown."""

    size: int | None
    begin: int
    end: int
    span: int
    stride: int


def per_axis(window: Window) -> Iterator[Axis]:
    """The axes of a window, none at all where something but the size is not known."""
    lists = (window.begin, window.end, window.kernel, window.strides, window.dilations)
    first, last, kernels, strides, dilations = (v or () for v in lists)
    sizes = window.size or (None,) * len(first)
    if len({len(v) for v in (first, last, kernels, strides, dilations, sizes)}) != 1:
        return
    for size, begin, end, kernel, stride, dilation in zip(sizes, first, last, kernels, strides, dilations, strict=True):
        yield Axis(size, begin, end, (kernel - 1) * dilation + 1, stride)
