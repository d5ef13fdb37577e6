"""Reshape, flatten, transpose: the same numbers in another order, which the order of axes decides."""

from __future__ import annotations

import numpy as np

from onnx_triangulate import Case, Expected, Tensor

IMAGE = Tensor("n c h w", (2, 3, 2, 2), low=-50, high=51)
X = Tensor("a b c", (2, 3, 4), low=-50, high=51)
TAGS = ("shape",)

CASES = (
    Case(
        "reshape",
        {"x": X},
        {"torch": lambda torch: lambda x: x.reshape(4, -1), "tensorflow": lambda tf: lambda x: tf.reshape(x, (4, -1))},
        {"y": Tensor("p q")},
        truth=lambda x: x.reshape(4, 6),
        tags=TAGS,
    ),
    Case(
        "open_axis",
        {"x": X},
        {
            "torch": lambda torch: lambda x: x.reshape(x.shape[0], -1),
            "tensorflow": lambda tf: lambda x: tf.reshape(x, (tf.shape(x)[0], 12)),
        },
        {"y": Tensor("a q")},
        truth=lambda x: x.reshape(len(x), 12),
        dynamic={"a": (1, 5)},
        tags=TAGS,
    ),
    Case(
        "transpose",
        {"x": X},
        {
            "torch": lambda torch: lambda x: x.permute(2, 0, 1),
            "tensorflow": lambda tf: lambda x: tf.transpose(x, (2, 0, 1)),
        },
        {"y": Tensor("c a b")},
        truth=lambda x: x.transpose(2, 0, 1),
        tags=TAGS,
    ),
    Case(
        "flatten_image",
        {"x": IMAGE},
        {"torch": lambda torch: torch.nn.Flatten(), "tensorflow": lambda tf: tf.keras.layers.Flatten()},
        {"y": Tensor("n k")},
        truth={
            "torch": lambda x: x.reshape(len(x), -1),
            "tensorflow": lambda x: x.transpose(0, 2, 3, 1).reshape(len(x), -1),
        },
        expect={
            ("tensorflow", "torch"): Expected(
                "semantics", reason="PyTorch flattens channels first, TensorFlow, whose images have them last, last"
            )
        },
        note="a dense layer behind it needs its weights in another order",
        tags=TAGS,
    ),
    Case(
        "flatten_channels_first",
        {"x": IMAGE},
        {
            "torch": lambda torch: torch.nn.Flatten(),
            "tensorflow": lambda tf: lambda x: tf.reshape(tf.transpose(x, (0, 3, 1, 2)), (2, -1)),
        },
        {"y": Tensor("n k")},
        truth=lambda x: x.reshape(len(x), -1),
        note="the remedy",
        tags=TAGS,
    ),
    Case(
        "expand",
        {"x": Tensor("a b", (3, 1), low=-9, high=10)},
        {
            "torch": lambda torch: lambda x: x.expand(2, 3, 4),
            "tensorflow": lambda tf: lambda x: tf.broadcast_to(x, (2, 3, 4)),
        },
        {"y": Tensor("n a b")},
        truth=lambda x: np.broadcast_to(x, (2, 3, 4)),
        tags=TAGS,
    ),
    Case(
        "squeeze",
        {"x": Tensor("a one b", (2, 1, 3), low=-9, high=10)},
        {
            "torch": lambda torch: lambda x: x.squeeze(1).unsqueeze(-1),
            "tensorflow": lambda tf: lambda x: tf.expand_dims(tf.squeeze(x, 1), -1),
        },
        {"y": Tensor("a b one")},
        truth=lambda x: x[:, 0, :, None],
        tags=TAGS,
    ),
)
