"""VAL008: a BatchNormalization whose stored variance is zero or less."""

from __future__ import annotations

from collections.abc import Iterator

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.inspection.rules._epsilons import epsilons
from onnx_triangulate.inspection.rules._helpers import constant, count, some
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule

_HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (float[2,3] x) => (y)'
_REST = "float[3] s = {1.0, 1.0, 1.0}, float[3] b = {0.0, 0.0, 0.0}, float[3] m = {0.0, 1.0, 2.0}"


def _find(view: ModelView) -> Iterator[Occurrence]:
    """A stored variance of a BatchNormalization is zero (a channel that was the same for every input of the training;
    small differences are blown up by the root of 1/epsilon) or negative, which no variance is: mean and variance were
    swapped, or the file is damaged.
    """
    negative, zero = [], []
    for place, epsilon in epsilons(view):
        if place.op != "BatchNormalization":
            continue
        variance = constant(view, place, place.input(4), most=1 << 20)
        if variance is None or variance.dtype.kind != "f":
            continue
        if bool((variance + epsilon < 0).any()):
            negative.append(place.name)
        elif bool((variance == 0).any()):
            zero.append(place.name)
    if negative:
        which = f"variances below -epsilon in {count(len(negative), 'node')} ({some(negative)})"
        yield Occurrence(tuple(negative), f"{which}: their root is NaN", "error")
    if zero:
        which = f"variances of 0 in {count(len(zero), 'node')} ({some(zero)})"
        yield Occurrence(tuple(zero), f"{which}: channels that never varied in training, or whose statistics are lost")


RULE = Rule(
    code="VAL008",
    name="variance-of-zero",
    severity="info",
    find=_find,
    fires=(
        f"{_HEAD} <{_REST}, float[3] v = {{1.0, 0.0, 1.0}}> {{ y = BatchNormalization (x, s, b, m, v) }}",
        f"{_HEAD} <{_REST}, float[3] v = {{1.0, -1.0, 1.0}}> {{ y = BatchNormalization (x, s, b, m, v) }}",
    ),
    quiet=(f"{_HEAD} <{_REST}, float[3] v = {{1.0, 0.5, 1.0}}> {{ y = BatchNormalization (x, s, b, m, v) }}",),
)
