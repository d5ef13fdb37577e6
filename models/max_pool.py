"""Max pooling over one and three axes, dilated, with ceil_mode, of ties and of NaN, and where its derivative goes."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnx_triangulate import Array, Case, Expected, Gradient, Tensor
from onnx_triangulate.cases.refusals import left_by_tf2onnx, refused_by_torchscript

ROW = Tensor("n c l", (2, 3, 9), low=-9, high=-1)
CUBE = Tensor("n c d h w", (1, 2, 4, 4, 6), low=-9, high=-1)
TAGS = ("pooling",)
UNSPECIFIED = Expected(
    "unspecified",
    op="MaxPool",
    reason="ONNX does not say what becomes of a NaN in a maximum",
)


def max_pool(x: Array, k: int, s: int, dilation: int = 1, after: int = 0) -> Array:
    """Over the last axis; ``after`` elements of minus infinity stand behind the end."""
    x = np.concatenate([x, np.full((*x.shape[:-1], after), -np.inf)], -1)
    reach = dilation * (k - 1) + 1
    return np.asarray(np.lib.stride_tricks.sliding_window_view(x, reach, -1)[..., ::s, ::dilation].max(-1))


def one(k: int, s: int, padding: str = "VALID", **torch_settings: Any) -> dict[str, Any]:
    return {
        "torch": lambda torch: lambda x: torch.nn.functional.max_pool1d(x, k, s, **torch_settings),
        "tensorflow": lambda tf: lambda x: tf.nn.max_pool1d(x, k, s, padding),
    }


def gradient(x: Array, dy: Array) -> dict[str, Array]:
    grad = np.zeros(x.shape)
    first = x.reshape(1, 1, 4, 2).argmax(-1)
    for i, j in enumerate(first[0, 0]):
        grad[0, 0, 2 * i + j] = dy[0, 0, i]
    return {"y": max_pool(x, 2, 2), "grad_x": grad}


CASES = (
    Case("one_axis", {"x": ROW}, one(3, 2), {"y": Tensor("n c l")}, truth=lambda x: max_pool(x, 3, 2), tags=TAGS),
    Case(
        "ceil_mode",
        {"x": ROW},
        one(2, 2, "SAME", ceil_mode=True),
        {"y": Tensor("n c l")},
        truth=lambda x: max_pool(x, 2, 2, after=1),
        tags=TAGS,
    ),
    Case(
        "dilation",
        {"x": ROW},
        {"torch": one(3, 2, dilation=2)["torch"]},
        {"y": Tensor("n c l")},
        truth=lambda x: max_pool(x, 3, 2, 2),
        tags=TAGS,
    ),
    Case(
        "three_axes",
        {"x": CUBE},
        {
            "torch": lambda torch: lambda x: torch.nn.functional.max_pool3d(x, 2),
            "tensorflow": lambda tf: lambda x: tf.nn.max_pool3d(x, 2, 2, "VALID"),
        },
        {"y": Tensor("n c d h w")},
        truth=lambda x: x.reshape(1, 2, 2, 2, 2, 2, 3, 2).max((3, 5, 7)),
        tags=TAGS,
    ),
    Case(
        "gradient_of_ties",
        {
            "x": Tensor("n c l", values=[[[3, 3, -1, -2, 0, 0, 1, 2]]]),
            "dy": Tensor("n c l", values=[[[1, 2, 3, 4]]]),
        },
        one(2, 2),
        {"y": Tensor("n c l"), "grad_x": Tensor("n c l")},
        truth=gradient,
        gradient=Gradient("y", ("x",), "dy"),
        expect=left_by_tf2onnx("MaxPoolGrad") | refused_by_torchscript("aten::max_pool2d_with_indices_backward"),
        note="of two that are largest both give the derivative to the first",
        tags=TAGS,
    ),
    Case(
        "nan",
        {"x": Tensor("n c l", values=[[[np.nan, 1.0, 2.0, np.nan, 3.0, 4.0]]])},
        one(2, 2),
        {"y": Tensor("n c l")},
        truth=lambda x: max_pool(x, 2, 2),
        expect={
            ("truth", "tensorflow"): Expected(
                "native", reason="TensorFlow's maximum is whichever it compared last: a NaN that comes first is lost"
            ),
            ("tensorflow", "tensorflow*>*"): UNSPECIFIED,
            ("torch", "torch*>*"): UNSPECIFIED,
        },
        note="PyTorch keeps every NaN",
        tags=TAGS,
    ),
)
