"""A graph with inputs that perturb its constants and the graphs within it, to measure what no structure proves.

Design note.  A part that no structure proves is shown by numbers only if some output answers when that part gives other
numbers.  So each becomes an input with a default under which the graph is what it was: a constant its own numbers;
what a graph within a node makes (a branch, a loop's body) is multiplied by one and zero is added, a flag is turned by
an exclusive or; the end of a loop before its count is put off.  Constants inside are lifted out of where they stand,
for a graph may read what is around it.  A loop that is moved may never end, so every loop has a count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx

from onnx_triangulate.diff.equivalence import InnerGap, Place, StructuralGap
from onnx_triangulate.onnxgraph.inference import with_inferred_shapes
from onnx_triangulate.onnxgraph.nodes import array, constant_tensor, opset, subgraphs
from onnx_triangulate.records.arrays import Array

LONGEST = 256  # turns of a loop
_COUNTED = 12  # the opset from which Min takes whole numbers
_MOVED = frozenset(map(onnx.TensorProto.DataType.Value, "FLOAT DOUBLE FLOAT16 INT32 INT64 BOOL".split()))
# By numpy's kind of a type: what a value is combined with, as what it stays the same and as what it is another.
_CHANGES: Mapping[str, tuple[tuple[str, float, float], ...]] = {
    "f": (("Mul", 1, 1.25), ("Add", 0, 0.37)),
    "i": (("Add", 0, 1),),
    "b": (("Xor", False, True),),
}


@dataclass
class PerturbableGraph:
    """The graph, its constants that may be moved, and by its name what moves each part inside.

    ``lifted`` are constants from inside, by their name here; ``immovable`` are parts that nothing moves.
    """

    model: onnx.ModelProto
    constants: dict[str, Array] = field(default_factory=dict)
    moves: dict[str, dict[str, Array]] = field(default_factory=dict)
    lifted: dict[str, str] = field(default_factory=dict)
    immovable: list[str] = field(default_factory=list)


def perturbable(model: onnx.ModelProto, unproved: StructuralGap) -> PerturbableGraph:
    """A copy of a model in which all that is unproved may be moved, and its conditions are outputs."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    made = PerturbableGraph(copy)
    graph = copy.graph
    kinds = _kinds(model, unproved)
    for part in sorted(unproved.inside, key=lambda part: -len(part.place)):
        held = _at(graph, part.place)
        if part.constant:
            name = f"{part.constant} {len(made.lifted)}"
            made.lifted[name] = part.says
            _lift(graph, held, part.constant, name)
        elif part.ends:
            made.moves[part.says] = _changed(made, held, held.output[0], np.dtype(bool), (("Or", False, True),))
        else:
            _turn(made, held, part, kinds.get(part.place, []))
    _counted(made, graph)
    wanted = {*unproved.constants, *made.lifted}
    for node in list(graph.node):
        tensor = constant_tensor(node)
        if tensor is not None and node.output[0] in unproved.constants:
            _store(graph, tensor, node.output[0])
            graph.node.remove(node)
    taken = {i.name for i in graph.input}
    for tensor in graph.initializer:
        if tensor.name in wanted and (value := array(tensor)) is not None:
            made.constants[tensor.name] = value
            if tensor.name not in taken:
                graph.input.append(_border_of(tensor))
    ends = {o.name for o in graph.output}
    watched = dict.fromkeys(name for name, _ in unproved.conditions)
    graph.output.extend(onnx.ValueInfoProto(name=name) for name in watched if name not in ends)
    copy.ir_version = max(copy.ir_version, 4)
    return made


def _at(graph: onnx.GraphProto, place: Place) -> onnx.GraphProto:
    for index, attribute in place:
        graph = dict(subgraphs(graph.node[index]))[attribute]
    return graph


def _open(made: PerturbableGraph, name: str, usual: Array) -> str:
    """An input of the whole graph with a default."""
    graph = made.model.graph
    name = f"moved {name} {len(graph.input)}"
    _store(graph, onnx.numpy_helper.from_array(usual), name)
    graph.input.append(_border_of(graph.initializer[-1]))
    return name


