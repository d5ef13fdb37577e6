"""Losses of differences: squared, absolute, Huber's and the smooth one, and what each is the mean of."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnx_triangulate import Array, Case, Expected, Gradient, Rounded, Tensor
from onnx_triangulate.cases.refusals import refused_by_torchscript

X = Tensor("n c", (3, 4), low=-4, high=5)
EXACT = Tensor("n c", (2, 4), low=-4, high=5)  # a mean of eight is exact
TAGS = ("loss",)


def huber(d: Array, delta: float) -> Array:
    return np.where(abs(d) <= delta, d * d / 2, delta * (abs(d) - delta / 2))


def case(name: str, torch: Any, tensorflow: Any, truth: Any, x: Tensor = X, **rest: Any) -> Case:
    return Case(
        name,
        {"x": x, "z": x},
        {"torch": torch, "tensorflow": tensorflow},
        {"y": Tensor("")},
        truth=truth,
        tags=TAGS,
        **rest,
    )


CASES = (
    case(
        "squared",
        lambda torch: torch.nn.functional.mse_loss,
        lambda tf: lambda x, z: tf.reduce_mean(tf.math.squared_difference(x, z)),
        lambda x, z: ((x - z) ** 2).mean(),
        EXACT,
    ),
    case(
        "absolute",
        lambda torch: torch.nn.functional.l1_loss,
        lambda tf: lambda x, z: tf.keras.losses.MeanAbsoluteError()(z, x),
        lambda x, z: abs(x - z).mean(),
        EXACT,
        expect=refused_by_torchscript("aten::l1_loss"),
    ),
    case(
        "huber",
        lambda torch: lambda x, z: torch.nn.functional.huber_loss(x, z, delta=2.0),
        lambda tf: lambda x, z: tf.reduce_mean(tf.keras.losses.huber(z, x, delta=2.0)),
        lambda x, z: huber(x - z, 2.0).mean(),
        EXACT,
        expect=refused_by_torchscript("aten::huber_loss"),
    ),
    case(
        "smooth_against_huber",
        lambda torch: lambda x, z: torch.nn.functional.smooth_l1_loss(x, z, beta=2.0),
        lambda tf: lambda x, z: tf.reduce_mean(tf.keras.losses.huber(z, x, delta=2.0)),
        {
            "torch": lambda x, z: (huber(x - z, 2.0) / 2).mean(),
            "tensorflow": lambda x, z: huber(x - z, 2.0).mean(),
        },
        EXACT,
        expect={
            **refused_by_torchscript("aten::smooth_l1_loss"),
            ("tensorflow", "torch"): Expected(
                "semantics", reason="smooth_l1_loss is Huber's loss divided by beta; the two are one at 1 only"
            ),
        },
    ),
    case(
        "log_cosh",
        lambda torch: lambda x, z: torch.log(torch.cosh(x - z)).mean(),
        lambda tf: lambda x, z: tf.keras.losses.LogCosh()(z, x),
        lambda x, z: Rounded(np.log(np.cosh(x - z)).mean()),
        expect=refused_by_torchscript("aten::cosh"),
    ),
    Case(
        "gradient_of_huber",
        {
            "x": Tensor("n", values=[-4.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 5.0]),
            "dy": Tensor("", values=8.0),
        },
        {
            "torch": lambda torch: lambda x: torch.nn.functional.huber_loss(x, torch.zeros_like(x), delta=2.0),
            "tensorflow": lambda tf: (
                lambda x: tf.reduce_mean(tf.where(tf.abs(x) <= 2.0, x * x / 2, 2.0 * (tf.abs(x) - 1.0)))
            ),
        },
        {"y": Tensor(""), "grad_x": Tensor("n")},
        truth=lambda x, dy: {"y": huber(x, 2.0).mean(), "grad_x": dy / 8 * np.clip(x, -2, 2)},
        gradient=Gradient("y", ("x",), "dy"),
        note="at delta both sides have one slope",
        tags=TAGS,
    ),
)
