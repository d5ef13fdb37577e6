"""Softmax and its logarithm: along any axis, of large values, of rows that are masked."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnx_triangulate import Array, Builder, Case, Expected, Gradient, Rounded, Tensor
from onnx_triangulate.cases.refusals import refused_by_torchscript

X = Tensor("a b c", (2, 3, 4), low=-6, high=6, integers=False)
LARGE = Tensor("n c", values=[[1e4, 1e4 - 1, 0.0], [-1e30, 0.0, 1.0], [88.0, 89.0, 90.0]])
MASKED = Tensor("n c", values=[[-np.inf, 0.0, 1.0], [-np.inf, -np.inf, 5.0], [np.nan, 1.0, 2.0]])
EMPTY_ROW = Tensor("n c", values=[[-np.inf, -np.inf, -np.inf], [0.0, 1.0, 2.0]])
TAGS = ("activation",)
UNDERFLOWS = Expected(
    "reference",
    op="LogSoftmax",
    reason="ONNX's reference evaluator takes the logarithm of a softmax that has underflowed to zero",
)


def builders(axis: int, log: bool = False) -> dict[str, Builder]:
    name = "log_softmax" if log else "softmax"
    return {
        "torch": lambda torch: lambda x: getattr(torch.nn.functional, name)(x, dim=axis),
        "tensorflow": lambda tf: lambda x: getattr(tf.nn, name)(x, axis=axis),
    }


def log_softmax(x: Array, axis: int = -1) -> Array:
    away = x - x.max(axis, keepdims=True)
    return np.asarray(away - np.log(np.exp(away).sum(axis, keepdims=True)))


def softmax(x: Array, axis: int = -1) -> Rounded:
    return Rounded(np.exp(log_softmax(x, axis)))


def gradient(x: Array, dy: Array) -> dict[str, Rounded]:
    y = np.exp(log_softmax(x))
    return {"y": Rounded(y), "grad_x": Rounded(y * (dy - (dy * y).sum(-1, keepdims=True)))}


def case(name: str, x: Tensor, axis: int = -1, log: bool = False, **rest: Any) -> Case:
    truth = (lambda x: Rounded(log_softmax(x, axis))) if log else (lambda x: softmax(x, axis))
    return Case(
        name, {"x": x}, builders(axis, log), {"y": Tensor(x.axes, dtype=x.dtype)}, truth=truth, tags=TAGS, **rest
    )


CASES = (
    case("last_axis", X),
    case("first_axis", X, 0),
    case("middle_axis", X, 1, dynamic={"a": (1, 5)}),
    case("large", LARGE),
    case("masked", MASKED),
    case("empty_row", EMPTY_ROW, note="nothing to choose from: 0 / 0 is NaN for everybody"),
    case("half", Tensor("n c", (2, 5), "float16", low=-4, high=5)),
    case("log_last_axis", X, log=True),
    case("log_middle_axis", X, 1, log=True),
    case(
        "log_large",
        LARGE,
        log=True,
        expect={
            ("torch", "torch*>reference"): UNDERFLOWS,
            ("tensorflow", "tensorflow*>reference"): UNDERFLOWS,
        },
    ),
    case("log_masked", MASKED, log=True),
    Case(
        "gradient",
        {"x": Tensor("n c", (2, 4), low=-3, high=3, integers=False), "dy": Tensor("n c", (2, 4), low=1, high=5)},
        builders(-1),
        {"y": Tensor("n c"), "grad_x": Tensor("n c")},
        truth=gradient,
        gradient=Gradient("y", ("x",), "dy"),
        expect=refused_by_torchscript("aten::_softmax"),
        tags=TAGS,
    ),
)
