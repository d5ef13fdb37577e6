"""PAD005: a window that sees nothing but padding."""

from __future__ import annotations

from collections.abc import Iterator

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.facts.pads import Window
from onnx_triangulate.inspection.rules._helpers import DiagnosticGroups, words
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule
from onnx_triangulate.inspection.rules._windows import per_axis

_HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (float[1,3,6,8] x, float[4,3,3,3] w)'
_POOL = {
    "MaxPool": "gives the lowest number there is",
    "AveragePool": "averages over nothing but padding",
    "LpPool": "gives zero",
}


def _only_padding(window: Window) -> bool:
    for axis in per_axis(window):
        if axis.span < 1 or min(axis.begin, axis.end) < 0:
            continue
        if axis.begin >= axis.span:
            return True
        if axis.size is None:
            if axis.stride == 1 and axis.end >= axis.span:
                return True
            continue
        steps = (axis.size + axis.begin + axis.end - axis.span) // axis.stride
        if steps > 0 and steps * axis.stride - axis.begin >= axis.size > 0:
            return True
    return False


def _find(view: ModelView) -> Iterator[Occurrence]:
    """The padding is as large as the kernel or larger, so that windows at the border see no element of the input.
    PyTorch refuses such pools (`pad should be at most half of effective kernel size`); in a convolution it is usually
    padding that was meant for another kernel, or pads that were written in another order of axes.
    """
    groups = DiagnosticGroups()
    for window in view.windows:
        if window.op != "ConvTranspose" and window.before is None and _only_padding(window):
            what = _POOL.get(window.op, "gives the bias and nothing else")
            pads = f"{words(window.begin or ())} before, {words(window.end or ())} after"
            says = f"{window.op} with a kernel of {words(window.kernel or ())} pads {pads} ({{n}})"
            groups.add(window.node, f"{says}: a window at the border lies outside of the input and {what}")
    yield from groups.occurrences()


RULE = Rule(
    code="PAD005",
    name="windows-of-padding",
    severity="warning",
    find=_find,
    fires=(
        f"{_HEAD} => (y) {{ y = Conv <pads = [3, 3, 3, 3]> (x, w) }}",
        f"{_HEAD} => (y) {{ y = MaxPool <kernel_shape = [2, 2], pads = [0, 0, 2, 2]> (x) }}",
    ),
    quiet=(
        f"{_HEAD} => (y) {{ y = Conv <pads = [2, 2, 2, 2]> (x, w) }}",
        f"{_HEAD} => (y) {{ y = MaxPool <kernel_shape = [2, 2], strides = [2, 2], pads = [0, 0, 1, 1]> (x) }}",
    ),
)
