"""PAD010: SAME beside dilations, which runtimes do not take as ONNX has it."""

from __future__ import annotations

from collections.abc import Iterator

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.inspection.rules._helpers import DiagnosticGroups, words
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule

_HEAD = '<ir_version: 8, opset_import: ["" : 19]> g (float[1,3,9,9] x, float[4,3,3,3] w)'
_LEFT_OUT = ("MaxPool", "AveragePool", "LpPool")


def _find(view: ModelView) -> Iterator[Occurrence]:
    """`auto_pad=SAME_UPPER` or `SAME_LOWER` beside dilations is well defined in ONNX. ONNX Runtime (seen in 1.32)
    refuses such a convolution when it runs, and leaves the dilations out when it pads such a pool. Write the pads as
    numbers.
    """
    groups = DiagnosticGroups()
    for window in view.windows:
        if not window.auto_pad.startswith("SAME") or max(window.dilations or (1,)) == 1:
            continue
        says = f"{window.op} asks for {window.auto_pad} beside dilations {words(window.dilations or ())} ({{n}}): "
        if window.op == "Conv":
            groups.add(window.node, f"{says}ONNX Runtime refuses to run it")
        elif window.op in _LEFT_OUT:
            groups.add(window.node, f"{says}ONNX Runtime pads as if there were none, and its output is smaller")
    yield from groups.occurrences()


RULE = Rule(
    code="PAD010",
    name="same-with-dilations",
    severity="warning",
    find=_find,
    fires=(
        f'{_HEAD} => (y) {{ y = Conv <dilations = [2, 2], auto_pad = "SAME_UPPER"> (x, w) }}',
        f'{_HEAD} => (y) {{ y = MaxPool <kernel_shape = [3, 3], dilations = [2, 1], auto_pad = "SAME_LOWER"> (x) }}',
    ),
    quiet=(
        f'{_HEAD} => (y) {{ y = Conv <dilations = [1, 1], auto_pad = "SAME_UPPER"> (x, w) }}',
        f"{_HEAD} => (y) {{ y = Conv <dilations = [2, 2], pads = [2, 2, 2, 2]> (x, w) }}",
        f'{_HEAD} => (y) {{ y = ConvTranspose <dilations = [2, 2], auto_pad = "SAME_UPPER"> (x, v) }}'.replace(
            "w)", "w, float[3,4,3,3] v)", 1
        ),
    ),
)
