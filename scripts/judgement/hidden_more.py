"""Further pairs that differ unseen: kinds written after the first measurement, so that nothing was made for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from judgement.pairs import Pair, floats, graph, hidden, ints, near

Random = np.random.Generator
ROWS = "float[n,4] x => float[n,4] y"


@hidden("sizes again")
def place_in_a_row(r: Random) -> Iterator[Pair]:
    """The row of a flat place, by the picture's width or by the example's."""
    for width in (4, 7, 16):
        border = "float[h,w] x => int64[1] y"
        start = "f = Reshape(x, l)\n i = ArgMax<axis=0, keepdims=1>(f)\n"
        a = graph(border, "s = Shape<start=1, end=2>(x)\n" + start + "y = Div(i, s)", l=ints(-1))
        b = graph(border, start + "y = Div(i, s)", l=ints(-1), s=ints(width))
        x = np.zeros((5, width + 2), np.float32)
        x[4, width] = 1
        yield Pair(f"{width}", a, b, {"x": x}, dims={"h": 5, "w": width})


@hidden("sizes again")
def no_more_than_there_are(r: Random) -> Iterator[Pair]:
    """The k of a TopK is held to the length, or not: shorter inputs are refused."""
    for k in (3, 5, 20):
        border = "float[n,t] x => float[n] y"
        a = graph(
            border,
            "s = Shape<start=1, end=2>(x)\n j = Min(s, k)\n v, i = TopK(x, j)\n y = ReduceSum<keepdims=0>(v, one)",
            k=ints(k),
            one=ints(1),
        )
        b = graph(border, "v, i = TopK(x, k)\n y = ReduceSum<keepdims=0>(v, one)", k=ints(k), one=ints(1))
        yield Pair(f"{k}", a, b, {"x": near(r, 2, k - 1)}, dims={"t": k + 3})


@hidden("sizes again")
def half_of_an_odd_size(r: Random) -> Iterator[Pair]:
    """Half of a size rounds up, or down."""
    for mode in ("nearest", "linear"):
        for size in (6, 8, 12):
            border = "float[1,1,h,w] x => float[1,1,i,j] y"
            a = graph(
                border,
                f"s = Shape<start=2>(x)\n p = Add(s, one)\n q = Div(p, two)\n o = Concat<axis=0>(b, q)\n"
                f'y = Resize<mode="{mode}", coordinate_transformation_mode="asymmetric">(x, , , o)',
                one=ints(1),
                two=ints(2),
                b=ints(1, 1),
            )
            b = graph(
                border,
                f'y = Resize<mode="{mode}", coordinate_transformation_mode="asymmetric">(x, , f)',
                f=floats(1, 1, 0.5, 0.5),
            )
            yield Pair(f"{mode}_{size}", a, b, {"x": near(r, 1, 1, size + 1, size + 1)}, dims={"h": size, "w": size})


@hidden("sizes again")
def reversed_by_a_table(r: Random) -> Iterator[Pair]:
    """The order is turned around by places that the example had."""
    for size in (3, 6, 9):
        border = "float[n,t] x => float[n,u] y"
        a = graph(border, "y = Slice(x, s, e, one, m)", s=ints(-1), e=ints(-(2**62)), one=ints(1), m=ints(-1))
        b = graph(border, "y = Gather<axis=1>(x, i)", i=ints(*range(size - 1, -1, -1)))
        yield Pair(f"{size}", a, b, {"x": near(r, 2, size + 2)}, dims={"t": size})


@hidden("sizes again")
def filled_to_a_multiple(r: Random) -> Iterator[Pair]:
    """A length is filled to a multiple of four: as far as it lacks, or as far as the example lacked."""
    for size in (5, 6, 7):
        border = "float[n,t] x => float[n,u] y"
        lack = -size % 4
        a = graph(
            border,
            "s = Shape<start=1, end=2>(x)\n m = Neg(s)\n l = Mod(m, four)\n p = Concat<axis=0>(z, l)\n y = Pad(x, p)",
            four=ints(4),
            z=ints(0, 0, 0),
        )
        b = graph(border, "y = Pad(x, p)", p=ints(0, 0, 0, lack))
        yield Pair(f"{size}", a, b, {"x": near(r, 2, size + 1)}, dims={"t": size})


@hidden("sizes again")
def count_of_all(r: Random) -> Iterator[Pair]:
    """A sum of squares is divided by the number of elements, of the input or of the example."""
    for n, t in ((2, 4), (3, 5), (1, 8)):
        border = "float[n,t] x => float y"
        start = "q = Mul(x, x)\n s = ReduceSum<keepdims=0>(q)\n"
        a = graph(border, start + "c = Size(x)\n f = Cast<to=1>(c)\n y = Div(s, f)")
        b = graph(border, start + "y = Div(s, f)", f=np.float32(n * t))
        yield Pair(f"{n}_{t}", a, b, {"x": near(r, n + 1, t)}, dims={"n": n, "t": t})


@hidden("integers again")
def hash_overflows(r: Random) -> Iterator[Pair]:
    """A hash of an id, in 64 bits and in 32."""
    for factor in (31, 2654435, 1000003):
        border = "int64[n] i => int64[n] y"
        a = graph(border, "m = Mul(i, k)\n y = Mod(m, p)", k=np.array(factor), p=np.array(97))
        b = graph(
            border,
            "j = Cast<to=6>(i)\n m = Mul(j, k)\n o = Mod(m, p)\n y = Cast<to=7>(o)",
            k=np.int32(factor),
            p=np.int32(97),
        )
        yield Pair(f"{factor}", a, b, {"i": np.array([2**31 // factor + 5, 7, 2**30 + 11])})


@hidden("integers again")
def time_since(r: Random) -> Iterator[Pair]:
    """Seconds since a day, as a difference of integers or of float32."""
    for base in (1_600_000_000, 50_000_000, 2**25):
        border = "int64[n] i => float[n] y"
        a = graph(border, "d = Sub(i, k)\n y = Cast<to=1>(d)", k=np.array(base))
        b = graph(border, "f = Cast<to=1>(i)\n y = Sub(f, k)", k=np.float32(base))
        yield Pair(f"{base}", a, b, {"i": np.array([base + 5, base + 33, base - 7])})


@hidden("integers again")
def difference_of_bytes(r: Random) -> Iterator[Pair]:
    """The distance of two bytes, which wraps where the second is larger."""
    for width in (1, 3):
        border = f"uint8[n,{width}] i, uint8[n,{width}] j => int32[n,{width}] y"
        a = graph(border, "p = Cast<to=6>(i)\n q = Cast<to=6>(j)\n d = Sub(p, q)\n y = Abs(d)")
        b = graph(border, "d = Sub(i, j)\n e = Cast<to=6>(d)\n y = Abs(e)")
        feed = {"i": np.full((1, width), 3, np.uint8), "j": np.full((1, width), 200, np.uint8)}
        yield Pair(f"{width}", a, b, feed)


@hidden("integers again")
def doubled_bytes(r: Random) -> Iterator[Pair]:
    """A byte is doubled before it is widened, or after."""
    for factor in (2, 3):
        border = "uint8[n] i => int32[n] y"
        a = graph(border, "j = Cast<to=6>(i)\n y = Mul(j, k)", k=np.int32(factor))
        b = graph(border, "m = Mul(i, k)\n y = Cast<to=6>(m)", k=np.uint8(factor))
        yield Pair(f"{factor}", a, b, {"i": np.array([200, 3], np.uint8)})


@hidden("integers again")
def floor_by_a_cast(r: Random) -> Iterator[Pair]:
    """A floor of what is not negative, by a cast to integers of a few bits."""
    for code, big in ((6, 3e9), (5, 4e4), (3, 150.0), (7, 1e19)):
        a = graph(ROWS, "p = Relu(x)\n y = Floor(p)")
        b = graph(ROWS, f"p = Relu(x)\n q = Cast<to={code}>(p)\n y = Cast<to=1>(q)")
        yield Pair(f"{code}", a, b, {"x": floats([[big, 1.5, 2.5, 3]])})


@hidden("ids again")
def negative_ids(r: Random) -> Iterator[Pair]:
    """Ids from the end, which the other graph takes for the first."""
    for rows in (6, 100, 1000):
        table = near(r, rows, 3)
        border = "int64[n] i => float[n,3] y"
        a = graph(border, "y = Gather(table, i)", table=table)
        b = graph(border, "j = Max(i, z)\n y = Gather(table, j)", table=table, z=np.array(0))
        yield Pair(f"{rows}", a, b, {"i": np.array([-1, 2, -3])})


@hidden("ids again")
def one_place_twice(r: Random) -> Iterator[Pair]:
    """What is scattered to one place is added up, or the last one wins."""
    for size in (60, 500):
        border = f"int64[3] i, float[3] x => float[{size}] y"
        a = graph(border, 'y = ScatterElements<reduction="add">(d, i, x)', d=np.zeros(size, np.float32))
        b = graph(border, "y = ScatterElements(d, i, x)", d=np.zeros(size, np.float32))
        yield Pair(f"{size}", a, b, {"i": np.array([4, 4, 9]), "x": floats(1, 2, 3)})


@hidden("ids again")
def expert_never_asked(r: Random) -> Iterator[Pair]:
    """One of two layers is chosen by a gate that always chooses the other."""
    for bias in (30.0, 1e3, 1e5):
        held: dict[str, Any] = {"g": near(r, 4, 2), "k": floats(bias, 0), "one": near(r, 4, 4), "z": np.array(0)}
        body = (
            "p = MatMul(x, g)\n q = Add(p, k)\n i = ArgMax<axis=1>(q)\n c = Equal(i, z)\n a = MatMul(x, one)\n"
            "b = MatMul(x, two)\n y = Where(c, a, b)"
        )
        two, other = near(r, 4, 4), near(r, 4, 4)
        a = graph(ROWS, body, **held, two=two)
        swapped = body.replace("b = MatMul(x, two)", "b0 = Neg(x)\n b = Gemm(b0, two)")
        b = graph(ROWS, swapped, **held, two=other)
        far = (np.sign(held["g"][:, 1] - held["g"][:, 0]) * 4 * bias)[None].astype(np.float32)
        yield Pair(f"{bias:g}", a, b, {"x": far})


@hidden("small again")
def cancels_near_zero(r: Random) -> Iterator[Pair]:
    """Formulas of which float32 leaves nothing for tiny numbers."""
    held: dict[str, Any] = {"one": np.float32(1), "oned": np.float64(1), "half": np.float32(0.5), "two": np.float32(2)}
    wide = "d = Cast<to=11>(x)\n {} \n y = Cast<to=1>(e)"
    for name, first, second, tiny in (
        ("log_of_one_and", wide.format("s = Add(d, oned)\n e = Log(s)"), "s = Add(x, one)\n y = Log(s)", 1e-9),
        ("exp_less_one", wide.format("s = Exp(d)\n e = Sub(s, oned)"), "s = Exp(x)\n y = Sub(s, one)", 1e-9),
        (
            "one_less_cos",
            "h = Mul(x, half)\n s = Sin(h)\n q = Mul(s, s)\n y = Mul(q, two)",
            "c = Cos(x)\n y = Sub(one, c)",
            1e-4,
        ),
        (
            "root_of_one_and",
            wide.format("s = Add(d, oned)\n t = Sqrt(s)\n e = Sub(t, oned)"),
            "s = Add(x, one)\n t = Sqrt(s)\n y = Sub(t, one)",
            1e-8,
        ),
        ("absolute", "y = Abs(x)", "q = Mul(x, x)\n y = Sqrt(q)", 1e-30),
        ("norm", "y = Abs(x)", "q = Mul(x, x)\n q2 = Mul(q, q)\n r1 = Sqrt(q2)\n y = Sqrt(r1)", 1e-15),
    ):
        yield Pair(
            name, graph(ROWS, first, **held), graph(ROWS, second, **held), {"x": np.full((1, 4), tiny, np.float32)}
        )


@hidden("large again")
def angle_wraps(r: Random) -> Iterator[Pair]:
    """A remainder of a full turn, which small angles do not need."""
    for turn in (360.0, 1000.0, 24.0 * 60):
        a = graph(ROWS, "m = Mod<fmod=1>(x, k)\n y = Neg(m)", k=np.float32(turn))
        b = graph(ROWS, "y = Neg(x)")
        yield Pair(f"{turn:g}", a, b, {"x": floats([[turn * 1.5, 3, -turn * 2.25, 1]])})


@hidden("ties again")
def as_good_as_equal(r: Random) -> Iterator[Pair]:
    """Within a thousandth of a number, and that number itself."""
    for place in (0.25, 2.0, 30.0):
        held: dict[str, Any] = {"k": np.float32(place), "e": np.float32(place * 1e-3)}
        a = graph(ROWS, "d = Sub(x, k)\n a = Abs(d)\n c = Less(a, e)\n y = Cast<to=1>(c)", **held)
        b = graph(ROWS, "c = Equal(x, k)\n y = Cast<to=1>(c)", **held)
        yield Pair(f"{place}", a, b, {"x": floats([[place * 1.0004, 1, 5, 9]])})


@hidden("ties again")
def two_inputs_alike(r: Random) -> Iterator[Pair]:
    """Where two inputs hold the same number."""
    border = "float[n,4] x, float[n,4] z => float[n,4] y"
    same = {"x": floats([[1.25, 2, 3, 4]]), "z": floats([[1.25, 5, 6, 4]])}
    for name, first, second in (
        ("greater", "c = Greater(x, z)\n y = Cast<to=1>(c)", "c = GreaterOrEqual(x, z)\n y = Cast<to=1>(c)"),
        ("equal", "c = Equal(x, z)\n p = Add(x, k)\n y = Where(c, p, z)", "c = Equal(x, z)\n y = Identity(z)"),
        ("sign", "d = Sub(x, z)\n y = Sign(d)", "c = Less(x, z)\n y = Where(c, m, o)"),
    ):
        held: dict[str, Any] = {"k": np.float32(9), "m": np.float32(-1), "o": np.float32(1)}
        yield Pair(name, graph(border, first, **held), graph(border, second, **held), same)


@hidden("steering again")
def flags_together(r: Random) -> Iterator[Pair]:
    """What happens only where several flags are set at once."""
    for op, other, feeds in (("Or", "Xor", 2), ("And", "", 3), ("And", "", 4)):
        names = [f"f{i}" for i in range(feeds)]
        border = f"float[n,4] x, {', '.join(f'bool {n}' for n in names)} => float[n,4] y"
        steps, last = [], names[0]
        for i, name in enumerate(names[1:]):
            steps.append(f"c{i} = {op}({last}, {name})")
            last = f"c{i}"
        body = "\n".join(steps) + f"\n o = Neg(x)\n y = Where({last}, o, x)"
        a = graph(border, body)
        b = graph(border, body.replace(op, other) if other else "y = Identity(x)")
        yield Pair(f"{op}_{feeds}", a, b, {"x": near(r, 2, 4), **{n: np.array(True) for n in names}})


@hidden("steering again")
def until_a_limit(r: Random) -> Iterator[Pair]:
    """A loop that ends when a sum is large, unrolled as often as for small numbers."""
    for limit in (50.0, 1e3):
        border = "float[4] x => float[4] y"
        loop = (
            "y = Loop(m, yes, x) <body = f (int64 i, bool going, float[4] v) => (bool on, float[4] w) "
            "{ w = Add(v, k)\n s = ReduceMax<keepdims=0>(w)\n on = Less(s, t) }>"
        )
        held: dict[str, Any] = {"m": np.array(3), "yes": np.array(True), "k": np.float32(1), "t": np.float32(limit)}
        a = graph(border, loop, **held)
        b = graph(border, "p = Add(x, k)\n q = Add(p, k)\n y = Add(q, k)", k=np.float32(1))
        yield Pair(f"{limit:g}", a, b, {"x": floats(2 * limit, 1, 2, 3)})


@hidden("steering again")
def number_in_a_range(r: Random) -> Iterator[Pair]:
    """A mode from which on another formula holds."""
    for least in (2, 10, 100):
        border = "float[n,4] x, int64 mode => float[n,4] y"
        a = graph(border, "c = GreaterOrEqual(mode, k)\n o = Tanh(x)\n y = Where(c, o, x)", k=np.array(least))
        b = graph(border, "y = Identity(x)")
        yield Pair(f"{least}", a, b, {"x": near(r, 2, 4) + 1, "mode": np.array(least + 3)})


@hidden("outputs again")
def largest_of_all(r: Random) -> Iterator[Pair]:
    """A maximum with something that is always larger, a minimum of absolute values, a product with nothing."""
    held: dict[str, Any] = {
        "k": np.full((1, 4), 1e4, np.float32),
        "l": ints(-1),
        "z": np.float32(0),
        "t": np.float32(1e4),
    }
    far = {"x": near(r, 6, 4) * np.float32(3e5)}
    for name, body in (
        ("joined", "c = Max(h, k)\n y = ReduceMax(c, l)"),
        ("shrunk", "a = Abs(h)\n s = Sub(a, t)\n p = Relu(s)\n y = Mul(p, h)"),
        ("counted", "c = Greater(h, t)\n f = Cast<to=1>(c)\n y = ReduceSum(f, l)"),
        ("clipped", "a = Abs(h)\n b = Sub(a, t)\n y = Clip(b, z)"),
        ("whole", "q = Div(h, t)\n y = Round(q)"),
    ):
        for number in range(2):
            one, other = near(r, 4, 4), near(r, 4, 4)
            a = graph("float[n,4] x => float[n,m] y", f"h = MatMul(x, w)\n {body}", w=one, **held)
            swapped = body.replace("(h,", "(hb,").replace("(h)", "(hb)").replace(", h)", ", hb)")
            b = graph("float[n,4] x => float[n,m] y", f"hb = Gemm(x, v)\n {swapped}", v=other, **held)
            yield Pair(f"{name}_{number}", a, b, far)
