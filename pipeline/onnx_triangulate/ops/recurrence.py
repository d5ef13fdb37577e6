"""RNN, GRU and LSTM as ONNX specifies them, for ONNX's reference evaluator, in the type they are given.

Design note.  The evaluator of onnx 1.23 takes no notice of ``activations`` (but an RNN's Tanh and Affine), their
``alpha`` and ``beta``, ``clip``, ``sequence_lens`` and ``input_forget``, so that two nodes that differ in one of them
are the same to it.  Here all of it counts, and what the specification leaves open or forbids raises
``NotImplementedError``: values of ``activation_alpha`` that may belong to one function or another, an Affine or a
ScaledTanh without theirs, lengths that the sequence does not have, the last state of a row of no steps (unless it is
zero either way).  A row beyond its length is zero in Y and keeps its state; ``reverse`` begins at a row's own last
step.  ``clip`` bounds what goes into an activation and never the state itself; a cell state beyond it, which the
specification's words would bound on its way into Ht and ONNX Runtime 1.32 does not, is refused.  Coupled gates are the
forget gate as 1 - it.

:func:`taken_apart` checks a node and names its parts, for the rule that bounds its rounding
(``ops.families.recurrent``) as well: what is refused here has no answer there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from onnx_triangulate.ops.enclosures import sigmoid
from onnx_triangulate.records.arrays import Array

Function = Callable[[Array], Array]

BEYOND = "what clip does to a cell state beyond it on its way into Ht"
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
DEFAULTS = {"RNN": ("Tanh",), "GRU": ("Sigmoid", "Tanh"), "LSTM": ("Sigmoid", "Tanh", "Tanh")}
_DIRECTIONS = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}
_ATTRIBUTES = frozenset(
    "activation_alpha activation_beta activations clip direction hidden_size layout output_sequence".split()
)
_OWN = {"RNN": (), "GRU": ("linear_before_reset",), "LSTM": ("input_forget",)}


@dataclass(frozen=True)
class Activation:
    """A function of the specification: what it makes of x, alpha and beta, and the defaults of those that it takes.

    A default of ``None`` is one that ONNX does not say: it has no operator of that name any more.
    """

    of: Callable[..., Any]
    defaults: tuple[float | None, ...] = ()


ACTIVATIONS: Mapping[str, Activation] = {
    "Relu": Activation(lambda x: np.maximum(x, 0)),
    "Tanh": Activation(np.tanh),
    "Sigmoid": Activation(sigmoid),
    "Affine": Activation(lambda x, alpha, beta: alpha * x + beta, (None, None)),
    "LeakyRelu": Activation(lambda x, alpha: np.where(x >= 0, x, alpha * x), (0.01,)),
    "ThresholdedRelu": Activation(lambda x, alpha: np.where(x >= alpha, x, 0), (1.0,)),
    "ScaledTanh": Activation(lambda x, alpha, beta: alpha * np.tanh(beta * x), (None, None)),
    "HardSigmoid": Activation(lambda x, alpha, beta: np.clip(alpha * x + beta, 0, 1), (0.2, 0.5)),
    "Elu": Activation(lambda x, alpha: np.where(x >= 0, x, alpha * np.expm1(np.minimum(x, 0))), (1.0,)),
    "Softsign": Activation(lambda x: x / (1 + np.abs(x))),
    "Softplus": Activation(lambda x: np.logaddexp(0, x)),
}
_NAMES = {name.lower(): name for name in ACTIVATIONS}  # runtimes read them in any case


@dataclass(frozen=True)
class Chosen:
    """One activation of a node with its alpha and beta, as far as it takes any."""

    name: str
    parameters: tuple[float, ...]

    def __call__(self, x: Array) -> Array:
        return np.asarray(ACTIVATIONS[self.name].of(x, *self.parameters), dtype=x.dtype)


@dataclass(frozen=True, eq=False)
class Parts:
    """A node whose sizes fit, steps first: ``x`` [steps, batch, input], ``lengths`` [batch], states [directions, ...].

    ``reverse`` and ``activations`` are per direction; what is absent is zero.
    """

    x: Array
    w: Array
    r: Array
    b: Array
    lengths: Array
    h: Array
    c: Array
    p: Array
    reverse: tuple[bool, ...]
    activations: tuple[tuple[Chosen, ...], ...]
    clip: float | None
    layout: int
    coupled: bool
    linear: bool


def taken_apart(op: str, given: Sequence[Array | None], settings: Mapping[str, Any]) -> Parts:
    """The parts of a node from its inputs and its attributes (``None`` for an absent one of either).

    Raises ``NotImplementedError`` where the specification does not say what the node computes.
    """
    held = {name: value for name, value in settings.items() if value is not None}
    strange = set(held) - _ATTRIBUTES - set(_OWN[op])
    _ensure(not strange, f"{op} with {', '.join(sorted(strange))}")
    direction = _text(held.get("direction", "forward"))
    _ensure(direction in _DIRECTIONS, f"the direction {direction!r}")
    reverse = _DIRECTIONS[direction]
    layout = int(held.get("layout", 0))
    _ensure(layout in (0, 1), f"layout {layout}")
    _ensure(len(given) <= (8 if op == "LSTM" else 6), f"{op} of {len(given)} inputs")
    inputs: list[Array | None] = [*given, *[None] * (8 - len(given))]
    x, w, r, b, lengths, h, c, p = inputs
    if x is None or r is None or x.ndim != 3 or r.ndim != 3:
        raise NotImplementedError(f"ONNX does not define {op} of such inputs")
    if layout:
        x = np.swapaxes(x, 0, 1)
        h, c = (None if v is None else np.swapaxes(v, 0, 1) for v in (h, c))
    (steps, batch, size), hidden, ways, gates = x.shape, r.shape[-1], len(reverse), GATES[op]
    _ensure(int(held.get("hidden_size") or hidden) == hidden, f"a hidden_size that is not {hidden}")
    state = (ways, batch, hidden)
    clip = None if held.get("clip") is None else float(held["clip"])
    _ensure(clip is None or clip >= 0, f"clip {clip}")
    parts = Parts(
        x,
        _sized(w, (ways, gates * hidden, size), x, "W"),
        _sized(r, (ways, gates * hidden, hidden), x, "R"),
        _sized(b, (ways, 2 * gates * hidden), x, "B"),
        _lengths(lengths, steps, batch),
        _sized(h, state, x, "initial_h"),
        _sized(c, state, x, "initial_c"),
        _sized(p, (ways, 3 * hidden), x, "P"),
        reverse,
        _chosen(op, held, ways),
        clip,
        layout,
        bool(held.get("input_forget", 0)),
        bool(held.get("linear_before_reset", 0)),
    )
    unmoved = (parts.h[:, parts.lengths == 0], parts.c[:, parts.lengths == 0])
    _ensure(not any(map(np.any, unmoved)), "the last state of a row of no steps")
    return parts


def _ensure(holds: bool, otherwise: str) -> None:
    if not holds:
        raise NotImplementedError(f"ONNX does not define {otherwise}")


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _sized(value: Array | None, shape: tuple[int, ...], x: Array, name: str) -> Array:
    if value is None:
        return np.zeros(shape, x.dtype)
    _ensure(value.shape == shape, f"{name} of shape {value.shape} where {shape} is due")
    return value


def _lengths(given: Array | None, steps: int, batch: int) -> Array:
    if given is None:
        return np.full(batch, steps)
    _ensure(given.shape == (batch,), f"sequence_lens of shape {given.shape} for a batch of {batch}")
    _ensure(bool(np.all((given >= 0) & (given <= steps))), f"sequence_lens outside of 0 .. {steps}")
    return given.astype(np.int64)


def _chosen(op: str, held: Mapping[str, Any], ways: int) -> tuple[tuple[Chosen, ...], ...]:
    count = len(DEFAULTS[op])
    asked = [_text(name) for name in held.get("activations") or DEFAULTS[op] * ways]
    names = [_NAMES.get(name.lower(), "") for name in asked]
    _ensure(all(names), f"the activations {', '.join(asked)}")
    # An RNN's default is two, whatever its direction: one more function is none where it is the first again.
    spare = names[count * ways :]
    names = names[: count * ways]
    _ensure(len(names) == count * ways, f"{len(asked)} activations where {count * ways} are due")
    _ensure(not spare or spare == names, f"{len(asked)} activations where {count * ways} are due")
    values = [_consumed(held, names, slot, name) for slot, name in enumerate(("activation_alpha", "activation_beta"))]
    chosen = [
        Chosen(name, tuple(values[slot][i] for slot in range(len(ACTIVATIONS[name].defaults))))
        for i, name in enumerate(names)
    ]
    return tuple(tuple(chosen[way * count : (way + 1) * count]) for way in range(ways))


def _consumed(held: Mapping[str, Any], names: Sequence[str], slot: int, attribute: str) -> dict[int, float]:
    """The alpha (``slot`` 0) or beta (1) of each function that takes one, by the function's place.

    ONNX has them "consumed in the order of activation functions".  One for each function that takes one is that; one
    for each function is read by some as one for each place, by others as the first ones: good where both say the same.
    """
    takers = [i for i, name in enumerate(names) if len(ACTIVATIONS[name].defaults) > slot]
    given = [float(value) for value in held.get(attribute) or ()]
    if not takers:
        return {}
    if not given:
        defaults = [ACTIVATIONS[names[i]].defaults[slot] for i in takers]
        _ensure(None not in defaults, f"{', '.join(names[i] for i in takers)} without {attribute}")
        return {i: float(np.float32(d)) for i, d in zip(takers, defaults, strict=True) if d is not None}
    clear = len(given) == len(takers) or (
        len(given) == len(names) and [given[i] for i in takers] == given[: len(takers)]
    )
    _ensure(clear, f"{len(given)} values of {attribute} for {len(takers)} of {len(names)} functions")
    return dict(zip(takers, given, strict=False))


def recurrent(op: str, given: Sequence[Array | None], settings: Mapping[str, Any]) -> tuple[Array, ...]:
    """What a node makes of its inputs: Y and Y_h, and an LSTM's Y_c.  Raises as :func:`taken_apart`."""
    parts = taken_apart(op, given, settings)
    steps, batch = parts.x.shape[:2]
    turned = _turned(parts.lengths, steps)
    rows = np.arange(batch)
    found = []
    for way, reverse in enumerate(parts.reverse):
        y, h, c = _run(op, parts, way, parts.x[turned, rows] if reverse else parts.x)
        found.append((y[turned, rows] if reverse else y, h, c))
    y, h, c = (np.stack([one[i] for one in found], 1 if i == 0 else 0).astype(parts.x.dtype) for i in range(3))
    if parts.layout:
        y, h, c = np.transpose(y, (2, 0, 1, 3)), np.swapaxes(h, 0, 1), np.swapaxes(c, 0, 1)
    return (y, h, c) if op == "LSTM" else (y, h)


