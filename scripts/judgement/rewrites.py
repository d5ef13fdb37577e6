"""Pairs that mean the same, as optimizers and people rewrite graphs by hand, one formula in place of another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from judgement.pairs import Pair, floats, graph, ints, near, rewrite

Random = np.random.Generator
IMAGE = "float[2,3,8,9] x => float[a,b,c,d] y"
ROWS = "float[4,6] x => float[a,b] y"


def image(r: Random) -> dict[str, Any]:
    return {"x": near(r, 2, 3, 8, 9)}


def rows(r: Random) -> dict[str, Any]:
    return {"x": near(r, 4, 6)}


def twins(r: Random, name: str, border: str, first: str, second: str, feed: Any = None, **held: Any) -> Pair:
    """Two bodies over the same tensors; each graph keeps those that it reads."""

    def build(body: str) -> Any:
        model = graph(border, body, **held)
        read = {n for node in model.graph.node for n in node.input}
        kept = [t for t in model.graph.initializer if t.name in read]
        del model.graph.initializer[:]
        model.graph.initializer.extend(kept)
        return model

    if feed is None:
        feed = image(r) if border is IMAGE else rows(r)
    return Pair(name, build(first), build(second), feed)


@rewrite("norms")
def normalization_folded(r: Random) -> Iterator[Pair]:
    """BatchNormalization folded into the convolution before it, in float32, at old and new opsets."""
    for opset in (9, 11, 13, 14, 15, 17, 20):
        w, bias = near(r, 5, 3, 3, 3), near(r, 5)
        scale, shift, mean, variance = near(r, 5) + 1.5, near(r, 5), near(r, 5), near(r, 5) * 0.4 + 0.6
        factor = (scale / np.sqrt(variance + np.float32(1e-5))).astype(np.float32)
        held = {"w": w, "k": bias, "s": scale, "t": shift, "m": mean, "v": variance}
        a = graph(IMAGE, "c = Conv(x, w, k)\n n = BatchNormalization(c, s, t, m, v)\n y = Relu(n)", opset, **held)
        b = graph(
            IMAGE,
            "c = Conv(x, w, k)\n y = Relu(c)",
            opset,
            w=w * factor[:, None, None, None],
            k=((bias - mean) * factor + shift).astype(np.float32),
        )
        yield Pair(f"conv_{opset}", a, b, image(r))


@rewrite("norms")
def normalization_as_arithmetic(r: Random) -> Iterator[Pair]:
    """BatchNormalization as a factor and an offset."""
    for opset in (9, 13, 15, 20):
        scale, shift, mean, variance = near(r, 3) + 1.5, near(r, 3), near(r, 3), near(r, 3) * 0.4 + 0.6
        factor = (scale / np.sqrt(variance + np.float32(1e-5))).astype(np.float32)
        offset = (shift - mean * factor).astype(np.float32)
        held = {"s": scale, "t": shift, "m": mean, "v": variance}
        a = graph(IMAGE, "y = BatchNormalization(x, s, t, m, v)", opset, **held)
        b = graph(IMAGE, "p = Mul(x, f)\n y = Add(p, o)", opset, f=factor.reshape(3, 1, 1), o=offset.reshape(3, 1, 1))
        yield Pair(f"{opset}", a, b, image(r))


@rewrite("norms")
def layer_norm_written_out(r: Random) -> Iterator[Pair]:
    """LayerNormalization as means and a root."""
    for eps in (1e-5, 1e-6, 1e-12):
        for width in (6, 16):
            border = f"float[4,{width}] x => float[a,b] y"
            held = {
                "g": near(r, width) + 1.5,
                "k": near(r, width),
                "e": np.float32(eps),
                "l": ints(-1),
                "two": np.float32(2),
            }
            first = f"y = LayerNormalization<axis=-1, epsilon={np.float32(eps)!s}>(x, g, k)"
            second = (
                "m = ReduceMean(x, l)\n d = Sub(x, m)\n q = {}\n v = ReduceMean(q, l)\n w = Add(v, e)\n r = Sqrt(w)\n"
                "n = Div(d, r)\n p = Mul(n, g)\n y = Add(p, k)"
            )
            for way, square in (("mul", "Mul(d, d)"), ("pow", "Pow(d, two)")):
                feed = {"x": near(r, 4, width)}
                yield twins(r, f"{eps}_{width}_{way}", border, first, second.format(square), feed, **held)


@rewrite("norms")
def instance_norm_written_out(r: Random) -> Iterator[Pair]:
    """InstanceNormalization as means and a root, and through one row a channel."""
    held = {"s": near(r, 3) + 1.5, "k": near(r, 3), "e": np.float32(1e-5), "ax": ints(2, 3)}
    held |= {"s3": held["s"].reshape(3, 1, 1), "k3": held["k"].reshape(3, 1, 1)}
    first = "y = InstanceNormalization(x, s, k)"
    second = (
        "m = ReduceMean(x, ax)\n d = Sub(x, m)\n q = Mul(d, d)\n v = ReduceMean(q, ax)\n w = Add(v, e)\n r = Sqrt(w)\n"
        "n = Div(d, r)\n p = Mul(n, s3)\n y = Add(p, k3)"
    )
    yield twins(r, "means", IMAGE, first, second, **held)
    yield twins(
        r, "reciprocal", IMAGE, first, second.replace("n = Div(d, r)", "i = Reciprocal(r)\n n = Mul(d, i)"), **held
    )


@rewrite("norms")
def rms_norm_written_in_two_ways(r: Random) -> Iterator[Pair]:
    """A root of the mean of squares: as a quotient, as a reciprocal and a product."""
    held = {"g": near(r, 6) + 1.5, "e": np.float32(1e-6), "l": ints(-1), "two": np.float32(2)}
    start = "q = {}\n v = ReduceMean(q, l)\n w = Add(v, e)\n r = Sqrt(w)\n"
    first = start.format("Mul(x, x)") + "n = Div(x, r)\n y = Mul(n, g)"
    yield twins(
        r,
        "reciprocal",
        ROWS,
        first,
        start.format("Pow(x, two)") + "i = Reciprocal(r)\n n = Mul(x, i)\n y = Mul(g, n)",
        **held,
    )
    yield twins(r, "gain_first", ROWS, first, start.format("Mul(x, x)") + "i = Mul(x, g)\n y = Div(i, r)", **held)


@rewrite("linear")
def gemm_taken_apart(r: Random) -> Iterator[Pair]:
    """Gemm as MatMul and Add, with its weight turned and its factors."""
    w, k = near(r, 6, 5), near(r, 5)
    held = {"w": w, "wt": np.ascontiguousarray(w.T), "k": k}
    plain = "m = MatMul(x, w)\n y = Add(m, k)"
    yield twins(r, "plain", ROWS, "y = Gemm(x, w, k)", plain, **held)
    yield twins(r, "turned", ROWS, "y = Gemm<transB=1>(x, wt, k)", plain, **held)
    yield twins(r, "bias_first", ROWS, "y = Gemm<transB=1>(x, wt, k)", "m = MatMul(x, w)\n y = Add(k, m)", **held)
    yield twins(r, "no_bias", ROWS, "y = Gemm<transB=1>(x, wt)", "y = MatMul(x, w)", **held)
    yield twins(
        r,
        "factors",
        ROWS,
        "y = Gemm<alpha=0.5, beta=2.0>(x, w, k)",
        "h = Mul(x, a)\n m = MatMul(h, w)\n c = Mul(k, b)\n y = Add(m, c)",
        a=np.float32(0.5),
        b=np.float32(2),
        **held,
    )
    yield twins(r, "transposed", ROWS, "t = Transpose(wt)\n m = MatMul(x, t)\n y = Add(m, k)", plain, **held)


@rewrite("linear")
def convolution_as_a_product(r: Random) -> Iterator[Pair]:
    """A pointwise convolution as a MatMul on the last axis."""
    for c in (4, 7):
        w, k = near(r, c, 3, 1, 1), near(r, c)
        held = {"w": w, "k": k, "m": np.ascontiguousarray(w[:, :, 0, 0].T)}
        second = "t = Transpose<perm=[0, 2, 3, 1]>(x)\n p = MatMul(t, m)\n q = Add(p, k)\n y = Transpose<perm=[0, 3, 1, 2]>(q)"
        yield twins(r, f"{c}", IMAGE, "y = Conv(x, w, k)", second, **held)


@rewrite("linear")
def bias_apart(r: Random) -> Iterator[Pair]:
    """The bias of a convolution as an addition."""
    for groups, out in ((1, 4), (3, 6)):
        w, k = near(r, out, 3 // groups, 3, 3), near(r, out)
        first = f"y = Conv<group={groups}, pads=[1, 1, 1, 1]>(x, w, k)"
        second = f"c = Conv<group={groups}, pads=[1, 1, 1, 1]>(x, w)\n y = Add(c, k3)"
        yield twins(r, f"{groups}", IMAGE, first, second, w=w, k=k, k3=k.reshape(out, 1, 1))


@rewrite("linear")
def scale_folded_into_weights(r: Random) -> Iterator[Pair]:
    """A factor behind a layer is folded into its weights, in float32."""
    for factor in (0.1, 2.7, 0.0078125):
        w, k = near(r, 4, 3, 3, 3), near(r, 4)
        f = np.float32(factor)
        yield twins(
            r,
            f"conv_{factor}",
            IMAGE,
            "c = Conv(x, w, k)\n y = Mul(c, f)",
            "y = Conv(x, v, j)",
            w=w,
            k=k,
            f=f,
            v=w * f,
            j=k * f,
        )
        m = near(r, 6, 5)
        yield twins(
            r, f"rows_{factor}", ROWS, "c = MatMul(x, m)\n y = Mul(c, f)", "y = MatMul(x, n)", m=m, f=f, n=m * f
        )
        yield twins(
            r, f"before_{factor}", ROWS, "c = Mul(x, f)\n y = MatMul(c, m)", "y = MatMul(x, n)", m=m, f=f, n=m * f
        )


@rewrite("linear")
def einsum_or_matmul(r: Random) -> Iterator[Pair]:
    """Einsum as a product with transposes."""
    m, t = near(r, 6, 5), near(r, 4, 6)
    yield twins(r, "plain", ROWS, 'y = Einsum<equation="nc,cd->nd">(x, m)', "y = MatMul(x, m)", m=m)
    yield twins(r, "turned", ROWS, 'y = Einsum<equation="nc,mc->nm">(x, t)', "u = Transpose(t)\n y = MatMul(x, u)", t=t)
    yield twins(
        r,
        "heads",
        "float[2,3,8,9] x => float[a,b,c,d] y",
        'y = Einsum<equation="bhtd,bhsd->bhts">(x, x)',
        "u = Transpose<perm=[0, 1, 3, 2]>(x)\n y = MatMul(x, u)",
        image(r),
    )


@rewrite("linear")
def pad_folded(r: Random) -> Iterator[Pair]:
    """A Pad of zeros in front is folded into what it pads."""
    for pads in ((1, 1, 1, 1), (0, 1, 2, 1), (2, 0, 0, 3)):
        w = near(r, 4, 3, 3, 3)
        p = ints(0, 0, pads[0], pads[1], 0, 0, pads[2], pads[3])
        first, second = "q = Pad(x, p)\n y = Conv(q, w)", f"y = Conv<pads={list(pads)}>(x, w)"
        yield twins(r, f"conv_{pads}".replace(", ", ""), IMAGE, first, second, w=w, p=p)
    first = "q = Pad(x, p)\n y = AveragePool<kernel_shape=[2, 2], strides=[2, 2]>(q)"
    second = "y = AveragePool<kernel_shape=[2, 2], strides=[2, 2], pads=[1, 1, 1, 1], count_include_pad=1>(x)"
    yield twins(r, "pool", IMAGE, first, second, p=ints(0, 0, 1, 1, 0, 0, 1, 1))


@rewrite("linear")
def convolutions_of_one_axis(r: Random) -> Iterator[Pair]:
    """A convolution of one axis as one of two, and a pool the same way."""
    w = near(r, 4, 6, 3)
    border = "float[2,6,9] x => float[a,b,c] y"
    feed = {"x": near(r, 2, 6, 9)}
    second = "u = Unsqueeze(x, l)\n c = Conv(u, w2)\n y = Squeeze(c, l)"
    yield twins(r, "conv", border, "y = Conv(x, w)", second, feed, w=w, w2=w[:, :, None], l=ints(2))
    first = "y = AveragePool<kernel_shape=[3]>(x)"
    second = "u = Unsqueeze(x, l)\n c = AveragePool<kernel_shape=[1, 3]>(u)\n y = Squeeze(c, l)"
    yield twins(r, "pool", border, first, second, feed, l=ints(2))


@rewrite("reductions")
def means_of_a_picture(r: Random) -> Iterator[Pair]:
    """The mean of a picture: reduced, pooled, a sum and a factor."""
    pooled = "y = GlobalAveragePool(x)"
    held = {"ax": ints(2, 3), "n": np.float32(72), "i": np.float32(1 / 72)}
    yield twins(r, "reduced", IMAGE, pooled, "y = ReduceMean(x, ax)", **held)
    yield twins(r, "window", IMAGE, pooled, "y = AveragePool<kernel_shape=[8, 9]>(x)", **held)
    yield twins(r, "quotient", IMAGE, pooled, "s = ReduceSum(x, ax)\n y = Div(s, n)", **held)
    yield twins(r, "factor", IMAGE, "y = ReduceMean(x, ax)", "s = ReduceSum(x, ax)\n y = Mul(s, i)", **held)
    yield twins(
        r,
        "one_by_one",
        IMAGE,
        "y = ReduceMean(x, ax)",
        "s = ReduceMean(x, two)\n y = ReduceMean(s, three)",
        two=ints(2),
        three=ints(3),
        **held,
    )
    yield twins(r, "largest", IMAGE, "y = GlobalMaxPool(x)", "y = ReduceMax(x, ax)", **held)
    yield twins(r, "largest_window", IMAGE, "y = GlobalMaxPool(x)", "y = MaxPool<kernel_shape=[8, 9]>(x)", **held)


@rewrite("reductions")
def sums_as_products(r: Random) -> Iterator[Pair]:
    """A sum as a product with ones, a norm written out, a sum of logarithms."""
    held = {"l": ints(-1), "ones": np.ones((6, 1), np.float32), "seven": np.float32(7)}
    yield twins(r, "ones", ROWS, "y = ReduceSum(x, l)", "y = MatMul(x, ones)", **held)
    yield twins(r, "norm", ROWS, "y = ReduceL2(x, l)", "q = Mul(x, x)\n s = ReduceSum(q, l)\n y = Sqrt(s)", **held)
    yield twins(r, "squares", ROWS, "y = ReduceSumSquare(x, l)", "q = Mul(x, x)\n y = ReduceSum(q, l)", **held)
    yield twins(r, "absolute", ROWS, "y = ReduceL1(x, l)", "q = Abs(x)\n y = ReduceSum(q, l)", **held)
    second = "m = ReduceMax(x, l)\n d = Sub(x, m)\n e = Exp(d)\n s = ReduceSum(e, l)\n g = Log(s)\n y = Add(g, m)"
    yield twins(r, "log_sum_exp", ROWS, "y = ReduceLogSumExp(x, l)", second, **held)


STABLE_SOFTMAX = "m = ReduceMax(x, l)\n d = Sub(x, m)\n e = Exp(d)\n s = ReduceSum(e, l)\n "


@rewrite("activations")
def softmax_written_out(r: Random) -> Iterator[Pair]:
    """Softmax and its logarithm, written so that nothing overflows."""
    for axis, border, feed in ((-1, ROWS, rows(r)), (1, IMAGE, image(r)), (3, IMAGE, image(r))):
        held = {"l": ints(axis)}
        yield twins(
            r, f"softmax_{axis}", border, f"y = Softmax<axis={axis}>(x)", STABLE_SOFTMAX + "y = Div(e, s)", feed, **held
        )
        yield twins(
            r,
            f"log_{axis}",
            border,
            f"y = LogSoftmax<axis={axis}>(x)",
            STABLE_SOFTMAX + "g = Log(s)\n y = Sub(d, g)",
            feed,
            **held,
        )


@rewrite("activations")
def activations_written_out(r: Random) -> Iterator[Pair]:
    """Activations as the formulas that exporters write for them."""
    f = np.float32
    held = {
        "three": f(3),
        "six": f(6),
        "sixth": f(1 / 6),
        "z": f(0),
        "one": f(1),
        "half": f(0.5),
        "a": f(0.1),
        "root": f(2**0.5),
        "iroot": f(2**-0.5),
        "c": f(0.044715),
        "g": f((2 / np.pi) ** 0.5),
        "slope": floats(0.1),
        "five": f(0.2),
    }
    for name, first, second in (
        (
            "hard_swish_div",
            "y = HardSwish(x)",
            "p = Add(x, three)\n q = Clip(p, z, six)\n m = Mul(x, q)\n y = Div(m, six)",
        ),
        (
            "hard_swish_mul",
            "y = HardSwish(x)",
            "p = Add(x, three)\n q = Clip(p, z, six)\n m = Mul(q, sixth)\n y = Mul(x, m)",
        ),
        ("hard_swish_sigmoid", "y = HardSwish(x)", "p = HardSigmoid<alpha=0.16666667, beta=0.5>(x)\n y = Mul(x, p)"),
        (
            "hard_sigmoid",
            "y = HardSigmoid<alpha=0.2, beta=0.5>(x)",
            "p = Mul(x, five)\n q = Add(p, half)\n y = Clip(q, z, one)",
        ),
        ("relu_max", "y = Relu(x)", "y = Max(x, z)"),
        ("relu_clip", "y = Relu(x)", "y = Clip(x, z)"),
        ("relu6", "y = Clip(x, z, six)", "p = Relu(x)\n y = Min(p, six)"),
        ("clip_min_max", "y = Clip(x, a, one)", "p = Max(x, a)\n y = Min(p, one)"),
        ("leaky_prelu", "y = LeakyRelu<alpha=0.1>(x)", "y = PRelu(x, slope)"),
        ("leaky_max", "y = LeakyRelu<alpha=0.1>(x)", "p = Mul(x, a)\n y = Max(x, p)"),
        ("leaky_where", "y = LeakyRelu<alpha=0.1>(x)", "p = Mul(x, a)\n c1 = Less(x, z)\n y = Where(c1, p, x)"),
        (
            "gelu_erf",
            "y = Gelu(x)",
            "p = Div(x, root)\n e = Erf(p)\n q = Add(e, one)\n m = Mul(x, q)\n y = Mul(m, half)",
        ),
        (
            "gelu_erf_half_first",
            "y = Gelu(x)",
            "p = Mul(x, iroot)\n e = Erf(p)\n q = Add(e, one)\n h = Mul(x, half)\n y = Mul(h, q)",
        ),
        (
            "gelu_tanh",
            'y = Gelu<approximate="tanh">(x)',
            "q = Mul(x, x)\n t = Mul(q, x)\n u = Mul(t, c)\n v = Add(x, u)\n w = Mul(v, g)\n"
            "t2 = Tanh(w)\n p = Add(t2, one)\n h = Mul(x, half)\n y = Mul(h, p)",
        ),
        ("sigmoid_tanh", "y = Sigmoid(x)", "h = Mul(x, half)\n t = Tanh(h)\n p = Add(t, one)\n y = Mul(p, half)"),
        ("sigmoid_exp", "y = Sigmoid(x)", "n = Neg(x)\n e = Exp(n)\n p = Add(e, one)\n y = Reciprocal(p)"),
        (
            "softplus",
            "y = Softplus(x)",
            "a1 = Abs(x)\n n = Neg(a1)\n e = Exp(n)\n p = Add(e, one)\n g1 = Log(p)\n m = Max(x, z)\n y = Add(m, g1)",
        ),
        ("softsign", "y = Softsign(x)", "a1 = Abs(x)\n p = Add(a1, one)\n y = Div(x, p)"),
        ("elu", "y = Elu(x)", "e = Exp(x)\n m = Sub(e, one)\n c1 = Less(x, z)\n y = Where(c1, m, x)"),
        ("mish", "y = Mish(x)", "s = Softplus(x)\n t = Tanh(s)\n y = Mul(x, t)"),
        ("silu_order", "s = Sigmoid(x)\n y = Mul(x, s)", "s = Sigmoid(x)\n y = Mul(s, x)"),
        ("thresholded", "y = ThresholdedRelu<alpha=0.1>(x)", "c1 = Greater(x, a)\n y = Where(c1, x, z)"),
    ):
        yield twins(r, name, ROWS, first, second, **held)


@rewrite("arithmetic")
def arithmetic_otherwise(r: Random) -> Iterator[Pair]:
    """Sums, products and powers in other words."""
    f = np.float32
    held = {
        "a": f(0.3),
        "na": f(-0.3),
        "b": f(0.7),
        "ab": f(np.float32(0.3) * np.float32(0.7)),
        "two": f(2),
        "half": f(0.5),
        "i": f(1 / 7),
        "seven": f(7),
        "three": f(3),
        "s": f(1),
        "z": f(0),
        "four": f(4),
        "quarter": f(0.25),
        "m": f(-1),
    }
    for name, first, second in (
        ("sub_add_neg", "y = Sub(x, a)", "y = Add(x, na)"),
        ("sub_from", "y = Sub(a, x)", "n = Neg(x)\n y = Add(n, a)"),
        ("commuted_add", "y = Add(x, a)", "y = Add(a, x)"),
        ("commuted_mul", "p = Mul(x, a)\n y = Add(p, b)", "p = Mul(a, x)\n y = Add(b, p)"),
        ("div_mul_exact", "y = Div(x, four)", "y = Mul(x, quarter)"),
        ("div_mul_rounded", "y = Div(x, seven)", "y = Mul(x, i)"),
        ("two_factors", "p = Mul(x, a)\n y = Mul(p, b)", "y = Mul(x, ab)"),
        ("double", "y = Add(x, x)", "y = Mul(x, two)"),
        ("square", "y = Pow(x, two)", "y = Mul(x, x)"),
        ("cube", "y = Pow(x, three)", "q = Mul(x, x)\n y = Mul(q, x)"),
        ("root", "q = Abs(x)\n y = Sqrt(q)", "q = Abs(x)\n y = Pow(q, half)"),
        ("one_and_zero", "y = Relu(x)", "p = Mul(x, s)\n q = Add(p, z)\n y = Relu(q)"),
        ("negative", "y = Neg(x)", "y = Mul(x, m)"),
        ("absolute", "y = Abs(x)", "n = Neg(x)\n y = Max(x, n)"),
        ("distributed", "p = Add(x, a)\n y = Mul(p, b)", "p = Mul(x, b)\n y = Add(p, ab)"),
        ("sum_of_three", "p = Add(x, a)\n y = Add(p, b)", "y = Sum(x, a, b)"),
        (
            "reciprocal",
            "p = Mul(x, x)\n q = Add(p, s)\n y = Div(x, q)",
            "p = Mul(x, x)\n q = Add(p, s)\n t = Reciprocal(q)\n y = Mul(x, t)",
        ),
        ("mean_of_two", "q = Abs(x)\n y = Mean(x, q)", "q = Abs(x)\n t = Add(x, q)\n y = Mul(t, half)"),
        ("not_less", "c = Less(x, a)\n d = Not(c)\n y = Cast<to=1>(d)", "c = Less(x, a)\n y = Where(c, z, s)"),
        ("identity", "y = Relu(x)", "p = Identity(x)\n q = Relu(p)\n y = Identity(q)"),
        ("cast", "y = Relu(x)", "p = Cast<to=1>(x)\n y = Relu(p)"),
        ("double_precision_and_back", "y = Relu(x)", "p = Cast<to=11>(x)\n q = Cast<to=1>(p)\n y = Relu(q)"),
        ("two_negations", "y = Relu(x)", "p = Neg(x)\n q = Neg(p)\n y = Relu(q)"),
        ("relu_twice", "y = Relu(x)", "p = Relu(x)\n y = Relu(p)"),
        ("dropout", "y = Relu(x)", "p, k = Dropout(x)\n y = Relu(p)"),
        ("shared", "p = Exp(x)\n q = Exp(x)\n y = Mul(p, q)", "p = Exp(x)\n y = Mul(p, p)"),
        ("dead", "y = Relu(x)", "q = Exp(x)\n t = Log(q)\n y = Relu(x)"),
    ):
        yield twins(r, name, ROWS, first, second, **held)


@rewrite("arithmetic")
def constants_folded(r: Random) -> Iterator[Pair]:
    """What is computed of constants is a constant, rounded to float32."""
    f = np.float32
    w, v = near(r, 6), near(r, 6) * 0.4 + 0.6
    m = near(r, 5, 6)
    soft = np.exp(m.astype(float)) / np.exp(m.astype(float)).sum(1, keepdims=True)
    for name, first, second, held in (
        ("exp", "e = Exp(w)\n y = Mul(x, e)", "y = Mul(x, k)", {"w": w, "k": np.exp(w.astype(float)).astype(f)}),
        ("root", "e = Sqrt(v)\n y = Div(x, e)", "y = Div(x, k)", {"v": v, "k": np.sqrt(v.astype(float)).astype(f)}),
        ("log", "e = Log(v)\n y = Add(x, e)", "y = Add(x, k)", {"v": v, "k": np.log(v.astype(float)).astype(f)}),
        ("tanh", "e = Tanh(w)\n y = Mul(x, e)", "y = Mul(x, k)", {"w": w, "k": np.tanh(w.astype(float)).astype(f)}),
        (
            "softplus",
            "e = Softplus(w)\n y = Mul(x, e)",
            "y = Mul(x, k)",
            {"w": w, "k": np.log1p(np.exp(w.astype(float))).astype(f)},
        ),
        (
            "sigmoid",
            "e = Sigmoid(w)\n y = Mul(x, e)",
            "y = Mul(x, k)",
            {"w": w, "k": (1 / (1 + np.exp(-w.astype(float)))).astype(f)},
        ),
        (
            "transpose",
            "t = Transpose(m)\n y = MatMul(x, t)",
            "y = MatMul(x, k)",
            {"m": m, "k": np.ascontiguousarray(m.T)},
        ),
        (
            "softmax",
            "s = Softmax<axis=1>(m)\n t = Transpose(s)\n y = MatMul(x, t)",
            "y = MatMul(x, k)",
            {"m": m, "k": np.ascontiguousarray(soft.T).astype(f)},
        ),
        ("sum", "e = Add(w, v)\n y = Mul(x, e)", "y = Mul(x, k)", {"w": w, "v": v, "k": w + v}),
        ("product", "e = Mul(w, v)\n y = Mul(x, e)", "y = Mul(x, k)", {"w": w, "v": v, "k": w * v}),
        (
            "scaled_sum",
            "s = Sqrt(v)\n e = Div(w, s)\n y = Mul(x, e)",
            "y = Mul(x, k)",
            {"w": w, "v": v, "k": (w / np.sqrt(v)).astype(f)},
        ),
        (
            "range",
            "r = Range(a, b, c)\n f = Cast<to=1>(r)\n s = Mul(f, d)\n t = Sin(s)\n y = Add(x, t)",
            "y = Add(x, k)",
            {
                "a": np.array(0),
                "b": np.array(6),
                "c": np.array(1),
                "d": f(0.7),
                "k": np.sin((np.arange(6, dtype=f) * f(0.7)).astype(float)).astype(f),
            },
        ),
        ("shape", "s = Shape(x)\n r = Reshape(x, s)\n y = Relu(r)", "y = Relu(x)", {}),
        (
            "size",
            "s = Shape<start=1, end=2>(x)\n f = Cast<to=1>(s)\n g = Sqrt(f)\n y = Div(x, g)",
            "y = Div(x, k)",
            {"k": f(6**0.5)},
        ),
        ("filled", "s = Shape(x)\n e = Expand(o, s)\n y = Mul(x, e)", "y = Mul(x, o)", {"o": f(0.3)}),
    ):
        yield twins(r, name, ROWS, first, second, **held)


@rewrite("shapes")
def moved_otherwise(r: Random) -> Iterator[Pair]:
    """Data is moved by other operators."""
    held = {
        "z": ints(0),
        "one": ints(1),
        "two": ints(2),
        "three": ints(3),
        "four": ints(4),
        "six": ints(6),
        "flat": ints(4, -1),
        "keep": ints(0, -1),
        "all": ints(-1),
        "rows": ints(2, 12),
        "split": ints(2, 4),
        "i": ints(2, 3, 4),
        "rep": ints(1, 2),
        "s": ints(4, 6),
        "big": ints(2**62),
        "back": ints(4, 6),
    }
    for name, first, second in (
        ("flatten_reshape", "y = Flatten(x)", "y = Reshape(x, flat)"),
        ("reshape_keep", "y = Reshape(x, flat)", "y = Reshape(x, keep)"),
        ("reshape_twice", "y = Reshape(x, rows)", "p = Reshape(x, all)\n y = Reshape(p, rows)"),
        ("unsqueeze_squeeze", "y = Relu(x)", "p = Unsqueeze(x, one)\n q = Relu(p)\n y = Squeeze(q, one)"),
        ("split_slice", "p, q = Split<axis=1>(x, split)\n y = Neg(q)", "q = Slice(x, two, six, one)\n y = Neg(q)"),
        ("split_first", "p, q = Split<axis=1>(x, split)\n y = Neg(p)", "q = Slice(x, z, two, one)\n y = Neg(q)"),
        ("gather_slice", "p = Gather<axis=1>(x, i)\n y = Neg(p)", "p = Slice(x, two, i5, one)\n y = Neg(p)"),
        ("slice_of_slice", "y = Slice(x, two, i5, one)", "p = Slice(x, one, six, one)\n y = Slice(p, one, four, one)"),
        ("slice_to_the_end", "y = Slice(x, two, six, one)", "y = Slice(x, two, big, one)"),
        ("concat_tile", "y = Concat<axis=1>(x, x)", "y = Tile(x, rep)"),
        (
            "concat_of_parts",
            "y = Relu(x)",
            "p, q = Split<axis=1>(x, split)\n a = Relu(p)\n b = Relu(q)\n y = Concat<axis=1>(a, b)",
        ),
        ("concat_in_two", "y = Concat<axis=0>(x, x, x)", "p = Concat<axis=0>(x, x)\n y = Concat<axis=0>(p, x)"),
        ("transposes_cancel", "y = Relu(x)", "p = Transpose(x)\n q = Relu(p)\n y = Transpose(q)"),
        (
            "transpose_over_sum",
            "p = Transpose(x)\n q = Tanh(p)\n y = Exp(q)",
            "p = Tanh(x)\n q = Exp(p)\n y = Transpose(q)",
        ),
        ("expand_add", "p = Expand(x, s)\n y = Exp(p)", "y = Exp(x)"),
        ("pad_of_nothing", "y = Exp(x)", "p = Pad(x, none)\n y = Exp(p)"),
        ("reduce_over_turned", "p = Transpose(x)\n y = ReduceMax(p, one)", "p = ReduceMax(x, z)\n y = Transpose(p)"),
        (
            "argmax_squeezed",
            "p = ArgMax<axis=1, keepdims=1>(x)\n y = Cast<to=1>(p)",
            "q = ArgMax<axis=1, keepdims=0>(x)\n p = Unsqueeze(q, one)\n y = Cast<to=1>(p)",
        ),
    ):
        yield twins(r, name, ROWS, first, second, i5=ints(5), none=ints(0, 0, 0, 0), **held)


@rewrite("shapes")
def pictures_otherwise(r: Random) -> Iterator[Pair]:
    """Layouts, resizes and pixels by other operators."""
    w = near(r, 4, 3, 3, 3)
    n = near(r, 3)
    held = {
        "w": w,
        "n": n,
        "n3": n.reshape(3, 1, 1),
        "s": floats(1, 1, 2, 2),
        "o": ints(2, 3, 16, 18),
        "z": ints(0),
        "sh": ints(2, 3, 8, 1, 9, 1),
        "ex": ints(2, 3, 8, 2, 9, 2),
        "to": ints(2, 3, 16, 18),
        "ax": ints(2, 3),
        "ax2": ints(1, 2),
    }
    for name, first, second in (
        (
            "relu_before_transpose",
            "c = Conv(x, w)\n t = Transpose<perm=[0, 2, 3, 1]>(c)\n y = Relu(t)",
            "c = Conv(x, w)\n r = Relu(c)\n y = Transpose<perm=[0, 2, 3, 1]>(r)",
        ),
        (
            "channels_last_sum",
            "t = Transpose<perm=[0, 2, 3, 1]>(x)\n y = Add(t, n)",
            "a = Add(x, n3)\n y = Transpose<perm=[0, 2, 3, 1]>(a)",
        ),
        (
            "mean_of_turned",
            "t = Transpose<perm=[0, 2, 3, 1]>(x)\n y = ReduceMean(t, ax2)",
            "m = ReduceMean(x, ax)\n y = Transpose<perm=[0, 2, 3, 1]>(m)",
        ),
        (
            "nearest_sizes",
            'y = Resize<mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor">(x, , s)',
            'y = Resize<mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor">(x, , , o)',
        ),
        ("linear_sizes", 'y = Resize<mode="linear">(x, , s)', 'y = Resize<mode="linear">(x, , , o)'),
        (
            "nearest_expand",
            'y = Resize<mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor">(x, , s)',
            "p = Reshape(x, sh)\n q = Expand(p, ex)\n y = Reshape(q, to)",
        ),
        ("same_upper", 'y = Conv<auto_pad="SAME_UPPER">(x, w)', "y = Conv<pads=[1, 1, 1, 1]>(x, w)"),
        ("valid", 'y = MaxPool<auto_pad="VALID", kernel_shape=[2, 2]>(x)', "y = MaxPool<kernel_shape=[2, 2]>(x)"),
        (
            "pools_in_turn",
            "y = MaxPool<kernel_shape=[2, 3]>(x)",
            "p = MaxPool<kernel_shape=[2, 1]>(x)\n y = MaxPool<kernel_shape=[1, 3]>(p)",
        ),
        (
            "relu_after_pool",
            "p = Relu(x)\n y = MaxPool<kernel_shape=[2, 2]>(p)",
            "p = MaxPool<kernel_shape=[2, 2]>(x)\n y = Relu(p)",
        ),
    ):
        yield twins(r, name, IMAGE, first, second, **held)
    for block in (2, 3):
        c, h, wide = 3 * block * block, 4, 5
        border = f"float[2,{c},{h},{wide}] x => float[a,b,c,d] y"
        feed = {"x": near(r, 2, c, h, wide)}
        shapes = {
            "p": ints(2, block, block, 3, h, wide),
            "q": ints(2, 3, h * block, wide * block),
            "p2": ints(2, 3, block, block, h, wide),
        }
        second = "a1 = Reshape(x, {})\n b1 = Transpose<perm={}>(a1)\n y = Reshape(b1, q)"
        yield twins(
            r,
            f"depth_to_space_{block}",
            border,
            f"y = DepthToSpace<blocksize={block}>(x)",
            second.format("p", [0, 3, 4, 1, 5, 2]),
            feed,
            **shapes,
        )
        yield twins(
            r,
            f"depth_to_space_crd_{block}",
            border,
            f'y = DepthToSpace<blocksize={block}, mode="CRD">(x)',
            second.format("p2", [0, 1, 4, 2, 5, 3]),
            feed,
            **shapes,
        )


@rewrite("shapes")
def ids_otherwise(r: Random) -> Iterator[Pair]:
    """Tables read by other operators."""
    table = near(r, 9, 4)
    border = "int64[2,5] i => float[a,b,c] y"
    feed = {"i": r.integers(0, 9, (2, 5))}
    held = {
        "table": table,
        "d": np.array(9),
        "v": floats(0, 1),
        "l": ints(-1),
        "n": np.array(9),
        "f": ints(10),
        "b": ints(2, 5, 4),
        "u": ints(2, 5, 1),
        "f32": np.float32(2),
    }
    for name, first, second in (
        ("one_hot", "y = Gather(table, i)", "h = OneHot<axis=-1>(i, d, v)\n y = MatMul(h, table)"),
        ("gather_nd", "y = Gather(table, i)", "j = Unsqueeze(i, l)\n y = GatherND(table, j)"),
        ("flat", "y = Gather(table, i)", "j = Reshape(i, f)\n g = Gather(table, j)\n y = Reshape(g, b)"),
        ("scaled_after", "g = Gather(table, i)\n y = Mul(g, f32)", "t = Mul(table, f32)\n y = Gather(t, i)"),
        ("int32", "y = Gather(table, i)", "j = Cast<to=6>(i)\n y = Gather(table, j)"),
    ):
        yield twins(r, name, border, first, second, feed, **held)
