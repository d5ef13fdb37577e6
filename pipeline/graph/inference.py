"""Shapes by ONNX's inference, where the file's own are only believed if nothing else is known.

Design note.  ONNX's inference takes what a file records about values between for granted, and a recorded shape that
the nodes contradict (an editor changed a node, a tool kept the old shapes) wins against what they make.  So inference
runs without these records first.  Only where it then knows nothing (operators of other domains, sizes computed at run
time) does the record count, and what follows from it.  Records that differ from what the nodes make stay visible:
:func:`contradicted` lists them.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx
from onnx import AttributeProto, GraphProto, ModelProto, TensorShapeProto, ValueInfoProto

from pipeline.graph.walk import Dims, dims_of, text

_INNER = (AttributeProto.GRAPH, AttributeProto.GRAPHS, AttributeProto.UNDEFINED)


def infer(model: ModelProto) -> ModelProto:
    """A copy of the model with the shapes of all values that are known.  ONNX's errors are raised as they are."""
    bare = ModelProto()
    bare.CopyFrom(model)
    for graph in _graphs(bare):
        graph.ClearField("value_info")
        for output in graph.output:
            kind = output.type.tensor_type
            if output.type.HasField("tensor_type"):
                kind.ClearField("shape")
    made: ModelProto = onnx.shape_inference.infer_shapes(bare, data_prop=True)
    other = model
    if any(_more(graph, beside) for graph, beside in zip(_graphs(made), _graphs(model), strict=True)):
        # With the records, once more: for what follows from them and from nothing else.
        other = onnx.shape_inference.infer_shapes(model, data_prop=True)
    for graph, beside in zip(_graphs(made), _graphs(other), strict=True):
        _complete(graph, beside)
    return made


def contradicted(model: ModelProto, shaped: ModelProto) -> Iterator[tuple[str, Dims, Dims]]:
    """The values of the main graph whose recorded shapes cannot be those of ``shaped``: name, recorded, made."""
    known = {value.name: dims for value in _values(shaped.graph) if (dims := dims_of(value)) is not None}
    for value in _values(model.graph):
        said, made = dims_of(value), known.get(value.name)
        if said is None or made is None:
            continue
        if len(said) != len(made) or any(
            a is not None and b is not None and a != b for a, b in zip(said, made, strict=True)
        ):
            yield text(value.name), said, made


def _graphs(model: ModelProto) -> Iterator[GraphProto]:
    """The main graph and every one inside it, in an order that depends on the nodes alone."""
    waiting = [model.graph]
    while waiting:
        graph = waiting.pop()
        yield graph
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.type in _INNER:
                    waiting += [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]


def _values(graph: GraphProto) -> Iterator[ValueInfoProto]:
    yield from graph.value_info
    yield from graph.output


def _shape(value: ValueInfoProto) -> TensorShapeProto | None:
    kind = value.type.tensor_type
    return kind.shape if value.type.HasField("tensor_type") and kind.HasField("shape") else None


def _more(graph: GraphProto, recorded: GraphProto) -> bool:
    """Whether a graph as it is recorded has sizes that are not known without."""
    records = {value.name: said for value in _values(recorded) if (said := dims_of(value)) is not None}
    if not records:
        return False
    known = {value.name: dims_of(value) for value in _values(graph) if value.name in records}
    for name, said in records.items():
        own = known.get(name)
        if own is not None and len(own) != len(said):
            continue
        if own is None or any(a is None and b is not None for a, b in zip(own, said, strict=True)):
            return True
    return False


def _complete(graph: GraphProto, beside: GraphProto) -> None:
    """Add to a graph what a copy of it knows more."""
    known = {value.name: value for value in _values(graph)}
    for value in _values(beside):
        own = known.get(value.name)
        if own is None:
            graph.value_info.append(value)
            continue
        mine, other = _shape(own), _shape(value)
        if mine is None:
            if other is not None or not own.type.WhichOneof("value"):
                own.type.CopyFrom(value.type)
        elif other is not None and len(mine.dim) == len(other.dim):
            for dim, more in zip(mine.dim, other.dim, strict=True):
                if not dim.HasField("dim_value") and more.WhichOneof("value"):
                    dim.CopyFrom(more)
