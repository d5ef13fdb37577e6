"""From everything that ran of a case to its verdict: whose steps part at every size, what is behind them, and whether
that was declared.  What is computed is computed elsewhere; here it is put in order."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from onnx_triangulate.cases import inputs
from onnx_triangulate.engines.frameworks import adapters
from onnx_triangulate.records.case import Case
from onnx_triangulate.records.party import FILE, Party
from onnx_triangulate.records.runs import Diff, Model
from onnx_triangulate.records.verdict import Blame, Evidence, Finding, Verdict
from onnx_triangulate.verification import expectations, fresh_exports, worker_tasks
from onnx_triangulate.verification.agreement import groups_of, largest_difference
from onnx_triangulate.verification.blame import NOBODY_ACCEPTS, blame
from onnx_triangulate.verification.case_execution import on_inputs_of
from onnx_triangulate.verification.case_run import CaseRun
from onnx_triangulate.verification.diagnosis import external, nodes, order, training
from onnx_triangulate.verification.diagnosis.diagnose import diagnose
from onnx_triangulate.verification.session import Session
from onnx_triangulate.verification.undeclared_axes import to_declare, undeclared

_EXPORT = ("export", "export-failed")


def judge(
    session: Session, declared: CaseRun, others: Sequence[CaseRun], versions: Mapping[str, str | None]
) -> Verdict:
    """The verdict on a case that ran at its declared shapes and on ``others``, its other sizes and inputs."""
    judgement = _Judgement(session, declared, others)
    judgement.at_declared_shapes()
    for other in others:
        judgement.at_other_size(other)
    for model in declared.models.values():
        if model.external and model.file is not None:
            judgement.beside_fresh_export(model)
    return judgement.verdict(versions)


class _Judgement:
    """What is known of a case so far: blames, findings, and edges on inputs beside its own."""

    def __init__(self, session: Session, declared: CaseRun, others: Sequence[CaseRun]) -> None:
        self.session, self.declared, self.others = session, declared, list(others)
        self.blames: list[Blame] = []
        self.findings: list[Finding] = []
        self.unshown: list[Diff] = []
        self.weights = _different_weights(session, declared)

    def at_declared_shapes(self) -> None:
        found = self._blames(self.declared)
        known = {(b.blame, b.party) for b in found}
        self._add(self.declared, [*found, *(b for b in _fixed_axes(self.declared) if (b.blame, b.party) not in known)])

    def at_other_size(self, other: CaseRun) -> None:
        known = {(b.blame, b.party) for b in self.blames}
        known |= {("export", party) for blame, party in known if blame == "export-failed"}  # it means nothing at all
        self._add(other, [b for b in self._blames(other) if (b.blame, b.party) not in known], at=other.size)

    def beside_fresh_export(self, model: Model) -> None:
        """An external file that nobody blames, on inputs on which it parts from a fresh export of the source."""
        if any(b.party == model.graph and b.blame in _EXPORT for b in self.blames):
            return
        pair = fresh_exports.paired(self.session, self.declared, model)
        if pair is None:
            return
        other, found = next(self._parting(pair), (None, []))
        if other is None:
            self.unshown += _unshown(self.session, self.declared, pair)
        else:
            self._add(other, found)
            self.others.append(other)

    def verdict(self, versions: Mapping[str, str | None]) -> Verdict:
        session, case = self.session, self.declared.case
        evidence, sized = self._evidence(), self._sized()
        edges, blames, groups = evidence.edges, evidence.blames, evidence.groups
        findings = self._with_causes(evidence)
        asked = {*self.declared.runs, *self.declared.models} if session.options.parties else None
        results, unexpected = expectations.hold(case, blames, session.absent, versions, asked, findings)
        problems = (*_axes_to_declare(self.declared), *_problems(self.declared))
        problems += tuple(problem for other in sized[1:] for problem in _problems_at(other))
        status = expectations.status_of(edges, blames, unexpected, results, problems, groups)
        agreed = expectations.agreed(edges, blames, problems, groups)
        words = tuple(sorted({b.blame for b in blames})) or (("agree",) if agreed else ())
        apart = [largest_difference(each.parties, each.edges) for each in sized]
        largest = max(filter(None, apart), key=lambda each: each.max_abs / each.top, default=None)
        return Verdict(
            evidence.case, status, words, evidence, findings, results, unexpected, problems, case.note, largest
        )

    def _add(self, case_run: CaseRun, blames: Sequence[Blame], at: str = "") -> None:
        found = diagnose(self.session, case_run, blames)
        self.blames += found.blames
        self.findings += [_said_at(at, finding) for finding in found.findings]

    def _blames(self, case_run: CaseRun) -> list[Blame]:
        """Whose steps part at one size."""
        found = blame(
            case_run.parties,
            case_run.models,
            case_run.edges,
            self.session.runtimes,
            case_run.checks,
            different_weights=self.weights,
        )
        turned = _undeclared(case_run)
        found = tuple(_told_to_declare(case_run, blamed) for blamed in found if blamed.edge not in turned)
        if not case_run.size:
            return list(found)
        declared = _declared_sizes(self.declared.case)
        return [
            _at_size(case_run, blamed, declared)
            for blamed in found
            if case_run.ref.drawn_inputs is None or _is_of_a_file(case_run, blamed)
        ]

    def _parting(self, pair: fresh_exports.Pair) -> Iterator[tuple[CaseRun, list[Blame]]]:
        """Where an external file parts from the source's fresh export, and from the model as well."""
        for found in fresh_exports.further_inputs(self.session, self.declared, pair):
            other = on_inputs_of(self.session, self.declared, pair.external, pair.fresh, found.message, found.file)
            more = [b for b in self._blames(other) if b.party == pair.external.graph] if other is not None else []
            if other is not None and more:
                yield other, more

    def _sized(self) -> list[CaseRun]:
        """The case at all of its sizes, on its own inputs."""
        return [self.declared, *(other for other in self.others if other.ref.drawn_inputs is None)]

    def _evidence(self) -> Evidence:
        declared, sized = self.declared, self._sized()
        drawn = [other for other in self.others if other.ref.drawn_inputs is not None]
        edges = [*(edge for each in sized for edge in each.edges), *self.unshown]
        edges += [edge for other in drawn for edge in _telling(other, self.blames)]
        models = {
            graph: replace(model, notes=(*model.notes, says)) if (says := declared.fixed_axis(graph)) else model
            for graph, model in declared.models.items()
        }
        groups = groups_of(*(each.parties for each in sized))
        sizes = {other.size: other.runs for other in self.others}
        name, runs, blames = declared.ref.name, declared.runs, tuple(self.blames)
        trains = declared.case.training
        return Evidence(name, runs, models, declared.graphs, tuple(edges), groups, blames, sizes, trains)

    def _with_causes(self, evidence: Evidence) -> tuple[Finding, ...]:
        """Causes, then what a search found; the nodes of a mode that was kept are not told one by one as well."""
        alone = (*order.CAUSES, training.CAUSE)
        explained = {(f.blame, f.party) for f in self.findings if f.cause in alone}  # nothing else is behind these
        blames = tuple(b for b in evidence.blames if not b.size and (b.blame, b.party) not in explained)
        here = replace(evidence, edges=self.declared.edges, blames=blames)
        causes: Sequence[Finding] = self.session.value((), worker_tasks.explain, here) if blames else ()
        kept = {(f.blame, f.party) for f in causes if f.cause == training.CAUSE}
        searched = (nodes.CAUSE, external.OTHERWISE)
        return (*causes, *(f for f in self.findings if f.cause not in searched or (f.blame, f.party) not in kept))


