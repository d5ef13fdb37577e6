"""Two graphs that should mean the same: borders matched, both run, and every node named at which they part.

Design note.  There is no native run here, so no side is the truth: ``B`` is judged by ``A``.  Meaning is compared in
float64, where a fault stands out from 1e-13 of rounding (``locate.teacher_forced``), on random feeds, on small
integers, because random numbers rarely tie, and on large numbers, because small ones reach no limit; feeds of the
user's own replace them.  Arithmetic is compared in the graphs' own types: each node of each graph, as the runtime runs
it with its optimizations off, is held against the bound of its operator, and the outputs against what roundings inside
of the better of the two may do to them.  A kernel beyond its bound is named and says nothing of what the graphs mean.
A graph that could not be run, an output without a counterpart, a size that only A takes, a constant, an attribute or an
inner graph that differs where nothing shows it, random numbers, nothing compared: never "same".
"""

from __future__ import annotations

import contextlib
import functools
import math
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from onnx_triangulate.comparison.interface import PLAIN, Match, fits, fixed, lacking, match
from onnx_triangulate.diff.equivalence import Proof
from onnx_triangulate.engines.installed import installed
from onnx_triangulate.engines.workers import Workers
from onnx_triangulate.locate import float32_runs, model_interface
from onnx_triangulate.locate import float64_comparison as tasks
from onnx_triangulate.locate import sweep as sweeps
from onnx_triangulate.locate.feeds import (
    FROM_END,
    JUDGED,
    KINDS,
    REACHING,
    Feed,
    Landmarks,
    ValueInfo,
    draw,
    drawn_kinds,
)
from onnx_triangulate.locate.feeds import said as _said
from onnx_triangulate.locate.float32_runs import NodeReplay
from onnx_triangulate.locate.model_interface import Interface
from onnx_triangulate.locate.sizes import guesses, keys, open_axes, other_sizes, shapes_at
from onnx_triangulate.locate.sweep import Row
from onnx_triangulate.locate.teacher_forced import SILENT, TeacherForcedResult
from onnx_triangulate.locate.unexercised import Unseen
from onnx_triangulate.numerics.compare import compare
from onnx_triangulate.onnxgraph.dataflow import Orientation
from onnx_triangulate.onnxgraph.nodes import message
from onnx_triangulate.records import npz
from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.errors import UnusableInput
from onnx_triangulate.records.faults import DifferingConstant, Fault
from onnx_triangulate.records.graph_comparison import ComparedOutput, GraphComparison
from onnx_triangulate.records.runs import Failure
from onnx_triangulate.records.text import safe
from onnx_triangulate.report.words import count, figure
from onnx_triangulate.report.words import pair as two

WORKER = "graphs"
SWEEP, SEARCH = 20.0, 10.0  # seconds of a worker's processor for further feeds, and for a search
LAST = 90.0  # seconds by the clock for what is looked at closer, of which there are so many at most
FIRST = 4  # other sizes that come before other kinds of numbers
_KILLED = 3  # sizes at which the runtime may die
CLOSER = 8  # further feeds that are looked at closer
# Of the largest number of an output: roundings that leave less than two digits of it.  It turns a "same" that would
# rest on such an output into "uncompared", and does nothing else.
_SWALLOWED = 0.02
_WHOLE_KINDS = ("counts", "places", FROM_END, "wide", "beyond", "alike", "flags", "sizes")
_CANCELLING = ("tiny", "tinier", "offset")  # small beside what they are added to: how a function is written counts
_EACH = 2
_WORDS = {"nan": "NaN", "inf": "infinities", "huge": "numbers whose squares their type does not hold"}
_NAMED = 4  # constants


@dataclass(frozen=True)
class Options:
    """``inputs`` is an ``.npz`` file; ``dims`` gives named axes a size, those of ``only`` no other.

    ``timeout`` is in seconds, ``memory`` in bytes.
    """

    inputs: Path | None = None
    dims: Mapping[str, int] = field(default_factory=dict)
    only: frozenset[str] = frozenset()
    seed: int = 0
    timeout: float = 120
    memory: int = 8 * 2**30


