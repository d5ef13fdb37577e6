"""Slice, Gather, Expand in normal form: places counted from the front and from the end, as far as sizes are known.

Design note.  An end of INT64_MAX, one of INT32_MAX and the size itself are one place, and so are an index of -1 and the
last one.  Where the size is not known only one of the two ways to count is there; so a place keeps both and what is
written (``diff.ir.Position``), and two are one if they agree in any of these.
"""

from __future__ import annotations

from collections.abc import Sequence

from onnx_triangulate.diff.builder import Builder, rule
from onnx_triangulate.diff.ir import Ints, Operand, Position, as_attribute, small_integers

_FAR = (1 << 31) - 1  # what exporters write for "to the end"


@rule("Slice")
def slice_(b: Builder, operands: Sequence[Operand]) -> Sequence[Operand] | None:
    names = ("starts", "ends", "axes", "steps")
    starts, ends, axes, steps = (b.integers(slot, name) for slot, name in enumerate(names, start=1))
    given = [*operands, None, None, None, None]
    rank = b.rank(operands[0])
    if axes is not None and rank is not None:
        if any(not -rank <= axis < rank for axis in axes):
            return None
        axes = tuple(axis % rank for axis in axes)
    if starts is None or ends is None or _hidden(given[3], axes) or _hidden(given[4], steps):
        return _computed_slice(b, operands, given, steps)
    axes = tuple(range(len(starts))) if axes is None else axes
    steps = (1,) * len(starts) if steps is None else steps
    if not len(starts) == len(ends) == len(axes) == len(steps) == len(set(axes)) or 0 in steps:
        return None
    return _cut(b, operands, sorted(zip(axes, starts, ends, steps, strict=True)))


def _cut(b: Builder, operands: Sequence[Operand], written: Sequence[tuple[int, int, int, int]]) -> Sequence[Operand]:
    """A Slice of known places: axis, start, end and step of each cut, those left out that cut nothing off."""
    before = b.dims(operands[0])
    dims, cuts = dict(enumerate(before or ())), []
    for axis, start, end, step in written:
        size = dims.get(axis)
        first, last = _edge(start, step, size, True), _edge(end, step, size, False)
        if step == 1 and first.front == 0 and last.back == 0:
            continue
        cuts.append((axis, first, last, step))
        if axis in dims:
            dims[axis] = None if size is None else len(range(first.front or 0, last.front or 0, step))
    if not cuts:
        return operands[:1]
    held = dict(zip(("axes", "starts", "ends", "steps"), map(tuple, zip(*cuts, strict=True)), strict=True))
    if set(held["steps"]) == {1}:
        del held["steps"]  # the default
    return b.emit("Slice", held, operands[:1], [b.known(None if before is None else tuple(dims.values()))])


def _computed_slice(
    b: Builder, operands: Sequence[Operand], given: Sequence[Operand], steps: Ints | None
) -> Sequence[Operand]:
    """A Slice whose places are computed: the axes that are the default, and steps that are, are not told apart."""
    count = b.dims(given[1])
    if given[3] is None and count is not None and len(count) == 1 and count[0] is not None:
        b.held["axes"] = tuple(range(count[0]))
    kept = list(operands)
    if steps is not None and len(kept) > 4 and set(steps) <= {1}:
        kept[4] = None
    return b.generic(kept)


def _hidden(operand: Operand, value: Ints | None) -> bool:
    return operand is not None and value is None


def _edge(written: int, step: int, size: int | None, first: bool) -> Position:
    """Where a Slice starts or ends; backwards it ends at -1, in front of the first."""
    low, past = (0, 0) if step > 0 else (0 if first else -1, 1)
    if size is not None:
        front = min(max(written + size if written < 0 else written, low), size - past)
        return Position(written, front, front - size)
    if written >= _FAR:
        return Position(written, None, -past)
    if written < -_FAR:
        return Position(written, low, None)
    return Position(written, written, None) if written >= 0 else Position(written, None, written)


@rule("Gather", "GatherElements", "ScatterElements", "Scatter", least=2)
def indexed(b: Builder, operands: Sequence[Operand]) -> Sequence[Operand] | None:
    axis, dims, indices = b.held.get("axis", 0), b.dims(operands[0]), as_attribute(operands[1])
    if indices is None or not isinstance(axis, int):
        return None
    size = dims[axis] if dims is not None and -len(dims) <= axis < len(dims) else None
    places = tuple(_place(i, size) for i in (indices if isinstance(indices, tuple) else (indices,)))
    b.held["indices"] = places if isinstance(indices, tuple) else places[0]
    return b.generic([operands[0], None, *operands[2:]])


def _place(written: int, size: int | None) -> Position:
    if size is None or not -size <= written < size:
        return Position(written, written, None) if written >= 0 else Position(written, None, written)
    return Position(written, written % size, written % size - size)


@rule("Expand", least=2, most=2, computed=True)
def expand(b: Builder, operands: Sequence[Operand]) -> Sequence[Operand] | None:
    wanted, dims = small_integers(operands[1]), b.dims(operands[0])
    if wanted is None or dims is None:
        return None
    rank = max(len(dims), len(wanted))
    target, before = (1,) * (rank - len(wanted)) + wanted, (1,) * (rank - len(dims)) + dims
    made = tuple(d if t == 1 else t if d in (1, t) else None for t, d in zip(target, before, strict=True))
    if len(dims) == rank and all(t in (1, d) for t, d in zip(target, before, strict=True)):
        return operands[:1]
    shape = tuple(Position(t, d, None) for t, d in zip(target, made, strict=True))
    return b.emit("Expand", {"shape": shape}, operands[:1], [b.known(made)])
