"""The main job through the real engines: the bundled catalogue, models of every kind, and what a run promises."""

from __future__ import annotations

import importlib.metadata
import json
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from onnx_triangulate.cases import catalogue as cases
from onnx_triangulate.engines.installed import absent_engines
from onnx_triangulate.records.errors import MissingEngine, UnusableInput
from onnx_triangulate.report.documents import as_json, schema
from onnx_triangulate.verification.verify import Options, exit_status, verify

EXPORTERS = {"torch": ("torch", "torch:raw", "torch:script"), "tensorflow": ("tensorflow", "tensorflow:nchw")}
ITEMS = ("reference", "ort.off", "ort.all", "reference@64")
FRAMEWORKS = {ref.name: set(cases.declared(ref).builders) for ref in cases.find()}
CATALOGUE = list(FRAMEWORKS)
NO_CONVERSION = ("export-failed", "tensorflow*")

# Established by hand and by measuring the toolchain, not read off this tool: (blame, party) with parties as globs.
BY_HAND: dict[str, set[tuple[str, str]]] = {
    "autodiff/chain": set(),
    "batch_norm/training_random_scale": {
        ("parameters", "tensorflow|torch"),
        ("export", "torch"),
        ("export", "torch:raw"),
    },
    "batch_norm/training_same_scale": {("export", "torch"), ("export", "torch:raw")},
    "batch_norm/momentum_none": {("export-failed", "torch"), ("export-failed", "torch:raw")},
    "batch_norm/epsilon": {("parameters", "tensorflow|torch")},
    "batch_norm/evaluation": set(),
    "conv2d/even_input": {("semantics", "tensorflow|torch")},
    "conv2d/odd_input": set(),
    "conv2d/even_input_explicit_pad": set(),
    "conv2d/gradient": {NO_CONVERSION},
    "conv_transpose2d/restores_19": set(),
    "conv_transpose2d/notebook_9x9": set(),
    "conv_transpose2d/output_20": {("semantics", "tensorflow|torch")},
    "cross_entropy/sigmoid_as_softmax": set(),
    "cross_entropy/softmax_single_class": set(),
    "cross_entropy/bce_with_logits_saturated": {
        ("export", "torch"),
        ("export", "torch:raw"),
        ("export", "torch:script"),
        NO_CONVERSION,
    },
    "leaky_relu/slope_0_2": set(),
    "leaky_relu/slope_above_1": {("semantics", "tensorflow|torch")},
    "leaky_relu/subnormal": {("native", "tensorflow")},
}


def load(ran: Any, case: str, party: str, output: str) -> Any:
    return np.load(ran.out / ran.case(case)["parties"][party]["outputs"][output]["file"], allow_pickle=False)


def test_the_catalogue_is_as_expected(catalogue: Any) -> None:
    assert catalogue.status == 0
    assert catalogue.stderr == ""
    assert [case["case"] for case in catalogue.report["cases"]] == CATALOGUE
    assert len(CATALOGUE) >= 300


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_case_of_the_catalogue(catalogue: Any, name: str) -> None:
    case = catalogue.case(name)
    assert case["status"] == "expected", case["unexpected"] or case["expectations"]
    assert case["problems"] == []
    assert all(e["outcome"] in ("met", "not applicable") for e in case["expectations"])
    frameworks = sorted(FRAMEWORKS[name])
    for graph in (graph for framework in frameworks for graph in EXPORTERS[framework]):
        wanted = {f"{graph}>{item}" for item in ITEMS}
        have = {party for party in case["parties"] if party.startswith(f"{graph}>")}
        if case["graphs"][graph]["error"] is None:
            assert have - {f"{graph}>reference.patched"} == wanted, "a party was dropped"
            assert case["graphs"][graph]["opset"] == (15 if graph.startswith("tensorflow") else 20)
        else:
            assert not have
            blamed = {(b["blame"], b["party"]) for b in case["blames"]}
            refuses = ("unsupported", graph.partition(":")[0]) in blamed  # a framework that does not run it natively
            assert refuses or any(party == graph for _, party in blamed), "a failed export that nobody is blamed for"
    assert {party for name in frameworks for party in (name, f"{name}@64")} <= set(case["parties"])
    assert any(party.startswith("truth") for party in case["parties"])
    for party, run in case["parties"].items():
        assert run["error"] is not None or run["outputs"], f"{party} has neither a value nor a failure"
        assert run["deterministic"]


