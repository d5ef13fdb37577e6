"""Slices: from the end, with steps, backward, beyond the end."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnx_triangulate import Array, Case, Gradient, Tensor
from onnx_triangulate.cases.refusals import left_by_tf2onnx, refused_by_torchscript

X = Tensor("a b", (5, 6), low=-20, high=21)
TAGS = ("shape",)


def case(name: str, torch: Any, tensorflow: Any, truth: Any, **rest: Any) -> Case:
    return Case(
        name,
        {"x": X},
        {"torch": lambda module: torch, "tensorflow": lambda tf: tensorflow},
        {"y": Tensor("a b")},
        truth=truth,
        tags=TAGS,
        **rest,
    )


def gradient(x: Array, dy: Array) -> dict[str, Array]:
    grad = np.zeros(x.shape)
    grad[1:-1:2] = dy
    return {"y": x[1:-1:2], "grad_x": grad}


CASES = (
    case("middle", lambda x: x[1:4, 2:], lambda x: x[1:4, 2:], lambda x: x[1:4, 2:]),
    case("from_the_end", lambda x: x[-3:-1, -2:], lambda x: x[-3:-1, -2:], lambda x: x[-3:-1, -2:]),
    case("steps", lambda x: x[::2, 1::3], lambda x: x[::2, 1::3], lambda x: x[::2, 1::3]),
    Case(
        "backward",
        {"x": X},
        {"torch": lambda torch: lambda x: torch.flip(x, (0,))[::2], "tensorflow": lambda tf: lambda x: x[::-2]},
        {"y": Tensor("a b")},
        truth=lambda x: x[::-2],
        note="torch has no negative steps",
        tags=TAGS,
    ),
    case("beyond_the_end", lambda x: x[3:99], lambda x: x[3:99], lambda x: x[3:99]),
    Case(
        "gradient",
        {"x": Tensor("a", (6,), low=-9, high=10), "dy": Tensor("a", (2,), low=1, high=9)},
        {"torch": lambda torch: lambda x: x[1:-1:2], "tensorflow": lambda tf: lambda x: x[1:-1:2]},
        {"y": Tensor("a"), "grad_x": Tensor("a")},
        truth=gradient,
        gradient=Gradient("y", ("x",), "dy"),
        tags=TAGS,
        expect=left_by_tf2onnx("StridedSliceGrad") | refused_by_torchscript("aten::slice_scatter"),
    ),
)
