"""The constants of a graph beside the graph: read one at a time, when they are used.

Design note.  A model of gigabytes must be walked through without a second copy of its weights.  :func:`without_weights`
is the graph alone, its large initializers turned to inputs; :class:`Weights` reads one of them when it is asked for,
from the file's own bytes or, mapped, from a file in its folder, and keeps nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from pipeline.graph.walk import elements, printable, without_large_initializers

# Several elements to a byte: numpy has no such type.
_PACKED = (TensorProto.INT4, TensorProto.UINT4, TensorProto.FLOAT4E2M1)


class Weights(Mapping[str, NDArray[Any]]):
    """The initializers of a model by name.  Reading one raises ``ValueError`` where its data is not there."""

    def __init__(self, model: ModelProto, folder: Path | None = None) -> None:
        self._tensors = {tensor.name: tensor for tensor in model.graph.initializer}
        self._folder = folder

    def __getitem__(self, name: str) -> NDArray[Any]:
        tensor = self._tensors[name]
        if tensor.data_location == TensorProto.EXTERNAL:
            return self._outside(tensor)
        return np.asarray(numpy_helper.to_array(tensor))

    def _outside(self, tensor: TensorProto) -> NDArray[Any]:
        """Data in another file, mapped."""
        who = f"the data of {printable(tensor.name)!r}"
        if self._folder is None:
            raise ValueError(f"{who} is in another file, and nobody said where")
        about = {entry.key: entry.value for entry in tensor.external_data}
        folder = self._folder.resolve()
        file = (folder / about.get("location", "")).resolve()
        if not file.is_relative_to(folder) or not file.is_file():
            raise ValueError(f"{who} is said to be in {printable(about.get('location', ''))!r}, which is not there")
        dtype = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.data_type))
        offset, shape = int(about.get("offset") or 0), tuple(tensor.dims)
        if not elements(tensor):
            return np.zeros(shape, dtype)
        if (
            tensor.data_type in _PACKED
            or offset < 0
            or offset + elements(tensor) * dtype.itemsize > file.stat().st_size
        ):
            raise ValueError(f"{who} does not fit into {printable(file.name)!r}")
        return np.memmap(file, dtype, "r", offset, shape)

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def tensor(self, name: str) -> TensorProto:
        """What the file says of an initializer, with its data where the file itself holds it."""
        return self._tensors[name]


def without_weights(model: ModelProto) -> ModelProto:
    """A copy of the model whose large initializers are inputs, its local functions inlined."""
    bare = without_large_initializers(model)
    bare.graph.sparse_initializer.extend(model.graph.sparse_initializer)
    return onnx.inliner.inline_local_functions(bare) if bare.functions else bare
