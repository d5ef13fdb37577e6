"""PAD001: a window that is padded by more on one side than on the other."""

from __future__ import annotations

from collections.abc import Iterator

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.inspection.rules._helpers import DiagnosticGroups, words
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule

_HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (float[1,3,6,8] x, float[4,3,3,3] w)'


def _find(view: ModelView) -> Iterator[Occurrence]:
    """The node pads (a ConvTranspose: cuts) more on one side than on the other. TensorFlow's `SAME` does so for an even
    total; a PyTorch layer cannot, and needs a `torch.nn.functional.pad` in front. A model that was moved from one
    framework to the other with the same number on both sides computes something shifted by one element: compare the two
    exports.
    """
    groups = DiagnosticGroups()
    for pads in view.pads:
        if pads.begin is not None and pads.end is not None and pads.begin != pads.end and pads.op != "Pad":
            verb = "cuts" if pads.op == "ConvTranspose" else "pads"
            says = f"{pads.op} {verb} {words(pads.begin)} before and {words(pads.end)} after ({{n}})"
            groups.add(pads.node, f"{says}: PyTorch's layers treat both sides alike, and need a separate step for it")
    yield from groups.occurrences()


RULE = Rule(
    code="PAD001",
    name="asymmetric-padding",
    severity="info",
    find=_find,
    fires=(
        f"{_HEAD} => (y) {{ y = Conv <strides = [2, 2], pads = [0, 0, 1, 1]> (x, w) }}",
        f'{_HEAD} => (y) {{ y = Conv <strides = [2, 2], auto_pad = "SAME_UPPER"> (x, w) }}',
    ),
    quiet=(
        f"{_HEAD} => (y) {{ y = Conv <strides = [2, 2], pads = [1, 1, 1, 1]> (x, w) }}",
        f'{_HEAD} => (y) {{ y = Conv <auto_pad = "SAME_UPPER"> (x, w) }}',
    ),
)
