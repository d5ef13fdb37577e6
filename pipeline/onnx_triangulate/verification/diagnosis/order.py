"""An export whose outputs or inputs are the model's in another order, for which no node is to blame.

Design note.  Compared one by one, swapped outputs look like wrong nodes, or like wrong shapes, and of swapped inputs
whatever reads them first looks wrong.  So before anybody looks for a node, the outputs of a blamed graph, and then its
inputs, are put in the order in which they are nearest to the native run's, and the edge of the blame is asked again: if
it agrees now, by its own bounds, and did not before, the order is what is wrong, and that is run and not guessed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from onnx_triangulate.numerics.compare import same_bits
from onnx_triangulate.records.runs import Model
from onnx_triangulate.records.verdict import Blame, Finding
from onnx_triangulate.verification import external_models
from onnx_triangulate.verification.case_run import CaseRun
from onnx_triangulate.verification.diagnosis.search import Diagnosis, agrees_with, blamed_export, of_each
from onnx_triangulate.verification.parties import Parties
from onnx_triangulate.verification.session import Session

CAUSE = "outputs-reordered"
INPUTS = "inputs-exchanged"
CAUSES = (CAUSE, INPUTS)


@of_each
def name_orders(session: Session, case_run: CaseRun, blamed: Blame) -> Diagnosis | None:
    """The blame of an export with what is wrong with the order of its outputs or inputs, and a finding that says so."""
    model = blamed_export(case_run, blamed)
    found = _finding(session, case_run, model, blamed) if model is not None else None
    if found is None:
        return None
    return Diagnosis(findings=(found,), settled=(replace(blamed, message=found.message, nodes=(), op=None),))


def _finding(session: Session, case_run: CaseRun, model: Model, blamed: Blame) -> Finding | None:
    if found := _proposed(session, case_run, model, external_models.reordered, len(model.outputs)):
        cause, says = CAUSE, f"the outputs come in another order: {_order(model, found, case_run.parties)}"
        edit = f"give the outputs of the graph in the model's order: {', '.join(found.outputs.values())}"
    elif found := _proposed(session, case_run, model, external_models.exchanged, len(model.inputs)):
        moved = {n: border for n, border in found.inputs.items() if border != model.inputs[n]}
        listed = ", ".join(f"the graph's {border} is the model's {name}" for name, border in moved.items())
        cause, says = INPUTS, f"two inputs have each other's names: {listed}"
        edit = f"exchange the names of the graph's inputs {' and '.join(moved.values())}"
    else:
        return None
    return Finding(cause, blamed.blame, blamed.party, (), says, proved=True, edit=edit)


def _proposed(
    session: Session, case_run: CaseRun, model: Model, propose: Callable[..., Model | None], values: int
) -> Model | None:
    """The export with its border as ``propose`` has it, where it is faithful so, and as it stands it is not; ``values``
    is how many there are to put in order."""
    framework, parties = model.party.framework, case_run.parties
    if not parties.answered(framework) or values < 2:
        return None
    party = next((p for p in parties.ran(model.graph) if not parties.diff(framework, str(p), "export").agrees), None)
    if party is None:
        return None
    native, edge, folder = parties.runs[framework], (framework, str(party)), case_run.folder / "reordered"
    found = session.value(None, propose, case_run.ref, model, native, party.runtime, case_run.seed)
    return found if found is not None and agrees_with(session, case_run, edge, found, folder) else None


def _order(model: Model, found: Model, parties: Parties) -> str:
    """Which output of the graph is which of the model's, for those that are not where they are looked for."""
    values = parties.runs[model.party.framework].arrays()
    said = []
    for name, border in found.outputs.items():
        if border == model.outputs[name]:
            continue
        alike = [other for other in values if other != name and same_bits(values[name], values[other])]
        also = f" (or {', '.join(alike)}: the same numbers here)" if alike else ""
        said.append(f"{border} is the model's {name}{also}")
    return ", ".join(said)
