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
    if len(pads) != len(begin) + len(end):
        return None
    return tuple(p + q for p, q in zip(pads, (*begin, *end), strict=True))


@rule("Conv", "ConvTranspose", least=2)
def convolution(b: Builder, operands: Sequence[Operand]) -> Sequence[Operand] | None:
    op, held = b.node.op_type, plain(b.held)
    known = _window(b, held)
    data, weight = operands[:2]
    also: list[Step] = []
    found = _padded(b, data) if op == "Conv" and known else None
    if found is not None and found[4] == 0:
        added = _add(held["pads"], found[2], found[3])
        if added is not None:
            held["pads"], data, also = added, found[1], [found[0]]
    if known or held.get("kernel_shape") == (b.dims(weight) or ())[2:]:
        held.pop("kernel_shape", None)  # the weight's shape says it
    (made,) = b.emit(op, held, [data, weight], [b.known(_convolved(b, data, weight, held, op))], also=also)
    return _biased(b, made, operands)


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


def _biased(b: Builder, made: Ref, operands: Sequence[Operand]) -> Sequence[Operand]:
    """A convolution's result with its bias, if it has one, along the second axis: as the Add that it is."""
    bias, rank = operands[2] if len(operands) > 2 else None, b.rank(operands[1])
    if bias is None:
        return [made]
    spread: Operand = None
    ones = (1,) * ((rank or 0) - 2)
    dims = b.dims(bias)
    if isinstance(bias, Const) and rank is not None and dims is not None:
        whole = bias.reshaped((*(d or 0 for d in dims), *ones))
        if is_nothing(b, whole, [made, whole]):
            return [made]
        spread = whole.bare  # one channel is a number like any other
    elif rank is not None:
        spread = b.reshape(bias, (*(dims or (None,)), *ones))
    return b.emit("Add", {}, [made, spread or bias], [b.values[made.value].dims], part="bias")


@rule("com.microsoft.FusedConv", least=2)
def fused_convolution(b: Builder, operands: Sequence[Operand]) -> Sequence[Operand] | None:
    held, rank = b.held, b.rank(operands[1])
    activation, parameters = held.pop("activation", ""), held.pop("activation_params", ())
    if activation not in ("Relu", "Clip") or (activation == "Clip" and len(parameters) != 2):
        return None
    held.setdefault("group", 1)
    if held.setdefault("auto_pad", "NOTSET") != "NOTSET" or rank is None:
        return None
    ones = (1,) * (rank - 2)
    held = {"strides": ones, "dilations": ones, "pads": (0,) * (2 * len(ones))} | held
    del held["auto_pad"]
    held.pop("kernel_shape", None)  # the weight's shape says it
    out = b.known(_convolved(b, operands[0], operands[1], held, "Conv"))
    (made,) = b.emit("Conv", plain(held), operands[:2], [out])
    result = _biased(b, made, operands)
    if len(operands) > 3 and operands[3] is not None:
        result = push(b, "Add", {}, [result[0], operands[3]], part="sum")
    low, high = (0.0, None) if activation == "Relu" else parameters
    return push(b, "Clip", {"min": low, "max": high}, result[:1], part="activation")


@rule("MaxPool", "AveragePool", "LpPool", most=1)
def pool(b: Builder, operands: Sequence[Operand]) -> Sequence[Operand] | None:
    op, held, data = b.node.op_type, plain(b.held), operands[0]
    held.pop("storage_order", None)
    if len([n for n in b.node.output if n]) != 1 or not _window(b, held):
        return None
    also: list[Step] = []
    found = None if held.get("ceil_mode") else _padded(b, data)
    if found is not None:
        step, inner, begin, end, value = found
        counted = op == "AveragePool" and value == 0 and not any(held["pads"])
        added = _add(held["pads"], begin, end)
        if added is not None and (counted or (op == "MaxPool" and _below(b, inner, value, begin, end, held))):
            held |= {"pads": added, "count_include_pad": 1} if counted else {"pads": added}
            data, also = inner, [step]
    if not any(held["pads"]) and not held.get("ceil_mode"):
        held.pop("count_include_pad", None)
    return b.emit(op, held, [data], [b.out()], also=also)


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
