"""Writing an exported graph and matching its border to the case; shared by the exporters."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from pipeline.data import Stored


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
    """Arrays written to one file as they come; written again under a name, an array takes the other's place."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)
        self._file, self._slots, self._end = file, dict[str, tuple[int, str, tuple[int, ...]]](), 0

    def __enter__(self) -> Self:
        self._stream = self._file.open("wb")
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def write(self, name: str, array: Any) -> None:
        array = np.ascontiguousarray(array).reshape(np.shape(array))
        self._end += self._stream.write(bytes(-self._end % 64))
        self._slots[name] = (self._end, array.dtype.str, array.shape)
        if array.size:
            self._end += self._stream.write(array.reshape(-1).view(np.uint8).data)

    def stored(self) -> Stored:
        return Stored(self._file, dict(self._slots))


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
