"""What every party of a case is held against, and the edges: definitions, their bounds, and whose float64 counts.

A case defines what is right; where it does not, each framework in float64 is its own definition, with a bound by
perturbation.  What takes many runs (constants that a graph keeps in float32, a bound that is derived beside a declared
one) is measured only for the edges that need it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from onnx_triangulate.engines import running
from onnx_triangulate.records.arrays import ArrayFile
from onnx_triangulate.records.case import Tensor
from onnx_triangulate.records.party import Party
from onnx_triangulate.records.runs import Bound, Diff, Failure, Model, Run
from onnx_triangulate.verification import perturbed_runs, worker_tasks
from onnx_triangulate.verification.case_run import CaseRun
from onnx_triangulate.verification.constant_rounding import with_constant_rounding
from onnx_triangulate.verification.edges import constants_asked, edges_of
from onnx_triangulate.verification.parties import Parties
from onnx_triangulate.verification.session import Session

_OWN_SIZE = 2.0**-40  # of float64's 52 bits: no more than a question of whether to look


def with_edges(session: Session, case_run: CaseRun) -> CaseRun:
    """With definitions, and every edge compared.

    Every edge from a source to its own graph in float64 is held to the bound that is derived of the model: what a case
    declares of its definition says how far float arithmetic may lie from that, generously or not, and is no leave for a
    graph to mean something else.  Deriving takes perturbations, so it is done where the declared bound passes a
    difference that is not of float64's own size.
    """
    case_run = _with_edges(session, case_run)
    if case_run.case.truth is None:
        return case_run
    passed = [edge for edge in case_run.edges if _is_sharp(edge) and edge.outcome in ("rounding", "missing")]
    if not any((edge.max_abs or 0.0) > _OWN_SIZE * _top(case_run.runs[edge.left]) for edge in passed):
        return case_run
    bare = {name: run for name, run in case_run.runs.items() if not run.party.is_truth}
    underived = replace(case_run.case, truth=None)
    other = _with_edges(session, replace(case_run, case=underived, runs=bare, folder=case_run.folder / "undeclared"))
    sharp = {edge.ends: edge for edge in other.edges if _is_sharp(edge) and edge.outcome != "missing"}
    return replace(case_run, edges=tuple(sharp.get(edge.ends, edge) for edge in case_run.edges))


def source_weights(session: Session, case_run: CaseRun, model: Model) -> tuple[Path, ...]:
    """Where the weights of a graph's source are; what is none of them, its exporter has computed."""
    if model.weights is not None:
        return (model.weights,)
    framework = model.party.framework
    arguments = (case_run.ref, framework, case_run.seed, case_run.folder)
    file = session.value(None, worker_tasks.source_weights, *arguments, kind=framework)
    return () if file is None else (file,)


def _with_edges(session: Session, case_run: CaseRun) -> CaseRun:
    case_run = replace(case_run, runs={**_definitions(session, case_run), **case_run.runs})
    edges = _edges(session, case_run)
    for step in (_without_other_programs, _with_constant_rounding):
        other = step(session, case_run, edges)
        if other is not case_run:
            case_run, edges = other, _edges(session, other)
    return replace(case_run, edges=tuple(replace(edge, size=case_run.size) for edge in edges))


def _edges(session: Session, case_run: CaseRun) -> tuple[Diff, ...]:
    return edges_of(case_run.parties, list(case_run.models), session.runtimes)


def _is_sharp(edge: Diff) -> bool:
    left, right = edge.ends
    return left.double and right.double and left.framework == right.framework


def _top(run: Run) -> float:
    """The largest number of a run's outputs, by size."""
    sizes = [np.abs(array.astype(np.float64)) for array in run.arrays("fiu").values()]
    return max((float(size[np.isfinite(size)].max(initial=0.0)) for size in sizes), default=0.0)


