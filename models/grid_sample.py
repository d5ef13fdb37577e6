"""grid_sample: an image at places that are given as numbers from -1 to 1."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnx_triangulate import Array, Case, Rounded, Tensor

IMAGE = Tensor("n c h w", (1, 2, 3, 4), low=-9, high=10)
GRID = Tensor("n p q two", (1, 2, 3, 2), low=-0.9, high=0.9, integers=False)
OUTSIDE = Tensor("n p q two", values=[[[[-1.5, 0.2], [0.3, 1.7], [3.0, 3.0]], [[-1.0, -1.0], [1.0, 1.0], [0.1, -0.3]]]])
TAGS = ("resize",)


def sample(x: Array, grid: Array, corners: bool, border: bool) -> Array:
    """Bilinear: the pixel at -1 is the first one (corners) or its edge; outside is zero or the border."""
    size = np.array(x.shape[:1:-1])  # width, height: the grid's order
    at = (grid + 1) / 2 * (size - 1) if corners else ((grid + 1) * size - 1) / 2
    at = np.clip(at, 0, size - 1) if border else at
    low = np.floor(at).astype(int)
    y = np.zeros((x.shape[0], x.shape[1], *grid.shape[1:3]))
    for dx, dy in ((0, 0), (0, 1), (1, 0), (1, 1)):
        i, j = low[..., 1] + dy, low[..., 0] + dx
        weight = np.maximum(0, 1 - abs(at[..., 1] - i)) * np.maximum(0, 1 - abs(at[..., 0] - j))
        inside = (i >= 0) & (i < x.shape[2]) & (j >= 0) & (j < x.shape[3])
        values = x[0][:, np.clip(i[0], 0, x.shape[2] - 1), np.clip(j[0], 0, x.shape[3] - 1)]
        y[0] += values * np.where(inside, weight, 0)[0]
    return y


def case(name: str, grid: Tensor, corners: bool = False, padding: str = "zeros", **rest: Any) -> Case:
    return Case(
        name,
        {"x": IMAGE, "grid": grid},
        {
            "torch": lambda torch: (
                lambda x, grid: torch.nn.functional.grid_sample(x, grid, padding_mode=padding, align_corners=corners)
            )
        },
        {"y": Tensor("n c h w")},
        truth=lambda x, grid: Rounded(sample(x, grid, corners, padding == "border")),
        tags=TAGS,
        **rest,
    )


CASES = (
    case("inside", GRID),
    case("corners", GRID, True),
    case("outside_zeros", OUTSIDE),
    case("outside_border", OUTSIDE, padding="border"),
)
