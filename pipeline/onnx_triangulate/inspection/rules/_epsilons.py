"""Normalizations and the small number each adds to a variance."""

from __future__ import annotations

from collections.abc import Iterator

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.onnxgraph.graph import Place
from onnx_triangulate.onnxgraph.nodes import refers

# Of these, ONNX says 1e-5 where nothing is written; of the others only a written epsilon counts.
_DEFAULT = 1e-5
NORMALIZATIONS = (
    "BatchNormalization",
    "InstanceNormalization",
    "LayerNormalization",
    "GroupNormalization",
    "RMSNormalization",
)


def epsilons(view: ModelView) -> Iterator[tuple[Place, float]]:
    """Every normalization with its epsilon, as short as float32 can tell it."""
    for place in view.of(*NORMALIZATIONS):
        written = place.attributes.get("epsilon", _DEFAULT)
        if isinstance(written, float) and not refers(place.node, "epsilon"):
            yield place, float(f"{written:.6g}")
