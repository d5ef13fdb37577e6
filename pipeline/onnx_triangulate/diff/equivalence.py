"""What two graphs share by structure alone: values of one class are one function, whatever is fed.

Design note.  Classes are hashed forward from the inputs (``onnxgraph.dataflow``): names, the order of nodes and of
commutative operands, Identities, Transposes that cancel and the place of a constant leave no trace.  Where every output
of B is of its counterpart's class, the two graphs are proved the same and nothing need be drawn.  Where that fails,
what is not proved on either side is what numbers have to show: the constants that its nodes read, the conditions of
its branches, and within Loop, Scan and If, at every depth, each graph and each end of a loop that is not the other
side's.  A graph that a node holds is followed as the whole is, from what it is given: its scope is the node with all
that it reads, so that two loops over other data share nothing inside.  Three or more numbers that are added in another
order are not one class here, because an order may cancel where another does not; an operator that only its maker knows
proves nothing, because it may draw numbers.

Where B takes one size of every input, what A computes of sizes and constants alone is a constant as well, with the
numbers that it has at those sizes: a mask that A makes and B holds is one.  A constant that is compared with 0, and
does nothing else, means what any other number but 0 means.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx

from onnx_triangulate.diff.operators import COMMUTATIVE
from onnx_triangulate.facts.limits import limiting
from onnx_triangulate.onnxgraph.dataflow import Namer, canonical, digest
from onnx_triangulate.onnxgraph.graph import reads
from onnx_triangulate.onnxgraph.nodes import (
    array,
    attributes,
    constant_tensor,
    dense_constants,
    in_onnx,
    node_name,
    nodes_within,
    opset,
    subgraphs,
    text,
)
from onnx_triangulate.ops.registry import operators_where

Place = tuple[tuple[int, str], ...]  # where a graph stands: by node and attribute, from the outermost on

_KNOWN = frozenset({"", "ai.onnx", "com.microsoft"})
_ORDERED = frozenset({"Sum", "Mean"})
# What a node does with an operand of which it takes the shape or the type, or nothing in inference: (operator, slot).
_UNREAD = frozenset({("Shape", 0), ("Size", 0), ("CastLike", 1), ("Dropout", 1), ("Resize", 1), ("EyeLike", 0)})
# They pick one of many numbers: where NaN stands in their order, ONNX does not say.
_PICKS = operators_where(lambda op: op.picks)
_LARGEST = float(np.finfo(np.float32).max)
_KEEPS_ZEROS = operators_where(lambda op: op.moves) | {"Abs", "Expand", "Neg", "Tile", "Trilu"}


@dataclass(frozen=True)
class InnerGap:
    """A part within a node that numbers have to show: what the graph at ``place`` makes; where ``ends``, that its loop
    ends before its count; where ``constant`` is a name, that constant of the graph.  ``says`` is its name."""

    place: Place
    says: str
    ends: bool = False
    constant: str = ""


@dataclass(frozen=True)
class StructuralGap:
    """What of one graph is not the other's by structure.

    ``constants`` are names of float constants, and of whole ones that are limits, that such nodes read and whose
    numbers the other graph does not hold; ``limits`` those of them that are limits, with their number;
    ``conditions`` the values by which such nodes choose a branch, with the node's name; ``picks`` such nodes as pick
    among numbers, of which ONNX does not say what NaN does to them; ``inside`` what of it lies within nodes.
    """

    constants: tuple[str, ...] = ()
    conditions: tuple[tuple[str, str], ...] = ()
    picks: tuple[bytes, ...] = ()
    inside: tuple[InnerGap, ...] = ()
    limits: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Proof:
    """Whether all outputs are one by structure, and what is not on either side; ``open`` are A's outputs that are not
    and that depend on what is fed."""

    same: bool
    left: StructuralGap
    right: StructuralGap
    open: tuple[str, ...] = ()

    @property
    def nan_is_open(self) -> bool:
        """Whether the two pick among numbers in other ways, so that ONNX does not say what they make of NaN."""
        return self.left.picks != self.right.picks


Values = Mapping[str, np.ndarray]


def prove(
    left: onnx.ModelProto,
    right: onnx.ModelProto,
    inputs: Mapping[str, str],
    outputs: Mapping[str, str],
    at_sizes: tuple[Values, Values] = ({}, {}),
) -> Proof:
    """Compare by structure; ``inputs`` and ``outputs`` give A's name for each of B's that is taken as it is.

    Local functions are inlined.  ``at_sizes`` are the values of each side that :func:`unmoved` names, at the only sizes
    that B takes; nothing where it takes several.
    """
    one = _structure(left, {i.name: i.name for i in left.graph.input}, "A", at_sizes[0])
    other = _structure(right, dict(inputs), "B", at_sizes[1])
    a, b = one.values, other.values
    known = all((node.domain or "") in _KNOWN for model in (left, right) for node in nodes_within(model.graph))
    all_given = _outputs(left) == set(outputs.values()) and _outputs(right) == set(outputs)
    differing = [source for name, source in outputs.items() if name not in b or b[name] != a.get(source)]
    if outputs and all_given and known and _foreign(left) == _foreign(right) and not differing:
        return Proof(True, StructuralGap(), StructuralGap())
    moving = _moving(left)
    left_open = dict.fromkeys(source for source in differing if source in moving)
    return Proof(False, _unproved(left, one, other, right), _unproved(right, other, one, left), tuple(left_open))


def unmoved(model: onnx.ModelProto) -> list[str]:
    """What a graph computes of sizes and constants alone."""
    moving = _moving(model)
    computed = [node for node in model.graph.node if constant_tensor(node) is None]
    return [name for node in computed for name in node.output if name and name not in moving]


def _outputs(model: onnx.ModelProto) -> set[str]:
    return {output.name for output in model.graph.output}


def _foreign(model: onnx.ModelProto) -> set[tuple[str, int]]:
    used = {node.domain for node in nodes_within(model.graph) if not in_onnx(node)}
    return {(o.domain, o.version) for o in model.opset_import if o.domain in used}


@dataclass
class _Structure:
    """The classes of a graph's values, and of each graph within it by its place: of its values, and of the whole."""

    namer: Namer
    version: int | None
    side: str
    at_sizes: Values
    values: dict[str, bytes] = field(default_factory=dict)
    inside: dict[Place, dict[str, bytes]] = field(default_factory=dict)
    wholes: dict[Place, bytes] = field(default_factory=dict)

    def classes(self) -> set[bytes]:
        """Of all values at every depth."""
        return {*self.values.values(), *(c for held in self.inside.values() for c in held.values())}

    def follow(self, graph: onnx.GraphProto, outer: Mapping[str, bytes], place: Place) -> dict[str, bytes]:
        found = dict(outer)
        for tensor in graph.initializer:
            held = array(tensor)
            absent = digest("absent", self.side, tensor.name)
            found[tensor.name] = absent if held is None else self.namer.of_constant(held)
        for index, node in enumerate(graph.node):
            found |= self._made(node, found, (*place, (index, "")))
        return found

    def _of(self, name: str, found: Mapping[str, bytes]) -> bytes:
        return found.get(name, digest("unknown", self.side, name)) if name else b""

    def _made(self, node: onnx.NodeProto, found: Mapping[str, bytes], place: Place) -> Mapping[str, bytes]:
        """The classes of what a node makes."""
        tensor, made = constant_tensor(node), [name for name in node.output if name]
        held = array(tensor) if tensor is not None else None
        if held is not None and node.output:
            return {node.output[0]: self.namer.of_constant(held)}
        if len(place) == 1 and node.output and all(name in self.at_sizes for name in made):
            return {name: self.namer.of_constant(self.at_sizes[name]) for name in made}
        operands = [self._of(name, found) for name in node.input]
        if any(True for _ in subgraphs(node)):
            return self._holding(node, operands, found, place)
        if text(node.op_type) in _ORDERED and len(operands) > 2:
            return {node.output[0]: digest("in order", text(node.op_type), *operands)}
        return self.namer.of_node(node, operands, {})

    def _holding(
        self, node: onnx.NodeProto, operands: list[bytes], found: Mapping[str, bytes], place: Place
    ) -> dict[str, bytes]:
        """The classes of what a node makes that holds graphs: by all that it reads, and by what these make of it."""
        plain = [a for a in node.attribute if a.type not in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)]
        bare = onnx.NodeProto(op_type=node.op_type, domain=node.domain, attribute=plain)
        scope = digest("holding", text(node.domain), text(node.op_type), *canonical(bare, self.version), *operands)
        wholes = []
        for name, graph in sorted(subgraphs(node), key=lambda held: held[0]):
            here = (*place[:-1], (place[-1][0], name))
            given = {v.name: digest("given", scope, name, str(slot)) for slot, v in enumerate(graph.input)}
            held = self.follow(graph, {**found, **given}, here)
            own = [*given, *(t.name for t in graph.initializer), *(n for each in graph.node for n in each.output)]
            self.inside[here] = {n: held[n] for n in own if n in held}
            ends = [held.get(o.name, digest("unknown", self.side, o.name)) for o in graph.output]
            self.wholes[here] = digest("whole", scope, name, str(len(graph.input)), *ends)
            wholes.append(self.wholes[here])
        return {n: digest("made", str(slot), scope, *wholes) for slot, n in enumerate(node.output) if n}


