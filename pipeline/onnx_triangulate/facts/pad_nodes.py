"""Pad nodes: what one says, and what those in front of a window add to it.

Design note.  Amounts and axes come from attributes or from constants, also computed ones; what is not known stays
unknown and says what it depends on.  On the way back from a window's input the values keep their numbers but not their
axes (Transpose, Squeeze), and quantized graphs put their nodes in between.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from onnx import NodeProto, TensorProto

from onnx_triangulate.facts.reach import Ints, Unknown
from onnx_triangulate.onnxgraph.graph import Graph, Place
from onnx_triangulate.onnxgraph.nodes import Dims, array, attributes, elements, operator, printable, text
from onnx_triangulate.ops.operator import WindowForm
from onnx_triangulate.ops.window_nodes import is_pad

NUMBERS = ("ceil_mode", "count_include_pad", "channels_last")
NO_RANK = "the rank is not known"
MOST_AXES = 16
_PADDING = frozenset(("pads", "paddings", "mode", "value"))
_MOST_STEPS = 8
_MOST_RANK = 1024
LEAST = {
    TensorProto.INT8: -(2**7),
    TensorProto.UINT8: 0,
    TensorProto.INT16: -(2**15),
    TensorProto.UINT16: 0,
    TensorProto.INT32: -(2**31),
}


def input_of(node: NodeProto, slot: int | None) -> str:
    return node.input[slot] if slot is not None and len(node.input) > slot else ""


def parameters(node: NodeProto) -> frozenset[str]:
    """The attributes of a node in a function body that are parameters of the function."""
    return frozenset([text(a.name) for a in node.attribute if a.ref_attr_name])


def permutation(node: NodeProto) -> Ints | None:
    """The permutation of a Transpose, as far as it is written; whether it is one is for the caller to see."""
    perm: Ints | None = attributes(node).get("perm")
    return perm if well_typed("perm", perm) else None


def well_typed(name: str, value: Any) -> bool:
    """Whether an attribute of a window or a Pad is of the type that ONNX gives it."""
    if name in ("auto_pad", "mode"):
        return isinstance(value, str)
    if name in NUMBERS:
        return isinstance(value, int)
    return isinstance(value, tuple) and all(isinstance(v, int) for v in value)


def words(values: Iterable[int]) -> str:
    """Numbers side by side."""
    return " ".join(str(v) for v in values)


def _scalar(graph: Graph, name: str) -> float | None:
    """A constant of one element."""
    tensor = graph.tensor(name)
    if tensor is None or elements(tensor) != 1:
        return None
    values = array(tensor)
    if values is None or values.size != 1 or values.dtype.kind not in "fiub":
        return None
    return float(values.reshape(-1)[0])


def depends(graph: Graph, name: str, stored: frozenset[str]) -> str:
    """What the amounts in ``name`` depend on, where they are not known."""
    shown, owner = printable(name), graph.owner(name)
    elsewhere = f"depends on {shown}, whose numbers this file keeps elsewhere"
    if owner is None:
        return elsewhere if name in stored else f"depends on {shown}, which nothing in this graph makes"
    if name in owner.tensors:
        return f"depends on {shown}, whose numbers are not readable here"
    if name in owner.input_names:
        if owner.parent is None and name in stored:
            return elsewhere
        return f"depends on the input {shown}" + ("" if owner.path == "" else f" of {printable(owner.path)}")
    return f"depends on {shown}, which {printable(owner.name_of_producer(name))} computes"


def _replaceable(graph: Graph, name: str) -> str:
    """A sentence where a constant is an input of the graph too."""
    both = name in graph.tensors and name in graph.input_names
    return f"the amounts are those stored for {printable(name)}, which is also an input of the graph" if both else ""


@dataclass(frozen=True)
class Padding:
    """What a Pad node says: amounts for each axis of its input, ``None`` where they are not known."""

    begin: Ints | None = None
    end: Ints | None = None
    mode: str = "constant"
    value: float | None = None
    shape: Dims | None = None
    note: str = ""
    condition: str = ""


def padding_of(graph: Graph, node: NodeProto, rank: int | None = None, stored: frozenset[str] = frozenset()) -> Padding:
    """What a Pad node of ``graph`` says.  ``rank`` is that of its input where its shape does not tell; ``stored`` are
    the names of what the file holds numbers for, which is how numbers that were left out are told from inputs."""
    held = attributes(node)
    for name in sorted(parameters(node) & _PADDING):
        return Padding(note=f"{name} is a parameter of the function")
    mode = held.get("mode", "constant")
    if not isinstance(mode, str):
        return Padding(mode="", note="mode is not of the type that ONNX gives it")
    shape = graph.shape(input_of(node, 0))
    try:
        begin, end, notes = _amounts(graph, node, held, rank if shape is None else len(shape), stored)
    except Unknown as unknown:
        return Padding(mode=mode, shape=shape, note=str(unknown), condition=unknown.condition)
    value: float | None = 0.0
    if input_of(node, 2):
        value = _scalar(graph, input_of(node, 2))
    elif isinstance(held.get("value"), int | float):
        value = float(held["value"])
    return Padding(begin, end, mode, value, shape, "; ".join(n for n in notes if n))


def _amounts(
    graph: Graph, node: NodeProto, held: Mapping[str, Any], rank: int | None, stored: frozenset[str]
) -> tuple[Ints, Ints, list[str]]:
    """Begin and end for every axis, and notes.  Raises :class:`Unknown`."""
    written, name = held.get("pads", held.get("paddings")), input_of(node, 1)
    if written is not None and name:
        raise Unknown("pads twice")
    if written is not None and not well_typed("pads", written):
        raise Unknown("pads is not of the type that ONNX gives it")
    amounts = written if written is not None else graph.integers(name)
    if amounts is None:
        raise Unknown("" if name else "no pads", depends(graph, name, stored) if name else "")
    axes = graph.integers(input_of(node, 3)) if input_of(node, 3) else None
    if axes is None and input_of(node, 3):
        raise Unknown("", depends(graph, input_of(node, 3), stored))
    half = len(amounts) // 2
    if len(amounts) != 2 * (half if axes is None else len(axes)):
        raise Unknown(f"pads has {len(amounts)} values")
    notes = [_replaceable(graph, name)] if name else []
    begin, end = amounts[:half], amounts[half:]
    if axes is not None:
        begin, end = _over_all_axes(axes, begin, end, rank)
        notes.append(f"axes {words(axes)}")
    elif rank is not None and half != rank:
        raise Unknown(f"pads has {len(amounts)} values for {rank} axes")
    return begin, end, notes


def _over_all_axes(axes: Ints, begin: Ints, end: Ints, rank: int | None) -> tuple[Ints, Ints]:
    """Amounts for some axes as amounts for all.  Raises :class:`Unknown`."""
    where = f"axes {words(axes)}"
    if rank is None:
        said = f"{where} of a value whose rank is not known: {words(begin)} before, {words(end)} after"
        raise Unknown(NO_RANK, said)
    if rank > _MOST_RANK or any(not -rank <= axis < rank for axis in axes):
        raise Unknown(f"{where} of a value with {rank}")
    first, last = [0] * rank, [0] * rank
    for axis, before, after in zip(axes, begin, end, strict=True):
        first[axis], last[axis] = before, after
    return tuple(first), tuple(last)


@dataclass(frozen=True)
class Before:
    """What Pad nodes in front of a window add to its spatial axes: amounts where they fill in a constant, whether that
    is what the window's own padding would have been, the spatial shape in front of them, and a sentence on each."""

    amounts: tuple[Ints, Ints] | None = None
    exact: bool = False
    size: Dims | None = None
    notes: tuple[str, ...] = ()


