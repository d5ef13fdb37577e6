"""PAD007: a pool whose last window reaches beyond its padded input."""

from __future__ import annotations

from collections.abc import Iterator

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.inspection.rules._helpers import DiagnosticGroups, words
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule
from onnx_triangulate.inspection.rules._windows import per_axis

_HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (float[1,3,6,8] x)'


def _find(view: ModelView) -> Iterator[Occurrence]:
    """With `ceil_mode=1` a pool makes a last window that hangs over the end of the input. What hangs over does not
    count in a maximum; an average is taken over what is left, and runtimes have disagreed about it. TensorFlow has no
    such mode: its `SAME` pads on both sides instead, which shifts every window.
    """
    ceils = {p.name for p in view.of("MaxPool", "AveragePool", "LpPool") if p.attribute("ceil_mode", int, 0)}
    groups = DiagnosticGroups()
    for window in view.windows:
        if window.node not in ceils or window.auto_pad not in ("", "NOTSET") or window.before is not None:
            continue
        beyond = []
        for axis in per_axis(window):
            if axis.size is None:
                beyond.append(0)
                continue
            steps = -(-(axis.size + axis.begin + axis.end - axis.span) // axis.stride)
            # A window that would begin in the padding at the end is left out.
            steps -= steps * axis.stride >= axis.size + axis.begin
            beyond.append(max(0, steps * axis.stride + axis.span - axis.size - axis.begin - axis.end))
        if any(beyond):
            groups.add(
                window.node,
                f"{window.op} rounds its size up ({{n}}): the last window reaches {words(beyond)} beyond the end, "
                "where there is nothing; without ceil_mode it would not be there",
            )
    yield from groups.occurrences()


RULE = Rule(
    code="PAD007",
    name="ceil-mode-overhang",
    severity="info",
    find=_find,
    fires=(f"{_HEAD} => (y) {{ y = MaxPool <kernel_shape = [3, 3], strides = [2, 2], ceil_mode = 1> (x) }}",),
    quiet=(
        f"{_HEAD} => (y) {{ y = MaxPool <kernel_shape = [2, 2], strides = [2, 2], ceil_mode = 1> (x) }}",
        f"{_HEAD} => (y) {{ y = MaxPool <kernel_shape = [3, 3], strides = [2, 2]> (x) }}",
    ),
)
