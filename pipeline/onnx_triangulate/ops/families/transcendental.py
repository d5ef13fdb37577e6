"""Elementary functions and the activations made of them.

An elementary function by itself is judged by the constants that were measured of the runtime: c u |y| and a floor.
Activations are written as their formulas, so that what cancels in them (1 + erf of a negative number) counts for as
much as it may.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from onnx_triangulate.ops.near import Format, Near, erf, phi, sigmoid, where
from onnx_triangulate.ops.registry import Answer, Asked, Example, NoRule, Rule, rounded
from onnx_triangulate.records.arrays import Array

_MEASURED = "constants measured over a grid of every float's exponents: scripts/measure_transcendentals.py"
_RUNNING = "running error analysis of the operator's formula: Higham, Accuracy and Stability, 2nd ed., 3.3"

FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "Acos": np.arccos,
    "Acosh": np.arccosh,
    "Asin": np.arcsin,
    "Asinh": np.arcsinh,
    "Atan": np.arctan,
    "Atanh": np.arctanh,
    "Cos": np.cos,
    "Cosh": np.cosh,
    "Erf": erf,
    "Exp": np.exp,
    "Log": np.log,
    "Sigmoid": sigmoid,
    "Sin": np.sin,
    "Sinh": np.sinh,
    "Tan": np.tan,
    "Tanh": np.tanh,
}


def _elementary(asked: Asked) -> Sequence[Answer]:
    name = asked.node.op_type
    value = FUNCTIONS[name](asked.x(0))
    return [rounded(asked, value, asked.format.elementary[name][0], asked.format.floor(name, value))]


def _input(asked: Asked, index: int = 0) -> Near:
    return Near(asked.x(index), np.zeros(()), asked.format)


def _pow(asked: Asked) -> Sequence[Near | Array]:
    """exp(z log x) in extended precision, or repeated products for a small whole exponent."""
    base, exponent = asked.array(0), asked.array(1)
    if base.dtype.kind in "iu":
        if exponent.dtype.kind in "iu":
            return [np.asarray(np.power(base, exponent), dtype=base.dtype)]
        raise NoRule("integers to the power of floats")
    c, floor = asked.format.elementary["Pow"]
    value = np.power(base.astype(np.float64), exponent.astype(np.float64))
    return [_input(asked).rounded(value, 0.0, c, floor + asked.format.tiny)]


def _softplus(asked: Asked) -> Sequence[Near]:
    return [softplus(_input(asked))]


def softplus(x: Near) -> Near:
    """max(x, 0) + log(1 + exp(-|x|)): the logarithm's argument is rounded to a number near 1."""
    inner = (-abs(x)).exp() + 1.0
    tail = inner.log()
    positive = Near(np.maximum(x.value, 0), x.error, x.format)
    return positive + Near(np.log1p(np.exp(-np.abs(x.value))), tail.error, x.format)


def _elu(asked: Asked) -> Sequence[Near]:
    x = _input(asked)
    alpha = asked.number(float(asked.attribute("alpha", 1.0)))
    return [where(x.value > 0, x, alpha * _expm1(x))]


def _expm1(x: Near) -> Near:
    """exp(x) - 1 below zero, as a difference or in one step."""
    power = Near(np.minimum(x.value, 0), x.error, x.format).exp()
    return Near(np.expm1(np.minimum(x.value, 0)), (power - 1.0).error, x.format)


def _selu(asked: Asked) -> Sequence[Near]:
    x = _input(asked)
    alpha = asked.number(float(asked.attribute("alpha", 1.67326319217681884765625)))
    gain = asked.number(float(asked.attribute("gamma", 1.05070102214813232421875)))
    return [where(x.value > 0, gain * x, gain * (alpha * _expm1(x)) * _one(x))]


def _celu(asked: Asked) -> Sequence[Near]:
    x = _input(asked)
    alpha = asked.number(float(asked.attribute("alpha", 1.0)))
    return [where(x.value > 0, x, alpha * _expm1(x / alpha))]


def _one(x: Near) -> Near:
    return x.like(1.0)


