"""Transformers and recurrent networks, with random weights, from both frameworks: for the benchmarks of large models.

    triangulate verify scripts/zoo/language.py::bert

``bert`` and ``gpt2`` have the sizes of BERT-base and GPT-2 (12 layers of 768, 12 heads) on a short text; the others are
small enough to be run thousands of times.
"""

from __future__ import annotations

import math
from typing import Any

from onnx_triangulate import Case, Tensor


def transformer(torch: Any, *, layers: int, width: int, heads: int, words: int, causal: bool, longest: int = 64) -> Any:
    nn, functional = torch.nn, torch.nn.functional

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
            self.attention, self.project = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

        def attend(self, x: Any) -> Any:
            n, t, _ = x.shape
            q, k, v = self.attention(x).split(width, dim=2)
            q, k, v = (part.view(n, t, heads, width // heads).transpose(1, 2) for part in (q, k, v))
            scores = q @ k.transpose(2, 3) / math.sqrt(width // heads)
            if causal:
                mask = torch.ones(t, t, dtype=torch.bool, device=x.device).tril()
                scores = scores.masked_fill(~mask, float("-inf"))
            mixed = functional.softmax(scores, dim=-1) @ v
            return self.project(mixed.transpose(1, 2).reshape(n, t, width))

        def forward(self, x: Any) -> Any:
            if causal:  # GPT-2: the norm first, the tanh approximation of gelu
                x = x + self.attend(self.first(x))
                return x + self.narrow(functional.gelu(self.wide(self.second(x)), approximate="tanh"))
            x = self.first(x + self.attend(x))  # BERT: the norm last
            return self.second(x + self.narrow(functional.gelu(self.wide(x))))

    class Transformer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.word, self.place = nn.Embedding(words, width), nn.Embedding(longest, width)
            self.blocks = nn.ModuleList(Block() for _ in range(layers))
            self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, words if causal else 2, bias=False)
            for module in self.modules():
                if isinstance(module, nn.LayerNorm):
                    nn.init.uniform_(module.weight, 0.5, 1.5)
                    nn.init.normal_(module.bias, 0, 0.1)

        def forward(self, tokens: Any) -> Any:
            x = self.word(tokens) + self.place(torch.arange(tokens.shape[1], device=tokens.device))
            for block in self.blocks:
                x = block(x)
            return self.head(self.norm(x))

    return Transformer()


def bert(torch: Any) -> Any:
    return transformer(torch, layers=12, width=768, heads=12, words=8192, causal=False)


def gpt2(torch: Any) -> Any:
    return transformer(torch, layers=12, width=768, heads=12, words=8192, causal=True)


def encoder(torch: Any) -> Any:
    return transformer(torch, layers=2, width=32, heads=4, words=50, causal=False)


def decoder(torch: Any) -> Any:
    return transformer(torch, layers=2, width=32, heads=4, words=50, causal=True)


def recurrent(kind: str) -> Any:
    def build(torch: Any) -> Any:
        class Tagger(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.norm = torch.nn.LayerNorm(6)
                self.cells = getattr(torch.nn, kind)(6, 12, num_layers=2, bidirectional=True, batch_first=True)
                self.head = torch.nn.Linear(24, 5)

            def forward(self, x: Any) -> Any:
                states, _ = self.cells(self.norm(x))
                return torch.log_softmax(self.head(states), dim=-1)

        return Tagger()

    return build


def recurrent_keras(kind: str) -> Any:
    def build(tf: Any) -> Any:
        layers = tf.keras.layers
        return tf.keras.Sequential(
            [
                layers.Input((7, 6), batch_size=2),
                layers.LayerNormalization(),
                getattr(layers, kind)(12, return_sequences=True),
                layers.Dense(8, activation="tanh"),
                layers.Dense(5),
                layers.Softmax(),
            ]
        )

    return build


def encoder_keras(tf: Any) -> Any:
    """One attention block and one perceptron block, each with its norm, as Keras's own layers."""
    layers = tf.keras.layers
    x = inputs = layers.Input((9, 16), batch_size=2)
    for _ in range(2):
        x = layers.LayerNormalization()(x + layers.MultiHeadAttention(4, 4)(x, x))
        x = layers.LayerNormalization()(x + layers.Dense(16)(layers.Dense(32, activation="relu")(x)))
    return tf.keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling1D()(x)))


def tokens(length: int, words: int) -> dict[str, Tensor]:
    return {"tokens": Tensor("n t", (2, length), dtype="int64", high=words)}


SEQUENCE = {"x": Tensor("n t c", (2, 7, 6), low=-1, high=1, integers=False)}

CASES = (
    Case("bert", inputs=tokens(32, 8192), builders={"torch": bert}),
    Case("gpt2", inputs=tokens(32, 8192), builders={"torch": gpt2}),
    Case("encoder", inputs=tokens(9, 50), builders={"torch": encoder}),
    Case("decoder", inputs=tokens(9, 50), builders={"torch": decoder}),
    Case("lstm", inputs=SEQUENCE, builders={"torch": recurrent("LSTM")}),
    Case("gru", inputs=SEQUENCE, builders={"torch": recurrent("GRU")}),
    Case("lstm_keras", inputs=SEQUENCE, builders={"tensorflow": recurrent_keras("LSTM")}),
    Case("gru_keras", inputs=SEQUENCE, builders={"tensorflow": recurrent_keras("GRU")}),
    Case(
        "encoder_keras",
        inputs={"x": Tensor("n t c", (2, 9, 16), low=-1, high=1, integers=False)},
        builders={"tensorflow": encoder_keras},
    ),
)
