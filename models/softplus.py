"""Softplus and softsign: log(1 + exp(x)), which PyTorch cuts off above its threshold, and x / (1 + abs(x))."""

from __future__ import annotations

import numpy as np

from onnx_triangulate import Array, Case, Expected, Gradient, Rounded, Tensor

X = Tensor("n c", (3, 5), low=-6, high=6, integers=False)
SMALL = Tensor("n c", (3, 5), low=-4, high=4, integers=False)
TAILS = Tensor("n", values=[np.nan, np.inf, -np.inf, -100.0, -30.0, 0.0, 14.0, 19.5, 20.5, 90.0])
SOFTPLUS = {"torch": lambda torch: torch.nn.functional.softplus, "tensorflow": lambda tf: tf.nn.softplus}
SOFTSIGN = {"torch": lambda torch: torch.nn.functional.softsign, "tensorflow": lambda tf: tf.nn.softsign}
SHARP = {
    "torch": lambda torch: lambda x: torch.nn.functional.softplus(x, beta=4),
    "tensorflow": lambda tf: lambda x: tf.nn.softplus(4 * x) / 4,
}
TAGS = ("activation",)


def softplus(x: Array) -> Array:
    return np.logaddexp(0, x)


def cut_softplus(x: Array) -> Array:
    return np.where(x > 20, x, softplus(x))


CASES = (
    Case("softplus", {"x": X}, SOFTPLUS, {"y": X}, truth=lambda x: Rounded(softplus(x)), tags=TAGS),
    Case(
        "softplus_tails",
        {"x": TAILS},
        SOFTPLUS,
        {"y": Tensor("n")},
        truth={"torch": lambda x: Rounded(cut_softplus(x)), "tensorflow": lambda x: Rounded(softplus(x))},
        expect={
            ("tensorflow", "torch"): Expected(
                "semantics", reason="PyTorch returns x above its threshold of 20, where log(1 + exp(x)) is 2e-9 more"
            ),
            ("torch@64", "torch:script>*@64"): Expected(
                "export",
                op="Softplus",
                reason="the TorchScript exporter writes a Softplus without the threshold, which ONNX does not have",
            ),
        },
        note="in float64 only: float32 has no such digits",
        tags=TAGS,
    ),
    Case("softplus_beta", {"x": SMALL}, SHARP, {"y": SMALL}, truth=lambda x: Rounded(softplus(4 * x) / 4), tags=TAGS),
    Case("softsign", {"x": X}, SOFTSIGN, {"y": X}, truth=lambda x: Rounded(x / (1 + abs(x))), tags=TAGS),
    Case(
        "gradient",
        {"x": Tensor("n", values=[-3.0, -0.5, 0.0, 0.5, 2.0]), "dy": Tensor("n", values=[1, 2, 3, 4, 5])},
        SOFTPLUS,
        {"y": Tensor("n"), "grad_x": Tensor("n")},
        truth=lambda x, dy: {"y": Rounded(softplus(x)), "grad_x": Rounded(dy / (1 + np.exp(-x)))},
        gradient=Gradient("y", ("x",), "dy"),
        tags=TAGS,
    ),
)
