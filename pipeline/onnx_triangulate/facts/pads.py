"""The effective padding of every node that slides a window or pads.

Design note.  ``auto_pad``, ``output_shape`` and ``ceil_mode`` are ways of not saying how much is padded; this module
says it, by the formulas of ONNX's operator specification (Conv-22, ConvTranspose-22, MaxPool-22).  With dk = (k-1)*d+1:

* Conv and pools, SAME_*: out = ceil(in / s), total = max(0, (out-1)*s + dk - in).  SAME_UPPER puts the odd one after,
  SAME_LOWER before.  Where the size is not known, ``facts.receptive_field`` says what is known all the same.
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
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from operator import attrgetter
from typing import Any, TypeVar

import numpy as np
from onnx import ModelProto

from onnx_triangulate.cases.same_padding import split_pads
from onnx_triangulate.facts import spellings
from onnx_triangulate.facts.pad_nodes import (
    LEAST,
    MOST_AXES,
    NO_RANK,
    NUMBERS,
    before,
    depends,
    padding_of,
    parameters,
    permutation,
    well_typed,
    words,
)
from onnx_triangulate.facts.receptive_field import (
    POOLS,
    Ints,
    Unknown,
    Window,
    cut_condition,
    same,
    same_condition,
    unread_condition,
)
from onnx_triangulate.onnxgraph.graph import Graph, Place, places
from onnx_triangulate.onnxgraph.inference import with_inferred_shapes
from onnx_triangulate.onnxgraph.nodes import Dims, attributes, in_onnx, printable, text
from onnx_triangulate.ops.operator import WindowForm
from onnx_triangulate.ops.window_nodes import form_of, is_pad
from onnx_triangulate.records.graphs import Pads

__all__ = ["Window", "pads", "read_in", "stored_in", "windows"]

_RELEVANT = ("pads", "auto_pad", "strides", "dilations", "kernel_shape", "output_padding", "output_shape", "ceil_mode")
_Read = TypeVar("_Read", Window, Pads)
_Both = tuple[tuple[Window, ...], tuple[Pads, ...]]
_READ = tuple(dict.fromkeys((*_RELEVANT, *NUMBERS)))
_MOST_STEPS = 8
_KEEP_SHAPE = ("Identity", "DequantizeLinear", "QuantizeLinear", "Cast")


def _spatial(dims: Dims | None, last: bool = False) -> Dims | None:
    if dims is None or len(dims) < 3:
        return None
    return dims[1:-1] if last else dims[2:]


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
            moved = permutation(node)
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


@dataclass(frozen=True)
class _Settings:
    """What the attributes of a window say: the ``kernel``, the input's spatial ``shape``, the ``pads`` that are
    written, the ``count`` of spatial axes, and whether channels are the ``last`` axis."""

    place: Place
    form: WindowForm
    kernel: Ints | None
    shape: Dims | None
    pads: Ints
    count: int
    last: bool

    @property
    def held(self) -> dict[str, Any]:
        return self.place.attributes

    @property
    def auto_pad(self) -> str:
        return self.held.get("auto_pad") or "NOTSET"

    @property
    def transposed(self) -> bool:
        return self.form.like == "ConvTranspose"

    @property
    def explicit(self) -> bool:
        """Whether the padding is what is written, or none; elsewhere it follows from the sizes."""
        return self.auto_pad in ("NOTSET", "VALID") and not (self.transposed and self.held.get("output_shape"))

    def per_axis(self, name: str, default: int) -> Ints:
        values: Ints = tuple(self.held.get(name, ())) or (default,) * self.count
        if len(values) != self.count:
            raise Unknown(f"{name} has {len(values)} values for {self.count} spatial axes")
        return values

    def output_shape(self) -> Ints:
        """The sizes of the output that are asked for; nothing where none are."""
        wanted: Ints = tuple(self.held.get("output_shape", ()))
        if len(wanted) == self.count + 2:
            wanted = wanted[2:]
        if wanted and len(wanted) != self.count:
            raise Unknown(f"output_shape has {len(wanted)} values for {self.count} spatial axes")
        return wanted


def _resolve(place: Place, form: WindowForm, stored: frozenset[str]) -> tuple[Window, bool]:
    """A node's window, and whether a Pad in front is what its own padding would have been."""
    held, like = place.attributes, form.like
    window = Window(place.name, place.op, "NOTSET", like=like)
    wrong = next((name for name, value in held.items() if name in _READ and not well_typed(name, value)), "")
    if wrong:
        return replace(window, note=f"{wrong} is not of the type that ONNX gives it"), False
    window = replace(
        window,
        auto_pad=held.get("auto_pad") or "NOTSET",
        ceil=bool(held.get("ceil_mode")) and like in POOLS,
        counted=bool(held.get("count_include_pad")) and like == "AveragePool",
        group=place.attribute("group", int, 1),
    )
    taken = parameters(place.node)
    if taken and (name := next((n for n in _READ if n in taken), "")):
        return replace(window, note=f"{name} is a parameter of the function"), False
    kernel = _kernel(place, form, held)
    window = replace(window, kernel=kernel)
    last = bool(held.get("channels_last")) if form.last is None else form.last
    shape = _spatial(_data_shape(place.graph, place.input(0)), last)
    amounts = place.input(form.amounts)
    given = place.graph.integers(amounts) if amounts else tuple(held.get("pads", ()))
    if given is None:
        said = depends(place.graph, amounts, stored)
        return replace(window, note="the amounts are not constant", condition=said), False
    candidates = (kernel, held.get("strides"), held.get("dilations"), given[::2], shape)
    count = next((len(c) for c in candidates if c), 0)
    if not 0 < count <= MOST_AXES:
        return replace(window, note="the number of spatial axes is not known"), False
    try:
        return _known_rank(window, _Settings(place, form, kernel, shape, given, count, last))
    except Unknown as missing:
        return replace(window, size=shape, note=str(missing), condition=missing.condition), False


