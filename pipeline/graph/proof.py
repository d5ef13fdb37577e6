"""What two graphs share by structure alone: values of one class are one function, whatever is fed.

Design note.  Classes are hashed forward from the inputs (:mod:`pipeline.graph.align`): names, the order of nodes and of
commutative operands, Identities, Transposes that cancel and the place of a constant leave no trace.  Where every output
of B is of its counterpart's class, the two graphs are proved the same and nothing need be drawn.  Where that fails,
what is not proved on either side is what numbers have to show: the constants that its nodes read, and the conditions of
its branches.  Three or more numbers that are added in another order are not one class here, because an order may cancel
where another does not; an operator that only its maker knows proves nothing, because it may draw numbers.

Where B takes one size of every input, what A computes of sizes and constants alone is a constant as well, with the
numbers that it has at those sizes: a mask that A makes and B holds is one.  A constant that is compared with 0, and
does nothing else, means what any other number but 0 means.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx

from pipeline.graph.align import Namer, canonical, digest
from pipeline.graph.limits import limiting
from pipeline.graph.walk import array, constant_tensor, in_onnx, opset, subgraphs, text

_KNOWN = frozenset({"", "ai.onnx", "com.microsoft"})
_ORDERED = frozenset({"Sum", "Mean"})
# What a node does with an operand of which it takes the shape or the type, or nothing in inference: (operator, slot).
_UNREAD = frozenset({("Shape", 0), ("Size", 0), ("CastLike", 1), ("Dropout", 1), ("Resize", 1), ("EyeLike", 0)})
_KEEPS_ZEROS = frozenset("Abs Expand Flatten Identity Neg Reshape Squeeze Tile Transpose Trilu Unsqueeze".split())
# They pick one of many numbers: where NaN stands in their order, ONNX does not say.
_PICKS = frozenset("ArgMax ArgMin GlobalMaxPool Hardmax MaxPool ReduceMax ReduceMin TopK Unique".split())
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Unproved:
    """What of one graph is not the other's by structure.

    ``constants`` are names of float constants, and of whole ones that are limits, that such nodes read and whose
    numbers the other graph does not hold; ``limits`` those of them that are limits, with their number; ``conditions``
    the values by which such nodes choose a branch, with the node's name; ``picks`` such nodes as pick
    among numbers, of which ONNX does not say what NaN does to them.
    """

    constants: tuple[str, ...] = ()
    conditions: tuple[tuple[str, str], ...] = ()
    picks: tuple[bytes, ...] = ()
    limits: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Proof:
    """Whether all outputs are one by structure, and what is not on either side."""

    same: bool
    left: Unproved
    right: Unproved

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
    a = _classes(left, {i.name: i.name for i in left.graph.input}, "A", at_sizes[0])
    b = _classes(right, dict(inputs), "B", at_sizes[1])
    known = all((node.domain or "") in _KNOWN for model in (left, right) for node in _every(model.graph)) and _foreign(
        left
    ) == _foreign(right)
    same = known and bool(outputs) and all(name in b and b[name] == a.get(source) for name, source in outputs.items())
    same = same and set(outputs.values()) == {o.name for o in left.graph.output}
    same = same and set(outputs) == {o.name for o in right.graph.output}
    if same:
        return Proof(True, Unproved(), Unproved())
    one, other = at_sizes
    return Proof(
        False,
        _unproved(left, a, set(b.values()), right, one, other),
        _unproved(right, b, set(a.values()), left, other, one),
    )


def unmoved(model: onnx.ModelProto) -> list[str]:
    """What a graph computes of sizes and constants alone."""
    moving = _moving(model)
    computed = [node for node in model.graph.node if constant_tensor(node) is None]
    return [name for node in computed for name in node.output if name and name not in moving]


def _foreign(model: onnx.ModelProto) -> set[tuple[str, int]]:
    used = {node.domain for node in _every(model.graph) if not in_onnx(node)}
    return {(o.domain, o.version) for o in model.opset_import if o.domain in used}


def _every(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    found = []
    for node in graph.node:
        found.append(node)
        for _, inner in subgraphs(node):
            found += _every(inner)
    return found


def _classes(model: onnx.ModelProto, inputs: Mapping[str, str], side: str, at_sizes: Values) -> dict[str, bytes]:
    from pipeline.graph.cut import reads

    namer = Namer(opset(model))
    found = {name: namer.of_input(shared) for name, shared in inputs.items()}
    for tensor in model.graph.initializer:
        held = array(tensor)
        found[tensor.name] = digest("absent", side, tensor.name) if held is None else namer.of_constant(held)
    for node in model.graph.node:
        tensor = constant_tensor(node)
        held = array(tensor) if tensor is not None else None
        if held is not None and node.output:
            found[node.output[0]] = namer.of_constant(held)
            continue
        if node.output and all(name in at_sizes for name in node.output if name):
            found |= {name: namer.of_constant(at_sizes[name]) for name in node.output if name}
            continue
        named = {name: found.get(name, digest("unknown", side, name)) for name in reads(node) if name}
        operands = [named.get(name, digest("unknown", side, name)) if name else b"" for name in node.input]
        if text(node.op_type) in _ORDERED and len(operands) > 2:
            found[node.output[0]] = digest("in order", text(node.op_type), *operands)
        else:
            found |= namer.of_node(node, operands, named)
    return found


def _unproved(
    model: onnx.ModelProto,
    classes: Mapping[str, bytes],
    there: set[bytes],
    other: onnx.ModelProto,
    at_sizes: Values,
    theirs_at_sizes: Values,
) -> Unproved:
    limits = limiting(model)
    held = {**{name: value for name, value in limits.items() if value.dtype.kind in "iu"}, **dict(_floats(model))}
    theirs = {_print(value) for _, value in (*_floats(other), *limiting(other).items(), *theirs_at_sizes.items())}
    held = {name: value for name, value in held.items() if _print(value) not in theirs}
    signs = _signs(model)
    above = _Above(model, at_sizes, held)
    constants: dict[str, None] = {}
    conditions: list[tuple[str, str]] = []
    picks: list[bytes] = []
    moving = _moving(model)
    for node in model.graph.node:
        if all(classes.get(name) in there or name in at_sizes for name in node.output if name):
            continue
        if text(node.op_type) in _PICKS:
            picks.append(digest("picks", text(node.op_type), *canonical(node, opset(model))))
        for slot, name in enumerate(node.input):
            if (text(node.op_type), slot) in _UNREAD:
                continue
            if name in held:
                constants[name] = None
            elif name in at_sizes and at_sizes[name].dtype.kind == "f" and _print(at_sizes[name]) not in theirs:
                constants |= dict.fromkeys(above.of(name))
        constants |= dict.fromkeys(_captured(node, held))
        if node.op_type == "If" and node.input[0] in moving:
            conditions.append((node.input[0], text(node.name) or text(node.output[0])))
    constants = {name: None for name in constants if name not in signs or not _says_one_thing(held[name])}
    beyond = {name: float(limits[name].reshape(-1)[0]) for name in constants if name in limits}
    return Unproved(tuple(constants), tuple(conditions), tuple(sorted(picks)), beyond)


class _Above:
    """The constants of which values are computed that no data reaches."""

    def __init__(self, model: onnx.ModelProto, at_sizes: Values, held: Mapping[str, object]) -> None:
        from pipeline.graph.cut import reads

        self._held = held
        self._reads = {
            name: reads(node) for node in model.graph.node for name in node.output if at_sizes and name in at_sizes
        }

    def of(self, name: str) -> list[str]:
        found: dict[str, None] = {}
        waiting = [name]
        while waiting:
            for read in self._reads.pop(waiting.pop(), ()):
                waiting.append(read)
                if read in self._held:
                    found[read] = None
        return list(found)


def _signs(model: onnx.ModelProto) -> set[str]:
    """The values of which nothing counts but where they are 0."""
    zeros = {name for name, value in _floats(model) if not np.any(value)}
    taken = {o.name for o in model.graph.output}
    signs = {name for node in model.graph.node for name in node.input} - taken
    for node in reversed(model.graph.node):  # a value is read by later nodes only
        for slot, name in enumerate(node.input):
            if name not in signs:
                continue
            op = text(node.op_type)
            asked = (op == "Equal" and node.input[1 - slot] in zeros) or (op == "Cast" and _to_bool(node))
            handed = slot == 0 and op in _KEEPS_ZEROS and all(made in signs for made in node.output)
            if not in_onnx(node) or not (asked or handed):
                signs.discard(name)
        for _, graph in subgraphs(node):
            signs -= {name for inner in _every(graph) for name in inner.input}
            signs -= {output.name for output in graph.output}
    return signs


def _to_bool(node: onnx.NodeProto) -> bool:
    return any(a.name == "to" and a.i == onnx.TensorProto.BOOL for a in node.attribute)


def _says_one_thing(value: np.ndarray) -> bool:
    """Whether a constant is nowhere 0, so that any number but 0 says the same in its place."""
    return bool(np.all(value != 0))


def _captured(node: onnx.NodeProto, held: Mapping[str, object]) -> list[str]:
    inside = [inner for _, graph in subgraphs(node) for inner in _every(graph)]
    return [name for inner in inside for name in inner.input if name in held]


def _floats(model: onnx.ModelProto) -> list[tuple[str, np.ndarray]]:
    """Float constants that a number beside may replace: not empty, not all at the ends of what float32 holds."""
    made = [(t.name, t) for t in model.graph.initializer]
    made += [(n.output[0], t) for n in model.graph.node if n.output and (t := constant_tensor(n)) is not None]
    found = [(name, array(tensor)) for name, tensor in made]
    return [
        (name, value)
        for name, value in found
        if value is not None
        and value.dtype.kind == "f"
        and value.size
        and not bool(np.all(np.abs(value.astype(np.float64)) >= _LARGEST))
    ]


def _print(value: np.ndarray) -> bytes:
    """Equal for constants that hold the same numbers in any order."""
    return digest("numbers", np.sort(value.astype(np.float64).reshape(-1)).tobytes())


def _moving(model: onnx.ModelProto) -> set[str]:
    """The values that depend on the numbers of the inputs, not on their shapes alone."""
    from pipeline.graph.cut import reads

    held = {t.name for t in model.graph.initializer}
    moving = {i.name for i in model.graph.input if i.name not in held}
    for node in model.graph.node:
        if node.op_type not in ("Shape", "Size") and not moving.isdisjoint(reads(node)):
            moving.update(node.output)
    return moving
