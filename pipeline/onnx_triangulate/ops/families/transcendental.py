"""Elementary functions and the activations made of them.

An elementary function by itself is judged by the constants that were measured of the runtime: c u |y| and a floor.
Activations are written as their formulas, so that what cancels in them (1 + erf of a negative number) counts for as
much as it may (running error analysis: Higham, Accuracy and Stability, 2nd ed., 3.3).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from onnx_triangulate.ops import axis_propagation as links
from onnx_triangulate.ops import rounding_counts as counts
from onnx_triangulate.ops.calls import ExpectedOutput, NodeCall, NotCovered, rounded
from onnx_triangulate.ops.enclosures import Enclosure, Format, erf, phi, sigmoid, where
from onnx_triangulate.ops.examples import Example
from onnx_triangulate.ops.operator import alike, bounded
from onnx_triangulate.records.arrays import Array

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


def _elementary(call: NodeCall) -> Sequence[ExpectedOutput]:
    name = call.node.op_type
    value = FUNCTIONS[name](call.x(0))
    return [rounded(call, value, call.format.elementary[name][0], call.format.floor(name, value))]


def _input(call: NodeCall, index: int = 0) -> Enclosure:
    return call.enclose(call.x(index))


def _pow(call: NodeCall) -> Sequence[Enclosure | Array]:
    """exp(z log x) in extended precision, or repeated products for a small whole exponent."""
    base, exponent = call.array(0), call.array(1)
    if base.dtype.kind in "iu":
        if exponent.dtype.kind in "iu":
            return [np.asarray(np.power(base, exponent), dtype=base.dtype)]
        raise NotCovered("integers to the power of floats")
    c, floor = call.format.elementary["Pow"]
    value = np.power(base.astype(np.float64), exponent.astype(np.float64))
    return [_input(call).rounded(value, 0.0, c, floor + call.format.tiny)]


def _softplus(call: NodeCall) -> Sequence[Enclosure]:
    return [softplus(_input(call))]


def softplus(x: Enclosure) -> Enclosure:
    """max(x, 0) + log(1 + exp(-|x|)): the logarithm's argument is rounded to a number near 1."""
    inner = (-abs(x)).exp() + 1.0
    tail = inner.log()
    positive = Enclosure(np.maximum(x.value, 0), x.error, x.format)
    return positive + Enclosure(np.log1p(np.exp(-np.abs(x.value))), tail.error, x.format)


def _elu(call: NodeCall) -> Sequence[Enclosure]:
    x = _input(call)
    alpha = call.number(float(call.attribute("alpha", 1.0)))
    return [where(x.value > 0, x, alpha * _expm1(x))]


def _expm1(x: Enclosure) -> Enclosure:
    """exp(x) - 1 below zero, as a difference or in one step."""
    power = Enclosure(np.minimum(x.value, 0), x.error, x.format).exp()
    return Enclosure(np.expm1(np.minimum(x.value, 0)), (power - 1.0).error, x.format)


def _selu(call: NodeCall) -> Sequence[Enclosure]:
    x = _input(call)
    alpha = call.number(float(call.attribute("alpha", 1.67326319217681884765625)))
    gain = call.number(float(call.attribute("gamma", 1.05070102214813232421875)))
    return [where(x.value > 0, gain * x, gain * (alpha * _expm1(x)) * _one(x))]


def _celu(call: NodeCall) -> Sequence[Enclosure]:
    x = _input(call)
    alpha = call.number(float(call.attribute("alpha", 1.0)))
    return [where(x.value > 0, x, alpha * _expm1(x / alpha))]


def _one(x: Enclosure) -> Enclosure:
    return x.like(1.0)


def _gelu(call: NodeCall) -> Sequence[Enclosure]:
    x = _input(call)
    if call.attribute("approximate", "none") == "tanh":
        cubed = x * x * x * call.number(0.044715)
        inner = call.number(math.sqrt(2 / math.pi)) * (x + cubed)
        # sqrt(2/pi) x (1 + 0.044715 x^2) is the same with its roundings elsewhere: as large, nothing cancels in it.
        return [x * 0.5 * _bounded(inner.tanh() + 1.0, 2.0) * _one(x)]
    scaled = x / call.number(math.sqrt(2))
    inside = Format.of(call.format.dtype, {"Erf": call.format.elementary["Gelu"]}, call.format.unit)
    half = _bounded(Enclosure(scaled.value, scaled.error, inside).erf() + 1.0, 2.0)
    exactly = Enclosure(2 * phi(x.value), half.error, x.format)
    return [x * 0.5 * exactly * _one(x)]


