"""Files are judged before they are parsed; what is read in pieces is what protobuf reads at once."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import onnx.parser
import pytest
from google.protobuf.message import DecodeError
from onnx import GraphProto, ModelProto

from onnx_triangulate.onnxgraph import loading
from onnx_triangulate.onnxgraph.loading import load
from onnx_triangulate.records.errors import UnusableInput
from scripts.inspect_files import chain, nested

TEXT = """<ir_version: 8, opset_import: ["" : 18, "l" : 1], producer_name: "hand">
g (float[2,2,6,"N"] x) => (float[A,B,C,D] y) <float[3,2,3,3] w = {1}, float[3] b = {1, 2, 3}> {
    [conv] c = Conv <strides = [2, 2], pads = [0, 0, 1, 1]> (x, w, b)
    y = l.F (c)
}
<domain: "l", opset_import: ["" : 18]> F (x) => (y) { y = Relu (x) }"""


def model() -> ModelProto:
    parsed = onnx.parser.parse_model(TEXT)
    parsed.graph.initializer[0].ClearField("float_data")
    parsed.graph.initializer[0].raw_data = bytes(range(216))
    parsed.metadata_props.add(key="about", value="é" * 100)
    return parsed


def _cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "holds no graph"),
        (b"hello, world\n", "not a protobuf"),
        (b"{}", "not a protobuf"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "git lfs pull"),
        (b"\x1f\x8b\x08\x00", "gzip"),
        (_cut(model().SerializeToString()), "breaks off"),
        (b"\x08\x08", "holds no graph"),
        (ModelProto(ir_version=8, graph=GraphProto(name="g")).SerializeToString(), "no nodes and no outputs"),
    ],
)
def test_what_is_no_model_is_one_line(tmp_path: Path, content: bytes, says: str) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(content)
    with pytest.raises(UnusableInput) as raised:
        load(file)
    assert says in str(raised.value)
    assert str(file) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_zip_archive(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a", "b")
    with pytest.raises(UnusableInput, match="zip archive"):
        load(file)


def test_missing_and_folder(tmp_path: Path) -> None:
    with pytest.raises(UnusableInput, match="no such file"):
        load(tmp_path / "none.onnx")
    with pytest.raises(UnusableInput, match="a folder"):
        load(tmp_path)
    with pytest.raises(UnusableInput, match="cannot be read"):
        load(tmp_path / "a\0b")


def test_a_hostile_file_name_is_escaped(tmp_path: Path) -> None:
    with pytest.raises(UnusableInput) as raised:
        load(tmp_path / "a\x1b[2J\n.onnx")
    assert str(raised.value).isprintable()


def test_a_pipe_is_refused_without_opening_it(tmp_path: Path) -> None:
    """In a process of its own: opening a pipe that nobody writes to would never come back."""
    pipe = tmp_path / "pipe.onnx"
    os.mkfifo(pipe)
    program = (
        f"from pathlib import Path\nfrom onnx_triangulate.onnxgraph.loading import load\nload(Path({str(pipe)!r}))"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert "a pipe or a device" in ended.stderr


def test_a_device_is_refused() -> None:
    with pytest.raises(UnusableInput, match="a pipe or a device"):
        load(Path("/dev/zero"))


def test_a_file_larger_than_protobuf_holds(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    with file.open("wb") as sparse:
        sparse.truncate(2**31)
    with pytest.raises(UnusableInput, match="more than protobuf can hold"):
        load(file)


def _loaded(folder: Path, content: bytes) -> ModelProto | None:
    file = folder / "model.onnx"
    file.write_bytes(content)
    try:
        return load(file)
    except UnusableInput:
        return None


def _parsed(content: bytes) -> ModelProto | None:
    parsed = ModelProto()
    try:
        parsed.ParseFromString(content)
    except DecodeError:
        return None
    return parsed if parsed.graph.node or parsed.graph.output else None


@pytest.mark.parametrize("piece", [21, 40, 97, 256, 1 << 20])
def test_pieces_make_the_same_model(piece: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "_PIECE", piece)
    for expected in (model(), chain(100)):
        assert _loaded(tmp_path, expected.SerializeToString()) == expected


def test_a_graph_that_is_given_in_two_parts_is_put_together(tmp_path: Path) -> None:
    content = model().SerializeToString() + ModelProto(graph=GraphProto(doc_string="more")).SerializeToString()
    assert _loaded(tmp_path, content) == _parsed(content)


@pytest.mark.parametrize("piece", [64, 1 << 20])
def test_every_cut_is_refused_unless_protobuf_reads_it(
    piece: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "_PIECE", piece)
    content = model().SerializeToString()
    for end in range(len(content)):
        assert _loaded(tmp_path, content[:end]) == _parsed(content[:end]), end


@pytest.mark.parametrize("piece", [64, 1 << 20])
def test_damage_is_refused_where_protobuf_refuses_it(
    piece: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "_PIECE", piece)
    content = model().SerializeToString()
    refused = 0
    for at in range(0, len(content), 3):
        for byte in (0x00, 0x7F, 0xFF):
            damaged = content[:at] + bytes([byte]) + content[at + 1 :]
            found, expected = _loaded(tmp_path, damaged), _parsed(damaged)
            assert found is None or found == expected, (at, byte)
            refused += found is None
    assert refused > 100


def test_half_of_a_large_download_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "_pieces", None)
    file = tmp_path / "model.onnx"
    with file.open("wb") as sparse:
        sparse.write(b"\x08\x09\x3a\xff\xff\xff\xff\x07")
        sparse.truncate(2**30)
    with pytest.raises(UnusableInput, match="breaks off"):
        load(file)


def test_graphs_nested_too_deeply_are_called_so(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(nested(30))
    assert load(file).graph.node[0].op_type == "If"
    file.write_bytes(nested(40))
    with pytest.raises(UnusableInput, match="nested too deeply"):
        load(file)


def test_more_fields_than_anybody_has_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "_MOST_FIELDS", 100)
    file = tmp_path / "model.onnx"
    file.write_bytes(chain(50).SerializeToString())
    assert load(file)
    file.write_bytes(chain(120).SerializeToString())
    with pytest.raises(UnusableInput, match="more than 100 nodes"):
        load(file)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"<!DOCTYPE html>", "web page"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"\x1c\0\0\0TFL3", "TensorFlow Lite"),
        (b"\x1c\0\0\0ORTM", "ONNX Runtime's own format"),
        (b"\xfd7zXZ\x00", "xz"),
        (b"BZh91AY", "bzip2"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
    ],
)
def test_what_else_it_may_be(content: bytes, says: str, tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(content)
    with pytest.raises(UnusableInput, match=says):
        load(file)