def _known_rank(window: Window, said: _Settings) -> tuple[Window, bool]:
    """The window in numbers, as far as they are known.  Raises :class:`Unknown` where they make no sense."""
    strides, dilations = _checked(said)
    like, shape = window.like, said.shape
    size: Dims = shape if shape is not None and len(shape) == said.count else (None,) * said.count
    own = (1,) if not said.explicit else said.pads if said.auto_pad == "NOTSET" else ()
    front = before(said.place, said.form, said.held, said.count, said.last, own)
    notes: list[str] = []
    known: dict[str, Any] = {"strides": strides, "dilations": dilations, "size": size}
    if like == "MaxUnpool" and said.place.input(2):
        notes.append("the size of the output is an input")
        known["agreed"] = False
    if like == "MaxPool":
        kind = said.place.graph.type(said.place.input(0))
        known["filler"] = str(LEAST[kind]) if kind in LEAST else ""
    complete = True
    try:
        known |= _padded(said, size, strides, dilations, notes)
        notes += _beside(said)
        notes += _rounded_up(replace(window, **known)) if window.ceil else ()
    except Unknown as unknown:
        complete = False
        notes.append(str(unknown))
        known["condition"] = unknown.condition
    notes += front.notes
    if front.amounts is not None and like not in ("ConvTranspose", "MaxUnpool"):
        known["before"] = front.amounts
        if complete:
            known["size"] = front.size or (None,) * said.count
    return replace(window, **known, note="; ".join(notes)), front.exact


def _checked(said: _Settings) -> tuple[Ints, Ints]:
    """The strides and dilations.  Raises :class:`Unknown` where a window's numbers make no sense together."""
    kernel, count = said.kernel, said.count
    strides, dilations = said.per_axis("strides", 1), said.per_axis("dilations", 1)
    if min(strides) < 1 or min(dilations) < 1:
        raise Unknown("strides and dilations must be positive")
    if kernel is not None and len(kernel) != count:
        raise Unknown(f"the kernel has {len(kernel)} axes, other attributes {count}")
    if kernel is not None and min(kernel) < 1:
        raise Unknown("the kernel's sizes must be positive")
    if said.auto_pad not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
        raise Unknown(f"auto_pad {printable(said.auto_pad)!r} is not one that ONNX defines")
    return strides, dilations


def _padded(said: _Settings, size: Dims, strides: Ints, dilations: Ints, notes: list[str]) -> dict[str, Any]:
    """A window's padding, as its fields.  Raises :class:`Unknown` where that is not known."""
    if said.explicit:
        return _explicit(said, notes)
    if said.kernel is None:
        raise Unknown("the kernel's size is not known")
    spans = tuple([(k - 1) * d + 1 for k, d in zip(said.kernel, dilations, strict=True)])
    if said.transposed:
        return _transposed(said, size, strides, spans, notes)
    pool = said.form.like in POOLS
    begin, end = _same(size, strides, spans, said.auto_pad == "SAME_UPPER", pool)
    if pool and max(dilations) > 1:
        notes.append("runtimes are known to leave the dilation of a pool out of auto_pad, against ONNX")
        return {"begin": begin, "end": end, "agreed": False}
    return {"begin": begin, "end": end}


def _same(size: Dims, strides: Ints, spans: Ints, upper: bool, pool: bool) -> tuple[Ints, Ints]:
    """What SAME pads before and after, per axis."""
    both = []
    for n, stride, span in zip(size, strides, spans, strict=True):
        try:
            both.append(same(n, stride, span, upper, pool))
        except Unknown as unknown:
            condition = same_condition(size, strides, spans, upper, pool) if n is None else ""
            raise Unknown(str(unknown), condition) from None
    return tuple([b for b, _ in both]), tuple([e for _, e in both])


