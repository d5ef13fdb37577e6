"""Worker processes: every call into a framework, an exporter or a runtime happens in one.

``try``/``except`` is no isolation: valid models kill ONNX Runtime, the checker and the reference evaluator, and native
code ignores signals.  So the supervisor imports no engine; it keeps warmed processes for each kind of work, and
whatever happens to a process (killed, hung, outgrown) is a ``records.runs.Failure`` of the call it was busy
with.  Another takes its place and the run goes on.  Each process has a pipe of its own and shares nothing with the
others: one that is killed while it reads its task can leave no lock behind that the next one would wait for.

Memory is watched as resident size from outside, because an address-space limit breaks TensorFlow and because native
code cannot be asked.  Processes are spawned: forking after an engine was used deadlocks.

A death has two readings, a party that crashes and a machine that killed at random, and one death does not tell them
apart.  So what was killed is asked again, once; a second death is the party's, and where the second attempt answers,
the first death is told all the same (``deaths``).  A time or memory limit that was reached would be reached again.

A process is started where the user's files lie, with Python's safe path, so that a ``pickle.py`` in the current folder
is not imported; and without what looks like a secret: a variable whose name holds a word such as TOKEN, SECRET,
PASSWORD, CREDENTIAL, AUTH or KEY (:data:`_SECRET`), or whose value is an address with a password in it.  A builder that
needs one (to download a gated model) gets those that the variable ``TRIANGULATE_PASS`` names, separated by commas.
"""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
import pickle  # between our own processes only
import re
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

import psutil

from onnx_triangulate.records.errors import UnusableInput
from onnx_triangulate.records.runs import Failure

_OURS = {
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    "PYTHONSAFEPATH": "1",  # a process that is started by `python -c` has the current folder first on its path else
}
_SECRET = re.compile(
    r"TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL|COOKIE|APIKEY"
    r"|(?:^|_)(?:AUTH|BEARER|KEY|KEYS|PASS|PAT|SAS)(?:$|_)",
    re.IGNORECASE,
)
_PASSWORD_INSIDE = re.compile(r"://[^/\s:@]*:[^/\s@]+@")
_PASS = "TRIANGULATE_PASS"  # noqa: S105  the name of a variable
_POLL_SECONDS = 0.05
_START_SECONDS = 120.0  # of an interpreter and this package on a busy machine; what is asked has a limit of its own
_STARTING = threading.Lock()


