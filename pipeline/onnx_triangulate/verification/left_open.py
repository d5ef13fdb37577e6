"""What ONNX leaves open: what becomes of a NaN, and the order in which some nodes give their results.

Rule: where two answers differ only in what ONNX does not say, nobody is wrong: ``unspecified``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from onnx_triangulate.ops.registry import operators_where
from onnx_triangulate.records.arrays import Array, ArrayFile
from onnx_triangulate.records.case import Absent
from onnx_triangulate.records.party import Party
from onnx_triangulate.records.runs import Diff
from onnx_triangulate.records.verdict import Blame
from onnx_triangulate.verification.parties import Parties

# ONNX does not say what these make of a NaN.
NAN_OPEN = operators_where(lambda op: op.nan_open)
PLACES = frozenset(("ArgMax", "ArgMin", "TopK"))  # those of them that give a place


def unless_open(parties: Parties, graph: str, blamed: Blame, edges: Sequence[Diff]) -> Blame:
    """A blame that was read from ``edges`` of a graph; ``unspecified`` where ONNX leaves open all that differs
    there."""
    if edges and nan_open(parties, graph) and all(by_nan(parties, graph, edge) for edge in edges):
        blamed = replace(blamed, blame="unspecified")
    if edges and all(by_order(parties, graph, edge) for edge in edges):
        says = (
            f"{blamed.message}; the same in another order, which ONNX leaves open where TopK is not sorted (sorted=0)"
        )
        return replace(blamed, blame="unspecified", op="TopK", nodes=parties.graphs[graph].unordered, message=says)
    return blamed


def nan_open(parties: Parties, graph: str) -> bool:
    """Whether a NaN went in or comes out of the source, and ONNX does not say what an operator here makes of it."""
    facts = parties.graphs.get(graph)
    if facts is None or not NAN_OPEN & set(facts.ops):
        return False
    source = Party.parse(graph).framework
    natives = parties.values(source).values() if source in parties.runs else ()
    return parties.nan_fed or any(
        not isinstance(v, Absent) and v.dtype.kind == "f" and bool(np.isnan(v).any()) for v in natives
    )


def by_nan(parties: Parties, graph: str, edge: Diff) -> bool:
    """Whether all that differs on an edge may be what an operator makes of a NaN: the NaN itself, or its place.

    Where a NaN was fed, the place that an arg-reduction gives is as open as the value that the reduction gives.
    """
    if edge.nan_only:
        return True
    facts, outputs = parties.graphs.get(graph), parties.runs[edge.right].outputs or {}
    output = outputs.get(edge.output or "")
    places = isinstance(output, ArrayFile) and np.dtype(output.dtype).kind in "iu"
    return parties.nan_fed and places and facts is not None and not PLACES.isdisjoint(facts.ops)


def by_order(parties: Parties, graph: str, edge: Diff) -> bool:
    """Whether a node may give its results in any order, and nothing but their order along one axis differs."""
    facts = parties.graphs.get(graph)
    if facts is None or not facts.unordered or not edge.diverges:
        return False
    mine, theirs = parties.values(edge.left), parties.values(edge.right)
    near = [parties.allowed(name, False) for name in (edge.left, edge.right)]
    return set(mine) == set(theirs) and all(
        _reordered(value, theirs[name], [each.get(name) for each in near]) for name, value in mine.items()
    )


def _reordered(one: Array | Absent, other: Array | Absent, allowed: Sequence[Array | None]) -> bool:
    """Whether two arrays hold the same along some axis, in any order, within the largest of what each is allowed."""
    if isinstance(one, Absent) or isinstance(other, Absent):
        return isinstance(one, Absent) and isinstance(other, Absent)
    if one.shape != other.shape or one.dtype.kind != other.dtype.kind or one.dtype.kind not in "biuf":
        return False
    sorts = ((np.sort(one, axis), np.sort(other, axis)) for axis in range(one.ndim))
    if one.dtype.kind != "f":
        return any(np.array_equal(*pair) for pair in sorts)
    near = sum(float(np.max(each, initial=0.0)) for each in allowed if each is not None)
    with np.errstate(invalid="ignore"):
        return any(bool(np.all(np.abs(a.astype(np.float64) - b) <= near)) for a, b in sorts)
