"""Sigmoid, its logarithm, and tanh: at the ends, where they saturate."""

from __future__ import annotations

import numpy as np

from onnx_triangulate import Array, Case, Expected, Gradient, Rounded, Tensor
from onnx_triangulate.cases.refusals import left_by_tf2onnx

X = Tensor("n c", (3, 5), low=-6, high=6, integers=False)
TAILS = Tensor("n", values=[np.nan, np.inf, -np.inf, -87.0, -80.0, -17.0, 0.0, 17.0, 95.0])
SIGMOID = {"torch": lambda torch: torch.sigmoid, "tensorflow": lambda tf: tf.sigmoid}
LOGSIGMOID = {
    "torch": lambda torch: torch.nn.functional.logsigmoid,
    "tensorflow": lambda tf: tf.math.log_sigmoid,
}
TANH = {"torch": lambda torch: torch.tanh, "tensorflow": lambda tf: tf.tanh}
TAGS = ("activation",)
_SATURATES = Expected(
    "kernel",
    op="Sigmoid",
    reason="ONNX Runtime's Sigmoid is 0.5 plus an odd rational function of x held to -18..18: small results have no "
    "relative precision, and below -18 there is one value",
)
SATURATES = {
    ("torch*>reference", "torch*>ort.off"): _SATURATES,
    ("tensorflow*>reference", "tensorflow*>ort.off"): _SATURATES,
}


def sigmoid(x: Array) -> Array:
    return np.exp(-np.logaddexp(0, -x))


CASES = (
    Case("sigmoid", {"x": X}, SIGMOID, {"y": X}, truth=lambda x: Rounded(sigmoid(x)), tags=TAGS),
    Case(
        "sigmoid_tails",
        {"x": TAILS},
        SIGMOID,
        {"y": Tensor("n")},
        truth=lambda x: Rounded(sigmoid(x)),
        expect=SATURATES,
        tags=TAGS,
    ),
    Case("logsigmoid", {"x": X}, LOGSIGMOID, {"y": X}, truth=lambda x: Rounded(-np.logaddexp(0, -x)), tags=TAGS),
    Case(
        "logsigmoid_tails",
        {"x": TAILS},
        LOGSIGMOID,
        {"y": Tensor("n")},
        truth=lambda x: Rounded(-np.logaddexp(0, -x)),
        expect={("torch*>reference", "torch*>ort.off"): _SATURATES},
        note="exported as the logarithm of a sigmoid",
        tags=TAGS,
    ),
    Case("tanh", {"x": X}, TANH, {"y": X}, truth=lambda x: Rounded(np.tanh(x)), tags=TAGS),
    Case("tanh_tails", {"x": TAILS}, TANH, {"y": Tensor("n")}, truth=lambda x: Rounded(np.tanh(x)), tags=TAGS),
    Case(
        "gradient",
        {"x": Tensor("n", values=[-3.0, -0.5, 0.0, 0.5, 2.0]), "dy": Tensor("n", values=[1, 2, 3, 4, 5])},
        TANH,
        {"y": Tensor("n"), "grad_x": Tensor("n")},
        truth=lambda x, dy: {"y": Rounded(np.tanh(x)), "grad_x": Rounded(dy * (1 - np.tanh(x) ** 2))},
        gradient=Gradient("y", ("x",), "dy"),
        expect=left_by_tf2onnx("TanhGrad"),
        tags=TAGS,
    ),
)
