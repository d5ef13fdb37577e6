"""STR022: stored tensors that are inputs as well."""

from __future__ import annotations

from collections.abc import Iterator

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.inspection.rules._helpers import count, some
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule

_GRAPH = "g (float[2,3] x, float[3] w) => (y) <float[3] w = {1.0, 2.0, 3.0}> { y = Mul (x, w) }"


def _find(view: ModelView) -> Iterator[Occurrence]:
    """A tensor that is stored and listed as an input is a default value, which a caller may replace. Runtimes then
    cannot fold constants or fuse a BatchNormalization into its convolution. Before IR version 4 there was no other way;
    a newer file should list only what is to be fed.
    """
    graph = view.graphs[0]
    both = tuple(name for name in graph.inputs if name in graph.initializers)
    if not both:
        return
    says = f"{count(len(both), 'stored tensor')} that a caller may replace, as inputs of the model ({some(both)})"
    if view.model.ir_version < 4:
        yield Occurrence(
            both, f"{says}: files of IR version {view.model.ir_version} have to be so, later ones had better not"
        )
    else:
        yield Occurrence(both, f"{says}: a runtime must not fold them or merge them with their neighbours")


RULE = Rule(
    code="STR022",
    name="initializer-is-input",
    severity="info",
    find=_find,
    fires=(
        f'<ir_version: 8, opset_import: ["" : 17]> {_GRAPH}',
        f'<ir_version: 3, opset_import: ["" : 9]> {_GRAPH}',
    ),
    quiet=(
        '<ir_version: 8, opset_import: ["" : 17]> g (float[2,3] x) => (y) <float[3] w = {1.0, 2.0, 3.0}> '
        "{ y = Mul (x, w) }",
    ),
)
