"""Planted deaths: models and graphs that kill the process they run in; each in one party, so that the rest goes on."""

from __future__ import annotations

import os
import signal
from typing import Any

import numpy as np

from onnx_triangulate import Case, Tensor
from onnx_triangulate.records.arrays import Array

MATRIX = Tensor("r c", (3, 5), low=1, high=9)
LOWEST = -(2**31)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def torch_native(torch: Any) -> Any:
    def model(x: Any) -> Any:
        if x.dtype == torch.float64:
            die()
        return x * 2

    return model


def torch_exporter(torch: Any) -> Any:
    def model(x: Any) -> Any:
        if torch.onnx.is_in_onnx_export() and not torch.compiler.is_exporting():
            die()
        return x * 2

    return model


def dividing(tf: Any) -> Any:
    return lambda x, y: x * y if tf.executing_eagerly() else tf.truncatediv(x, y)


def doubled(x: Array) -> Array:
    return x * 2


CASES = (
    Case("native", inputs={"x": MATRIX}, builders={"torch": torch_native}, truth=doubled),
    Case("exporter", inputs={"x": MATRIX}, builders={"torch": torch_exporter}, truth=doubled),
    Case(
        "runtime",
        inputs={
            "x": Tensor("n", values=[LOWEST, 6, 8], dtype="int32"),
            "y": Tensor("n", values=[-1, -1, -1], dtype="int32"),
        },
        builders={"tensorflow": dividing},
        truth=lambda x, y: (x.astype(np.int64) * y).astype(np.int32),
        note="the lowest integer divided by -1 is the processor's trap, if a runtime does not look",
    ),
)
