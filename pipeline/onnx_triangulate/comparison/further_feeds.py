"""Everything beyond the first feeds: other sizes, other kinds of numbers, places where an answer changes, and what none
of them exercised."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from onnx_triangulate.comparison.feed_judgement import is_judged, take_faults
from onnx_triangulate.comparison.feed_selection import by_kind, further_sizes
from onnx_triangulate.comparison.outputs import compared_outputs, is_odd
from onnx_triangulate.comparison.session import Evidence, Session
from onnx_triangulate.diff.equivalence import Proof
from onnx_triangulate.locate import special_values, sweep
from onnx_triangulate.locate.feeds import FROM_END, JUDGED, KINDS, REACHING, Feed, drawn_kinds
from onnx_triangulate.locate.float32_runs import NodeReplay
from onnx_triangulate.locate.sweep import Row
from onnx_triangulate.locate.teacher_forced import TeacherForcedResult
from onnx_triangulate.locate.unexercised_constants import find_unexercised
from onnx_triangulate.records import npz
from onnx_triangulate.records.graph_comparison import ComparedOutput
from onnx_triangulate.records.runs import Failure
from onnx_triangulate.records.text import safe

SWEEP, SEARCH = 20.0, 10.0  # seconds of a worker's processor for further feeds, and for a search
LAST = 90.0  # seconds by the clock for what is looked at closer, of which there are so many at most
FIRST = 4  # other sizes that come before other kinds of numbers
CLOSER = 8  # further feeds that are looked at closer
_WHOLE_KINDS = ("counts", "places", FROM_END, "wide", "beyond", "alike", "flags", "sizes")
_CANCELLING = ("tiny", "tinier", "offset")  # small beside what they are added to: how a function is written counts
_EACH = 2
_WORDS = {"nan": "NaN", "inf": "infinities", "huge": "numbers whose squares their type does not hold"}


def judge_further(session: Session, proof: Proof, base: Mapping[str, tuple[int, ...]], found: Evidence) -> None:
    """Feed both graphs what the first feeds, of shapes ``base``, do not show."""
    sized = further_sizes(session, base)
    kinds = list(drawn_kinds(session.a.inputs, base, session.pair.landmarks))
    rows = _swept(session, [*sized[:FIRST], *kinds, *sized[FIRST:]], found)
    ran = [r for r in rows if r.state in ("equal", "close", "apart")]
    _count(found, rows, ran, bool(sized))
    _judge_rows(session, proof, rows, found)
    _judge_halves(session, ran, found)
    if found.differs():
        return
    found.problems += _unchanging(session, proof, base, ran, found)
    _show(session, [r.feed for r in ran], found)
    if found.differs():
        return
    usual = [Feed(kind, base) for kind in KINDS] + [r.feed for r in ran if r.feed.kind not in JUDGED]
    _judge_boundaries(session, proof, usual, found)
    if not found.differs():
        _measure(session, proof, [*usual, *(r.feed for r in ran if r.feed.kind == "nan")], found)


def _count(found: Evidence, rows: Sequence[Row], ran: Sequence[Row], sized: bool) -> None:
    """On what both graphs ran, and on what not."""
    for row in ran:
        found.swept[row.feed.kind] += 1
    found.sizes += [r.feed.sized for r in ran if r.feed.sized]
    if sized and not any(r.feed.sized for r in rows if r.state != "refused by A"):
        found.unexercised.append("sizes: A itself runs at no other size that was tried")
    skipped = [r.feed.name for r in rows if r.state == "not run"]
    if skipped:
        found.unexercised.append(f"no time was left for {len(skipped)} feeds: {', '.join(dict.fromkeys(skipped))}")


def _swept(session: Session, feeds: Sequence[Feed], found: Evidence) -> list[Row]:
    """Both graphs on all feeds; where that kills the worker, on a part of them at a time."""

    def ask(some: Sequence[Feed], part: int, seconds: float) -> Any:
        return session.call(sweep.sweep, session.pair, some, session.folder / f"sweep-{part}", seconds)

    rows, lost = sweep.in_parts(ask, feeds, min(SWEEP, session.options.timeout / 6))
    found.unexercised += lost
    return rows


def _judge_rows(session: Session, proof: Proof, rows: Sequence[Row], found: Evidence) -> None:
    """What parts on further feeds: at a special kind by its own rule, else as the first feeds are judged."""
    for row in (row for row in rows if row.state == "refused by B"):
        if row.feed.kind == FROM_END:
            found.notes.append(f"B does not run on {FROM_END}, as A does: {row.message}")
        else:
            found.differences.append(f"B does not run on {safe(row.feed.name)}, where A does: {row.message}")
    infinite = [r for r in rows if r.state == "close" and JUDGED.get(r.feed.kind) == "inf" and r.message]
    found.unexercised += [
        f"on {_WORDS['inf']}, {safe(row.message)}; a NaN that infinities make is not held against either"
        for row in infinite[:1]
    ]
    apart = [r for r in rows if r.state == "apart" and r.arrays is not None]
    for row in (row for row in apart if row.feed.kind in JUDGED):
        _judge_special(session, proof, row, found)
    usual = sorted((r for r in apart if r.feed.kind not in JUDGED), key=lambda r: -r.score)
    started = time.monotonic()
    for number, row in enumerate(usual[:CLOSER]):
        if found.differs() or (number and time.monotonic() - started > LAST):
            break
        _judge_row(session, row, found)


def _judge_special(session: Session, proof: Proof, row: Row, found: Evidence) -> None:
    """What parts on NaN, on infinities or on huge numbers."""
    rule = JUDGED[row.feed.kind]
    says = session.call(special_values.confirmed, session.pair, row, rule)
    if isinstance(says, Failure):
        found.unexercised.append(f"{row.feed.name}: apart in the graphs' own types, and no float64 value says why")
    elif says and rule == "nan" and proof.nan_is_open:
        found.notes.append(f"on NaN, {safe(says)}; ONNX does not say where NaN stands among numbers")
    elif says:
        (found.nans if rule == "nan" else found.differences).append(f"on {_WORDS[rule]}, {safe(says)}")
    else:
        found.notes.append(f"on {_WORDS[rule]} the runs part, the meaning does not: {safe(row.message)}")


def _judge_row(session: Session, row: Row, found: Evidence) -> None:
    """One further feed on which the runs part: in float64, and where that finds nothing, by what A's roundings do."""
    assert row.arrays is not None
    arrays = npz.load(row.arrays)
    result = session.in_float64(arrays)
    result = found.without_cancelled(result) if isinstance(result, TeacherForcedResult) else result
    if isinstance(result, TeacherForcedResult) and result.faults:
        found.result = result
        take_faults(found, result, safe(row.feed.name))
        return
    session.save_feeds(arrays)
    runs = {side: NodeReplay(outputs=files) for side, files in zip("AB", row.outputs, strict=True)}
    exact = is_judged(session, result)
    for part in compared_outputs(session, runs, exact=exact):
        _judge_output(session, row, part, found, exact)


