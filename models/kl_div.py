"""Kullback and Leibler's divergence and the binary cross entropy, of probabilities that may be 0 or 1."""

from __future__ import annotations

import numpy as np

from onnx_triangulate import Array, Case, Expected, Gradient, Rounded, Tensor
from onnx_triangulate.cases.refusals import refused_by_torchscript

P = Tensor("n c", values=[[0.1, 0.2, 0.7], [0.5, 0.25, 0.25]])
Q = Tensor("n c", values=[[0.3, 0.3, 0.4], [0.1, 0.1, 0.8]])
SURE = Tensor("n", values=[0.0, 1.0, 0.5, 0.0])
LABELS = Tensor("n", values=[0.0, 1.0, 1.0, 1.0])
EPSILON = np.float64(np.float32(1e-7))
TAGS = ("loss",)


def kl(p: Array, q: Array) -> Array:
    """Sum of p log(p / q) a row."""
    return (p * np.log(p / q)).sum(-1)


def bce(p: Array, z: Array, floor: float) -> Array:
    return -(z * np.maximum(np.log(p), floor) + (1 - z) * np.maximum(np.log1p(-p), floor))


def clipped(p: Array, z: Array) -> Array:
    p = np.clip(p, EPSILON, 1 - EPSILON)
    return -(z * np.log(p) + (1 - z) * np.log(1 - p))


CASES = (
    Case(
        "divergence",
        {"p": P, "q": Q},
        {
            "torch": lambda torch: lambda p, q: torch.nn.functional.kl_div(q.log(), p, reduction="batchmean"),
            "tensorflow": lambda tf: tf.keras.losses.KLDivergence(),
        },
        {"y": Tensor("")},
        truth=lambda p, q: Rounded(kl(p, q).mean()),
        note="kl_div takes logarithms, and the second argument first",
        tags=TAGS,
    ),
    Case(
        "mean_of_elements",
        {"p": P, "q": Q},
        {
            "torch": lambda torch: lambda p, q: torch.nn.functional.kl_div(q.log(), p, reduction="mean"),
            "tensorflow": lambda tf: tf.keras.losses.KLDivergence(),
        },
        {"y": Tensor("")},
        truth={"torch": lambda p, q: Rounded(kl(p, q).sum() / 6), "tensorflow": lambda p, q: Rounded(kl(p, q).mean())},
        expect={
            ("tensorflow", "torch"): Expected(
                "semantics", reason="reduction='mean' divides by all elements, Keras by the rows only"
            )
        },
        tags=TAGS,
    ),
    Case(
        "bce",
        {"p": Tensor("n", (6,), low=0.05, high=0.95, integers=False), "z": Tensor("n", (6,), high=2)},
        {
            "torch": lambda torch: torch.nn.functional.binary_cross_entropy,
            "tensorflow": lambda tf: lambda p, z: tf.keras.losses.binary_crossentropy(z, p),
        },
        {"y": Tensor("")},
        truth=lambda p, z: Rounded(bce(p, z, -100).mean()),
        tags=TAGS,
        expect=refused_by_torchscript("aten::binary_cross_entropy"),
    ),
    Case(
        "bce_of_the_sure",
        {"p": SURE, "z": LABELS},
        {
            "torch": lambda torch: lambda p, z: torch.nn.functional.binary_cross_entropy(p, z, reduction="none"),
            "tensorflow": lambda tf: lambda p, z: tf.keras.losses.binary_crossentropy(z[:, None], p[:, None]),
        },
        {"y": Tensor("n")},
        truth={
            "torch": lambda p, z: Rounded(bce(p, z, -100)),
            "tensorflow": lambda p, z: Rounded(clipped(p, z)),
        },
        expect={
            **refused_by_torchscript("aten::binary_cross_entropy"),
            ("tensorflow", "torch"): Expected(
                "semantics", reason="PyTorch holds the logarithm above -100, Keras the probability above 1e-7"
            ),
        },
        tags=TAGS,
    ),
    Case(
        "bce_gradient",
        {"p": Tensor("n", values=[0.25, 0.5, 0.75, 0.9]), "dy": Tensor("", values=4.0)},
        {
            "torch": lambda torch: lambda p: torch.nn.functional.binary_cross_entropy(p, torch.ones_like(p)),
            "tensorflow": lambda tf: lambda p: -tf.reduce_mean(tf.math.log(p)),
        },
        {"y": Tensor(""), "grad_p": Tensor("n")},
        truth=lambda p, dy: {"y": Rounded(-np.log(p).mean()), "grad_p": Rounded(-dy / 4 / p)},
        gradient=Gradient("y", ("p",), "dy"),
        tags=TAGS,
    ),
)
