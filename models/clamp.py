"""Clamping: at either end or both, with the lower above the upper, of NaN, and the derivative at the ends."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnx_triangulate import Array, Case, Expected, Gradient, Tensor

X = Tensor("n c", (3, 5), low=-9, high=10)
ENDS = Tensor("n", values=[-4.0, -2.0, 0.0, 3.0, 5.0])
TAGS = ("elementwise",)


def clip(x: Array, low: float, high: float) -> Array:
    return np.minimum(np.maximum(x, low), high)


def case(name: str, x: Tensor, low: float | None, high: float | None, truth: Any, **rest: Any) -> Case:
    def tensorflow(tf: Any) -> Any:
        if low is None or high is None:
            return lambda x: tf.maximum(x, low) if high is None else tf.minimum(x, high)
        return lambda x: tf.clip_by_value(x, low, high)

    builders = {"torch": lambda torch: lambda x: torch.clamp(x, low, high), "tensorflow": tensorflow}
    return Case(name, {"x": x}, builders, {"y": Tensor(x.axes, dtype=x.dtype)}, truth=truth, tags=TAGS, **rest)


CASES = (
    case("both_ends", X, -2, 3, lambda x: clip(x, -2, 3)),
    case("lower_end", X, -2, None, lambda x: np.maximum(x, -2)),
    case("upper_end", X, None, 3, lambda x: np.minimum(x, 3)),
    case(
        "lower_above_upper",
        X,
        4,
        -1,
        {"torch": lambda x: np.full(x.shape, -1.0), "tensorflow": lambda x: np.full(x.shape, 4.0)},
        expect={
            ("tensorflow", "torch"): Expected(
                "semantics", reason="of ends the wrong way round PyTorch gives the upper, TensorFlow the lower"
            )
        },
    ),
    case("integers", Tensor("n", (7,), "int32", low=-9, high=10), -2, 3, lambda x: clip(x, -2, 3)),
    case("nan", Tensor("n", values=[np.nan, np.inf, -np.inf, 1.0]), -2, 3, lambda x: clip(x, -2, 3)),
    Case(
        "gradient_at_the_ends",
        {"x": ENDS, "dy": Tensor("n", values=[1, 2, 3, 4, 5])},
        {
            "torch": lambda torch: lambda x: torch.clamp(x, -2, 3),
            "tensorflow": lambda tf: lambda x: tf.clip_by_value(x, -2, 3),
        },
        {"y": ENDS, "grad_x": ENDS},
        truth=lambda x, dy: {"y": clip(x, -2, 3), "grad_x": np.where((x >= -2) & (x <= 3), dy, 0)},
        gradient=Gradient("y", ("x",), "dy"),
        note="at an end both let it through",
        tags=TAGS,
    ),
)