def _structure(model: onnx.ModelProto, inputs: Mapping[str, str], side: str, at_sizes: Values) -> _Structure:
    made = _Structure(Namer(opset(model), COMMUTATIVE), opset(model), side, at_sizes)
    made.values = made.follow(model.graph, {name: made.namer.of_input(shared) for name, shared in inputs.items()}, ())
    return made


def _unproved(model: onnx.ModelProto, mine: _Structure, theirs: _Structure, other: onnx.ModelProto) -> StructuralGap:
    classes, there, at_sizes = mine.values, set(theirs.values.values()), mine.at_sizes
    limits = limiting(model)
    held = {name: value for name, value in limits.items() if value.dtype.kind in "iu"} | dict(_floats(model.graph))
    known = {_print(v) for _, v in (*_floats_within(other.graph), *limiting(other).items(), *theirs.at_sizes.items())}
    held = {name: value for name, value in held.items() if _print(value) not in known}
    moving = _moving(model)
    other_side = _Other(theirs.classes(), frozenset(theirs.wholes.values()), known)
    settled = {mine.namer.of_constant(np.full(shape, said)) for shape in ((), (1,)) for said in (True, False)}
    loose = [
        (index, node)
        for index, node in enumerate(model.graph.node)
        if not all(classes.get(name) in there or name in at_sizes for name in node.output if name)
    ]
    inside = [
        found
        for index, node in loose
        if not (node.op_type == "If" and classes.get(node.input[0]) in settled)
        for found in _within(node, index, (), "", mine, other_side, moving)
    ]
    computed_of = {name: reads(node) for node in model.graph.node for name in node.output if name in at_sizes}
    open_values = {name for name, value in at_sizes.items() if value.dtype.kind == "f" and _print(value) not in known}
    found = dict.fromkeys(n for _, node in loose for n in _constants_of(node, held, open_values, computed_of))
    picks = [node for _, node in loose if text(node.op_type) in _PICKS]
    signs = _signs(model)
    constants = tuple(name for name in found if name not in signs or np.any(held[name] == 0))
    return StructuralGap(
        constants=constants,
        conditions=tuple(
            (node.input[0], text(node.name) or text(node.output[0]))
            for _, node in loose
            if node.op_type == "If" and node.input[0] in moving
        ),
        picks=tuple(sorted(digest("picks", text(n.op_type), *canonical(n, mine.version)) for n in picks)),
        inside=tuple(inside),
        limits={name: float(limits[name].reshape(-1)[0]) for name in constants if name in limits},
    )


