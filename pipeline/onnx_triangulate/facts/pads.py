"""The effective padding of every node that slides a window or pads.

Design note.  ``auto_pad``, ``output_shape`` and ``ceil_mode`` are ways of not saying how much is padded; this module
says it, by the formulas of ONNX's operator specification (Conv-22, ConvTranspose-22, MaxPool-22).  With dk = (k-1)*d+1:

* Conv and pools, SAME_*: out = ceil(in / s), total = max(0, (out-1)*s + dk - in).  SAME_UPPER puts the odd one after,
  SAME_LOWER before.  Where the size is not known, ``facts.reach`` says what is known all the same.
* ConvTranspose, SAME_* or ``output_shape``: total = s*(in-1) + output_padding + dk - out, where out is ``output_shape``
  or in * s.  SAME_UPPER puts the odd one after; *everything else, NOTSET too,* before.  A negative total pads nothing
  and adds rows after instead.

Begin and end are what the node is told to pad (ConvTranspose: to cut); what ``output_padding`` adds is ``extra``.  A
Pad node that feeds a window is folded into it where what it fills in is what the window would have: zero (a quantized
value's zero point), and no number at all for MaxPool.  Quantized and fused operators are a table: which operator of
ONNX's they are like, where their weight is, and which axis is the channels'.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from operator import attrgetter
from typing import Any, TypeVar

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto

from onnx_triangulate.facts import spellings
from onnx_triangulate.facts.reach import (
    POOLS,
    Ints,
    Unknown,
    Window,
    cut_condition,
    same,
    same_condition,
    split,
    unread_condition,
)
from onnx_triangulate.onnxgraph.graph import Graph, Place, places
from onnx_triangulate.onnxgraph.nodes import Dims, array, attributes, elements, in_onnx, operator, printable, text
from onnx_triangulate.onnxgraph.shapes import with_inferred_shapes
from onnx_triangulate.ops.operator import WindowForm
from onnx_triangulate.ops.window_ops import form_of, is_pad
from onnx_triangulate.records.graphs import Pads

__all__ = ["Window", "pads", "pads_in", "slides", "windows", "windows_in"]


_RELEVANT = ("pads", "auto_pad", "strides", "dilations", "kernel_shape", "output_padding", "output_shape", "ceil_mode")
_NUMBERS = ("ceil_mode", "count_include_pad", "channels_last")
_Read = TypeVar("_Read", Window, Pads)
_READ = tuple(dict.fromkeys((*_RELEVANT, *_NUMBERS)))
_PADDING = frozenset(("pads", "paddings", "mode", "value"))
_MOST_AXES = 16
_MOST_STEPS = 8
_NO_RANK = "the rank is not known"
_KEEP_SHAPE = ("Identity", "DequantizeLinear", "QuantizeLinear", "Cast")


def _per_axis(held: dict[str, Any], name: str, count: int, default: int) -> Ints:
    values: Ints = tuple(held.get(name, ())) or (default,) * count
    if len(values) != count:
        raise Unknown(f"{name} has {len(values)} values for {count} spatial axes")
    return values


def _spatial(dims: Dims | None, last: bool = False) -> Dims | None:
    if dims is None or len(dims) < 3:
        return None
    return dims[1:-1] if last else dims[2:]


def _input(node: NodeProto, slot: int | None) -> str:
    return node.input[slot] if slot is not None and len(node.input) > slot else ""


def _parameters(node: NodeProto) -> frozenset[str]:
    """The attributes of a node in a function body that are parameters of the function."""
    return frozenset([text(a.name) for a in node.attribute if a.ref_attr_name])


def _perm(node: NodeProto) -> Ints | None:
    """The permutation of a Transpose, as far as it is written; whether it is one is for the caller to see."""
    perm: Ints | None = attributes(node).get("perm")
    return perm if _well_typed("perm", perm) else None


def _weight_shape(graph: Graph, name: str) -> Dims | None:
    """The shape of a weight, also behind the nodes of a quantized graph that keep it and behind a Transpose."""
    perms: list[Ints] = []
    for _ in range(_MOST_STEPS):
        shape = graph.shape(name)
        if shape is not None:
            for perm in reversed(perms):
                if sorted(perm) != list(range(len(shape))):
                    return None
                shape = tuple(shape[axis] for axis in perm)
            return shape
        node = graph.producer(name)
        if node is None or not in_onnx(node) or not node.input:
            return None
        if node.op_type == "Transpose":
            moved = _perm(node)
            if moved is None:
                return None
            perms.append(moved)
        elif node.op_type not in _KEEP_SHAPE:
            return None
        name = node.input[0]
    return None


def _data_shape(graph: Graph, name: str) -> Dims | None:
    """The shape of a window's input, also where ONNX Runtime has reordered its channels."""
    shape, node = graph.shape(name), graph.producer(name)
    if shape is not None or node is None or not node.input:
        return shape
    blocked = text(node.domain) == "com.microsoft.nchwc" and text(node.op_type) == "ReorderInput"
    return graph.shape(node.input[0]) if blocked and not attributes(node).get("channels_last") else None


