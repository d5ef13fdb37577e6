"""What a rule is made of; see ``ops.families``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import onnx
import onnx.parser

from onnx_triangulate.ops.near import Format, Near
from onnx_triangulate.records.arrays import Array


class NoRule(Exception):
    """A rule's formula does not cover this use of its operator: says what it is that nobody bounded."""


@dataclass(frozen=True, eq=False)
class Answer:
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
class Asked:
    """One node of one run: what it consumed and produced (``None`` for an absent optional one), in their own types.

    ``slack`` is each input's own bound, for discontinuous operators; nothing where the inputs are taken as they are.
    ``evaluate`` is the reference evaluator: a node, its opset, what it consumes; what it makes.
    """

    node: onnx.NodeProto
    opset: int
    consumed: tuple[Array | None, ...]
    produced: tuple[Array | None, ...]
    slack: tuple[Array | None, ...]
    format: Format
    evaluate: Callable[[onnx.NodeProto, int, Sequence[Array | None]], list[Array]]

    @cached_property
    def attributes(self) -> Mapping[str, Any]:
        return {a.name: onnx.helper.get_attribute_value(a) for a in self.node.attribute}

    def attribute(self, name: str, default: Any = None) -> Any:
        value = self.attributes.get(name, default)
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else value

    def given(self, index: int) -> bool:
        return index < len(self.consumed) and self.consumed[index] is not None

    def wanted(self, index: int) -> bool:
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

    def near(self, index: int, *, default: float | None = None) -> Near:
        """Input ``index`` with its own bound, if any."""
        if default is not None and not self.given(index):
            return Near(np.asarray(default, dtype=np.float64), np.zeros(()), self.format)
        return Near(self.x(index), self.margin(index), self.format)

    def number(self, value: float) -> Near:
        """A constant, rounded to the node's type where it is not one of its numbers."""
        return Near(np.zeros(()), np.zeros(()), self.format).lift(value)

    def margin(self, index: int) -> Array:
        found = self.slack[index] if index < len(self.slack) else None
        return np.zeros(()) if found is None else np.asarray(found, dtype=np.float64)

    def integers(self, index: int) -> tuple[int, ...] | None:
        """Input ``index`` as a list of integers (axes, shapes), ``None`` where it is absent."""
        return tuple(int(v) for v in self.array(index).ravel()) if self.given(index) else None

    def reference(self, consumed: Sequence[Array | None] | None = None, *, double: bool = True) -> list[Array]:
        """The reference evaluator's opinion of this node, in float64 or in the types it was given."""
        given = self.consumed if consumed is None else tuple(consumed)
        if double:
            given = tuple(wide(v) if v is not None else None for v in given)
        return self.evaluate(self.node, self.opset, given)

    def as_is(self, index: int = 0) -> Array:
        """An output of the reference evaluator on the inputs in their own types."""
        return self.reference(double=False)[index]


def wide(array: Array) -> Array:
    """Floats as float64, everything else as it is."""
    return array.astype(np.float64, copy=False) if array.dtype.kind == "f" or array.dtype.name == "bfloat16" else array


def exact(value: Array, *, signed_zeros: bool = False, unsaid: Array | None = None) -> Answer:
    """An answer that holds to the bit."""
    return Answer(value, value.dtype.name, signed_zeros=signed_zeros, unsaid=unsaid)


def contracted(asked: Asked, value: Array, scale: Callable[[], Array], k: int) -> Answer:
    """A sum of products in any order, as :meth:`Near.contracted`; ``scale`` makes the sums of sizes if they are needed.

    A sum is no larger than the sum of its sizes, so gamma_k of itself is never more than the bound.
    """
    bare = Near(np.zeros(()), np.zeros(()), asked.format)
    made: list[Array] = []

    def sizes() -> Array:
        if not made:
            made.append(scale())
        return made[0]

    def at(places: Array) -> Array:
        flat = np.broadcast_to(sizes(), value.shape).reshape(-1)
        return bare.contracted(value.reshape(-1)[places], flat[places].astype(np.float64), k).error

    return Answer(
        value,
        asked.format.dtype,
        lambda: bare.contracted(value, sizes().astype(np.float64), k).error,
        relative=asked.format.gamma(k) * _BARELY,
        at=at,
    )


def rounded(asked: Asked, value: Array, roundings: float, floor: Array | float = 0.0) -> Answer:
    """A value that is rounded so many times, as :meth:`Near.rounded`."""
    bare = Near(np.zeros(()), np.zeros(()), asked.format)
    return Answer(
        value,
        asked.format.dtype,
        lambda: bare.rounded(value, 0.0, roundings, floor).error,
        relative=roundings * asked.format.unit * _BARELY,
    )


_BARELY = 1 - 1e-9  # float64's own rounding of the sums of sizes must not make the cheap part the larger one


Bound = Callable[[Asked], Sequence[Answer | Near | Array | None]]


@dataclass(frozen=True)
class Example:
    """A node in ONNX text, its inputs, and a fault: ``Conv<pads=[1,1,1,1]>(x, w)`` with ``x`` and ``w`` drawn.

    ``inputs`` maps names to ``"float[2,3]"`` (drawn at random, with zeros, ties and negatives), or to values (lists are
    int64, booleans bool).  The fault is another node text, or inputs with the factors they are multiplied by.
    """

    node: str
    inputs: Mapping[str, Any]
    fault: str | Mapping[str, float]
    opset: int = 18
    outputs: str = "y"

    def proto(self, text: str) -> onnx.NodeProto:
        version = f'<ir_version: 10, opset_import: ["" : {self.opset}]>'
        inputs = ", ".join(f"float[N] {name}" for name in self.inputs)
        model = onnx.parser.parse_model(f"{version} g ({inputs}) => (float[N] y) {{ {self.outputs} = {text} }}")
        return model.graph.node[0]

    def arrays(self, seed: int = 0) -> dict[str, Array]:
        return {n: drawn(v, np.random.default_rng([seed, i])) for i, (n, v) in enumerate(self.inputs.items())}


def drawn(wanted: Any, random: np.random.Generator) -> Array:
    """An array for an example's input."""
    if not isinstance(wanted, str):
        value = np.asarray(wanted)
        return value.astype(np.float32) if value.dtype == np.float64 else value
    kind, _, dims = wanted.rstrip("]").partition("[")
    shape = tuple(int(d) for d in dims.split(",") if d)
    if kind == "bool":
        return random.random(shape) < 0.5
    if kind.startswith(("int", "uint")):
        return random.integers(0 if kind[0] == "u" else -5, 100 if "8" in kind else 9, shape).astype(kind)
    values = random.normal(size=shape) * 2
    if kind == "positive":
        return np.asarray(np.abs(values) + 0.05).astype(np.float32)
    if kind == "unit":
        return np.asarray(np.tanh(values)).astype(np.float32)
    flat = values.reshape(-1)
    if flat.size > 4:
        flat[1], flat[3] = 0.0, flat[2]
    return np.asarray(values).astype({"float": "float32", "double": "float64"}.get(kind, kind))


@dataclass(frozen=True)
class Rule:
    """How far rounding may move what some operators produce.

    ``bound(asked)`` returns per output an :class:`Answer`, a :class:`Near`, an array (exact to the bit), or ``None``
    where it bounds nothing; it raises :class:`NoRule` where the formula does not cover the node.  ``examples`` are its
    proofs: tests are generated from them, a healthy node passes and the fault fails.
    """

    name: str
    ops: tuple[str, ...]
    bound: Bound
    about: str
    source: str
    examples: tuple[Example, ...] = field(default=())
