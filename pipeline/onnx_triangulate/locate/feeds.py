"""What ``compare`` feeds two graphs: kinds of numbers, each drawn for what ordinary numbers never show.

Design note.  A feed is a recipe: a kind, the shapes of the inputs, a turn.  Its arrays are drawn from it alone, in
whatever process needs them (:func:`draw`), so a feed can be named, sent and drawn again.  The first three kinds, random
numbers, small integers (ties) and large ones (limits), are judged in float64 node by node.  The others are many and
cheap: both graphs run on them in their own types, and only what parts there is judged further.  Their kinds: halves and
constant rows (ties), numbers of one sign, tiny and far ones (limits, saturation, dead activations, sums of squares that
cancel), 0 of either sign, those around the constants that either graph holds (thresholds), the sizes of the inputs,
whole numbers over their whole type, every place of a table, small counts, every flag.  Three kinds are judged by rules
of their own (:data:`JUDGED`), because two right spellings part there: NaN; infinities, where an infinity less another
makes NaN; and numbers whose squares their type does not hold.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from onnx_triangulate.onnxgraph.nodes import printable
from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.errors import UnusableInput

KINDS = ("random", "integers", "large")
WHOLE = {"random": 9, "integers": 3, "large": 100}  # how far whole numbers are from 0 that are no places and no sizes
LARGE = 100  # times a number below 1: beyond the limits of activations, as pixels are
# A type does not hold their squares: by far more than any scale in front of them, but for float16, which has no room.
HUGE = {"float16": 1500.0, "float32": 1e22, "float64": 1e160}
JUDGED: Mapping[str, Literal["nan", "inf", "huge"]] = {
    "nan": "nan",
    "rows of nan": "nan",
    "infinities": "inf",
    "huge": "huge",
    "huge, one sign": "huge",
}
FROM_END = "places from the end"
REACHING = (FROM_END, "far above", "far below", "far", "around", "even", "flags", "counts")  # limits and thresholds
_LARGEST = float(np.finfo(np.float32).max)
ENDLESS = _LARGEST / 64  # a mask holds such numbers for infinities; two of them together have no sum
_FLOATS = ("float16", "float32", "float64")
_INTEGERS = tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))  # of four bits numpy has none
_SPREAD = (
    "halves",
    "zeros",
    "ones",
    "above zero",
    "below zero",
    "tiny",
    "tinier",
    "far",
    "far above",
    "far below",
    "farther",
    "farther above",
    "farther below",
    "offset",
    "spikes",
    "zero rows",
    "minus zero",
)
_AROUND = 12  # constants around which numbers are drawn, one by one
_COUNTS = (0, 1, 2, 3, 5, 8, 16)
_POWERS = [m + o for p in (8, 16, 24, 31, 53) for m in (2**p, -(2**p)) for o in (-1, 0, 1, 3)]  # where types end
_FLAGS = 64  # sets of flags: all where there are few, else each flag alone, all but each, and any
_FEW = 8  # numbers of an input that may be one size
_SIZED = 6  # sizes of inputs that are fed as numbers
_LONGEST = 2**16
_PLACES = 2**12  # of a table, each of which is taken
_TURNS = 48
_ALIKE = 6
_PAIRED = 5  # numbers of the graphs of which sums and quotients are taken


@dataclass(frozen=True)
class ValueInfo:
    """An input or output as a file declares it: numpy's name of its type, each axis a size, a name or nothing.

    ``below`` is what numbers of an input must stay below to be places in every table that it picks from; ``free`` says
    that nothing takes them, or what is made of them, for places or sizes, so that they may be negative; ``ended`` that
    they are places at most, which ONNX counts from the end where they are negative; ``divides`` that whole numbers are
    divided by them, so that none is 0: ONNX does not say what that is, and a runtime may die of it.
    """

    name: str
    dtype: str
    shape: tuple[int | str | None, ...] | None
    below: int | None = None
    free: bool = False
    ended: bool = False
    divides: bool = False

    @property
    def whole(self) -> bool:
        return self.dtype.startswith(("int", "uint")) and self.dtype[-1].isdigit()


@dataclass(frozen=True)
class Landmarks:
    """The numbers that a graph holds one by one or in short rows (``numbers``, ``whole``), and the lengths of what it
    holds (``lengths``): values and sizes at which it may do something else; at its ``limits``, largest first, it does.
    """

    numbers: tuple[float, ...] = ()
    whole: tuple[int, ...] = ()
    lengths: tuple[int, ...] = ()
    limits: tuple[int, ...] = ()

    def joined(self, other: Landmarks) -> Landmarks:
        return Landmarks(
            tuple(dict.fromkeys(self.numbers + other.numbers)),
            tuple(dict.fromkeys(self.whole + other.whole)),
            tuple(sorted({*self.lengths, *other.lengths})),
            tuple(sorted({*self.limits, *other.limits}, reverse=True)),
        )


@dataclass(frozen=True)
class Feed:
    """One set of arrays to be drawn.  ``sized`` says at which sizes other than those of the first feeds."""

    kind: str
    shapes: Mapping[str, tuple[int, ...]]
    turn: int = 0
    sized: str = ""

    @property
    def name(self) -> str:
        return self.kind + (f" at {self.sized}" if self.sized else "")


Shapes = Mapping[str, tuple[int, ...]]


def drawn_kinds(ports: Sequence[ValueInfo], shapes: Shapes, landmarks: Landmarks) -> Iterator[Feed]:
    """The feeds beyond the first three, at the same sizes, the cheapest to the most special."""
    flags = sum(p.dtype == "bool" for p in ports)
    yield from _turns("flags", shapes, min(2**flags, _FLAGS) if flags else 0)
    if any(_may_be_size(p, shapes[p.name]) for p in ports):
        yield from _turns("sizes", shapes, len(_sizes(shapes)))
    whole = [p for p in ports if p.whole]
    floats = [p for p in ports if p.dtype in _FLOATS]
    if whole:
        yield from _whole_kinds(whole, shapes, landmarks)
    if floats:
        yield from (Feed(kind, shapes) for kind in _SPREAD)
        if not whole and len(floats) > 1:
            yield from _turns("alike", shapes, _ALIKE)
        yield from _around_kinds(floats, shapes, landmarks)
        yield from (Feed(kind, shapes, turn) for kind in JUDGED for turn in range(2))


def _turns(kind: str, shapes: Shapes, count: int) -> Iterator[Feed]:
    return (Feed(kind, shapes, turn) for turn in range(count))


def _whole_kinds(whole: Sequence[ValueInfo], shapes: Shapes, landmarks: Landmarks) -> Iterator[Feed]:
    """Small counts, every place of a table, places from the end, and whole numbers over their whole type."""
    yield from _turns("counts", shapes, len(_near_whole(whole, landmarks)))
    longest = max(-(-min(p.below or 0, _PLACES) // _size(shapes[p.name])) for p in whole)
    yield from _turns("places", shapes, min(longest, _PLACES))
    if any(p.ended and not p.free for p in whole):
        yield from _turns(FROM_END, shapes, 2 + min(longest, _TURNS))
    if any(p.free for p in whole):
        yield from (Feed(kind, shapes, turn) for kind in ("wide", "beyond") for turn in range(2))
    if len(whole) > 1:
        yield from _turns("alike", shapes, _ALIKE)


def _around_kinds(floats: Sequence[ValueInfo], shapes: Shapes, landmarks: Landmarks) -> Iterator[Feed]:
    """Numbers at and around those that the graphs hold."""
    yield from _turns("halves of parts", shapes, min(len(_parts(landmarks)), _AROUND))
    near = _near(landmarks)
    if near:
        size = max(1, min(int(np.prod(shapes[p.name])) for p in floats))
        yield from _turns("around", shapes, min(_AROUND, -(-len(near) // size)) + 1)
        yield from _turns("even", shapes, min(len(near), 3 * _AROUND))


def draw(feed: Feed, ports: Sequence[ValueInfo], landmarks: Landmarks, seed: int) -> dict[str, Array]:
    """The arrays of a feed by A's names.  Raises :class:`UnusableInput` for a type of which no numbers are drawn."""
    place = KINDS.index(feed.kind) if feed.kind in KINDS else len(KINDS) + sum(feed.kind.encode()) + 10_000 * feed.turn
    flags = itertools.count()
    among = sum(p.dtype == "bool" for p in ports)
    arrays = {}
    for number, port in enumerate(ports):
        random = np.random.default_rng([seed, 0 if feed.kind == "alike" else number, place])
        shape = feed.shapes[port.name]
        if port.dtype == "bool":
            drawn: Array | None = _flag(feed, shape, random, next(flags), among)
        else:
            drawn = _numbers(feed, port, shape, random, landmarks)
        if drawn is None:
            raise UnusableInput(
                f"input {printable(said(port))}: numbers of this type are not drawn; give --inputs FILE.npz"
            )
        if feed.kind == "alike" and port.dtype != "bool":
            drawn = _apart(drawn, port, number + feed.turn // 2 if number else 0)
        arrays[port.name] = np.where(drawn == 0, np.array(1, port.dtype), drawn) if port.divides else drawn
    return arrays


def _numbers(
    feed: Feed, port: ValueInfo, shape: tuple[int, ...], random: np.random.Generator, landmarks: Landmarks
) -> Array | None:
    """Numbers of an input's type; None where none are drawn of it."""
    if feed.kind == "sizes" and _may_be_size(port, shape):
        size = _sizes(feed.shapes)[feed.turn]
        most = port.below - 1 if port.below is not None else np.iinfo(port.dtype).max if port.whole else size
        return np.full(shape, min(size, most), port.dtype)
    if port.whole and port.dtype in _INTEGERS:
        return _whole(feed, port, shape, random, landmarks)
    if port.dtype in _FLOATS:
        with np.errstate(all="ignore"):
            return np.asarray(_float(feed, shape, random, landmarks, HUGE[port.dtype])).astype(port.dtype)
    return None


def said(port: ValueInfo) -> str:
    """A port in words, as its file declares it."""
    shape = "[...]" if port.shape is None else "[" + ",".join("?" if d is None else str(d) for d in port.shape) + "]"
    return f"{port.name} {port.dtype}{shape}"


def _apart(values: Array, port: ValueInfo, number: int) -> Array:
    """What several inputs have in common, of all but the first some of it one step off: equal, next, and the next."""
    if not number:
        return values
    steps = np.resize(np.roll([0, 1, -1], number), values.shape).astype(np.int64)
    if not port.whole:
        ends = np.where(steps > 0, np.inf, -np.inf).astype(values.dtype)
        return np.where(steps == 0, values, np.nextafter(values, ends))
    held = np.iinfo(port.dtype)
    low, high = (int(held.min), int(held.max)) if port.free else (0, (port.below or 2) - 1)
    wide = values.astype(object)  # of no axes, comparing gives a Python bool
    room = np.asarray((wide + steps >= low) & (wide + steps <= high), bool)
    return np.where(room, values + steps.astype(port.dtype), values).astype(port.dtype)


def _size(shape: tuple[int, ...]) -> int:
    return max(1, int(np.prod(shape)))


def _may_be_size(port: ValueInfo, shape: tuple[int, ...]) -> bool:
    """Whether an input is drawn as one size or another: whole numbers, or so few that they may be anything."""
    return port.whole or (port.dtype in _FLOATS and _size(shape) <= _FEW)


def _sizes(shapes: Shapes) -> list[int]:
    """What graphs may compute of sizes and compare with a number: how many elements an input has, and along its axes,
    with what stands beside."""
    found = [_size(shape) for shape in shapes.values()] + [n for shape in shapes.values() for n in shape]
    found = [n for n in dict.fromkeys(found) if 1 < n <= _LONGEST][:_SIZED]
    return list(dict.fromkeys(v for n in found for v in (n, n + 1, n - 1)))


def _flag(feed: Feed, shape: tuple[int, ...], random: np.random.Generator, number: int, among: int) -> Array:
    """An input of flags: all sets of them where there are few inputs, else each alone, all but each, and any."""
    if feed.kind in ("zeros", "nan"):
        return np.zeros(shape, bool)
    if feed.kind != "flags":
        return random.integers(0, 2, shape).astype(bool)
    which, but = divmod(feed.turn - 2, 2)
    if 2**among <= _FLAGS:
        flag = bool(feed.turn >> number & 1)
    elif feed.turn < 2:
        flag = bool(feed.turn)
    else:
        flag = (which == number) != bool(but) if which < among else bool(random.integers(0, 2))
    return np.full(shape, flag)


def _whole(
    feed: Feed, port: ValueInfo, shape: tuple[int, ...], random: np.random.Generator, landmarks: Landmarks
) -> Array:
    held = np.iinfo(port.dtype)
    lowest = int(held.min) + (1 if held.min else 0)  # of the very lowest there is no positive; its division kills
    from_end = feed.kind == FROM_END and port.ended and not port.free
    if feed.kind == "counts":
        most = held.max if port.below is None else port.below - 1
        near = [v for v in _near_whole([port], landmarks) if lowest <= v <= most] or [0]
        return np.full(shape, near[feed.turn % len(near)], port.dtype)
    if from_end or (feed.kind == "places" and port.below):
        return _places(feed, port, shape, random)
    if port.free and feed.kind == "wide":
        return random.integers(lowest, held.max, shape, dtype=port.dtype, endpoint=True)
    if port.free and feed.kind in ("beyond", "alike"):
        least = 2**24 if feed.kind == "alike" and feed.turn % 2 == 0 and held.max > 2**24 else 0
        marked = [m for m in _POWERS if lowest <= m <= held.max and abs(m) >= least]
        return random.choice(np.array(marked, object), shape).astype(port.dtype)
    reach = WHOLE.get(feed.kind, 9)
    low, end = (-reach, reach + 1) if port.free else (0, max(1, port.below or 2))
    return random.integers(max(low, held.min), min(end, int(held.max) + 1), shape).astype(port.dtype)


def _places(feed: Feed, port: ValueInfo, shape: tuple[int, ...], random: np.random.Generator) -> Array:
    """Every place of a table in its turn, from the start or from the end."""
    count = int(np.prod(shape))
    if feed.kind == "places":
        return ((np.arange(count) + feed.turn * count) % (port.below or 1)).reshape(shape).astype(port.dtype)
    below = max(1, port.below or 2)
    if feed.turn < 2:  # both signs together, then one
        return random.integers(-below, 0 if feed.turn else below, shape).astype(port.dtype)
    return ((np.arange(count) + (feed.turn - 2) * count) % below - below).reshape(shape).astype(port.dtype)


def _float(feed: Feed, shape: tuple[int, ...], random: np.random.Generator, landmarks: Landmarks, huge: float) -> Array:
    if feed.kind == "integers":
        return random.integers(-3, 4, shape)
    unit = random.uniform(-1, 1, shape)
    near = _near(landmarks) or [0.0]
    if feed.kind == "around":
        rolled = np.roll(near, -feed.turn * max(1, unit.size))
        return np.resize(rolled, shape) if feed.turn % 2 else random.choice(near, shape)
    if feed.kind == "even":
        return np.full(shape, near[feed.turn % len(near)])
    if feed.kind == "halves of parts":
        return random.integers(-8, 9, shape) / 2 * _parts(landmarks)[feed.turn]
    several = max(0.2, 1.5 / max(1, unit.size))
    made: dict[str, Callable[[], Array]] = {
        "large": lambda: unit * LARGE,
        "alike": lambda: random.integers(-8, 9, shape) * 0.5 if feed.turn % 2 else unit * 10.0**feed.turn,
        "halves": lambda: random.integers(-8, 9, shape) / 2,
        "zeros": lambda: np.zeros(shape),
        "ones": lambda: np.ones(shape),
        "above zero": lambda: np.abs(unit),
        "below zero": lambda: -np.abs(unit),
        "tiny": lambda: unit * 1e-3,
        "tinier": lambda: unit * 1e-6,
        "far": lambda: unit * 1e4,
        "far above": lambda: np.abs(unit) * 1e4,
        "far below": lambda: -np.abs(unit) * 1e4,
        "farther": lambda: unit * 1e8,
        "farther above": lambda: np.abs(unit) * 1e8,
        "farther below": lambda: -np.abs(unit) * 1e8,
        "offset": lambda: 1000 + unit,
        "spikes": lambda: np.where(random.uniform(size=shape) < several, unit * 1e3, 0.0),
        "zero rows": lambda: _rows(unit, 0.0),
        "minus zero": lambda: np.copysign(0.0, unit),
        "nan": lambda: _strewn(unit, (np.nan,), feed.turn, random),
        "rows of nan": lambda: _rows(unit, np.nan),
        "infinities": lambda: _strewn(unit, (np.inf, -np.inf), feed.turn, random),
        "huge": lambda: unit * huge,
        "huge, one sign": lambda: np.abs(unit) * huge,
    }
    return made[feed.kind]() if feed.kind in made else unit


def _strewn(unit: Array, values: Sequence[float], turn: int, random: np.random.Generator) -> Array:
    """Each of some values at a few places, however few there are: where there is but one, the values take turns."""
    flat = unit.reshape(-1)
    count = max(1, flat.size // 8) * len(values)
    places = random.permutation(flat.size)[: min(count, max(1, flat.size - 1))]
    flat[places] = np.resize(np.roll(values, turn), places.size)
    return flat.reshape(unit.shape)


def _rows(unit: Array, value: float) -> Array:
    """Every second row of the last axis, or every second number where there is one row."""
    if unit.ndim and unit.size:
        if unit.ndim == 1:
            unit[::2] = value
        else:
            unit.reshape(-1, unit.shape[-1] or 1)[::2] = value
    return unit


def _near(landmarks: Landmarks) -> list[float]:
    """The numbers that the graphs hold, those on both sides of them, and what a few of them are together."""
    found = [v for n in landmarks.numbers for v in (n, n - 1, n + 1, n * 0.5, n * 2, -n, n * 4)]
    for one, other in itertools.permutations(landmarks.numbers[:_PAIRED], 2):
        found += [one + other / 2, one - other / 2, one * other, *([one / other] if other else [])]
    return list(dict.fromkeys(v for v in found if abs(v) <= _LARGEST))


def _parts(landmarks: Landmarks) -> list[float]:
    """The steps of which a graph makes whole ones by a factor that it holds."""
    found = [v for n in landmarks.numbers if n for v in (1 / n, n)]
    return [v for v in dict.fromkeys(found) if 1e-6 < abs(v) < 1e6 and abs(v) != 1]


def _near_whole(ports: Sequence[ValueInfo], landmarks: Landmarks) -> list[int]:
    free, below = any(p.free for p in ports), max((p.below or 0 for p in ports), default=0)
    found = [*_COUNTS, *(v for n in landmarks.whole for v in (n, n - 1, n + 1))]
    found += [-v for v in _COUNTS] if free else []
    found += [below - 1] if below else []
    return list(dict.fromkeys(v for v in found if free or v >= 0))[:_TURNS]
