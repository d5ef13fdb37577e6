"""What may abort, hang or outgrow memory does so in a child: planted, each is the failure of its own task only."""

from __future__ import annotations

import ctypes
import gc
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from onnx_triangulate.onnxgraph import sandbox
from onnx_triangulate.onnxgraph.sandbox import Sandbox
from onnx_triangulate.records.runs import Failure

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(not sandbox.FORKS, reason="nothing is run aside here")


def answers(*tasks: Callable[[], bytes], seconds: float = 5, memory: int = 1 << 30) -> list[bytes | Failure]:
    asked = Sandbox(tasks, seconds=seconds, memory=memory)
    return [asked.answer(index) for index in range(len(tasks))]


def segfault() -> bytes:
    return ctypes.string_at(0)


def abort() -> bytes:
    os.abort()


def leave() -> bytes:
    os._exit(3)


def spin() -> bytes:
    while True:
        pass


def sleep() -> bytes:
    time.sleep(60)
    return b""


def grow() -> bytes:
    return b"x" * (1 << 30)


def fail() -> bytes:
    raise ValueError("wrong")


def test_answers_come_in_order_whatever_their_size() -> None:
    large = bytes(range(256)) * 20_000
    assert answers(lambda: b"", lambda: large, lambda: b"last") == [b"", large, b"last"]


def test_it_is_a_child_that_works() -> None:
    (pid,) = answers(lambda: str(os.getpid()).encode())
    assert isinstance(pid, bytes)
    assert int(pid) != os.getpid()


@pytest.mark.parametrize(
    ("task", "kind", "says"),
    [
        (segfault, "crashed", "SIGSEGV"),
        (abort, "crashed", "SIGABRT"),
        (leave, "crashed", "in the middle"),
        (spin, "timeout", "more than 0.2 s of processor time"),
        (grow, "memory", "out of memory"),
        (fail, "refused", "ValueError: wrong"),
    ],
)
def test_a_death_is_that_of_one_task(
    task: Callable[[], bytes], kind: str, says: str, capfd: pytest.CaptureFixture[str]
) -> None:
    first, failure, last = answers(lambda: b"first", task, lambda: b"last", seconds=0.2, memory=1 << 28)
    assert (first, last) == (b"first", b"last")
    assert isinstance(failure, Failure)
    assert failure.kind == kind
    assert says in failure.message
    assert capfd.readouterr() == ("", "")


def test_what_waits_is_killed_by_the_clock() -> None:
    started = time.monotonic()
    (failure,) = answers(sleep, seconds=0.05)
    assert isinstance(failure, Failure)
    assert failure.kind == "timeout"
    assert time.monotonic() - started < 30


def test_no_child_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    pids = [a for a in answers(lambda: str(os.getpid()).encode()) if isinstance(a, bytes)]
    unasked = Sandbox([spin], seconds=60, memory=1 << 30)
    assert unasked._child is not None
    pids.append(str(unasked._child._pid).encode())
    del unasked
    gc.collect()
    for _ in range(200):
        sandbox._reap()
        if not any(Path(f"/proc/{pid.decode()}").exists() for pid in pids):
            return
        time.sleep(0.02)
    pytest.fail("a child is still there")


def test_a_program_that_ends_takes_its_child_with_it() -> None:
    program = (
        "from onnx_triangulate.onnxgraph.sandbox import Sandbox\nimport time\n"
        "asked = Sandbox([lambda: time.sleep(60)], seconds=60, memory=1 << 30)\nprint(asked._child._pid)"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT / "pipeline")}
    ended = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=30)
    for _ in range(200):
        if not Path(f"/proc/{ended.stdout.strip()}/fd").exists():
            return
        time.sleep(0.02)
    pytest.fail(ended.stdout + ended.stderr)


def test_without_forking_it_happens_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "FORKS", False)
    pid, failure = answers(lambda: str(os.getpid()).encode(), fail)
    assert pid == str(os.getpid()).encode()
    assert failure == Failure("refused", "ValueError: wrong")
