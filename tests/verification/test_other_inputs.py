"""The other inputs on which a given file is judged: of the case's kinds and sizes, and not the case's own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from onnx_triangulate.cases import inputs
from onnx_triangulate.records.case import Case, Tensor
from onnx_triangulate.verification.external_models import _swapped

X = Tensor("n c", (2, 3), low=-2, high=2, integers=False)
IDS = Tensor("n", (5,), "int64", low=0, high=10)
FIXED = Tensor("n", dtype="float32", values=[1.0, 2.0, 3.0])


def case(**tensors: Tensor) -> Case:
    return Case("c", tensors, {"torch": lambda torch: None})


def other(declared: Case, which: str, fed: Case | None = None, seed: int = 0) -> dict[str, Any]:
    drawn = inputs.drawn(declared, fed or declared, "f/c", which, seed)
    return inputs.inputs_of(drawn, "f/c", seed)


def test_which_other_inputs_there_are() -> None:
    assert inputs.redrawn(case(x=X), case(x=X)) == (inputs.LOW, inputs.HIGH, inputs.LARGE)
    assert inputs.redrawn(case(i=IDS), case(i=IDS)) == (inputs.LOW, inputs.HIGH)
    assert inputs.redrawn(case(x=FIXED), case(x=FIXED)) == (inputs.OTHERS, inputs.LARGE)
    from_file = case(x=replace(X, values=np.zeros((2, 3), np.float32)))
    assert inputs.redrawn(case(x=X), from_file) == inputs.DRAWN


def test_they_lie_in_the_ranges_that_are_declared() -> None:
    declared = case(x=X, i=IDS)
    own = inputs.inputs_of(declared, "f/c", 0)
    low, high, large = (other(declared, which) for which in (inputs.LOW, inputs.HIGH, inputs.LARGE))
    assert (low["x"] < 0).all()
    assert (high["x"] >= 0).all()
    assert set(low["i"]) <= set(range(5))
    assert set(high["i"]) <= set(range(5, 10))
    assert np.abs(large["x"]).max() > 2
    assert set(large["i"]) <= set(range(10))  # what picks a row of a table picks one that is there
    for drawn in (low, high, large):
        assert {k: (v.shape, v.dtype) for k, v in drawn.items()} == {k: (v.shape, v.dtype) for k, v in own.items()}
    assert (other(declared, inputs.LOW, seed=1)["x"] != low["x"]).any()


def test_what_a_file_fixes_is_drawn_and_what_the_case_fixes_is_moved() -> None:
    fed = case(x=replace(X, shape=(4, 3), values=np.ones((4, 3), np.float32)))
    drawn = other(case(x=X), inputs.OTHERS, fed)["x"]
    assert drawn.shape == (4, 3)
    assert len(set(drawn.reshape(-1).tolist())) > 1
    assert sorted(other(case(x=FIXED), inputs.OTHERS)["x"]) == [1.0, 2.0, 3.0]
    assert other(case(x=FIXED), inputs.OTHERS)["x"].tolist() != [1.0, 2.0, 3.0]


def test_exchanged_names() -> None:
    assert _swapped({"a": "p", "b": "q", "c": "r"}, "a", "b") == {"a": "q", "b": "p", "c": "r"}