def before(place: Place, form: WindowForm, held: dict[str, Any], count: int, last: bool, own: Ints) -> Before:
    """Follow a window's input back through Pads, and through what only renames or permutes values.

    ``count`` is the number of spatial axes, ``last`` says that channels are the last axis, ``own`` are the pads of the
    window itself.
    """
    rank = count + 2
    axes = [0, *range(1, rank - 1), rank - 1] if last else [0, *range(2, rank), 1]
    trail = _Trail(place, form, held, own, list(axes), rank)
    name = place.input(0)
    for _ in range(_MOST_STEPS):
        node = place.graph.producer(name)
        if node is None or not node.input or not trail.follow(node, name):
            return trail.found
        name = node.input[0]
    # Nobody writes so many; whoever did is not told a part of it as the whole.
    return replace(trail.found, amounts=None, notes=(*trail.found.notes[:2], "more Pads feed it than are followed"))


@dataclass
class _Trail:
    """The way back from a window's input.

    ``order`` says where batch, the spatial axes and channels lie in the value at hand, which has ``rank`` axes; None
    where it has no such axis.  ``restored`` is the zero point of a DequantizeLinear whose quantization is yet to come,
    ``rounded`` says that one was not undone: what a Pad fills in behind it is told, not added up.
    """

    place: Place
    form: WindowForm
    held: dict[str, Any]
    own: Ints
    order: list[int | None]
    rank: int
    exact: bool = True
    restored: str | None = None
    rounded: bool = False
    found: Before = field(default_factory=Before)

    def follow(self, node: NodeProto, name: str) -> bool:
        """Take in the node that makes ``name``; whether the way goes on behind it."""
        if is_pad(node):
            return self.restored is None and self.pad(node, name)
        step = _STEPS.get(operator(node))
        return step is not None and step(self, node)

    def same(self, node: NodeProto) -> bool:
        return True

    def blocked(self, node: NodeProto) -> bool:
        """Channels in blocks, the axes as before."""
        return not attributes(node).get("channels_last")

    def transpose(self, node: NodeProto) -> bool:
        perm = permutation(node)
        if perm is None or sorted(perm) != list(range(self.rank)):
            return False
        self.order = [None if axis is None else perm[axis] for axis in self.order]
        return True

    def ones(self, node: NodeProto) -> bool:
        """An Unsqueeze or Squeeze."""
        read = _without_ones(self.place.graph, node, self.rank)
        if read is None:
            return False
        axes, self.rank = read
        self.order = [None if axis is None else axes[axis] for axis in self.order]
        return True

    def dequantize(self, node: NodeProto) -> bool:
        if self.restored is not None:
            return False
        self.restored = input_of(node, 2)
        return True

    def quantize(self, node: NodeProto) -> bool:
        if self.restored is None:
            self.rounded = True
            return True
        if self.restored != input_of(node, 2):
            return False
        # Zero is stored without an error, if both go by one zero point.
        self.restored = None
        self.exact = self.exact and self.form.like != "MaxPool"
        return True

    def round(self, node: NodeProto) -> bool:
        self.rounded = True
        return self.restored is None

    def pad(self, node: NodeProto, name: str) -> bool:
        """Add a Pad's amounts to what was found, where they are a constant's on spatial axes."""
        graph, found, order = self.place.graph, self.found, self.order
        padding = padding_of(graph, node, self.rank)
        label = printable(graph.name_of_producer(name))
        if padding.begin is None or padding.end is None or len(padding.begin) != self.rank:
            notes = (*found.notes, f"a Pad ({label}) feeds it, its amounts are not constant")
            self.found = replace(found, notes=notes)
            return False
        first = tuple([0 if axis is None else padding.begin[axis] for axis in order])
        end = tuple([0 if axis is None else padding.end[axis] for axis in order])
        kind = "" if padding.mode == "constant" else f" ({printable(padding.mode)})"
        said = f"a Pad ({label}) feeds it: {words(first[1:-1])} before, {words(end[1:-1])} after{kind}"
        elsewhere = any(padding.begin[a] or padding.end[a] for a in range(self.rank) if a not in order)
        if self.rounded or elsewhere or padding.mode != "constant" or any((first[0], first[-1], end[0], end[-1])):
            self.found = replace(found, notes=(*found.notes, said))
            return False
        more = found.amounts or ((0,) * (len(order) - 2), (0,) * (len(order) - 2))
        self.exact = self.exact and self._is_own(padding.value) and min(*first, *end) >= 0
        shape = padding.shape
        size = None if shape is None else tuple([1 if axis is None else shape[axis] for axis in order[1:-1]])
        amounts = (_sum(more[0], first[1:-1]), _sum(more[1], end[1:-1]))
        self.found = Before(amounts, self.exact, size, (*found.notes, said))
        return True

    def _is_own(self, value: float | None) -> bool:
        """Whether a constant of ``value`` in front of the window is what its own padding would have been."""
        graph, window, form = self.place.graph, self.place, self.form
        if value is None or form.like in ("ConvTranspose", "MaxUnpool"):
            return False
        if form.like == "MaxPool":
            kind = graph.type(window.input(0))
            least = LEAST.get(kind) if kind is not None else None
            return value == -math.inf or (least is not None and value == least)
        if form.like == "AveragePool" and self.held.get("count_include_pad") != 1 and any(self.own):
            return False
        return value == (_scalar(graph, window.input(form.zero)) if window.input(form.zero) else 0.0)


