"""The bounds of Clip nodes, from whichever place their opset keeps them in."""

from __future__ import annotations

import math
from collections.abc import Iterator

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.inspection.rules._helpers import scalar
from onnx_triangulate.onnxgraph.graph import Place

Bound = float | None


def clips(view: ModelView) -> Iterator[tuple[Place, Bound, Bound]]:
    """Every Clip whose bounds are both known; ``None`` is no bound.  Those computed at run time are left out."""
    for place in view.of("Clip"):
        opset = place.graph.opset
        if opset is not None and opset < 11:
            held = place.attributes
            bounds = [held.get("min"), held.get("max")]
            if any(b is not None and not isinstance(b, float) for b in bounds):
                continue
        else:
            names = [place.input(1), place.input(2)]
            bounds = [scalar(view, place, name) for name in names]
            if any(name and bound is None for name, bound in zip(names, bounds, strict=True)):
                continue
        low, high = (None if b is None or (math.isinf(b) or abs(b) > 3.4e38) else b for b in bounds)
        if bounds[0] == math.inf or bounds[1] == -math.inf:
            low, high = bounds
        yield place, low, high
