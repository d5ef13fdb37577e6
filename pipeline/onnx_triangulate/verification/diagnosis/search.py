"""What every search behind blames has: the record that it gives, and the question that it asks: does the edge of the
blame agree with another graph in the place of the blamed one's?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import wraps
from pathlib import Path

from onnx_triangulate.engines import running
from onnx_triangulate.records.party import Party
from onnx_triangulate.records.runs import Model
from onnx_triangulate.records.verdict import Blame, Finding
from onnx_triangulate.verification.case_run import CaseRun
from onnx_triangulate.verification.constant_rounding import with_constant_rounding
from onnx_triangulate.verification.session import Session

SHOWN = 3


@dataclass(frozen=True)
class Diagnosis:
    """Blames with the nodes that are behind them, and findings that say so in words.

    ``settled`` are those blames behind which there is nothing else to look for, ``open`` the others; ``faithful`` are
    fresh exports that agree where an external file, by its graph's name, does not.
    """

    open: tuple[Blame, ...] = ()
    findings: tuple[Finding, ...] = ()
    settled: tuple[Blame, ...] = ()
    faithful: Mapping[str, Model] = field(default_factory=dict)

    @property
    def blames(self) -> tuple[Blame, ...]:
        return (*self.settled, *self.open)

    def and_then(self, found: Diagnosis) -> Diagnosis:
        """With what the next search found for the open blames."""
        return replace(self, open=()).beside(found)

    def beside(self, found: Diagnosis) -> Diagnosis:
        """With what was found for other blames."""
        return Diagnosis(
            (*self.open, *found.open),
            (*self.findings, *found.findings),
            (*self.settled, *found.settled),
            {**self.faithful, **found.faithful},
        )


def listed(names: Sequence[str], separator: str = ", ", rest: str = " and {} more") -> str:
    """The first few of some names, and how many more there are."""
    return separator.join(names[:SHOWN]) + (rest.format(len(names) - SHOWN) if len(names) > SHOWN else "")


Search = Callable[[Session, CaseRun, Sequence[Blame]], Diagnosis]


def of_each(search: Callable[[Session, CaseRun, Blame], Diagnosis | None]) -> Search:
    """A search behind one blame as one behind all; a blame of which it says nothing stays open as it is."""

    @wraps(search)
    def of_all(session: Session, case_run: CaseRun, blames: Sequence[Blame]) -> Diagnosis:
        found = Diagnosis()
        for blamed in blames:
            found = found.beside(search(session, case_run, blamed) or Diagnosis((blamed,)))
        return found

    return of_all


def blamed_export(case_run: CaseRun, blamed: Blame) -> Model | None:
    """The graph that is blamed for what it means, where it can be run."""
    model = case_run.models.get(blamed.party) if blamed.blame == "export" else None
    return model if model is not None and model.usable else None


def agrees_beside(session: Session, case_run: CaseRun, model: Model, blamed: Blame) -> bool:
    """Whether the edge of a blame does not agree as it is, and does with another graph in the blamed one's place."""
    if blamed.edge[1] not in case_run.runs or case_run.parties.diff(*blamed.edge, "export").agrees:
        return False
    return agrees_with(session, case_run, blamed.edge, model, case_run.folder / "beside")


def agrees_with(
    session: Session, case_run: CaseRun, edge: tuple[str, str], model: Model, folder: Path, *, allowance: bool = False
) -> bool:
    """Whether an edge agrees with ``model`` in the place of its right party's graph.

    ``allowance``: a run in float64 is given what its constants in float32 may make.
    """
    party, ref, seed = Party.parse(edge[1]), case_run.ref, case_run.seed
    runs = session.value((), running.run_graph, ref, model, [party.item], seed, folder)
    if allowance and party.double and runs and runs[0].outputs is not None:
        sources = [source for source in (model.weights,) if source is not None]
        answer = session.value(None, with_constant_rounding, ref, model, runs[0], sources, seed, folder)
        runs = [answer] if answer is not None else ()
    return any(case_run.parties.replacing(edge[1], run).diff(*edge, "export").agrees for run in runs)
