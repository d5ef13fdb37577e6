"""LAY001: a Transpose that undoes the one before it."""

from __future__ import annotations

from collections.abc import Iterator

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.inspection.rules._helpers import DiagnosticGroups, words
from onnx_triangulate.inspection.rules._permutations import pairs
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule

_HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (float[1,3,6,8] x)'


def _find(view: ModelView) -> Iterator[Occurrence]:
    """Two Transposes in a row bring every axis back to where it was. Exporters leave such pairs between an operator
    that wants channels first and one that wants them last; they cost two copies of the whole value, and runtimes do not
    always take them out. An optimizer (or the exporter's, if it was off) removes them.
    """
    groups = DiagnosticGroups()
    for place, before, both, first in pairs(view):
        if both == tuple(range(len(both))) and first != both:
            groups.add(
                (before, place.name),
                f"a Transpose undoes the one by {words(first)} in front of it ({{n}}): what comes out is what went in, "
                "copied twice",
            )
    yield from groups.occurrences()


RULE = Rule(
    code="LAY001",
    name="transposes-that-cancel",
    severity="warning",
    find=_find,
    fires=(f"{_HEAD} => (y) {{ a = Transpose <perm = [0,2,3,1]> (x) y = Transpose <perm = [0,3,1,2]> (a) }}",),
    quiet=(
        f"{_HEAD} => (y) {{ a = Transpose <perm = [0,2,3,1]> (x) y = Transpose <perm = [0,2,3,1]> (a) }}",
        f"{_HEAD} => (y) {{ a = Transpose <perm = [0,2,3,1]> (x) b = Relu (a) y = Transpose <perm = [0,2,3,1]> (b) }}",
    ),
)
