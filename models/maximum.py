"""The larger of two, comparisons, signs and absolute values: of NaN, of ties, of the smallest whole number."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnx_triangulate import Case, Expected, Gradient, Tensor

A = Tensor("n", values=[1.0, np.nan, 3.0, np.inf, -2.0])
B = Tensor("n", values=[2.0, 1.0, np.nan, 5.0, -2.0])
TAGS = ("elementwise",)
LARGER = {"torch": lambda torch: torch.maximum, "tensorflow": lambda tf: tf.maximum}


def pair(name: str, torch: Any, tensorflow: Any, truth: Any, dtype: str = "float32", **rest: Any) -> Case:
    return Case(
        name,
        {"a": A, "b": B},
        {"torch": torch, "tensorflow": tensorflow},
        {"y": Tensor("n", dtype=dtype)},
        truth=truth,
        tags=TAGS,
        **rest,
    )


CASES = (
    pair("larger", LARGER["torch"], LARGER["tensorflow"], lambda a, b: np.maximum(a, b)),
    pair("smaller", lambda torch: torch.minimum, lambda tf: tf.minimum, lambda a, b: np.minimum(a, b)),
    pair("equal", lambda torch: torch.eq, lambda tf: tf.equal, lambda a, b: a == b, "bool"),
    pair("less_or_equal", lambda torch: torch.le, lambda tf: tf.less_equal, lambda a, b: a <= b, "bool"),
    Case(
        "sign",
        {"x": Tensor("n", values=[-3.5, 0.0, 2.0, -np.inf])},
        {"torch": lambda torch: torch.sign, "tensorflow": lambda tf: tf.sign},
        {"y": Tensor("n")},
        truth=lambda x: np.sign(x),
        tags=TAGS,
    ),
    Case(
        "sign_of_nan",
        {"x": Tensor("n", values=[np.nan, 1.0])},
        {"torch": lambda torch: torch.sign, "tensorflow": lambda tf: tf.sign},
        {"y": Tensor("n")},
        truth={"torch": lambda x: np.nan_to_num(np.sign(x)), "tensorflow": lambda x: np.sign(x)},
        expect={
            ("torch", "torch*>*"): Expected(
                "export",
                op="Sign",
                reason="the sign of NaN is 0 in PyTorch; ONNX's Sign, which exports write, keeps NaN",
            ),
            ("tensorflow", "torch"): Expected(
                "semantics", reason="the sign of NaN is 0 in PyTorch and NaN in TensorFlow"
            ),
        },
        tags=TAGS,
    ),
    Case(
        "absolute_integer",
        {"x": Tensor("n", values=[-128, -1, 0, 127], dtype="int8")},
        {"torch": lambda torch: torch.abs, "tensorflow": lambda tf: tf.abs},
        {"y": Tensor("n", dtype="int8")},
        truth=lambda x: abs(x),
        note="the smallest has no positive counterpart",
        tags=TAGS,
    ),
    Case(
        "gradient_of_ties",
        {
            "a": Tensor("n", values=[1.0, 2.0, 3.0]),
            "b": Tensor("n", values=[1.0, 5.0, 0.0]),
            "dy": Tensor("n", values=[2.0, 4.0, 8.0]),
        },
        LARGER,
        {"y": Tensor("n"), "grad_a": Tensor("n"), "grad_b": Tensor("n")},
        truth={
            "torch": lambda a, b, dy: {
                "y": np.maximum(a, b),
                "grad_a": np.array([1.0, 0.0, 8.0]),
                "grad_b": np.array([1.0, 4.0, 0.0]),
            },
            "tensorflow": lambda a, b, dy: {
                "y": np.maximum(a, b),
                "grad_a": np.array([2.0, 0.0, 8.0]),
                "grad_b": np.array([0.0, 4.0, 0.0]),
            },
        },
        gradient=Gradient("y", ("a", "b"), "dy"),
        expect={
            ("tensorflow", "torch"): Expected(
                "semantics", reason="of two that are equal PyTorch gives each half of it, TensorFlow all to the first"
            )
        },
        tags=TAGS,
    ),
)
