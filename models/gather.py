"""Gathering: rows, single elements along an axis, elements by coordinates; negative and repeated indices."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnx_triangulate import Array, Case, Gradient, Tensor

X = Tensor("a b", (4, 3), low=-20, high=21)
ROWS = Tensor("k", values=[2, 0, 2, 3], dtype="int64")
PLACES = Tensor("a k", values=[[0, 2], [1, 1], [2, 0], [0, 0]], dtype="int64")
TAGS = ("indexing",)


def case(name: str, torch: Any, tensorflow: Any, y: str, truth: Any, index: Tensor, **rest: Any) -> Case:
    builders = {"torch": torch} | ({"tensorflow": tensorflow} if tensorflow else {})
    return Case(name, {"x": X, "i": index}, builders, {"y": Tensor(y)}, truth=truth, tags=TAGS, **rest)


def gradient(x: Array, i: Array, dy: Array) -> dict[str, Array]:
    grad = np.zeros(x.shape)
    for row in range(len(x)):
        np.add.at(grad[row], i[row], dy[row])
    return {"y": np.take_along_axis(x, i, 1), "grad_x": grad}


CASES = (
    case(
        "rows",
        lambda torch: lambda x, i: torch.index_select(x, 0, i),
        lambda tf: lambda x, i: tf.gather(x, i),
        "k b",
        lambda x, i: x[i],
        ROWS,
    ),
    case(
        "columns",
        lambda torch: lambda x, i: x[:, i],
        lambda tf: lambda x, i: tf.gather(x, i, axis=1),
        "a k",
        lambda x, i: x[:, i],
        Tensor("k", values=[2, 2, 0], dtype="int64"),
    ),
    case(
        "negative_rows",
        lambda torch: lambda x, i: x[i],
        None,
        "k b",
        lambda x, i: x[i],
        Tensor("k", values=[-1, 0, -4], dtype="int64"),
        note="counted from the end; TensorFlow refuses them",
    ),
    case(
        "along_an_axis",
        lambda torch: lambda x, i: torch.gather(x, 1, i),
        lambda tf: lambda x, i: tf.gather(x, i, batch_dims=1),
        "a k",
        lambda x, i: np.take_along_axis(x, i, 1),
        PLACES,
    ),
    case(
        "coordinates",
        lambda torch: lambda x, i: x[i[:, 0], i[:, 1]],
        lambda tf: lambda x, i: tf.gather_nd(x, i),
        "k",
        lambda x, i: x[i[:, 0], i[:, 1]],
        Tensor("k two", values=[[0, 2], [3, 1], [0, 2]], dtype="int64"),
    ),
    Case(
        "gradient_of_repeated_places",
        {"x": X, "i": PLACES, "dy": Tensor("a k", (4, 2), low=1, high=9)},
        {
            "torch": lambda torch: lambda x, i: torch.gather(x, 1, i),
            "tensorflow": lambda tf: lambda x, i: tf.gather(x, i, batch_dims=1),
        },
        {"y": Tensor("a k"), "grad_x": Tensor("a b")},
        truth=gradient,
        gradient=Gradient("y", ("x",), "dy"),
        tags=TAGS,
    ),
)
