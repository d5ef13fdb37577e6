"""Linear interpolation: corners aligned or not, of odd sizes, with and without a filter where it gets smaller."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnx_triangulate import Array, Case, Expected, Gradient, Rounded, Tensor
from onnx_triangulate.cases.refusals import left_by_tf2onnx, refused_by_torch, refused_by_torchscript

IMAGE = Tensor("n c h w", (1, 2, 3, 4), low=-9, high=10)
LARGE = Tensor("n c h w", (1, 2, 6, 8), low=-9, high=10)
TAGS = ("resize",)


def weights(n: int, m: int, corners: bool = False, antialias: bool = False) -> Array:
    """The matrix (n, m) that makes n pixels of m: triangles of width 1, or of m / n where they are to filter."""
    at = np.arange(n) * (m - 1) / max(n - 1, 1) if corners else (np.arange(n) + 0.5) * m / n - 0.5
    width = max(m / n, 1) if antialias else 1.0
    at = at if antialias else np.clip(at, 0, m - 1)
    found = np.maximum(0, 1 - abs(at[:, None] - np.arange(m)) / width)
    return np.asarray(found / found.sum(1, keepdims=True))


def linear(x: Array, size: tuple[int, int], **settings: bool) -> Array:
    h, w = (weights(n, m, **settings) for n, m in zip(size, x.shape[2:], strict=True))
    return np.einsum("ph,nchw,qw->ncpq", h, x, w)


def case(
    name: str, x: Tensor, size: tuple[int, int], tensorflow: Any = None, expect: Any = None, **settings: bool
) -> Case:
    torch = {"align_corners": settings.get("corners", False), "antialias": settings.get("antialias", False)}
    builders: dict[str, Any] = {
        "torch": lambda torch_: lambda x: torch_.nn.functional.interpolate(x, size, mode="bilinear", **torch)
    }
    builders |= {"tensorflow": tensorflow} if tensorflow else {}
    y = {"y": Tensor("n c h w")}

    def truth(x: Array) -> Rounded:
        return Rounded(linear(x, size, **settings))

    return Case(name, {"x": x}, builders, y, truth=truth, expect=expect or {}, tags=TAGS)


def resize(height: int, width: int, antialias: bool = False) -> Any:
    return lambda tf: lambda x: tf.image.resize(x, (height, width), "bilinear", antialias=antialias)


def aligned(height: int, width: int) -> Any:
    return lambda tf: lambda x: tf.compat.v1.image.resize_bilinear(x, (height, width), align_corners=True)


SCALE = {
    ("tensorflow", "tensorflow*>reference"): Expected(
        "reference",
        op="Resize",
        reason="tf2onnx writes the size 5 of 3 as a scale in float32, a little less than 5 / 3: the reference "
        "evaluator takes 4 pixels, ONNX Runtime, which multiplies in float32, takes 5",
    )
}
ANTIALIAS = left_by_tf2onnx("ScaleAndTranslate") | refused_by_torchscript("aten::_upsample_bilinear2d_aa")

CASES = (
    case("twice", IMAGE, (6, 8), resize(6, 8)),
    case("half", LARGE, (3, 4), resize(3, 4)),
    case("odd_size", IMAGE, (5, 7), resize(5, 7), SCALE),
    case("smaller_odd", LARGE, (4, 5), resize(4, 5)),
    case("antialias", LARGE, (3, 5), resize(3, 5, True), ANTIALIAS, antialias=True),
    case("align_corners", IMAGE, (5, 7), aligned(5, 7), SCALE, corners=True),
    Case(
        "one_axis",
        {"x": Tensor("n c l", (2, 3, 5), low=-9, high=10)},
        {"torch": lambda torch: lambda x: torch.nn.functional.interpolate(x, 8, mode="linear")},
        {"y": Tensor("n c l")},
        truth=lambda x: Rounded(x @ weights(8, 5).T),
        tags=TAGS,
    ),
    Case(
        "gradient",
        {"x": Tensor("n c h w", (1, 1, 2, 3), low=-4, high=5), "dy": Tensor("n c h w", (1, 1, 4, 6), low=1, high=9)},
        {
            "torch": lambda torch: lambda x: torch.nn.functional.interpolate(x, (4, 6), mode="bilinear"),
            "tensorflow": resize(4, 6),
        },
        {"y": Tensor("n c h w"), "grad_x": Tensor("n c h w")},
        truth=lambda x, dy: {
            "y": Rounded(linear(x, (4, 6))),
            "grad_x": Rounded(np.einsum("ph,ncpq,qw->nchw", weights(4, 2), dy, weights(6, 3))),
        },
        gradient=Gradient("y", ("x",), "dy"),
        tags=TAGS,
        expect=left_by_tf2onnx("ResizeBilinearGrad") | refused_by_torch("aten::upsample_bilinear2d_backward"),
    ),
)
