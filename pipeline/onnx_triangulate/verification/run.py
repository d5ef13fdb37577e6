"""The main job, from case references to a report: export, look, run everywhere, triangulate, explain.

This is the only module that knows all stages and it computes nothing itself: ``session`` says who runs what
in which worker, at every size, and what was seen is judged here, size by size.  Several cases are under way at once, so
that torch, TensorFlow and the runtimes work side by side.
"""

from __future__ import annotations

import functools
import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from onnx_triangulate.cases import catalogue, inputs
from onnx_triangulate.engines import running
from onnx_triangulate.engines.frameworks import adapters
from onnx_triangulate.engines.installed import absent_engines, installed
from onnx_triangulate.engines.runtimes import runtimes
from onnx_triangulate.engines.workers import Workers
from onnx_triangulate.records import npz
from onnx_triangulate.records.case import Case, CaseRef
from onnx_triangulate.records.errors import UnusableInput
from onnx_triangulate.records.faults import Localization
from onnx_triangulate.records.party import Party
from onnx_triangulate.records.runs import Diff, Failure, Model, Run
from onnx_triangulate.records.verdict import Blame, Evidence, Finding, Report, Verdict
from onnx_triangulate.verification import (
    expectations,
    faulty_external,
    faulty_folding,
    faulty_nodes,
    faulty_order,
    faulty_passes,
    faulty_semantics,
    faulty_training,
    fresh_exports,
    localization,
    tasks,
    triangulate,
)
from onnx_triangulate.verification.localization import RUNTIME_WORKER
from onnx_triangulate.verification.session import (
    Options,
    Seen,
    Work,
    asked_otherwise,
    fed_with,
    frozen,
    redrawn,
    resized,
    sources_of,
    survey,
)


