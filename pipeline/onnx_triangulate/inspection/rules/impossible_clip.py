"""NUM004: a Clip whose bounds make no sense."""

from __future__ import annotations

import math
from collections.abc import Iterator

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.inspection.rules._clips import clips
from onnx_triangulate.inspection.rules._helpers import DiagnosticGroups, number
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule

_HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (float[2,3] x) => (y)'


def _find(view: ModelView) -> Iterator[Occurrence]:
    """A Clip with a minimum above its maximum, with equal bounds, with a NaN among them, or without any: its result
    does not depend on its input, or it has no effect. Usually the bounds were swapped, or lost in a conversion between
    attributes (before opset 11) and inputs.
    """
    groups = DiagnosticGroups()
    for place, low, high in clips(view):
        if any(bound is not None and math.isnan(bound) for bound in (low, high)):
            groups.add(place.name, "Clip has a bound that is NaN ({n})")
        elif low is None and high is None:
            groups.add(place.name, "Clip has no bounds ({n}) and does nothing", "info")
        elif low is not None and high is not None and low > high:
            says = f"Clip has a minimum of {number(low)}, above its maximum of {number(high)} ({{n}})"
            groups.add(place.name, f"{says}: every element becomes the maximum")
        elif low is not None and low == high:
            groups.add(place.name, f"Clip turns every element into {number(low)} ({{n}})")
    yield from groups.occurrences()


RULE = Rule(
    code="NUM004",
    name="impossible-clip",
    severity="warning",
    find=_find,
    fires=(
        f"{_HEAD} <float lo = {{6.0}}, float hi = {{0.0}}> {{ y = Clip (x, lo, hi) }}",
        f"{_HEAD} <float lo = {{1.0}}, float hi = {{1.0}}> {{ y = Clip (x, lo, hi) }}",
    ),
    quiet=(
        f"{_HEAD} <float lo = {{0.0}}, float hi = {{6.0}}> {{ y = Clip (x, lo, hi) }}",
        f"{_HEAD} <float lo = {{0.0}}> {{ y = Clip (x, lo) }}",
    ),
)
