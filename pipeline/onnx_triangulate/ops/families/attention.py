"""Scaled dot-product attention and rotary embeddings, as one operator each (opset 23).

Running error analysis of the formula: two products, a softmax after Blanchard, Higham and Higham (``softmax``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from onnx_triangulate.ops import rounding_counts as counts
from onnx_triangulate.ops.calls import ExpectedOutput, NodeCall, NotCovered
from onnx_triangulate.ops.enclosures import Enclosure
from onnx_triangulate.ops.examples import Example
from onnx_triangulate.ops.families.softmax import softmax
from onnx_triangulate.ops.operator import Operator, bounded
from onnx_triangulate.records.arrays import Array


def _heads(x: Array, heads: int) -> Array:
    batch, length, width = x.shape
    return x.reshape(batch, length, heads, width // heads).transpose(0, 2, 1, 3)


_KNOWN = {"is_causal", "kv_num_heads", "q_num_heads", "qk_matmul_output_mode", "scale", "softcap", "softmax_precision"}


def _attention(call: NodeCall) -> Sequence[Enclosure | ExpectedOutput | Array | None]:
    unknown = sorted(set(call.attributes) - _KNOWN)
    if unknown:
        raise NotCovered(f"the attribute {unknown[0]}")
    q, k, v = (call.x(i) for i in range(3))
    flat = q.ndim == 3
    if flat:
        queries, pairs = int(call.attribute("q_num_heads")), int(call.attribute("kv_num_heads"))
        q, k, v = _heads(q, queries), _heads(k, pairs), _heads(v, pairs)
    if call.has_input(6):
        raise NotCovered("a length of keys that are no padding")
    if call.has_input(4):
        k, v = np.concatenate([call.x(4), k], 2), np.concatenate([call.x(5), v], 2)
    present = [k.astype(call.array(1).dtype), v.astype(call.array(2).dtype)]
    times = q.shape[1] // k.shape[1]
    k, v = (np.repeat(a, times, axis=1) for a in (k, v))
    form = call.format
    scale = float(np.float32(call.attribute("scale", 0.0))) or 1 / math.sqrt(q.shape[-1])
    left, right = (call.enclose(a) for a in (q, k.swapaxes(-1, -2)))
    # The scale is rounded, and so is its root, by which both sides may be multiplied before their product.
    scores = left @ right
    scores = scores.rounded(scores.value * scale, scores.error * scale, 0)
    size = (np.abs(q) @ np.abs(k).swapaxes(-1, -2)) * scale
    scores = Enclosure(scores.value, scores.error + form.gamma(8) * size, form)
    plain = scores
    bias = _bias(call, q.shape[2], k.shape[2])
    softcap = float(call.attribute("softcap", 0.0))
    capped = scores
    if softcap:
        cap = call.number(softcap)
        capped = (scores / cap).tanh() * cap
        if bias is not None and call.has_input(3):
            raise NotCovered("a soft cap beside a mask, whose order two opsets tell differently")
    masked = capped if bias is None else capped + Enclosure(np.broadcast_to(bias, capped.shape), np.zeros(()), form)
    blind = np.isneginf(masked.value).all(axis=-1, keepdims=True)  # a query that sees no key: ONNX does not say
    p = softmax(masked, (3,))
    product = p @ call.enclose(v)
    unsaid = np.broadcast_to(blind, product.shape)

    def shaped(values: Array) -> Array:
        batch, heads, length, width = product.shape
        return values.transpose(0, 2, 1, 3).reshape(batch, length, heads * width) if flat else values

    moved = product.shaped(shaped)
    y = ExpectedOutput(moved.value, form.dtype, moved.error, unsaid=shaped(unsaid))
    if call.has_output(3):
        mode = int(call.attribute("qk_matmul_output_mode", 0))
        chosen = {0: plain}.get(mode) if np.any(blind) else {0: plain, 3: p}.get(mode)
        return [y, *present, chosen]
    return [y, *present]


def _bias(call: NodeCall, queries: int, keys: int) -> Array | None:
    bias: Array | None = None
    if call.has_input(3):
        mask = call.array(3)
        if mask.shape[-1] < keys:
            raise NotCovered("a mask shorter than the keys")
        bias = np.where(mask, 0.0, -np.inf) if mask.dtype.kind == "b" else mask.astype(np.float64)
    if call.attribute("is_causal", 0):
        past = call.array(4).shape[2] if call.has_input(4) else 0
        seen = np.arange(keys)[None, :] <= np.arange(queries)[:, None] + past
        causal = np.where(seen, 0.0, -np.inf)
        bias = causal if bias is None else bias + causal
    return bias


def _rotary(call: NodeCall) -> Sequence[Enclosure]:
    """Pairs turned by an angle: two products and a sum each, gamma_3 of their sizes."""
    x = call.x(0)
    flat = x.ndim == 3
    if flat:
        heads = int(call.attribute("num_heads"))
        batch, length, width = x.shape
        x = x.reshape(batch, length, heads, width // heads)
    else:
        x = x.transpose(0, 2, 1, 3)
    turned = int(call.attribute("rotary_embedding_dim", 0)) or x.shape[-1]
    cos, sin = call.x(1), call.x(2)
    if call.has_input(3):
        cos, sin = cos[call.array(3)], sin[call.array(3)]
    cos, sin = (t[:, :, None, : turned // 2] for t in (cos, sin))
    head, tail = x[..., :turned], x[..., turned:]
    woven = bool(call.attribute("interleaved", 0))
    a, b = (head[..., 0::2], head[..., 1::2]) if woven else (head[..., : turned // 2], head[..., turned // 2 :])
    real, imaginary = cos * a - sin * b, sin * a + cos * b
    sizes = [np.abs(cos * a) + np.abs(sin * b), np.abs(sin * a) + np.abs(cos * b)]

    def together(first: Array, second: Array) -> Array:
        if woven:
            return np.stack([first, second], -1).reshape(head.shape)
        return np.concatenate([first, second], -1)

    value = np.concatenate([together(real, imaginary), tail], -1)
    size = np.concatenate([together(*sizes), 0 * tail], -1)
    result = call.enclosure(0).contracted(value, size, 3)
    if flat:
        return [result.shaped(lambda v: v.reshape(batch, length, width))]
    return [result.shaped(lambda v: v.transpose(0, 2, 1, 3))]


_QKV = {"q": "float[2,3,4,8]", "k": "float[2,3,6,8]", "v": "float[2,3,6,8]"}

OPERATORS = (
    Operator("CausalConvWithState", any_float=True),
    Operator("LinearAttention", any_float=True),
    bounded(
        "attention",
        _attention,
        Example("Attention(q, k, v)", _QKV, "Attention<scale=0.36>(q, k, v)", opset=23),
        Example("Attention<is_causal=1>(q, k, v)", _QKV, "Attention(q, k, v)", opset=23),
        roundings=counts.attention,
        result_type="softmax_precision",
    ),
    bounded(
        "rotary embedding",
        _rotary,
        Example(
            "RotaryEmbedding(x, c, s)",
            {"x": "float[2,3,4,8]", "c": "unit[2,4,4]", "s": "unit[2,4,4]"},
            "RotaryEmbedding<interleaved=1>(x, c, s)",
            opset=23,
        ),
        roundings=3,
        any_float=True,
    ),
)
