"""Local response normalization: PyTorch divides alpha by the size of the window, TensorFlow does not."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnx_triangulate import Array, Case, Expected, Rounded, Tensor

IMAGE = Tensor("n c h w", (2, 5, 2, 2), low=-3, high=4, integers=False)
TAGS = ("normalization",)
FIRST_CHANNELS = {
    ("tensorflow", "tensorflow*>reference"): Expected(
        "reference",
        op="LRN",
        reason="ONNX's reference evaluator sums squares for as many channels as the batch has rows, and for no others",
    )
}


def lrn(x: Array, size: int, alpha: float, beta: float, k: float) -> Array:
    """x / (k + alpha * sum of squares over ``size`` channels) ** beta."""
    squares = np.pad(x**2, ((0, 0), (size // 2, (size - 1) // 2), (0, 0), (0, 0)))
    near = sum(squares[:, i : i + x.shape[1]] for i in range(size))
    return x / (k + alpha * near) ** beta


def torch_lrn(alpha: float) -> Any:
    return lambda torch: torch.nn.LocalResponseNorm(3, alpha=alpha, beta=0.75, k=1.0)


def tensorflow_lrn(alpha: float) -> Any:
    return lambda tf: lambda x: tf.nn.local_response_normalization(x, depth_radius=1, bias=1.0, alpha=alpha, beta=0.75)


CASES = (
    Case(
        "same_alpha",
        {"x": IMAGE},
        {"torch": torch_lrn(0.3), "tensorflow": tensorflow_lrn(0.3)},
        {"y": IMAGE},
        truth={
            "torch": lambda x: Rounded(lrn(x, 3, 0.1, 0.75, 1.0)),
            "tensorflow": lambda x: Rounded(lrn(x, 3, 0.3, 0.75, 1.0)),
        },
        expect={
            **FIRST_CHANNELS,
            ("tensorflow", "torch"): Expected(
                "semantics", reason="PyTorch takes the mean of the squares in the window, TensorFlow their sum"
            ),
        },
        tags=TAGS,
    ),
    Case(
        "alpha_by_size",
        {"x": IMAGE},
        {"torch": torch_lrn(0.3), "tensorflow": tensorflow_lrn(0.3 / 3)},
        {"y": IMAGE},
        truth=lambda x: Rounded(lrn(x, 3, 0.1, 0.75, 1.0)),
        expect=FIRST_CHANNELS,
        note="the remedy: alpha divided by the size of the window",
        tags=TAGS,
    ),
)
