"""Sorting and searching: ties, NaN, the order of what is equal, the first of several, and places in a sorted row."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnx_triangulate import Array, Case, Expected, Tensor
from onnx_triangulate.cases.refusals import left_by_tf2onnx, refused_by_torch

X = Tensor("a b", values=[[3, 1, 2, 5], [-1, 0, -7, 4]])
TIES = Tensor("a b", values=[[3, 1, 3, 1], [2, 2, 2, 2]])
NANS = Tensor("b", values=[1.0, np.nan, 3.0, 2.0])
TAGS = ("sorting",)
_OPEN = Expected("unspecified", op="ArgMax", reason="ONNX does not say where the largest of a NaN and numbers is")
UNSPECIFIED = {
    ("truth", "tensorflow"): Expected(
        "native", reason="TensorFlow passes over a NaN, PyTorch takes it for the largest"
    ),
    ("torch*>reference", "torch*>ort.off"): _OPEN,
    ("tensorflow*>reference", "tensorflow*>ort.off"): _OPEN,
}
INTEGERS = Tensor("a", dtype="int64")


def largest(x: Array, k: int) -> dict[str, Array]:
    order = np.argsort(-x, -1, kind="stable")[..., :k]
    return {"values": np.take_along_axis(x, order, -1), "indices": order}


def topk(k: int) -> dict[str, Any]:
    def tensorflow(tf: Any) -> Any:
        def call(x: Any) -> Any:
            values, indices = tf.math.top_k(x, k)
            return {"values": values, "indices": tf.cast(indices, tf.int64)}

        return call

    def torch(module: Any) -> Any:
        def call(x: Any) -> Any:
            values, indices = module.topk(x, k)
            return {"values": values, "indices": indices}

        return call

    return {"torch": torch, "tensorflow": tensorflow}


PAIR = {"values": Tensor("a k"), "indices": Tensor("a k", dtype="int64")}


def arg(name: str) -> dict[str, Any]:
    return {
        "torch": lambda torch: lambda x: getattr(torch, name)(x, -1),
        "tensorflow": lambda tf: lambda x: getattr(tf, name)(x, -1),
    }


CASES = (
    Case("topk", {"x": X}, topk(2), PAIR, truth=lambda x: largest(x, 2), tags=TAGS),
    Case("argmax", {"x": X}, arg("argmax"), {"y": INTEGERS}, truth=lambda x: x.argmax(-1), tags=TAGS),
    Case("argmin", {"x": X}, arg("argmin"), {"y": INTEGERS}, truth=lambda x: x.argmin(-1), tags=TAGS),
    Case(
        "argmax_of_ties",
        {"x": TIES},
        arg("argmax"),
        {"y": INTEGERS},
        truth=lambda x: x.argmax(-1),
        note="the first of them",
        tags=TAGS,
    ),
    Case(
        "argmax_of_nan",
        {"x": NANS},
        arg("argmax"),
        {"y": Tensor("", dtype="int64")},
        truth=lambda x: np.argmax(x),
        tags=TAGS,
        expect=UNSPECIFIED,
    ),
    Case(
        "sort",
        {"x": X},
        {"torch": lambda torch: lambda x: torch.sort(x, -1)[0], "tensorflow": lambda tf: tf.sort},
        {"y": X},
        truth=lambda x: np.sort(x, -1),
        tags=TAGS,
    ),
    Case(
        "sort_descending",
        {"x": X},
        {
            "torch": lambda torch: lambda x: torch.sort(x, -1, descending=True)[0],
            "tensorflow": lambda tf: lambda x: tf.sort(x, direction="DESCENDING"),
        },
        {"y": X},
        truth=lambda x: -np.sort(-x, -1),
        tags=TAGS,
    ),
    Case(
        "argsort_of_ties",
        {"x": TIES},
        {
            "torch": lambda torch: lambda x: torch.argsort(x, dim=-1, stable=True),
            "tensorflow": lambda tf: lambda x: tf.cast(tf.argsort(x, stable=True), tf.int64),
        },
        {"y": Tensor("a b", dtype="int64")},
        truth=lambda x: np.argsort(x, -1, kind="stable"),
        tags=TAGS,
        expect=refused_by_torch("aten::sort", "aten::argsort"),
    ),
    Case(
        "nonzero",
        {"x": Tensor("a b", values=[[0, 3, 0], [1, 0, 2]])},
        {"torch": lambda torch: torch.nonzero, "tensorflow": lambda tf: lambda x: tf.where(x != 0)},
        {"y": Tensor("k two", dtype="int64")},
        truth=lambda x: np.argwhere(x),
        tags=TAGS,
    ),
    Case(
        "unique",
        {"x": Tensor("b", values=[3, 1, 3, 2, 1], dtype="int64")},
        {"torch": lambda torch: torch.unique},
        {"y": Tensor("k", dtype="int64")},
        truth=lambda x: np.unique(x),
        tags=TAGS,
    ),
    Case(
        "searchsorted",
        {"edges": Tensor("e", values=[1.0, 2.0, 2.0, 5.0]), "x": Tensor("b", values=[0.0, 1.0, 2.0, 3.0, 9.0])},
        {
            "torch": lambda torch: torch.searchsorted,
            "tensorflow": lambda tf: lambda edges, x: tf.cast(tf.searchsorted(edges, x), tf.int64),
        },
        {"y": Tensor("b", dtype="int64")},
        truth=lambda edges, x: np.searchsorted(edges, x),
        tags=TAGS,
        expect=left_by_tf2onnx("LowerBound") | refused_by_torch("aten::searchsorted"),
    ),
)
