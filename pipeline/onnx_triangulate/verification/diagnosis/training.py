"""A graph that was exported in training mode from a model in inference: read off the graph, and run.

Design note.  A BatchNormalization that trains makes every node behind it look otherwise, and a search by node names
several.  So before anybody looks for a node, the nodes of a blamed graph that train are put into inference, and the
edge of the blame is asked again: if it agrees now, by its own bounds, and did not before, that is what is wrong, and
nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from onnx_triangulate.records.verdict import Blame, Finding
from onnx_triangulate.verification import worker_tasks
from onnx_triangulate.verification.case_run import CaseRun
from onnx_triangulate.verification.diagnosis.search import Diagnosis, agrees_beside, blamed_export, listed, of_each
from onnx_triangulate.verification.session import Session

CAUSE = "training-mode-kept"


@of_each
def name_training(session: Session, case_run: CaseRun, blamed: Blame) -> Diagnosis | None:
    """The blame that training mode is behind, with its nodes, and a finding that says so."""
    model = blamed_export(case_run, blamed)
    if model is None or case_run.case.training:
        return None
    found = session.value(None, worker_tasks.in_inference, model, case_run.folder / "inference")
    if found is None or not agrees_beside(session, case_run, found[0], blamed):
        return None
    nodes = found[1]
    settled = replace(blamed, nodes=tuple(nodes), op=", ".join(dict.fromkeys(nodes.values())))
    return Diagnosis(findings=(_finding(blamed, nodes),), settled=(settled,))


def _finding(blamed: Blame, nodes: Mapping[str, str]) -> Finding:
    """``nodes`` are those that train, with their operators."""
    modes = " and ".join(f"{op} with training_mode=1" for op in dict.fromkeys(nodes.values()))
    says = f"the graph has {modes} where the model is in inference: {listed(list(nodes))}"
    says += f"; with 0 there, {' | '.join(blamed.edge)} agrees"
    edit = "set training_mode=0 on these nodes, or call model.eval() before exporting"
    return Finding(CAUSE, blamed.blame, blamed.party, tuple(nodes), says, proved=True, edit=edit)
