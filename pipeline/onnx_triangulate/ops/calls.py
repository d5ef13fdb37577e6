"""One node of one run, and what its outputs should be: what an operator's bound is given and what it returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import onnx

from onnx_triangulate.ops.enclosures import Enclosure, Format
from onnx_triangulate.records.arrays import Array


class NotCovered(Exception):
    """An operator's bound does not cover this use of it: says what nobody bounded."""


@dataclass(frozen=True, eq=False)
class ExpectedOutput:
    """What an output should be: ``value``, in float64 or the output's own type, and how far off it may be.

    ``error`` may be a function that makes the bound, for bounds that cost as much as the value; then ``relative`` times
    the size of the value is never more than it, and where that is enough nobody makes it.
    ``flips`` marks elements where another value is compatible with rounding (of a discontinuous operator);
    ``unsaid`` marks those about which ONNX says nothing.  ``signed_zeros``: -0 is not +0.
    """

    value: Array
    dtype: str
    error: Array | float | Callable[[], Array] = 0.0
    flips: Array | None = None
    unsaid: Array | None = None
    signed_zeros: bool = False
    relative: float = 0.0
    at: Callable[[Array], Array] | None = None  # the bound at flat places only, where that is cheaper than all of it

    def limit(self) -> Array:
        """The whole bound, broadcastable to the value."""
        return np.asarray(self.error() if callable(self.error) else self.error, dtype=np.float64)

    @property
    def rounds(self) -> bool:
        """Whether rounding may move it at all, as far as that is known without making the bound."""
        return callable(self.error) or bool(np.any(self.error))


@dataclass(frozen=True, eq=False)
class NodeCall:
    """One node of one run: what it consumed and produced (``None`` for an absent optional one), in their own types.

    ``input_errors`` holds each input's own bound, for discontinuous operators; nothing where inputs are taken as they
    are.
    ``evaluate`` is the reference evaluator: a node, its opset, what it consumes; what it makes.
    """

    node: onnx.NodeProto
    opset: int
    consumed: tuple[Array | None, ...]
    produced: tuple[Array | None, ...]
    input_errors: tuple[Array | None, ...]
    format: Format
    evaluate: Callable[[onnx.NodeProto, int, Sequence[Array | None]], list[Array]]

    @cached_property
    def attributes(self) -> Mapping[str, Any]:
        return {a.name: onnx.helper.get_attribute_value(a) for a in self.node.attribute}

    def attribute(self, name: str, default: Any = None) -> Any:
        value = self.attributes.get(name, default)
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else value

    def has_input(self, index: int) -> bool:
        return index < len(self.consumed) and self.consumed[index] is not None

    def has_output(self, index: int) -> bool:
        return index < len(self.node.output) and bool(self.node.output[index])

    def array(self, index: int) -> Array:
        """Input ``index`` in its own type.  Raises ``ValueError`` where the node was not given it."""
        value = self.consumed[index] if index < len(self.consumed) else None
        if value is None:
            raise ValueError(f"{self.node.op_type} was not given its input {index}")
        return value

    def x(self, index: int) -> Array:
        """Input ``index`` in float64."""
        return self.array(index).astype(np.float64, copy=False)

    def enclose(self, value: Any, error: Array | float = 0.0) -> Enclosure:
        """A value in the node's format that is ``error`` off at most."""
        return Enclosure(np.asarray(value, dtype=np.float64), np.asarray(error, dtype=np.float64), self.format)

    def enclosure(self, index: int) -> Enclosure:
        """Input ``index`` with its own bound, if any."""
        return self.enclose(self.x(index), self.input_error(index))

    def number(self, value: float) -> Enclosure:
        """A constant, rounded to the node's type where it is not one of its numbers."""
        return self.enclose(0.0).lift(value)

    def input_error(self, index: int) -> Array:
        found = self.input_errors[index] if index < len(self.input_errors) else None
        return np.zeros(()) if found is None else np.asarray(found, dtype=np.float64)

    def integers(self, index: int) -> tuple[int, ...] | None:
        """Input ``index`` as a list of integers (axes, shapes), ``None`` where it is absent."""
        return tuple(int(v) for v in self.array(index).ravel()) if self.has_input(index) else None

    def reference(self, consumed: Sequence[Array | None] | None = None, *, double: bool = True) -> list[Array]:
        """The reference evaluator's opinion of this node, in float64 or in the types it was given."""
        given = self.consumed if consumed is None else tuple(consumed)
        if double:
            given = tuple(wide(v) if v is not None else None for v in given)
        return self.evaluate(self.node, self.opset, given)

    def reference_output(self, index: int = 0) -> Array:
        """An output of the reference evaluator on the inputs in their own types."""
        return self.reference(double=False)[index]


def wide(array: Array) -> Array:
    """Floats as float64, everything else as it is."""
    return array.astype(np.float64, copy=False) if array.dtype.kind == "f" or array.dtype.name == "bfloat16" else array


def exact(value: Array, *, signed_zeros: bool = False, unsaid: Array | None = None) -> ExpectedOutput:
    """An output that holds to the bit."""
    return ExpectedOutput(value, value.dtype.name, signed_zeros=signed_zeros, unsaid=unsaid)


def contracted(call: NodeCall, value: Array, scale: Callable[[], Array], k: int) -> ExpectedOutput:
    """A sum of products in any order, as :meth:`Enclosure.contracted`; ``scale`` makes the sums of sizes where they are
    needed.

    A sum is no larger than the sum of its sizes, so gamma_k of itself is never more than the bound.
    """
    bare = call.enclose(0.0)
    made: list[Array] = []

    def sizes() -> Array:
        if not made:
            made.append(scale())
        return made[0]

    def at(places: Array) -> Array:
        flat = np.broadcast_to(sizes(), value.shape).reshape(-1)
        return bare.contracted(value.reshape(-1)[places], flat[places].astype(np.float64), k).error

    return ExpectedOutput(
        value,
        call.format.dtype,
        lambda: bare.contracted(value, sizes().astype(np.float64), k).error,
        relative=call.format.gamma(k) * _BARELY,
        at=at,
    )


def rounded(call: NodeCall, value: Array, roundings: float, floor: Array | float = 0.0) -> ExpectedOutput:
    """A value that is rounded so many times, as :meth:`Enclosure.rounded`."""
    bare = call.enclose(0.0)
    return ExpectedOutput(
        value,
        call.format.dtype,
        lambda: bare.rounded(value, 0.0, roundings, floor).error,
        relative=roundings * call.format.unit * _BARELY,
    )


_BARELY = 1 - 1e-9  # float64's own rounding of the sums of sizes must not make the cheap part the larger one
