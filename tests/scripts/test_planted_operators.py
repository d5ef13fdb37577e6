"""The benchmark that plants wrong operators: what is planted is wrong, and who is not blamed for it is called WRONG."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx.reference import ReferenceEvaluator

from scripts.planted_operators import OFF, _wrong_model, broken, can_plant, is_right, maker

TEXT = """<ir_version: 10, opset_import: ["" : 20]> g (float[2,3] x) => (float[2,3] y, int64[2] i, bool[2,3] b) {
    t = Tanh(x)
    y = Identity(t)
    i = ArgMax<axis=1, keepdims=0>(x)
    b = IsNaN(x)
}"""
X = np.array([[1, -2, np.nan], [0, 5, 2]], np.float32)


def answers(model: onnx.ModelProto) -> list[Any]:
    onnx.checker.check_model(model, full_check=True)
    return list(ReferenceEvaluator(model).run(None, {"x": X}))


@pytest.mark.parametrize(("op", "place"), [("Tanh", 0), ("ArgMax", 1), ("IsNaN", 2)])
def test_a_broken_operator_gives_other_numbers_and_nothing_else_does(op: str, place: int) -> None:
    model = onnx.parser.parse_model(TEXT)
    right, edited = answers(model), broken(model, op)
    assert edited is not None
    wrong = answers(edited)
    due = [right[0] * np.float32(1 + OFF) + np.float32(OFF), right[1] + 1, ~right[2]][place]
    np.testing.assert_array_equal(wrong[place], due)
    for other in {0, 1, 2} - {place}:
        np.testing.assert_array_equal(wrong[other], right[other])
    assert broken(model, "Conv") is None


def test_the_maker_of_an_output_is_looked_for_behind_what_hands_it_on(tmp_path: Path) -> None:
    onnx.save(onnx.parser.parse_model(TEXT), tmp_path / "m.onnx")
    assert maker(tmp_path / "m.onnx") == "Tanh"


def test_a_wrong_model_is_wrong_in_every_output_of_any_type() -> None:
    def model(x: Any) -> Any:
        return {"y": x, "more": (x > 1, np.argmax(x, -1))}

    found = _wrong_model(lambda module: model)(np)(X)
    np.testing.assert_array_equal(found["y"], X * (1 + OFF) + OFF)
    np.testing.assert_array_equal(found["more"][0], ~(X > 1))
    np.testing.assert_array_equal(found["more"][1], np.argmax(X, -1) + 1)


def judged(status: str, *blames: tuple[str, str]) -> dict[str, Any]:
    return {"status": status, "unexpected": [{"blame": b, "party": p, "op": None} for b, p in blames]}


@pytest.mark.parametrize(
    ("case", "kind", "right"),
    [
        (judged("unexpected", ("kernel", "torch>ort.off")), "kernel", True),
        (judged("unexpected", ("native", "torch@64"), ("export", "torch")), "native:torch", True),
        (judged("unexpected", ("export", "torch:script")), "export:torch:script", True),
        (judged("expected"), "kernel", False),
        (judged("undecided"), "kernel", False),
        (judged("unexpected", ("export", "torch")), "kernel", False),
        (judged("unexpected", ("export", "torch:script")), "export:torch", False),
        (judged("unexpected", ("native", "tensorflow")), "native:torch", False),
    ],
)
def test_only_the_engine_that_was_broken_is_the_right_blame(case: dict[str, Any], kind: str, right: bool) -> None:
    assert is_right(case, kind) is right


def test_nothing_is_planted_where_it_would_be_no_news(tmp_path: Path) -> None:
    onnx.save(onnx.parser.parse_model(TEXT), tmp_path / "m.onnx")
    ran = {"error": None}
    case: dict[str, Any] = {
        "exports": {"faithful": ["torch"], "failed": ["torch:script"]},
        "parties": dict.fromkeys(("torch", "torch>reference", "torch>ort.off", "torch>ort.all"), ran),
        "graphs": {"torch": {"file": "m.onnx"}},
        "blames": [],
    }
    assert can_plant(case, "kernel", tmp_path) == can_plant(case, "export:torch", tmp_path) == "Tanh"
    assert can_plant(case, "native:torch", tmp_path)
    assert can_plant(case, "native:tensorflow", tmp_path) is None
    assert can_plant(case, "export:torch:script", tmp_path) is None
    for party, kind in (("torch>ort.off", "kernel"), ("torch|tensorflow", "native:torch")):
        assert can_plant({**case, "blames": [{"party": party}]}, kind, tmp_path) is None
    refused = {**case["parties"], "torch>ort.all": {"error": {"kind": "unsupported"}}}
    assert can_plant({**case, "parties": refused}, "optimizer", tmp_path) is None


@pytest.mark.slow
def test_one_of_each_is_planted_and_found(capsys: Any) -> None:
    from scripts.planted_operators import main

    assert main(["max_pool2d/valid", "gelu/tanh", "--count", "2"]) == 0
    said = capsys.readouterr().out
    assert "2 of 2 planted faults are unexpected with the right blame" in said
