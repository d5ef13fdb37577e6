"""The files of a command: which formats fit which record, one standard output, a picture drawn only where asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest

from onnx_triangulate import inspect
from onnx_triangulate.cli.outputs import Outputs, outputs
from onnx_triangulate.facts.view import viewed
from onnx_triangulate.inspection.drawing import draw as drawing
from onnx_triangulate.records.errors import UnusableInput
from onnx_triangulate.records.graph_comparison import GraphComparison
from onnx_triangulate.records.inspection import Inspection, Picture
from onnx_triangulate.records.verdict import Report


@pytest.fixture
def found(tmp_path: Path) -> Inspection:
    text = '<ir_version: 8, opset_import: ["" : 18]> g (float[4] x) => (float[4] y) { [relu] y = Relu (x) }'
    onnx.save(onnx.parser.parse_model(text), tmp_path / "model.onnx")
    return inspect(tmp_path / "model.onnx")


def drawer(found: Inspection, asked: list[int]) -> Any:
    def draw(most: int) -> Picture:
        asked.append(most)
        return Picture(drawing(viewed(Path(found.file)), found, most=most), found)

    return draw


def test_each_file_gets_its_own_text_and_only_a_picture_is_drawn(tmp_path: Path, found: Inspection) -> None:
    made = outputs({"json": str(tmp_path / "a.json")}, [f"mermaid={tmp_path}/a.mmd"], [Inspection, Picture])
    asked: list[int] = []
    made.write(found, drawer(found, asked))
    assert (tmp_path / "a.json").read_text().startswith("{")
    assert "Relu" in (tmp_path / "a.mmd").read_text()
    assert len(asked) == 1
    assert made.pictures
    assert not made.standard


def test_without_a_picture_nothing_is_drawn(tmp_path: Path, found: Inspection) -> None:
    made = outputs({"json": str(tmp_path / "a.json")}, [], [Inspection, Picture])
    asked: list[int] = []
    made.write(found, drawer(found, asked))
    assert (tmp_path / "a.json").exists()
    assert asked == []
    assert not made.pictures


def test_nothing_asked_for_is_nothing_written(found: Inspection) -> None:
    made = outputs({"json": None}, [], [Inspection])
    made.write(found)
    assert made == Outputs()
    assert not made.standard


@pytest.mark.parametrize(
    ("options", "reports", "says"),
    [
        ({"json": "-"}, ["text=-"], "standard output can be one of --json and --report"),
        ({}, ["mermaid=a.mmd"], "this command has nothing for that format"),
        ({}, ["pdf=a.pdf"], "no such format"),
        ({}, ["json"], "expected FORMAT=FILE"),
        ({}, ["json= "], "expected FORMAT=FILE"),
        ({}, ["=a.json"], "expected FORMAT=FILE"),
    ],
)
def test_what_cannot_be_written_is_said_before_any_work(options: dict[str, str], reports: list[str], says: str) -> None:
    with pytest.raises(UnusableInput, match=says):
        outputs(options, reports, [Report])


def test_a_comparison_has_its_json_on_standard_output() -> None:
    assert outputs({"json": "-"}, [], [GraphComparison]).standard
