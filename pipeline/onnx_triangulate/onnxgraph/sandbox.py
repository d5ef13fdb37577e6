"""Native code that may abort, hang or outgrow memory, in a forked child that is thrown away.

Design note.  ``engines.workers`` spawns warmed processes for engines; that takes seconds.  A look into one graph
has half a second for everything, so what is called here is forked: it starts in milliseconds with all that the parent
has in memory, and hands back bytes through a pipe.  The limit of time is one of processor time, so that a busy machine
does not change an answer; a limit of the clock, much longer, is for what waits.  Memory is limited by address space,
relative to what the process had when it was forked.

A child does nothing but call the tasks, one after another; the death of one is a
``records.runs.Failure`` of that one, and the rest goes on in a new child.  Only where forking is safe and cheap
(:data:`FORKS`: not on Windows, not on macOS, whose own libraries forbid it) is anything guarded at all: elsewhere the
tasks run here, without limits, and it is up to the caller to refuse beforehand what he knows to be dangerous.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import os
import select
import signal
import sys
import time
import warnings
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path

from onnx_triangulate.records.runs import Failure

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

FORKS = resource is not None and hasattr(os, "fork") and sys.platform != "darwin"
_PATIENCE = 5  # how much longer by the clock than in processor time
_ended: list[int] = []
_HEAD = 9  # one byte that says how it went, eight of length


class Sandbox:
    """Tasks in a child, which starts at once: ask for an answer when it is needed.

    An answer is what the task gave, or what became of it: over ``seconds`` of processor time or ``memory`` more bytes,
    killed.  A task that raises is a failure, too: these are calls into others' code, on others' files.
    """

    def __init__(self, tasks: Sequence[Callable[[], bytes]], *, seconds: float, memory: int) -> None:
        self._tasks = tuple(tasks)
        self._seconds = seconds
        self._memory = memory
        self._answers: list[bytes | Failure] = []
        self._child: _Child | None = None
        self._start()

    def answer(self, index: int) -> bytes | Failure:
        """That of the task of this index; waits for it."""
        while len(self._answers) <= index:
            task = self._tasks[len(self._answers)]
            answer = self._child.next(self._seconds) if self._child else _answer(task)
            self._answers.append(answer)
            if self._child and (self._child.ended or len(self._answers) == len(self._tasks)):
                self._child.end()
                self._start()
        return self._answers[index]

    def _start(self) -> None:
        rest = self._tasks[len(self._answers) :]
        self._child = _Child(rest, self._seconds, self._memory) if FORKS and rest else None


class _Child:
    """One forked process; it ends with the first task that it does not survive."""

    def __init__(self, tasks: Sequence[Callable[[], bytes]], seconds: float, memory: int) -> None:
        _reap()
        self._pipe, writable = os.pipe()
        with warnings.catch_warnings():
            # Python warns of threads that hold locks: the child takes none of theirs, and one that waits is killed.
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            try:
                os.close(self._pipe)
                _in_child(tasks, writable, seconds, memory)
            finally:
                os._exit(0)
        os.close(writable)
        self._pid = child
        self.ended = False
        self.end = weakref.finalize(self, _end, child, self._pipe)

    def next(self, seconds: float) -> bytes | Failure:
        try:
            answer, waited = _read(self._pipe, time.monotonic() + _PATIENCE * seconds)
        except BaseException:  # an interrupt: what is left in the pipe is no whole answer any more
            self.ended = True
            self.end()
            raise
        if answer is not None:
            return answer
        self.ended = True
        return _death(None if waited else _status(self._pid), seconds)


def _end(child: int, pipe: int) -> None:
    os.close(pipe)
    with contextlib.suppress(OSError):
        if os.waitpid(child, os.WNOHANG) == (0, 0):  # not one that has gone, whose number may be another's
            os.kill(child, signal.SIGKILL)
            _ended.append(child)


def _answer(task: Callable[[], bytes]) -> bytes | Failure:
    try:
        return task()
    except MemoryError:
        return Failure("memory", "out of memory")
    except Exception as error:
        return Failure("refused", f"{type(error).__name__}: {error}")


def _reap() -> None:
    """Children that gave their answers are left to be taken down while the parent goes on."""
    for child in tuple(_ended):
        with contextlib.suppress(ChildProcessError):
            if os.waitpid(child, os.WNOHANG) == (0, 0):
                continue
        with contextlib.suppress(ValueError):  # another thread was faster
            _ended.remove(child)


def _status(child: int) -> int:
    try:
        return os.waitpid(child, 0)[1]
    except ChildProcessError:  # the program around this one reaps children by itself
        return 0


def _death(status: int | None, seconds: float) -> Failure:
    if status is None:
        return Failure("timeout", f"no answer within {_PATIENCE * seconds:g} s, killed")
    if os.WIFSIGNALED(status):
        if os.WTERMSIG(status) == signal.SIGPROF:
            return Failure("timeout", f"more than {seconds:g} s of processor time, killed")
        with contextlib.suppress(ValueError):
            return Failure("crashed", f"killed by signal {signal.Signals(os.WTERMSIG(status)).name}")
        return Failure("crashed", f"killed by signal {os.WTERMSIG(status)}")
    return Failure("crashed", "left in the middle of a call")


def _in_child(tasks: Sequence[Callable[[], bytes]], pipe: int, seconds: float, memory: int) -> None:
    gc.disable()  # a collection would touch, and so copy, every page of the parent
    faulthandler.disable()
    for number in (signal.SIGPROF, signal.SIGPIPE, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is the parent's to handle: it ends the child
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)  # what aborts says so on standard error
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    with contextlib.suppress(OSError, ValueError):  # not every system tells, and a lower limit may be set already
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + memory, hard))
    for task in tasks:
        signal.setitimer(signal.ITIMER_PROF, seconds)
        answer = _answer(task)
        signal.setitimer(signal.ITIMER_PROF, 0)
        if isinstance(answer, Failure):
            kind = b"m" if answer.kind == "memory" else b"r"
            _write(pipe, kind, answer.message.encode("utf-8", "backslashreplace"))
        else:
            _write(pipe, b"=", answer)


def _write(pipe: int, kind: bytes, content: bytes) -> None:
    for part in (kind + len(content).to_bytes(_HEAD - 1, "big"), content):
        rest = memoryview(part)
        while rest:
            rest = rest[os.write(pipe, rest) :]


def _read(pipe: int, deadline: float) -> tuple[bytes | Failure | None, bool]:
    """The next answer, or ``None`` where there is none; and whether that is because it was waited for too long."""
    head, waited = _exactly(pipe, _HEAD, deadline)
    if head is None:
        return None, waited
    content, waited = _exactly(pipe, int.from_bytes(head[1:], "big"), deadline)
    if content is None or head[:1] == b"=":
        return content, waited
    return Failure("memory" if head[:1] == b"m" else "refused", content.decode()), False


def _exactly(pipe: int, count: int, deadline: float) -> tuple[bytes | None, bool]:
    parts = []
    while count:
        left = deadline - time.monotonic()
        poll = select.poll()
        poll.register(pipe, select.POLLIN)
        if left <= 0 or not poll.poll(left * 1000):
            return None, True
        part = os.read(pipe, min(count, 1 << 20))
        if not part:
            return None, False
        parts.append(part)
        count -= len(part)
    return b"".join(parts), False
