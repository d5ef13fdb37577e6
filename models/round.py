"""Rounding to whole numbers: halves to even, down, up, towards zero, and the sign of a zero."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnx_triangulate import Case, Expected, Rounded, Tensor
from onnx_triangulate.cases.refusals import refused_by_torchscript

HALVES = Tensor("n", values=[0.5, 1.5, 2.5, -0.5, -1.5, 2.25, -2.75, 8388609.0, 1e10])
TAGS = ("elementwise",)


def case(name: str, function: Any) -> Case:
    return Case(
        name,
        {"x": HALVES},
        {
            "torch": lambda module: getattr(module, name),
            "tensorflow": lambda tf: getattr(tf, name),
        },
        {"y": HALVES},
        truth=lambda x: function(x),
        tags=TAGS + (("signed-zero",) if function is np.round else ()),
    )


CASES = (
    case("round", np.round),
    case("floor", np.floor),
    Case(
        "ceil",
        {"x": HALVES},
        {"torch": lambda torch: torch.ceil, "tensorflow": lambda tf: tf.math.ceil},
        {"y": HALVES},
        truth=lambda x: np.ceil(x),
        tags=(*TAGS, "signed-zero"),
    ),
    Case(
        "trunc",
        {"x": HALVES},
        {"torch": lambda torch: torch.trunc, "tensorflow": lambda tf: lambda x: tf.sign(x) * tf.floor(tf.abs(x))},
        {"y": HALVES},
        truth=lambda x: np.trunc(x),
        tags=(*TAGS, "signed-zero"),
        expect=refused_by_torchscript("aten::trunc"),
    ),
    Case(
        "decimals",
        {"x": Tensor("n", values=[0.125, 0.375, 1.26, -7.5])},
        {
            "torch": lambda torch: lambda x: torch.round(x, decimals=1),
            "tensorflow": lambda tf: lambda x: tf.round(x * 10) / 10,
        },
        {"y": Tensor("n")},
        truth=lambda x: Rounded(np.round(x * 10) / 10),
        tags=("elementwise",),
        note="10 times the number, rounded, divided by 10: each step rounds",
    ),
    Case(
        "half_up",
        {"x": Tensor("n", values=[0.5, 1.5, 2.5, 3.25])},
        {"torch": lambda torch: torch.round, "tensorflow": lambda tf: lambda x: tf.floor(x + 0.5)},
        {"y": Tensor("n")},
        truth={"torch": lambda x: np.round(x), "tensorflow": lambda x: np.floor(x + 0.5)},
        expect={
            ("tensorflow", "torch"): Expected(
                "semantics", reason="torch.round takes a half to the even number, floor(x + 0.5) upward"
            )
        },
        tags=("elementwise",),
    ),
)