class Workers:
    """Worker processes by kind of work, with a time limit per call and a memory limit per process.

    ``jobs`` is how many processes a kind has at most, ``timeout`` is in seconds, ``memory`` in bytes of resident size.
    ``warm(kind)`` is called in a process that takes a dead one's place, before the next call and on a time limit of its
    own.  Use as a context manager; leaving it ends every process.
    """

    def __init__(
        self, *, jobs: int, timeout: float, memory: int, logs: Path, warm: Callable[[str], Any] | None = None
    ) -> None:
        self._jobs = jobs
        self._timeout = timeout
        self._memory = memory
        self._logs = logs
        self._warm = warm
        self._free = threading.Condition()  # guards all that follows
        self._idle: dict[str, list[Worker]] = {}
        self._started: dict[str, int] = {}
        self._alive: set[Worker] = set()
        self._cold: set[str] = set()
        self._stopped = False
        self.deaths: list[str] = []
        self._watching = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True, name="memory-watch")

    def __enter__(self) -> Self:
        self._logs.mkdir(parents=True, exist_ok=True)
        self._watcher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watching.set()
        self.stop()

    def stop(self) -> None:
        """End every process at once; whatever was under way raises in the thread that waits for it."""
        with self._free:
            self._stopped = True
            alive = tuple(self._alive)
            self._free.notify_all()
        for worker in alive:
            worker.kill()
        for worker in alive:
            worker.join()

    def call(self, kind: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """``function(*arguments)`` in a process of ``kind``, or the :class:`Failure` that the process became.

        What the function itself raises is a bug of this project and is raised here.
        """
        return self.ask(kind, function, arguments)

    def ask(
        self,
        kind: str,
        function: Callable[..., Any],
        arguments: Sequence[Any],
        *,
        deaths: list[str] | None = None,
        again: bool = True,
    ) -> Any:
        """As :meth:`call`; a sentence is added to ``deaths`` (those of these workers, where no others are given) where
        a process was killed and another one answered.

        ``again=False``: a process that was killed is the answer, to be asked about otherwise.
        """
        answer = self._warmed(kind, function, arguments)
        if again and isinstance(answer, Failure) and answer.kind == "crashed":
            second = self._warmed(kind, function, arguments)
            if not isinstance(second, Failure):
                (self.deaths if deaths is None else deaths).append(died(kind, function, answer))
            return second
        return answer

    def _warmed(self, kind: str, function: Callable[..., Any], arguments: Sequence[Any]) -> Any:
        with self._free:
            cold = kind in self._cold
            self._cold.discard(kind)
        if cold and self._warm is not None:
            self._once(kind, self._warm, [kind])
        answer = self._once(kind, function, arguments)
        if isinstance(answer, Failure):
            with self._free:
                self._cold.add(kind)
        return answer

    def _once(self, kind: str, function: Callable[..., Any], arguments: Sequence[Any]) -> Any:
        worker = self._taken(kind)
        try:
            answer = worker.call(function, arguments, self._timeout, self._memory)
        except BaseException:
            worker.kill()  # an interrupt: its answer would be taken for that to another question
            raise
        finally:
            with self._free:
                if worker.usable:
                    self._idle[kind].append(worker)
                else:
                    self._started[kind] -= 1
                    self._alive.discard(worker)
                stopped = self._stopped
                self._free.notify_all()
        if stopped and not worker.usable:
            raise CancelledError(f"{kind}: the workers were stopped")
        if isinstance(answer, RemoteError):
            answer.again()
        return answer

    def _taken(self, kind: str) -> Worker:
        """A process that nobody else has, started where there are fewer than there may be."""
        with self._free:
            while not self._stopped:
                if idle := self._idle.setdefault(kind, []):
                    return idle.pop()
                if self._started.setdefault(kind, 0) < self._jobs:
                    with _interrupts_blocked():
                        worker = Worker(self._logs / f"{kind}.log")
                    self._started[kind] += 1
                    self._alive.add(worker)
                    return worker
                self._free.wait()
        raise CancelledError(f"{kind}: the workers were stopped")

    def _watch(self) -> None:
        while not self._watching.wait(_POLL_SECONDS):
            with self._free:
                alive = tuple(self._alive)
            for worker in alive:
                resident = worker.resident()
                if resident > self._memory:
                    worker.outgrown = resident
                    worker.kill()


class Worker:
    """One process, and the only end of the pipe to it."""

    def __init__(self, log: Path) -> None:
        self.outgrown = 0
        self._ready = False
        self._dead = False
        theirs: Connection | None = None
        try:
            self._pipe, theirs = multiprocessing.get_context("spawn").Pipe()
            self._process = SpawnProcess(target=_serve, args=(theirs, log), name="worker")
            with _environment():
                _track()
                self._process.start()
            self._known = psutil.Process(self._process.pid)
        except BrokenPipeError:  # killed before it had read what it is
            self._dead = True
        except psutil.Error:  # killed a moment later
            self._dead = True
        except OSError as error:
            raise UnusableInput(
                f"no process can be started: {error.strerror or error}; are there files and processes left "
                "(ulimit -n, ulimit -u)?"
            ) from None
        finally:
            if theirs is not None:
                theirs.close()

    @property
    def usable(self) -> bool:
        return not self._dead

    def call(
        self,
        function: Callable[..., Any],
        arguments: Sequence[Any],
        timeout: float | None,
        memory: int,
        told: Callable[[Any], float | None] | None = None,
    ) -> Any:
        """What the function gives, or a :class:`RemoteError`, or what became of the process: then it is not usable.

        ``told`` is called with what the function tells (:func:`tell`) before it has its answer; what ``told`` gives is
        how long the next word may take.
        """
        task = pickle.dumps((function, arguments))  # what cannot be sent raises here, and harms nobody
        if self._dead:
            return Failure("crashed", "killed before it took up its work")
        try:
            if not self._ready:
                self._ready = self._received(_START_SECONDS) is True
                if not self._ready:
                    return self._death(_START_SECONDS, memory)
            self._pipe.send_bytes(task)
            answer = self._received(timeout)
            while isinstance(answer, _Notice):
                timeout = told(answer.value) if told is not None else timeout
                answer = self._received(timeout)
        except (EOFError, OSError):
            answer = _GONE
        return self._death(timeout, memory) if answer is _GONE or answer is _LATE else answer

    def _received(self, seconds: float | None) -> Any:
        if not wait([self._pipe], seconds):
            self._late = True
            return _LATE
        return pickle.loads(self._pipe.recv_bytes())  # noqa: S301  between our own processes

    _late = False

    def _death(self, seconds: float | None, memory: int) -> Failure:
        self.kill()
        self.join()
        if self.outgrown:
            seen, limit = self.outgrown / 2**30, memory / 2**30
            says = f"{seen:.1f} GiB resident, over the limit of {limit:.1f} GiB, killed; --memory gives it more"
            return Failure("memory", says)
        if self._late:
            return Failure("timeout", f"no answer within {seconds or 0:g} s, killed; --timeout gives it longer")
        code = self._process.exitcode
        if code is not None and code < 0:
            name = str(-code)
            with contextlib.suppress(ValueError):
                name = signal.Signals(-code).name
            return Failure("crashed", f"killed by signal {name}{'' if self._ready else ' before it took up its work'}")
        return Failure("crashed", f"exited with status {code} in the middle of a call")

    def resident(self, alone: bool = False) -> int:
        """The most bytes that it holds in memory, or a process that it started, unless it ``alone`` is asked about."""
        most = 0
        with contextlib.suppress(psutil.Error, AttributeError):
            for process in (self._known, *([] if alone else self._known.children(recursive=True))):
                with contextlib.suppress(psutil.Error):
                    most = max(most, process.memory_info().rss)
        return most

    def kill(self) -> None:
        """End it, with all processes that it started."""
        already, self._dead = self._dead, True
        with contextlib.suppress(psutil.Error, AttributeError):
            children = [] if already else self._known.children(recursive=True)
            self._known.kill()
            for child in children:
                with contextlib.suppress(psutil.Error):
                    child.kill()

    def join(self) -> None:
        with contextlib.suppress(AssertionError, AttributeError, ValueError):  # never started
            self._process.join(timeout=5)
        with contextlib.suppress(OSError):
            self._pipe.close()


_GONE, _LATE = object(), object()


@dataclass(frozen=True)
class _Notice:
    """What a function says before it has its answer."""

    value: Any


class RemoteError:
    """What the function raised, and where."""

    def __init__(self, error: Exception, trace: str) -> None:
        self.error = error
        self.trace = trace

    def again(self) -> NoReturn:
        """Raise it here."""
        raise self.error from _RemoteTraceback(self.trace)


class _RemoteTraceback(Exception):
    """A traceback from another process, as the cause of what is raised in this one."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


_TELLING: list[Connection] = []


def tell(value: Any) -> None:
    """In the worker: a word to whoever waits for the answer."""
    for pipe in _TELLING:
        pipe.send_bytes(pickle.dumps(_Notice(value)))


def _serve(pipe: Connection, log: Path) -> None:
    """In the worker: answer until nobody asks any more."""
    _redirect(log)
    _TELLING.append(pipe)
    pipe.send(True)
    with contextlib.suppress(EOFError, OSError):
        while True:
            pipe.send_bytes(_answer(pipe.recv_bytes()))


def _answer(task: bytes) -> bytes:
    """Call, and let nothing out that would end the supervisor."""
    try:
        function, arguments = pickle.loads(task)  # noqa: S301  between our own processes
        answer = function(*arguments)
    except MemoryError:
        answer = Failure("memory", "out of memory")
    except Exception as error:
        answer = RemoteError(error, traceback.format_exc())
    except BaseException as error:  # sys.exit() and its like, which would end the supervisor with their own status
        answer = Failure("crashed", f"left by {type(error).__name__}({error}) in the middle of a call")
    try:
        sent = pickle.dumps(answer)
        if isinstance(answer, RemoteError):
            pickle.loads(sent)  # noqa: S301  what cannot be put together again would raise in the supervisor
        return sent
    except Exception as error:
        raised = answer.error if isinstance(answer, RemoteError) else error
        trace = answer.trace if isinstance(answer, RemoteError) else traceback.format_exc()
        return pickle.dumps(RemoteError(RuntimeError(f"{type(raised).__name__}: {raised}"), trace))


def _track() -> None:
    """Start Python's tracker of shared memory, a process as well, where there is none yet.

    It cleans up after processes that were killed, and would say so to the user.
    """
    before = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = "ignore"
    try:
        resource_tracker.ensure_running()
    finally:
        if before is None:
            del os.environ["PYTHONWARNINGS"]
        else:
            os.environ["PYTHONWARNINGS"] = before


@contextlib.contextmanager
def _environment() -> Iterator[None]:
    """The program's environment as its workers are to have it, for as long as one is started."""
    with _STARTING:
        before = dict(os.environ)
        try:
            for name in set(before) - set(environment(before)):
                del os.environ[name]
            os.environ.update(_OURS)
            yield
        finally:
            for name in _OURS:
                os.environ.pop(name, None)
            os.environ.update(before)


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """What a worker is given of an environment: everything that does not look like a secret."""
    asked = {name.strip() for name in given.get(_PASS, "").split(",")}
    return {
        name: value
        for name, value in given.items()
        if name in asked or not (_SECRET.search(name) or _PASSWORD_INSIDE.search(value))
    }


def died(kind: str, function: Callable[..., Any], death: Failure) -> str:
    """A sentence about a death after which the same was asked again, and answered."""
    what = function.__name__.strip("_").replace("_", " ")
    return f"a process of {kind} ended in {what} ({death.message}); another one answered"


@contextlib.contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """What is started here never sees a keyboard interrupt.

    It is the supervisor's to handle: it ends the workers.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _redirect(log: Path) -> None:
    """In the worker: engines print on both streams, even errors on standard output; all of it goes to a file."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_supervisor, daemon=True, name="supervisor-watch").start()
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.close(descriptor)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # into a file Python buffers blocks, which a killed worker loses


def _leave_with_supervisor() -> None:
    """A worker whose supervisor was killed has nobody to answer and would stay for ever."""
    supervisor = multiprocessing.parent_process()
    if supervisor is not None:
        supervisor.join()
        os._exit(1)
