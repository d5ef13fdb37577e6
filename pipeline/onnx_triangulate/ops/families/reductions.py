"""Reductions along axes: gamma of as many terms as are taken together.

Sums in any order: Higham, Accuracy and Stability, 2nd ed., (4.4); formulas by running error analysis.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from onnx_triangulate.ops import axis_propagation as links
from onnx_triangulate.ops import rounding_counts as counts
from onnx_triangulate.ops.calls import NodeCall, NotCovered
from onnx_triangulate.ops.enclosures import Enclosure, largest
from onnx_triangulate.ops.examples import Example
from onnx_triangulate.ops.operator import Operator, bounded
from onnx_triangulate.records.arrays import Array


def reduced_axes(call: NodeCall, rank: int) -> tuple[int, ...]:
    """The axes a Reduce operator takes together, from its attribute or its second input."""
    axes = call.attributes.get("axes")
    if axes is None:
        axes = call.integers(1)
    if not axes:
        return () if call.attribute("noop_with_empty_axes", 0) else tuple(range(rank))
    return tuple(sorted(int(a) % rank for a in axes))


Formula = Callable[[Enclosure, tuple[int, ...]], Enclosure]


def _reduction(formula: Formula) -> Callable[[NodeCall], Sequence[Enclosure | Array]]:
    def bound(call: NodeCall) -> Sequence[Enclosure | Array]:
        x = call.array(0)
        axes = reduced_axes(call, x.ndim)
        if x.dtype.kind in "iu":
            return [call.reference_output()]
        result = formula(Enclosure(x.astype(np.float64), np.zeros(()), call.format), axes)
        if call.attribute("keepdims", 1) or not axes:
            return [result]
        shape = tuple(n for i, n in enumerate(x.shape) if i not in axes)
        return [result.shaped(lambda v: v.reshape(shape))]

    return bound


def _sum(x: Enclosure, axes: tuple[int, ...]) -> Enclosure:
    return x.sum(axes, extra=1)


def _mean(x: Enclosure, axes: tuple[int, ...]) -> Enclosure:
    return x.mean(axes)


def _l1(x: Enclosure, axes: tuple[int, ...]) -> Enclosure:
    return abs(x).sum(axes, extra=1)


def _squares(x: Enclosure, axes: tuple[int, ...]) -> Enclosure:
    return (x * x).sum(axes, extra=1)


def _l2(x: Enclosure, axes: tuple[int, ...]) -> Enclosure:
    return _squares(x, axes).sqrt() * x.like(1.0)


def _log_sum(x: Enclosure, axes: tuple[int, ...]) -> Enclosure:
    return x.sum(axes, extra=1).log()


def log_sum_exp(x: Enclosure, axes: tuple[int, ...]) -> Enclosure:
    """max + log sum exp(x - max) (Blanchard, Higham and Higham, 2021); with nothing shifted where that is 0."""
    top = largest(x, axes)
    shift = Enclosure(np.where(np.isfinite(top.value), top.value, 0.0), top.error, x.format)
    return (x - shift).exp().sum(axes, extra=1).log() + shift


def _product(x: Enclosure, axes: tuple[int, ...]) -> Enclosure:
    value = np.prod(x.value, axis=axes, keepdims=True)
    n = int(np.prod([x.shape[a] for a in axes], dtype=np.int64)) if axes else 1
    if np.any(np.abs(np.cumprod(np.abs(x.value).reshape(-1))[-1:]) == np.inf):
        raise NotCovered("a product that leaves the type's range")
    # Partial products may leave the type's range in some order only where large factors alone do.
    ahead = np.prod(np.maximum(np.abs(x.value), 1), axis=axes, keepdims=True)
    behind = np.prod(np.minimum(np.where(x.value == 0, 1, np.abs(x.value)), 1), axis=axes, keepdims=True)
    if np.any(ahead > x.format.largest) or np.any(behind < x.format.tiny):
        raise NotCovered("a product whose partial products leave the type's range")
    return x.contracted(value, np.abs(value), n)


def _operator(op: str, formula: Formula, rule: str, fault: str, kind: str = "float", **facts: Any) -> Operator:
    inputs = {"x": f"{kind}[2,3,7]", "a": [1, 2]}
    examples = (
        Example(f"{op}<keepdims=0>(x, a)", inputs, f"{fault}<keepdims=0>(x, a)"),
        Example(f"{op}(x, a)", {"x": f"{kind}[3,512]", "a": [1]}, {"x": 1.01}),
    )
    return Operator(op, rule, _reduction(formula), examples, axes=links.reduce, **facts)


OPERATORS = (
    bounded(
        "product",
        _reduction(_product),
        Example("ReduceProd<keepdims=0>(x, a)", {"x": "positive[2,3,7]", "a": [2]}, {"x": 1.01}),
        roundings=counts.reduction(1),
        axes=links.reduce,
    ),
    _operator("ReduceSum", _sum, "sum", "ReduceMean", roundings=counts.reduction(1), zero_sign_open=True, linear=True),
    _operator(
        "ReduceMean", _mean, "mean", "ReduceSum", roundings=counts.reduction(1), zero_sign_open=True, linear=True
    ),
    _operator("ReduceL1", _l1, "sum of sizes", "ReduceSum", roundings=counts.reduction(1)),
    _operator("ReduceSumSquare", _squares, "sum of squares", "ReduceL2", roundings=counts.reduction(1)),
    _operator("ReduceL2", _l2, "root of the sum of squares", "ReduceSumSquare", roundings=counts.reduction(2)),
    _operator(
        "ReduceLogSum",
        _log_sum,
        "logarithm of the sum",
        "ReduceSum",
        "positive",
        roundings=counts.reduction(1 + counts.TRANSCENDENTAL),
    ),
    _operator(
        "ReduceLogSumExp",
        log_sum_exp,
        "logarithm of the sum of powers",
        "ReduceSum",
        steps=2 + 2 * counts.TRANSCENDENTAL,
        roundings=counts.reduction(2 + 2 * counts.TRANSCENDENTAL),
    ),
)
