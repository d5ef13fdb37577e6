"""Operators of ONNX Runtime: what its optimizer and its quantizer write into files, by its ContribOperators.md.

They have no bound.  A fused operator counts as those that were fused, one after another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from onnx_triangulate.ops import axis_propagation as links
from onnx_triangulate.ops import rounding_counts as counts
from onnx_triangulate.ops.calls import NodeCall, NotCovered
from onnx_triangulate.ops.families import contraction, pooling, quantization, selection
from onnx_triangulate.ops.families.transcendental import gelu, tanh_gelu
from onnx_triangulate.ops.operator import Operator, Value, WindowForm, alike
from onnx_triangulate.records.arrays import Array


def _of(*known: str) -> Callable[[Value], Value]:
    """A definition of an operator with those attributes, and no other one."""

    def checked(value: Value) -> Value:
        def run(call: NodeCall) -> Sequence[Array]:
            strange = sorted(set(call.attributes) - set(known))
            if strange:
                raise NotCovered(f"the attribute {strange[0]}")
            return value(call)

        return run

    return checked


@_of("approximate")
def _gelu(call: NodeCall) -> Sequence[Array]:
    x = call.array(0)
    return [tanh_gelu(x) if call.attribute("approximate") == "tanh" else gelu(x)]


@_of()
def _bias_gelu(call: NodeCall) -> Sequence[Array]:
    return [gelu(call.array(0) + call.array(1))]


@_of()
def _fast_gelu(call: NodeCall) -> Sequence[Array]:
    x = call.array(0)
    return [tanh_gelu(x + call.array(1) if call.has_input(1) else x)]


@_of("alpha")
def _quick_gelu(call: NodeCall) -> Sequence[Array]:
    x = call.array(0)
    return [np.asarray(x / (1 + np.exp(-call.attribute("alpha", 1.702) * x)))]


@_of("alpha", "transA", "transB", "transBatchA", "transBatchB")
def _fused_matmul(call: NodeCall) -> Sequence[Array]:
    sides = []
    for index, side in enumerate("AB"):
        value = call.array(index)
        value = np.moveaxis(value, 0, -2) if call.attribute(f"transBatch{side}") else value
        sides.append(np.swapaxes(value, -1, -2) if call.attribute(f"trans{side}") else value)
    return [np.asarray(call.attribute("alpha", 1.0) * np.matmul(*sides))]


_ACTIVATIONS: Mapping[str, Callable[[Array, Sequence[float]], Array]] = {
    "": lambda y, p: y,
    "Relu": lambda y, p: np.maximum(y, 0),
    "Tanh": lambda y, p: np.tanh(y),
    "Sigmoid": lambda y, p: 1 / (1 + np.exp(-y)),
    "LeakyRelu": lambda y, p: np.where(y >= 0, y, y * (p[0] if p else 0.01)),
    "Clip": lambda y, p: np.clip(y, p[0], p[1]),
    "HardSigmoid": lambda y, p: np.clip(p[0] * y + p[1], 0, 1),
}


def _activated(call: NodeCall, y: Array, parameters: Sequence[float]) -> Sequence[Array]:
    return [np.asarray(_ACTIVATIONS[call.attribute("activation", "")](np.asarray(y), parameters))]


def _fused_gemm(call: NodeCall) -> Sequence[Array]:
    a, b = (call.array(i).T if call.attribute(f"trans{side}") else call.array(i) for i, side in enumerate("AB"))
    y = call.attribute("alpha", 1.0) * (a @ b)
    y = y + call.attribute("beta", 1.0) * call.array(2) if call.has_input(2) else y
    alpha = call.attribute("activation_alpha")
    return _activated(call, y, [] if alpha is None else [alpha])


def _fused_conv(call: NodeCall) -> Sequence[Array]:
    x = call.array(0)
    (y,) = contraction.conv(call)
    made = y.value.astype(x.dtype)
    made = made + call.array(3) if call.has_input(3) else made
    return _activated(call, made, list(call.attribute("activation_params", ())))


@_of("epsilon")
def _skip_layer_normalization(call: NodeCall) -> Sequence[Array]:
    s = call.array(0) + call.array(1)
    s = s + call.array(4) if call.has_input(4) else s
    mean = s.mean(-1, keepdims=True)
    inverse = 1 / np.sqrt(((s - mean) ** 2).mean(-1, keepdims=True) + call.attribute("epsilon", 1e-12))
    y = (s - mean) * inverse * call.array(2)
    return [y + call.array(3) if call.has_input(3) else y, mean, inverse, s]


_GELU = counts.TRANSCENDENTAL + 8
_WINDOWS = [
    op for module in (contraction, pooling, quantization, selection) for op in module.OPERATORS if op.window is not None
]

OPERATORS = (
    *alike(
        Operator("com.microsoft.Gelu", value=_gelu, roundings=_GELU, axes=links.same),
        Operator("com.microsoft.BiasGelu", value=_bias_gelu, roundings=_GELU + 1, axes=links.same_order),
        Operator("com.microsoft.FastGelu", value=_fast_gelu, roundings=_GELU + 1, axes=links.same_order),
        Operator("com.microsoft.QuickGelu", value=_quick_gelu, roundings=counts.TRANSCENDENTAL + 3, axes=links.same),
        Operator("com.microsoft.FusedMatMul", value=_fused_matmul, roundings=counts.contraction, matrices=(0, 1)),
        Operator(
            "com.microsoft.FusedGemm",
            value=_fused_gemm,
            roundings=counts.more(counts.contraction, counts.TRANSCENDENTAL),
        ),
        Operator(
            "com.microsoft.FusedConv",
            value=_fused_conv,
            roundings=counts.more(counts.conv, counts.TRANSCENDENTAL + 1),
            window=WindowForm("Conv", 1),
            images=(0, 3),
            kernel=(1, "OI"),
        ),
        Operator(
            "com.microsoft.SkipLayerNormalization",
            value=_skip_layer_normalization,
            roundings=counts.from_axis(10),
            axes=links.same_order,
        ),
        stock="wrong",
    ),
    *alike(
        Operator("com.microsoft.QLinearConv", window=WindowForm("QLinearConv", 3, zero=2, last=None)),
        Operator("com.microsoft.QLinearConvTranspose", window=WindowForm("ConvTranspose", 3, last=None)),
        Operator("com.microsoft.QLinearAveragePool", window=WindowForm("AveragePool", zero=2, last=None)),
        Operator("com.microsoft.QLinearGlobalAveragePool"),
        channels_last=0,
    ),
    Operator("SimplifiedLayerNormalization", axes=links.same_order),
    Operator("com.microsoft.QuantizeLinear", axes=links.quantize),
    Operator("com.microsoft.DequantizeLinear", axes=links.quantize),
    Operator("com.microsoft.QLinearAdd", axes=links.quantized_pair),
    Operator("com.microsoft.QLinearMul", axes=links.quantized_pair),
    Operator("com.microsoft.QLinearConcat", axes=links.quantized_concat),
    Operator("com.microsoft.QLinearSigmoid", axes=links.same),
    Operator("com.microsoft.QLinearLeakyRelu", axes=links.same),
    Operator("com.microsoft.QLinearReduceMean", axes=links.reduce),
    Operator("com.microsoft.QLinearSoftmax", axes=links.same_order),
    Operator("com.microsoft.NhwcConv", window=WindowForm("Conv", last=True)),
    Operator("com.microsoft.NhwcFusedConv", window=WindowForm("Conv", 1, last=True)),
    Operator("com.microsoft.NhwcMaxPool", window=WindowForm("MaxPool", last=True)),
    Operator("com.microsoft.MaxpoolWithMask", window=WindowForm("MaxPool")),
    Operator(
        "com.microsoft.ConvTransposeWithDynamicPads", window=WindowForm("ConvTranspose", 1, amounts=2), images=(0,)
    ),
    Operator("com.microsoft.GroupNorm", channels_last=1),
    Operator("com.microsoft.SkipGroupNorm", channels_last=1),
    Operator("com.microsoft.nchwc.Conv", window=WindowForm("Conv", 1)),
    Operator("com.microsoft.nchwc.MaxPool", window=WindowForm("MaxPool")),
    Operator("com.microsoft.nchwc.AveragePool", window=WindowForm("AveragePool")),
    *(
        Operator(f"com.ms.internal.nhwc.{op.name}", window=replace(op.window, weight=None, last=True))
        for op in _WINDOWS
        if op.window is not None and op.name != "MaxUnpool"
    ),
)