def _transposed(said: _Settings, size: Dims, strides: Ints, spans: Ints, notes: list[str]) -> dict[str, Any]:
    """ConvTranspose's begin, end and extra from ``output_shape`` or ``auto_pad``."""
    wanted, added = said.output_shape(), said.per_axis("output_padding", 0)
    upper = said.auto_pad == "SAME_UPPER"
    # The windows reach strides * (size - 1) + reach; without an output_shape, strides * size is what is wanted.
    reach = tuple(a + span for a, span in zip(added, spans, strict=True))
    if wanted and None in size:
        rests = [r - w - s for r, w, s in zip(reach, wanted, strides, strict=True)]
        side = "after" if upper else "before"
        condition = f"cut, nothing where that is negative, the odd one {side}: {cut_condition(size, strides, rests)}"
        raise Unknown("the input's size is not known", condition)
    if wanted:
        totals = [s * ((n or 0) - 1) + r - w for s, n, r, w in zip(strides, size, reach, wanted, strict=True)]
    else:
        totals = [r - s for r, s in zip(reach, strides, strict=True)]
    grown = min(totals) < 0
    if grown:
        unlike = "" if wanted else " (ONNX Runtime adds none)"
        notes.append(f"the output asked for is larger than the windows reach: rows are added after{unlike}")
    sides = [split_pads(max(0, total), upper) for total in totals]
    return {
        "begin": tuple(first for first, _ in sides),
        "end": tuple(last for _, last in sides),
        "extra": tuple(a - min(0, total) for a, total in zip(added, totals, strict=True)),
        "agreed": bool(wanted) or not grown,
    }


def _explicit(said: _Settings, notes: list[str]) -> dict[str, Any]:
    count = said.count
    amounts = said.pads if said.pads and said.auto_pad == "NOTSET" else (0,) * (2 * count)
    if len(amounts) != 2 * count:
        raise Unknown(f"pads has {len(amounts)} values for {count} spatial axes")
    if min(amounts) < 0:
        notes.append("negative pads, which ONNX does not define")
    extra = said.per_axis("output_padding", 0) if said.transposed else None
    return {"begin": amounts[:count], "end": amounts[count:], "extra": extra}


def _beside(said: _Settings) -> list[str]:
    """What else there is to say about the attributes of a node whose padding is known."""
    notes, held = [], said.held
    if said.transposed and any(held.get("output_padding", ())):
        notes.append(f"output_padding {words(held['output_padding'])}")
    if any(said.pads) and (said.auto_pad != "NOTSET" or (said.transposed and held.get("output_shape"))):
        notes.append(f"pads {words(said.pads)} written beside it are ignored")
    return notes


def _rounded_up(window: Window) -> list[str]:
    """What ``ceil_mode`` comes to."""
    if window.auto_pad == "NOTSET":
        over = window.overhang
        if over is None or None in over:
            return ["ceil_mode: the last window may reach beyond the end"]
        if any(over):
            return [f"ceil_mode: the last window reaches {words([n or 0 for n in over])} beyond the end"]
    if window.auto_pad == "VALID" and (window.output is None or None in window.output):
        return ["ceil_mode beside VALID: ONNX ignores it, ONNX Runtime does not"]
    return []


def _settled(model: ModelProto, which: Callable[[_Both], tuple[_Read, ...]]) -> tuple[_Read, ...]:
    """What is read of a model's nodes, with inferred shapes only where something cannot be known without."""
    stored = stored_in(model)
    found = which(read_in(places(model), stored))
    if all(row.begin is not None or (row.op == "Pad" and not row.note.endswith(NO_RANK)) for row in found):
        return found
    inferred = with_inferred_shapes(model)
    again = found if inferred is None else which(read_in(places(inferred), stored))
    return again if [row.node for row in again] == [row.node for row in found] else found


def stored_in(model: ModelProto) -> frozenset[str]:
    """The names of the main graph's initializers."""
    return frozenset(t.name for t in model.graph.initializer)


def windows(model: ModelProto) -> tuple[Window, ...]:
    """Every sliding-window node of the model in numbers, in the file's order."""
    return _settled(model, lambda both: both[0])


def pads(model: ModelProto) -> tuple[Pads, ...]:
    """The effective padding of every convolution, pool and Pad of the model, quantized and fused ones, subgraphs and
    local functions included, in the file's order."""
    return _settled(model, lambda both: both[1])


def read_in(found: Iterable[Place], stored: frozenset[str]) -> _Both:
    """The windows and the rows of pads of ``found``, each node read once.  ``stored`` are the names of what the file
    holds numbers for, which is how numbers that were left out are told from inputs."""
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
    read = padding_of(place.graph, place.node, None, stored)
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
