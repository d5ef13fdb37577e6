"""Which pass of the exporter's optimizer is faulty: a real fault through the engines, planted ones through our own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnx_triangulate.engines import running
from onnx_triangulate.locate import pass_runs
from onnx_triangulate.locate.pass_search import NOT_AGAIN
from onnx_triangulate.records.arrays import ArrayFile
from onnx_triangulate.records.party import Party
from onnx_triangulate.records.runs import Failure, Model, Run
from onnx_triangulate.records.verdict import Blame, Finding
from onnx_triangulate.transform.optimizer_changes import Region
from onnx_triangulate.verification.diagnosis.folding import name_folding
from onnx_triangulate.verification.diagnosis.passes import CAUSE, NOBODY
from tests.verification.sessions import case_run, session

PARTED = Region(("folded",), ("Mul",), ("a", "b"), ())
EDGE = ("torch", "torch>reference")


def test_a_rule_that_folds_what_it_must_not_is_named(planted: Any) -> None:
    verdict = planted["faults/optimizer_folds"]
    (finding,) = [f for f in verdict.findings if f.cause == CAUSE and f.party == "torch"]
    assert (finding.blame, finding.proved) == ("export", True)
    assert (
        "onnxscript.rewriter.rules.common.fuse_batchnorm_into_conv_rule changes what the graph means" in finding.message
    )
    assert "torch:raw is faithful" in finding.message
    assert "does not make what torch:raw makes with node_conv2d, node__native_batch_norm" in finding.message
    assert finding.edit == "torch.onnx.export(..., optimize=False)"
    (blamed,) = [b for b in verdict.evidence.blames if (b.blame, b.party) == ("export", "torch")]
    assert (blamed.op, blamed.nodes) == ("Conv", finding.nodes)


def test_the_runtimes_own_pass_that_does_the_same_is_named_beside_it(planted: Any) -> None:
    verdict = planted["faults/optimizer_folds"]
    (finding,) = [f for f in verdict.findings if f.cause == CAUSE and f.party == "torch:raw>ort.all"]
    assert finding.edit is not None
    assert 'disabled_optimizers=["ConvBNFusion"]' in finding.edit
    assert len(finding.nodes) == 2


class Exporter:
    """An exporter's optimizer of our own: ``wrong(on)`` says whether the graph means something else with passes on."""

    names: Any = ("fold", "fuse", "tidy")

    def __init__(self, folder: Path, wrong: Callable[[frozenset[str]], bool]) -> None:
        self.folder, self.wrong = folder, wrong
        self.off: frozenset[str] = frozenset()
        self.parted: Any = (PARTED,)
        self.refused: frozenset[str] | None = None
        self.raw = 1.0

    def run(self, party: str, value: float) -> Run:
        file = self.folder / f"{party.replace('>', '-').replace(':', '.')}-{value}.npy"
        np.save(file, np.array([value], np.float32))
        return Run(Party.parse(party), {"y": ArrayFile(file, (1,), "float32")})

    def __call__(self, kind: str, function: Any, *arguments: Any) -> Any:
        if function is pass_runs.exporter_passes:
            assert kind == "torch"
            return self.names
        if function is pass_runs.parted_nodes:
            return self.parted
        if function is pass_runs.optimize_without:
            assert kind == "torch"
            self.off = frozenset(arguments[2])
            return Failure("refused", "no") if self.off == self.refused else arguments[3]
        assert function is running.run_graph
        assert kind == "runtimes"
        assert arguments[1].file.name == "trial.onnx"
        assert arguments[2] == ["reference"]
        return [self.run("torch>reference", 2 if self.wrong(frozenset(self.names) - self.off) else 1)]


def asked(exporter: Exporter, *more: Blame, party: str = "torch") -> tuple[tuple[Blame, ...], tuple[Finding, ...]]:
    answers = {"torch": 1, "torch>reference": 2, "torch:raw>ort.off": exporter.raw}
    runs = {name: exporter.run(name, value) for name, value in answers.items()}
    models = {graph: Model(graph, exporter.folder / "graph.onnx") for graph in ("torch", "torch:raw", "torch:script")}
    blamed = Blame("export", party, EDGE, message="it parts")
    found = name_folding(session(exporter), case_run(exporter.folder, runs, models), [blamed, *more])
    return found.blames, found.findings


def test_a_planted_pass(tmp_path: Path) -> None:
    (blamed,), (finding,) = asked(Exporter(tmp_path, lambda on: "fold" in on))
    assert (blamed.nodes, blamed.op) == (("folded",), "Mul")
    assert (finding.cause, finding.proved, finding.nodes) == (CAUSE, True, ("folded",))
    assert "fold changes what the graph means: with it left out torch>reference agrees with torch" in finding.message
    assert "Mul (folded) does not make what torch:raw makes with a, b" in finding.message


def test_two_passes_that_do_it_together(tmp_path: Path) -> None:
    _, (finding,) = asked(Exporter(tmp_path, lambda on: {"fold", "tidy"} <= on))
    assert "only together with" in finding.message
    assert "alone removes it too" in finding.message


def test_passes_that_one_by_one_do_no_harm_name_nobody(tmp_path: Path) -> None:
    _, (finding,) = asked(Exporter(tmp_path, lambda on: False))
    assert (finding.cause, finding.proved) == (NOBODY, False)
    assert NOT_AGAIN in finding.message


def test_a_graph_that_is_wrong_with_every_pass_left_out_names_nobody(tmp_path: Path) -> None:
    _, (finding,) = asked(Exporter(tmp_path, lambda on: True))
    assert (finding.cause, finding.proved) == (NOBODY, False)


def test_a_pass_that_raises_is_not_taken_for_agreement(tmp_path: Path) -> None:
    exporter = Exporter(tmp_path, lambda on: "fuse" in on)
    exporter.refused = frozenset({"fuse"})
    _, (finding,) = asked(exporter)
    assert len([name for name in exporter.names if name in finding.message.split(" change", maxsplit=1)[0]]) > 1


def test_nodes_that_could_not_be_compared_leave_the_pass_named(tmp_path: Path) -> None:
    exporter = Exporter(tmp_path, lambda on: "fuse" in on)
    exporter.parted = Failure("refused", "no float64")
    (blamed,), (finding,) = asked(exporter)
    assert (blamed.nodes, finding.cause, finding.nodes) == ((), CAUSE, ())


@pytest.mark.parametrize("names", [None, (), Failure("crashed", "killed")])
def test_an_exporter_without_passes_is_left_alone(tmp_path: Path, names: Any) -> None:
    exporter = Exporter(tmp_path, lambda on: True)
    exporter.names = names
    assert asked(exporter)[1] == ()


def test_a_wrong_translation_is_not_the_optimizers(tmp_path: Path) -> None:
    raw = Blame("export", "torch:raw", ("torch", "torch:raw>reference"))
    assert asked(Exporter(tmp_path, lambda on: True), raw)[1] == ()
    assert asked(Exporter(tmp_path, lambda on: True), party="torch:script")[1] == ()


def test_a_raw_graph_that_nobody_has_seen_to_be_right_clears_nobody(tmp_path: Path) -> None:
    exporter = Exporter(tmp_path, lambda on: "fold" in on)
    exporter.raw = 3.0
    assert asked(exporter)[1] == ()
