"""Numbers with how far a computed one may be from them: running error analysis as an array type.

Design note.  A bound writes an operator as its formula, once, on :class:`Enclosure` arrays: the value is float64, the
error an absolute bound on the distance of the same formula evaluated in the runtime's type, by the standard model
fl(a op b) = (a op b)(1 + d), |d| <= u, with what is of second order kept (Higham, Accuracy and Stability of Numerical
Algorithms, 2nd ed., 2.2, 3.1 and 3.3).  Sums and products of matrices are bounded for every order of summation, with
or without fused multiply-adds.  Where an intermediate may overflow, the error is infinite: the model says nothing
there, and neither do we.  Errors are kept in float64, whose own rounding is 2^29 times finer than float32's; a
:class:`Format` of double precision counts twice, for the reference rounds as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from onnx_triangulate.ops.bounds import gamma
from onnx_triangulate.records.arrays import Array

_UNIT = {"float64": 2 * 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}
_LARGEST = {"float64": 1.7976931348623157e308, "float32": 3.4028234663852886e38, "float16": 65504.0}
# The smallest normal number, for runtimes flush what is below it; float16 is computed in float32 or by hardware that
# keeps its subnormals.
_TINY = {"float64": 2.0**-1022, "float32": 2.0**-126, "bfloat16": 2.0**-126, "float16": 2.0**-24}

FLOATS = frozenset(_UNIT)


@dataclass(frozen=True)
class Format:
    """The arithmetic a node runs in: its type, the unit roundoff (of that type, or a coarser one that is asked for),
    and c and floor of elementary functions: |computed - f(x)| <= c u |f(x)| + floor."""

    dtype: str
    unit: float
    tiny: float
    largest: float
    elementary: Mapping[str, tuple[float, float]]

    @classmethod
    def of(cls, dtype: str, elementary: Mapping[str, tuple[float, float]], unit: float | None = None) -> Format:
        return cls(dtype, unit or _UNIT[dtype], _TINY[dtype], _LARGEST.get(dtype, 3.39e38), elementary)

    def gamma(self, k: int) -> float:
        return gamma(k, self.unit)

    def floor(self, name: str, value: Array) -> Array:
        """The absolute error of an elementary function, as far as it leaves a result the 8 bits of bfloat16.

        A kernel that is coarser has lost its definition, which is exact to a few units of the result.  Inside of
        another operator (a gate of an LSTM) a result is one of several numbers, and what is small need not keep digits.
        """
        return np.minimum(self.elementary[name][1], _COARSEST * np.abs(value)) + self.tiny


_COARSEST = 2.0**-8


def _magnified(error: Array, by: Array) -> Array:
    """error * |by|, nothing where there is no error."""
    return np.where(error == 0, 0.0, error * np.abs(by))


@dataclass(frozen=True, eq=False)
class Enclosure:
    """A value in float64 and how far from it the runtime's may be; ``error`` is broadcastable to ``value``."""

    value: Array
    error: Array
    format: Format

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape

    @property
    def size(self) -> Array:
        """The largest absolute value the runtime may hold."""
        return np.asarray(np.abs(self.value) + self.error)

    def like(self, value: Any, error: Any = 0.0) -> Enclosure:
        return Enclosure(np.asarray(value, dtype=np.float64), np.asarray(error, dtype=np.float64), self.format)

    def lift(self, other: Any) -> Enclosure:
        """Another operand; a Python number is a constant that the runtime rounds to its type."""
        if isinstance(other, Enclosure):
            return other
        value = np.asarray(other, dtype=np.float64)
        exact = value.astype(np.float32) == value if self.format.dtype != "bfloat16" else np.zeros(value.shape, bool)
        return self.like(value, np.where(exact, 0.0, self.format.unit * np.abs(value)))

    def rounded(
        self, value: Array, inherited: Array | float, roundings: float = 1, floor: Array | float = 0.0
    ) -> Enclosure:
        """A result that inherited an error and is rounded ``roundings`` times."""
        unit = self.format.unit
        error = np.asarray(inherited) * (1 + roundings * unit) + (roundings * unit * np.abs(value) + floor)
        return self.checked(value, np.where(np.isfinite(value), error, np.where(np.asarray(inherited) > 0, np.inf, 0)))

    def checked(self, value: Array, error: Array) -> Enclosure:
        error = np.where(np.isnan(error), np.inf, error)
        over = np.isfinite(value) & (np.abs(value) + error > self.format.largest)
        return Enclosure(np.asarray(value), np.where(over, np.inf, error) if over.any() else error, self.format)

    def __neg__(self) -> Enclosure:
        return Enclosure(-self.value, self.error, self.format)

    def __abs__(self) -> Enclosure:
        return Enclosure(np.abs(self.value), self.error, self.format)

    def __add__(self, other: Any) -> Enclosure:
        other = self.lift(other)
        value, inherited = self.value + other.value, self.error + other.error
        if not np.all(np.isfinite(value)):  # a mask's exact infinity swallows the other side's error
            certain = [np.isinf(side.value) & (side.error == 0) for side in (self, other)]
            inherited = np.where(certain[0] | certain[1], 0.0, inherited)
        return self.rounded(value, inherited)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Enclosure:
        return self + -self.lift(other)

    def __rsub__(self, other: Any) -> Enclosure:
        return self.lift(other) + -self

    def __mul__(self, other: Any) -> Enclosure:
        other = self.lift(other)
        inherited = _magnified(self.error, other.value) + _magnified(other.error, self.size)
        return self.rounded(self.value * other.value, inherited, floor=self.format.tiny)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Enclosure:
        other = self.lift(other)
        value = self.value / other.value
        least = np.abs(other.value) - other.error
        wrong = self.error + _magnified(other.error, value)
        inherited = np.where(wrong == 0, 0.0, np.where(least > 0, wrong / np.where(least > 0, least, 1), np.inf))
        return self.rounded(value, inherited, 2, self.format.tiny)  # a reciprocal may be multiplied

    def __rtruediv__(self, other: Any) -> Enclosure:
        return self.lift(other) / self

    def __getitem__(self, key: Any) -> Enclosure:
        return Enclosure(self.value[key], np.broadcast_to(self.error, self.shape)[key], self.format)

    def shaped(self, change: Callable[[Array], Array]) -> Enclosure:
        """Moved about by a function that holds for values and errors alike (transpose, reshape, concatenate)."""
        return Enclosure(change(self.value), change(np.broadcast_to(self.error, self.shape)), self.format)

    def rising(self, function: Callable[[Array], Array], c: float, floor: Array | float = 0.0) -> Enclosure:
        """A function that rises everywhere, correct to c units and a floor."""
        value = function(self.value)
        inherited = np.zeros(())
        if np.any(self.error):
            up, down = function(self.value + self.error) - value, value - function(self.value - self.error)
            inherited = np.where(self.error == 0, 0.0, np.maximum(up, down))
        return self.rounded(value, inherited, c, floor + self.format.tiny)

    def elementary(self, name: str, function: Callable[[Array], Array]) -> Enclosure:
        """An elementary function that rises everywhere, with the constants measured for ``name``."""
        return self.rising(function, *self.format.elementary[name])

    def exp(self) -> Enclosure:
        return self.elementary("Exp", np.exp)

    def log(self) -> Enclosure:
        return self.elementary("Log", lambda x: np.log(np.maximum(x, 0)))

    def sqrt(self) -> Enclosure:
        return self.rising(lambda x: np.sqrt(np.maximum(x, 0)), 1)

    def tanh(self) -> Enclosure:
        return self.elementary("Tanh", np.tanh)

    def sigmoid(self) -> Enclosure:
        return self.elementary("Sigmoid", sigmoid)

    def erf(self) -> Enclosure:
        """Its slope is largest where the argument is smallest in size: 2 / sqrt(pi) exp(-x^2) there."""
        c, floor = self.format.elementary["Erf"]
        nearest = np.maximum(np.abs(self.value) - self.error, 0)
        slope = 2 / np.sqrt(np.pi) * np.exp(-nearest * nearest)
        inherited = np.where(self.error == 0, 0.0, np.minimum(self.error * slope, 2.0))
        return self.rounded(erf(self.value), inherited, c, floor + self.format.tiny)

    def sum(self, axes: tuple[int, ...], extra: int = 0) -> Enclosure:
        """Sum over axes, kept at length 1: gamma_(n-1+extra) of the sum of sizes."""
        n = int(np.prod([self.shape[a] for a in axes], dtype=np.int64)) if axes else 1
        inherited = np.broadcast_to(self.error, self.shape).sum(axis=axes, keepdims=True)
        value = self.value.sum(axis=axes, keepdims=True)
        return self.contracted(value, self.size.sum(axis=axes, keepdims=True), max(n - 1, 0) + extra, inherited)

    def mean(self, axes: tuple[int, ...]) -> Enclosure:
        """Mean over axes, kept at length 1; the count may be rounded too, or its reciprocal multiplied."""
        n = int(np.prod([self.shape[a] for a in axes], dtype=np.int64)) if axes else 1
        total = self.sum(axes)
        with np.errstate(all="ignore"):
            return self.rounded(total.value / n, total.error / n, 2, self.format.tiny)

    def contracted(self, value: Array, scale: Array, k: int, inherited: Array | float = 0.0) -> Enclosure:
        """A sum of products rounded k times along any path: gamma_k * scale, and a flushed number per term."""
        with np.errstate(all="ignore"):
            error = np.asarray(inherited) + self.format.gamma(k) * scale + (k + 1) * self.format.tiny
        error = np.where(np.isfinite(value), error, 0.0)  # not finite from not finite operands: no rounding there
        return self.checked(value, np.where(np.isfinite(value) & (scale > self.format.largest), np.inf, error))

    def __matmul__(self, other: Enclosure) -> Enclosure:
        value, k = self.value @ other.value, self.shape[-1]
        inherited: Array | float = 0.0
        size, others = np.abs(self.value), np.abs(other.value)
        if np.any(self.error):
            inherited = np.broadcast_to(self.error, self.shape) @ (others + other.error)
        if np.any(other.error):
            inherited = inherited + size @ np.broadcast_to(other.error, other.shape)
        return self.contracted(value, size @ others + inherited, k + 1, inherited)


