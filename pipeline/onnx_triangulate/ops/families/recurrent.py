"""LSTM, GRU and RNN, step by step, each step on the hidden state that the run itself produced before it.

The hidden states are an output (Y), so that a step is judged on what it consumed, and no bound grows with the length
of a sequence; a cell state is not, and its bound is carried along (a forget gate below 1 keeps it from growing).  Where
Y is not returned the bound is carried through the hidden state too.

What a node is, and what of it ONNX does not define, is said by ``ops.recurrence``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from onnx_triangulate.ops import rounding_counts as counts
from onnx_triangulate.ops.calls import NodeCall, NotCovered
from onnx_triangulate.ops.enclosures import Enclosure, clipped, joined
from onnx_triangulate.ops.examples import Example
from onnx_triangulate.ops.operator import bounded
from onnx_triangulate.ops.recurrence import BEYOND, GATES, Chosen, Parts, taken_apart
from onnx_triangulate.records.arrays import Array

Activation = Callable[[Enclosure], Enclosure]


def _tanh(x: Enclosure) -> Enclosure:
    """In a recurrent kernel a tanh may be made of one power, 1 - 2 / (1 + exp 2x): exact to a few units of 1."""
    y = x.tanh()
    power, _floor = x.format.elementary["Exp"]
    return Enclosure(y.value, y.error + x.format.unit * 2 * (power + 2), x.format)


def _leaky(x: Enclosure, alpha: float) -> Enclosure:
    value = np.where(x.value >= 0, x.value, alpha * x.value)
    return x.rounded(value, x.error * max(1.0, abs(alpha)), 1, x.format.tiny)


def _elu(x: Enclosure, alpha: float) -> Enclosure:
    """exp(x) - 1 is exact to units of 1 only."""
    value = np.where(x.value >= 0, x.value, alpha * np.expm1(np.minimum(x.value, 0)))
    power, _floor = x.format.elementary["Exp"]
    off = abs(alpha) * x.format.unit * (power + 2)
    return x.rounded(value, x.error * max(1.0, abs(alpha)) + np.where(x.value - x.error < 0, off, 0.0), 1)


def _softplus(x: Enclosure) -> Enclosure:
    """The power and its sum with 1 are exact to units of 1 only, and the logarithm falls no steeper there."""
    value = np.logaddexp(0, x.value)
    power, _floor = x.format.elementary["Exp"]
    log, floor = x.format.elementary["Log"]
    return x.rounded(value, x.error + x.format.unit * (power + 2), log + 1, floor + x.format.tiny)


def _thresholded(x: Enclosure, alpha: float) -> Enclosure:
    """It jumps: where the threshold lies within the error, either side may be right."""
    value, either = np.where(x.value >= alpha, x.value, 0), np.abs(x.value - alpha) <= x.error
    return Enclosure(value, np.where(either & (x.error > 0), np.abs(x.value) + x.error, x.error), x.format)


_ACTIVATIONS: dict[str, Callable[..., Enclosure]] = {
    "Sigmoid": Enclosure.sigmoid,
    "Tanh": _tanh,
    "Relu": lambda x: Enclosure(np.maximum(x.value, 0), x.error, x.format),
    "Affine": lambda x, alpha, beta: x * alpha + beta,
    "LeakyRelu": _leaky,
    "ScaledTanh": lambda x, alpha, beta: _tanh(x * beta) * alpha,
    "HardSigmoid": lambda x, alpha, beta: clipped(x * alpha + beta, 0, 1),
    "Elu": _elu,
    "Softsign": lambda x: x.rising(lambda v: v / (1 + np.abs(v)), 4),
    "Softplus": _softplus,
    "ThresholdedRelu": _thresholded,
}


def _activation(chosen: Chosen, clip: float | None) -> Activation:
    function, limit = _ACTIVATIONS[chosen.name], np.inf if clip is None else clip
    return lambda x: function(x if clip is None else clipped(x, -limit, limit), *chosen.parameters)


def _recurrent(call: NodeCall) -> Sequence[Enclosure | None]:
    wide = [call.x(i) if i != 4 and call.has_input(i) else value for i, value in enumerate(call.consumed)]
    try:
        parts = taken_apart(call.node.op_type, wide, call.attributes)
    except NotImplementedError as error:
        raise NotCovered(f"what is undefined: {error}") from error
    steps, batch = parts.x.shape[:2]
    seen = call.produced[0] if call.produced and call.has_output(0) else None
    if seen is not None:
        seen = seen.astype(np.float64)
        seen = seen.transpose(1, 2, 0, 3) if parts.layout else seen
        if seen.shape != (steps, len(parts.reverse), batch, parts.r.shape[-1]):
            seen = None
    outputs, finals, cells = [], [], []
    for d in range(len(parts.reverse)):
        y, last, cell = _direction(call, parts, seen, d)
        outputs.append(y)
        finals.append(last)
        cells.append(cell)
    y = joined([o.shaped(lambda v: v[:, None]) for o in outputs], 1)
    states = [joined([s.shaped(lambda v: v[None]) for s in group], 0) for group in (finals, cells)]
    if parts.layout:
        y = y.shaped(lambda v: v.transpose(2, 0, 1, 3))
        states = [s.shaped(lambda v: v.swapaxes(0, 1)) for s in states]
    return [y, states[0], states[1]] if call.node.op_type == "LSTM" else [y, states[0]]


def _direction(call: NodeCall, parts: Parts, seen: Array | None, d: int) -> tuple[Enclosure, Enclosure, Enclosure]:
    x, lengths, back, gates = parts.x, parts.lengths, parts.reverse[d], GATES[call.node.op_type]
    activations = [_activation(chosen, parts.clip) for chosen in parts.activations[d]]
    steps, batch = x.shape[:2]
    w, r = (call.enclose(v[d].T) for v in (parts.w, parts.r))
    hidden = r.shape[0]
    wb, rb = (call.enclose(b) for b in np.split(parts.b[d], 2))
    zero = w.like(np.zeros((batch, hidden)), np.zeros((batch, hidden)))
    h, c = (zero.like(state[d], np.zeros(zero.shape)) for state in (parts.h, parts.c))
    peephole = None
    if call.has_input(7):
        peephole = [call.enclose(p) for p in np.split(parts.p[d], 3)]
    found: list[Enclosure] = [zero] * steps
    for step in range(steps):
        alive = (step < lengths)[:, None]
        spots = np.where(step < lengths, lengths - 1 - step, 0) if back else np.full(batch, step)
        given = w.like(x[spots, np.arange(batch)])
        new_h, new_c = _step(parts, given, h, c, w, r, wb, rb, gates, activations, peephole)
        h_value, h_error = np.where(alive, new_h.value, h.value), np.where(alive, new_h.error, h.error)
        c = w.like(np.where(alive, new_c.value, c.value), np.where(alive, new_c.error, c.error))
        h = w.like(h_value, h_error)
        for b in range(batch):
            if step < lengths[b]:
                at = int(spots[b])
                row = found[at] if found[at] is not zero else zero.like(zero.value.copy(), zero.error.copy())
                row.value[b], row.error[b] = new_h.value[b], new_h.error[b]
                found[at] = row
        if seen is not None:  # the next step consumes what this one produced, to one rounding
            actual = seen[spots, d, np.arange(batch)]
            near = np.abs(actual - h.value) <= h.error
            unit = call.format.unit * np.abs(actual)
            h = w.like(np.where(alive & near, actual, h.value), np.where(alive & near, unit, h.error))
    y = w.like(np.stack([f.value for f in found]), np.stack([f.error for f in found]))
    last = w.like(h.value, np.broadcast_to(h.error, h.shape))
    if seen is not None:
        ends = np.zeros(batch, int) if back else np.maximum(lengths - 1, 0)
        ran = (lengths > 0)[:, None]
        rows = np.arange(batch)
        last = w.like(np.where(ran, y.value[ends, rows], last.value), np.where(ran, y.error[ends, rows], last.error))
    return y, last, w.like(c.value, np.broadcast_to(c.error, c.shape))


def _step(
    parts: Parts,
    x: Enclosure,
    h: Enclosure,
    c: Enclosure,
    w: Enclosure,
    r: Enclosure,
    wb: Enclosure,
    rb: Enclosure,
    gates: int,
    f: list[Activation],
    peephole: list[Enclosure] | None,
) -> tuple[Enclosure, Enclosure]:
    inner, own = x @ w, h @ r
    size = h.shape[1]

    def part(near: Enclosure, i: int) -> Enclosure:
        return near[..., i * size : (i + 1) * size]

    if gates == 1:
        return f[0](inner + wb + own + rb), c
    if gates == 4:
        i, o, forget, new = (part(inner + own + wb + rb, k) for k in range(4))
        if peephole is not None:
            i, forget = i + peephole[0] * c, forget + peephole[2] * c
        i = f[0](i)
        cell = (1.0 - i if parts.coupled else f[0](forget)) * c + i * f[1](new)
        if peephole is not None:
            o = o + peephole[1] * cell
        if parts.clip is not None and bool(np.any(np.abs(cell.value) + cell.error > parts.clip)):
            raise NotCovered(BEYOND)
        return f[0](o) * f[2](cell), cell
    both = inner + own + wb + rb
    z, reset = f[0](part(both, 0)), f[0](part(both, 1))
    if parts.linear:
        mixed = reset * (part(own, 2) + part(rb, 2)) + part(inner, 2) + part(wb, 2)
    else:
        mixed = part(inner, 2) + (reset * h) @ part(r, 2) + part(wb, 2) + part(rb, 2)
    candidate = f[1](mixed)
    # (1 - z) n + z h, or n + z (h - n): the second rounds n and h at their full size.
    result = (1.0 - z) * candidate + z * h
    other = result.format.unit * 2 * (np.abs(candidate.value) + np.abs(h.value))
    return Enclosure(result.value, result.error + other, result.format), c


def _inputs(gates: int) -> dict[str, object]:
    return {
        "x": "float[5,2,3]",
        "w": f"float[1,{4 * gates},3]",
        "r": f"float[1,{4 * gates},4]",
        "b": f"float[1,{8 * gates}]",
    }


def _example(op: str, options: str, fault: str | dict[str, float]) -> Example:
    """A node with those attributes, beside one with others or with inputs that are multiplied."""
    texts = [f"{op}<hidden_size=4{text}>(x, w, r, b)" for text in (options, fault) if isinstance(text, str)]
    outputs = "y, h, c" if op == "LSTM" else "y, h"
    return Example(texts[0], _inputs(GATES[op]), fault if isinstance(fault, dict) else texts[1], outputs=outputs)


def _named(*names: str) -> str:
    return f", activations=[{', '.join(chr(34) + name + chr(34) for name in names)}]"


_SCALED = _named("Sigmoid", "ScaledTanh")

OPERATORS = (
    bounded(
        "lstm",
        _recurrent,
        _example("LSTM", "", {"r": 1.01}),
        _example("LSTM", ", input_forget=1", ""),
        _example("LSTM", _named("HardSigmoid", "Softsign", "Tanh"), _named("HardSigmoid", "Tanh", "Tanh")),
        _example("LSTM", _named("Sigmoid", "LeakyRelu", "Elu"), _named("Sigmoid", "LeakyRelu", "Relu")),
        stock="wrong",
        roundings=counts.recurrent,
    ),
    bounded(
        "gru",
        _recurrent,
        _example("GRU", "", ", linear_before_reset=1"),
        _example("GRU", ", clip=0.5", ", clip=0.51"),
        _example(
            "GRU",
            _SCALED + ", activation_alpha=[1.1], activation_beta=[0.9]",
            _SCALED + ", activation_alpha=[1.1], activation_beta=[0.91]",
        ),
        stock="wrong",
        roundings=counts.recurrent,
    ),
    bounded(
        "rnn",
        _recurrent,
        _example("RNN", "", {"w": 1.01}),
        _example("RNN", _named("Softplus") + ", clip=2.0", _named("Softplus")),
        _example(
            "RNN",
            _named("Affine") + ", activation_alpha=[0.3], activation_beta=[0.5]",
            _named("Affine") + ", activation_alpha=[0.3], activation_beta=[0.51]",
        ),
        stock="wrong",
        roundings=counts.recurrent,
    ),
)
