"""NUM002: an epsilon that guards nothing, or that changes the numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.inspection.rules._epsilons import epsilons
from onnx_triangulate.inspection.rules._helpers import DiagnosticGroups, number
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule

_ARGUMENTS = "(float[2,3,4,4] x, float[3] s, float[3] b, float[3] m, float[3] v)"
_HEAD = f'<ir_version: 8, opset_import: ["" : 17]> g {_ARGUMENTS} => (y)'


def _odd(epsilon: float) -> str:
    if math.isnan(epsilon) or epsilon < 0:
        return "the root of a small variance becomes NaN"
    if epsilon == 0:
        return "where a variance is 0, it divides by zero"
    if epsilon < 1e-12:
        return "in float32 it is lost in rounding beside any variance above 2e-5"
    if epsilon > 0.1:
        return "it is as large as a variance, so that nothing is normalized to a spread of one"
    return ""


def _find(view: ModelView) -> Iterator[Occurrence]:
    """A normalization divides by the root of variance + epsilon; epsilon is usually 1e-3 to 1e-12. One of zero (or
    less) lets a constant channel divide by zero, a tiny one has no effect in float32, a large one changes what comes
    out. All three are seen where an exporter swapped epsilon with momentum or read it in another unit.
    """
    groups = DiagnosticGroups()
    for place, epsilon in epsilons(view):
        why = _odd(epsilon)
        if why:
            groups.add(place.name, f"{place.op} has epsilon {number(epsilon)} ({{n}}): {why}")
    yield from groups.occurrences()


RULE = Rule(
    code="NUM002",
    name="odd-epsilon",
    severity="warning",
    find=_find,
    fires=(
        f"{_HEAD} {{ y = BatchNormalization <epsilon = 0.0> (x, s, b, m, v) }}",
        f"{_HEAD} {{ y = BatchNormalization <epsilon = 0.99> (x, s, b, m, v) }}",
    ),
    quiet=(
        f"{_HEAD} {{ y = BatchNormalization (x, s, b, m, v) }}",
        f"{_HEAD} {{ y = BatchNormalization <epsilon = 0.001> (x, s, b, m, v) }}",
    ),
)
