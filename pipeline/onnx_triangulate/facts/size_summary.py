"""How much a file holds: numbers by type, files of external data, graphs inside of graphs, functions.

Design note.  Everything is counted from dims, so that nothing is read: not the weights, and no other file.  Dims are a
stranger's word; they are multiplied as Python's integers, and a negative one counts as zero.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from onnx import TensorProto

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.facts.value_types import bits, dtype_name
from onnx_triangulate.onnxgraph.nodes import constant_tensor, elements, text
from onnx_triangulate.records.inspection import NestedGraph, SizeSummary


@dataclass(frozen=True)
class FileContents:
    """What ``records.inspection.Inspection`` says of it."""

    stored: tuple[SizeSummary, ...]
    external: tuple[str, ...]
    inner: tuple[NestedGraph, ...]


def size(tensor: TensorProto) -> int:
    """How many bytes a tensor's numbers take, by its dims."""
    return (elements(tensor) * bits(tensor.data_type) + 7) // 8


def location(tensor: TensorProto) -> str | None:
    """The file that a tensor's numbers lie in, as written, where they lie in another one."""
    if tensor.data_location != TensorProto.EXTERNAL:
        return None
    return next((text(e.value) for e in tensor.external_data if e.key == "location"), "")


def tensors(view: ModelView) -> Iterator[tuple[str, TensorProto]]:
    """Every stored tensor with the full name of its value: initializers, dense and sparse, and Constant nodes."""
    for graph in view.graphs:
        for name, tensor in graph.initializers.items():
            yield graph.path + text(name), tensor
        for sparse in getattr(graph.proto, "sparse_initializer", ()):
            yield graph.path + text(sparse.values.name), sparse.values
    for place in view.of("Constant"):
        constant = constant_tensor(place.node)
        if isinstance(constant, TensorProto) and place.outputs:
            yield place.graph.path + text(place.outputs[0]), constant


def contents_of(view: ModelView) -> FileContents:
    """Numbers by type, largest first; the files of external data; subgraphs and functions."""
    counts: dict[int, list[int]] = {}
    files: dict[str, None] = {}
    for _, tensor in tensors(view):
        row = counts.setdefault(tensor.data_type, [0, 0, 0, 0])
        row[0] += 1
        row[1] += elements(tensor)
        row[2] += size(tensor)
        file = location(tensor)
        if file is not None:
            row[3] += size(tensor)
            files.setdefault(file)
    stored = [SizeSummary(dtype_name(kind), *row) for kind, row in counts.items()]
    calls = Counter((text(p.node.domain), text(p.node.op_type)) for p in view.places) if view.model.functions else {}
    inner = []
    for graph in view.graphs:
        if graph.kind == "subgraph":
            inner.append(NestedGraph(graph.path, "subgraph", len(graph.places)))
        elif graph.kind == "function":
            called = calls.get((text(getattr(graph.proto, "domain", "")), text(graph.proto.name)), 0)
            inner.append(NestedGraph(graph.path, "function", len(graph.places), called))
    return FileContents(
        tuple(sorted(stored, key=lambda s: (-s.bytes, -s.elements, s.dtype))), tuple(files), tuple(inner)
    )