def _judge_output(session: Session, row: Row, part: ComparedOutput, found: Evidence, exact: bool) -> None:
    """One output on a further feed on which float64 names no node."""
    says = f"on {safe(row.feed.name)} inputs, {part.problem or safe(row.message)}"
    odd = is_odd(part, session.whole_outputs)
    if part.outcome == "diverges":
        if not found.faults or (odd and found.kernels_are_finite()):  # else a kernel that departs does that
            _judge_diverging(session, row, part, found, says)
    elif part.outcome == "rounding" and part.problem and row.feed.kind in _CANCELLING and not found.faults:
        found.problems.append(f"on {safe(row.feed.name)} inputs, {part.problem}")
    elif part.outcome == "unbounded" and row.score > sweep.APART and not found.faults:
        if exact and not odd:  # as a normalization of numbers that are all one
            found.notes.append(f"{says}; in float64 they are the same there")
        else:
            found.problems.append(f"{says}, with no known bound")


def _judge_diverging(session: Session, row: Row, part: ComparedOutput, found: Evidence, says: str) -> None:
    """An output beyond its bound: at a jump float64 has to say so as well."""
    exact = part.right in session.whole_outputs and row.feed.kind in _WHOLE_KINDS
    jumps = session.jumps or row.feed.kind == "where an answer changes"
    if exact or not jumps or is_odd(part, session.whole_outputs):
        found.differences.append(says)
    elif sure := session.call(special_values.confirmed, session.pair, row, "exact"):
        name = safe(row.feed.name)
        found.differences.append(says if isinstance(sure, Failure) else f"on {name} inputs, {safe(sure)}")
    else:
        found.notes.append(f"{says}; in float64 they are the same there")


