"""What the commands say of cases and of pairs of files: each verdict a line of JSON, engines started once.

A line is written as soon as there is a verdict, and what is there is not asked again: a run that is stopped goes on
where it was.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from onnx_triangulate.comparison import run as compare_graphs
from onnx_triangulate.comparison.options import Options as PairOptions
from onnx_triangulate.records.errors import UnusableInput
from onnx_triangulate.records.graph_comparison import GraphComparison
from onnx_triangulate.records.verdict import Verdict
from onnx_triangulate.verification import verify

Line = dict[str, Any]
TIMEOUT = 300.0


class Lines:
    """A file of records, one a line, by key."""

    def __init__(self, file: Path) -> None:
        self.file = file
        file.parent.mkdir(parents=True, exist_ok=True)
        lines = file.read_text().splitlines() if file.exists() else []
        self.known: dict[str, Line] = {}
        for text in lines:
            if text.endswith("}"):  # the last one may have been cut off
                line = json.loads(text)
                self.known[line["key"]] = line

    def __contains__(self, key: str) -> bool:
        return key in self.known

    def add(self, line: Line) -> None:
        self.known[line["key"]] = line
        with self.file.open("a") as out:
            out.write(json.dumps(line) + "\n")


def of_verify(verdict: Verdict) -> Line:
    """A verdict as a line: the status, the words, and who is blamed at which operator."""
    return {
        "status": verdict.status,
        "words": list(verdict.blame),
        "blames": [
            {"blame": b.blame, "party": b.party, "op": b.op, "nodes": list(b.nodes), "size": b.size, "says": b.message}
            for b in verdict.evidence.blames
        ],
        "unexpected": sorted({b.blame for b in verdict.unexpected}),
        "problems": list(verdict.problems),
        "missing": sorted({d.problem or "" for d in verdict.evidence.edges if d.outcome == "missing"})[:4],
        "parties": sum(run.outputs is not None for run in verdict.evidence.runs.values()),
    }


def of_compare(found: GraphComparison) -> Line:
    """A comparison as a line; whatever grade of "same" the record has is kept."""
    grade = getattr(found, "grade", None) or getattr(found, "rests", None)
    return {
        "status": found.outcome,
        "exit": found.exit_status,
        "grade": str(grade) if grade else "",
        "guilty": [{"node": g.node, "op": g.op, "party": g.party, "ratio": g.ratio} for g in found.faults][:6],
        "problems": list(found.problems)[:6],
        "notes": list(found.notes)[:6],
        "feeds": list(found.feeds),
    }


def verify_cases(
    file: Path, names: Sequence[str], lines: Lines, options: verify.Options, key: Callable[[str], str] = str
) -> None:
    """Verify cases of one file that have no line yet; ``key`` makes a line's key of a case's name."""
    waiting = [name for name in names if key(name) not in lines]
    before = time.perf_counter()

    def keep(verdict: Verdict, _: int, __: int) -> None:
        nonlocal before
        name = verdict.case.partition("/")[2]
        now = time.perf_counter()
        lines.add({"key": key(name), "note": verdict.note, **of_verify(verdict), "seconds": round(now - before, 2)})
        before = now

    if waiting:
        verify.verify([f"{file}::{name}" for name in waiting], options, progress=keep)


class _Lasting:
    """Workers that outlive the comparison that asks for them, so that engines start once and not once a pair."""

    def __init__(self, made: Callable[..., Any], logs: Path) -> None:
        self._workers = made(jobs=1, timeout=TIMEOUT, memory=6 * 2**30, logs=logs).__enter__()

    def __call__(self, **_: Any) -> Self:
        return self

    def __enter__(self) -> Any:
        return self._workers

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        return None

    def end(self) -> None:
        self._workers.__exit__(None, None, None)


@contextmanager
def lasting_workers(logs: Path) -> Iterator[None]:
    """Comparisons in here share one process; where ``compare`` starts its workers otherwise, each has its own."""
    module: Any = compare_graphs  # its class of workers is replaced for a while
    made = getattr(module, "Workers", None)
    if made is None:
        yield
        return
    lasting = _Lasting(made, logs)
    module.Workers = lasting
    try:
        yield
    finally:
        module.Workers = made
        lasting.end()


def compared(left: Path, right: Path, **more: Any) -> Line:
    """What ``compare`` says of two files."""
    started = time.perf_counter()
    options = replace(PairOptions(timeout=TIMEOUT), **more)
    try:
        line = of_compare(compare_graphs.compare_files(left, right, options))
    except UnusableInput as error:
        line = {"status": "unusable", "exit": 2, "problems": [str(error)], "guilty": [], "notes": [], "grade": ""}
    except Exception as error:  # a bug of the tool is a verdict too, and the worst sort but one
        line = {
            "status": "tool",
            "exit": 3,
            "problems": [f"{type(error).__name__}: {error}"],
            "guilty": [],
            "notes": [],
        }
    return line | {"seconds": round(time.perf_counter() - started, 2)}
