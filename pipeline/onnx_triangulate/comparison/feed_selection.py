"""What two graphs are fed: the first sets of arrays, the sizes of open axes, and further sizes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from onnx_triangulate.comparison.interface import PLAIN, axis_pairs, fits
from onnx_triangulate.comparison.session import Evidence, Session
from onnx_triangulate.locate import sweep
from onnx_triangulate.locate.feeds import KINDS, Feed, ValueInfo, said
from onnx_triangulate.locate.model_interface import Interface
from onnx_triangulate.locate.sizes import guesses, keys, open_axes, other_sizes, shapes_at
from onnx_triangulate.records import npz
from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.errors import UnusableInput
from onnx_triangulate.records.runs import Failure
from onnx_triangulate.records.text import safe

_KILLED = 3  # sizes at which the runtime may die


def first_feeds(session: Session, found: Evidence) -> dict[str, dict[str, Array]]:
    """The first sets of arrays by A's names: the user's own, or one of each of the first kinds.

    Raises :class:`UnusableInput` where the user's do not fit, or no sizes are known at which A runs.
    """
    options = session.options
    if options.inputs is not None:
        return {"user": _given(options.inputs, session.a, options.memory)}
    shapes = _shapes(session, found)
    sets = {kind: session.pair.draw(Feed(kind, shapes)) for kind in KINDS}
    return sets if session.a.inputs else {"no inputs": {}}


def _shapes(session: Session, found: Evidence) -> dict[str, tuple[int, ...]]:
    """The inputs' shapes as A declares them, completed by ``--dim``, by what B declares, and by sizes at which A runs.

    Raises :class:`UnusableInput` where that is not enough.
    """
    ports = session.a.inputs
    _refuse_shapes(session)
    sizes = _known_sizes(session)
    lacking = [k for k in open_axes(ports) if k not in sizes]
    if not lacking:
        return shapes_at(ports, sizes)
    tried = list(guesses(ports, sizes))
    shapes = [shapes_at(ports, each) for each in tried]
    answer = first_that_runs(session, [Feed("random", each) for each in shapes])
    if isinstance(answer, str):
        raise _runs_nowhere(ports, lacking, answer)
    chosen = tried[answer]
    found.notes.append(f"sizes that nobody gave: {', '.join(f'{safe(k)}={chosen[k]}' for k in lacking)}")
    return shapes[answer]


def _runs_nowhere(ports: Sequence[ValueInfo], lacking: Sequence[str], answer: str) -> UnusableInput:
    """That A runs at no size of the axes ``lacking`` one, and what to give instead."""
    port = next(p for p in ports if any(k in lacking for k in keys(p)))
    named = [k for k in lacking if any(k in (p.shape or ()) for p in ports)]
    remedy = "".join(f"--dim {safe(k)}=N " for k in named) + "or " if named else ""
    return UnusableInput(
        f"input {safe(said(port))}: its shape is not settled by the file, and A runs at no size that was tried "
        f"({safe(answer)}); give {remedy}--inputs FILE.npz"
    )


def _refuse_shapes(session: Session) -> None:
    """Raise :class:`UnusableInput` where an input's declared shape cannot be fed."""
    for port in session.a.inputs:
        if port.shape is None:
            raise UnusableInput(f"input {safe(said(port))}: its rank is not declared; give --inputs FILE.npz")
        if any(isinstance(d, int) and d < 0 for d in port.shape):
            raise UnusableInput(f"input {safe(said(port))}: an axis has a negative size, which no array has")
        # float64 holds each feed, too; and of an array without numbers the other axes still have to fit
        least = 8 * math.prod(max(d, 1) for d in port.shape if isinstance(d, int))
        if least > session.options.memory:
            raise UnusableInput(
                f"input {safe(said(port))}: {least / 2**30:.3g} GiB in float64, over the limit of "
                f"{session.options.memory / 2**30:.3g} GiB; --memory gives it more"
            )