def joined(parts: Sequence[Enclosure], axis: int) -> Enclosure:
    """Concatenation."""
    value = np.concatenate([p.value for p in parts], axis)
    error = np.concatenate([np.broadcast_to(p.error, p.shape) for p in parts], axis)
    return Enclosure(value, error, parts[0].format)


def where(condition: Array, yes: Enclosure, no: Enclosure) -> Enclosure:
    """Elementwise choice by a condition that is certain."""
    return Enclosure(np.where(condition, yes.value, no.value), np.where(condition, yes.error, no.error), yes.format)


def largest(near: Enclosure, axes: tuple[int, ...]) -> Enclosure:
    """Maximum over axes, kept at length 1: off by no more than its furthest-off candidate."""
    error = np.broadcast_to(near.error, near.shape)
    return near.like(near.value.max(axis=axes, keepdims=True), error.max(axis=axes, keepdims=True))


def clipped(near: Enclosure, low: float, high: float) -> Enclosure:
    return Enclosure(np.clip(near.value, low, high), near.error, near.format)


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), written so that neither end overflows."""
    tail = np.exp(-np.abs(x))
    return np.asarray(np.where(x >= 0, 1 / (1 + tail), tail / (1 + tail)))


def _each(function: Callable[[float], float], x: Array) -> Array:
    x = np.asarray(x, dtype=np.float64)
    return np.fromiter(map(function, x.ravel().tolist()), np.float64, x.size).reshape(x.shape)


def erf(x: Array) -> Array:
    """The error function in float64."""
    return _each(math.erf, x)


def phi(x: Array) -> Array:
    """(1 + erf(x / sqrt 2)) / 2 without cancellation for negative x."""
    return _each(math.erfc, -np.asarray(x, dtype=np.float64) / math.sqrt(2)) / 2
