"""NUM010: Dropout that really drops."""

from __future__ import annotations

from collections.abc import Iterator

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.inspection.rules._helpers import DiagnosticGroups, constant, scalar
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule
from onnx_triangulate.onnxgraph.graph import Place

_HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (float[2,3] x) => (y)'


def _training(view: ModelView, place: Place) -> bool:
    opset = place.graph.opset
    if opset is not None and opset < 12:
        return opset < 7 and not place.attribute("is_test", int, 0)
    mode = constant(view, place, place.input(2), most=1)
    ratio = scalar(view, place, place.input(1)) if place.input(1) else 0.5
    return mode is not None and mode.size == 1 and bool(mode.reshape(-1)[0]) and ratio != 0


def _find(view: ModelView) -> Iterator[Occurrence]:
    """A Dropout whose `training_mode` is stored as true (before opset 7: without `is_test`) drops elements at random
    each time the model runs. Export in evaluation mode.
    """
    groups = DiagnosticGroups()
    for place in view.of("Dropout"):
        if _training(view, place):
            groups.add(place.name, "Dropout is in training mode ({n}): it sets random elements to zero in every run")
    yield from groups.occurrences()


RULE = Rule(
    code="NUM010",
    name="dropout-in-training-mode",
    severity="warning",
    find=_find,
    fires=(f"{_HEAD} <float r = {{0.5}}, bool t = {{1}}> {{ y = Dropout (x, r, t) }}",),
    quiet=(
        f"{_HEAD} <float r = {{0.5}}, bool t = {{0}}> {{ y = Dropout (x, r, t) }}",
        f"{_HEAD} {{ y = Dropout (x) }}",
        f"{_HEAD} <float r = {{0.0}}, bool t = {{1}}> {{ y = Dropout (x, r, t) }}",
    ),
)
