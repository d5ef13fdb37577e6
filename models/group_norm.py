"""Group, instance and RMS normalization: which elements share a mean and a variance, and where epsilon stands."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnx_triangulate import Array, Case, Each, Expected, Rounded, Tensor
from onnx_triangulate.cases.refusals import refused_by_torchscript

IMAGE = Tensor("n c h w", (2, 4, 3, 3), low=-4, high=5, integers=False)
SMALL = Tensor("n c h w", (2, 4, 3, 3), low=0, high=0.1, integers=False)
ROWS = Tensor("n c", (3, 6), low=-4, high=5, integers=False)
TAGS = ("normalization",)


def group_norm(x: Array, groups: int, epsilon: float) -> Array:
    z = x.reshape(len(x), groups, -1)
    z = (z - z.mean(-1, keepdims=True)) / np.sqrt(z.var(-1, keepdims=True) + epsilon)
    return z.reshape(x.shape)


def rms_norm(x: Array, epsilon: float) -> Array:
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + epsilon)


def groups(name: str, count: int, x: Tensor, epsilon: Any, **rest: Any) -> Case:
    return Case(
        name,
        {"x": x},
        {
            "torch": lambda torch, epsilon: torch.nn.GroupNorm(count, 4, eps=epsilon),
            "tensorflow": lambda tf, epsilon: tf.keras.layers.GroupNormalization(count, axis=-1, epsilon=epsilon),
        },
        {"y": x},
        parameters={"epsilon": epsilon},
        truth=lambda x, epsilon: Rounded(group_norm(x, count, epsilon)),
        tags=TAGS,
        **rest,
    )


CASES = (
    groups("two_groups", 2, IMAGE, 1e-5),
    groups("one_group", 1, IMAGE, 1e-5, note="layer normalization of the whole image"),
    groups(
        "default_epsilons",
        2,
        SMALL,
        Each(torch=1e-5, tensorflow=1e-3),
        expect={
            ("tensorflow", "torch"): Expected(
                "parameters", reason="the defaults: GroupNorm adds 1e-5 to the variance, GroupNormalization 1e-3"
            )
        },
    ),
    Case(
        "instance_norm",
        {"x": IMAGE},
        {
            "torch": lambda torch: torch.nn.InstanceNorm2d(4),
            "tensorflow": lambda tf: tf.keras.layers.GroupNormalization(-1, axis=-1, epsilon=1e-5),
        },
        {"y": IMAGE},
        truth=lambda x: Rounded(group_norm(x, 4, 1e-5)),
        note="in Keras a group a channel",
        tags=TAGS,
    ),
    Case(
        "rms_norm",
        {"x": ROWS},
        {
            "torch": lambda torch: lambda x: torch.nn.functional.rms_norm(x, (6,), eps=1e-6),
            "tensorflow": lambda tf: tf.keras.layers.RMSNormalization(epsilon=1e-6),
        },
        {"y": ROWS},
        truth=lambda x: Rounded(rms_norm(x, 1e-6)),
        expect=refused_by_torchscript("aten::rms_norm"),
        tags=TAGS,
    ),
    Case(
        "rms_norm_zero_row",
        {"x": Tensor("n c", values=[[0, 0, 0], [1, -2, 2]])},
        {
            "torch": lambda torch: lambda x: torch.nn.functional.rms_norm(x, (3,), eps=1e-6),
            "tensorflow": lambda tf: tf.keras.layers.RMSNormalization(epsilon=1e-6),
        },
        {"y": Tensor("n c")},
        truth=lambda x: Rounded(rms_norm(x, 1e-6)),
        expect=refused_by_torchscript("aten::rms_norm"),
        tags=TAGS,
    ),
)
