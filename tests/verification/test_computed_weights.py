"""A builder that adds two biases is no fault of anyone's; a file whose bias is off by more than that addition is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx.parser
import pytest
from onnx import numpy_helper

from onnx_triangulate.records.verdict import Report
from onnx_triangulate.verification.verify import verify

pytest.importorskip("torch")
pytest.importorskip("tensorflow")

W, B, C = (np.random.default_rng(k).uniform(-1, 1, shape).astype(np.float32) for k, shape in enumerate(((3, 4), 4, 4)))
CASES = f"""
from onnx_triangulate import Case, Rounded, Tensor

def linear(torch, w, b, c):
    layer = torch.nn.Linear(3, 4)
    layer.weight.data, layer.bias.data = w.T.contiguous(), b + c
    return layer

def dense(tf, w, b, c):
    layer = tf.keras.layers.Dense(4)
    layer.build((None, 3))
    layer.kernel.assign(w)
    layer.bias.assign(b + c)
    return layer

def inside(tf, w, b, c):
    layer = dense(tf, w, b, c)
    return lambda x: layer(x)

def model(name, tensorflow, **more):
    return Case(
        name,
        {{"x": Tensor("n i", (2, 3), low=-2, high=2, integers=False)}},
        {{"torch": linear}} | ({{"tensorflow": tensorflow}} if tensorflow else {{}}),
        {{"y": Tensor("n o")}},
        parameters={{"w": Tensor("i o", values={W.tolist()}), "b": Tensor("o", values={B.tolist()}),
                    "c": Tensor("o", values={C.tolist()})}},
        truth=lambda x, w, b, c: Rounded(x @ w + (b + c)),
        **more,
    )

CASES = (
    model("layers", dense),
    model("inside", inside),
    model("copied", None, onnx={{"torch": "copied.onnx"}}),
    model("off", None, onnx={{"torch": "off.onnx"}}),
)
"""


def write(file: Path, bias: np.ndarray) -> None:
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 18]> g (float[2, 3] x) => (float[2, 4] y) { [gemm] y = Gemm (x, w, b) }'
    )
    model.graph.initializer.extend([numpy_helper.from_array(W, "w"), numpy_helper.from_array(bias, "b")])
    onnx.save(model, file)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    folder = tmp_path_factory.mktemp("computed")
    assert (B.astype(np.float64) + C.astype(np.float64) != B + C).any(), "nothing is rounded"
    write(folder / "copied.onnx", B + C)
    write(folder / "off.onnx", (B + C) * np.float32(1 + 2.0**-18))
    (folder / "cases.py").write_text(CASES)
    return verify([str(folder / "cases.py")])


@pytest.mark.parametrize("name", ["layers", "inside", "copied"])
def test_an_addition_in_the_builder_is_nobodys_fault(report: Report, name: str) -> None:
    (case,) = [case for case in report.verdicts if case.case == f"cases/{name}"]
    assert case.status == "expected", case.blame
    assert case.blame == ("agree",)


def test_a_bias_that_is_off_by_more_is_seen(report: Report) -> None:
    (case,) = [case for case in report.verdicts if case.case == "cases/off"]
    assert case.blame == ("export",)
