"""Which pass of an optimizer is faulty: real faults through the engines, planted ones through an engine of our own."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from onnx_triangulate.engines.protocols import Passes
from onnx_triangulate.engines.runtimes import runtimes
from onnx_triangulate.locate import pass_runs as tasks
from onnx_triangulate.locate.pass_runs import Rewriting, Setting
from onnx_triangulate.locate.pass_search import NO_SWITCH, NOT_AGAIN, PassSearch
from onnx_triangulate.records.arrays import ArrayFile
from onnx_triangulate.records.party import Party
from onnx_triangulate.records.runs import Failure, Model, Run
from onnx_triangulate.records.verdict import Blame, Finding
from onnx_triangulate.transform.optimizer_changes import Counted, Region
from onnx_triangulate.verification.diagnosis.passes import CAUSE, NOBODY, OBSERVER, name_passes
from tests.verification.sessions import case_run, session

SEEN = version("onnxruntime").startswith("1.32.")
seen_in_this_release = pytest.mark.skipif(not SEEN, reason="the faults are those of onnxruntime 1.32")
FIRST = Region(("n1", "n2"), ("Conv", "Relu"), ("com.microsoft.FusedConv",), ("v1",))
SECOND = Region(("n3", "n4"), ("Div", "Mul"), ("Div",), ("v3",))
UNHELD = Region(("n5",), ("Identity",), (), ())


def findings(verdict: Any, cause: str) -> dict[str, Finding]:
    return {f.party: f for f in verdict.findings if f.cause == cause}


@seen_in_this_release
def test_a_fusion_is_named_with_its_nodes_and_its_off_switch(planted: Any) -> None:
    verdict = planted["optimizer/reciprocal"]
    assert (verdict.status, verdict.blame) == ("expected", ("optimizer",))
    named = findings(verdict, CAUSE)
    assert set(named) == {f"{graph}>ort.all" for graph in ("torch", "torch:raw", "torch:script")}
    for party, finding in named.items():
        assert finding.proved
        assert finding.message.startswith("DivMulFusion changes the answer: with it switched off")
        assert "1 of 2 places that it rewrote" in finding.message
        assert finding.edit is not None
        assert finding.edit.startswith('InferenceSession(..., disabled_optimizers=["DivMulFusion"])')
        assert "ORT_DISABLE_ALL" in finding.edit
        blamed = next(b for b in verdict.evidence.blames if b.party == party)
        assert (blamed.op, blamed.nodes) == ("Div, Mul", finding.nodes)
        model = onnx.load(verdict.evidence.models[Party.parse(party).graph].file)
        faulty = [node for node in model.graph.node if node.name in finding.nodes]
        assert [node.op_type for node in faulty] == ["Div", "Mul"]
        fed = {value.name: place for place, value in enumerate(model.graph.input)}
        assert fed[faulty[0].input[1]] == 0, "the division by w is healthy, the one by x is not"


@seen_in_this_release
def test_a_valid_graph_that_passes_together_make_unusable(planted: Any) -> None:
    verdict = planted["optimizer/copied"]
    assert (verdict.status, verdict.blame) == ("expected", ("optimizer",))
    (finding,) = findings(verdict, CAUSE).values()
    assert finding.proved
    assert "DivMulFusion makes the graph unusable" in finding.message
    assert "only together with CastElimination" in finding.message
    assert "switching off CastElimination alone removes it too" in finding.message


@seen_in_this_release
def test_a_fusion_is_named_and_not_what_prepares_the_graph_for_it(planted: Any) -> None:
    """In the raw graph the constants have to be folded before the fusion finds its pattern."""
    verdict = planted["optimizer/layer_norm"]
    assert (verdict.status, verdict.blame) == ("expected", ("optimizer",))
    named = findings(verdict, CAUSE)
    assert len(named) == 3
    for finding in named.values():
        assert finding.proved
        assert finding.message.startswith("LayerNormFusionL1 changes the answer")
        assert "became LayerNormalization" in finding.message
    assert "only together with ConstantFolding" in named["torch:raw>ort.all"].message


class Engine:
    """An optimizer of our own: what it answers with which passes off, and which values as outputs.

    ``wrong(on, held)`` says whether the answer is wrong; an answer is one number.
    """

    names = ("A", "B", "C", "D", "rules")

    def __init__(
        self,
        folder: Path,
        wrong: Callable[[frozenset[str], frozenset[str]], bool],
        regions: tuple[Region, ...] = (FIRST,),
        weaker: str | None = None,
    ) -> None:
        self.folder, self.wrong, self.weaker = folder, wrong, weaker
        self.checked = 0
        self.error: Failure | None = None
        self.trusted: str | None = None
        self.before: Run | None = None
        counts = (Counted(9, {}), Counted(5, {"own.Fused": 2}), Counted(8, {}))
        self.listed: Any = Passes(self.names, ("rules",), (), ("weak", "off"), "names as planted")
        self.seen: Any = Rewriting(regions, *counts, ("v1", "v3"))

    def run(self, party: str, value: float) -> Run:
        file = self.folder / f"{party.replace('>', '-')}-{value}.npy"
        np.save(file, np.array([value], np.float32))
        return Run(Party.parse(party), {"y": ArrayFile(file, (1,), "float32")})

    def __call__(self, kind: str, function: Any, *arguments: Any) -> Any:
        if function is tasks.self_check:
            self.checked += 1
            return self.trusted
        if function is tasks.list_passes:
            return self.listed
        if function is tasks.look:
            self.looked = arguments[2:4]
            return self.seen
        assert function is tasks.run_with
        setting: Setting = arguments[3]
        if setting.level is not None and setting.level == (self.weaker or "off"):
            return self.run(arguments[2], 1)
        if self.wrong(frozenset(self.names) - set(setting.off), frozenset(setting.held)):
            return self.error or self.run(arguments[2], 2)
        return self.run(arguments[2], 1)


def asked(engine: Engine, blame: str = "optimizer") -> tuple[Blame, list[Finding]]:
    before, after = "torch>ort.off", "torch>ort.all"
    first = engine.before or engine.run(before, 1)
    last = Run(Party.parse(after), error=engine.error) if engine.error else engine.run(after, 2)
    runs = {"torch": engine.run("torch", 1), before: first, after: last}
    blamed = Blame(blame, after, (before, after), message="it parts")
    model = Model("torch", engine.folder / "model.onnx")
    found = name_passes(session(engine), case_run(engine.folder, runs, {"torch": model}), [blamed])
    (named,) = found.blames
    return named, list(found.findings)


def test_one_planted_pass(tmp_path: Path) -> None:
    blamed, (faulty, effect) = asked(Engine(tmp_path, lambda on, held: "B" in on and not held, weaker="weak"))
    assert (blamed.nodes, blamed.op) == (("n1", "n2"), "Conv, Relu")
    assert (faulty.cause, faulty.proved, faulty.nodes) == (CAUSE, True, ("n1", "n2"))
    assert faulty.edit == (
        'InferenceSession(..., disabled_optimizers=["B"]), or '
        "SessionOptions.graph_optimization_level = GraphOptimizationLevel.weak"
    )
    assert "Conv (n1) and Relu (n2) became com.microsoft.FusedConv" in faulty.message
    assert "names as planted" in faulty.message
    assert effect.cause == OBSERVER
    assert "9 nodes exported run as 5 nodes (2 own.Fused)" in effect.message
    assert "8 nodes and the divergence is gone" in effect.message


def test_a_fault_that_can_be_watched_is_said_to_be_there(tmp_path: Path) -> None:
    _, (faulty, effect) = asked(Engine(tmp_path, lambda on, held: "B" in on))
    assert "the divergence is still there" in effect.message
    assert "is gone" not in faulty.message


def test_the_faulty_one_of_two_places(tmp_path: Path) -> None:
    engine = Engine(tmp_path, lambda on, held: "C" in on and "v3" not in held, (FIRST, SECOND, UNHELD))
    blamed, (faulty, _) = asked(engine)
    assert (blamed.nodes, faulty.nodes) == (("n3", "n4"), ("n3", "n4"))
    assert "1 of 3 places that it rewrote" in faulty.message
    assert engine.looked == (["A", "B", "C", "D"], ("C",))


def test_places_that_cannot_be_told_apart_are_all_named(tmp_path: Path) -> None:
    engine = Engine(tmp_path, lambda on, held: "C" in on, (FIRST, SECOND))
    _, (faulty, _) = asked(engine)
    assert faulty.nodes == ("n1", "n2", "n3", "n4")
    assert "which of these places is faulty could not be told apart" in faulty.message


def test_one_takes_over_where_another_is_off(tmp_path: Path) -> None:
    _, (faulty, _) = asked(Engine(tmp_path, lambda on, held: bool(on & {"A", "D"})))
    assert faulty.edit is not None
    assert 'disabled_optimizers=["A", "D"]' in faulty.edit
    assert "A and D change the answer: with all of them switched off" in faulty.message


def test_a_rule_without_a_name_is_switched_off_with_its_group(tmp_path: Path) -> None:
    engine = Engine(tmp_path, lambda on, held: "rules" in on)
    _, (faulty, _) = asked(engine)
    assert faulty.edit is not None
    assert 'disabled_optimizers=["rules"]' in faulty.edit
    assert engine.looked == (["A", "B", "C", "D", "rules"], ("rules",))


def test_where_no_switch_helps_that_is_said(tmp_path: Path) -> None:
    blamed, (nobody, _) = asked(Engine(tmp_path, lambda on, held: True))
    assert (blamed.nodes, nobody.cause, nobody.proved) == ((), NOBODY, False)
    assert NO_SWITCH in nobody.message
    assert nobody.edit == "SessionOptions.graph_optimization_level = GraphOptimizationLevel.off"


def test_a_divergence_that_does_not_come_back(tmp_path: Path) -> None:
    _, (nobody, _) = asked(Engine(tmp_path, lambda on, held: False))
    assert (nobody.cause, nobody.edit) == (NOBODY, None)
    assert NOT_AGAIN in nobody.message


def test_a_graph_that_is_refused(tmp_path: Path) -> None:
    engine = Engine(tmp_path, lambda on, held: {"A", "C"} <= on, ())
    engine.error = Failure("refused", "no such input")
    blamed, (faulty, _) = asked(engine)
    assert blamed.nodes == ()
    assert "makes the graph unusable" in faulty.message
    assert "only together with" in faulty.message


def test_a_process_that_dies(tmp_path: Path) -> None:
    engine = Engine(tmp_path, lambda on, held: "D" in on)
    engine.error = Failure("crashed", "killed by signal SIGSEGV")
    _, (faulty, _) = asked(engine, "crashed")
    assert (faulty.cause, faulty.blame) == (CAUSE, "crashed")
    assert faulty.edit is not None
    assert 'disabled_optimizers=["D"]' in faulty.edit


@pytest.mark.parametrize("blame", ["optimizer", "crashed"])
def test_where_the_listing_of_passes_dies_those_that_are_recorded_are_tried(tmp_path: Path, blame: str) -> None:
    engine = Engine(tmp_path, lambda on, held: "ConstantFolding" in on)
    engine.names = runtimes()["ort.all"].recorded().names
    engine.listed = engine.seen = engine.error = Failure("crashed", "killed")
    _, (faulty,) = asked(engine, blame)
    assert faulty.cause == CAUSE
    assert faulty.edit is not None
    assert 'disabled_optimizers=["ConstantFolding"]' in faulty.edit
    assert "as recorded, for the session that lists them gave none: killed" in faulty.message


def test_where_none_of_the_recorded_passes_is_faulty_that_is_what_was_tried(tmp_path: Path) -> None:
    engine = Engine(tmp_path, lambda on, held: True)
    engine.names = runtimes()["ort.all"].recorded().names
    engine.listed = engine.seen = Failure("crashed", "killed")
    _, (nobody,) = asked(engine)
    assert nobody.cause == NOBODY
    assert "with every known pass switched off" in nobody.message
    assert "as recorded" in nobody.message


@pytest.mark.parametrize("kind", ["timeout", "memory"])
def test_a_process_that_hangs_is_not_asked_again_and_again(tmp_path: Path, kind: str) -> None:
    engine = Engine(tmp_path, lambda on, held: "D" in on)
    engine.error = Failure(kind, "no answer")
    assert asked(engine, "crashed")[1] == []


def test_where_the_unoptimized_run_has_no_answer_the_native_one_is_asked(tmp_path: Path) -> None:
    engine = Engine(tmp_path, lambda on, held: "A" in on)
    engine.before = Run(Party.parse("torch>ort.off"), error=Failure("refused", "no"))
    _, (faulty, _) = asked(engine)
    assert "torch>ort.all agrees with torch, with it on again it parts again" in faulty.message
    assert asked(engine, "crashed")[1] == []


@pytest.mark.parametrize("blame", ["kernel", "export", "unsupported"])
def test_other_blames_start_no_search(tmp_path: Path, blame: str) -> None:
    engine = Engine(tmp_path, lambda on, held: "A" in on)
    assert asked(engine, blame)[1] == []
    assert engine.checked == 0


def test_f12_a_search_that_fails_where_the_answer_is_known_names_nobody(tmp_path: Path) -> None:
    engine = Engine(tmp_path, lambda on, held: "A" in on)
    engine.trusted = "EliminateIdentity was planted, ('A',) was found"
    blamed, (nobody,) = asked(engine)
    assert blamed.nodes == ()
    assert (nobody.cause, nobody.proved, nobody.nodes, nobody.edit) == (NOBODY, False, (), None)
    assert "wrong where the answer is known (ort.all): EliminateIdentity was planted" in nobody.message


@pytest.fixture
def fresh() -> Any:
    tasks.self_check.cache_clear()
    yield
    tasks.self_check.cache_clear()


def test_f12_the_search_is_right_where_the_answer_is_known(fresh: None) -> None:
    assert tasks.self_check("ort.all") is None


@pytest.mark.parametrize("fault", ["off-switches that do nothing", "a search that names anybody"])
def test_f12_a_broken_search_is_noticed(fresh: None, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    if fault == "off-switches that do nothing":
        engine = type(runtimes()["ort.all"])
        whole = engine.open_without
        monkeypatch.setattr(engine, "open_without", lambda self, file, off=(), *a, **k: whole(self, file, (), *a, **k))
    else:
        monkeypatch.setattr(tasks, "search", lambda names, *a, **k: PassSearch(off=names[:1]))
    problem = tasks.self_check("ort.all")
    assert problem is not None
    assert "EliminateIdentity was planted" in problem
