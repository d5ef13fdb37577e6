"""Who runs what of one case: at its declared shapes, at other sizes, and on other inputs than its own.

Design note.  At the declared shapes the exports are made, or external files are taken in their place; at each other
size of the dynamic axes the same graphs run on other arrays: an export that has frozen a size shows only there.
Nothing is judged here."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from onnx_triangulate.cases import catalogue, inputs
from onnx_triangulate.engines import running
from onnx_triangulate.engines.frameworks import adapters
from onnx_triangulate.engines.protocols import Runtime
from onnx_triangulate.records.case import CaseRef
from onnx_triangulate.records.graphs import GraphFacts
from onnx_triangulate.records.party import Party
from onnx_triangulate.records.runs import Failure, Model, Run
from onnx_triangulate.verification import external_models, worker_tasks
from onnx_triangulate.verification.blame import blame
from onnx_triangulate.verification.case_run import CaseRun
from onnx_triangulate.verification.definitions import with_edges
from onnx_triangulate.verification.session import RUNTIME_WORKER, Session, besides


def run_case(session: Session, ref: CaseRef, external: Mapping[str, Path | Failure], folder: Path) -> CaseRun:
    """The case at its declared shapes.  ``external`` are files to be judged in place of a framework's fresh exports, or
    why one cannot be read."""
    case_run = CaseRun(ref, catalogue.load(ref), folder, session.options.seed)
    folder.mkdir(parents=True, exist_ok=True)
    engines = [name for name in adapters() if name in case_run.case.builders and name not in session.absent]
    graphs = _graphs(engines, external)
    asked = [graph for graph in graphs if session.runs_with(graph)]
    fresh = [graph for graph in asked if graph not in external]
    runs, models = _sources(session, case_run, sorted(engines), fresh, session.precisions(graphs))
    case_run = replace(case_run, runs=runs)
    models |= {graph: _external(session, case_run, graph, external[graph]) for graph in asked if graph in external}
    models = {name: models[name] for name in sorted(models)}
    case_run = replace(case_run, models=models, graphs=_facts(session, models))
    return with_edges(session, _through_runtimes(session, case_run, check="onnx" not in session.absent))


def _graphs(engines: Sequence[str], external: Collection[str]) -> list[str]:
    """The exports of frameworks by name; external files stand in place of all of their framework's."""
    replaced = {Party.parse(graph).framework for graph in external}
    fresh = [name for name in engines if name not in replaced]
    graphs = [Party(name, exporter).graph for name in fresh for exporter in adapters()[name].exporters]
    return [*graphs, *(graph for graph in external if Party.parse(graph).framework in engines)]


def at_sizes(session: Session, declared: CaseRun, sizes: tuple[tuple[str, int], ...]) -> CaseRun:
    """The same graphs, fed and judged at other sizes; a graph that has no other size is left out."""
    ran = [m for graph, m in declared.models.items() if m.error is None and not declared.fixed_axis(graph)]
    return _rerun(session, declared, replace(declared.ref, sizes=sizes), ran)


def other_inputs(case_run: CaseRun) -> tuple[str, ...]:
    """The other inputs than the case's own on which a graph is to be judged (:data:`inputs.DRAWN`)."""
    models = _conditional(case_run)
    found = inputs.redrawn(catalogue.declared(case_run.ref), case_run.case) if models else ()
    # Far beyond its range a file's float32 is not its float64, and no runtime is at fault.
    alone = all(model.party.is_own_source for model in models)
    return tuple(which for which in found if not (alone and which == inputs.LARGE))


def on_other_inputs(session: Session, declared: CaseRun, drawn: str) -> CaseRun:
    """The graphs that may be right for some inputs only, fed with others than the case's own."""
    return _rerun(session, declared, replace(declared.ref, drawn_inputs=(drawn, declared.seed)), _conditional(declared))


def on_inputs_of(
    session: Session, declared: CaseRun, external: Model, fresh: Model, says: str, file: Path
) -> CaseRun | None:
    """An external file on inputs (in ``file``) that were sought; None where the ``fresh`` export leaves the source
    there as well, or where the source has no answer: such inputs say nothing of the file."""
    globs = session.options.parties
    more = (*globs, f"{fresh.graph}>*") if globs else ()
    session = replace(session, options=replace(session.options, parties=more))
    ref = replace(declared.ref, drawn_inputs=(says, declared.seed), inputs_file=file)
    other = _rerun(session, declared, ref, [external, fresh])
    blames = blame(other.parties, other.models, other.edges, session.runtimes, other.checks)
    native = other.runs.get(external.party.framework)
    leaves = any(b.party == fresh.graph and b.blame in ("export", "export-failed") for b in blames)
    if native is None or native.outputs is None or leaves:
        return None
    runs = {name: run for name, run in other.runs.items() if run.party.graph != fresh.graph}
    edges = tuple(edge for edge in other.edges if edge.left in runs and edge.right in runs)
    return replace(other, runs=runs, edges=edges, models={external.graph: other.models[external.graph]})


def _conditional(case_run: CaseRun) -> list[Model]:
    """Files, and exports whose tracer says that it took a value for a constant."""
    return [
        model
        for model in case_run.models.values()
        if model.error is None and (model.external or model.traced_constants or model.party.is_own_source)
    ]


