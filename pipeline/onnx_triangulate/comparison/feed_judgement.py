"""One of the first feeds, judged: in float64 node by node, and in the graphs' own types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from onnx_triangulate.comparison.outputs import compared_outputs, finite_outputs, is_odd, worse
from onnx_triangulate.comparison.session import WORKER, Evidence, Session
from onnx_triangulate.locate.float32_runs import NodeReplay, replay_nodes
from onnx_triangulate.locate.teacher_forced import SILENT, TeacherForcedResult
from onnx_triangulate.onnxgraph.nodes import message
from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.errors import UnusableInput
from onnx_triangulate.records.faults import DifferingConstant
from onnx_triangulate.records.graph_comparison import ComparedOutput
from onnx_triangulate.records.runs import Failure
from onnx_triangulate.records.text import safe
from onnx_triangulate.report.quantities import pair as two


def judge_feed(session: Session, name: str, arrays: Mapping[str, Array], found: Evidence, *, proved: bool) -> None:
    """One of the first feeds; where the two are ``proved`` the same, only the runs are looked at."""
    result = None if proved else session.in_float64(arrays, tuple(found.unseen().values()))
    if isinstance(result, Failure):
        found.on(name, f"not compared in float64: {result.kind}: {result.message}")
    elif result is not None:
        result = found.without_cancelled(result)
        _take(found, result, name)
    runs = _replayed(session, arrays)
    for side, run in runs.items():
        found.judged, found.unbounded = found.judged + run.judged, found.unbounded + run.unbounded
        found.held = max(found.held, run.held)
        found.faults += [f for f in run.faults if (f.node, f.party) not in {(h.node, h.party) for h in found.faults}]
        if run.problem:
            found.on(name, f"{side}: {run.problem}")
    parts = compared_outputs(session, runs, exact=is_judged(session, result))
    found.outputs = [worse(*both) for both in zip(found.outputs, parts, strict=True)] if found.outputs else parts
    _take_outputs(session, found, parts, name)
    found.finite |= finite_outputs(runs["B"])


def _take(found: Evidence, result: TeacherForcedResult, name: str) -> None:
    """What one comparison in float64 adds to the evidence."""
    found.compared += result.compared
    found.held = max(found.held, result.held)
    found.worst = max(found.worst, result.worst)
    found.on(name, *(f"not judged in float64: {t}" for t in result.unjudged if not t.endswith(SILENT)))
    found.add(result)
    if not result.compared:
        found.on(name, "nothing was compared in float64")
    if found.result is None or (result.faults and not found.result.faults):
        found.result = result
    if not found.b_is_faulty:
        take_faults(found, result, name)


def _take_outputs(session: Session, found: Evidence, parts: list[ComparedOutput], name: str) -> None:
    """What the outputs in the graphs' own types add to the evidence."""
    by_outcome = {outcome: [p for p in parts if p.outcome == outcome] for outcome in {p.outcome for p in parts}}
    diverging = by_outcome.get("diverges", [])
    if not found.faults:
        far = (f"{safe(p.right)} is apart by {p.max_abs:.3g}" for p in by_outcome.get("unbounded", ()))
        found.on(name, *(p.problem for p in diverging if p.problem))
        found.on(name, *(f"{says} in the graphs' own types, with no known bound" for says in far))
    if not session.jumps:
        found.on(name, *(p.problem for p in by_outcome.get("rounding", ()) if p.problem))
    if session.drawn:
        return
    if found.faults and found.kernels_are_finite():
        odd = [p for p in diverging if p.problem and is_odd(p, session.whole_outputs)]
        found.differences += [f"on {name}: {p.problem}" for p in odd]
    found.apart |= bool(diverging)


def is_judged(session: Session, result: TeacherForcedResult | Failure | None) -> bool:
    """Whether all of B was judged in float64 and is what A means; at a jump that leaves either side of it open."""
    if not isinstance(result, TeacherForcedResult) or session.jumps:
        return False
    return bool(result.compared) and not result.faults and not result.unjudged


def take_faults(found: Evidence, result: TeacherForcedResult, name: str) -> None:
    """The faults of B that show on one feed, with the constants that differ in words."""
    for fault in result.faults:
        says = [*([fault.problem] if fault.problem else []), *map(_constant, fault.constants)]
        found.faults.append(replace(fault, party="B", problem="; ".join(says) or None))
    if result.faults:
        found.notes.append(f"the faulty nodes of B show on the {name} inputs")


def _constant(odd: DifferingConstant) -> str:
    due, made = two(odd.expected, odd.actual)
    count = f" ({odd.differing:,} of {odd.size:,} numbers differ)" if odd.size > 1 else ""
    return f"constant {safe(odd.name)} is {due} in A and {made} in B{count}"


def _replayed(session: Session, arrays: Mapping[str, Array]) -> dict[str, NodeReplay]:
    """Each graph's own run in float32, its nodes held against their bounds."""
    runs: dict[str, NodeReplay] = {}
    files = {"A": session.pair.left, "B": session.pair.right}
    for side, saved in session.save_feeds(arrays).items():
        file = files[side]
        try:
            answer = session.workers.call(WORKER, replay_nodes, file, side, saved, session.folder)
        except UnusableInput:
            raise
        except Exception as error:  # a graph that cannot be taken apart raises ValueError, anything else is our own
            kind = "invalid" if isinstance(error, ValueError) else "tool"
            answer = Failure(kind, message(f"{type(error).__name__}: {error}", 300))
        runs[side] = NodeReplay(problem=f"{answer.kind}: {answer.message}") if isinstance(answer, Failure) else answer
    return runs
