"""How often single operations round: what frameworks' operators and ONNX's are counted by, each in its own table."""

from __future__ import annotations

TRANSCENDENTAL = 4  # an allowance: implementations are within 2 ulp, one ulp is two roundings
# A function that is written out ((1 + tanh(x / 2)) / 2 for a sigmoid) errs by units of 1 where its result is small.
# It may, as long as the result keeps the 8 bits of bfloat16, for 2^-8 is COARSEST times 4 units of float32.  What is
# coarser is no float32 function any more.
COARSEST = 2.0**14


def interpolated(taps: int, length: int) -> int:
    """A sum over the taps of an axis, whose weights are made of a coordinate.

    The coordinate is no larger than the axis and rounded three times; where it moves, a linear weight moves as far and
    a cubic one up to twice as far.
    """
    return 2 * taps + 1 + 3 * length * (taps // 2)
