"""Max pooling: padding is minus infinity, so that negative numbers tell it from zeros."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnx_triangulate import Array, Case, Expected, Tensor


def max_pool(x: Array, k: int, s: int, pads: tuple[int, int]) -> Array:
    p = np.pad(x, ((0, 0), (0, 0), pads, pads), constant_values=-np.inf)
    return np.asarray(np.lib.stride_tricks.sliding_window_view(p, (k, k), (2, 3))[:, :, ::s, ::s].max((-2, -1)))


def case(name: str, size: int, k: int, s: int, padding: int, **rest: Any) -> Case:
    """TensorFlow pads with SAME where torch pads at all."""
    return Case(
        name,
        inputs={"x": Tensor("n c h w", (2, 3, size, size), low=-9, high=-1)},
        outputs={"y": Tensor("n c h w")},
        builders={
            "torch": lambda torch: lambda x: torch.nn.functional.max_pool2d(x, k, s, padding),
            "tensorflow": lambda tf: lambda x: tf.nn.max_pool2d(x, k, s, "SAME" if padding else "VALID"),
        },
        **{"truth": lambda x: max_pool(x, k, s, (padding, padding)), "tags": ("pooling",), **rest},
    )


CASES = (
    case("valid", 6, 2, 2, 0),
    case("odd_input", 7, 3, 2, 1, note="SAME needs one row on each side here, as padding=1 gives"),
    case(
        "even_input",
        6,
        3,
        2,
        1,
        truth={"torch": lambda x: max_pool(x, 3, 2, (1, 1)), "tensorflow": lambda x: max_pool(x, 3, 2, (0, 1))},
        expect={
            ("tensorflow", "torch"): Expected(
                "semantics",
                cause="asymmetric-padding",
                reason="an even input needs one row and one column of padding: SAME puts them after, padding=1 on both "
                "sides and leaves the last row and column unused",
            )
        },
    ),
)
