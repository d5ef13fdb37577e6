"""The faulty nodes of one graph of a case, from the export to the answer: who does what in which worker.

Where no bound tells, the rest does (:func:`by_exclusion`): outputs differ, so some node is faulty.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from onnx_triangulate.locate import node_search as localize_tasks
from onnx_triangulate.records.faults import Localization, SourceValues
from onnx_triangulate.records.party import Party
from onnx_triangulate.records.runs import Failure, Model
from onnx_triangulate.records.verdict import Blame
from onnx_triangulate.verification.case_run import CaseRun
from onnx_triangulate.verification.definitions import source_weights
from onnx_triangulate.verification.session import Session

LOCALIZED = ("export", "kernel", "reference", "unspecified")


def localize(
    session: Session, case_run: CaseRun, blames: Sequence[Blame], faithful: Mapping[str, Model]
) -> list[Localization]:
    """The faulty nodes of every graph whose export, kernels or evaluation in the reference is blamed, or left open.

    ``faithful`` are other exports of the same model, by the graph in whose place they agree.
    """
    # A blame whose edge is no run (a graph that is not dynamic) is about no numbers, and no node is to be found; what
    # leaves an order open is known, and its value is right in any.
    wanted = [b for b in blames if not (b.blame == "unspecified" and b.nodes)]
    first: dict[tuple[str, str], Blame] = {}
    for blamed in wanted:
        if blamed.blame in LOCALIZED and blamed.edge[1] in case_run.runs:
            first.setdefault((blamed.blame, blamed.party), blamed)

    def asked(blame: str, party: str) -> Localization | None:
        model = case_run.models.get(Party.parse(party).graph)
        if model is None:
            return None
        trusted = faithful.get(model.graph) or _trusted(case_run, blames, model)
        sources = source_weights(session, case_run, model)
        return localized(session, case_run, blame, party, sources=sources, trusted=trusted)

    found = [_of_blame(blamed, asked) for blamed in first.values()]
    notes = (f"at {case_run.size}",) if case_run.size else ()
    return [replace(each, notes=(*notes, *each.notes)) for each in found if each is not None]


def _of_blame(blamed: Blame, asked: Callable[[str, str], Localization | None]) -> Localization | None:
    """The localization of a blame.  Of what is left open neither side is wrong: the node is one of whichever run has it
    otherwise."""
    runs = [end for end in reversed(blamed.edge) if Party.parse(end).runtime]
    found: Localization | None = None
    for end in runs if blamed.blame == "unspecified" else [blamed.party]:
        answer = asked(blamed.blame, end)
        found = answer if found is None or (answer is not None and answer.faults) else found
        if found is not None and found.faults:
            break
    return by_exclusion(replace(found, party=blamed.party)) if found is not None else None


def _trusted(case_run: CaseRun, blames: Sequence[Blame], model: Model) -> Model | None:
    """The raw export of the same framework, where it is another one, runs, and is not to blame."""
    raw = case_run.models.get(str(Party(model.party.framework, "raw")))
    if raw is None or raw.graph == model.graph or not raw.usable:
        return None
    blamed = any(b.blame in ("export", "export-failed") and b.party == raw.graph for b in blames)
    return raw if not blamed and case_run.parties.faithful(raw.graph) else None


def by_exclusion(found: Localization) -> Localization:
    """With the node that alone can be faulty, where no bound accuses any.

    It is the only one between the inputs and the outputs, or the only one of which no bound tells while every other one
    is inside its own.  Where what the exporter captured is not the model, it is no node.
    """
    if found.faults or found.captured:
        return found
    unsure = {error.node: error for error in reversed(found.uncompared)}
    if found.only is not None:
        faulty = unsure.get(found.only.node, found.only)
        says = "it is the only node between the inputs and the outputs"
    elif len(unsure) == 1 and found.judged + 1 >= found.nodes and not found.contributions:
        (faulty,) = unsure.values()
        says = "it is the only node that no bound tells of, and no other is above its"
    else:
        return found
    notes = (*found.notes, *([found.problem] if found.problem else []))
    faulty = replace(faulty, introduced=None, problem="; ".join(filter(None, (faulty.problem, says))))
    return replace(found, faults=(faulty,), problem=None, notes=notes)


def localized(
    session: Session,
    case_run: CaseRun,
    blame: str,
    party: str,
    *,
    sources: Sequence[Path] = (),
    attribute: bool = True,
    trusted: Model | None = None,
) -> Localization | None:
    """The faulty nodes of the graph whose step ``party`` is blamed for; None where there is no such graph.

    ``sources`` are files whose constants the graph's may be copies of.  ``attribute``: where no node is faulty and
    outputs differ, say which nodes contribute most.  ``trusted`` is another export of the same model that nobody
    blames: where this one keeps no names of the source's values, or too few to tell its nodes apart, it is held against
    that one.
    """
    model = case_run.models.get(Party.parse(party).graph)
    if model is None or not model.usable:
        return None
    search = _NodeSearch(session, case_run, model, blame, party, tuple(sources), attribute, trusted)
    return search.export() if blame == "export" else search.judged(None)


@dataclass(frozen=True)
class _NodeSearch:
    """The search for the faulty nodes behind one blame; the parameters are those of :func:`localized`."""

    session: Session
    case_run: CaseRun
    model: Model
    blame: str
    party: str
    sources: tuple[Path, ...]
    attribute: bool
    trusted: Model | None

    def export(self) -> Localization:
        """In float64 where the source has that, else in the case's own precision."""
        values = self.values(double=True)
        if values.error is not None and (against := self.against()) is not None:
            return against
        if values.error is None and values.double is not None:
            return self.in_float64(values)
        single = self.values(double=False)
        return self.judged(replace(single, notes=(*values.notes, *single.notes)))

    def in_float64(self, values: SourceValues) -> Localization:
        """By the source's ``values`` in float64, and by those in float32: what float32 alone shows is told from what
        the source does itself by its own float32 values."""
        found = self.judged(values)
        against = self.against() if any(error.others for error in found.faults) else None
        if against is not None and 0 < _accused(against) < _accused(found):
            return against
        if found.faults and not any(error.problem for error in found.faults):
            return found
        single = self.values(double=False)
        if found.faults:
            return self.judged(replace(single, double=values.double))
        again = self.judged(single, tuple(error.output for error in found.within))
        kept = again if again.faults else found
        return replace(
            kept,
            peak=max(found.peak, again.peak),
            seconds=found.seconds + again.seconds,
            captured=again.captured,
            contributions=again.contributions,
        )

    def judged(self, values: SourceValues | None, innocent: tuple[str, ...] = ()) -> Localization:
        native = self.case_run.runs.get(self.model.party.framework)
        run, model = self.case_run, self.model
        blamed = localize_tasks.BlamedGraph(
            run.ref, model, self.blame, self.party, run.seed, self.sources, native, self.attribute
        )
        found = self.session.call_runtimes(localize_tasks.localize_nodes, blamed, values, innocent)
        if isinstance(found, Failure):
            return Localization(self.model.graph, self.party, self.blame, problem=f"{found.kind}: {found.message}")
        assert isinstance(found, Localization)
        return found

    def values(self, *, double: bool) -> SourceValues:
        """The source's own values in one precision."""
        framework, run = self.model.party.framework, self.case_run
        arguments = (run.ref, framework, self.model, (double,), run.seed, run.folder)
        values = self.session.call(framework, localize_tasks.source_values, *arguments)
        values = SourceValues(self.model.graph, error=values) if isinstance(values, Failure) else values
        assert isinstance(values, SourceValues)
        return values

    def against(self) -> Localization | None:
        """Held against the trusted export; None where there is none, or nothing comes of it."""
        if self.trusted is None:
            return None
        run, place = self.case_run, self.case_run.folder / "against"
        arguments = (run.ref, self.model, self.trusted, self.party, run.seed, place)
        found = self.session.call_runtimes(localize_tasks.localize_against, *arguments)
        return found if isinstance(found, Localization) else None


def _accused(found: Localization) -> int:
    """How many nodes are named, those included that are not told apart from a faulty one."""
    return len({node for error in found.faults for node in (error.node, *error.others)})
