"""What a graph holds is counted from the graph."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx

from onnx_triangulate.facts.file import read_facts, unknown_operators
from onnx_triangulate.facts.model_view import ModelView

TEXT = """<ir_version: 8, opset_import: ["" : 18, "com.microsoft" : 1], producer_name: "hand", producer_version: "1">
g (float[2,2,6,"N"] x, float[3,2,3,3] w) => (float[A,B,C,D] y, seq(float[2]) z)
<float[3] b = {1, 2, 3}, int64[4] shape = {1, 1, 1, 1}> {
    [conv] c = Conv <strides = [2, 2], pads = [0, 0, 1, 1]> (x, w, b)
    r = Relu (c)
    k = Constant <value = float[2] {1, 2}> ()
    z = SequenceConstruct (k)
    [loss] l = Log1p (r)
    y = com.microsoft.Gelu (l)
}"""


def model_of(text: str = TEXT) -> onnx.ModelProto:
    return onnx.parser.parse_model(text)


def test_facts(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    onnx.save(model_of(), file)
    facts = read_facts(file)
    assert (facts.file, facts.opset, facts.producer) == (file, 18, "hand 1")
    assert facts.ops == {
        "Constant": 1,
        "Conv": 1,
        "Log1p": 1,
        "Relu": 1,
        "SequenceConstruct": 1,
        "com.microsoft.Gelu": 1,
    }
    assert facts.inputs == {"x": "float32[2,2,6,N]", "w": "float32[3,2,3,3]"}
    assert facts.outputs == {"y": "float32[A,B,C,D]", "z": "sequence(float32[2])"}
    assert (facts.initializers, facts.parameters) == (2, 5)
    assert [(p.node, p.begin, p.end) for p in facts.pads] == [("conv", (0, 0), (1, 1))]
    assert facts.transposes == ()
    assert facts.notes == ("Log1p (loss) is no operator of ONNX: the exporter left it unconverted",)
    assert facts.pads[0].symmetric is False


def test_an_operator_is_known_only_from_its_opset_on() -> None:
    text = '<ir_version: 8, opset_import: ["" : {}]> g (float[2] x) => (float[2] y) {{ y = Gelu (x) }}'
    assert unknown_operators(model_of(text.format(20))) == ()
    assert unknown_operators(model_of(text.format(18))) == (("Gelu_0", "Gelu"),)


def test_initializers_that_are_listed_as_inputs_are_no_inputs() -> None:
    model = model_of(
        '<ir_version: 3, opset_import: ["" : 18]> g (float[2] x, float[2] w) => (float[2] y) { y = Add (x, w) }'
    )
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.ones(2, np.float32), "w"))
    assert list(read_facts(Path("m.onnx"), ModelView(model)).inputs) == ["x"]


def test_external_data_is_counted_and_not_opened(tmp_path: Path) -> None:
    model = model_of('<ir_version: 8, opset_import: ["" : 18]> g (float[9] x) => (float[9] y) { y = Add (x, w) }')
    tensor = onnx.numpy_helper.from_array(np.ones(9, np.float32), "w")
    onnx.external_data_helper.set_external_data(tensor, location="/etc/passwd")
    tensor.ClearField("raw_data")
    model.graph.initializer.append(tensor)
    file = tmp_path / "model.onnx"
    file.write_bytes(model.SerializeToString())
    facts = read_facts(file)
    assert (facts.initializers, facts.parameters) == (1, 9)
    assert facts.notes == ("1 initializers are kept in other files",)


def test_names_that_are_no_text_become_text(tmp_path: Path) -> None:
    text = """<ir_version: 8, opset_import: ["" : 18]>
        g (float[1,1,6] x, float[1,1,3] w) => (float[A] y) { [nnnn] y = Conv (x, w) }"""
    file = tmp_path / "model.onnx"
    file.write_bytes(model_of(text).SerializeToString().replace(b"nnnn", b"n\xff\x1bn"))
    (pads,) = read_facts(file).pads
    assert pads.node == "n\\xff\x1bn"


def test_a_model_of_outputs_only_is_a_model(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    onnx.save(model_of('<ir_version: 8, opset_import: ["" : 18]> g (float[2] x) => (float[2] x) { }'), file)
    assert read_facts(file).ops == {}


def test_reading_facts_imports_no_framework_and_no_runtime(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    onnx.save(model_of(), file)
    program = (
        "import sys\nfrom pathlib import Path\nfrom onnx_triangulate.facts.file import read_facts\n"
        f"import onnx_triangulate.causes\nread_facts(Path({str(file)!r}))\nonnx_triangulate.causes.causes()\n"
        "print([m for m in ('torch', 'tensorflow', 'onnxruntime', 'tf2onnx', 'onnxscript') if m in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"


def test_the_nodes_whose_results_come_in_any_order(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    text = """<ir_version: 8, opset_import: ["" : 18]> g (float[4] x) => (float[2] y, float[2] z) <int64[1] k = {2}> {
        [any] y, i = TopK <sorted = 0> (x, k)
        [falling] z, j = TopK (x, k)
    }"""
    onnx.save(model_of(text), file)
    assert read_facts(file).unordered == ("any",)
