"""Convolution over one axis, dense, causal, dilated and depthwise, and its transpose."""

from __future__ import annotations

from typing import Any

from onnx_triangulate import Array, Case, Expected, Tensor
from onnx_triangulate.cases.definitions import conv2d, conv_transpose2d

X = Tensor("n c l", (2, 4, 9), low=-3, high=4)
W = Tensor("o i l", (3, 4, 3), low=-2, high=3)
TAGS = ("convolution",)


def conv1d(x: Array, w: Array, pads: tuple[int, int] = (0, 0), **settings: int) -> Array:
    """As a convolution over a height of 1."""
    return conv2d(x[:, :, None], w[:, :, None], pads=((0, 0), pads), **settings)[:, :, 0]


def spaced(x: Array, w: Array, stride: int, pads: tuple[int, int]) -> Array:
    """With a stride: every ``stride``-th result."""
    return conv1d(x, w, pads)[:, :, ::stride]


def case(name: str, x: Tensor, w: Tensor, torch: Any, tensorflow: Any, truth: Any, **rest: Any) -> Case:
    return Case(
        name,
        {"x": x},
        {
            "torch": lambda torch_, w: lambda x: torch_.nn.functional.conv1d(x, w, **torch),
            "tensorflow": lambda tf, w: lambda x: tf.nn.conv1d(x, w, **{"stride": 1, **tensorflow}),
        },
        {"y": Tensor("n c l")},
        parameters={"w": w},
        truth=truth,
        tags=TAGS,
        **rest,
    )


CASES = (
    case("valid", X, W, {}, {"padding": "VALID"}, conv1d),
    case("same", X, W, {"padding": "same"}, {"padding": "SAME"}, lambda x, w: conv1d(x, w, (1, 1))),
    case(
        "stride_2_even",
        Tensor("n c l", (2, 4, 8), low=-3, high=4),
        W,
        {"stride": 2, "padding": 1},
        {"stride": 2, "padding": "SAME"},
        {"torch": lambda x, w: spaced(x, w, 2, (1, 1)), "tensorflow": lambda x, w: spaced(x, w, 2, (0, 1))},
        expect={
            ("tensorflow", "torch"): Expected(
                "semantics",
                reason="SAME needs one element of padding here and puts it after, padding=1 is on both sides",
            )
        },
    ),
    case(
        "dilation",
        X,
        W,
        {"dilation": 2},
        {"padding": "VALID", "dilations": 2},
        lambda x, w: conv1d(x, w, dilation=2),
    ),
    case(
        "groups",
        X,
        Tensor("o i l", (4, 2, 3), low=-2, high=3),
        {"groups": 2},
        {"padding": "VALID"},
        lambda x, w: conv1d(x, w, groups=2),
    ),
    Case(
        "causal",
        {"x": Tensor("n c t", (2, 4, 9), low=-3, high=4, layouts={"tensorflow": "n t c"})},
        {
            "torch": lambda torch, w: lambda x: torch.nn.functional.conv1d(torch.nn.functional.pad(x, (2, 0)), w),
            "tensorflow": lambda tf, w: lambda x: tf.nn.conv1d(tf.pad(x, [[0, 0], [2, 0], [0, 0]]), w, 1, "VALID"),
        },
        {"y": Tensor("n c l")},
        parameters={"w": W},
        truth=lambda x, w: conv1d(x, w, (2, 0)),
        dynamic={"t": (5, 12)},
        tags=TAGS,
    ),
    Case(
        "transposed",
        {"x": X},
        {
            "torch": lambda torch, w: lambda x: torch.nn.functional.conv_transpose1d(x, w, stride=2),
            "tensorflow": lambda tf, w: lambda x: tf.nn.conv1d_transpose(x, w, (2, 19, 3), 2, "VALID"),
        },
        {"y": Tensor("n c l")},
        parameters={"w": Tensor("i o l", (4, 3, 3), low=-2, high=3, layouts={"tensorflow": "l o i"})},
        truth=lambda x, w: conv_transpose2d(x[:, :, None], w[:, :, None], stride=2)[:, :, 0][..., :19],
        tags=TAGS,
    ),
)
