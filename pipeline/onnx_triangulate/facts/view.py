"""One graph as everything that looks into it shares it: nodes in place, shapes, pads, layouts, each made once.

Design note.  Rules, pads, layouts and drawings ask the same questions of a graph, and on 20,000 nodes each may be
answered once only.  A :class:`View` answers lazily and keeps the answer.  Shapes are those of the file and what ONNX's
inference adds; where inference fails (or would take for ever) they are the file's, and ``problems`` says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from onnx import ModelProto

from onnx_triangulate.facts import pads as _pads
from onnx_triangulate.facts.layouts import Flow, flow_of
from onnx_triangulate.facts.reshapes import reshapes_of
from onnx_triangulate.facts.stored_weights import weights_of
from onnx_triangulate.facts.transposes import transposes_of
from onnx_triangulate.onnxgraph.graph import Graph, Place, declare, graphs_of, in_order, outermost
from onnx_triangulate.onnxgraph.inference import Refusal
from onnx_triangulate.onnxgraph.nodes import opset
from onnx_triangulate.onnxgraph.sandboxed_check import SandboxedCheck
from onnx_triangulate.records.graphs import Pads, Transpose
from onnx_triangulate.records.inspection import LayoutReshape, WeightLayout


class View:
    """A model and what is known about it; ``file`` is where it came from, and where its external data lie."""

    def __init__(self, model: ModelProto, file: Path | None = None) -> None:
        self.model = model
        self.file = file
        self.problems: list[str] = []

    @cached_property
    def check(self) -> SandboxedCheck:
        """ONNX's own inference and checker, at work from the first time that this is read."""
        return SandboxedCheck(self.model, self.problems)

    def begin(self) -> View:
        """Let them begin their work before anybody asks for it."""
        assert self.check
        return self

    @cached_property
    def _inferred(self) -> ModelProto | None:
        return self.check.shaped

    @property
    def shaped(self) -> ModelProto:
        """A copy of the model, node by node, without the numbers of large tensors and with all shapes that inference
        could find; the model itself where inference fails."""
        return self.model if self._inferred is None else self._inferred

    @property
    def invalid(self) -> Refusal | None:
        """What ONNX's full check has against the model, or which tensor holds too little, in one line."""
        return self.check.invalid

    @cached_property
    def places(self) -> tuple[Place, ...]:
        """Every node in place, those of subgraphs and functions too, in the file's order, with inferred shapes."""
        found = in_order(outermost(self.graphs))  # while inference is at work
        declare(self.graphs, self._inferred)
        return found

    @cached_property
    def _by_op(self) -> Mapping[str, list[Place]]:
        found: dict[str, list[Place]] = {}
        for place in self.places:
            found.setdefault(place.op, []).append(place)
        return found

    def of(self, *ops: str) -> list[Place]:
        """The nodes of these operators, operator by operator."""
        return [place for op in ops for place in self._by_op.get(op, ())]

    @cached_property
    def graphs(self) -> tuple[Graph, ...]:
        """The main graph, every subgraph and every function; shapes and types are there once ``places`` was read."""
        return graphs_of(self.model)

    @cached_property
    def _read(self) -> tuple[tuple[_pads.Window, ...], tuple[Pads, ...]]:
        return _pads.read_in(self.places, _pads.stored_in(self.model))

    @cached_property
    def windows(self) -> tuple[_pads.Window, ...]:
        """Every sliding-window node in numbers, in the file's order."""
        return self._read[0]

    @cached_property
    def opset(self) -> int | None:
        return opset(self.model)

    @cached_property
    def pads(self) -> tuple[Pads, ...]:
        return self._read[1]

    @cached_property
    def flow(self) -> Flow:
        """The values of the graph, wired, and the names of their axes."""
        return flow_of(self.places, self.model)

    @cached_property
    def layouts(self) -> Mapping[str, str]:
        return self.flow.layouts

    @cached_property
    def reshapes(self) -> tuple[LayoutReshape, ...]:
        return reshapes_of(self.flow)

    @cached_property
    def weights(self) -> tuple[WeightLayout, ...]:
        return weights_of(self.flow, self.model)

    @cached_property
    def transposes(self) -> tuple[Transpose, ...]:
        return transposes_of(self.flow)


def viewed(model: ModelProto | str | Path) -> View:
    """A model, or the file of one, ready to be looked into.  Raises ``UnusableInput`` for a file
    that is no ONNX model."""
    from onnx_triangulate.onnxgraph.loading import load

    view = View(model) if isinstance(model, ModelProto) else View(load(Path(model)), Path(model))
    return view.begin()
