"""Compare two graphs that should mean the same: match their interfaces, run both, name every node at which they differ.

Design note.  No framework runs here, so neither graph is the truth: B is judged by A.  The stages are modules of this
room: ``interface`` matches inputs and outputs, ``feeding`` draws what both are fed, ``judging`` and ``outputs`` judge
one feed, ``further`` everything beyond the first feeds.

*Meaning* is compared in float64, where a fault stands out from 1e-13 of rounding (``locate.teacher_forced``): on random
feeds, on small integers (random numbers rarely tie) and on large numbers (small ones reach no limit), or on the user's
own feeds in place of these.  *Arithmetic* is compared in the graphs' own types: each node of each graph, as the runtime
executes it without optimizations, is held against the bound of its operator, and the outputs against what roundings
inside the more accurate of the two graphs may do to them.  A kernel beyond its bound is named; it says nothing about
the meaning of the graphs.

Never "same": a graph that could not be run, an output without a counterpart, a size that only A accepts, a constant,
an attribute or a subgraph that differs where no feed shows it, random numbers, nothing compared.
"""

from __future__ import annotations

import math
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from onnx_triangulate.comparison.feed_judgement import judge_feed
from onnx_triangulate.comparison.feed_selection import first_feeds, only_sizes
from onnx_triangulate.comparison.further_feeds import judge_further
from onnx_triangulate.comparison.interface import PLAIN, Match, fixed, lacking, match
from onnx_triangulate.comparison.options import Options
from onnx_triangulate.comparison.session import WORKER, Evidence, Session, WorkerCalls
from onnx_triangulate.diff.equivalence import Proof
from onnx_triangulate.engines.installed import installed
from onnx_triangulate.engines.workers import Workers
from onnx_triangulate.locate.feeds import ValueInfo
from onnx_triangulate.locate.graph_pair import GraphPair, prove_pair
from onnx_triangulate.locate.model_interface import Interface, read_interface
from onnx_triangulate.onnxgraph.external_data import beside, staged
from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.errors import UnusableInput
from onnx_triangulate.records.graph_comparison import GraphComparison
from onnx_triangulate.records.runs import Failure
from onnx_triangulate.records.text import safe
from onnx_triangulate.report.files import check_writable
from onnx_triangulate.report.quantities import count, figure

_NAMED = 4  # constants


