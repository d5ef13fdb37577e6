"""The guilty nodes of one graph of a case, from the export to the answer: who does what in which worker.

Where no bound tells, the rest does (:func:`by_exclusion`): outputs differ, so somebody is guilty.

One function, for ``verify`` and for whoever asks outside of it: ``call`` runs a task in a worker of that name and gives
its result, or a ``records.runs.Failure``; a benchmark may call it in its own process.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from onnx_triangulate.locate import localize
from onnx_triangulate.records.case import CaseRef
from onnx_triangulate.records.faults import Localization, SourceValues
from onnx_triangulate.records.party import Party
from onnx_triangulate.records.runs import Failure, Model, Run

RUNTIME_WORKER = "runtimes"
Call = Callable[..., Any]


def by_exclusion(found: Localization) -> Localization:
    """With the node that alone can be guilty, where no bound accuses anybody.

    It is the only one between the inputs and the outputs, or the only one of which no bound tells while every other one
    is inside its own.  Where what the exporter captured is not the model, it is no node.
    """
    if found.faults or found.captured:
        return found
    unsure = {error.node: error for error in reversed(found.uncompared)}
    if found.only is not None:
        guilty = unsure.get(found.only.node, found.only)
        says = "it is the only node between the inputs and the outputs"
    elif len(unsure) == 1 and found.judged + 1 >= found.nodes and not found.contributions:
        guilty, says = (
            next(iter(unsure.values())),
            "it is the only node that no bound tells of, and no other is above its",
        )
    else:
        return found
    notes = (*found.notes, *([found.problem] if found.problem else []))
    guilty = replace(guilty, introduced=None, problem="; ".join(filter(None, (guilty.problem, says))))
    return replace(found, faults=(guilty,), problem=None, notes=notes)


def localized(
    call: Call,
    ref: CaseRef,
    models: Mapping[str, Model],
    blame: str,
    party: str,
    *,
    sources: Sequence[Path] = (),
    native: Run | None = None,
    seed: int = 0,
    folder: Path,
    attribute: bool = True,
    trusted: Model | None = None,
) -> Localization | None:
    """The guilty nodes of the graph whose step ``party`` is blamed for; None where there is no such graph.

    ``sources`` are files whose constants the graph's may be copies of; ``native`` is the native run of the graph's
    framework; what is written goes to ``folder``.  ``attribute``: where nobody is guilty and outputs differ, say which
    nodes contribute most.  ``trusted`` is another export of the same model that nobody blames: where this one keeps no
    names of the source's values, or too few to tell its nodes apart, it is held against that one.
    """
    graph = Party.parse(party).graph
    model = models.get(graph)
    if model is None or model.file is None or model.error is not None:
        return None
    framework = graph.partition(":")[0]

    blamed = localize.BlamedGraph(ref, model, blame, party, seed, tuple(sources), native, attribute)

    def judged(values: SourceValues | None, innocent: tuple[str, ...] = ()) -> Localization:
        found = call(RUNTIME_WORKER, localize.localize_nodes, blamed, values, innocent)
        if isinstance(found, Failure):
            return Localization(graph, party, blame, problem=f"{found.kind}: {found.message}")
        assert isinstance(found, Localization)
        return found

    def asked(*doubles: bool) -> SourceValues:
        values = call(framework, localize.source_values, ref, framework, model, doubles, seed, folder)
        values = SourceValues(graph, error=values) if isinstance(values, Failure) else values
        assert isinstance(values, SourceValues)
        return values

    if blame != "export":
        return judged(None)
    values = asked(True)
    beside = functools.partial(
        call, RUNTIME_WORKER, localize.localize_against, ref, model, trusted, party, seed, folder / "against"
    )
    if values.error is not None and trusted is not None:
        against = beside()
        if isinstance(against, Localization):
            return against
    if values.error is None and values.double is not None:
        found = judged(values)
        if trusted is not None and any(error.others for error in found.faults):
            against = beside()
            if isinstance(against, Localization) and 0 < _accused(against) < _accused(found):
                return against
        if found.faults and not any(error.problem for error in found.faults):
            return found  # what float32 alone shows is told from what the source does itself by its own float32 values
        single = asked(False)
        if found.faults:
            return judged(replace(single, double=values.double))
        again = judged(single, tuple(error.output for error in found.within))
        peak, seconds = max(found.peak, again.peak), found.seconds + again.seconds
        kept = again if again.faults else found
        return replace(kept, peak=peak, seconds=seconds, captured=again.captured, contributions=again.contributions)
    single = asked(False)
    return judged(replace(single, notes=(*values.notes, *single.notes)))


def _accused(found: Localization) -> int:
    """How many nodes are named, those included that are not told apart from a guilty one."""
    return len({node for error in found.faults for node in (error.node, *error.others)})
