"""Running sums and products: forward, without the element itself, from the end."""

from __future__ import annotations

import numpy as np

from onnx_triangulate import Case, Gradient, Tensor
from onnx_triangulate.cases.refusals import refused_by_torch

X = Tensor("a b", (3, 5), low=-9, high=10)
TAGS = ("reduction",)

CASES = (
    Case(
        "sums",
        {"x": X},
        {"torch": lambda torch: lambda x: x.cumsum(1), "tensorflow": lambda tf: lambda x: tf.cumsum(x, 1)},
        {"y": X},
        truth=lambda x: x.cumsum(1),
        tags=TAGS,
    ),
    Case(
        "sums_from_the_end",
        {"x": X},
        {
            "torch": lambda torch: lambda x: x.flip(1).cumsum(1).flip(1),
            "tensorflow": lambda tf: lambda x: tf.cumsum(x, 1, reverse=True),
        },
        {"y": X},
        truth=lambda x: x[:, ::-1].cumsum(1)[:, ::-1],
        tags=TAGS,
    ),
    Case(
        "sums_without_itself",
        {"x": X},
        {
            "torch": lambda torch: lambda x: x.cumsum(1) - x,
            "tensorflow": lambda tf: lambda x: tf.cumsum(x, 1, exclusive=True),
        },
        {"y": X},
        truth=lambda x: x.cumsum(1) - x,
        tags=TAGS,
    ),
    Case(
        "sums_of_integers",
        {"x": Tensor("b", (5,), "int64", low=-9, high=10)},
        {"torch": lambda torch: lambda x: x.cumsum(0), "tensorflow": lambda tf: tf.cumsum},
        {"y": Tensor("b", dtype="int64")},
        truth=lambda x: x.cumsum(),
        tags=TAGS,
    ),
    Case(
        "products",
        {"x": Tensor("a b", (2, 4), low=1, high=5)},
        {"torch": lambda torch: lambda x: x.cumprod(1), "tensorflow": lambda tf: lambda x: tf.math.cumprod(x, 1)},
        {"y": Tensor("a b")},
        truth=lambda x: x.cumprod(1),
        tags=TAGS,
        expect=refused_by_torch("prims::prod", "aten::cumprod"),
    ),
    Case(
        "gradient",
        {"x": Tensor("b", (5,), low=-9, high=10), "dy": Tensor("b", (5,), low=1, high=9)},
        {"torch": lambda torch: lambda x: x.cumsum(0), "tensorflow": lambda tf: tf.cumsum},
        {"y": Tensor("b"), "grad_x": Tensor("b")},
        truth=lambda x, dy: {"y": np.cumsum(x), "grad_x": np.cumsum(dy[::-1])[::-1]},
        gradient=Gradient("y", ("x",), "dy"),
        tags=TAGS,
    ),
)