def _judge_halves(session: Session, ran: Sequence[Row], found: Evidence) -> None:
    """Sixteen bits on numbers whose squares they do not hold, evaluated: a runtime that has no kernel for them computes
    in more, and neither overflows where the other side does."""
    if not any(p.dtype == "float16" for p in session.a.inputs):
        return
    for feed in [r.feed for r in ran if JUDGED.get(r.feed.kind) == "huge"]:
        if found.differs():
            return
        says = session.call(special_values.overflowed, session.pair, feed)
        if says and not isinstance(says, Failure):
            found.differences.append(f"on {_WORDS['huge']}, {safe(says)}")


def _unchanging(
    session: Session, proof: Proof, base: Mapping[str, tuple[int, ...]], ran: Sequence[Row], found: Evidence
) -> list[str]:
    """The whole outputs that no structure proves and that are one number on everything that was fed, in words: there
    any constant would agree with A."""
    still = sweep.one_answer(proof, ran)
    if still and ran:
        still = sweep.one_answer(proof, [*ran, *_swept(session, [Feed(kind, base) for kind in KINDS], found)])
    return [
        f"{safe(name)} of A is {answer} on everything that was fed: nothing shows what changes it"
        for name, answer in still.items()
    ]


def _show(session: Session, feeds: Sequence[Feed], found: Evidence) -> None:
    """What the first feeds did not show, on further ones, which reach limits and thresholds: on one of them at least a
    value has to be A's where the difference would be seen."""
    started = time.monotonic()
    for kind in REACHING:
        if not found.unseen() or time.monotonic() - started > LAST:
            return
        for feed in [f for f in feeds if f.kind == kind][:_EACH]:
            result = session.in_float64(session.pair.draw(feed), tuple(found.unseen().values()))
            if isinstance(result, Failure):
                continue
            result = found.without_cancelled(result)
            if result.faults:
                found.result = result
                take_faults(found, result, feed.name)
                return
            if result.compared and result.alignment.pairs:
                found.add(result)


def _judge_boundaries(session: Session, proof: Proof, usual: Sequence[Feed], found: Evidence) -> None:
    """Both sides of the places between two feeds where a whole output of A changes."""
    if not any(p.dtype == "bool" or p.whole for p in session.a.outputs):
        return
    if not any(p.dtype.startswith("float") for p in session.a.inputs):
        return
    walked = session.call(sweep.boundaries, session.pair, usual[:24], session.folder / "walks", SEARCH)
    if isinstance(walked, Failure):
        found.unexercised.append(f"places where an answer changes: the search ended in {walked.kind}")
        return
    seen, places = walked
    _judge_rows(session, proof, places, found)
    if not seen and not found.differs():
        found.unexercised.append("no two feeds were found between which a whole output of A changes")


def _measure(session: Session, proof: Proof, feeds: Sequence[Feed], found: Evidence) -> None:
    """The constants and conditions that no structure proves and no feed exercised."""
    both = bool(proof.left.limits and proof.right.limits)
    for side, unproved in (("A", proof.left), ("B", proof.right)):
        arguments = (session.pair, side, unproved, by_kind(feeds), session.folder, SEARCH, both)
        said = session.call(find_unexercised, *arguments)
        if isinstance(said, Failure):
            found.problems.append(f"the constants of {side} that are not the other's: moving them ended in {said.kind}")
            continue
        quiet, late = said
        found.problems += map(safe, quiet)
        found.unexercised += map(safe, late)
