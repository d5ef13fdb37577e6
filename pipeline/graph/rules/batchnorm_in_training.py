"""NUM001: BatchNormalization left in training mode."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.graph.rules._registry import Found, Rule
from pipeline.graph.view import View
from pipeline.graph.walk import attributes

_HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (float[2,3,4,4] x, float[3] s, float[3] b, float[3] m, float[3] v)'


def _find(view: View) -> Iterator[Found]:
    for place in view.places:
        if place.op == "BatchNormalization" and attributes(place.node).get("training_mode"):
            yield Found((place.name,), "normalizes by each batch's own statistics, not by those it was trained to")


RULE = Rule(
    code="NUM001",
    name="batchnorm-in-training-mode",
    severity="warning",
    about="A BatchNormalization with `training_mode=1` computes the mean and variance of the batch it is given: its "
    "output depends on what else is in the batch, and a batch of one is normalized to nothing. Export the model in "
    "evaluation mode (`model.eval()`, `training=False`).",
    find=_find,
    fires=(f"{_HEAD} => (y) {{ y, rm, rv = BatchNormalization <training_mode = 1> (x, s, b, m, v) }}",),
    quiet=(f"{_HEAD} => (y) {{ y = BatchNormalization (x, s, b, m, v) }}",),
)