@pytest.mark.parametrize("name", sorted(BY_HAND))
def test_blame_is_what_was_established_by_hand(catalogue: Any, name: str) -> None:
    blames = {(blame["blame"], blame["party"]) for blame in catalogue.case(name)["blames"]}
    for kind, party in BY_HAND[name]:
        assert any(seen == kind and fnmatchcase(who, party) for seen, who in blames), (kind, party, blames)
    for seen, who in blames:
        assert any(seen == kind and fnmatchcase(who, party) for kind, party in BY_HAND[name]), (seen, who)
    expected = sorted({kind for kind, _ in BY_HAND[name]}) or ["agree"]
    assert catalogue.case(name)["blame"] == expected


@pytest.mark.parametrize(
    ("name", "op"),
    [
        ("cross_entropy/bce_with_logits_saturated", "Log1p"),
        ("cross_entropy/gradient_class_indices", "SparseSoftmaxCrossEntropyWithLogits"),
        ("leaky_relu/gradient", "LeakyReluGrad"),
        ("batch_norm/gradient_training", "RsqrtGrad"),
    ],
)
def test_a_failed_conversion_names_the_operator(catalogue: Any, name: str, op: str) -> None:
    ops = {b["op"] for b in catalogue.case(name)["blames"] if b["blame"] == "export-failed" and "tensor" in b["party"]}
    assert ops == {op}


def test_even_convolution_shows_the_padding(catalogue: Any) -> None:
    case = catalogue.case("conv2d/even_input")
    seen = {graph: [(p["begin"], p["end"], p["symmetric"]) for p in g["pads"]] for graph, g in case["graphs"].items()}
    both, after = [([1, 1], [1, 1], True)], [([0, 0], [1, 1], False)]
    assert seen == {
        "torch": both,
        "torch:raw": both,
        "torch:script": both,
        "tensorflow": after,
        "tensorflow:nchw": after,
    }
    kinds = {graph: sorted(t["kind"] for t in g["transposes"]) for graph, g in case["graphs"].items()}
    assert kinds["tensorflow"] == ["NCHW->NHWC", "NHWC->NCHW"]
    assert kinds["tensorflow:nchw"] == []
    groups = [set(group) for group in case["groups"]]
    assert {"truth@torch", "torch", "torch>ort.all", "torch:raw>reference", "torch:script>ort.off"} <= groups[0]
    assert {"truth@tensorflow", "tensorflow", "tensorflow>ort.all", "tensorflow:nchw>reference"} <= groups[1]
    assert len(groups) == 2
    padding, node = case["findings"]
    assert (padding["cause"], node["cause"], node["proved"]) == ("asymmetric-padding", "guilty-node", False)
    assert node["nodes"] == ["Conv2D", "node_conv2d"]
    assert "pads is [0, 0, 1, 1] in tensorflow, [1, 1, 1, 1] in torch" in node["says"]
    edge = next(e for e in case["edges"] if (e["left"], e["right"]) == ("tensorflow", "torch"))
    assert edge["compared"] == 54
    here = tuple(edge["index"])
    pair = [float(load(catalogue, "conv2d/even_input", party, "y")[here]) for party in ("tensorflow", "torch")]
    assert edge["values"] == pair
    assert edge["max_abs"] == abs(pair[0] - pair[1])


@pytest.mark.parametrize(
    "party", ["truth", "torch", "tensorflow", "torch>ort.all", "torch:script>reference", "tensorflow:nchw>ort.off"]
)
def test_autodiff_chain_is_81_and_54(catalogue: Any, party: str) -> None:
    assert load(catalogue, "autodiff/chain", party, "y") == 81
    assert load(catalogue, "autodiff/chain", party, "grad_x") == 54
    outputs = catalogue.case("autodiff/chain")["parties"][party]["outputs"]
    assert "absent" in outputs["grad_a"]
    assert "absent" in outputs["grad_b"]


