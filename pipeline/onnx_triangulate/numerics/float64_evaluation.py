"""A graph evaluated node by node in float64, so that any value may be replaced on the way.

Design note.  An operator has one definition, that of its rule (``ops.families``), whatever its opset: by
it a kernel is judged, and by it a graph is evaluated.  ONNX's reference evaluator (onnx 1.23, with
``numerics.reference_evaluator.in_float64``, one evaluator per node, built once and kept) computes what has no rule,
what a rule does not cover, and what is one call of numpy there (:data:`_PLAIN`), which costs less than a bound.  It is
no authority where a rule is: it mixes training statistics into BatchNormalization of opset 9 to 13, computes GridSample
and others in float32 whatever it is given, takes seconds for windows, and knows no DequantizeLinear before opset 19.
A value that no data reaches (constants, what is computed of them,
shapes) is evaluated once and is a *constant* to everybody else: folding and shape arithmetic do not count as structure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx

from onnx_triangulate.numerics.reference_evaluator import in_float64
from onnx_triangulate.onnxgraph.graph import reads
from onnx_triangulate.onnxgraph.nodes import array, in_onnx, node_name, operator, opset, text
from onnx_triangulate.ops import registry
from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.errors import Unsupported

_SHAPES = frozenset({"Shape", "Size"})
# One call of numpy in the evaluator too, in the type it is given.
_PLAIN = frozenset(
    "Abs Add And Div Equal Exp Gemm Greater Less Log MatMul Mul Neg Not Or Relu Sqrt Sub Tanh Xor".split()
).union(registry.operators_where(lambda op: op.rule == "data movement"))


@dataclass(frozen=True, eq=False)
class Step:
    """One node in the order of evaluation: ``reads`` names what it consumes, captured outer values included.

    ``name`` and ``said`` are the node's name and operator in the file; a Cast that only the float64 graph has is part
    of the node for whose sake it stands.
    """

    index: int
    node: onnx.NodeProto
    name: str
    op: str
    reads: tuple[str, ...]
    makes: tuple[str, ...]
    said: str = ""


@dataclass(frozen=True, eq=False)
class Graph:
    """A float64 graph taken apart: its steps in topological order, its constants, its border.

    ``folded`` says which steps no data reaches; ``version`` is the opset.  ``single``: the file computes in float32,
    and what it computes there may be another thing than in float64 (a number that is added and taken off to round).
    ``aliases`` gives the file's value for one that only the float64 graph has.
    """

    steps: tuple[Step, ...]
    constants: Mapping[str, Array]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    run: Callable[[Step, Mapping[str, Array]], dict[str, Array]]
    folded: frozenset[int]
    producer: Mapping[str, Step] = field(default_factory=dict)
    consumers: Mapping[str, tuple[Step, ...]] = field(default_factory=dict)
    version: int | None = None
    single: bool = False
    aliases: Mapping[str, str] = field(default_factory=dict)

    def is_constant(self, name: str) -> bool:
        """Whether no data reaches a value."""
        return name in self.constants or (name in self.producer and self.producer[name].index in self.folded)


def take_apart(model: onnx.ModelProto, names: Mapping[str, tuple[str, str]]) -> Graph:
    """``model`` (local functions inlined) as a :class:`Graph`.

    ``names`` are the nodes' names and operators in the file, by the values that they make; the float64 graph has Casts
    of its own.  Raises ``ValueError`` where the graph is cyclic or a node reads what nothing makes.
    """
    graph = model.graph
    constants: dict[str, Array] = {}
    for tensor in graph.initializer:
        held = array(tensor)
        if held is None:
            raise ValueError(f"the data of {text(tensor.name)!r} is not there")
        constants[tensor.name] = held
    inputs = tuple(i.name for i in graph.input if i.name not in constants)
    nodes = _sorted(graph, {*constants, *inputs})
    called = _called(nodes, names)
    steps = tuple(
        Step(index, node, called[index][0], operator(node), reads(node), _makes(node), called[index][1])
        for index, node in enumerate(nodes)
    )
    folded = _folded(steps, inputs)
    consumers: dict[str, list[Step]] = {}
    for step in steps:
        for name in dict.fromkeys(step.reads):
            consumers.setdefault(name, []).append(step)
    return Graph(
        steps,
        constants,
        inputs,
        tuple(o.name for o in graph.output),
        runner(model),
        folded,
        {name: step for step in steps for name in step.makes},
        {name: tuple(users) for name, users in consumers.items()},
        opset(model),
        aliases=_aliases(steps, names),
    )


_SHORT = {onnx.TensorProto.FLOAT16: 2.0**-11, onnx.TensorProto.BFLOAT16: 2.0**-8}
_SHORT_TYPES = {"float16": 2.0**-11, "bfloat16": 2.0**-8}


def widened(graph: Graph) -> Graph:
    """The graph with its values of sixteen bits in float64: nothing in it rounds to them."""

    def wide(value: Any) -> Any:
        return value.astype(np.float64) if getattr(value, "dtype", np.dtype(bool)).name in _SHORT_TYPES else value

    def run(step: Step, values: Mapping[str, Array]) -> dict[str, Array]:
        if _narrows(step) and values[step.reads[0]].dtype.kind == "f":
            return {name: wide(values[step.reads[0]]) for name in step.makes}
        return {name: wide(value) for name, value in graph.run(step, values).items()}

    return replace(graph, constants={name: wide(value) for name, value in graph.constants.items()}, run=run)


def coarsest_unit(graph: Graph, feeds: Mapping[str, Array]) -> float:
    """The unit roundoff of the coarsest float type that stands in a graph of float32 and shorter types."""
    found = [_SHORT_TYPES.get(v.dtype.name, 0.0) for v in (*graph.constants.values(), *feeds.values())]
    found += [_SHORT[a.i] for step in graph.steps if _narrows(step) for a in step.node.attribute if a.name == "to"]
    return max(found, default=0.0) or 2.0**-24


def _narrows(step: Step) -> bool:
    return step.op == "Cast" and any(a.name == "to" and a.i in _SHORT for a in step.node.attribute)


def _called(nodes: Sequence[onnx.NodeProto], names: Mapping[str, tuple[str, str]]) -> list[tuple[str, str]]:
    """The file's name and operator of each node: its own, or those of the node that reads what it makes."""
    readers: dict[str, tuple[str, str]] = {}
    found: list[tuple[str, str]] = []
    for index, node in reversed(list(enumerate(nodes))):
        own = names.get(_first(node)) or next((readers[n] for n in node.output if names and n in readers), None)
        found.append(own or (node_name(node, index), operator(node)))
        readers |= dict.fromkeys(reads(node), found[-1])
    return found[::-1]


