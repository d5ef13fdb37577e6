"""VAL001: stored numbers that are none."""

from __future__ import annotations

import math
from collections.abc import Iterator

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.inspection.rules._helpers import count, some
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule
from onnx_triangulate.inspection.rules._values import Values

_HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (float[2,3] x) => (y)'


def _find(view: ModelView) -> Iterator[Occurrence]:
    """A stored tensor has elements that are no number. A training run that diverged leaves them, or a conversion that
    divided by zero; whatever is computed from them is NaN as well.
    """
    names = tuple(d.name for d in Values.of(view).digests.values() if math.isnan(d.lowest))
    if names:
        yield Occurrence(
            names, f"{count(len(names), 'stored tensor')} with NaN in it ({some(names)}): it spreads to all it meets"
        )


RULE = Rule(
    code="VAL001",
    name="stored-nan",
    severity="warning",
    find=_find,
    fires=(f"{_HEAD} <float[3] w = {{1.0, nan, 3.0}}> {{ y = Mul (x, w) }}",),
    quiet=(f"{_HEAD} <float[3] w = {{1.0, 2.0, 3.0}}> {{ y = Mul (x, w) }}",),
)
