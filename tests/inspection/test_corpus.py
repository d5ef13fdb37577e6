"""Every model that ships with the onnx package is looked into without an exception and without a rule that fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from onnx import ModelProto
from onnx.backend.test import loader

import onnx_triangulate
from onnx_triangulate.records.inspection import Inspection

FOLDER = Path(loader.DATA_DIR)
FOLDERS = ("light", "pytorch-converted", "pytorch-operator", "simple")
PARTS = 8


def faults(name: str, model: ModelProto | Path) -> Iterator[str]:
    try:
        found = onnx_triangulate.inspect(model)
    except Exception as error:
        yield f"{name}: {type(error).__name__}: {error}"
        return
    yield from (f"{name}: {fault}" for fault in faults_of(found))


def faults_of(found: Inspection) -> Iterator[str]:
    """Rules that failed, engines that gave no answer, and what is called an error although onnx ships it."""
    yield from (note for note in found.notes if "failed" in note or "no answer" in note)
    yield from (diagnostic.message for diagnostic in found.diagnostics if diagnostic.severity == "error")


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_node_models(part: int, node_tests: list[Any]) -> None:
    models = {test.name: test.model for test in node_tests}
    mine = list(models.items())[part::PARTS]
    assert len(mine) > 200
    assert [fault for name, model in mine for fault in faults(name, model)] == []


@pytest.mark.slow
@pytest.mark.parametrize("folder", FOLDERS)
def test_models_in_files(folder: str) -> None:
    files = sorted((FOLDER / folder).rglob("*.onnx"))
    assert files
    assert [fault for file in files for fault in faults(str(file.relative_to(FOLDER)), file)] == []


def test_a_fault_is_noticed(tmp_path: Path) -> None:
    """One model that is no model, and an inspection in which a rule failed."""
    file = tmp_path / "model.onnx"
    file.write_bytes(b"no model")
    (fault,) = faults("planted", file)
    assert "planted: UnusableInput" in fault
    failed = Inspection(None, "", 8, {}, {}, {}, {}, notes=("rule PAD001 failed: KeyError",))
    assert list(faults_of(failed)) == ["rule PAD001 failed: KeyError"]
