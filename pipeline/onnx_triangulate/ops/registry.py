"""Every operator that is known: the records of the families, by name, and the views of them that others ask for."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from types import ModuleType

from onnx import NodeProto

from onnx_triangulate.onnxgraph.nodes import operator
from onnx_triangulate.ops import families
from onnx_triangulate.ops.axis_propagation import MOST_OPERANDS, NOTHING, Linked
from onnx_triangulate.ops.graph_node import MOST_AXES, GraphNode
from onnx_triangulate.ops.operator import Operator


def collect(modules: Iterable[ModuleType]) -> Mapping[str, Operator]:
    """The operators of some modules by name.

    Raises ``RuntimeError`` for a module without ``OPERATORS``, for two records of one operator, for a bound that no
    example of its operator proves, and where there are no operators at all.
    """
    found: dict[str, Operator] = {}
    for module in modules:
        held = getattr(module, "OPERATORS", None)
        if not isinstance(held, tuple) or not held or not all(isinstance(op, Operator) for op in held):
            raise RuntimeError(f"{module.__name__}: expected a tuple of operators named OPERATORS")
        for op in held:
            shown = {example.op for example in op.examples}
            if op.bound is not None and op.name not in shown:
                raise RuntimeError(f"{module.__name__}: {op.name} has a bound and no example of it")
            if op.name in found:
                raise RuntimeError(f"{module.__name__}: a second record of {op.name}")
            found[op.name] = op
    if not found:
        raise RuntimeError("no operators found: the package is incomplete")
    return found


def modules() -> Iterable[ModuleType]:
    """The modules that hold operators: the families of this package."""
    names = sorted(m.name for m in pkgutil.iter_modules(families.__path__) if not m.name.startswith("_"))
    return [importlib.import_module(f"{families.__name__}.{name}") for name in names]


@cache
def operators() -> Mapping[str, Operator]:
    """Every operator by its name."""
    return collect(modules())


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