def _gelu(asked: Asked) -> Sequence[Near]:
    x = _input(asked)
    if asked.attribute("approximate", "none") == "tanh":
        cubed = x * x * x * asked.number(0.044715)
        inner = asked.number(math.sqrt(2 / math.pi)) * (x + cubed)
        # sqrt(2/pi) x (1 + 0.044715 x^2) is the same with its roundings elsewhere: as large, nothing cancels in it.
        return [x * 0.5 * _bounded(inner.tanh() + 1.0, 2.0) * _one(x)]
    scaled = x / asked.number(math.sqrt(2))
    inside = Format.of(asked.format.dtype, {"Erf": asked.format.elementary["Gelu"]}, asked.format.unit)
    half = _bounded(Near(scaled.value, scaled.error, inside).erf() + 1.0, 2.0)
    exactly = Near(2 * phi(x.value), half.error, x.format)
    return [x * 0.5 * exactly * _one(x)]


def _bounded(x: Near, top: float) -> Near:
    return Near(x.value, np.minimum(x.error, top), x.format)


def _swish(asked: Asked) -> Sequence[Near]:
    x = _input(asked)
    alpha = float(asked.attribute("alpha", 1.0))
    inner = x if alpha == 1 else x * asked.number(alpha)
    return [x * inner.sigmoid()]


def _mish(asked: Asked) -> Sequence[Near]:
    x = _input(asked)
    return [x * softplus(x).tanh()]


_X = {"x": "float[2,3,7]"}
_DOMAINS = {"Acos": "unit[3,7]", "Asin": "unit[3,7]", "Atanh": "unit[3,7]", "Log": "positive[3,7]"}


def _example(name: str) -> Example:
    if name == "Acosh":
        return Example("Acosh(x)", {"x": np.linspace(1, 9, 17)}, {"x": 1.01})
    return Example(f"{name}(x)", {"x": _DOMAINS.get(name, "float[3,7]")}, {"x": 0.99})


RULES = (
    Rule(
        "elementary function",
        tuple(FUNCTIONS),
        _elementary,
        "c u |y| and a floor",
        _MEASURED,
        tuple(_example(name) for name in FUNCTIONS),
    ),
    Rule(
        "power",
        ("Pow",),
        _pow,
        "c u |y| and a floor; integers exactly",
        _MEASURED,
        (Example("Pow(x, z)", {"x": "positive[3,7]", "z": "float[7]"}, {"z": 1.01}),),
    ),
    Rule(
        "softplus",
        ("Softplus",),
        _softplus,
        "log(1 + exp x) without overflow",
        _RUNNING,
        (Example("Softplus(x)", _X, {"x": 1.01}),),
    ),
    Rule(
        "elu",
        ("Elu",),
        _elu,
        "alpha (exp x - 1) below zero",
        _RUNNING,
        (Example("Elu<alpha=1.5>(x)", _X, "Elu<alpha=1.515>(x)"),),
    ),
    Rule(
        "selu",
        ("Selu",),
        _selu,
        "gamma alpha (exp x - 1) below zero, gamma x above",
        _RUNNING,
        (Example("Selu(x)", _X, "Selu<gamma=1.06>(x)"),),
    ),
    Rule(
        "celu",
        ("Celu",),
        _celu,
        "alpha (exp(x / alpha) - 1) below zero",
        _RUNNING,
        (Example("Celu<alpha=1.5>(x)", _X, "Celu<alpha=1.515>(x)"),),
    ),
    Rule(
        "gelu",
        ("Gelu",),
        _gelu,
        "x (1 + erf(x / sqrt 2)) / 2, or with a tanh",
        _RUNNING,
        (
            Example("Gelu(x)", _X, 'Gelu<approximate="tanh">(x)', opset=20),
            Example('Gelu<approximate="tanh">(x)', _X, "Gelu(x)", opset=20),
        ),
    ),
    Rule(
        "swish",
        ("Swish",),
        _swish,
        "x sigmoid(alpha x)",
        _RUNNING,
        (Example("Swish<alpha=1.5>(x)", _X, "Swish<alpha=1.515>(x)", opset=24),),
    ),
    Rule("mish", ("Mish",), _mish, "x tanh(softplus x)", _RUNNING, (Example("Mish(x)", _X, {"x": 1.01}),)),
)
