"""One case at one size: everything that ran of it, and what was seen between the parties."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from onnx_triangulate.cases import inputs
from onnx_triangulate.records.case import Case, CaseRef
from onnx_triangulate.records.graphs import GraphFacts
from onnx_triangulate.records.runs import Diff, Failure, Model, Run
from onnx_triangulate.verification.parties import Parties


@dataclass(frozen=True)
class CaseRun:
    """``runs`` by party, ``models`` (exports and external files), what the graphs hold and what the onnx checker says
    of each by graph; artefacts are in ``folder``."""

    ref: CaseRef
    case: Case
    folder: Path
    seed: int = 0
    runs: Mapping[str, Run] = field(default_factory=dict)
    models: Mapping[str, Model] = field(default_factory=dict)
    graphs: Mapping[str, GraphFacts] = field(default_factory=dict)
    checks: Mapping[str, Failure | None] = field(default_factory=dict)
    edges: tuple[Diff, ...] = ()

    @property
    def size(self) -> str:
        """The sizes of the open axes, or the other inputs, in words; nothing at what is declared."""
        return self.ref.size

    @cached_property
    def parties(self) -> Parties:
        one_meaning = not isinstance(self.case.truth, Mapping)
        nan_fed = inputs.nan_fed(self.case, self.ref.name, self.seed)
        return Parties(self.runs, self.graphs, one_meaning=one_meaning, nan_fed=nan_fed)

    def fixed_axis(self, graph: str) -> str | None:
        """Which input of a graph has a fixed size where the case declares a dynamic axis, in words."""
        model, facts = self.models[graph], self.graphs.get(graph)
        if not self.case.dynamic or model.error is not None or facts is None:
            return None
        for name, border in model.inputs.items():
            tensor, declared = self.case.inputs[name], facts.inputs.get(border, "")
            axes = model.axes.get(name, tensor.axes).split()
            sizes = declared.partition("[")[2].rstrip("]").split(",")
            for axis, size in zip(axes, sizes, strict=False):
                if axis in self.case.dynamic and size.isdigit():
                    return f"input {name} has {axis} fixed at {size}, which the case declares dynamic"
        return None