def _turned(lengths: Array, steps: int) -> Array:
    """Which step of a row is its step t in reverse: its own steps turned round, those beyond where they are."""
    t = np.arange(steps)[:, None]
    return np.asarray(np.where(t < lengths, lengths - 1 - t, t))


def _run(op: str, parts: Parts, way: int, x: Array) -> tuple[Array, Array, Array]:
    """One direction over ``x`` in its order: every state, the last one, and the last cell state."""
    step = {"RNN": _rnn, "GRU": _gru, "LSTM": _lstm}[op](parts, way)
    h, c = parts.h[way], parts.c[way]
    wb = np.split(parts.b[way], 2)[0]
    inner = x @ parts.w[way].T + wb
    y = np.zeros((*x.shape[:2], h.shape[-1]), x.dtype)
    for t in range(len(x)):
        alive = (t < parts.lengths)[:, None]
        new_h, new_c = step(inner[t], h, c)
        h, c = np.where(alive, new_h, h), np.where(alive, new_c, c)
        y[t] = np.where(alive, new_h, 0)
    return y, h, c


Step = Callable[[Array, Array, Array], tuple[Array, Array]]


def _functions(parts: Parts, way: int) -> list[Function]:
    def clipped(function: Function) -> Function:
        limit = parts.clip
        return function if limit is None else lambda x: function(np.clip(x, -limit, limit))

    return [clipped(function) for function in parts.activations[way]]


