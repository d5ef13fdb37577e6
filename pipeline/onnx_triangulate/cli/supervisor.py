"""Each command in a process of its own: whoever started it waits, prints, and outlives it.

Design note.  What judges reads the user's files: case files are code, arrays are as large as somebody made them, and
comparing them takes several times as much.  So the command line does none of it.  It starts one process, the judge,
which loads the cases, draws, compares, and has the engines' workers (``engines.workers``) as processes of its own;
records come back, as they are finished.  The judge is held to the memory limit as its workers are, and to the time
limit while it reads case files; what files print goes to its log, never to the report.  Where the judge dies, the
cases under way are given to another one, one at a time, and a case with which that one dies as well is undecided, with
the reason.  An interrupt ends the judge with all below it, and what is finished is still there.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnx_triangulate.engines.workers import RemoteError, Worker, tell
from onnx_triangulate.records.errors import UnusableInput
from onnx_triangulate.records.graph_comparison import GraphComparison
from onnx_triangulate.records.runs import Failure
from onnx_triangulate.records.verdict import Evidence, Report, Verdict

if TYPE_CHECKING:  # what judges is imported where it works: `list` takes no time
    from onnx_triangulate.comparison.options import Options as PairOptions
    from onnx_triangulate.verification.session import Options

_POLL_SECONDS = 0.05
_LOADING = 120.0
_MEMORY = 8 * 2**30
Told = Callable[[Any], "float | None"]


class Interrupted(KeyboardInterrupt):
    """An interrupt, with what was finished until then."""

    def __init__(self, report: Report) -> None:
        super().__init__()
        self.report = report


def verify(
    targets: Sequence[str], options: Options, progress: Callable[[Verdict, int, int], None] | None = None
) -> Report:
    """As ``verification.verify.verify``, in a process of its own.

    Raises :class:`Interrupted` where an interrupt comes when cases are finished already.
    """
    from onnx_triangulate.engines.installed import absent_engines
    from onnx_triangulate.verification.verify import exit_status

    absent_engines(options.require)
    started = time.perf_counter()
    report: Report | None = None
    names: tuple[str, ...] = ()
    done: dict[str, Verdict] = {}
    deaths: list[str] = []

    def add(verdict: Verdict) -> None:
        done[verdict.case] = verdict
        if progress:
            progress(verdict, len(done), len(names))

    def told(word: Any) -> float | None:
        nonlocal report, names
        if word is None:  # it has imported what it needs, and reads the cases now
            return options.timeout
        if isinstance(word, Verdict):
            add(word)
        else:
            report, names = (word[0] if report is None else report), word[1]
        return None

    def finished(notices: Sequence[str] = ()) -> Report:
        assert report is not None
        verdicts = tuple(done[name] for name in names if name in done)
        said = tuple(dict.fromkeys((*report.notices, *notices, *deaths)))
        seconds = time.perf_counter() - started
        return replace(
            report, verdicts=verdicts, exit_status=exit_status(verdicts), notices=said, seconds=seconds, out=options.out
        )

    try:
        while True:
            with _folder() as folder:
                asked = (tuple(targets), options, tuple(done), bool(deaths), folder)
                answer = _judged(_verify, asked, options.memory, folder, _LOADING, told)
            if not isinstance(answer, Failure):
                return finished(answer.notices)
            if report is None:
                raise UnusableInput(f"reading the cases ended in {answer.kind}: {answer.message}")
            left = [name for name in names if name not in done]
            if deaths and left:
                add(_lost(left[0], answer))
            deaths.append(f"the process that judges ended ({answer.message}); another one went on, case by case")
            if all(name in done for name in names):
                return finished()
    except KeyboardInterrupt:
        if done:
            raise Interrupted(finished()) from None
        raise


def _lost(name: str, death: Failure) -> Verdict:
    """The verdict on a case with which whoever judges it dies."""
    says = f"it could not be judged: {death.kind}: {death.message}"
    return Verdict(name, "undecided", (), Evidence(name, {}, {}, {}, (), (), ()), deaths=(says,))


def compare(left: Path, right: Path, options: PairOptions) -> GraphComparison:
    """As ``comparison.run.compare_files``, in a process of its own."""
    with _folder() as folder:
        answer = _judged(_compare, (left, right, options, folder), options.memory, folder)
    if isinstance(answer, Failure):
        raise UnusableInput(f"{left} and {right} cannot be compared: {answer.kind}: {answer.message}")
    assert isinstance(answer, GraphComparison)
    return answer


def listed(targets: Sequence[str], tags: Sequence[str] = (), status: str | None = None) -> list[Mapping[str, Any]]:
    """As ``cases.listing.rows``, in a process of its own."""
    from onnx_triangulate.cases.listing import rows

    with _folder() as folder:
        answer = _judged(rows, (tuple(targets), tuple(tags), status), _MEMORY, folder, _LOADING)
    if isinstance(answer, Failure):
        raise UnusableInput(f"reading the cases ended in {answer.kind}: {answer.message}")
    return list(answer)


def _verify(targets: Sequence[str], options: Options, without: Sequence[str], alone: bool, folder: Path) -> Report:
    from onnx_triangulate.verification.verify import verify as run

    tempfile.tempdir = str(folder)
    tell(None)
    report = run(
        targets,
        options,
        progress=lambda verdict, done, total: tell(verdict),
        begun=lambda empty, names: tell((empty, names)),
        without=without,
        alone=alone,
    )
    return replace(report, verdicts=())  # they are told already


def _compare(left: Path, right: Path, options: PairOptions, folder: Path) -> GraphComparison:
    from onnx_triangulate.comparison.run import compare_files

    tempfile.tempdir = str(folder)
    return compare_files(left, right, options)


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """A temporary folder that is gone in the end, however the judge ended."""
    folder = Path(tempfile.mkdtemp(prefix="triangulate-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _judged(
    function: Callable[..., Any],
    arguments: Sequence[Any],
    memory: int,
    folder: Path,
    loading: float | None = None,
    told: Told | None = None,
) -> Any:
    """What the function gives in a process of its own, or what became of that.  What it raises is raised here.

    ``loading`` is how many seconds its first word may take; no limit where there is none.
    """
    judge = Worker(folder / "judge.log")
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_POLL_SECONDS):
            resident = judge.resident(alone=True)  # its workers are its own to watch
            if resident > memory:
                judge.outgrown = resident
                judge.kill()

    threading.Thread(target=watch, daemon=True, name="judge-watch").start()
    try:
        answer = judge.call(function, arguments, loading, memory, told)
    finally:
        over.set()
        judge.kill()
        judge.join()
    if isinstance(answer, RemoteError):
        answer.again()
    return answer
