"""Models that hang or grow, each in one party, and one that does neither."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from onnx_triangulate import Case, Tensor
from onnx_triangulate.records.arrays import Array

MATRIX = Tensor("r c", (3, 5), low=1, high=9)
BLOCK = 32 * 2**20


def hanging(torch: Any) -> Any:
    def model(x: Any) -> Any:
        if x.dtype == torch.float64:
            time.sleep(3600)
        return x * 2

    return model


def growing(torch: Any) -> Any:
    def model(x: Any) -> Any:
        if x.dtype == torch.float64:
            blocks: list[Array] = []
            while len(blocks) * BLOCK < 4 * 2**30:  # stops by itself, should nobody stop it
                blocks.append(np.ones(BLOCK, dtype=np.uint8))
                time.sleep(0.002)
        return x * 2

    return model


def doubled(x: Array) -> Array:
    return x * 2


CASES = (
    Case("grows", inputs={"x": MATRIX}, builders={"torch": growing}, truth=doubled),
    Case("hangs", inputs={"x": MATRIX}, builders={"torch": hanging}, truth=doubled),
    Case("neighbour", inputs={"x": MATRIX}, builders={"torch": lambda torch: lambda x: x * 2}, truth=doubled),
)