def _rnn(parts: Parts, way: int) -> Step:
    (f,) = _functions(parts, way)
    r, rb = parts.r[way].T, np.split(parts.b[way], 2)[1]
    return lambda inner, h, c: (f(inner + h @ r + rb), c)


def _gru(parts: Parts, way: int) -> Step:
    f, g = _functions(parts, way)
    size = parts.r.shape[-1]
    (r_zr, r_h), (b_zr, b_h) = (np.split(v, [2 * size]) for v in (parts.r[way], np.split(parts.b[way], 2)[1]))

    def step(inner: Array, h: Array, c: Array) -> tuple[Array, Array]:
        z, reset = np.split(f(inner[:, : 2 * size] + h @ r_zr.T + b_zr), 2, axis=1)
        own = reset * (h @ r_h.T + b_h) if parts.linear else (reset * h) @ r_h.T + b_h
        return (1 - z) * g(inner[:, 2 * size :] + own) + z * h, c

    return step


def _lstm(parts: Parts, way: int) -> Step:
    f, g, last = _functions(parts, way)
    r, rb = parts.r[way].T, np.split(parts.b[way], 2)[1]
    p_i, p_o, p_f = np.split(parts.p[way], 3)

    def step(inner: Array, h: Array, c: Array) -> tuple[Array, Array]:
        i, o, forget, new = np.split(inner + h @ r + rb, 4, axis=1)
        i = f(i + p_i * c)
        forget = 1 - i if parts.coupled else f(forget + p_f * c)
        cell = forget * c + i * g(new)
        _ensure(parts.clip is None or bool(np.all(np.abs(cell) <= parts.clip)), BEYOND)
        return f(o + p_o * cell) * last(cell), cell

    return step
