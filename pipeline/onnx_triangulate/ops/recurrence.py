"""RNN, GRU and LSTM as ONNX specifies them: the parts of a node, and what nobody defines.

Design note.  The evaluator of onnx 1.23 takes no notice of ``activations`` (but an RNN's Tanh and Affine), their
``alpha`` and ``beta``, ``clip``, ``sequence_lens`` and ``input_forget``, so that two nodes that differ in one of them
are the same to it.  Here all of it counts, and what the specification leaves open or forbids raises
``NotImplementedError``: values of ``activation_alpha`` that may belong to one function or another, an Affine or a
ScaledTanh without theirs, lengths that the sequence does not have, the last state of a row of no steps (unless it is
zero either way).  A row beyond its length is zero in Y and keeps its state; ``reverse`` begins at a row's own last
step.  ``clip`` bounds what goes into an activation and never the state itself; a cell state beyond it, which the
specification's words would bound on its way into Ht and ONNX Runtime 1.32 does not, is refused.  Coupled gates are the
forget gate as 1 - it.  What a node makes of its parts is written once, with its bound (``ops.families.recurrent``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from onnx_triangulate.records.arrays import Array

BEYOND = "what clip does to a cell state beyond it on its way into Ht"
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
DEFAULTS = {"RNN": ("Tanh",), "GRU": ("Sigmoid", "Tanh"), "LSTM": ("Sigmoid", "Tanh", "Tanh")}
_DIRECTIONS = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}
_ATTRIBUTES = frozenset(
    "activation_alpha activation_beta activations clip direction hidden_size layout output_sequence".split()
)
_OWN = {"RNN": (), "GRU": ("linear_before_reset",), "LSTM": ("input_forget",)}


# The defaults of alpha and beta of the functions that take them; ``None`` is one that ONNX does not say: it has no
# operator of that name any more.
ACTIVATIONS: Mapping[str, tuple[float | None, ...]] = {
    "Relu": (),
    "Tanh": (),
    "Sigmoid": (),
    "Affine": (None, None),
    "LeakyRelu": (0.01,),
    "ThresholdedRelu": (1.0,),
    "ScaledTanh": (None, None),
    "HardSigmoid": (0.2, 0.5),
    "Elu": (1.0,),
    "Softsign": (),
    "Softplus": (),
}
_NAMES = {name.lower(): name for name in ACTIVATIONS}  # runtimes read them in any case


@dataclass(frozen=True)
class Chosen:
    """One activation of a node with its alpha and beta, as far as it takes any."""

    name: str
    parameters: tuple[float, ...]


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
        Chosen(name, tuple(values[slot][i] for slot in range(len(ACTIVATIONS[name])))) for i, name in enumerate(names)
    ]
    return tuple(tuple(chosen[way * count : (way + 1) * count]) for way in range(ways))


def _consumed(held: Mapping[str, Any], names: Sequence[str], slot: int, attribute: str) -> dict[int, float]:
    """The alpha (``slot`` 0) or beta (1) of each function that takes one, by the function's place.

    ONNX has them "consumed in the order of activation functions".  One for each function that takes one is that; one
    for each function is read by some as one for each place, by others as the first ones: good where both say the same.
    """
    takers = [i for i, name in enumerate(names) if len(ACTIVATIONS[name]) > slot]
    given = [float(value) for value in held.get(attribute) or ()]
    if not takers:
        return {}
    if not given:
        defaults = [ACTIVATIONS[names[i]][slot] for i in takers]
        _ensure(None not in defaults, f"{', '.join(names[i] for i in takers)} without {attribute}")
        return {i: float(np.float32(d)) for i, d in zip(takers, defaults, strict=True) if d is not None}
    clear = len(given) == len(takers) or (
        len(given) == len(names) and [given[i] for i in takers] == given[: len(takers)]
    )
    _ensure(clear, f"{len(given)} values of {attribute} for {len(takers)} of {len(names)} functions")
    return dict(zip(takers, given, strict=False))
