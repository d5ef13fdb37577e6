"""What workers do, called in this process: bounds that are measured, and runtimes that answer wrongly."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from onnx_triangulate.cases import catalogue, inputs
from onnx_triangulate.engines import running
from onnx_triangulate.engines.runtimes.reference import Reference
from onnx_triangulate.ops.roundings import Roundings
from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.case import CaseRef
from onnx_triangulate.records.errors import UnusableInput
from onnx_triangulate.records.runs import Model
from onnx_triangulate.transform.skeleton import in_float64, shaken, skeleton
from onnx_triangulate.verification import constant_rounding, perturbed_runs, worker_tasks
from onnx_triangulate.verification.parties import Parties
from onnx_triangulate.verification.verify import _locked

FOLDED = """
from onnx_triangulate import Case, Tensor
def net(torch):
    torch.manual_seed(1)
    norm = torch.nn.BatchNorm2d(4)
    norm.running_mean.normal_(); norm.running_var.uniform_(0.5, 2)
    torch.nn.init.normal_(norm.weight); torch.nn.init.normal_(norm.bias)
    return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), norm)
CASES = (Case("net", inputs={"x": Tensor("n c h w", (2, 3, 6, 5), low=-1, high=1, integers=False)},
              builders={"torch": net}),)
"""


@pytest.fixture(scope="module")
def folded(tmp_path_factory: pytest.TempPathFactory) -> tuple[CaseRef, dict[str, Model], dict[str, Any], Path]:
    """A convolution into whose weights the exporter folds a batch normalization, and everything it is held against."""
    pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("folded")
    (folder / "folded.py").write_text(FOLDED)
    (ref,) = catalogue.find([str(folder / "folded.py")])
    natives = running.run_native(ref, "torch", (False, True), 0, folder)
    models = {model.graph: model for model in worker_tasks.export(ref, "torch", ("", "raw"), 0, folder)}
    raw = models["torch:raw"].file
    assert raw is not None
    truth = perturbed_runs.derive_bounds(ref, "torch", worker_tasks.count_roundings(raw), natives[1], 0, folder)
    return ref, models, {str(run.party): run for run in (*natives, truth)}, folder


ACTIVATED = """
from onnx_triangulate import Case, Tensor
def mk(name):
    def build(torch):
        return torch.nn.Sequential(torch.nn.Linear(16, 64), getattr(torch.nn, name)())
    return Case(name, inputs={"x": Tensor("n i", (64, 16), integers=False, low=-1, high=1)}, builders={"torch": build})
CASES = tuple(mk(name) for name in ("GELU", "SiLU", "Mish"))
"""


@pytest.mark.parametrize("name", ["GELU", "SiLU", "Mish"])
def test_a_rounding_at_a_minimum_is_a_rounding(name: str, tmp_path: Path) -> None:
    """At an activation's minimum nothing that is moved in front of it moves it, and it is rounded all the same."""
    pytest.importorskip("torch")
    (tmp_path / "activated.py").write_text(ACTIVATED)
    (ref,) = catalogue.find([f"{tmp_path / 'activated.py'}::{name}"])
    natives = running.run_native(ref, "torch", (False, True), 0, tmp_path)
    (raw,) = worker_tasks.export(ref, "torch", ("raw",), 0, tmp_path)
    assert raw.file is not None
    truth = perturbed_runs.derive_bounds(ref, "torch", worker_tasks.count_roundings(raw.file), natives[1], 0, tmp_path)
    runs = {str(run.party): run for run in natives}
    wide = truth
    assert Parties({**runs, str(wide.party): wide}, {}).diff("truth@torch", "torch", "native").outcome == "rounding"

    at = int(np.argmin(natives[0].outputs["y"].load()))  # type: ignore[index, union-attr]
    off = natives[0].outputs["y"].load().copy()  # type: ignore[index, union-attr]
    off.reshape(-1)[at] *= np.float32(1.0001)
    wrong = dataclasses.replace(
        natives[0], outputs={"y": running.save(tmp_path, natives[0].party, "y", off, None, kind="wrong")}
    )
    edge = Parties({"torch": wrong, str(wide.party): wide}, {}).diff("truth@torch", "torch", "native")
    assert edge.outcome == "diverges"


