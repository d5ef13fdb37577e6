"""Pairs that differ in a branch, a count or a flag that ordinary feeds do not take, and behind outputs that hide it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx

from judgement.pairs import Pair, floats, graph, hidden, ints, near

Random = np.random.Generator


def _branched(condition: str, held: dict[str, Any], first: str, second: str, border: str) -> onnx.ModelProto:
    """A model whose If takes one of two operators of x with a constant."""
    return graph(
        border,
        f"{condition}\n y = If(c) <then_branch = t () => (float[n,4] a) {{ a = {first} }}, "
        f"else_branch = e () => (float[n,4] b) {{ b = {second} }}>",
        **held,
    )


@hidden("steering")
def branch_folded(r: Random) -> Iterator[Pair]:
    """An If is folded to the branch that its example took."""
    border = "float[n,4] x => float[n,4] y"
    for limit in (30, 300, 1e4, 1e6):
        for first, second in (("Mul(x, k)", "Add(x, k)"), ("Tanh(x)", "Neg(x)")):
            held: dict[str, Any] = {"k": np.float32(3), "t0": np.float32(limit)}
            a = _branched("q = ReduceMax<keepdims=0>(x)\n c = Greater(q, t0)", held, first, second, border)
            b = graph(border, f"y = {second}", **held)
            yield Pair(f"{limit:g}_{first[:3]}", a, b, {"x": np.full((1, 4), limit * 2, np.float32)})


@hidden("steering")
def branch_of_the_sum(r: Random) -> Iterator[Pair]:
    """A branch on the sum of whole numbers that drawn ones never reach."""
    for wanted in (7, 77, 1000):
        border = "float[n,4] x, int64[1] mode => float[n,4] y"
        held: dict[str, Any] = {"k": np.float32(3), "m": ints(wanted)}
        a = _branched("e = Equal(mode, m)\n c = Squeeze(e)", held, "Mul(x, k)", "Identity(x)", border)
        b = graph(border, "y = Identity(x)", **held)
        yield Pair(f"{wanted}", a, b, {"x": near(r, 2, 4), "mode": ints(wanted)})


@hidden("steering")
def flag_ignored(r: Random) -> Iterator[Pair]:
    """A flag that is an input and of which nothing is made."""
    for kind, code in (("bool", True), ("int64", 5), ("int64", 40), ("int32", 9)):
        for op in ("Neg", "Tanh", "Relu"):
            border = f"float[n,4] x, {kind} flag => float[n,4] y"
            if kind == "bool":
                a = graph(border, f"o = {op}(x)\n y = Where(flag, o, x)")
                feed = np.array(code)
            else:
                value = np.array(code, kind)
                a = graph(border, f"o = {op}(x)\n c = Equal(flag, v)\n y = Where(c, o, x)", v=value)
                feed = value
            b = graph(border, "y = Identity(x)")
            yield Pair(f"{kind}_{code}_{op}", a, b, {"x": near(r, 2, 4), "flag": feed})


@hidden("steering")
def elementwise_choice(r: Random) -> Iterator[Pair]:
    """A Where whose condition no ordinary number meets."""
    for limit in (20, 150, 1e4):
        for op in ("Neg", "Tanh", "Sqrt"):
            border = "float[n,4] x => float[n,4] y"
            a = graph(border, f"o = {op}(x)\n p = Neg(x)\n c = Greater(x, k)\n y = Where(c, o, x)", k=np.float32(limit))
            b = graph(border, "y = Identity(x)")
            feed = floats([[limit * 2, 1, limit + 1, 3]])
            yield Pair(f"{limit:g}_{op}", a, b, {"x": feed})


@hidden("steering")
def counted_once(r: Random) -> Iterator[Pair]:
    """A loop that an input counts, unrolled as often as in the example."""
    for count in (1, 2, 3):
        border = "float[4] x, int64 count => float[4] y"
        loop = (
            "y = Loop(count, yes, x) <body = f (int64 i, bool going, float[4] v) => (bool on, float[4] w) "
            "{ on = Identity(going)\n u = Mul(v, k)\n w = Add(u, k) }>"
        )
        held: dict[str, Any] = {"k": np.float32(1.5), "yes": np.array(True)}
        a = graph(border, loop, **held)
        steps, value = [], "x"
        for step in range(count):
            last = "y" if step == count - 1 else f"w{step}"
            steps.append(f"u{step} = Mul({value}, k)\n {last} = Add(u{step}, k)")
            value = last
        b = graph(border, "\n".join(steps), k=np.float32(1.5))
        yield Pair(f"{count}", a, b, {"x": near(r, 4), "count": np.array(count + 2)})


@hidden("steering")
def number_of_steps(r: Random) -> Iterator[Pair]:
    """The sum of the first n numbers, and a formula that holds for few."""
    border = "int64 n => int64 y"
    for most in (3, 6, 12):
        a = graph(border, "i = Range(z, n, o)\n y = ReduceSum<keepdims=0>(i)", z=np.array(0), o=np.array(1))
        b = graph(
            border,
            "j = Min(n, m)\n i = Range(z, j, o)\n y = ReduceSum<keepdims=0>(i)",
            z=np.array(0),
            o=np.array(1),
            m=np.array(most),
        )
        yield Pair(f"{most}", a, b, {"n": np.array(most + 4)})


@hidden("steering")
def how_many_of_the_largest(r: Random) -> Iterator[Pair]:
    """The k of a TopK is limited."""
    for most in (1, 2, 3):
        border = "float[n,9] x, int64[1] k => float[n] y"
        a = graph(border, "v, i = TopK(x, k)\n y = ReduceSum<keepdims=0>(v, one)", one=ints(1))
        b = graph(
            border, "j = Min(k, m)\n v, i = TopK(x, j)\n y = ReduceSum<keepdims=0>(v, one)", one=ints(1), m=ints(most)
        )
        yield Pair(f"{most}", a, b, {"x": near(r, 2, 9) + 2, "k": ints(most + 3)})


def _behind(
    r: Random, name: str, body: str, border: str, feed: np.ndarray, width: int = 5, **held: Any
) -> Iterator[Pair]:
    """Two graphs with other weights under a body that takes ``h``: in B by the same operator, or by another one."""
    for number in range(3):
        one, other = (near(r, 4, width) for _ in range(2))
        a = graph(border, f"h = MatMul(x, w)\n {body}", w=one, **held)
        b = graph(border, f"h = MatMul(x, w)\n {body}", w=other, **held)
        if number:  # nothing inside has a counterpart by its name
            there = re.sub(r"\b([acfghmo])\b(?=[ ,)])", r"\1_of_b", body)
            b = graph(border, f"h_of_b = Gemm<transB=1>(x, u)\n {there}", u=np.ascontiguousarray(other.T), **held)
        yield Pair(f"{name}_{number}", a, b, {"x": feed * (number + 1)})


@hidden("outputs")
def saturated(r: Random) -> Iterator[Pair]:
    """Other weights under an activation that gives the same for all ordinary feeds."""
    border = "float[n,4] x => float[n,m] y"
    far = near(r, 6, 4) * np.float32(3e5)
    add = "g = Add(h, k)\n"
    one = np.float32
    for name, body, k in (
        ("relu", add + "y = Relu(g)", -1e4),
        ("sigmoid", add + "y = Sigmoid(g)", 1e4),
        ("tanh", add + "y = Tanh(g)", 1e4),
        ("relu6", add + "y = Clip(g, z, six)", 1e4),
        ("hard_sigmoid", add + "y = HardSigmoid(g)", 1e4),
        ("exp", add + "y = Exp(g)", -1e4),
        ("softmax", add + "y = Softmax<axis=-1>(g)", floats(0, 0, 1e4, 0, 0)),
        ("hardmax", add + "y = Hardmax<axis=-1>(g)", floats(0, 0, 1e4, 0, 0)),
        ("sign", add + "y = Sign(g)", 1e4),
        ("max", "y = Max(h, k)", 1e4),
        ("min", "y = Min(h, k)", -1e4),
        ("softplus", add + "y = Softplus(g)", -1e4),
        ("elu", add + "y = Elu(g)", -1e4),
    ):
        held: dict[str, Any] = {"k": np.asarray(k, np.float32), "z": one(0), "six": one(6)}
        yield from _behind(r, name, body, border, far, **held)


@hidden("outputs")
def chosen(r: Random) -> Iterator[Pair]:
    """Other weights behind a choice that ordinary feeds always make alike."""
    far = near(r, 6, 4) * np.float32(3e5)
    held: dict[str, Any] = {"k": floats(0, 0, 1e4, 0, 0), "t": np.float32(1e4), "z": np.float32(0), "one": ints(1)}
    yield from _behind(
        r, "argmax", "g = Add(h, k)\n y = ArgMax<axis=-1, keepdims=0>(g)", "float[n,4] x => int64[n] y", far, **held
    )
    yield from _behind(r, "greater", "y = Greater(h, t)", "float[n,4] x => bool[n,5] y", far, **held)
    yield from _behind(r, "nonzero", "g = Greater(h, t)\n y = NonZero(g)", "float[n,4] x => int64[2,k0] y", far, **held)
    yield from _behind(
        r, "where", "g = Greater(h, t)\n y = Where(g, h, z)", "float[n,4] x => float[n,5] y", far, **held
    )
    yield from _behind(
        r,
        "count",
        "g = Greater(h, t)\n f = Cast<to=7>(g)\n y = ReduceSum<keepdims=0>(f, one)",
        "float[n,4] x => int64[n] y",
        far,
        **held,
    )
    yield from _behind(r, "top", "g = Add(h, k)\n v, y = TopK(g, one)", "float[n,4] x => int64[n,1] y", far, **held)
    yield from _behind(
        r,
        "any",
        "g = Greater(h, t)\n f = Cast<to=1>(g)\n y = ReduceMean<keepdims=0>(f, one)",
        "float[n,4] x => float[n] y",
        far,
        **held,
    )


@hidden("outputs")
def coarse(r: Random) -> Iterator[Pair]:
    """Other weights behind an output with few steps."""
    far = near(r, 6, 4) * np.float32(3e5)
    held: dict[str, Any] = {"k": np.float32(1e-4), "s": np.float32(1e4), "p": np.uint8(3), "q": np.int8(0)}
    for name, body, kind in (
        ("round", "g = Mul(h, k)\n y = Round(g)", "float"),
        ("whole", "g = Mul(h, k)\n y = Cast<to=7>(g)", "int64"),
        ("floor", "a = Abs(h)\n g = Mul(a, k)\n y = Floor(g)", "float"),
        ("quantized", "y = QuantizeLinear(h, s, p)", "uint8"),
        ("dequantized", "g = QuantizeLinear(h, s, q)\n y = DequantizeLinear(g, s, q)", "float"),
    ):
        yield from _behind(r, name, body, f"float[n,4] x => {kind}[n,5] y", far, **held)


@hidden("outputs")
def closed_gate(r: Random) -> Iterator[Pair]:
    """Other weights behind a factor that is zero for ordinary feeds."""
    far = near(r, 6, 4) * np.float32(3e5)
    held: dict[str, Any] = {"t": np.float32(-1e4), "one": ints(1), "k": np.float32(1e4)}
    border = "float[n,4] x => float[n,5] y"
    gate = "m = ReduceMax(x, one)\n o = Add(m, t)\n"
    for name, body in (
        ("relu", gate + "g = Relu(o)\n y = Mul(h, g)"),
        ("step", gate + "c = Sign(o)\n g = Relu(c)\n y = Mul(h, g)"),
        ("sigmoid", gate + "g = Sigmoid(o)\n y = Mul(h, g)"),
    ):
        yield from _behind(r, name, body, border, far, **held)


@hidden("outputs")
def dead_channel(r: Random) -> Iterator[Pair]:
    """One channel that is never alive, and what a later layer makes of it."""
    for number in range(4):
        w1, w2, bias = near(r, 4, 6), near(r, 6, 3), np.zeros(6, np.float32)
        bias[2] = -1000
        other = w2.copy()
        other[2] += 5
        border = "float[n,4] x => float[n,3] y"
        body = "a = MatMul(x, w)\n b = Add(a, k)\n c = Relu(b)\n y = MatMul(c, v)"
        a = graph(border, body, w=w1, v=w2, k=bias)
        b = graph(border, body, w=w1, v=other, k=bias)
        if number % 2:
            b = graph(border, "p = Gemm(x, w, k)\n q = Relu(p)\n y = Gemm(q, v)", w=w1, v=other, k=bias)
        far = np.sign(w1[:, 2])[None] * np.float32(1e5)
        yield Pair(f"{number}", a, b, {"x": far})


@hidden("outputs")
def dead_filter(r: Random) -> Iterator[Pair]:
    """The same of a convolution."""
    for number in range(3):
        w1, w2, bias = near(r, 4, 2, 3, 3), near(r, 3, 4, 1, 1), np.zeros(4, np.float32)
        bias[1] = -2000
        other = w2.copy()
        other[:, 1] += 5
        border = "float[n,2,6,6] x => float[n,3,i,j] y"
        a, b = (
            graph(border, "a = Conv(x, w, k)\n b = Relu(a)\n y = Conv(b, v)", w=w1, v=v, k=bias) for v in (w2, other)
        )
        far = np.tile(np.sign(w1[1])[None], (1, 1, 2, 2)) * np.float32(1e5)
        yield Pair(f"{number}", a, b, {"x": far.astype(np.float32)})


@hidden("outputs")
def nothing_detected(r: Random) -> Iterator[Pair]:
    """Boxes whose scores reach no threshold."""
    for limit in (200.0, 1000.0, 1e5):
        border = "float[1,8,4] boxes, float[1,1,8] scores => int64[k,3] y"
        body = "y = NonMaxSuppression(boxes, scores, n, o, t)"
        held: dict[str, Any] = {"n": ints(5), "o": floats([0.5])}
        a = graph(border, body, **held, t=floats([limit]))
        b = graph(border, "r = Neg(scores)\n" + body.replace("scores,", "r,"), **held, t=floats([limit]))
        boxes = np.sort(r.uniform(0, 9, (1, 8, 4)).astype(np.float32), axis=-1)
        yield Pair(f"{limit:g}", a, b, {"boxes": boxes, "scores": np.full((1, 1, 8), 2 * limit, np.float32)})


@hidden("outputs")
def swallowed_by_rounding(r: Random) -> Iterator[Pair]:
    """A's own rounding leaves nothing of the input, B keeps it."""
    for big in (1e8, 1e9, 1e12):
        for op, back in (("Add", "Sub"), ("Sub", "Add")):
            border = "float[n,4] x => float[n,4] y"
            a = graph(border, f"a = {op}(x, k)\n y = {back}(a, k)", k=np.float32(big))
            b = graph(border, "y = Identity(x)")
            yield Pair(f"{big:g}_{op}", a, b, {"x": near(r, 2, 4)})


@hidden("outputs")
def underflow(r: Random) -> Iterator[Pair]:
    """A product that underflows to zero on the way."""
    for tiny in (1e-30, 1e-38):
        border = "float[n,4] x => float[n,4] y"
        k = np.float32(tiny)
        a = graph(border, "a = Mul(x, k)\n b = Mul(a, k)\n c = Div(b, k)\n y = Div(c, k)", k=k)
        b = graph(border, "y = Identity(x)")
        yield Pair(f"{tiny:g}", a, b, {"x": near(r, 2, 4)})
