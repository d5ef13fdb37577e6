"""Models that remember their calls or draw, each beside healthy twins that only look like it.

The names say which: what begins with ``remembers`` or ``draws`` must not be agreement.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from onnx_triangulate import Case, Tensor

X = {"x": Tensor("n c", (3, 4), low=-2, high=2, integers=False)}


def module(start: Callable[..., Any], forward: Callable[..., Any]) -> Callable[[Any], Any]:
    def build(torch: Any) -> Any:
        class Net(torch.nn.Module):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__()
                start(self, torch)

            def forward(self, x: Any) -> Any:
                return forward(self, torch, x)

        return Net()

    return build


def counts(net: Any, torch: Any, x: Any) -> Any:
    net.calls = getattr(net, "calls", 0) + 1
    return x * net.calls


def cache(net: Any, torch: Any, x: Any) -> Any:
    net.k.copy_(torch.cat([net.k[1:], x[:1]]))
    return net.k.sum(0) + x


def running_mean(net: Any, torch: Any, x: Any) -> Any:
    net.k.mul_(0.9).add_(x.mean(0) * 0.1)
    return x - net.k[0]


def largest(net: Any, torch: Any, x: Any) -> Any:
    """Asked the same twice it answers the same: only between other inputs it shows what it remembers."""
    net.most = max(net.most, float(x.abs().max()))
    return x * net.most


def first_scale(net: Any, torch: Any, x: Any) -> Any:
    """The scale is that of whatever it was asked first."""
    if net.most == 0:
        net.most = float(x.abs().max())
    return x / net.most


def appended(net: Any, torch: Any, x: Any) -> Any:
    net.seen.append(float(x.sum()))
    return x * len(net.seen)


def closure(torch: Any) -> Any:
    calls = [0]

    def model(x: Any) -> Any:
        calls[0] += 1
        return x + calls[0]

    return model


def table(net: Any, torch: Any, x: Any) -> Any:
    if net.table is None:
        net.table = torch.arange(4, dtype=x.dtype)
    return x + net.table


def logged(net: Any, torch: Any, x: Any) -> Any:
    net.calls = getattr(net, "calls", 0) + 1
    return x * 2


def rows(net: Any, torch: Any) -> None:
    net.register_buffer("k", torch.zeros(3, 4))


def nothing(net: Any, torch: Any) -> None:
    net.table, net.most, net.seen = None, 0.0, []


def tf_counter(tf: Any) -> Any:
    class Counter(tf.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            self.calls = tf.Variable(0.0)

        def __call__(self, x: Any) -> Any:
            self.calls.assign_add(1.0)
            return x + self.calls

    return Counter()


def tf_dropout(tf: Any) -> Any:
    layer = tf.keras.layers.Dropout(0.5)
    return lambda x: layer(x, training=True)


def tf_lazy(tf: Any) -> Any:
    layer = tf.keras.layers.Dense(5)
    return lambda x: layer(x) * 1.0


def tf_table(tf: Any) -> Any:
    held: dict[str, Any] = {}

    def model(x: Any) -> Any:
        if "table" not in held:
            held["table"] = tf.range(4, dtype=tf.float32)
        return x + held["table"]

    return model


def one(name: str, framework: str, build: Callable[[Any], Any], *, training: bool = False) -> Case:
    return Case(name, inputs=X, builders={framework: build}, training=training)


CASES = (
    one("remembers_calls", "torch", module(nothing, counts)),
    one("remembers_rows", "torch", module(rows, cache)),
    one("remembers_mean", "torch", module(rows, running_mean)),
    one("remembers_largest", "torch", module(nothing, largest)),
    one("remembers_first", "torch", module(nothing, first_scale)),
    one("remembers_list", "torch", module(nothing, appended)),
    one("remembers_closure", "torch", closure),
    one("remembers_variable", "tensorflow", tf_counter),
    one("draws_dropout", "torch", lambda torch: torch.nn.Dropout(0.5), training=True),
    one("draws_rand", "torch", lambda torch: lambda x: x + torch.rand(3, 4)),
    one("draws_keras_dropout", "tensorflow", tf_dropout),
    one("draws_keras_noise", "tensorflow", lambda tf: tf.keras.layers.GaussianNoise(0.5), training=True),
    one("draws_uniform", "tensorflow", lambda tf: lambda x: x + tf.random.uniform((3, 4))),
    one("table", "torch", module(nothing, table)),
    one("constant_rows", "torch", module(rows, lambda net, torch, x: x + net.k)),
    one("log_of_calls", "torch", module(nothing, logged)),
    one("batch_norm", "torch", lambda torch: torch.nn.BatchNorm1d(4)),
    one("batch_norm_trains", "torch", lambda torch: torch.nn.BatchNorm1d(4), training=True),
    one("dropout_off", "torch", lambda torch: torch.nn.Dropout(0.5)),
    one("keras_dropout_off", "tensorflow", lambda tf: tf.keras.layers.Dropout(0.5)),
    one("keras_lazy", "tensorflow", tf_lazy),
    one("keras_table", "tensorflow", tf_table),
    one("keras_norm_trains", "tensorflow", lambda tf: tf.keras.layers.BatchNormalization(), training=True),
)
