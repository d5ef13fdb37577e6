"""TYP005: large tables of 64-bit integers that 32 bits would hold."""

from __future__ import annotations

from collections.abc import Iterator

from onnx import TensorProto

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.facts.size_summary import size, tensors
from onnx_triangulate.inspection.rules._helpers import numbers, some
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule
from onnx_triangulate.onnxgraph.nodes import elements

_HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (int64[1] i) => (y)'
_LARGE = 1 << 10
_MOST = 1 << 24
_REACH = 1 << 31


def _find(view: ModelView) -> Iterator[Occurrence]:
    """A stored tensor of 1,024 or more 64-bit integers holds no value that needs them: a mask, a table of positions.
    Gather and others take int32 as well; Reshape, Slice and their like want int64.
    """
    names, bytes_ = [], 0
    for name, tensor in tensors(view):
        if tensor.data_type != TensorProto.INT64 or not _LARGE <= elements(tensor) <= _MOST:
            continue
        values = numbers(tensor)
        if values is not None and int(values.min()) >= -_REACH and int(values.max()) < _REACH:
            names.append(name)
            bytes_ += size(tensor)
    if names:
        yield Occurrence(
            tuple(names),
            f"tables of int64 whose values fit int32 ({some(names)}; {bytes_:,} bytes): half of that is zeros, where "
            "the operators that read them take int32",
        )


_LONG = ", ".join(str(i % 7) for i in range(_LARGE))
_WIDE = ", ".join(str((i % 7) << 40) for i in range(_LARGE))

RULE = Rule(
    code="TYP005",
    name="wide-integers",
    severity="info",
    find=_find,
    fires=(f"{_HEAD} <int64[{_LARGE}] t = {{{_LONG}}}> {{ y = Gather (t, i) }}",),
    quiet=(
        f"{_HEAD} <int64[{_LARGE}] t = {{{_WIDE}}}> {{ y = Gather (t, i) }}",
        f"{_HEAD} <int64[3] t = {{1, 2, 3}}> {{ y = Gather (t, i) }}",
    ),
)
