"""LSTM, GRU and RNN, step by step, each step on the hidden state that the run itself produced before it.

The hidden states are an output (Y), so that a step is judged on what it consumed, and no bound grows with the length
of a sequence; a cell state is not, and its bound is carried along (a forget gate below 1 keeps it from growing).  Where
Y is not returned the bound is carried through the hidden state too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from pipeline.data import Array
from pipeline.numerics.rules._near import Near, joined
from pipeline.numerics.rules._registry import Asked, Example, NoRule, Rule

_RUNNING = "running error analysis of the operator's equations, one time step at a time"

Activation = Callable[[Near], Near]


def _tanh(x: Near) -> Near:
    """In a recurrent kernel a tanh may be made of one power, 1 - 2 / (1 + exp 2x): exact to a few units of 1."""
    y = x.tanh()
    power, _floor = x.format.elementary["Exp"]
    return Near(y.value, y.error + x.format.unit * 2 * (power + 2), x.format)


_ACTIVATIONS: dict[str, Activation] = {
    "Sigmoid": Near.sigmoid,
    "Tanh": _tanh,
    "Relu": lambda x: Near(np.maximum(x.value, 0), x.error, x.format),
}


def _activations(asked: Asked, direction: int, count: int, default: tuple[str, ...]) -> list[Activation]:
    names = [a.decode() if isinstance(a, bytes) else a for a in asked.attribute("activations", [])] or list(default) * 2
    chosen = names[direction * count : (direction + 1) * count]
    for name in chosen:
        if name not in _ACTIVATIONS:
            raise NoRule(f"the activation {name}")
    if "clip" in asked.attributes:
        raise NoRule("clipping")
    if len(chosen) != count:
        raise NoRule("activations that are not there")
    return [_ACTIVATIONS[name] for name in chosen]


def _lengths(asked: Asked, steps: int, batch: int) -> Array:
    if asked.given(4) and asked.array(4).size:
        return asked.array(4)
    return np.full(batch, steps)


def _recurrent(gates: int, count: int, default: tuple[str, ...]) -> Callable[[Asked], Sequence[Near | None]]:
    def bound(asked: Asked) -> Sequence[Near | None]:
        x = asked.x(0)
        layout = int(asked.attribute("layout", 0))
        x = x.swapaxes(0, 1) if layout else x
        steps, batch = x.shape[:2]
        lengths = _lengths(asked, steps, batch)
        hidden = int(asked.array(2).shape[-1])
        directions = asked.array(1).shape[0]
        seen = asked.produced[0] if asked.produced and asked.wanted(0) else None
        if seen is not None:
            seen = seen.astype(np.float64)
            seen = seen.transpose(1, 2, 0, 3) if layout else seen
            if seen.shape != (steps, directions, batch, hidden):
                seen = None
        forward = asked.attribute("direction", "forward")
        outputs, finals, cells = [], [], []
        for d in range(directions):
            back = forward == "reverse" or d == 1
            y, last, cell = _direction(asked, x, lengths, seen, d, back, gates, _activations(asked, d, count, default))
            outputs.append(y)
            finals.append(last)
            cells.append(cell)
        y = joined([o.shaped(lambda v: v[:, None]) for o in outputs], 1)
        states = [joined([s.shaped(lambda v: v[None]) for s in group], 0) for group in (finals, cells)]
        if layout:
            y = y.shaped(lambda v: v.transpose(2, 0, 1, 3))
            states = [s.shaped(lambda v: v.swapaxes(0, 1)) for s in states]
        return [y, states[0], states[1]] if gates == 4 else [y, states[0]]

    return bound


def _direction(
    asked: Asked,
    x: Array,
    lengths: Array,
    seen: Array | None,
    d: int,
    back: bool,
    gates: int,
    activations: list[Activation],
) -> tuple[Near, Near, Near]:
    steps, batch = x.shape[:2]
    w, r = (Near(asked.x(i)[d].T, np.zeros(()), asked.format) for i in (1, 2))
    hidden = r.shape[0]
    bias = asked.x(3)[d] if asked.given(3) else np.zeros(2 * gates * hidden)
    wb, rb = (Near(b, np.zeros(()), asked.format) for b in np.split(bias, 2))
    zero = w.like(np.zeros((batch, hidden)), np.zeros((batch, hidden)))
    h, c = (_initial(asked, i, d, zero) for i in (5, 6 if gates == 4 else 99))
    peephole = None
    if gates == 4 and asked.given(7):
        peephole = [Near(p, np.zeros(()), asked.format) for p in np.split(asked.x(7)[d], 3)]
    found: list[Near] = [zero] * steps
    for step in range(steps):
        alive = (step < lengths)[:, None]
        spots = np.where(step < lengths, lengths - 1 - step, 0) if back else np.full(batch, step)
        given = w.like(x[spots, np.arange(batch)])
        new_h, new_c = _step(asked, given, h, c, w, r, wb, rb, gates, activations, peephole)
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
            unit = asked.format.unit * np.abs(actual)
            h = w.like(np.where(alive & near, actual, h.value), np.where(alive & near, unit, h.error))
    y = w.like(np.stack([f.value for f in found]), np.stack([f.error for f in found]))
    last = w.like(h.value, np.broadcast_to(h.error, h.shape))
    if seen is not None:
        ends = np.zeros(batch, int) if back else np.maximum(lengths - 1, 0)
        ran = (lengths > 0)[:, None]
        rows = np.arange(batch)
        last = w.like(np.where(ran, y.value[ends, rows], last.value), np.where(ran, y.error[ends, rows], last.error))
    return y, last, w.like(c.value, np.broadcast_to(c.error, c.shape))


def _initial(asked: Asked, index: int, d: int, zero: Near) -> Near:
    if not asked.given(index):
        return zero
    value = asked.x(index)
    value = value.swapaxes(0, 1) if asked.attribute("layout", 0) else value
    return zero.like(value[d], np.zeros(zero.shape))


def _step(
    asked: Asked,
    x: Near,
    h: Near,
    c: Near,
    w: Near,
    r: Near,
    wb: Near,
    rb: Near,
    gates: int,
    f: list[Activation],
    peephole: list[Near] | None,
) -> tuple[Near, Near]:
    inner, own = x @ w, h @ r
    size = h.shape[1]

    def part(near: Near, i: int) -> Near:
        return near[..., i * size : (i + 1) * size]

    if gates == 1:
        return f[0](inner + wb + own + rb), c
    if gates == 4:
        i, o, forget, new = (part(inner + own + wb + rb, k) for k in range(4))
        if peephole is not None:
            i, forget = i + peephole[0] * c, forget + peephole[2] * c
        if asked.attribute("input_forget", 0):
            raise NoRule("coupled gates")
        cell = f[0](forget) * c + f[0](i) * f[1](new)
        if peephole is not None:
            o = o + peephole[1] * cell
        return f[0](o) * f[2](cell), cell
    both = inner + own + wb + rb
    z, reset = f[0](part(both, 0)), f[0](part(both, 1))
    if asked.attribute("linear_before_reset", 0):
        mixed = reset * (part(own, 2) + part(rb, 2)) + part(inner, 2) + part(wb, 2)
    else:
        mixed = part(inner, 2) + (reset * h) @ part(r, 2) + part(wb, 2) + part(rb, 2)
    candidate = f[1](mixed)
    # (1 - z) n + z h, or n + z (h - n): the second rounds n and h at their full size.
    result = (1.0 - z) * candidate + z * h
    other = result.format.unit * 2 * (np.abs(candidate.value) + np.abs(h.value))
    return Near(result.value, result.error + other, result.format), c


def _inputs(gates: int) -> dict[str, object]:
    return {
        "x": "float[5,2,3]",
        "w": f"float[1,{4 * gates},3]",
        "r": f"float[1,{4 * gates},4]",
        "b": f"float[1,{8 * gates}]",
    }


RULES = (
    Rule(
        "lstm",
        ("LSTM",),
        _recurrent(4, 3, ("Sigmoid", "Tanh", "Tanh")),
        "gates and cell state, per step",
        _RUNNING,
        (Example("LSTM<hidden_size=4>(x, w, r, b)", _inputs(4), {"r": 1.01}, outputs="y, h, c"),),
    ),
    Rule(
        "gru",
        ("GRU",),
        _recurrent(3, 2, ("Sigmoid", "Tanh")),
        "gates, per step",
        _RUNNING,
        (
            Example(
                "GRU<hidden_size=4>(x, w, r, b)",
                _inputs(3),
                "GRU<hidden_size=4,linear_before_reset=1>(x, w, r, b)",
                outputs="y, h",
            ),
        ),
    ),
    Rule(
        "rnn",
        ("RNN",),
        _recurrent(1, 1, ("Tanh",)),
        "one activation, per step",
        _RUNNING,
        (Example("RNN<hidden_size=4>(x, w, r, b)", _inputs(1), {"w": 1.01}, outputs="y, h"),),
    ),
)
