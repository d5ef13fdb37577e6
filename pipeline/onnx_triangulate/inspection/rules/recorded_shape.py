"""SHP006: a recorded shape that the nodes contradict."""

from __future__ import annotations

from collections.abc import Iterator

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.inspection.rules._helpers import count, shown, words
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule
from onnx_triangulate.onnxgraph.inference import contradicted

_HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (float[2,12] x)'


def _find(view: ModelView) -> Iterator[Occurrence]:
    """The file records a shape of a value, and ONNX's inference finds another one. Left over from an edit: a node was
    changed and the shapes behind it were not. Readers that believe the record show, allocate or pad what is not so; the
    full check of ONNX refuses such a file. Everything said here goes by what the nodes make. Take the records out
    (`value_info`) and infer the shapes again.
    """
    if view.shaped is view.model:
        return
    found = list(contradicted(view.model, view.shaped))
    if found:
        name, said, made = found[0]
        yield Occurrence(
            tuple(name for name, _, _ in found),
            f"{count(len(found), 'value')} whose recorded shape is not what the nodes make: of {shown(name)} "
            f"{words(said)} is recorded, {words(made)} is made",
        )


RULE = Rule(
    code="SHP006",
    name="recorded-shape",
    severity="warning",
    find=_find,
    fires=(
        f"{_HEAD} => (float[12,2] y) {{ y = Relu (x) }}",
        f"{_HEAD} => (float[a,b] y) <float[3,4] z> {{ z = Relu (x) y = Neg (z) }}",
    ),
    quiet=(
        f"{_HEAD} => (float[2,12] y) {{ y = Relu (x) }}",
        f"{_HEAD} => (float[n,m] y) <float[2,k] z> {{ z = Relu (x) y = Neg (z) }}",
    ),
)
