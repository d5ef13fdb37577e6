"""What a session asks of its workers, and what it does not ask again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from onnx_triangulate.locate.node_search import BlamedGraph, localize_nodes
from onnx_triangulate.records.case import CaseRef
from onnx_triangulate.records.runs import Failure, Model
from tests.verification.sessions import session

LATE = Failure("timeout", "no answer within 120 s")


def message(item: str, failure: Failure) -> str:
    return failure.message


def blamed(graph: str, blame: str = "kernel", *, size: int = 2) -> BlamedGraph:
    ref = CaseRef(Path("case.py"), "case/case", sizes=(("n", size),))
    return BlamedGraph(ref, Model(graph), blame, f"{graph}>ort.off", 0)


@pytest.mark.parametrize(
    ("second", "again"),
    [
        (blamed("torch", size=5), False),
        (blamed("torch:raw"), True),
        (blamed("torch", "reference"), True),
    ],
)
def test_what_reached_its_limit_is_not_asked_again_at_another_size(second: BlamedGraph, again: bool) -> None:
    asked: list[BlamedGraph] = []

    def answer(kind: str, function: Callable[..., Any], graph: BlamedGraph) -> Failure:
        asked.append(graph)
        return LATE

    mine = session(answer)
    assert mine.call_runtimes(localize_nodes, blamed("torch")) == LATE
    assert mine.call_runtimes(localize_nodes, second) == LATE
    assert asked == [blamed("torch"), *([second] if again else [])]


def test_what_kills_its_process_costs_its_own_item_alone() -> None:
    def answer(kind: str, function: Callable[..., Any], items: list[str]) -> Any:
        return Failure("crashed", "killed") if "b" in items else [item.upper() for item in items]

    mine = session(answer)
    found = mine.each(
        "torch", print, lambda some: (list(some),), ["a", "b", "c"], lambda item, failure: failure.message
    )
    assert found == ["A", "killed", "C"]


def test_after_two_limits_the_others_of_a_batch_are_not_asked() -> None:
    mine = session(lambda kind, function, items: LATE)
    failed = mine.each(
        "torch", print, lambda some: (list(some),), ["a", "b", "c"], lambda item, failure: failure.message
    )
    assert failed[:2] == [LATE.message, LATE.message]
    assert failed[2] == f"not asked, for 2 others: {LATE.message}"
