"""SiLU and Mish: x times a gate that opens smoothly, sigmoid(x) or tanh(softplus(x))."""

from __future__ import annotations

import numpy as np

from onnx_triangulate import Array, Case, Expected, Gradient, Rounded, Tensor

X = Tensor("n c h w", (2, 3, 2, 3), low=-6, high=6, integers=False)
TAILS = Tensor("n", values=[np.nan, np.inf, -87.0, -20.0, -1e-6, 1e-6, 20.0, 90.0])
SILU = {"torch": lambda torch: torch.nn.functional.silu, "tensorflow": lambda tf: tf.nn.silu}
MISH = {"torch": lambda torch: torch.nn.functional.mish, "tensorflow": lambda tf: tf.keras.activations.mish}
TAGS = ("activation",)
_SATURATES = Expected(
    "kernel",
    op="Sigmoid",
    reason="ONNX Runtime's Sigmoid is 0.5 plus an odd rational function of x held to -18..18: small results have no "
    "relative precision, and below -18 there is one value",
)
SATURATES = {
    ("torch*>reference", "torch*>ort.off"): _SATURATES,
    ("tensorflow*>reference", "tensorflow*>ort.off"): _SATURATES,
}


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def mish(x: Array) -> Array:
    return x * np.tanh(np.logaddexp(0, x))


CASES = (
    Case("silu", {"x": X}, SILU, {"y": X}, truth=lambda x: Rounded(x * sigmoid(x)), tags=TAGS),
    Case(
        "silu_tails",
        {"x": TAILS},
        SILU,
        {"y": Tensor("n")},
        truth=lambda x: Rounded(x * sigmoid(x)),
        expect=SATURATES,
        tags=TAGS,
    ),
    Case("mish", {"x": X}, MISH, {"y": X}, truth=lambda x: Rounded(mish(x)), tags=TAGS),
    Case("mish_tails", {"x": TAILS}, MISH, {"y": Tensor("n")}, truth=lambda x: Rounded(mish(x)), tags=TAGS),
    Case(
        "gradient",
        {"x": Tensor("n", values=[-3.0, -0.5, 0.0, 0.5, 2.0]), "dy": Tensor("n", values=[1, 2, 3, 4, 5])},
        SILU,
        {"y": Tensor("n"), "grad_x": Tensor("n")},
        truth=lambda x, dy: {
            "y": Rounded(x * sigmoid(x)),
            "grad_x": Rounded(dy * sigmoid(x) * (1 + x * (1 - sigmoid(x)))),
        },
        gradient=Gradient("y", ("x",), "dy"),
        tags=TAGS,
    ),
)
