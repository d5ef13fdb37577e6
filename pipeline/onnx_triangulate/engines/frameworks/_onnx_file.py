"""Writing an exported graph and matching its border to the case; shared by the exporters."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

MOST = 2**31 - 2**24  # bytes of one protobuf message; what is larger keeps its weights in another file


def write(proto: Any, file: Path) -> Path:
    """Write a graph through a temporary name; the weights of one over :data:`MOST` go to one file beside it."""
    import onnx

    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        if sum(len(tensor.raw_data) for tensor in proto.graph.initializer) < MOST:
            temporary.write_bytes(proto.SerializeToString())
        else:
            data = file.with_name(f"{file.name}.data")
            data.unlink(missing_ok=True)  # onnx would append to it
            onnx.save_model(proto, temporary, save_as_external_data=True, location=data.name, size_threshold=1024)
        os.replace(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)
    return file


def write_beside(save: Callable[[Path], Any], file: Path) -> Path:
    """Let an exporter write ``file`` and what it puts beside it, in a folder of its own until all of it is there."""
    place = file.with_name(f".{file.name}.{os.getpid()}.d")
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    try:
        save(place / file.name)
        for written in sorted(place.iterdir(), key=lambda each: each.name == file.name):
            os.replace(written, file.parent / written.name)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return file


def write_arrays(arrays: Sequence[Any], file: Path) -> Path:
    """Write arrays to one ``.npz`` file through a temporary name."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{os.getpid()}.{file.name}")
    np.savez(temporary, *arrays)
    os.replace(temporary, file)
    return file


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
