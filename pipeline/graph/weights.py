"""The constants of a graph beside the graph: read one at a time, when they are used.

Design note.  A model of gigabytes must be walked through without a second copy of its weights.  :func:`without_weights`
is the graph alone, its large initializers turned to inputs; :class:`Weights` reads one of them when it is asked for,
from the file's own bytes or from the file beside it (through onnx's loader, which refuses to leave the folder), and
keeps nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, numpy_helper

from pipeline.graph.walk import without_large_initializers


class Weights(Mapping[str, NDArray[Any]]):
    """The initializers of a model by name.  Reading one raises ``ValueError`` where its data is not there."""

    def __init__(self, model: ModelProto, folder: Path | None = None) -> None:
        self._tensors = {tensor.name: tensor for tensor in model.graph.initializer}
        self._folder = folder

    def __getitem__(self, name: str) -> NDArray[Any]:
        tensor = self._tensors[name]
        if tensor.data_location != TensorProto.EXTERNAL:
            return np.asarray(numpy_helper.to_array(tensor))
        if self._folder is None:
            raise ValueError(f"the data of {name!r} is in another file, and nobody said where")
        read = TensorProto()
        read.CopyFrom(tensor)
        try:
            onnx.external_data_helper.load_external_data_for_tensor(read, str(self._folder))
            return np.asarray(numpy_helper.to_array(read))
        except Exception as error:  # missing, outside of the folder, too short: each raises a type of its own
            says = " ".join(str(error).split())[:200]
            raise ValueError(f"the data of {name!r} cannot be had: {says}") from error

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
