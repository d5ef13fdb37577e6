"""What a graph is in normal form: steps on values, each seen through a permutation and a shape.

Design note.  Whoever compares two graphs of one model must not stumble over the ways of writing it.  So a Transpose or
a Reshape is no step: it is how a step *sees* its operand (:class:`Ref`), and ``via`` remembers which nodes made it so.
Two Transposes that cancel leave nothing behind, a constant is turned at once, and what is left on an edge (attention's
permutation) is compared like an attribute.  A :class:`Step` knows the nodes that it stands for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import SparseTensorProto, TensorProto

from onnx_triangulate.facts.value_types import Kind
from onnx_triangulate.onnxgraph.dataflow import digest
from onnx_triangulate.onnxgraph.nodes import Dims, array, elements
from onnx_triangulate.onnxgraph.weights import Weights

Array = NDArray[Any]
Ints = tuple[int, ...]
Shape = tuple[int, ...]  # of a reshape that is determined: at most one -1

_AS_ATTRIBUTE = 64
_NUMBERS = tuple(map(np.dtype, (np.int64, np.int32, np.bool_, np.float32, np.float64)))
_FOLDED = 4096
_MOST_ELEMENTS = 1 << 36
_MOST_SPARSE = 1 << 24


def compose(first: Ints | None, then: Ints | None) -> Ints | None:
    """The permutation of two Transposes one after the other; ``None`` is none."""
    if then is None:
        return first
    if first is None:
        first = tuple(range(len(then)))
    made = tuple(first[axis] for axis in then)
    return None if made == tuple(range(len(made))) else made


def inverse(perm: Ints | None) -> Ints | None:
    if perm is None:
        return None
    made = [0] * len(perm)
    for place, axis in enumerate(perm):
        made[axis] = place
    return tuple(made)


def turned(dims: Dims | None, perm: Ints | None) -> Dims | None:
    return dims if dims is None or perm is None or len(perm) != len(dims) else tuple(dims[axis] for axis in perm)


def size_of(dims: Dims | None) -> int | None:
    """How many elements a value has, where all its sizes are known."""
    known = [d for d in dims or () if d is not None]
    return None if dims is None or len(known) < len(dims) else math.prod(known)


def determined(dims: Dims | None) -> Shape | None:
    """The target of a Reshape with this result, where that says all: no more than one size is unknown."""
    if dims is None or sum(d is None for d in dims) > 1 or (None in dims and 0 in dims):
        return None
    return tuple(-1 if d is None else d for d in dims)


@dataclass(frozen=True, eq=False)
class Const:
    """A constant: ``array`` is None where its numbers are not to be had; ``token`` tells such ones apart.  ``whole`` is
    what it was before axes of size one were left out."""

    name: str
    array: Array | None
    dims: Dims | None = None
    dtype: str = ""
    token: str = ""
    whole: Const | None = None

    @classmethod
    def of(cls, name: str, array: Array) -> Const:
        return cls(name, array, tuple(array.shape), str(array.dtype))

    def changed(self, change: Callable[[Array], Array], token: str) -> Const:
        if self.array is None:
            return Const(self.name, None, None, self.dtype, f"{self.token} {token}")
        return Const.of(self.name, change(self.array))

    def transposed(self, perm: Ints) -> Const:
        if self.dims is None or len(perm) != len(self.dims):
            return Const(self.name, None, None, self.dtype, f"{self.token} transposed {perm}")
        made = self.changed(lambda a: np.transpose(a, perm), f"transposed {perm}")
        return made if made.array is not None else replace(made, dims=turned(self.dims, perm))

    def reshaped(self, shape: Shape) -> Const:
        try:
            made = self.changed(lambda a: a.reshape(shape), f"reshaped {shape}")
        except ValueError:
            return Const(self.name, None, None, self.dtype, f"{self.token} misshaped {shape}")
        return made if made.array is not None else replace(made, dims=None if -1 in shape else shape)

    @cached_property
    def bare(self) -> Const:
        """Without the axes of size one in front, which broadcasting adds by itself."""
        dims = self.dims or ()
        kept = next((i for i, d in enumerate(dims) if d != 1), len(dims))
        if not kept or any(d is None for d in dims):
            return self
        return replace(self.reshaped(tuple(d for d in dims[kept:] if d is not None)), whole=self)

    @cached_property
    def exact(self) -> bytes:
        if self.array is None:
            return digest("outside", self.token or self.name, repr(self.dims))
        held = self.array
        if held.dtype == object:
            return digest("text", repr(held.shape), repr(held.tolist()))
        if held.size and all(s == 0 or n == 1 for s, n in zip(held.strides, held.shape, strict=True)):
            held = held.reshape(-1)[:1] if held.ndim == 0 else held[(slice(0, 1),) * held.ndim]
        return digest("constant", str(held.dtype), repr(self.dims), np.ascontiguousarray(held).tobytes())

    @cached_property
    def shape(self) -> bytes:
        """All that is known without looking at the numbers."""
        return digest("shape", repr(self.dims))

    @cached_property
    def roughly(self) -> bytes:
        """Equal for numbers that differ by rounding (mostly), different for others (mostly)."""
        held = self.array
        if held is None or not held.size or held.dtype == object or held.dtype.kind not in "fiub":
            return self.exact
        flat = held.reshape(-1)[:4096].astype(np.float64)
        scale = float(np.abs(flat).mean())
        if not np.isfinite(scale):
            return self.exact
        return digest("roughly", repr(self.dims), f"{scale:.2e}", f"{float(flat[0]) + 2 * scale:.1e}")

    @property
    def large(self) -> bool:
        """Whether equal numbers are no chance."""
        return self.array is not None and self.array.size >= 8 and self.array.dtype.kind == "f"


@dataclass(frozen=True)
class Ref:
    """A value as somebody sees it: transposed by ``perm``, then written in ``shape``."""

    value: int
    perm: Ints | None = None
    shape: Shape | None = None
    via: tuple[str, ...] = field(default=(), compare=False)

    @property
    def plain(self) -> bool:
        return self.perm is None and self.shape is None

    @property
    def seen(self) -> tuple[Ints | None, Shape | None]:
        return self.perm, self.shape


Operand = Ref | Const | None


@dataclass(eq=False)
class Value:
    """A value: the step that makes it (-1: an input) and which of its results it is."""

    step: int
    slot: int
    dims: Dims | None
    type: int | None
    name: str


def seen_dims(operand: Operand, values: Sequence[Value]) -> Dims | None:
    """The shape in which an operand is seen."""
    if not isinstance(operand, Ref):
        return None if operand is None else operand.dims
    if operand.shape is not None:
        return tuple(None if d < 0 else d for d in operand.shape)
    base = values[operand.value].dims
    if base is None and operand.perm is not None:
        return (None,) * len(operand.perm)
    return turned(base, operand.perm)


@dataclass(eq=False)
class Step:
    """What one or several nodes do.

    ``part`` is what it is of its first node where that does more than one thing ("bias"), or "view": a shape in which
    others see a value.  ``soft`` are attributes that already show in how others see its results; ``bodies`` its
    subgraphs.
    """

    op: str
    attributes: Mapping[str, Any]
    operands: tuple[Operand, ...]
    outputs: tuple[int, ...]
    nodes: tuple[str, ...]
    ops: tuple[str, ...]
    part: str = ""
    soft: Mapping[str, Any] = field(default_factory=dict)
    bodies: Mapping[str, NormalForm] = field(default_factory=dict)

    @cached_property
    def said(self) -> str:
        """The attributes as one text."""
        return repr(sorted(self.attributes.items()))

    def refs(self) -> Iterable[tuple[int, Ref]]:
        return ((slot, operand) for slot, operand in enumerate(self.operands) if isinstance(operand, Ref))


@dataclass(eq=False)
class ValueInfo:
    """An input or an output of the graph as the file declares it, and what it is in normal form.  ``kind`` is its type
    where that is no tensor's."""

    name: str
    dims: Dims | None
    type: int | None
    operand: Operand
    kind: Kind | None = None


