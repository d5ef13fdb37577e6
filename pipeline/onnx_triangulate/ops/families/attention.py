"""Scaled dot-product attention and rotary embeddings, as one operator each (opset 23)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from onnx_triangulate.ops.families.softmax import softmax
from onnx_triangulate.ops.near import Near
from onnx_triangulate.ops.registry import Answer, Asked, Example, NoRule, Rule
from onnx_triangulate.records.arrays import Array

_RUNNING = "running error analysis of the operator's formula: two products, a softmax after Blanchard, Higham, Higham"


def _heads(x: Array, heads: int) -> Array:
    batch, length, width = x.shape
    return x.reshape(batch, length, heads, width // heads).transpose(0, 2, 1, 3)


_KNOWN = {"is_causal", "kv_num_heads", "q_num_heads", "qk_matmul_output_mode", "scale", "softcap", "softmax_precision"}


def _attention(asked: Asked) -> Sequence[Near | Answer | Array | None]:
    unknown = sorted(set(asked.attributes) - _KNOWN)
    if unknown:
        raise NoRule(f"the attribute {unknown[0]}")
    q, k, v = (asked.x(i) for i in range(3))
    flat = q.ndim == 3
    if flat:
        queries, pairs = int(asked.attribute("q_num_heads")), int(asked.attribute("kv_num_heads"))
        q, k, v = _heads(q, queries), _heads(k, pairs), _heads(v, pairs)
    if asked.given(6):
        raise NoRule("a length of keys that are no padding")
    if asked.given(4):
        k, v = np.concatenate([asked.x(4), k], 2), np.concatenate([asked.x(5), v], 2)
    present = [k.astype(asked.array(1).dtype), v.astype(asked.array(2).dtype)]
    times = q.shape[1] // k.shape[1]
    k, v = (np.repeat(a, times, axis=1) for a in (k, v))
    form = asked.format
    scale = float(np.float32(asked.attribute("scale", 0.0))) or 1 / math.sqrt(q.shape[-1])
    left, right = (Near(a, np.zeros(()), form) for a in (q, k.swapaxes(-1, -2)))
    # The scale is rounded, and so is its root, by which both sides may be multiplied before their product.
    scores = left @ right
    scores = scores.rounded(scores.value * scale, scores.error * scale, 0)
    size = (np.abs(q) @ np.abs(k).swapaxes(-1, -2)) * scale
    scores = Near(scores.value, scores.error + form.gamma(8) * size, form)
    plain = scores
    bias = _bias(asked, q.shape[2], k.shape[2])
    softcap = float(asked.attribute("softcap", 0.0))
    capped = scores
    if softcap:
        cap = asked.number(softcap)
        capped = (scores / cap).tanh() * cap
        if bias is not None and asked.given(3):
            raise NoRule("a soft cap beside a mask, whose order two opsets tell differently")
    masked = capped if bias is None else capped + Near(np.broadcast_to(bias, capped.shape), np.zeros(()), form)
    blind = np.isneginf(masked.value).all(axis=-1, keepdims=True)  # a query that sees no key: ONNX does not say
    p = softmax(masked, (3,))
    product = p @ Near(v, np.zeros(()), form)
    unsaid = np.broadcast_to(blind, product.shape)

    def shaped(values: Array) -> Array:
        batch, heads, length, width = product.shape
        return values.transpose(0, 2, 1, 3).reshape(batch, length, heads * width) if flat else values

    moved = product.shaped(shaped)
    y = Answer(moved.value, form.dtype, moved.error, unsaid=shaped(unsaid))
    if asked.wanted(3):
        mode = int(asked.attribute("qk_matmul_output_mode", 0))
        chosen = {0: plain}.get(mode) if np.any(blind) else {0: plain, 3: p}.get(mode)
        return [y, *present, chosen]
    return [y, *present]


def _bias(asked: Asked, queries: int, keys: int) -> Array | None:
    bias: Array | None = None
    if asked.given(3):
        mask = asked.array(3)
        if mask.shape[-1] < keys:
            raise NoRule("a mask shorter than the keys")
        bias = np.where(mask, 0.0, -np.inf) if mask.dtype.kind == "b" else mask.astype(np.float64)
    if asked.attribute("is_causal", 0):
        past = asked.array(4).shape[2] if asked.given(4) else 0
        seen = np.arange(keys)[None, :] <= np.arange(queries)[:, None] + past
        causal = np.where(seen, 0.0, -np.inf)
        bias = causal if bias is None else bias + causal
    return bias


def _rotary(asked: Asked) -> Sequence[Near]:
    """Pairs turned by an angle: two products and a sum each, gamma_3 of their sizes."""
    x = asked.x(0)
    flat = x.ndim == 3
    if flat:
        heads = int(asked.attribute("num_heads"))
        batch, length, width = x.shape
        x = x.reshape(batch, length, heads, width // heads)
    else:
        x = x.transpose(0, 2, 1, 3)
    turned = int(asked.attribute("rotary_embedding_dim", 0)) or x.shape[-1]
    cos, sin = asked.x(1), asked.x(2)
    if asked.given(3):
        cos, sin = cos[asked.array(3)], sin[asked.array(3)]
    cos, sin = (t[:, :, None, : turned // 2] for t in (cos, sin))
    head, tail = x[..., :turned], x[..., turned:]
    woven = bool(asked.attribute("interleaved", 0))
    a, b = (head[..., 0::2], head[..., 1::2]) if woven else (head[..., : turned // 2], head[..., turned // 2 :])
    real, imaginary = cos * a - sin * b, sin * a + cos * b
    sizes = [np.abs(cos * a) + np.abs(sin * b), np.abs(sin * a) + np.abs(cos * b)]

    def together(first: Array, second: Array) -> Array:
        if woven:
            return np.stack([first, second], -1).reshape(head.shape)
        return np.concatenate([first, second], -1)

    value = np.concatenate([together(real, imaginary), tail], -1)
    size = np.concatenate([together(*sizes), 0 * tail], -1)
    result = asked.near(0).contracted(value, size, 3)
    if flat:
        return [result.shaped(lambda v: v.reshape(batch, length, width))]
    return [result.shaped(lambda v: v.transpose(0, 2, 1, 3))]


_QKV = {"q": "float[2,3,4,8]", "k": "float[2,3,6,8]", "v": "float[2,3,6,8]"}

RULES = (
    Rule(
        "attention",
        ("Attention",),
        _attention,
        "q k^T, softmax, v",
        _RUNNING,
        (
            Example("Attention(q, k, v)", _QKV, "Attention<scale=0.36>(q, k, v)", opset=23),
            Example("Attention<is_causal=1>(q, k, v)", _QKV, "Attention(q, k, v)", opset=23),
        ),
    ),
    Rule(
        "rotary embedding",
        ("RotaryEmbedding",),
        _rotary,
        "gamma_3 of the turned pairs",
        _RUNNING,
        (
            Example(
                "RotaryEmbedding(x, c, s)",
                {"x": "float[2,3,4,8]", "c": "unit[2,4,4]", "s": "unit[2,4,4]"},
                "RotaryEmbedding<interleaved=1>(x, c, s)",
                opset=23,
            ),
        ),
    ),
)
