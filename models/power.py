"""Powers, roots and reciprocals: of zero, of negative numbers, by fractions, and their derivatives at zero."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnx_triangulate import Case, Gradient, Rounded, Tensor
from onnx_triangulate.cases.refusals import left_by_tf2onnx

TAGS = ("elementwise",)
X = Tensor("n", values=[0.25, 1.0, 2.0, 9.0, 100.0])
EDGES = Tensor("n", values=[0.0, 4.0, -1.0, np.inf, np.nan])


def case(name: str, x: Tensor, torch: Any, tensorflow: Any, truth: Any, **rest: Any) -> Case:
    return Case(
        name, {"x": x}, {"torch": torch, "tensorflow": tensorflow}, {"y": Tensor("n")}, truth=truth, tags=TAGS, **rest
    )


CASES = (
    Case(
        "pairs",
        {
            "a": Tensor("n", values=[2.0, -2.0, 0.0, 0.0, -8.0, 1.0, 2.0]),
            "b": Tensor("n", values=[3.0, 3.0, 0.0, 2.0, -1.0, np.inf, -np.inf]),
        },
        {"torch": lambda torch: torch.pow, "tensorflow": lambda tf: tf.pow},
        {"y": Tensor("n")},
        truth=lambda a, b: Rounded(a**b),
        tags=TAGS,
    ),
    Case(
        "root_of_a_negative_number",
        {"a": Tensor("n", values=[-8.0, 8.0, 0.0]), "b": Tensor("n", values=[0.5, 0.5, -1.0])},
        {"torch": lambda torch: torch.pow, "tensorflow": lambda tf: tf.pow},
        {"y": Tensor("n")},
        truth=lambda a, b: Rounded(a**b),
        tags=TAGS,
    ),
    case("cube", X, lambda torch: lambda x: x**3, lambda tf: lambda x: x**3, lambda x: Rounded(x**3)),
    case("square_root", EDGES, lambda torch: torch.sqrt, lambda tf: tf.sqrt, lambda x: Rounded(np.sqrt(x))),
    case(
        "reciprocal_root",
        Tensor("n", values=[0.25, 1.0, 2.0, 9.0, 0.0, np.inf]),
        lambda torch: torch.rsqrt,
        lambda tf: tf.math.rsqrt,
        lambda x: Rounded(1 / np.sqrt(x)),
    ),
    case(
        "reciprocal",
        Tensor("n", values=[4.0, -0.5, 3.0, np.inf, 0.0]),
        lambda torch: torch.reciprocal,
        lambda tf: tf.math.reciprocal,
        lambda x: Rounded(1 / x),
    ),
    Case(
        "gradient_of_the_root_at_zero",
        {"x": Tensor("n", values=[0.0, 0.25, 4.0]), "dy": Tensor("n", values=[1.0, 2.0, 4.0])},
        {"torch": lambda torch: torch.sqrt, "tensorflow": lambda tf: tf.sqrt},
        {"y": Tensor("n"), "grad_x": Tensor("n")},
        truth=lambda x, dy: {"y": np.sqrt(x), "grad_x": dy / (2 * np.sqrt(x))},
        gradient=Gradient("y", ("x",), "dy"),
        tags=TAGS,
        expect=left_by_tf2onnx("SqrtGrad"),
    ),
)