@dataclass(eq=False)
class NormalForm:
    """A graph in normal form.  ``traceless`` counts, by operator, the nodes that left no step of their own;
    ``replaceable`` are the constants that a caller may give another value."""

    path: str
    values: list[Value]
    steps: list[Step]
    inputs: list[ValueInfo]
    outputs: list[ValueInfo]
    traceless: Mapping[str, int]
    notes: list[str]
    opset: int | None = None
    captured: tuple[str, ...] = ()
    replaceable: tuple[str, ...] = ()

    @cached_property
    def readers(self) -> Mapping[int, Sequence[tuple[int, Ref]]]:
        """By value, the steps that read it, in order, and how they see it."""
        found: dict[int, list[tuple[int, Ref]]] = {}
        for index, step in enumerate(self.steps):
            for _, ref in step.refs():
                found.setdefault(ref.value, []).append((index, ref))
        return found


def constant_of(name: str, tensor: TensorProto, weights: Weights | None) -> Const:
    """A constant of the file; its numbers are read when somebody asks, and only where they are there."""
    dims: Dims = tuple(int(d) if d >= 0 else None for d in tensor.dims)
    held = _read(tensor, weights)
    if held is None or tuple(held.shape) != dims:
        return Const(name, None, dims, _type_name(tensor.data_type), _token(tensor, weights))
    return Const.of(name, held)


