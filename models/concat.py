"""Putting together and taking apart: concat, stack, split, tile, repeat, roll and flip."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnx_triangulate import Case, Gradient, Tensor

A = Tensor("a b", (2, 3), low=-9, high=10)
B = Tensor("c b", (4, 3), low=-9, high=10)
TAGS = ("shape",)


def one(name: str, torch: Any, tensorflow: Any, y: str, truth: Any, **rest: Any) -> Case:
    return Case(
        name, {"x": A}, {"torch": torch, "tensorflow": tensorflow}, {"y": Tensor(y)}, truth=truth, tags=TAGS, **rest
    )


CASES = (
    Case(
        "concat",
        {"a": A, "b": B},
        {
            "torch": lambda torch: lambda a, b: torch.cat((a, b), 0),
            "tensorflow": lambda tf: lambda a, b: tf.concat((a, b), 0),
        },
        {"y": Tensor("d b")},
        truth=lambda a, b: np.concatenate((a, b)),
        dynamic={"a": (1, 5)},
        tags=TAGS,
    ),
    Case(
        "stack",
        {"a": A, "b": A},
        {
            "torch": lambda torch: lambda a, b: torch.stack((a, b), 1),
            "tensorflow": lambda tf: lambda a, b: tf.stack((a, b), 1),
        },
        {"y": Tensor("a two b")},
        truth=lambda a, b: np.stack((a, b), 1),
        tags=TAGS,
    ),
    Case(
        "split_uneven",
        {"x": Tensor("a b", (7, 3), low=-9, high=10)},
        {
            "torch": lambda torch: lambda x: torch.split(x, 3),
            "tensorflow": lambda tf: lambda x: tuple(tf.split(x, (3, 3, 1))),
        },
        {"p": Tensor("a b"), "q": Tensor("a b"), "r": Tensor("a b")},
        truth=lambda x: {"p": x[:3], "q": x[3:6], "r": x[6:]},
        note="the last part is what is left",
        tags=TAGS,
    ),
    one(
        "tile",
        lambda torch: lambda x: torch.tile(x, (2, 3)),
        lambda tf: lambda x: tf.tile(x, (2, 3)),
        "p q",
        lambda x: np.tile(x, (2, 3)),
    ),
    one(
        "repeat_interleave",
        lambda torch: lambda x: torch.repeat_interleave(x, 2, 0),
        lambda tf: lambda x: tf.repeat(x, 2, 0),
        "p b",
        lambda x: np.repeat(x, 2, 0),
    ),
    one(
        "roll",
        lambda torch: lambda x: torch.roll(x, (1, -2), (0, 1)),
        lambda tf: lambda x: tf.roll(x, (1, -2), (0, 1)),
        "a b",
        lambda x: np.roll(x, (1, -2), (0, 1)),
    ),
    one(
        "flip",
        lambda torch: lambda x: torch.flip(x, (0, 1)),
        lambda tf: lambda x: tf.reverse(x, (0, 1)),
        "a b",
        lambda x: x[::-1, ::-1],
    ),
    Case(
        "gradient_of_tile",
        {"x": Tensor("a", (3,), low=-9, high=10), "dy": Tensor("p", (6,), low=1, high=9)},
        {"torch": lambda torch: lambda x: torch.tile(x, (2,)), "tensorflow": lambda tf: lambda x: tf.tile(x, (2,))},
        {"y": Tensor("p"), "grad_x": Tensor("a")},
        truth=lambda x, dy: {"y": np.tile(x, 2), "grad_x": dy[:3] + dy[3:]},
        gradient=Gradient("y", ("x",), "dy"),
        tags=TAGS,
    ),
)
