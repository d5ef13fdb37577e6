"""Pairs that differ at numbers that ordinary feeds do not hold: large integers, NaN, infinities, zeros, ties, limits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from judgement.pairs import Pair, floats, graph, hidden, ints, near

Random = np.random.Generator
CODES = {"int64": 7, "int32": 6, "uint8": 2, "int8": 3, "float": 1, "float16": 10, "double": 11}


@hidden("integers")
def integers_through_float(r: Random) -> Iterator[Pair]:
    """Whole numbers go through float32, exact to 2^24."""
    for kind, name in ((np.int64, "int64"), (np.int32, "int32")):
        for op, other in (("Add", 1), ("Sub", 3), ("Mul", 3), ("Max", -5), ("Min", 2**30)):
            border = f"{name}[n] i => {name}[n] y"
            a = graph(border, f"y = {op}(i, k)", k=kind(other))
            b = graph(
                border, f"f = Cast<to=1>(i)\n g = {op}(f, k)\n y = Cast<to={CODES[name]}>(g)", k=np.float32(other)
            )
            yield Pair(f"{name}_{op}", a, b, {"i": np.array([2**24 + 1, 2**25 + 3, -(2**26) - 7], kind)})


@hidden("integers")
def equality_through_float(r: Random) -> Iterator[Pair]:
    """Ids are compared as float32."""
    for name, kind, base in (("int64", np.int64, 2**24), ("int32", np.int32, 2**25), ("int64", np.int64, 2**40)):
        for op in ("Equal", "Less"):
            border = f"{name}[n] i, {name}[n] j => bool[n] y"
            a = graph(border, f"y = {op}(i, j)")
            b = graph(border, f"f = Cast<to=1>(i)\n g = Cast<to=1>(j)\n y = {op}(f, g)")
            yield Pair(f"{name}_{op}_{base}", a, b, {"i": np.array([base], kind), "j": np.array([base + 1], kind)})


@hidden("integers")
def narrowed(r: Random) -> Iterator[Pair]:
    """int64 goes through a narrower type."""
    for narrow, code, big in (("int32", 6, 2**33), ("int16", 5, 2**17), ("int8", 3, 300), ("uint8", 2, 300)):
        for op in ("Identity", "Neg", "Abs"):
            border = "int64[n] i => int64[n] y"
            a = graph(border, f"y = {op}(i)")
            b = graph(border, f"f = Cast<to={code}>(i)\n g = Cast<to=7>(f)\n y = {op}(g)")
            yield Pair(f"{narrow}_{op}", a, b, {"i": np.array([big + 5, 7], np.int64)})


@hidden("integers")
def bytes_with_a_sign(r: Random) -> Iterator[Pair]:
    """Bytes above 127 read as negative."""
    for scale in (1.0, 1 / 255, 0.5):
        for op in ("Mul", "Add", "Sub"):
            border = "uint8[n,3] i => float[n,3] y"
            k = np.float32(scale)
            a = graph(border, f"f = Cast<to=1>(i)\n y = {op}(f, k)", k=k)
            b = graph(border, f"g = Cast<to=3>(i)\n f = Cast<to=1>(g)\n y = {op}(f, k)", k=k)
            yield Pair(f"{scale:.2f}_{op}", a, b, {"i": np.array([[200, 128, 5]], np.uint8)})


@hidden("integers")
def product_overflows(r: Random) -> Iterator[Pair]:
    """A product and a quotient that cancel, until the product overflows."""
    for k in (2, 3, 1000, 100000):
        border = "int32[n] i => int32[n] y"
        a = graph(border, "y = Identity(i)")
        b = graph(border, "m = Mul(i, k)\n y = Div(m, k)", k=np.int32(k))
        yield Pair(f"{k}", a, b, {"i": np.array([2**30, 7], np.int32)})


@hidden("integers")
def saturates_or_wraps(r: Random) -> Iterator[Pair]:
    """A limit before a narrower type, and none."""
    for low, high, code, name in ((0, 255, 2, "uint8"), (-128, 127, 3, "int8"), (-32768, 32767, 5, "int16")):
        border = f"int64[n] i => {name}[n] y"
        a = graph(border, f"c = Clip(i, l, h)\n y = Cast<to={code}>(c)", l=np.int64(low), h=np.int64(high))
        b = graph(border, f"y = Cast<to={code}>(i)")
        yield Pair(name, a, b, {"i": np.array([high + 45, 3], np.int64)})


@hidden("integers")
def positions_in_half_precision(r: Random) -> Iterator[Pair]:
    """Positions go through float16, exact to 2048."""
    for code, name in ((10, "half"), (16, "bfloat16")):
        for step in (1, 2, 3):
            border = "int64[t] i => float[t] y"
            a = graph(border, "m = Mul(i, k)\n y = Cast<to=1>(m)", k=np.int64(step))
            b = graph(border, f"m = Mul(i, k)\n h = Cast<to={code}>(m)\n y = Cast<to=1>(h)", k=np.int64(step))
            yield Pair(f"{name}_{step}", a, b, {"i": np.arange(2047, 2061, dtype=np.int64) * 37 + 1})


@hidden("integers")
def mean_of_integers(r: Random) -> Iterator[Pair]:
    """A sum of integers in int64, and in float32."""
    for size in (2, 5):
        border = f"int64[n,{size}] i => int64[n] y"
        a = graph(border, "y = ReduceSum<keepdims=0>(i, one)", one=ints(1))
        b = graph(border, "f = Cast<to=1>(i)\n s = ReduceSum<keepdims=0>(f, one)\n y = Cast<to=7>(s)", one=ints(1))
        yield Pair(f"{size}", a, b, {"i": np.full((2, size), 2**24 + 1, np.int64)})


@hidden("integers")
def quotient_of_negatives(r: Random) -> Iterator[Pair]:
    """A quotient rounds to zero, or down: bytes of either sign beyond those of small feeds."""
    for k in (1000, 4096, 30000):
        border = "int32[n] i => int32[n] y"
        a = graph(border, "y = Div(i, k)", k=np.int32(k))
        b = graph(border, "f = Cast<to=11>(i)\n g = Div(f, k)\n h = Ceil(g)\n y = Cast<to=6>(h)", k=np.float64(k))
        yield Pair(f"{k}", a, b, {"i": np.array([k + 1, 5 * k + 3], np.int32)})


@hidden("ids")
def last_id_clamped(r: Random) -> Iterator[Pair]:
    """Ids are limited to one below the last row."""
    for rows in (8, 100, 500, 3000):
        table = near(r, rows, 4)
        border = "int64[n,t] i => float[n,t,4] y"
        a = graph(border, "y = Gather(table, i)", table=table)
        b = graph(border, "j = Clip(i, z, m)\n y = Gather(table, j)", table=table, z=np.int64(0), m=np.int64(rows - 2))
        yield Pair(f"{rows}", a, b, {"i": np.array([[rows - 1, 0]])})


@hidden("ids")
def padding_id_lost(r: Random) -> Iterator[Pair]:
    """The row of one id is zeroed, or not."""
    for rows, pad in ((8, 0), (100, 99), (100, 57), (500, 0), (500, 321), (3000, 1)):
        table = near(r, rows, 4)
        border = "int64[n,t] i => float[n,t,4] y"
        a = graph(
            border,
            "e = Gather(table, i)\n m = Equal(i, p)\n u = Unsqueeze(m, l)\n y = Where(u, z, e)",
            table=table,
            p=np.int64(pad),
            l=ints(-1),
            z=np.float32(0),
        )
        b = graph(border, "y = Gather(table, i)", table=table)
        yield Pair(f"{rows}_{pad}", a, b, {"i": np.array([[pad, 3]])})


@hidden("ids")
def one_hot_too_short(r: Random) -> Iterator[Pair]:
    """A Gather as a product with a OneHot whose depth is one row short."""
    for rows in (8, 50, 400):
        table = near(r, rows, 3)
        border = "int64[n] i => float[n,3] y"
        a = graph(border, "y = Gather(table, i)", table=table)
        b = graph(
            border,
            "h = OneHot<axis=-1>(i, d, v)\n y = MatMul(h, table)",
            table=table[:-1],
            d=np.int64(rows - 1),
            v=floats(0, 1),
        )
        yield Pair(f"{rows}", a, b, {"i": np.array([rows - 1, 1])})


@hidden("ids")
def one_row_other(r: Random) -> Iterator[Pair]:
    """One row of a table has other numbers."""
    for rows in (50, 1000, 5000):
        table = near(r, rows, 4)
        other = table.copy()
        other[rows * 2 // 3] += 1
        border = "int64[n] i => float[n,4] y"
        a, b = (graph(border, "e = Gather(table, i)\n y = Tanh(e)", table=t) for t in (table, other))
        yield Pair(f"{rows}", a, b, {"i": np.array([rows * 2 // 3])})


def _twins(border: str, first: str, second: str, **held: Any) -> tuple[object, object]:
    return graph(border, first, **held), graph(border, second, **held)


STABLE = {
    "softmax": ("y = Softmax<axis=-1>(x)", "e = Exp(x)\n s = ReduceSum(e, l)\n y = Div(e, s)", 100),
    "log_softmax": ("y = LogSoftmax<axis=-1>(x)", "p = Softmax<axis=-1>(x)\n y = Log(p)", 150),
    "log_sum_exp": ("y = ReduceLogSumExp(x, l)", "e = Exp(x)\n s = ReduceSum(e, l)\n y = Log(s)", 100),
    "sigmoid": ("y = Sigmoid(x)", "e = Exp(x)\n s = Add(e, one)\n y = Div(e, s)", 100),
    "softplus": ("y = Softplus(x)", "e = Exp(x)\n s = Add(e, one)\n y = Log(s)", 100),
    "tanh": (
        "y = Tanh(x)",
        "p = Exp(x)\n n0 = Neg(x)\n n = Exp(n0)\n s = Add(p, n)\n d = Sub(p, n)\n y = Div(d, s)",
        100,
    ),
    "norm": ("y = ReduceL2(x, l)", "q = Mul(x, x)\n s = ReduceSum(q, l)\n y = Sqrt(s)", 1e25),
    "absolute": ("y = Abs(x)", "q = Mul(x, x)\n y = Sqrt(q)", 1e25),
    "log_of_exp": ("y = Identity(x)", "e = Exp(x)\n y = Log(e)", 200),
    "exp_of_log": ("y = Softplus(x)", "e = Exp(x)\n s = Add(e, one)\n y = Log(s)", 1000),
    "silu": ("s = Sigmoid(x)\n y = Mul(x, s)", "e = Exp(x)\n a = Add(e, one)\n q = Div(e, a)\n y = Mul(x, q)", 300),
    "mish": ("y = Mish(x)", "e = Exp(x)\n a = Add(e, one)\n s = Log(a)\n t = Tanh(s)\n y = Mul(x, t)", 95),
    "square_root": ("y = Identity(x)", "q = Mul(x, x)\n y = Div(q, x)", 1e25),
    "mean_of_two": ("h = Mul(x, half)\n y = Add(h, h)", "h = Add(x, x)\n y = Mul(h, half)", 3e38),
}


@hidden("large")
def overflows_on_the_way(r: Random) -> Iterator[Pair]:
    """A formula written so that large numbers overflow on the way."""
    held: dict[str, Any] = {"l": ints(-1), "one": np.float32(1), "half": np.float32(0.5)}
    for name, (stable, naive, big) in STABLE.items():
        for width in (4, 7):
            a, b = _twins(f"float[n,{width}] x => float[n,m] y", stable, naive, **held)
            x = near(r, 2, width)
            x[0] = big
            yield Pair(f"{name}_{width}", a, b, {"x": x})


@hidden("large")
def limit_lost(r: Random) -> Iterator[Pair]:
    """A limit far away is not there."""
    held: dict[str, Any] = {"k": np.float32(1.5)}
    for limit in (50, 300, 1000, 3e4, 1e6):
        border = "float[n,4] x => float[n,4] y"
        more = held | {"lo": np.float32(-limit), "hi": np.float32(limit)}
        for name, body in {
            "clip": "m = Mul(x, k)\n y = Clip(m, lo, hi)",
            "min": "m = Mul(x, k)\n y = Min(m, hi)",
            "where": "m = Mul(x, k)\n g = Greater(m, hi)\n y = Where(g, hi, m)",
        }.items():
            a, b = _twins(border, body, "y = Mul(x, k)", **more)
            yield Pair(f"{name}_{limit:g}", a, b, {"x": floats([[1, 4 * limit, -4 * limit, 2]])})


@hidden("large")
def variance_by_squares(r: Random) -> Iterator[Pair]:
    """The mean of squares minus the square of the mean: nothing is left of it where numbers are large."""
    for offset in (3e3, 1e4, 1e5):
        border = "float[n,6] x => float[n,1] y"
        a, b = _twins(
            border,
            "m = ReduceMean(x, l)\n d = Sub(x, m)\n q = Mul(d, d)\n y = ReduceMean(q, l)",
            "m = ReduceMean(x, l)\n q = Mul(x, x)\n s = ReduceMean(q, l)\n o = Mul(m, m)\n y = Sub(s, o)",
            l=ints(-1),
        )
        yield Pair(f"{offset:g}", a, b, {"x": near(r, 2, 6) + np.float32(offset)})


@hidden("small")
def floor_lost(r: Random) -> Iterator[Pair]:
    """A floor under a divisor is lost: rows of zeros, and tiny ones."""
    for eps in (1e-12, 1e-8, 1e-6, 1e-4):
        border = "float[n,5] x => float[n,5] y"
        a, b = _twins(
            border,
            "q = ReduceL2(x, l)\n m = Max(q, e)\n y = Div(x, m)",
            "q = ReduceL2(x, l)\n y = Div(x, q)",
            l=ints(-1),
            e=np.float32(eps),
        )
        yield Pair(f"norm_{eps:g}", a, b, {"x": np.full((1, 5), np.float32(eps / 10))})
        a, b = _twins(
            border,
            "q = Abs(x)\n m = Max(q, e)\n y = Div(x, m)",
            "y = Sign(x)",
            e=np.float32(eps),
        )
        yield Pair(f"sign_{eps:g}", a, b, {"x": np.full((1, 5), np.float32(eps / 10))})


@hidden("small")
def nothing_from_zero(r: Random) -> Iterator[Pair]:
    """What cancels except at zero."""
    border = "float[n,4] x => float[n,4] y"
    x = {"x": floats([[0, 1, -2, 3]])}
    held: dict[str, Any] = {"one": np.float32(1), "k": np.float32(2)}
    for name, body, other in (
        ("quotient", "y = Mul(x, k)", "a = Mul(x, x)\n b = Mul(a, k)\n y = Div(b, x)"),
        ("root", "y = Abs(x)", "a = Mul(x, x)\n b = Sqrt(a)\n c = Abs(x)\n d = Div(b, c)\n y = Mul(b, d)"),
        ("log", "y = Abs(x)", "a = Abs(x)\n b = Log(a)\n c = Exp(b)\n d = Div(x, x)\n y = Mul(c, d)"),
    ):
        a, b = _twins(border, body, other, **held)
        yield Pair(name, a, b, x, nan=True)


NAN = float("nan")
INF = float("inf")


@hidden("nan")
def what_becomes_of_nan(r: Random) -> Iterator[Pair]:
    """NaN or an infinity is guarded, passed on, or lost."""
    held: dict[str, Any] = {
        "z": np.float32(0),
        "c": np.float32(7),
        "one": np.float32(1),
        "low": np.float32(-5),
        "high": np.float32(5),
    }
    border = "float[n,4] x => float[n,4] y"
    feed = {"x": floats([[NAN, INF, -INF, 1]])}
    for name, one, other in (
        ("max", "y = Max(x, z)", "g = Greater(x, z)\n y = Where(g, x, z)"),
        ("relu", "y = Relu(x)", "g = Greater(x, z)\n y = Where(g, x, z)"),
        ("guard", "g = IsNaN(x)\n y = Where(g, z, x)", "y = Identity(x)"),
        ("guard_inf", "g = IsInf(x)\n y = Where(g, c, x)", "y = Identity(x)"),
        ("guard_below", "g = IsInf<detect_negative=1, detect_positive=0>(x)\n y = Where(g, c, x)", "y = Identity(x)"),
        ("less", "g = Less(x, c)\n y = Where(g, x, c)", "g = GreaterOrEqual(x, c)\n y = Where(g, c, x)"),
        ("product", "y = Mul(x, z)", "d = Sub(z, z)\n e = Abs(d)\n s = Shape(x)\n y = Expand(e, s)"),
        ("difference", "y = Sub(x, x)", "s = Shape(x)\n y = Expand(z, s)"),
        ("quotient", "a = Abs(x)\n b = Add(a, one)\n y = Div(b, b)", "s = Shape(x)\n y = Expand(one, s)"),
        (
            "clip",
            "y = Clip(x, low, high)",
            "g = Less(x, low)\n a = Where(g, low, x)\n h = Greater(x, high)\n"
            "b = Where(h, high, a)\n i = IsNaN(x)\n y = Where(i, z, b)",
        ),
    ):
        a, b = _twins(border, one, other, **held)
        yield Pair(name, a, b, feed, nan=True)


@hidden("nan")
def row_without_anything(r: Random) -> Iterator[Pair]:
    """Rows that are masked whole: NaN, a mean, or zeros."""
    for fill in (-1e4, -1e9, -3.4028235e38):
        for width in (4, 6):
            border = f"float[n,{width}] x, bool[n,{width}] m => float[n,{width}] y"
            body = "f = Where(m, x, low)\n y = Softmax<axis=-1>(f)"
            a, b = graph(border, body, low=np.float32(-INF)), graph(border, body, low=np.float32(fill))
            mask = np.ones((2, width), bool)
            mask[0] = False
            yield Pair(f"{fill:g}_{width}", a, b, {"x": near(r, 2, width), "m": mask}, nan=True)


@hidden("nan")
def mean_of_nothing(r: Random) -> Iterator[Pair]:
    """The count under a masked mean is kept from zero, or not."""
    for width in (3, 8):
        border = f"float[n,{width}] x, int64[n,{width}] m => float[n] y"
        start = (
            "f = Cast<to=1>(m)\n p = Mul(x, f)\n s = ReduceSum<keepdims=0>(p, l)\n c = ReduceSum<keepdims=0>(f, l)\n"
        )
        a, b = _twins(
            border, start + "d = Max(c, one)\n y = Div(s, d)", start + "y = Div(s, c)", l=ints(1), one=np.float32(1)
        )
        mask = np.ones((2, width), np.int64)
        mask[1] = 0
        yield Pair(f"{width}", a, b, {"x": near(r, 2, width), "m": mask}, nan=True)


@hidden("large")
def mask_not_low_enough(r: Random) -> Iterator[Pair]:
    """A mask of −1e4 or −1e9, which large numbers outweigh."""
    for fill in (-1e3, -1e4):
        for width in (4, 6):
            border = f"float[n,{width}] x, bool[n,{width}] m => float[n,{width}] y"
            body = "f = Where(m, x, low)\n y = Softmax<axis=-1>(f)"
            a, b = graph(border, body, low=np.float32(-1e30)), graph(border, body, low=np.float32(fill))
            mask = np.ones((1, width), bool)
            mask[0, 0] = False
            yield Pair(f"{fill:g}_{width}", a, b, {"x": near(r, 1, width) + np.float32(2 * fill), "m": mask})


@hidden("ties")
def half_rounds_up_or_to_even(r: Random) -> Iterator[Pair]:
    """Round to even, and a floor of one half more."""
    for factor in (1, 2, 4, 10, 127):
        border = "float[n,4] x => float[n,4] y"
        a, b = _twins(
            border,
            "m = Mul(x, k)\n y = Round(m)",
            "m = Mul(x, k)\n p = Add(m, h)\n y = Floor(p)",
            k=np.float32(factor),
            h=np.float32(0.5),
        )
        yield Pair(f"{factor}", a, b, {"x": floats([[0.5, 2.5, 4.5, -1.5]]) / np.float32(factor)})


@hidden("ties")
def threshold_itself(r: Random) -> Iterator[Pair]:
    """Greater, and greater or equal."""
    for limit in (0.5, 0.25, 1.5, 7.5, 40.0, 0.3):
        for op in ("Greater", "Less"):
            border = "float[n,3] x => float[n,3] y"
            a, b = _twins(
                border,
                f"g = {op}(x, k)\n y = Cast<to=1>(g)",
                f"g = {op}OrEqual(x, k)\n y = Cast<to=1>(g)",
                k=np.float32(limit),
            )
            yield Pair(f"{op}_{limit}", a, b, {"x": floats([[limit, 0, 1]])})


@hidden("ties")
def first_or_last_of_equals(r: Random) -> Iterator[Pair]:
    """The first of the largest, and the last; equals are rare behind a product with reals."""
    for width in (3, 5, 9):
        k = near(r, width) + 2
        border = f"float[n,{width}] x => int64[n] y"
        text = "m = Mul(x, k)\n y = {}<axis=1, keepdims=0, select_last_index={}>(m)"
        for op in ("ArgMax", "ArgMin"):
            a, b = (graph(border, text.format(op, last), k=k) for last in (0, 1))
            yield Pair(f"{op}_{width}", a, b, {"x": np.zeros((1, width), np.float32)})


@hidden("ties")
def sorted_with_equals(r: Random) -> Iterator[Pair]:
    """The largest in order, with a ramp that parts equals the other way."""
    for width in (4, 8):
        border = f"float[n,{width}] x => int64[n,2] y"
        ramp = np.linspace(0, 1e-6, width).astype(np.float32)
        k = near(r, width) + 2
        a, b = _twins(
            border,
            "m = Mul(x, k)\n v, y = TopK(m, two)",
            "m = Mul(x, k)\n p = Add(m, e)\n v, y = TopK(p, two)",
            two=ints(2),
            e=ramp,
            k=k,
        )
        yield Pair(f"{width}", a, b, {"x": np.zeros((1, width), np.float32)})


@hidden("ties")
def nearest_of_two(r: Random) -> Iterator[Pair]:
    """The nearest pixel where two are as near: sizes at which that happens."""
    for scale in (0.5, 2.0, 1.5, 3.0):
        for one, other in (("round_prefer_floor", "round_prefer_ceil"), ("floor", "round_prefer_floor")):
            for coordinates in ("asymmetric", "half_pixel"):
                border = "float[1,1,h,w] x => float[1,1,i,j] y"
                text = 'y = Resize<mode="nearest", nearest_mode="{}", coordinate_transformation_mode="{}">(x, , s)'
                a, b = (graph(border, text.format(m, coordinates), s=floats(1, 1, scale, scale)) for m in (one, other))
                yield Pair(f"{scale}_{one}_{coordinates}", a, b, {"x": near(r, 1, 1, 6, 6)}, dims={"h": 4, "w": 4})


@hidden("ties")
def step_at_zero(r: Random) -> Iterator[Pair]:
    """What a step gives at exactly its place, behind a sum with a real."""
    for place in (0.1, 0.75, 3.3):
        border = "float[n,3] x => float[n,3] y"
        k = np.float32(place)
        a, b = _twins(
            border,
            "d = Sub(x, k)\n y = Sign(d)",
            "d = Sub(x, k)\n g = Greater(d, z)\n y = Where(g, one, m)",
            k=k,
            z=np.float32(0),
            one=np.float32(1),
            m=np.float32(-1),
        )
        yield Pair(f"{place}", a, b, {"x": floats([[place, 1, 2]])})