def test_saturated_loss_is_50_and_its_export_infinite(catalogue: Any) -> None:
    name = "cross_entropy/bce_with_logits_saturated"
    assert load(catalogue, name, "torch", "y") == 50
    assert load(catalogue, name, "tensorflow", "y") == 50
    assert np.isinf(load(catalogue, name, "torch>ort.all", "y"))


def test_random_scale_is_one_factor_per_channel(catalogue: Any) -> None:
    name = "batch_norm/training_random_scale"
    with np.errstate(invalid="ignore"):
        factor = load(catalogue, name, "torch", "y") - np.array([1.0, 0.0, -2.0], np.float32)[:, None, None]
        factor /= load(catalogue, name, "tensorflow", "y") - np.array([1.0, 0.0, -2.0], np.float32)[:, None, None]
    for channel in range(3):
        values = factor[:, channel][np.isfinite(factor[:, channel])]
        assert np.allclose(values, values[0], rtol=1e-4)  # read off, not judged: what the notebook saw
        assert 0 < values[0] < 1


@pytest.mark.parametrize("run", ["catalogue", "healthy", "broken", "limits"])
def test_a_written_report_follows_the_published_schema(request: pytest.FixtureRequest, run: str) -> None:
    jsonschema.validate(request.getfixturevalue(run).report, schema())


def test_the_report_of_the_planted_faults_follows_the_published_schema(planted: Any) -> None:
    jsonschema.validate(json.loads(json.dumps(as_json(planted.report), allow_nan=False)), schema())


# Types that float64 does not widen, so that their parties in float64 say that they have none.
WITHOUT_DOUBLE = ("healthy/half_precision", "healthy/half_precision_promised", "healthy/brain_floats")
HEALTHY = [ref.name for ref in cases.find([str(Path(__file__).parents[1] / "case_files" / "healthy.py")])]


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_model_of_any_kind_agrees(planted: Any, name: str) -> None:
    verdict = planted[name]
    assert verdict.status == "expected", (verdict.unexpected, verdict.problems)
    assert exit_status([verdict]) == 0
    frameworks = sorted({run.party.framework for run in verdict.evidence.runs.values()} - {"truth"})
    for framework in frameworks:
        for graph in EXPORTERS[framework]:
            for item in ITEMS:
                assert f"{graph}>{item}" in verdict.evidence.runs
    lenient = name in WITHOUT_DOUBLE
    for edge in verdict.evidence.edges:
        assert edge.compared or (lenient and "@64" in edge.left + edge.right) or name == "healthy/brain_floats", edge


def test_own_weights_are_parameters_and_shared_ones_are_not(planted: Any) -> None:
    assert planted["healthy/own_random_weights"].blame == ("parameters",)
    assert planted["healthy/shared_weights"].blame == ("agree",)
    assert planted.edge("healthy/own_random_weights", "tensorflow", "torch").outcome == "diverges"


def test_a_bound_is_derived_where_the_case_gives_no_definition(planted: Any) -> None:
    for name in ("healthy/torch_module", "healthy/keras_model", "healthy/shared_weights"):
        verdict = planted[name]
        truths = [run for run in verdict.evidence.runs.values() if run.party.framework == "truth"]
        assert truths
        assert all("float64" in run.derived and run.bounds for run in truths)
        assert any(edge.outcome == "rounding" for edge in verdict.evidence.edges), "nothing was rounded: shows nothing"


def test_a_bound_is_derived_where_the_definition_leaves_it_open(planted: Any) -> None:
    run = planted["healthy/definition_without_bound"].evidence.runs["truth"]
    assert run.bounds["y"].derived == "tensorflow, torch"
    assert "largest" not in run.bounds
    parted = planted["faults/native_parts_from_a_definition_without_bound"]
    assert parted.blame == ("native",)
    assert parted.evidence.runs["truth"].bounds["y"].derived == "torch"
    assert {b.party for b in parted.evidence.blames} == {"torch"}


