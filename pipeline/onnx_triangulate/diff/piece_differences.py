"""Steps without a counterpart, gathered to connected pieces.

Design note.  A piece that stands between the same values on both sides is one operator written in another way (or
replaced); any other is "only" on its side.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from onnx_triangulate.diff.findings import Findings
from onnx_triangulate.diff.formatting import in_one_place, nodes_of, ops_of
from onnx_triangulate.diff.ir import Step


def pieces(c: Findings) -> None:
    ours, theirs = (list(connected(c, i)) for i in (0, 1))
    for piece in ours:
        here, one = edges(c, piece, 0), c.steps(piece, 0)
        beside = next((p for p in theirs if in_one_place(here, edges(c, p, 1))), None)
        if beside is None:
            only(c, one, 0)
            continue
        theirs.remove(beside)
        c.replaced[0].update(piece)
        c.replaced[1].update(beside)
        two = c.steps(beside, 1)
        c.add("operator", "op", nodes_of(one), nodes_of(two), ops_of(one), ops_of(two))
    for piece in theirs:
        only(c, c.steps(piece, 1), 1)


def only(c: Findings, steps: Sequence[Step], which: int) -> None:
    steps = [s for s in steps if s.part != "view"]  # said where the value is read
    names, ops = nodes_of(steps), ops_of(steps)
    if names and which == 0:
        c.add("only", "nodes", names, (), ops, "none")
    elif names:
        c.add("only", "nodes", (), names, "none", ops)


def connected(c: Findings, which: int) -> Iterator[list[int]]:
    """Units without a counterpart, those that read one another together."""
    side = c.sides[which]
    alone = {i for i in range(len(side.units)) if not c.matching.paired(i, which)}
    while alone:
        first = min(alone)
        piece, waiting = set[int](), [first]
        while waiting:
            unit = waiting.pop()
            if unit in piece or unit not in alone:
                continue
            piece.add(unit)
            waiting += [side.maker[r.value][0] for _, r in side.units[unit].head.refs() if r.value in side.maker]
            waiting += [reader for v in side.units[unit].outputs for reader, _, _ in side.readers.get(v, ())]
        alone -= piece
        yield sorted(piece)


def edges(c: Findings, piece: Sequence[int], which: int) -> tuple[frozenset[Any], frozenset[Any]]:
    """What a piece reads and who reads it, in the terms of the right graph."""
    side, inside = c.sides[which], set(piece)
    reads: set[Any] = set()
    readers: set[Any] = set()
    given = {pair[which]: pair[1] for pair in c.outputs}
    for number in piece:
        for _, ref in side.units[number].head.refs():
            if side.maker.get(ref.value, (-1, 0))[0] not in inside:
                reads.add(c.matching.value(ref.value, which))
        for value in side.units[number].outputs:
            for reader, _, _ in side.readers.get(value, ()):
                if reader not in inside:
                    known = c.matching.there.get(reader) if which == 0 else reader
                    readers.add(("unit", known))
            for place, _ in side.given.get(value, ()):
                readers.add(("output", given.get(place)))
    return frozenset(reads - {None}), frozenset(readers)
