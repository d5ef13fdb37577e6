"""Where two frameworks mean different things, or hold other weights: at which of their nodes.

Design note.  An edge between frameworks says that they part, not where.  Where each has an export that is faithful, the
graphs stand for the models, and one is judged by the other node by node (``locate.semantics``): that names
every independent difference, and each with the nodes of both.  Neither framework is right; the first is only the one by
whose values the other is judged.  An export that nobody has seen to be faithful would be blamed for its framework, so
it stands for nothing, and that is said.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from onnx_triangulate.locate import semantics as meaning_tasks
from onnx_triangulate.locate.semantics import MeaningDifference, Meanings
from onnx_triangulate.records.case import Case, CaseRef
from onnx_triangulate.records.runs import Failure, Model
from onnx_triangulate.records.verdict import Blame, Finding
from onnx_triangulate.verification.faulty_folding import faithful
from onnx_triangulate.verification.faulty_nodes import CAUSE, NOBODY
from onnx_triangulate.verification.triangulate import Parties

MEANT = ("semantics", "parameters")
Call = Callable[..., Any]
_NAMED = 8
_SHOWN = 3
_TRIES = 3
_COSTLY = ("timeout", "memory", "crashed")


def name_meanings(
    call: Call,
    ref: CaseRef,
    case: Case,
    models: Mapping[str, Model],
    parties: Parties,
    blames: Sequence[Blame],
    seed: int,
    folder: Path,
    memory: int | None = None,
) -> tuple[tuple[Blame, ...], tuple[Finding, ...]]:
    """The blames between frameworks with the nodes of both, and findings that say where and by how much.

    ``call(function, *arguments)`` runs a function in the runtimes' worker and gives its answer or a :class:`Failure`.
    """
    asked = {b.edge: b for b in sorted(blames, key=lambda b: b.blame) if b.blame in MEANT}  # semantics, if both
    departed = {b.party for b in blames if b.blame in ("export", "export-failed")}
    named = list(blames)
    findings: list[Finding] = []
    for edge, blamed in asked.items():
        left, right = (_standing(framework, case, models, parties, departed) for framework in edge)
        lacking = [name for name, graphs in zip(edge, (left, right), strict=True) if not graphs]
        if lacking:
            problem = f"no export of {' or of '.join(lacking)} is known to be faithful, so none can stand for it"
            findings.append(_nobody(blamed, f"the nodes of the two were not compared: {problem}"))
            continue
        found: Meanings | Failure = Failure("refused", "nothing to compare")
        pair = (right[0], left[0])
        for pair in itertools.islice(itertools.product(right, left), _TRIES):
            found = call(meaning_tasks.meaning_differences, ref, *pair, seed, folder / "meaning", memory)
            if not isinstance(found, Failure) or found.kind in _COSTLY:
                break
        said = _findings(blamed, found, *pair)
        if ref.size:
            said = [replace(finding, message=f"at {ref.size}: {finding.message}") for finding in said]
        findings += said
        if isinstance(found, Meanings) and found.differences and not blamed.nodes:
            place = named.index(blamed)
            ops = dict.fromkeys(op for part in found.differences for op in (*part.ops[:1], *part.against_ops[:_SHOWN]))
            nodes = dict.fromkeys(
                name for part in found.differences for name in (*part.fault.nodes[:1], *part.fault.against[:1])
            )
            named[place] = replace(blamed, nodes=tuple(nodes), op=blamed.op or ", ".join(list(ops)[:_SHOWN]))
    return tuple(named), tuple(findings)


def _standing(
    framework: str, case: Case, models: Mapping[str, Model], parties: Parties, departed: set[str]
) -> list[Model]:
    """The exports that may stand for a framework: those with the case's own order of axes at the border first."""
    able = [
        model
        for graph, model in models.items()
        if graph.partition(":")[0] == framework and graph not in departed and model.error is None and model.file
    ]
    declared = {name: t.axes for name, t in {**case.inputs, **case.outputs}.items() if hasattr(t, "axes")}

    def turned(model: Model) -> int:
        return sum(axes.split() != declared.get(name, axes).split() for name, axes in model.axes.items())

    # What an exporter's optimizer has folded together cannot be told apart: the raw graph comes before its own.
    able.sort(key=lambda m: (turned(m), m.graph != f"{framework}:raw", m.graph))
    return [m for m in able if faithful(parties, framework, m.graph)]


def _nobody(blamed: Blame, says: str) -> Finding:
    return Finding(NOBODY, blamed.blame, blamed.party, (), says)


def _findings(blamed: Blame, found: Meanings | Failure, judge: Model, other: Model) -> list[Finding]:
    pair = f"{other.graph} held against {judge.graph} in float64"
    if isinstance(found, Failure):
        return [_nobody(blamed, f"{pair}: their nodes could not be compared: {found.kind}: {found.message}")]
    coverage = f"({pair})"
    if not found.differences:
        why = "; ".join(found.unjudged[:2]) or "every output of one graph is the other's"
        return [_nobody(blamed, f"no node of one graph parts from the other: {why} {coverage}")]
    names = [m.graph.partition(":")[0] for m in (judge, other)]
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
        theirs = f"{_listed(part.against_ops)} of {judge} ({_listed(fault.against)})"
    stands = "stand" if len(fault.against) > 1 else "stands"
    parts = [f"{theirs} {stands} where {other} has {_listed(part.ops)} ({_listed(fault.nodes)})"]
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


def _listed(names: Sequence[str]) -> str:
    rest = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")


def _times(ratio: float) -> str:
    return f"{ratio:.3g} times its bound" if ratio < 1e9 else "far above its bound"
