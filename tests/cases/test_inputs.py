"""Numbers depend on the seed, the case and the tensor's name, and on nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnx_triangulate.cases.inputs import differing, draw, fed_from, forward_inputs, inputs_of, parameters_of, specs_of
from onnx_triangulate.records.case import Case, Each, Gradient, Tensor
from onnx_triangulate.records.errors import UnusableInput


def drawn(tensor: Tensor, **more: Any) -> np.ndarray[Any, Any]:
    return draw(tensor, **({"seed": 0, "case": "g/c", "name": "x"} | more))


def a_case(inputs: dict[str, Tensor], parameters: dict[str, Any] | None = None, **more: Any) -> Case:
    builders = {"torch": lambda torch: None, "tensorflow": lambda tf: None}
    return Case("c", inputs, builders, parameters=parameters or {}, **more)


WIDE = Tensor("n c", (40, 50), low=-1000, high=1000)


def test_another_process_draws_the_same() -> None:
    """A report's seed reproduces it; Python's own hash would not."""
    script = (
        "from onnx_triangulate import Tensor; from onnx_triangulate.cases.inputs import draw;"
        "print(draw(Tensor('n', (20,), high=1000), seed=3, case='g/c', name='x').tolist())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "4711", "PYTHONPATH": str(Path(__file__).parents[2] / "pipeline")}
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert told.stdout.strip() == str(drawn(Tensor("n", (20,), high=1000), seed=3).tolist())


def test_neither_order_nor_company_changes_them() -> None:
    alone = inputs_of(a_case({"x": WIDE}), "g/c", 7)["x"]
    among = inputs_of(a_case({"a": WIDE, "x": WIDE, "b": Tensor("n", (3,))}), "g/c", 7)
    turned = inputs_of(a_case({"b": Tensor("n", (3,)), "x": WIDE, "a": WIDE}), "g/c", 7)
    assert np.array_equal(alone, among["x"])
    assert all(np.array_equal(among[name], turned[name]) for name in among)
    other = inputs_of(a_case({"x": WIDE}), "g/other", 7)["x"]
    assert np.array_equal(alone, inputs_of(a_case({"x": WIDE}), "g/c", 7)["x"])
    assert not np.array_equal(alone, other)


@pytest.mark.parametrize("more", [{"seed": 1}, {"case": "g/d"}, {"case": "h/c"}, {"name": "y"}])
def test_each_of_seed_case_and_name_changes_them(more: dict[str, Any]) -> None:
    assert not np.array_equal(drawn(WIDE), drawn(WIDE, **more))


def test_case_and_name_do_not_run_into_each_other() -> None:
    assert not np.array_equal(drawn(WIDE, case="ab", name="c"), drawn(WIDE, case="a", name="bc"))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "uint8", "int32", "int64", "uint64"])
def test_whole_numbers_of_every_type(dtype: str) -> None:
    array = drawn(Tensor("n c", (30, 20), dtype=dtype))
    assert array.dtype == np.dtype(dtype)
    assert array.shape == (30, 20)
    assert set(np.unique(array).tolist()) == {0, 1, 2, 3}


def test_a_type_changes_nothing_of_the_numbers() -> None:
    whole = [drawn(Tensor("n", (50,), dtype=dtype)) for dtype in ("float32", "float64", "int32")]
    assert all(np.array_equal(whole[0], other) for other in whole)


def test_the_ends_of_a_range() -> None:
    array = drawn(Tensor("n", (5000,), low=-2, high=2))
    assert set(np.unique(array).tolist()) == {-2, -1, 0, 1}
    real = drawn(Tensor("n", (5000,), low=-2, high=2, integers=False))
    assert real.min() >= -2
    assert real.max() <= 2
    assert len(np.unique(real)) > 4000
    extremes = drawn(Tensor("n", (2000,), dtype="uint8", low=0, high=256))
    assert {0, 255} <= set(extremes.tolist())
    large = drawn(Tensor("n", (50,), dtype="uint64", low=2**63, high=2**64))
    assert large.min() >= 2**63


def test_booleans() -> None:
    array = drawn(Tensor("n", (50,), dtype="bool"))
    assert array.dtype == np.bool_
    assert set(array.tolist()) == {True, False}
    assert set(drawn(Tensor("n", (50,), dtype="bool", high=1)).tolist()) == {True, False}


def test_no_and_one_element() -> None:
    assert drawn(Tensor("", ())).shape == ()
    assert drawn(Tensor("n c", (0, 3))).shape == (0, 3)
    assert drawn(Tensor("", values=2.5)).tolist() == 2.5


def test_values_are_taken_as_they_are() -> None:
    values = [[-0.0, float("nan"), float("inf")], [1, 0.1, -1e-45]]
    array = drawn(Tensor("n c", (2, 3), values=values))
    assert array.dtype == np.float32
    assert np.array_equal(array, np.array(values, np.float32), equal_nan=True)
    assert np.signbit(array[0, 0])
    assert drawn(Tensor("n", dtype="int64", values=[2**62 + 1])).tolist() == [2**62 + 1]
    assert drawn(Tensor("n", dtype="uint8", values=[1.0, 255])).tolist() == [1, 255]


@pytest.mark.parametrize(
    ("tensor", "says"),
    [
        (Tensor("n c", values=[1, 2]), "has 1 axes of values, its axes 'n c' name 2"),
        (Tensor("n", (3,), values=[1, 2]), r"values of shape \(2,\), its shape says \(3,\)"),
        (Tensor("n"), "neither a shape nor values"),
        (Tensor("n c", (3,)), r"has shape \(3,\), its axes 'n c' name 2"),
        (Tensor("", (3,)), r"has shape \(3,\), its axes '' name 0"),
        (Tensor("n", (3,), low=4, high=4), r"draws from \[4, 4\): nothing lies there"),
        (Tensor("n", (3,), low=5, high=1), "nothing lies there"),
        (Tensor("n", (3,), high=float("nan")), "nothing lies there"),
        (Tensor("n", (3,), high=float("inf"), integers=False), "nothing lies there"),
        (Tensor("n", (3,), low=0.2, high=0.8), r"draws integers from \[0.2, 0.8\): none lies there"),
        (Tensor("n", (3,), dtype="uint8", low=-1, high=4), "more than uint8 holds"),
        (Tensor("n", (3,), dtype="uint8", high=257), "more than uint8 holds"),
        (Tensor("n", (3,), dtype="int8", low=-129), "more than int8 holds"),
        (Tensor("n", (3,), dtype="float33"), "'float33', which is no type"),
        (Tensor("n", values=[[1], [2, 3]]), "make no array of float32"),
        (Tensor("n", values=["a"]), "make no array of float32"),
        (Tensor("n", dtype="int32", values=[0.5]), "that int32 does not hold"),
        (Tensor("n", dtype="uint8", values=[256]), "that uint8 does not hold"),
        (Tensor("n", dtype="uint8", values=[-1]), "that uint8 does not hold"),
        (Tensor("n", dtype="int32", values=[float("nan")]), "that int32 does not hold"),
        (Tensor("n", dtype="bool", values=[2]), "that bool does not hold"),
    ],
)
def test_a_tensor_that_contradicts_itself(tensor: Tensor, says: str) -> None:
    with pytest.raises(UnusableInput, match=says) as caught:
        drawn(tensor)
    assert str(caught.value).startswith("g/c: x ")
    assert "\n" not in str(caught.value)


def test_parameters_by_framework() -> None:
    tensor = Tensor("n", (30,), high=1000)
    case = a_case(
        {"x": WIDE},
        {"w": tensor, "epsilon": Each(torch=1e-5, tensorflow=1e-3), "s": Each(torch=tensor, tensorflow=tensor)},
    )
    torch, tensorflow = (parameters_of(case, "g/c", name, 0) for name in ("torch", "tensorflow"))
    assert np.array_equal(torch["w"], tensorflow["w"])
    assert np.array_equal(torch["s"], tensorflow["s"])
    assert (torch["epsilon"], tensorflow["epsilon"]) == (1e-5, 1e-3)
    assert specs_of(case, "torch")["w"] is tensor
    assert not np.array_equal(torch["w"], torch["s"])


def test_a_parameter_that_says_nothing_of_a_framework() -> None:
    with pytest.raises(UnusableInput, match=r"parameter e says nothing of torch: give Each\(torch=…\)"):
        specs_of(a_case({"x": WIDE}, {"e": Each(tensorflow=1)}), "torch")


LONG = np.arange(5000.0)
CHANGED = np.where(LONG == 2500, -1, LONG)


@pytest.mark.parametrize(
    ("torch", "tensorflow", "differs"),
    [
        (1e-5, 1e-5, False),
        (1e-5, 1e-3, True),
        (WIDE, replace(WIDE), False),
        (WIDE, replace(WIDE, high=5), True),
        (LONG, LONG.copy(), False),
        (LONG, CHANGED, True),  # their reprs leave out the middle
        (Tensor("n", values=LONG), Tensor("n", values=LONG.copy()), False),
        (Tensor("n", values=LONG), Tensor("n", values=CHANGED), True),
        (Tensor("n", values=LONG), Tensor("n", values=LONG, dtype="float64"), True),
        (LONG, LONG.astype(np.float32), True),
        (LONG, LONG.reshape(50, 100), True),
    ],
)
def test_which_parameters_differ(torch: Any, tensorflow: Any, differs: bool) -> None:
    case = a_case({"x": WIDE}, {"same": 1, "e": Each(torch=torch, tensorflow=tensorflow)})
    assert differing(case) == (("e",) if differs else ())


def test_the_forward_model_does_not_take_the_cotangent() -> None:
    inputs = {"a": WIDE, "dy": WIDE, "b": WIDE}
    assert list(forward_inputs(a_case(inputs))) == ["a", "dy", "b"]
    gradient = Gradient("y", ("a",), "dy")
    assert list(forward_inputs(a_case(inputs, outputs={"y": WIDE}, gradient=gradient))) == ["a", "b"]


def given(folder: Path, **arrays: Any) -> Case:
    """Inputs from a file, for a case whose batch may change and whose channels may not."""
    case = Case(
        "fed",
        inputs={"x": Tensor("n c", (2, 3)), "m": Tensor("n", (2,), values=np.ones(2, np.float32))},
        builders={},
        dynamic={"n": (1, 5)},
    )
    np.savez(folder / "given.npz", **arrays)
    return fed_from(case, folder / "given.npz")


def test_inputs_from_a_file_may_have_another_size_on_an_open_axis_only(tmp_path: Path) -> None:
    x, m = np.arange(12, dtype=np.float32).reshape(4, 3), np.arange(4, dtype=np.float32)
    fed = given(tmp_path, x=x, m=m)
    assert {name: tensor.shape for name, tensor in fed.inputs.items()} == {"x": (4, 3), "m": (4,)}
    assert all(np.array_equal(fed.inputs[n].values, v) for n, v in (("x", x), ("m", m)))
    same = given(tmp_path, x=x[:2], m=m[:2])
    assert {name: tensor.shape for name, tensor in same.inputs.items()} == {"x": (2, 3), "m": (2,)}


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        (
            {"x": np.zeros((2, 4), np.float32), "m": np.zeros(2, np.float32)},
            r"\(2, 4\), expected \(2, 3\): axis c",
        ),
        ({"x": np.zeros((4, 3), np.float32), "m": np.zeros(3, np.float32)}, "m has n=3, another input n=4"),
        ({"x": np.zeros((4, 3)), "m": np.zeros(4, np.float32)}, r"is float64, expected float32: save it with \.astype"),
        ({"x": np.zeros(4, np.float32), "m": np.zeros(4, np.float32)}, "expected the axes 'n c'"),
        ({"x": np.zeros((4, 3), np.float32)}, "lacks 'm'; the inputs of fed are x, m"),
        ({"x": np.zeros(1), "m": np.zeros(1), "y": np.zeros(1)}, "holds 'y'; the inputs of fed are x, m"),
    ],
)
def test_a_file_of_inputs_that_does_not_fit(tmp_path: Path, arrays: dict[str, Any], says: str) -> None:
    with pytest.raises(UnusableInput, match=says):
        given(tmp_path, **arrays)
