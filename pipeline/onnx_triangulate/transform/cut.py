"""A graph in parts that are run one after another, and the cut model among them.

Design note.  All values of a large model at once are more than anybody wants to hold, so the graph is run in parts of
consecutive nodes, under a budget of bytes: what a part reads is fed, what it makes is returned, looked at and dropped.
In the *cut* model every value that the source also has is fed with the source's tensor wherever it is read, and what
the graph itself computes for it is an output under another name; so each node (or each stretch of nodes between two
such values) answers on the source's own inputs, and its error is seen alone.  Weights are not in the parts: they are
named there, and handed to the runtime as arrays.  Sequences and optionals are no arrays: they stay inside a part.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, TypeProto, ValueInfoProto, helper, numpy_helper

from onnx_triangulate.onnxgraph.shapes import with_inferred_shapes
from onnx_triangulate.onnxgraph.weights import Weights
from onnx_triangulate.ops.registry import operators_where

_NO_ARRAYS = operators_where(lambda op: op.sequences)
_SHORT = (TensorProto.FLOAT16, TensorProto.BFLOAT16)
SEEN = "__seen"


def reads(node: NodeProto) -> Iterator[str]:
    """The names a node reads, those of its subgraphs included."""
    yield from (name for name in node.input if name)
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            for inner in graph.node:
                yield from reads(inner)
            yield from (output.name for output in graph.output)


def array_values(model: ModelProto) -> tuple[str, ...]:
    """The names of all values of the main graph that nodes make and that are arrays, in order."""
    return tuple(_arrays(model))


def array_sizes(model: ModelProto) -> dict[str, int | None]:
    """The same with their sizes in bytes as far as inference knows them."""
    return _arrays(model)


def _arrays(model: ModelProto) -> dict[str, int | None]:
    inferred = with_inferred_shapes(model)
    known = {} if inferred is None else {v.name: v.type for v in [*inferred.graph.value_info, *inferred.graph.output]}
    found: dict[str, int | None] = {}
    for node in model.graph.node:
        for name in node.output:
            kind = known[name].WhichOneof("value") if name in known else None
            if name and node.op_type not in _NO_ARRAYS and kind in (None, "tensor_type"):
                found[name] = _bytes(known[name]) if name in known else None
    return found


def has_short_floats(model: ModelProto) -> bool:
    """Whether a value of the main graph is of sixteen bits."""
    inferred = with_inferred_shapes(model)
    graph = (model if inferred is None else inferred).graph
    values = [*graph.input, *graph.value_info, *graph.output]
    return any(v.type.tensor_type.elem_type in _SHORT for v in values) or any(
        t.data_type in _SHORT for t in graph.initializer
    )


def _bytes(kind: TypeProto) -> int | None:
    tensor = kind.tensor_type
    if not tensor.HasField("shape") or any(not d.HasField("dim_value") for d in tensor.shape.dim):
        return None
    try:
        item = int(helper.tensor_dtype_to_np_dtype(tensor.elem_type).itemsize)
    except (KeyError, TypeError, ValueError):
        return None
    return int(np.prod([d.dim_value for d in tensor.shape.dim], dtype=np.int64)) * item


def all_outputs(model: ModelProto) -> tuple[ModelProto, tuple[str, ...]]:
    """A copy of the model that returns every array, and their names.  Types are left to the runtime's inference."""
    names = array_values(model)
    return with_outputs(model, names), names


def with_outputs(model: ModelProto, names: Iterable[str]) -> ModelProto:
    """A copy of the model that returns further values too."""
    copy = ModelProto()
    copy.CopyFrom(model)
    already = {output.name for output in copy.graph.output}
    copy.graph.output.extend(ValueInfoProto(name=name) for name in dict.fromkeys(names) if name not in already)
    return copy


def named_weights(model: ModelProto, weights: Weights) -> tuple[ModelProto, tuple[str, ...]]:
    """A graph without its weights as a model that names them as data in no file: the runtime is handed the arrays."""
    copy = ModelProto()
    copy.CopyFrom(model)
    held = {tensor.name for tensor in copy.graph.initializer}
    names = tuple(v.name for v in copy.graph.input if v.name in weights and v.name not in held)
    inputs = [v for v in copy.graph.input if v.name not in names]
    del copy.graph.input[:]
    copy.graph.input.extend(inputs)
    copy.graph.initializer.extend(_elsewhere(weights.tensor(name)) for name in names)
    return copy, names


def _elsewhere(tensor: TensorProto) -> TensorProto:
    named = TensorProto(
        name=tensor.name, data_type=tensor.data_type, dims=tensor.dims, data_location=TensorProto.EXTERNAL
    )
    entry = named.external_data.add()
    entry.key, entry.value = "location", "given as an array"
    return named


@dataclass(frozen=True, eq=False)
class Part:
    """Consecutive nodes: what they read from outside, what is asked of them (as the graph names it), the weights."""

    nodes: Sequence[int]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    weights: tuple[str, ...]


