"""Verdicts that other tools have been seen to get wrong; each situation is constructed and goes through the engines.

F1 … F18 number the situations.  What is not here: F9 needs proofs; F12 is with the searches that check themselves
(diagnosis/test_passes.py), F17 with the bounds of nodes (numerics/test_reduced_precision.py).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnx_triangulate.cases import catalogue, inputs
from onnx_triangulate.records.verdict import Verdict
from onnx_triangulate.verification.verify import exit_status

pytestmark = pytest.mark.slow  # the engines run

GRAPHS = ("torch", "torch:raw", "torch:script")
RUNTIMES = ("reference", "ort.off", "ort.all")


def fails(verdict: Verdict) -> bool:
    return verdict.status == "unexpected" and exit_status([verdict]) == 1


def blamed(verdict: Verdict) -> set[tuple[str, str]]:
    return {(blame.blame, blame.party) for blame in verdict.evidence.blames}


@pytest.mark.parametrize("name", ["faults/nan_everywhere", "faults/nan_without_definition"])
def test_f1_every_output_of_every_runtime_is_nan(planted: Any, name: str) -> None:
    verdict = planted[name]
    for graph in GRAPHS:
        for runtime in RUNTIMES:
            edge = planted.edge(name, "torch", f"{graph}>{runtime}")
            assert (edge.outcome, edge.compared, edge.differing) == ("diverges", 9, 9)
            assert edge.values is not None
            assert math.isnan(edge.values[1])
            values = verdict.evidence.runs[f"{graph}>{runtime}"].outputs["y"].load()
            assert np.isnan(values).all(), "the fault was not planted"
    assert blamed(verdict) == {("export", graph) for graph in GRAPHS}
    assert fails(verdict)


def test_f2_the_exported_file_is_not_a_model(planted: Any) -> None:
    verdict = planted["faults/not_a_model"]
    assert blamed(verdict) == {("export-failed", "tensorflow"), ("export-failed", "tensorflow:nchw")}
    assert {blame.op for blame in verdict.evidence.blames} == {"Log1p"}
    assert fails(verdict)
    assert verdict.evidence.models["tensorflow"].error is None, "the exporter itself has noticed: nothing is shown"
    found = {finding.cause for finding in verdict.findings}
    assert found == {"operator-not-converted"}


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("faults/broadcastable_shape", "y has shape (2, 3) against (1, 3)"),
        ("faults/other_type", "y is float32 against float64"),
    ],
)
def test_f3_another_shape_or_type_is_no_agreement(planted: Any, name: str, problem: str) -> None:
    for graph in GRAPHS:
        edge = planted.edge(name, "torch", f"{graph}>ort.all")
        assert (edge.outcome, edge.problem) == ("diverges", problem)
    assert blamed(planted[name]) == {("export", graph) for graph in GRAPHS}
    assert fails(planted[name])


def test_f3_a_type_that_numpy_lacks_is_no_agreement(planted: Any) -> None:
    edge = planted.edge("faults/reduced_type", "torch", "torch>reference")
    assert edge.outcome == "diverges"
    assert edge.problem is not None
    assert "bfloat16" in edge.problem
    assert fails(planted["faults/reduced_type"])


def test_f3_infinity_against_a_number(planted: Any) -> None:
    edge = planted.edge("faults/infinite", "torch", "torch>ort.all")
    assert (edge.outcome, edge.max_abs, edge.differing) == ("diverges", math.inf, 1)
    assert edge.values is not None
    assert math.isfinite(edge.values[0])
    assert edge.values[1] == math.inf
    assert fails(planted["faults/infinite"])


@pytest.mark.parametrize(
    ("name", "distance", "values"),
    [("faults/unsigned_apart_by_1", 1, (0, 1)), ("faults/signed_apart_by_255", 255, (-128, 127))],
)
def test_f4_integers_do_not_wrap(planted: Any, name: str, distance: int, values: tuple[float, float]) -> None:
    for runtime in RUNTIMES:
        edge = planted.edge(name, "torch", f"torch>{runtime}")
        assert (edge.outcome, edge.max_abs, edge.values) == ("diverges", distance, values)
    assert fails(planted[name])


@pytest.mark.parametrize(
    ("name", "parties", "says"),
    [
        ("deaths/native", {"torch@64"}, "SIGKILL"),
        ("deaths/exporter", {"torch:script"}, "SIGKILL"),
        ("deaths/runtime", {f"{g}>{r}" for g in ("tensorflow", "tensorflow:nchw") for r in RUNTIMES[1:]}, "SIGFPE"),
    ],
)
def test_f5_a_process_is_killed(planted: Any, name: str, parties: set[str], says: str) -> None:
    verdict = planted[name]
    assert blamed(verdict) == {("crashed", party) for party in parties}
    assert all(says in blame.message for blame in verdict.evidence.blames)
    for edge in verdict.evidence.edges:
        if {edge.left, edge.right} & parties:
            assert (edge.outcome, edge.compared) == ("missing", 0)
        else:
            assert edge.agrees
    assert fails(verdict)


@pytest.mark.parametrize(("name", "kind"), [("limits/hangs", "timeout"), ("limits/grows", "memory")])
def test_f5_a_process_hangs_or_outgrows_its_limit(limits: Any, name: str, kind: str) -> None:
    case = limits.case(name)
    assert case["parties"]["torch@64"]["error"]["kind"] == kind
    assert [(blame["blame"], blame["party"]) for blame in case["blames"]] == [("crashed", "torch@64")]
    assert case["status"] == "unexpected"
    for edge in case["edges"]:
        gone = "torch@64" in (edge["left"], edge["right"])
        assert edge["outcome"] == ("missing" if gone else "equal")
    assert limits.case("limits/neighbour")["status"] == "expected"
    assert (limits.status, limits.stderr) == (1, "")


def test_f6_a_fault_of_the_optimizer_shows_because_both_levels_are_run(planted: Any) -> None:
    name = "faults/optimizer_folds"
    assert planted.edge(name, "torch", "torch:raw>ort.off").agrees
    edge = planted.edge(name, "torch:raw>ort.off", "torch:raw>ort.all")
    assert (edge.outcome, edge.isolates) == ("diverges", "optimizer")
    assert ("optimizer", "torch:raw>ort.all") in blamed(planted[name])
    assert not {b for b in blamed(planted[name]) if b[1].startswith("torch:raw")} - {("optimizer", "torch:raw>ort.all")}
    assert fails(planted[name])


def test_f6_the_exporters_own_folding_is_told_from_its_translation(planted: Any) -> None:
    name = "faults/optimizer_folds"
    assert ("export", "torch") in blamed(planted[name])
    assert planted.edge(name, "torch:raw>reference@64", "torch>reference@64").outcome == "diverges"
    assert planted.edge(name, "torch@64", "torch:raw>reference@64").agrees


def test_f7_a_transposed_output_of_equal_dimensions(planted: Any) -> None:
    for graph in GRAPHS:
        edge = planted.edge("faults/transposed", "torch", f"{graph}>ort.all")
        assert edge.outcome == "diverges"
        assert edge.explanation == "equals the other side transposed by (1, 0)"
    assert fails(planted["faults/transposed"])


def test_f7_a_branch_that_a_tracer_took_once(planted: Any) -> None:
    """Right on the inputs of the case, and wrong on others of its kind."""
    verdict = planted["faults/frozen_branch"]
    (frozen,) = [each for each in verdict.evidence.blames if each.blame == "export"]
    assert frozen.party == "torch:script"
    assert "frozen into the graph (Converting a tensor to a Python boolean, faults.py:" in frozen.message
    assert all(
        edge.agrees for edge in verdict.evidence.edges if edge.right.startswith("torch:script>") and not edge.size
    )
    assert planted["faults/traced_branch"].blame == ("agree",)
    assert not any(run.notes for name, run in planted["faults/traced_branch"].evidence.models.items())


def test_f8_a_nan_in_an_output_of_one_dimension(planted: Any) -> None:
    edge = planted.edge("faults/one_dimensional_nan", "torch", "torch>ort.all")
    assert (edge.outcome, edge.compared, edge.differing, edge.index) == ("diverges", 7, 1, (3,))
    assert fails(planted["faults/one_dimensional_nan"])


def test_f10_an_output_is_missing_in_one_run(planted: Any) -> None:
    name = "faults/output_lost"
    for runtime in RUNTIMES:
        edge = planted.edge(name, "tensorflow", f"tensorflow>{runtime}")
        assert (edge.outcome, edge.problem) == ("missing", "the right side has no output lost")
    assert ("export", "tensorflow") in blamed(planted[name])
    assert fails(planted[name])


def test_f11_a_tiny_tensor_is_entirely_wrong(planted: Any) -> None:
    edge = planted.edge("faults/tiny_and_wrong", "torch", "torch>ort.all")
    assert edge.outcome == "diverges"
    assert edge.differing == edge.compared == 7
    assert edge.max_abs is not None
    assert edge.max_abs < 1e-5, "the fault is not small"
    assert fails(planted["faults/tiny_and_wrong"])


def test_f13_nan_logits(planted: Any) -> None:
    edge = planted.edge("faults/nan_logits", "tensorflow", "tensorflow>ort.all")
    assert (edge.outcome, edge.differing) == ("diverges", 9)
    assert blamed(planted["faults/nan_logits"]) == {("export", "tensorflow"), ("export", "tensorflow:nchw")}
    assert fails(planted["faults/nan_logits"])


def test_f14_a_mismatch_gives_exit_status_1(triangulate: Callable[..., Any], tmp_path: Path) -> None:
    file = tmp_path / "mismatch.py"
    file.write_text(
        "from onnx_triangulate import Case, Tensor\n"
        "CASES = Case('tripled', inputs={'x': Tensor('n', (3,), low=1)}, truth=lambda x: x * 2,\n"
        "             builders={'torch': lambda torch: lambda x: x * 3})\n"
    )
    ran = triangulate("verify", file, "--parties", "torch>ort.all")
    assert ran.status == 1
    assert "mismatch/tripled" in ran.stdout
    assert "native" in ran.stdout
    assert ran.stderr == ""


@pytest.mark.skipif(not version("onnxruntime").startswith("1.32."), reason="a fault of onnxruntime 1.32")
def test_f15_a_bug_of_a_fusion_that_disappears_when_every_tensor_is_an_output(planted: Any) -> None:
    import onnx
    import onnxruntime as ort

    from onnx_triangulate.transform.cut import all_outputs

    verdict = planted["optimizer/reciprocal"]
    model = onnx.load(verdict.evidence.models["torch"].file)
    (ref,) = catalogue.find([f"{Path(__file__).parents[1] / 'case_files' / 'optimizer.py'}::reciprocal"])
    drawn = inputs.inputs_of(catalogue.load(ref), ref.name, 0)
    feeds = {graph: drawn[name] for name, graph in verdict.evidence.models["torch"].inputs.items()}
    watched, _ = all_outputs(model)
    answers = []
    for proto in (model, watched):
        session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
        answers.append(session.run([model.graph.output[0].name], feeds)[0])
    assert answers[0].tobytes() != answers[1].tobytes(), "the bug does not disappear: nothing is shown"
    right = planted[verdict.case].evidence.runs["torch"].outputs["y"].load()
    assert answers[1].tobytes() == right.tobytes()
    assert planted.edge(verdict.case, "torch>ort.off", "torch>ort.all").outcome == "diverges"
    assert ("optimizer", "torch>ort.all") in blamed(verdict)
    said = [f.message for f in verdict.findings if f.cause == "observer-effect" and f.party == "torch>ort.all"]
    assert len(said) == 1
    assert "with every value as an output they run as 7 nodes and the divergence is gone" in said[0]


def test_f16_rounding_in_a_deep_model_is_no_alarm(planted: Any) -> None:
    verdict = planted["optimizer/deep"]
    assert (verdict.status, verdict.blame, verdict.findings) == ("expected", ("agree",), ())
    for graph in GRAPHS:
        edge = planted.edge("optimizer/deep", "torch", f"{graph}>ort.all")
        assert edge.outcome == "rounding"
        assert edge.compared == 120
        assert edge.differing > 60, "nothing was rounded: nothing is shown"
        assert edge.ratio < 1


def test_f18_nothing_compared_is_a_failure(planted: Any) -> None:
    verdict = planted["faults/empty_output"]
    assert not any(edge.compared for edge in verdict.evidence.edges)
    assert all(edge.outcome == "missing" for edge in verdict.evidence.edges)
    assert verdict.status == "undecided"
    assert verdict.blame == ()
    assert exit_status([verdict]) == 1


def test_f18_one_case_that_compared_nothing_fails_a_run_in_which_others_did(planted: Any) -> None:
    good, empty = planted["healthy/convolution"], planted["faults/empty_output"]
    assert exit_status([good]) == 0
    assert exit_status([good, empty]) == 1


def test_f18_no_edges_and_no_cases_are_failures(planted: Any) -> None:
    good = planted["healthy/convolution"]
    alone = dataclasses.replace(good, evidence=dataclasses.replace(good.evidence, edges=()))
    assert exit_status([alone]) == 1
    assert exit_status([]) == 1


def test_no_edge_agrees_without_having_compared(planted: Any, catalogue: Any) -> None:
    for verdict in planted.report.verdicts:
        for edge in verdict.evidence.edges:
            assert edge.compared > 0 or not edge.agrees
            assert edge.compared > 0 or edge.problem
    for case in catalogue.report["cases"]:
        for edge in case["edges"]:
            assert edge["compared"] > 0 or edge["problem"], (case["case"], edge)
            assert edge["compared"] > 0 or edge["outcome"] not in ("equal", "rounding")


def test_a_fault_in_one_of_two_outputs_with_long_names(planted: Any) -> None:
    verdict = planted["faults/first_of_two_long_names"]
    assert blamed(verdict) == {("export", graph) for graph in GRAPHS}
    assert fails(verdict)


def test_an_output_named_like_the_file_of_anothers_bound(planted: Any) -> None:
    for runtime in RUNTIMES:
        edge = planted.edge("faults/named_like_its_own_bound", "torch", f"torch>{runtime}")
        assert (edge.outcome, edge.output, edge.max_abs) == ("diverges", "y", 1.0)


def test_another_answer_each_time_is_nobodys_rounding(planted: Any) -> None:
    for name in ("faults/another_answer_each_time", "faults/another_answer_without_definition"):
        assert {("nondeterministic", "torch"), ("nondeterministic", "torch@64")} <= blamed(planted[name])
        assert planted.edge(name, "torch", "torch>ort.all").outcome == "nondeterministic"
        assert fails(planted[name])
    assert planted["faults/another_answer_without_definition"].blame == ("nondeterministic",)


def test_complex_numbers_are_no_native_fault(planted: Any) -> None:
    assert not [blame for blame in planted["faults/complex_numbers"].evidence.blames if blame.blame == "native"]


def test_an_operator_that_no_exporter_knows_is_named(planted: Any) -> None:
    named = {blame.party: (blame.blame, blame.op) for blame in planted["faults/exporter_refuses"].evidence.blames}
    assert named == {
        "torch": ("export-failed", "prims::bessel_j0"),
        "torch:raw": ("export-failed", "prims::bessel_j0"),
        "torch:script": ("export-failed", "aten::special_bessel_j0"),
    }
    assert fails(planted["faults/exporter_refuses"])


def test_an_operator_that_one_runtime_lacks_is_unsupported_there_and_judged_elsewhere(planted: Any) -> None:
    verdict = planted["faults/runtime_lacks_operator"]
    assert blamed(verdict) == {("unsupported", f"{graph}>{ort}") for graph in GRAPHS for ort in ("ort.off", "ort.all")}
    assert {blame.op for blame in verdict.evidence.blames} == {"Conv"}
    assert all(planted.edge(verdict.case, "torch", f"{graph}>reference").agrees for graph in GRAPHS)
    assert fails(verdict)


def test_a_framework_that_refuses_its_own_model(planted: Any) -> None:
    verdict = planted["faults/framework_refuses"]
    assert ("unsupported", "torch") in blamed(verdict)
    assert exit_status([verdict]) == 2  # no framework runs it: the case cannot be used


def test_a_native_fault_is_the_frameworks_and_not_its_exporters(planted: Any) -> None:
    assert blamed(planted["faults/native_parts_from_definition"]) >= {("native", "torch")}
    assert fails(planted["faults/native_parts_from_definition"])


def test_a_result_without_a_digit_is_no_agreement(planted: Any) -> None:
    verdict = planted["faults/amplifies_without_end"]
    assert verdict.blame == ("conditioning",)
    assert fails(verdict)


def test_a_nondeterministic_model_is_not_the_exporters_fault(planted: Any) -> None:
    assert "export" not in planted["faults/another_answer_each_time"].blame


def test_an_example_frozen_into_the_graph_is_no_faithful_export(planted: Any) -> None:
    assert ("export", "torch:script") in blamed(planted["faults/frozen_into_the_graph"])


def test_f11_small_results_beside_large_ones_have_a_bound_of_their_own(planted: Any) -> None:
    assert ("export", "torch:script") in blamed(planted["faults/small_beside_large"])
    edge = planted.edge("faults/small_beside_large", "torch", "torch:script>ort.off")
    assert edge.outcome == "diverges"


def test_what_names_float32_is_judged_in_float64(planted: Any) -> None:
    verdict = planted["faults/float32_inside"]
    assert (verdict.status, verdict.blame) == ("expected", ("agree",))
    for graph in GRAPHS:
        assert planted.edge("faults/float32_inside", "torch@64", f"{graph}>reference@64").agrees


def test_half_precision_has_a_bound_in_its_own_unit(planted: Any) -> None:
    assert planted["faults/half_precision"].blame == ("agree",)


def test_a_module_that_the_builder_gives_again_is_left_as_it_was(planted: Any) -> None:
    assert planted["faults/one_module_for_all"].blame == ("agree",)


def test_numbers_that_change_with_every_loading_are_the_cases_problem(planted: Any) -> None:
    (problem,) = planted["faults/numbers_without_a_seed"].problems
    assert "seed its random numbers" in problem


def test_declared_parameters_are_not_another_meaning(planted: Any) -> None:
    assert planted["faults/parameters_without_definition"].blame == ("parameters",)


def test_a_result_that_is_the_same_everywhere_is_said_to_say_little(planted: Any) -> None:
    (note,) = planted["faults/the_same_everywhere"].evidence.runs["torch"].notes
    assert "y is 0.0 everywhere" in note
    assert not planted["faults/frozen_into_the_graph"].evidence.runs["torch"].notes