def _store(graph: onnx.GraphProto, tensor: onnx.TensorProto, name: str) -> None:
    """A copy of a tensor as an initializer of that name."""
    kept = graph.initializer.add()
    kept.CopyFrom(tensor)
    kept.name = name


def _border_of(tensor: onnx.TensorProto) -> onnx.ValueInfoProto:
    return onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))


def _lift(graph: onnx.GraphProto, held: onnx.GraphProto, name: str, other: str) -> None:
    """Move a constant of a graph within to the outermost, under another name."""
    for tensor in [tensor for tensor in held.initializer if tensor.name == name]:
        _store(graph, tensor, other)
        held.initializer.remove(tensor)
    for node in held.node:
        constant = constant_tensor(node)
        if constant is not None and node.output[0] == name:
            _store(graph, constant, other)
            node.CopyFrom(onnx.helper.make_node("Identity", [other], [f"{other} unread"]))  # places stay
    _renamed(held, {name: other})


def _renamed(graph: onnx.GraphProto, names: Mapping[str, str]) -> None:
    own = {v.name for v in (*graph.input, *graph.initializer)} | {n for node in graph.node for n in node.output}
    names = {name: other for name, other in names.items() if name not in own}
    if not names:
        return
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        for _, inner in subgraphs(node):
            _renamed(inner, names)
    for number, output in enumerate(graph.output):
        if output.name in names:
            fresh = f"{names[output.name]} out {number}"
            graph.node.append(onnx.helper.make_node("Identity", [names[output.name]], [fresh]))
            output.name = fresh


def _kinds(model: onnx.ModelProto, unproved: StructuralGap) -> dict[Place, list[int]]:
    """The types of what graphs within make; where a file does not say one, inference may."""
    places = [part.place for part in unproved.inside if not (part.ends or part.constant)]
    said = {place: [o.type.tensor_type.elem_type for o in _at(model.graph, place).output] for place in places}
    if not all(kind for kinds in said.values() for kind in kinds) and (shaped := with_inferred_shapes(model)):
        said = {place: [o.type.tensor_type.elem_type for o in _at(shaped.graph, place).output] for place in places}
    return said


def _turn(made: PerturbableGraph, held: onnx.GraphProto, part: InnerGap, kinds: Sequence[int]) -> None:
    """Let a graph within make other numbers; a loop's own condition apart."""
    moves: dict[str, Array] = {}
    first = 1 if len(held.input) > 1 and _is_loop(made.model.graph, part.place) else 0
    for output, kind in list(zip(held.output, kinds, strict=True))[first:]:
        if kind in _MOVED:
            dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind))
            moves |= _changed(made, held, output, dtype, _CHANGES[dtype.kind])
    if moves:
        made.moves[part.says] = moves
    else:
        made.immovable.append(part.says)


def _changed(
    made: PerturbableGraph,
    held: onnx.GraphProto,
    output: onnx.ValueInfoProto,
    dtype: np.dtype[Any],
    changes: Sequence[tuple[str, float, float]],
) -> dict[str, Array]:
    """Combine an output of a graph within with inputs of the whole graph; what makes it another, by input."""
    moves, own = {}, output.name
    for op, usual, other in changes:
        by = _open(made, op, np.array(usual, dtype))
        moves[by] = np.array(other, dtype)
        fresh = f"{own} moved {len(made.model.graph.input)}"
        held.node.append(onnx.helper.make_node(op, [output.name, by], [fresh]))
        output.name = fresh
    return moves


def _is_loop(graph: onnx.GraphProto, place: Place) -> bool:
    return str(_at(graph, place[:-1]).node[place[-1][0]].op_type) == "Loop"


def _counted(made: PerturbableGraph, graph: onnx.GraphProto) -> None:
    """Give each loop of a graph and of those within it a count; last, for the nodes change their places."""
    nodes = []
    for node in graph.node:
        for _, inner in subgraphs(node):
            _counted(made, inner)
        if node.op_type == "Loop" and (opset(made.model) or 0) >= _COUNTED:
            most = _open(made, "count", np.array(LONGEST, np.int64))
            if node.input[0]:
                nodes.append(onnx.helper.make_node("Min", [node.input[0], most], [f"{most} at most"]))
            node.input[0] = f"{most} at most" if node.input[0] else most
        nodes.append(node)
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(kept)
