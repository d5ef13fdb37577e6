"""SHP001: a Reshape to a fixed size of a value whose size a caller may choose."""

from __future__ import annotations

from collections.abc import Iterator

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.inspection.rules._helpers import DiagnosticGroups, constant, shown, words
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule
from onnx_triangulate.inspection.rules._symbols import Symbols

_HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (float[n,6] x)'


def _find(view: ModelView) -> Iterator[Occurrence]:
    """An input has an axis with a name instead of a size, so that a caller may choose it; a Reshape further on has all
    its sizes written as constants. The model then runs for the size it was exported with, and fails for every other.
    Export with the axis declared dynamic, and without Python numbers taken from shapes (`int(x.shape[0])`); or write -1
    for that axis.
    """
    groups = DiagnosticGroups()
    symbols = Symbols.of(view)
    for place in view.of("Reshape") if symbols.free else ():
        shape = None if place.graph.path else symbols.shape(place.input(0))
        free = symbols.free_in(shape) if shape is not None else []
        if not free:
            continue
        target = constant(view, place, place.input(1))
        values = () if target is None or target.dtype.kind != "i" else tuple(int(v) for v in target.reshape(-1))
        if not values and "shape" in {a.name for a in place.node.attribute}:
            values = place.attribute("shape", tuple, ())  # before opset 5
        if values and all(v > 0 for v in values):
            groups.add(
                (place.name,),
                f"Reshape to {words(values)}, sizes written as constants ({{n}}), of what is {_said(shape or ())}: it "
                f"fits one size of {' and '.join(shown(f) for f in dict.fromkeys(free))} only",
            )
    yield from groups.occurrences()


def _said(shape: tuple[int | str | None, ...]) -> str:
    return "[" + ", ".join("?" if d is None else shown(str(d)) for d in shape) + "]"


RULE = Rule(
    code="SHP001",
    name="fixed-reshape",
    severity="warning",
    find=_find,
    fires=(f"{_HEAD} => (y) {{ s = Constant <value_ints = [4, 3, 2]> () y = Reshape (x, s) }}",),
    quiet=(
        f"{_HEAD} => (y) {{ s = Constant <value_ints = [-1, 3, 2]> () y = Reshape (x, s) }}",
        f"{_HEAD} => (y) {{ s = Constant <value_ints = [0, 3, 2]> () y = Reshape (x, s) }}",
        '<ir_version: 8, opset_import: ["" : 17]> g (float[4,6] x) => (y) '
        "{ s = Constant <value_ints = [4, 3, 2]> () y = Reshape (x, s) }",
    ),
)
