"""Where two frameworks mean different things, or hold other weights: at which of their nodes.

Design note.  An edge between frameworks says that they part, not where.  Where each has an export that is faithful, the
graphs stand for the models, and one is judged by the other node by node (``locate.semantics``): that names
every independent difference, and each with the nodes of both.  Neither framework is right; the first is only the one by
whose values the other is judged.  An export that nobody has seen to be faithful would be blamed for its framework, so
it stands for nothing, and that is said.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

from onnx_triangulate.locate import semantics as semantics_tasks
from onnx_triangulate.locate.semantics import MeaningDifference, Meanings
from onnx_triangulate.records.runs import Failure, Model
from onnx_triangulate.records.verdict import Blame, Finding
from onnx_triangulate.verification.case_run import CaseRun
from onnx_triangulate.verification.diagnosis.nodes import CAUSE, NOBODY
from onnx_triangulate.verification.diagnosis.search import SHOWN, Diagnosis, listed
from onnx_triangulate.verification.session import Session

MEANT = ("semantics", "parameters")
_NAMED = 8
_TRIES = 3
_COSTLY = ("timeout", "memory", "crashed")


def name_semantics(session: Session, case_run: CaseRun, blames: Sequence[Blame]) -> Diagnosis:
    """The blames between frameworks with the nodes of both, and findings that say where and by how much."""
    asked = {b.edge: b for b in sorted(blames, key=lambda b: b.blame) if b.blame in MEANT}  # semantics, if both
    departed = {b.party for b in blames if b.blame in ("export", "export-failed")}
    named = list(blames)
    findings: list[Finding] = []
    for blamed in asked.values():
        named[named.index(blamed)], said = _of_edge(session, case_run, blamed, departed)
        findings += said
    return Diagnosis(tuple(named), tuple(findings))


def _of_edge(session: Session, case_run: CaseRun, blamed: Blame, departed: set[str]) -> tuple[Blame, list[Finding]]:
    """One blame with the nodes of both frameworks, and what is to be said of it."""
    left, right = (_representatives(case_run, framework, departed) for framework in blamed.edge)
    lacking = [name for name, graphs in zip(blamed.edge, (left, right), strict=True) if not graphs]
    if lacking:
        problem = f"no export of {' or of '.join(lacking)} is known to be faithful, so none can stand for it"
        return blamed, [_nobody(blamed, f"the nodes of the two were not compared: {problem}")]
    found, judge, other = _compared(session, case_run, right, left)
    at = f"at {case_run.size}: " if case_run.size else ""
    findings = [replace(f, message=f"{at}{f.message}") for f in _findings(blamed, found, judge, other)]
    if isinstance(found, Meanings) and found.differences and not blamed.nodes:
        blamed = _with_nodes(blamed, found)
    return blamed, findings


def _with_nodes(blamed: Blame, found: Meanings) -> Blame:
    """A blame with the first nodes of both frameworks at each difference, and their operators."""
    faults = [difference.fault for difference in found.differences]
    nodes = dict.fromkeys(name for fault in faults for name in (*fault.nodes[:1], *fault.against[:1]))
    ops = dict.fromkeys(op for each in found.differences for op in (*each.ops[:1], *each.against_ops[:SHOWN]))
    return replace(blamed, nodes=tuple(nodes), op=blamed.op or ", ".join(list(ops)[:SHOWN]))


def _compared(
    session: Session, case_run: CaseRun, judges: Sequence[Model], others: Sequence[Model]
) -> tuple[Meanings | Failure, Model, Model]:
    """What the first pair of graphs that can be compared comes to, and that pair."""
    folder, limit = case_run.folder / "meaning", session.weight_limit
    for judge, other in itertools.islice(itertools.product(judges, others), _TRIES):
        arguments = (case_run.ref, judge, other, case_run.seed, folder, limit)
        found = session.call_runtimes(semantics_tasks.meaning_differences, *arguments)
        if not isinstance(found, Failure) or found.kind in _COSTLY:
            break
    return found, judge, other


def _representatives(case_run: CaseRun, framework: str, departed: set[str]) -> list[Model]:
    """The exports that may stand for a framework: those with the case's own order of axes at the border first."""
    case = case_run.case
    own = [model for model in case_run.models.values() if model.party.framework == framework and model.usable]
    declared = {name: t.axes for name, t in {**case.inputs, **case.outputs}.items() if hasattr(t, "axes")}

    def turned(model: Model) -> int:
        return sum(axes.split() != declared.get(name, axes).split() for name, axes in model.axes.items())

    # What an exporter's optimizer has folded together cannot be told apart: the raw graph comes before its own.
    own.sort(key=lambda model: (turned(model), model.party.exporter != "raw", model.graph))
    return [model for model in own if model.graph not in departed and case_run.parties.faithful(model.graph)]


