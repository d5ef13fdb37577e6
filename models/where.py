"""Choosing: where, masked_fill and clamping by a mask, with NaN in the branch that is not taken."""

from __future__ import annotations

import numpy as np

from onnx_triangulate import Array, Case, Expected, Gradient, Tensor
from onnx_triangulate.cases.refusals import left_by_tf2onnx

MASK = Tensor("n c", values=[[True, False, True], [False, False, True]], dtype="bool")
X = Tensor("n c", (2, 3), low=-9, high=10)
TAGS = ("indexing",)
WHERE = {"torch": lambda torch: torch.where, "tensorflow": lambda tf: tf.where}


def rooted(x: Array) -> Array:
    return np.sqrt(np.maximum(x, 0))


CASES = (
    Case(
        "same_shapes",
        {"m": MASK, "a": X, "b": X},
        WHERE,
        {"y": X},
        truth=lambda m, a, b: np.where(m, a, b),
        tags=TAGS,
    ),
    Case(
        "broadcast",
        {"m": MASK, "a": Tensor("one", (1,), low=-9, high=10), "b": Tensor("n one", (2, 1), low=-9, high=10)},
        WHERE,
        {"y": X},
        truth=lambda m, a, b: np.where(m, a, b),
        tags=TAGS,
    ),
    Case(
        "integers",
        {"m": MASK, "a": Tensor("n c", (2, 3), "int64", low=-9, high=10), "b": Tensor("n c", (2, 3), "int64")},
        WHERE,
        {"y": Tensor("n c", dtype="int64")},
        truth=lambda m, a, b: np.where(m, a, b),
        tags=TAGS,
    ),
    Case(
        "masked_fill",
        {"x": X, "m": MASK},
        {
            "torch": lambda torch: lambda x, m: x.masked_fill(m, float("-inf")),
            "tensorflow": lambda tf: lambda x, m: tf.where(m, float("-inf"), x),
        },
        {"y": X},
        truth=lambda x, m: np.where(m, -np.inf, x),
        tags=TAGS,
    ),
    Case(
        "gradient_beside_nan",
        {"x": Tensor("n", values=[4.0, -1.0, 0.25]), "dy": Tensor("n", values=[1, 2, 3])},
        {
            "torch": lambda torch: lambda x: torch.where(x > 0, torch.sqrt(x), torch.zeros_like(x)),
            "tensorflow": lambda tf: lambda x: tf.where(x > 0, tf.sqrt(x), tf.zeros_like(x)),
        },
        {"y": Tensor("n"), "grad_x": Tensor("n")},
        truth={
            "torch": lambda x, dy: {"y": rooted(x), "grad_x": np.where(x > 0, dy / 2 / np.sqrt(abs(x)), np.nan)},
            "tensorflow": lambda x, dy: {"y": rooted(x), "grad_x": np.where(x > 0, dy / 2 / np.sqrt(abs(x)), 0)},
        },
        expect={
            **left_by_tf2onnx("SqrtGrad"),
            ("tensorflow", "torch"): Expected(
                "semantics",
                reason="PyTorch's derivative of a root is 0 times NaN in the branch that is not taken, TensorFlow's 0 "
                "where what comes back is 0",
            ),
        },
        gradient=Gradient("y", ("x",), "dy"),
        tags=TAGS,
    ),
)