@pytest.mark.parametrize(("factor", "outcome"), [(1.0, "rounding"), (1.0001, "diverges"), (1.01, "diverges")])
def test_a_folded_weight_gives_no_licence(folded: Any, factor: float, outcome: str) -> None:
    """The roundings of the fold are allowed for, and a weight that is wrong by a little more is not."""
    ref, models, runs, folder = folded
    proto = onnx.load(models["torch"].file)
    assert [node.op_type for node in proto.graph.node] == ["Conv"]
    for tensor in proto.graph.initializer:
        if len(tensor.dims) == 4:
            values = numpy_helper.to_array(tensor) * np.float32(factor)
            tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float32), tensor.name))
    file = folder / f"planted_{factor}.onnx"
    onnx.save(proto, file)
    model = dataclasses.replace(models["torch"], file=file)
    (run,) = running.run_graph(ref, model, ["reference@64"], 0, folder)
    assert (
        Parties({**runs, str(run.party): run}, {}).diff("torch@64", "torch>reference@64", "export").outcome
        == "diverges"
    )
    run = constant_rounding.with_constant_rounding(ref, model, run, [models["torch:raw"].file], 0, folder, 2**33)
    parties = Parties({**runs, str(run.party): run}, {})
    edge = parties.diff("torch@64", "torch>reference@64", "export")
    assert (edge.outcome, edge.compared) == (outcome, 2 * 4 * 4 * 3)