def _with_constant_rounding(session: Session, case_run: CaseRun, edges: Sequence[Diff]) -> CaseRun:
    """With what constants in float32 may make of the float64 runs on the edges that part without it."""
    parted = {end for edge in edges if edge.diverges for end in edge.ends}
    graphs = [party for party in sorted(parted, key=str) if party.double and party.runtime]
    frameworks = {party.framework for party in graphs} | constants_asked(edges)
    if not frameworks:
        return case_run
    ref, seed, folder = case_run.ref, case_run.seed, case_run.folder
    runs, models = dict(case_run.runs), dict(case_run.models)
    for framework in sorted(frameworks):
        name = str(Party(framework, double=True))
        if (run := runs.get(name)) is not None:
            measure = perturbed_runs.constant_rounding_of_source
            answer = session.call(framework, measure, ref, framework, run, seed, folder)
            runs[name] = perturbed_runs.unmeasured(run, answer.message) if isinstance(answer, Failure) else answer
    for party in graphs:
        name, graph = str(party), party.graph
        sources = source_weights(session, case_run, models[graph])
        models[graph] = replace(models[graph], weights=next(iter(sources), None))
        arguments = (ref, models[graph], runs[name], sources, seed, folder, session.weight_limit)
        answer = session.call_runtimes(with_constant_rounding, *arguments)
        runs[name] = replace(runs[name], outputs=None, error=answer) if isinstance(answer, Failure) else answer
    return replace(case_run, runs=runs, models=models)


def _without_other_programs(session: Session, case_run: CaseRun, edges: Sequence[Diff]) -> CaseRun:
    """Without the float64 runs of frameworks whose code is another program in float64, where that is so.

    Code that asks the type for its limits (``finfo(x.dtype).min``, ``nan_to_num``) means other numbers there.
    """
    parted = {(edge.left, edge.right) for edge in edges if edge.outcome in ("diverges", "missing")}
    for framework in sorted({run.party.framework for run in case_run.runs.values() if run.party.native}):
        if case_run.parties.other_in_double(framework):
            case_run = _without_float64(case_run, framework)
        elif (str(Party("truth", meaning=framework)), framework) in parted:
            case_run = _with_definition_of_graph(session, case_run, framework)
    return case_run


def _without_float64(case_run: CaseRun, framework: str) -> CaseRun:
    """What overflows in float32 alone is another program, where the case's own definition has it overflow."""
    own = case_run.runs[framework]
    own = replace(own, notes=(*own.notes, "in float64 it is another program, further off than float32 may be"))
    kept = {n: r for n, r in case_run.runs.items() if not (r.party.double and r.party.framework == framework)}
    return replace(case_run, runs=kept | {framework: own})


def _with_definition_of_graph(session: Session, case_run: CaseRun, framework: str) -> CaseRun:
    """With a definition from an export's float64 run, where the framework's own float64 run stands alone: every other
    path, in float32 and in float64, agrees with every other."""
    runs = case_run.runs
    truth, double = (str(party) for party in (Party("truth", meaning=framework), Party(framework, double=True)))
    own = [run for run in runs.values() if run.party.framework == framework and run.outputs is not None]
    graphs = [run for run in own if run.party.runtime]
    sharp = next((run for run in graphs if run.party.double), None)
    if sharp is None or all(run.party.double for run in graphs) or not _is_own_definition(case_run.parties, framework):
        return case_run
    model = case_run.models[sharp.party.graph]
    arguments = (case_run.ref, model, sharp, case_run.seed, case_run.folder, session.weight_limit)
    answer: Run | None = session.value(None, worker_tasks.graph_definition, *arguments)
    if answer is None or answer.outputs is None:
        return case_run
    other = replace(case_run, runs={name: run for name, run in runs.items() if name != double} | {truth: answer})
    beside = [str(run.party) for run in (runs[framework], *graphs)]
    return other if all(other.parties.diff(truth, name, "native").agrees for name in beside) else case_run


