"""The outputs in the graphs' own types: floats within what both may be off by the arithmetic of either."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np

from onnx_triangulate.comparison.interface import PLAIN
from onnx_triangulate.comparison.session import WORKER, Session
from onnx_triangulate.locate.float32_runs import NodeReplay, count_roundings, float32_room
from onnx_triangulate.numerics.compare import Comparison, compare
from onnx_triangulate.onnxgraph.dataflow import Orientation
from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.graph_comparison import ComparedOutput
from onnx_triangulate.records.text import safe

# Of the largest number of an output: roundings that leave less than two digits of it.  It turns a "same" that would
# rest on such an output into "uncompared", and does nothing else.
_SWALLOWED = 0.02
_ORDER = ("equal", "rounding", "unbounded", "missing", "diverges")
_FLOAT64 = 2.0**-29  # its unit roundoff over that of float32


def compared_outputs(session: Session, runs: Mapping[str, NodeReplay], *, exact: bool) -> list[ComparedOutput]:
    """Every output of both runs; ``exact``: float64 has judged how far the graphs are apart (:func:`_room`)."""
    rows = []
    for name, (source, way) in session.outputs.found.items():
        matched = "by position" if "by position" in session.outputs.how.get(name, "") else "by name"
        files = runs["A"].outputs.get(source), runs["B"].outputs.get(name)
        if files[0] is None or files[1] is None:
            rows.append(ComparedOutput(source, name, matched, "missing", 0, problem="one side has no value"))
            continue
        a, b = (np.load(file, allow_pickle=False) for file in files if file is not None)
        with contextlib.suppress(ValueError):  # shapes that do not fit are the comparer's to report
            a = way.apply(a)
        seen = compare({name: a}, {name: b}, {})
        outcome, says = str(seen.outcome), seen.problem
        if outcome == "missing" and seen.compared:  # no bound was given: both are floats, and apart
            bounded = _within_room(session, a, b, (source, name, way), exact)
            seen, outcome, says = (seen, "unbounded", says) if bounded is None else (bounded, *_said(name, a, bounded))
        if outcome == "diverges" and says is None and seen.values is not None:
            says = f"{safe(name)} is {seen.values[0]:g} in A and {seen.values[1]:g} in B, in the graphs' own types"
        if way.perm is not None and not session.turned and outcome != "missing":
            outcome = "diverges"
            says = f"{safe(name)} of B has the {way.says} of A's, while every input stands as A's does"
        rows.append(ComparedOutput(source, name, matched, outcome, seen.compared, seen.max_abs, says))  # type: ignore[arg-type]
    return rows


def _within_room(
    session: Session, a: Array, b: Array, which: tuple[str, str, Orientation], exact: bool
) -> Comparison | None:
    """Two float outputs against what roundings may do to them; None where nobody can say."""
    name, unit = which[1], _FLOAT64 if a.dtype == np.float64 else 1
    room = _room(session, *which, exact=exact)
    if room is None:
        return None
    allowed = room * unit
    seen = compare({name: a}, {name: b}, {name: allowed}, zero_sign_open=True)
    kernels = _room(session, *which, exact=exact, fused=True) if seen.outcome == "diverges" else None
    if kernels is not None:
        seen = compare({name: a}, {name: b}, {name: np.maximum(allowed, kernels * unit)}, zero_sign_open=True)
    return seen


def _said(name: str, a: Array, seen: Comparison) -> tuple[str, str | None]:
    """The outcome of floats that have a bound, and what is to be said of it."""
    apart = f"{safe(name)} is apart by {seen.max_abs:.3g} in the graphs' own types"
    largest = float(np.abs(a[np.isfinite(a)]).max(initial=0.0))
    if seen.outcome == "rounding" and (seen.max_abs or 0.0) > _SWALLOWED * largest and a.dtype.itemsize > 2:
        return seen.outcome, (
            f"{apart} where A's largest is {largest:.3g}: A's own roundings leave no digit to compare"
        )
    if seen.outcome == "diverges":
        far = "and nothing is rounded there"
        if math.isfinite(seen.ratio or 0):
            far = f"{seen.ratio:.3g} times what roundings inside of either can do"
        return seen.outcome, f"{apart}, {far}"
    return seen.outcome, None


def worse(one: ComparedOutput, other: ComparedOutput) -> ComparedOutput:
    """What is said of an output holds on every feed: the worse of two."""
    return max(one, other, key=lambda row: (_ORDER.index(row.outcome), row.max_abs or 0.0))


def is_odd(part: ComparedOutput, whole: Collection[str]) -> bool:
    """Whether floats part at more than a distance: NaN, or an infinity, against a number."""
    return part.right not in whole and (part.max_abs is None or not math.isfinite(part.max_abs))


def finite_outputs(run: NodeReplay) -> set[str]:
    """The outputs that hold a finite number, or anything that is no float, or nothing at all."""
    arrays = {name: np.load(file, allow_pickle=False) for name, file in run.outputs.items()}
    return {n for n, v in arrays.items() if v.dtype.kind not in "fc" or not v.size or bool(np.isfinite(v).any())}


def _room(
    session: Session, source: str, name: str, way: Orientation, *, exact: bool = False, fused: bool = False
) -> Array | None:
    """How far an output may be apart in float32, in B's order of axes; None where nobody can say.

    The smaller of what roundings inside of either graph do to it, twice: one that amplifies them is no licence for
    itself, whichever side it stands on.  Not so a function of several steps in one kernel (``fused``), whose formula
    nobody prescribes, and which is held against its own bound: there it is the larger.  ``exact``: float64 has judged
    how far apart the two are there (a constant that one side has rounded), so that is no news; nor is that each rounds
    its result, and what it computes of constants.
    """
    pair = session.pair
    rooms = [
        _rooms(session, (pair.left, "A", source), (pair.right, "B"), way, fused),
        _rooms(session, (pair.right, "B", name), (pair.left, "A"), PLAIN, fused),
    ]
    found, meant, own = zip(*(known for known in rooms if known), strict=True) if any(rooms) else ((), (), ())
    if len(found) < 2:
        return 2 * found[0] if found else None
    amplified = 2 * (np.maximum(*found) if fused else np.minimum(*found))
    if not exact:
        return np.asarray(amplified)
    with np.errstate(invalid="ignore"):
        return np.asarray(amplified + np.nan_to_num(np.abs(np.subtract(*meant)) + sum(own), nan=0.0, posinf=0.0))


def _rooms(
    session: Session, mine: tuple[Path, str, str], other: tuple[Path, str], way: Orientation, fused: bool
) -> list[Array]:
    """What ``locate.float32_runs.float32_room`` says of an output of one side, in B's order of axes; nothing where
    that side cannot be taken apart, or counted."""
    file, side, output = mine
    try:
        also = session.workers.call(WORKER, count_roundings, other[0], session.folder / f"{other[1]}.npz")
        also = also if isinstance(also, int) else 0  # of a fused operator nobody knows: as many as this side has
        feeds, where = session.folder / f"{side}.npz", session.folder / f"room-{side}"
        rooms = session.workers.call(WORKER, float32_room, file, feeds, (output,), also, where, fused)
    except Exception:  # nobody can say
        return []
    made = rooms.get(output, ()) if isinstance(rooms, dict) else ()
    return [way.apply(np.load(each, allow_pickle=False)) for each in made]
