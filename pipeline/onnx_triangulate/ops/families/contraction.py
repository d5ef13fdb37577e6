"""Sums of products: gamma_(k+1) of the same sums on absolute values, in any order, multiply-adds fused or not.

Inner products: Higham, Accuracy and Stability, 2nd ed., (3.4), componentwise; k is the number of products of an output.

The sums on absolute values are wanted to a few digits only, so they are made in float32 where nothing overflows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from onnx_triangulate.cases.same_padding import split_pads
from onnx_triangulate.ops import axis_propagation as links
from onnx_triangulate.ops import rounding_counts as counts
from onnx_triangulate.ops.calls import ExpectedOutput, NodeCall, contracted, wide
from onnx_triangulate.ops.enclosures import Enclosure
from onnx_triangulate.ops.examples import Example
from onnx_triangulate.ops.operator import Operator, WindowForm, bounded
from onnx_triangulate.ops.window_geometry import Axis, convolve, convolve_back, convolved_axes
from onnx_triangulate.records.arrays import Array


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


def _matmul(call: NodeCall) -> Sequence[ExpectedOutput | Array]:
    a, b = call.array(0), call.array(1)
    if a.dtype.kind in "iu":
        return [np.matmul(a, b)]
    value = np.asarray(np.matmul(call.x(0), call.x(1)))
    return [contracted(call, value, lambda: sizes(np.matmul, a, b), a.shape[-1] + 1)]


def _gemm(call: NodeCall) -> Sequence[ExpectedOutput | Array]:
    """alpha A B + beta C: the scales round once each, the sum once more."""
    a, b = call.x(0), call.x(1)
    a = a.T if call.attribute("transA", 0) else a
    b = b.T if call.attribute("transB", 0) else b
    alpha, beta = float(call.attribute("alpha", 1.0)), float(call.attribute("beta", 1.0))
    value = alpha * (a @ b)
    extra = 2 * ((alpha != 1) + (beta != 1))
    if call.has_input(2):
        value = value + beta * call.x(2)
    if call.array(0).dtype.kind in "iu":
        return [value.astype(call.array(0).dtype)]

    def size() -> Array:
        product = abs(alpha) * sizes(np.matmul, a, b)
        return product + np.abs(beta * call.x(2)) if call.has_input(2) else product

    return [contracted(call, value, size, a.shape[1] + 2 + extra)]


def conv(call: NodeCall) -> Sequence[ExpectedOutput]:
    x, w = call.x(0), call.x(1)
    group = int(call.attribute("group", 1))
    axes = convolved_axes(call, x.shape[2:], w.shape[2:])
    return [_with_bias(call, lambda a, b: convolve(a, b, axes, group), x, w, int(np.prod(w.shape[1:])))]


def _with_bias(call: NodeCall, function: Callable[[Array, Array], Array], x: Array, w: Array, k: int) -> ExpectedOutput:
    value = function(x, w)
    bias = call.x(2).reshape(1, -1, *[1] * (x.ndim - 2)) if call.has_input(2) else None
    if bias is not None:
        value += bias

    def size() -> Array:
        found = sizes(function, call.array(0), call.array(1))
        return found if bias is None else found + (np.abs(bias) * (1 + 1e-6)).astype(found.dtype)

    return contracted(call, value, size, k + 1)


def transposed_axes(call: NodeCall, sizes_in: Sequence[int], kernel: Sequence[int]) -> tuple[Axis, ...]:
    """The axes of a transposed convolution, as those of the convolution it transposes (ONNX operator ConvTranspose)."""
    n = len(sizes_in)
    strides = call.attribute("strides", [1] * n)
    dilations = call.attribute("dilations", [1] * n)
    extra = call.attribute("output_padding", [0] * n)
    pads = call.attribute("pads", [0] * 2 * n)
    auto = call.attribute("auto_pad", "NOTSET") or "NOTSET"
    wanted = call.attribute("output_shape")
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


def _conv_transpose(call: NodeCall) -> Sequence[ExpectedOutput]:
    x, w = call.x(0), call.x(1)
    group = int(call.attribute("group", 1))
    axes = transposed_axes(call, x.shape[2:], w.shape[2:])
    k = int(w.shape[0] // group * np.prod(w.shape[2:]))
    return [_with_bias(call, lambda a, b: convolve_back(a, b, axes, group), x, w, k)]


def _einsum(call: NodeCall) -> Sequence[Enclosure | Array]:
    """k is the number of products that are added: every letter that is not in the result; one more per operand."""
    equation = call.attribute("equation").replace(" ", "")
    operands = [v for v in call.consumed if v is not None]
    if operands[0].dtype.kind in "iu":
        return [np.asarray(np.einsum(equation, *operands), dtype=operands[0].dtype)]
    doubled = [v.astype(np.float64) for v in operands]

    def run(*values: Array) -> Array:
        return np.asarray(np.einsum(equation, *values, optimize=len(values) > 1))

    value, size = run(*doubled), run(*(np.abs(v) for v in doubled))
    terms = run(*(np.ones(v.shape) for v in doubled))
    k = int(terms.max()) if terms.size else 1
    return [call.enclosure(0).contracted(value, size, k + len(operands))]


def _whole_matmul(call: NodeCall) -> Sequence[Array]:
    a, b = call.array(0).astype(np.float64), call.array(1).astype(np.float64)
    a = a - (_rows(call.x(2), a) if call.has_input(2) else 0)
    b = b - (call.x(3) if call.has_input(3) else 0)
    return [(a @ b).astype(np.int32)]


def _rows(zero: Array, a: Array) -> Array:
    return zero[..., None] if zero.ndim == 1 and zero.size > 1 and a.ndim > 1 else zero


def _whole_conv(call: NodeCall) -> Sequence[Array]:
    x, w = call.x(0), call.x(1)
    x = x - (call.x(2) if call.has_input(2) else 0)
    zero = call.x(3) if call.has_input(3) else np.zeros(())
    w = w - (zero.reshape(-1, *[1] * (w.ndim - 1)) if zero.size > 1 else zero.reshape(()))
    axes = convolved_axes(call, x.shape[2:], w.shape[2:])
    return [convolve(x, w, axes, int(call.attribute("group", 1))).astype(np.int32)]


_CONV = {"x": "float[2,4,7,8]", "w": "float[6,2,3,3]", "b": "float[6]"}

OPERATORS = (
    bounded(
        "matrix product",
        _matmul,
        Example("MatMul(x, z)", {"x": "float[2,3,7]", "z": "float[7,5]"}, {"z": 1.01}),
        Example("MatMul(x, z)", {"x": "float[1,512]", "z": "float[512,3]"}, {"z": 1.01}),
        roundings=counts.contraction,
        axes=links.matmul,
        linear=True,
        zero_sign_open=True,
        matrices=(0, 1),
    ),
    bounded(
        "general matrix product",
        _gemm,
        Example(
            "Gemm<transB=1,alpha=0.5>(x, z, b)",
            {"x": "float[3,7]", "z": "float[5,7]", "b": "float[5]"},
            "Gemm<transB=1,alpha=0.505>(x, z, b)",
        ),
        roundings=counts.contraction,
        linear=True,
        zero_sign_open=True,
        matrices=(0, 1),
    ),
    bounded(
        "convolution",
        conv,
        Example("Conv<group=2,pads=[1,0,2,1]>(x, w, b)", _CONV, "Conv<group=2,pads=[2,1,1,0]>(x, w, b)"),
        Example(
            'Conv<auto_pad="SAME_UPPER",strides=[2,2]>(x, w)',
            {"x": "float[1,2,6,8]", "w": "float[3,2,3,3]"},
            {"w": 1.01},
        ),
        Example("Conv<group=4,dilations=[2,1]>(x, w)", {"x": "float[1,4,9,7]", "w": "float[8,1,3,3]"}, {"w": 1.01}),
        stock="slow",
        roundings=counts.conv,
        linear=True,
        zero_sign_open=True,
        window=WindowForm("Conv", 1),
        images=(0,),
        kernel=(1, "OI"),
    ),
    bounded(
        "transposed convolution",
        _conv_transpose,
        Example(
            "ConvTranspose<group=2,strides=[2,3],pads=[1,0,0,1],output_padding=[1,0]>(x, w, b)",
            {"x": "float[2,4,5,3]", "w": "float[4,3,3,4]", "b": "float[6]"},
            "ConvTranspose<group=2,strides=[2,3],pads=[0,1,1,0],output_padding=[1,0]>(x, w, b)",
        ),
        stock="wrong",
        roundings=counts.conv_transpose,
        linear=True,
        zero_sign_open=True,
        window=WindowForm("ConvTranspose", 1),
        images=(0,),
        kernel=(1, "IO"),
    ),
    Operator(
        "DeformConv",
        roundings=counts.more(counts.conv, 20),
        window=WindowForm("DeformConv", 1),
        images=(0,),
        kernel=(1, "OI"),
    ),
    bounded(
        "einsum",
        _einsum,
        Example('Einsum<equation="bij,bkj->bik">(x, z)', {"x": "float[2,3,7]", "z": "float[2,5,7]"}, {"z": 1.01}),
        roundings=counts.einsum,
        linear=True,
        zero_sign_open=True,
    ),
    bounded(
        "matrix product of integers",
        _whole_matmul,
        Example(
            "MatMulInteger(x, z, a)", {"x": "uint8[3,7]", "z": "uint8[7,5]", "a": np.uint8(3)}, "MatMulInteger(x, z)"
        ),
        axes=links.matmul,
        zero_sign_open=True,
        matrices=(0, 1),
    ),
    bounded(
        "convolution of integers",
        _whole_conv,
        Example(
            "ConvInteger<pads=[1,1,1,1]>(x, w, a)",
            {"x": "uint8[1,2,5,4]", "w": "uint8[3,2,3,3]", "a": np.uint8(3)},
            "ConvInteger<pads=[1,1,1,1]>(x, w)",
        ),
        zero_sign_open=True,
        window=WindowForm("ConvInteger", 1, zero=2),
        images=(0,),
        kernel=(1, "OI"),
    ),
)