def _is_own_definition(parties: Parties, framework: str) -> bool:
    """Whether a framework that answers in both precisions is held against a definition derived of itself."""
    truth = parties.runs.get(str(Party("truth", meaning=framework)))
    if truth is None or not truth.derived:
        return False
    return parties.answered(framework) and parties.answered(str(Party(framework, double=True)))


def _definitions(session: Session, case_run: CaseRun) -> dict[str, Run]:
    """The case's definitions; where it gives none, each framework itself with a bound by perturbation."""
    if case_run.case.truth is None:
        found = [_derived(session, case_run, native) for native in case_run.parties.natives]
    else:
        answer = session.call_runtimes(worker_tasks.run_truth, case_run.ref, case_run.seed, case_run.folder)
        given = [Run(Party("truth"), error=answer)] if isinstance(answer, Failure) else answer
        found = _with_derived_bounds(session, case_run, given)
    return {str(run.party): run for run in found}


def _with_derived_bounds(session: Session, case_run: CaseRun, definitions: Sequence[Run]) -> list[Run]:
    """The case's definitions, with bounds where the case leaves them to be derived: of the frameworks that are held
    against a definition, the larger."""
    if not any(bound == Bound() for run in definitions for bound in run.bounds.values()):
        return list(definitions)
    derived = {native.party.framework: _derived(session, case_run, native) for native in case_run.parties.natives}
    found = []
    for run in definitions:
        meant = [of for name, of in derived.items() if run.party.meaning in ("", name)]
        bounds = {name: _largest(run, name, meant, case_run.folder) for name, b in run.bounds.items() if b == Bound()}
        found.append(replace(run, bounds={**run.bounds, **bounds}))
    return found


def _largest(definition: Run, name: str, derived: Sequence[Run], folder: Path) -> Bound:
    """The bound of one output that holds for every framework of which one was derived; one that says nothing where
    there is none."""
    value = (definition.outputs or {}).get(name)
    shape = value.shape if isinstance(value, ArrayFile) else ()
    known = {str(run.party.meaning): run.bounds[name] for run in derived if name in run.bounds}
    scales = {of: (b.scale.load(), b) for of, b in known.items() if b.scale is not None and b.scale.shape == shape}
    if not scales:
        return Bound()
    most = max(bound.roundings for _, bound in scales.values())
    floor = max(bound.floor for _, bound in scales.values())
    scale = np.max([values * (bound.roundings / max(most, 1)) for values, bound in scales.values()], axis=0)
    file = running.save(folder, definition.party, name, scale, kind="scale")
    return Bound(file, most, floor, derived=", ".join(sorted(scales)))


def _derived(session: Session, case_run: CaseRun, native: Run) -> Run:
    """A framework as its own definition."""
    framework, case = native.party.framework, case_run.case
    double = case_run.runs.get(str(Party(framework, double=True)))
    source = double if double is not None and double.outputs is not None else native
    models = case_run.models.values()
    counted = next((m for m in models if m.party.framework == framework and m.file is not None), None)
    roundings = None
    if counted is not None:
        shapes = {border: _shape(case.inputs[n], counted.axes.get(n)) for n, border in counted.inputs.items()}
        roundings = session.value(None, worker_tasks.count_roundings, counted.file, shapes)
    arguments = (case_run.ref, framework, roundings, source, case_run.seed, case_run.folder)
    answer = session.call(framework, perturbed_runs.derive_bounds, *arguments)
    if not isinstance(answer, Failure):
        derived: Run = answer
        return derived
    return Run(Party("truth", meaning=framework), error=answer, derived=framework)


def _shape(tensor: Tensor, border: str | None) -> tuple[int, ...] | None:
    """An input's shape in the order of axes at a graph's border."""
    if tensor.shape is None:
        return None
    sizes = dict(zip(tensor.axes.split(), tensor.shape, strict=True))
    return tuple(sizes[axis] for axis in (border or tensor.axes).split())
