"""Numbers for people: counts with their noun, differences with two digits, axes, padding, bytes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from onnx_triangulate.records.graphs import Pads

MOST_AXES = 16  # of a permutation or a padding, in a line


def count(number: int, noun: str) -> str:
    """``1 edge``, ``26 edges``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def figure(value: float | None) -> str:
    """A number for reading: four significant digits."""
    return "-" if value is None else f"{value:.4g}"


def pair(left: float, right: float) -> tuple[str, str]:
    """Two numbers with as many digits as it takes to tell them apart (at least six, at most all)."""
    for digits in range(6, 18):
        texts = f"{left:.{digits}g}", f"{right:.{digits}g}"
        if texts[0] != texts[1]:
            return texts
    same = repr(float(left)), repr(float(right))
    return same if math.isfinite(left) else (str(left), str(right))


def axes(numbers: Sequence[int] | None, between: str = " ") -> str:
    """Numbers per axis, side by side; ``?`` where they are not known.  More than anybody has axes are counted."""
    if numbers is None:
        return "?"
    shown = between.join(str(int(number)) for number in numbers[:MOST_AXES]) or "-"
    rest = len(numbers) - MOST_AXES
    return f"{shown} … (+{rest:,})" if rest > 0 else shown


def shape_of_padding(pads: Pads) -> str:
    """Whether a node pads, and the same on both sides."""
    if pads.begin is None or pads.end is None or pads.symmetric is None:
        return "unknown"
    if pads.symmetric:
        return "symmetric" if any(pads.begin) or any(pads.end) else "none"
    return "asymmetric"


def size(number: int) -> str:
    """A number of bytes as people say it."""
    value = float(number)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            break
        value /= 1024
    return f"{number:,} {unit}" if unit == "B" else f"{value:.3g} {unit}" if value < 999.5 else f"{value:,.0f} {unit}"
