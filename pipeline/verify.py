"""The main job, from case references to a report: export, look, run everywhere, triangulate, explain.

This is the only module that knows all stages and it computes nothing itself: it says who runs what in which worker,
hands records on, and puts a failure where a value is missing.  Several cases are under way at once, so that torch,
TensorFlow and the runtimes work side by side.
"""

from __future__ import annotations

import functools
import importlib.metadata
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO, Any, TypeVar

from pipeline import (
    __version__,
    catalogue,
    expectations,
    guilty,
    guilty_folding,
    guilty_passes,
    inputs,
    localization,
    tasks,
    triangulate,
)
from pipeline.data import (
    Blamed,
    Case,
    CaseRef,
    Evidence,
    Failure,
    GraphFacts,
    Localization,
    MissingEngine,
    Model,
    Party,
    Report,
    Run,
    Runtime,
    UnusableInput,
    Verdict,
)
from pipeline.frameworks import adapters
from pipeline.runtimes import runtimes
from pipeline.workers import Workers

REPORTED = ("numpy", "torch", "tensorflow", "keras", "tf2onnx", "onnx", "onnxscript", "onnxruntime")
Item = TypeVar("Item")
Result = TypeVar("Result")
RUNTIME_WORKER = localization.RUNTIME_WORKER


@dataclass(frozen=True)
class Options:
    """How to run.

    ``parties`` are globs of the ONNX parties to run, all of them if there are none (``("torch>ort.*",)``); natives,
    definitions, float64 and the runtimes that one is held against are always there.  ``timeout`` is seconds per call
    into an engine, ``memory`` bytes of resident size per worker.
    """

    seed: int = 0
    jobs: int = 1
    require: tuple[str, ...] = ()
    parties: tuple[str, ...] = ()
    out: Path | None = None
    timeout: float = 120.0
    memory: int = 8 * 2**30


def verify(
    targets: Iterable[str] = (),
    options: Options | None = None,
    *,
    progress: Callable[[Verdict, int, int], None] | None = None,
) -> Report:
    """Run every case that ``targets`` name and say who parted from whom.

    ``progress`` is called with each verdict as it comes, and how many there are of how many.  Artefacts go to
    ``options.out``; without one they live in a temporary folder until the end of the process that asked.
    Raises :class:`~pipeline.data.UnusableInput` and :class:`~pipeline.data.MissingEngine`.
    """
    options = options or Options()
    started = time.perf_counter()
    _check_globs(options.parties)
    targets = tuple(targets)
    refs = catalogue.find(targets)
    versions = installed()
    absent = absent_engines(options.require)
    folder = options.out or Path(tempfile.mkdtemp(prefix="triangulate-"))
    held = _held(folder)
    verdicts: list[Verdict] = []
    try:
        with Workers(
            jobs=options.jobs,
            timeout=options.timeout,
            memory=options.memory,
            logs=folder / "logs",
            warm=tasks.warm,
        ) as workers:
            _warm(workers, refs, absent)
            with _threads(workers, 3 * options.jobs) as threads:
                ahead = [
                    threads.submit(_investigate, workers, ref, options, absent, versions, folder / _place(ref))
                    for ref in refs
                ]
                for future in ahead:
                    verdicts.append(future.result())
                    if progress:
                        progress(verdicts[-1], len(verdicts), len(refs))
    finally:
        held.close()
        if options.out is None:
            shutil.rmtree(folder, ignore_errors=True)
    return Report(
        versions,
        options.seed,
        exit_status(verdicts),
        tuple(verdicts),
        notices=(
            *[f"{name} is not installed: its parties are left out" for name in absent],
            *catalogue.left_out(targets),
        ),
        seconds=time.perf_counter() - started,
        out=options.out,
        folder=folder,
    )


def exit_status(verdicts: Sequence[Verdict]) -> int:
    """0 as expected, 1 a divergence or something uncompared, 2 a case that cannot be used.

    A case that is undecided only because an engine is absent (and not required) does not fail the run, unless nothing
    at all was compared.
    """
    if any(verdict.problems for verdict in verdicts):
        return 2
    compared = any(edge.compared for verdict in verdicts for edge in verdict.evidence.edges)
    return 1 if not compared or any(_fails(verdict) for verdict in verdicts) else 0


def _fails(verdict: Verdict) -> bool:
    if verdict.status != "undecided":
        return verdict.status != "expected"
    evidence = verdict.evidence
    if not evidence.edges:
        return False
    return bool(expectations.undecided(evidence.edges, evidence.blames))


def installed() -> dict[str, str | None]:
    """The versions of what takes part, without importing any of it."""
    versions: dict[str, str | None] = {"onnx-triangulate": __version__}
    for name in REPORTED:
        version = _version(name)
        if version is None and name == "tensorflow":
            version = _version("tensorflow-cpu")
        versions[name] = version
    return versions


