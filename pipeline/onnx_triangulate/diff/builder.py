"""The builder of normal form: makes the steps of one graph, with the rules of its operators."""

from __future__ import annotations

import itertools
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from onnx import AttributeProto, GraphProto, NodeProto, TensorProto
from onnx.numpy_helper import from_array

from onnx_triangulate.diff.ir import (
    Array,
    Const,
    Ints,
    NormalForm,
    Operand,
    Ref,
    Shape,
    Step,
    Value,
    ValueInfo,
    as_attribute,
    compose,
    constant_of,
    determined,
    inverse,
    numbers_in,
    plain,
    positive,
    seen_dims,
    size_of,
    small_integers,
    sparse_constant,
    turned,
)
from onnx_triangulate.diff.schemas import BY_RESULT, defaults, described, mistyped
from onnx_triangulate.facts import pads as _pads
from onnx_triangulate.facts.value_types import Kind, is_tensor, kind_of_type
from onnx_triangulate.onnxgraph.dataflow import digest
from onnx_triangulate.onnxgraph.folding import fold, fold_shape
from onnx_triangulate.onnxgraph.graph import Graph
from onnx_triangulate.onnxgraph.inlining import Key, key_of
from onnx_triangulate.onnxgraph.nodes import (
    Dims,
    attributes,
    constant_tensor,
    in_onnx,
    node_name,
    operator,
    sparse_tensor,
    subgraphs,
    text,
)
from onnx_triangulate.onnxgraph.weights import Weights

# Permutations between layouts; others that only move axes of size one are left as Reshapes.
LAYOUTS = frozenset({(0, 2, 3, 1), (0, 3, 1, 2), (0, 2, 1), (0, 2, 3, 4, 1), (0, 4, 1, 2, 3)})
_DEEPEST = 40

_WRONG = (TypeError, ValueError, IndexError, KeyError, OverflowError, ZeroDivisionError, AttributeError)


Rewrite = Callable[["Builder", Sequence[Operand]], "Sequence[Operand] | None"]
_Rewrite = TypeVar("_Rewrite", bound=Rewrite)


@dataclass(frozen=True)
class Rule:
    """How an operator is written in normal form, and of which nodes: those of ``least`` to ``most`` operands, the first
    ``least`` of which are there, from opset ``since`` on; ``computed``: whose first operand is no constant."""

    rewrite: Rewrite
    least: int
    most: int
    since: int
    computed: bool

    def fits(self, operands: Sequence[Operand], version: int | None) -> bool:
        if not self.least <= len(operands) <= self.most or (version or 0) < self.since:
            return False
        return None not in operands[: self.least] and not (self.computed and not isinstance(operands[0], Ref))


RULES: dict[str, Rule] = {}


def rule(
    *ops: str, least: int = 1, most: int = sys.maxsize, since: int = 0, computed: bool = False
) -> Callable[[_Rewrite], _Rewrite]:
    """Register a function as the :class:`Rule` of operators."""

    def register(function: _Rewrite) -> _Rewrite:
        for op in ops:
            if op in RULES:
                raise ValueError(f"two rules for {op}")
            RULES[op] = Rule(function, least, most, since, computed)
        return function

    return register


