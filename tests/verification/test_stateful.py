"""A model that remembers its calls or draws is no function of its inputs; its healthy twins are left alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from onnx_triangulate.cases import catalogue
from onnx_triangulate.engines import running
from onnx_triangulate.engines.frameworks import _model_state
from onnx_triangulate.verification.verify import Options, verify

pytestmark = pytest.mark.slow  # the engines run

FILE = Path(__file__).parents[1] / "case_files" / "stateful.py"
REFS = {ref.name.partition("/")[2]: ref for ref in catalogue.find([str(FILE)])}
SAID = {
    "remembers_calls": "(calls)",
    "remembers_rows": "(k)",
    "remembers_mean": "(k)",
    "remembers_largest": "depends on the inputs that it was asked before",
    "remembers_first": "depends on the inputs that it was asked before",
    "remembers_list": "(seen",
    "remembers_closure": "(calls",
    "remembers_variable": "remembers its calls",
}


@pytest.mark.parametrize("name", sorted(REFS))
def test_memory_and_chance(name: str, tmp_path: Path) -> None:
    (framework,) = catalogue.load(REFS[name]).builders
    (run,) = running.run_native(REFS[name], framework, [False], 0, tmp_path)
    assert run.error is None
    assert run.deterministic is not name.startswith(("remembers", "draws"))
    if name.startswith("draws"):
        assert "draws random numbers" in run.nondeterminism
    assert SAID.get(name, "") in run.nondeterminism


def test_statistics_that_move_are_told_and_are_no_alarm(tmp_path: Path) -> None:
    (run,) = running.run_native(REFS["batch_norm_trains"], "torch", [False], 0, tmp_path)
    assert any("each call changes running_mean" in note for note in run.notes)


def test_such_a_case_is_no_agreement_and_its_exports_are_not_called_faithful(tmp_path: Path) -> None:
    from onnx_triangulate.report.sentences import exports

    names = ("remembers_rows", "draws_keras_dropout", "table")
    report = verify([f"{FILE}::{name}" for name in names], Options(out=tmp_path / "out"))
    rows, dropout, healthy = report.verdicts
    assert rows.status == dropout.status == "unexpected"
    assert {b.blame for b in rows.unexpected} >= {"nondeterministic"}
    assert {b.party for b in dropout.unexpected} == {"tensorflow"}
    assert "faithful" not in exports(rows)
    assert "faithful" not in exports(dropout)
    assert (healthy.status, healthy.blame) == ("expected", ("agree",))


def test_what_is_looked_at_of_a_model() -> None:
    def digest(value: object) -> bytes | None:
        return None

    def of(value: object) -> dict[str, str]:
        return _model_state.plain("m", value, digest)

    held: list[object] = [1, {"a": 2.5}]
    before = of(held)
    held[1] = {"a": 2.5, "b": None}
    assert _model_state.changed(before, of(held)) == ("m.1.b", "m.1.len")
    ring: list[object] = []
    ring.append(ring)
    assert of(ring) == {"m.len": "1"}
    step = 3
    assert _model_state.closed_over(lambda x, times=2: x * step * times) == {"step": 3, "times": 2}
    assert _model_state.closed_over(max) == {}
