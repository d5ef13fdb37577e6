"""Which pixels a sliding window reads: the arithmetic of padding, free of graphs.

Design note.  A :class:`Window` is one node in numbers; ``None`` is unknown and stays so through every formula.  With
dk = (k-1)*d + 1, n the input's size and B, E the padding in all (the node's own and that of a Pad folded into it):

* outputs: (n + B + E - dk) // s + 1; with ``ceil_mode`` rounded up, less a window that would begin beyond n + B.
* unread: (n + B + E - dk) mod s of the last padded columns; where that is more than E, the input's own last ones too.
* SAME: ceil(n / s) outputs need (ceil(n / s) - 1) * s + dk - n, which depends on n only through n mod s.  That is why
  an unknown size still gives an answer by residues, and often one answer.
* the centre of the first window lies at (dk-1)/2 - B, in input pixels (of a ConvTranspose: in output pixels).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from onnx_triangulate.cases.same_padding import same_total, split_pads
from onnx_triangulate.onnxgraph.nodes import Dims

Ints = tuple[int, ...]
Sides = tuple[int, int]

POOLS = ("MaxPool", "AveragePool", "LpPool")
_MOST_RESIDUES = 16
_NAMES = {1: ("length",), 2: ("height", "width"), 3: ("depth", "height", "width")}


class Unknown(Exception):
    """What keeps the padding from being known; ``condition`` is what it depends on, where that can be said."""

    def __init__(self, says: str, condition: str = "") -> None:
        super().__init__(says)
        self.condition = condition


@dataclass(frozen=True)
class Window:
    """One sliding-window node in numbers, per spatial axis; ``None`` is unknown.

    ``like`` is the ONNX operator whose window ``op`` slides.  ``begin``/``end`` as in ``records.graphs.Pads``;
    ``extra`` is what a ConvTranspose adds after, so that its output is s*(in-1) + dk + extra - begin - end; ``before``
    is what a constant Pad node in front adds (begin, end); ``size`` is the input's spatial shape in front of that Pad.
    ``filler`` is what a MaxPool's padding is in Python, where that is not -inf; ``agreed`` says that runtimes agree on
    the outputs, so that they can be spelled; ``condition`` as in ``Pads``.
    """

    node: str
    op: str
    auto_pad: str
    kernel: Ints | None = None
    strides: Ints | None = None
    dilations: Ints | None = None
    begin: Ints | None = None
    end: Ints | None = None
    extra: Ints | None = None
    before: tuple[Ints, Ints] | None = None
    size: Dims | None = None
    note: str = ""
    like: str = ""
    ceil: bool = False
    counted: bool = False
    filler: str = ""
    agreed: bool = True
    condition: str = ""
    group: int = 1

    @cached_property
    def total(self) -> tuple[Ints, Ints] | None:
        """Begin and end with those of a folded Pad."""
        if self.begin is None or self.end is None:
            return None
        if self.before is None:
            return self.begin, self.end
        first, last = self.before
        return (
            tuple([a + b for a, b in zip(self.begin, first, strict=True)]),
            tuple([a + b for a, b in zip(self.end, last, strict=True)]),
        )

    @cached_property
    def spans(self) -> Ints | None:
        """dk, per axis: from a window's first to its last pixel."""
        if self.kernel is None or self.dilations is None:
            return None
        return tuple([(k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations, strict=True)])

    @cached_property
    def output(self) -> Dims | None:
        """The output's spatial shape by the formula, per axis where it is known."""
        both, spans = self.total, self.spans
        if both is None or spans is None or self.strides is None or self.size is None:
            return None
        if self.like == "MaxUnpool":
            return None
        sizes: list[int | None] = []
        for axis, size in enumerate(self.size):
            s = self.strides[axis]
            if size is None:
                sizes.append(None)
            elif self.like == "ConvTranspose":
                add = self.extra[axis] if self.extra is not None else 0
                sizes.append(s * (size - 1) + spans[axis] + add - both[0][axis] - both[1][axis])
            else:
                last = both[1][axis]
                own = self.end[axis] if self.end is not None else 0
                count = self.windows_in(axis, size + both[0][axis], last, last - own)
                sizes.append(count)
        return tuple(sizes)

    def windows_in(self, axis: int, upto: int, end: int, folded: int) -> int | None:
        """How many windows fit where the input ends at ``upto`` and is followed by ``end``, of which ``folded`` belongs
        to it as far as ``ceil_mode`` is concerned; ``None`` where runtimes do not agree or none fits."""
        if self.spans is None or self.strides is None:
            return None
        room, s = upto + end - self.spans[axis], self.strides[axis]
        if room < 0:
            return None
        count = room // s + 1
        if not self.ceil or self.auto_pad.startswith("SAME") or room % s == 0:
            return count
        if count * s >= upto + folded:
            return count
        # The specification rounds VALID down whatever ceil_mode says, ONNX Runtime rounds it up.
        return None if self.auto_pad == "VALID" else count + 1

    @cached_property
    def unread(self) -> Dims | None:
        """Per axis how many of the last padded columns no window reads; ``None`` where that is not known."""
        return self._beyond(-1)

    @cached_property
    def overhang(self) -> Dims | None:
        """Per axis how far the last window of a pool in ``ceil_mode`` reaches beyond the padded input."""
        return self._beyond(1)

    def _beyond(self, sign: int) -> Dims | None:
        both, spans = self.total, self.spans
        if both is None or spans is None or self.strides is None or self.like in ("ConvTranspose", "MaxUnpool"):
            return None
        outputs = self.output or (None,) * len(spans)
        found: list[int | None] = []
        for axis, s in enumerate(self.strides):
            size, count = (self.size or outputs)[axis], outputs[axis]
            if size is None or count is None:
                found.append(0 if s == 1 and size is None else None)
            else:
                reached = (count - 1) * s + spans[axis] - size - both[0][axis] - both[1][axis]
                found.append(max(0, sign * reached))
        return tuple(found)

    @property
    def offset(self) -> tuple[float, ...] | None:
        """Where the first window's centre lies, per axis: (dk-1)/2 - begin."""
        both, spans = self.total, self.spans
        if both is None or spans is None or self.like == "MaxUnpool":
            return None
        return tuple((span - 1) / 2 - begin for span, begin in zip(spans, both[0], strict=True))


