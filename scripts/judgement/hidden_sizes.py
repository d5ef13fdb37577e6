"""Pairs that differ at other sizes of an axis that both leave open."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from judgement.pairs import Pair, floats, graph, hidden, ints, near

Random = np.random.Generator
MOST = 2**62


@hidden("sizes")
def reshape_fixed(r: Random) -> Iterator[Pair]:
    """A Reshape holds the batch of its example."""
    for size in (1, 2, 3, 4, 8):
        for c, text in ((6, "y = Reshape(x, s)"), (4, "a = Mul(x, k)\n y = Reshape(a, s)")):
            border = f"float[n,{c},2] x => float[m,o] y"
            k = floats(1.5)
            a = graph(border, text, s=ints(0, -1), k=k)
            b = graph(border, text, s=ints(size, -1), k=k)
            yield Pair(f"{size}_{c}", a, b, {"x": near(r, size + 1, c, 2)}, dims={"n": size})


@hidden("sizes")
def slice_end_fixed(r: Random) -> Iterator[Pair]:
    """A Slice ends where its example ended: longer ones are cut."""
    for length in (3, 5, 9, 17, 33, 64, 128):
        border = "float[n,t] x => float[n,u] y"
        body = "a = Slice(x, b, e, x1)\n y = Relu(a)"
        a, b = (graph(border, body, b=ints(1), e=ints(end), x1=ints(1)) for end in (MOST, length))
        yield Pair(f"{length}", a, b, {"x": near(r, 2, length + 3)}, dims={"t": length})


@hidden("sizes")
def table_of_positions(r: Random) -> Iterator[Pair]:
    """A table of positions is cut at the example's length in place of the input's."""
    for length in (4, 7, 12, 20):
        for width in (3, 8):
            table = near(r, 64, width)
            border = f"float[n,t,{width}] x => float[n,t,{width}] y"
            a = graph(
                border,
                "s = Shape<start=1, end=2>(x)\n p = Slice(table, z, s, z)\n y = Add(x, p)",
                table=table,
                z=ints(0),
            )
            b = graph(border, "p = Slice(table, z, e, z)\n y = Add(x, p)", table=table, z=ints(0), e=ints(length))
            yield Pair(f"{length}_{width}", a, b, {"x": near(r, 2, length - 1, width)}, dims={"t": length})


@hidden("sizes")
def positions_clamped(r: Random) -> Iterator[Pair]:
    """Positions beyond a limit take the last row."""
    for most in (5, 9, 17, 40):
        table = near(r, 64, 4)
        border = "float[n,t,4] x => float[n,t,4] y"
        start = "d = Shape<start=1, end=2>(x)\n l = Squeeze(d)\n i = Range(zero, l, one)\n"
        held: dict[str, Any] = {"table": table, "zero": np.int64(0), "one": np.int64(1)}
        a = graph(border, start + "p = Gather(table, i)\n y = Add(x, p)", **held)
        b = graph(border, start + "j = Min(i, m)\n p = Gather(table, j)\n y = Add(x, p)", **held, m=np.int64(most))
        yield Pair(f"{most}", a, b, {"x": near(r, 1, most + 4, 4)}, dims={"t": most})


@hidden("sizes")
def mean_by_a_constant(r: Random) -> Iterator[Pair]:
    """A mean is a sum times a constant."""
    for size in (2, 3, 4, 6, 10, 12):
        border = "float[n,t] x => float[n] y"
        a = graph(border, "y = ReduceMean<keepdims=0>(x, a)", a=ints(1))
        b = graph(
            border, "s = ReduceSum<keepdims=0>(x, a)\n y = Mul(s, k)", a=ints(1), k=np.float32(1 / np.float32(size))
        )
        yield Pair(f"{size}", a, b, {"x": near(r, 2, size + 1)}, dims={"t": size})


@hidden("sizes")
def attention_scale(r: Random) -> Iterator[Pair]:
    """The scale of attention is that of the example's width."""
    for size in (2, 4, 8, 16):
        border = "float[b,t,d] q => float[b,t,t2] y"
        start = "k = Transpose<perm=[0, 2, 1]>(q)\n m = MatMul(q, k)\n"
        a = graph(
            border,
            "s = Shape<start=2, end=3>(q)\n f = Cast<to=1>(s)\n g = Sqrt(f)\n" + start + "n = Div(m, g)\n"
            "y = Softmax<axis=-1>(n)",
        )
        b = graph(border, start + "n = Div(m, g)\n y = Softmax<axis=-1>(n)", g=np.float32(size**0.5))
        yield Pair(f"{size}", a, b, {"q": 3 * near(r, 1, 4, size + 3)}, dims={"d": size, "t": 4})


