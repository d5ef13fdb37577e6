"""Negative log likelihood and cross entropy: with weights, a label that is ignored, and smoothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnx_triangulate import Array, Case, Expected, Rounded, Tensor

X = Tensor("n c", (4, 3), low=-3, high=3, integers=False)
LABELS = Tensor("n", values=[2, 0, 1, 2], dtype="int64")
WEIGHT = Tensor("c", values=[1.0, 2.0, 3.0])
TAGS = ("loss",)
_DROPPED = Expected("export", op="SoftmaxCrossEntropyLoss", reason="the dynamo exporter drops label_smoothing silently")
NO_SMOOTHING = {
    ("torch", "torch>*"): _DROPPED,
    ("torch", "torch:raw>*"): _DROPPED,
    ("torch", "torch:script>*"): Expected("export-failed", reason="the TorchScript exporter refuses label_smoothing"),
}


def log_softmax(x: Array) -> Array:
    away = x - x.max(-1, keepdims=True)
    return np.asarray(away - np.log(np.exp(away).sum(-1, keepdims=True)))


def picked(x: Array, labels: Array) -> Array:
    return np.asarray(-log_softmax(x)[np.arange(len(labels)), labels])


def case(name: str, torch: Any, tensorflow: Any, truth: Any, labels: Tensor = LABELS, **rest: Any) -> Case:
    return Case(
        name,
        {"x": X, "labels": labels},
        {"torch": torch} | ({"tensorflow": tensorflow} if tensorflow else {}),
        {"y": Tensor("")},
        truth=truth,
        tags=TAGS,
        **rest,
    )


def weighted_mean_torch(x: Array, labels: Array, w: Array) -> Rounded:
    return Rounded((w[labels] * picked(x, labels)).sum() / w[labels].sum())


def weighted_mean_tensorflow(x: Array, labels: Array, w: Array) -> Rounded:
    return Rounded((w[labels] * picked(x, labels)).mean())


CASES = (
    case(
        "nll",
        lambda torch: lambda x, labels: torch.nn.functional.nll_loss(torch.log_softmax(x, -1), labels),
        lambda tf: lambda x, labels: -tf.reduce_mean(tf.gather(tf.nn.log_softmax(x), labels, batch_dims=1)),
        lambda x, labels: Rounded(picked(x, labels).mean()),
    ),
    case(
        "weights",
        lambda torch, w: lambda x, labels: torch.nn.functional.cross_entropy(x, labels, w),
        lambda tf, w: (
            lambda x, labels: tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)(
                labels, x, sample_weight=tf.gather(w, labels)
            )
        ),
        {"torch": weighted_mean_torch, "tensorflow": weighted_mean_tensorflow},
        parameters={"w": WEIGHT},
        expect={
            ("tensorflow", "torch"): Expected(
                "semantics", reason="PyTorch divides the weighted sum by the sum of the weights, Keras by the batch"
            )
        },
    ),
    case(
        "ignored_label",
        lambda torch: lambda x, labels: torch.nn.functional.cross_entropy(x, labels, ignore_index=-100),
        None,
        lambda x, labels: Rounded(picked(x[labels >= 0], labels[labels >= 0]).mean()),
        Tensor("n", values=[2, -100, 1, -100], dtype="int64"),
    ),
    case(
        "smoothing",
        lambda torch: lambda x, labels: torch.nn.functional.cross_entropy(x, labels, label_smoothing=0.25),
        lambda tf: (
            lambda x, labels: tf.keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.25)(
                tf.one_hot(labels, 3), x
            )
        ),
        lambda x, labels: Rounded((0.75 * picked(x, labels) - 0.25 * log_softmax(x).mean(-1)).mean()),
        expect=NO_SMOOTHING,
    ),
)