_STEPS: Mapping[str, Callable[[_Trail, NodeProto], bool]] = {
    "Identity": _Trail.same,
    "Transpose": _Trail.transpose,
    "Unsqueeze": _Trail.ones,
    "Squeeze": _Trail.ones,
    "com.microsoft.nchwc.ReorderInput": _Trail.blocked,
    "DequantizeLinear": _Trail.dequantize,
    "QuantizeLinear": _Trail.quantize,
    "DynamicQuantizeLinear": _Trail.round,
}


def _without_ones(graph: Graph, node: NodeProto, rank: int) -> tuple[list[int | None], int] | None:
    """Where each axis of what an Unsqueeze or Squeeze makes lies in what it reads, and the rank of that."""
    held = attributes(node)
    axes = held["axes"] if "axes" in held else graph.integers(input_of(node, 1))
    if not axes or not well_typed("axes", axes) or parameters(node):
        return None
    added = text(node.op_type) == "Unsqueeze"
    whole = rank if added else rank + len(axes)
    gone = {axis % whole for axis in axes if -whole <= axis < whole}
    if len(gone) != len(axes) or whole > MOST_AXES + 2:
        return None
    kept = [axis for axis in range(whole) if axis not in gone]
    if not added:
        return list(kept), whole
    return [kept.index(axis) if axis not in gone else None for axis in range(whole)], len(kept)


def _sum(left: Ints, right: Ints) -> Ints:
    return tuple(a + b for a, b in zip(left, right, strict=True))