def compare_files(left: str | Path, right: str | Path, options: Options | None = None) -> GraphComparison:
    """Compare ``right`` (B) with ``left`` (A).

    Raises ``UnusableInput`` where a file, its inputs or a dimension cannot be used.
    """
    options = options or Options()
    folder = Path(tempfile.mkdtemp(prefix="triangulate-"))
    try:
        with Workers(jobs=1, timeout=options.timeout, memory=options.memory, logs=folder / "logs") as workers:
            return compare_with(workers, Path(left), Path(right), options, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def compare_with(workers: Workers, left: Path, right: Path, options: Options, folder: Path) -> GraphComparison:
    """As :func:`compare_files`, by workers that are there already; what is written goes to ``folder``."""
    started = time.perf_counter()
    session, found = open_session(WorkerCalls(workers), left, right, options, folder), Evidence()
    _take_interface(session, found)
    proof = _proof(session)
    proved = isinstance(proof, Proof) and proof.same and not found.problems
    feeds = _feeds(session, found, proved)
    for name, arrays in feeds.items():
        judge_feed(session, name, arrays, found, proved=proved)
    _take_problems(session, found)
    if proved:
        found.notes += found.problems  # about the runs, which nothing rests on
        found.problems, found.apart = [], False
    elif isinstance(proof, Proof) and session.a.inputs and not (options.inputs or found.differs() or session.drawn):
        judge_further(session, proof, {n: tuple(v.shape) for n, v in next(iter(feeds.values())).items()}, found)
    _conclude(found)
    comparison = _comparison(session, feeds, found, proved)
    return replace(comparison, left=left, right=right, seconds=time.perf_counter() - started)


def open_session(workers: WorkerCalls, left: Path, right: Path, options: Options, folder: Path) -> Session:
    """Read both files and match their interfaces.

    Raises :class:`UnusableInput` where a file cannot be used, no input of A is B's, or a size names no axis.
    """
    if options.written:
        read = [held for file in (left, right) for held in _in_worker(workers, file, beside, file)]
        check_writable(*options.written, reads=read)
    files = [_staged(workers, file, folder / side) for file, side in ((left, "left"), (right, "right"))]
    a, b = (_read(workers, file) for file in files)
    _refuse_options(options, a, b)
    inputs = match(a.inputs, b.inputs, "inputs", options.dims, strict=True)
    outputs = match(a.outputs, b.outputs, "outputs", options.dims, strict=False)
    a = replace(a, inputs=tuple(_together(port, b, inputs) for port in a.inputs))
    left, right = (file.absolute() for file in files)
    landmarks = a.landmarks.joined(b.landmarks)
    pair = GraphPair(left, right, a.inputs, dict(inputs.found), dict(outputs.found), landmarks, options.seed)
    return Session(workers, pair, a, b, inputs, outputs, options, folder)


def _staged(workers: WorkerCalls, file: Path, place: Path) -> Path:
    """A file as it may be read: its numbers may lie behind links."""
    answer = _in_worker(workers, file, staged, file.absolute(), place)
    assert isinstance(answer, Path)
    return file if answer == file.absolute() else answer


def _read(workers: WorkerCalls, file: Path) -> Interface:
    try:
        interface = _in_worker(workers, file, read_interface, file.absolute())
    except UnusableInput:
        raise
    except Exception as error:  # a graph that nobody has thought of
        says = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise UnusableInput(f"{safe(file)}: this tool fails to read the graph: {safe(says)}") from error
    assert isinstance(interface, Interface)
    return interface


def _in_worker(workers: WorkerCalls, file: Path, function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function reads of a file in a worker.  Raises :class:`UnusableInput` where the worker dies of it."""
    answer = workers.call(WORKER, function, *arguments)
    if isinstance(answer, Failure):
        raise UnusableInput(f"{safe(file)}: reading it ended in {answer.kind}: {safe(answer.message)}")
    return answer


def _refuse_options(options: Options, a: Interface, b: Interface) -> None:
    """Raise :class:`UnusableInput` where sizes were given that no axis takes."""
    named = {d for side in (a, b) for p in side.inputs for d in p.shape or () if isinstance(d, str)}
    for name in options.dims:
        if name not in named:
            listed = ", ".join(map(safe, sorted(named))) or "none"
            raise UnusableInput(f"--dim {safe(name)}: no input has an axis of that name; there is {listed}")
    if options.dims and options.inputs is not None:
        raise UnusableInput("--dim and --inputs: the arrays have sizes of their own; give one of the two")


def _together(port: ValueInfo, b: Interface, inputs: Match) -> ValueInfo:
    """An input of A with what B does with it: how long the tables are that only B is seen to pick from, and whether
    both take places that are counted from the end."""
    theirs = [p for p in b.inputs if inputs.found.get(p.name, ("", PLAIN))[0] == port.name]
    shortest = min((p.below for p in theirs if p.below is not None), default=None)
    return replace(
        port,
        below=port.below if port.below is not None else shortest,
        ended=port.ended and all(p.ended for p in theirs),
        divides=port.divides or any(p.divides for p in theirs),
    )


def _take_interface(session: Session, found: Evidence) -> None:
    """What the two interfaces alone say: how values were matched, and what cannot be compared."""
    a, b, inputs, outputs = session.a, session.b, session.inputs, session.outputs
    found.notes += [
        f"{kind} {said}" for kind, m in (("input", inputs), ("output", outputs)) for said in m.how.values() if said
    ]
    found.problems += lacking(a, b, outputs)
    if session.options.inputs is None:
        found.problems += fixed(a, b, inputs, session.options.dims)
    found.problems += [
        f"{side}: {said} draws random numbers, and an output depends on them"
        for side, said in (("A", a.drawn), ("B", b.drawn))
        if said
    ]


def _proof(session: Session) -> Proof | Failure:
    """What is one by structure, if need be at the only sizes that B takes."""
    proof = session.call(prove_pair, session.pair, only_sizes(session))
    if not isinstance(proof, Proof):  # to run a graph at its only sizes may take more than there is
        proof = session.call(prove_pair, session.pair)
    assert isinstance(proof, (Proof, Failure))
    return proof


def _feeds(session: Session, found: Evidence, proved: bool) -> dict[str, dict[str, Array]]:
    """The first feeds; none where nothing can be fed and what is ``proved`` rests on none."""
    try:
        return first_feeds(session, found)
    except UnusableInput as error:
        if not proved or session.options.inputs is not None:
            raise
        found.notes.append(f"nothing was run: {error}")
        return {}


def _take_problems(session: Session, found: Evidence) -> None:
    """What stands open after the first feeds."""
    found.problems += [f"on {', '.join(names)}: {says}" for says, names in found.on_feeds.items()]
    found.problems += [
        f"no element of {safe(name)} is finite on any of the inputs, so agreement on it says nothing"
        for name in session.outputs.found
        if name not in found.finite and not any(p.right == name and p.outcome == "missing" for p in found.outputs)
    ]


def _conclude(found: Evidence) -> None:
    """What is known of A and B beside the verdict, where no node of B stands for it."""
    if not found.b_is_faulty:
        found.problems += sorted(found.unseen())
        found.unexercised += [] if found.differs() else _ends(found)
        found.notes += _rounded(found)
    found.notes += [] if found.differs() else found.cancelled_differences()
    found.faults.sort(key=lambda fault: fault.party != "B")


def _ends(found: Evidence) -> list[str]:
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


def _rounded(found: Evidence) -> list[str]:
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


def verdict(found: Evidence) -> Literal["same", "same but for NaN", "departs", "differs", "uncompared"]:
    """The outcome of what is not proved."""
    if found.differs():
        return "differs"
    if found.problems or not found.compared:
        return "uncompared"
    if found.apart:
        return "departs"
    return "same but for NaN" if found.nans else "same"


def _comparison(
    session: Session, feeds: Mapping[str, Mapping[str, Array]], found: Evidence, proved: bool
) -> GraphComparison:
    alignment = found.result.alignment if found.result else None
    first = next(iter(feeds.values()), {})
    return GraphComparison(
        session.pair.left,
        session.pair.right,
        "same" if proved else verdict(found),
        found.compared,
        tuple(found.faults),
        {"A": alignment.only_left, "B": alignment.only_right} if alignment else {"A": (), "B": ()},
        len(alignment.pairs) if alignment else 0,
        tuple(found.outputs),
        tuple(feeds),
        tuple(f"{p.name} {p.dtype}{list(first[p.name].shape)}" for p in session.a.inputs if feeds),
        found.worst,
        found.judged,
        found.unbounded,
        tuple(dict.fromkeys([*found.differences, *found.nans, *found.problems])),
        tuple(dict.fromkeys((*found.notes, *session.workers.deaths))),
        {k: v for k, v in installed().items() if k in ("onnx-triangulate", "numpy", "onnx", "onnxruntime")},
        session.options.seed,
        peak_bytes=found.held,
        proved=proved,
        further_feeds=sum(found.swept.values()),
        sizes=tuple(found.sizes),
        unexercised=tuple(dict.fromkeys(found.unexercised)),
    )
