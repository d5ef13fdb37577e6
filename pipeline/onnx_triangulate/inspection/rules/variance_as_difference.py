"""NUM009: a variance computed as mean of squares minus square of mean."""

from __future__ import annotations

from collections.abc import Iterator

from onnx import NodeProto

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.inspection.rules._helpers import DiagnosticGroups, maker, scalar, slot
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule
from onnx_triangulate.onnxgraph.graph import Place

_HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (float[2,3] x) => (y)'
_MEANS = ("ReduceMean", "GlobalAveragePool", "AveragePool")


def _squared(view: ModelView, place: Place, node: NodeProto | None) -> str:
    """The name of what a node squares, ``""`` where it does not."""
    if node is None:
        return ""
    base = slot(node, 0)
    if node.op_type == "Mul" and len(node.input) == 2 and node.input[0] == node.input[1]:
        return base
    return base if node.op_type == "Pow" and scalar(view, place, slot(node, 1)) == 2 else ""


def _find(view: ModelView) -> Iterator[Occurrence]:
    """E[x²] − E[x]² loses as many digits as the mean is larger than the spread: in float32 a mean of a thousand and a
    spread of a tenth leave none, and the root of a negative variance is NaN. The mean of (x − mean)² is safe.
    """
    groups = DiagnosticGroups()
    for place in view.of("Sub"):
        left, right = maker(place, place.input(0)), maker(place, place.input(1))
        if left is None or left.op_type not in _MEANS:
            continue
        mean = maker(place, _squared(view, place, right))
        inner = _squared(view, place, maker(place, slot(left, 0)))
        if inner and mean is not None and mean.op_type in _MEANS and slot(mean, 0) == inner:
            groups.add(
                place.name,
                "a variance is computed as the mean of squares minus the square of the mean ({n}): where the mean is "
                "large both are nearly equal, and what is left is rounding, even negative",
            )
    yield from groups.occurrences()


RULE = Rule(
    code="NUM009",
    name="variance-as-difference",
    severity="warning",
    find=_find,
    fires=(f"{_HEAD} {{ q = Mul (x, x) a = ReduceMean (q) m = ReduceMean (x) s = Mul (m, m) y = Sub (a, s) }}",),
    quiet=(
        f"{_HEAD} {{ m = ReduceMean (x) d = Sub (x, m) q = Mul (d, d) y = ReduceMean (q) }}",
        f"{_HEAD} {{ q = Mul (x, x) a = ReduceMean (q) m = ReduceMean (q) s = Mul (m, m) y = Sub (a, s) }}",
    ),
)
