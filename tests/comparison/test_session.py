"""What hangs or outgrows its memory is not asked again; what ended otherwise is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from onnx_triangulate.comparison.session import _SAME_EACH_TIME, WorkerCalls
from onnx_triangulate.records.runs import Failure


class Answering:
    def __init__(self, answer: Any) -> None:
        self.answer, self.asked, self.deaths = answer, 0, [""]

    def call(self, kind: str, function: Callable[..., Any], *arguments: Any) -> Any:
        self.asked += 1
        return self.answer


def other() -> None:
    """What is a question of its own each time."""


@pytest.mark.parametrize(
    ("answer", "asked"),
    [
        (Failure("timeout", "hung"), 1),
        (Failure("memory", "grew"), 1),
        (Failure("crashed", "died"), 2),
        ("an answer", 2),
    ],
)
def test_only_a_limit_that_was_reached_is_remembered(tmp_path: Path, answer: Any, asked: int) -> None:
    workers: Any = Answering(answer)
    calls = WorkerCalls(workers)
    a, b = tmp_path / "a.onnx", tmp_path / "b.onnx"
    a.touch()
    b.touch()
    feeds = [tmp_path / f"{i}.npz" for i in range(2)]
    for feed in feeds:
        feed.touch()
        assert calls.call("graphs", _SAME_EACH_TIME[0], a, b, feed) == answer
    assert workers.asked == asked
    calls.call("graphs", _SAME_EACH_TIME[0], b, feeds[0])  # about other files
    calls.call("graphs", other, a, b)
    calls.call("graphs", other, a, b)
    assert workers.asked == asked + 3
