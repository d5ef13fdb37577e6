"""The fault benchmark: its kinds of edit change what they say, its scores can fail, and a sample of it is found."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import numpy_helper

ROOT = Path(__file__).resolve().parents[2]
TEXT = """<ir_version: 10, opset_import: ["" : 20]> g (float[2,3,6,5] x) => (float[a,b] y) {
    [conv] c = Conv<pads=[1, 1, 1, 1]>(x, w, b)
    [act] r = Relu(c)
    [up] u = Resize<mode="linear">(r, , scales)
    [pool] p = MaxPool<kernel_shape=[2, 2], strides=[2, 2]>(u)
    [turn] t = Transpose<perm=[0, 2, 3, 1]>(p)
    [mean] m = ReduceMean<keepdims=0>(t, axes)
    [scale] s = Mul(m, k)
    [soft] y = Softmax<axis=-1>(s)
}"""


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    names = ("graphs", "kinds", "report", "site", "trial")
    return SimpleNamespace(**{name: importlib.import_module(f"faults.{name}") for name in names})


@pytest.fixture
def folder(tmp_path: Path, faults: SimpleNamespace) -> Path:
    """A graph kept as the benchmark keeps its own; its framework is ONNX Runtime itself."""
    random = np.random.default_rng(0)
    model = onnx.parser.parse_model(TEXT)
    held = {
        "w": random.normal(size=(4, 3, 3, 3)).astype(np.float32),
        "b": random.normal(size=4).astype(np.float32),
        "scales": np.array([1, 1, 2, 2], np.float32),
        "axes": np.array([1, 2]),
        "k": random.normal(size=4).astype(np.float32),
    }
    model.graph.initializer.extend(numpy_helper.from_array(v, n) for n, v in held.items())
    place = tmp_path / "small"
    place.mkdir()
    onnx.save(model, place / "graph.onnx")
    feeds = {"x": random.uniform(-1, 1, (2, 3, 6, 5)).astype(np.float32)}
    np.savez(place / "feeds.npz", **feeds)
    slots, at = {}, 0
    with (place / "values.bin").open("wb") as out:
        for name, value in faults.graphs.run_all(model, feeds).items():
            slots[name] = [at, value.dtype.name, list(value.shape)]
            at += out.write(np.ascontiguousarray(value).tobytes())
    about = {"graph": "torch", "permuted": False, "computed": [], "below": {"x": 1}, "single": slots, "double": None}
    (place / "about.json").write_text(json.dumps(about))
    return tmp_path


def trials(faults: SimpleNamespace, folder: Path) -> Iterator[Any]:
    base = faults.graphs.Kept("small", folder / "small").base
    for name, kind in faults.kinds.KINDS.items():
        for node in base.nodes:
            if not kind.ops or node.op_type in kind.ops:
                yield faults.trial.Trial("small", (faults.trial.Fault(name, node.name, 0),))
                if kind.stratum == faults.site.CONTROL:
                    break


def test_there_are_thirty_kinds_and_every_stratum_has_some(faults: SimpleNamespace) -> None:
    kinds = faults.kinds.KINDS.values()
    assert len([k for k in kinds if k.stratum != faults.site.CONTROL]) >= 30
    assert {k.stratum for k in kinds} == {*faults.site.STRATA, faults.site.CONTROL}
    assert all(kind.about for kind in kinds)


def test_two_kinds_of_one_name_raise(faults: SimpleNamespace) -> None:
    plant = next(iter(faults.kinds.KINDS.values())).plant
    with pytest.raises(ValueError, match="two kinds"):
        faults.site.kind("axis")(plant)


@pytest.mark.slow
def test_every_fault_of_a_small_graph_is_named_and_no_control_is(faults: SimpleNamespace, folder: Path) -> None:
    records = [faults.trial.run(trial, folder).as_json() for trial in trials(faults, folder)]
    controls = [r for r in records if r["stratum"] == "control"]
    assert [r["key"] for r in controls if faults.report.accused(r)] == []
    assert sum(r["status"] == "counted" for r in controls) >= 8
    mutants = [r for r in records if r["stratum"] != "control" and r["status"] == "counted"]
    assert len(mutants) >= 60
    assert [r["key"] for r in mutants if faults.report.verdict(r, "graph") not in ("top", "not observable")] == []
    text, summary = faults.report.tables(
        {r["key"]: r for r in records if r["stratum"] != "control"}, {}, {r["key"]: r for r in controls}
    )
    assert summary["weighted_graph"]["top"] == 1
    assert "false alarms 0" in text


def record(**changed: Any) -> dict[str, Any]:
    named = {"nodes": ("a",), "regions": (("a", "b"),), "ratios": (2.0,), "problem": None}
    return {
        "key": "g|epsilon@a@0|0",
        "stratum": "attribute",
        "status": "counted",
        "accepted": (("a",),),
        "seen": ("native", "random"),
        "far": 1.0,
        "graph": named,
        "native": named,
        "says": "",
        **changed,
    }


def test_the_scores_tell_right_from_wrong(faults: SimpleNamespace) -> None:
    verdict, exact = faults.report.verdict, faults.report.exact
    nobody = {"nodes": (), "regions": (), "ratios": (), "problem": None}
    assert verdict(record(), "graph") == "top"
    assert verdict(record(accepted=(("b",),)), "graph") == "region"
    assert verdict(record(accepted=(("c",),)), "graph") == "wrong"
    assert verdict(record(graph=nobody), "graph") == "silent"
    assert verdict(record(graph=nobody, seen=("native",)), "graph") == "not observable"
    assert verdict(record(native=nobody, seen=("random",)), "native") == "not observable"
    both = {"nodes": ("a", "d"), "regions": (("a",), ("d",)), "ratios": (2.0, 3.0), "problem": None}
    assert exact(record(graph=both, accepted=(("a",), ("d", "e"))), "graph")
    assert not exact(record(accepted=(("a",), ("d", "e"))), "graph")
    assert not exact(record(graph=both), "graph")


def test_a_false_alarm_and_a_miss_are_in_the_table(faults: SimpleNamespace) -> None:
    wrong = record(accepted=(("c",),))
    alarm = record(key="g|nothing@a@0|0", stratum="control", accepted=())
    text, summary = faults.report.tables({wrong["key"]: wrong}, {}, {alarm["key"]: alarm})
    assert "false alarms 1" in text
    assert summary["false_alarms"] == ["g|nothing@a@0|0"]
    assert {miss["verdict"] for miss in summary["misses"]} == {"wrong"}


def test_what_means_the_same_is_equivalent_and_what_is_no_model_invalid(faults: SimpleNamespace, folder: Path) -> None:
    def status(kind: str, node: str) -> str:
        made = faults.trial.Trial("small", (faults.trial.Fault(kind, node, 0),))
        return str(faults.trial.run(made, folder).status)

    assert status("activation_dropped", "act") == "counted"
    assert status("arithmetic_swapped", "scale") == "counted"
    assert status("vector_rolled", "soft") == "invalid"  # it has no vector
    assert status("dimensions_kept_or_not", "mean") in ("invalid", "counted")  # refused, or broadcast to another shape
    assert status("nothing", "act") == "counted"  # a control counts because it means the same
