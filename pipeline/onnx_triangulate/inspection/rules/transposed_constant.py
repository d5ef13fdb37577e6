"""LAY003: a stored tensor that is transposed each time the model runs."""

from __future__ import annotations

from collections.abc import Iterator

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.facts.size_summary import size
from onnx_triangulate.inspection.rules._helpers import stored
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule

_HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (float[5,3] x)'


def _find(view: ModelView) -> Iterator[Occurrence]:
    """A Transpose reads an initializer or a Constant: its result is always the same and could be stored in its place.
    Runtimes that fold constants do so when they load the model; others move the bytes in each run.
    """
    nodes, moved = [], 0
    for place in view.of("Transpose"):
        name = place.input(0)
        tensor = stored(view, place, name)
        if tensor is None or name in place.graph.input_names or len(tensor.dims) < 2:
            continue
        nodes.append(place.name)
        moved += size(tensor)
    if nodes:
        which = "a stored tensor is" if len(nodes) == 1 else f"{len(nodes):,} stored tensors are"
        yield Occurrence(
            tuple(nodes), f"{which} transposed whenever the model runs ({moved:,} bytes): store the result instead"
        )


RULE = Rule(
    code="LAY003",
    name="transposed-constant",
    severity="info",
    find=_find,
    fires=(
        f"{_HEAD} => (y) <float[2,3] w = {{1,2,3,4,5,6}}> {{ t = Transpose <perm = [1,0]> (w) y = MatMul (x, t) }}",
    ),
    quiet=(
        f"{_HEAD} => (y) <float[2,3] w = {{1,2,3,4,5,6}}> {{ y = Gemm <transB = 1> (x, w) }}",
        f"{_HEAD} => (y) {{ y = Transpose <perm = [1,0]> (x) }}",
    ),
)
