"""A given file beside a fresh export of its source: what it has otherwise is named, as the one thing that it is.

The model is three linear layers with activations; each file is that model with one thing changed by hand.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, helper, numpy_helper

from onnx_triangulate.records.verdict import Report, Verdict
from onnx_triangulate.verification.diagnosis import external
from onnx_triangulate.verification.verify import verify

pytestmark = pytest.mark.slow  # the engines run

SOURCE = """
import numpy as np
from onnx_triangulate import Case, Tensor

def weight(k, *shape):
    return np.random.default_rng(k).normal(size=shape).astype(np.float32)

def model(torch):
    w = {k: torch.tensor(weight(*k)) for k in ((0, 8, 4), (1, 8), (2, 6, 8), (3, 6), (4, 5, 6), (5, 5))}
    linear = torch.nn.functional.linear
    def forward(x):
        h = torch.tanh(linear(x, w[0, 8, 4], w[1, 8]))
        h = torch.nn.functional.leaky_relu(linear(h, w[2, 6, 8], w[3, 6]), 0.2)
        return torch.softmax(linear(h, w[4, 5, 6], w[5, 5]), 1)
    return forward

X = Tensor("n c", (3, 4), low=-1, high=1, integers=False)
CASES = [Case(name, inputs={"x": X}, builders={"torch": model}, onnx={"torch": f"{name}.onnx"}) for name in NAMES]
"""


def weight(k: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(k).normal(size=shape).astype(np.float32)


def healthy() -> ModelProto:
    model = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["" : 18]> g (float[3, 4] x) => (float[3, 5] y) {
        [first] a = Gemm <transB = 1> (x, w0, b0)
        [squash] b = Tanh (a)
        [second] c = Gemm <transB = 1> (b, w1, b1)
        [leak] d = LeakyRelu <alpha = 0.2> (c)
        [third] e = Gemm <transB = 1> (d, w2, b2)
        [scores] y = Softmax <axis = 1> (e)
    }""")
    shapes = ((0, 8, 4), (1, 8), (2, 6, 8), (3, 6), (4, 5, 6), (5, 5))
    names = ("w0", "b0", "w1", "b1", "w2", "b2")
    for name, (k, *shape) in zip(names, shapes, strict=True):
        model.graph.initializer.append(numpy_helper.from_array(weight(k, *shape), name))
    return model


def changed(model: ModelProto, names: tuple[str, ...], change: Callable[[np.ndarray], np.ndarray]) -> None:
    for tensor in model.graph.initializer:
        if tensor.name in names:
            tensor.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(tensor)), tensor.name))


def trained_on(model: ModelProto) -> None:
    changed(model, ("w0", "b0", "w1", "b1", "w2"), lambda w: w + np.float32(0.25))


def one_weight(model: ModelProto) -> None:
    changed(model, ("b1",), lambda w: w * np.float32(1.5))


def halves(model: ModelProto) -> None:
    changed(model, ("w0", "b0", "w1", "b1", "w2", "b2"), lambda w: w.astype(np.float16))
    nodes = model.graph.node
    nodes[0].input[0], nodes[-1].output[0] = "x16", "y16"
    nodes.insert(0, helper.make_node("Cast", ["x"], ["x16"], name="narrow", to=onnx.TensorProto.FLOAT16))
    nodes.append(helper.make_node("Cast", ["y16"], ["y"], name="widen", to=onnx.TensorProto.FLOAT))


def doubled(model: ModelProto) -> None:
    model.graph.node[-1].output[0] = "y32"
    model.graph.node.append(helper.make_node("Cast", ["y32"], ["y"], name="widen", to=onnx.TensorProto.DOUBLE))
    model.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.DOUBLE


def slope(model: ModelProto) -> None:
    model.graph.node[3].attribute[0].f = 0.01


def two_things(model: ModelProto) -> None:
    slope(model)
    one_weight(model)


