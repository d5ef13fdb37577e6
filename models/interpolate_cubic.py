"""Cubic interpolation: PyTorch's kernel has a = -0.75, TensorFlow's -0.5."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnx_triangulate import Array, Case, Expected, Rounded, Tensor

IMAGE = Tensor("n c h w", (1, 2, 4, 5), low=-9, high=10)
TAGS = ("resize",)


def kernel(t: Array, a: float) -> Array:
    """Keys, 1981: (a + 2) t^3 - (a + 3) t^2 + 1 up to 1, a t^3 - 5 a t^2 + 8 a t - 4 a up to 2."""
    t = abs(t)
    near, far = (a + 2) * t**3 - (a + 3) * t**2 + 1, a * (t**3 - 5 * t**2 + 8 * t - 4)
    return np.where(t <= 1, near, np.where(t < 2, far, 0))


def weights(n: int, m: int, a: float, corners: bool, edge: bool) -> Array:
    """The matrix (n, m); of what lies outside, the edge is repeated, or it is left out and the rest is scaled up."""
    at = np.arange(n) * (m - 1) / (n - 1) if corners else (np.arange(n) + 0.5) * m / n - 0.5
    found = np.zeros((n, m))
    for i, centre in enumerate(at):
        for j in range(int(np.floor(centre)) - 1, int(np.floor(centre)) + 3):
            if edge or 0 <= j < m:
                found[i, min(max(j, 0), m - 1)] += kernel(np.asarray(centre - j), a)
    return np.asarray(found / found.sum(1, keepdims=True))


def cubic(x: Array, size: tuple[int, int], a: float, corners: bool = False, edge: bool = True) -> Rounded:
    h, w = (weights(n, m, a, corners, edge) for n, m in zip(size, x.shape[2:], strict=True))
    return Rounded(np.einsum("ph,nchw,qw->ncpq", h, x, w))


def torch_resize(size: tuple[int, int], corners: bool = False) -> Any:
    return lambda torch: lambda x: torch.nn.functional.interpolate(x, size, mode="bicubic", align_corners=corners)


CASES = (
    Case(
        "half_pixel",
        {"x": IMAGE},
        {
            "torch": torch_resize((8, 10)),
            "tensorflow": lambda tf: lambda x: tf.image.resize(x, (8, 10), "bicubic"),
        },
        {"y": Tensor("n c h w")},
        truth={
            "torch": lambda x: cubic(x, (8, 10), -0.75),
            "tensorflow": lambda x: cubic(x, (8, 10), -0.5, edge=False),
        },
        expect={
            ("tensorflow", "torch"): Expected(
                "semantics",
                reason="PyTorch's cubic has a = -0.75 and repeats the edge, TensorFlow's a = -0.5 and leaves out what "
                "lies outside",
            )
        },
        tags=TAGS,
    ),
    Case(
        "align_corners",
        {"x": IMAGE},
        {"torch": torch_resize((7, 9), True)},
        {"y": Tensor("n c h w")},
        truth=lambda x: cubic(x, (7, 9), -0.75, True),
        tags=TAGS,
    ),
    Case(
        "smaller",
        {"x": IMAGE},
        {"torch": torch_resize((3, 3))},
        {"y": Tensor("n c h w")},
        truth=lambda x: cubic(x, (3, 3), -0.75),
        tags=TAGS,
    ),
)