def gelu(x: Array) -> Array:
    """x Phi(x), in the type it is given."""
    return np.asarray(x * phi(x)).astype(x.dtype)


def tanh_gelu(x: Array) -> Array:
    """Its approximation by a tanh."""
    return np.asarray(x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))))


def _bounded(x: Enclosure, top: float) -> Enclosure:
    return Enclosure(x.value, np.minimum(x.error, top), x.format)


def _swish(call: NodeCall) -> Sequence[Enclosure]:
    x = _input(call)
    alpha = float(call.attribute("alpha", 1.0))
    inner = x if alpha == 1 else x * call.number(alpha)
    return [x * inner.sigmoid()]


def _mish(call: NodeCall) -> Sequence[Enclosure]:
    x = _input(call)
    return [x * softplus(x).tanh()]


_X = {"x": "float[2,3,7]"}
_DOMAINS = {"Acos": "unit[3,7]", "Asin": "unit[3,7]", "Atanh": "unit[3,7]", "Log": "positive[3,7]"}


def _example(name: str) -> Example:
    if name == "Acosh":
        return Example("Acosh(x)", {"x": np.linspace(1, 9, 17)}, {"x": 1.01})
    return Example(f"{name}(x)", {"x": _DOMAINS.get(name, "float[3,7]")}, {"x": 0.99})


OPERATORS = (
    *alike(
        bounded("selu", _selu, Example("Selu(x)", _X, "Selu<gamma=1.06>(x)")),
        bounded("celu", _celu, Example("Celu<alpha=1.5>(x)", _X, "Celu<alpha=1.515>(x)"), any_float=True),
        roundings=counts.TRANSCENDENTAL + 3,
        steps=counts.TRANSCENDENTAL + 3,
        axes=links.same,
    ),
    bounded(
        "power",
        _pow,
        Example("Pow(x, z)", {"x": "positive[3,7]", "z": "float[7]"}, {"z": 1.01}),
        roundings=counts.TRANSCENDENTAL,
        axes=links.elementwise,
    ),
    bounded(
        "softplus",
        _softplus,
        Example("Softplus(x)", _X, {"x": 1.01}),
        roundings=2 * counts.TRANSCENDENTAL + 1,
        steps=2 * counts.TRANSCENDENTAL + 1,
        axes=links.same,
    ),
    bounded(
        "elu",
        _elu,
        Example("Elu<alpha=1.5>(x)", _X, "Elu<alpha=1.515>(x)"),
        roundings=counts.TRANSCENDENTAL + 2,
        steps=counts.TRANSCENDENTAL + 2,
        axes=links.same,
    ),
    bounded(
        "gelu",
        _gelu,
        Example("Gelu(x)", _X, 'Gelu<approximate="tanh">(x)', opset=20),
        Example('Gelu<approximate="tanh">(x)', _X, "Gelu(x)", opset=20),
        stock="slow",
        roundings=counts.TRANSCENDENTAL + 8,
        steps=counts.TRANSCENDENTAL + 8,
        axes=links.same,
    ),
    bounded(
        "swish",
        _swish,
        Example("Swish<alpha=1.5>(x)", _X, "Swish<alpha=1.515>(x)", opset=24),
        roundings=counts.TRANSCENDENTAL + 2,
        steps=counts.TRANSCENDENTAL + 2,
        axes=links.same,
    ),
    bounded(
        "mish",
        _mish,
        Example("Mish(x)", _X, {"x": 1.01}),
        roundings=3 * counts.TRANSCENDENTAL + 2,
        steps=3 * counts.TRANSCENDENTAL + 2,
        axes=links.same,
    ),
    *(
        bounded(
            "elementary function",
            _elementary,
            _example(name),
            stock="slow" if name == "Erf" else "right",
            roundings=counts.TRANSCENDENTAL,
            steps=counts.TRANSCENDENTAL if name == "Sigmoid" else 0,
            axes=links.same,
        )
        for name in FUNCTIONS
    ),
)