def test_weights_in_another_file_are_read_from_there_one_at_a_time(
    folded: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Facts and counts never open the data; every run, in either precision, gives the same as from one file."""
    ref, models, _, folder = folded
    ordinary = models["torch:raw"]
    file = tmp_path / "outside.onnx"
    onnx.save_model(onnx.load(ordinary.file), file, save_as_external_data=True, location="w.data", size_threshold=0)
    model = dataclasses.replace(ordinary, file=file)
    items = ["check", "reference", "ort.off", "ort.all", "reference@64"]
    here = running.run_graph(ref, ordinary, items, 0, folder)
    there = running.run_graph(ref, model, items, 0, tmp_path)
    for mine, other in zip(here[1:], there[1:], strict=True):
        assert other.error is None
        assert np.array_equal(mine.outputs["y"].load(), other.outputs["y"].load())
    moved = [
        constant_rounding.with_constant_rounding(ref, m, r[-1], [], 0, tmp_path, 2**33)
        for m, r in ((ordinary, here), (model, there))
    ]
    assert np.array_equal(*[run.bounds["y"].constant_rounding.load() for run in moved])
    monkeypatch.setattr(worker_tasks, "MOST_OUTSIDE", 100)
    (tmp_path / "w.data").rename(tmp_path / "gone")
    assert worker_tasks.count_roundings(file) == worker_tasks.count_roundings(ordinary.file)
    facts = worker_tasks.read_facts(model)
    assert facts is not None
    assert facts.parameters == worker_tasks.read_facts(ordinary).parameters
    assert worker_tasks._model(file).graph.node


def test_a_float64_run_that_memory_does_not_hold_is_missing_with_its_reason(folded: Any, tmp_path: Path) -> None:
    ref, models, _, _ = folded
    (run,) = running.run_graph(ref, models["torch"], ["reference@64"], 0, tmp_path, 100)
    assert run.error is not None
    assert (run.error.kind, run.outputs) == ("unsupported", None)
    assert "float64" in run.error.message
    assert "--memory" in run.error.message


def test_a_skeleton_means_the_whole_model(folded: Any, tmp_path: Path) -> None:
    """With its constants beside it, as initializers and as Constant nodes, in float64 too."""
    _, models, _, _ = folded
    proto = onnx.load(models["torch:raw"].file)
    held = proto.graph.initializer.pop()
    proto.graph.node.insert(0, onnx.helper.make_node("Constant", [], [held.name], value=held))
    onnx.save(proto, tmp_path / "constant.onnx")
    slim = skeleton(tmp_path / "constant.onnx", large=2)
    assert not [t for t in slim.model.graph.initializer if len(t.dims) and t.dims[0] > 1]
    assert held.name in slim.weights
    x = {"x": np.random.default_rng(0).uniform(-1, 1, (2, 3, 6, 5)).astype(np.float32)}
    whole = ReferenceEvaluator(proto).run(None, x)[0]
    assert np.array_equal(ReferenceEvaluator(slim.model).run(None, {**x, **slim.weights})[0], whole)
    mean, slim = slim, skeleton(tmp_path / "constant.onnx", large=2)
    double = in_float64(slim)
    assert not slim.weights, "they would be held twice"
    assert set(double.weights) == set(mean.weights)
    assert all(w.dtype == np.float64 for w in double.weights.values() if w.dtype.kind == "f")
    sharp = ReferenceEvaluator(double.model).run(None, {**running.feeds_in_float64(x), **double.weights})[0]
    assert 0 < np.abs(sharp - whole).max() < 1e-5
    names = frozenset(n for n, w in double.weights.items() if w.dtype == np.float64)
    moved = shaken(double, names, 0)
    apart = [np.abs(moved.weights[n] / double.weights[n] - 1) for n in names]
    assert all(np.allclose(a, 2.0**-24, rtol=1e-6) for a in apart)


def test_a_bound_that_would_be_a_guess_is_none(folded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ref, _, runs, folder = folded
    source = runs["torch@64"]
    monkeypatch.setattr(type(worker_tasks.adapter("torch")), "roundings", lambda *_, **__: None)
    few = perturbed_runs.derive_bounds(ref, "torch", Roundings(running.MOST_GUESSED, ("Odd",)), source, 0, folder)
    many = perturbed_runs.derive_bounds(ref, "torch", Roundings(running.MOST_GUESSED + 1, ("Odd",)), source, 0, folder)
    assert set(few.bounds) == {"y"}
    assert not many.bounds
    edge = Parties({**runs, "truth@torch": many}, {}).diff("truth@torch", "torch", "native")
    assert (edge.outcome, "no bound is known" in (edge.problem or "")) == ("missing", True)


def test_a_runtime_that_drops_an_output_is_seen(folded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ref, models, runs, folder = folded

    def drops(self: Reference, file: Path, *, double: bool = False) -> Callable[..., Sequence[Array]]:
        def run(feeds: Mapping[str, Array], outputs: Sequence[str]) -> Sequence[Array]:
            return []

        return run

    monkeypatch.setattr(Reference, "open", drops)
    (run,) = running.run_graph(ref, models["torch"], ["reference"], 0, folder)
    edge = Parties({**runs, str(run.party): run}, {}).diff("torch", "torch>reference", "export")
    assert edge.outcome == "missing"
    assert "no output y" in (edge.problem or "")


def test_exporters_see_other_numbers_of_the_same_kind(folded: Any) -> None:
    for ref in catalogue.find():
        case = catalogue.load(ref)
        own, other = inputs.inputs_of(case, ref.name, 0), inputs.examples_of(case, ref.name, 0)
        for name, value in own.items():
            assert (other[name].shape, other[name].dtype) == (value.shape, value.dtype)
            if len(np.unique(value)) > 1 and value.dtype.kind == "f" and not np.isnan(value).any():
                assert not np.array_equal(value, other[name])


def test_two_runs_do_not_share_a_folder(tmp_path: Path) -> None:
    first = _locked(tmp_path / "out")
    with pytest.raises(UnusableInput, match="another run is writing there"):
        _locked(tmp_path / "out")
    first.release()
    _locked(tmp_path / "out").release()


def test_what_a_folder_target_leaves_out_is_said(tmp_path: Path) -> None:
    (tmp_path / "case.py").write_text(FOLDED)
    assert catalogue.left_out([str(tmp_path)]) == ()
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "other.py").write_text(FOLDED)
    (notice,) = catalogue.left_out([str(tmp_path)])
    assert "1 Python files in its sub-folders were left out" in notice
