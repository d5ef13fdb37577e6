"""PAD006: an average that counts padding, or does not."""

from __future__ import annotations

from collections.abc import Iterator

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.inspection.rules._helpers import DiagnosticGroups
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule

_HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (float[1,3,6,8] x)'


def _find(view: ModelView) -> Iterator[Occurrence]:
    """At the border an AveragePool divides either by the size of the window (`count_include_pad=1`, PyTorch's default)
    or by the number of real elements in it (ONNX's and TensorFlow's default). Two exports of one model that differ here
    differ at the border only.
    """
    pads = {p.node: p for p in view.pads}
    groups = DiagnosticGroups()
    for place in view.of("AveragePool"):
        known = pads.get(place.name)
        if known is None or (known.begin is not None and not any((*known.begin, *(known.end or ())))):
            continue
        counted = place.attribute("count_include_pad", int, 0)
        groups.add(
            place.name,
            "AveragePool counts padding as zeros ({n}), as PyTorch does unless told otherwise; TensorFlow never does"
            if counted
            else "AveragePool leaves padding out of the average ({n}), as TensorFlow does; PyTorch counts it as zeros "
            "unless told count_include_pad=False",
        )
    yield from groups.occurrences()


RULE = Rule(
    code="PAD006",
    name="padding-in-averages",
    severity="info",
    find=_find,
    fires=(
        f"{_HEAD} => (y) {{ y = AveragePool <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x) }}",
        f"{_HEAD} => (y) {{ y = AveragePool <kernel_shape = [3, 3], pads = [1, 1, 1, 1], count_include_pad = 1> (x) }}",
    ),
    quiet=(f"{_HEAD} => (y) {{ y = AveragePool <kernel_shape = [3, 3], count_include_pad = 1> (x) }}",),
)