def parts(
    model: ModelProto, weights: Weights, sizes: Mapping[str, int | None], budget: int, given: Collection[str] = ()
) -> list[Part]:
    """The graph (without its weights) in parts whose inputs and outputs are about ``budget`` bytes.

    ``sizes`` are the bytes of the arrays; one that is not known counts as the largest that is.  ``given`` are the
    values that are fed from outside wherever they are read.  Asked of a part is each of its arrays that is given, or,
    if none is given anywhere, every one, and what a later part reads.
    """
    graph = model.graph
    known = {tensor.name for tensor in graph.initializer}
    unknown = max((s for s in sizes.values() if s), default=1)
    read = [tuple(dict.fromkeys(reads(node))) for node in graph.node]
    made = [tuple(name for name in node.output if name) for node in graph.node]
    makes = {name for names in made for name in names}
    outside = {v.name for v in graph.input} - set(weights)
    last = {name: index for index, names in enumerate(read) for name in names}
    ranges, start, held = [], 0, 0
    seen: set[str] = set()
    for index in range(len(graph.node)):
        names = {*made[index], *(n for n in read[index] if n in given)} - seen
        held += sum((sizes[n] if sizes[n] is not None else unknown) or 0 for n in names if n in sizes)
        seen |= names
        opened = any(n not in sizes and last.get(n, -1) > index for n in made[index])  # no array, still needed
        if held >= budget and not opened:
            ranges.append(range(start, index + 1))
            start, held, seen = index + 1, 0, set()
    if start < len(graph.node):
        ranges.append(range(start, len(graph.node)))
    found = []
    for span in ranges:
        inside = {n for i in span for n in made[i]}
        wanted = dict.fromkeys(n for i in span for n in read[i])
        asked = [
            n for i in span for n in made[i] if n in sizes and (n in given or not given or last.get(n, -1) >= span.stop)
        ]
        fed = [n for n in wanted if n not in known and (n in given or n in outside or (n in makes and n not in inside))]
        found.append(Part(span, tuple(fed), tuple(asked), tuple(n for n in wanted if n in weights and n not in known)))
    return found


def part_model(
    model: ModelProto,
    part: Part,
    weights: Weights,
    dtypes: Mapping[str, np.dtype[Any]],
    given: Collection[str] = (),
) -> ModelProto:
    """One part as a model: its inputs of those types, an output NAME + :data:`SEEN` for each of ``given`` it makes."""
    made = ModelProto(ir_version=max(model.ir_version, 4))
    made.opset_import.extend(model.opset_import)
    made.functions.extend(model.functions)
    graph = made.graph
    graph.name = "part"
    for index in part.nodes:
        node = graph.node.add()
        node.CopyFrom(model.graph.node[index])
        del node.metadata_props[:]
        for place, name in enumerate(node.output):
            if name in given:
                node.output[place] = name + SEEN
    wanted = {name for index in part.nodes for name in reads(model.graph.node[index])}
    graph.initializer.extend(t for t in model.graph.initializer if t.name in wanted)
    graph.initializer.extend(_elsewhere(weights.tensor(name)) for name in part.weights)
    for name in part.inputs:
        kind = TypeProto.Tensor(elem_type=helper.np_dtype_to_tensor_dtype(np.dtype(dtypes[name])))
        graph.input.append(ValueInfoProto(name=name, type=TypeProto(tensor_type=kind)))
    graph.output.extend(ValueInfoProto(name=name + SEEN if name in given else name) for name in part.outputs)
    return made


Runner = Callable[[bytes, Mapping[str, NDArray[Any]], Mapping[str, NDArray[Any]], list[str]], list[NDArray[Any]]]


@dataclass(frozen=True, eq=False)
class PartRun:
    """What one part answered, by the graph's names; ``held`` are the bytes of arrays that were there at that time,
    ``error`` why it did not answer."""

    part: Part
    arrays: Mapping[str, NDArray[Any]]
    held: int = 0
    error: str | None = None


def run_parts(
    model: ModelProto,
    weights: Weights,
    planned: Iterable[Part],
    fetch: Callable[[str], NDArray[Any] | None],
    run: Runner,
    given: Collection[str] = (),
) -> Iterator[PartRun]:
    """Run the parts in order.

    ``fetch(NAME)`` gives an input of the graph or a value of ``given``; ``run(MODEL, WEIGHTS, FEEDS, OUTPUTS)`` runs a
    serialized model.  What later parts read is carried and let go after its last use.
    """
    planned = list(planned)
    last = {name: i for i, part in enumerate(planned) for name in part.inputs}
    carried: dict[str, NDArray[Any]] = {}
    for index, part in enumerate(planned):
        feeds: dict[str, NDArray[Any]] = {}
        for name in part.inputs:
            array = carried.get(name) if name not in given else None
            array = fetch(name) if array is None else array
            if array is not None:
                feeds[name] = array
        lacking = next((name for name in part.inputs if name not in feeds), None)
        if lacking is not None:
            yield PartRun(part, {}, error=f"{lacking} was not computed")
            continue
        made: dict[str, NDArray[Any]] = {}
        if part.outputs:
            proto = part_model(model, part, weights, {n: a.dtype for n, a in feeds.items()}, given)
            asked = [name + SEEN if name in given else name for name in part.outputs]
            try:
                handed = {name: weights[name] for name in part.weights}
                made = dict(zip(part.outputs, run(proto.SerializeToString(), handed, feeds, asked), strict=True))
            except Exception as error:  # a runtime's refusal, whatever its type
                yield PartRun(part, {}, error=" ".join(str(error).split())[:200])
                continue
        for name in part.inputs:
            if last[name] == index:
                carried.pop(name, None)
        carried |= {n: a for n, a in made.items() if n not in given and last.get(n, -1) > index}
        several = {id(a): a.nbytes for a in (*feeds.values(), *made.values(), *carried.values())}
        yield PartRun(part, made, sum(several.values()))


def constants(model: ModelProto) -> dict[str, NDArray[Any]]:
    """The initializers as arrays; raises ``ValueError`` where data is in another file and was not loaded."""
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


__all__ = [
    "SEEN",
    "Part",
    "PartRun",
    "Runner",
    "all_outputs",
    "array_sizes",
    "array_values",
    "constants",
    "has_short_floats",
    "named_weights",
    "part_model",
    "parts",
    "reads",
    "run_parts",
    "with_outputs",
]
