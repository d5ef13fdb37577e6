"""VAL009: a BatchNormalization that still has the statistics it began with."""

from __future__ import annotations

from collections.abc import Iterator

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.inspection.rules._helpers import constant, count, some
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule

_HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (float[2,3] x) => (y)'
_REST = "float[3] s = {1.0, 1.0, 1.0}, float[3] b = {0.0, 0.0, 0.0}, float[3] v = {1.0, 1.0, 1.0}"


def _find(view: ModelView) -> Iterator[Occurrence]:
    """Running mean 0 and running variance 1 in every channel is what a BatchNormalization is created with. A model in
    use has other ones: somebody forgot to load the weights, or loaded only those that are trained by gradient.
    """
    untrained, known = [], 0
    for place in view.of("BatchNormalization"):
        mean, variance = (constant(view, place, place.input(index), most=1 << 20) for index in (3, 4))
        if mean is None or variance is None or not mean.size or not variance.size:
            continue
        known += 1
        if not mean.any() and bool((variance == 1).all()):
            untrained.append(place.name)
    if untrained:
        yield Occurrence(
            tuple(untrained),
            f"{len(untrained):,} of {count(known, 'BatchNormalization')} ({some(untrained)}) have mean 0 and variance "
            "1 throughout: the statistics they began with, so the model was not trained, or its weights not loaded",
        )


RULE = Rule(
    code="VAL009",
    name="untrained-batchnorm",
    severity="info",
    find=_find,
    fires=(f"{_HEAD} <{_REST}, float[3] m = {{0.0, 0.0, 0.0}}> {{ y = BatchNormalization (x, s, b, m, v) }}",),
    quiet=(f"{_HEAD} <{_REST}, float[3] m = {{0.1, 0.0, 0.0}}> {{ y = BatchNormalization (x, s, b, m, v) }}",),
)
