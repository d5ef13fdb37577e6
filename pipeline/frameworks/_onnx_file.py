"""Writing an exported graph and matching its border to the case; shared by the exporters."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np


def write(proto: Any, file: Path) -> Path:
    """Write a graph through a temporary name; weights over protobuf's 2 GB go to one file beside it."""
    import onnx

    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        if proto.ByteSize() < 2**31 - 2**20:
            temporary.write_bytes(proto.SerializeToString())
        else:
            onnx.save_model(proto, temporary, save_as_external_data=True, location=f"{file.name}.data")
        os.replace(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)
    return file


def write_arrays(arrays: Sequence[Any], file: Path) -> Path:
    """Write arrays to one ``.npz`` file through a temporary name."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{os.getpid()}.{file.name}")
    np.savez(temporary, *arrays)
    os.replace(temporary, file)
    return file


class Values:
    """Arrays written as they come, one file for each; with ``keys``, names that have a file elsewhere get the same."""

    def __init__(self, folder: Path, keys: Mapping[str, str] | None = None) -> None:
        self.folder, self.keys = folder, dict(keys or {})
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, name: str, array: Any) -> None:
        key = self.keys.setdefault(name, f"v{len(self.keys)}")
        temporary = self.folder / f".{os.getpid()}.tmp"
        with temporary.open("wb") as stream:
            np.save(stream, array, allow_pickle=False)
        os.replace(temporary, self.folder / f"{key}.npy")


def border(
    proto: Any, inputs: Sequence[str], outputs: Sequence[str]
) -> tuple[dict[str, str], dict[str, str], str | None]:
    """Map the case's names to the graph's, or say why that cannot be done.

    Inputs match by name (an exporter drops one that nothing uses, and may add what is no input of the case), outputs
    by position, in the same number.
    """
    weights = {tensor.name for tensor in proto.graph.initializer}
    have = [value.name for value in proto.graph.input if value.name not in weights]
    extra = [name for name in have if name not in inputs]
    if extra:
        return {}, {}, f"the graph wants inputs {extra} that the case does not have"
    results = [value.name for value in proto.graph.output]
    if len(results) != len(outputs):
        return {}, {}, f"the graph has {len(results)} outputs {results}, the model {len(outputs)}: {list(outputs)}"
    return {name: name for name in inputs if name in have}, dict(zip(outputs, results, strict=True)), None