CHANGES: dict[str, Callable[[ModelProto], object]] = {
    "healthy": lambda model: None,
    "trained_on": trained_on,
    "one_weight": one_weight,
    "halves": halves,
    "doubled": doubled,
    "slope": slope,
    "two_things": two_things,
}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    folder = tmp_path_factory.mktemp("given")
    for name, change in CHANGES.items():
        model = healthy()
        change(model)
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, folder / f"{name}.onnx")
    file = folder / "layers.py"
    file.write_text(f"NAMES = {tuple(CHANGES)!r}\n{SOURCE}")
    return verify([str(file)])


def verdict(report: Report, name: str) -> Verdict:
    return next(v for v in report.verdicts if v.case == f"layers/{name}")


def causes(report: Report, name: str) -> list[str]:
    return [f.cause for f in verdict(report, name).findings if f.blame == "export"]


def test_a_file_that_is_the_model_has_nothing_otherwise(report: Report) -> None:
    assert (verdict(report, "healthy").status, causes(report, "healthy")) == ("expected", [])


def test_weights_of_many_nodes_are_one_thing(report: Report) -> None:
    (finding,) = verdict(report, "trained_on").findings
    assert finding.cause == external.WEIGHTS
    assert finding.proved
    assert finding.message.startswith("5 weights are not the model's, and nothing else differs: ")
    assert "32 of 32 differ, by 0.25 at most" in finding.message
    (blamed,) = [b for b in verdict(report, "trained_on").evidence.blames if b.blame == "export"]
    assert set(blamed.nodes) == {"first", "second", "third"}
    assert blamed.op == "Gemm"


def test_the_weight_of_one_node_is_named_with_its_node(report: Report) -> None:
    assert causes(report, "one_weight") == [external.WEIGHTS, "guilty-node"]
    assert {f.nodes for f in verdict(report, "one_weight").findings} == {("second",)}


def test_half_precision_is_one_thing(report: Report) -> None:
    (finding,) = [f for f in verdict(report, "halves").findings if f.blame == "export"]
    assert finding.cause == external.TYPES
    assert "6 weights are float16 where the model has float32" in finding.message
    assert finding.edit == "export the file in the model's own number types"


def test_another_number_type_of_an_output_names_its_cast(report: Report) -> None:
    (finding,) = [f for f in verdict(report, "doubled").findings if f.blame == "export"]
    assert finding.cause == external.TYPES
    assert finding.nodes == ("widen",)
    assert "output y: float64 where the model has float32" in finding.message
    assert finding.edit == "leave out Cast widen"
    assert {b.nodes for b in verdict(report, "doubled").evidence.blames if b.blame == "export"} == {("widen",)}


def test_a_setting_is_the_edit(report: Report) -> None:
    finding = verdict(report, "slope").findings[0]
    assert finding.cause == external.OTHERWISE
    assert finding.edit == "set alpha of leak to 0.2"
    assert causes(report, "slope") == [external.OTHERWISE, "guilty-node"]


def test_several_things_are_listed(report: Report) -> None:
    finding = verdict(report, "two_things").findings[0]
    assert finding.cause == external.OTHERWISE
    assert set(finding.nodes) == {"leak", "second"}
    assert finding.edit is None


def test_a_fresh_export_that_is_wrong_itself_proves_nothing(report: Report, tmp_path: Path) -> None:
    """The model asks whether it is being exported: its fresh export is another program than the model."""
    model = healthy()
    one_weight(model)
    onnx.save(model, tmp_path / "two_faced.onnx")
    source = SOURCE.replace("def forward(x):", "def forward(x):\n        if torch.compiler.is_compiling(): x = x * 3\n")
    file = tmp_path / "faces.py"
    file.write_text(f"NAMES = ('two_faced',)\n{source}")
    (found,) = verify([str(file)]).verdicts
    assert found.status == "unexpected"
    assert not {f.cause for f in found.findings} & set(external.CAUSES)
