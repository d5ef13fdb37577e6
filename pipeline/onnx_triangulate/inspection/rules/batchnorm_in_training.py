"""NUM001: BatchNormalization left in training mode."""

from __future__ import annotations

from collections.abc import Iterator

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.inspection.rules._helpers import DiagnosticGroups
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule
from onnx_triangulate.onnxgraph.graph import Place

_ARGUMENTS = "(float[2,3,4,4] x, float[3] s, float[3] b, float[3] m, float[3] v)"
_HEAD = f'<ir_version: 8, opset_import: ["" : 17]> g {_ARGUMENTS}'
_OLD = f'<ir_version: 8, opset_import: ["" : 9]> g {_ARGUMENTS}'


def _training(place: Place, opset: int | None) -> bool:
    """Opset 14 has an attribute for it; before, asking for the batch's statistics was the way; before 7, is_test."""
    if opset is None or opset >= 14:
        return bool(place.attribute("training_mode", int, 0))
    if opset >= 7:
        return any(place.outputs[1:])
    return not place.attribute("is_test", int, 0)


def _find(view: ModelView) -> Iterator[Occurrence]:
    """A BatchNormalization in training mode (`training_mode=1`; before opset 14, one that gives out statistics as well)
    computes the mean and variance of the batch it is given: its output depends on what else is in the batch. Export the
    model in evaluation mode (`model.eval()`, `training=False`).
    """
    groups = DiagnosticGroups()
    for place in view.of("BatchNormalization"):
        if _training(place, place.graph.opset):
            groups.add(
                place.name,
                "BatchNormalization is in training mode ({n}): it normalizes by each batch's own statistics, not by "
                "those it was trained to",
            )
    yield from groups.occurrences()


RULE = Rule(
    code="NUM001",
    name="batchnorm-in-training-mode",
    severity="warning",
    find=_find,
    fires=(
        f"{_HEAD} => (y) {{ y, rm, rv = BatchNormalization <training_mode = 1> (x, s, b, m, v) }}",
        f"{_OLD} => (y) {{ y, rm, rv, sm, sv = BatchNormalization (x, s, b, m, v) }}",
    ),
    quiet=(
        f"{_HEAD} => (y) {{ y = BatchNormalization (x, s, b, m, v) }}",
        f"{_OLD} => (y) {{ y = BatchNormalization (x, s, b, m, v) }}",
    ),
)
