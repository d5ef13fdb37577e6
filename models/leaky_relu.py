"""Leaky ReLU: ``leaky_relu(x, slope)`` in PyTorch against ``maximum(x, slope * x)`` in TensorFlow, and where they part.

The two are one function for slopes up to 1 only.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from onnx_triangulate import Array, Builder, Case, Expected, Gradient, Tensor
from onnx_triangulate.cases.definitions import leaky_relu, leaky_relu_gradient, leaky_relu_rounded

SMALLEST = 2.0**-149  # the smallest subnormal of float32, printed as 1e-45


def torch_leaky(slope: float) -> Builder:
    return lambda torch: lambda x: torch.nn.functional.leaky_relu(x, slope)


def tensorflow_maximum(slope: float) -> Builder:
    return lambda tf: lambda x: tf.maximum(x, slope * x)


def case(name: str, slope: float, x: Tensor, truth: Any, **rest: Any) -> Case:
    return Case(
        name,
        inputs={"x": x},
        outputs={"y": Tensor(x.axes)},
        builders={"torch": torch_leaky(slope), "tensorflow": tensorflow_maximum(slope)},
        truth=truth,
        **rest,
    )


def gradient_truth(x: Array, dy: Array) -> dict[str, Any]:
    return {"y": leaky_relu(x, 0.25), "grad_x": leaky_relu_gradient(x, dy, 0.25)}


def maximum_gradient_truth(x: Array, dy: Array) -> dict[str, Any]:
    # TensorFlow gives a tie to the first argument of maximum(x, slope * x)
    return {"y": leaky_relu(x, 0.25), "grad_x": np.where(x >= 0, dy, 0.25 * dy)}


IMAGE = Tensor("n c h w", (2, 3, 5, 7), low=-7, high=8)

KINKED = {
    "x": Tensor("n c", values=[[-3, -2, 0, 0, 1], [2, 0, -1, 3, 0]]),
    "dy": Tensor("n c", values=[[1, -2, 3, -4, 2], [-1, 1, 4, -3, -2]]),
}

CASES = (
    case("slope_0_2", 0.2, IMAGE, lambda x: leaky_relu_rounded(x, 0.2)),
    case("slope_0_25", 0.25, IMAGE, lambda x: leaky_relu(x, 0.25), note="a slope that is exact in binary"),
    case(
        "slope_above_1",
        1.5,
        IMAGE,
        {"torch": lambda x: leaky_relu(x, 1.5), "tensorflow": lambda x: np.maximum(x, 1.5 * x)},
        expect={
            ("tensorflow", "torch"): Expected(
                "semantics", reason="above 1, maximum(x, slope * x) takes slope * x for positive x: another function"
            )
        },
    ),
    case(
        "special_values",
        0.25,
        Tensor("n", values=[-0.0, 0.0, float("nan"), float("inf"), float("-inf"), -1.0, 3.0]),
        lambda x: leaky_relu(x, 0.25),
        note="negative zero keeps its sign, NaN stays, infinities stay",
        tags=("signed-zero",),
    ),
    case(
        "subnormal",
        0.25,
        Tensor("n", values=[SMALLEST, 2.0**-140, -(2.0**-140), 2.0**-126, -(2.0**-126)]),
        lambda x: leaky_relu(x, 0.25),
        expect={("truth", "tensorflow"): Expected("native", reason="TensorFlow flushes subnormal numbers to zero")},
        note="all representable, so exact where nothing is flushed",
    ),
    Case(
        "gradient",
        inputs=KINKED,
        outputs={"y": Tensor("n c"), "grad_x": Tensor("n c")},
        builders={
            "torch": torch_leaky(0.25),
            "tensorflow": lambda tf: lambda x: tf.nn.leaky_relu(x, alpha=0.25),
        },
        truth=gradient_truth,
        gradient=Gradient(of="y", wrt=("x",), cotangent="dy"),
        expect={
            ("tensorflow", "tensorflow*>*"): Expected(
                "export-failed",
                cause="operator-not-converted",
                reason="tf2onnx has no LeakyReluGrad and leaves it in the graph as it is",
                when="tf2onnx<1.18",
            )
        },
        note="at zero, where there is no derivative, both take the slope",
    ),
    Case(
        "gradient_maximum",
        inputs=KINKED,
        outputs={"y": Tensor("n c"), "grad_x": Tensor("n c")},
        builders={"torch": torch_leaky(0.25), "tensorflow": tensorflow_maximum(0.25)},
        truth={"torch": gradient_truth, "tensorflow": maximum_gradient_truth},
        gradient=Gradient(of="y", wrt=("x",), cotangent="dy"),
        expect={
            ("tensorflow", "torch"): Expected(
                "semantics",
                reason="at zero both sides of the maximum tie: TensorFlow's derivative is 1, PyTorch's the slope",
            )
        },
    ),
)
