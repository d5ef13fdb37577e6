"""Exponentials, logarithms, error functions and angles: near zero, at the ends, in every quadrant."""

from __future__ import annotations

from math import erf, erfc
from typing import Any

import numpy as np

from onnx_triangulate import Case, Expected, Rounded, Tensor
from onnx_triangulate.cases.refusals import left_by_tf2onnx, refused_by_torchscript

TAGS = ("elementwise",)
SMALL = Tensor("n", values=[1e-7, -1e-7, 0.5, -0.5, 3.0, 1e-20])
REALS = Tensor("n", (9,), low=-3, high=3, integers=False)


def case(name: str, x: Tensor, torch: str, tensorflow: str, function: Any, **rest: Any) -> Case:
    return Case(
        name,
        {"x": x},
        {
            "torch": lambda module: getattr(module, torch),
            "tensorflow": lambda tf: getattr(tf.math, tensorflow),
        },
        {"y": Tensor("n")},
        truth=lambda x: Rounded(function(x)),
        tags=TAGS,
        **rest,
    )


def loses(written: str, *graphs: str) -> dict[tuple[str, str], Expected]:
    """An export that writes out what the operator is there to spare."""
    reason = f"the exporter writes {written}, which loses what the operator is there to keep"
    return {("torch", f"{graph}>*"): Expected("export", reason=reason) for graph in graphs}


SIDE = {
    ("torch", "torch*>*"): Expected(
        "export", reason="the exporters ask whether y > 0 to add or subtract pi: for y = 0 and x < 0 they give -pi"
    )
}

CASES = (
    case("exp", Tensor("n", values=[0.0, 1.0, -1.0, 88.0, -80.0, 89.0, -np.inf]), "exp", "exp", np.exp),
    case("log", Tensor("n", values=[1.0, 2.0, 1e-30, 1e30, 0.0, -1.0, np.inf]), "log", "log", np.log),
    case(
        "log1p",
        SMALL,
        "log1p",
        "log1p",
        np.log1p,
        expect=left_by_tf2onnx("Log1p") | loses("log(1 + x)", "torch", "torch:raw", "torch:script"),
    ),
    case(
        "expm1",
        SMALL,
        "expm1",
        "expm1",
        np.expm1,
        expect=left_by_tf2onnx("Expm1")
        | refused_by_torchscript("aten::expm1")
        | loses("exp(x) - 1", "torch", "torch:raw"),
    ),
    case("erf", REALS, "erf", "erf", np.vectorize(erf)),
    case(
        "erfc",
        Tensor("n", values=[0.0, 0.5, -2.0, 3.0, 5.0]),
        "erfc",
        "erfc",
        np.vectorize(erfc),
        expect=left_by_tf2onnx("Erfc")
        | refused_by_torchscript("aten::erfc")
        | loses("1 - erf(x)", "torch", "torch:raw"),
    ),
    case("sin", REALS, "sin", "sin", np.sin),
    case("sin_of_large", Tensor("n", values=[1e3, 1e4, -1e5, 1e6]), "sin", "sin", np.sin),
    Case(
        "atan2",
        {
            "a": Tensor("n", values=[1.0, 1.0, -1.0, -1.0, 0.0, 0.0, 2.0]),
            "b": Tensor("n", values=[1.0, -1.0, 1.0, -1.0, 1.0, -1.0, 0.0]),
        },
        {"torch": lambda torch: torch.atan2, "tensorflow": lambda tf: tf.math.atan2},
        {"y": Tensor("n")},
        truth=lambda a, b: Rounded(np.arctan2(a, b)),
        tags=TAGS,
        expect=SIDE,
    ),
)
