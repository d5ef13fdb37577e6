"""Sliding windows in normal form: what they really pad, with the Pad in front of them and without their bias.

Design note.  ``auto_pad``, explicit pads and a Pad node of zeros are three ways of saying one thing; here they become
the effective pads (``facts.pads``).  A Pad in front of a MaxPool is folded only where no padded value can
be the largest of a window.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from onnx_triangulate.diff.builder import Builder, rule
from onnx_triangulate.diff.ir import Const, Ints, Operand, Ref, Step, compose, plain
from onnx_triangulate.diff.operators import LARGEST, is_nothing, push
from onnx_triangulate.onnxgraph.nodes import Dims


def _padded(b: Builder, operand: Operand) -> tuple[Step, Ref, Ints, Ints, Any] | None:
    """The constant Pad on spatial axes that makes an operand: its step, what it pads, begin, end and with what."""
    step = b.producer(operand)
    if step is None or step.op != "Pad" or step.attributes["mode"] != "constant" or not isinstance(operand, Ref):
        return None
    inner = step.operands[0]
    if operand.shape is not None or not isinstance(inner, Ref):
        return None
    amounts = step.attributes["pads"]
    rank = len(amounts) // 2
    perm = operand.perm or tuple(range(rank))
    begin = tuple(amounts[axis] for axis in perm)
    end = tuple(amounts[rank + axis] for axis in perm)
    if rank < 3 or any(begin[:2]) or any(end[:2]) or min(*begin, *end) < 0:
        return None
    seen = Ref(inner.value, compose(inner.perm, operand.perm), None, (*inner.via, *operand.via))
    return step, seen, begin[2:], end[2:], step.attributes["value"]


def _window(b: Builder, held: dict[str, Any]) -> bool:
    """The attributes of a sliding window as what they amount to; whether that is known."""
    window = b.windows(b.name)
    if window is None or window.op != b.node.op_type:
        return False
    known = {"strides": window.strides, "dilations": window.dilations, "kernel_shape": window.kernel}
    held.update({name: value for name, value in known.items() if value is not None})
    if window.begin is None or window.end is None:
        return False
    for name in ("auto_pad", "pads", "output_shape", "output_padding"):
        held.pop(name, None)
    held["pads"] = (*window.begin, *window.end)
    if window.extra is not None:
        held["output_padding"] = window.extra
    return True


def _add(pads: Ints, begin: Ints, end: Ints) -> Ints | None:
    half = len(pads) // 2
    if half != len(begin):
        return None
    return (*(p + q for p, q in zip(pads[:half], begin, strict=True)),
            *(p + q for p, q in zip(pads[half:], end, strict=True)))  # fmt: skip


@rule("Conv", "ConvTranspose")
def convolution(b: Builder, operands: Sequence[Operand]) -> Sequence[Operand] | None:
    return _convolution(b, operands, b.node.op_type)


def _convolution(b: Builder, operands: Sequence[Operand], op: str) -> Sequence[Operand] | None:
    if len(operands) < 2 or operands[0] is None or operands[1] is None:
        return None
    held = plain(b.held)
    known = _window(b, held)
    data, weight = operands[0], operands[1]
    also: list[Step] = []
    found = _padded(b, data) if op == "Conv" and known else None
    if found is not None and found[4] == 0:
        added = _add(held["pads"], found[2], found[3])
        if added is not None:
            held["pads"], data, also = added, found[1], [found[0]]
    rank = b.rank(weight)
    shape = b.dims(weight)
    if known or (shape is not None and held.get("kernel_shape") == shape[2:]):
        held.pop("kernel_shape", None)  # the weight's shape says it
    (made,) = b.emit(op, held, [data, weight], [b.known(_convolved(b, data, weight, held, op))], also=also)
    if len(operands) < 3 or operands[2] is None:
        return [made]
    return _biased(b, made, operands[2], rank)


def _convolved(b: Builder, data: Operand, weight: Operand, held: Mapping[str, Any], op: str) -> Dims | None:
    """The shape of a convolution's result."""
    before, kernel = b.dims(data), b.dims(weight)
    amounts, strides, dilations = (held.get(name) or () for name in ("pads", "strides", "dilations"))
    if op != "Conv" or before is None or kernel is None or len(before) != len(kernel):
        return None if kernel is None else (None,) * len(kernel)
    count = len(kernel) - 2
    if len(amounts) != 2 * count or len(strides) != count or len(dilations) != count:
        return None
    made: list[int | None] = [before[0], kernel[0]]
    for axis in range(count):
        size, width = before[2 + axis], kernel[2 + axis]
        if size is None or width is None or strides[axis] < 1:
            made.append(None)
            continue
        span = (width - 1) * dilations[axis] + 1
        made.append((size + amounts[axis] + amounts[count + axis] - span) // strides[axis] + 1)
    return tuple(made)


def _biased(b: Builder, made: Ref, bias: Operand, rank: int | None) -> Sequence[Operand]:
    """A bias along the second axis, as the Add that it is."""
    dims = b.dims(bias)
    if isinstance(bias, Const) and rank is not None and dims is not None:
        spread: Operand = bias.reshaped((*(d or 0 for d in dims), *((1,) * (rank - 2))))
        if is_nothing(b, spread, [made, spread]):
            return [made]
        spread = spread.bare if isinstance(spread, Const) else spread  # one channel is a number like any other
    elif rank is not None:
        spread = b.reshape(bias, (*(dims or (None,)), *((1,) * (rank - 2))))
    else:
        spread = None
    out = b.values[made.value].dims
    return b.emit("Add", {}, [made, spread if spread is not None else bias], [out], part="bias")


@rule("com.microsoft.FusedConv")
def fused_convolution(b: Builder, operands: Sequence[Operand]) -> Sequence[Operand] | None:
    held = b.held
    activation, parameters = held.pop("activation", ""), held.pop("activation_params", ())
    if activation not in ("Relu", "Clip") or (activation == "Clip" and len(parameters) != 2) or len(operands) < 2:
        return None
    defaults = {"auto_pad": "NOTSET", "group": 1}
    for name, value in defaults.items():
        held.setdefault(name, value)
    rank = b.rank(operands[1])
    if held["auto_pad"] != "NOTSET" or rank is None:
        return None
    held.pop("auto_pad")
    held.setdefault("strides", (1,) * (rank - 2))
    held.setdefault("dilations", (1,) * (rank - 2))
    held.setdefault("pads", (0,) * (2 * (rank - 2)))
    weight = b.dims(operands[1])
    if held.pop("kernel_shape", None) is None and weight is None:
        return None
    out = b.known(_convolved(b, operands[0], operands[1], held, "Conv"))
    (made,) = b.emit("Conv", plain(held), operands[:2], [out])
    result: Sequence[Operand] = [made]
    if len(operands) > 2 and operands[2] is not None:
        result = _biased(b, made, operands[2], rank)
    if len(operands) > 3 and operands[3] is not None:
        result = push(b, "Add", {}, [result[0], operands[3]], part="sum")
    low, high = (0.0, None) if activation == "Relu" else parameters
    return push(b, "Clip", {"min": low, "max": high}, result[:1], part="activation")


@rule("MaxPool", "AveragePool", "LpPool")
def pool(b: Builder, operands: Sequence[Operand]) -> Sequence[Operand] | None:
    if len(operands) != 1 or len([n for n in b.node.output if n]) != 1:
        return None
    held = plain(b.held)
    held.pop("storage_order", None)
    if not _window(b, held):
        return None
    op = b.node.op_type
    data = operands[0]
    also: list[Step] = []
    found = _padded(b, data)
    nothing = not any(held["pads"])
    if found is not None and not held.get("ceil_mode"):
        step, inner, begin, end, value = found
        added = _add(held["pads"], begin, end)
        least = _below(b, inner, value, begin, end, held)
        fits = (op == "MaxPool" and least) or (op == "AveragePool" and nothing and value == 0)
        if added is not None and fits:
            held["pads"], data, also = added, inner, [step]
            if op == "AveragePool":
                held["count_include_pad"] = 1
    if not any(held["pads"]) and not held.get("ceil_mode"):
        held.pop("count_include_pad", None)
    return list(b.emit(op, held, [data], [b.out()], also=also))


def _below(b: Builder, inner: Ref, value: Any, begin: Ints, end: Ints, held: Mapping[str, Any]) -> bool:
    """Whether no window's largest element can be a padded one: minus infinity, or zero below what is never negative."""
    if not isinstance(value, (int, float)):
        return False
    if value <= -LARGEST:
        return True
    before = b.producer(inner)
    low = before.attributes.get("min") if before is not None and before.op == "Clip" else None
    spans = [(k - 1) * d + 1 for k, d in zip(held["kernel_shape"], held["dilations"], strict=True)]
    dense = all(d == 1 for d in held["dilations"])
    reach = all(max(p, q) < span for p, q, span in zip(begin, end, spans, strict=True))
    return low is not None and low >= value and reach and dense
