"""Arithmetic with broadcasting: of other types, of whole numbers that overflow, division of zero by zero."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnx_triangulate import Case, Expected, Gradient, Tensor

TAGS = ("elementwise",)
ROW = Tensor("b", (3,), low=-9, high=10)
COLUMN = Tensor("a one", (2, 1), low=1, high=10)


def case(name: str, a: Tensor, b: Tensor, y: Tensor, truth: Any, operator: Any, **rest: Any) -> Case:
    builders = {"torch": lambda torch: operator, "tensorflow": lambda tf: operator}
    return Case(name, {"a": a, "b": b}, builders, {"y": y}, truth=truth, tags=TAGS, **rest)


CASES = (
    case("sum", COLUMN, ROW, Tensor("a b"), lambda a, b: a + b, lambda a, b: a + b),
    case("difference", COLUMN, ROW, Tensor("a b"), lambda a, b: a - b, lambda a, b: a - b),
    case("product", COLUMN, Tensor("b", (3,), low=1, high=10), Tensor("a b"), lambda a, b: a * b, lambda a, b: a * b),
    case(
        "plus_zero",
        Tensor("n", values=[-1.0, 0.0, 2.0]),
        Tensor("n", values=[0.0, -3.0, 4.0]),
        Tensor("n"),
        lambda a, b: a * b + 0.0,
        lambda a, b: a * b + 0.0,
        expect={
            ("torch", "torch>*"): Expected(
                "export",
                cause="guilty-pass",
                reason="the dynamo exporter's optimizer takes x + 0 for x, but -0 + 0 is 0",
            )
        },
    ),
    case(
        "overflow_of_int8",
        Tensor("n", values=[100, -100, 127], dtype="int8"),
        Tensor("n", values=[100, -100, 1], dtype="int8"),
        Tensor("n", dtype="int8"),
        lambda a, b: (a.astype(np.int8) + b.astype(np.int8)).astype(np.int8),
        lambda a, b: a + b,
        note="wraps around",
    ),
    case(
        "division_by_zero",
        Tensor("n", values=[1.0, -1.0, 0.0, 6.0]),
        Tensor("n", values=[0.0, 0.0, 0.0, 3.0]),
        Tensor("n"),
        lambda a, b: a / b,
        lambda a, b: a / b,
    ),
    Case(
        "gradient_of_broadcasting",
        {
            "a": Tensor("a one", values=[[1.0], [2.0]]),
            "b": Tensor("b", values=[1.0, 2.0, 4.0]),
            "dy": Tensor("a b", (2, 3), low=1, high=9),
        },
        {"torch": lambda torch: lambda a, b: a * b, "tensorflow": lambda tf: lambda a, b: a * b},
        {"y": Tensor("a b"), "grad_a": Tensor("a one"), "grad_b": Tensor("b")},
        truth=lambda a, b, dy: {
            "y": a * b,
            "grad_a": (dy * b).sum(1, keepdims=True),
            "grad_b": (dy * a).sum(0),
        },
        gradient=Gradient("y", ("a", "b"), "dy"),
        note="what was repeated is summed",
        tags=TAGS,
    ),
)
