"""What the stored numbers of a model look like, read once for all rules that ask.

Design note.  Reading all weights is the most expensive thing that ``inspect`` does, so it is done once, block by block
(what is in the cache is looked at for everything), and not beyond :data:`MOST` bytes: what is left out is said.
Numbers in other files are not read.  Shares are estimated from a sample, evenly spaced; NaN, infinities and extremes
are those of every number.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.facts.size_summary import tensors
from onnx_triangulate.facts.value_types import bits
from onnx_triangulate.inspection.rules._helpers import FLOATS, numbers
from onnx_triangulate.onnxgraph.graph import Graph
from onnx_triangulate.onnxgraph.nodes import elements, text

MOST = 1 << 30
MOST_AXES = 64  # numpy's
_BLOCK = 1 << 17
_SAMPLE = 1 << 14
_NUMPY: dict[int, np.dtype[Any]] = {
    TensorProto.FLOAT: np.dtype("<f4"),
    TensorProto.DOUBLE: np.dtype("<f8"),
    TensorProto.FLOAT16: np.dtype("<f2"),
}
# The slots of operators that hold weights: what a model has learned, as against masks, tables and scalars.
WEIGHTS = {
    "Conv": (1, 2),
    "ConvTranspose": (1, 2),
    "Gemm": (1, 2),
    "MatMul": (0, 1),
    "BatchNormalization": (1, 2, 3, 4),
    "InstanceNormalization": (1, 2),
    "LayerNormalization": (1, 2),
    "GroupNormalization": (1, 2),
    "LSTM": (1, 2, 3),
    "GRU": (1, 2, 3),
    "RNN": (1, 2, 3),
}


@dataclass(frozen=True)
class Digest:
    """What one tensor of floats holds.  ``lowest`` and ``highest`` are NaN where one of them is; ``denormal`` is the
    share of its numbers that are too small to be held in full."""

    name: str
    dtype: str
    dims: tuple[int, ...]
    count: int
    lowest: float
    highest: float
    denormal: float


class Weight(NamedTuple):
    """A stored tensor that is a weight: its full name, the node that reads it first, and in which slot."""

    name: str
    node: str
    slot: int
    tensor: TensorProto


def stored_array(tensor: TensorProto) -> NDArray[Any] | None:
    """The numbers of a tensor, without a copy where the file has them as they lie in memory."""
    kind = _NUMPY.get(tensor.data_type)
    if kind is None or not tensor.HasField("raw_data") or tensor.data_location == TensorProto.EXTERNAL:
        return numbers(tensor)
    raw = tensor.raw_data
    if len(raw) != elements(tensor) * kind.itemsize:
        return None
    if len(tensor.dims) > MOST_AXES:
        return None
    values: NDArray[Any] = np.frombuffer(raw, kind).reshape(tuple(tensor.dims))
    return values


def _extremes(flat: NDArray[Any]) -> tuple[float, float]:
    if flat.size <= _BLOCK:
        return float(flat.min()), float(flat.max())
    low, high = np.inf, -np.inf
    for start in range(0, flat.size, _BLOCK):
        block = flat[start : start + _BLOCK]
        # NaN goes through both; of Python's own min and max it would depend on the order.
        low, high = np.minimum(low, block.min()), np.maximum(high, block.max())
    return float(low), float(high)


def _denormals(flat: NDArray[Any]) -> float:
    if flat.dtype.itemsize < 4:
        return 0.0  # of 16 bits they are ordinary numbers
    sample = np.abs(flat[:: max(1, flat.size // _SAMPLE)])
    if sample.min() >= np.finfo(flat.dtype).tiny:
        return 0.0
    return float(np.count_nonzero((sample > 0) & (sample < np.finfo(flat.dtype).tiny)) / sample.size)


class Values:
    """The digests of a view; made when first asked for and kept as long as the view is."""

    _of: ClassVar[weakref.WeakKeyDictionary[ModelView, Values]] = weakref.WeakKeyDictionary()

    def __init__(self, view: ModelView) -> None:
        self.digests: dict[str, Digest] = {}
        self.weights: list[Weight] | None = None
        left, skipped = MOST, 0
        for name, tensor in tensors(view):
            number = elements(tensor)
            if tensor.data_type not in FLOATS or not number or tensor.data_location == TensorProto.EXTERNAL:
                continue
            left -= number * bits(tensor.data_type) // 8
            if left < 0:
                skipped += 1
                continue
            values = stored_array(tensor)
            if values is None or values.size != number:
                continue
            flat = values.reshape(-1)
            low, high = _extremes(flat)
            kind = FLOATS[tensor.data_type]
            found = Digest(name, kind, tuple(tensor.dims), number, low, high, _denormals(flat))
            self.digests[name] = found
        if skipped:
            which = "1 stored tensor is" if skipped == 1 else f"{skipped} stored tensors are"
            view.problems.append(f"{which} not read, beyond {MOST:,} bytes of numbers")

    @classmethod
    def of(cls, view: ModelView) -> Values:
        if view not in cls._of:
            cls._of[view] = cls(view)
        return cls._of[view]


def weights(view: ModelView) -> Sequence[Weight]:
    """Every stored tensor that is a weight, found once."""
    values = Values.of(view)
    if values.weights is None:
        values.weights = list(_weights(view))
    return values.weights


def _weights(view: ModelView) -> Iterator[Weight]:
    seen: set[tuple[Graph, str]] = set()
    for place in view.of(*WEIGHTS):
        for index in WEIGHTS[place.op]:
            name = place.inputs[index] if index < len(place.inputs) else ""
            owner = place.graph.owner(name) if name else None
            if owner is None or (owner, name) in seen:
                continue
            seen.add((owner, name))
            tensor = owner.tensor(name)
            if tensor is not None:
                yield Weight(owner.path + text(name), place.name, index, tensor)
