"""The whole look into one graph: facts, pads, layouts, remarks, as one ``records.inspection.Inspection``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from onnx import ModelProto

from onnx_triangulate.facts.file import read_facts
from onnx_triangulate.facts.model_view import ModelView, viewed
from onnx_triangulate.facts.size_summary import contents_of
from onnx_triangulate.inspection.rules import Rule, chosen
from onnx_triangulate.onnxgraph.nodes import domain_of, printable
from onnx_triangulate.records.inspection import Diagnostic, Inspection


def inspect(model: ModelProto | str | Path) -> Inspection:
    """What an ONNX graph holds, and what is remarkable in it: the API of ``triangulate inspect``.

    ``model`` is a file's path or a model.  Nothing is run and no framework is imported.  Raises
    ``UnusableInput`` where the file is not an ONNX model.
    """
    return inspected(viewed(model))


def inspected(view: ModelView, rules: Sequence[Rule] | None = None) -> Inspection:
    """What a graph holds; ``rules`` are those asked, all of them unless said otherwise."""
    facts = read_facts(view.file or Path(), view)
    held = contents_of(view)
    remarks, failed = diagnose(view, chosen() if rules is None else rules)
    return Inspection(
        file=view.file,
        producer=facts.producer,
        ir_version=view.model.ir_version,
        opsets={domain_of(o): o.version for o in view.model.opset_import},
        inputs=facts.inputs,
        outputs=facts.outputs,
        ops=facts.ops,
        initializers=facts.initializers,
        parameters=facts.parameters,
        stored=held.stored,
        external=held.external,
        inner=held.inner,
        pads=view.pads,
        layouts=view.layouts,
        transposes=view.transposes,
        reshapes=view.reshapes,
        weights=view.weights,
        diagnostics=remarks,
        notes=(*facts.notes, *view.problems, *failed),
        failed=failed,
    )


def diagnose(view: ModelView, rules: Sequence[Rule]) -> tuple[tuple[Diagnostic, ...], tuple[str, ...]]:
    """What rules have to say, and which of them failed: one that does must not silence the others."""
    remarks: list[Diagnostic] = []
    failed = []
    for rule in rules:
        try:
            remarks += rule.diagnose(view)
        except Exception as error:  # a bug of the rule, said to be one
            failed.append(f"rule {rule.code} failed: {type(error).__name__}: {printable(str(error))}")
    return tuple(remarks), tuple(failed)
