"""LAY004: two Transposes in a row that could be one."""

from __future__ import annotations

from collections.abc import Iterator

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.inspection.rules._helpers import DiagnosticGroups, words
from onnx_triangulate.inspection.rules._permutations import pairs
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule

_HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (float[1,3,6,8] x)'


def _find(view: ModelView) -> Iterator[Occurrence]:
    """A Transpose reads another Transpose: both together are one permutation, which moves the bytes once."""
    groups = DiagnosticGroups()
    for place, before, both, first in pairs(view):
        identity = tuple(range(len(both)))
        if identity not in (both, first) and both != first:
            groups.add(
                (before, place.name),
                f"a Transpose follows one by {words(first)} ({{n}}): one by {words(both)} does the same as both",
            )
    yield from groups.occurrences()


RULE = Rule(
    code="LAY004",
    name="transposes-in-a-row",
    severity="info",
    find=_find,
    fires=(f"{_HEAD} => (y) {{ a = Transpose <perm = [0,2,3,1]> (x) y = Transpose <perm = [0,2,3,1]> (a) }}",),
    quiet=(
        f"{_HEAD} => (y) {{ a = Transpose <perm = [0,2,3,1]> (x) y = Transpose <perm = [0,3,1,2]> (a) }}",
        f"{_HEAD} => (y) {{ y = Transpose <perm = [0,2,3,1]> (x) }}",
    ),
)