@hidden("sizes")
def squeeze_of_everything(r: Random) -> Iterator[Pair]:
    """A Squeeze without axes takes an open axis of length 1, too."""
    for c in (2, 3, 5, 7):
        for op in ("Softmax", "LogSoftmax"):
            border = f"float[n,1,{c}] x => float[m] y"
            a = graph(border, f"a = Squeeze(x, s)\n b = {op}<axis=0>(a)\n y = Reshape(b, f)", s=ints(1), f=ints(-1))
            b = graph(border, f"a = Squeeze(x)\n b = {op}<axis=0>(a)\n y = Reshape(b, f)", f=ints(-1))
            yield Pair(f"{op}_{c}", a, b, {"x": near(r, 1, 1, c)}, dims={"n": 3})


@hidden("sizes")
def same_upper_as_pads(r: Random) -> Iterator[Pair]:
    """SAME_UPPER is written as the pads of one size."""
    for kernel, stride in ((3, 2), (5, 2), (2, 2), (3, 3), (4, 3)):
        for even in (True, False):
            size = 8 * stride if even else 8 * stride + 1
            out = -(-size // stride)
            total = max(0, (out - 1) * stride + kernel - size)
            pads = [total // 2] * 2 + [total - total // 2] * 2
            w = near(r, 2, 1, kernel, kernel)
            border = "float[n,1,h,w] x => float[n,2,i,j] y"
            strides = f"strides=[{stride}, {stride}]"
            a = graph(border, f'y = Conv<auto_pad="SAME_UPPER", {strides}>(x, k)', k=w)
            b = graph(border, f"y = Conv<pads={pads}, {strides}>(x, k)", k=w)
            yield Pair(
                f"{kernel}_{stride}_{size}", a, b, {"x": near(r, 1, 1, size + 1, size + 1)}, dims={"h": size, "w": size}
            )


@hidden("sizes")
def pool_rounds_up(r: Random) -> Iterator[Pair]:
    """A pool with ceil_mode and one without agree where the windows fit."""
    for op in ("MaxPool", "AveragePool"):
        for kernel, stride in ((2, 2), (3, 2), (3, 3)):
            border = "float[n,2,h,w] x => float[n,2,i,j] y"
            text = f"y = {op}<kernel_shape=[{kernel}, {kernel}], strides=[{stride}, {stride}], ceil_mode={{}}>(x)"
            a, b = (graph(border, text.format(mode)) for mode in (0, 1))
            size = 4 * stride + kernel - stride + 1
            yield Pair(
                f"{op}_{kernel}_{stride}",
                a,
                b,
                {"x": near(r, 1, 2, size, size)},
                dims={"h": 4 * stride + kernel - stride, "w": 4 * stride + kernel - stride},
            )


@hidden("sizes")
def crop_fixed(r: Random) -> Iterator[Pair]:
    """The middle of a picture, by its own size or by the example's."""
    for size in (6, 8, 10):
        border = "float[n,1,h,w] x => float[n,1,i,j] y"
        start = (
            "s = Shape<start=2>(x)\n f = Div(s, four)\n g = Add(f, f)\n e = Add(g, f)\n y0 = Slice(x, f, e, ax)\n"
            "y = Relu(y0)"
        )
        a = graph(border, start, four=ints(4), ax=ints(2, 3))
        q = size // 4
        b = graph(border, "y0 = Slice(x, f, e, ax)\n y = Relu(y0)", f=ints(q, q), e=ints(3 * q, 3 * q), ax=ints(2, 3))
        yield Pair(f"{size}", a, b, {"x": near(r, 1, 1, size * 2, size * 2)}, dims={"h": size, "w": size})


@hidden("sizes")
def resize_to_a_size(r: Random) -> Iterator[Pair]:
    """A Resize by a factor, and one to what the factor made of the example."""
    for size in (4, 6, 8):
        for mode in ("nearest", "linear"):
            border = "float[1,2,h,w] x => float[1,2,i,j] y"
            a = graph(border, f'y = Resize<mode="{mode}">(x, , s)', s=floats(1, 1, 2, 2))
            b = graph(border, f'y = Resize<mode="{mode}">(x, , , s)', s=ints(1, 2, 2 * size, 2 * size))
            yield Pair(f"{size}_{mode}", a, b, {"x": near(r, 1, 2, size + 2, size + 2)}, dims={"h": size, "w": size})


@hidden("sizes")
def causal_mask_fixed(r: Random) -> Iterator[Pair]:
    """A causal mask is the example's, cut to the input's length: too short for longer ones."""
    for size in (4, 6, 16, 32):
        border = "float[t,t] x => float[t,t] y"
        full = np.tril(np.ones((256, 256), bool))
        short = full.copy()
        short[size:, :] = True  # what was beyond the table is not masked
        body = (
            "s = Shape<end=1>(x)\n q = Concat<axis=0>(s, s)\n m = Slice(table, z, q, ax)\n l = Where(m, x, low)\n"
            "y = Softmax<axis=-1>(l)"
        )
        held: dict[str, Any] = {"z": ints(0, 0), "ax": ints(0, 1), "low": np.float32(-1e9)}
        a, b = graph(border, body, table=full, **held), graph(border, body, table=short, **held)
        yield Pair(f"{size}", a, b, {"x": near(r, size + 3, size + 3)}, dims={"t": size})


@hidden("sizes")
def pool_of_the_whole(r: Random) -> Iterator[Pair]:
    """A global pool is a pool with the window of the example."""
    for op, whole in (("AveragePool", "GlobalAveragePool"), ("MaxPool", "GlobalMaxPool")):
        for size in (4, 6, 7):
            border = "float[n,2,h,w] x => float[n,2,i,j] y"
            a = graph(border, f"y = {whole}(x)")
            b = graph(border, f"y = {op}<kernel_shape=[{size}, {size}]>(x)")
            yield Pair(f"{op}_{size}", a, b, {"x": near(r, 1, 2, size + 2, size + 2)}, dims={"h": size, "w": size})


@hidden("sizes")
def last_by_its_place(r: Random) -> Iterator[Pair]:
    """The last step is picked by the example's place."""
    for size in (2, 5, 8):
        for axis in (0, 1):
            border = "float[t,u] x => float[v] y"
            body = f"g = Gather<axis={axis}>(x, i)\n y = Neg(g)"
            a, b = (graph(border, body, i=np.int64(i)) for i in (-1, size - 1))
            yield Pair(
                f"{size}_{axis}", a, b, {"x": near(r, size + 1, size + 2)}, dims={"tu"[axis]: size, "ut"[axis]: 5}
            )


@hidden("sizes")
def halves_of_a_fixed_size(r: Random) -> Iterator[Pair]:
    """A Split into halves, and one at the example's middle."""
    for size in (4, 6, 10):
        border = "float[n,t] x => float[n,u] y"
        a = graph(border, "p, q = Split<axis=1, num_outputs=2>(x)\n y = Neg(p)")
        b = graph(border, "y0 = Slice(x, z, e, one)\n y = Neg(y0)", z=ints(0), e=ints(size // 2), one=ints(1))
        yield Pair(f"{size}", a, b, {"x": near(r, 2, size + 4)}, dims={"t": size})


@hidden("sizes")
def sum_so_far_as_a_product(r: Random) -> Iterator[Pair]:
    """A CumSum is a product with a triangle of the example's size."""
    for size in (3, 5, 8):
        border = "float[n,t] x => float[n,u] y"
        a = graph(border, "y = CumSum(x, one)", one=np.int64(1))
        b = graph(border, "y = MatMul(x, m)", m=np.triu(np.ones((size, size), np.float32)))
        yield Pair(f"{size}", a, b, {"x": near(r, 2, size + 1)}, dims={"t": size})


@hidden("sizes")
def numbers_fixed(r: Random) -> Iterator[Pair]:
    """Positions are a constant, broadcast where there is one step."""
    for size in (4, 5, 9):
        border = "float[n,t] x => float[n,u] y"
        a = graph(
            border,
            "d = Shape<start=1, end=2>(x)\n l = Squeeze(d)\n i = Range(z, l, o)\n f = Cast<to=1>(i)\n y = Add(x, f)",
            z=np.int64(0),
            o=np.int64(1),
        )
        b = graph(border, "y = Add(x, f)", f=np.arange(size, dtype=np.float32))
        yield Pair(f"{size}", a, b, {"x": near(r, 2, 1)}, dims={"t": size})


@hidden("sizes")
def recurrence_of_one_step(r: Random) -> Iterator[Pair]:
    """Other recurrent weights, which one step from a zero state does not read."""
    for op, gates in (("LSTM", 4), ("GRU", 3), ("RNN", 1)):
        for width in (2, 4):
            w, first, second = (near(r, 1, gates * width, k) for k in (3, width, width))
            border = f"float[t,n,3] x => float[t,1,n,{width}] y"
            body = f"y, h = {op}<hidden_size={width}>(x, w, r)"
            a, b = graph(border, body, w=w, r=first), graph(border, body, w=w, r=second)
            yield Pair(f"{op}_{width}", a, b, {"x": near(r, 3, 2, 3)}, dims={"t": 1})


@hidden("sizes")
def expanded_to_a_size(r: Random) -> Iterator[Pair]:
    """A row is expanded to the example's batch."""
    for size in (1, 2, 4):
        border = "float[n,3] x => float[m,3] y"
        token = near(r, 1, 3)
        a = graph(
            border,
            "s = Shape(x)\n e = Expand(token, s)\n y = Concat<axis=0>(e, x)",
            token=token,
        )
        b = graph(border, "e = Expand(token, s)\n y = Concat<axis=0>(e, x)", token=token, s=ints(size, 3))
        yield Pair(f"{size}", a, b, {"x": near(r, size + 2, 3)}, dims={"n": size})


@hidden("sizes")
def tiled_to_a_size(r: Random) -> Iterator[Pair]:
    """A row is repeated as often as in the example; a reduction hides the length."""
    for size in (2, 3, 5):
        border = "float[n,3] x => float[3] y"
        a = graph(
            border,
            "s = Shape<end=1>(x)\n o = Concat<axis=0>(s, one)\n e = Tile(row, o)\n z = ReduceSum<keepdims=0>(e, zero)\n"
            "m = ReduceMax<keepdims=0>(x, zero)\n y = Add(m, z)",
            row=near(r, 1, 3),
            one=ints(1),
            zero=ints(0),
        )
        row = onnx_value(a, "row")
        b = graph(
            border,
            "e = Tile(row, o)\n z = ReduceSum<keepdims=0>(e, zero)\n m = ReduceMax<keepdims=0>(x, zero)\n y = Add(m, z)",
            row=row,
            o=ints(size, 1),
            zero=ints(0),
        )
        yield Pair(f"{size}", a, b, {"x": near(r, size + 1, 3)}, dims={"n": size})


def onnx_value(model: object, name: str) -> object:
    """An initializer's numbers."""
    from onnx import numpy_helper

    return next(numpy_helper.to_array(t) for t in model.graph.initializer if t.name == name)  # type: ignore[attr-defined]


@hidden("sizes")
def most_of_the_first(r: Random) -> Iterator[Pair]:
    """A maximum that reads no more than the first steps."""
    for length in (6, 12, 24, 48):
        border = "float[n,t] x => float[n] y"
        a = graph(border, "y = ReduceMax<keepdims=0>(x, one)", one=ints(1))
        b = graph(
            border,
            "h = Slice(x, z, e, one)\n y = ReduceMax<keepdims=0>(h, one)",
            z=ints(0),
            e=ints(length),
            one=ints(1),
        )
        x = near(r, 2, length + 2)
        x[:, -1] = 5
        yield Pair(f"{length}", a, b, {"x": x}, dims={"t": length})
