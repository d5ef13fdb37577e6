"""NUM005: the bounds that a model clips to."""

from __future__ import annotations

from collections.abc import Iterator

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.inspection.rules._clips import clips
from onnx_triangulate.inspection.rules._helpers import DiagnosticGroups, number
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule

_HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (float[2,3] x) => (y)'


def _find(view: ModelView) -> Iterator[Occurrence]:
    """The bounds of every Clip whose bounds are stored. A ReLU6 is a Clip to 0 and 6; other bounds are worth a look
    where one model is compared with another.
    """
    groups = DiagnosticGroups()
    for place, low, high in clips(view):
        if low is None and high is None:
            continue
        if low is None or high is None:
            says = f"at most {number(high)}" if high is not None else f"at least {number(low or 0.0)}"
        else:
            says = f"{number(low)} to {number(high)}" + (", a ReLU6" if (low, high) == (0.0, 6.0) else "")
        groups.add(place.name, f"Clip keeps values {says} ({{n}})")
    yield from groups.occurrences()


RULE = Rule(
    code="NUM005",
    name="clip-bounds",
    severity="info",
    find=_find,
    fires=(f"{_HEAD} <float lo = {{0.0}}, float hi = {{6.0}}> {{ y = Clip (x, lo, hi) }}",),
    quiet=(
        f"{_HEAD} {{ y = Clip (x) }}",
        f"{_HEAD} {{ y = Relu (x) }}",
    ),
)
