"""ReLU and ReLU6: max(x, 0) and min(max(x, 0), 6), what they make of NaN, and their derivatives at the kinks."""

from __future__ import annotations

import numpy as np

from onnx_triangulate import Array, Case, Gradient, Tensor
from onnx_triangulate.cases.refusals import left_by_tf2onnx

IMAGE = Tensor("n c h w", (2, 3, 4, 5), low=-9, high=10)
KINKS = Tensor("n", values=[-7, -1, 0, 1, 5, 6, 7])
SPECIAL = Tensor("n", values=[np.nan, np.inf, -np.inf, 1e-30, -1e-30, 3.5, 6.5])
RELU = {"torch": lambda torch: torch.relu, "tensorflow": lambda tf: tf.nn.relu}
RELU6 = {"torch": lambda torch: torch.nn.functional.relu6, "tensorflow": lambda tf: tf.nn.relu6}
FED = {"x": KINKS, "dy": Tensor("n", values=[1, 2, 3, 4, 5, 6, 7])}
TAGS = ("activation",)


def relu(x: Array) -> Array:
    return np.where(x < 0, 0, x)


def relu6(x: Array) -> Array:
    return np.where(x > 6, 6, relu(x))


CASES = (
    Case("image", {"x": IMAGE}, RELU, {"y": IMAGE}, truth=relu, dynamic={"n": (1, 5)}, tags=TAGS),
    Case("special_values", {"x": SPECIAL}, RELU, {"y": Tensor("n")}, truth=relu, tags=TAGS),
    Case("relu6", {"x": IMAGE}, RELU6, {"y": IMAGE}, truth=relu6, tags=TAGS),
    Case("relu6_special_values", {"x": SPECIAL}, RELU6, {"y": Tensor("n")}, truth=relu6, tags=TAGS),
    Case(
        "gradient",
        FED,
        RELU,
        {"y": KINKS, "grad_x": KINKS},
        truth=lambda x, dy: {"y": relu(x), "grad_x": np.where(x > 0, dy, 0)},
        gradient=Gradient("y", ("x",), "dy"),
        expect=left_by_tf2onnx("ReluGrad"),
        note="at zero both take the derivative 0",
        tags=TAGS,
    ),
    Case(
        "relu6_gradient",
        FED,
        RELU6,
        {"y": KINKS, "grad_x": KINKS},
        truth=lambda x, dy: {"y": relu6(x), "grad_x": np.where((x > 0) & (x < 6), dy, 0)},
        gradient=Gradient("y", ("x",), "dy"),
        expect=left_by_tf2onnx("Relu6Grad"),
        note="at 0 and at 6 both take the derivative 0",
        tags=TAGS,
    ),
)
