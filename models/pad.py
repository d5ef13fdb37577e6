"""Padding: with a constant, reflected, repeated, around the other way, and by less than nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from onnx_triangulate import Array, Case, Gradient, Tensor
from onnx_triangulate.cases.refusals import left_by_tf2onnx

IMAGE = Tensor("n c h w", (1, 2, 3, 4), low=-5, high=6)
TAGS = ("padding",)
WIDTHS = ((0, 0), (0, 0), (1, 2), (2, 1))


def torch_pad(pads: tuple[int, ...], mode: str = "constant", value: float | None = None) -> Callable[..., Any]:
    """``pads`` are (left, right, top, bottom)."""
    return lambda torch: lambda x: torch.nn.functional.pad(x, pads, mode=mode, value=value)


def tensorflow_pad(mode: str = "CONSTANT", value: float = 0) -> Callable[..., Any]:
    widths = [[0, 0], [1, 2], [2, 1], [0, 0]]
    return lambda tf: lambda x: tf.pad(x, widths, mode, constant_values=value)


def case(name: str, torch: Any, tensorflow: Any, truth: Callable[[Array], Array], **rest: Any) -> Case:
    builders = {"torch": torch} | ({"tensorflow": tensorflow} if tensorflow else {})
    return Case(name, {"x": IMAGE}, builders, {"y": Tensor("n c h w")}, truth=truth, tags=TAGS, **rest)


def gradient(x: Array, dy: Array) -> dict[str, Array]:
    """Of a reflection: every copy's cotangent comes back to the element that it copies."""
    padded = np.pad(np.arange(x.size), (1, 2), mode="reflect")
    grad = np.zeros(x.size)
    np.add.at(grad, padded, dy[0, 0])
    return {"y": np.pad(x, ((0, 0), (0, 0), (1, 2)), mode="reflect"), "grad_x": grad.reshape(x.shape)}


CASES = (
    case("zeros", torch_pad((2, 1, 1, 2)), tensorflow_pad(), lambda x: np.pad(x, WIDTHS)),
    case(
        "constant",
        torch_pad((2, 1, 1, 2), value=-7.0),
        tensorflow_pad(value=-7.0),
        lambda x: np.pad(x, WIDTHS, constant_values=-7),
        dynamic={"n": (2, 5)},
    ),
    case(
        "reflect",
        torch_pad((2, 1, 1, 2), "reflect"),
        tensorflow_pad("REFLECT"),
        lambda x: np.pad(x, WIDTHS, mode="reflect"),
        note="without the edge itself",
    ),
    case(
        "symmetric",
        lambda torch: lambda x: torch.cat([x.flip(3)[..., 2:], x, x.flip(3)[..., :1]], 3),
        lambda tf: lambda x: tf.pad(x, [[0, 0], [0, 0], [2, 1], [0, 0]], "SYMMETRIC"),
        lambda x: np.pad(x, ((0, 0), (0, 0), (0, 0), (2, 1)), mode="symmetric"),
        note="with the edge; torch has no word for it",
    ),
    case("replicate", torch_pad((2, 1, 1, 2), "replicate"), None, lambda x: np.pad(x, WIDTHS, mode="edge")),
    case("circular", torch_pad((2, 1, 1, 2), "circular"), None, lambda x: np.pad(x, WIDTHS, mode="wrap")),
    case(
        "negative",
        torch_pad((-1, 1, 1, -1)),
        lambda tf: lambda x: tf.pad(x[:, :-1, 1:], [[0, 0], [1, 0], [0, 1], [0, 0]]),
        lambda x: np.pad(x[:, :, :-1, 1:], ((0, 0), (0, 0), (1, 0), (0, 1))),
        note="less than nothing is cut off",
    ),
    Case(
        "gradient",
        {"x": Tensor("n c l", (1, 1, 4), low=-3, high=4), "dy": Tensor("n c l", (1, 1, 7), low=1, high=9)},
        {
            "torch": torch_pad((1, 2), "reflect"),
            "tensorflow": lambda tf: lambda x: tf.pad(x, [[0, 0], [1, 2], [0, 0]], "REFLECT"),
        },
        {"y": Tensor("n c l"), "grad_x": Tensor("n c l")},
        truth=gradient,
        gradient=Gradient("y", ("x",), "dy"),
        expect=left_by_tf2onnx("MirrorPadGrad"),
        tags=TAGS,
    ),
)
