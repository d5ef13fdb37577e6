"""Pixel shuffle and depth to space: channels become pixels, and which channel goes where."""

from __future__ import annotations

from typing import Any

from onnx_triangulate import Array, Case, Expected, Gradient, Tensor

IMAGE = Tensor("n c h w", (2, 8, 2, 3), low=-50, high=51)
FINE = Tensor("n c h w", (2, 2, 4, 6), low=-50, high=51)
TAGS = ("shape",)


def shuffle(x: Array, r: int, colour_first: bool) -> Array:
    """Channel c r r + i r + j (colour first, as PyTorch) or i r C + j C + c (as TensorFlow) is pixel (i, j) of c."""
    n, c, h, w = x.shape
    if colour_first:
        x = x.reshape(n, c // r**2, r, r, h, w).transpose(0, 1, 4, 2, 5, 3)
    else:
        x = x.reshape(n, r, r, c // r**2, h, w).transpose(0, 3, 4, 1, 5, 2)
    return x.reshape(n, c // r**2, h * r, w * r)


def unshuffle(x: Array, r: int, colour_first: bool) -> Array:
    n, c, h, w = x.shape
    x = x.reshape(n, c, h // r, r, w // r, r)
    order = (0, 1, 3, 5, 2, 4) if colour_first else (0, 3, 5, 1, 2, 4)
    return x.transpose(order).reshape(n, c * r**2, h // r, w // r)


def builders(torch_name: str, tensorflow_name: str) -> dict[str, Any]:
    return {
        "torch": lambda torch: lambda x: getattr(torch.nn.functional, torch_name)(x, 2),
        "tensorflow": lambda tf: lambda x: getattr(tf.nn, tensorflow_name)(x, 2),
    }


ORDER = {
    ("tensorflow", "torch"): Expected(
        "semantics",
        reason="of the channels of one pixel PyTorch lets the place in the block run fastest, TensorFlow the colour",
    )
}
SHUFFLE, UNSHUFFLE = builders("pixel_shuffle", "depth_to_space"), builders("pixel_unshuffle", "space_to_depth")

CASES = (
    Case(
        "two_colours",
        {"x": IMAGE},
        SHUFFLE,
        {"y": Tensor("n c h w")},
        truth={"torch": lambda x: shuffle(x, 2, True), "tensorflow": lambda x: shuffle(x, 2, False)},
        expect=ORDER,
        tags=TAGS,
    ),
    Case(
        "one_colour",
        {"x": Tensor("n c h w", (2, 4, 2, 3), low=-50, high=51)},
        SHUFFLE,
        {"y": Tensor("n c h w")},
        truth=lambda x: shuffle(x, 2, True),
        note="of a single colour both orders are one",
        tags=TAGS,
    ),
    Case(
        "back_two_colours",
        {"x": FINE},
        UNSHUFFLE,
        {"y": Tensor("n c h w")},
        truth={"torch": lambda x: unshuffle(x, 2, True), "tensorflow": lambda x: unshuffle(x, 2, False)},
        expect=ORDER,
        tags=TAGS,
    ),
    Case(
        "reordered",
        {"x": IMAGE},
        {
            "torch": SHUFFLE["torch"],
            "tensorflow": lambda tf: lambda x: tf.nn.depth_to_space(tf.gather(x, [0, 4, 1, 5, 2, 6, 3, 7], axis=-1), 2),
        },
        {"y": Tensor("n c h w")},
        truth=lambda x: shuffle(x, 2, True),
        note="the remedy: TensorFlow's channels in PyTorch's order",
        tags=TAGS,
    ),
    Case(
        "gradient",
        {"x": Tensor("n c h w", (1, 4, 2, 2), low=-5, high=6), "dy": Tensor("n c h w", (1, 1, 4, 4), low=1, high=20)},
        SHUFFLE,
        {"y": Tensor("n c h w"), "grad_x": Tensor("n c h w")},
        truth=lambda x, dy: {"y": shuffle(x, 2, True), "grad_x": unshuffle(dy, 2, True)},
        gradient=Gradient("y", ("x",), "dy"),
        tags=TAGS,
    ),
)
