"""SHP005: a declared size that cannot be one."""

from __future__ import annotations

import math
from collections.abc import Iterator

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.inspection.rules._helpers import some
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule
from onnx_triangulate.inspection.rules._symbols import inputs
from onnx_triangulate.onnxgraph.nodes import named_dims

_HEAD = '<ir_version: 8, opset_import: ["" : 17]> g'
_MOST = 1 << 40


def _find(view: ModelView) -> Iterator[Occurrence]:
    """A declared shape has a negative size, a zero at the border of the model, or a product of 2^40 and more. Old
    exporters wrote -1 or 0 for an axis of unknown size: runtimes refuse it, or take it by its word. Leave the size away
    or give the axis a name.
    """
    graph = view.model.graph
    negative, zero, huge = [], [], []
    border = {value.name for value in (*inputs(view), *graph.output)}
    for value in (*graph.input, *graph.output, *graph.value_info):
        sizes = [d for d in named_dims(value) or () if isinstance(d, int)]
        if any(d < 0 for d in sizes):
            negative.append(value.name)
        elif 0 in sizes:
            if value.name in border:
                zero.append(value.name)
        elif len(sizes) > 64 or math.prod(sizes) >= _MOST:
            huge.append(value.name)
    if negative:
        yield Occurrence(
            tuple(negative),
            f"a size is negative ({some(negative)}): an axis of unknown size has a name or nothing, -1 is no size",
            "error",
        )
    if zero:
        yield Occurrence(
            tuple(zero), f"an axis has size 0 ({some(zero)}): a value without elements, if it is meant so", "info"
        )
    if huge:
        yield Occurrence(tuple(huge), f"a size that no memory holds is declared ({some(huge)})")


RULE = Rule(
    code="SHP005",
    name="impossible-size",
    severity="warning",
    find=_find,
    fires=(
        f"{_HEAD} (float[0,3] x) => (y) {{ y = Relu (x) }}",
        f"{_HEAD} (float[1099511627776,3] x) => (y) {{ y = Relu (x) }}",
    ),
    quiet=(f"{_HEAD} (float[n,3] x) => (y) {{ y = Relu (x) }}",),
)
