"""Runs through the real engines, made once per session and looked at by many tests.

Starting the engines costs seconds, so the planted cases of ``tests/case_files`` run in few batches; the batch that
mostly waits for a time limit runs beside the others.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import onnx
import pytest

from onnx_triangulate.comparison.options import Options as PairOptions
from onnx_triangulate.comparison.run import compare_with
from onnx_triangulate.engines.workers import Workers
from onnx_triangulate.records.graph_comparison import GraphComparison
from onnx_triangulate.records.runs import Diff
from onnx_triangulate.records.verdict import Report, Verdict
from onnx_triangulate.verification.verify import Options, verify

os.environ.pop("PYTHONUNBUFFERED", None)  # users have none, and what is buffered may fail late or be lost

ROOT = Path(__file__).resolve().parent.parent
CASES = ROOT / "tests" / "case_files"
Json = dict[str, Any]


@dataclass(frozen=True)
class Ran:
    """One run of the command: what it said and, if it wrote one, its report and its folder of artefacts."""

    status: int
    stdout: str
    stderr: str
    report: Json
    out: Path

    def case(self, name: str) -> Json:
        return next(case for case in self.report["cases"] if case["case"] == name)


@dataclass(frozen=True)
class Planted:
    """What the planted cases came to, by name (``faults/transposed``)."""

    report: Report
    out: Path

    def __getitem__(self, name: str) -> Verdict:
        return next(verdict for verdict in self.report.verdicts if verdict.case == name)

    def edge(self, name: str, left: str, right: str) -> Diff:
        return next(e for e in self[name].evidence.edges if (e.left, e.right) == (left, right))


def start(*words: str | Path, **variables: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "pipeline"), "COLUMNS": "100", **variables}
    return subprocess.Popen(
        [sys.executable, "-m", "onnx_triangulate", *map(str, words)],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


PROGRESS = re.compile(r"triangulate: \d+ of \d+: \S+ \w+\n")


def finish(process: subprocess.Popen[str], out: Path | None = None) -> Ran:
    stdout, stderr = process.communicate(timeout=1800)  # the catalogue beside other tests, on a slow machine
    stderr = PROGRESS.sub("", stderr)
    if out is None:
        return Ran(process.returncode, stdout, stderr, {}, ROOT)
    file = out / "report.json"
    assert file.is_file(), f"status {process.returncode}, no report: {stderr}"
    return Ran(process.returncode, stdout, stderr, json.loads(file.read_text(encoding="utf-8")), out)


@pytest.fixture(scope="session")
def triangulate() -> Callable[..., Ran]:
    """Run the command with some words, in a process of its own."""

    def run(*words: str | Path, out: Path | None = None, **variables: str) -> Ran:
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
        kept = () if out is None else ("--out", out, "--json", out / "report.json")
        return finish(start(*words, *kept, **variables), out)

    return run


@pytest.fixture(scope="session")
def limits_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    out = tmp_path_factory.mktemp("limits")
    words = ("verify", CASES / "limits.py", "--timeout", "25", "--memory", "1.5")
    process = start(*words, "--out", out, "--json", out / "report.json")
    yield process, out
    process.kill()
    process.wait()


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory, limits_process: Any) -> Planted:
    """The planted faults and deaths beside healthy cases, in one run through the Python API."""
    out = tmp_path_factory.mktemp("planted")
    targets = [str(CASES / f"{name}.py") for name in ("faults", "faulty", "optimizer", "deaths", "healthy")]
    return Planted(verify(targets, Options(out=out)), out)


@pytest.fixture(scope="session")
def limits(limits_process: tuple[subprocess.Popen[str], Path]) -> Ran:
    """A case that hangs, one that grows and a healthy one, under tight limits."""
    return finish(*limits_process)


@pytest.fixture(scope="session")
def catalogue(tmp_path_factory: pytest.TempPathFactory, triangulate: Callable[..., Ran], limits_process: Any) -> Ran:
    """The whole bundled catalogue."""
    return triangulate("verify", out=tmp_path_factory.mktemp("catalogue"))


@pytest.fixture(scope="session")
def healthy(tmp_path_factory: pytest.TempPathFactory, triangulate: Callable[..., Ran]) -> Ran:
    """The healthy cases again, without the ones that kill, two processes per engine."""
    return triangulate("verify", CASES / "healthy.py", "--jobs", "2", out=tmp_path_factory.mktemp("healthy"))


@pytest.fixture(scope="session")
def broken(tmp_path_factory: pytest.TempPathFactory, triangulate: Callable[..., Ran]) -> Ran:
    """Cases that cannot be used, and a bundled one with another seed than usual."""
    out = tmp_path_factory.mktemp("broken")
    return triangulate("verify", CASES / "broken.py", "leaky_relu/slope_0_2", "--seed", "1", out=out)


@pytest.fixture(scope="session")
def node_tests() -> list[Any]:
    """ONNX's own node tests (``name``, ``model``, ``data_sets``): making them takes long, so it is done once."""
    from onnx.backend.test.loader import load_model_tests

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = [t for t in load_model_tests(kind="node") if t.model is not None]
    assert len(found) > 1600
    return found


@pytest.fixture(scope="module")
def compared(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[onnx.ModelProto, onnx.ModelProto], GraphComparison]]:
    """Two models compared in one worker for all."""
    with Workers(jobs=1, timeout=60, memory=8 * 2**30, logs=tmp_path_factory.mktemp("logs")) as workers:

        def run(a: onnx.ModelProto, b: onnx.ModelProto) -> GraphComparison:
            folder = tmp_path_factory.mktemp("pair")
            for name, proto in (("a", a), ("b", b)):
                onnx.save(proto, folder / f"{name}.onnx")
            return compare_with(workers, folder / "a.onnx", folder / "b.onnx", PairOptions(), folder)

        yield run


RUNS = ("limits_process", "planted", "limits", "catalogue", "healthy", "broken")
_ASKS = re.compile(rf"\b(?:{'|'.join(RUNS)})\b: (?:Planted|Ran|Any|tuple)")


@cache
def asks_for_a_run(file: str) -> bool:
    """Whether a file of tests looks at a run of the engines that is made once a session."""
    return _ASKS.search((ROOT / file).read_text(encoding="utf-8")) is not None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that look at a run of the engines are slow; files that hold slow tests come first."""
    for item in items:
        given = [v for v in item.callspec.params.values() if isinstance(v, str)] if hasattr(item, "callspec") else []
        if set(RUNS) & {*getattr(item, "fixturenames", ()), *given}:  # a run is also asked for by its name
            item.add_marker("slow")
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """On several processes: by file, and all files that look at runs of the engines on one, which makes them once.

    pytest-xdist's own groups are lost on pytest 9.2, whose names of tests cannot be extended.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByRun(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return "runs" if asks_for_a_run(file) else file

    config.option.loadscopereorder = False  # they are in order
    return ByRun(config, log)
