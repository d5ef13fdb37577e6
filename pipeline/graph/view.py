"""One graph as everything that looks into it shares it: nodes in place, shapes, pads, layouts, each made once.

Design note.  Rules, pads, layouts and drawings ask the same questions of a graph, and on 20,000 nodes each may be
answered once only.  A :class:`View` answers lazily and keeps the answer.  Shapes are those of the file and what ONNX's
inference adds; where inference fails (or would take for ever) they are the file's, and ``problems`` says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from onnx import ModelProto, TensorProto

from pipeline.data import Pads, Transpose
from pipeline.graph import pads as _pads
from pipeline.graph import transposes as _transposes
from pipeline.graph.walk import Place, opset, places, subgraphs, with_inferred_shapes


class View:
    """A model and what is known about it; ``file`` is where it came from, and where its external data lie."""

    def __init__(self, model: ModelProto, file: Path | None = None) -> None:
        self.model = model
        self.file = file
        self.problems: list[str] = []

    @cached_property
    def shaped(self) -> ModelProto:
        """The model without its large initializers and with all shapes that inference could find."""
        inferred = with_inferred_shapes(self.model)
        if inferred is None:
            self.problems.append("ONNX's shape inference refuses this graph: shapes are those that the file gives")
        return self.model if inferred is None else inferred

    @cached_property
    def places(self) -> tuple[Place, ...]:
        """Every node in place, those of subgraphs and functions too, in the file's order, with inferred shapes."""
        return tuple(places(self.shaped))

    @cached_property
    def opset(self) -> int | None:
        return opset(self.model)

    @cached_property
    def pads(self) -> tuple[Pads, ...]:
        return _pads.pads_in(self.places, _pads.stored_in(self.model))

    @cached_property
    def transposes(self) -> tuple[Transpose, ...]:
        return _transposes.transposes(self.model)

    def initializers(self) -> Iterator[TensorProto]:
        """Those of the main graph and of every subgraph."""
        yield from self.model.graph.initializer
        for place in places(self.model):
            for _, graph in subgraphs(place.node):
                yield from graph.initializer