def test_names_that_are_hostile_stay_in_the_runs_folder(planted: Any) -> None:
    runs = planted["healthy/hostile_names"].evidence.runs
    files = [array.file for run in runs.values() for array in (run.outputs or {}).values()]
    assert len(files) == len(set(files)) > 0
    assert all(file.resolve().is_relative_to(planted.out.resolve()) and file.is_file() for file in files)


def test_outputs_keep_their_own_values_whatever_they_are_called(planted: Any) -> None:
    for name in ("faults/first_of_two_long_names", "faults/named_like_its_own_bound"):
        outputs = planted[name].evidence.runs["torch"].outputs
        first, second = (array.load() for array in outputs.values())
        assert (first * 2 <= second).all()
        assert (first > 0).all()


def test_a_declared_divergence_is_expected_and_an_undeclared_one_is_not(planted: Any) -> None:
    declared, undeclared = planted["faults/nan_everywhere_declared"], planted["faults/nan_everywhere"]
    assert declared.blame == undeclared.blame == ("export",)
    assert (declared.status, exit_status([declared])) == ("expected", 0)
    assert (undeclared.status, exit_status([undeclared])) == ("unexpected", 1)


def test_an_expectation_expires_loudly(planted: Any) -> None:
    stale = planted["faults/expectation_stale"]
    assert (stale.status, stale.blame, exit_status([stale])) == ("stale", ("agree",), 1)
    assert [result.outcome for result in stale.expectations] == ["stale"]
    other = planted["faults/expectation_of_other_release"]
    assert (other.status, exit_status([other])) == ("expected", 0)
    assert [result.outcome for result in other.expectations] == ["not applicable"]


def without_folder(case: dict[str, Any]) -> str:
    return json.dumps(case, sort_keys=True)


def test_a_killed_worker_changes_nothing_for_the_others_and_one_seed_gives_one_report(
    planted: Any, healthy: Any
) -> None:
    with_deaths = {case["case"]: case for case in as_json(planted.report)["cases"]}
    assert with_deaths["deaths/native"]["blame"] == ["crashed"], "nobody died: nothing is shown"
    for name in HEALTHY:
        assert without_folder(with_deaths[name]) == without_folder(healthy.case(name)), name
    assert healthy.status == 0


def test_another_seed_gives_other_numbers(catalogue: Any, broken: Any) -> None:
    name = "leaky_relu/slope_0_2"
    assert (catalogue.report["seed"], broken.report["seed"]) == (0, 1)
    first, second = load(catalogue, name, "torch", "y"), load(broken, name, "torch", "y")
    assert first.shape == second.shape
    assert not np.array_equal(first, second)
    assert broken.case(name)["status"] == "expected"


BROKEN = {
    "builder_raises": "the builder raised RuntimeError: first line",
    "builder_gives_no_model": "expected a model to call",
    "other_shape": "output y has shape (3, 5), the case promises (3, 4)",
    "other_rank": "output y has shape (), the case promises axes 'r c'",
    "other_type": "output y is float32, the case promises int64",
    "too_many_outputs": "the model returned 2 values, the case promises y",
    "other_outputs": "the model returned ['z'], the case promises ['y']",
    "no_tensor": "the model returned a float, expected a tensor",
    "nothing": "the model returned no array",
    "two_of_one_name": "two values named a_b",
    "truth_raises": "the truth of broken/truth_raises raised TypeError",
    "truth_lacks_an_output": "differ in ['z']",
    "lost_under_export": "the model returned ['kept'], the case promises ['kept', 'lost']",
}


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_a_case_that_cannot_be_used_is_a_line_and_no_verdict(broken: Any, name: str) -> None:
    case = broken.case(f"broken/{name}")
    assert any(BROKEN[name] in problem for problem in case["problems"])
    assert case["status"] != "expected"
    lines = [line for line in broken.stderr.splitlines() if f"broken/{name}:" in line]
    assert [line for line in lines if BROKEN[name] in line]
    assert all(line.startswith("triangulate: ") and "\x1b" not in line for line in lines)


