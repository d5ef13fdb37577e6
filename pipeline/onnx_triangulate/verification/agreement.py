"""What agrees with what: the sets of parties in which every pair agrees, and the largest difference this covers.

Rule: agreement within a bound is not transitive, so a group is a set in which *every* pair agrees, at
every size.  "agree" names the largest difference it covers."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.runs import Diff
from onnx_triangulate.records.verdict import LargestDifference
from onnx_triangulate.verification.parties import Parties

_ROWS = 3  # axes of an output whose last one may be a row of scores


def groups_of(parties: Parties, *others: Parties) -> tuple[tuple[str, ...], ...]:
    """The largest sets of parties (in the case's own precision) in which every pair agrees, largest first.

    Sets may overlap.  ``others`` are the same parties at other sizes: a pair agrees where it agrees at every size.
    """
    names = _names(parties)
    agree = {name: {name} for name in names}
    for left, right in itertools.combinations(names, 2):
        if all(_agree(each, left, right) for each in (parties, *others)):
            agree[left].add(right)
            agree[right].add(left)
    cliques = list(_cliques(frozenset(), frozenset(names), frozenset(), agree))
    place = {name: i for i, name in enumerate(names)}
    ordered = [tuple(sorted(clique, key=place.__getitem__)) for clique in cliques]
    return tuple(sorted(ordered, key=lambda group: (-len(group), [place[n] for n in group])))


def _names(parties: Parties) -> list[str]:
    """The parties with one answer in the case's own precision.  What defines a model out of its own run defines nothing
    where that run is one of several."""
    steady = {name: run for name, run in parties.runs.items() if run.outputs is not None and run.deterministic}
    steady = {name: run for name, run in steady.items() if not run.party.double and not run.party.parameters}
    return [name for name, run in steady.items() if not run.derived or run.party.meaning in steady]


def largest_difference(parties: Parties, edges: Sequence[Diff]) -> LargestDifference | None:
    """The largest difference, for the size of its output, on the edges that agree in the case's own precision."""
    found: list[LargestDifference] = []
    for edge in edges:
        if edge.outcome == "rounding" and not any(end.double for end in edge.ends):
            pairs = parties.float_outputs(edge.left, edge.right)
            found += [apart for name, one, other in pairs if (apart := _apart(edge, name, one, other)) is not None]
    return max(found, key=lambda each: (each.max_abs / each.top, each.moved), default=None)


def _apart(edge: Diff, name: str, left: Array, right: Array) -> LargestDifference | None:
    """How far two float arrays of one shape are apart; None where they are not."""
    one, other = left.astype(np.float64), right.astype(np.float64)
    both = np.isfinite(one) & np.isfinite(other)
    most = float(np.abs(one[both] - other[both]).max(initial=0.0))
    if most <= 0:
        return None
    top = float(max(np.abs(one[both]).max(initial=0.0), np.abs(other[both]).max(initial=0.0)))
    shared = np.floor(np.log10(top) - np.log10(most))
    digits = int(np.clip(shared, 0, min(_digits(array) for array in (left, right))))  # of a small number beside it: all
    rows = left.size // left.shape[-1] if 1 <= left.ndim <= _ROWS and left.shape[-1] > 1 else 0
    moved = int(np.sum(one.argmax(-1) != other.argmax(-1))) if rows else 0
    return LargestDifference(edge.left, edge.right, name, most, top, digits, rows, moved, edge.size)


def _digits(array: Array) -> int:
    """The decimal digits that numbers of a float type have."""
    return int((np.finfo(array.dtype).nmant + 1) * np.log10(2))


def _agree(parties: Parties, left: str, right: str) -> bool:
    """Whether two parties agree; so do two that both have no answer here, as a graph that lacks this size has none."""
    runs = [parties.runs[name] for name in (left, right) if name in parties.runs]
    answered = [run for run in runs if run.outputs is not None]
    if len(answered) < 2 or not all(run.deterministic for run in answered):
        return not answered
    return parties.between(left, right).outcome in ("equal", "rounding")


def _cliques(
    chosen: frozenset[str], open_: frozenset[str], closed: frozenset[str], agree: Mapping[str, set[str]]
) -> Iterator[frozenset[str]]:
    """Bron and Kerbosch's maximal cliques, with a pivot."""
    if not open_ and not closed:
        if chosen:
            yield chosen
        return
    pivot = max(open_ | closed, key=lambda n: len(open_ & agree[n]))
    for name in sorted(open_ - (agree[pivot] - {pivot})):
        near = frozenset(agree[name] - {name})
        yield from _cliques(chosen | {name}, open_ & near, closed & near, agree)
        open_, closed = open_ - {name}, closed | {name}
