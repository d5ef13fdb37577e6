"""Scattering: elements written, added, multiplied or compared at places that may be named twice."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnx_triangulate import Array, Case, Expected, Tensor
from onnx_triangulate.cases.refusals import left_by_tf2onnx, refused_by_torchscript

X = Tensor("k", (5,), low=-9, high=10)
ONCE = Tensor("i", values=[3, 0, 4], dtype="int64")
TWICE = Tensor("i", values=[3, 0, 3], dtype="int64")
V = Tensor("i", (3,), low=-9, high=10)
TAGS = ("indexing",)
LOST = {
    ("torch", "torch:script>*"): Expected(
        "export",
        op="Add",
        reason="the TorchScript exporter scatters into zeros and adds these: of several at one place one is left",
    )
}


def reduced(operation: Any) -> Any:
    def truth(x: Array, i: Array, v: Array) -> Array:
        y = x.copy()
        operation.at(y, i, v)
        return y

    return truth


def written(x: Array, i: Array, v: Array) -> Array:
    y = x.copy()
    y[i] = v
    return y


def case(name: str, index: Tensor, torch: Any, tensorflow: str | None, truth: Any, **rest: Any) -> Case:
    builders: dict[str, Any] = {"torch": torch}
    if tensorflow:
        builders["tensorflow"] = lambda tf: lambda x, i, v: getattr(tf, tensorflow)(x, i[:, None], v)
    return Case(name, {"x": X, "i": index, "v": V}, builders, {"y": X}, truth=truth, tags=TAGS, **rest)


def reduce(kind: str, include_self: bool = True) -> Any:
    return lambda torch: lambda x, i, v: torch.scatter_reduce(x, 0, i, v, kind, include_self=include_self)


CASES = (
    case("written", ONCE, lambda torch: lambda x, i, v: torch.scatter(x, 0, i, v), "tensor_scatter_nd_update", written),
    case(
        "added",
        TWICE,
        lambda torch: lambda x, i, v: torch.scatter_add(x, 0, i, v),
        "tensor_scatter_nd_add",
        reduced(np.add),
        expect=left_by_tf2onnx("TensorScatterAdd"),
    ),
    case("product", TWICE, reduce("prod"), None, reduced(np.multiply)),
    case(
        "largest",
        TWICE,
        reduce("amax"),
        "tensor_scatter_nd_max",
        reduced(np.maximum),
        expect=left_by_tf2onnx("TensorScatterMax"),
    ),
    case(
        "smallest",
        TWICE,
        reduce("amin"),
        "tensor_scatter_nd_min",
        reduced(np.minimum),
        expect=left_by_tf2onnx("TensorScatterMin"),
    ),
    case(
        "largest_without_self",
        ONCE,
        reduce("amax", False),
        None,
        written,
        note="what stood there does not count",
        expect=refused_by_torchscript("aten::scatter_reduce"),
    ),
    case(
        "index_put",
        ONCE,
        lambda torch: lambda x, i, v: torch.index_put(x, (i,), v),
        "tensor_scatter_nd_update",
        written,
    ),
    case(
        "index_put_accumulate",
        TWICE,
        lambda torch: lambda x, i, v: torch.index_put(x, (i,), v, accumulate=True),
        "tensor_scatter_nd_add",
        reduced(np.add),
        expect=left_by_tf2onnx("TensorScatterAdd") | LOST,
    ),
)
