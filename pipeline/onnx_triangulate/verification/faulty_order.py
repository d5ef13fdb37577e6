"""An export whose outputs or inputs are the model's in another order: nobody's node is guilty of that.

Design note.  Compared one by one, swapped outputs look like wrong nodes, or like wrong shapes, and of swapped inputs
whatever reads them first looks wrong.  So before anybody looks for a node, the outputs of a blamed graph, and then its
inputs, are put in the order in which they are nearest to the native run's, and the edge of the blame is asked again: if
it agrees now, by its own bounds, and did not before, the order is what is wrong, and that is run and not guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from onnx_triangulate.engines import running
from onnx_triangulate.numerics.compare import same_bits
from onnx_triangulate.records.arrays import ArrayFile
from onnx_triangulate.records.case import CaseRef
from onnx_triangulate.records.party import Party
from onnx_triangulate.records.runs import Failure, Model, Run
from onnx_triangulate.records.verdict import Blame, Finding
from onnx_triangulate.verification import external_models
from onnx_triangulate.verification.triangulate import Parties

CAUSE = "outputs-reordered"
INPUTS = "inputs-exchanged"
CAUSES = (CAUSE, INPUTS)
Call = Callable[..., Any]


def name_orders(
    call: Call,
    ref: CaseRef,
    models: Mapping[str, Model],
    parties: Parties,
    blames: Sequence[Blame],
    seed: int,
    folder: Path,
) -> tuple[tuple[Blame, ...], tuple[Finding, ...]]:
    """The blames of exports with what is wrong with the order of their outputs, and findings that say so.

    ``call(function, *arguments)`` runs a function in the runtimes' worker.
    """
    named: list[Blame] = []
    findings: list[Finding] = []
    for blamed in blames:
        model = models.get(blamed.party)
        asked = model is not None and blamed.blame == "export"
        found = (
            _asked(call, ref, model, parties, seed, folder, external_models.reordered)
            if model is not None and asked
            else None
        )
        if model is not None and found is not None:
            cause, says = CAUSE, f"the outputs come in another order: {_order(model, found, parties)}"
            edit = f"give the outputs of the graph in the model's order: {', '.join(found.outputs.values())}"
        elif (
            model is not None
            and asked
            and (found := _asked(call, ref, model, parties, seed, folder, external_models.exchanged))
        ):
            moved = {n: border for n, border in found.inputs.items() if border != model.inputs[n]}
            listed = ", ".join(f"the graph's {border} is the model's {name}" for name, border in moved.items())
            cause, says = INPUTS, f"two inputs have each other's names: {listed}"
            edit = f"exchange the names of the graph's inputs {' and '.join(moved.values())}"
        else:
            named.append(blamed)
            continue
        named.append(replace(blamed, message=says, nodes=(), op=None))
        findings.append(Finding(cause, blamed.blame, blamed.party, (), says, proved=True, edit=edit))
    return tuple(named), tuple(findings)


def _asked(
    call: Call,
    ref: CaseRef,
    model: Model,
    parties: Parties,
    seed: int,
    folder: Path,
    ordered: Callable[..., Model | None],
) -> Model | None:
    """The export with its border as ``ordered`` proposes it, where it is faithful so, and as it stands it is not."""
    framework = Party.parse(model.graph).framework
    native = parties.runs.get(framework)
    several = model.outputs if ordered is external_models.reordered else model.inputs
    if native is None or native.outputs is None or len(several) < 2:
        return None
    ran = [n for n, r in parties.runs.items() if r.party.graph == model.graph and r.party.runtime and r.outputs]
    for name in ran:
        party = Party.parse(name)
        if party.double or parties.diff(framework, name, "export").agrees:
            continue
        found = call(ordered, ref, model, native, party.runtime, seed)
        if not isinstance(found, Model):
            return None
        runs = call(running.run_graph, ref, found, [party.runtime], seed, folder / "reordered")
        run = Run(party, error=runs) if isinstance(runs, Failure) else runs[0]
        return found if parties.replacing(name, run).diff(framework, name, "export").agrees else None
    return None


def _order(model: Model, found: Model, parties: Parties) -> str:
    """Which output of the graph is which of the model's, for those that are not where they are looked for."""
    native = parties.runs[Party.parse(model.graph).framework].outputs or {}
    values = {name: value.load() for name, value in native.items() if isinstance(value, ArrayFile)}
    said = []
    for name, border in found.outputs.items():
        if border == model.outputs[name]:
            continue
        alike = [other for other in values if other != name and same_bits(values[name], values[other])]
        also = f" (or {', '.join(alike)}: the same numbers here)" if alike else ""
        said.append(f"{border} is the model's {name}{also}")
    return ", ".join(said)
