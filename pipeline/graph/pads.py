"""The effective padding of every node that slides a window.

Design note.  ``auto_pad``, ``output_shape`` and ``ceil_mode`` are ways of not saying how much is padded; this module
says it, by the formulas of ONNX's operator specification (Conv-22, ConvTranspose-22, MaxPool-22).  With dk = (k-1)*d+1:

* Conv and pools, SAME_*: out = ceil(in / s), total = max(0, (out-1)*s + dk - in).  For s = 1 this is dk - 1 whatever
  the input's size, so it is known even where the shape is not.  SAME_UPPER puts the odd one after, SAME_LOWER before.
* ConvTranspose, SAME_* or ``output_shape``: total = s*(in-1) + output_padding + dk - out, where out is ``output_shape``
  or in * s.  SAME_UPPER puts the odd one after; *everything else, NOTSET too,* before.  A negative total pads nothing
  and adds rows after instead.

Begin and end are what the node is told to pad (ConvTranspose: to cut); what ``output_padding`` adds is in the note.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from onnx import ModelProto

from pipeline.data import Pads
from pipeline.graph.walk import (
    Dims,
    Place,
    Scope,
    attributes,
    in_onnx,
    places,
    printable,
    refers,
    text,
    with_inferred_shapes,
)

_WEIGHT = {"Conv": 1, "ConvTranspose": 1, "ConvInteger": 1, "QLinearConv": 3, "DeformConv": 1}
_POOLS = ("MaxPool", "AveragePool", "LpPool")
_RELEVANT = ("pads", "auto_pad", "strides", "dilations", "kernel_shape", "output_padding", "output_shape", "ceil_mode")
_MOST_AXES = 16

Ints = tuple[int, ...]


@dataclass(frozen=True)
class Window:
    """One sliding-window node in numbers, per spatial axis; ``None`` is unknown.

    ``begin``/``end`` as in :class:`pipeline.data.Pads`; ``extra`` is what a ConvTranspose adds after, so that its
    output is s*(in-1) + dk + extra - begin - end; ``before`` is what a constant Pad node in front adds (begin, end);
    ``size`` is the input's spatial shape in front of that Pad.
    """

    node: str
    op: str
    auto_pad: str
    kernel: Ints | None = None
    strides: Ints | None = None
    dilations: Ints | None = None
    begin: Ints | None = None
    end: Ints | None = None
    extra: Ints | None = None
    before: tuple[Ints, Ints] | None = None
    size: Dims | None = None
    note: str = ""

    @property
    def output(self) -> Dims | None:
        """The output's spatial shape by the formula, per axis where it is known (``ceil_mode`` left aside)."""
        known = (self.kernel, self.strides, self.dilations, self.begin, self.end, self.size)
        if any(v is None for v in known):
            return None
        sizes: list[int | None] = []
        for axis in range(len(self.kernel or ())):
            size = (self.size or ())[axis]
            if size is None:
                sizes.append(None)
                continue
            s, begin, end = (self.strides or ())[axis], (self.begin or ())[axis], (self.end or ())[axis]
            dk = ((self.kernel or ())[axis] - 1) * (self.dilations or ())[axis] + 1
            if self.op == "ConvTranspose":
                sizes.append(s * (size - 1) + dk + (self.extra or ())[axis] - begin - end)
            else:
                outside = self.before[0][axis] + self.before[1][axis] if self.before else 0
                sizes.append((size + outside + begin + end - dk) // s + 1)
        return tuple(sizes)


class _Unknown(Exception):
    """What keeps the padding from being known."""


def _split(total: int, upper: bool) -> tuple[int, int]:
    half = total // 2
    return (half, total - half) if upper else (total - half, half)


def _same(size: int | None, stride: int, span: int) -> int:
    if stride == 1:
        return max(0, span - 1)
    if size is None:
        raise _Unknown("the input's size is not known")
    return max(0, (-(-size // stride) - 1) * stride + span - size)


def _per_axis(held: dict[str, Any], name: str, count: int, default: int) -> Ints:
    values: Ints = tuple(held.get(name, ())) or (default,) * count
    if len(values) != count:
        raise _Unknown(f"{name} has {len(values)} values for {count} spatial axes")
    return values


def _spatial(dims: Dims | None) -> Dims | None:
    return dims[2:] if dims is not None and len(dims) > 2 else None


def _kernel(place: Place, held: dict[str, Any]) -> Ints | None:
    if held.get("kernel_shape"):
        return tuple(held["kernel_shape"])
    slot = _WEIGHT.get(place.op)
    if slot is None or len(place.node.input) <= slot:
        return None
    shape = _spatial(place.scope.shape(place.node.input[slot]))
    if shape is None:
        return None
    known = tuple(d for d in shape if d is not None)
    return known if len(known) == len(shape) else None


def _pad_node(scope: Scope, name: str, count: int) -> tuple[tuple[Ints, Ints] | None, Dims | None, str]:
    """What a Pad node that makes ``name`` adds on the last ``count`` axes, the shape before it, and a sentence."""
    node = scope.producer(name)
    if node is None or not in_onnx(node) or node.op_type != "Pad" or not node.input:
        return None, None, ""
    label = printable(scope.name_of_producer(name))
    held = attributes(node)
    amounts = held.get("pads") if _well_typed("pads", held.get("pads")) else None
    if amounts is None and len(node.input) > 1:
        amounts = scope.integers(node.input[1])
    shape = scope.shape(node.input[0])
    rank = len(shape) if shape is not None else count + 2
    axes: Ints | None = tuple(range(rank))
    if len(node.input) > 3 and node.input[3]:
        axes = scope.integers(node.input[3])
    unknown = f"a Pad ({label}) feeds it, its amounts are not constant"
    if amounts is None or axes is None or len(amounts) != 2 * len(axes):
        return None, None, unknown
    begin, end = [0] * rank, [0] * rank
    for position, axis in enumerate(axes):
        if not -rank <= axis < rank:
            return None, None, unknown
        begin[axis], end[axis] = amounts[position], amounts[position + len(axes)]
    first, last = tuple(begin[rank - count :]), tuple(end[rank - count :])
    mode = str(held.get("mode", "constant"))
    kind = "" if mode == "constant" else f" ({printable(mode)})"
    said = f"a Pad ({label}) feeds it: {_words(first)} before, {_words(last)} after{kind}"
    plain = mode == "constant" and not any(begin[: rank - count]) and not any(end[: rank - count])
    return ((first, last) if plain else None), _spatial(shape), said


def _words(values: Sequence[int]) -> str:
    return " ".join(str(v) for v in values)


def _transposed(
    window: Window, held: dict[str, Any], size: Dims, kernel: Ints, strides: Ints, dilations: Ints, count: int
) -> Window:
    """ConvTranspose's begin, end and extra from ``output_shape`` or ``auto_pad``."""
    adds = _per_axis(held, "output_padding", count, 0)
    wanted = tuple(held.get("output_shape", ()))
    if len(wanted) == count + 2:
        wanted = wanted[2:]
    if wanted and len(wanted) != count:
        raise _Unknown(f"output_shape has {len(wanted)} values for {count} spatial axes")
    begin, end, extra, grown = [], [], [], False
    for axis in range(count):
        span = (kernel[axis] - 1) * dilations[axis] + 1
        length = size[axis]
        if wanted:
            if length is None:
                raise _Unknown("the input's size is not known")
            total = strides[axis] * (length - 1) + adds[axis] + span - wanted[axis]
        else:
            total = span + adds[axis] - strides[axis]
        grown |= total < 0
        first, last = _split(max(0, total), window.auto_pad == "SAME_UPPER")
        begin.append(first)
        end.append(last)
        extra.append(adds[axis] - min(0, total))
    note = "the output asked for is larger than the windows reach: rows are added after" if grown else ""
    return replace(window, begin=tuple(begin), end=tuple(end), extra=tuple(extra), note=note)


def _well_typed(name: str, value: Any) -> bool:
    if name == "auto_pad":
        return isinstance(value, str)
    if name == "ceil_mode":
        return isinstance(value, int)
    return isinstance(value, tuple) and all(isinstance(v, int) for v in value)


def _resolve(place: Place) -> Window:
    node, scope = place.node, place.scope
    held = attributes(node)
    wrong = [name for name in _RELEVANT if name in held and not _well_typed(name, held[name])]
    if wrong:
        return Window(place.name, place.op, "NOTSET", note=f"{wrong[0]} is not of the type that ONNX gives it")
    auto_pad = held.get("auto_pad") or "NOTSET"
    window = Window(place.name, place.op, auto_pad)
    for name in _RELEVANT:
        if refers(node, name):
            return replace(window, note=f"{name} is a parameter of the function")
    kernel = _kernel(place, held)
    data = node.input[0] if node.input else ""
    shape = _spatial(scope.shape(data))
    given: Ints = tuple(held.get("pads", ()))
    candidates = (kernel, tuple(held.get("strides", ())), tuple(held.get("dilations", ())), given[::2], shape)
    count = next((len(c) for c in candidates if c), 0)
    if not 0 < count <= _MOST_AXES:
        return replace(window, kernel=kernel, note="the number of spatial axes is not known")
    try:
        return _known_rank(window, place, held, kernel, shape, given, count)
    except _Unknown as missing:
        return replace(window, kernel=kernel, size=shape, note=str(missing))


def _known_rank(
    window: Window, place: Place, held: dict[str, Any], kernel: Ints | None, shape: Dims | None, given: Ints, count: int
) -> Window:
    strides, dilations = _per_axis(held, "strides", count, 1), _per_axis(held, "dilations", count, 1)
    if min(strides) < 1 or min(dilations) < 1:
        raise _Unknown("strides and dilations must be positive")
    if kernel is not None and len(kernel) != count:
        raise _Unknown(f"the kernel has {len(kernel)} axes, other attributes {count}")
    size = shape if shape is not None and len(shape) == count else (None,) * count
    data = place.node.input[0] if place.node.input else ""
    before, inner, said = _pad_node(place.scope, data, count)
    window = replace(window, kernel=kernel, strides=strides, dilations=dilations, size=size)
    auto_pad, transposed = window.auto_pad, window.op == "ConvTranspose"
    notes = []
    if auto_pad not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
        raise _Unknown(f"auto_pad {printable(auto_pad)!r} is not one that ONNX defines")
    if transposed and (held.get("output_shape") or auto_pad.startswith("SAME")):
        if kernel is None:
            raise _Unknown("the kernel's size is not known")
        window = _transposed(window, held, size, kernel, strides, dilations, count)
        notes.append(window.note)
    elif auto_pad.startswith("SAME"):
        if kernel is None:
            raise _Unknown("the kernel's size is not known")
        both = [
            _split(_same(size[a], strides[a], (kernel[a] - 1) * dilations[a] + 1), auto_pad == "SAME_UPPER")
            for a in range(count)
        ]
        window = replace(window, begin=tuple(b for b, _ in both), end=tuple(e for _, e in both))
        if window.op in _POOLS and max(dilations) > 1:
            notes.append("runtimes are known to leave the dilation of a pool out of auto_pad, against ONNX")
    else:
        amounts = given if given and auto_pad == "NOTSET" else (0,) * (2 * count)
        if len(amounts) != 2 * count:
            raise _Unknown(f"pads has {len(amounts)} values for {count} spatial axes")
        window = replace(window, begin=amounts[:count], end=amounts[count:])
        if min(amounts) < 0:
            notes.append("negative pads, which ONNX does not define")
    if transposed and window.extra is None:
        window = replace(window, extra=_per_axis(held, "output_padding", count, 0))
    if any(held.get("output_padding", ())):
        notes.append(f"output_padding {_words(held['output_padding'])}")
    if any(given) and (auto_pad != "NOTSET" or (transposed and held.get("output_shape"))):
        notes.append(f"pads {_words(given)} written beside it are ignored")
    if held.get("ceil_mode") and auto_pad in ("NOTSET", "VALID"):
        notes.append(_overhang(window))
    if said:
        notes.append(said)
        window = replace(window, before=before, size=inner if before and inner is not None else window.size)
    return replace(window, note="; ".join(n for n in notes if n))


def _overhang(window: Window) -> str:
    """How far the last window of a pool in ceil_mode reaches beyond the padded input."""
    if window.auto_pad == "VALID" or None in (window.size or (None,)) or window.kernel is None:
        return "" if window.auto_pad == "VALID" else "ceil_mode: the last window may reach beyond the end"
    beyond = []
    for axis, size in enumerate(window.size or ()):
        begin, end = (window.begin or ())[axis], (window.end or ())[axis]
        stride = (window.strides or ())[axis]
        span = (window.kernel[axis] - 1) * (window.dilations or ())[axis] + 1
        steps = -(-((size or 0) + begin + end - span) // stride)
        if steps * stride >= (size or 0) + begin:
            steps -= 1
        beyond.append(max(0, steps * stride + span - (size or 0) - begin - end))
    return f"ceil_mode: the last window reaches {_words(beyond)} beyond the end" if any(beyond) else ""


def slides(place: Place) -> bool:
    """Whether a node slides a window whose padding this module reads."""
    return in_onnx(place.node) and (place.op in _WEIGHT or place.op in _POOLS)


def windows(model: ModelProto) -> tuple[Window, ...]:
    """Every sliding-window node of the model in numbers, in the file's order."""
    found = tuple(_resolve(p) for p in places(model) if slides(p))
    if all(w.begin is not None for w in found):
        return found
    inferred = with_inferred_shapes(model)
    if inferred is None:
        return found
    again = tuple(_resolve(p) for p in places(inferred) if slides(p))
    return again if [w.node for w in again] == [w.node for w in found] else found


def pads(model: ModelProto) -> tuple[Pads, ...]:
    """The effective padding of every Conv, ConvTranspose, ConvInteger, QLinearConv, DeformConv, MaxPool, AveragePool
    and LpPool of the model, subgraphs and local functions included, in the file's order."""
    return tuple(
        Pads(
            node=w.node,
            op=w.op,
            begin=w.begin,
            end=w.end,
            auto_pad=text(w.auto_pad),
            symmetric=None if w.begin is None else w.begin == w.end,
            note=w.note,
        )
        for w in windows(model)
    )
