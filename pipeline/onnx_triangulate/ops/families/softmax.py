"""Softmax and its logarithms, shifted by the maximum or not.

The relative error of a power is the absolute error of its argument, u |x - max| (Blanchard, Higham and Higham,
Accurately computing the log-sum-exp and softmax functions, IMA J. Numer. Anal. 41, 2021).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from onnx_triangulate.ops import axis_propagation as links
from onnx_triangulate.ops import rounding_counts as counts
from onnx_triangulate.ops.calls import ExpectedOutput, NodeCall, NotCovered
from onnx_triangulate.ops.enclosures import Enclosure, largest
from onnx_triangulate.ops.examples import Example
from onnx_triangulate.ops.operator import bounded


def softmax(x: Enclosure, axes: tuple[int, ...]) -> Enclosure:
    """exp(x - max) / sum exp(x - max)."""
    top = largest(x, axes)
    powers = (x - top).exp()
    result = powers / powers.sum(axes, extra=2)
    return Enclosure(result.value, np.minimum(result.error, 1.0), x.format)


def log_softmax(x: Enclosure, axes: tuple[int, ...]) -> Enclosure:
    top = largest(x, axes)
    shifted = x - top
    total = shifted.exp().sum(axes, extra=2).log()
    # x - (max + log sum) is the same with another order of subtractions: it rounds numbers as large as x and max.
    loose = x.format.unit * (np.abs(x.value) + 2 * np.abs(top.value) + np.abs(total.value))
    result = shifted - total
    return Enclosure(result.value, result.error + np.where(np.isfinite(loose), loose, 0), x.format)


def _axes(call: NodeCall, rank: int) -> tuple[int, ...]:
    """Before opset 13 everything from the axis on is taken together."""
    if call.opset < 13:
        return tuple(range(int(call.attribute("axis", 1)) % rank, rank))
    return (int(call.attribute("axis", -1)) % rank,)


def _soft(call: NodeCall) -> Sequence[Enclosure]:
    x = call.enclose(call.x(0))
    return [softmax(x, _axes(call, x.value.ndim))]


def _log(call: NodeCall) -> Sequence[Enclosure]:
    x = call.enclose(call.x(0))
    return [log_softmax(x, _axes(call, x.value.ndim))]


def _hard(call: NodeCall) -> Sequence[ExpectedOutput]:
    """1 at the first maximum; where values are within the input's own bound of it, any of them may win."""
    x, margin = call.x(0), call.input_error(0)
    axes = _axes(call, x.ndim)
    close = x + margin >= (x - margin).max(axis=axes, keepdims=True)
    last = tuple(range(x.ndim - len(axes), x.ndim))
    turned = np.moveaxis(x, axes, last)
    rows = turned.reshape(*turned.shape[: x.ndim - len(axes)], -1)
    first = (np.arange(rows.shape[-1]) == rows.argmax(-1)[..., None]).reshape(turned.shape)
    value = np.moveaxis(first, last, axes).astype(call.array(0).dtype)
    return [ExpectedOutput(value, value.dtype.name, flips=close if np.any(margin) else None)]


def _picked(call: NodeCall, log_p: Enclosure) -> Sequence[Enclosure]:
    """Negative log-likelihood of the labels, weighted and reduced."""
    labels = call.array(1)
    ignored = labels == call.attribute("ignore_index", labels.min(initial=0) - 1)
    classes = log_p.shape[1]
    if np.any((labels[~ignored] < 0) | (labels[~ignored] >= classes)):
        raise NotCovered("labels that are no classes")
    index = np.expand_dims(np.where(ignored, 0, labels), 1)
    loss = -log_p.shaped(lambda v: np.take_along_axis(v, index, 1).squeeze(1))
    weight = call.x(2)[np.where(ignored, 0, labels)] if call.has_input(2) else np.ones(labels.shape)
    weight = np.where(ignored, 0.0, weight)
    loss = loss * Enclosure(weight, np.zeros(()), log_p.format)
    loss = Enclosure(np.where(ignored, 0.0, loss.value), np.where(ignored, 0.0, loss.error), log_p.format)
    reduction = call.attribute("reduction", "mean")
    if reduction == "none":
        return [loss]
    axes = tuple(range(labels.ndim))
    total = loss.sum(axes, extra=1)
    if reduction == "mean":
        total = total / Enclosure(weight, np.zeros(()), log_p.format).sum(axes, extra=1)
    return [total.shaped(lambda v: v.reshape(()))]


def _likelihood(call: NodeCall) -> Sequence[Enclosure]:
    return _picked(call, call.enclose(call.x(0)))


def _cross_entropy(call: NodeCall) -> Sequence[Enclosure]:
    log_p = log_softmax(call.enclose(call.x(0)), (1,))
    return [*_picked(call, log_p), log_p]


_X = {"x": "float[2,3,7]"}
_LABELS = {"x": "float[4,5]", "t": [0, 3, 4, 1], "w": "positive[5]"}

OPERATORS = (
    bounded(
        "softmax",
        _soft,
        Example("Softmax<axis=1>(x)", _X, "Softmax<axis=2>(x)"),
        Example("Softmax(x)", {"x": "float[2,1024]"}, {"x": 1.01}),
        stock="wrong",
        roundings=counts.softmax(6),
        steps=6,
        axes=links.softmax,
    ),
    bounded(
        "log softmax",
        _log,
        Example("LogSoftmax<axis=1>(x)", _X, "LogSoftmax<axis=2>(x)"),
        stock="wrong",
        roundings=counts.softmax(6 + counts.TRANSCENDENTAL),
        steps=6 + counts.TRANSCENDENTAL,
        axes=links.softmax,
    ),
    bounded(
        "hardmax",
        _hard,
        Example("Hardmax<axis=1>(x)", _X, "Hardmax<axis=2>(x)"),
        stock="wrong",
        roundings=0,
        axes=links.softmax,
        jumps="to steps",
        picks=True,
    ),
    bounded(
        "negative log-likelihood",
        _likelihood,
        Example("NegativeLogLikelihoodLoss(x, t, w)", _LABELS, 'NegativeLogLikelihoodLoss<reduction="sum">(x, t, w)'),
        roundings=counts.of_all(3),
    ),
    bounded(
        "softmax cross entropy",
        _cross_entropy,
        Example("SoftmaxCrossEntropyLoss(x, t, w)", _LABELS, "SoftmaxCrossEntropyLoss(x, t)"),
        roundings=counts.of_all(9 + counts.TRANSCENDENTAL),
    ),
)