def _aliases(steps: Sequence[Step], names: Mapping[str, tuple[str, str]]) -> dict[str, str]:
    """What is cast before or behind a node that takes one type only is the value of which it is a copy."""
    casts = [s for s in steps if names and s.op == "Cast" and s.reads and s.makes]
    found = {s.makes[0]: s.reads[0] for s in casts if s.makes[0] not in names}
    made = {name for s in steps for name in s.makes if name not in names}
    return {**found, **{s.reads[0]: s.makes[0] for s in casts if s.makes[0] in names and s.reads[0] in made}}


def _first(node: onnx.NodeProto) -> str:
    return next((name for name in node.output if name), "")


def _makes(node: onnx.NodeProto) -> tuple[str, ...]:
    return tuple(name for name in node.output if name)


def _sorted(graph: onnx.GraphProto, known: set[str]) -> list[onnx.NodeProto]:
    """The nodes in topological order; the file's own, where it is one."""
    waiting = list(graph.node)
    done: list[onnx.NodeProto] = []
    while waiting:
        later = []
        for node in waiting:
            if all(name in known for name in reads(node)):
                done.append(node)
                known.update(node.output)
            else:
                later.append(node)
        if len(later) == len(waiting):
            lacking = next(name for name in reads(later[0]) if name not in known)
            raise ValueError(f"{operator(later[0])} reads {text(lacking)!r}, which nothing before it makes")
        waiting = later
    return done