def _said_at(size: str, finding: Finding) -> Finding:
    """A finding of another size, which says so."""
    known = not size or finding.message.startswith(f"at {size}: ")
    return finding if known else replace(finding, message=f"at {size}: {finding.message}")


def _declared_sizes(case: Case) -> str:
    """The declared sizes of the open axes, in words."""
    sizes = {axis: n for t in case.inputs.values() for axis, n in zip(t.axes.split(), t.shape or (), strict=False)}
    return ", ".join(f"{axis}={sizes[axis]}" for axis in case.dynamic if axis in sizes) or "its own sizes"


def _at_size(case_run: CaseRun, blamed: Blame, declared: str) -> Blame:
    """A blame at another size than the ``declared`` ones, which says so."""
    says = f"at {case_run.size}: {blamed.message}"
    if blamed.blame == "export-failed":  # the graph runs at the declared sizes
        why = blamed.message.removeprefix(NOBODY_ACCEPTS)
        blamed, says = replace(blamed, blame="export"), f"runs at {declared}, not at {case_run.size}: {why}"
    model = case_run.models.get(blamed.party)
    if case_run.ref.drawn_inputs is not None and model is not None and model.traced_constants:
        says = f"what the exporter was traced with is frozen into the graph ({model.traced_constants[0]}): {says}"
    return replace(blamed, message=says, size=case_run.size)


def _told_to_declare(case_run: CaseRun, blamed: Blame) -> Blame:
    """A blame between two frameworks with what the case has to declare before their outputs can be compared."""
    edge = next((edge for edge in case_run.edges if (edge.left, edge.right) == blamed.edge), None)
    if edge is None or not edge.diverges or not all(end.native for end in edge.ends):
        return blamed
    says = to_declare(case_run.parties, edge, case_run.case.outputs, _layouts())
    return replace(blamed, message=f"{blamed.message}; {says}") if says else blamed


def _layouts() -> dict[str, Mapping[str, str]]:
    """By framework, its own order of axes by the case's."""
    return {name: adapter.layouts for name, adapter in adapters().items()}


