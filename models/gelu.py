"""GELU: exact, by the error function, and its approximation by tanh."""

from __future__ import annotations

from math import erf, pi, sqrt
from typing import Any

import numpy as np

from onnx_triangulate import Array, Case, Expected, Rounded, Tensor

X = Tensor("n c", (3, 7), low=-6, high=6, integers=False)
TAILS = Tensor("n", values=[-0.0, 0.0, -1e-30, 1e-30, -5.0, -12.0, 5.0, 40.0, -3e38, 3e38])


def gelu(x: Array) -> Rounded:
    return Rounded(x * 0.5 * (1 + np.vectorize(erf)(x / sqrt(2))))


def gelu_tanh(x: Array) -> Rounded:
    return Rounded(0.5 * x * (1 + np.tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))))


def case(name: str, approximate: bool, x: Tensor, **rest: Any) -> Case:
    word = "tanh" if approximate else "none"
    return Case(
        name,
        inputs={"x": x},
        outputs={"y": Tensor(x.axes)},
        builders={
            "torch": lambda torch: lambda x: torch.nn.functional.gelu(x, approximate=word),
            "tensorflow": lambda tf: lambda x: tf.nn.gelu(x, approximate=approximate),
        },
        truth=gelu_tanh if approximate else gelu,
        tags=("activation",),
        **rest,
    )


UNCONVERTED = {
    ("tensorflow", "tensorflow*>*"): Expected(
        "export-failed",
        cause="operator-not-converted",
        op="Erfc",
        reason="tf.nn.gelu is 0.5 x erfc(-x / sqrt 2), and tf2onnx leaves Erfc, which ONNX has not, in the graph",
    )
}
OVERFLOWS = {
    ("truth", "torch"): Expected(
        "native",
        reason="torch multiplies x by 1 + erf before it halves it: what is above half of the largest overflows",
    )
}

CASES = (
    case("exact", False, X, expect=UNCONVERTED),
    case("tanh", True, X),
    case("exact_tails", False, TAILS, expect={**UNCONVERTED, **OVERFLOWS}),
    case("tanh_tails", True, TAILS),
)