def _nobody(blamed: Blame, says: str) -> Finding:
    return Finding(NOBODY, blamed.blame, blamed.party, (), says)


def _findings(blamed: Blame, found: Meanings | Failure, judge: Model, other: Model) -> list[Finding]:
    pair = f"{other.graph} held against {judge.graph} in float64"
    if isinstance(found, Failure):
        return [_nobody(blamed, f"{pair}: their nodes could not be compared: {found.kind}: {found.message}")]
    coverage = f"({pair})"
    if not found.differences:
        why = "; ".join(found.unjudged[:2]) or "at a jump, either side of it counts as that"
        return [_nobody(blamed, f"no node of one graph parts from the other by more than rounding: {why} {coverage}")]
    names = [model.party.framework for model in (judge, other)]
    findings = [
        Finding(
            CAUSE,
            blamed.blame,
            blamed.party,
            (*part.fault.nodes[:1], *part.fault.against, *part.fault.nodes[1:]),
            f"{_words(part, *names)} {coverage}",
            edit=_edit(part, *names),
        )
        for part in found.differences[:_NAMED]
    ]
    if rest := found.differences[_NAMED:]:
        says = f"{len(rest)} more node{'s' * (len(rest) > 1)} of {other.graph} part from {judge.graph}"
        findings.append(Finding(CAUSE, blamed.blame, blamed.party, tuple(p.fault.nodes[0] for p in rest), says))
    return findings


def _words(part: MeaningDifference, judge: str, other: str) -> str:
    fault = part.fault
    theirs = f"none of {judge}"
    if fault.against:
        theirs = f"{listed(part.against_ops)} of {judge} ({listed(fault.against)})"
    stands = "stand" if len(fault.against) > 1 else "stands"
    parts = [f"{theirs} {stands} where {other} has {listed(part.ops)} ({listed(fault.nodes)})"]
    if fault.introduced is not None:
        parts.append(f"apart by {fault.introduced:.3g}, {_times(fault.severity)}")
    if fault.expected is not None and fault.actual is not None and fault.index is not None:
        place = f"{fault.output}{list(fault.index)}"
        parts.append(f"{place} is {fault.expected:.6g} in {judge} and {fault.actual:.6g} in {other}")
    if fault.problem:
        parts.append(fault.problem.replace("A has", f"{judge} has").replace("A's values", f"{judge}'s values"))
    if part.setting is not None:
        name, due, seen = part.setting
        parts.insert(0, f"{name} {_digits(seen)} in {other}, {_digits(due)} in {judge}")
    return "; ".join([*parts, *part.differs])


def _edit(part: MeaningDifference, judge: str, other: str) -> str | None:
    """Neither framework is right, so either may be told what the other was."""
    if part.setting is None:
        return None
    name, due, seen = part.setting
    return f"give both one {name}: {_digits(due)} in {other} too, or {_digits(seen)} in {judge}"


def _digits(value: float) -> str:
    """A number that float32 holds, as it was written."""
    return f"{value:.7g}"


def _times(ratio: float) -> str:
    return f"{ratio:.3g} times its bound" if ratio < 1e9 else "far above its bound"
