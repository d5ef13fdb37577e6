"""The files of a command: which formats fit which record, one standard output, a picture drawn only where asked for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from onnx_triangulate import inspect
from onnx_triangulate.cli.outputs import Outputs, outputs
from onnx_triangulate.facts.model_view import viewed
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


CASE = """import pathlib
from onnx_triangulate import Case, Tensor
CASES = (Case("only", inputs={"x": Tensor("n", (2,))}, builders={"torch": lambda torch: lambda x: x},
              inputs_file="x.npz", onnx={"torch": "model.onnx"}),)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A case with files of its own, and a model whose numbers lie beside it."""
    tensor = onnx.numpy_helper.from_array(np.arange(300, dtype=np.float32), "w")
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Add", ["x", "w"], ["y"])],
        "g",
        [onnx.helper.make_tensor_value_info("x", 1, [300])],
        [onnx.helper.make_tensor_value_info("y", 1, [300])],
        [tensor],
    )
    model = onnx.helper.make_model(graph, ir_version=8, opset_imports=[onnx.helper.make_opsetid("", 18)])
    onnx.save(model, tmp_path / "model.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    (tmp_path / "case.py").write_text(CASE)
    np.savez(tmp_path / "x.npz", x=np.ones(2, np.float32))
    return tmp_path


@pytest.mark.parametrize(
    ("words", "file"),
    [
        *[(["verify", "case.py"], file) for file in ("case.py", "x.npz", "model.onnx", "w.bin")],
        *[(["compare", "model.onnx", "model.onnx"], file) for file in ("model.onnx", "w.bin")],
        *[(["inspect", "model.onnx"], file) for file in ("model.onnx", "w.bin")],
    ],
)
def test_no_file_that_is_read_is_written_over(folder: Path, words: list[str], file: str) -> None:
    before = (folder / file).read_bytes()
    command = [sys.executable, "-m", "onnx_triangulate", *words, "--report", f"json=./{file}"]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert ran.returncode == 2
    assert "it is a file that this command reads; name another one" in ran.stderr
    assert len(ran.stderr.splitlines()) == 1
    assert (folder / file).read_bytes() == before
