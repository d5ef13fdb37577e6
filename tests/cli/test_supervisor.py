"""The command line holds nothing itself: what the user's files do happens in a process that may die."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnx
import psutil
import pytest

from onnx_triangulate.cli import supervisor
from onnx_triangulate.records.runs import Failure
from onnx_triangulate.records.verdict import Evidence, Report, Verdict
from onnx_triangulate.verification.session import Options
from onnx_triangulate.verification.verify import exit_status

ROOT = Path(__file__).resolve().parents[2]
HEAD = "from onnx_triangulate import Case, Tensor\n"
CASES = "CASES = (Case('a', inputs={'x': Tensor('n', (3,))}, builders={'torch': lambda torch: torch.abs}),)\n"
RELU = '<ir_version: 10, opset_import: ["" : 20]> g (float[N] x) => (float[N] y) { y = Relu(x) }'
TRAP = "open({told!r}, 'a').write({name!r}); raise SystemExit('code beside the model was run')\n"
SUPERVISOR = 200 << 20


def command(*words: str | Path, cwd: Path = ROOT, temporary: Path | None = None) -> subprocess.Popen[str]:
    variables = {"PYTHONPATH": str(ROOT / "pipeline"), **({"TMPDIR": str(temporary)} if temporary else {})}
    return subprocess.Popen(
        [sys.executable, "-m", "onnx_triangulate", *map(str, words)],
        cwd=cwd,
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heeding_interrupts,  # noqa: PLW1509  no thread of this process holds a lock that it needs
    )


def heeding_interrupts() -> None:
    """As a terminal starts a command: what a shell starts in the background ignores interrupts, and hands that on."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def finished(process: subprocess.Popen[str]) -> Any:
    """What the command said, and how large the process itself became."""
    peak, known = 0, psutil.Process(process.pid)
    while process.poll() is None:
        try:
            peak = max(peak, known.memory_info().rss)
        except psutil.Error:
            break
        time.sleep(0.02)
    out, err = process.communicate()
    return SimpleNamespace(status=process.returncode, out=out, err=err, peak=peak)


def relu(folder: Path, size: int) -> Path:
    model = onnx.parser.parse_model(RELU.replace("N", str(size)))
    onnx.save(model, folder / "a.onnx")
    return folder / "a.onnx"


def test_nothing_beside_the_model_is_imported(tmp_path: Path) -> None:
    """Of the standard library, of what this is built on, and what Python imports by itself on its start."""
    file, told = relu(tmp_path, 2), tmp_path / "told"
    for name in ("pickle", "random", "json", "sitecustomize", "numpy", "onnx", "psutil", "typing", "signal"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(TRAP.format(told=str(told), name=name))
        (tmp_path / f"{name}.py").write_text(TRAP.format(told=str(told), name=name))
    for words in (["compare", file.name, file.name], ["inspect", file.name]):
        ran = finished(command(*words, cwd=tmp_path))
        assert (ran.status, told.exists()) == (0, False), ran.err


def test_large_inputs_of_a_small_file_are_not_held_here(tmp_path: Path) -> None:
    file = relu(tmp_path, 1 << 24)
    ran = finished(command("compare", file, file, "--memory", "0.3"))
    assert ran.status == 2
    assert ran.err.startswith("triangulate: ")
    assert "memory" in ran.err
    assert len(ran.err.splitlines()) == 1
    assert 0 < ran.peak < SUPERVISOR


def test_what_a_case_file_prints_is_not_in_the_list(tmp_path: Path) -> None:
    noise = "import os\nprint('NOISE')\nos.write(1, b'NOISE')\nos.system('echo NOISE')\nheld = bytearray(1 << 28)\n"
    file = tmp_path / "noisy.py"
    file.write_text(noise + HEAD + CASES)
    ran = finished(command("list", file))
    assert (ran.status, ran.out.split(), ran.err) == (0, ["noisy/a", "torch"], "")
    assert 0 < ran.peak < SUPERVISOR


@pytest.mark.parametrize(
    ("text", "says"),
    [("while True: pass\n", "no answer within 2 s"), ("import os; os.abort()\n", "SIGABRT")],
)
def test_a_case_file_that_never_ends(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "endless.py"
    file.write_text(text + HEAD + CASES)
    ran = finished(command("verify", file, "--timeout", "2"))
    assert ran.status == 2
    assert says in ran.err
    assert len(ran.err.splitlines()) == 1


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_a_signal_leaves_nothing_behind(tmp_path: Path, number: signal.Signals, status: int) -> None:
    file, other = relu(tmp_path, 2), tmp_path / "other.onnx"
    model = onnx.load(file)
    model.graph.node[0].op_type = "Abs"  # no proof ends it at once
    onnx.save(model, other)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    process = command("compare", file, other, temporary=temporary)
    while not list(temporary.glob("*/*")):
        time.sleep(0.05)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == status
    assert (out, err) == ("", "triangulate: interrupted\n" if number == signal.SIGINT else "")
    assert list(temporary.iterdir()) == []


def verdict(name: str) -> Verdict:
    return Verdict(name, "expected", ("agree",), Evidence(name, {}, {}, {}, (), (), ()))


@pytest.fixture
def judges(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[Any]], list[Any]]:
    """Judges that tell the names of three cases, finish some, and end as planned."""

    def plant(plan: list[Any]) -> list[Any]:
        asked: list[Any] = []

        def judged(function: Any, arguments: Any, memory: int, folder: Path, loading: Any, told: Any) -> Any:
            asked.append((arguments[2], arguments[3]))
            done, end = plan.pop(0)
            told((Report({}, 0, 1, ()), ("a", "b", "c")))
            for name in done:
                told(verdict(name))
            if isinstance(end, BaseException):
                raise end
            return end

        monkeypatch.setattr(supervisor, "_judged", judged)
        return asked

    return plant


DEATH = Failure("memory", "9 GiB resident")


def test_a_case_that_kills_its_judge_twice_is_undecided(judges: Callable[[list[Any]], list[Any]]) -> None:
    asked = judges([(["a"], DEATH), ([], DEATH), (["c"], Report({}, 0, 0, ()))])
    report = supervisor.verify(["x"], Options())
    assert asked == [((), False), (("a",), True), (("a", "b"), True)]
    assert [v.case for v in report.verdicts] == ["a", "b", "c"]
    lost = report.verdicts[1]
    assert lost.status == "undecided"
    assert "9 GiB resident" in lost.deaths[0]
    assert report.exit_status == exit_status(report.verdicts) == 1
    assert any("another one went on" in notice for notice in report.notices)


def test_what_is_finished_survives_an_interrupt(judges: Callable[[list[Any]], list[Any]]) -> None:
    judges([(["a"], KeyboardInterrupt())])
    with pytest.raises(supervisor.Interrupted) as caught:
        supervisor.verify(["x"], Options())
    assert [v.case for v in caught.value.report.verdicts] == ["a"]
    judges([([], KeyboardInterrupt())])
    with pytest.raises(KeyboardInterrupt) as nothing:
        supervisor.verify(["x"], Options())
    assert not isinstance(nothing.value, supervisor.Interrupted)


def test_json_alone_is_on_standard_output(tmp_path: Path) -> None:
    file = relu(tmp_path, 2)
    ran = finished(command("compare", file, file, "--json", "-"))
    assert ran.status == 0
    assert json.loads(ran.out)["outcome"] == "same"