def _kernel(place: Place, form: WindowForm, held: dict[str, Any]) -> Ints | None:
    if held.get("kernel_shape"):
        return tuple(held["kernel_shape"])
    name = place.input(form.weight)
    shape = _spatial(_weight_shape(place.graph, name)) if name else None
    if shape is None:
        return None
    known = tuple(d for d in shape if d is not None)
    return known if len(known) == len(shape) else None


def _scalar(graph: Graph, name: str) -> float | None:
    """A constant of one element."""
    tensor = graph.tensor(name)
    if tensor is None or elements(tensor) != 1:
        return None
    values = array(tensor)
    if values is None or values.size != 1 or values.dtype.kind not in "fiub":
        return None
    return float(values.reshape(-1)[0])


def _depends(graph: Graph, name: str, stored: frozenset[str]) -> str:
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
class _Padding:
    """What a Pad node says: amounts for each of its ``axes``, all of them where the rank is known."""

    begin: Ints | None = None
    end: Ints | None = None
    mode: str = "constant"
    value: float | None = None
    shape: Dims | None = None
    note: str = ""
    condition: str = ""


def _padding(graph: Graph, node: NodeProto, rank: int | None = None, stored: frozenset[str] = frozenset()) -> _Padding:
    held = attributes(node)
    for name in sorted(_parameters(node) & _PADDING):
        return _Padding(note=f"{name} is a parameter of the function")
    mode = held.get("mode", "constant")
    if not isinstance(mode, str):
        return _Padding(mode="", note="mode is not of the type that ONNX gives it")
    shape = graph.shape(_input(node, 0))
    if shape is not None:
        rank = len(shape)
    unknown = _Padding(mode=mode, shape=shape)
    written = held.get("pads", held.get("paddings"))
    name = _input(node, 1)
    if written is not None and (name or not _well_typed("pads", written)):
        return replace(unknown, note="pads is not of the type that ONNX gives it" if not name else "pads twice")
    amounts = written if written is not None else graph.integers(name)
    if amounts is None:
        said = _depends(graph, name, stored) if name else ""
        return replace(unknown, note="" if name else "no pads", condition=said)
    notes = [_replaceable(graph, name)] if name else []
    axes: Ints | None = None
    if _input(node, 3):
        axes = graph.integers(_input(node, 3))
        if axes is None:
            return replace(unknown, condition=_depends(graph, _input(node, 3), stored))
    if len(amounts) != 2 * (len(amounts) // 2 if axes is None else len(axes)):
        return replace(unknown, note=f"pads has {len(amounts)} values")
    half = len(amounts) // 2
    if axes is None:
        if rank is not None and half != rank:
            return replace(unknown, note=f"pads has {len(amounts)} values for {rank} axes")
        begin, end = amounts[:half], amounts[half:]
    else:
        where = f"axes {_words(axes)}"
        if rank is None:
            said = f"{where} of a value whose rank is not known: {_words(amounts[:half])} before, "
            return replace(unknown, note=_NO_RANK, condition=said + f"{_words(amounts[half:])} after")
        if rank > 1024 or any(not -rank <= axis < rank for axis in axes):
            return replace(unknown, note=f"{where} of a value with {rank}")
        first, last = [0] * rank, [0] * rank
        for position, axis in enumerate(axes):
            first[axis], last[axis] = amounts[position], amounts[position + half]
        begin, end = tuple(first), tuple(last)
        notes.append(where)
    value: float | None = 0.0
    if _input(node, 2):
        value = _scalar(graph, _input(node, 2))
    elif isinstance(held.get("value"), int | float):
        value = float(held["value"])
    return _Padding(begin, end, mode, value, shape, "; ".join(n for n in notes if n))


def _filled(
    graph: Graph, window: Place, form: WindowForm, held: dict[str, Any], value: float | None, own: Ints
) -> bool:
    """Whether a constant of ``value`` in front of a window is what its own padding would have been."""
    if value is None or form.like in ("ConvTranspose", "MaxUnpool"):
        return False
    if form.like == "MaxPool":
        kind = graph.type(window.input(0))
        least = _LEAST.get(kind) if kind is not None else None
        return value == -math.inf or (least is not None and value == least)
    if form.like == "AveragePool" and held.get("count_include_pad") != 1 and any(own):
        return False
    zero: float | None = 0.0
    if window.input(form.zero):
        zero = _scalar(graph, window.input(form.zero))
    return value == zero


_LEAST = {
    TensorProto.INT8: -(2**7),
    TensorProto.UINT8: 0,
    TensorProto.INT16: -(2**15),
    TensorProto.UINT16: 0,
    TensorProto.INT32: -(2**31),
}


@dataclass(frozen=True)
class _Before:
    """What Pad nodes in front of a window add to its spatial axes: amounts where they fill in a constant, whether that
    is what the window's own padding would have been, the spatial shape in front of them, and a sentence on each."""

    amounts: tuple[Ints, Ints] | None = None
    exact: bool = False
    size: Dims | None = None
    notes: tuple[str, ...] = ()


def _before(place: Place, form: WindowForm, held: dict[str, Any], count: int, last: bool, own: Ints) -> _Before:
    """Follow a window's input back through Pads, and through what only renames or permutes values."""
    graph, name, rank = place.graph, place.input(0), count + 2
    axes = [0, *range(1, rank - 1)] if last else [0, *range(2, rank)]
    channel = rank - 1 if last else 1
    # Batch, the spatial axes, channels: where each lies in the value at hand, None where that has no such axis.
    order: list[int | None] = [*axes, channel]
    found, exact = _Before(), True
    restored: str | None = None
    rounded = False  # behind a quantization that is not undone: what a Pad fills in is told, not added up
    for _ in range(_MOST_STEPS):
        node = graph.producer(name)
        if node is None or not node.input:
            return found
        op = operator(node)
        if op == "Identity":
            pass
        elif op == "Transpose":
            perm = _perm(node)
            if perm is None or sorted(perm) != list(range(rank)):
                return found
            order = [None if axis is None else perm[axis] for axis in order]
        elif op in ("Unsqueeze", "Squeeze"):
            before = _without_ones(graph, node, rank)
            if before is None:
                return found
            places, rank = before
            order = [None if axis is None else places[axis] for axis in order]
        elif op == "com.microsoft.nchwc.ReorderInput" and not attributes(node).get("channels_last"):
            pass  # channels in blocks, the axes as before
        elif op == "DequantizeLinear" and restored is None:
            restored = _input(node, 2)
        elif op == "QuantizeLinear" and restored == _input(node, 2):
            # Zero is stored without an error, if both go by one zero point.
            restored = None
            exact = exact and form.like != "MaxPool"
        elif op in ("QuantizeLinear", "DynamicQuantizeLinear") and restored is None:
            rounded = True
        elif is_pad(node) and restored is None:
            padding = _padding(graph, node, rank)
            label = printable(graph.name_of_producer(name))
            if padding.begin is None or padding.end is None or len(padding.begin) != rank:
                return replace(found, notes=(*found.notes, f"a Pad ({label}) feeds it, its amounts are not constant"))
            first = tuple([0 if axis is None else padding.begin[axis] for axis in order])
            end = tuple([0 if axis is None else padding.end[axis] for axis in order])
            elsewhere = any(padding.begin[a] or padding.end[a] for a in range(rank) if a not in order)
            kind = "" if padding.mode == "constant" else f" ({printable(padding.mode)})"
            said = f"a Pad ({label}) feeds it: {_words(first[1:-1])} before, {_words(end[1:-1])} after{kind}"
            notes = (*found.notes, said)
            if rounded or elsewhere or padding.mode != "constant" or first[0] or first[-1] or end[0] or end[-1]:
                return replace(found, notes=notes)
            more = found.amounts or ((0,) * count, (0,) * count)
            amounts = (_sum(more[0], first[1:-1]), _sum(more[1], end[1:-1]))
            exact = exact and _filled(graph, place, form, held, padding.value, own) and min(*first, *end) >= 0
            shape = padding.shape
            size = None if shape is None else tuple([1 if axis is None else shape[axis] for axis in order[1:-1]])
            found = _Before(amounts, exact, size, notes)
        else:
            return found
        name = node.input[0]
    # Nobody writes so many; whoever did is not told a part of it as the whole.
    return replace(found, amounts=None, notes=(*found.notes[:2], "more Pads feed it than are followed"))


def _without_ones(graph: Graph, node: NodeProto, rank: int) -> tuple[list[int | None], int] | None:
    """Where each axis of what an Unsqueeze or Squeeze makes lies in what it reads, and the rank of that."""
    held = attributes(node)
    axes = held["axes"] if "axes" in held else graph.integers(_input(node, 1))
    if not axes or not _well_typed("axes", axes) or _parameters(node):
        return None
    added = text(node.op_type) == "Unsqueeze"
    whole = rank if added else rank + len(axes)
    gone = {axis % whole for axis in axes if -whole <= axis < whole}
    if len(gone) != len(axes) or whole > _MOST_AXES + 2:
        return None
    kept = [axis for axis in range(whole) if axis not in gone]
    if not added:
        return list(kept), whole
    return [kept.index(axis) if axis not in gone else None for axis in range(whole)], len(kept)


def _sum(left: Ints, right: Ints) -> Ints:
    return tuple(a + b for a, b in zip(left, right, strict=True))


def _words(values: Sequence[int]) -> str:
    return " ".join(str(v) for v in values)


def _transposed(
    auto_pad: str, held: dict[str, Any], size: Dims, spans: Ints, strides: Ints, count: int, notes: list[str]
) -> dict[str, Any]:
    """ConvTranspose's begin, end and extra from ``output_shape`` or ``auto_pad``."""
    adds = _per_axis(held, "output_padding", count, 0)
    wanted = tuple(held.get("output_shape", ()))
    if len(wanted) == count + 2:
        wanted = wanted[2:]
    if wanted and len(wanted) != count:
        raise Unknown(f"output_shape has {len(wanted)} values for {count} spatial axes")
    begin, end, extra, grown = [], [], [], False
    if wanted and None in size:
        rests = [adds[a] + spans[a] - wanted[a] - strides[a] for a in range(count)]
        side = "after" if auto_pad == "SAME_UPPER" else "before"
        depends = f"cut, nothing where that is negative, the odd one {side}: {cut_condition(size, strides, rests)}"
        raise Unknown("the input's size is not known", depends)
    for axis in range(count):
        if wanted:
            total = strides[axis] * ((size[axis] or 0) - 1) + adds[axis] + spans[axis] - wanted[axis]
        else:
            total = spans[axis] + adds[axis] - strides[axis]
        grown |= total < 0
        first, last = split(max(0, total), auto_pad == "SAME_UPPER")
        begin.append(first)
        end.append(last)
        extra.append(adds[axis] - min(0, total))
    if grown:
        unlike = "" if wanted else " (ONNX Runtime adds none)"
        notes.append(f"the output asked for is larger than the windows reach: rows are added after{unlike}")
    return {
        "begin": tuple(begin),
        "end": tuple(end),
        "extra": tuple(extra),
        "agreed": bool(wanted) or not grown,
    }


def _well_typed(name: str, value: Any) -> bool:
    if name in ("auto_pad", "mode"):
        return isinstance(value, str)
    if name in _NUMBERS:
        return isinstance(value, int)
    return isinstance(value, tuple) and all(isinstance(v, int) for v in value)


def _resolve(place: Place, form: WindowForm, stored: frozenset[str]) -> tuple[Window, bool]:
    """A node's window, and whether a Pad in front is what its own padding would have been."""
    graph, held = place.graph, place.attributes
    wrong = [name for name, value in held.items() if name in _READ and not _well_typed(name, value)]
    if wrong:
        note = f"{wrong[0]} is not of the type that ONNX gives it"
        return Window(place.name, place.op, "NOTSET", like=form.like, note=note), False
    group = held.get("group", 1)
    about: dict[str, Any] = {
        "node": place.name,
        "op": place.op,
        "auto_pad": held.get("auto_pad") or "NOTSET",
        "like": form.like,
        "ceil": bool(held.get("ceil_mode")) and form.like in POOLS,
        "counted": bool(held.get("count_include_pad")) and form.like == "AveragePool",
        "group": group if isinstance(group, int) else 1,
    }
    taken = _parameters(place.node)
    for name in _READ if taken else ():
        if name in taken:
            return Window(**about, note=f"{name} is a parameter of the function"), False
    last = bool(held.get("channels_last")) if form.last is None else form.last
    kernel = _kernel(place, form, held)
    shape = _spatial(_data_shape(graph, place.input(0)), last)
    given: Ints = tuple(held.get("pads", ()))
    if place.input(form.amounts):
        dynamic = graph.integers(place.input(form.amounts))
        if dynamic is None:
            said = _depends(graph, place.input(form.amounts), stored)
            return Window(**about, kernel=kernel, note="the amounts are not constant", condition=said), False
        given = dynamic
    candidates = (kernel, tuple(held.get("strides", ())), tuple(held.get("dilations", ())), given[::2], shape)
    count = next((len(c) for c in candidates if c), 0)
    if not 0 < count <= _MOST_AXES:
        return Window(**about, kernel=kernel, note="the number of spatial axes is not known"), False
    try:
        return _known_rank(about, place, form, held, kernel, shape, given, count, last)
    except Unknown as missing:
        return Window(**about, kernel=kernel, size=shape, note=str(missing), condition=missing.condition), False


def _known_rank(
    about: dict[str, Any],
    place: Place,
    form: WindowForm,
    held: dict[str, Any],
    kernel: Ints | None,
    shape: Dims | None,
    given: Ints,
    count: int,
    last: bool,
) -> tuple[Window, bool]:
    strides, dilations = _per_axis(held, "strides", count, 1), _per_axis(held, "dilations", count, 1)
    if min(strides) < 1 or min(dilations) < 1:
        raise Unknown("strides and dilations must be positive")
    if kernel is not None and len(kernel) != count:
        raise Unknown(f"the kernel has {len(kernel)} axes, other attributes {count}")
    if kernel is not None and min(kernel) < 1:
        raise Unknown("the kernel's sizes must be positive")
    size = shape if shape is not None and len(shape) == count else (None,) * count
    auto_pad, transposed, pool = about["auto_pad"], form.like == "ConvTranspose", form.like in POOLS
    if auto_pad not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
        raise Unknown(f"auto_pad {printable(auto_pad)!r} is not one that ONNX defines")
    explicit = auto_pad in ("NOTSET", "VALID") and not (transposed and held.get("output_shape"))
    own = given if explicit and auto_pad == "NOTSET" else () if explicit else (1,)
    front = _before(place, form, held, count, last, own)
    told = {**about, "kernel": kernel, "strides": strides, "dilations": dilations, "size": size}
    notes: list[str] = []
    if form.like == "MaxUnpool" and place.input(2):
        notes.append("the size of the output is an input")
        told["agreed"] = False
    if form.like == "MaxPool":
        kind = place.graph.type(place.input(0))
        if kind in _LEAST:
            told["filler"] = str(_LEAST[kind])
    known = True
    try:
        if explicit:
            told |= _explicit(about, held, given, count, notes)
        elif kernel is None:
            raise Unknown("the kernel's size is not known")
        else:
            spans = tuple([(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)])
            if transposed:
                told |= _transposed(auto_pad, held, size, spans, strides, count, notes)
            else:
                begin, end = _same(size, strides, spans, auto_pad == "SAME_UPPER", pool)
                told |= {"begin": begin, "end": end}
                if pool and max(dilations) > 1:
                    told["agreed"] = False
                    notes.append("runtimes are known to leave the dilation of a pool out of auto_pad, against ONNX")
    except Unknown as unknown:
        known = False
        notes.append(str(unknown))
        told["condition"] = unknown.condition
    if known:
        notes += _beside(about, held, given)
        notes += _rounded_up(Window(**told)) if about["ceil"] else ()
    notes += front.notes
    if front.amounts is not None and form.like not in ("ConvTranspose", "MaxUnpool"):
        told["before"] = front.amounts
        if known:
            told["size"] = front.size or (None,) * count
    return Window(**told, note="; ".join(notes)), front.exact


def _same(size: Dims, strides: Ints, spans: Ints, upper: bool, pool: bool) -> tuple[Ints, Ints]:
    """What SAME pads before and after, per axis."""
    both = []
    for axis, span in enumerate(spans):
        try:
            both.append(same(size[axis], strides[axis], span, upper, pool))
        except Unknown as unknown:
            condition = same_condition(size, strides, spans, upper, pool) if size[axis] is None else ""
            raise Unknown(str(unknown), condition) from None
    return tuple([b for b, _ in both]), tuple([e for _, e in both])


def _explicit(about: dict[str, Any], held: dict[str, Any], given: Ints, count: int, notes: list[str]) -> dict[str, Any]:
    amounts = given if given and about["auto_pad"] == "NOTSET" else (0,) * (2 * count)
    if len(amounts) != 2 * count:
        raise Unknown(f"pads has {len(amounts)} values for {count} spatial axes")
    if min(amounts) < 0:
        notes.append("negative pads, which ONNX does not define")
    extra = _per_axis(held, "output_padding", count, 0) if about["like"] == "ConvTranspose" else None
    return {"begin": amounts[:count], "end": amounts[count:], "extra": extra}


def _beside(about: dict[str, Any], held: dict[str, Any], given: Ints) -> list[str]:
    """What else there is to say about the attributes of a node whose padding is known."""
    notes, transposed = [], about["like"] == "ConvTranspose"
    if transposed and any(held.get("output_padding", ())):
        notes.append(f"output_padding {_words(held['output_padding'])}")
    if any(given) and (about["auto_pad"] != "NOTSET" or (transposed and held.get("output_shape"))):
        notes.append(f"pads {_words(given)} written beside it are ignored")
    return notes


def _rounded_up(window: Window) -> list[str]:
    """What ``ceil_mode`` comes to."""
    if window.auto_pad == "NOTSET":
        over = window.overhang
        if over is None or None in over:
            return ["ceil_mode: the last window may reach beyond the end"]
        if any(over):
            return [f"ceil_mode: the last window reaches {_words([n or 0 for n in over])} beyond the end"]
    if window.auto_pad == "VALID" and (window.output is None or None in window.output):
        return ["ceil_mode beside VALID: ONNX ignores it, ONNX Runtime does not"]
    return []


def slides(place: Place) -> bool:
    """Whether a node slides a window whose padding this module reads."""
    return form_of(place.node) is not None


def windows_in(found: Iterable[Place], stored: frozenset[str] = frozenset()) -> tuple[Window, ...]:
    """Every sliding-window node among ``found`` in numbers.  ``stored`` are the names of what the file holds numbers
    for, which is how numbers that were left out are told from inputs."""
    return read_in(found, stored)[0]


def _settled(
    model: ModelProto, read: Callable[[Iterable[Place], frozenset[str]], tuple[_Read, ...]]
) -> tuple[_Read, ...]:
    """What is read of a model's nodes, with inferred shapes only where something cannot be known without."""
    stored = stored_in(model)
    found = read(places(model), stored)
    if all(row.begin is not None or (row.op == "Pad" and not row.note.endswith(_NO_RANK)) for row in found):
        return found
    inferred = with_inferred_shapes(model)
    if inferred is None:
        return found
    again = read(places(inferred), stored)
    return again if [row.node for row in again] == [row.node for row in found] else found


def stored_in(model: ModelProto) -> frozenset[str]:
    """The names of the main graph's initializers."""
    return frozenset(t.name for t in model.graph.initializer)


def windows(model: ModelProto) -> tuple[Window, ...]:
    """Every sliding-window node of the model in numbers, in the file's order."""
    return _settled(model, windows_in)


def pads(model: ModelProto) -> tuple[Pads, ...]:
    """The effective padding of every convolution, pool and Pad of the model, quantized and fused ones, subgraphs and
    local functions included, in the file's order."""
    return _settled(model, pads_in)


def pads_in(found: Iterable[Place], stored: frozenset[str] = frozenset()) -> tuple[Pads, ...]:
    """As :func:`pads`, of nodes that are in place already; ``stored`` as in :func:`windows_in`."""
    return read_in(found, stored)[1]


def read_in(found: Iterable[Place], stored: frozenset[str]) -> tuple[tuple[Window, ...], tuple[Pads, ...]]:
    """The windows and the rows of pads of ``found``, each node read once."""
    read, rows = [], []
    alike: dict[object, Pads] = {}  # networks repeat: what numbers come to is worked out once for all their windows
    for place in found:
        form = form_of(place.node)
        if form is not None:
            window, exact = _resolve(place, form, stored)
            read.append(window)
            numbers = (_NUMBERS_OF(window), exact)
            if numbers not in alike:
                alike[numbers] = _row(window, exact)
            rows.append(replace(alike[numbers], node=window.node, note=window.note))
        elif is_pad(place.node):
            rows.append(_pad_row(place, stored))
    return tuple(read), tuple(rows)


_NUMBERS_OF = attrgetter(*(f.name for f in fields(Window) if f.name not in ("node", "note")))


def _alone(window: Window) -> Window:
    """The window without what a Pad in front adds: its input is what the Pad makes."""
    if window.before is None:
        return window
    sizes = window.size or (None,) * len(window.before[0])
    padded = tuple(
        None if n is None else n + b + e for n, b, e in zip(sizes, window.before[0], window.before[1], strict=True)
    )
    return replace(window, before=None, size=padded if window.begin is not None else window.size)


def _row(window: Window, exact: bool) -> Pads:
    whole = window if exact else _alone(window)
    total = whole.total if whole.before is not None else None
    spelled = whole
    if total is not None and whole.like == "AveragePool" and not whole.counted:
        # Zeros of a Pad count in the average; the node's own padding, of which there is none, would not.
        spelled = replace(whole, counted=True)
    elif whole.before is not None and total is None:
        spelled = replace(whole, condition="")
    said = (window.condition, unread_condition(whole))
    return Pads(
        node=window.node,
        op=window.op,
        begin=window.begin,
        end=window.end,
        auto_pad=text(window.auto_pad),
        symmetric=None if window.begin is None else window.begin == window.end,
        note=window.note,
        extra=window.extra,
        with_pad=total,
        unread=whole.unread,
        overhang=whole.overhang if whole.ceil else None,
        offset=whole.offset,
        torch=spellings.torch(spelled),
        keras=spellings.keras(spelled),
        condition="; ".join(s for s in said if s),
    )


def _number(value: float | None) -> str:
    """A constant as Python writes it; empty where it is not known."""
    if value is None:
        return ""
    if not math.isfinite(value):
        return f"float('{value}')"
    return str(int(value)) if value == int(value) and abs(value) < 2**53 else repr(float(np.float32(value)))


def _pad_row(place: Place, stored: frozenset[str]) -> Pads:
    read = _padding(place.graph, place.node, None, stored)
    notes = [f"mode {printable(read.mode)}"]
    value = _number(read.value)
    if read.mode == "constant" and read.begin is not None and value != "0":
        notes.append(f"fills in {value or 'what is not constant'}")
    notes.append(read.note)
    known = read.begin is not None and read.end is not None
    return Pads(
        node=place.name,
        op=place.op,
        begin=read.begin,
        end=read.end,
        auto_pad="NOTSET",
        symmetric=read.begin == read.end if known else None,
        note="; ".join(n for n in notes if n),
        torch=spellings.torch_pad(read.begin or (), read.end or (), read.mode, value, read.shape) if known else None,
        keras=spellings.keras_pad(read.begin or (), read.end or (), read.mode, value, read.shape) if known else None,
        condition=read.condition,
    )