def _undeclared(case_run: CaseRun) -> dict[tuple[str, str], tuple[str, ...]]:
    """By edge between two frameworks: the outputs that part only because nobody said what their axes are."""
    edges = [edge for edge in case_run.edges if edge.diverges and all(end.native for end in edge.ends)]
    layouts = _layouts() if edges else {}
    told = {(e.left, e.right): undeclared(case_run.parties, e, case_run.case.outputs, layouts) for e in edges}
    return {edge: says for edge, says in told.items() if says}


def _axes_to_declare(case_run: CaseRun) -> tuple[str, ...]:
    return tuple(dict.fromkeys(says for told in _undeclared(case_run).values() for says in told))


def _unshown(session: Session, case_run: CaseRun, pair: fresh_exports.Pair) -> list[Diff]:
    """An edge for what of an external file no input shows: it could not be compared."""
    says = external.unshown(session, case_run, pair)
    edges = _export_edges(case_run, pair.external.graph)
    edge = next((edge for edge in edges if not edge.ends[1].double), None)
    if not says or edge is None:
        return []
    return [Diff(edge.left, edge.right, edge.isolates, "missing", problem=says, size="further inputs")]


def _export_edges(case_run: CaseRun, graph: str) -> list[Diff]:
    """The edges from a source to a graph in any runtime."""
    return [edge for edge in _run_edges(case_run, graph) if edge.isolates.startswith("export")]


def _run_edges(case_run: CaseRun, graph: str) -> list[Diff]:
    """The edges to a graph in any runtime."""
    return [edge for edge in case_run.edges if edge.ends[1].runtime and edge.ends[1].graph == graph]


def _is_of_a_file(case_run: CaseRun, blamed: Blame) -> bool:
    """Whether a blame on other inputs than the case's own is one of an external file, which must mean the model on
    them.

    What a kernel or a framework makes of inputs that nobody asked about is nobody's question.  Those far beyond their
    ranges are outside of what float32 was meant for, too: there float64 must say it.  Where inputs were sought, the
    source's fresh export is right on them: there float64 must not deny it.  Whole numbers know no rounding.
    """
    if Party.parse(blamed.party).is_own_source:  # what runtimes make of a file is the question, on any inputs
        return blamed.blame in ("kernel", "optimizer", "reference")
    if blamed.blame != "export":
        return False
    sharp = [edge for edge in _run_edges(case_run, blamed.party) if edge.ends[1].double]
    which = case_run.ref.drawn_inputs[0] if case_run.ref.drawn_inputs else ""
    if which == inputs.LARGE:
        return any(edge.diverges for edge in sharp)
    whole = not any(np.dtype(tensor.dtype).kind == "f" for tensor in case_run.case.inputs.values())
    return which in inputs.DRAWN or whole or not any(edge.agrees for edge in sharp)


def _telling(other: CaseRun, blames: Collection[Blame]) -> list[Diff]:
    """The edges on other inputs than the case's own that agree, or that a blame explains."""
    here = [blamed for blamed in blames if blamed.size == other.size]
    return [edge for edge in other.edges if edge.agrees or any(expectations.explains(b, edge) for b in here)]


def _fixed_axes(case_run: CaseRun) -> list[Blame]:
    """The graphs that have one size only where the case declares another."""
    return [
        Blame("export", graph, (model.party.framework, f"{graph}>*"), message=f"the graph is not dynamic: {says}")
        for graph, model in case_run.models.items()
        if (says := case_run.fixed_axis(graph))
    ]


def _different_weights(session: Session, case_run: CaseRun) -> tuple[str, ...]:
    """For a case without a definition: what weights one framework has that the other has not."""
    if case_run.case.truth is not None:
        return ()
    if declared := inputs.differing(case_run.case):
        return declared
    left, right = (case_run.models.get(graph) for graph in (str(Party("torch", "raw")), "tensorflow"))
    if left is None or right is None or left.file is None or right.file is None:
        return ()
    return tuple(session.value((), worker_tasks.different_weights, left, right))


def _problems(case_run: CaseRun) -> tuple[str, ...]:
    """What is wrong with the case itself, each said once; so is a model that no framework of the case will run."""
    natives = case_run.parties.natives
    refused = [(run.party, run.error.message) for run in natives if run.error and run.error.kind == "refused"]
    if refused and len(refused) == len(natives):
        fed = ", ".join(f"{name} {t.dtype}{list(t.shape or ())}" for name, t in case_run.case.inputs.items())
        note = f"; {case_run.case.note}" if FILE in case_run.case.builders and case_run.case.note else ""
        return tuple(f"{party}: the model refuses its inputs ({fed}{note}): {why}" for party, why in refused)
    errors = [*(run.error for run in case_run.runs.values()), *(model.error for model in case_run.models.values())]
    return tuple(dict.fromkeys(error.message for error in errors if error is not None and error.kind == "builder"))


def _problems_at(other: CaseRun) -> tuple[str, ...]:
    """A framework that does not run its own model at a size that the case declares."""
    return tuple(
        f"{run.party} does not run its own model at {other.size}: {run.error.message}"
        for run in other.parties.natives
        if run.error is not None and run.error.kind in ("refused", "builder")
    )
