"""The sizes of open axes at which ``compare`` feeds two graphs.

Design note.  A size that a rewriting baked into a Reshape, a Slice, a table or a scale is right at that size alone, so
what both files leave open is fed at several sizes: one more, one, twice as many, and those of the numbers and tables
that either graph holds, each axis alone and all together.  A limit (a table's rows, what caps a range or ends a slice)
is tried at one and at two more, because places are counted from 0; what else is open is 1 there if need be, so that the
arrays stay small.  Axes that share a name move together.  At which sizes A runs is A's to say: what it refuses says
nothing against B.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from onnx_triangulate.locate.feeds import ValueInfo

_MOST = 28  # sets of sizes
_AT_LIMITS = 24  # further ones
_LONG = 1025**2  # elements of an input at a limit: one more than a table of 1024 by 1024 has
_ELEMENTS = 2**22  # of an input; and so many times those of the first sizes, where these are not small
_SMALL, _TIMES = 2**15, 4
_LONGEST = 2048
_GUESSES = (3, 2, 4, 8, 16, 32, 64, 5, 7, 12, 128, 224, 1)


def keys(port: ValueInfo) -> tuple[int | str, ...]:
    """Each axis as its size or what its size is known by: its name, or the input's and its number."""
    return tuple(d if isinstance(d, int) else d or f"{port.name}[{axis}]" for axis, d in enumerate(port.shape or ()))


def shapes_at(ports: Sequence[ValueInfo], sizes: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
    return {p.name: tuple(k if isinstance(k, int) else sizes[k] for k in keys(p)) for p in ports}


def open_axes(ports: Sequence[ValueInfo]) -> list[str]:
    """What the sizes of open axes are known by, in order."""
    return list(dict.fromkeys(k for p in ports for k in keys(p) if isinstance(k, str)))


def guesses(ports: Sequence[ValueInfo], known: Mapping[str, int]) -> Iterator[dict[str, int]]:
    """Sizes for all open axes, where ``known`` leaves some without: a batch of two, the others all alike or not."""
    lacking = [k for k in open_axes(ports) if k not in known]
    first = {k for p in ports for k in keys(p)[:1] if isinstance(k, str)}
    for size in _GUESSES:
        yield {**known, **{k: 2 if k in first and len(lacking) > 1 else size for k in lacking}}
        yield {**known, **dict.fromkeys(lacking, size)}


def other_sizes(
    ports: Sequence[ValueInfo],
    base: Mapping[str, int],
    moving: Sequence[str],
    lengths: Sequence[int],
    limits: Sequence[int] = (),
) -> list[dict[str, int]]:
    """Sizes other than ``base`` of the axes in ``moving``; ``lengths`` are those that the graphs hold, ``limits`` what
    these may reach, which come right after the first."""
    if not moving:
        return []
    whole = [{**base, **sizes} for sizes in _moved(base, moving, [n for n in lengths if 1 < n <= _LONGEST])]
    most = min(_ELEMENTS, max(_SMALL, _TIMES * _largest(ports, base)))
    fitting = [sizes for sizes in whole if _largest(ports, sizes) <= most]
    beyond = list(_beyond(ports, base, moving, limits))[:_AT_LIMITS]
    first, rest = fitting[: len(moving) + 1], fitting[len(moving) + 1 :]
    kept = [dict(items) for items in dict.fromkeys(tuple(sizes.items()) for sizes in (*first, *beyond, *rest))]
    return [sizes for sizes in kept if sizes != dict(base)][: _MOST + len(beyond)]


def _moved(base: Mapping[str, int], moving: Sequence[str], longer: Sequence[int]) -> Iterator[dict[str, int]]:
    """One more, one, twice as many and those that the graphs hold, of each axis alone and of all together."""
    yield from ({k: base[k] + 1} for k in moving)
    yield from (dict.fromkeys(moving, 1), {k: 2 * base[k] + 1 for k in moving})
    yield from ({k: base[k] + 1 + place for place, k in enumerate(moving)}, {k: base[k] + 1 for k in moving})
    yield {k: 2 * base[k] for k in moving}
    yield from ({k: 1} for k in moving)
    yield from ({k: 2 * base[k]} for k in moving)
    yield from ({k: n + more} for k in moving for n in reversed(longer) for more in (1, 0) if n >= base[k])
    yield from ({k: base[k] - 1} for k in moving if base[k] > 2)
    yield from (dict.fromkeys(moving, n + more) for n in longer for more in (0, 1))


def _beyond(
    ports: Sequence[ValueInfo], base: Mapping[str, int], moving: Sequence[str], limits: Sequence[int]
) -> Iterator[dict[str, int]]:
    """Sizes at which a limit is reached, the largest limits first; the other axes at 1 where that were too much."""
    for limit in limits:
        for key in moving:
            for size in (limit + 2, limit + 1, limit):
                if base[key] < size and limit <= _LONGEST:
                    several = [{**base, **others, key: size} for others in ({}, {k: 1 for k in moving if k != key})]
                    yield from [sizes for sizes in several if _largest(ports, sizes) <= _LONG][:1]


def _largest(ports: Sequence[ValueInfo], sizes: Mapping[str, int]) -> int:
    return max((int(np.prod(shape)) for shape in shapes_at(ports, sizes).values()), default=0)
