"""LAY002: a Transpose that leaves every axis where it is."""

from __future__ import annotations

from collections.abc import Iterator

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.inspection.rules._helpers import DiagnosticGroups, words
from onnx_triangulate.inspection.rules._permutations import permutation
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule

_HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (float[1,3,6,8] x)'


def _find(view: ModelView) -> Iterator[Occurrence]:
    """The permutation is 0, 1, 2 …: the node copies its input. Usually what is left of two Transposes that were merged,
    sometimes a permutation that was meant to be another one.
    """
    groups = DiagnosticGroups()
    for place in view.of("Transpose"):
        perm = permutation(place, place.node, place.input(0))
        if perm and perm == tuple(range(len(perm))):
            groups.add(place.name, f"Transpose by {words(perm)} moves nothing ({{n}}): an Identity, copied")
    yield from groups.occurrences()


RULE = Rule(
    code="LAY002",
    name="transpose-of-nothing",
    severity="warning",
    find=_find,
    fires=(f"{_HEAD} => (y) {{ y = Transpose <perm = [0,1,2,3]> (x) }}",),
    quiet=(f"{_HEAD} => (y) {{ y = Transpose <perm = [0,1,3,2]> (x) }}",),
)
