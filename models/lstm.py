"""LSTM, GRU and the plain recurrent layer: one way and both, with states that are given, and two kinds of GRU."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnx_triangulate import Array, Case, Expected, Rounded, Tensor

X = Tensor("n t i", (2, 4, 3), low=-2, high=2, integers=False)
HIDDEN = 2
TAGS = ("recurrent",)


def weights(gates: int) -> dict[str, Tensor]:
    """As PyTorch has them: (gates * hidden, input), (gates * hidden, hidden), and two biases, which Keras adds."""
    rows = gates * HIDDEN
    reals: dict[str, Any] = {"low": -1, "high": 1, "integers": False}
    bias = Tensor("g", (rows,), **reals)
    return {"w": Tensor("g i", (rows, 3), **reals), "r": Tensor("g h", (rows, HIDDEN), **reals), "b": bias, "c": bias}


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def lstm(x: Array, w: Array, r: Array, b: Array, c: Array) -> Array:
    """Gates in PyTorch's order: input, forget, cell, output (Hochreiter and Schmidhuber, 1997)."""
    h = cell = np.zeros((len(x), HIDDEN))
    found = []
    for t in range(x.shape[1]):
        i, f, g, o = np.split(x[:, t] @ w.T + b + h @ r.T + c, 4, -1)
        cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(cell)
        found.append(h)
    return np.stack(found, 1)


def gru(x: Array, w: Array, r: Array, b: Array, c: Array, before: bool = False) -> Array:
    """Gates in PyTorch's order: reset, update, new; the reset is applied after the product, or ``before`` it."""
    h = np.zeros((len(x), HIDDEN))
    found = []
    for t in range(x.shape[1]):
        xr, xz, xn = np.split(x[:, t] @ w.T + b, 3, -1)
        hr, hz, hn = np.split(h @ r.T + c, 3, -1)
        reset, update = sigmoid(xr + hr), sigmoid(xz + hz)
        own = (reset * h) @ r[2 * HIDDEN :].T + c[2 * HIDDEN :] if before else reset * hn
        h = (1 - update) * np.tanh(xn + own) + update * h
        found.append(h)
    return np.stack(found, 1)


def rnn(x: Array, w: Array, r: Array, b: Array, c: Array) -> Array:
    h = np.zeros((len(x), HIDDEN))
    found = []
    for t in range(x.shape[1]):
        h = np.tanh(x[:, t] @ w.T + b + h @ r.T + c)
        found.append(h)
    return np.stack(found, 1)


def torch_layer(kind: str) -> Any:
    def build(torch: Any, w: Any, r: Any, b: Any, c: Any) -> Any:
        layer = getattr(torch.nn, kind)(3, HIDDEN, batch_first=True)
        layer.weight_ih_l0.data, layer.weight_hh_l0.data = w, r
        layer.bias_ih_l0.data, layer.bias_hh_l0.data = b, c

        class Sequence(torch.nn.Module):  # type: ignore[misc]  # torch is Any
            def __init__(self) -> None:
                super().__init__()
                self.layer = layer

            def forward(self, x: Any) -> Any:
                return self.layer(x)[0]

        return Sequence()

    return build


def reordered(tf: Any, value: Any, order: tuple[int, ...]) -> Any:
    """Gates of the first axis in another order."""
    parts = tf.split(value, len(order), axis=0)
    return tf.concat([parts[i] for i in order], axis=0)


def keras_lstm(tf: Any, w: Any, r: Any, b: Any, c: Any) -> Any:
    layer = tf.keras.layers.LSTM(HIDDEN, return_sequences=True)
    layer.build((None, None, 3))
    for variable, value in zip(layer.weights, (tf.transpose(w), tf.transpose(r), b + c), strict=True):
        variable.assign(value)
    return layer


def keras_gru(after: bool) -> Any:
    def build(tf: Any, w: Any, r: Any, b: Any, c: Any) -> Any:
        layer = tf.keras.layers.GRU(HIDDEN, return_sequences=True, reset_after=after)
        layer.build((None, None, 3))
        w, r, b, c = (reordered(tf, each, (1, 0, 2)) for each in (w, r, b, c))  # Keras has the update gate first
        bias = tf.stack([b, c]) if after else b + c
        for variable, value in zip(layer.weights, (tf.transpose(w), tf.transpose(r), bias), strict=True):
            variable.assign(value)
        return layer

    return build


def keras_rnn(tf: Any, w: Any, r: Any, b: Any, c: Any) -> Any:
    layer = tf.keras.layers.SimpleRNN(HIDDEN, return_sequences=True)
    layer.build((None, None, 3))
    for variable, value in zip(layer.weights, (tf.transpose(w), tf.transpose(r), b + c), strict=True):
        variable.assign(value)
    return layer


