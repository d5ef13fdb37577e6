"""Moving numbers by one rounding, and what answers to it: the one derivation that every measured bound here rests on.

Design note.  Where no formula says how far rounding may move a result, it is measured: what rounds is moved by one unit
roundoff, the graph or the program is evaluated again, and the largest response of an element over several draws stands
for what its true roundings may do.  Rounding is modelled as fl(x) = x (1 + d), |d| <= u (Higham, Accuracy and Stability
of Numerical Algorithms, 2nd edition, section 2.2), so every number is moved to x (1 - u) or x (1 + u), the ends of that
interval, by random signs; a smooth result answers to first order in d, so its largest answer is at an end.  That k
roundings act like roundings of what was consumed is mixed forward-backward error (Higham, section 1.5).

* **Signs** are drawn from a generator that the caller seeds (:func:`signs`).  The chance that s draws all miss an
  element's sensitivity by a factor of 2 falls as 2^-s.
* **Pairs** (:func:`paired`): two results may cancel under every sign that is drawn.  So draws come in pairs, and in the
  second the signs of those are turned whose number has a certain bit: of any two of the first 2^n things that round,
  some of n pairs has both push the same way.
* **One more draw** (:data:`BEYOND`): the true roundings are one more draw like those that were made, so a multiple of
  the largest response is allowed, not the largest response itself.
* **Responses** (:func:`distance`, :func:`largest_responses`) are elementwise.  A NaN counts as no response: it says
  nothing of size.  An element without a response, as one that a Relu holds at zero, is given the mean
  (:func:`at_least_mean`), until rounding carries it over.
* **Jumps** (:func:`is_jump`, :data:`STEPS`): where a result jumps, a response is no measure of rounding.

The draws of each caller (seeds, counts, the width of the generator's draw) are arguments, because a bound must be the
same number in every run.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from onnx_triangulate.ops.registry import operators_where
from onnx_triangulate.records.arrays import Array

UNIT = 2.0**-24  # unit roundoff of float32
BEYOND = 3  # times the largest response: the true roundings are one more draw like those that were made
STEPS = operators_where(lambda op: op.jumps == "to steps")  # operators whose result jumps between floats
_JUMP = 2.0**12  # roundings of an output's largest number: what one rounding moves further may have jumped


def signs(random: np.random.Generator, shape: tuple[int, ...], *, draw: Any = np.int8) -> Array:
    """-1.0 or 1.0 for each element.  ``draw`` is the integer type that the generator draws: another gives others."""
    return random.integers(0, 2, shape, dtype=draw) * 2.0 - 1.0


def moved(value: Array, random: np.random.Generator, *, roundings: float = 1.0, draw: Any = np.int8) -> Array:
    """Every number moved by so many unit roundoffs of float32, up or down; what is not float64 as it is."""
    if value.dtype != np.float64:
        return value
    return np.asarray(value * (1 + roundings * UNIT * signs(random, value.shape, draw=draw)))


def neighbour(value: float, sign: float) -> float:
    """The next float32 above (``sign`` > 0) or below: how a number moves that is held in float32."""
    return float(np.nextafter(np.float32(value), np.float32(np.inf if sign > 0 else -np.inf)))


def paired(pairs: int) -> Iterator[tuple[int, bool]]:
    """Draws by number, and whether each is the second of its pair."""
    return itertools.product(range(pairs), (False, True))


def turned(place: int, pair: int) -> bool:
    """Whether the second draw of a pair moves what has that number the other way."""
    return bool(place >> pair & 1)


def distance(one: Array, other: Array, *, infinite: float | None = None) -> Array:
    """Elementwise; 0 where one is NaN, and ``infinite`` (by default the largest number) where it is infinite."""
    with np.errstate(all="ignore"):
        return np.asarray(np.nan_to_num(np.abs(one - other), nan=0.0, posinf=infinite))


def largest_responses(
    centres: Mapping[str, Array], draws: Iterable[Mapping[str, Array]], *, infinite: float | None = None
) -> dict[str, Array]:
    """By name, how far each element is at most from its centre in any of the draws."""
    found = {name: np.zeros(centre.shape) for name, centre in centres.items()}
    for draw in draws:
        for name, centre in centres.items():  # of two 0-d arrays numpy makes a scalar
            found[name] = np.asarray(np.maximum(found[name], distance(draw[name], centre, infinite=infinite)))
    return found


def at_least_mean(response: Array) -> Array:
    """The response, and the mean where an element has none."""
    return np.where(response > 0, response, response.mean()) if response.size else response


def is_jump(response: Array, centre: Array, unit: float) -> Array:
    """Where the response to one rounding is so large, beside the largest number, that a jump may be why."""
    top = np.abs(centre[np.isfinite(centre)]).max(initial=0.0)
    return np.asarray(response > _JUMP * unit * top)
