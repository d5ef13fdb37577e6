"""Softmax and its logarithms, shifted by the maximum or not.

The relative error of a power is the absolute error of its argument, u |x - max| (Blanchard, Higham and Higham,
Accurately computing the log-sum-exp and softmax functions, IMA J. Numer. Anal. 41, 2021).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from onnx_triangulate.ops.near import Near, largest
from onnx_triangulate.ops.registry import Answer, Asked, Example, NoRule, Rule

_BLANCHARD = "Blanchard, Higham, Higham (2021), by running error analysis"


def softmax(x: Near, axes: tuple[int, ...]) -> Near:
    """exp(x - max) / sum exp(x - max)."""
    top = largest(x, axes)
    powers = (x - top).exp()
    result = powers / powers.sum(axes, extra=2)
    return Near(result.value, np.minimum(result.error, 1.0), x.format)


def log_softmax(x: Near, axes: tuple[int, ...]) -> Near:
    top = largest(x, axes)
    shifted = x - top
    total = shifted.exp().sum(axes, extra=2).log()
    # x - (max + log sum) is the same with another order of subtractions: it rounds numbers as large as x and max.
    loose = x.format.unit * (np.abs(x.value) + 2 * np.abs(top.value) + np.abs(total.value))
    result = shifted - total
    return Near(result.value, result.error + np.where(np.isfinite(loose), loose, 0), x.format)


def _axes(asked: Asked, rank: int) -> tuple[int, ...]:
    """Before opset 13 everything from the axis on is taken together."""
    if asked.opset < 13:
        return tuple(range(int(asked.attribute("axis", 1)) % rank, rank))
    return (int(asked.attribute("axis", -1)) % rank,)


def _soft(asked: Asked) -> Sequence[Near]:
    x = Near(asked.x(0), np.zeros(()), asked.format)
    return [softmax(x, _axes(asked, x.value.ndim))]


def _log(asked: Asked) -> Sequence[Near]:
    x = Near(asked.x(0), np.zeros(()), asked.format)
    return [log_softmax(x, _axes(asked, x.value.ndim))]


def _hard(asked: Asked) -> Sequence[Answer]:
    """1 at the first maximum; where values are within the input's own bound of it, any of them may win."""
    x, margin = asked.x(0), asked.margin(0)
    axes = _axes(asked, x.ndim)
    close = x + margin >= (x - margin).max(axis=axes, keepdims=True)
    last = tuple(range(x.ndim - len(axes), x.ndim))
    turned = np.moveaxis(x, axes, last)
    rows = turned.reshape(*turned.shape[: x.ndim - len(axes)], -1)
    first = (np.arange(rows.shape[-1]) == rows.argmax(-1)[..., None]).reshape(turned.shape)
    value = np.moveaxis(first, last, axes).astype(asked.array(0).dtype)
    return [Answer(value, value.dtype.name, flips=close if np.any(margin) else None)]


def _picked(asked: Asked, log_p: Near) -> Sequence[Near]:
    """Negative log-likelihood of the labels, weighted and reduced."""
    labels = asked.array(1)
    ignored = labels == asked.attribute("ignore_index", labels.min(initial=0) - 1)
    classes = log_p.shape[1]
    if np.any((labels[~ignored] < 0) | (labels[~ignored] >= classes)):
        raise NoRule("labels that are no classes")
    index = np.expand_dims(np.where(ignored, 0, labels), 1)
    loss = -log_p.shaped(lambda v: np.take_along_axis(v, index, 1).squeeze(1))
    weight = asked.x(2)[np.where(ignored, 0, labels)] if asked.given(2) else np.ones(labels.shape)
    weight = np.where(ignored, 0.0, weight)
    loss = loss * Near(weight, np.zeros(()), log_p.format)
    loss = Near(np.where(ignored, 0.0, loss.value), np.where(ignored, 0.0, loss.error), log_p.format)
    reduction = asked.attribute("reduction", "mean")
    if reduction == "none":
        return [loss]
    axes = tuple(range(labels.ndim))
    total = loss.sum(axes, extra=1)
    if reduction == "mean":
        total = total / Near(weight, np.zeros(()), log_p.format).sum(axes, extra=1)
    return [total.shaped(lambda v: v.reshape(()))]


def _likelihood(asked: Asked) -> Sequence[Near]:
    return _picked(asked, Near(asked.x(0), np.zeros(()), asked.format))


def _cross_entropy(asked: Asked) -> Sequence[Near]:
    log_p = log_softmax(Near(asked.x(0), np.zeros(()), asked.format), (1,))
    return [*_picked(asked, log_p), log_p]


_X = {"x": "float[2,3,7]"}
_LABELS = {"x": "float[4,5]", "t": [0, 3, 4, 1], "w": "positive[5]"}

RULES = (
    Rule(
        "softmax",
        ("Softmax",),
        _soft,
        "y (gamma_(n+1) + 2 c u + u (x_max - x))",
        _BLANCHARD,
        (
            Example("Softmax<axis=1>(x)", _X, "Softmax<axis=2>(x)"),
            Example("Softmax(x)", {"x": "float[2,1024]"}, {"x": 1.01}),
        ),
    ),
    Rule(
        "log softmax",
        ("LogSoftmax",),
        _log,
        "the logarithm of that",
        _BLANCHARD,
        (Example("LogSoftmax<axis=1>(x)", _X, "LogSoftmax<axis=2>(x)"),),
    ),
    Rule(
        "hardmax",
        ("Hardmax",),
        _hard,
        "1 at the first maximum",
        "exact for the inputs as they are",
        (Example("Hardmax<axis=1>(x)", _X, "Hardmax<axis=2>(x)"),),
    ),
    Rule(
        "negative log-likelihood",
        ("NegativeLogLikelihoodLoss",),
        _likelihood,
        "weighted sums",
        _BLANCHARD,
        (
            Example(
                "NegativeLogLikelihoodLoss(x, t, w)", _LABELS, 'NegativeLogLikelihoodLoss<reduction="sum">(x, t, w)'
            ),
        ),
    ),
    Rule(
        "softmax cross entropy",
        ("SoftmaxCrossEntropyLoss",),
        _cross_entropy,
        "log softmax and weighted sums",
        _BLANCHARD,
        (Example("SoftmaxCrossEntropyLoss(x, t, w)", _LABELS, "SoftmaxCrossEntropyLoss(x, t)"),),
    ),
)
