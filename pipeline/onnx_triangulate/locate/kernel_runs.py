"""What a worker does to judge the kernels of one run: every value shown, each node held against its own bound."""

from __future__ import annotations

import functools
from collections import UserDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from onnx_triangulate.engines.runtimes import runtimes
from onnx_triangulate.locate.kernels import kernels
from onnx_triangulate.onnxgraph.weights import Weights, without_weights
from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.faults import Localization
from onnx_triangulate.records.party import Party
from onnx_triangulate.transform import cut


def judged_kernels(
    proto: Any, feeds: Mapping[str, Array], *, graph: str, party: str, blame: str, weights: Weights | None = None
) -> Localization:
    """Every node of one run on what it consumed there.

    ONNX Runtime computes in float32 what it has no kernel of sixteen bits for, and leaves the rounding between two such
    nodes out: what a node consumed is then not the value that is returned.  So where a graph has sixteen bits, every
    node is run once more, alone, on the values of that run.
    """
    weights, bare = Weights(proto) if weights is None else weights, without_weights(proto)
    sizes = cut.array_sizes(bare)
    planned = cut.parts(bare, weights, sizes, budget(sizes))
    run = functools.partial(run_part, Party.parse(party).runtime)
    produced = _Produced(cut.run_parts(bare, weights, planned, feeds.get, run), sizes)
    if cut.has_short_floats(proto):
        first = {**feeds, **{name: produced[name] for name in sizes if name in produced}}
        alone = cut.parts(bare, weights, sizes, budget(sizes), first)
        held, errors = produced.peak, produced.errors
        produced = _Produced(cut.run_parts(bare, weights, alone, first.get, run, first), sizes)
        produced.peak, produced.errors, feeds = held, errors, first
    found = kernels(bare, feeds, produced, graph=graph, party=party, blame=blame, weights=weights)
    if produced.errors and not found.judged:
        return replace(found, problem=produced.errors[0])
    return replace(found, peak=found.peak + produced.peak, notes=(*found.notes, *produced.errors[:1]))


class _Produced(UserDict[str, Array]):
    """The values of a run in parts: the next part is run when something of it is asked for."""

    def __init__(self, parts: Iterator[cut.PartRun], names: Iterable[str]) -> None:
        super().__init__()
        self._parts, self._to_come = parts, set(names)
        self.peak = 0
        self.errors: list[str] = []

    def _until(self, name: object) -> None:
        while name in self._to_come and (part := next(self._parts, None)) is not None:
            self.data |= part.arrays
            self._to_come.difference_update(part.part.outputs)
            self.peak = max(self.peak, part.held)
            if part.error:
                self.errors.append(part.error)

    def __contains__(self, name: object) -> bool:
        self._until(name)
        return name in self.data

    def __getitem__(self, name: str) -> Array:
        self._until(name)
        return self.data[name]


BUDGET = 2**25  # bytes of arrays into and out of one part of a run


def budget(sizes: Mapping[str, int | None]) -> int:
    """No more than half of all values at once, be they few."""
    return min(BUDGET, max(2**16, sum(size or 0 for size in sizes.values()) // 2))


def run_part(
    runtime: str, model: bytes, weights: Mapping[str, Array], feeds: Mapping[str, Array], outputs: list[str]
) -> list[Array]:
    return list(runtimes()[runtime].part(model, weights)(feeds, outputs))
