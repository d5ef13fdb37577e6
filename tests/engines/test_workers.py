"""Whatever becomes of a worker process is the value of one call; the next call has a process again."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from onnx_triangulate.engines.workers import Workers
from onnx_triangulate.records.runs import Failure
from tests import worker_functions as does

LIMIT = 300 * 2**20
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workers") / "logs"


@pytest.fixture(scope="module")
def workers(logs: Path) -> Iterator[Workers]:
    with Workers(jobs=1, timeout=20, memory=LIMIT, logs=logs) as started:
        yield started


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workers]:
    """Workers that wait for a second only; for calls that never end."""
    with Workers(jobs=1, timeout=1, memory=LIMIT, logs=tmp_path_factory.mktemp("hasty")) as started:
        yield started


def failed(answer: Any, kind: str) -> str:
    assert isinstance(answer, Failure), answer
    assert answer.kind == kind, answer
    return answer.message


def test_a_value_comes_back_from_another_process(workers: Workers) -> None:
    assert workers.call("a", does.add, 2, 3) == 5
    assert workers.call("a", does.pid) != os.getpid()


def test_one_process_lives_on_and_each_kind_has_its_own(workers: Workers) -> None:
    first = workers.call("a", does.pid)
    assert workers.call("a", does.pid) == first
    assert workers.call("b", does.pid) != first


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGFPE])
def test_killed_by_a_signal(workers: Workers, number: signal.Signals) -> None:
    before, other = workers.call("a", does.pid), workers.call("b", does.pid)
    assert failed(workers.call("a", does.die, int(number)), "crashed") == f"killed by signal {number.name}"
    after = workers.call("a", does.pid)
    assert isinstance(after, int)
    assert after != before
    assert workers.call("b", does.pid) == other


@pytest.mark.parametrize("status", [1, 134])
def test_left_in_the_middle_of_a_call(workers: Workers, status: int) -> None:
    assert (
        failed(workers.call("a", does.leave, status), "crashed")
        == f"exited with status {status} in the middle of a call"
    )
    assert workers.call("a", does.add, 1, 1) == 2


def test_left_with_status_zero_is_no_answer(hasty: Workers) -> None:
    """It looks like a process that ended in good order; only the time limit tells."""
    assert hasty.call("a", does.add, 1, 1) == 2
    answer = hasty.call("a", does.leave, 0)
    assert isinstance(answer, Failure)
    assert answer.kind in ("crashed", "timeout")
    assert hasty.call("a", does.add, 1, 1) == 2


@pytest.mark.parametrize("status", [0, 1, None, "a message"])
def test_sys_exit_does_not_end_the_supervisor(workers: Workers, status: object) -> None:
    """SystemExit is for the worker: raised here it would end the run, with status 0 as a success."""
    try:
        answer = workers.call("a", does.leave_politely, status)
    except SystemExit as error:  # pragma: no cover
        pytest.fail(f"the supervisor was told to leave with {error.code!r}")
    assert isinstance(answer, Failure)
    assert workers.call("a", does.add, 1, 1) == 2


@pytest.mark.parametrize("stubbornly", [False, True])
def test_hung(hasty: Workers, stubbornly: bool) -> None:
    before, other = hasty.call("a", does.pid), hasty.call("b", does.pid)
    assert (
        failed(hasty.call("a", does.hang, stubbornly), "timeout")
        == "no answer within 1 s, killed; --timeout gives it longer"
    )
    after = hasty.call("a", does.pid)
    assert isinstance(after, int)
    assert after != before
    assert not psutil.pid_exists(before)
    assert hasty.call("b", does.pid) == other


def test_outgrown(workers: Workers) -> None:
    before, other = workers.call("a", does.pid), workers.call("b", does.pid)
    says = failed(workers.call("a", does.outgrow, 2 * LIMIT), "memory")
    assert "GiB resident, over the limit of 0.3 GiB, killed" in says
    assert workers.call("a", does.pid) != before
    assert workers.call("b", does.pid) == other


def test_only_workers_are_held_to_the_limit(workers: Workers) -> None:
    """The program that asked may have processes of its own, and other workers with a limit of their own."""
    grown = f"import time; held = bytearray({LIMIT + 2**26}); print('grown', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", grown], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "grown\n"
        failed(workers.call("a", does.outgrow, 2 * LIMIT), "memory")  # so long was it watched
        assert other.poll() is None
        other.kill()


def test_the_functions_own_exception_is_raised_here(workers: Workers) -> None:
    before = workers.call("a", does.pid)
    with pytest.raises(KeyError, match="of this project"):
        workers.call("a", does.raise_, KeyError("of this project"))
    assert workers.call("a", does.pid) == before


def test_out_of_memory_as_an_exception_is_a_value(workers: Workers) -> None:
    assert failed(workers.call("a", does.raise_, MemoryError("no")), "memory") == "out of memory"


@pytest.mark.parametrize("function", [does.raise_holding_a_lock, does.unsendable_result, does.raise_unsendable])
def test_what_cannot_be_sent_does_not_hang(workers: Workers, function: Any) -> None:
    """It is a bug that is raised, and soon; other kinds of work go on."""
    kind = function.__name__
    assert workers.call(kind, does.add, 1, 1) == 2
    with pytest.raises(Exception, match=r"pickle|Unpicklable|Unsendable|HoldsALock"):
        workers.call(kind, function)
    assert workers.call("a", does.add, 1, 1) == 2


def test_a_call_that_cannot_be_sent_does_not_hang(workers: Workers) -> None:
    with pytest.raises(Exception, match=r"pickle|lock"):
        workers.call("a", does.add, threading.Lock(), 1)
    assert workers.call("a", does.add, 1, 1) == 2


def test_what_engines_print_goes_to_the_log(workers: Workers, logs: Path, capfd: pytest.CaptureFixture[str]) -> None:
    workers.call("talker", does.speak)
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")
    text = (logs / "talker.log").read_text()
    for line in ("python speaks", "python complains", "native code speaks", "native code complains"):
        assert line in text


def test_kinds_work_side_by_side(workers: Workers, tmp_path: Path) -> None:
    """Each waits for the other; one after the other neither would see it."""
    files = [str(tmp_path / name) for name in "ab"]
    with ThreadPoolExecutor(2) as threads:
        calls = [
            threads.submit(workers.call, kind, does.wait_for, files[i], files[1 - i])
            for i, kind in enumerate(("a", "b"))
        ]
        assert [call.result() for call in calls] == [True, True]


def test_a_death_is_that_calls_alone(workers: Workers) -> None:
    """Calls that wait behind the one that dies are answered by the next process."""
    with ThreadPoolExecutor(4) as threads:
        dying = threads.submit(workers.call, "a", does.die, int(signal.SIGKILL))
        others = [threads.submit(workers.call, "a", does.add, i, 1) for i in range(3)]
        assert isinstance(dying.result(), Failure)
        assert [other.result() for other in others] == [1, 2, 3]


def test_threads_are_one_each_inside_and_as_before_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    with Workers(jobs=1, timeout=20, memory=LIMIT, logs=tmp_path / "logs") as started:
        assert started.call("a", does.environment, "OMP_NUM_THREADS") == "1"
        assert started.call("a", does.environment, "MKL_NUM_THREADS") == "1"
        process = started.call("a", does.pid)
        assert psutil.pid_exists(process)
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "MKL_NUM_THREADS" not in os.environ
    assert not psutil.pid_exists(process)


@pytest.mark.parametrize("how", ["leaving", "stopping"])
def test_the_end_does_not_wait_for_a_call_that_hangs(tmp_path: Path, how: str) -> None:
    """Nor does the thread that waits for it; it is a daemon, so that this test could fail and end."""
    raised: queue.Queue[BaseException] = queue.Queue()

    def wait() -> None:
        try:
            started.call("a", does.hang)
        except BaseException as error:
            raised.put(error)

    with Workers(jobs=1, timeout=600, memory=LIMIT, logs=tmp_path / "logs") as started:
        process = started.call("a", does.pid)
        threading.Thread(target=wait, daemon=True).start()
        assert started.call("b", does.add, 1, 1) == 2
        if how == "stopping":
            started.stop()
            assert isinstance(raised.get(timeout=10), CancelledError)
    assert not psutil.pid_exists(process)
    if how == "leaving":
        assert isinstance(raised.get(timeout=10), CancelledError)
    with pytest.raises(CancelledError):
        started.call("a", does.pid)


def test_no_secrets_and_no_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = {"HOME_OF_MINE": "x", "MONKEY": "banana", "XDG_SESSION_ID": "4", "TURNKEY_MODE": "1"}
    secret = {
        "HF_TOKEN": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "OPENAI_API_KEY": "c",
        "my_password": "d",
        "PIP_INDEX_URL": "https://{}@example.org/simple".format("me:hunter2"),
    }
    for name, value in {**kept, **secret, "WANDB_API_KEY": "e", "TRIANGULATE_PASS": "WANDB_API_KEY"}.items():
        monkeypatch.setenv(name, value)
    before = dict(os.environ)
    with Workers(jobs=1, timeout=20, memory=LIMIT, logs=tmp_path) as started:
        seen = started.call("a", does.whole_environment)
        safe, path = started.call("a", does.path)
    assert not set(secret) & set(seen)
    assert kept.items() <= seen.items()
    assert seen["WANDB_API_KEY"] == "e"
    assert safe
    assert "" not in path
    assert dict(os.environ) == before


def test_a_death_after_which_another_answers_is_told(workers: Workers, tmp_path: Path) -> None:
    deaths: list[str] = []
    assert workers.ask("a", does.die_once, [tmp_path / "once"], deaths=deaths) == "answered"
    (said,) = deaths
    assert said == "a process of a ended in die once (killed by signal SIGKILL); another one answered"
    failed(workers.ask("a", does.die, [int(signal.SIGKILL)], deaths=deaths), "crashed")
    assert len(deaths) == 1  # the second death is the answer


def test_killed_before_its_first_task(tmp_path: Path) -> None:
    """Whoever kills it then (a machine out of memory), it is a value."""
    with Workers(jobs=1, timeout=60, memory=LIMIT, logs=tmp_path) as started:
        killer = threading.Thread(target=_kill_all_for, args=(1.0,))
        killer.start()
        first = started.call("a", does.add, 1, 1)
        killer.join()
        assert first == 2 or "before it took up its work" in failed(first, "crashed")
        assert started.call("a", does.add, 1, 1) == 2


def _kill_all_for(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for child in psutil.Process().children():
            with contextlib.suppress(psutil.Error):
                if "resource_tracker" not in " ".join(child.cmdline()):
                    child.kill()
        time.sleep(0.01)


def test_no_more_files(tmp_path: Path) -> None:
    """One line, and nobody waits for a process that will never be there."""
    text = (
        "import resource, pathlib\nfrom onnx_triangulate.engines.workers import Workers\n"
        "from tests import worker_functions as does\n"
        "from onnx_triangulate import UnusableInput\nresource.setrlimit(resource.RLIMIT_NOFILE, (9, 9))\n"
        f"with Workers(jobs=1, timeout=5, memory=2**30, logs=pathlib.Path({str(tmp_path)!r})) as w:\n"
        "    try: w.call('a', does.add, 1, 1)\n    except UnusableInput as e: print('told:', e)\n"
    )
    ran = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert "told: no process can be started" in ran.stdout, ran
