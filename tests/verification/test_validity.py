"""Whether a graph is valid is ONNX's word; an export is its user's; "faithful" rests on float64."""

from __future__ import annotations

from typing import Any

import pytest

from onnx_triangulate.records.verdict import Report, Verdict
from onnx_triangulate.report.sentences import exports
from onnx_triangulate.verification.verify import Options, verify
from tests.conftest import CASES

pytestmark = pytest.mark.slow  # the engines run

pytest.importorskip("torch")


@pytest.fixture(scope="module")
def report(tmp_path_factory: Any) -> Report:
    return verify([str(CASES / "validity.py")], Options(out=tmp_path_factory.mktemp("validity")))


@pytest.fixture(scope="module")
def seen(report: Report) -> dict[str, Verdict]:
    return {verdict.case.partition("/")[2]: verdict for verdict in report.verdicts}


def named(verdict: Verdict) -> set[tuple[str, str]]:
    return {(blamed.blame, blamed.party) for blamed in verdict.evidence.blames}


EVERY = ["torch", "torch:raw", "torch:script"]


def test_what_the_full_check_refuses_is_a_failed_export(seen: dict[str, Verdict]) -> None:
    verdict = seen["floor_of_integers"]
    assert named(verdict) == {("export-failed", graph) for graph in EVERY}
    assert {blamed.op for blamed in verdict.evidence.blames} == {"Floor"}
    assert all(len(blamed.nodes) == 1 for blamed in verdict.evidence.blames)
    assert (seen["floor_of_reals"].blame, seen["floor_of_reals"].status) == (("agree",), "expected")


def test_what_only_runtimes_refuse_is_a_valid_graph(seen: dict[str, Verdict]) -> None:
    verdict = seen["only_runtimes_refuse"]
    assert {blame for blame, _ in named(verdict)} == {"unsupported"}
    assert {blamed.op for blamed in verdict.evidence.blames} >= {"ConvTranspose"}
    assert exports(verdict)["faithful"] == EVERY


def test_an_epsilon_behind_an_operator_that_the_evaluator_lacks_is_seen(seen: dict[str, Verdict]) -> None:
    faulty, healthy = seen["other_epsilon"], seen["same_epsilon"]
    assert {("export", "torch"), ("export", "torch:script")} <= named(faulty)
    assert (healthy.blame, healthy.status) == (("agree",), "expected")
    assert exports(healthy) == {"faithful": EVERY}
    run = healthy.evidence.runs["torch>reference@64"]
    assert run.outputs is not None
    assert any("GatherElements" in note for note in run.notes)
    assert healthy.evidence.runs["torch>reference"].error is not None
    assert healthy.evidence.runs["torch>reference.patched"].outputs is not None


def test_an_exporter_is_given_the_users_module(seen: dict[str, Verdict]) -> None:
    assert named(seen["scripted"]) == {("export-failed", "torch"), ("export-failed", "torch:raw")}
    assert named(seen["encoder_layer"]) == {("export-failed", "torch:script")}


@pytest.mark.parametrize("name", ["loss", "lengths"])
def test_a_probe_outside_of_the_domain_is_nobodys_fault(seen: dict[str, Verdict], name: str) -> None:
    verdict = seen[name]
    assert all(party == "torch:script" for _, party in named(verdict))  # which has no binary_cross_entropy
    assert verdict.evidence.runs["truth@torch"].outputs is not None
    assert not verdict.problems
    assert "torch" in exports(verdict)["faithful"]
