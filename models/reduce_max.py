"""The largest, any and all: of NaN, and where the derivative of a tie goes."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnx_triangulate import Case, Expected, Gradient, Tensor

X = Tensor("a b", (3, 5), low=-9, high=10)
TIES = Tensor("a b", values=[[3, 1, 3, 0], [2, 2, 2, 2]])
NANS = Tensor("a b", values=[[np.nan, 1, 2], [1, np.nan, 2], [1, 2, np.nan], [1, np.inf, -np.inf], [1, 5, 2]])
BOOLS = Tensor("a b", values=[[True, False], [False, False], [True, True]], dtype="bool")
TAGS = ("reduction",)
_OPEN = Expected("unspecified", op="ReduceMax", reason="ONNX does not say what becomes of a NaN in a maximum")
UNSPECIFIED = {
    ("torch*>reference", "torch*>ort.off"): _OPEN,
    ("tensorflow*>reference", "tensorflow*>ort.off"): _OPEN,
}
LARGEST = {"torch": lambda torch: lambda x: x.amax(1), "tensorflow": lambda tf: lambda x: tf.reduce_max(x, 1)}
SMALLEST = {"torch": lambda torch: lambda x: x.amin(1), "tensorflow": lambda tf: lambda x: tf.reduce_min(x, 1)}


def case(name: str, x: Tensor, builders: Any, truth: Any, dtype: str = "float32", **rest: Any) -> Case:
    return Case(name, {"x": x}, builders, {"y": Tensor("a", dtype=dtype)}, truth=truth, tags=TAGS, **rest)


CASES = (
    case("largest", X, LARGEST, lambda x: x.max(1)),
    case("smallest", X, SMALLEST, lambda x: x.min(1)),
    case("largest_integer", Tensor("a b", (3, 5), "int64", low=-9, high=10), LARGEST, lambda x: x.max(1), "int64"),
    case(
        "largest_of_nan",
        NANS,
        LARGEST,
        lambda x: x.max(1),
        expect=UNSPECIFIED,
    ),
    Case(
        "gradient_of_ties",
        {"x": TIES, "dy": Tensor("a", values=[4.0, 8.0])},
        LARGEST,
        {"y": Tensor("a"), "grad_x": Tensor("a b")},
        truth=lambda x, dy: {
            "y": x.max(1),
            "grad_x": np.array([[2.0, 0.0, 2.0, 0.0], [2.0, 2.0, 2.0, 2.0]]),
        },
        gradient=Gradient("y", ("x",), "dy"),
        note="both share it among those that are largest",
        tags=TAGS,
    ),
    case(
        "any",
        BOOLS,
        {"torch": lambda torch: lambda x: x.any(1), "tensorflow": lambda tf: lambda x: tf.reduce_any(x, 1)},
        lambda x: x.any(1),
        "bool",
    ),
    case(
        "all",
        BOOLS,
        {"torch": lambda torch: lambda x: x.all(1), "tensorflow": lambda tf: lambda x: tf.reduce_all(x, 1)},
        lambda x: x.all(1),
        "bool",
    ),
)