def compare_files(left: Path, right: Path, options: Options | None = None) -> GraphComparison:
    """Compare ``right`` (B) with ``left`` (A).

    Raises ``UnusableInput`` where a file, its inputs or a dimension cannot be used.
    """
    options = options or Options()
    folder = Path(tempfile.mkdtemp(prefix="triangulate-"))
    try:
        with Workers(jobs=1, timeout=options.timeout, memory=options.memory, logs=folder / "logs") as workers:
            return compare_with(workers, left, right, options, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def compare_with(workers: Workers, left: Path, right: Path, options: Options, folder: Path) -> GraphComparison:
    """As :func:`compare_files`, by workers that are there already; what is written goes to ``folder``."""
    return _compare(_Asked(workers), left, right, options, folder, time.perf_counter())


@dataclass
class _Found(Unseen):
    """What is known so far: what speaks against B, what stands open, and on how much it rests."""

    faults: list[Fault] = field(default_factory=list)
    parted: list[str] = field(default_factory=list)  # differences that no node stands for
    nans: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    on_feeds: dict[str, list[str]] = field(default_factory=dict)  # problems, with the first feeds that have them
    notes: list[str] = field(default_factory=list)
    unexercised: list[str] = field(default_factory=list)
    outputs: list[ComparedOutput] = field(default_factory=list)
    finite: set[str] = field(default_factory=set)
    meant: TeacherForcedResult | None = None
    worst: float = 0.0
    compared: int = 0
    judged: int = 0
    unbounded: int = 0
    held: int = 0
    parts: bool = False
    swept: dict[str, int] = field(default_factory=dict)
    sizes: list[str] = field(default_factory=list)

    def on(self, feed: str, *problems: str) -> None:
        for problem in problems:
            self.on_feeds.setdefault(problem, []).append(feed)

    def kernels_are_finite(self) -> bool:
        """Whether no kernel that departs makes NaN or an infinity of what means a number, so that none explains it."""
        return all(
            math.isfinite(v) for g in self.faults if g.party != "B" for v in (g.expected, g.actual) if v is not None
        )

    def differs(self) -> bool:
        meant = any(g.party == "B" for g in self.faults)
        return bool(meant or self.parted or (self.parts and not self.faults))


@dataclass(frozen=True)
class _Pair:
    """Both files as they are compared, and who compares them."""

    workers: _Asked
    left: Path
    right: Path
    a: Interface
    b: Interface
    inputs: Match
    outputs: Match
    options: Options
    folder: Path

    @property
    def marks(self) -> Landmarks:
        return self.a.landmarks.joined(self.b.landmarks)

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What a function gives in a worker; a :class:`Failure` where it dies or a runtime refuses."""
        call: Callable[..., Any] = self.workers.call
        try:
            return call(WORKER, function, *arguments)
        except UnusableInput:
            raise
        except Exception as error:  # a runtime's or an evaluator's refusal, whatever its type
            return Failure("refused", message(error))


def _compare(
    workers: _Asked, left: Path, right: Path, options: Options, folder: Path, started: float
) -> GraphComparison:
    names = left, right
    both = [_staged(workers, file, folder / side) for file, side in ((left, "left"), (right, "right"))]
    left, right = both
    borders = []
    for file in (left, right):
        try:
            border = workers.call(WORKER, model_interface.read_interface, file.absolute())
        except UnusableInput:
            raise
        except Exception as error:  # a graph that nobody has thought of
            says = f"{type(error).__name__}: {' '.join(str(error).split())}"
            raise UnusableInput(f"{safe(file)}: this tool fails to read the graph: {safe(says)}") from error
        if isinstance(border, Failure):
            raise UnusableInput(f"{safe(file)}: reading it ended in {border.kind}: {safe(border.message)}")
        borders.append(border)
    a, b = borders
    named = {d for side in borders for p in side.inputs for d in p.shape or () if isinstance(d, str)}
    for name in options.dims:
        if name not in named:
            listed = ", ".join(map(safe, sorted(named))) or "none"
            raise UnusableInput(f"--dim {safe(name)}: no input has an axis of that name; there is {listed}")
    if options.dims and options.inputs is not None:
        raise UnusableInput("--dim and --inputs: the arrays have sizes of their own; give one of the two")
    inputs = match(a.inputs, b.inputs, "inputs", options.dims, strict=True)
    outputs = match(a.outputs, b.outputs, "outputs", options.dims, strict=False)
    a = replace(a, inputs=tuple(_together(port, b, inputs) for port in a.inputs))
    pair = _Pair(workers, left, right, a, b, inputs, outputs, options, folder)
    found = _Found()
    found.notes += [
        f"{kind} {said}" for kind, m in (("input", inputs), ("output", outputs)) for said in m.how.values() if said
    ]
    found.problems += lacking(a, b, outputs)
    if options.inputs is None:
        found.problems += fixed(a, b, inputs, options.dims)
    found.problems += [
        f"{side}: {said} draws random numbers, and an output depends on them"
        for side, said in (("A", a.drawn), ("B", b.drawn))
        if said
    ]
    asked = left.absolute(), right.absolute(), dict(inputs.found), dict(outputs.found)
    proof = pair.call(sweeps.proof, *asked, _only_sizes(pair))
    if not isinstance(proof, Proof):  # to run a graph at its only sizes may take more than there is
        proof = pair.call(sweeps.proof, *asked)
    proved = isinstance(proof, Proof) and proof.same and not found.problems
    try:
        feeds = _feeds(pair, found)
    except UnusableInput as error:
        if not proved or options.inputs is not None:
            raise
        feeds = {}
        found.notes.append(f"nothing was run: {error}")
    turned = any(way != PLAIN for _, way in inputs.found.values()) or not any(len(p.shape or ()) > 2 for p in a.inputs)
    for name, arrays in feeds.items():
        _judge(pair, name, arrays, found, turned=turned, proved=proved)
    found.problems += [f"on {', '.join(names)}: {says}" for says, names in found.on_feeds.items()]
    found.problems += [
        f"no element of {safe(name)} is finite on any of the inputs, so agreement on it says nothing"
        for name in outputs.found
        if name not in found.finite and not any(p.right == name and p.outcome == "missing" for p in found.outputs)
    ]
    if proved:
        found.notes += found.problems  # about the runs, which nothing rests on
        found.problems, found.parts = [], False
    elif (
        not (found.differs() or a.drawn or b.drawn) and options.inputs is None and a.inputs and isinstance(proof, Proof)
    ):
        _further(pair, proof, feeds, found, turned=turned)
    if not any(g.party == "B" for g in found.faults):
        found.problems += sorted(found.unseen())
        found.unexercised += [] if found.differs() else _ends(found)
        found.notes += _rounded(found)
    found.notes += [] if found.differs() else found.sleepers()
    found.faults.sort(key=lambda g: g.party != "B")
    outcome = "same" if proved else _outcome(found)
    meant = found.meant
    return GraphComparison(
        *names,
        outcome,
        found.compared,
        tuple(found.faults),
        {"A": meant.alignment.only_left, "B": meant.alignment.only_right} if meant else {"A": (), "B": ()},
        len(meant.alignment.pairs) if meant else 0,
        tuple(found.outputs),
        tuple(feeds),
        tuple(f"{p.name} {p.dtype}{list(next(iter(feeds.values()))[p.name].shape)}" for p in a.inputs if feeds),
        found.worst,
        found.judged,
        found.unbounded,
        tuple(dict.fromkeys([*found.parted, *found.nans, *found.problems])),
        tuple(dict.fromkeys((*found.notes, *workers.deaths))),
        {k: v for k, v in installed().items() if k in ("onnx-triangulate", "numpy", "onnx", "onnxruntime")},
        options.seed,
        time.perf_counter() - started,
        found.held,
        proved,
        sum(found.swept.values()),
        tuple(found.sizes),
        tuple(dict.fromkeys(found.unexercised)),
    )


def _ends(found: _Found) -> list[str]:
    """What stands for an infinity, the first of each kind, and when the two part that are the same otherwise."""
    said: dict[tuple[bool, bool], str] = {}
    for node, (due, made) in found.ends.items():
        infinite, other = ("A", "B") if math.isinf(due) else ("B", "A")
        said.setdefault(
            (math.isinf(due), due < 0),
            f"{safe(node)} of B has {made:g} where A has {due:g}: the two part only where nothing beside it is larger, "
            f"as in a row that is masked whole (NaN in {infinite}, equal shares in {other})",
        )
    return list(said.values())


def _rounded(found: _Found) -> list[str]:
    """Constants in the same place that are not the same to the bit, where nothing that was compared is beyond what
    folding a constant in float32 does: said, and held against nobody."""
    if not found.rounded or found.differs() or found.unseen():
        return []
    shown = ", ".join(
        f"{safe(name)} ({odd:,} of {count(size, 'number')})"
        for name, (odd, size, _) in list(found.rounded.items())[:_NAMED]
    )
    more = f" and {len(found.rounded) - _NAMED:,} more" if len(found.rounded) > _NAMED else ""
    worst = max(far for _, _, far in found.rounded.values())
    return [
        f"{count(len(found.rounded), 'constant')} of B not A's to the bit, by at most {figure(worst)} of a number: no "
        f"more than computing a constant in float32 may do: {shown}{more}"
    ]


def _together(port: ValueInfo, b: Interface, inputs: Match) -> ValueInfo:
    """An input of A with what B does with it: how long the tables are that only B is seen to pick from, and whether
    both take places that are counted from the end."""
    theirs = [p for p in b.inputs if inputs.found.get(p.name, ("", PLAIN))[0] == port.name]
    below = (
        port.below if port.below is not None else min((p.below for p in theirs if p.below is not None), default=None)
    )
    return replace(
        port,
        below=below,
        ended=port.ended and all(p.ended for p in theirs),
        divides=port.divides or any(p.divides for p in theirs),
    )


def _staged(workers: _Asked, file: Path, place: Path) -> Path:
    """A file as it may be read: its numbers may lie behind links."""
    answer = workers.call(WORKER, model_interface.staged, file.absolute(), place)
    if isinstance(answer, Failure):
        raise UnusableInput(f"{safe(file)}: reading it ended in {answer.kind}: {safe(answer.message)}")
    assert isinstance(answer, Path)
    return file if answer == file.absolute() else answer


def _outcome(found: _Found) -> Literal["same", "same but for NaN", "departs", "differs", "uncompared"]:
    if found.differs():
        return "differs"
    if found.problems or not found.compared:
        return "uncompared"
    if found.parts:
        return "departs"
    return "same but for NaN" if found.nans else "same"


def _judge(pair: _Pair, name: str, arrays: Mapping[str, Array], found: _Found, *, turned: bool, proved: bool) -> None:
    """One of the first feeds: in float64 node by node, and in the graphs' own types; of what is proved only runs."""
    workers, left, right, folder = pair.workers, pair.left, pair.right, pair.folder
    outputs = pair.outputs
    watched = tuple(found.unseen().values())
    forced = None if proved else _in_float64(workers, left, right, arrays, pair.inputs, outputs, folder, watched)
    if isinstance(forced, Failure):
        found.on(name, f"not compared in float64: {forced.kind}: {forced.message}")
    elif forced is not None:
        forced = found.woken(forced)
        found.compared += forced.compared
        found.held = max(found.held, forced.held)
        found.worst = max(found.worst, forced.worst)
        found.on(name, *(f"not judged in float64: {t}" for t in forced.unjudged if not t.endswith(SILENT)))
        found.looked_at(forced)
        if not forced.compared:
            found.on(name, "nothing was compared in float64")
        if found.meant is None or (forced.faults and not found.meant.faults):
            found.meant = forced
        if not any(g.party == "B" for g in found.faults):
            _blamed(found, forced, name)
    runs = _replayed(workers, left, right, arrays, pair.inputs, folder)
    for side, run in runs.items():
        found.judged, found.unbounded = found.judged + run.judged, found.unbounded + run.unbounded
        found.held = max(found.held, run.held)
        found.faults += [g for g in run.faults if (g.node, g.party) not in {(h.node, h.party) for h in found.faults}]
        if run.problem:
            found.on(name, f"{side}: {run.problem}")
    room = functools.partial(_room, workers, left, right, folder, exact=_is_judged(pair, forced))
    parted = _outputs(runs, outputs, outputs.how, room, turned)
    found.outputs = [_worse(*both) for both in zip(found.outputs, parted, strict=True)] if found.outputs else parted
    if not found.faults:
        found.on(name, *(p.problem for p in parted if p.outcome == "diverges" and p.problem))
        far = [f"{safe(p.right)} is apart by {p.max_abs:.3g}" for p in parted if p.outcome == "unbounded"]
        found.on(name, *(f"{says} in the graphs' own types, with no known bound" for says in far))
    if not (pair.a.jumps or pair.b.jumps):  # there one rounding may move far
        found.on(name, *(p.problem for p in parted if p.outcome == "rounding" and p.problem))
    if found.faults and found.kernels_are_finite() and not (pair.a.drawn or pair.b.drawn):
        whole = {p.name for p in pair.b.outputs if p.whole or p.dtype == "bool"}
        found.parted += [
            f"on {name}: {p.problem}" for p in parted if p.outcome == "diverges" and p.problem and _is_odd(p, whole)
        ]
    # What draws random numbers gives others each time: that says nothing of what the graphs mean.
    found.parts |= not (pair.a.drawn or pair.b.drawn) and any(p.outcome == "diverges" for p in parted)
    found.finite |= _finite(runs["B"])


def _is_judged(pair: _Pair, forced: TeacherForcedResult | Failure | None) -> bool:
    """Whether all of B was judged in float64 and is what A means; at a jump that leaves either side of it open."""
    if not isinstance(forced, TeacherForcedResult) or pair.a.jumps or pair.b.jumps:
        return False
    return bool(forced.compared) and not forced.faults and not forced.unjudged


def _blamed(found: _Found, forced: TeacherForcedResult, name: str) -> None:
    found.faults += _faults_of_b(forced)
    if forced.faults:
        found.notes.append(f"the guilty nodes of B show on the {name} inputs")


def _further(
    pair: _Pair, proof: Proof, feeds: Mapping[str, Mapping[str, Array]], found: _Found, *, turned: bool
) -> None:
    """Everything beyond the first feeds: other sizes, other kinds of numbers, places where an answer changes, and what
    none of them exercised."""
    ports, base = pair.a.inputs, {n: tuple(v.shape) for n, v in next(iter(feeds.values())).items()}
    sized = _sized(pair, base)
    kinds = list(drawn_kinds(ports, base, pair.marks))
    rows = _swept(pair, [*sized[:FIRST], *kinds, *sized[FIRST:]], found)
    ran = [r for r in rows if r.state in ("equal", "close", "apart")]
    for row in ran:
        found.swept[row.feed.kind] = found.swept.get(row.feed.kind, 0) + 1
    found.sizes += [r.feed.sized for r in ran if r.feed.sized]
    if sized and not any(r.feed.sized for r in rows if r.state != "refused by A"):
        found.unexercised.append("sizes: A itself runs at no other size that was tried")
    skipped = [r.feed.name for r in rows if r.state == "not run"]
    if skipped:
        found.unexercised.append(f"no time was left for {len(skipped)} feeds: {', '.join(dict.fromkeys(skipped))}")
    _weighed(pair, proof, rows, found, turned=turned)
    _halves(pair, ran, found)
    if found.differs():
        return
    found.problems += _unchanging(pair, proof, base, ran, found)
    _shown(pair, [r.feed for r in ran], found)
    if found.differs():
        return
    usual = [Feed(kind, base) for kind in KINDS] + [r.feed for r in ran if r.feed.kind not in JUDGED]
    if any(p.dtype == "bool" or p.whole for p in pair.a.outputs) and any(p.dtype.startswith("float") for p in ports):
        walked = pair.call(
            sweeps.boundaries, pair.left.absolute(), pair.right.absolute(), ports, usual[:24], pair.marks,
            pair.options.seed, dict(pair.inputs.found), dict(pair.outputs.found), pair.folder / "walks", SEARCH,
        )  # fmt: skip
        if isinstance(walked, Failure):
            found.unexercised.append(f"places where an answer changes: the search ended in {walked.kind}")
        else:
            seen, places = walked
            _weighed(pair, proof, places, found, turned=turned)
            if not seen and not found.differs():
                found.unexercised.append("no two feeds were found between which a whole output of A changes")
    if not found.differs():
        _measured(pair, proof, [*usual, *(r.feed for r in ran if r.feed.kind == "nan")], found)


def _halves(pair: _Pair, ran: Sequence[Row], found: _Found) -> None:
    """Sixteen bits on numbers whose squares they do not hold, evaluated: a runtime that has no kernel for them computes
    in more, and neither overflows where the other side does."""
    if not any(p.dtype == "float16" for p in pair.a.inputs):
        return
    for feed in [r.feed for r in ran if JUDGED.get(r.feed.kind) == "huge"]:
        if found.differs():
            return
        says = pair.call(
            sweeps.overflowed, pair.left.absolute(), pair.right.absolute(), feed, pair.a.inputs, pair.marks,
            pair.options.seed, dict(pair.inputs.found), dict(pair.outputs.found),
        )  # fmt: skip
        if says and not isinstance(says, Failure):
            found.parted.append(f"on {_WORDS['huge']}, {safe(says)}")


def _unchanging(
    pair: _Pair, proof: Proof, base: Mapping[str, tuple[int, ...]], ran: Sequence[Row], found: _Found
) -> list[str]:
    """The whole outputs that no structure proves and that are one number on everything that was fed, in words: there
    any constant would agree with A."""
    still = sweeps.one_answer(proof, ran)
    if still and ran:
        still = sweeps.one_answer(proof, [*ran, *_swept(pair, [Feed(kind, base) for kind in KINDS], found)])
    return [
        f"{safe(name)} of A is {answer} on everything that was fed: nothing shows what changes it"
        for name, answer in still.items()
    ]


def _shown(pair: _Pair, feeds: Sequence[Feed], found: _Found) -> None:
    """What the first feeds did not show, on further ones, which reach limits and thresholds: on one of them at least a
    value has to be A's where the difference would be seen."""
    started = time.monotonic()
    for kind in REACHING:
        if not found.unseen() or time.monotonic() - started > LAST:
            return
        for feed in [f for f in feeds if f.kind == kind][:_EACH]:
            arrays = draw(feed, pair.a.inputs, pair.marks, pair.options.seed)
            watched = tuple(found.unseen().values())
            forced = _in_float64(
                pair.workers, pair.left, pair.right, arrays, pair.inputs, pair.outputs, pair.folder, watched
            )
            if isinstance(forced, Failure):
                continue
            forced = found.woken(forced)
            if forced.faults:
                found.meant = forced
                _blamed(found, forced, feed.name)
                return
            if forced.compared and forced.alignment.pairs:
                found.looked_at(forced)


def _sized(pair: _Pair, base: Mapping[str, tuple[int, ...]]) -> list[Feed]:
    """Feeds at other sizes of the axes that both files leave open and nobody fixed."""
    ports = pair.a.inputs
    known = {k: n for p in ports for k, n in zip(keys(p), base[p.name], strict=True) if isinstance(k, str)}
    fixed = set(pair.options.only) | _held_by_b(pair)
    moving = [k for k in known if k not in fixed]
    return [
        Feed("random", shapes_at(ports, sizes), sized=", ".join(f"{safe(k)}={sizes[k]}" for k in moving))
        for sizes in other_sizes(ports, known, moving, pair.marks.lengths, pair.marks.limits)
    ]


def _only_sizes(pair: _Pair) -> tuple[dict[str, tuple[int, ...]], ...]:
    """The shapes of A's inputs and of B's, where B takes one size of everything that A is fed; else nothing."""
    theirs = {p.name: tuple(d for d in p.shape or () if isinstance(d, int)) for p in pair.b.inputs}
    mine: dict[str, tuple[int, ...]] = {}
    for port in pair.b.inputs:
        source, way = pair.inputs.found[port.name]
        if port.shape is None or len(theirs[port.name]) < len(port.shape) or way != PLAIN:
            return ()
        mine[source] = theirs[port.name]
    return (mine, theirs) if set(mine) == {p.name for p in pair.a.inputs} else ()


def _held_by_b(pair: _Pair) -> set[str]:
    """The open axes of A of which B takes one size only."""
    held = set()
    for name, (source, way) in pair.inputs.found.items():
        one, other = (next(p for p in side.inputs if p.name == n) for side, n in ((pair.a, source), (pair.b, name)))
        if one.shape is None or other.shape is None:
            continue
        axes = way.perm or range(len(one.shape))
        mine = [keys(one)[axis] for axis in axes]
        held |= {
            k for k, theirs in zip(mine, other.shape, strict=False) if isinstance(k, str) and isinstance(theirs, int)
        }
    return held


def _swept(pair: _Pair, feeds: Sequence[Feed], found: _Found) -> list[Row]:
    """Both graphs on all feeds; where that kills the worker, on a part of them at a time."""

    def ask(some: Sequence[Feed], part: int, seconds: float) -> Any:
        return pair.call(
            sweeps.sweep, pair.left.absolute(), pair.right.absolute(), pair.a.inputs, some, pair.marks,
            pair.options.seed, dict(pair.inputs.found), dict(pair.outputs.found),
            pair.folder / f"sweep-{part}", seconds,
        )  # fmt: skip

    rows, lost = sweeps.in_parts(ask, feeds, min(SWEEP, pair.options.timeout / 6))
    found.unexercised += lost
    return rows


def _weighed(pair: _Pair, proof: Proof, rows: Sequence[Row], found: _Found, *, turned: bool) -> None:
    """What parts on further feeds: at a special kind by its own rule, else as the first feeds are judged."""
    for row in rows:
        if row.state == "refused by B" and row.feed.kind == FROM_END:
            found.notes.append(f"B does not run on {FROM_END}, as A does: {row.message}")
        elif row.state == "refused by B":
            found.parted.append(f"B does not run on {safe(row.feed.name)}, where A does: {row.message}")
    found.unexercised += [
        f"on {_WORDS['inf']}, {safe(row.message)}; a NaN that infinities make is not held against either"
        for row in rows
        if row.state == "close" and JUDGED.get(row.feed.kind) == "inf" and row.message
    ][:1]
    special = [r for r in rows if r.state == "apart" and r.feed.kind in JUDGED and r.arrays is not None]
    for row in special:
        judged = JUDGED[row.feed.kind]
        says = pair.call(
            sweeps.confirmed, pair.left.absolute(), pair.right.absolute(), row, dict(pair.inputs.found),
            dict(pair.outputs.found), judged,
        )  # fmt: skip
        if isinstance(says, Failure):
            found.unexercised.append(f"{row.feed.name}: apart in the graphs' own types, and no float64 value says why")
        elif says and judged == "nan" and proof.nan_is_open:
            found.notes.append(f"on NaN, {safe(says)}; ONNX does not say where NaN stands among numbers")
        elif says:
            (found.nans if judged == "nan" else found.parted).append(f"on {_WORDS[judged]}, {safe(says)}")
        else:
            found.notes.append(f"on {_WORDS[judged]} the runs part, the meaning does not: {safe(row.message)}")
    usual = [r for r in rows if r.state == "apart" and r.feed.kind not in JUDGED and r.arrays is not None]
    usual.sort(key=lambda r: -r.score)
    started = time.monotonic()
    for number, row in enumerate(usual):
        if found.differs() or number >= CLOSER or (number and time.monotonic() - started > LAST):
            break
        _weigh(pair, row, found, turned=turned)


def _weigh(pair: _Pair, row: Row, found: _Found, *, turned: bool) -> None:
    """One further feed on which the runs part: in float64, and where that finds nothing, by what A's roundings do."""
    assert row.arrays is not None
    arrays = npz.load(row.arrays)
    name = safe(row.feed.name)
    forced = _in_float64(pair.workers, pair.left, pair.right, arrays, pair.inputs, pair.outputs, pair.folder)
    forced = found.woken(forced) if isinstance(forced, TeacherForcedResult) else forced
    if isinstance(forced, TeacherForcedResult) and forced.faults:
        found.meant = forced
        _blamed(found, forced, name)
        return
    _saved({n: way.apply(arrays[s]) for n, (s, way) in pair.inputs.found.items()}, pair.folder / "B.npz")
    _saved(arrays, pair.folder / "A.npz")
    runs = {side: NodeReplay(outputs=files) for side, files in zip("AB", row.outputs, strict=True)}
    room = functools.partial(_room, pair.workers, pair.left, pair.right, pair.folder, exact=_is_judged(pair, forced))
    whole = {p.name for p in pair.b.outputs if p.whole or p.dtype == "bool"}
    files, ways = (pair.left.absolute(), pair.right.absolute()), (dict(pair.inputs.found), dict(pair.outputs.found))
    for part in _outputs(runs, pair.outputs, pair.outputs.how, room, turned):
        says = f"on {name} inputs, {part.problem or safe(row.message)}"
        odd = _is_odd(part, whole)
        if part.outcome == "diverges" and found.faults and not (odd and found.kernels_are_finite()):
            continue  # a kernel that departs does that
        if part.outcome == "diverges":
            exact = part.right in whole and row.feed.kind in _WHOLE_KINDS
            jumps = pair.a.jumps or pair.b.jumps or row.feed.kind == "where an answer changes"
            if exact or not jumps or odd:
                found.parted.append(says)
            elif sure := pair.call(sweeps.confirmed, *files, row, *ways, "exact"):
                found.parted.append(says if isinstance(sure, Failure) else f"on {name} inputs, {safe(sure)}")
            else:
                found.notes.append(f"{says}; in float64 they are the same there")
        elif part.outcome == "rounding" and part.problem and row.feed.kind in _CANCELLING and not found.faults:
            found.problems.append(f"on {name} inputs, {part.problem}")
        elif part.outcome == "unbounded" and row.score > sweeps.APART and not found.faults:
            if _is_judged(pair, forced) and not odd:  # as a normalization of numbers that are all one
                found.notes.append(f"{says}; in float64 they are the same there")
            else:
                found.problems.append(f"{says}, with no known bound")


def _is_odd(part: ComparedOutput, whole: Collection[str]) -> bool:
    """Whether floats part at more than a distance: NaN, or an infinity, against a number."""
    return part.right not in whole and (part.max_abs is None or not math.isfinite(part.max_abs))


def _measured(pair: _Pair, proof: Proof, feeds: Sequence[Feed], found: _Found) -> None:
    """The constants and conditions that no structure proves and no feed exercised."""
    both = bool(proof.left.limits and proof.right.limits)
    for side, file, unproved in (("A", pair.left, proof.left), ("B", pair.right, proof.right)):
        said = pair.call(
            sweeps.silent, file.absolute(), side, unproved, pair.a.inputs, _spread(feeds), pair.marks,
            pair.options.seed, dict(pair.inputs.found), pair.folder, SEARCH, both,
        )  # fmt: skip
        if isinstance(said, Failure):
            found.problems.append(f"the constants of {side} that are not the other's: moving them ended in {said.kind}")
            continue
        quiet, late = said
        found.problems += map(safe, quiet)
        found.unexercised += map(safe, late)


def _spread(feeds: Sequence[Feed]) -> list[Feed]:
    """One feed of every kind first, and the one at which an axis is longest; then the others."""
    first: dict[str, Feed] = {}
    for feed in feeds:
        first.setdefault(f"{feed.kind} {bool(feed.sized)}", feed)
    axes = [(name, axis) for name, shape in (feeds[0].shapes.items() if feeds else ()) for axis in range(len(shape))]
    for name, axis in axes:
        longest = max((f.shapes[name][axis] for f in feeds), default=0)
        found = next(f for f in feeds if f.shapes[name][axis] == longest)
        if found.sized:
            first[f"longest {found.sized}"] = found
    leading = list({id(feed): feed for feed in first.values()}.values())
    return [*leading, *(f for f in feeds if not any(f is other for other in leading))]


def _feeds(pair: _Pair, found: _Found) -> dict[str, dict[str, Array]]:
    """The first sets of arrays by A's names: the user's own, or one of each of the first kinds."""
    options, ports = pair.options, pair.a.inputs
    if options.inputs is not None:
        return {"user": _given(options.inputs, pair.a, options.memory)}
    shapes = _settled(pair, found)
    sets = {kind: draw(Feed(kind, shapes), ports, pair.marks, options.seed) for kind in KINDS}
    return sets if ports else {"no inputs": {}}


def _settled(pair: _Pair, found: _Found) -> dict[str, tuple[int, ...]]:
    """The inputs' shapes as A declares them, completed by ``--dim``, by what B declares, and by sizes at which A runs.

    Raises :class:`UnusableInput` where that is not enough.
    """
    ports, dims = pair.a.inputs, pair.options.dims
    for port in ports:
        if port.shape is None:
            raise UnusableInput(f"input {safe(_said(port))}: its rank is not declared; give --inputs FILE.npz")
        if any(isinstance(d, int) and d < 0 for d in port.shape):
            raise UnusableInput(f"input {safe(_said(port))}: an axis has a negative size, which no array has")
        # float64 holds each feed, too; and of an array without numbers the other axes still have to fit
        least = 8 * math.prod(max(d, 1) for d in port.shape if isinstance(d, int))
        if least > pair.options.memory:
            raise UnusableInput(
                f"input {safe(_said(port))}: {least / 2**30:.3g} GiB in float64, over the limit of "
                f"{pair.options.memory / 2**30:.3g} GiB; --memory gives it more"
            )
    sizes = {k: dims[k] for k in open_axes(ports) if k in dims}
    for name, (source, way) in pair.inputs.found.items():
        mine, theirs = (next(p for p in side.inputs if p.name == n) for side, n in ((pair.a, source), (pair.b, name)))
        if way == PLAIN and theirs.shape is not None:
            for key, size in zip(keys(mine), theirs.shape, strict=True):
                held = dims.get(size) if isinstance(size, str) else size
                if isinstance(key, str) and held is not None:
                    sizes.setdefault(key, held)
    lacking = [k for k in open_axes(ports) if k not in sizes]
    if not lacking:
        return shapes_at(ports, sizes)
    tried = list(guesses(ports, sizes))
    feeds = [Feed("random", shapes_at(ports, each)) for each in tried]
    answer = _first_that_runs(pair, feeds)
    if isinstance(answer, str):
        port = next(p for p in ports if any(k in lacking for k in keys(p)))
        named = [k for k in lacking if any(k in (p.shape or ()) for p in ports)]
        remedy = "".join(f"--dim {safe(k)}=N " for k in named) + "or " if named else ""
        raise UnusableInput(
            f"input {safe(_said(port))}: its shape is not settled by the file, and A runs at no size that was tried "
            f"({safe(answer)}); give {remedy}--inputs FILE.npz"
        )
    chosen = tried[answer]
    found.notes.append(f"sizes that nobody gave: {', '.join(f'{safe(k)}={chosen[k]}' for k in lacking)}")
    return feeds[answer].shapes  # type: ignore[return-value]  # as they were made one line above


def _first_that_runs(pair: _Pair, feeds: Sequence[Feed]) -> int | str:
    """The number of the first feed that A runs on, or why it runs on none; what kills the runtime is left out."""
    says: list[str] = []
    for start in range(_KILLED):
        answer = pair.call(
            sweeps.first_that_runs, pair.left.absolute(), pair.a.inputs, feeds[start:], pair.marks, pair.options.seed
        )
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
            f"expected {', '.join(safe(_said(p)) for p in a.inputs) or 'nothing'}"
        )
    for name, value in arrays.items():
        port = wanted[name]
        shape = port.shape if port.shape is not None else value.shape
        if value.dtype.name != port.dtype or len(shape) != value.ndim or not fits(shape, value.shape):
            raise UnusableInput(
                f"{who}: {safe(name)} is {value.dtype}{list(value.shape)}, expected {safe(_said(port))}"
            )
    return arrays


