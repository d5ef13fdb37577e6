"""Scaled dot-product attention: with masks that are booleans or are added, causal, and a row that may see nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnx_triangulate import Array, Case, Expected, Gradient, Rounded, Tensor
from onnx_triangulate.cases.refusals import refused_by_torchscript

Q = Tensor("n h q d", (2, 2, 3, 4), low=-2, high=2, integers=False)
K = Tensor("n h k d", (2, 2, 3, 4), low=-2, high=2, integers=False)
TAGS = ("attention",)
AVERAGES = Expected(
    "export",
    reason="the dynamo exporter adds the smallest float32 where the mask is False: of a row that may see nothing it "
    "makes the average of all values",
)
SEEN = Tensor("q k", values=[[True, False, True], [True, True, False], [False, True, True]], dtype="bool")
NOTHING = Tensor("q k", values=[[True, False, True], [False, False, False], [True, True, True]], dtype="bool")
ADDED = Tensor("q k", values=[[0.0, -1.0, 0.5], [0.0, 0.0, -1e9], [2.0, 0.0, 0.0]])


def attention(q: Array, k: Array, v: Array, bias: Any = 0.0) -> Array:
    """softmax(q k^T / sqrt d + bias) v."""
    scores = q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1]) + bias
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return np.asarray(weights / weights.sum(-1, keepdims=True) @ v)


def tensorflow_attention(tf: Any, q: Any, k: Any, v: Any, bias: Any = 0.0) -> Any:
    scores = tf.matmul(q, k, transpose_b=True) / tf.sqrt(4.0) + bias
    return tf.matmul(tf.nn.softmax(scores), v)


def case(name: str, torch: Any, tensorflow: Any, truth: Any, more: dict[str, Tensor], **rest: Any) -> Case:
    return Case(
        name,
        {"q": Q, "k": K, "v": K, **more},
        {"torch": torch, "tensorflow": tensorflow},
        {"y": Tensor("n h q d")},
        truth=truth,
        tags=TAGS,
        **rest,
    )


CASES = (
    case(
        "plain",
        lambda torch: torch.nn.functional.scaled_dot_product_attention,
        lambda tf: lambda q, k, v: tensorflow_attention(tf, q, k, v),
        lambda q, k, v: Rounded(attention(q, k, v)),
        {},
        dynamic={"n": (1, 3)},
    ),
    case(
        "boolean_mask",
        lambda torch: torch.nn.functional.scaled_dot_product_attention,
        lambda tf: lambda q, k, v, mask: tensorflow_attention(tf, q, k, v, tf.where(mask, 0.0, -np.inf)),
        lambda q, k, v, mask: Rounded(attention(q, k, v, np.where(mask, 0, -np.inf))),
        {"mask": SEEN},
    ),
    case(
        "additive_mask",
        lambda torch: torch.nn.functional.scaled_dot_product_attention,
        lambda tf: lambda q, k, v, mask: tensorflow_attention(tf, q, k, v, mask),
        lambda q, k, v, mask: Rounded(attention(q, k, v, mask)),
        {"mask": ADDED},
    ),
    case(
        "causal",
        lambda torch: lambda q, k, v: torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True),
        lambda tf: (
            lambda q, k, v: tensorflow_attention(
                tf, q, k, v, tf.where(tf.linalg.band_part(tf.ones((3, 3), tf.bool), -1, 0), 0.0, -np.inf)
            )
        ),
        lambda q, k, v: Rounded(attention(q, k, v, np.where(np.tri(3) > 0, 0, -np.inf))),
        {},
    ),
    case(
        "fully_masked_row",
        lambda torch: torch.nn.functional.scaled_dot_product_attention,
        lambda tf: lambda q, k, v, mask: tensorflow_attention(tf, q, k, v, tf.where(mask, 0.0, -np.inf)),
        {
            "torch": lambda q, k, v, mask: Rounded(np.nan_to_num(attention(q, k, v, np.where(mask, 0, -np.inf)))),
            "tensorflow": lambda q, k, v, mask: Rounded(attention(q, k, v, np.where(mask, 0, -np.inf))),
        },
        {"mask": NOTHING},
        expect={
            ("torch", "torch>*"): AVERAGES,
            ("torch", "torch:raw>*"): AVERAGES,
            ("tensorflow", "torch"): Expected(
                "semantics",
                reason="of a row that may see nothing PyTorch makes zeros, a softmax of -inf alone NaN",
            ),
        },
    ),
    Case(
        "gradient",
        {
            "v": Tensor("k d", (3, 2), low=-2, high=3),
            "q": Tensor("q e", (2, 4), low=-1, high=1, integers=False),
            "k": Tensor("k e", (3, 4), low=-1, high=1, integers=False),
            "dy": Tensor("q d", (2, 2), low=1, high=5),
        },
        {
            "torch": lambda torch: lambda v, q, k: torch.softmax(q @ k.T / 2.0, -1) @ v,
            "tensorflow": lambda tf: (
                lambda v, q, k: tf.matmul(
                    tf.nn.softmax(tf.matmul(q, k, transpose_b=True) / 2.0),
                    v,
                )
            ),
        },
        {"y": Tensor("q d"), "grad_v": Tensor("k d")},
        truth=lambda v, q, k, dy: {
            "y": Rounded(attention(q, k, v)),
            "grad_v": Rounded(attention(q, k, np.eye(3)).T @ dy),
        },
        gradient=Gradient("y", ("v",), "dy"),
        tags=TAGS,
        expect=refused_by_torchscript("aten::_softmax"),
    ),
)