def test_cases_that_cannot_be_used_give_status_2_and_spare_the_others(broken: Any) -> None:
    assert broken.status == 2
    assert broken.report["exit_status"] == 2
    assert broken.case("broken/usable")["status"] == "expected"
    assert all(line.startswith("triangulate: broken/") for line in broken.stderr.splitlines())
    assert "\x1b" not in broken.stdout
    assert {case["case"] for case in broken.report["cases"]} >= {f"broken/{name}" for name in BROKEN}


@pytest.fixture
def no_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    original = importlib.metadata.version

    def version(name: str) -> str:
        if name.startswith("tensorflow"):
            raise importlib.metadata.PackageNotFoundError(name)
        return original(name)

    monkeypatch.setattr(importlib.metadata, "version", version)


@pytest.mark.usefixtures("no_tensorflow")
def test_an_absent_engine_leaves_its_parties_out_and_says_so() -> None:
    report = verify(["conv2d/odd_input", "conv2d/even_input"], Options())
    odd, even = report.verdicts
    assert any("tensorflow is not installed" in notice for notice in report.notices)
    for verdict in report.verdicts:
        assert not [name for name in verdict.evidence.runs if name.startswith("tensorflow")]
        assert not [name for name in verdict.evidence.models if name.startswith("tensorflow")]
        assert any(edge.compared for edge in verdict.evidence.edges)
    assert odd.status == "expected"
    assert even.status == "undecided"
    assert [result.outcome for result in even.expectations] == ["undecided"]
    assert report.exit_status == 0


@pytest.mark.usefixtures("no_tensorflow")
def test_nothing_left_to_compare_is_a_failure(tmp_path: Path) -> None:
    file = tmp_path / "alone.py"
    file.write_text(
        "from onnx_triangulate import Case, Tensor\n"
        "CASES = Case('only', inputs={'x': Tensor('n', (3,))}, builders={'tensorflow': lambda tf: tf.abs},\n"
        "             truth=lambda x: abs(x))\n"
    )
    report = verify([str(file)])
    assert report.exit_status == 1
    assert report.verdicts[0].status == "undecided"


@pytest.mark.parametrize("truth", ["None", "Rounded(x, [[1, 2]], 3)"])
@pytest.mark.usefixtures("no_tensorflow")
def test_a_definition_that_is_none_is_the_cases_problem_and_spares_the_others(tmp_path: Path, truth: str) -> None:
    file = tmp_path / "undefined.py"
    file.write_text(
        "from onnx_triangulate import Case, Rounded, Tensor\n"
        "CASES = Case('only', inputs={'x': Tensor('n', (3,))}, builders={'tensorflow': lambda tf: tf.abs},\n"
        f"             truth=lambda x: {truth})\n"
    )
    report = verify([str(file)])
    assert report.exit_status == 2
    assert "truth of undefined/only" in report.verdicts[0].problems[0]


@pytest.mark.usefixtures("no_tensorflow")
def test_a_required_engine_that_is_absent_stops_the_run() -> None:
    assert absent_engines() == ("tensorflow",)
    with pytest.raises(MissingEngine, match=r"tensorflow is required .* pip install"):
        verify(["conv2d/odd_input"], Options(require=("torch", "tensorflow")))


@pytest.mark.parametrize("distribution", ["torch", "onnxscript", "tf2onnx", "onnxruntime"])
def test_every_part_of_an_engine_is_looked_for(monkeypatch: pytest.MonkeyPatch, distribution: str) -> None:
    original = importlib.metadata.version
    owner = {"onnxscript": "torch", "tf2onnx": "tensorflow"}.get(distribution, distribution)

    def version(name: str) -> str:
        if name == distribution:
            raise importlib.metadata.PackageNotFoundError(name)
        return original(name)

    assert absent_engines([owner]) == ()
    monkeypatch.setattr(importlib.metadata, "version", version)
    assert absent_engines() == (owner,)
    with pytest.raises(MissingEngine, match=distribution):
        absent_engines([owner])


def test_an_engine_that_nobody_knows_cannot_be_required() -> None:
    with pytest.raises(UnusableInput, match="no such engine"):
        verify(["conv2d/odd_input"], Options(require=("jax",)))