def absent_engines(require: Sequence[str] = ()) -> tuple[str, ...]:
    """The engines that are not installed.

    Raises :class:`~pipeline.data.MissingEngine` where a required one is not, :class:`~pipeline.data.UnusableInput`
    where a required name is no engine.
    """
    needs: dict[str, Sequence[str | tuple[str, ...]]] = {name: f.distributions for name, f in adapters().items()}
    needs |= {runtime.distribution: (runtime.distribution,) for runtime in runtimes().values()}
    for name in require:
        if name not in needs:
            raise UnusableInput(f"--require {name}: no such engine; known are {', '.join(sorted(needs))}")
    missing = {name: lacking for name, wanted in needs.items() if (lacking := _lacking(wanted))}
    for name in require:
        if name in missing:
            raise MissingEngine(f"{name} is required and {missing[name]} is not installed: pip install {missing[name]}")
    return tuple(sorted(missing))


def _lacking(wanted: Sequence[str | tuple[str, ...]]) -> str | None:
    for choice in wanted:
        names = (choice,) if isinstance(choice, str) else choice
        if not any(_version(name) for name in names):
            return names[-1]
    return None


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def chosen(party: str, globs: Sequence[str]) -> bool:
    """Whether an ONNX party is among those asked for."""
    return not globs or any(fnmatchcase(party, glob) for glob in globs)


def _check_globs(globs: Sequence[str]) -> None:
    every = [
        f"{Party(name, exporter).graph}>{runtime.name}{double}"
        for name, framework in adapters().items()
        for exporter in framework.exporters
        for runtime in runtimes().values()
        for double in ("", *(["@64"] if runtime.double else []))
    ]
    for glob in globs:
        if not any(fnmatchcase(party, glob) for party in every):
            raise UnusableInput(f"--parties {glob}: matches none of {', '.join(every)}")


def _place(ref: CaseRef) -> Path:
    return Path(*ref.name.split("/"))


