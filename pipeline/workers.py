"""Worker processes: every call into a framework, an exporter or a runtime happens in one.

``try``/``except`` is no isolation: valid models kill ONNX Runtime, the checker and the reference evaluator, and native
code ignores signals.  So the supervisor imports no engine; it keeps one warmed pool of processes per kind of work, and
whatever happens to a process (killed, hung, outgrown) is a :class:`~pipeline.data.Failure` of the call it was busy
with.  The pool replaces the process and the run goes on.

Memory is watched as resident size from outside, because an address-space limit breaks TensorFlow and because native
code cannot be asked.  Processes are spawned: forking after an engine was used deadlocks.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle  # between our own processes only
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as Expired
from multiprocessing.context import SpawnContext, SpawnProcess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
from pebble import ProcessExpired, ProcessPool

from pipeline.data import Failure

_THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_POLL_SECONDS = 0.05


class Workers:
    """Pools of worker processes by kind of work, with a time limit per call and a memory limit per process.

    ``timeout`` is in seconds, ``memory`` in bytes of resident size.  ``warm(kind)`` is called in a process that takes a
    dead one's place, before the next call and on a time limit of its own.  Use as a context manager; leaving it ends
    every process.
    """

    def __init__(
        self, *, jobs: int, timeout: float, memory: int, logs: Path, warm: Callable[[str], Any] | None = None
    ) -> None:
        self._jobs = jobs
        self._timeout = timeout
        self._memory = memory
        self._logs = logs
        self._pools: dict[str, ProcessPool] = {}
        self._lock = threading.Lock()
        self._warm = warm
        self._cold: set[str] = set()
        self._stopped = False
        self._under_way: set[Future[Any]] = set()
        self._processes = _Processes()
        self._outgrown: dict[int, int] = {}
        self._watching = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True, name="memory-watch")

    def __enter__(self) -> Self:
        self._logs.mkdir(parents=True, exist_ok=True)
        self._environment = {name: os.environ.get(name) for name in _THREADS}
        os.environ.update(_THREADS)
        self._watcher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watching.set()
        self.stop()
        for pool in self._pools.values():
            with contextlib.suppress(Exception):
                pool.join(timeout=5)
        for name, value in self._environment.items():
            os.environ.pop(name, None) if value is None else os.environ.__setitem__(name, value)

    def stop(self) -> None:
        """End every process at once; whatever was under way raises in the thread that waits for it."""
        with self._lock:
            self._stopped = True
            for future in self._under_way:
                future.cancel()  # pebble leaves the futures of a stopped pool as they are
            for pool in self._pools.values():
                pool.stop()

    def call(self, kind: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """``function(*arguments)`` in a process of ``kind``, or the :class:`Failure` that the process became.

        What the function itself raises is a bug of this project and is raised here.
        """
        with self._lock:
            cold = kind in self._cold
            self._cold.discard(kind)
        if cold and self._warm is not None:
            self._once(kind, self._warm, kind)
        answer = self._once(kind, function, *arguments)
        if isinstance(answer, Failure):
            with self._lock:
                self._cold.add(kind)
        return answer

    def _once(self, kind: str, function: Callable[..., Any], *arguments: Any) -> Any:
        with _interrupts_blocked():
            future = self._schedule(kind, function, arguments)
        try:
            return future.result()
        except Expired:
            return Failure("timeout", f"no answer within {self._timeout:g} s, killed; --timeout gives it longer")
        except MemoryError:
            return Failure("memory", "out of memory")
        except ProcessExpired as death:
            return self._death(death)
        finally:
            with self._lock:
                self._under_way.discard(future)

    def _death(self, death: ProcessExpired) -> Failure:
        pid = getattr(death, "pid", None)
        if pid in self._outgrown:
            seen, limit = self._outgrown[pid] / 2**30, self._memory / 2**30
            return Failure(
                "memory", f"{seen:.1f} GiB resident, over the limit of {limit:.1f} GiB, killed; --memory gives it more"
            )
        code = death.exitcode
        if code is not None and code < 0:
            with contextlib.suppress(ValueError):
                return Failure("crashed", f"killed by signal {signal.Signals(-code).name}")
            return Failure("crashed", f"killed by signal {-code}")
        return Failure("crashed", f"exited with status {code} in the middle of a call")

    def _schedule(self, kind: str, function: Callable[..., Any], arguments: Sequence[Any]) -> Future[Any]:
        with self._lock:
            if self._stopped:
                raise CancelledError(f"{kind}: the workers were stopped")
            if kind not in self._pools:
                self._pools[kind] = ProcessPool(
                    max_workers=self._jobs,
                    initializer=_redirect,
                    initargs=[self._logs / f"{kind}.log"],
                    context=self._processes,
                )
            future: Future[Any] = self._pools[kind].schedule(
                _answer, args=[function, *arguments], timeout=self._timeout
            )
            self._under_way.add(future)
            return future

    def _watch(self) -> None:
        while not self._watching.wait(_POLL_SECONDS):
            for worker in self._processes.alive():
                with contextlib.suppress(psutil.Error):
                    for process in (worker, *worker.children(recursive=True)):
                        resident = process.memory_info().rss
                        if resident > self._memory:
                            self._outgrown[worker.pid] = resident
                            worker.kill()


class _Processes(SpawnContext):
    """Starts processes and remembers them: only these are watched, whatever else the program that asked has running."""

    def __init__(self) -> None:
        super().__init__()
        self._started: list[SpawnProcess] = []
        self._known: dict[int, psutil.Process] = {}

    def Process(self, *arguments: Any, **more: Any) -> SpawnProcess:  # type: ignore[override]
        process = SpawnProcess(*arguments, **more)
        self._started.append(process)
        return process

    def alive(self) -> list[psutil.Process]:
        """The processes that were started and have not ended."""
        for process in tuple(self._started):
            if process.pid is None:
                continue  # about to be started
            self._started.remove(process)
            with contextlib.suppress(psutil.Error):
                self._known[process.pid] = psutil.Process(process.pid)
        self._known = {pid: process for pid, process in self._known.items() if process.is_running()}
        return list(self._known.values())


def _answer(function: Callable[..., Any], *arguments: Any) -> Any:
    """In the worker: call, and let nothing out that would end the supervisor or break the pool."""
    try:
        return function(*arguments)
    except Exception as error:
        try:
            pickle.loads(pickle.dumps(error))  # noqa: S301  # what cannot be put together again breaks the pool
        except Exception:
            raise RuntimeError(f"{type(error).__name__}: {error}") from None
        raise
    except BaseException as error:  # sys.exit() and its like, which would end the supervisor with their own status
        return Failure("crashed", f"left by {type(error).__name__}({error}) in the middle of a call")


@contextlib.contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """What is started here, threads of the pool and the processes that they start, never sees a keyboard interrupt.

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


def _leave_with_supervisor() -> None:
    """A worker whose supervisor was killed has nobody to answer and would stay for ever."""
    supervisor = multiprocessing.parent_process()
    if supervisor is not None:
        supervisor.join()
        os._exit(1)
