"""How often single operations round: what frameworks' operators and ONNX's are counted by, each in its own table."""

from __future__ import annotations

TRANSCENDENTAL = 4  # an allowance: implementations are within 2 ulp, one ulp is two roundings


def interpolated(taps: int, length: int) -> int:
    """A sum over the taps of an axis, whose weights are made of a coordinate.

    The coordinate is no larger than the axis and rounded three times; where it moves, a linear weight moves as far and
    a cubic one up to twice as far.
    """
    return 2 * taps + 1 + 3 * length * (taps // 2)
