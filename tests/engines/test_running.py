"""What a worker makes of the values that a runtime gives: outputs by the case's names, absent ones, repeated ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest

from onnx_triangulate.engines import running
from onnx_triangulate.engines.running import graph_run
from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.case import Absent, Case, Tensor
from onnx_triangulate.records.party import Party
from onnx_triangulate.records.runs import Model, Run

PARTY = Party.parse("torch:dynamo>ort.off")


def ran(folder: Path, answers: Iterator[list[Array]], outputs: Mapping[str, Tensor | Absent]) -> Run:
    case = Case("own", {"x": Tensor("n", shape=(2,))}, {}, outputs)
    model = Model("torch:dynamo", folder / "model.onnx", inputs={"x": "in"}, outputs={"y": "out", "z": "out_1"})

    def run(feeds: Mapping[str, Array], names: Sequence[str]) -> list[Array]:
        assert list(names) == ["out", "out_1"]
        return next(answers)

    return graph_run(PARTY, case, model, {"in": np.zeros(2, np.float32)}, folder, run)


def ramp(*values: float) -> Array:
    return np.array(values, np.float32)


def test_what_the_case_calls_absent_is_absent_only_where_the_graph_has_none_of_it(tmp_path: Path) -> None:
    outputs = {"y": Tensor("n"), "z": Absent("not a leaf"), "grad_h": Absent("not a leaf")}
    run = ran(tmp_path, iter([[ramp(1, 2), ramp(3)]] * 2), outputs)
    assert set(run.outputs) == {"y", "z", "grad_h"}
    assert isinstance(run.outputs["grad_h"], Absent)
    assert not isinstance(run.outputs["z"], Absent)  # an output that should not be there is kept, to be told
    assert run.deterministic


@pytest.mark.parametrize("second", [[ramp(1, 2), ramp(4)], [ramp(1, 2)], [ramp(1, 2), ramp(np.nan)]])
def test_two_runs_that_part_are_not_deterministic(tmp_path: Path, second: list[Array]) -> None:
    assert not ran(tmp_path, iter([[ramp(1, 2), ramp(3)], second]), {}).deterministic


def test_a_value_too_few_is_a_missing_output(tmp_path: Path) -> None:
    assert set(ran(tmp_path, iter([[ramp(1, 2)]] * 2), {}).outputs) == {"y"}


def test_a_value_too_many_is_no_answer(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="3 values for the 2 outputs"):
        ran(tmp_path, iter([[ramp(1), ramp(2), ramp(3)]] * 2), {})


DROPPED = """<ir_version: 8, opset_import: ["" : 18]> g (float[1] x) => (float[1] out, float[1] out_1)
<float r = {0.5}, bool t = {1}> { out = Relu (x)  out_1 = %s }"""


@pytest.mark.parametrize(
    ("second", "changes_at", "deterministic"),
    [("Dropout (x, r, t)", 7, False), ("Dropout (x, r, t)", 1000, True), ("Neg (x)", 7, True)],
)
def test_a_graph_that_may_draw_is_run_until_it_answers_otherwise(
    tmp_path: Path, second: str, changes_at: int, deterministic: bool
) -> None:
    onnx.save(onnx.parser.parse_model(DROPPED % second), tmp_path / "model.onnx")
    answers = ([ramp(1), ramp(float(n == changes_at))] for n in range(1000))
    assert ran(tmp_path, answers, {}).deterministic is deterministic


def test_a_slow_graph_that_may_draw_is_not_run_for_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawn with a fixed seed, or made constant by a runtime, it would answer the same for ever."""
    onnx.save(onnx.parser.parse_model(DROPPED % "Dropout (x, r, t)"), tmp_path / "model.onnx")
    clock = iter(range(1000))
    monkeypatch.setattr(running.time, "monotonic", lambda: float(next(clock)))
    answers = iter([[ramp(1), ramp(0)]] * 5)
    assert ran(tmp_path, answers, {}).deterministic
    assert len(list(answers)) == 2
