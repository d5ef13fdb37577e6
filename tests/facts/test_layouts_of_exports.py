"""What is said of layouts holds for what the exporters write and for the node tests that ship with ONNX: all run."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from onnx_triangulate.engines.frameworks import adapter
from onnx_triangulate.facts.model_view import ModelView

BY_LAYOUT = {"NCHW": (0, 1, 2, 3), "NHWC": (0, 3, 1, 2)}  # how each becomes NCHW


def torch_export(build: str) -> onnx.ModelProto:
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 5, 3, padding=1), nn.LayerNorm(5)
            self.into, self.out = nn.Linear(5, 9), nn.Linear(9, 5)
            self.head, self.last = nn.Conv2d(5, 8, 1), nn.Linear(5 * 8 * 6, 7)

        def forward(self, x: Any) -> Any:
            x = torch.relu(self.conv(x))
            if build == "flatten":
                return self.last(x.flatten(1))
            if build == "convnext":
                return x + self.out(self.into(self.norm(x.permute(0, 2, 3, 1)))).permute(0, 3, 1, 2)
            return self.head(x).permute(0, 2, 3, 1).reshape(2, -1, 2)

    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(Net().eval(), (torch.zeros(2, 3, 8, 6),), file, dynamo=False)
    return onnx.load_from_string(file.getvalue())


@pytest.mark.parametrize(
    ("build", "transposes", "reshapes"),
    [
        ("flatten", [], ["keeps"]),
        ("convnext", ["NCHW->NHWC", "NHWC->NCHW"], []),
        ("detection", ["NCHW->NHWC"], ["permuted"]),
    ],
)
def test_pytorch(build: str, transposes: list[str], reshapes: list[str]) -> None:
    seen = ModelView(torch_export(build))
    assert [t.kind for t in seen.transposes] == transposes
    assert [r.kind for r in seen.reshapes] == reshapes
    assert set(seen.layouts.values()) <= {"NCHW", "NHWC"}


@pytest.fixture(scope="module")
def converted() -> dict[int, tuple[Any, onnx.ModelProto]]:
    """A Keras model by its number of channels, and what tf2onnx makes of it."""
    adapter("tensorflow").warm()  # its threads are set before anything else is done with it
    import keras
    import tensorflow as tf
    import tf2onnx

    made = {}
    for channels in (3, 1):
        keras.utils.set_random_seed(channels)
        layers = keras.layers
        model = keras.Sequential(
            [
                keras.Input((8, 6, channels)),
                layers.Conv2D(5, 3, padding="same", activation="relu"),
                layers.MaxPool2D(2),
                layers.Flatten(),
                layers.Dense(7),
            ]
        )
        call = tf.function(lambda x, model=model: model(x, training=False))
        proto, _ = tf2onnx.convert.from_function(
            call, [tf.TensorSpec((2, 8, 6, channels), tf.float32, name="x")], opset=18
        )
        made[channels] = (model, proto)
    return made


@pytest.mark.parametrize("channels", [3, 1])
def test_tensorflow(channels: int, converted: dict[int, tuple[Any, onnx.ModelProto]]) -> None:
    import keras

    model, proto = converted[channels]
    seen = ModelView(proto)
    assert [r.kind for r in seen.reshapes] == ([] if channels > 1 else ["transposes"]) + ["keeps"]
    # The values that the pool makes, by the layout that they are said to have, are those of Keras's own pool.
    x = np.random.default_rng(0).standard_normal((2, 8, 6, channels)).astype(np.float32)
    want = np.asarray(keras.Model(model.inputs, model.layers[1].output)([x])).transpose(BY_LAYOUT["NHWC"])
    values = [n for node in proto.graph.node for n in node.output if node.op_type in ("MaxPool", "Transpose")]
    ran = ReferenceEvaluator(proto).run(values, {"x": x})
    pooled = [
        array.transpose(BY_LAYOUT[seen.layouts[name]])
        for name, array in zip(values, ran, strict=True)
        if sorted(array.shape) == sorted(want.shape)
    ]
    assert len(pooled) == 2
    for array in pooled:
        np.testing.assert_allclose(array, want, rtol=1e-4, atol=1e-5)


def test_a_transpose_that_an_optimizer_forgot_before_the_flatten(
    converted: dict[int, tuple[Any, onnx.ModelProto]],
) -> None:
    _, proto = converted[3]
    broken = onnx.ModelProto()
    broken.CopyFrom(proto)
    (node,) = [n for n in broken.graph.node if n.op_type == "Transpose" and list(n.attribute[0].ints) == [0, 2, 3, 1]]
    node.op_type = "Identity"
    del node.attribute[:]
    del broken.graph.value_info[:]
    x = np.random.default_rng(0).standard_normal((2, 8, 6, 3)).astype(np.float32)
    right, wrong = (ReferenceEvaluator(m).run(None, {"x": x})[0] for m in (proto, broken))
    assert np.abs(right - wrong).max() > 0.01
    assert [r.kind for r in ModelView(broken).reshapes] == ["scrambles"]


@pytest.mark.slow
def test_every_node_test_is_followed_and_every_transpose_among_them_is_the_permutation_that_is_said(
    node_tests: list[Any],
) -> None:
    ran = 0
    for test in node_tests:
        seen = ModelView(test.model)
        for found in (seen.layouts, seen.transposes, seen.reshapes, seen.weights):
            assert found is not None
        if [n.op_type for n in test.model.graph.node] not in (["Transpose"], ["Reshape"], ["Flatten"]):
            continue
        for inputs, outputs in test.data_sets:
            for step in (*seen.transposes, *seen.reshapes):
                np.testing.assert_array_equal(inputs[0].transpose(step.perm), outputs[0], err_msg=test.name)
                ran += 1
            for step in seen.transposes:
                assert step.bytes == inputs[0].nbytes, test.name
    assert ran >= 7


def test_the_layout_of_a_window_is_what_onnx_defines(node_tests: list[Any]) -> None:
    windows = ("Conv", "MaxPool", "AveragePool", "LpPool", "GlobalMaxPool", "BatchNormalization")
    spatial = {3: "NCW", 4: "NCHW", 5: "NCDHW"}
    read = 0
    for test in node_tests:
        (node, *more) = test.model.graph.node
        dims = len(test.model.graph.input[0].type.tensor_type.shape.dim) if test.model.graph.input else 0
        if not more and node.op_type in windows and dims in spatial:
            layouts = ModelView(test.model).layouts
            assert (layouts[node.input[0]], layouts[node.output[0]]) == (spatial[dims], spatial[dims]), test.name
            read += 1
    assert read > 50
