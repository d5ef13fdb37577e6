"""Which pass of an exporter's optimizer makes a faithful graph unfaithful, and at which of its nodes.

Design note.  Where ``NAME:raw`` means what the model means and ``NAME`` does not, the optimizer between the two is to
blame.  Its passes are run one by one on the raw graph (``engines.protocols.OptimizingFramework``), and what is asked
is the edge that the blame was read from: does it part with these left out?  Where all of them together do not make the
divergence, this is not the exporter's own run, and nobody is named.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from onnx_triangulate.locate import pass_runs
from onnx_triangulate.locate.pass_search import Diverges, PassSearch, search
from onnx_triangulate.records.party import Party
from onnx_triangulate.records.runs import Failure, Model
from onnx_triangulate.records.verdict import Blame, Finding
from onnx_triangulate.transform.optimizer_changes import Region
from onnx_triangulate.verification.case_run import CaseRun
from onnx_triangulate.verification.diagnosis.passes import CAUSE, NOBODY, with_regions
from onnx_triangulate.verification.diagnosis.search import Diagnosis, agrees_with, blamed_export
from onnx_triangulate.verification.session import Session

_NAMED = 3


def name_folding(session: Session, case_run: CaseRun, blames: Sequence[Blame]) -> Diagnosis:
    """The blames of an export with the nodes that its optimizer got wrong, and findings that name the pass."""
    departed = {blamed.party for blamed in blames if blamed.blame == "export"}
    found = Diagnosis()
    for blamed in blames:
        raw = _faithful_raw(case_run, blamed)
        if raw is None or raw.graph in departed:
            names = None
        else:
            names = session.value(None, pass_runs.exporter_passes, blamed.party, kind=blamed.party)
        found = found.beside(_named(session, case_run, blamed, raw, names) if raw and names else Diagnosis((blamed,)))
    return found


def _named(session: Session, case_run: CaseRun, blamed: Blame, raw: Model, names: Sequence[str]) -> Diagnosis:
    """A blame with the nodes that one of the optimizer's passes got wrong, and a finding that names the pass."""
    assert raw.file is not None
    place, model = case_run.folder / "folding", case_run.models[blamed.party]
    found = search(names, _question(session, case_run, blamed, raw.file, names))
    regions = session.value((), pass_runs.parted_nodes, case_run.ref, raw, model, case_run.seed, place)
    blamed, nodes = with_regions(blamed, regions)
    return Diagnosis((blamed,), (_finding(blamed, raw.graph, found, regions, nodes),))


def _faithful_raw(case_run: CaseRun, blamed: Blame) -> Model | None:
    """The raw export that an exporter's optimizer made the blamed one of, where that one is faithful."""
    model, ran = blamed_export(case_run, blamed), case_run.runs.get(blamed.edge[1])
    if model is None or model.party.exporter or ran is None or not ran.party.runtime:
        return None
    raw = case_run.models.get(Party(model.party.framework, "raw").graph)
    return raw if raw is not None and raw.usable and case_run.parties.faithful(raw.graph) else None


def _question(session: Session, case_run: CaseRun, blamed: Blame, raw: Path, names: Sequence[str]) -> Diverges:
    """Whether the edge of the blame still parts when its graph is made of ``raw`` without some passes."""
    model, place = case_run.models[blamed.party], case_run.folder / "folding"

    def diverges(off: frozenset[str], _: str | None) -> bool:
        left_out = [name for name in names if name in off]
        arguments = (blamed.party, raw, left_out, place / "trial.onnx")
        file = session.call(blamed.party, pass_runs.optimize_without, *arguments)
        if isinstance(file, Failure):
            return True
        made = replace(model, file=file, weights=model.weights or raw)
        return not agrees_with(session, case_run, blamed.edge, made, place, allowance=True)

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
