"""A sample of ``scripts/opset_sweep.py``: an operator at an old opset is what the converter makes of it."""

from __future__ import annotations

import importlib
import itertools
from pathlib import Path
from types import ModuleType

import onnx
import pytest

from onnx_triangulate.records.graph_comparison import GraphComparison

ROOT = Path(__file__).parents[2]
NEWEST = min(onnx.defs.onnx_opset_version(), 26)
OPS = "GridSample LpPool Gelu".split()


@pytest.fixture
def opset_sweep(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module("opset_sweep")


def test_no_healthy_pair_differs(opset_sweep: ModuleType) -> None:
    counted = opset_sweep.sweep(itertools.islice(opset_sweep.built(NEWEST), 0, None, 3))
    for op in OPS:
        counted += opset_sweep.sweep(opset_sweep.node_models(NEWEST, op), 4)
    assert counted["differs"] == 0
    assert counted["same"] > 12


@pytest.mark.parametrize("epsilon", [0.001, 0.01])
def test_a_fault_in_the_newer_file_differs(opset_sweep: ModuleType, tmp_path: Path, epsilon: float) -> None:
    pair = next(pair for pair in opset_sweep.built(NEWEST) if "BatchNormalization" in pair.name)
    node = next(node for node in pair.new.graph.node if node.op_type == "BatchNormalization")
    next(a for a in node.attribute if a.name == "epsilon").f = epsilon
    found = opset_sweep.verdict(pair, tmp_path)
    assert isinstance(found, GraphComparison)
    assert found.outcome == ("same" if epsilon == 0.001 else "differs")
