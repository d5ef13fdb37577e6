"""What a search for what is behind blames comes to, and the question that all of them ask: with another graph in the
place of the blamed one's, does the edge of the blame agree?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from onnx_triangulate.engines import running
from onnx_triangulate.records.party import Party
from onnx_triangulate.records.runs import Failure, Model, Run
from onnx_triangulate.records.verdict import Blame, Finding
from onnx_triangulate.verification import worker_tasks
from onnx_triangulate.verification.case_run import CaseRun
from onnx_triangulate.verification.session import Session


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
        return Diagnosis(
            found.open,
            (*self.findings, *found.findings),
            (*self.settled, *found.settled),
            {**self.faithful, **found.faithful},
        )


def agrees_with(
    session: Session, case_run: CaseRun, edge: tuple[str, str], model: Model, folder: Path, *, allowance: bool = False
) -> bool:
    """Whether an edge agrees with ``model`` in the place of its right party's graph.

    ``allowance``: a run in float64 is given what its constants in float32 may make.
    """
    party = Party.parse(edge[1])
    ref, seed = case_run.ref, case_run.seed
    runs = session.call_runtimes(running.run_graph, ref, model, [party.item], seed, folder)
    run = Run(party, error=runs) if isinstance(runs, Failure) else replace(runs[0], party=party)
    if allowance and party.double and run.outputs is not None:
        sources = [source for source in (model.weights,) if source is not None]
        answer = session.call_runtimes(worker_tasks.with_constant_rounding, ref, model, run, sources, seed, folder)
        run = Run(party, error=answer) if isinstance(answer, Failure) else answer
    return case_run.parties.replacing(edge[1], run).diff(*edge, "export").agrees
