"""TYP003: a cast to a smaller type and back."""

from __future__ import annotations

from collections.abc import Iterator

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.facts.value_types import dtype_name
from onnx_triangulate.inspection.rules._casts import holds, integer, returns
from onnx_triangulate.inspection.rules._helpers import DiagnosticGroups
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule

_HEAD = '<ir_version: 8, opset_import: ["" : 17]> g'


def _find(view: ModelView) -> Iterator[Occurrence]:
    """Two Casts in a row lead to a smaller type and back to the one they began with. Of floats that throws away digits
    (float32 → float16 → float32 leaves 11 bits of 24, and makes inf of what is above 65504): what a conversion to mixed
    precision leaves behind. Through an integer it cuts off, which may be meant.
    """
    groups = DiagnosticGroups()
    for place, before, outer, inner in returns(view):
        if holds(inner, outer) is not False:
            continue
        both = f"{dtype_name(outer)} becomes {dtype_name(inner)} and {dtype_name(outer)} again ({{n}})"
        if integer(inner) and not integer(outer):
            groups.add((before, place.name), f"{both}: what is behind the point is cut off, if that is meant", "info")
        elif integer(inner) and integer(outer):
            groups.add((before, place.name), f"{both}: what the smaller one cannot hold wraps around", "info")
        else:
            groups.add((before, place.name), f"{both}: digits, or large values, are lost on the way")
    yield from groups.occurrences()


RULE = Rule(
    code="TYP003",
    name="lossy-casts",
    severity="warning",
    find=_find,
    fires=(
        f"{_HEAD} (float[2,3] x) => (float[2,3] y) {{ h = Cast <to = 10> (x) y = Cast <to = 1> (h) }}",
        f"{_HEAD} (float[2,3] x) => (float[2,3] y) {{ h = Cast <to = 7> (x) y = Cast <to = 1> (h) }}",
    ),
    quiet=(
        f"{_HEAD} (float16[2,3] x) => (float16[2,3] y) {{ h = Cast <to = 1> (x) y = Cast <to = 10> (h) }}",
        f"{_HEAD} (float[2,3] x) => (float[2,3] y) {{ h = Cast <to = 10> (x) k = Relu (h) y = Cast <to = 1> (k) }}",
        f"{_HEAD} (float[2,3] x) => (float[2,3] y) {{ h = Cast <to = 9> (x) y = Cast <to = 1> (h) }}",
    ),
)
