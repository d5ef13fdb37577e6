"""A graph in parts that are run one after another, and the cut model among them.

Design note.  All values of a large model at once need more memory than there is.  So the graph is run in parts of
consecutive nodes under a budget of bytes: a part is fed what it reads and returns what it makes, which is looked at and
released.  In the *cut* model every value that the source also has is fed from the source wherever it is read, and the
graph's own result for it is an output under another name; each node (or each stretch of nodes between two such values)
then computes on the source's inputs, and its error is seen alone.  Weights are not in the parts: they are declared as
external data and handed to the runtime as arrays.  Sequences and optionals are no arrays; they stay inside one part.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import (
    ModelProto,
    NodeProto,
    TensorProto,
    TensorShapeProto,
    TypeProto,
    ValueInfoProto,
    helper,
    numpy_helper,
)

from onnx_triangulate.onnxgraph.graph import reads
from onnx_triangulate.onnxgraph.inference import with_inferred_shapes
from onnx_triangulate.onnxgraph.weights import Weights
from onnx_triangulate.ops.registry import operators_where

_NO_ARRAYS = operators_where(lambda op: op.sequences)
_SHORT = (TensorProto.FLOAT16, TensorProto.BFLOAT16)
SEEN = "__seen"


def behind(
    model: ModelProto, names: Collection[str], takes: Callable[[int, NodeProto], bool]
) -> tuple[list[int], set[str]]:
    """The nodes, in order, that make ``names`` or what other such nodes read, of those that ``takes`` allows, and what
    they read from outside."""
    wanted, inside, needed = set(names), set[str](), []
    for index, node in reversed(list(enumerate(model.graph.node))):
        if not wanted.isdisjoint(node.output) and takes(index, node):
            needed.append(index)
            inside.update(node.output)
            wanted.update(reads(node))
    return sorted(needed), wanted - inside


def array_values(model: ModelProto) -> tuple[str, ...]:
    """The names of all values of the main graph that nodes make and that are arrays, in order."""
    return tuple(array_sizes(model))


def array_sizes(model: ModelProto) -> dict[str, int | None]:
    """The same with their sizes in bytes as far as inference knows them."""
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
    stored = {tensor.name for tensor in graph.initializer}
    flow = _Flow(
        [tuple(dict.fromkeys(reads(node))) for node in graph.node],
        [tuple(name for name in node.output if name) for node in graph.node],
        sizes,
        given,
    )
    outside = {v.name for v in graph.input} - set(weights)
    makes = {name for names in flow.made for name in names}
    found = []
    for span in flow.spans(budget):
        inside = {n for i in span for n in flow.made[i]}
        wanted = [n for n in dict.fromkeys(n for i in span for n in flow.read[i]) if n not in stored]
        fed = {*given, *outside, *(makes - inside)}
        heavy = tuple(n for n in wanted if n in weights)
        found.append(Part(span, tuple(n for n in wanted if n in fed), flow.asked(span), heavy))
    return found


@dataclass(frozen=True, eq=False)
class _Flow:
    """What each node reads and makes, the sizes of arrays in bytes, and the values that are fed from outside."""

    read: Sequence[tuple[str, ...]]
    made: Sequence[tuple[str, ...]]
    sizes: Mapping[str, int | None]
    given: Collection[str]

    @cached_property
    def last(self) -> dict[str, int]:
        """By value, the last node that reads it."""
        return {name: index for index, names in enumerate(self.read) for name in names}

    def spans(self, budget: int) -> list[range]:
        """Consecutive nodes of about ``budget`` bytes; what is no array is not handed from one to the next."""
        unknown = max((s for s in self.sizes.values() if s), default=1)
        found, start, held = [], 0, 0
        seen: set[str] = set()
        for index, (read, made) in enumerate(zip(self.read, self.made, strict=True)):
            names = {*made, *(n for n in read if n in self.given)} - seen
            known = [self.sizes[n] for n in names if n in self.sizes]
            held += sum(unknown if size is None else size for size in known)
            seen |= names
            opened = any(n not in self.sizes and self.last.get(n, -1) > index for n in made)  # no array, still needed
            if held >= budget and not opened:
                found.append(range(start, index + 1))
                start, held, seen = index + 1, 0, set()
        return [*found, range(start, len(self.read))] if start < len(self.read) else found

    def asked(self, span: range) -> tuple[str, ...]:
        """The arrays that are asked of some nodes."""
        arrays = (n for i in span for n in self.made[i] if n in self.sizes)
        return tuple(n for n in arrays if not self.given or n in self.given or self.last.get(n, -1) >= span.stop)


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


def run_nodes(
    model: ModelProto,
    weights: Weights,
    nodes: tuple[Sequence[int], Collection[str]],
    name: str,
    fetch: Callable[[str], NDArray[Any] | None],
    run: Runner,
) -> tuple[NDArray[Any], ModelProto]:
    """What some nodes (see :func:`behind`) make of a value, and the model that they are, its inputs of known shape.

    Raises what the runtime raises, for an input that ``fetch`` does not give too.
    """
    places, read = nodes
    held = {tensor.name for tensor in model.graph.initializer}
    arrays = {n: a for n in sorted(set(read) - held - set(weights)) if (a := fetch(n)) is not None}
    part = Part(tuple(places), tuple(arrays), (name,), tuple(n for n in sorted(read) if n in weights and n not in held))
    made = part_model(model, part, weights, {n: array.dtype for n, array in arrays.items()})
    (answer,) = run(made.SerializeToString(), {n: weights[n] for n in part.weights}, arrays, [name])
    for value in made.graph.input:
        value.type.tensor_type.shape.dim.extend(
            TensorShapeProto.Dimension(dim_value=size) for size in arrays[value.name].shape
        )
        value.type.tensor_type.shape.SetInParent()
    return answer, made


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
        read = ((n, carried[n] if n in carried else fetch(n)) for n in part.inputs)
        feeds = {name: array for name, array in read if array is not None}
        made = _answer(model, weights, part, feeds, run, given)
        if isinstance(made, str):
            yield PartRun(part, {}, error=made)
            continue
        for name in part.inputs:
            if last[name] == index:
                carried.pop(name, None)
        carried |= {n: a for n, a in made.items() if n not in given and last.get(n, -1) > index}
        several = {id(a): a.nbytes for a in (*feeds.values(), *made.values(), *carried.values())}
        yield PartRun(part, made, sum(several.values()))


def _answer(
    model: ModelProto,
    weights: Weights,
    part: Part,
    feeds: Mapping[str, NDArray[Any]],
    run: Runner,
    given: Collection[str],
) -> dict[str, NDArray[Any]] | str:
    """What one part makes, by the graph's names, or why it makes nothing."""
    lacking = next((name for name in part.inputs if name not in feeds), None)
    if lacking is not None:
        return f"{lacking} was not computed"
    if not part.outputs:
        return {}
    proto = part_model(model, part, weights, {n: a.dtype for n, a in feeds.items()}, given)
    asked = [name + SEEN if name in given else name for name in part.outputs]
    try:
        handed = {name: weights[name] for name in part.weights}
        return dict(zip(part.outputs, run(proto.SerializeToString(), handed, feeds, asked), strict=True))
    except Exception as error:  # a runtime's refusal, whatever its type
        return " ".join(str(error).split())[:200]


def constants(model: ModelProto) -> dict[str, NDArray[Any]]:
    """The initializers as arrays; raises ``ValueError`` where data is in another file and was not loaded."""
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
