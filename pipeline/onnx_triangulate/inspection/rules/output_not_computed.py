"""STR011: an output that is handed through, or stored."""

from __future__ import annotations

from collections.abc import Iterator

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.inspection.rules._helpers import some
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule

_HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (float[2,3] x)'


def _find(view: ModelView) -> Iterator[Occurrence]:
    """An output of the model is one of its inputs, or a stored tensor. The model it was made from may do just that; or
    the exporter folded into a constant what should depend on the input.
    """
    graph = view.graphs[0]
    constants = {name for name in graph.outputs if graph.tensor(name) is not None}
    through = [n for n in graph.outputs if n in graph.inputs and n not in graph.producers and n not in constants]
    if through:
        yield Occurrence(
            tuple(through), f"an output is an input, unchanged ({some(through)}): some runtimes refuse that"
        )
    if constants:
        named = [name for name in graph.outputs if name in constants]
        yield Occurrence(tuple(named), f"an output is a stored tensor ({some(named)}): it is the same for every input")


RULE = Rule(
    code="STR011",
    name="output-not-computed",
    severity="warning",
    find=_find,
    fires=(
        f"{_HEAD} => (x, y) {{ y = Relu (x) }}",
        f"{_HEAD} => (y, w) <float[1] w = {{1.0}}> {{ y = Relu (x) }}",
    ),
    quiet=(f"{_HEAD} => (y) {{ y = Identity (x) }}",),
)
