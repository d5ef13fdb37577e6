"""What a file takes and gives, and what whoever feeds it has to mind: tables, divisors, limits, random numbers.

What cannot be used raises ``UnusableInput`` in the worker and, from there, in the supervisor.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from onnx_triangulate.facts.file import load, unknown_operators
from onnx_triangulate.facts.limits import limits
from onnx_triangulate.locate.feeds import ENDLESS, Landmarks, ValueInfo
from onnx_triangulate.onnxgraph.graph import Graph, reads
from onnx_triangulate.onnxgraph.inference import endless
from onnx_triangulate.onnxgraph.inlining import inlined, inlined_model
from onnx_triangulate.onnxgraph.nodes import (
    array,
    attributes,
    constant_tensor,
    elements,
    in_onnx,
    node_name,
    nodes_within,
    opset,
    printable,
    subgraphs,
    whole_slots,
)
from onnx_triangulate.ops.random_draws import draws, stored
from onnx_triangulate.ops.registry import operators_where
from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.errors import UnusableInput

_FEW, _MOST_LANDMARKS = 8, 48  # numbers of a constant, and of a file, that are worth a feed of their own
_SIZED = ("starts", "ends", "shape", "kernel_shape")
MOVERS = operators_where(lambda op: op.moves) | {"Cast"}

_JUMPS = operators_where(lambda op: op.jumps)

_PLACED = frozenset("Gather GatherElements GatherND ScatterElements ScatterND".split())  # -s to s - 1, in slot 1

_AT_ANY_OPSET = frozenset({"LayerNormalization"})  # ONNX Runtime's optimizer writes it before ONNX has it


@dataclass(frozen=True)
class Interface:
    """What a graph takes and gives; ``drawn`` says which node's random numbers an output depends on.

    ``landmarks`` are numbers and lengths at which it may do something else; ``jumps`` says that it holds an operator
    whose answer does not move smoothly with what it is given.
    """

    inputs: tuple[ValueInfo, ...]
    outputs: tuple[ValueInfo, ...]
    drawn: str | None = None
    landmarks: Landmarks = field(default_factory=Landmarks)
    jumps: bool = False

    def input(self, name: str) -> ValueInfo:
        return next(port for port in self.inputs if port.name == name)


def read_interface(file: Path) -> Interface:
    """What a file takes and gives.  Raises :class:`UnusableInput` where it cannot be used."""
    model = load_model(file)
    _refuse(model, printable(str(file)))
    held = {t.name for t in model.graph.initializer}
    taken = [_port(v) for v in model.graph.input if v.name not in held]
    tables, divisors = _tables(model), _divisors(model)
    interface = Interface(
        tuple(
            replace(_as_taken(model, port), below=tables.get(port.name), divides=port.whole and port.name in divisors)
            for port in taken
        ),
        tuple(_port(v) for v in model.graph.output),
        _drawn(model),
        _landmarks(model),
        any(node.op_type in _JUMPS for node in nodes_within(model.graph)),
    )
    who = printable(str(file))
    if not interface.outputs:
        raise UnusableInput(f"{who}: the graph has no outputs, so there is nothing to compare")
    unknown = [(node, op) for node, op in unknown_operators(model) if op not in _AT_ANY_OPSET]
    if unknown:
        node, op = unknown[0]
        raise UnusableInput(f"{who}: {printable(op)} ({printable(node)}) is no operator of ONNX at this opset")
    return interface


def _refuse(model: Any, who: str) -> None:
    """Raise :class:`UnusableInput` where a graph cannot be named or followed at all."""
    graphs = [model.graph, *model.functions]
    names = [n for g in graphs for node in g.node for n in (*node.input, *node.output, node.name, node.op_type)]
    named = (model.graph.input, model.graph.output, model.graph.initializer, model.graph.value_info)
    names += [value.name for values in named for value in values]
    odd = next((name for name in names if isinstance(name, bytes)), None)
    if odd is not None:
        raise UnusableInput(f"{who}: the name {printable(odd)} is not UTF-8, which every engine refuses")
    for what, values in (("inputs", model.graph.input), ("outputs", model.graph.output)):
        if (twice := _twice(value.name for value in values)) is not None:
            raise UnusableInput(f"{who}: two {what} are named {printable(twice)}; no engine can tell them apart")
    if refusal := endless(model):
        raise UnusableInput(f"{who}: {refusal}")
    if key := _twice((f.domain, f.name, f.overload) for f in model.functions):
        raise UnusableInput(f"{who}: two local functions are named {printable(key[1])}")


def _twice(names: Iterable[Any]) -> Any:
    """The first of some names that is there more than once; None where each is one."""
    return next((name for name, times in Counter(names).items() if times > 1), None)


def _tables(model: Any) -> dict[str, int]:
    """By value, the length of the shortest table of numbers in the file that it picks from, moved about or not."""
    shapes = {name: tuple(tensor.dims) for name, tensor in Graph(model.graph).tensors.items()}
    found: dict[str, int] = {}
    for node in reversed(model.graph.node):
        if node.op_type == "Gather" and len(node.input) == 2 and node.input[0] in shapes:
            shape, axis = shapes[node.input[0]], attributes(node).get("axis", 0)
            if -len(shape) <= axis < len(shape):
                found[node.input[1]] = min(found.get(node.input[1], shape[axis]), shape[axis])
        elif node.op_type in MOVERS and node.input and node.output and node.output[0] in found:
            found[node.input[0]] = min(found.get(node.input[0], 2**31), found[node.output[0]])
    return found


def _divisors(model: Any) -> set[str]:
    """What something is divided by, moved about on its way or not."""
    found: set[str] = set()
    for node in reversed([inner for outer in model.graph.node for inner in (outer, *inner_nodes(outer))]):
        if node.op_type in ("Div", "Mod") and len(node.input) == 2:
            found.add(node.input[1])
        elif node.op_type not in (*MOVERS, "Expand", "Abs", "Neg"):
            continue
        elif node.input and node.output and node.output[0] in found:
            found.add(node.input[0])
    return found


def _landmarks(model: Any) -> Landmarks:
    """The numbers of short constants and of attributes, inner graphs included, and the lengths of tables."""
    nodes = [n for outer in model.graph.node for n in (outer, *inner_nodes(outer))]
    tensors = [*model.graph.initializer, *(t for n in nodes if (t := constant_tensor(n)) is not None)]
    short = [v.reshape(-1) for t in tensors if 0 < elements(t) <= _FEW and (v := array(t)) is not None]
    settings = [(name, value) for node in nodes for name, value in attributes(node).items()]
    numbers = [value for _, value in settings if isinstance(value, float)] + _numbers(short, "f")
    sized = [value for name, value in settings if name in _SIZED and isinstance(value, tuple)]
    whole = [int(v) for value in sized for v in value] + _numbers(short, "iu")
    lengths = {int(d) for t in tensors for d in t.dims} | set(whole)
    return Landmarks(
        tuple(dict.fromkeys(n for n in numbers if abs(n) < ENDLESS))[:_MOST_LANDMARKS],
        tuple(dict.fromkeys(whole))[:_MOST_LANDMARKS],
        tuple(sorted(n for n in lengths if n > 1)[:_MOST_LANDMARKS]),
        limits(model)[:_MOST_LANDMARKS],
    )


def _numbers(arrays: Sequence[Array], kinds: str) -> list[Any]:
    """The numbers of arrays of some kinds of types, as Python has them."""
    return [number for values in arrays if values.dtype.kind in kinds for number in values.tolist()]


def _as_taken(model: Any, port: ValueInfo) -> ValueInfo:
    """An input with what it may hold: nothing takes it, or what is made of it, for a place or a size (``free``), or for
    no more than a place that may be counted from the end (``ended``).

    ONNX takes those in whole numbers only, where numbers to compute with may be of any type; Range has its sizes in the
    type of what it gives.  What a subgraph or an operator outside of ONNX does with a value nobody knows.
    """
    made = {port.name}
    free = True
    for node in model.graph.node:
        if made.isdisjoint(reads(node)):
            continue
        if not in_onnx(node) or any(True for _ in inner_nodes(node)) or node.op_type == "Range":
            return port
        places = [slot for slot in whole_slots(node, opset(model)) if node.input[slot] in made]
        if places and not (node.op_type in _PLACED and places == [1]):
            return port
        free = free and not places
        if not places or node.input[0] in made:
            made.update(node.output)
    return replace(port, free=free, ended=True)


def _drawn(model: Any) -> str | None:
    """A node that draws random numbers and that an output depends on, in words; None where there is none."""
    model = inlined_model(model) or model
    value, version = stored(model), opset(model)
    wanted = {o.name for o in model.graph.output}
    for index, node in reversed(list(enumerate(model.graph.node))):
        if wanted.intersection(node.output):
            wanted.update(reads(node))
            drawing = [n for n in (node, *inner_nodes(node)) if draws(n, value, version)]
            if drawing:
                return f"{printable(node_name(node, index))} ({printable(drawing[0].op_type)})"
    return None


def inner_nodes(node: Any) -> Iterator[Any]:
    """The nodes inside of one, each before those inside of it."""
    for _, graph in subgraphs(node):
        for each in graph.node:
            yield each
            yield from inner_nodes(each)


@lru_cache(maxsize=2)
def load_model(file: Path) -> Any:
    """A model with its external data.  Raises :class:`UnusableInput`, in one line, where it cannot be had whole."""
    model = load(file)
    try:
        onnx.external_data_helper.load_external_data_for_model(model, str(file.parent))
    except Exception as error:  # missing, outside of the folder, too short: each raises a type of its own
        says = printable(" ".join(str(error).split()), 200)
        raise UnusableInput(f"{printable(str(file))}: its external data cannot be had: {says}") from None
    return model


def _port(value: Any) -> ValueInfo:
    kind = value.type.tensor_type
    if not value.type.HasField("tensor_type"):
        return ValueInfo(value.name, value.type.WhichOneof("value") or "nothing", None)
    try:
        dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)).name
    except (KeyError, TypeError, ValueError):
        dtype = f"type {kind.elem_type}"
    if not kind.HasField("shape"):
        return ValueInfo(value.name, dtype, None)
    shape = tuple(d.dim_value if d.HasField("dim_value") else (d.dim_param or None) for d in kind.shape.dim)
    return ValueInfo(value.name, dtype, shape)


def read_inlined(file: Path) -> Any:
    """A model with its external data, its local functions inlined."""
    return inlined(load_model(file))