def _constants_of(
    node: onnx.NodeProto,
    held: Collection[str],
    open_values: Collection[str],
    computed_of: dict[str, tuple[str, ...]],
) -> Iterator[str]:
    """The constants, of those ``held``, that a node reads, itself or in a graph of its own, or that make one of the
    ``open_values`` that it reads: ``computed_of`` has the operands of what no data reaches, each followed once."""
    for slot, name in enumerate(node.input):
        if (text(node.op_type), slot) in _UNREAD:
            continue
        if name in held:
            yield name
        elif name in open_values:
            waiting = [name]
            while waiting:
                operands = computed_of.pop(waiting.pop(), ())
                waiting += operands
                yield from (operand for operand in operands if operand in held)
    yield from _captured(node, held)


def _signs(model: onnx.ModelProto) -> set[str]:
    """The values of which nothing counts but where they are 0."""
    zeros = {name for name, value in _floats(model.graph) if not np.any(value)}
    taken = {o.name for o in model.graph.output}
    signs = {name for node in model.graph.node for name in node.input} - taken
    for node in reversed(model.graph.node):  # a value is read by later nodes only
        signs -= {name for slot, name in enumerate(node.input) if not _asks_for_zeros(node, slot, zeros, signs)}
        for _, graph in subgraphs(node):
            signs -= {name for inner in nodes_within(graph) for name in inner.input}
            signs -= {output.name for output in graph.output}
    return signs


