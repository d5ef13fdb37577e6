"""ELU, SELU and CELU: the exponential below zero, alpha (exp(x) - 1), with three ways to scale it."""

from __future__ import annotations

import numpy as np

from onnx_triangulate import Array, Case, Gradient, Rounded, Tensor
from onnx_triangulate.cases.refusals import left_by_tf2onnx

X = Tensor("n c", (3, 5), low=-4, high=4, integers=False)
TAILS = Tensor("n", values=[np.nan, np.inf, -np.inf, -100.0, -1e-6, 1e-6, 2.0])
ALPHA, SCALE = 1.6732632423543772, 1.0507009873554805  # Klambauer and others, 2017
TAGS = ("activation",)
ELU = {"torch": lambda torch: torch.nn.functional.elu, "tensorflow": lambda tf: tf.nn.elu}
HALF = {
    "torch": lambda torch: lambda x: torch.nn.functional.elu(x, alpha=0.5),
    "tensorflow": lambda tf: lambda x: tf.keras.activations.elu(x, alpha=0.5),
}
SELU = {"torch": lambda torch: torch.nn.functional.selu, "tensorflow": lambda tf: tf.nn.selu}
CELU = {
    "torch": lambda torch: lambda x: torch.nn.functional.celu(x, alpha=2.0),
    "tensorflow": lambda tf: lambda x: tf.keras.activations.celu(x, alpha=2.0),
}


def elu(x: Array, alpha: float = 1.0) -> Array:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


CASES = (
    Case("elu", {"x": X}, ELU, {"y": X}, truth=lambda x: Rounded(elu(x)), tags=TAGS),
    Case("elu_tails", {"x": TAILS}, ELU, {"y": Tensor("n")}, truth=lambda x: Rounded(elu(x)), tags=TAGS),
    Case("elu_half", {"x": X}, HALF, {"y": X}, truth=lambda x: Rounded(elu(x, 0.5)), tags=TAGS),
    Case("selu", {"x": X}, SELU, {"y": X}, truth=lambda x: Rounded(SCALE * elu(x, ALPHA)), tags=TAGS),
    Case(
        "celu",
        {"x": X},
        CELU,
        {"y": X},
        truth=lambda x: Rounded(2 * elu(x / 2)),
        expect=left_by_tf2onnx("Expm1"),
        tags=TAGS,
    ),
    Case(
        "gradient",
        {"x": Tensor("n", values=[-3.0, -0.5, 0.0, 0.5, 2.0]), "dy": Tensor("n", values=[1, 2, 3, 4, 5])},
        ELU,
        {"y": Tensor("n"), "grad_x": Tensor("n")},
        truth=lambda x, dy: {"y": Rounded(elu(x)), "grad_x": Rounded(dy * np.where(x > 0, 1, np.exp(x)))},
        gradient=Gradient("y", ("x",), "dy"),
        expect=left_by_tf2onnx("EluGrad"),
        tags=TAGS,
    ),
)
