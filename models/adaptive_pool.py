"""Adaptive and global pooling: windows by the size of the result, which need not divide that of the input."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnx_triangulate import Array, Case, Expected, Rounded, Tensor

IMAGE = Tensor("n c h w", (2, 3, 6, 4), low=-8, high=9)
TAGS = ("pooling",)
UNEVEN = {
    ("torch", "torch:script>*"): Expected(
        "export-failed", reason="the TorchScript exporter takes only sizes of the result that divide the input's"
    )
}


def adaptive(x: Array, size: tuple[int, int], reduce: Any) -> Array:
    """Window i of m over n elements is floor(i n / m) .. ceil((i + 1) n / m)."""

    def parts(n: int, m: int) -> list[slice]:
        return [slice(i * n // m, -(-(i + 1) * n // m)) for i in range(m)]

    rows, columns = parts(x.shape[2], size[0]), parts(x.shape[3], size[1])
    return np.stack([np.stack([reduce(x[:, :, r, c], (2, 3)) for c in columns], -1) for r in rows], -2)


def torch_adaptive(kind: str, size: tuple[int, int]) -> Any:
    return lambda torch: lambda x: getattr(torch.nn.functional, f"adaptive_{kind}_pool2d")(x, size)


CASES = (
    Case(
        "average_divides",
        {"x": IMAGE},
        {"torch": torch_adaptive("avg", (3, 2)), "tensorflow": lambda tf: lambda x: tf.nn.avg_pool2d(x, 2, 2, "VALID")},
        {"y": Tensor("n c h w")},
        truth=lambda x: adaptive(x, (3, 2), np.mean),
        tags=TAGS,
    ),
    Case(
        "average_uneven",
        {"x": IMAGE},
        {"torch": torch_adaptive("avg", (4, 3))},
        {"y": Tensor("n c h w")},
        truth=lambda x: Rounded(adaptive(x, (4, 3), np.mean)),
        expect=UNEVEN,
        note="windows overlap and are of several sizes",
        tags=TAGS,
    ),
    Case(
        "maximum_divides",
        {"x": IMAGE},
        {"torch": torch_adaptive("max", (3, 2)), "tensorflow": lambda tf: lambda x: tf.nn.max_pool2d(x, 2, 2, "VALID")},
        {"y": Tensor("n c h w")},
        truth=lambda x: adaptive(x, (3, 2), np.max),
        tags=TAGS,
    ),
    Case(
        "global_average",
        {"x": IMAGE},
        {
            "torch": torch_adaptive("avg", (1, 1)),
            "tensorflow": lambda tf: tf.keras.layers.GlobalAveragePooling2D(keepdims=True),
        },
        {"y": Tensor("n c h w")},
        truth=lambda x: Rounded(x.mean((2, 3), keepdims=True)),
        dynamic={"n": (1, 5)},
        tags=TAGS,
    ),
    Case(
        "global_maximum",
        {"x": IMAGE},
        {
            "torch": torch_adaptive("max", (1, 1)),
            "tensorflow": lambda tf: tf.keras.layers.GlobalMaxPooling2D(keepdims=True),
        },
        {"y": Tensor("n c h w")},
        truth=lambda x: x.max((2, 3), keepdims=True),
        tags=TAGS,
    ),
)
