"""Hard sigmoid, hard swish and hard tanh: the straight pieces that stand in for the smooth gates."""

from __future__ import annotations

import numpy as np

from onnx_triangulate import Array, Case, Rounded, Tensor

X = Tensor("n c", (3, 7), low=-5, high=5, integers=False)
KINKS = Tensor("n", values=[-4, -3, -2.5, -1, 0, 1, 2.5, 3, 4, np.nan, np.inf])
SIGMOID = {
    "torch": lambda torch: torch.nn.functional.hardsigmoid,
    "tensorflow": lambda tf: tf.keras.activations.hard_sigmoid,
}
SWISH = {
    "torch": lambda torch: torch.nn.functional.hardswish,
    "tensorflow": lambda tf: tf.keras.activations.hard_silu,
}
TANH = {
    "torch": lambda torch: torch.nn.functional.hardtanh,
    "tensorflow": lambda tf: tf.keras.activations.hard_tanh,
}
TAGS = ("activation",)


def hard_sigmoid(x: Array) -> Array:
    return np.clip((x + 3) / 6, 0, 1)


CASES = (
    Case("hardsigmoid", {"x": X}, SIGMOID, {"y": X}, truth=lambda x: Rounded(hard_sigmoid(x)), tags=TAGS),
    Case(
        "hardsigmoid_kinks",
        {"x": KINKS},
        SIGMOID,
        {"y": Tensor("n")},
        truth=lambda x: Rounded(hard_sigmoid(x)),
        tags=TAGS,
    ),
    Case("hardswish", {"x": X}, SWISH, {"y": X}, truth=lambda x: Rounded(x * hard_sigmoid(x)), tags=TAGS),
    Case(
        "hardswish_kinks",
        {"x": KINKS},
        SWISH,
        {"y": Tensor("n")},
        truth=lambda x: Rounded(x * hard_sigmoid(x)),
        tags=TAGS,
    ),
    Case("hardtanh", {"x": X}, TANH, {"y": X}, truth=lambda x: np.clip(x, -1, 1), tags=TAGS),
    Case("hardtanh_kinks", {"x": KINKS}, TANH, {"y": Tensor("n")}, truth=lambda x: np.clip(x, -1, 1), tags=TAGS),
)