def _rerun(session: Session, declared: CaseRun, ref: CaseRef, models: Sequence[Model]) -> CaseRun:
    """Graphs of a case and their sources, on the inputs of another reference to it."""
    case = catalogue.load(ref)
    ref = replace(ref, numbers=inputs.fingerprint(case, ref.name, declared.seed))
    folder = declared.folder / f"at {ref.size}".replace(", ", " ")
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {model.party.framework for model in models}
    frameworks = sorted(run.party.framework for run in declared.parties.natives if not run.error)
    frameworks = [name for name in frameworks if not ref.drawn_inputs or name in wanted]
    other = CaseRun(ref, case, folder, declared.seed, graphs=declared.graphs)
    runs, _ = _sources(session, other, frameworks, [], session.precisions(model.graph for model in models))
    other = replace(other, runs=runs, models={model.graph: model for model in models})
    return with_edges(session, _through_runtimes(session, other, check=False, declared=declared))


def _sources(
    session: Session, case_run: CaseRun, frameworks: Sequence[str], graphs: Sequence[str], doubles: Sequence[bool]
) -> tuple[dict[str, Run], dict[str, Model]]:
    """The native runs, and the exports ``graphs``; the frameworks work side by side."""
    ref, seed, folder = case_run.ref, case_run.seed, case_run.folder
    exports = [Party.parse(graph) for graph in graphs]

    def source(name: str) -> tuple[list[Run], list[Model]]:
        native = session.each(
            name,
            running.run_native,
            lambda some: (ref, name, some, seed, folder),
            doubles,
            lambda double, failure: Run(Party(name, double=double), error=failure),
        )
        exported = session.each(
            name,
            worker_tasks.export,
            lambda exporters: (ref, name, exporters, seed, folder),
            [export.exporter for export in exports if export.framework == name],
            lambda exporter, failure: Model(Party(name, exporter).graph, error=failure),
        )
        return native, exported

    runs: dict[str, Run] = {}
    models: dict[str, Model] = {}
    with ThreadPoolExecutor(max_workers=max(1, len(frameworks))) as side_by_side:
        for native, exported in side_by_side.map(source, sorted(frameworks, reverse=True)):
            runs |= {str(run.party): run for run in native}
            models |= {model.graph: model for model in exported}
    return runs, models


def _external(session: Session, case_run: CaseRun, graph: str, file: Path | Failure) -> Model:
    """An external file as the export ``graph``, with the weights of the framework that it is held against."""
    if isinstance(file, Failure):
        return Model(graph, error=file)
    framework, ref, seed = Party.parse(graph).framework, case_run.ref, case_run.seed
    arguments = (ref, framework, seed, case_run.folder)
    weights = session.value(None, worker_tasks.source_weights, *arguments, kind=framework)
    native = case_run.runs[framework]
    model = session.call_runtimes(external_models.external_model, ref, graph, file, native, weights, seed)
    return Model(graph, error=model) if isinstance(model, Failure) else model


def _through_runtimes(session: Session, case_run: CaseRun, *, check: bool, declared: CaseRun | None = None) -> CaseRun:
    """Every graph in every runtime and, with ``check``, past the onnx checker; ``declared`` ran at the declared
    shapes."""
    runs, checks = dict(case_run.runs), dict(case_run.checks)
    for graph, model in case_run.models.items():
        if model.error is not None:
            continue
        items = [*([running.CHECK] if check else []), *session.runs_with(graph)]
        answered = _answers(session, case_run, model, items)
        beside = [
            r.name for r in session.runtimes.values() if _is_beside(session, r, case_run, model, answered, declared)
        ]
        answered |= _answers(session, case_run, model, beside)
        if running.CHECK in answered:
            checks[graph] = answered.pop(running.CHECK).error
        runs |= {str(run.party): run for run in answered.values()}
    return replace(case_run, runs=runs, checks=checks)


def _answers(session: Session, case_run: CaseRun, model: Model, items: Sequence[str]) -> dict[str, Run]:
    """One graph in runtimes and past the checker, by item."""
    answers = session.each(
        RUNTIME_WORKER,
        running.run_graph,
        lambda some: (case_run.ref, model, some, case_run.seed, case_run.folder, session.weight_limit),
        items,
        lambda item, failure: Run(Party.parse(f"{model.graph}>{item}"), error=failure),
    )
    return dict(zip(items, answers, strict=True))


def _is_beside(
    session: Session,
    runtime: Runtime,
    case_run: CaseRun,
    model: Model,
    answered: Mapping[str, Run],
    declared: CaseRun | None,
) -> bool:
    """Whether a graph is run in a runtime that stands beside another one: where that has no answer or is known to have
    it wrong.  At other sizes than the declared ones it is in those that it was in there."""
    other, party = answered.get(besides(runtime)), str(model.party.on(runtime.name))
    if other is None:
        return False
    if declared is not None:
        return party in declared.runs
    lacks = other.error is not None and other.error.kind == "unsupported"
    wanted: Callable[[GraphFacts], bool] | None = getattr(runtime, "wanted", None)
    facts = case_run.graphs.get(model.graph)
    return lacks or party in session.options.parties or (facts is not None and wanted is not None and wanted(facts))


def _facts(session: Session, models: Mapping[str, Model]) -> dict[str, GraphFacts]:
    files = {graph: model for graph, model in models.items() if model.file is not None}
    read = {graph: session.value(None, worker_tasks.read_facts, model) for graph, model in files.items()}
    return {graph: facts for graph, facts in read.items() if facts is not None}