def _folded(steps: Sequence[Step], inputs: Sequence[str]) -> frozenset[int]:
    data = set(inputs)
    found = set()
    for step in steps:
        if step.op in _SHAPES or not data.intersection(step.reads):
            found.add(step.index)
        else:
            data.update(step.makes)
    return frozenset(found)


def runner(model: onnx.ModelProto) -> Callable[[Step, Mapping[str, Array]], dict[str, Array]]:
    from onnx.reference import ReferenceEvaluator

    imports = list(model.opset_import)
    if not any(o.domain == "com.microsoft" for o in imports):
        imports.append(onnx.helper.make_opsetid("com.microsoft", 1))
    version = opset(model) or 1
    kept: dict[bytes, Any] = {}

    def run(step: Step, values: Mapping[str, Array]) -> dict[str, Array]:
        found = None if step.op in _PLAIN else _defined(step, version, values)
        if found is None:
            try:
                found = evaluated(step, values)
            except Exception:
                found = _defined(step, version, values, said=False)
                if found is None:
                    raise
        return found

    def evaluated(step: Step, values: Mapping[str, Array]) -> dict[str, Array]:
        key = step.node.SerializeToString()
        if key not in kept:
            borders = [
                [onnx.ValueInfoProto(name=name) for name in dict.fromkeys(side)] for side in (step.reads, step.makes)
            ]
            graph = onnx.helper.make_graph([step.node], "node", *borders)
            alone = onnx.helper.make_model(graph, opset_imports=imports)
            try:
                kept[key] = ReferenceEvaluator(alone, new_ops=list(in_float64()))
            except Exception as error:  # the evaluator raises a plain error of its own for every reason
                raise Unsupported(f"no float64 evaluation of {step.op}", op=step.op, node=step.name) from error
        try:
            with np.errstate(all="ignore"):
                made = kept[key].run(None, {name: values[name] for name in dict.fromkeys(step.reads)})
        except NotImplementedError as error:
            raise Unsupported(f"no float64 evaluation of {step.op}: {error}", op=step.op, node=step.name) from error
        except Exception as error:
            if in_onnx(step.node):
                raise
            # An operator outside of ONNX is known here by some of its attributes and types: what else it has is not.
            says = f"no float64 evaluation of this {step.op}: {type(error).__name__}"
            raise Unsupported(says, op=step.op, node=step.name) from error
        return {
            name: value if isinstance(value, list) else np.asarray(value)  # type: ignore[misc]  # a sequence stays one
            for name, value in zip(step.makes, made, strict=True)
        }

    return run


def _defined(step: Step, version: int, values: Mapping[str, Array], *, said: bool = True) -> dict[str, Array] | None:
    """What a step makes by its operator's rule; None where there is none that covers it.

    ``said``: nor where ONNX leaves an element open, for which a rule has no value.
    """
    from onnx_triangulate.numerics.replay import expected

    consumed = [values[name] if name else None for name in step.node.input]
    if not all(v is None or isinstance(v, np.ndarray) for v in consumed):
        return None
    answers = expected(step.node, version, consumed)
    if isinstance(answers, str):
        return None
    made = {name: a for name, a in zip(step.node.output, answers, strict=False) if name and a is not None}
    if set(made) != set(step.makes) or (said and any(a.unsaid is not None and a.unsaid.any() for a in made.values())):
        return None
    with np.errstate(all="ignore"):
        return {name: np.asarray(a.value, _narrow(a.dtype)) for name, a in made.items()}


def _narrow(dtype: str) -> Any:
    """The type in which a value is kept: sixteen bits stay sixteen; float32 is what an operator takes in no other type,
    and its result is not rounded to it."""
    return np.dtype(dtype) if dtype in ("float16", "bfloat16") else None
