"""The source's own values by reference: what there is, in which precision, and what is asked for in vain."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from onnx_triangulate.records.arrays import ArrayStore
from onnx_triangulate.records.faults import SourceValues


def stored(folder: Path, name: str, values: np.ndarray) -> ArrayStore:
    file = folder / f"{name}.{values.dtype}"
    file.write_bytes(values.tobytes())
    return ArrayStore(file, {name: (0, values.dtype.name, values.shape)})


def test_values_in_both_precisions(tmp_path: Path) -> None:
    wide = np.array([0.1, 1e300])
    single = stored(tmp_path, "a", np.array([0.1, 2.0], np.float32))
    values = SourceValues("torch", single=single, double=stored(tmp_path, "a", wide))
    assert set(values.names) == {"a"}
    assert np.array_equal(values.array("a"), np.float32([0.1, 2]))
    assert np.array_equal(values.array("a", double=True), wide)
    assert np.array_equal(values.narrow("a"), np.float32([0.1, 2]))
    assert values.array("b") is None


def test_values_in_float64_alone_are_rounded_where_the_cases_precision_is_asked_for(tmp_path: Path) -> None:
    values = SourceValues("torch", double=stored(tmp_path, "a", np.array([0.1, 1e300])))
    assert set(values.names) == {"a"}
    assert values.array("a") is None
    narrow = values.narrow("a")
    assert narrow is not None
    assert narrow.dtype == np.float32
    assert np.array_equal(narrow, np.float32([0.1, np.inf]))


def test_whole_numbers_are_what_they_are(tmp_path: Path) -> None:
    values = SourceValues("torch", double=stored(tmp_path, "i", np.array([1, 2])))
    narrow = values.narrow("i")
    assert narrow is not None
    assert narrow.dtype == np.int64


def test_nothing_at_all() -> None:
    assert set(SourceValues("torch").names) == set()
    assert SourceValues("torch").narrow("a") is None
