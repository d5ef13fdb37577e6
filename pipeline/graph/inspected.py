"""The whole look into one graph: facts, pads, layouts, remarks, as one :class:`pipeline.inspection.Inspection`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from onnx import ModelProto

from pipeline.graph.facts import read_facts
from pipeline.graph.rules import Rule, chosen
from pipeline.graph.view import View
from pipeline.graph.walk import text
from pipeline.inspection import Inspection, Remark


def inspected(view: View, rules: Sequence[Rule] | None = None) -> Inspection:
    """What a graph holds; ``rules`` are those asked, all of them unless said otherwise."""
    facts = read_facts(view.file or Path(), view=view)
    remarks: list[Remark] = []
    for rule in chosen() if rules is None else rules:
        remarks += rule.remarks(view)
    return Inspection(
        file=view.file,
        producer=facts.producer,
        ir_version=view.model.ir_version,
        opsets={("" if text(o.domain) == "ai.onnx" else text(o.domain)): o.version for o in view.model.opset_import},
        inputs=facts.inputs,
        outputs=facts.outputs,
        ops=facts.ops,
        initializers=facts.initializers,
        parameters=facts.parameters,
        pads=view.pads,
        layouts=view.layouts,
        transposes=view.transposes,
        reshapes=view.reshapes,
        weights=view.weights,
        remarks=tuple(remarks),
        notes=(*facts.notes, *view.problems),
    )


def viewed(model: ModelProto | str | Path) -> View:
    """A model, or the file of one, ready to be looked into.  Raises :class:`pipeline.data.UnusableInput` for a file
    that is no ONNX model."""
    from pipeline.graph.loading import load

    view = View(model) if isinstance(model, ModelProto) else View(load(Path(model)), Path(model))
    return view.begin()