def _asks_for_zeros(node: onnx.NodeProto, slot: int, zeros: Collection[str], signs: Collection[str]) -> bool:
    """Whether of an input of a node nothing counts but where it is 0; ``signs`` are the values of which that is so."""
    op = text(node.op_type)
    if not in_onnx(node):
        return False
    if op == "Equal" and node.input[1 - slot] in zeros:
        return True
    if op == "Cast" and attributes(node).get("to") == onnx.TensorProto.BOOL:
        return True
    return slot == 0 and op in _KEEPS_ZEROS and all(made in signs for made in node.output)


@dataclass(frozen=True)
class _Other:
    """What the other graph has: the classes of all its values, those of the graphs within it, prints of constants."""

    values: Collection[bytes]
    wholes: Collection[bytes]
    known: Collection[bytes]


def _within(
    node: onnx.NodeProto, index: int, place: Place, where: str, mine: _Structure, other: _Other, moving: set[str]
) -> Iterator[InnerGap]:
    """What numbers have to show within a node that is not the other side's."""
    name = f"{node_name(node, index)}{where}"
    for attribute, graph in subgraphs(node):
        here = (*place, (index, attribute))
        if mine.wholes[here] in other.wholes:
            continue
        classes = mine.inside[here]
        if node.op_type != "If" or (place and node.input[0] in moving):  # an outermost If is watched as it runs
            yield InnerGap(here, f"{attribute} of {name}")
        moves = _moved(graph, moving - {t.name for t in graph.initializer} | {v.name for v in graph.input})
        if node.op_type == "Loop" and _may_end(graph, classes, moves, other):
            yield InnerGap(here, f"the end of {name} before its count", ends=True)
        loose = [
            (number, inner)
            for number, inner in enumerate(graph.node)
            if not all(classes.get(n) in other.values for n in inner.output if n)
        ]
        held = dict(_floats(graph))
        read = {constant for _, inner in loose for constant in [*inner.input, *_captured(inner, held)]}
        for constant, value in held.items():
            if constant in read and _print(value) not in other.known:
                yield InnerGap(here, f"{constant} in {name}", constant=constant)
        for number, inner in loose:
            yield from _within(inner, number, here, f" in {name}", mine, other, moves)


def _may_end(body: onnx.GraphProto, classes: Mapping[str, bytes], moving: Collection[str], other: _Other) -> bool:
    """Whether a Loop may end before its count, by a condition that depends on data and is not the other side's."""
    if not body.output or len(body.input) < 2:
        return False
    end, given = body.output[0].name, body.input[1].name
    return end in moving and classes.get(end) != classes.get(given) and classes.get(end) not in other.values


def _captured(node: onnx.NodeProto, held: Collection[str]) -> list[str]:
    inside = [inner for _, graph in subgraphs(node) for inner in nodes_within(graph)]
    return [name for inner in inside for name in inner.input if name in held]


def _floats(graph: onnx.GraphProto) -> list[tuple[str, np.ndarray]]:
    """Float constants that a number beside may replace: not empty, not all at the ends of what float32 holds."""
    found = [(name, array(tensor)) for name, tensor in dense_constants(graph)]
    return [
        (name, value)
        for name, value in found
        if value is not None
        and value.dtype.kind == "f"
        and value.size
        and not bool(np.all(np.abs(value.astype(np.float64)) >= _LARGEST))
    ]


def _floats_within(graph: onnx.GraphProto) -> Iterator[tuple[str, np.ndarray]]:
    """Those of a graph and of all graphs within it."""
    yield from _floats(graph)
    for node in graph.node:
        for _, inner in subgraphs(node):
            yield from _floats_within(inner)


def _print(value: np.ndarray) -> bytes:
    """Equal for constants that hold the same numbers in any order."""
    return digest("numbers", np.sort(value.astype(np.float64).reshape(-1)).tobytes())


def _moving(model: onnx.ModelProto) -> set[str]:
    """The values that depend on the numbers of the inputs, not on their shapes alone."""
    held = {t.name for t in model.graph.initializer}
    return _moved(model.graph, {i.name for i in model.graph.input if i.name not in held})


def _moved(graph: onnx.GraphProto, moving: set[str]) -> set[str]:
    moving = set(moving)
    for node in graph.node:
        if node.op_type not in ("Shape", "Size") and not moving.isdisjoint(reads(node)):
            moving.update(node.output)
    return moving
