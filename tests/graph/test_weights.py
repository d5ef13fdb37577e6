"""Weights beside the graph: where they come from, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from pipeline.graph.cut import named_weights, part_model, parts, run_parts
from pipeline.graph.weights import Weights, without_weights
from pipeline.runtimes import runtimes

TEXT = (
    '<ir_version: 8, opset_import: ["" : 18]> g (float[2,640] x) => (float[2,3] z) '
    "<float[640,3] w> { y = MatMul (x, w) z = Relu (y) }"
)
W = np.random.default_rng(0).normal(size=(640, 3)).astype(np.float32)


def model(weight: onnx.TensorProto) -> onnx.ModelProto:
    proto = onnx.parser.parse_model(TEXT)
    proto.graph.initializer.append(weight)
    return proto


def outside(location: str, offset: int = 0) -> onnx.TensorProto:
    tensor = onnx.TensorProto(name="w", data_type=1, dims=W.shape, data_location=onnx.TensorProto.EXTERNAL)
    for key, value in (("location", location), ("offset", str(offset))):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    return tensor


def test_a_weight_is_read_from_its_file_or_the_one_beside_it(tmp_path: Path) -> None:
    (tmp_path / "beside").write_bytes(bytes(128) + W.tobytes())
    assert np.array_equal(Weights(model(numpy_helper.from_array(W, "w")))["w"], W)
    found = Weights(model(outside("beside", 128)), tmp_path)["w"]
    assert np.array_equal(found, W)
    assert isinstance(found, np.memmap)  # nothing is loaded


@pytest.mark.parametrize(
    ("location", "offset", "says"),
    [
        ("../above", 0, "not there"),
        ("none", 0, "not there"),
        ("beside", 4, "does not fit"),
        ("beside", -4, "does not fit"),
    ],
)
def test_data_that_is_not_in_the_folder_is_refused(tmp_path: Path, location: str, offset: int, says: str) -> None:
    (tmp_path / "folder").mkdir()
    for file in (tmp_path / "above", tmp_path / "folder" / "beside"):
        file.write_bytes(W.tobytes())
    with pytest.raises(ValueError, match=says):
        Weights(model(outside(location, offset)), tmp_path / "folder")["w"]
    with pytest.raises(ValueError, match="nobody said where"):
        Weights(model(outside(location, offset)))["w"]


@pytest.mark.parametrize("runtime", ["ort.off", "ort.all", "reference"])
def test_a_runtime_is_handed_weights_that_are_not_in_the_model(runtime: str) -> None:
    proto = model(numpy_helper.from_array(W, "w"))
    x = np.random.default_rng(1).normal(size=(2, 640)).astype(np.float32)
    weights, bare = Weights(proto), without_weights(proto)
    whole, names = named_weights(bare, weights)
    assert names == ("w",)
    assert whole.ByteSize() < W.nbytes
    (z,) = runtimes()[runtime].part(whole.SerializeToString(), {"w": W})({"x": x}, ["z"])
    assert np.allclose(z, np.maximum(x @ W, 0), atol=1e-4)
    planned = parts(bare, weights, {"y": 24, "z": 24}, 1)
    assert [part.weights for part in planned] == [("w",), ()]
    assert part_model(bare, planned[0], weights, {"x": np.dtype("float32")}).ByteSize() < W.nbytes

    def run(proto: bytes, handed: object, feeds: object, outputs: list[str]) -> list[np.ndarray]:
        return list(runtimes()[runtime].part(proto, handed)(feeds, outputs))  # type: ignore[arg-type]

    made = {n: a for part in run_parts(bare, weights, planned, {"x": x}.get, run) for n, a in part.arrays.items()}
    assert np.array_equal(made["z"], z)


def test_a_part_that_cannot_be_run_is_said_and_what_follows_too() -> None:
    proto = model(numpy_helper.from_array(W, "w"))
    bare, weights = without_weights(proto), Weights(proto)
    planned = parts(bare, weights, {"y": 24, "z": 24}, 1)

    def run(proto: bytes, handed: object, feeds: object, outputs: list[str]) -> list[np.ndarray]:
        raise RuntimeError("refused")

    x = np.zeros((2, 640), np.float32)
    errors = [part.error for part in run_parts(bare, weights, planned, {"x": x}.get, run)]
    assert errors == ["refused", "y was not computed"]
