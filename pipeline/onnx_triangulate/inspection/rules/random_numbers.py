"""NUM011: numbers drawn while the model runs."""

from __future__ import annotations

from collections.abc import Iterator

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.inspection.rules._helpers import DiagnosticGroups
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule
from onnx_triangulate.ops.random_draws import DRAWS

_HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (float[2,3] x) => (y)'


def _find(view: ModelView) -> Iterator[Occurrence]:
    """The output depends on numbers that are drawn in each run, so it cannot be compared with another runtime's or with
    the framework's. Where the model has no reason to draw (a dropout or noise layer for training), export it in
    evaluation mode; where it has, make the drawn numbers an input.
    """
    groups = DiagnosticGroups()
    for place in view.of(*sorted(DRAWS - {"Dropout"})):  # that one has a rule of its own
        seeded = "seed" in place.attributes
        groups.add(
            place.name,
            f"{place.op} draws numbers from a seed ({{n}}): ONNX does not say by which generator, runtimes give others"
            if seeded
            else f"{place.op} draws numbers without a seed ({{n}}): no two runs agree, and none with the framework's",
        )
    yield from groups.occurrences()


RULE = Rule(
    code="NUM011",
    name="random-numbers",
    severity="info",
    find=_find,
    fires=(f"{_HEAD} {{ r = RandomNormalLike (x) y = Add (x, r) }}",),
    quiet=(f"{_HEAD} {{ y = Add (x, x) }}",),
)
