"""STR026: numbers in a file outside of the model's folder."""

from __future__ import annotations

from collections.abc import Iterator

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.inspection.rules._external import external, outside
from onnx_triangulate.inspection.rules._helpers import count, shown
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule

_HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (float[2,3] x) => (y)'


def _find(view: ModelView) -> Iterator[Occurrence]:
    """The location of a tensor's numbers is an absolute path, or leads upwards (`..`). Such a model works on the
    machine it was made on at best, and a stranger's model could read files that are none of its business. Never looked
    at here.
    """
    by_file: dict[str, list[str]] = {}
    for name, _, file in external(view):
        if file and outside(file):
            by_file.setdefault(file, []).append(name)
    for file, names in by_file.items():
        yield Occurrence(
            tuple(names),
            f"{count(len(names), 'tensor')} in {shown(file)}, outside of the model's folder: readers refuse it, "
            "because a model could name any file of yours",
        )


RULE = Rule(
    code="STR026",
    name="external-data-outside",
    severity="error",
    find=_find,
    fires=(
        f'{_HEAD} <float[3] w = ["location": "../weights.bin"]> {{ y = Mul (x, w) }}',
        f'{_HEAD} <float[3] w = ["location": "/etc/passwd"]> {{ y = Mul (x, w) }}',
    ),
    quiet=(f'{_HEAD} <float[3] w = ["location": "weights..bin"]> {{ y = Mul (x, w) }}',),
)
