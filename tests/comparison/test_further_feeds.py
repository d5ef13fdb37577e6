"""An output that parts on a further feed, where float64 names no node: what that comes to, outcome by outcome."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest

from onnx_triangulate.comparison import further_feeds
from onnx_triangulate.comparison.session import Evidence
from onnx_triangulate.locate.feeds import Feed
from onnx_triangulate.locate.sweep import APART, Row
from onnx_triangulate.records.faults import Fault
from onnx_triangulate.records.graph_comparison import ComparedOutput

FAR, NEAR = 2 * APART, APART / 2


def judged(
    outcome: Any,
    *,
    kind: str = "uniform",
    score: float = FAR,
    problem: str | None = None,
    max_abs: float | None = 0.5,
    exact: bool = False,
    jumps: bool = False,
    whole: bool = False,
    sure: str = "",
    faults: tuple[Fault, ...] = (),
) -> Evidence:
    found = Evidence()
    found.faults += faults
    session: Any = SimpleNamespace(
        whole_outputs={"y"} if whole else set(), jumps=jumps, pair=None, call=lambda *asked: sure
    )
    row = Row(Feed(kind, {}), "apart", score, "y parts by 0.5")
    part = ComparedOutput("y", "y", "name", outcome, 4, max_abs, problem)
    further_feeds._judge_output(session, row, part, found, exact)
    return found


def said(found: Evidence) -> dict[str, list[str]]:
    lists = {name: getattr(found, name) for name in ("differences", "problems", "notes")}
    return {name: texts for name, texts in lists.items() if texts}


KERNEL = Fault("n", "Exp", "y", expected=1.0, actual=2.0, party="B>ort.off")


def test_beyond_its_bound_is_a_difference() -> None:
    assert said(judged("diverges")) == {"differences": ["on uniform inputs, y parts by 0.5"]}
    assert said(judged("diverges", faults=(KERNEL,))) == {}  # the kernel that departs does that
    assert said(judged("diverges", faults=(KERNEL,), max_abs=math.inf)) != {}  # but makes no infinity


@pytest.mark.parametrize(
    ("asked", "word"),
    [
        ({"sure": ""}, "notes"),
        ({"sure": "float64 says so"}, "differences"),
        ({"max_abs": None}, "differences"),
        ({"max_abs": math.nan}, "differences"),
        ({"whole": True, "kind": "counts"}, "differences"),
        ({"whole": True}, "notes"),
    ],
)
def test_at_a_jump_float64_has_to_say_so(asked: dict[str, Any], word: str) -> None:
    assert list(said(judged("diverges", jumps=True, **asked))) == [word]


def test_where_an_answer_changes_is_a_jump() -> None:
    assert list(said(judged("diverges", kind="where an answer changes"))) == ["notes"]


def test_without_a_bound_it_stays_open_unless_float64_has_judged_all_of_it() -> None:
    assert said(judged("unbounded")) == {"problems": ["on uniform inputs, y parts by 0.5, with no known bound"]}
    assert list(said(judged("unbounded", exact=True))) == ["notes"]
    assert list(said(judged("unbounded", exact=True, max_abs=math.inf))) == ["problems"]
    assert said(judged("unbounded", score=NEAR)) == {}
    assert said(judged("unbounded", faults=(KERNEL,))) == {}


def test_a_problem_within_rounding_counts_where_small_numbers_cancel() -> None:
    assert said(judged("rounding", kind="tiny", problem="y is 0")) == {"problems": ["on tiny inputs, y is 0"]}
    assert said(judged("rounding", problem="y is 0")) == {}
    assert said(judged("rounding", kind="tiny")) == {}
    assert said(judged("rounding", kind="tiny", problem="y is 0", faults=(KERNEL,))) == {}
    assert said(judged("equal")) == {}
