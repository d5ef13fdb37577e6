"""Casts between all types: what is cut off, what wraps around, what is beyond the range, and NaN as a whole number."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnx_triangulate import Case, Rounded, Tensor

TAGS = ("cast",)
REALS = [-2.75, -0.5, 0.0, 0.5, 1.5, 100.25]
WHOLE = [-3, -1, 0, 1, 100]


def case(name: str, values: Any, source: str, target: str, **rest: Any) -> Case:
    return Case(
        name,
        {"x": Tensor("n", values=values, dtype=source)},
        {
            "torch": lambda torch: lambda x: x.to(getattr(torch, target)),
            "tensorflow": lambda tf: lambda x: tf.cast(x, target),
        },
        {"y": Tensor("n", dtype=target)},
        truth=lambda x: x.astype(source).astype(target),
        tags=TAGS,
        **rest,
    )


CASES = (
    case("float32_to_int32", REALS, "float32", "int32", note="towards zero"),
    case("float32_to_int64", [*REALS, 2.0**40], "float32", "int64"),
    case("float32_to_bool", [*REALS, float("nan")], "float32", "bool", note="whatever is not zero is true"),
    case("float32_to_float16", [*REALS, 65504.0, 65536.0, 1e-8, float("nan")], "float32", "float16"),
    case("float32_to_float64", [*REALS, 0.1], "float32", "float64"),
    case("float16_to_float32", [*REALS, 65504.0, float("inf")], "float16", "float32"),
    Case(
        "int32_to_float32",
        {"x": Tensor("n", values=[*WHOLE, 2**24 + 1, -(2**31)], dtype="int32")},
        {"torch": lambda torch: lambda x: x.float(), "tensorflow": lambda tf: lambda x: tf.cast(x, tf.float32)},
        {"y": Tensor("n")},
        truth=lambda x: Rounded(x.astype(np.float64)),
        note="beyond 2^24 to the nearest even",
        tags=TAGS,
    ),
    case("int64_to_int32", [*WHOLE, 2**31, -(2**33) + 5], "int64", "int32", note="the low bits"),
    case("int32_to_int8", [*WHOLE, 128, 300, -129], "int32", "int8", note="the low bits"),
    case("int32_to_uint8", [*WHOLE, 256, 300], "int32", "uint8", note="the low bits"),
    case("int32_to_bool", WHOLE, "int32", "bool"),
    case("bool_to_float32", [True, False], "bool", "float32"),
    case("bool_to_int64", [True, False], "bool", "int64"),
    case("float32_to_int32_beyond", [3e9, -3e9, float("nan")], "float32", "int32"),
    case("float32_to_uint8_beyond", [300.0, -1.0, 256.5], "float32", "uint8"),
)