def _held(folder: Path) -> IO[str]:
    """A lock on the folder for as long as the file is open: two runs in one would read each other's arrays.

    Raises :class:`~pipeline.data.UnusableInput` where another run holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = (folder / ".lock").open("w")
    try:
        import fcntl

        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:
        pass  # no such lock on this system
    except OSError as error:
        lock.close()
        raise UnusableInput(f"--out {folder}: another run is writing there; name another folder") from error
    return lock


@contextmanager
def _threads(workers: Workers, count: int) -> Iterator[ThreadPoolExecutor]:
    """Threads that wait for workers; when the one that waits for them is interrupted, the workers end first."""
    with ThreadPoolExecutor(max_workers=count) as threads:
        try:
            yield threads
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            workers.stop()
            raise


def _warm(workers: Workers, refs: Sequence[CaseRef], absent: Sequence[str]) -> None:
    """Let every framework that will be needed be imported at once, side by side, while the first cases are read."""
    wanted = {name for ref in refs for name in catalogue.load(ref).builders if name not in absent}
    with _threads(workers, max(1, len(wanted))) as threads:
        list(threads.map(lambda name: workers.call(name, tasks.warm, name), sorted(wanted)))


def _investigate(
    workers: Workers,
    ref: CaseRef,
    options: Options,
    absent: Sequence[str],
    versions: Mapping[str, str | None],
    folder: Path,
) -> Verdict:
    """One case, from its reference to its verdict."""
    case = catalogue.load(ref)
    try:
        ref = replace(ref, numbers=inputs.fingerprint(case, ref.name, options.seed))
    except UnusableInput as error:
        evidence = Evidence(ref.name, {}, {}, {}, (), (), ())
        return Verdict(ref.name, "undecided", (), evidence, problems=(str(error),), note=case.note)
    folder.mkdir(parents=True, exist_ok=True)
    engines = {name: adapter for name, adapter in adapters().items() if name in case.builders and name not in absent}
    runs: dict[str, Run] = {}
    models: dict[str, Model] = {}
    graphs_asked = [Party(name, e).graph for name, engine in engines.items() for e in engine.exporters]
    chosen_double = any(i.endswith("@64") for g in graphs_asked for i in _items(g, options.parties, absent))

    def source(name: str) -> tuple[list[Run], list[Model]]:
        native = _singly(
            lambda doubles: workers.call(name, tasks.run_native, ref, name, doubles, options.seed, folder),
            (False, True) if chosen_double else (False,),
            lambda double, failure: Run(Party(name, double=double), error=failure),
        )
        exported = _singly(
            lambda exporters: workers.call(name, tasks.export, ref, name, exporters, options.seed, folder),
            [e for e in engines[name].exporters if any(_items(Party(name, e).graph, options.parties, absent))],
            lambda exporter, failure: Model(Party(name, exporter).graph, error=failure),
        )
        return native, exported

    with ThreadPoolExecutor(max_workers=max(1, len(engines))) as side_by_side:
        for native, exported in side_by_side.map(source, sorted(engines, reverse=True)):
            runs |= {str(run.party): run for run in native}
            models |= {model.graph: model for model in exported}
    models = {name: models[name] for name in sorted(models)}
    checks: dict[str, Failure | None] = {}
    for graph, model in models.items():
        if model.error is None:
            answered = _run_graph(workers, ref, model, models, options, absent, folder)
            checks[graph] = answered.pop(tasks.CHECK).error if tasks.CHECK in answered else None
            runs |= {str(run.party): run for run in answered.values()}
    graphs = _facts(workers, models)
    runs = {**_truths(workers, ref, case, runs, models, options.seed, folder), **runs}
    partial = bool(options.parties)
    return _judge(workers, ref, case, runs, models, graphs, checks, absent, versions, partial, options.seed, folder)


def _singly(
    call: Callable[[Sequence[Item]], Any], items: Sequence[Item], failed: Callable[[Item, Failure], Result]
) -> list[Result]:
    """A batch in one call; if its process dies, each item in a call of its own, so that only the guilty one is lost."""
    if not items:
        return []
    answer = call(items)
    if not isinstance(answer, Failure):
        return list(answer)
    if len(items) == 1:
        return [failed(items[0], answer)]
    return [result for item in items for result in _singly(call, [item], failed)]


def _run_graph(
    workers: Workers,
    ref: CaseRef,
    model: Model,
    models: Mapping[str, Model],
    options: Options,
    absent: Sequence[str],
    folder: Path,
) -> dict[str, Run]:
    """One graph in every runtime and past the checker, by item."""
    framework, _, exporter = model.graph.partition(":")
    items = [*([tasks.CHECK] if "onnx" not in absent else []), *_items(model.graph, options.parties, absent)]
    answers = _singly(
        lambda chosen: workers.call(
            RUNTIME_WORKER, tasks.run_graph, ref, model, chosen, _sources(model, models), options.seed, folder
        ),
        items,
        lambda item, failure: Run(
            Party(framework, exporter, item.removesuffix("@64"), item.endswith("@64")), error=failure
        ),
    )
    return dict(zip(items, answers, strict=True))


def _items(graph: str, globs: Sequence[str], absent: Sequence[str]) -> list[str]:
    """The runtimes, in either precision, that are asked to run a graph."""
    present: list[Runtime] = [r for r in runtimes().values() if r.distribution not in absent]
    asked = {r.name for r in present if chosen(f"{graph}>{r.name}", globs)}
    for runtime in reversed(present):  # a step can be told apart only beside what it is held against
        if runtime.name in asked:
            asked.add(runtime.after)
    sharp = [r.name for r in present if r.double and (asked or chosen(f"{graph}>{r.name}@64", globs))]
    doubles = [f"{name}@64" for name in sharp]  # float64 shows what float32's bound hides: it comes with the rest
    return [*[r.name for r in present if r.name in asked], *doubles]


def _sources(model: Model, models: Mapping[str, Model]) -> list[Path]:
    """Where the constants of a graph come from, if it is not the first to hold them."""
    if model.weights is not None:
        return [model.weights]
    raw = models.get(f"{model.graph.partition(':')[0]}:raw")
    return [raw.file] if raw is not None and raw.file is not None and raw.graph != model.graph else []


def _facts(workers: Workers, models: Mapping[str, Model]) -> dict[str, GraphFacts]:
    graphs = {}
    for name, model in models.items():
        if model.file is not None:
            facts = workers.call(RUNTIME_WORKER, tasks.read_facts, model)
            if isinstance(facts, GraphFacts):
                graphs[name] = facts
    return graphs


def _truths(
    workers: Workers,
    ref: CaseRef,
    case: Case,
    runs: Mapping[str, Run],
    models: Mapping[str, Model],
    seed: int,
    folder: Path,
) -> dict[str, Run]:
    """The case's definitions; where it gives none, each framework itself with a bound by perturbation."""
    if case.truth is not None:
        answer = workers.call(RUNTIME_WORKER, tasks.run_truth, ref, seed, folder)
        answer = [Run(Party("truth"), error=answer)] if isinstance(answer, Failure) else answer
        return {str(run.party): run for run in answer}
    truths: dict[str, Run] = {}
    for run in runs.values():
        if not run.party.native or run.party.double:
            continue
        framework = run.party.framework
        double = runs.get(f"{framework}@64")
        source = double if double is not None and double.outputs is not None else run
        counted = [m for g, m in models.items() if g.partition(":")[0] == framework and m.file is not None]
        roundings = workers.call(RUNTIME_WORKER, tasks.count_roundings, counted[0].file) if counted else None
        roundings = None if isinstance(roundings, Failure) else roundings
        answer = workers.call(framework, tasks.derive_bounds, ref, framework, roundings, source, seed, folder)
        party = Party("truth", meaning=framework)
        truths[str(party)] = Run(party, error=answer, derived=framework) if isinstance(answer, Failure) else answer
    return truths


