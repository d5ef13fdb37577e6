"""Arrays by name in a file, and files that ask for more than there is."""

from __future__ import annotations

import os
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from onnx_triangulate.records import npz
from onnx_triangulate.records.errors import UnusableInput


def refusal(file: Path, memory: int | None = 1 << 20) -> str:
    with pytest.raises(UnusableInput) as caught:
        npz.load(file, memory=memory)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", ["x", "file", "allow_pickle", "a/b", "../x", "x.npy", "größe", "", "kwds"])
def test_any_name(tmp_path: Path, name: str) -> None:
    file = npz.save(tmp_path / "a.npz", {name: np.arange(3), "other": np.float32(2)})
    found = npz.load(file)
    assert list(found) == [name, "other"]
    assert found[name].tolist() == [0, 1, 2]
    with np.load(file) as archive:
        assert set(archive.files) >= {"other"}


def test_what_numpy_writes_is_read(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", x=np.ones((2, 3)), y=np.array(["a"]))
    found = npz.load(tmp_path / "a.npz", memory=1000)
    assert found["x"].shape == (2, 3)
    assert found["y"].tolist() == ["a"]


def header(shape: tuple[int, ...]) -> bytes:
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (118 - len(text)) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def test_promises_are_added_up_before_anything_is_unpacked(tmp_path: Path) -> None:
    file = tmp_path / "a.npz"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", header((1 << 40,)))
    assert "promise 4.1e+03 GiB" in refusal(file)
    np.savez_compressed(file, **{f"x{i}": np.zeros(1 << 16, np.float32) for i in range(5)})
    assert "over the limit" in refusal(file)
    assert len(npz.load(file, memory=2 << 20)) == 5


def test_what_is_no_archive(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "none.npz")
    assert "a folder" in refusal(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert "a pipe or a device" in refusal(tmp_path / "pipe")
    np.save(tmp_path / "one.npy", np.ones(3))
    assert "one array" in refusal(tmp_path / "one.npy")
    (tmp_path / "text").write_text("hello")
    assert "not an .npz" in refusal(tmp_path / "text")
    np.savez(tmp_path / "objects.npz", x=np.array([{}]))
    assert "not an .npz of plain arrays" in refusal(tmp_path / "objects.npz")