def verify(
    targets: Iterable[str] = (),
    options: Options | None = None,
    *,
    progress: Callable[[Verdict, int, int], None] | None = None,
    begun: Callable[[Report, tuple[str, ...]], None] | None = None,
    without: Collection[str] = (),
    alone: bool = False,
) -> Report:
    """Run every case that ``targets`` name and say who parted from whom.

    ``progress`` is called with each verdict as it comes, and how many there are of how many; ``begun`` with a report
    without verdicts and the names of the cases, once their files are read.  Cases ``without`` which it is done are left
    out; ``alone`` has one case under way at a time.  Artefacts go to
    ``options.out``; without one they live in a temporary folder until the end of the process that asked.
    Raises ``UnusableInput`` and ``MissingEngine``.
    """
    options = options or Options()
    started = time.perf_counter()
    _check_globs(options.parties)
    targets = tuple(targets)
    refs = [replace(ref, inputs_file=options.inputs) for ref in catalogue.find(targets)]
    for ref in refs if options.inputs or options.onnx else ():
        catalogue.load(ref)  # what the command itself gives must fit every case; what a case names is that case's own
        _given(ref, options.onnx)
    versions = installed()
    absent = absent_engines(options.require)
    folder = options.out or Path(tempfile.mkdtemp(prefix="triangulate-"))
    held = _held(folder)
    notices = (*[f"{name} is not installed: its parties are left out" for name in absent], *catalogue.left_out(targets))
    empty = Report(versions, options.seed, 1, (), notices, out=options.out, folder=folder)
    if begun:
        begun(empty, tuple(ref.name for ref in refs))
    refs = [ref for ref in refs if ref.name not in without]
    verdicts: list[Verdict] = []
    try:
        with Workers(
            jobs=options.jobs,
            timeout=options.timeout,
            memory=options.memory,
            logs=folder / "logs",
            warm=running.warm,
        ) as workers:
            work = Work(workers, options, absent)
            _warm(workers, refs, absent)
            with _threads(workers, 1 if alone else 3 * options.jobs) as threads:
                ahead = [threads.submit(_investigate, work, ref, versions, folder / _place(ref)) for ref in refs]
                for future in ahead:
                    verdicts.append(future.result())
                    if progress:
                        progress(verdicts[-1], len(verdicts), len(refs))
    finally:
        held.release()
        if options.out is None:
            shutil.rmtree(folder, ignore_errors=True)
    return replace(
        empty,
        exit_status=exit_status(verdicts),
        verdicts=tuple(verdicts),
        notices=(*notices, *dict.fromkeys(workers.deaths)),
        seconds=time.perf_counter() - started,
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
        return bool(verdict.deaths)
    return bool(expectations.undecided(evidence.edges, evidence.blames))


def _check_globs(globs: Sequence[str]) -> None:
    every = [
        f"{Party(name, exporter).graph}>{runtime.name}{double}"
        for name, framework in adapters().items()
        for exporter in (*framework.exporters, "file")
        for runtime in runtimes().values()
        for double in ("", *(["@64"] if runtime.double else []))
    ]
    for glob in globs:
        if not any(fnmatchcase(party, glob) for party in every):
            raise UnusableInput(f"--parties {glob}: matches none of {', '.join(every)}")


def _place(ref: CaseRef) -> Path:
    return Path(*ref.name.split("/"))


def _held(folder: Path) -> FileLock:
    """A lock on the folder until it is released or the process ends: two runs in one would read each other's arrays.

    Raises ``UnusableInput`` where another run holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
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
    wanted = {name for ref in refs for name in catalogue.declared(ref).builders if name not in absent}
    with _threads(workers, max(1, len(wanted))) as threads:
        list(threads.map(lambda name: workers.call(name, running.warm, name), sorted(wanted)))


def _given(ref: CaseRef, chosen: Sequence[tuple[str, Path]]) -> dict[str, Path]:
    """The files to be judged in place of fresh exports: those of the command, else those of the case.

    Raises ``UnusableInput`` where a party is none of the case's or a file is not there.
    """
    case = catalogue.declared(ref)
    of_case = [(name, ref.file.parent / file) for name, file in case.onnx.items()]
    given: dict[str, Path] = {}
    for name, file in chosen or of_case:
        who = f"--onnx {name}={file}" if chosen else f"{ref.name}: onnx {name}={file}"
        graph = catalogue.given_graph(name, case, who)
        if not file.is_file():
            raise UnusableInput(f"{who}: {'a folder' if file.is_dir() else 'no such file'}, expected an ONNX model")
        if graph in given:
            raise UnusableInput(f"{who}: {graph} was given a file already, {given[graph]}")
        given[graph] = file.absolute()  # not where a link leads: what lies beside it is named from here
    return given


def _staged(work: Work, file: Path, place: Path) -> Path | Failure:
    """A given file as it may be read; a failure where nobody may, for what lies beside it."""
    try:
        answer = work.call(RUNTIME_WORKER, tasks.staged, file, place)
    except UnusableInput as error:
        return Failure("invalid", f"it cannot be loaded: {error}")
    assert isinstance(answer, (Path, Failure))
    return answer


def _investigate(work: Work, ref: CaseRef, versions: Mapping[str, str | None], folder: Path) -> Verdict:
    """One case, from its reference to its verdict."""
    work = Work(work.workers, work.options, work.absent)
    try:
        case = catalogue.load(ref)
        ref = replace(ref, numbers=inputs.fingerprint(case, ref.name, work.options.seed))
        given = {
            graph: _staged(work, file, folder / "given" / str(number))
            for number, (graph, file) in enumerate(_given(ref, work.options.onnx).items())
        }
    except UnusableInput as error:
        evidence = Evidence(ref.name, {}, {}, {}, (), (), ())
        note = catalogue.declared(ref).note
        return Verdict(ref.name, "undecided", (), evidence, problems=(str(error),), note=note)
    if work.options.out is not None:  # so that it can be fed again elsewhere
        npz.save(folder / "inputs.npz", inputs.inputs_of(case, ref.name, work.options.seed))
    seen = survey(work, ref, given, folder)
    others = [resized(work, seen, sizes) for sizes in inputs.variants(case)]
    others += [redrawn(work, seen, which) for which in asked_otherwise(seen)]
    verdict = _judge(work, seen, others, versions)
    return replace(verdict, deaths=tuple(dict.fromkeys(work.deaths)))


def _judge(work: Work, seen: Seen, others: Sequence[Seen], versions: Mapping[str, str | None]) -> Verdict:
    case, runs, models = seen.case, seen.runs, seen.models
    weights = _different_weights(work, case, models)
    found = [*_blames(work, seen, weights)]
    blamed = {(b.blame, b.party) for b in found}
    found += [new for new in _frozen(seen) if (new.blame, new.party) not in blamed]
    blames, named = _named(work, seen, found)
    for other in others:
        blamed = {(b.blame, b.party) for b in blames}
        blamed |= {("export", party) for blame, party in blamed if blame == "export-failed"}  # it means nothing at all
        more = [b for b in _blames(work, other, weights, _size(case)) if (b.blame, b.party) not in blamed]
        more, said = _named(work, other, more)
        blames, named = [*blames, *more], [*named, *(_at(other.ref.size, finding) for finding in said)]
    unshown: list[Diff] = []
    for graph, model in seen.models.items():
        accused = {b.party for b in blames if b.blame in ("export", "export-failed")}
        pair = (
            fresh_exports.paired(work, seen, model) if model.external and model.file and graph not in accused else None
        )
        if pair is None:
            continue
        for other, more in _sought(work, seen, pair, weights):
            more, said = _named(work, other, more)
            blames, named, others = [*blames, *more], [*named, *said], [*others, other]
            break
        else:
            unshown += _unshown(work, seen, pair)
    kept = [other for other in others if other.ref.drawn_inputs is None]
    edges = tuple(edge for each in (seen, *kept) for edge in each.edges)
    edges += tuple(unshown)
    edges += tuple(edge for other in others if other.ref.drawn_inputs for edge in _telling(other, blames))
    every = [each.parties(work.options.seed) for each in (seen, *kept)]
    sizes = {other.ref.size: other.runs for other in others}
    groups = triangulate.groups_of(*every)
    noted = {g: replace(m, notes=(*m.notes, says)) if (says := frozen(seen, g)) else m for g, m in models.items()}
    evidence = Evidence(seen.ref.name, runs, noted, seen.graphs, edges, groups, tuple(blames), sizes)
    alone = (*faulty_order.CAUSES, faulty_training.CAUSE)
    moved = {(f.blame, f.party) for f in named if f.cause in alone}  # nothing else is behind these
    here = replace(
        evidence, edges=seen.edges, blames=tuple(b for b in blames if not b.size and (b.blame, b.party) not in moved)
    )
    causes = work.call(RUNTIME_WORKER, tasks.explain, here) if here.blames else ()
    findings = _plain_first(() if isinstance(causes, Failure) else causes, named)
    asked = set(runs) | set(models) if work.options.parties else None
    results, unexpected = expectations.hold(case, tuple(blames), work.absent, versions, asked, findings)
    turned = dict.fromkeys(says for told in _undeclared(seen, work.options.seed).values() for says in told)
    problems = (*turned, *_problems(case, runs, models), *[p for other in kept for p in _problems_at(other)])
    status = expectations.status_of(edges, tuple(blames), unexpected, results, problems, groups)
    agreed = expectations.agreed(edges, blames, problems, groups)
    words = tuple(sorted({b.blame for b in blames})) or (("agree",) if agreed else ())
    judged = [triangulate.apart(p, each.edges) for p, each in zip(every, (seen, *kept), strict=True)]
    apart = max(filter(None, judged), key=lambda each: each.max_abs / each.top, default=None)
    return Verdict(seen.ref.name, status, words, evidence, findings, results, unexpected, problems, case.note, apart)


def _at(size: str, finding: Finding) -> Finding:
    """A finding of another size, which says so."""
    known = not size or finding.message.startswith(f"at {size}: ")
    return finding if known else replace(finding, message=f"at {size}: {finding.message}")


def _plain_first(causes: Sequence[Finding], named: Sequence[Finding]) -> tuple[Finding, ...]:
    """Causes, then what a search found; the nodes of a mode that was kept are not told one by one as well."""
    kept = {(f.blame, f.party) for f in causes if f.cause == faulty_training.CAUSE}
    searched = (faulty_nodes.CAUSE, faulty_external.OTHERWISE)
    return (*causes, *(f for f in named if f.cause not in searched or (f.blame, f.party) not in kept))


def _named(work: Work, seen: Seen, blames: Sequence[Blame]) -> tuple[list[Blame], list[Finding]]:
    """The blames at one size with their guilty nodes, and findings that say so in words."""
    ref, models, seed, folder = seen.ref, seen.models, work.options.seed, seen.folder
    present = {name: r for name, r in runtimes().items() if r.distribution not in work.absent}
    parties = seen.parties(seed)
    call = functools.partial(work.call, RUNTIME_WORKER)
    blames, ordered = faulty_order.name_orders(call, ref, models, parties, blames, seed, folder)
    moved = {(finding.blame, finding.party) for finding in ordered}
    settled = [b for b in blames if (b.blame, b.party) in moved]
    kept, rest, trained = faulty_training.name_training(work, seen, [b for b in blames if b not in settled])
    given = faulty_external.name_given(work, seen, rest)
    settled += [*kept, *given.settled]
    named, nodes = faulty_nodes.name_nodes(given.open, _localize(work, seen, given.open, given.faithful))
    named, nodes = faulty_nodes.name_types(call, models, seen.runs, seen.edges, named, nodes)
    named, passes = faulty_passes.name_passes(call, ref, models, parties, named, present, seed, folder)
    named, folded = faulty_folding.name_folding(work.call, RUNTIME_WORKER, ref, models, parties, named, seed, folder)
    named, meant = faulty_semantics.name_meanings(
        call, ref, seen.case, models, parties, [*settled, *named], seed, folder, work.room
    )
    return list(named), [*ordered, *trained, *given.findings, *nodes, *passes, *folded, *meant]


def _size(case: Case) -> str:
    """The declared sizes of the open axes, in words."""
    sizes = {axis: n for t in case.inputs.values() for axis, n in zip(t.axes.split(), t.shape or (), strict=False)}
    return ", ".join(f"{axis}={sizes[axis]}" for axis in case.dynamic if axis in sizes)


def _blames(work: Work, seen: Seen, weights: Sequence[str], declared: str = "") -> list[Blame]:
    """Whose steps part at one size; ``declared`` are the sizes that the case declares."""
    present = {name: r for name, r in runtimes().items() if r.distribution not in work.absent}
    parties = seen.parties(work.options.seed)
    found = triangulate.blame(parties, seen.models, seen.edges, present, seen.checks, different_weights=weights)
    turned = _undeclared(seen, work.options.seed)
    found = tuple(blamed for blamed in found if blamed.edge not in turned)
    size = seen.ref.size
    if not size:
        return list(found)
    if seen.ref.drawn_inputs is not None:
        found = tuple(blamed for blamed in found if _of_a_file(seen, blamed))
    blames = []
    for blamed in found:
        says = f"at {size}: {blamed.message}"
        if blamed.blame == "export-failed":  # the graph runs at the declared sizes
            why = blamed.message.removeprefix(triangulate.NOBODY_ACCEPTS)
            blamed, says = (
                replace(blamed, blame="export"),
                f"runs at {declared or 'its own sizes'}, not at {size}: {why}",
            )
        model = seen.models.get(blamed.party)
        if seen.ref.drawn_inputs is not None and model is not None and model.traced_constants:
            says = f"what the exporter was traced with is frozen into the graph ({model.traced_constants[0]}): {says}"
        blames.append(replace(blamed, message=says, size=size))
    return blames


def _undeclared(seen: Seen, seed: int) -> dict[tuple[str, str], tuple[str, ...]]:
    """By edge between two frameworks: the outputs that part only because nobody said what their axes are."""
    natives = [e for e in seen.edges if e.outcome == "diverges" and Party.parse(e.left).native]
    natives = [e for e in natives if Party.parse(e.right).native and not e.left.startswith("truth")]
    if not natives:
        return {}
    parties, layouts = seen.parties(seed), {name: each.layouts for name, each in adapters().items()}
    told = {(e.left, e.right): triangulate.undeclared(parties, e, seen.case.outputs, layouts) for e in natives}
    return {edge: says for edge, says in told.items() if says}


def _sought(
    work: Work, seen: Seen, pair: fresh_exports.Pair, weights: Sequence[str]
) -> Iterator[tuple[Seen, list[Blame]]]:
    """Where a given file parts from the source's fresh export, and from the model as well."""
    for found in fresh_exports.sought(work, seen, pair):
        other = fed_with(work, seen, pair.given, pair.fresh, found.message, found.file)
        more = [b for b in _blames(work, other, weights) if b.party == pair.given.graph] if other is not None else []
        if other is not None and more:
            yield other, more


def _unshown(work: Work, seen: Seen, pair: fresh_exports.Pair) -> list[Diff]:
    """An edge for what of a given file no input shows: it could not be compared."""
    graph = pair.given.graph
    says = faulty_external.unshown(work, seen, pair)
    here = (edge for edge in seen.edges if edge.isolates.startswith("export") and edge.right.startswith(f"{graph}>"))
    edge = next((edge for edge in here if not edge.right.endswith("@64")), None)
    if not says or edge is None:
        return []
    return [Diff(edge.left, edge.right, edge.isolates, "missing", problem=says, size="further inputs")]


def _of_a_file(seen: Seen, blamed: Blame) -> bool:
    """Whether a blame on other inputs than the case's own is one of a given file, which must mean the model on them.

    What a kernel or a framework makes of inputs that nobody asked about is nobody's question.  Those far beyond their
    ranges are outside of what float32 was meant for, too: there float64 must say it.  Where inputs were sought, the
    source's fresh export is right on them: there float64 must not deny it.  Whole numbers know no rounding.
    """
    if blamed.blame != "export":
        return False
    sharp = [edge for edge in seen.edges if edge.right.endswith("@64") and edge.right.startswith(f"{blamed.party}>")]
    which = seen.ref.drawn_inputs[0] if seen.ref.drawn_inputs else ""
    if which == inputs.LARGE:
        return any(edge.outcome == "diverges" for edge in sharp)
    whole = not any(np.dtype(tensor.dtype).kind == "f" for tensor in seen.case.inputs.values())
    return which in inputs.DRAWN or whole or not any(edge.agrees for edge in sharp)


def _telling(other: Seen, blames: Sequence[Blame]) -> list[Diff]:
    """The edges on other inputs than the case's own that agree, or that a blame explains."""
    here = [blamed for blamed in blames if blamed.size == other.ref.size]
    return [edge for edge in other.edges if edge.agrees or any(expectations.explains(b, edge) for b in here)]


def _frozen(seen: Seen) -> list[Blame]:
    """The graphs that have one size only where the case declares another."""
    return [
        Blame("export", graph, (graph.partition(":")[0], f"{graph}>*"), message=f"the graph is not dynamic: {says}")
        for graph in seen.models
        if (says := frozen(seen, graph))
    ]


def _localize(work: Work, seen: Seen, blames: Sequence[Blame], faithful: Mapping[str, Model]) -> list[Localization]:
    """The guilty nodes of every graph whose export, kernels or evaluation in the reference is blamed, or left open.

    ``faithful`` are other exports of the same model, by the graph in whose place they agree.
    """
    models, parties = seen.models, seen.parties(work.options.seed)
    localized = []
    # A blame whose edge is no run (a graph that is not dynamic) is about no numbers, and no node is to be found; what
    # leaves an order open is known, and its value is right in any.
    wanted = [b for b in blames if not (b.blame == "unspecified" and b.nodes)]
    parted = [b for b in wanted if b.blame in faulty_nodes.LOCALIZED and b.edge[1] in seen.runs]

    def asked(blame: str, party: str) -> Localization | None:
        graph = Party.parse(party).graph
        return localization.localized(
            work.call,
            seen.ref,
            models,
            blame,
            party,
            sources=sources_of(work, seen, models[graph]) if graph in models else (),
            native=seen.runs.get(graph.partition(":")[0]),
            seed=work.options.seed,
            folder=seen.folder,
            trusted=faithful.get(graph) or _trusted(seen, blames, graph, parties),
        )

    first: dict[tuple[str, str], Blame] = {}
    for blamed in parted:
        first.setdefault((blamed.blame, blamed.party), blamed)
    for (blame, party), blamed in first.items():
        # Of what is left open neither side is wrong: the node is one of whichever run has it otherwise.
        ends = [end for end in reversed(blamed.edge) if Party.parse(end).runtime] if blame == "unspecified" else [party]
        found: Localization | None = None
        for end in ends:
            answer = asked(blame, end)
            found = answer if found is None or (answer is not None and answer.faults) else found
            if found is not None and found.faults:
                break
        if found is not None:
            found = localization.by_exclusion(replace(found, party=party))
            size = seen.ref.size
            localized.append(replace(found, notes=(f"at {size}", *found.notes)) if size else found)
    return localized


def _trusted(seen: Seen, blames: Sequence[Blame], graph: str, parties: triangulate.Parties) -> Model | None:
    """The raw export of the same framework, where it is another one, runs, and is not to blame."""
    framework = graph.partition(":")[0]
    raw = seen.models.get(f"{framework}:raw")
    if raw is None or raw.graph == graph or raw.file is None or raw.error is not None:
        return None
    blamed = any(b.blame in ("export", "export-failed") and b.party == raw.graph for b in blames)
    return raw if not blamed and faulty_folding.faithful(parties, framework, raw.graph) else None


def _different_weights(work: Work, case: Case, models: Mapping[str, Model]) -> tuple[str, ...]:
    """For a case without a definition: what weights one framework has that the other has not."""
    if case.truth is None and (declared := inputs.differing(case)):
        return declared
    left, right = models.get("torch:raw"), models.get("tensorflow")
    if case.truth is not None or left is None or right is None or left.file is None or right.file is None:
        return ()
    found = work.call(RUNTIME_WORKER, tasks.different_weights, left, right)
    return () if isinstance(found, Failure) else tuple(found)


def _problems(case: Case, runs: Mapping[str, Run], models: Mapping[str, Model]) -> tuple[str, ...]:
    """What is wrong with the case itself, each said once; so is a model that no framework of the case will run."""
    natives = [run for run in runs.values() if run.party.native and not run.party.double]
    if natives and all(run.error is not None and run.error.kind == "refused" for run in natives):
        fed = ", ".join(f"{name} {t.dtype}{list(t.shape or ())}" for name, t in case.inputs.items())
        return tuple(
            f"{run.party}: the model refuses its inputs ({fed}): {run.error.message}" for run in natives if run.error
        )
    errors = [*[run.error for run in runs.values()], *[model.error for model in models.values()]]
    return tuple(dict.fromkeys(error.message for error in errors if error is not None and error.kind == "builder"))


def _problems_at(other: Seen) -> tuple[str, ...]:
    """A framework that does not run its own model at a size that the case declares."""
    natives = [run for run in other.runs.values() if run.party.native and not run.party.double]
    return tuple(
        f"{run.party} does not run its own model at {other.ref.size}: {run.error.message}"
        for run in natives
        if run.error is not None and run.error.kind in ("refused", "builder")
    )


__all__ = ["Options", "absent_engines", "exit_status", "installed", "verify"]
