"""Models as people bring them: modules, named inputs, nested outputs, integers and booleans, axes left open."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

from onnx_triangulate import Case, Tensor

REAL = {"low": -1, "high": 1, "integers": False}


def reader(torch: Any) -> Any:
    """Token ids and a mask by name, a dataclass of nested results: what a transformer's library gives."""

    @dataclasses.dataclass
    class Output:
        logits: Any
        hidden: Any
        loss: Any = None

    class Reader(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words = torch.nn.Embedding(20, 6)
            self.head = torch.nn.Linear(6, 3)

        def forward(self, attention_mask: Any = None, input_ids: Any = None) -> Any:
            states = self.words(input_ids)
            kept = states * attention_mask.unsqueeze(-1)
            return Output(logits=self.head(kept.mean(1)), hidden=(states, {"kept": kept}))

    return Reader()


def reader_keras(tf: Any) -> Any:
    class Reader(tf.keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.words = tf.keras.layers.Embedding(20, 6)
            self.head = tf.keras.layers.Dense(3)

        def call(self, attention_mask: Any, input_ids: Any) -> Any:
            kept = self.words(input_ids) * tf.cast(attention_mask, "float32")[:, :, None]
            return {"logits": self.head(tf.reduce_mean(kept, 1)), "flags": [attention_mask, input_ids + 1]}

    return Reader()


def functional(tf: Any) -> Any:
    layers = tf.keras.layers
    left, right = layers.Input((4,), name="left"), layers.Input((3,), name="right")
    joined = layers.Concatenate()([layers.Dense(5)(left), right])
    return tf.keras.Model({"left": left, "right": right}, {"sum": layers.Dense(2)(joined), "joined": joined})


class Pair(NamedTuple):
    up: Any
    down: Any


def counter(tf: Any) -> Any:
    class Counter(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = None

        @tf.function
        def __call__(self, x: Any) -> Any:
            if self.weight is None:
                self.weight = tf.Variable(tf.random.stateless_uniform((4, 3), (1, 2)))
            return Pair(x @ self.weight, (x > 0, tf.cast(x, tf.int32)))

    return Counter()


def function(tf: Any) -> Any:
    weight = tf.Variable(tf.random.stateless_uniform((4, 3), (1, 2)), name="weight")
    return tf.function(lambda x, keep: tf.where(keep, x @ weight, 0.0))


def honest(torch: Any) -> Any:
    return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(2))


def counted(torch: Any) -> Any:
    """Divides by the length as a Python number, which TorchScript's exporter bakes into the graph."""

    class Mean(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return x.sum(1) / float(x.shape[1])

    return Mean()


def tied(torch: Any) -> Any:
    """Reshapes to a length written down: it has this one size, which an export with an open axis hides."""

    class Tied(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return x.reshape(2, -1) if torch.onnx.is_in_onnx_export() else x.flatten(1)

    return Tied()


def pooled(tf: Any) -> Any:
    return tf.keras.Sequential([tf.keras.layers.Conv2D(4, 3), tf.keras.layers.GlobalAveragePooling2D()])


def pooled_wrong(tf: Any) -> Any:
    """A sum over a length that is read while tracing: right at the length traced only."""
    inside = {"length": 0}

    def model(x: Any) -> Any:
        if tf.executing_eagerly():
            return tf.reduce_mean(x, 1)
        return tf.reduce_sum(x, 1) / 5.0 if not inside["length"] else tf.reduce_mean(x, 1)

    return model


IMAGE = Tensor("n c h w", (2, 3, 8, 7), **REAL)
SEQUENCE = Tensor("n t c", (2, 5, 4), **REAL)
TEXT = {
    "input_ids": Tensor("n t", (2, 5), dtype="int64", high=20),
    "attention_mask": Tensor("n t", (2, 5), dtype="bool"),
}
CASES = (
    Case("reader", inputs=TEXT, builders={"torch": reader}, by_name=True, dynamic={"n": (1, 3), "t": (9, 4)}),
    Case("reader_keras", inputs=TEXT, builders={"tensorflow": reader_keras}, by_name=True),
    Case(
        "functional",
        inputs={"left": Tensor("n c", (2, 4), **REAL), "right": Tensor("n d", (2, 3), **REAL)},
        builders={"tensorflow": functional},
        by_name=True,
        dynamic={"n": (1, 5)},
    ),
    Case("counter", inputs={"x": Tensor("n c", (2, 4), **REAL)}, builders={"tensorflow": counter}),
    Case(
        "function",
        inputs={"x": Tensor("n c", (2, 4), **REAL), "keep": Tensor("n d", (2, 3), dtype="bool")},
        builders={"tensorflow": function},
    ),
    Case("honest", inputs={"x": IMAGE}, builders={"torch": honest}, dynamic={"n": (1, 3), "h": (9, 12)}),
    Case("counted", inputs={"x": SEQUENCE}, builders={"torch": counted}, dynamic={"t": (3, 11)}),
    Case("tied", inputs={"x": SEQUENCE}, builders={"torch": tied}, dynamic={"n": (1, 3)}),
    Case("pooled", inputs={"x": IMAGE}, builders={"tensorflow": pooled}, dynamic={"n": (1, 3), "h": (9, 12)}),
    Case("pooled_wrong", inputs={"x": SEQUENCE}, builders={"tensorflow": pooled_wrong}, dynamic={"t": (3, 11)}),
)
