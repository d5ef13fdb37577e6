"""The edges of a case: which pairs of parties differ in one step, and what each edge isolates.

Rule: neighbours differ in one thing, so where they part is the answer.  ``truth | torch`` is the native
kernel, ``torch | torch>reference`` the exporter, ``torch>reference | torch>ort.off`` the runtime's kernels; each
runtime declares which one it comes after and what step it adds.  The source in float64 against its graph in float64 is
the exporter's edge without float32's rounding."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence

from onnx_triangulate.engines.protocols import Runtime
from onnx_triangulate.engines.runtimes import chain
from onnx_triangulate.records.party import Party
from onnx_triangulate.records.runs import Diff
from onnx_triangulate.verification.parties import Parties, across_frameworks

GONE = ("crashed", "timeout", "memory")  # the failures of a process, not of a graph
Pair = tuple[Party | str, Party | str, str]


def edges_of(parties: Parties, graphs: Sequence[str], runtimes: Mapping[str, Runtime]) -> tuple[Diff, ...]:
    """Every edge of the case between parties that were run, compared."""
    pairs = ((str(left), str(right), step) for left, right, step in _pairs(parties, graphs, runtimes))
    return tuple(parties.diff(*pair) for pair in pairs if parties.runs.keys() >= {*pair[:2]})


def _pairs(parties: Parties, graphs: Sequence[str], runtimes: Mapping[str, Runtime]) -> Iterator[Pair]:
    """(left, right, the steps it isolates) of every edge that the case may have."""
    frameworks = sorted({run.party.framework for run in parties.runs.values() if run.party.native})
    yield from _between_definitions(parties)
    for framework in frameworks:
        yield from _natives(parties, framework)
    for left, right in itertools.combinations(frameworks, 2):
        yield left, right, "semantics"
        yield Party(left, double=True), Party(right, double=True), "semantics"
    for graph in graphs:
        yield from _of_graph(parties, Party.parse(graph), runtimes)


def constants_asked(edges: Sequence[Diff]) -> set[str]:
    """The frameworks whose float64 run parts from another's: whether constants in float32 are why is to be measured."""
    parted = [edge.ends for edge in edges if edge.diverges]
    return {end.framework for ends in parted if across_frameworks(*ends) for end in ends if end.double}


def lacks(parties: Parties, name: str, runtimes: Mapping[str, Runtime]) -> bool:
    """Whether a witness does not run what others run.

    A runtime that comes after no other is an evaluation of the definition that nobody ships: what it lacks says nothing
    of the graph.  It has no answer, and the report says so.
    """
    run = parties.runs.get(name)
    runtime = runtimes.get(run.party.runtime) if run is not None else None
    if run is None or runtime is None or runtime.after or run.party.double:
        return False
    if run.error is None or run.error.kind in GONE:
        return False
    return any(parties.answered(str(run.party.on(other.name))) for other in runtimes.values() if other.after)


def _between_definitions(parties: Parties) -> Iterator[Pair]:
    runs = [run for run in parties.runs.values() if run.party.is_truth and run.party.meaning and not run.derived]
    for left, right in itertools.pairwise(_definition_path(sorted((run.party for run in runs), key=str))):
        same = parties.one_meaning or left.meaning == right.meaning
        yield str(left), str(right), "parameters" if same else "semantics"


def _definition_path(definitions: Sequence[Party]) -> list[Party]:
    """The definitions in an order in which neighbours differ in one thing."""
    plain = [party for party in definitions if not party.parameters]
    middle = next((party for party in definitions if party.parameters), None)
    if middle is None:
        return plain
    # The meaning of the middle one is the one neighbour's, its parameters are the other's.
    start = [party for party in plain if party.meaning == middle.meaning]
    return [*start, middle, *[party for party in plain if party.meaning == middle.parameters]]


def _natives(parties: Parties, framework: str) -> Iterator[Pair]:
    truth = parties.truth_of(framework)
    for name in (framework, str(Party(framework, double=True))):
        if not _is_itself(parties, truth, name):
            yield truth, name, "native"


def _is_itself(parties: Parties, truth: str, name: str) -> bool:
    """Whether a derived definition is this very run, so that agreement between the two would say nothing."""
    if not (parties.answered(truth) and parties.answered(name)):
        return False
    definition = parties.runs[truth]
    return bool(definition.derived) and definition.outputs == parties.runs[name].outputs


def _of_graph(parties: Parties, graph: Party, runtimes: Mapping[str, Runtime]) -> Iterator[Pair]:
    """The edges of one exported graph: to its source, from runtime to runtime, and to the unoptimized export."""
    for runtime in runtimes.values():
        before, ran, sharp = graph.on(runtime.after), graph.on(runtime.name), graph.on(runtime.name, double=True)
        if not lacks(parties, str(ran), runtimes):
            if runtime.after and not lacks(parties, str(before), runtimes):
                yield before, ran, runtime.step
            yield graph.source, ran, _steps(graph, runtime, runtimes)
        yield graph.source.in_float64, sharp, _steps(graph, runtime, runtimes)
    raw = Party(graph.framework, "raw")
    for runtime in runtimes.values() if not graph.exporter else ():  # from the raw graph to what its optimizer makes
        yield raw.on(runtime.name, double=True), graph.on(runtime.name, double=True), "folding"


def _steps(graph: Party, runtime: Runtime, runtimes: Mapping[str, Runtime]) -> str:
    """The steps between the native run and this runtime, in order: ``export+kernel+optimizer``.

    Of a file that is its own source nothing was exported: what its first runtime isolates is that runtime.
    """
    steps = [runtimes[name].step for name in reversed(chain(runtimes, runtime.name))]
    return "+".join(["reference", *steps[1:]] if graph.is_own_source else steps)
