"""Sums of products: gamma_(k+1) of the same sums on absolute values, in any order, multiply-adds fused or not.

The sums on absolute values are wanted to a few digits only, so they are made in float32 where nothing overflows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from onnx_triangulate.cases.definitions import split_pads
from onnx_triangulate.ops.near import Near
from onnx_triangulate.ops.registry import Answer, Asked, Example, Rule, contracted, wide
from onnx_triangulate.ops.windows import Axis, convolve, convolve_back, convolved_axes
from onnx_triangulate.records.arrays import Array

_HIGHAM = "inner products: Higham, Accuracy and Stability, 2nd ed., (3.4), componentwise"


def sizes(function: Callable[..., Array], *operands: Array) -> Array:
    """The function on absolute values, never too small: what float32 may round off is added."""
    absolute = [np.abs(wide(v)) if v.dtype != np.float32 else np.abs(v) for v in operands]
    top = float(np.prod([max(float(v.max()), 1e-30) if v.size else 0.0 for v in absolute]))
    if np.isfinite(top) and top < 1e30:
        made = np.asarray(function(*(v.astype(np.float32, copy=False) for v in absolute)))
        made *= np.float32(1.01)
        made += np.float32(1e-37)
        return made
    return np.asarray(function(*(v.astype(np.float64) for v in absolute)))


def _matmul(asked: Asked) -> Sequence[Answer | Array]:
    a, b = asked.array(0), asked.array(1)
    if a.dtype.kind in "iu":
        return [np.matmul(a, b)]
    value = np.asarray(np.matmul(asked.x(0), asked.x(1)))
    return [contracted(asked, value, lambda: sizes(np.matmul, a, b), a.shape[-1] + 1)]


def _gemm(asked: Asked) -> Sequence[Answer | Array]:
    """alpha A B + beta C: the scales round once each, the sum once more."""
    a, b = asked.x(0), asked.x(1)
    a = a.T if asked.attribute("transA", 0) else a
    b = b.T if asked.attribute("transB", 0) else b
    alpha, beta = float(asked.attribute("alpha", 1.0)), float(asked.attribute("beta", 1.0))
    value = alpha * (a @ b)
    extra = 2 * ((alpha != 1) + (beta != 1))
    if asked.given(2):
        value = value + beta * asked.x(2)
    if asked.array(0).dtype.kind in "iu":
        return [value.astype(asked.array(0).dtype)]

    def size() -> Array:
        product = abs(alpha) * sizes(np.matmul, a, b)
        return product + np.abs(beta * asked.x(2)) if asked.given(2) else product

    return [contracted(asked, value, size, a.shape[1] + 2 + extra)]


def _conv(asked: Asked) -> Sequence[Answer]:
    x, w = asked.x(0), asked.x(1)
    group = int(asked.attribute("group", 1))
    axes = convolved_axes(asked, x.shape[2:], w.shape[2:])
    return [_with_bias(asked, lambda a, b: convolve(a, b, axes, group), x, w, int(np.prod(w.shape[1:])))]


def _with_bias(asked: Asked, function: Callable[[Array, Array], Array], x: Array, w: Array, k: int) -> Answer:
    value = function(x, w)
    bias = asked.x(2).reshape(1, -1, *[1] * (x.ndim - 2)) if asked.given(2) else None
    if bias is not None:
        value += bias

    def size() -> Array:
        found = sizes(function, asked.array(0), asked.array(1))
        return found if bias is None else found + (np.abs(bias) * (1 + 1e-6)).astype(found.dtype)

    return contracted(asked, value, size, k + 1)


def transposed_axes(asked: Asked, sizes_in: Sequence[int], kernel: Sequence[int]) -> tuple[Axis, ...]:
    """The axes of a transposed convolution, as those of the convolution it transposes (ONNX operator ConvTranspose)."""
    n = len(sizes_in)
    strides = asked.attribute("strides", [1] * n)
    dilations = asked.attribute("dilations", [1] * n)
    extra = asked.attribute("output_padding", [0] * n)
    pads = asked.attribute("pads", [0] * 2 * n)
    auto = asked.attribute("auto_pad", "NOTSET") or "NOTSET"
    wanted = asked.attribute("output_shape")
    axes = []
    for i, size in enumerate(sizes_in):
        stride, reach = int(strides[i]), (int(kernel[i]) - 1) * int(dilations[i]) + 1
        whole = stride * (size - 1) + int(extra[i]) + reach
        if wanted is not None or auto.startswith("SAME"):
            target = int(wanted[i - n]) if wanted is not None else size * stride
            begin, end = split_pads(max(whole - target, 0), auto == "SAME_UPPER")
        else:
            begin, end = (int(pads[i]), int(pads[n + i])) if auto == "NOTSET" else (0, 0)
            target = whole - begin - end
        axes.append(Axis(target, int(kernel[i]), stride, int(dilations[i]), begin, end, size))
    return tuple(axes)


def _conv_transpose(asked: Asked) -> Sequence[Answer]:
    x, w = asked.x(0), asked.x(1)
    group = int(asked.attribute("group", 1))
    axes = transposed_axes(asked, x.shape[2:], w.shape[2:])
    k = int(w.shape[0] // group * np.prod(w.shape[2:]))
    return [_with_bias(asked, lambda a, b: convolve_back(a, b, axes, group), x, w, k)]


def _einsum(asked: Asked) -> Sequence[Near | Array]:
    """k is the number of products that are added: every letter that is not in the result; one more per operand."""
    equation = asked.attribute("equation").replace(" ", "")
    operands = [v for v in asked.consumed if v is not None]
    if operands[0].dtype.kind in "iu":
        return [np.asarray(np.einsum(equation, *operands), dtype=operands[0].dtype)]
    doubled = [v.astype(np.float64) for v in operands]

    def run(*values: Array) -> Array:
        return np.asarray(np.einsum(equation, *values, optimize=len(values) > 1))

    value, size = run(*doubled), run(*(np.abs(v) for v in doubled))
    terms = run(*(np.ones(v.shape) for v in doubled))
    k = int(terms.max()) if terms.size else 1
    return [asked.near(0).contracted(value, size, k + len(operands))]


def _whole_matmul(asked: Asked) -> Sequence[Array]:
    a, b = asked.array(0).astype(np.float64), asked.array(1).astype(np.float64)
    a = a - (_rows(asked.x(2), a) if asked.given(2) else 0)
    b = b - (asked.x(3) if asked.given(3) else 0)
    return [(a @ b).astype(np.int32)]


def _rows(zero: Array, a: Array) -> Array:
    return zero[..., None] if zero.ndim == 1 and zero.size > 1 and a.ndim > 1 else zero


def _whole_conv(asked: Asked) -> Sequence[Array]:
    x, w = asked.x(0), asked.x(1)
    x = x - (asked.x(2) if asked.given(2) else 0)
    zero = asked.x(3) if asked.given(3) else np.zeros(())
    w = w - (zero.reshape(-1, *[1] * (w.ndim - 1)) if zero.size > 1 else zero.reshape(()))
    axes = convolved_axes(asked, x.shape[2:], w.shape[2:])
    return [convolve(x, w, axes, int(asked.attribute("group", 1))).astype(np.int32)]


_CONV = {"x": "float[2,4,7,8]", "w": "float[6,2,3,3]", "b": "float[6]"}

RULES = (
    Rule(
        "matrix product",
        ("MatMul",),
        _matmul,
        "gamma_(k+1) |A| |B|",
        _HIGHAM,
        (
            Example("MatMul(x, z)", {"x": "float[2,3,7]", "z": "float[7,5]"}, {"z": 1.01}),
            Example("MatMul(x, z)", {"x": "float[1,512]", "z": "float[512,3]"}, {"z": 1.01}),
        ),
    ),
    Rule(
        "general matrix product",
        ("Gemm",),
        _gemm,
        "gamma_(k+2) (|alpha| |A| |B| + |beta C|), two more for each scale",
        _HIGHAM,
        (
            Example(
                "Gemm<transB=1,alpha=0.5>(x, z, b)",
                {"x": "float[3,7]", "z": "float[5,7]", "b": "float[5]"},
                "Gemm<transB=1,alpha=0.505>(x, z, b)",
            ),
        ),
    ),
    Rule(
        "convolution",
        ("Conv",),
        _conv,
        "gamma_(k+1) (|x| * |w| + |b|), k products per output",
        _HIGHAM,
        (
            Example("Conv<group=2,pads=[1,0,2,1]>(x, w, b)", _CONV, "Conv<group=2,pads=[2,1,1,0]>(x, w, b)"),
            Example(
                'Conv<auto_pad="SAME_UPPER",strides=[2,2]>(x, w)',
                {"x": "float[1,2,6,8]", "w": "float[3,2,3,3]"},
                {"w": 1.01},
            ),
            Example("Conv<group=4,dilations=[2,1]>(x, w)", {"x": "float[1,4,9,7]", "w": "float[8,1,3,3]"}, {"w": 1.01}),
        ),
    ),
    Rule(
        "transposed convolution",
        ("ConvTranspose",),
        _conv_transpose,
        "gamma_(k+1) of the same on absolute values, k = channels per group times the kernel",
        _HIGHAM,
        (
            Example(
                "ConvTranspose<group=2,strides=[2,3],pads=[1,0,0,1],output_padding=[1,0]>(x, w, b)",
                {"x": "float[2,4,5,3]", "w": "float[4,3,3,4]", "b": "float[6]"},
                "ConvTranspose<group=2,strides=[2,3],pads=[0,1,1,0],output_padding=[1,0]>(x, w, b)",
            ),
        ),
    ),
    Rule(
        "einsum",
        ("Einsum",),
        _einsum,
        "gamma of as many terms as are added, and a product per operand",
        _HIGHAM,
        (Example('Einsum<equation="bij,bkj->bik">(x, z)', {"x": "float[2,3,7]", "z": "float[2,5,7]"}, {"z": 1.01}),),
    ),
    Rule(
        "matrix product of integers",
        ("MatMulInteger",),
        _whole_matmul,
        "exact in int32",
        "integer arithmetic",
        (
            Example(
                "MatMulInteger(x, z, a)",
                {"x": "uint8[3,7]", "z": "uint8[7,5]", "a": np.uint8(3)},
                "MatMulInteger(x, z)",
            ),
        ),
    ),
    Rule(
        "convolution of integers",
        ("ConvInteger",),
        _whole_conv,
        "exact in int32",
        "integer arithmetic",
        (
            Example(
                "ConvInteger<pads=[1,1,1,1]>(x, w, a)",
                {"x": "uint8[1,2,5,4]", "w": "uint8[3,2,3,3]", "a": np.uint8(3)},
                "ConvInteger<pads=[1,1,1,1]>(x, w)",
            ),
        ),
    ),
)
