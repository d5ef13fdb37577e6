"""Nearest neighbours: by a scale or to a size, and where the source of a pixel is looked for."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnx_triangulate import Array, Case, Expected, Tensor
from onnx_triangulate.cases.refusals import refused_by_torchscript

IMAGE = Tensor("n c h w", (1, 2, 3, 4), low=-9, high=10)
LARGE = Tensor("n c h w", (1, 2, 6, 8), low=-9, high=10)
TAGS = ("resize",)
EXACT = refused_by_torchscript("aten::_upsample_nearest_exact2d")


def nearest(x: Array, size: tuple[int, int], shift: float) -> Array:
    """Pixel i of n is source floor((i + shift) * m / n): shift 0 is asymmetric, 0.5 takes centres of pixels."""
    for axis, n in ((2, size[0]), (3, size[1])):
        m = x.shape[axis]
        x = x.take(np.minimum(np.floor((np.arange(n) + shift) * m / n).astype(int), m - 1), axis)
    return x


def case(name: str, x: Tensor, torch: dict[str, Any], tensorflow: Any, truth: Any, **rest: Any) -> Case:
    builders = {"torch": lambda torch_: lambda x: torch_.nn.functional.interpolate(x, **torch)}
    builders |= {"tensorflow": tensorflow} if tensorflow else {}
    return Case(name, {"x": x}, builders, {"y": Tensor("n c h w")}, truth=truth, tags=TAGS, **rest)


def resize(height: int, width: int) -> Any:
    return lambda tf: lambda x: tf.image.resize(x, (height, width), "nearest")


CASES = (
    case("twice", IMAGE, {"scale_factor": 2}, resize(6, 8), lambda x: nearest(x, (6, 8), 0)),
    case(
        "half",
        LARGE,
        {"size": (3, 4), "mode": "nearest-exact"},
        resize(3, 4),
        lambda x: nearest(x, (3, 4), 0.5),
        expect=EXACT,
    ),
    case(
        "half_by_floor",
        LARGE,
        {"size": (3, 4)},
        resize(3, 4),
        {"torch": lambda x: nearest(x, (3, 4), 0), "tensorflow": lambda x: nearest(x, (3, 4), 0.5)},
        expect={
            ("tensorflow", "torch"): Expected(
                "semantics",
                reason="mode='nearest' takes the pixel at i * scale, tf.image.resize that at (i + 0.5) * scale",
            )
        },
        note="mode='nearest-exact' is the remedy",
    ),
    case(
        "odd_size",
        IMAGE,
        {"size": (5, 7), "mode": "nearest-exact"},
        resize(5, 7),
        lambda x: nearest(x, (5, 7), 0.5),
        expect=EXACT,
    ),
    case("odd_size_by_floor", IMAGE, {"size": (5, 7)}, None, lambda x: nearest(x, (5, 7), 0)),
)
