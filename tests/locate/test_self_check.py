"""F12: the localization is asked where the answer is known, and a broken one is not believed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from onnx_triangulate.locate import export_nodes, kernels, node_search, self_check
from onnx_triangulate.records.case import CaseRef
from onnx_triangulate.records.errors import BrokenCheck
from onnx_triangulate.records.runs import Model


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    whole = self_check._problem
    whole.cache_clear()
    yield
    whole.cache_clear()


def test_the_localization_is_sound() -> None:
    self_check.require_sound()


def nobody(found: Any) -> Any:
    return replace(found, faults=())


def everybody(found: Any) -> Any:
    return replace(found, faults=found.faults or found.uncompared or (export_nodes.Fault("first", "MatMul", "a", 2.0),))


def the_next_one(found: Any) -> Any:
    return replace(found, faults=tuple(replace(error, node="third") for error in found.faults))


def without_looking(found: Any) -> Any:
    return replace(found, judged=0)


@pytest.mark.parametrize("view", ["kernels", "exported"])
@pytest.mark.parametrize("fault", [nobody, everybody, the_next_one, without_looking])
def test_a_broken_localization_is_noticed(monkeypatch: pytest.MonkeyPatch, view: str, fault: Any) -> None:
    holder = kernels if view == "kernels" else export_nodes
    whole = getattr(holder, view)
    monkeypatch.setattr(holder, view, lambda *given, **more: fault(whole(*given, **more)))
    with pytest.raises(BrokenCheck, match=r"wrong where the answer is known: in an? (run|export)"):
        self_check.require_sound()


def test_a_broken_localization_names_nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(self_check, "_problem", lambda: "nobody named")
    model = Model("torch", tmp_path / "never read.onnx")
    with pytest.raises(BrokenCheck):
        node_search.localize_nodes(
            node_search.BlamedGraph(CaseRef(tmp_path / "c.py", "c"), model, "kernel", "torch>ort.off", 0)
        )
