"""Sums, products, means and norms: along axes, of nothing, of whole numbers, and what they are divided by."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnx_triangulate import Case, Expected, Gradient, Rounded, Tensor

X = Tensor("a b c", (2, 4, 3), low=-9, high=10)
INTS = Tensor("a b", (2, 3), "int32", low=-9, high=10)
EMPTY = Tensor("a z", (2, 0))
REALS = Tensor("a b", (3, 5), low=-3, high=3, integers=False)
TAGS = ("reduction",)


def case(name: str, x: Tensor, torch: Any, tensorflow: Any, y: Tensor, truth: Any, **rest: Any) -> Case:
    return Case(name, {"x": x}, {"torch": torch, "tensorflow": tensorflow}, {"y": y}, truth=truth, tags=TAGS, **rest)


PROMOTES = {
    ("tensorflow", "torch"): Expected(
        "semantics", reason="PyTorch sums whole numbers in int64, TensorFlow in the type that they have"
    )
}
OVERFLOWS = Expected("native", reason="the squares of numbers above 1.8e19 overflow, those below 1e-23 vanish")

CASES = (
    case("sum", X, lambda torch: torch.sum, lambda tf: tf.reduce_sum, Tensor(""), lambda x: x.sum()),
    case(
        "sum_of_axes",
        X,
        lambda torch: lambda x: x.sum((0, 2), keepdim=True),
        lambda tf: lambda x: tf.reduce_sum(x, [0, 2], keepdims=True),
        Tensor("a b c"),
        lambda x: x.sum((0, 2), keepdims=True),
        dynamic={"a": (1, 5)},
    ),
    case(
        "sum_of_nothing",
        EMPTY,
        lambda torch: lambda x: x.sum(1),
        lambda tf: lambda x: tf.reduce_sum(x, 1),
        Tensor("a"),
        lambda x: x.sum(1),
    ),
    case(
        "product_of_nothing",
        EMPTY,
        lambda torch: lambda x: x.prod(1),
        lambda tf: lambda x: tf.reduce_prod(x, 1),
        Tensor("a"),
        lambda x: x.prod(1),
    ),
    case(
        "product",
        Tensor("a b", (2, 4), low=1, high=6),
        lambda torch: lambda x: x.prod(1),
        lambda tf: lambda x: tf.reduce_prod(x, 1),
        Tensor("a"),
        lambda x: x.prod(1),
    ),
    case(
        "mean",
        X,
        lambda torch: lambda x: x.mean(1),
        lambda tf: lambda x: tf.reduce_mean(x, 1),
        Tensor("a c"),
        lambda x: x.mean(1),
    ),
    case(
        "norm_1",
        X,
        lambda torch: lambda x: torch.linalg.vector_norm(x, 1, dim=1),
        lambda tf: lambda x: tf.norm(x, 1, axis=1),
        Tensor("a c"),
        lambda x: abs(x).sum(1),
    ),
    case(
        "norm_2",
        REALS,
        lambda torch: lambda x: torch.linalg.vector_norm(x, dim=1),
        lambda tf: lambda x: tf.norm(x, axis=1),
        Tensor("a"),
        lambda x: Rounded(np.sqrt((x**2).sum(1))),
    ),
    case(
        "norm_infinity",
        X,
        lambda torch: lambda x: torch.linalg.vector_norm(x, float("inf"), dim=1),
        lambda tf: lambda x: tf.norm(x, np.inf, axis=1),
        Tensor("a c"),
        lambda x: abs(x).max(1),
    ),
    case(
        "norm_2_overflows",
        Tensor("a b", values=[[3e20, 4e20], [3e-25, 4e-25]]),
        lambda torch: lambda x: torch.linalg.vector_norm(x, dim=1),
        lambda tf: lambda x: tf.norm(x, axis=1),
        Tensor("a"),
        lambda x: Rounded(np.sqrt((x**2).sum(1))),
        expect={
            ("truth", "torch"): OVERFLOWS,
            ("truth", "tensorflow"): OVERFLOWS,
        },
    ),
    Case(
        "gradient_of_the_mean",
        {"x": Tensor("a b", (2, 4), low=-9, high=10), "dy": Tensor("a", values=[4.0, 8.0])},
        {"torch": lambda torch: lambda x: x.mean(1), "tensorflow": lambda tf: lambda x: tf.reduce_mean(x, 1)},
        {"y": Tensor("a"), "grad_x": Tensor("a b")},
        truth=lambda x, dy: {"y": x.mean(1), "grad_x": np.repeat(dy[:, None] / 4, 4, 1)},
        gradient=Gradient("y", ("x",), "dy"),
        tags=TAGS,
    ),
    Case(
        "sum_of_integers",
        {"x": INTS},
        {"torch": lambda torch: lambda x: x.sum(1), "tensorflow": lambda tf: lambda x: tf.reduce_sum(x, 1)},
        truth=lambda x: x.sum(1),
        expect=PROMOTES,
        tags=(*TAGS, "number-types"),
    ),
)
