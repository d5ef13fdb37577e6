"""``compare`` on what exporters and optimizers really write: pairs that mean the same are the same, edits are named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from onnx_triangulate.comparison.options import Options
from onnx_triangulate.comparison.run import compare_files
from onnx_triangulate.engines.frameworks import adapter

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")
ort = pytest.importorskip("onnxruntime")

NAMES = ("cnn", "transformer", "mlp")


def modules() -> dict[str, tuple[torch.nn.Module, tuple[int, ...]]]:
    torch.manual_seed(0)
    convolution = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, padding=1),
        torch.nn.BatchNorm2d(8),
        torch.nn.ReLU(),
        torch.nn.Conv2d(8, 6, 3, stride=2, padding=1),
        torch.nn.BatchNorm2d(6),
        torch.nn.GELU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(6 * 3 * 2, 5),
        torch.nn.Softmax(-1),
    )
    for layer in convolution:
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.5, 2)
            layer.weight.data.normal_()
            layer.bias.data.normal_()
    perceptron = torch.nn.Sequential(
        torch.nn.Linear(7, 16), torch.nn.Tanh(), torch.nn.LayerNorm(16), torch.nn.Linear(16, 3), torch.nn.Sigmoid()
    )
    transformer = torch.nn.TransformerEncoderLayer(16, 4, 24, batch_first=True, activation="gelu")
    for parameter in transformer.parameters():
        parameter.data.normal_(std=0.3)  # biases of zero would make some edits no edits
    return {
        "cnn": (convolution.eval(), (2, 3, 12, 8)),
        "transformer": (transformer.eval(), (2, 7, 16)),
        "mlp": (perceptron.eval(), (3, 7)),
    }


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("exports")
    for name, (module, shape) in modules().items():
        for kind, optimize in (("raw", False), ("optimized", True)):
            program = torch.onnx.export(module, (torch.randn(shape),), dynamo=True, optimize=optimize, verbose=False)
            program.save(str(folder / f"{name}-{kind}.onnx"))
            for level in ("BASIC", "EXTENDED"):
                options = ort.SessionOptions()
                options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, f"ORT_ENABLE_{level}")
                options.optimized_model_filepath = str(folder / f"{name}-{kind}-{level}.onnx")
                options.log_severity_level = 4
                ort.InferenceSession(str(folder / f"{name}-{kind}.onnx"), options, providers=["CPUExecutionProvider"])
    return lambda name: folder / f"{name}.onnx"


SAME = [
    ("raw", "optimized"),
    ("optimized", "raw"),
    ("raw", "raw-BASIC"),
    ("raw", "raw-EXTENDED"),
    ("optimized", "optimized-BASIC"),
    ("optimized", "optimized-EXTENDED"),
    ("optimized-EXTENDED", "raw"),
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("a", "b"), SAME)
def test_optimizing_changes_no_meaning(files: Callable[[str], Path], name: str, a: str, b: str) -> None:
    found = compare_files(files(f"{name}-{a}"), files(f"{name}-{b}"))
    assert (found.outcome, found.faults, found.problems) == ("same", (), ())
    assert found.proved or found.compared > 0
    assert found.worst <= 1


def edited(source: Path, target: Path, op: str, edit: Callable[[onnx.ModelProto, onnx.NodeProto], None]) -> str:
    """The last node of an operator, edited; its name."""
    model = onnx.load(source)
    node = [n for n in model.graph.node if n.op_type == op][-1]
    edit(model, node)
    onnx.save(model, target)
    return str(node.name)


def weight(model: onnx.ModelProto, node: onnx.NodeProto) -> None:
    tensor = next(t for t in model.graph.initializer if t.name in node.input[1:])
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(1.01), tensor.name))


def attribute(name: str, change: Callable[[object], object]) -> Callable[[onnx.ModelProto, onnx.NodeProto], None]:
    def edit(model: onnx.ModelProto, node: onnx.NodeProto) -> None:
        old = next(a for a in node.attribute if a.name == name)
        new = onnx.helper.make_attribute(name, change(onnx.helper.get_attribute_value(old)))
        old.CopyFrom(new)

    return edit


EDITS = [
    ("cnn-optimized", "Conv", weight),
    ("cnn-optimized", "Conv", attribute("pads", lambda pads: [0, 0, 2, 2])),
    ("cnn-optimized", "Gemm", weight),
    ("cnn-raw", "BatchNormalization", attribute("epsilon", lambda epsilon: 2e-5)),
    ("transformer-optimized", "Softmax", attribute("axis", lambda axis: 2)),
    ("transformer-optimized", "Transpose", attribute("perm", lambda perm: [0, 1, 2])),
    ("transformer-optimized", "LayerNormalization", attribute("epsilon", lambda epsilon: 1.01e-5)),
    ("transformer-raw", "LayerNormalization", weight),
    ("mlp-optimized", "Gemm", weight),
]


@pytest.mark.parametrize(("name", "op", "edit"), EDITS)
def test_an_edit_of_an_export_is_named(
    files: Callable[[str], Path],
    tmp_path: Path,
    name: str,
    op: str,
    edit: Callable[[onnx.ModelProto, onnx.NodeProto], None],
) -> None:
    node = edited(files(name), tmp_path / "edited.onnx", op, edit)
    found = compare_files(files(name), tmp_path / "edited.onnx", Options(seed=1))
    assert found.outcome == "differs"
    assert [faulty.node for faulty in found.faults if faulty.party == "B"] == [node]


@pytest.mark.parametrize(
    ("name", "other", "op", "edit"),
    [
        ("cnn-raw", "cnn-optimized", "BatchNormalization", attribute("epsilon", lambda epsilon: 1e-3)),
        ("transformer-optimized", "transformer-raw", "LayerNormalization", weight),
        ("mlp-raw", "mlp-optimized", "LayerNormalization", attribute("epsilon", lambda epsilon: 1e-3)),
    ],
)
def test_an_edit_is_named_against_the_other_export(
    files: Callable[[str], Path],
    tmp_path: Path,
    name: str,
    other: str,
    op: str,
    edit: Callable[[onnx.ModelProto, onnx.NodeProto], None],
) -> None:
    node = edited(files(name), tmp_path / "edited.onnx", op, edit)
    found = compare_files(files(other), tmp_path / "edited.onnx")
    assert [faulty.node for faulty in found.faults if faulty.party == "B"] == [node]


@pytest.mark.slow
def test_two_layouts_and_two_opsets_of_one_keras_model_mean_the_same(tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow")
    tf2onnx = pytest.importorskip("tf2onnx")
    adapter("tensorflow").warm()  # its threads are set before anything else is done with it
    tf.random.set_seed(0)
    layers = tf.keras.layers
    x = tf.keras.Input((12, 8, 3), batch_size=2)
    y = layers.Conv2D(6, 3, padding="same", strides=2)(x)
    y = layers.BatchNormalization(moving_mean_initializer="random_normal")(y)
    y = layers.DepthwiseConv2D(3, padding="same")(layers.ReLU()(y))
    y = layers.Dense(5, activation="softmax")(layers.GlobalAveragePooling2D()(y))
    model = tf.keras.Model(x, y)
    signature = [tf.TensorSpec((2, 12, 8, 3), tf.float32, name="x")]
    function = tf.function(model, input_signature=signature)
    files = tmp_path / "nhwc.onnx", tmp_path / "nchw.onnx"
    for file, opset, border in ((files[0], 18, []), (files[1], 17, ["x"])):
        proto, _ = tf2onnx.convert.from_function(
            function, input_signature=signature, opset=opset, inputs_as_nchw=border
        )
        onnx.save(proto, file)
    for a, b in (files, files[::-1]):
        found = compare_files(a, b)
        assert (found.outcome, found.faults) == ("same", ())
        assert any("axes (0, " in note for note in found.notes)
    node = edited(files[1], tmp_path / "edited.onnx", "Conv", weight)
    found = compare_files(files[0], tmp_path / "edited.onnx")
    assert [faulty.node for faulty in found.faults if faulty.party == "B"] == [node]
