"""PAD008: rows and columns at the end that no window reaches."""

from __future__ import annotations

from collections.abc import Iterator

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.inspection.rules._helpers import DiagnosticGroups, words
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule
from onnx_triangulate.inspection.rules._windows import per_axis

_HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (float[1,3,6,8] x, float[1,3,7,9] o, float[4,3,3,3] w)'


def _find(view: ModelView) -> Iterator[Occurrence]:
    """The stride does not divide what is left after the first window, so the windows end before the padded input does.
    PyTorch's convolution with `padding=1` and stride 2 on an even size is the known case: written 1 before and 1 after,
    read 1 before and 0 after, where TensorFlow's `SAME` reads 0 before and 1 after. The sizes agree, the numbers do
    not.
    """
    ceils = {p.name for p in view.of("MaxPool", "AveragePool", "LpPool") if p.attribute("ceil_mode", int, 0)}
    groups = DiagnosticGroups()
    for window in view.windows:
        if window.op == "ConvTranspose" or window.node in ceils or window.before is not None:
            continue
        padding, elements = [], []
        for axis in per_axis(window):
            left = 0
            # With gaps between the windows much is never read by design (a 1x1 convolution of stride 2).
            if axis.size is not None and axis.span >= axis.stride and min(axis.begin, axis.end) >= 0:
                room = axis.size + axis.begin + axis.end - axis.span
                left = room % axis.stride if room >= 0 else 0
            padding.append(min(left, max(0, axis.end)))
            elements.append(left - padding[-1])
        begin_, end_ = window.begin or (), window.end or ()
        if any(padding):
            read = [end - unread for end, unread in zip(end_, padding, strict=True)]
            groups.add(
                window.node,
                f"{window.op} pads {words(begin_)} before and {words(end_)} after ({{n}}), but {words(padding)} of it "
                f"at the end is never read: it computes as if padded by {words(begin_)} before and {words(read)} after",
            )
        if any(elements):
            groups.add(window.node, f"{window.op} never reads the last {words(elements)} of its input ({{n}})")
    yield from groups.occurrences()


RULE = Rule(
    code="PAD008",
    name="end-never-read",
    severity="info",
    find=_find,
    fires=(
        f"{_HEAD} => (y) {{ y = Conv <strides = [2, 2], pads = [1, 1, 1, 1]> (x, w) }}",
        f"{_HEAD} => (y) {{ y = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (o) }}",
    ),
    quiet=(
        f"{_HEAD} => (y) {{ y = Conv <strides = [2, 2], pads = [1, 1, 1, 1]> (o, w) }}",
        f"{_HEAD} => (y) {{ y = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (x) }}",
        f"{_HEAD} => (y) {{ y = MaxPool <kernel_shape = [1, 1], strides = [2, 2]> (x) }}",
    ),
)
