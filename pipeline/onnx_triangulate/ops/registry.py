"""Every operator that is known: the records of the families, by name, and the views of them that others ask for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

from onnx import NodeProto

from onnx_triangulate.onnxgraph.nodes import operator
from onnx_triangulate.ops import families
from onnx_triangulate.ops.axis_propagation import MOST_OPERANDS, NOTHING, Linked
from onnx_triangulate.ops.graph_node import MOST_AXES, GraphNode
from onnx_triangulate.ops.operator import Operator
from onnx_triangulate.records import plugins


def collect(modules: Iterable[Any]) -> Mapping[str, Operator]:
    """The operators of some modules by name.

    Raises ``BrokenPlugin`` for a module without ``OPERATORS``, for two records of one operator, for a bound that no
    example of its operator proves, and where there are no operators at all.
    """
    found = plugins.collect("operators", modules, "OPERATORS", Operator)
    for op in found.values():
        if op.bound is not None and op.name not in {example.op for example in op.examples}:
            raise plugins.BrokenPlugin(f"{op.name} has a bound and no example of it")
    return found


@cache
def operators() -> Mapping[str, Operator]:
    """Every operator by its name."""
    return collect(plugins.modules("operators", families.__name__))


def operators_where(holds: Callable[[Operator], object]) -> frozenset[str]:
    """The names of the operators of which something holds."""
    return frozenset(name for name, op in operators().items() if holds(op))


def operator_of(node: NodeProto) -> Operator | None:
    """The record of a node's operator."""
    return operators().get(operator(node))


def axis_links(node: GraphNode) -> Linked:
    """The links of a node; none where its operator has no rule or too little is known.

    Nobody writes a node of ten thousand operands, or a value of a hundred axes, but a file can hold both; they are not
    followed.
    """
    known, place = operators().get(node.place.op), node.place
    if known is None or known.axes is None or max(len(place.inputs), len(place.outputs)) > MOST_OPERANDS:
        return NOTHING
    return NOTHING if any(rank is not None and rank > MOST_AXES for rank in node.ranks) else known.axes(node)
