"""Division of whole numbers and its remainder: towards zero or down, and whose sign the remainder has."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnx_triangulate import Array, Case, Expected, Tensor
from onnx_triangulate.cases.refusals import left_by_tf2onnx

A = Tensor("n", values=[7, -7, 7, -7, 6, 0], dtype="int32")
B = Tensor("n", values=[2, 2, -2, -2, 3, 5], dtype="int32")
FA = Tensor("n", values=[7.5, -7.5, 7.5, -7.5, 6.0, 1.0])
FB = Tensor("n", values=[2.0, 2.0, -2.0, -2.0, 3.0, 0.25])
TAGS = ("elementwise",)


def case(name: str, torch: Any, tensorflow: Any, truth: Any, real: bool = False, **rest: Any) -> Case:
    a, b = (FA, FB) if real else (A, B)
    tags = (*TAGS, *rest.pop("more", ()))
    return Case(
        name,
        {"a": a, "b": b},
        {"torch": torch, "tensorflow": tensorflow},
        {"y": Tensor("n", dtype=a.dtype)},
        truth=truth,
        tags=tags,
        **rest,
    )


def truncated(a: Array, b: Array) -> Array:
    return np.trunc(a / b).astype(a.dtype)


SIGN = Expected("semantics", reason="torch.fmod's remainder has the sign of the dividend, tf.math.mod's of the divisor")

TOWARDS_ZERO = {
    ("tensorflow", "tensorflow*>*"): Expected(
        "export", op="Div", reason="tf2onnx writes a FloorDiv of whole numbers as a Div, which truncates towards zero"
    )
}
OF_DIVIDEND = {
    ("tensorflow", "tensorflow*>*"): Expected(
        "export", op="Sub", reason="tf2onnx writes a FloorMod of whole numbers as a - b * Div(a, b), which truncates"
    )
}

CASES = (
    case(
        "floor_of_integers",
        lambda torch: lambda a, b: torch.div(a, b, rounding_mode="floor"),
        lambda tf: tf.math.floordiv,
        lambda a, b: a // b,
        expect=TOWARDS_ZERO,
    ),
    case(
        "truncated_integers",
        lambda torch: lambda a, b: torch.div(a, b, rounding_mode="trunc"),
        lambda tf: tf.truncatediv,
        truncated,
    ),
    case(
        "floor_of_reals",
        lambda torch: lambda a, b: torch.div(a, b, rounding_mode="floor"),
        lambda tf: tf.math.floordiv,
        lambda a, b: np.floor(a / b),
        True,
    ),
    case(
        "remainder_of_integers",
        lambda torch: torch.remainder,
        lambda tf: tf.math.floormod,
        lambda a, b: a - b * (a // b),
        expect=OF_DIVIDEND,
    ),
    case(
        "remainder_of_reals",
        lambda torch: torch.remainder,
        lambda tf: tf.math.floormod,
        lambda a, b: a - b * np.floor(a / b),
        True,
    ),
    case(
        "fmod_of_reals",
        lambda torch: torch.fmod,
        lambda tf: tf.math.mod,
        {"torch": lambda a, b: np.fmod(a, b), "tensorflow": lambda a, b: a - b * np.floor(a / b)},
        True,
        expect={("tensorflow", "torch"): SIGN},
    ),
    case(
        "fmod_of_integers",
        lambda torch: torch.fmod,
        lambda tf: tf.truncatemod,
        lambda a, b: a - b * truncated(a, b),
        expect=left_by_tf2onnx("TruncateMod"),
    ),
)
