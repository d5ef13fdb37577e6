"""Which function of a model calls which."""

from __future__ import annotations

from collections.abc import Iterable

from onnx_triangulate.facts.view import View
from onnx_triangulate.inspection.rules._operators import domain
from onnx_triangulate.onnxgraph.nodes import Place, text

Key = tuple[str, str]


class Calls:
    """The functions of a model by domain and name, and who calls them; subgraphs count to what they stand in."""

    def __init__(self, view: View) -> None:
        self.names: list[Key] = [(domain(f.domain), text(f.name)) for f in view.model.functions]
        self.index = {key: position for position, key in enumerate(self.names)}
        self.calls: list[list[int]] = [[] for _ in self.names]
        self.from_graph: list[int] = []
        at: dict[int, int] = {}
        functions = 0
        for body in view.bodies:
            position = -1
            if body.kind == "function":
                position, functions = functions, functions + 1
            elif body.parent is not None:
                position = at[id(body.parent)]
            at[id(body)] = position
            called = self._called(body.places)
            if position < 0:
                self.from_graph += called
            else:
                self.calls[position] += called

    def _called(self, places: Iterable[Place]) -> list[int]:
        keys = ((domain(p.node.domain), text(p.node.op_type)) for p in places)
        return [self.index[key] for key in keys if key in self.index]

    def reached(self) -> set[int]:
        """The functions that the main graph calls, itself or through others."""
        seen: set[int] = set()
        waiting = list(self.from_graph)
        while waiting:
            position = waiting.pop()
            if position not in seen:
                seen.add(position)
                waiting += self.calls[position]
        return seen

    def name(self, position: int) -> str:
        where, name = self.names[position]
        return f"{where}.{name}" if where else name