class Builder:
    """Makes the steps of one graph.  Rules of operators (``diff.operators``) are written in its terms."""

    def __init__(
        self,
        graph: Graph,
        version: int | None,
        windows: Callable[[str], _pads.Window | None],
        path: str = "",
        depth: int = 0,
        functions: Mapping[Key, str] | None = None,
    ) -> None:
        """``functions`` are those that are not entered, each with a digest of its body."""
        self.functions = functions or {}
        self.graph = graph
        self.version = version
        self.path = path
        self.windows = windows
        self.depth = depth
        self.values: list[Value] = []
        self.steps: list[Step] = []
        self.env: dict[str, Operand] = {}
        self.traceless: Counter[str] = Counter()
        self.notes: list[str] = []
        self.absorbed: set[int] = set()
        self._made: dict[tuple[Any, ...], Ref] = {}
        self.node = NodeProto()
        self.name = ""
        self.held: dict[str, Any] = {}
        self.weights: Weights | None = None

    # -- values as they are seen

    def fresh(self, step: int, slot: int, dims: Dims | None, kind: int | None, name: str) -> int:
        self.values.append(Value(step, slot, dims, kind, name))
        return len(self.values) - 1

    def dims(self, operand: Operand) -> Dims | None:
        return seen_dims(operand, self.values)

    def rank(self, operand: Operand) -> int | None:
        dims = self.dims(operand)
        return None if dims is None else len(dims)

    def type(self, operand: Operand) -> int | None:
        return self.values[operand.value].type if isinstance(operand, Ref) else None

    def producer(self, operand: Operand) -> Step | None:
        if not isinstance(operand, Ref) or self.values[operand.value].step < 0:
            return None
        return self.steps[self.values[operand.value].step]

    def turn(self, operand: Operand, perm: Ints, name: str = "") -> Operand:
        """The operand transposed."""
        if isinstance(operand, Const):
            return operand.transposed(perm)
        if operand is None:
            return None
        rank = self.rank(operand)
        if sorted(perm) != list(range(len(perm))) or (rank is not None and rank != len(perm)):
            return self.opaque("Transpose", {"perm": perm}, (operand,))[0]
        if operand.shape is not None:
            operand = self.settled(operand)
        return Ref(operand.value, compose(operand.perm, perm), None, (*operand.via, name) if name else operand.via)

    def settled(self, ref: Ref) -> Ref:
        """A value that is seen in another shape, as one that has this shape."""
        if ref.shape is None:
            return ref
        key = ("settled", ref.value, ref.perm, ref.shape)
        if key not in self._made:
            dims = self.dims(ref)
            step = len(self.steps)
            made = self.fresh(step, 0, dims, self.values[ref.value].type, "")
            bare = Ref(ref.value, ref.perm, None, ref.via)
            nodes = ref.via[-1:]
            self.steps.append(Step("Reshape", {"shape": ref.shape}, (bare,), (made,), nodes, ("Reshape",), "view"))
            self._made[key] = Ref(made)
        return self._made[key]

    def computed(self, operands: Sequence[Operand]) -> Ref:
        """The first operand of a :class:`Rule` that asks for a computed one."""
        assert isinstance(operands[0], Ref)
        return self.settled(operands[0])

    def reshape(self, operand: Operand, dims: Dims | None, name: str = "") -> Operand | None:
        """The operand in another shape; ``None`` where that is not determined."""
        shape = determined(dims)
        if shape is None:
            return None
        if isinstance(operand, Const):
            return operand.reshaped(shape)
        if operand is None:
            return None
        via = (*operand.via, name) if name else operand.via
        base = self.values[operand.value].dims
        perm = operand.perm
        if perm is not None and base is not None and _moves_ones(base, perm):
            perm = None  # as a Reshape it is the same
        before = turned(base, perm)
        if before is not None and determined(before) == shape:
            return Ref(operand.value, perm, None, via)
        if before is not None and perm is None:
            again = _as_transpose(before, shape)
            if again is not None:
                return Ref(operand.value, again, None, via)
        return Ref(operand.value, perm, shape, via)

    # -- steps

    def emit(
        self,
        op: str,
        held: Mapping[str, Any],
        operands: Sequence[Operand],
        dims: Sequence[Dims | None],
        *,
        part: str = "",
        also: Iterable[Step] = (),
        soft: Mapping[str, Any] | None = None,
        ops: tuple[str, ...] = (),
        types: Sequence[int | None] = (),
        bodies: Mapping[str, NormalForm] | None = None,
    ) -> list[Ref]:
        """One step for the node at hand; ``also`` are steps that it takes the place of."""
        index = len(self.steps)
        kind = self.graph.type(self.node.output[0]) if self.node.output else None
        made = [
            self.fresh(index, slot, d, types[slot] if slot < len(types) else kind, "") for slot, d in enumerate(dims)
        ]
        others = tuple(also)
        nodes = (*dict.fromkeys(n for s in others for n in s.nodes), self.name)
        shown = (*(o for s in others for o in s.ops), *(ops or (operator(self.node),)))
        self.steps.append(
            Step(op, dict(held), tuple(operands), tuple(made), nodes, shown, part, soft or {}, bodies or {})
        )
        self.absorbed.update(self.values[s.outputs[0]].step for s in others)
        return [Ref(value) for value in made]

    def along(self, ref: Ref, op: str, held: Mapping[str, Any], dims: Dims | None, **more: Any) -> Ref:
        """A step on a value as it is made; its result, of shape ``dims``, is seen in the order that ``ref`` sees."""
        (made,) = self.emit(op, held, [Ref(ref.value)], [dims], **more)
        return replace(ref, value=made.value)

    def opaque(self, op: str, held: Mapping[str, Any], operands: Sequence[Operand], **more: Any) -> list[Ref]:
        """A step with all outputs of the node at hand."""
        outputs = [self.graph.shape(n) if n else None for n in self.node.output] or [None]
        types = [self.graph.type(n) if n else None for n in self.node.output]
        return self.emit(op, held, operands, outputs, types=types, **more)

    def out(self, slot: int = 0) -> Dims | None:
        return self.graph.shape(self.node.output[slot]) if len(self.node.output) > slot else None

    def known(self, derived: Dims | None) -> Dims | None:
        """The shape of a result: what inference says, and where it says nothing what the rule has derived."""
        said = self.out()
        if said is None or derived is None or len(said) != len(derived):
            return derived if said is None else said
        return tuple(d if s is None else s for s, d in zip(said, derived, strict=True))

    def broadcast(self, operands: Sequence[Operand]) -> Dims | None:
        """The shape of an element-wise result, where those of all operands are known."""
        present = [o for o in operands if o is not None]
        shapes = [dims for o in present if (dims := self.dims(o)) is not None]
        if len(shapes) < len(present):
            return None
        made: list[int | None] = []
        for sizes in map(set, itertools.zip_longest(*(reversed(dims) for dims in shapes), fillvalue=1)):
            sizes.discard(1)
            made.insert(0, sizes.pop() if len(sizes) == 1 else None if sizes else 1)
        return tuple(made)

    def operand(self, slot: int) -> Operand:
        return self.look(self.node.input[slot]) if slot < len(self.node.input) else None

    def look(self, name: str) -> Operand:
        if not name:
            return None
        if name not in self.env:
            dims = self.graph.shape(name)
            self.env[name] = Ref(self.fresh(-1, 0, dims, self.graph.type(name), name))
        return self.env[name]

    def integers(self, slot: int, name: str) -> Ints | None:
        """What is an attribute in some opsets and a constant input in others."""
        if name in self.held:
            value = self.held[name]
            return tuple(value) if isinstance(value, tuple) and all(isinstance(v, int) for v in value) else None
        operand = self.operand(slot)
        return small_integers(operand)

    # -- nodes

    def read(self, node: NodeProto, index: int) -> None:
        self.node, self.name = node, self.path + node_name(node, index)
        self.held = self.filled(node)
        if self.functions and (body := self.functions.get(key_of(node))) is not None:
            self.held["the function's body"] = f"digest {body[:16]}"
        before = len(self.steps)
        results = self._results(node, index)
        if len(self.steps) == before:
            self.traceless[operator(node)] += 1
        for slot, name in enumerate(node.output):
            if name:
                made = results[slot] if slot < len(results) else None
                self.env[name] = made
                if made is None:
                    self.env[name] = Ref(self.fresh(-1, 0, None, None, f"{self.name}:{slot}"))

    def _results(self, node: NodeProto, index: int) -> Sequence[Operand]:
        name = text(node.output[0]) if node.output else ""
        if node.output and (constant := constant_tensor(node)) is not None:
            return [constant_of(name, constant, self.weights)]
        if node.output and (sparse := sparse_tensor(node)) is not None:
            return [sparse_constant(name, sparse, self.weights)]
        operands = [self.look(name) for name in node.input]
        if any(True for _ in subgraphs(node)):
            return self._with_bodies(node, index, operands)
        if (self.functions and key_of(node) in self.functions) or mistyped(node, self.version):
            return self.generic(operands)
        if in_onnx(node) and len(node.output) == 1 and (folded := self._folded(node, operands)) is not None:
            return [Const.of(name, folded)]
        rule = RULES.get(operator(node))
        made = self._rewritten(rule, operands) if rule is not None and rule.fits(operands, self.version) else None
        return self.generic(operands) if made is None else made

    def _rewritten(self, rule: Rule, operands: Sequence[Operand]) -> Sequence[Operand] | None:
        before = len(self.steps)
        try:
            return rule.rewrite(self, operands)
        except _WRONG:  # attributes and shapes that contradict one another: the node stays as it is
            del self.steps[before:]
            return None

    def _folded(self, node: NodeProto, operands: Sequence[Operand]) -> Array | None:
        """What a node makes of constants, or of a shape that is known."""
        op, held = text(node.op_type), self.held
        if op in ("Shape", "Size"):
            return self._of_shape(op, self.dims(operands[0] if operands else None))
        if op == "CastLike":
            if self.cast_type is None:
                return None
            op, held, operands = "Cast", {"to": self.cast_type}, operands[:1]
        given = [numbers_in(o) for o in operands]
        if not operands or any(o is not None and numbers is None for o, numbers in zip(operands, given, strict=True)):
            return None
        return fold(op, held, given)

    def _of_shape(self, op: str, dims: Dims | None) -> Array | None:
        """What a Shape or a Size makes of the shape of its operand."""
        if op == "Shape":
            return fold_shape(self.held, dims)
        return None if dims is None or None in dims else np.asarray(size_of(dims), np.int64)

    @property
    def cast_type(self) -> Any:
        """The type that the Cast or CastLike at hand gives; ``None`` where it is not known."""
        if self.node.op_type == "CastLike":
            return self.graph.type(self.node.input[1]) if len(self.node.input) > 1 else None
        return self.held.get("to")

    def filled(self, node: NodeProto) -> dict[str, Any]:
        """A node's attributes with the defaults of its operator written out."""
        held = {k: v for k, v in attributes(node).items() if not isinstance(v, GraphProto)}
        for name, default in defaults(node, self.version).items():
            held.setdefault(name, default)
        for attribute in node.attribute:  # what ``attributes`` has no type for (lists of tensors, references)
            name = text(attribute.name)
            if name not in held and attribute.type not in (AttributeProto.GRAPH, AttributeProto.GRAPHS):
                held[name] = digest(attribute.SerializeToString(deterministic=True)).hex()
        for name, value in held.items():
            if isinstance(value, TensorProto) and value.data_location == TensorProto.EXTERNAL:
                const = constant_of("", value, self.weights)
                held[name] = f"tensor {const.exact.hex()[:12]}" if const.array is None else from_array(const.array)
        return held

    def generic(self, operands: Sequence[Operand]) -> list[Ref]:
        """A node as it is, its small constants as attributes."""
        known = described(self.node, self.version)
        names = known.inputs if known is not None else ()
        held = dict(self.held)
        kept: list[Operand] = []
        for slot, operand in enumerate(operands):
            formal = names[slot] if slot < len(names) else ""
            value = as_attribute(operand) if slot and known is not None and formal in known.indirect else None
            if value is None:
                kept.append(operand)
            else:
                kept.append(None)
                held[formal] = value
        while kept and kept[-1] is None:
            kept.pop()
        rank = self._counted(operands, held)
        for name in ("axis", "axes"):
            if rank and name in held:
                held[name] = positive(held[name], rank)
        return self.opaque(operator(self.node), plain(held), kept)

    def _counted(self, operands: Sequence[Operand], held: Mapping[str, Any]) -> int | None:
        """The rank by which the axes of the node are counted; of an operator that is not ONNX's nobody knows."""
        op = operator(self.node)
        rank = self.rank(operands[0]) if operands and in_onnx(self.node) else None
        if op not in BY_RESULT:
            return rank
        out = self.out()
        if out is not None or rank is None or op == "ConcatFromSequence":
            return None if out is None else len(out)
        axes = held.get("axes")
        return rank + 1 if op == "OneHot" else rank + len(axes) if isinstance(axes, tuple) else None

    def _with_bodies(self, node: NodeProto, index: int, operands: Sequence[Operand]) -> list[Ref]:
        if self.depth >= _DEEPEST:
            held = plain(self.held) | {"subgraphs": digest(node.SerializeToString(deterministic=True)).hex()}
            self.notes.append(f"subgraphs of {self.name} are nested too deeply and are compared as text")
            return self.opaque(operator(node), held, operands)
        bodies: dict[str, NormalForm] = {}
        graphs = dict(subgraphs(node))
        shaped = dict(subgraphs(self.graph.nodes[index])) if index < len(self.graph.nodes) else {}
        captured = dict.fromkeys(name for graph in graphs.values() for name in Graph(graph).free)
        outer = {name: self.env[name] for name in captured if name in self.env}
        given = {name: operand for name, operand in outer.items() if isinstance(operand, Const)}
        reads = {name: operand for name, operand in outer.items() if name not in given}
        for attribute, graph in graphs.items():
            path = f"{self.name}/" if attribute == "body" else f"{self.name}/{attribute}/"
            known = Graph((shaped if list(shaped) == list(graphs) else graphs)[attribute], path, self.graph).declare()
            inner = Builder(known, self.version, self.windows, path, self.depth + 1, self.functions)
            bodies[attribute] = inner.form(graph, self.weights, given, tuple(reads))
        return self.opaque(operator(node), plain(self.held), [*operands, *reads.values()], bodies=bodies)

    # -- the graph

    def form(
        self,
        graph: GraphProto,
        weights: Weights | None,
        given: Mapping[str, Operand],
        captured: Sequence[str] = (),
        frames: Mapping[str, Ints] | None = None,
    ) -> NormalForm:
        """``given`` are outer constants, ``captured`` outer values that are taken as further inputs; ``frames`` says by
        which permutation an input is always read."""
        self.weights = weights
        self.env.update(given)
        stored = {tensor.name: tensor for tensor in graph.initializer}
        for name, tensor in stored.items():
            self.env[name] = constant_of(text(name), tensor, weights)
        for sparse in graph.sparse_initializer:
            self.env[sparse.values.name] = sparse_constant(text(sparse.values.name), sparse, weights)
        inputs = []
        kinds = {v.name: kind_of_type(v.type) for v in (*graph.input, *graph.output) if not is_tensor(v.type)}
        for name in (*(i.name for i in graph.input if i.name not in stored), *captured):
            perm = (frames or {}).get(text(name))
            seen = turned(self.graph.shape(name), perm)
            self.env[name] = Ref(self.fresh(-1, 0, seen, self.graph.type(name), text(name)), inverse(perm))
            inputs.append(self._declared(name, kinds))
        for index, node in enumerate(graph.node):
            self.read(node, index)
        outputs = [self._declared(o.name, kinds) for o in graph.output]
        self._forget(outputs)
        return NormalForm(
            self.path, self.values, self.steps, inputs, outputs, self.traceless, self.notes, self.version,
            tuple(text(n) for n in captured),
        )  # fmt: skip

    def _declared(self, name: str, kinds: Mapping[str, Kind | None]) -> ValueInfo:
        return ValueInfo(text(name), self.graph.shape(name), self.graph.type(name), self.look(name), kinds.get(name))

    def _forget(self, outputs: Sequence[ValueInfo]) -> None:
        """Leave out the steps that others took the place of and that nobody else reads."""
        gone = self._unread(outputs)
        kept = [index for index in range(len(self.steps)) if index not in gone]
        moved = {index: place for place, index in enumerate(kept)}
        self.steps = [self.steps[index] for index in kept]
        for value in self.values:
            value.step = moved.get(value.step, -1)

    def _unread(self, outputs: Sequence[ValueInfo]) -> set[int]:
        used: Counter[int] = Counter(ref.value for step in self.steps for _, ref in step.refs())
        used.update(b.operand.value for b in outputs if isinstance(b.operand, Ref))
        waiting = deque(sorted(self.absorbed | {i for i, s in enumerate(self.steps) if s.part == "view"}))
        gone: set[int] = set()
        while waiting:
            index = waiting.pop()
            step = self.steps[index]
            if index in gone or any(used[value] for value in step.outputs):
                continue
            gone.add(index)
            for _, ref in step.refs():
                used[ref.value] -= 1
                maker = self.values[ref.value].step
                if maker in self.absorbed:
                    waiting.append(maker)
        return gone


def _moves_ones(dims: Dims, perm: Ints) -> bool:
    """Whether a permutation moves axes of size one only."""
    if len(dims) != len(perm):
        return False
    kept = [axis for axis in perm if dims[axis] != 1]
    return kept == sorted(kept)


def _as_transpose(dims: Dims, shape: Shape) -> Ints | None:
    """The change of layout that a Reshape is, where it only moves axes of size one."""
    if (
        len(dims) != len(shape)
        or None in dims
        or -1 in shape
        or sorted(map(int, shape)) != sorted(d or 0 for d in dims)
    ):
        return None
    for perm in sorted(LAYOUTS):
        if len(perm) == len(dims) and turned(dims, perm) == shape and _moves_ones(dims, perm):
            return perm
    return None