def _judge(
    workers: Workers,
    ref: CaseRef,
    case: Case,
    runs: Mapping[str, Run],
    models: Mapping[str, Model],
    graphs: Mapping[str, GraphFacts],
    checks: Mapping[str, Failure | None],
    absent: Sequence[str],
    versions: Mapping[str, str | None],
    partial: bool,
    seed: int,
    folder: Path,
) -> Verdict:
    present = {name: r for name, r in runtimes().items() if r.distribution not in absent}
    parties = triangulate.Parties(
        runs, graphs, one_meaning=not isinstance(case.truth, Mapping), nan_fed=inputs.nan_fed(case, ref.name, seed)
    )
    edges = triangulate.edges_of(parties, list(models), present)
    weights = _different_weights(workers, case, models)
    blames = triangulate.blame(parties, models, edges, present, checks, different_weights=weights)
    localized = _localize(workers, ref, runs, models, blames, seed, folder)
    blames, named_nodes = guilty.name_nodes(blames, localized)
    call = functools.partial(workers.call, RUNTIME_WORKER)
    blames, passes = guilty_passes.name_passes(call, ref, models, parties, blames, present, seed, folder)
    blames, folded = guilty_folding.name_folding(
        workers.call, RUNTIME_WORKER, ref, models, parties, blames, seed, folder
    )
    evidence = Evidence(ref.name, runs, models, graphs, edges, triangulate.groups_of(parties), blames)
    found = workers.call(RUNTIME_WORKER, tasks.explain, evidence) if blames else ()
    findings = (*(() if isinstance(found, Failure) else tuple(found)), *named_nodes, *passes, *folded)
    asked = set(runs) | set(models) if partial else None
    results, unexpected = expectations.hold(case, blames, absent, versions, asked, findings)
    problems = _problems(case, runs, models)
    status = expectations.status_of(edges, blames, unexpected, results, problems)
    named = tuple(sorted({b.blame for b in blames})) or (("agree",) if any(e.agrees for e in edges) else ())
    return Verdict(ref.name, status, named, evidence, findings, results, unexpected, problems, case.note)


def _localize(
    workers: Workers,
    ref: CaseRef,
    runs: Mapping[str, Run],
    models: Mapping[str, Model],
    blames: Sequence[Blamed],
    seed: int,
    folder: Path,
) -> list[Localization]:
    """The guilty nodes of every graph whose export, kernels or evaluation in the reference is blamed."""
    found = [
        localization.localized(
            workers.call,
            ref,
            models,
            blame,
            party,
            sources=_sources(models[graph], models) if (graph := Party.parse(party).graph) in models else (),
            native=runs.get(graph.partition(":")[0]),
            seed=seed,
            folder=folder,
        )
        for blame, party in dict.fromkeys((b.blame, b.party) for b in blames if b.blame in guilty.LOCALIZED)
    ]
    return [each for each in found if each is not None]


def _different_weights(workers: Workers, case: Case, models: Mapping[str, Model]) -> tuple[str, ...]:
    """For a case without a definition: what weights one framework has that the other has not."""
    if case.truth is None and (declared := inputs.differing(case)):
        return declared
    left, right = models.get("torch:raw"), models.get("tensorflow")
    if case.truth is not None or left is None or right is None or left.file is None or right.file is None:
        return ()
    found = workers.call(RUNTIME_WORKER, tasks.different_weights, left, right)
    return () if isinstance(found, Failure) else tuple(found)


def _problems(case: Case, runs: Mapping[str, Run], models: Mapping[str, Model]) -> tuple[str, ...]:
    """What is wrong with the case itself, each said once; so is a model that no framework of the case will run."""
    natives = [run for run in runs.values() if run.party.native and not run.party.double]
    if natives and all(run.error is not None and run.error.kind == "refused" for run in natives):
        fed = ", ".join(f"{name} {t.dtype}{list(t.shape or ())}" for name, t in case.inputs.items())
        return tuple(
            f"{run.party}: the model refuses its inputs ({fed}): {run.error.says}" for run in natives if run.error
        )
    errors = [*[run.error for run in runs.values()], *[model.error for model in models.values()]]
    return tuple(dict.fromkeys(error.says for error in errors if error is not None and error.kind == "builder"))


__all__ = ["Options", "absent_engines", "exit_status", "installed", "verify"]
