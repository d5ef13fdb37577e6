"""Attention in several heads, the layers of both frameworks: plain, causal, and with keys that are padding."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnx_triangulate import Array, Case, Rounded, Tensor

WIDTH, HEADS = 4, 2
REALS: dict[str, Any] = {"low": -1, "high": 1, "integers": False}
X = Tensor("n t e", (2, 3, WIDTH), low=-2, high=2, integers=False)
PAD = Tensor("n t", (2, 3), values=[[False, False, True], [False, False, False]], dtype="bool")
PARAMETERS = {
    "w": Tensor("g e", (3 * WIDTH, WIDTH), **REALS),
    "b": Tensor("g", (3 * WIDTH,), **REALS),
    "o": Tensor("e f", (WIDTH, WIDTH), **REALS),
    "c": Tensor("e", (WIDTH,), **REALS),
}
TAGS = ("attention",)


def torch_layer(causal: bool = False) -> Any:
    def build(torch: Any, w: Any, b: Any, o: Any, c: Any) -> Any:
        class Attention(torch.nn.Module):  # type: ignore[misc]  # torch is Any
            def __init__(self) -> None:
                super().__init__()
                self.layer = torch.nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
                self.layer.in_proj_weight.data, self.layer.in_proj_bias.data = w, b
                self.layer.out_proj.weight.data, self.layer.out_proj.bias.data = o, c

            def forward(self, x: Any, pad: Any = None) -> Any:
                mask = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1) if causal else None
                return self.layer(x, x, x, key_padding_mask=pad, attn_mask=mask, need_weights=False)[0]

        return Attention()

    return build


def keras_layer(causal: bool = False) -> Any:
    def build(tf: Any, w: Any, b: Any, o: Any, c: Any) -> Any:
        layer = tf.keras.layers.MultiHeadAttention(HEADS, WIDTH // HEADS)
        layer.build((None, None, WIDTH), (None, None, WIDTH))
        kernels = [tf.reshape(tf.transpose(part), (WIDTH, HEADS, -1)) for part in tf.split(w, 3)]
        biases = [tf.reshape(part, (HEADS, -1)) for part in tf.split(b, 3)]
        for sub, kernel, bias in zip(
            (layer.query_dense, layer.key_dense, layer.value_dense), kernels, biases, strict=True
        ):
            sub.kernel.assign(kernel)
            sub.bias.assign(bias)
        layer.output_dense.kernel.assign(tf.reshape(tf.transpose(o), (HEADS, -1, WIDTH)))
        layer.output_dense.bias.assign(c)

        def call(x: Any, pad: Any = None) -> Any:
            mask = None if pad is None else tf.logical_not(pad)[:, None, :]
            return layer(x, x, attention_mask=mask, use_causal_mask=causal)

        return call

    return build


def truth(causal: bool = False) -> Any:
    def define(x: Array, w: Array, b: Array, o: Array, c: Array, pad: Array | None = None) -> Rounded:
        """Vaswani et al., "Attention Is All You Need", 2017, section 3.2.2."""
        n, t, _ = x.shape
        q, k, v = np.moveaxis((x @ w.T + b).reshape(n, t, 3, HEADS, -1), (2, 3), (0, 2))
        scores = q @ k.swapaxes(-1, -2) / np.sqrt(WIDTH / HEADS)
        hidden = np.zeros((n, 1, t, t), bool) if pad is None else pad[:, None, None, :]
        hidden = hidden | np.triu(np.ones((t, t), bool), 1) if causal else hidden
        weights = np.where(hidden, 0, np.exp(scores - scores.max(-1, keepdims=True)))
        mixed = weights / weights.sum(-1, keepdims=True) @ v
        return Rounded(mixed.swapaxes(1, 2).reshape(n, t, WIDTH) @ o.T + c)

    return define


def case(name: str, causal: bool = False, **inputs: Tensor) -> Case:
    builders = {"torch": torch_layer(causal), "tensorflow": keras_layer(causal)}
    y = {"y": Tensor("n t e")}
    return Case(name, {"x": X} | inputs, builders, y, parameters=PARAMETERS, truth=truth(causal), tags=TAGS)


CASES = (case("plain"), case("causal", True), case("padded_keys", pad=PAD))
