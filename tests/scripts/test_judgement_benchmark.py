"""The benchmark of judgement: its material is what it says, and a wrong verdict is counted as one."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
EXACT = {"runtime": 0.0, "evaluator": 0.0}


@pytest.fixture
def judgement(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    names = ("establish", "given", "healthy_tensorflow", "healthy_torch", "invariance", "judged", "pairs", "verdicts")
    modules = {name: importlib.import_module(f"judgement.{name}") for name in names}
    for name in ("hidden_more", "hidden_numbers", "hidden_sizes", "hidden_steering", "rewrites", "rewritten"):
        importlib.import_module(f"judgement.{name}")
    return SimpleNamespace(**modules)


def verdict(*blames: str, status: str = "", problems: tuple[str, ...] = ()) -> dict[str, Any]:
    """A line of ``verify``: blames as ``"native torch"``."""
    found = [dict(zip(("blame", "party"), b.split(" "), strict=True)) | {"says": "planted"} for b in blames]
    status = status or ("unexpected" if blames else "expected")
    return {"status": status, "words": [], "blames": found, "problems": problems, "missing": []}


def truth(double: Any = 0.0, **exports: Mapping[str, Any]) -> dict[str, Any]:
    """What is established of a model in torch; an exporter that is not named is right."""
    return {"itself": 0.0, "double": double, "exports": {"torch": EXACT, "torch:script": EXACT} | exports}


def test_there_is_enough_material(judgement: SimpleNamespace) -> None:
    healthy = [*judgement.healthy_torch.CASES, *judgement.healthy_tensorflow.CASES]
    assert len(healthy) >= 800
    assert len({case.name for case in healthy}) == len(healthy)
    assert len(judgement.given.ROWS) >= 120
    pairs = judgement.pairs
    differing = [key for kind in pairs.HIDDEN.values() for key, _ in named(kind)]
    assert len(differing) >= 400
    assert len(set(differing)) == len(differing)
    assert all(kind.about for kind in (*pairs.HIDDEN.values(), *pairs.REWRITES.values()))


def named(kind: Any) -> list[tuple[str, Any]]:
    random = np.random.default_rng([0, *kind.name.encode()])
    return [(f"{kind.name}/{pair.name}", pair) for pair in kind.make(random)]


def test_two_kinds_of_one_name_raise(judgement: SimpleNamespace) -> None:
    make = next(iter(judgement.pairs.HIDDEN.values())).make
    with pytest.raises(ValueError, match="two kinds"):
        judgement.pairs.hidden("sizes")(make)


@pytest.mark.parametrize(("kind", "least"), [("slice_end_fixed", 7), ("limit_lost", 15), ("saturated", 39)])
def test_a_witness_is_asked_of_the_runtime(judgement: SimpleNamespace, kind: str, least: int) -> None:
    pairs = judgement.pairs
    found = list(pairs.made(pairs.HIDDEN[kind], 0, True))
    assert sum(not why for _, _, why in found) >= least
    _, pair, _ = next((key, pair, why) for key, pair, why in found if not why)
    assert pairs.witnessed(pairs.Pair("itself", pair.a, pair.a, pair.feed), differs=True).startswith("not shown")
    assert pairs.witnessed(pairs.Pair("other", pair.a, pair.b, pair.feed), differs=False).startswith("apart")


def test_rewrites_agree_in_the_runtime(judgement: SimpleNamespace) -> None:
    pairs = judgement.pairs
    kinds = [k for k in pairs.REWRITES.values() if k.name in ("activations_written_out", "moved_otherwise")]
    assert [(key, why) for kind in kinds for key, _, why in pairs.made(kind, 0, False) if why] == []


def test_a_false_alarm_is_counted(judgement: SimpleNamespace) -> None:
    judge = judgement.judged
    found = judge.of_healthy("x", "healthy", "scalars", verdict("native torch"), truth())
    assert found.word == judge.ALARM
    assert judge.of_healthy("x", "healthy", "scalars", verdict(), truth()).word == judge.RIGHT
    alarm = judge.of_rewrite("x", "rewrites", "k", {"status": "differs", "exit": 1, "guilty": [], "problems": []})
    assert alarm.word == judge.ALARM
    text = judge.table([found, alarm])
    assert text.count("false alarm") == 3  # the head and two lines
    assert judge.totals([found])["groups"] == {"healthy": {judge.ALARM: 1}}


def test_a_blame_is_excused_only_by_what_is_established(judgement: SimpleNamespace) -> None:
    judge = judgement.judged
    refused, off = {"refused": "no"}, {"runtime": 0.1, "evaluator": 0.1}

    def word(said: dict[str, Any], established: dict[str, Any]) -> str:
        return str(judge.of_healthy("x", "healthy", "k", said, established).word)

    script = truth(**{"torch:script": refused})
    assert word(verdict("export-failed torch:script"), script) == judge.RIGHT
    assert word(verdict("export-failed torch"), script) == judge.ALARM
    assert word(verdict("export-failed torch:script", "export torch"), script) == judge.ALARM
    broken = truth(**{"torch:script": off})
    assert word(verdict("export torch:script"), broken) == judge.LISTED
    assert word(verdict(), broken) == judge.ALL_WELL
    assert word(verdict("native torch"), truth(double=0.5)) == judge.LISTED
    assert word(verdict("unsupported torch>reference"), truth(torch={"runtime": 0.0, "evaluator": "no"})) == judge.RIGHT
    assert word(verdict("unsupported torch>ort.all"), truth(torch={"runtime": 0.0, "evaluator": "no"})) == judge.ALARM
    assert word(verdict(status="undecided"), truth()) == judge.UNDECIDED


def test_a_false_all_well_is_counted(judgement: SimpleNamespace) -> None:
    judge = judgement.judged
    same = {"status": "same", "exit": 0, "guilty": [], "problems": []}
    assert judge.of_hidden("x", "hidden", "k", same, nan=False).word == judge.ALL_WELL
    assert judge.of_hidden("x", "hidden", "k", same, nan=True).word == judge.ALL_WELL
    assert judge.of_hidden("x", "hidden", "k", same | {"status": "same but for NaN"}, nan=True).word == judge.RIGHT
    assert (
        judge.of_hidden("x", "hidden", "k", same | {"status": "uncompared", "exit": 1}, nan=False).word == judge.RIGHT
    )
    assert judge.of_given("x", "k", verdict()).word == judge.ALL_WELL
    assert judge.of_given("x", "k", verdict("export torch")).word == judge.RIGHT


def test_a_verdict_that_changes_is_counted(judgement: SimpleNamespace) -> None:
    invariance, judge = judgement.invariance, judgement.judged
    line = verdict("export torch", "kernel torch:raw>ort.off", "native torch")
    assert invariance.blamed(line, ("torch>*",)) == ["export torch", "native torch"]
    assert invariance.blamed(line, ("torch:raw>*",)) == ["kernel torch:raw>ort.off", "native torch"]
    assert invariance.changed("x", "seed", ["export torch"], []).word == judge.ALARM
    assert invariance.changed("x", "seed", [], []).word == judge.RIGHT


def test_lines_go_on_where_they_were(judgement: SimpleNamespace, tmp_path: Path) -> None:
    lines = judgement.verdicts.Lines(tmp_path / "a" / "lines.jsonl")
    lines.add({"key": "one", "status": "same"})
    lines.add({"key": "two", "status": "same"})
    text = lines.file.read_text()
    lines.file.write_text(text[:-9])  # the last line was cut off
    again = judgement.verdicts.Lines(lines.file)
    assert "one" in again
    assert "two" not in again


def test_a_planted_pair_is_judged_by_the_command(judgement: SimpleNamespace, tmp_path: Path) -> None:
    """From the graphs to the word: a difference that is in plain sight, and its healthy twin."""
    pairs, judge = judgement.pairs, judgement.judged
    import onnx

    first = pairs.graph("float[2,3] x => float[2,3] y", "y = Mul(x, k)", k=np.float32(0.5))
    other = pairs.graph("float[2,3] x => float[2,3] y", "y = Mul(x, k)", k=np.float32(0.75))
    for name, model in (("a", first), ("b", other)):
        onnx.save(model, tmp_path / f"{name}.onnx")
    with judgement.verdicts.lasting_workers(tmp_path / "logs"):
        parted = judgement.verdicts.compared(tmp_path / "a.onnx", tmp_path / "b.onnx")
        itself = judgement.verdicts.compared(tmp_path / "a.onnx", tmp_path / "a.onnx")
    assert json.loads(json.dumps(parted))["status"] == "differs"
    assert judge.of_hidden("x", "hidden", "k", parted, nan=False).word == judge.RIGHT
    assert judge.of_hidden("x", "hidden", "k", itself, nan=False).word == judge.ALL_WELL  # planted: it is the same
    assert judge.of_rewrite("x", "rewrites", "k", itself).word == judge.RIGHT
    assert judge.of_rewrite("x", "rewrites", "k", parted).word == judge.ALARM


def test_what_is_established_of_a_model_needs_no_code_of_this_project(judgement: SimpleNamespace) -> None:
    establish = judgement.establish
    assert establish.far([np.ones(3)], [np.ones(3)]) == 0
    assert establish.far([np.ones(3)], [np.ones(4)]) == np.inf
    assert establish.far([np.ones(3, np.float32)], [np.ones(3)]) == np.inf
    assert establish.far([np.ones(3, np.float32)], [np.ones(3)], types=False) == 0
    assert establish.far([np.array([1.0, np.nan])], [np.array([1.0, np.nan])]) == 0
    assert 0.09 < establish.far([np.array([1.0, 2.0])], [np.array([1.0, 2.2])]) < 0.1
