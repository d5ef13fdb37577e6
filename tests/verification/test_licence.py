"""A bound is wide enough for what float32 does to a model's constants, and for nothing else."""

from __future__ import annotations

import runpy
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import numpy_helper

from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.verdict import Report
from onnx_triangulate.verification.verify import Options, verify

pytestmark = pytest.mark.slow  # the engines run

CASES = Path(__file__).parents[1] / "case_files" / "licence.py"
HELD: Mapping[str, Any] = runpy.run_path(str(CASES))


def written(
    folder: Path, name: str, kind: str, body: str, fed: str = "8,16", made: str = "8,16", **constants: Array
) -> None:
    model = onnx.parser.parse_model(
        f'<ir_version: 10, opset_import: ["" : 20]> g (float[{fed}] x) => (float[{made}] y) {{ {body} }}'
    )
    for own, value in constants.items():
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(value, np.float32), own))
    onnx.save(model, folder / f"{name}_{kind}.onnx")


def off(value: Any) -> Array:
    """Off by 1e-5, of several numbers one."""
    wrong = np.array(value, np.float64)
    wrong.reshape(-1)[wrong.size // 2] *= 1 + 1e-5
    return wrong


def write(folder: Path) -> None:
    shutil.copy(CASES, folder)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(16) / 16)
    factor = HELD["SCALE"] / np.sqrt(HELD["VARIANCE"] + np.float32(1e-3))
    kernel, bias = HELD["KERNEL"] * factor[:, None, None, None], HELD["SHIFT"] - HELD["MEAN"] * factor
    ones = np.ones(16)
    for kind, change in (("right", np.asarray), ("wrong", off)):
        wrong = kind == "wrong"
        written(folder, "scalar", kind, "y = Mul (x, c)", c=change(0.1))
        written(folder, "minus", kind, "y = Sub (c, x)", c=change(0.3))
        written(folder, "leaky", kind, f"y = LeakyRelu <alpha = {0.1700017 if wrong else 0.17}> (x)")
        sixth = "s = HardSigmoid <alpha = 0.166668> (x) y = Mul (x, s)"
        written(folder, "hardswish", kind, sixth if wrong else "y = HardSwish (x)")
        epsilon = 1.01e-5 if wrong else 1e-5
        written(folder, "epsilon", kind, f"y = LayerNormalization <epsilon = {epsilon}> (x, c)", c=ones)
        written(folder, "window", kind, "y = Mul (x, c)", c=change(window))
        written(folder, "exponential", kind, "y = Mul (x, c)", c=change(np.exp(HELD["P"])))
        written(folder, "softplus", kind, "y = Mul (x, c)", c=change(np.log1p(np.exp(HELD["ROW"]))))
        written(folder, "linear", kind, "y = Gemm <transB = 1> (x, c)", made="8,5", c=change(HELD["WEIGHT"]))
        written(folder, "folded", kind, "y = Conv (x, c, b)", "2,3,6,6", "2,4,4,4", c=change(kernel), b=bias)


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Report:
    folder = tmp_path_factory.mktemp("licence")
    write(folder)
    return verify([str(folder / CASES.name)], Options(parties=("torch>*",)))


@pytest.mark.parametrize("name", HELD["MODELS"])
def test_a_bound_allows_for_rounding_and_for_nothing_else(judged: Report, name: str) -> None:
    right, wrong = (next(v for v in judged.verdicts if v.case == f"licence/{name}_{k}") for k in ("right", "wrong"))
    assert (right.status, [(b.blame, b.party) for b in right.evidence.blames]) == ("expected", [])
    assert ("export", "torch") in [(b.blame, b.party) for b in wrong.evidence.blames]
    assert wrong.status == "unexpected"
