"""A graph that was exported in training mode from a model in inference: read off the graph, and run.

Design note.  A BatchNormalization that trains makes every node behind it look otherwise, and a search by node names
several.  So before anybody looks for a node, the nodes of a blamed graph that train are put into inference, and the
edge of the blame is asked again: if it agrees now, by its own bounds, and did not before, that is what is wrong, and
nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from onnx_triangulate.records.verdict import Blame, Finding
from onnx_triangulate.verification import tasks
from onnx_triangulate.verification.faulty_external import agrees
from onnx_triangulate.verification.localization import RUNTIME_WORKER
from onnx_triangulate.verification.session import Seen, Work

CAUSE = "training-mode-kept"
_SHOWN = 3


def name_training(
    work: Work, seen: Seen, blames: Sequence[Blame]
) -> tuple[tuple[Blame, ...], tuple[Blame, ...], tuple[Finding, ...]]:
    """The blames that training mode is behind, with its nodes, the other blames, and findings that say so."""
    parties = seen.parties(work.options.seed)
    settled: list[Blame] = []
    left: list[Blame] = []
    findings: list[Finding] = []
    for blamed in blames:
        model = seen.models.get(blamed.party)
        found = None
        if blamed.blame == "export" and model is not None and model.file is not None and model.error is None:
            found = work.call(RUNTIME_WORKER, tasks.in_inference, model, seen.folder / "inference")
        if not isinstance(found, tuple) or not agrees(work, seen, found[0], blamed, parties):
            left.append(blamed)
            continue
        nodes = found[1]
        ops = dict.fromkeys(nodes.values())
        settled.append(replace(blamed, nodes=tuple(nodes), op=", ".join(ops)))
        modes = " and ".join(f"{op} with training_mode=1" for op in ops)
        listed = ", ".join(list(nodes)[:_SHOWN]) + (f" and {len(nodes) - _SHOWN} more" if len(nodes) > _SHOWN else "")
        says = f"the graph has {modes} where the model is in inference: {listed}"
        says += f"; with 0 there, {' | '.join(blamed.edge)} agrees"
        edit = "set training_mode=0 on these nodes, or call model.eval() before exporting"
        findings.append(Finding(CAUSE, blamed.blame, blamed.party, tuple(nodes), says, proved=True, edit=edit))
    return tuple(settled), tuple(left), tuple(findings)
