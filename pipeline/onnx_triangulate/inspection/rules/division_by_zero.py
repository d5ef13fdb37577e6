"""NUM008: a division by a stored zero."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.inspection.rules._helpers import DiagnosticGroups, constant, count
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule

_HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (float[2,3] x) => (y)'


def _find(view: ModelView) -> Iterator[Occurrence]:
    """A Div or Mod has a stored divisor with a zero in it. Of floats that gives inf or NaN, of integers ONNX does not
    say what: some runtimes crash.
    """
    groups = DiagnosticGroups()
    for place in view.of("Div", "Mod"):
        values = constant(view, place, place.input(1))
        zeros = 0 if values is None else int(np.count_nonzero(values == 0))
        if zeros and values is not None:
            what = "a stored zero" if values.size == 1 else f"stored numbers, {count(zeros, 'zero')} among them"
            groups.add((place.name,), f"{place.op} divides by {what} ({{n}}): what comes out is inf, NaN or undefined")
    yield from groups.occurrences()


RULE = Rule(
    code="NUM008",
    name="division-by-zero",
    severity="warning",
    find=_find,
    fires=(f"{_HEAD} <float[3] d = {{1.0, 0.0, 2.0}}> {{ y = Div (x, d) }}",),
    quiet=(
        f"{_HEAD} <float[3] d = {{1.0, 0.5, 2.0}}> {{ y = Div (x, d) }}",
        f"{_HEAD} <float z = {{0.0}}> {{ y = Div (z, x) }}",
    ),
)