def both_ways(torch: Any, **given: Any) -> Any:
    layer = torch.nn.LSTM(3, HIDDEN, batch_first=True, bidirectional=True)
    for suffix, end in (("", ""), ("2", "_reverse")):
        for name, own in zip("wrbc", ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"), strict=True):
            getattr(layer, own + end).data = given[name + suffix]

    class Sequence(torch.nn.Module):  # type: ignore[misc]  # torch is Any
        def __init__(self) -> None:
            super().__init__()
            self.layer = layer

        def forward(self, x: Any) -> Any:
            return self.layer(x)[0]

    return Sequence()


def lstm_both_ways(x: Array, **given: Array) -> Rounded:
    """Forward, and over the sequence from its end, side by side."""
    forward = lstm(x, *(given[name] for name in "wrbc"))
    backward = lstm(x[:, ::-1], *(given[f"{name}2"] for name in "wrbc"))[:, ::-1]
    return Rounded(np.concatenate([forward, backward], -1))


def case(name: str, gates: int, torch: Any, tensorflow: Any, truth: Any, **rest: Any) -> Case:
    inputs = {"x": X} | {key: rest.pop(key) for key in ("lengths",) if key in rest}
    builders = {"torch": torch} | ({"tensorflow": tensorflow} if tensorflow else {})
    y, parameters = {"y": Tensor("n t h")}, weights(gates)
    return Case(name, inputs, builders, y, parameters=parameters, truth=truth, tags=TAGS, **rest)


UNPACKED = Expected(
    "export-failed", op="LSTM", reason="torch.export knows no sizes of packed sequences: they depend on the lengths"
)
LENGTHS = Tensor("n", values=[4, 2], dtype="int64")


def torch_packed(torch: Any, w: Any, r: Any, b: Any, c: Any) -> Any:
    """Sequences of several lengths, packed as torch has it: what lies behind a sequence's end comes out as zero."""
    packed = torch.nn.utils.rnn

    class Packed(torch.nn.Module):  # type: ignore[misc]  # torch is Any
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch_layer("LSTM")(torch, w, r, b, c).layer

        def forward(self, x: Any, lengths: Any) -> Any:
            sequence = packed.pack_padded_sequence(x, lengths, batch_first=True)
            return packed.pad_packed_sequence(self.layer(sequence)[0], batch_first=True, total_length=x.shape[1])[0]

    return Packed()


def keras_masked(tf: Any, w: Any, r: Any, b: Any, c: Any) -> Any:
    layer = keras_lstm(tf, w, r, b, c)
    return lambda x, lengths: layer(x, mask=tf.sequence_mask(lengths, x.shape[1]))


def with_lengths(repeated: bool) -> Any:
    """What lies behind the end of a sequence is zero or, ``repeated``, the last result once more."""

    def define(lengths: Array, **given: Array) -> Rounded:
        y = lstm(**given)
        steps = np.arange(y.shape[1])[None, :, None]
        ends = lengths[:, None, None]
        behind = np.take_along_axis(y, np.broadcast_to(ends - 1, (len(y), 1, y.shape[2])), 1) if repeated else 0.0
        return Rounded(np.where(steps < ends, y, behind))

    return define


CASES = (
    case("lstm", 4, torch_layer("LSTM"), keras_lstm, lambda **given: Rounded(lstm(**given))),
    case(
        "lstm_open_axes",
        4,
        torch_layer("LSTM"),
        None,
        lambda **given: Rounded(lstm(**given)),
        dynamic={"n": (1, 3), "t": (2, 6)},
    ),
    case(
        "lstm_lengths",
        4,
        torch_packed,
        keras_masked,
        {"torch": with_lengths(False), "tensorflow": with_lengths(True)},
        lengths=LENGTHS,
        expect={
            ("torch", "torch>*"): UNPACKED,
            ("torch", "torch:raw>*"): UNPACKED,
            ("torch", "torch:script>reference"): Expected(
                "reference", op="LSTM", reason="ONNX's reference evaluator does not read the lengths of sequences"
            ),
            ("tensorflow", "torch"): Expected(
                "semantics",
                reason="behind the end of a sequence PyTorch has zeros, Keras the last result once more",
            ),
        },
    ),
    case("gru", 3, torch_layer("GRU"), keras_gru(True), lambda **given: Rounded(gru(**given))),
    case(
        "gru_reset_before",
        3,
        torch_layer("GRU"),
        keras_gru(False),
        {
            "torch": lambda **given: Rounded(gru(**given)),
            "tensorflow": lambda **given: Rounded(gru(**given, before=True)),
        },
        expect={
            ("tensorflow", "torch"): Expected(
                "semantics",
                reason="PyTorch resets after the product with the recurrent weights, reset_after=False ahead of it",
            )
        },
    ),
    case("rnn", 1, torch_layer("RNN"), keras_rnn, lambda **given: Rounded(rnn(**given))),
    Case(
        "lstm_both_ways",
        {"x": X},
        {"torch": both_ways},
        {"y": Tensor("n t h")},
        parameters=weights(4) | {f"{name}2": tensor for name, tensor in weights(4).items()},
        truth=lstm_both_ways,
        tags=TAGS,
    ),
)
