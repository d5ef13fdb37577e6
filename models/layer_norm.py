"""Layer normalization: over the last axis or several, with which epsilon beside the variance."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnx_triangulate import Array, Case, Each, Expected, Gradient, Rounded, Tensor
from onnx_triangulate.cases.refusals import left_by_tf2onnx

X = Tensor("n t c", (2, 3, 4), low=-4, high=5, integers=False)
WEIGHTS = {"w": Tensor("c", values=[1.0, 0.5, -2.0, 3.0]), "b": Tensor("c", values=[0.0, 1.0, -1.0, 0.25])}
TAGS = ("normalization",)


def layer_norm(x: Array, epsilon: float, axes: Any = -1) -> Array:
    away = x - x.mean(axes, keepdims=True)
    return away / np.sqrt((away**2).mean(axes, keepdims=True) + epsilon)


def gradient(x: Array, dy: Array, epsilon: float) -> Array:
    """(dy - mean dy - z mean(dy z)) / sqrt(variance + epsilon) with z the normalized x (Ba and others, 2016)."""
    z, mean = layer_norm(x, epsilon), lambda v: v.mean(-1, keepdims=True)
    return (dy - mean(dy) - z * mean(dy * z)) / np.sqrt(mean((x - mean(x)) ** 2) + epsilon)


def torch_layer(torch: Any, w: Any, b: Any, epsilon: float) -> Any:
    layer = torch.nn.LayerNorm(4, eps=epsilon)
    layer.weight.data, layer.bias.data = w, b
    return layer


def keras_layer(tf: Any, w: Any, b: Any, epsilon: float) -> Any:
    layer = tf.keras.layers.LayerNormalization(epsilon=epsilon)
    layer.build((None, None, 4))
    layer.gamma.assign(w)
    layer.beta.assign(b)
    return layer


def case(name: str, x: Tensor, epsilon: Any, **rest: Any) -> Case:
    return Case(
        name,
        {"x": x},
        {"torch": torch_layer, "tensorflow": keras_layer},
        {"y": Tensor("n t c")},
        parameters={**WEIGHTS, "epsilon": epsilon},
        truth=lambda x, w, b, epsilon: Rounded(layer_norm(x, epsilon) * w + b),
        tags=TAGS,
        **rest,
    )


CASES = (
    case("same_epsilon", X, 1e-5),
    case(
        "default_epsilons",
        Tensor("n t c", (2, 3, 4), low=0, high=0.1, integers=False),
        Each(torch=1e-5, tensorflow=1e-3),
        expect={
            ("tensorflow", "torch"): Expected(
                "parameters", reason="the defaults: LayerNorm adds 1e-5 to the variance, LayerNormalization 1e-3"
            )
        },
        note="the smaller the variance, the more it tells",
    ),
    case("constant_rows", Tensor("n t c", values=[[[2.0, 2.0, 2.0, 2.0], [0.0, 0.0, 0.0, 1e-3]]]), 1e-5),
    case("large_mean", Tensor("n t c", values=[[[4096.0, 4097.0, 4099.0, 4100.0], [-512.0, -513.0, 1.0, 2.0]]]), 1e-5),
    case("open_axes", X, 1e-5, dynamic={"n": (1, 5), "t": (7, 2)}),
    Case(
        "two_axes",
        {"x": X},
        {
            "torch": lambda torch: lambda x: torch.nn.functional.layer_norm(x, (3, 4)),
            "tensorflow": lambda tf: tf.keras.layers.LayerNormalization(axis=[1, 2], epsilon=1e-5),
        },
        {"y": X},
        truth=lambda x: Rounded(layer_norm(x, 1e-5, (1, 2))),
        tags=TAGS,
    ),
    Case(
        "gradient",
        {"x": Tensor("n c", (2, 5), low=-3, high=3, integers=False), "dy": Tensor("n c", (2, 5), low=1, high=5)},
        {
            "torch": lambda torch: lambda x: torch.nn.functional.layer_norm(x, (5,)),
            "tensorflow": lambda tf: (
                lambda x: (
                    (x - tf.reduce_mean(x, -1, keepdims=True))
                    * tf.math.rsqrt(tf.math.reduce_variance(x, -1, keepdims=True) + 1e-5)
                )
            ),
        },
        {"y": Tensor("n c"), "grad_x": Tensor("n c")},
        truth=lambda x, dy: {"y": Rounded(layer_norm(x, 1e-5)), "grad_x": Rounded(gradient(x, dy, 1e-5))},
        gradient=Gradient("y", ("x",), "dy"),
        expect=left_by_tf2onnx("RsqrtGrad"),
        tags=TAGS,
    ),
)
