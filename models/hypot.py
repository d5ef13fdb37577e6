"""sqrt(a^2 + b^2), also of numbers whose squares overflow."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnx_triangulate import Case, Expected, Rounded, Tensor
from onnx_triangulate.cases.refusals import refused_by_torch


def case(name: str, a: list[float], b: list[float], expect: dict[Any, Expected]) -> Case:
    return Case(
        name,
        {"a": Tensor("n", values=a), "b": Tensor("n", values=b)},
        {"torch": lambda torch: torch.hypot, "tensorflow": lambda tf: tf.experimental.numpy.hypot},
        {"y": Tensor("n")},
        truth=lambda a, b: Rounded(np.hypot(a, b)),
        tags=("elementwise",),
        expect=refused_by_torch("prims::hypot", "aten::hypot") | expect,
    )


SQUARED = Expected("native", reason="TensorFlow squares, which overflows above 2e19 and leaves nothing below 1e-23")

CASES = (
    case("small", [3.0, -5.0, 0.0], [4.0, 12.0, 0.0], {}),
    case("large", [3e30, 1e-30], [4e30, 1e-30], {("truth", "tensorflow"): SQUARED}),
)
