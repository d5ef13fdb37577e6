"""``verify``, from the words of the command to a report: cases found, run side by side, judged.

``case_execution`` runs a case at every size, ``judge`` makes a verdict of what ran.  Several cases are under way at
once, so that torch, TensorFlow and the runtimes work side by side."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

from filelock import FileLock, Timeout

from onnx_triangulate.cases import catalogue, inputs
from onnx_triangulate.engines import running
from onnx_triangulate.engines.frameworks import adapters
from onnx_triangulate.engines.installed import absent_engines, installed
from onnx_triangulate.engines.runtimes import runtimes
from onnx_triangulate.engines.workers import Workers
from onnx_triangulate.onnxgraph.external_data import beside, staged
from onnx_triangulate.records import npz
from onnx_triangulate.records.case import CaseRef
from onnx_triangulate.records.errors import UnusableInput
from onnx_triangulate.records.party import Party
from onnx_triangulate.records.runs import Failure
from onnx_triangulate.records.verdict import Evidence, Report, Verdict
from onnx_triangulate.report.files import check_writable
from onnx_triangulate.verification import expectations
from onnx_triangulate.verification.case_execution import at_sizes, on_other_inputs, other_inputs, run_case
from onnx_triangulate.verification.file_cases import with_case_files
from onnx_triangulate.verification.judge import judge
from onnx_triangulate.verification.session import Options, Session


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
    folder = options.out or Path(tempfile.mkdtemp(prefix="triangulate-"))
    noted = options.inputs is None  # else nobody needs to know what was drawn
    targets = with_case_files(targets, folder / "files", dict(options.sizes), options.seed, noted)
    refs = _references(targets, options)
    versions = installed()
    absent = absent_engines(options.require)
    lock = _locked(folder)
    notices = (*[f"{name} is not installed: its parties are left out" for name in absent], *catalogue.left_out(targets))
    empty = Report(versions, options.seed, 1, (), notices, out=options.out, folder=folder)
    if begun:
        begun(empty, tuple(ref.name for ref in refs))
    refs = [ref for ref in refs if ref.name not in without]
    verdicts: list[Verdict] = []
    try:
        jobs, timeout, memory = options.jobs, options.timeout, options.memory
        with Workers(jobs=jobs, timeout=timeout, memory=memory, logs=folder / "logs", warm=running.warm) as workers:
            session = Session(workers, options, absent)
            _warm(workers, refs, absent)
            with _threads(workers, 1 if alone else 3 * jobs) as threads:
                places = [folder.joinpath(*ref.name.split("/")) for ref in refs]
                pairs = zip(refs, places, strict=True)
                ahead = [threads.submit(_investigate, session, ref, versions, place) for ref, place in pairs]
                for future in ahead:
                    verdicts.append(future.result())
                    if progress:
                        progress(verdicts[-1], len(verdicts), len(refs))
    finally:
        lock.release()
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
        str(Party(name, exporter, runtime.name, double))
        for name, framework in adapters().items()
        for exporter in (*framework.exporters, "file")
        for runtime in runtimes().values()
        for double in ((False, True) if runtime.double else (False,))
    ]
    for glob in globs:
        if not any(fnmatchcase(party, glob) for party in every):
            raise UnusableInput(f"--parties {glob}: matches none of {', '.join(every)}")


def _locked(folder: Path) -> FileLock:
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


def _references(targets: Sequence[str], options: Options) -> list[CaseRef]:
    """The cases that targets name; what the command itself gives must fit every one of them."""
    refs = [replace(ref, inputs_file=options.inputs) for ref in catalogue.find(targets)]
    for ref in refs if options.inputs or options.onnx else ():
        catalogue.load(ref)
        _external_files(ref, options.onnx)
    if options.written:
        check_writable(*options.written, reads=[file for ref in refs for file in _files_of(ref)])
    return refs


def _files_of(ref: CaseRef) -> Iterator[Path]:
    """The files that a case is made of: its own, its inputs', those of its models and what lies beside them."""
    case = catalogue.declared(ref)
    yield ref.file
    if case.inputs_file is not None:
        yield ref.file.parent / case.inputs_file
    for file in case.onnx.values():
        yield from beside(ref.file.parent / file)


def _external_files(ref: CaseRef, chosen: Sequence[tuple[str, Path]]) -> dict[str, Path]:
    """The files to be judged in place of fresh exports: those of the command, else those of the case.

    Raises ``UnusableInput`` where a party is none of the case's or a file is not there.
    """
    case = catalogue.declared(ref)
    of_case = [(name, ref.file.parent / file) for name, file in case.onnx.items()]
    files: dict[str, Path] = {}
    for name, file in chosen or of_case:
        who = f"--onnx {name}={file}" if chosen else f"{ref.name}: onnx {name}={file}"
        graph = catalogue.given_graph(name, case, who)
        if not file.is_file():
            raise UnusableInput(f"{who}: {'a folder' if file.is_dir() else 'no such file'}, expected an ONNX model")
        if graph in files:
            raise UnusableInput(f"{who}: {graph} was given a file already, {files[graph]}")
        files[graph] = file.absolute()  # not where a link leads: what lies beside it is named from here
    return files


def _staged(session: Session, file: Path, place: Path) -> Path | Failure:
    """An external file as it may be read; a failure where nobody may, for what lies beside it."""
    try:
        answer = session.call_runtimes(staged, file, place)
    except UnusableInput as error:
        return Failure("invalid", f"it cannot be loaded: {error}")
    assert isinstance(answer, (Path, Failure))
    return answer


def _investigate(session: Session, ref: CaseRef, versions: Mapping[str, str | None], folder: Path) -> Verdict:
    """One case, from its reference to its verdict."""
    session, seed = session.for_case(), session.options.seed
    try:
        case = catalogue.load(ref)
        ref = replace(ref, numbers=inputs.fingerprint(case, ref.name, seed))
        external = {
            graph: _staged(session, file, folder / "given" / str(number))
            for number, (graph, file) in enumerate(_external_files(ref, session.options.onnx).items())
        }
    except UnusableInput as error:
        evidence = Evidence(ref.name, {}, {}, {}, (), (), ())
        note = catalogue.declared(ref).note
        return Verdict(ref.name, "undecided", (), evidence, problems=(str(error),), note=note)
    if session.options.out is not None:  # so that it can be fed again elsewhere
        npz.save(folder / "inputs.npz", inputs.inputs_of(case, ref.name, seed))
    declared = run_case(session, ref, external, folder)
    others = [at_sizes(session, declared, sizes) for sizes in inputs.variants(case)]
    others += [on_other_inputs(session, declared, drawn) for drawn in other_inputs(declared)]
    verdict = judge(session, declared, others, versions)
    return replace(verdict, deaths=tuple(dict.fromkeys(session.deaths)))


__all__ = ["Options", "absent_engines", "exit_status", "installed", "verify"]
