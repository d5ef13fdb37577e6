"""PAD004: a convolution or a pool with negative pads."""

from __future__ import annotations

from collections.abc import Iterator

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.inspection.rules._helpers import DiagnosticGroups, words
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule

_HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (float[1,3,6,8] x, float[4,3,3,3] w)'


def _find(view: ModelView) -> Iterator[Occurrence]:
    """ONNX asks for `pads` of zero or more in convolutions and pools. Some runtimes cut the input by a negative one,
    others refuse the model or read past the end. Cut with a Slice (or a Pad node, for which negative amounts are
    defined) instead.
    """
    groups = DiagnosticGroups()
    for window in view.windows:
        if window.begin is None or window.end is None or min((*window.begin, *window.end), default=0) >= 0:
            continue
        pads = f"{words(window.begin)} before, {words(window.end)} after"
        groups.add(window.node, f"{window.op} has negative pads ({{n}}: {pads}), which ONNX does not define")
    yield from groups.occurrences()


RULE = Rule(
    code="PAD004",
    name="negative-pads",
    severity="error",
    find=_find,
    fires=(f"{_HEAD} => (y) {{ y = Conv <pads = [0, 0, -1, -1]> (x, w) }}",),
    quiet=(
        f"{_HEAD} => (y) {{ y = Conv <pads = [0, 0, 1, 1]> (x, w) }}",
        f"{_HEAD} => (y) {{ p = Constant <value_ints = [0, 0, 0, 0, 0, 0, -1, -1]> () y = Pad (x, p) }}",
    ),
)
