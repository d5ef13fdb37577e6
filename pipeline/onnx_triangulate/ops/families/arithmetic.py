"""Elementwise arithmetic: one rounding of the result, or a few, never of anything larger."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from onnx_triangulate.ops.near import Near
from onnx_triangulate.ops.registry import Answer, Asked, Example, Rule, exact, rounded
from onnx_triangulate.records.arrays import Array

_HIGHAM = "standard model of floating point arithmetic: Higham, Accuracy and Stability, 2nd ed., (2.4)"


def _two(
    asked: Asked, function: Callable[[Array, Array], Array], roundings: float, tiny: bool
) -> Sequence[Answer | Array]:
    """Integers are exact, in their own wrapping arithmetic; floats are rounded so many times."""
    a, b = asked.array(0), asked.array(1)
    if a.dtype.kind in "iu":
        return [np.asarray(function(a, b), dtype=a.dtype)]
    value = np.asarray(function(asked.x(0), asked.x(1)))
    return [rounded(asked, value, roundings, asked.format.tiny if tiny else 0.0)]


def _add(asked: Asked) -> Sequence[Answer | Array]:
    return _two(asked, np.add, 1, False)


def _sub(asked: Asked) -> Sequence[Answer | Array]:
    return _two(asked, np.subtract, 1, False)


def _mul(asked: Asked) -> Sequence[Answer | Array]:
    return _two(asked, np.multiply, 2, True)


def _div(asked: Asked) -> Sequence[Answer | Array]:
    if asked.array(0).dtype.kind in "iu":
        return [asked.as_is()]
    return _two(asked, np.divide, 2, True)


def _mod(asked: Asked) -> Sequence[Near | Array | Answer]:
    """fmod is exact in floating point; without fmod the operator is for integers."""
    if asked.array(0).dtype.kind in "iu" and not asked.attribute("fmod", 0):
        a, b = asked.array(0), asked.array(1)
        return [np.asarray(np.mod(a, b), dtype=a.dtype)]
    a, b = asked.array(0), asked.array(1)
    function = np.fmod if asked.attribute("fmod", 0) else np.mod
    return [exact(np.asarray(function(a, b), dtype=a.dtype))]


def _sum(asked: Asked) -> Sequence[Near]:
    """n - 1 additions of n operands, in any order."""
    parts = [v.astype(np.float64) for v in asked.consumed if v is not None]
    value, size = sum(parts[1:], parts[0]), sum((abs(p) for p in parts[1:]), abs(parts[0]))
    return [asked.near(0).contracted(np.asarray(value), np.asarray(size), max(len(parts) - 1, 0))]


def _mean(asked: Asked) -> Sequence[Near]:
    (total,) = _sum(asked)
    return [total / Near(np.asarray(float(len(asked.consumed))), np.zeros(()), total.format)]


def _sqrt(asked: Asked) -> Sequence[Near]:
    x = Near(asked.x(0), np.zeros(()), asked.format)
    return [x.rounded(np.sqrt(x.value), 0.0, 2)]


def _reciprocal(asked: Asked) -> Sequence[Near]:
    x = Near(asked.x(0), np.zeros(()), asked.format)
    return [x.rounded(1 / x.value, 0.0, 2, asked.format.tiny)]


def _leaky(asked: Asked) -> Sequence[Near]:
    x = asked.x(0)
    slope = float(np.float32(asked.attribute("alpha", 0.01)))
    scaled = asked.near(0).rounded(x * slope, 0.0, 2, asked.format.tiny)
    return [Near(np.where(x < 0, scaled.value, x), np.where(x < 0, scaled.error, 0.0), asked.format)]


def _prelu(asked: Asked) -> Sequence[Near]:
    x, slope = asked.x(0), asked.x(1)
    scaled = asked.near(0).rounded(x * slope, 0.0, 2, asked.format.tiny)
    return [Near(np.where(x < 0, scaled.value, x), np.where(x < 0, scaled.error, 0.0), asked.format)]


def _hard_sigmoid(asked: Asked) -> Sequence[Near]:
    """A product, a sum, and a clip, which does not enlarge an error."""
    x = Near(asked.x(0), np.zeros(()), asked.format)
    line = x * asked.number(float(asked.attribute("alpha", 0.2))) + asked.number(float(asked.attribute("beta", 0.5)))
    return [_between(line)]


def _between(line: Near) -> Near:
    value = np.clip(line.value, 0, 1)
    return Near(
        value, np.where((line.value + line.error < 0) | (line.value - line.error > 1), 0, line.error), line.format
    )


def _hard_swish(asked: Asked) -> Sequence[Near]:
    x = Near(asked.x(0), np.zeros(()), asked.format)
    return [x * _between(x * asked.number(1 / 6) + 0.5)]


def _shrink(asked: Asked) -> Sequence[Near]:
    x = Near(asked.x(0), np.zeros(()), asked.format)
    bias, edge = asked.number(float(asked.attribute("bias", 0.0))), float(asked.attribute("lambd", 0.5))
    low, high = x.value < -edge, x.value > edge
    moved = x + Near(np.where(low, bias.value, -bias.value), bias.error, asked.format)
    inside = low | high
    return [Near(np.where(inside, moved.value, 0 * x.value), np.where(inside, moved.error, 0), asked.format)]


def _softsign(asked: Asked) -> Sequence[Near]:
    x = Near(asked.x(0), np.zeros(()), asked.format)
    result = x / (abs(x) + 1.0)
    return [result]


def _cum(asked: Asked, product: bool) -> Sequence[Near | Array]:
    x = asked.array(0)
    axis = int(asked.array(1).ravel()[0])
    back, exclusive = bool(asked.attribute("reverse", 0)), bool(asked.attribute("exclusive", 0))

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
    return [asked.near(0).contracted(value, size, x.shape[axis])]


_PAIR = {"x": "float[2,3,7]", "z": "float[3,1]"}
_X = {"x": "float[2,3,7]"}

RULES = (
    Rule(
        "addition",
        ("Add",),
        _add,
        "u |y|",
        _HIGHAM,
        (
            Example("Add(x, z)", _PAIR, {"z": 1.01}),
            Example("Add(x, z)", {"x": [[1, 2], [3, 4]], "z": [7, 8]}, {"z": 2}),
        ),
    ),
    Rule("subtraction", ("Sub",), _sub, "u |y|", _HIGHAM, (Example("Sub(x, z)", _PAIR, "Sub(z, x)"),)),
    Rule("multiplication", ("Mul",), _mul, "2 u |y|", _HIGHAM, (Example("Mul(x, z)", _PAIR, {"z": 1.01}),)),
    Rule(
        "division",
        ("Div",),
        _div,
        "2 u |y|: a reciprocal may be multiplied",
        _HIGHAM,
        (Example("Div(x, z)", {"x": "float[2,3,7]", "z": "positive[3,1]"}, {"z": 1.01}),),
    ),
    Rule(
        "remainder",
        ("Mod",),
        _mod,
        "exact: a remainder is a number of the type",
        "Sterbenz's lemma applied to fmod; Higham 2.5",
        (
            Example("Mod<fmod=1>(x, z)", {"x": "float[3,7]", "z": "positive[7]"}, {"z": 1.01}),
            Example("Mod(x, z)", {"x": [-7, 5, 8], "z": [3, -3, 5]}, "Mod<fmod=1>(x, z)"),
        ),
    ),
    Rule(
        "sum of operands",
        ("Sum",),
        _sum,
        "gamma_(n-1) of the sizes",
        _HIGHAM,
        (Example("Sum(x, z, x)", _PAIR, {"z": 1.01}),),
    ),
    Rule(
        "mean of operands",
        ("Mean",),
        _mean,
        "gamma_(n-1), and a division",
        _HIGHAM,
        (Example("Mean(x, z, x)", _PAIR, "Sum(x, z, x)"),),
    ),
    Rule(
        "square root", ("Sqrt",), _sqrt, "2 u |y|", _HIGHAM, (Example("Sqrt(x)", {"x": "positive[3,7]"}, {"x": 1.01}),)
    ),
    Rule(
        "reciprocal",
        ("Reciprocal",),
        _reciprocal,
        "2 u |y|",
        _HIGHAM,
        (Example("Reciprocal(x)", {"x": "positive[3,7]"}, {"x": 1.01}),),
    ),
    Rule(
        "leaky relu",
        ("LeakyRelu",),
        _leaky,
        "2 u |y| below zero, exact above; the slope is the float32 attribute",
        _HIGHAM,
        (Example("LeakyRelu<alpha=0.2>(x)", _X, "LeakyRelu<alpha=0.202>(x)"),),
    ),
    Rule(
        "parametric relu",
        ("PRelu",),
        _prelu,
        "2 u |y| below zero, exact above",
        _HIGHAM,
        (Example("PRelu(x, z)", _PAIR, {"z": 1.01}),),
    ),
    Rule(
        "hard sigmoid",
        ("HardSigmoid",),
        _hard_sigmoid,
        "a product and a sum, clipped",
        _HIGHAM,
        (Example("HardSigmoid<alpha=0.2,beta=0.4>(x)", _X, "HardSigmoid<alpha=0.2,beta=0.41>(x)"),),
    ),
    Rule(
        "hard swish",
        ("HardSwish",),
        _hard_swish,
        "x times a hard sigmoid",
        _HIGHAM,
        (Example("HardSwish(x)", _X, {"x": 1.01}),),
    ),
    Rule(
        "shrink",
        ("Shrink",),
        _shrink,
        "one sum outside the threshold, zero inside",
        _HIGHAM,
        (Example("Shrink<lambd=0.5,bias=0.25>(x)", _X, "Shrink<lambd=0.5,bias=0.26>(x)"),),
    ),
    Rule(
        "softsign",
        ("Softsign",),
        _softsign,
        "a sum and a quotient",
        _HIGHAM,
        (Example("Softsign(x)", _X, {"x": 1.01}),),
    ),
    Rule(
        "cumulative sum",
        ("CumSum",),
        lambda asked: _cum(asked, False),
        "gamma_n of the cumulated sizes",
        _HIGHAM,
        (Example("CumSum<exclusive=1>(x, a)", _X | {"a": np.int64(2)}, "CumSum<exclusive=1,reverse=1>(x, a)"),),
    ),
    Rule(
        "cumulative product",
        ("CumProd",),
        lambda asked: _cum(asked, True),
        "gamma_n of the cumulated sizes",
        _HIGHAM,
        (Example("CumProd(x, a)", _X | {"a": np.int64(2)}, "CumProd<reverse=1>(x, a)", opset=26),),
    ),
)
