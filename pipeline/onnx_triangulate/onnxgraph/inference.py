"""Shapes by ONNX's inference, where the file's own are only believed if nothing else is known.

Design note.  ONNX's inference takes what a file records about values between for granted, and a recorded shape that
the nodes contradict (an editor changed a node, a tool kept the old shapes) wins against what they make.  So inference
runs without these records first.  Only where it then knows nothing (operators of other domains, sizes computed at run
time) does the record count, and what follows from it.  Records that differ from what the nodes make stay visible:
:func:`contradicted` lists them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, TensorShapeProto, ValueInfoProto

from onnx_triangulate.onnxgraph.inlining import expanded_size
from onnx_triangulate.onnxgraph.nodes import (
    Dims,
    dims_of,
    every_graph,
    in_onnx,
    node_name,
    nodes_within,
    text,
    without_large_initializers,
)


@dataclass(frozen=True)
class Refusal:
    """What ONNX has against a graph: its words, and the operator and the node that they name, if any."""

    message: str
    op: str | None = None
    node: str | None = None


def infer(model: ModelProto) -> ModelProto:
    """A copy of the model with the shapes of all values that are known.  ONNX's errors are raised as they are."""
    bare = _copied(model)
    for graph in every_graph(bare.graph):
        graph.ClearField("value_info")
        for output in graph.output:
            _forget_shape(output)
    made: ModelProto = onnx.shape_inference.infer_shapes(_as_specified(bare), data_prop=True)
    other = model
    if any(
        _more(graph, beside) for graph, beside in zip(every_graph(made.graph), every_graph(model.graph), strict=True)
    ):
        # With the records, once more: for what follows from them and from nothing else.
        other = onnx.shape_inference.infer_shapes(_as_specified(_copied(model)), data_prop=True)
    for graph, beside, given in zip(
        every_graph(made.graph), every_graph(other.graph), every_graph(model.graph), strict=True
    ):
        _complete(graph, beside)
        for node, original in zip(graph.node, given.node, strict=True):
            if _without_output_padding(original):
                node.CopyFrom(original)
    return made


def refusals(model: ModelProto) -> tuple[Refusal, ...]:
    """What strict inference of types and shapes has against the nodes; nothing where it has no objection.

    It is what ``onnx.checker.check_model(full_check=True)`` asks besides the plain check, but for recorded shapes.
    """
    bare = _as_specified(_copied(model))
    for graph in every_graph(bare.graph):
        held = {tensor.name for tensor in graph.initializer}
        recorded = [value for value in graph.value_info if value.name not in held]  # what is stored has a shape
        del graph.value_info[:]
        graph.value_info.extend(recorded)
        for value in (*graph.value_info, *graph.output):
            _forget_shape(value)
    try:
        onnx.shape_inference.infer_shapes(bare, check_type=True, strict_mode=True)
    except onnx.shape_inference.InferenceError as error:
        return tuple(_read(str(error), model))
    return ()


_NAMED = re.compile(r"\(op_type:([^,()]*)(?:, node name: ((?:[^()]|\([^()]*\))*))?\)")
_SAID = re.compile(r"\[(?:Shape|Type)InferenceError\]|Inference error\(s\):")

_TYPE_NUMBER = re.compile(r"(?<=[ :])\((\d+)\)(?=$| vs )")


def _type_named(number: int) -> str:
    known = TensorProto.DataType.values()
    return TensorProto.DataType.Name(number).lower() if number in known else str(number)


def _read(words: str, model: ModelProto) -> Iterator[Refusal]:
    """One refusal for each line of inference's words that says something of a node of the file."""
    for line in words.splitlines():
        named = [(found[1], found[2]) for found in _NAMED.finditer(line)]
        plain = " ".join(_SAID.sub(" ", _NAMED.sub(" ", line)).split()).lstrip(": ")
        if " elem type" in plain:
            plain = _TYPE_NUMBER.sub(lambda found: _type_named(int(found[1])), plain)
        if not plain or "expected to have type but instead is null" in plain:
            continue  # no words, or what follows from what was said before
        if len(named) > 1 and _is_function(named[0][0], model):
            continue  # ONNX's own definition of an operator is at fault: none of the file's nodes is
        op, node = named[-1] if named else (None, None)
        says = f"{plain} ({op}{f', node {node}' if node else ''})" if op else plain
        yield Refusal(says, op, node or (only_node(op, model) if op else None))


def _is_function(op: str, model: ModelProto) -> bool:
    """Whether an operator is one of ONNX's that ONNX defines by others."""
    if any(text(function.name) == op for function in model.functions) or not onnx.defs.has(op):
        return False
    schema = onnx.defs.get_schema(op)
    return bool(schema.has_function or schema.has_context_dependent_function)


def only_node(op: str, model: ModelProto) -> str | None:
    """The name that the one node of an operator goes by, where it has none of its own."""
    found = [
        node_name(node, index)
        for graph in every_graph(model.graph)
        for index, node in enumerate(graph.node)
        if text(node.op_type) == op
    ]
    return found[0] if len(found) == 1 else None


def _copied(model: ModelProto) -> ModelProto:
    copy = ModelProto()
    copy.CopyFrom(model)
    return copy


def _forget_shape(value: ValueInfoProto) -> None:
    if value.type.HasField("tensor_type"):
        value.type.tensor_type.ClearField("shape")


def _as_specified(model: ModelProto) -> ModelProto:
    """The model itself, turned into what makes inference find what ONNX specifies.

    With SAME pads a transposed convolution makes strides times its input; inference adds ``output_padding`` to that.
    """
    for graph in every_graph(model.graph):
        for node in graph.node:
            if _without_output_padding(node):
                kept = [a for a in node.attribute if a.name != "output_padding"]
                del node.attribute[:]
                node.attribute.extend(kept)
    return model


def _without_output_padding(node: NodeProto) -> bool:
    if node.op_type != "ConvTranspose" or not in_onnx(node):
        return False
    held = {a.name: a for a in node.attribute}
    return "output_padding" in held and "auto_pad" in held and held["auto_pad"].s in (b"SAME_UPPER", b"SAME_LOWER")


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


_MOST_EXPANDED = 200_000  # nodes, once every call of a local function is followed, the calls included


def endless(model: ModelProto) -> str:
    """Why shape inference, which follows every call of a local function, would take for ever; ``""`` if it would not.

    Without forking this is all that is between it and a hostile file.
    """
    if not model.functions:
        return ""
    expanded = expanded_size(model, calls=True)
    if expanded is None:
        return "local functions call one another in a circle"
    if expanded > _MOST_EXPANDED + sum(1 for _ in nodes_within(model.graph)):
        many = str(expanded) if expanded < 10**12 else f"10^{len(str(min(expanded, 10**100))) - 1} or more"
        return f"the local functions' calls would expand to {many} nodes"
    return ""


def with_inferred_shapes(model: ModelProto) -> ModelProto | None:
    """A copy of the model, without its large initializers, in which ONNX's inference has filled in what it could.

    ``None`` where inference fails.  The copy is for asking about shapes and types; it is not a model to run.  It
    happens in this very process: for files of others there is ``onnxgraph.sandboxed_check``.
    """
    if endless(model):
        return None
    try:
        return infer(without_large_initializers(model))
    except Exception:
        # It fails in many ways (its own errors, names that are no UTF-8, protobuf's size limit): all mean "unknown".
        return None
