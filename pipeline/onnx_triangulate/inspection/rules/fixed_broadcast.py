"""SHP002: a constant that fits one size only of an axis that a caller may choose."""

from __future__ import annotations

from collections.abc import Iterator

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.inspection.rules._helpers import DiagnosticGroups, constant, shown, stored
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule
from onnx_triangulate.inspection.rules._symbols import Symbols
from onnx_triangulate.onnxgraph.graph import Place

_HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (float[n,t,2] x)'
_ELEMENTWISE = ("Add", "Sub", "Mul", "Div", "Pow", "And", "Or", "Equal", "Less", "Greater", "Where", "Max", "Min")


def _fixed(view: ModelView, place: Place, name: str) -> tuple[int, ...] | None:
    """The shape that an operand broadcasts to, where the model fixes it: a stored tensor's own, or Expand's target."""
    if place.op == "Expand":
        target = constant(view, place, name)
        return None if target is None or target.dtype.kind != "i" else tuple(int(v) for v in target.reshape(-1))
    tensor = stored(view, place, name)
    return None if tensor is None else tuple(tensor.dims)


def _find(view: ModelView) -> Iterator[Occurrence]:
    """A stored tensor, or the constant target of an Expand, has a size where the value beside it has an axis that a
    caller may choose. Broadcasting accepts that size and 1, and refuses all others: a mask or position table that was
    made for the example input at export. Export with that axis dynamic, and compute such tensors from the shape.
    """
    groups = DiagnosticGroups()
    symbols = Symbols.of(view)
    for place in view.of("Expand", *_ELEMENTWISE) if symbols.free else ():
        if place.graph.path:
            continue
        operands = place.inputs
        fixed = [
            f for f in (_fixed(view, place, n) for n in (operands[1:2] if place.op == "Expand" else operands)) if f
        ]
        for name in operands[:1] if place.op == "Expand" else operands:
            shape = symbols.shape(name)
            clash = next(
                (
                    (axis, size)
                    for other in fixed
                    for axis, size in zip(reversed(shape or ()), reversed(other), strict=False)
                    if isinstance(axis, str) and axis in symbols.free and size > 1
                ),
                None,
            )
            if clash is not None:
                groups.add(
                    (place.name,),
                    f"{place.op} meets an axis that a caller chooses ({shown(clash[0])}) with a constant of size "
                    f"{clash[1]} ({{n}}): it works where that is {clash[1]} (or 1) and nowhere else",
                )
                break
    yield from groups.occurrences()


RULE = Rule(
    code="SHP002",
    name="fixed-broadcast",
    severity="warning",
    find=_find,
    fires=(
        f"{_HEAD} => (y) <float[3,2] p = {{1,2,3,4,5,6}}> {{ y = Add (x, p) }}",
        f"{_HEAD} => (y) {{ s = Constant <value_ints = [4, 1, 2]> () y = Expand (x, s) }}",
    ),
    quiet=(
        f"{_HEAD} => (y) <float[1,2] p = {{1,2}}> {{ y = Add (x, p) }}",
        f"{_HEAD} => (y) {{ s = Constant <value_ints = [1, 1, 2]> () y = Expand (x, s) }}",
    ),
)
