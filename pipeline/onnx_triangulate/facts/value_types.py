"""Types of elements, and types of values that are more than a tensor: sequences, optional values, maps, sparse tensors.

Design note.  Shapes and types of tensors have tables of their own (``onnxgraph.graph.Graph``); for what holds
or may hold a tensor there is only what the border declares.  What is not declared agrees with anything.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from onnx import TensorProto, TypeProto

from onnx_triangulate.onnxgraph.nodes import Dims, text

_NAMES = {"float": "float32", "double": "float64"}


@cache
def dtype_name(data_type: int | None) -> str:
    """A type as people write it (``float32``, ``int64``); ``type 99`` where ONNX has no such type."""
    try:
        name = str(TensorProto.DataType.Name(data_type)).lower()
    except (ValueError, TypeError):
        return f"type {data_type}"
    return _NAMES.get(name, name)


@cache
def bits(data_type: int) -> int:
    """How many bits an element takes; 0 for strings and for what is not known."""
    name = dtype_name(data_type)
    digits = re.match(r"[a-z]+(\d+)", name)  # the first number of a name is its width: bfloat16, float8e4m3fn, uint4
    return int(digits[1]) if digits else 8 * (name == "bool")


@dataclass(frozen=True)
class Kind:
    """A type: a tensor's ("float32", with dims), or that of what holds an ``inner`` one ("sequence")."""

    head: str
    dims: Dims | None = None
    inner: Kind | None = None

    def __str__(self) -> str:
        if self.inner is not None:
            return f"{self.head} {self.inner}" if " " in self.head else f"{self.head}({self.inner})"
        if self.dims is None:
            return self.head
        return f"{self.head}[{','.join('?' if d is None else str(d) for d in self.dims)}]"


def kind_of_type(declared: TypeProto) -> Kind | None:
    """``None`` where nothing is declared."""
    which = declared.WhichOneof("value")
    if which in ("tensor_type", "sparse_tensor_type"):
        tensor = getattr(declared, which)
        if tensor.elem_type == TensorProto.UNDEFINED:
            return None
        dims = None
        if tensor.HasField("shape"):
            sizes = [d.dim_value if d.HasField("dim_value") else -1 for d in tensor.shape.dim]
            dims = tuple(None if d < 0 else int(d) for d in sizes)
        return Kind(("sparse " if which == "sparse_tensor_type" else "") + dtype_name(tensor.elem_type), dims)
    if which == "sequence_type":
        return Kind("sequence", None, kind_of_type(declared.sequence_type.elem_type))
    if which == "optional_type":
        return Kind("optional", None, kind_of_type(declared.optional_type.elem_type))
    if which == "map_type":
        map_ = declared.map_type
        return Kind(f"map of {dtype_name(map_.key_type)} to", None, kind_of_type(map_.value_type))
    if which == "opaque_type":
        return Kind(f"opaque {text(declared.opaque_type.domain)}.{text(declared.opaque_type.name)}")
    return None


def one_kind(left: Kind | None, right: Kind | None) -> bool:
    """Whether two types are one, whatever their sizes."""
    if left is None or right is None:
        return True
    return left.head == right.head and one_kind(left.inner, right.inner)


def sizes(kind: Kind | None) -> Dims | None:
    """The shape of the tensors that are in it."""
    while kind is not None and kind.inner is not None:
        kind = kind.inner
    return None if kind is None else kind.dims


def is_tensor(declared: TypeProto) -> bool:
    return declared.WhichOneof("value") in (None, "tensor_type")
