"""Unfold and fold: every window as a column, and columns summed back; grid_sample: pixels at places that are given."""

from __future__ import annotations

import numpy as np

from onnx_triangulate import Array, Case, Expected, Tensor

IMAGE = Tensor("n c h w", (2, 3, 4, 5), low=-20, high=21)
TAGS = ("shape",)


def unfold(x: Array) -> Array:
    """(n, c * 2 * 2, windows): channel, row and column of the window, in this order."""
    found = np.lib.stride_tricks.sliding_window_view(x, (2, 2), (2, 3))
    n, c, p, q = found.shape[:4]
    return found.transpose(0, 1, 4, 5, 2, 3).reshape(n, c * 4, p * q)


def fold(x: Array) -> Array:
    """Columns of (n, c * 2 * 2, 2 * 3) windows summed into (n, c, 3, 4)."""
    n = x.shape[0]
    parts = x.reshape(n, -1, 2, 2, 2, 3)
    y = np.zeros((n, parts.shape[1], 3, 4))
    for i in range(2):
        for j in range(2):
            y[:, :, i : i + 2, j : j + 3] += parts[:, :, i, j]
    return y


CASES = (
    Case(
        "unfold",
        {"x": IMAGE},
        {"torch": lambda torch: lambda x: torch.nn.functional.unfold(x, 2)},
        {"y": Tensor("n k p")},
        truth=unfold,
        tags=TAGS,
    ),
    Case(
        "patches",
        {"x": IMAGE},
        {
            "torch": lambda torch: lambda x: torch.nn.functional.unfold(x, 2).transpose(1, 2),
            "tensorflow": lambda tf: (
                lambda x: tf.reshape(
                    tf.image.extract_patches(x, [1, 2, 2, 1], [1, 1, 1, 1], [1, 1, 1, 1], "VALID"), (2, 12, 12)
                )
            ),
        },
        {"y": Tensor("n p k")},
        truth={
            "torch": lambda x: unfold(x).transpose(0, 2, 1),
            "tensorflow": lambda x: unfold(x).reshape(2, 3, 4, 12).transpose(0, 3, 2, 1).reshape(2, 12, 12),
        },
        expect={
            ("tensorflow", "torch"): Expected(
                "semantics",
                reason="in a column of unfold the channel is slowest, in a patch of extract_patches it is fastest",
            )
        },
        tags=TAGS,
    ),
    Case(
        "fold",
        {"x": Tensor("n k p", (2, 8, 6), low=-20, high=21)},
        {"torch": lambda torch: lambda x: torch.nn.functional.fold(x, (3, 4), 2)},
        {"y": Tensor("n c h w")},
        truth=fold,
        tags=TAGS,
    ),
)
