"""Pooling by the p-norm, (sum of x ** p) ** (1 / p) over each window."""

from __future__ import annotations

import numpy as np

from onnx_triangulate import Array, Case, Rounded, Tensor

IMAGE = Tensor("n c h w", (1, 2, 4, 6), low=-5, high=6, integers=False)
TAGS = ("pooling",)


def sums(x: Array) -> Array:
    n, c, h, w = x.shape
    return np.asarray(x.reshape(n, c, h // 2, 2, w // 2, 2).sum((3, 5)))


CASES = (
    Case(
        "p_2",
        {"x": IMAGE},
        {
            "torch": lambda torch: lambda x: torch.nn.functional.lp_pool2d(x, 2, 2),
            "tensorflow": lambda tf: lambda x: tf.sqrt(4 * tf.nn.avg_pool2d(x * x, 2, 2, "VALID")),
        },
        {"y": Tensor("n c h w")},
        truth=lambda x: Rounded(np.sqrt(sums(x**2))),
        tags=TAGS,
    ),
    Case(
        "p_3_of_positive_values",
        {"x": Tensor("n c h w", (1, 2, 4, 6), low=1, high=6, integers=False)},
        {"torch": lambda torch: lambda x: torch.nn.functional.lp_pool2d(x, 3, 2)},
        {"y": Tensor("n c h w")},
        truth=lambda x: Rounded(np.cbrt(sums(x**3))),
        tags=TAGS,
    ),
)
