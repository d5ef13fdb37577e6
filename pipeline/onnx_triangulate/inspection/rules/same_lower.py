"""PAD002: SAME_LOWER where it is not the same as SAME_UPPER."""

from __future__ import annotations

from collections.abc import Iterator

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.inspection.rules._helpers import DiagnosticGroups, words
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule

_HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (float[1,3,6,8] x, float[4,3,3,3] w)'
_ANY = '<ir_version: 8, opset_import: ["" : 17]> g (float[1,3,H,W] x, float[4,3,3,3] w)'


def _find(view: ModelView) -> Iterator[Occurrence]:
    """`auto_pad=SAME_LOWER` puts an odd element of padding before. TensorFlow's and Keras' `same` put it after
    (`SAME_UPPER`), and PyTorch's layers pad both sides alike: neither trained a model this way. The rule stays quiet
    where the total is even, because both are the same there.
    """
    groups = DiagnosticGroups()
    for pads in view.pads:
        if pads.auto_pad != "SAME_LOWER" or (pads.begin is not None and pads.begin == pads.end):
            continue
        if pads.begin is None or pads.end is None:
            says = f"{pads.op} is padded SAME_LOWER ({{n}}), and how much depends on the input's size"
        else:
            says = f"{pads.op} is padded SAME_LOWER ({{n}}): {words(pads.begin)} before, {words(pads.end)} after"
        groups.add(pads.node, f"{says}; an odd element goes before, where TensorFlow's SAME puts it after")
    yield from groups.occurrences()


RULE = Rule(
    code="PAD002",
    name="same-lower",
    severity="warning",
    find=_find,
    fires=(
        f'{_HEAD} => (y) {{ y = Conv <strides = [2, 2], auto_pad = "SAME_LOWER"> (x, w) }}',
        f'{_ANY} => (y) {{ y = Conv <strides = [2, 2], auto_pad = "SAME_LOWER"> (x, w) }}',
    ),
    quiet=(
        f'{_HEAD} => (y) {{ y = Conv <auto_pad = "SAME_LOWER"> (x, w) }}',
        f'{_HEAD} => (y) {{ y = Conv <strides = [2, 2], auto_pad = "SAME_UPPER"> (x, w) }}',
    ),
)
