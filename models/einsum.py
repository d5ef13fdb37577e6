"""Einstein's summation: products, traces, diagonals, outer products and transposes by letters."""

from __future__ import annotations

import numpy as np

from onnx_triangulate import Case, Tensor

A = Tensor("i j", (3, 3), low=-5, high=6)
B = Tensor("j k", (3, 4), low=-5, high=6)
TAGS = ("linear-algebra",)


def case(equation: str, name: str, y: str, *operands: Tensor) -> Case:
    return Case(
        name,
        dict(zip("ab", operands, strict=False)),
        {
            "torch": lambda torch: lambda *given: torch.einsum(equation, *given),
            "tensorflow": lambda tf: lambda *given: tf.einsum(equation, *given),
        },
        {"y": Tensor(y)},
        truth=lambda **given: np.einsum(equation, *given.values()),
        tags=TAGS,
    )


CASES = (
    case("ij,jk->ik", "product", "i k", A, B),
    case("ij,ij->", "inner_product", "", A, A),
    case("ij->ji", "transpose", "j i", A),
    case("ij->j", "column_sums", "j", A),
    case("ij,kl->ikjl", "outer_product", "i k j l", A, Tensor("k l", (2, 2), low=-5, high=6)),
    case(
        "nhqd,nhkd->nhqk",
        "attention_scores",
        "n h q k",
        Tensor("n h q d", (2, 2, 3, 4), low=-4, high=5),
        Tensor("n h k d", (2, 2, 5, 4), low=-4, high=5),
    ),
    case(
        "...ij,...jk->...ik",
        "ellipsis",
        "b i k",
        Tensor("b i j", (2, 3, 4), low=-5, high=6),
        Tensor("b j k", (2, 4, 2), low=-5, high=6),
    ),
)
