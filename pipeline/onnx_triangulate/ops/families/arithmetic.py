"""Elementwise arithmetic: one rounding of the result, or a few, never of anything larger.

Standard model of floating point arithmetic: Higham, Accuracy and Stability, 2nd ed., (2.4).  Sums and differences are
off by u |y|; products, quotients and roots by 2 u |y| (a reciprocal may be multiplied, a product flushed); a remainder
is a number of the type (Sterbenz's lemma, Higham 2.5); sums of n operands by gamma_(n-1) of their sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from onnx_triangulate.ops import axis_propagation as links
from onnx_triangulate.ops import rounding_counts as counts
from onnx_triangulate.ops.calls import ExpectedOutput, NodeCall, exact, rounded
from onnx_triangulate.ops.enclosures import Enclosure
from onnx_triangulate.ops.examples import Example
from onnx_triangulate.ops.operator import alike, bounded
from onnx_triangulate.records.arrays import Array


def _two(
    call: NodeCall, function: Callable[[Array, Array], Array], roundings: float, tiny: bool
) -> Sequence[ExpectedOutput | Array]:
    """Integers are exact, in their own wrapping arithmetic; floats are rounded so many times."""
    a, b = call.array(0), call.array(1)
    if a.dtype.kind in "iu":
        return [np.asarray(function(a, b), dtype=a.dtype)]
    value = np.asarray(function(call.x(0), call.x(1)))
    return [rounded(call, value, roundings, call.format.tiny if tiny else 0.0)]


def _add(call: NodeCall) -> Sequence[ExpectedOutput | Array]:
    return _two(call, np.add, 1, False)


def _sub(call: NodeCall) -> Sequence[ExpectedOutput | Array]:
    return _two(call, np.subtract, 1, False)


def _mul(call: NodeCall) -> Sequence[ExpectedOutput | Array]:
    return _two(call, np.multiply, 2, True)


def _div(call: NodeCall) -> Sequence[ExpectedOutput | Array]:
    if call.array(0).dtype.kind in "iu":
        return [call.reference_output()]
    return _two(call, np.divide, 2, True)


def _mod(call: NodeCall) -> Sequence[Enclosure | Array | ExpectedOutput]:
    """fmod is exact in floating point; without fmod the operator is for integers."""
    if call.array(0).dtype.kind in "iu" and not call.attribute("fmod", 0):
        a, b = call.array(0), call.array(1)
        return [np.asarray(np.mod(a, b), dtype=a.dtype)]
    a, b = call.array(0), call.array(1)
    function = np.fmod if call.attribute("fmod", 0) else np.mod
    return [exact(np.asarray(function(a, b), dtype=a.dtype))]


def _sum(call: NodeCall) -> Sequence[Enclosure]:
    """n - 1 additions of n operands, in any order."""
    parts = [v.astype(np.float64) for v in call.consumed if v is not None]
    value, size = sum(parts[1:], parts[0]), sum((abs(p) for p in parts[1:]), abs(parts[0]))
    return [call.enclosure(0).contracted(np.asarray(value), np.asarray(size), max(len(parts) - 1, 0))]


def _mean(call: NodeCall) -> Sequence[Enclosure]:
    (total,) = _sum(call)
    return [total / Enclosure(np.asarray(float(len(call.consumed))), np.zeros(()), total.format)]


def _sqrt(call: NodeCall) -> Sequence[Enclosure]:
    x = call.enclose(call.x(0))
    return [x.rounded(np.sqrt(x.value), 0.0, 2)]


def _reciprocal(call: NodeCall) -> Sequence[Enclosure]:
    x = call.enclose(call.x(0))
    return [x.rounded(1 / x.value, 0.0, 2, call.format.tiny)]


def _leaky(call: NodeCall) -> Sequence[Enclosure]:
    x = call.x(0)
    slope = float(np.float32(call.attribute("alpha", 0.01)))
    scaled = call.enclosure(0).rounded(x * slope, 0.0, 2, call.format.tiny)
    return [Enclosure(np.where(x < 0, scaled.value, x), np.where(x < 0, scaled.error, 0.0), call.format)]


def _prelu(call: NodeCall) -> Sequence[Enclosure]:
    x, slope = call.x(0), call.x(1)
    scaled = call.enclosure(0).rounded(x * slope, 0.0, 2, call.format.tiny)
    return [Enclosure(np.where(x < 0, scaled.value, x), np.where(x < 0, scaled.error, 0.0), call.format)]


def _hard_sigmoid(call: NodeCall) -> Sequence[Enclosure]:
    """A product, a sum, and a clip, which does not enlarge an error."""
    x = call.enclose(call.x(0))
    line = x * call.number(float(call.attribute("alpha", 0.2))) + call.number(float(call.attribute("beta", 0.5)))
    return [_between(line)]


def _between(line: Enclosure) -> Enclosure:
    value = np.clip(line.value, 0, 1)
    return Enclosure(
        value, np.where((line.value + line.error < 0) | (line.value - line.error > 1), 0, line.error), line.format
    )


def _hard_swish(call: NodeCall) -> Sequence[Enclosure]:
    x = call.enclose(call.x(0))
    return [x * _between(x * call.number(1 / 6) + 0.5)]


def _shrink(call: NodeCall) -> Sequence[Enclosure]:
    x = call.enclose(call.x(0))
    bias, edge = call.number(float(call.attribute("bias", 0.0))), float(call.attribute("lambd", 0.5))
    low, high = x.value < -edge, x.value > edge
    moved = x + Enclosure(np.where(low, bias.value, -bias.value), bias.error, call.format)
    inside = low | high
    return [Enclosure(np.where(inside, moved.value, 0 * x.value), np.where(inside, moved.error, 0), call.format)]


def _softsign(call: NodeCall) -> Sequence[Enclosure]:
    x = call.enclose(call.x(0))
    result = x / (abs(x) + 1.0)
    return [result]


def _cum(call: NodeCall, product: bool) -> Sequence[Enclosure | Array]:
    x = call.array(0)
    axis = int(call.array(1).ravel()[0])
    back, exclusive = bool(call.attribute("reverse", 0)), bool(call.attribute("exclusive", 0))

    def run(values: Array) -> Array:
        values = np.flip(values, axis) if back else values
        total = (np.cumprod if product else np.cumsum)(values, axis=axis, dtype=values.dtype)
        if exclusive:
            total = np.roll(total, 1, axis)
            first = [slice(None)] * x.ndim
            first[axis] = slice(0, 1)
            total[tuple(first)] = 1 if product else 0
        return np.flip(total, axis) if back else total

    if x.dtype.kind in "iu":
        return [run(x)]
    value, size = run(x.astype(np.float64)), run(np.abs(x.astype(np.float64)))
    return [call.enclosure(0).contracted(value, size, x.shape[axis])]


_PAIR = {"x": "float[2,3,7]", "z": "float[3,1]"}
_X = {"x": "float[2,3,7]"}

OPERATORS = (
    *alike(
        bounded(
            "addition",
            _add,
            Example("Add(x, z)", _PAIR, {"z": 1.01}),
            Example("Add(x, z)", {"x": [[1, 2], [3, 4]], "z": [7, 8]}, {"z": 2}),
            commutes=True,
        ),
        bounded("subtraction", _sub, Example("Sub(x, z)", _PAIR, "Sub(z, x)")),
        bounded("multiplication", _mul, Example("Mul(x, z)", _PAIR, {"z": 1.01}), commutes=True),
        bounded("division", _div, Example("Div(x, z)", {"x": "float[2,3,7]", "z": "positive[3,1]"}, {"z": 1.01})),
        bounded("parametric relu", _prelu, Example("PRelu(x, z)", _PAIR, {"z": 1.01})),
        roundings=1,
        axes=links.elementwise,
    ),
    *alike(
        bounded("square root", _sqrt, Example("Sqrt(x)", {"x": "positive[3,7]"}, {"x": 1.01}), roundings=1),
        bounded("reciprocal", _reciprocal, Example("Reciprocal(x)", {"x": "positive[3,7]"}, {"x": 1.01}), roundings=1),
        bounded("leaky relu", _leaky, Example("LeakyRelu<alpha=0.2>(x)", _X, "LeakyRelu<alpha=0.202>(x)"), roundings=1),
        bounded(
            "hard sigmoid",
            _hard_sigmoid,
            Example("HardSigmoid<alpha=0.2,beta=0.4>(x)", _X, "HardSigmoid<alpha=0.2,beta=0.41>(x)"),
            roundings=2,
        ),
        bounded("hard swish", _hard_swish, Example("HardSwish(x)", _X, {"x": 1.01}), roundings=3),
        bounded(
            "shrink",
            _shrink,
            Example("Shrink<lambd=0.5,bias=0.25>(x)", _X, "Shrink<lambd=0.5,bias=0.26>(x)"),
            roundings=1,
            jumps="at places",
        ),
        bounded("softsign", _softsign, Example("Softsign(x)", _X, {"x": 1.01}), roundings=2),
        axes=links.same,
    ),
    bounded(
        "remainder",
        _mod,
        Example("Mod<fmod=1>(x, z)", {"x": "float[3,7]", "z": "positive[7]"}, {"z": 1.01}),
        Example("Mod(x, z)", {"x": [-7, 5, 8], "z": [3, -3, 5]}, "Mod<fmod=1>(x, z)"),
        roundings=3,
        axes=links.elementwise,
        jumps="to steps",
        limits=(1,),
    ),
    bounded(
        "sum of operands",
        _sum,
        Example("Sum(x, z, x)", _PAIR, {"z": 1.01}),
        roundings=counts.operands_but_one,
        axes=links.elementwise,
        commutes=True,
        zero_sign_open=True,
    ),
    bounded(
        "mean of operands",
        _mean,
        Example("Mean(x, z, x)", _PAIR, "Sum(x, z, x)"),
        roundings=counts.operands,
        axes=links.elementwise,
        commutes=True,
        zero_sign_open=True,
    ),
    bounded(
        "cumulative sum",
        lambda call: _cum(call, False),
        Example("CumSum<exclusive=1>(x, a)", _X | {"a": np.int64(2)}, "CumSum<exclusive=1,reverse=1>(x, a)"),
        stock="wrong",
        roundings=counts.of_all(),
        axes=links.cumulative,
        zero_sign_open=True,
    ),
    bounded(
        "cumulative product",
        lambda call: _cum(call, True),
        Example("CumProd(x, a)", _X | {"a": np.int64(2)}, "CumProd<reverse=1>(x, a)", opset=26),
        roundings=counts.of_all(),
        axes=links.cumulative,
    ),
)
