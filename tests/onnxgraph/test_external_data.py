"""Numbers beside a model: a cache's links are followed, links and second names that lead elsewhere are not."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from onnx_triangulate.onnxgraph.external_data import locations, staged
from onnx_triangulate.records.errors import UnusableInput

GRAPH = '<ir_version: 10, opset_import: ["" : 20]> g (float[16] x) => (float[16] y) { y = Add(x, w) }'


@pytest.fixture
def blobs(tmp_path: Path) -> Path:
    model = onnx.parser.parse_model(GRAPH)
    model.graph.initializer.append(numpy_helper.from_array(np.arange(16, dtype=np.float32), "w"))
    folder = tmp_path / "cache" / "blobs"
    folder.mkdir(parents=True)
    onnx.save(model, folder / "m", save_as_external_data=True, location="model.onnx_data", size_threshold=0)
    (folder / "model.onnx_data").rename(folder / "d")
    return folder


def runs(file: Path) -> bool:
    made = onnxruntime.InferenceSession(file).run(None, {"x": np.zeros(16, np.float32)})[0]
    return bool((made == np.arange(16)).all()) and len(onnx.load(file).graph.initializer[0].raw_data) == 64


def beside(blobs: Path, name: str) -> Path:
    folder = blobs.parent / name
    folder.mkdir(parents=True)
    return folder


def test_a_cache_of_links(blobs: Path, tmp_path: Path) -> None:
    folder = beside(blobs, "snapshots/abc")
    for name, blob in (("model.onnx", "m"), ("model.onnx_data", "d")):
        (folder / name).symlink_to(os.path.relpath(blobs / blob, folder))
    file = staged(folder / "model.onnx", tmp_path / "place")
    assert file.parent == tmp_path / "place"
    assert runs(file)


def test_a_model_as_it_is_saved_stays_where_it_is(blobs: Path, tmp_path: Path) -> None:
    folder = beside(blobs, "plain")
    shutil.copy(blobs / "m", folder / "model.onnx")
    shutil.copy(blobs / "d", folder / "model.onnx_data")
    (tmp_path / "linked").symlink_to(folder)
    assert staged(folder / "model.onnx", tmp_path / "place") == folder / "model.onnx"
    assert staged(tmp_path / "linked" / "model.onnx", tmp_path / "place") == tmp_path / "linked" / "model.onnx"
    assert locations(onnx.load(folder / "model.onnx", load_external_data=False)) == {"model.onnx_data"}
    assert not (tmp_path / "place").exists()


@pytest.mark.parametrize("how", ["link", "second name", "none", "pipe"])
def test_what_leads_elsewhere_is_refused(blobs: Path, tmp_path: Path, how: str) -> None:
    folder = beside(blobs, "snapshots/abc")
    shutil.copy(blobs / "m", folder / "model.onnx")
    secret, data = tmp_path / "secret", folder / "model.onnx_data"
    shutil.copy(blobs / "d", secret)
    if how == "link":
        data.symlink_to(secret)
    elif how == "second name":
        os.link(secret, data)
    elif how == "pipe":
        os.mkfifo(data)
    says = {"link": "outside of its folder", "second name": "a hard link", "none": "not there", "pipe": "no regular"}
    with pytest.raises(UnusableInput, match=says[how]):
        staged(folder / "model.onnx", tmp_path / "place")
