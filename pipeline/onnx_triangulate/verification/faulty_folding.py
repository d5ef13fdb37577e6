"""Which pass of an exporter's optimizer makes a faithful graph unfaithful, and at which of its nodes.

Design note.  Where ``NAME:raw`` means what the model means and ``NAME`` does not, the optimizer between the two is to
blame.  Its passes are run one by one on the raw graph (``engines.protocols.OptimizingFramework``), and what is asked
is the edge that the blame was read from: does it part with these left out?  Where all of them together do not make the
divergence, this is not the exporter's own run, and nobody is named.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from onnx_triangulate.engines import running
from onnx_triangulate.locate import pass_runs
from onnx_triangulate.locate.pass_search import Diverges, PassSearch, search
from onnx_triangulate.records.case import CaseRef
from onnx_triangulate.records.party import Party
from onnx_triangulate.records.runs import Failure, Model, Run
from onnx_triangulate.records.verdict import Blame, Finding
from onnx_triangulate.transform.rewritten import Region
from onnx_triangulate.verification import tasks
from onnx_triangulate.verification.faulty_passes import CAUSE, NOBODY
from onnx_triangulate.verification.triangulate import Parties

Call = Callable[..., Any]
_NAMED = 3


def name_folding(
    call: Call,
    worker: str,
    ref: CaseRef,
    models: Mapping[str, Model],
    parties: Parties,
    blames: Sequence[Blame],
    seed: int,
    folder: Path,
) -> tuple[tuple[Blame, ...], tuple[Finding, ...]]:
    """The blames of an export with the nodes that its optimizer got wrong, and findings that name the pass.

    ``call(kind, function, *arguments)`` runs a function in a framework's worker, or in that of the runtimes, whose kind
    is ``worker``.
    """
    guilty = {blamed.party for blamed in blames if blamed.blame == "export"}
    named: list[Blame] = []
    findings: list[Finding] = []
    for blamed in blames:
        graph, raw = blamed.party, f"{blamed.party}:raw"
        model, before = models.get(graph), models.get(raw)
        asked = blamed.blame == "export" and ":" not in graph and raw not in guilty
        right = blamed.edge[1]
        if not asked or model is None or before is None or before.file is None or right not in parties.runs:
            named.append(blamed)
            continue
        if not faithful(parties, graph, raw):
            named.append(blamed)
            continue
        names = call(graph, pass_runs.exporter_passes, graph)
        if isinstance(names, Failure) or not names or ">" not in right:
            named.append(blamed)
            continue
        place = folder / "folding"
        asking = _question(call, worker, ref, model, before.file, names, blamed, parties, seed, place)
        found = search(names, asking)
        parted = call(worker, pass_runs.parted_nodes, ref, before, model, seed, place)
        regions = () if isinstance(parted, Failure) else parted
        nodes = tuple(dict.fromkeys(node for region in regions for node in region.nodes))
        if nodes and not blamed.nodes:
            ops = sorted({op for region in regions for op in region.ops})
            blamed = replace(blamed, nodes=nodes, op=blamed.op or ", ".join(ops))
        named.append(blamed)
        findings.append(_finding(blamed, raw, found, regions, nodes))
    return tuple(named), tuple(findings)


def faithful(parties: Parties, framework: str, graph: str) -> bool:
    """Whether a runtime ran an export and gave the framework's answer."""
    ran = [(name, run) for name, run in parties.runs.items() if run.party.graph == graph and run.party.runtime]
    answered = [name for name, run in ran if run.outputs is not None]
    source = parties.runs.get(framework)
    if source is None or source.outputs is None:
        return False
    return any(parties.diff(framework, name, "export").agrees for name in answered if not name.endswith("@64"))


def _question(
    call: Call,
    worker: str,
    ref: CaseRef,
    model: Model,
    raw: Path,
    names: Sequence[str],
    blamed: Blame,
    parties: Parties,
    seed: int,
    place: Path,
) -> Diverges:
    """Whether the edge of the blame still parts when its graph is made of ``raw`` without some passes."""
    right = blamed.edge[1]
    party = Party.parse(right)
    item = f"{party.runtime}{'@64' if party.double else ''}"

    def diverges(off: frozenset[str], _: str | None) -> bool:
        left_out = [name for name in names if name in off]
        file = call(blamed.party, pass_runs.optimize_without, blamed.party, raw, left_out, place / "trial.onnx")
        if isinstance(file, Failure):
            return True
        made = replace(model, file=file)
        runs = call(worker, running.run_graph, ref, made, [item], seed, place)
        run = Run(party, error=runs) if isinstance(runs, Failure) else runs[0]
        if party.double and run.outputs is not None:
            allowed = call(worker, tasks.with_slack, ref, made, run, [made.weights or raw], seed, place)
            run = Run(party, error=allowed) if isinstance(allowed, Failure) else allowed
        return not parties.replacing(right, run).diff(*blamed.edge, "export").agrees

    return diverges


def _finding(blamed: Blame, raw: str, found: PassSearch, regions: Sequence[Region], nodes: tuple[str, ...]) -> Finding:
    graph, (left, right) = blamed.party, blamed.edge
    where = [
        f"{', '.join(r.ops)} ({', '.join(r.nodes[:_NAMED])}) does not make what {raw} makes with "
        f"{', '.join(r.into[:_NAMED]) or 'what is no longer there'}"
        for r in regions[:_NAMED]
    ]
    edit = "torch.onnx.export(..., optimize=False)" if graph == "torch" else None
    if found.problem is not None:
        says = f"{raw} is faithful and {graph} is not, but its optimizer's passes run one by one name nobody: "
        says = "; ".join([says + found.problem, *where]) + f" ({found.sessions} optimizations)"
        return Finding(NOBODY, blamed.blame, blamed.party, nodes, says, edit=edit)
    listed, one = " and ".join(found.off), len(found.off) == 1
    parts = [
        f"{raw} is faithful; {listed} change{'s' * one} what the graph means: with {'it' if one else 'them'} left out "
        f"{right} agrees with {left}, with {'it' if one else 'any of them'} back it parts again"
    ]
    others = [name for name in found.on if name not in found.off]
    if others:
        parts.append(f"only together with {' and '.join(others)}")
    if found.instead:
        parts.append(f"leaving out {' or '.join(found.instead)} alone removes it too")
    says = "; ".join([*parts, *where]) + f" ({found.sessions} optimizations)"
    return Finding(CAUSE, blamed.blame, blamed.party, nodes, says, proved=True, edit=edit)
