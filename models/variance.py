"""Variance and standard deviation: divided by n or by n - 1, of one element, of constants; log of a sum of powers."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnx_triangulate import Case, Expected, Gradient, Rounded, Tensor

X = Tensor("a b", (3, 5), low=-3, high=3, integers=False)
TAGS = ("reduction",)
LOGSUMEXP = {
    "torch": lambda torch: lambda x: torch.logsumexp(x, 1),
    "tensorflow": lambda tf: lambda x: tf.reduce_logsumexp(x, 1),
}


def case(name: str, torch: Any, tensorflow: Any, truth: Any, x: Tensor = X, **rest: Any) -> Case:
    return Case(
        name, {"x": x}, {"torch": torch, "tensorflow": tensorflow}, {"y": Tensor("a")}, truth=truth, tags=TAGS, **rest
    )


BESSEL = {
    ("tensorflow", "torch"): Expected("semantics", reason="PyTorch divides by n - 1, TensorFlow by n"),
}

CASES = (
    case(
        "variance",
        lambda torch: lambda x: x.var(1),
        lambda tf: lambda x: tf.math.reduce_variance(x, 1),
        {"torch": lambda x: Rounded(x.var(1, ddof=1)), "tensorflow": lambda x: Rounded(x.var(1))},
        expect=BESSEL,
    ),
    case(
        "variance_by_n",
        lambda torch: lambda x: x.var(1, correction=0),
        lambda tf: lambda x: tf.math.reduce_variance(x, 1),
        lambda x: Rounded(x.var(1)),
        note="the remedy",
    ),
    case(
        "standard_deviation",
        lambda torch: lambda x: x.std(1),
        lambda tf: lambda x: tf.math.reduce_std(x, 1),
        {"torch": lambda x: Rounded(x.std(1, ddof=1)), "tensorflow": lambda x: Rounded(x.std(1))},
        expect=BESSEL,
    ),
    case(
        "standard_deviation_by_n",
        lambda torch: lambda x: x.std(1, correction=0),
        lambda tf: lambda x: tf.math.reduce_std(x, 1),
        lambda x: Rounded(x.std(1)),
    ),
    case(
        "of_one_element",
        lambda torch: lambda x: x.var(1),
        lambda tf: lambda x: tf.math.reduce_variance(x, 1),
        {"torch": lambda x: np.full(len(x), np.nan), "tensorflow": lambda x: np.zeros(len(x))},
        Tensor("a b", values=[[3.0], [4.0]]),
        expect={
            ("tensorflow", "torch"): Expected(
                "semantics", reason="of one element PyTorch's is 0 / 0, TensorFlow's 0 / 1"
            )
        },
    ),
    case("logsumexp", LOGSUMEXP["torch"], LOGSUMEXP["tensorflow"], lambda x: Rounded(np.log(np.exp(x).sum(1)))),
    case(
        "logsumexp_large",
        LOGSUMEXP["torch"],
        LOGSUMEXP["tensorflow"],
        lambda x: Rounded(x.max(1) + np.log(np.exp(x - x.max(1, keepdims=True)).sum(1))),
        Tensor("a b", values=[[1000.0, 1000.0, 0.0], [-1000.0, -1001.0, -1002.0], [-np.inf, 1.0, 2.0]]),
    ),
    Case(
        "gradient_of_logsumexp",
        {"x": Tensor("a b", (2, 3), low=-3, high=3, integers=False), "dy": Tensor("a", values=[1.0, 2.0])},
        LOGSUMEXP,
        {"y": Tensor("a"), "grad_x": Tensor("a b")},
        truth=lambda x, dy: {
            "y": Rounded(np.log(np.exp(x).sum(1))),
            "grad_x": Rounded(dy[:, None] * np.exp(x) / np.exp(x).sum(1, keepdims=True)),
        },
        gradient=Gradient("y", ("x",), "dy"),
        tags=TAGS,
    ),
)