def _saved(arrays: Mapping[str, Array], file: Path) -> Path:
    return npz.save(file, arrays)


class _Asked:
    """Workers that are not asked again for what hung, or outgrew its memory, on other numbers or as the other side."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._spent: dict[tuple[str, ...], Failure] = {}

    @property
    def deaths(self) -> list[str]:
        return self._workers.deaths

    def call(self, kind: str, function: Callable[..., Any], *arguments: Any) -> Any:
        if function not in _SAME_EACH_TIME:
            return self._workers.call(kind, function, *arguments)
        files = [str(a) for a in arguments if isinstance(a, Path) and a.suffix != ".npz" and a.is_file()]
        key = (function.__name__, *files)
        if key not in self._spent:
            answer = self._workers.call(kind, function, *arguments)
            if not (isinstance(answer, Failure) and answer.kind in ("timeout", "memory")):
                return answer
            self._spent[key] = answer
        return self._spent[key]


_SAME_EACH_TIME = (
    tasks.compare_in_float64,
    float32_runs.replay_nodes,
    float32_runs.float32_room,
    float32_runs.count_roundings,
)


def _in_float64(
    workers: _Asked,
    left: Path,
    right: Path,
    arrays: Mapping[str, Array],
    inputs: Match,
    outputs: Match,
    folder: Path,
    watched: Sequence[tuple[str, str]] = (),
) -> TeacherForcedResult | Failure:
    feeds = _saved(arrays, folder / "left.npz")
    try:
        answer: Any = workers.call(
            WORKER,
            tasks.compare_in_float64,
            left.absolute(),
            right.absolute(),
            feeds,
            dict(inputs.found),
            dict(outputs.found),
            watched,
        )
    except UnusableInput:
        raise
    except Exception as error:  # float64 conversion refuses some graphs; what it says is the reason
        return Failure("refused", message(error, 300))
    assert isinstance(answer, (TeacherForcedResult, Failure))
    return answer


def _replayed(
    workers: _Asked, left: Path, right: Path, arrays: Mapping[str, Array], inputs: Match, folder: Path
) -> dict[str, NodeReplay]:
    turned = {name: way.apply(arrays[source]) for name, (source, way) in inputs.found.items()}
    runs: dict[str, NodeReplay] = {}
    call: Callable[..., Any] = workers.call
    for side, file, feeds in (("A", left, arrays), ("B", right, turned)):
        saved = _saved(feeds, folder / f"{side}.npz")
        try:
            answer = call(WORKER, float32_runs.replay_nodes, file.absolute(), side, saved, folder)
        except UnusableInput:
            raise
        except Exception as error:  # a graph that cannot be taken apart raises ValueError, anything else is our own
            kind = "invalid" if isinstance(error, ValueError) else "tool"
            answer = Failure(kind, message(f"{type(error).__name__}: {error}", 300))
        runs[side] = NodeReplay(problem=f"{answer.kind}: {answer.message}") if isinstance(answer, Failure) else answer
    return runs


def _finite(run: NodeReplay) -> set[str]:
    """The outputs that hold a finite number, or anything that is no float, or nothing at all."""
    arrays = {name: np.load(file, allow_pickle=False) for name, file in run.outputs.items()}
    return {n for n, v in arrays.items() if v.dtype.kind not in "fc" or not v.size or bool(np.isfinite(v).any())}


Room = Callable[..., "Array | None"]


def _outputs(
    runs: Mapping[str, NodeReplay], outputs: Match, inputs_how: Mapping[str, str], room: Room, turned: bool
) -> list[ComparedOutput]:
    """The outputs in the graphs' own types, floats within what both may be off by the arithmetic of either.

    ``room(A'S, B'S, WAY, fused=...)`` is that of an output, asked where the bits are not the same; ``turned`` says that
    an input stands in another order of axes in B, so that an output may as well.
    """
    rows = []
    for name, (source, way) in outputs.found.items():
        matched = "by position" if "by position" in inputs_how.get(name, "") else "by name"
        files = runs["A"].outputs.get(source), runs["B"].outputs.get(name)
        if files[0] is None or files[1] is None:
            rows.append(ComparedOutput(source, name, matched, "missing", 0, problem="one side has no value"))
            continue
        a, b = (np.load(file, allow_pickle=False) for file in files if file is not None)
        with contextlib.suppress(ValueError):  # shapes that do not fit are the comparer's to report
            a = way.apply(a)
        seen = compare({name: a}, {name: b}, {})
        outcome: str = seen.outcome
        says = seen.problem
        if outcome == "missing" and seen.compared:  # no bound was given: both are floats, and apart
            allowed = room(source, name, way)
            if allowed is None:
                outcome = "unbounded"
            else:
                allowed = allowed * (2.0**-29 if a.dtype == np.float64 else 1)  # from u of float32
                seen = compare({name: a}, {name: b}, {name: allowed}, zero_sign_open=True)
                kernels = room(source, name, way, fused=True) if seen.outcome == "diverges" else None
                if kernels is not None:
                    allowed = np.maximum(allowed, kernels * (2.0**-29 if a.dtype == np.float64 else 1))
                    seen = compare({name: a}, {name: b}, {name: allowed}, zero_sign_open=True)
                outcome, says = seen.outcome, None
                largest = float(np.abs(a[np.isfinite(a)]).max(initial=0.0))
                if outcome == "rounding" and (seen.max_abs or 0.0) > _SWALLOWED * largest and a.dtype.itemsize > 2:
                    says = (
                        f"{safe(name)} is apart by {seen.max_abs:.3g} in the graphs' own types where A's largest is "
                        f"{largest:.3g}: A's own roundings leave no digit to compare"
                    )
                if outcome == "diverges":
                    far = "and nothing is rounded there" if not math.isfinite(seen.ratio or 0) else ""
                    far = far or f"{seen.ratio:.3g} times what roundings inside of either can do"
                    says = f"{safe(name)} is apart by {seen.max_abs:.3g} in the graphs' own types, {far}"
        if outcome == "diverges" and says is None and seen.values is not None:
            says = f"{safe(name)} is {seen.values[0]:g} in A and {seen.values[1]:g} in B, in the graphs' own types"
        if way.perm is not None and not turned and outcome != "missing":
            outcome = "diverges"
            says = f"{safe(name)} of B has the {way.says} of A's, while every input stands as A's does"
        rows.append(ComparedOutput(source, name, matched, outcome, seen.compared, seen.max_abs, says))  # type: ignore[arg-type]
    return rows


_ORDER = ("equal", "rounding", "unbounded", "missing", "diverges")


def _worse(one: ComparedOutput, other: ComparedOutput) -> ComparedOutput:
    """What is said of an output holds on every feed: the worse of two."""
    return max(one, other, key=lambda row: (_ORDER.index(row.outcome), row.max_abs or 0.0))


def _room(
    workers: _Asked,
    left: Path,
    right: Path,
    folder: Path,
    source: str,
    name: str,
    way: Orientation,
    *,
    exact: bool = False,
    fused: bool = False,
) -> Array | None:
    """How far an output may be apart in float32, in B's order of axes; None where nobody can say.

    The smaller of what roundings inside of either graph do to it, twice: one that amplifies them is no licence for
    itself, whichever side it stands on.  Not so a function of several steps in one kernel (``fused``), whose formula
    nobody prescribes, and which is held against its own bound: there it is the larger.  ``exact``: float64 has judged
    how far apart the two are there (a constant that one side has rounded), so that is no news; nor is that each rounds
    its result, and what it computes of constants.
    """
    call: Callable[..., Any] = workers.call
    sides = ((left, "A", source), (right, "B", name))
    found, meant, own = [], [], []
    for number, (file, side, output) in enumerate(sides):
        other, its, _ = sides[1 - number]
        try:
            also = call(WORKER, float32_runs.count_roundings, other.absolute(), folder / f"{its}.npz")
            also = also if isinstance(also, int) else 0  # of a fused operator nobody knows: as many as this side has
            feeds, where = folder / f"{side}.npz", folder / f"room-{side}"
            rooms = call(WORKER, float32_runs.float32_room, file.absolute(), feeds, (output,), also, where, fused)
        except Exception:  # a graph that cannot be taken apart, or counted: nobody can say  # noqa: S112
            continue
        made = rooms.get(output) if isinstance(rooms, dict) else None
        if made is not None:
            arrays = [np.load(each, allow_pickle=False) for each in made]
            room, value, last = [way.apply(each) for each in arrays] if side == "A" else arrays
            found.append(room)
            meant.append(value)
            own.append(last)
    if len(found) < 2:
        return 2 * found[0] if found else None
    amplified = 2 * (np.maximum(*found) if fused else np.minimum(*found))
    if not exact:
        return np.asarray(amplified)
    with np.errstate(invalid="ignore"):
        return np.asarray(amplified + np.nan_to_num(np.abs(np.subtract(*meant)) + sum(own), nan=0.0, posinf=0.0))


def _faults_of_b(forced: TeacherForcedResult) -> list[Fault]:
    """The faults of B, with the constants that differ in words."""
    return [
        replace(
            fault,
            party="B",
            problem="; ".join([*([fault.problem] if fault.problem else []), *map(_constant, fault.constants)]) or None,
        )
        for fault in forced.faults
    ]


def _constant(odd: DifferingConstant) -> str:
    due, made = two(odd.expected, odd.actual)
    count = f" ({odd.differing:,} of {odd.size:,} numbers differ)" if odd.size > 1 else ""
    return f"constant {safe(odd.name)} is {due} in A and {made} in B{count}"


def dims_of(words: Sequence[str]) -> dict[str, int]:
    """``NAME=N`` and ``NAME==N`` as a mapping.  Raises :class:`UnusableInput` for anything else."""
    found = {}
    for word in words:
        name, _, size = word.rpartition("=")
        name = name.removesuffix("=")
        if not name or not re.fullmatch(r"[0-9]{1,9}", size):
            raise UnusableInput(f"--dim {safe(word)}: expected NAME=N, such as batch=2, or NAME==N for no other size")
        found[name] = int(size)
    return found


def only_of(words: Sequence[str]) -> frozenset[str]:
    """The names that ``NAME==N`` gives one size and no other."""
    return frozenset(name.removesuffix("=") for name, _, _ in (w.rpartition("=") for w in words) if name.endswith("="))