def same(size: int | None, stride: int, span: int, upper: bool, pool: bool = False) -> Sides:
    """What SAME pads before and after.  Raises :class:`Unknown` where that depends on an unknown size."""
    if stride == 1:
        return split_pads(span - 1, upper)
    if size is None:
        if stride > span and pool:
            raise Unknown(_SIZE)
        # span - stride + t in all, where t < stride is what the size lacks of a multiple of the stride.
        least, most = max(0, span - stride), max(0, span - 1)
        if least != most:
            raise Unknown(_SIZE)
        return split_pads(most, upper)
    total = same_total(size, stride, span)
    if total < 0 and pool:
        raise Unknown(
            "the window is smaller than the stride: SAME asks for a negative padding, on which runtimes do not agree"
        )
    return split_pads(max(0, total), upper)


_SIZE = "the input's size is not known"


def axis_name(axis: int, count: int) -> str:
    return _NAMES[count][axis] if count in _NAMES else f"spatial axis {axis}"


def by_residue(name: str, modulus: int, answer: Callable[[int], str]) -> str:
    """``height even: A, odd: B``, or ``height ≡ 0 (mod 3): A, ≡ 1, 2: B``: an answer that depends on size mod s."""
    if modulus == 1:
        return f"{name} of any size: {answer(0)}"
    found: dict[str, list[int]] = {}
    for residue in range(modulus):
        found.setdefault(answer(residue), []).append(residue)
    if len(found) == 1:
        return f"{name} of any size: {answer(0)}"
    if modulus == 2:
        return f"{name} even: {answer(0)}, odd: {answer(1)}"
    said = [(", ".join(str(r) for r in residues), text) for text, residues in found.items()]
    head, *rest = said
    return ", ".join([f"{name} ≡ {head[0]} (mod {modulus}): {head[1]}", *(f"≡ {r}: {text}" for r, text in rest)])


def same_condition(size: Dims, strides: Ints, spans: Ints, upper: bool, pool: bool) -> str:
    """What SAME pads (before, after), axis by axis, as a condition on the size; it holds for every size from 1 on."""
    said = []
    for axis, (n, stride, span) in enumerate(zip(size, strides, spans, strict=True)):
        name = axis_name(axis, len(spans))

        def answer(residue: int, stride: int = stride, span: int = span) -> str:
            try:
                return str(same(residue or stride, stride, span, upper, pool))
            except Unknown:
                return "not defined"

        if n is not None:
            said.append(f"{name} {n}: {answer(n % stride)}")
        elif stride > _MOST_RESIDUES:
            side = "after" if upper else "before"
            rule = f"max(0, {span - stride} + (-{name} mod {stride})) in all, the odd one {side}"
            said.append(f"{name}: {rule}")
        else:
            said.append(by_residue(name, stride, answer))
    return "; ".join(said)


def unread_condition(window: Window) -> str:
    """How many of the last columns are never read, as a condition on the sizes that are not known."""
    both, spans, strides, unread = window.total, window.spans, window.strides, window.unread
    if both is None or spans is None or strides is None or unread is None or window.ceil:
        return ""
    said = []
    for axis, (stride, known) in enumerate(zip(strides, unread, strict=True)):
        size = (window.size or unread)[axis]
        if known is not None or size is not None or stride > _MOST_RESIDUES:
            continue
        room = both[0][axis] + both[1][axis] - spans[axis]
        name = axis_name(axis, len(spans))
        least = f", from {-room} on" if -room > 1 else ""

        def answer(residue: int, room: int = room, stride: int = stride) -> str:
            return str((residue + room) % stride)

        said.append(by_residue(name, stride, answer) + least)
    return f"never read at the end: {'; '.join(said)}" if said else ""


def cut_condition(size: Dims, strides: Ints, rests: Sequence[int]) -> str:
    """What a ConvTranspose with ``output_shape`` cuts in all: strides * size + rest, as far as the size is unknown."""
    said = []
    for axis, (n, stride, rest) in enumerate(zip(size, strides, rests, strict=True)):
        name = axis_name(axis, len(size))
        if n is not None:
            said.append(f"{name} {n}: {stride * n + rest} in all")
        else:
            said.append(f"{name}: {stride} * {name} {'-' if rest < 0 else '+'} {abs(rest)} in all")
    return "; ".join(said)
