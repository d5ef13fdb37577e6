"""Where the exports of two frameworks differ in meaning: one graph judged by the other, and what their nodes hold.

Design note.  Both exports are faithful, so a difference is in what the frameworks were told, node by node.  The search
is that of ``compare`` (``locate.teacher_forced``), on the case's own inputs, with the inputs and outputs matched by the
case's names.  The attributes, numbers and weights of the nodes of a faulty region are then compared: two nodes of one
operator differ by these.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from onnx_triangulate.diff.differences import of_effect
from onnx_triangulate.engines.running import refusal
from onnx_triangulate.facts.view import viewed
from onnx_triangulate.locate.model_interface import MOVERS
from onnx_triangulate.locate.node_search import held_against
from onnx_triangulate.onnxgraph.dataflow import declares, settings
from onnx_triangulate.onnxgraph.graph import graphs_of, places
from onnx_triangulate.onnxgraph.nodes import array, constant_tensor, elements, node_name, operator, opset
from onnx_triangulate.onnxgraph.weights import read_model
from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.case import CaseRef
from onnx_triangulate.records.faults import Fault
from onnx_triangulate.records.inspection import Difference
from onnx_triangulate.records.party import Party
from onnx_triangulate.records.runs import Failure, Model

_SAID = 4
_NEUTRAL = (0.0, 1.0)
_ROOTS = {"Sqrt", "Pow", "Reciprocal"}
_LONG = 6


@dataclass(frozen=True)
class MeaningDifference:
    """Where one framework's graph does not make what the other's makes of the same values.

    ``fault`` names the nodes of the graph that is judged and those of the judge in their place (``against``), the
    likeliest first; ``ops`` and ``against_ops`` are their operators.  ``differs`` is what only one side's nodes hold,
    in words; ``setting`` the one number that the two were told differently: what it is called, the judge's, the
    other's.
    """

    fault: Fault
    ops: tuple[str, ...]
    against_ops: tuple[str, ...]
    differs: tuple[str, ...] = ()
    setting: tuple[str, float, float] | None = None


@dataclass(frozen=True)
class Meanings:
    """Everything at which two graphs part; ``aligned`` values of one are values of the other, ``compared`` elements of
    outputs were, and ``unjudged`` says what could not be judged."""

    differences: tuple[MeaningDifference, ...]
    aligned: int
    compared: int
    unjudged: tuple[str, ...] = ()


def meaning_differences(
    ref: CaseRef, judge: Model, other: Model, seed: int, folder: Path, memory: int | None = None
) -> Meanings | Failure:
    """Where ``other`` parts from ``judge``, exports of one case by two frameworks, in float64.

    ``memory`` is the most bytes that both graphs' weights may need.
    """
    assert judge.file is not None
    assert other.file is not None
    files = {judge.graph: judge.file, other.graph: other.file}
    try:
        sides = [_Side(Party.parse(graph).framework, *read_model(file)) for graph, file in files.items()]
    except Exception as error:  # whatever protobuf raises
        return refusal(error, other.file)
    need = sum(side.bytes for side in sides)
    if memory is not None and need > memory:
        says = f"both graphs in float64 need {need / 2**30:.1f} GiB, the limit is {memory / 2**30:.1f} GiB"
        return Failure("memory", f"{says}: raise --memory")
    found = held_against(ref, judge, other, seed, folder)
    if isinstance(found, Failure):
        return found
    theirs, mine = sides
    differences = []
    for part in found.faults:
        nodes = mine.likeliest_first(part.node, mine.fed(part.nodes))
        against = theirs.fed(part.against)
        setting = _setting(mine.numbers(nodes), theirs.numbers(against), mine.ops(nodes) == theirs.ops(against))
        if setting is not None:
            nodes = mine.holders_first(nodes, setting[2])
            against = theirs.holders_first(against, setting[1])
        differs = tuple(_differences(mine, nodes, theirs, against, setting))
        fault = replace(part, nodes=nodes, against=against)
        differences.append(MeaningDifference(fault, mine.ops(nodes), theirs.ops(against), differs, setting))
    return Meanings(tuple(differences), len(found.alignment.pairs), found.compared, found.unjudged)


class _Side:
    """One framework's graph: its nodes by name, and the constants that a node reads, however far behind."""

    def __init__(self, framework: str, model: Any, weights: Mapping[str, Array]) -> None:
        self.framework, self.version, self._weights = framework, opset(model), weights
        self.nodes = {node_name(node, i): node for i, node in enumerate(model.graph.node)}
        self._graph = graphs_of(model)[0]
        self.bytes = 3 * 8 * sum(elements(tensor) for tensor in model.graph.initializer)

    def ops(self, names: Sequence[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(operator(self.nodes[name]) for name in names if name in self.nodes))

    def fed(self, names: Sequence[str]) -> tuple[str, ...]:
        """The nodes that data reaches: what others compute of constants alone is something that these hold."""
        reached = [n for n in names if n in self.nodes and any(self._behind(o) is None for o in self.nodes[n].output)]
        return tuple(reached or names)

    def likeliest_first(self, named: str, nodes: Sequence[str]) -> tuple[str, ...]:
        """The nodes of a region, the named one first; what only moves data stands behind the last that computes."""
        computing = [name for name in nodes if self.ops([name]) and self.ops([name])[0] not in MOVERS]
        lead = named if named in computing or not computing else computing[-1]
        return tuple(dict.fromkeys([lead, named, *nodes]))

    def settings(self, name: str) -> dict[str, Any]:
        """The attributes of a node that are numbers or text, defaults written out."""
        return {
            key: value
            for key, value in settings(self.nodes[name], self.version).items()
            if isinstance(value, (int, float, str, tuple))
        }

    def has(self, name: str, key: str) -> bool:
        """Whether a node's operator has an attribute of that name at the graph's opset, where it may be an input."""
        return declares(self.nodes[name], self.version, key)

    def numbers(self, names: Sequence[str], attributes: bool = True) -> dict[float, str]:
        """The numbers that nodes hold, each with what it is called: float attributes and constants of one element.

        A constant is called nothing, but for the one that is added to what a root is taken of.
        """
        held = {v.reshape(-1)[0]: self._role(n) for n, v in self.constants(names).items() if _is_number(v)}
        for name in names:
            if attributes and name in self.nodes:
                held |= {value: key for key, value in self.settings(name).items() if isinstance(value, float)}
        return {float(np.float32(value)): role for value, role in held.items()}

    def holders_first(self, names: Sequence[str], number: float) -> tuple[str, ...]:
        """The nodes that hold a number, then the others."""
        return tuple(sorted(names, key=lambda name: number not in self.numbers([name])))

    def _role(self, constant: str) -> str:
        for node in self.nodes.values():
            if node.op_type in ("Add", "Max") and constant in node.input:
                readers = [n.op_type for n in self.nodes.values() if node.output[0] in n.input]
                if readers and set(readers) <= _ROOTS:
                    return "epsilon"
        return ""

    def constants(self, names: Sequence[str]) -> dict[str, Array]:
        """The constants that nodes read, also those that other nodes compute of constants alone, by name."""
        found: dict[str, Array] = {}
        for name in names:
            for read in self.nodes[name].input if name in self.nodes else ():
                found |= self._behind(read) or {}
        return found

    def weights(self, names: Sequence[str]) -> dict[str, Array]:
        """The numbers of the float constants of several elements that nodes read, in an order that no transposition
        changes."""
        read = self.constants(names).items()
        return {n: np.sort(v.reshape(-1).astype(np.float64)) for n, v in read if v.size > 1 and v.dtype.kind == "f"}

    def _behind(self, value: str) -> dict[str, Array] | None:
        """The constants that a value is computed of; None where data reaches it."""
        if value in self._weights:
            try:
                return {value: np.asarray(self._weights[value])}
            except ValueError:  # data that is not there
                return {}
        node = self._graph.producer(value)
        if node is None:
            return {} if not value else None
        tensor = constant_tensor(node)
        if tensor is not None:
            held = array(tensor)
            return {} if held is None else {value: held}
        found: dict[str, Array] = {}
        for read in node.input[:1] if node.op_type == "CastLike" else node.input:  # of its second it reads the type
            behind = self._behind(read)
            if behind is None:
                return None
            found |= behind
        return found if node.input else {}


def structure(left: Path, right: Path) -> tuple[tuple[Difference, ...], Mapping[str, str]] | Failure:
    """What one file has otherwise than another, without what changes no number, and the operators of both by node."""
    try:
        mine, other = viewed(left), viewed(right)
        found = of_effect(mine, other)
    except Exception as error:  # whatever a hostile file does to a reader
        return Failure("refused", " ".join(str(error).split())[:200])
    ops = {place.name: place.op for side in (mine, other) for place in places(side.model)}
    return found, ops


def _differences(
    mine: _Side, nodes: Sequence[str], theirs: _Side, against: Sequence[str], setting: tuple[str, float, float] | None
) -> Iterator[str]:
    """What the nodes of either side hold alone: settings of one operator, numbers, weights.  ``setting`` is said
    already."""
    one, other = ([n for n in names if n in side.nodes] for side, names in ((mine, nodes), (theirs, against)))
    single = len(one) == len(other) == 1 and mine.ops(one) == theirs.ops(other)
    if single:
        yield from _other_settings(mine, one[0], theirs, other[0], setting[0] if setting is not None else "")
    if setting is None:
        numbers = mine.numbers(one, attributes=not single), theirs.numbers(other, attributes=not single)
        yield from _other_numbers(mine, numbers[0], theirs, numbers[1])
    weights = mine.weights(one), theirs.weights(other)
    odd = [
        (side, [n for n, p in weights[i].items() if not any(_alike(p, q) for q in weights[1 - i].values())])
        for i, side in enumerate((mine, theirs))
    ]
    said = [f"{', '.join(names[: _SAID - 1])} of {side.framework}" for side, names in odd if names]
    if said:
        yield f"weights that the other has not: {' and '.join(said)}"


def _other_settings(mine: _Side, node: str, theirs: _Side, other: str, known: str) -> Iterator[str]:
    """The attributes that two nodes of one operator have otherwise, but one that is ``known``."""
    ours, due = mine.settings(node), theirs.settings(other)
    for key in sorted((ours.keys() | due.keys()) - {known}):
        if not _alike(ours.get(key), due.get(key)) and mine.has(node, key) and theirs.has(other, key):
            here, there = _shown(ours.get(key)), _shown(due.get(key))
            yield f"{key} is {here} in {mine.framework}, {there} in {theirs.framework}"


def _other_numbers(mine: _Side, ours: Mapping[float, str], theirs: _Side, due: Mapping[float, str]) -> Iterator[str]:
    """The numbers that only one side has."""
    said = [
        f"{side.framework} alone has {', '.join(f'{numbers[v]} {v:g}'.strip() for v in alone[:_SAID])}"
        for side, numbers, alone in ((mine, ours, _alone(ours, due)), (theirs, due, _alone(due, ours)))
        if alone
    ]
    if said:
        yield "; ".join(said)


def _setting(mine: Mapping[float, str], theirs: Mapping[float, str], same_ops: bool) -> tuple[str, float, float] | None:
    """The one number that two regions were told differently: its name, theirs, mine; None where there are more, or
    where nothing says that it is one."""
    ours, due = _alone(mine, theirs), _alone(theirs, mine)
    if len(ours) != 1 or len(due) != 1:
        return None
    names = {mine[ours[0]], theirs[due[0]]} - {""}
    if len(names) > 1 or not (names or same_ops):
        return None
    return (names.pop() if names else "constant"), due[0], ours[0]


def _alone(numbers: Mapping[float, str], others: Mapping[float, str]) -> list[float]:
    """The numbers that only one side has.  A factor of 1 and a summand of 0 are how an operator is spelled."""
    alone = sorted(numbers.keys() - others.keys())
    return [v for v in alone if numbers[v] or v not in _NEUTRAL]


def _is_number(array: Array) -> bool:
    return bool(array.size == 1 and array.dtype.kind == "f")


def _alike(one: Any, other: Any) -> bool:
    """Whether two settings, or two sets of numbers, are the same up to one float32 rounding each."""
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one.shape == other.shape and bool(np.allclose(one, other, rtol=2.0**-20, atol=0, equal_nan=True))
    if isinstance(one, float) and isinstance(other, float):
        return bool(np.float32(one) == np.float32(other))
    return bool(one == other)


def _shown(value: Any) -> str:
    if value is None:
        return "not set"
    if isinstance(value, tuple):
        return f"[{', '.join(_shown(v) for v in value[:_LONG])}{', …' if len(value) > _LONG else ''}]"
    return f"{value:g}" if isinstance(value, float) else str(value)
