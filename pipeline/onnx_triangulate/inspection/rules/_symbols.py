"""Axes that a caller may choose the size of, and where they turn up in a graph."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import ClassVar

from onnx import ValueInfoProto

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.onnxgraph.nodes import named_dims

Named = tuple[int | str | None, ...]


def inputs(view: ModelView) -> Iterator[ValueInfoProto]:
    """The inputs of the model that are not stored in it as well."""
    stored = {tensor.name for tensor in view.model.graph.initializer}
    yield from (value for value in view.model.graph.input if value.name not in stored)


class Symbols:
    """``free`` are the names of sizes that the model's inputs have; shapes are those of the main graph."""

    _of: ClassVar[weakref.WeakKeyDictionary[ModelView, Symbols]] = weakref.WeakKeyDictionary()

    @classmethod
    def of(cls, view: ModelView) -> Symbols:
        """Those of a view, made once."""
        if view not in cls._of:
            cls._of[view] = cls(view)
        return cls._of[view]

    def __init__(self, view: ModelView) -> None:
        self.free = {d for value in inputs(view) for d in named_dims(value) or () if isinstance(d, str)}
        self._values: dict[str, list[ValueInfoProto]] = {}
        if self.free:
            graph = view.shaped.graph
            for value in (*graph.input, *graph.output, *graph.value_info):
                self._values.setdefault(value.name, []).append(value)

    def shape(self, name: str) -> Named | None:
        """That of a value, from the first that says one: an input, an output, what inference adds."""
        return next((shape for value in self._values.get(name, ()) if (shape := named_dims(value)) is not None), None)

    def free_in(self, shape: Named) -> list[str]:
        """The axes of a shape that a caller chooses, by name."""
        return [d for d in shape if isinstance(d, str) and d in self.free]
