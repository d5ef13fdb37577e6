"""Weights beside the graph: where they come from, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from onnx_triangulate.engines.runtimes import runtimes
from onnx_triangulate.onnxgraph.weights import Weights, read_model, without_weights
from onnx_triangulate.transform.cut import named_weights, part_model, parts, run_parts

TEXT = (
    '<ir_version: 8, opset_import: ["" : 18]> g (float[2,960] x) => (float[2,3] z) '
    "<float[960,3] w> { y = MatMul (x, w) z = Relu (y) }"
)
W = np.random.default_rng(0).normal(size=(960, 3)).astype(np.float32)


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
    assert not found.flags.owndata  # nothing is loaded


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
    x = np.random.default_rng(1).normal(size=(2, 960)).astype(np.float32)
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

    x = np.zeros((2, 960), np.float32)
    errors = [part.error for part in run_parts(bare, weights, planned, {"x": x}.get, run)]
    assert errors == ["refused", "y was not computed"]


def test_a_file_is_read_without_its_weights_and_means_the_same(tmp_path: Path) -> None:
    proto = model(numpy_helper.from_array(W * 3, "w"))
    big = np.arange(3000, dtype=np.int64)
    small = np.arange(7, dtype=np.float32)
    for name, array in (("big", big), ("small", small)):
        proto.graph.initializer.append(numpy_helper.from_array(array, name))
    many = onnx.helper.make_tensor("floats", onnx.TensorProto.FLOAT, (3000,), np.arange(3000, dtype=np.float32))
    proto.graph.initializer.append(many)  # not as raw data: left as it is
    proto.doc_string = "x" * 300
    wide = onnx.helper.make_tensor("bf", onnx.TensorProto.BFLOAT16, (5000,), bytes(10000), raw=True)
    proto.graph.initializer.append(wide)
    onnx.save(proto, tmp_path / "m.onnx")
    stripped, weights = read_model(tmp_path / "m.onnx")
    due = Weights(onnx.load(tmp_path / "m.onnx"))
    assert list(weights) == list(due)
    for name in due:
        assert np.array_equal(weights[name], due[name]), name
        assert weights[name].dtype == due[name].dtype
    assert not weights["w"].flags.owndata
    assert not weights["big"].flags.owndata
    assert stripped.ByteSize() < proto.ByteSize() - W.nbytes - big.nbytes
    for tensor in proto.graph.initializer[:2]:
        tensor.ClearField("raw_data")
    assert stripped.SerializeToString(deterministic=True) == proto.SerializeToString(deterministic=True)


def test_initializers_that_promise_other_numbers_are_refused(tmp_path: Path) -> None:
    tensor = numpy_helper.from_array(W, "w")
    tensor.dims[0] -= 1
    onnx.save(model(tensor), tmp_path / "m.onnx")
    with pytest.raises(ValueError, match="does not hold the numbers"):
        read_model(tmp_path / "m.onnx")[1]["w"]


@pytest.mark.parametrize("cut", [0, 1, 50, -1, -2000])
def test_what_is_no_model_is_refused_as_protobuf_does(tmp_path: Path, cut: int) -> None:
    whole = model(numpy_helper.from_array(W, "w")).SerializeToString()
    (tmp_path / "m.onnx").write_bytes(whole[:cut] if cut else b"\xff" * 100)
    with pytest.raises(Exception, match=r"(?i)pars"):
        read_model(tmp_path / "m.onnx")


def test_numbers_of_which_several_lie_in_a_byte_are_read_from_their_file(tmp_path: Path) -> None:
    (tmp_path / "beside").write_bytes(bytes([0, 0x21, 0x03]))
    tensor = onnx.TensorProto(name="w", data_type=onnx.TensorProto.UINT4, dims=[3])
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", "beside"), ("offset", "1")):
        tensor.external_data.add(key=key, value=value)
    assert [int(v) for v in Weights(model(tensor), tmp_path)["w"]] == [1, 2, 3]
    tensor.dims[0] = 5
    with pytest.raises(ValueError, match="does not fit"):
        Weights(model(tensor), tmp_path)["w"]
