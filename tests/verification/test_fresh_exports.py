"""What is fed to a given file and a fresh export: by which ports, in which order, and said in words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from onnx_triangulate.locate.feed_sweep import Row, in_parts
from onnx_triangulate.locate.feeds import Feed, ValueInfo
from onnx_triangulate.locate.graph_pair import turned_axes
from onnx_triangulate.onnxgraph.dataflow import Orientation
from onnx_triangulate.records.runs import Failure
from onnx_triangulate.verification.fresh_exports import _back, _joined, _said, _telling


def feeds(*kinds: str) -> list[Feed]:
    return [Feed(kind, {"x": (2,)}) for kind in kinds]


def parted(kind: str, score: float) -> Row:
    return Row(Feed(kind, {}), "apart", score, arrays=Path("arrays.npz"))


def test_one_feed_of_a_kind_and_the_odd_ones_last() -> None:
    rows = [parted("nan", np.inf), parted("far", 1.0), parted("far", 3.0), parted("even", np.inf)]
    rows += [Row(Feed("ones", {}), "equal"), Row(Feed("zeros", {}), "apart", 9.0)]  # of the last no arrays were kept
    assert [(row.feed.kind, row.score) for row in _telling(rows)] == [("even", np.inf), ("far", 3.0), ("nan", np.inf)]


@pytest.mark.parametrize(
    ("kind", "value", "says"),
    [
        ("far", np.float32([-2.5, 1e4]), "further inputs (far: x -2.5 to 10000)"),
        ("nan", np.float32([np.nan, np.inf, 1]), "further inputs (nan: x NaN and infinities and 1)"),
        ("counts", np.int64([49, 49]), "further inputs (counts: x 49)"),
        ("flags", np.array([True]), "further inputs (flags)"),
    ],
)
def test_inputs_in_words(kind: str, value: np.ndarray, says: str) -> None:
    assert _said(Row(Feed(kind, {}), "apart"), {"x": value}) == says


def test_a_table_of_either_graph_bounds_its_places() -> None:
    ours, theirs = ValueInfo("i", "int64", (2,), free=True), ValueInfo("j", "int64", (2,), below=50)
    assert _joined([ours], [theirs], {"j": ("i", Orientation())}) == (ValueInfo("i", "int64", (2,), below=50),)


def test_axes_are_moved_there_and_back() -> None:
    way = turned_axes("n c h w".split(), "n h w c".split())
    value = np.arange(24).reshape(1, 2, 3, 4)
    assert way.apply(value).shape == (1, 3, 4, 2)
    assert np.array_equal(_back(way).apply(way.apply(value)), value)
    assert turned_axes("n n".split(), "n m".split()) == Orientation()


def test_what_kills_the_worker_costs_its_own_feed_alone() -> None:
    asked: list[int] = []

    def ask(some: Sequence[Feed], part: int, seconds: float) -> list[Row] | Failure:
        asked.append(len(some))
        if any(feed.kind == "deadly" for feed in some):
            return Failure("crashed", "killed")
        return [Row(feed, "equal") for feed in some]

    rows, lost = in_parts(ask, feeds("a", "b", "deadly", "c"), 10.0)
    assert [row.feed.kind for row in rows] == ["a", "b", "c"]
    assert lost == ["deadly: the run ended in crashed"]
    assert asked == [4, 2, 2, 1, 1]


def test_a_file_that_is_not_loaded_is_not_asked_again() -> None:
    rows, lost = in_parts(lambda some, part, seconds: Failure("refused", "no"), feeds("a", "b"), 10.0)
    assert (rows, lost) == ([], ["further feeds: no"])