def _known_sizes(session: Session) -> dict[str, int]:
    """The sizes of A's open axes that the user gave, or B declares."""
    dims = session.options.dims
    sizes = {k: dims[k] for k in open_axes(session.a.inputs) if k in dims}
    for axis in axis_pairs(session.a, session.b, session.inputs):
        held = dims.get(axis.theirs) if isinstance(axis.theirs, str) else axis.theirs
        if isinstance(axis.key, str) and held is not None and not axis.turned:
            sizes.setdefault(axis.key, held)
    return sizes


def first_that_runs(session: Session, feeds: Sequence[Feed]) -> int | str:
    """The number of the first feed that A runs on, or why it runs on none; what kills the runtime is left out."""
    says: list[str] = []
    for start in range(_KILLED):
        answer = session.call(sweep.first_that_runs, session.pair, feeds[start:])
        if isinstance(answer, int):
            return start + answer
        if not isinstance(answer, Failure):
            return says[0] if says else str(answer)
        says.append(f"the run ended in {answer.kind}: {answer.message}")
    return says[0]


def _given(file: Path, a: Interface, memory: int) -> dict[str, Array]:
    """The user's arrays, held strictly to what A declares."""
    who = f"--inputs {safe(file)}"
    arrays = npz.load(file, who, memory=memory // 8)
    wanted = {p.name: p for p in a.inputs}
    if set(arrays) != set(wanted):
        raise UnusableInput(
            f"{who}: holds {', '.join(map(safe, sorted(arrays))) or 'nothing'}; "
            f"expected {', '.join(safe(said(p)) for p in a.inputs) or 'nothing'}"
        )
    for name, value in arrays.items():
        port = wanted[name]
        shape = port.shape if port.shape is not None else value.shape
        if value.dtype.name != port.dtype or len(shape) != value.ndim or not fits(shape, value.shape):
            raise UnusableInput(f"{who}: {safe(name)} is {value.dtype}{list(value.shape)}, expected {safe(said(port))}")
    return arrays


def further_sizes(session: Session, base: Mapping[str, tuple[int, ...]]) -> list[Feed]:
    """Feeds at other sizes of the axes that both files leave open and nobody fixed."""
    ports, landmarks = session.a.inputs, session.pair.landmarks
    known = {k: n for p in ports for k, n in zip(keys(p), base[p.name], strict=True) if isinstance(k, str)}
    fixed = set(session.options.only)  # and what B takes one size of only
    axes = (axis for axis in axis_pairs(session.a, session.b, session.inputs) if isinstance(axis.theirs, int))
    fixed |= {axis.key for axis in axes if isinstance(axis.key, str)}
    moving = [k for k in known if k not in fixed]
    return [
        Feed("random", shapes_at(ports, sizes), sized=", ".join(f"{safe(k)}={sizes[k]}" for k in moving))
        for sizes in other_sizes(ports, known, moving, landmarks.lengths, landmarks.limits)
    ]


def only_sizes(session: Session) -> tuple[dict[str, tuple[int, ...]], ...]:
    """The shapes of A's inputs and of B's, where B takes one size of everything that A is fed; else nothing."""
    mine: dict[str, tuple[int, ...]] = {}
    theirs: dict[str, tuple[int, ...]] = {}
    for port in session.b.inputs:
        source, way = session.inputs.found[port.name]
        sizes = tuple(d for d in port.shape or () if isinstance(d, int))
        if port.shape is None or len(sizes) < len(port.shape) or way != PLAIN:
            return ()
        mine[source] = theirs[port.name] = sizes
    return (mine, theirs) if set(mine) == {p.name for p in session.a.inputs} else ()


def by_kind(feeds: Sequence[Feed]) -> list[Feed]:
    """One feed of every kind first, and the one at which an axis is longest; then the others."""
    first: dict[str, Feed] = {}
    for feed in feeds:
        first.setdefault(f"{feed.kind} {bool(feed.sized)}", feed)
    axes = [(name, axis) for name, shape in (feeds[0].shapes.items() if feeds else ()) for axis in range(len(shape))]
    for name, axis in axes:
        longest = max(feeds, key=lambda feed: feed.shapes[name][axis])  # asked for at once
        if longest.sized:
            first[f"longest {longest.sized}"] = longest
    leading = list({id(feed): feed for feed in first.values()}.values())
    return [*leading, *(f for f in feeds if not any(f is other for other in leading))]