def sparse_constant(name: str, sparse: SparseTensorProto, weights: Weights | None) -> Const:
    """A constant that is stored as what is not zero in it, as the one that it is."""
    dims: Dims = tuple(int(d) if d >= 0 else None for d in sparse.dims)
    values, places = _read(sparse.values, weights), _read(sparse.indices, weights)
    if values is not None and places is not None and _fits(dims, values, places):
        held = np.zeros([d or 0 for d in dims], values.dtype)
        try:
            if places.ndim == 1:
                held.reshape(-1)[places] = values
            else:
                held[tuple(places.T)] = values
        except (IndexError, ValueError, TypeError):
            pass
        else:
            return Const.of(name, held)
    token = digest(_token(sparse.values, weights), _token(sparse.indices, weights)).hex()
    return Const(name, None, dims, _type_name(sparse.values.data_type), token)


def _fits(dims: Dims, values: Array, places: Array) -> bool:
    """Whether a sparse tensor has a place for each of its values, and is not too much as a whole."""
    if places.shape not in ((values.size,), (values.size, len(dims))) or values.ndim != 1:
        return False
    if None in dims or places.dtype != np.int64 or places.min(initial=0) < 0:
        return False
    return elements(TensorProto(dims=dims)) <= _MOST_SPARSE


def _read(tensor: TensorProto, weights: Weights | None) -> Array | None:
    try:
        if elements(tensor) <= _MOST_ELEMENTS:
            return array(tensor) if weights is None else weights.read(tensor)
    except (ValueError, TypeError, KeyError, OSError, OverflowError, MemoryError):
        pass
    return None


def _token(tensor: TensorProto, weights: Weights | None) -> str:
    """What tells numbers apart that are not read: where they lie, or the bytes that the file has in their place."""
    if tensor.data_location == TensorProto.EXTERNAL and weights is not None:
        return weights.place(tensor)
    nameless = TensorProto()
    nameless.CopyFrom(tensor)
    nameless.ClearField("name")
    nameless.ClearField("doc_string")
    return digest(nameless.SerializeToString(deterministic=True)).hex()


def _type_name(kind: int) -> str:
    try:
        return str(np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind)))
    except (KeyError, TypeError, ValueError):
        return f"type {kind}"


def numbers_in(operand: Operand) -> Array | None:
    """The numbers of a constant, where they are there."""
    return operand.array if isinstance(operand, Const) else None


def number_in(operand: Operand) -> Any:
    """The number of a constant of one element; ``None`` elsewhere."""
    held = numbers_in(operand)
    return None if held is None or held.size != 1 else as_number(held.reshape(-1)[0])


def small_integers(operand: Operand) -> Ints | None:
    held = numbers_in(operand)
    if held is None or held.size > _FOLDED or held.dtype.kind not in "iu":
        return None
    return tuple(int(v) for v in held.reshape(-1))


def as_attribute(operand: Operand) -> Any:
    """A small constant as an attribute: a number or a list of them, whose rank and type say no more; None elsewhere."""
    held = numbers_in(operand)
    if held is None or held.size > _AS_ATTRIBUTE or held.ndim > 1 or held.dtype not in _NUMBERS:
        return None
    made = tuple(as_number(v) for v in held.reshape(-1))
    return made[0] if held.ndim == 0 else made


def as_number(element: Any) -> Any:
    """An element of an array as Python's number.

    One of a float64 array stays numpy's, which is a Python float as well: that is how it is told from all the others,
    which are float32 at most (as attributes are), so that 0.1 as a default and 0.1 as it was written are one number.
    """
    return element if isinstance(element, np.float64) else element.item()


@dataclass(frozen=True, repr=False)
class Position:
    """A place (or a size) as it is written, and what it is from the front and from the end, as far as that is known."""

    written: int
    front: int | None
    back: int | None

    def __str__(self) -> str:
        return str(self.written if self.front is None else self.front)

    def __repr__(self) -> str:  # one for what is one, as far as that can be
        if self.front is not None:
            return str(self.front)
        return f"end {self.back}" if self.back is not None else f"written {self.written}"

    def agrees(self, other: Position | int) -> bool:
        if not isinstance(other, Position):
            return self.written == other
        fronts, backs = (self.front, other.front), (self.back, other.back)
        return self.written == other.written or any(a is not None and a == b for a, b in (fronts, backs))


def positive(value: Any, rank: int) -> Any:
    """Axes counted from the front."""
    if isinstance(value, int):
        return value % rank if -rank <= value < rank else value
    if isinstance(value, tuple) and all(isinstance(v, int) for v in value):
        return tuple(positive(v, rank) for v in value)
    return value


def plain(held: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes as values that compare: tensors by their type and what they hold."""
    made: dict[str, Any] = {}
    for name, value in held.items():
        if isinstance(value, TensorProto):
            made[name] = _tensor(constant_of("", value, None))
        elif isinstance(value, float):
            made[name] = float(np.float32(value))
        else:
            made[name] = value
    return made


def _tensor(const: Const) -> str:
    said = f"tensor {const.exact.hex()[:12]}"
    if const.array is not None and const.array.size == 1 and const.array.dtype.kind in "iubf":
        said = str(const.array.reshape(-1)[0].item())
    return f"{const.dtype}{list(const.dims or ())} {said}"
