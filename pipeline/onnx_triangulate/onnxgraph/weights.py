"""The constants of a graph beside the graph: read one at a time, when they are used.

Design note.  A model of gigabytes must be walked through without a second copy of its weights, and one of a hundred
megabytes without the time that copies take.  :func:`read_model` parses a file without the bytes of its large
initializers: it walks the outermost fields of the message (ModelProto.graph 7, GraphProto.initializer 5,
TensorProto.raw_data 9, as in onnx.proto) and notes where they are.  :func:`without_weights` is the graph alone, its
large initializers turned to inputs; :class:`Weights` reads one of them when it is asked for, mapped from the file or
from one in its folder, and keeps nothing.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from onnx_triangulate.onnxgraph.inlining import inlined
from onnx_triangulate.onnxgraph.nodes import elements, printable, without_large_initializers
from onnx_triangulate.onnxgraph.wire_format import LENGTH, VARINT, Broken, field_at, length_delimited, varint

# Several elements to a byte: numpy has no such type.
_PACKED = (TensorProto.INT4, TensorProto.UINT4, TensorProto.FLOAT4E2M1)


class Weights(Mapping[str, NDArray[Any]]):
    """The initializers of a model by name.  Reading one raises ``ValueError`` where its data is not there."""

    def __init__(
        self, model: ModelProto, folder: Path | None = None, spans: Mapping[int, tuple[Path, int, int]] | None = None
    ) -> None:
        """``folder`` is where data in other files lies, ``spans`` where that of the initializers (by their place) is
        which were left out of the model: file, offset, bytes."""
        self._tensors = {tensor.name: tensor for tensor in model.graph.initializer}
        self._spans = {model.graph.initializer[place].name: span for place, span in (spans or {}).items()}
        self._folder = folder
        self._maps: dict[Path, mmap.mmap] = {}

    def __getitem__(self, name: str) -> NDArray[Any]:
        tensor = self._tensors[name]
        if name in self._spans:
            file, offset, size = self._spans[name]
            dtype = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.data_type)).newbyteorder("<")
            if elements(tensor) * dtype.itemsize != size:
                raise ValueError(f"{printable(name)!r} does not hold the numbers that its shape promises")
            return self._array(file, dtype, offset, tuple(tensor.dims))
        return self.read(tensor)

    def read(self, tensor: TensorProto) -> NDArray[Any]:
        """The numbers of any tensor of the model, that of a subgraph or of an attribute too."""
        if tensor.data_location == TensorProto.EXTERNAL:
            return self._outside(tensor)
        return np.asarray(numpy_helper.to_array(tensor))

    def place(self, tensor: TensorProto) -> str:
        """Where a tensor's numbers lie in another file.  Two that say the same mean the same bytes, even if these are
        not there to read."""
        about = {entry.key: entry.value for entry in tensor.external_data}
        folder = f"unknown {id(self)}" if self._folder is None else str(self._folder.resolve())
        return repr((folder, *(about.get(key, "") for key in ("location", "offset", "length"))))

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
        packed = tensor.data_type in _PACKED
        count = (elements(tensor) + 1) // 2 if packed else elements(tensor) * dtype.itemsize
        if offset < 0 or offset + count > file.stat().st_size:
            raise ValueError(f"{who} does not fit into {printable(file.name)!r}")
        if packed:
            held = self._array(file, np.dtype(np.uint8), offset, (count,)).tobytes()
            return np.asarray(numpy_helper.to_array(TensorProto(dims=shape, data_type=tensor.data_type, raw_data=held)))
        return self._array(file, dtype, offset, shape)

    def _array(self, file: Path, dtype: np.dtype[Any], offset: int, shape: tuple[int, ...]) -> NDArray[Any]:
        if file not in self._maps:
            self._maps[file] = _mapped(file)
        return np.ndarray(shape, dtype, self._maps[file], offset)

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def tensor(self, name: str) -> TensorProto:
        """What the file says of an initializer, with its data where the file itself holds it."""
        return self._tensors[name]


def read_model(file: Path) -> tuple[ModelProto, Weights]:
    """A model without the data of its large initializers, and its weights.

    Raises whatever protobuf raises for a file that is no model.
    """
    try:
        serialized, spans = _without_data(memoryview(_mapped(file)))
    except ValueError:  # empty, or not the message that it should be: protobuf says it better
        serialized, spans = file.read_bytes(), {}
    model = onnx.load_from_string(serialized)
    return model, Weights(model, file.parent, {place: (file, *span) for place, span in spans.items()})


# Types that are stored as numpy has them: float, int32, int64, float16, double.
_PLAIN = (1, 6, 7, 10, 11)
_LARGE = 8192  # bytes: more than any initializer that stays with the graph has


def _mapped(file: Path) -> mmap.mmap:
    with file.open("rb") as stream:
        return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)


def _fields(view: memoryview, start: int, end: int) -> Iterator[tuple[int, int, int, int, int]]:
    """Number, wire type, where the field begins, where its content begins and ends.  Raises :class:`Broken`."""
    at = start
    while at < end:
        number, wire, content, stop = field_at(view, at)
        if stop > end:
            raise Broken(cut=True)
        yield number, wire, at, content, stop
        at = stop


def _without_data(view: memoryview) -> tuple[bytes, dict[int, tuple[int, int]]]:
    """The message without the data of large initializers, and the offset and size of each of these by its place."""
    spans: dict[int, tuple[int, int]] = {}
    made = bytearray()
    place = 0
    for number, wire, begins, start, end in _fields(view, 0, len(view)):
        if number != 7 or wire != LENGTH:
            made += view[begins:end]
            continue
        graph = bytearray()
        for inner, kind, first, low, high in _fields(view, start, end):
            tensor = _tensor(view, low, high) if inner == 5 and kind == LENGTH and high - low > _LARGE else None
            if tensor is not None:
                contents, spans[place] = tensor
                graph += length_delimited(5, contents)
            else:
                graph += view[first:high]
            place += inner == 5 and kind == LENGTH
        made += length_delimited(7, bytes(graph))
    return bytes(made), spans


def _tensor(view: memoryview, start: int, end: int) -> tuple[bytes, tuple[int, int]] | None:
    """A tensor without its raw data, and where that is; None where it has none or is of a type of its own."""
    kept, span, plain = bytearray(), None, False
    for number, wire, begins, low, high in _fields(view, start, end):
        if number == 9 and wire == LENGTH:
            span = (low, high - low)
        else:
            kept += view[begins:high]
        plain |= number == 2 and wire == VARINT and varint(view, low)[0] in _PLAIN
    return (bytes(kept), span) if span is not None and plain and span[1] > _LARGE else None


def without_weights(model: ModelProto) -> ModelProto:
    """A copy of the model whose large initializers are inputs, its local functions inlined."""
    bare = without_large_initializers(model)
    bare.graph.sparse_initializer.extend(model.graph.sparse_initializer)
    return inlined(bare)
