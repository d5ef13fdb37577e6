"""A session whose worker is a function of a test's own, and a case that ran as the test says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onnx_triangulate.records.case import Case, CaseRef
from onnx_triangulate.records.runs import Model, Run
from onnx_triangulate.verification.case_run import CaseRun
from onnx_triangulate.verification.session import Options, Session


@dataclass(frozen=True)
class Answering:
    """Workers: what ``answer(KIND, FUNCTION, *ARGUMENTS)`` gives is their answer."""

    answer: Callable[..., Any]

    def ask(self, kind: str, function: Callable[..., Any], arguments: Sequence[Any], **_: Any) -> Any:
        return self.answer(kind, function, *arguments)


def session(answer: Callable[..., Any]) -> Session:
    return Session(Answering(answer), Options())


def case_run(
    folder: Path, runs: Mapping[str, Run], models: Mapping[str, Model], case: Case | None = None, **more: Any
) -> CaseRun:
    ref = more.pop("ref", CaseRef(folder / "case.py", "case/case"))
    return CaseRun(ref, case or Case("case", {}, {}), folder, 0, runs, models, **more)
