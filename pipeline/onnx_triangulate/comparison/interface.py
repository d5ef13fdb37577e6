"""Which input and output of one graph is which of another, and how its axes stand there.

Design note.  A name is a meaning: what both graphs name alike is one, an output whatever its shape.  The rest is
taken by position among what has one type and shape, or one order of axes that layouts have.  A size that one side
leaves open is the other's, unless the user asked for another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from onnx_triangulate.locate.feeds import ValueInfo
from onnx_triangulate.locate.feeds import said as _said
from onnx_triangulate.locate.model_interface import Interface
from onnx_triangulate.locate.sizes import keys
from onnx_triangulate.locate.teacher_forced import Ways
from onnx_triangulate.onnxgraph.dataflow import Orientation
from onnx_triangulate.records.errors import UnusableInput
from onnx_triangulate.records.text import safe

PLAIN = Orientation()
_LAYOUTS = ((0, 2, 3, 1), (0, 3, 1, 2), (0, 2, 1), (0, 2, 3, 4, 1), (0, 4, 1, 2, 3))


@dataclass(frozen=True)
class Match:
    """B's inputs, or outputs, with A's: the name in A, how to turn A's value, and how the two were found."""

    found: Ways
    how: Mapping[str, str]


def match(
    left: Sequence[ValueInfo], right: Sequence[ValueInfo], what: str, dims: Mapping[str, int], *, strict: bool
) -> Match:
    """B's inputs or outputs by A's: by name (an output of that name is it, whatever its shape), else by position among
    those of one type and shape.

    Raises :class:`UnusableInput` (``strict``) where one has no counterpart.
    """
    names = {p.name: p for p in left}
    found: dict[str, tuple[str, Orientation]] = {}
    how: dict[str, str] = {}
    for port in (p for p in right if p.name in names):
        # an output's name is its meaning: what shape and type it has there is compared
        way = _way(names[port.name], port, dims) or (None if strict else PLAIN)
        if way is not None:
            found[port.name] = (port.name, way)
            how[port.name] = f"{safe(port.name)}: {way.says} between A and B" if way != PLAIN else ""
    rest = [p for p in left if p.name not in found]
    for port in (p for p in right if p.name not in found):
        other, way = next(((p, way) for p in rest if (way := _way(p, port, dims)) is not None), (None, PLAIN))
        if other is None and strict:
            raise UnusableInput(f"{what}: {_without_counterpart(port, names, dims)}")
        if other is not None:
            rest.remove(other)
            found[port.name] = (other.name, way)
            turned = f", {way.says}" if way != PLAIN else ""
            how[port.name] = f"{safe(port.name)} of B taken for {safe(other.name)} of A by position{turned}"
    if strict and rest and len(left) != len(right):
        how["\0left"] = f"{', '.join(safe(_said(p)) for p in rest)} of A only: B does not take it"
    return Match(found, how)


def _without_counterpart(port: ValueInfo, names: Mapping[str, ValueInfo], dims: Mapping[str, int]) -> str:
    """Why an input of B is none of A's, in words."""
    own = names.get(port.name)
    if own is None:
        listed = ", ".join(safe(_said(p)) for p in names.values()) or "none"
        return (
            f"B's {safe(_said(port))} has no counterpart in A, which has {listed}; "
            "they must agree in name or in type and shape"
        )
    return _asked_elsewise(own, port, dims) or (
        f"{safe(_said(port))} of B is {safe(_said(own))} in A: they must agree in type and, where both say it, in shape"
    )


def _asked_elsewise(left: ValueInfo, right: ValueInfo, dims: Mapping[str, int]) -> str:
    """Which of one side's sizes the user asked for as another than the other side takes, in words; else nothing."""
    if left.shape is None or right.shape is None or len(left.shape) != len(right.shape):
        return ""
    axes = list(zip(left.shape, right.shape, strict=True))
    for mine, theirs, side in [*((a, b, "B") for a, b in axes), *((b, a, "A") for a, b in axes)]:
        if isinstance(mine, str) and isinstance(theirs, int) and dims.get(mine, theirs) != theirs:
            return f"{side} takes {safe(mine)} of {safe(right.name)} as {theirs} only; {dims[mine]} was asked for"
    return ""


def _way(left: ValueInfo, right: ValueInfo, dims: Mapping[str, int]) -> Orientation | None:
    """How A's value becomes B's, if their declared types and shapes allow it at all."""
    if left.dtype != right.dtype:
        return None
    if left.shape is None or right.shape is None:
        return PLAIN
    if len(left.shape) != len(right.shape):
        return None
    a, b = (tuple(dims.get(d, d) if isinstance(d, str) else d for d in s) for s in (left.shape, right.shape))
    if fits(a, b):
        return PLAIN
    for perm in _LAYOUTS:
        if len(perm) == len(a) and fits(tuple(a[axis] for axis in perm), b):
            return Orientation(perm=perm)
    return None


def fits(a: Sequence[int | str | None], b: Sequence[int | str | None]) -> bool:
    return all(x == y or not isinstance(x, int) or not isinstance(y, int) for x, y in zip(a, b, strict=True))


def lacking(a: Interface, b: Interface, outputs: Match) -> list[str]:
    taken = {source for source, _ in outputs.found.values()}
    only = [("A", p) for p in a.outputs if p.name not in taken]
    only += [("B", p) for p in b.outputs if p.name not in outputs.found]
    return [f"output {safe(_said(port))} of {side} has no counterpart and was not compared" for side, port in only]


def fixed(a: Interface, b: Interface, inputs: Match, dims: Mapping[str, int]) -> list[str]:
    """The sizes that A leaves open and B takes one of only, unless the user asked for that size."""
    said = []
    for each in axis_pairs(a, b, inputs):
        mine, theirs = each.mine, each.theirs
        if each.turned or isinstance(mine, int) or not isinstance(theirs, int) or (mine is not None and mine in dims):
            continue
        what = f"{safe(mine)} of" if mine else f"axis {each.axis} of"
        how = f"--dim {safe(mine)}={theirs}" if mine else "--inputs FILE.npz"
        said.append(
            f"B takes {what} input {safe(each.input)} as {theirs} only, which A leaves open; {how} asks for just that"
        )
    return said


@dataclass(frozen=True)
class AxisPair:
    """An axis of an input of B and the one of A's that it is: the sizes that each declares, the ``key`` by which A's is
    known (``locate.sizes.keys``), and whether the input is turned between the two."""

    input: str
    axis: int
    key: int | str
    mine: int | str | None
    theirs: int | str | None
    turned: bool


def axis_pairs(a: Interface, b: Interface, inputs: Match) -> Iterator[AxisPair]:
    """The axes of all inputs that declare them in both files."""
    for name, (source, way) in inputs.found.items():
        one, other = a.input(source), b.input(name)
        if one.shape is not None and other.shape is not None:
            axes = way.perm or range(len(one.shape))
            for place, (axis, theirs) in enumerate(zip(axes, other.shape, strict=False)):
                yield AxisPair(name, place, keys(one)[axis], one.shape[axis], theirs, way != PLAIN)
