"""The searches for what is behind blames, in the order in which they are asked."""

from __future__ import annotations

from collections.abc import Sequence

from onnx_triangulate.records.verdict import Blame
from onnx_triangulate.verification.case_run import CaseRun
from onnx_triangulate.verification.diagnosis import external, nodes, order, training
from onnx_triangulate.verification.diagnosis.folding import name_folding
from onnx_triangulate.verification.diagnosis.passes import name_passes
from onnx_triangulate.verification.diagnosis.search import Diagnosis
from onnx_triangulate.verification.diagnosis.semantics import name_semantics
from onnx_triangulate.verification.session import Session


def diagnose(session: Session, case_run: CaseRun, blames: Sequence[Blame]) -> Diagnosis:
    """The blames at one size with their faulty nodes, and findings that say so in words.

    What is behind a blame as a whole (an order, a mode, other weights) is looked for before any node is.
    """
    found = Diagnosis(tuple(blames))
    for search in (order.name_orders, training.name_training, external.name_external):
        found = found.and_then(search(session, case_run, found.open))
    found = found.and_then(nodes.name_faulty_nodes(session, case_run, found.open, found.faithful))
    for search in (name_passes, name_folding):
        found = found.and_then(search(session, case_run, found.open))
    last = name_semantics(session, case_run, found.blames)
    return Diagnosis(last.open, (*found.findings, *last.findings))
