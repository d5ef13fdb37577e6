"""What a file holds: the facts that ``inspect`` and every report show.

Design note.  Tensors kept in other files are counted from their dims and never opened.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path

import onnx
from onnx import ModelProto, TensorProto, TypeProto, ValueInfoProto

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.facts.value_types import dtype_name
from onnx_triangulate.onnxgraph.graph import Place, places
from onnx_triangulate.onnxgraph.loading import load
from onnx_triangulate.onnxgraph.nodes import constant_tensor, elements, in_onnx, opset, printable, text
from onnx_triangulate.ops.random_draws import draws, stored
from onnx_triangulate.records.graphs import GraphFacts

__all__ = ["load", "read_facts", "unknown_operators"]

_MOST_NOTES = 20
_NARROW = frozenset(
    number
    for name, number in TensorProto.DataType.items()
    if name.startswith(("FLOAT16", "BFLOAT16", "FLOAT8", "FLOAT4"))
)
_NOT_WEIGHTS = (
    TensorProto.INT64,
    TensorProto.INT32,
    TensorProto.BOOL,
    TensorProto.STRING,
    TensorProto.UINT32,
    TensorProto.UINT64,
)


def _type(kind: TypeProto) -> str:
    which = kind.WhichOneof("value")
    if which in ("tensor_type", "sparse_tensor_type"):
        tensor = getattr(kind, which)
        name = ("sparse " if which == "sparse_tensor_type" else "") + dtype_name(tensor.elem_type)
        dims = (str(d.dim_value) if d.HasField("dim_value") else (text(d.dim_param) or "?") for d in tensor.shape.dim)
        return f"{name}[{','.join(dims) if tensor.HasField('shape') else '...'}]"
    if which == "sequence_type":
        return f"sequence({_type(kind.sequence_type.elem_type)})"
    if which == "optional_type":
        return f"optional({_type(kind.optional_type.elem_type)})"
    return "map" if which == "map_type" else "?"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def _border(values: Sequence[ValueInfoProto], without: frozenset[str] = frozenset()) -> dict[str, str]:
    return {text(v.name): _type(v.type) for v in values if v.name not in without}


def unknown_operators(model: ModelProto) -> tuple[tuple[str, str], ...]:
    """(node, operator) of every node in ONNX's own domain whose operator this ONNX does not define at its opset.

    An exporter leaves such a node behind where it does not know how to convert an operation.
    """
    return _unknown(model, places(model))


def _unknown(model: ModelProto, found: Iterable[Place]) -> tuple[tuple[str, str], ...]:
    version = opset(model)
    local = {text(f.name) for f in model.functions if text(f.domain) in ("", "ai.onnx")}

    @cache
    def known(op: str) -> bool:
        return op in local or bool(onnx.defs.has(op) if version is None else onnx.defs.has(op, version, ""))

    return tuple((place.name, place.op) for place in found if in_onnx(place.node) and not known(place.op))


def read_facts(file: Path, view: ModelView | None = None) -> GraphFacts:
    """What the graph in ``file`` holds; ``view`` is the view of it, where the caller has it already.

    ``initializers`` counts those of every graph of the file; ``parameters`` sums the elements of those that can be
    weights (not 32- and 64-bit integers, bools or strings), Constant nodes with more than one element included.
    Raises ``UnusableInput`` where the file is not an ONNX model.
    """
    view = view or ModelView(load(file), file).begin()
    model = view.model
    value, version = stored(model), opset(model)
    constants = [tensor for place in view.of("Constant") if (tensor := constant_tensor(place.node)) is not None]
    held = _initializers(view)
    numbers = [*held, *(tensor for tensor in constants if elements(tensor) > 1)]
    ops = Counter(place.op for place in view.places)
    return GraphFacts(
        file=file,
        opset=version,
        producer=" ".join(p for p in (text(model.producer_name), text(model.producer_version)) if p),
        ops=dict(sorted(ops.items(), key=lambda item: (-item[1], item[0]))),
        pads=view.pads,
        transposes=view.transposes,
        inputs=_border(model.graph.input, frozenset(t.name for t in model.graph.initializer)),
        outputs=_border(model.graph.output),
        initializers=len(held),
        parameters=sum(elements(t) for t in numbers if t.data_type not in _NOT_WEIGHTS),
        notes=tuple(_notes(view, held)),
        narrows=tuple(p.name for p in view.of("Cast") if p.attribute("to", int, 0) in _NARROW),
        draws=tuple(p.name for p in view.places if draws(p.node, value, version)),
        unordered=tuple(p.name for p in view.of("TopK") if not p.attribute("sorted", int, 1)),
    )


def _notes(view: ModelView, initializers: Sequence[TensorProto]) -> Iterator[str]:
    """What else the file holds that a reader should know of."""
    model = view.model
    outside = sum(t.data_location == TensorProto.EXTERNAL for t in initializers)
    if outside:
        yield f"{outside} initializers are kept in other files"
    if model.functions:
        yield f"{_count(len(model.functions), 'local function')}, each read once"
    if model.graph.sparse_initializer:
        yield _count(len(model.graph.sparse_initializer), "sparse initializer")
    unknown = _unknown(model, view.places)
    for node, op in unknown[:_MOST_NOTES]:
        yield f"{printable(op)} ({printable(node)}) is no operator of ONNX: the exporter left it unconverted"
    rest = len(unknown) - _MOST_NOTES
    if rest == 1:
        yield "1 more node is no operator of ONNX"
    elif rest > 1:
        yield f"{rest} more nodes are no operators of ONNX"


def _initializers(view: ModelView) -> list[TensorProto]:
    return [tensor for graph in view.graphs for tensor in getattr(graph.proto, "initializer", ())]
