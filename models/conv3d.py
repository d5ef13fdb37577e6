"""Convolution over three axes, and its transpose; depthwise and separable convolutions over two."""

from __future__ import annotations

from itertools import product

import numpy as np

from onnx_triangulate import Array, Case, Expected, Tensor
from onnx_triangulate.cases.definitions import conv2d

X = Tensor("n c d h w", (1, 2, 4, 5, 4), low=-2, high=3)
W = Tensor("o i d h w", (3, 2, 3, 3, 2), low=-2, high=3)
TAGS = ("convolution",)
NO_BIAS = {
    ("torch", "torch:raw>*"): Expected(
        "export-failed",
        op="Conv",
        reason="for a convolution without bias the dynamo exporter makes one of shape (channels, 2), which no runtime "
        "takes; its optimizer takes it out again",
    )
}


def conv3d(x: Array, w: Array, stride: int = 1, pads: tuple[tuple[int, int], ...] = ((0, 0),) * 3) -> Array:
    """y[n,o,p,q,r] = sum over c,i,j,k of w[o,c,i,j,k] x[n,c,p*stride+i,q*stride+j,r*stride+k]."""
    x = np.pad(x, ((0, 0), (0, 0), *pads))
    size = [(a - b) // stride + 1 for a, b in zip(x.shape[2:], w.shape[2:], strict=True)]
    y = np.zeros((x.shape[0], w.shape[0], *size))
    for at in product(*map(range, w.shape[2:])):
        places = tuple(slice(i, i + (n - 1) * stride + 1, stride) for i, n in zip(at, size, strict=True))
        y += np.einsum("ncdhw,oc->nodhw", x[(..., *places)], w[(..., *at)])
    return y


def conv_transpose3d(x: Array, w: Array, stride: int) -> Array:
    """y[n,o,p*stride+i,...] += w[c,o,i,...] x[n,c,p,...]."""
    size = [(a - 1) * stride + b for a, b in zip(x.shape[2:], w.shape[2:], strict=True)]
    y = np.zeros((x.shape[0], w.shape[1], *size))
    for at in product(*map(range, w.shape[2:])):
        places = tuple(slice(i, i + (n - 1) * stride + 1, stride) for i, n in zip(at, x.shape[2:], strict=True))
        y[(..., *places)] += np.einsum("ncdhw,co->nodhw", x, w[(..., *at)])
    return y


CASES = (
    Case(
        "valid",
        {"x": X},
        {
            "torch": lambda torch, w: lambda x: torch.nn.functional.conv3d(x, w),
            "tensorflow": lambda tf, w: lambda x: tf.nn.conv3d(x, w, [1, 1, 1, 1, 1], "VALID"),
        },
        {"y": Tensor("n c d h w")},
        parameters={"w": W},
        truth=conv3d,
        expect=NO_BIAS,
        tags=TAGS,
    ),
    Case(
        "stride_2",
        {"x": X},
        {
            "torch": lambda torch, w: lambda x: torch.nn.functional.conv3d(x, w, stride=2, padding=1),
            "tensorflow": lambda tf, w: lambda x: tf.nn.conv3d(x, w, [1, 2, 2, 2, 1], "SAME"),
        },
        {"y": Tensor("n c d h w")},
        parameters={"w": Tensor("o i d h w", (3, 2, 3, 3, 3), low=-2, high=3)},
        truth={
            "torch": lambda x, w: conv3d(x, w, 2, ((1, 1), (1, 1), (1, 1))),
            "tensorflow": lambda x, w: conv3d(x, w, 2, ((0, 1), (1, 1), (0, 1))),
        },
        expect={
            **NO_BIAS,
            ("tensorflow", "torch"): Expected(
                "semantics",
                cause="asymmetric-padding",
                reason="along the even axes SAME pads after the end only, padding=1 on both sides",
            ),
        },
        tags=TAGS,
    ),
    Case(
        "transposed",
        {"x": Tensor("n c d h w", (1, 2, 2, 3, 2), low=-2, high=3)},
        {
            "torch": lambda torch, w: lambda x: torch.nn.functional.conv_transpose3d(x, w, stride=2),
            "tensorflow": lambda tf, w: lambda x: tf.nn.conv3d_transpose(x, w, (1, 5, 7, 5, 3), 2, "VALID"),
        },
        {"y": Tensor("n c d h w")},
        parameters={"w": Tensor("i o d h w", (2, 3, 3, 3, 3), low=-2, high=3, layouts={"tensorflow": "d h w o i"})},
        truth=lambda x, w: conv_transpose3d(x, w, 2),
        tags=TAGS,
    ),
    Case(
        "separable",
        {"x": Tensor("n c h w", (1, 3, 5, 5), low=-2, high=3)},
        {
            "torch": lambda torch, d, p: (
                lambda x: torch.nn.functional.conv2d(torch.nn.functional.conv2d(x, d, groups=3), p)
            ),
            "tensorflow": lambda tf, d, p: lambda x: tf.nn.separable_conv2d(x, d, p, [1, 1, 1, 1], "VALID"),
        },
        {"y": Tensor("n c h w")},
        parameters={
            "d": Tensor("o i h w", (3, 1, 3, 3), low=-2, high=3, layouts={"tensorflow": "h w o i"}),
            "p": Tensor("o i h w", (4, 3, 1, 1), low=-2, high=3),
        },
        truth=lambda x, d, p: conv2d(conv2d(x, d, groups=3), p),
        note="a depthwise convolution and one of 1 by 1",
        tags=TAGS,
    ),
)
