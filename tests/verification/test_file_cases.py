"""An ONNX file as a case: what it is fed, what is wrong with it, and what it means by its operators' definitions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest

from onnx_triangulate.cases.inputs import inputs_of
from onnx_triangulate.engines.frameworks import adapter
from onnx_triangulate.records.case import Case
from onnx_triangulate.records.errors import UnusableInput
from onnx_triangulate.records.runs import Jitter
from onnx_triangulate.verification.file_cases import file_case, with_case_files

HEAD = '<ir_version: 8, opset_import: ["" : 18]> g'
OPEN = "(float[n, 3] x, int64[k] i) => (float[n, 3] y) { y = Relu (x) }"
ENGINE: Any = adapter("onnx")


def write(file: Path, text: str = OPEN) -> Path:
    onnx.save(onnx.parser.parse_model(f"{HEAD} {text}"), file)
    return file


def values(case: Case) -> dict[str, Any]:
    return inputs_of(case, "net/model", 0)


def test_a_file_becomes_a_case_file_and_other_targets_stay(tmp_path: Path) -> None:
    file = write(tmp_path / "net.onnx")
    found = with_case_files(["conv2d", str(file), str(file), "no.onnx"], tmp_path / "files", {"n": 4}, 7)
    assert found == ("conv2d", *[str(tmp_path / "files" / "net.py")] * 2, "no.onnx")
    scope: dict[str, Any] = {}
    exec(Path(found[1]).read_text(), scope)
    (case,) = scope["CASES"]
    assert {name: tensor.shape for name, tensor in case.inputs.items()} == {"x": (4, 3), "i": (3,)}
    assert case.note == "sizes that nobody gave: k=3 (--dim NAME=N)"
    again = file_case(file, {"n": 4}, 7)
    assert all(np.array_equal(values(again)[name], drawn) for name, drawn in values(case).items())
    assert not np.array_equal(values(file_case(file, {"n": 4}, 8))["i"], values(case)["i"])


def test_floats_have_a_range_whose_halves_are_judged_as_well(tmp_path: Path) -> None:
    case = file_case(write(tmp_path / "net.onnx"))
    assert (case.inputs["x"].values, case.inputs["x"].low, case.inputs["x"].high) == (None, -2, 2)
    assert case.inputs["i"].values is not None
    np.savez(tmp_path / "net.npz", x=np.ones((5, 3), np.float32), i=np.array([1]))
    assert file_case(tmp_path / "net.onnx").inputs["x"].values is not None


def test_a_folder_of_files_is_its_files(tmp_path: Path) -> None:
    nets = tmp_path / "nets"
    nets.mkdir()
    for name in ("b", "a"):
        write(nets / f"{name}.onnx")
    (nets / "readme.txt").write_text("no model")
    found = with_case_files([str(nets)], tmp_path / "files", {})
    assert found == tuple(str(tmp_path / "files" / f"{name}.py") for name in "ab")
    (nets / "cases.py").write_text("CASES = ()")
    assert with_case_files([str(nets)], tmp_path / "files", {}) == (str(nets),)


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    files = [str(write(folder / "net.onnx")) for folder in (tmp_path, tmp_path / "other")]
    with pytest.raises(UnusableInput, match="another target has this name"):
        with_case_files(files, tmp_path / "files", {})


def test_a_size_of_no_axis_is_refused(tmp_path: Path) -> None:
    file = str(write(tmp_path / "net.onnx"))
    with pytest.raises(UnusableInput, match="--dim m=2: no axis is named so; open are k, n"):
        with_case_files([file], tmp_path / "files", {"m": 2})
    with pytest.raises(UnusableInput, match=r"no target MODEL\.onnx has an open axis"):
        with_case_files(["conv2d"], tmp_path / "files", {"m": 2})


def test_arrays_beside_a_file_are_its_inputs_where_they_are_all_there(tmp_path: Path) -> None:
    file = write(tmp_path / "net.onnx")
    given = {"x": np.full((5, 3), 7, np.float32), "i": np.array([1])}
    np.savez(tmp_path / "net.npz", **given)
    case = file_case(file)
    assert all(np.array_equal(values(case)[name], array) for name, array in given.items())
    assert "net.npz" in case.note
    np.savez(tmp_path / "net.npz", x=given["x"])
    assert values(file_case(file))["x"].shape == (2, 3)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("(float[n] x, float[n] x) => (float[n] y) { y = Relu (x) }", "two inputs are named x"),
        ("(float[1099511627776] x) => (float[n] y) { y = Relu (x) }", "its inputs cannot be drawn"),
        ("(float[n] x) => (float[n] y) { y = Nowhere (x) }", "Nowhere"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_line_about_it(text: str, says: str, tmp_path: Path) -> None:
    file = write(tmp_path / "net.onnx", text)
    with pytest.raises(UnusableInput, match=says) as error:
        with_case_files([str(file)], tmp_path / "files", {})
    assert str(error.value).startswith(str(file))
    assert not (tmp_path / "files").exists()


# The definition.


def case_of(text: str, folder: Path) -> Case:
    return file_case(write(folder / "net.onnx", text))


def test_a_file_means_what_its_operators_are_defined_to(tmp_path: Path) -> None:
    case = case_of("(float[4] x) => (float[4] y, int64[4] z) { y = Exp (x) z = Cast <to = 7> (y) }", tmp_path)
    fed = values(case)
    wide = np.exp(fed["x"].astype(np.float64))
    double = ENGINE.native(case, fed, double=True, seed=0)
    assert double["y"].dtype == np.float64
    assert np.array_equal(double["y"], wide)
    single = ENGINE.native(case, fed, double=False, seed=0)
    assert single["y"].dtype == np.float32
    assert np.array_equal(single["y"], wide.astype(np.float32))
    assert np.array_equal(single["z"], wide.astype(np.int64))
    (model,) = ENGINE.export(case, fed, ("",), tmp_path, seed=0)
    assert model.file == tmp_path / "net.onnx"
    assert list(model.outputs) == ["y", "z"]


@pytest.mark.parametrize("what", ["inputs", "roundings", "constants"])
def test_what_a_jitter_moves(what: Any, tmp_path: Path) -> None:
    """``y`` is of the input, ``c`` of a constant that no input reaches."""
    text = """(float[3] x) => (float[3] y, float[3] c) <float[3] w = {0.1, 0.2, 0.3}> {
        y = Tanh (x) v = Sqrt (w) c = Identity (v) }"""
    case = case_of(text, tmp_path)
    fed = values(case)
    still = ENGINE.native(case, fed, double=True, seed=0)
    none, some, other = ENGINE.perturbed(
        case,
        fed,
        double=True,
        seed=0,
        jitters=[Jitter(0, what=what, step=0.0), Jitter(0, what=what), Jitter(1, what=what)],
    )
    assert all(np.array_equal(none[name], still[name]) for name in still)
    moved = {name: (some[name] != still[name]).any() for name in still}
    assert moved == {"y": what != "constants", "c": True}
    for name in still:
        assert np.abs(some[name] - still[name]).max() <= 4 * 2.0**-24
    assert any((some[name] != other[name]).any() for name in still)


def test_a_number_that_says_a_size_is_not_moved(tmp_path: Path) -> None:
    text = """(float[1, 1, 3] x) => (float[1, 1, m] y) <float[1] s = {1.6666666}, float[2] one = {1.0, 1.0}> {
        scales = Concat <axis = 0> (one, s) y = Resize <mode = "linear"> (x, , scales) }"""
    case = case_of(text, tmp_path)
    fed = values(case)
    still = ENGINE.native(case, fed, double=True, seed=0)["y"]
    for what in ("inputs", "roundings"):
        for moved in ENGINE.perturbed(
            case, fed, double=True, seed=0, jitters=[Jitter(seed, what=what, step=0.1) for seed in range(4)]
        ):
            assert moved["y"].shape == still.shape


def test_the_roundings_of_a_file_are_counted(tmp_path: Path) -> None:
    case = case_of("(float[n, 4] x, float[4, 2] w) => (float[n, 2] y) { y = MatMul (x, w) }", tmp_path)
    assert ENGINE.roundings(case, values(case), double=True, seed=0).count == 5  # products and a sum
