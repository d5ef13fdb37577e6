"""Reductions along axes: gamma of as many terms as are taken together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from onnx_triangulate.ops.near import Near, largest
from onnx_triangulate.ops.registry import Asked, Example, NoRule, Rule
from onnx_triangulate.records.arrays import Array

_HIGHAM = "sums in any order: Higham, Accuracy and Stability, 2nd ed., (4.4); formulas by running error analysis"


def reduced_axes(asked: Asked, rank: int) -> tuple[int, ...]:
    """The axes a Reduce operator takes together, from its attribute or its second input."""
    axes = asked.attributes.get("axes")
    if axes is None:
        axes = asked.integers(1)
    if not axes:
        return () if asked.attribute("noop_with_empty_axes", 0) else tuple(range(rank))
    return tuple(sorted(int(a) % rank for a in axes))


Formula = Callable[[Near, tuple[int, ...]], Near]


def _reduction(formula: Formula) -> Callable[[Asked], Sequence[Near | Array]]:
    def bound(asked: Asked) -> Sequence[Near | Array]:
        x = asked.array(0)
        axes = reduced_axes(asked, x.ndim)
        if x.dtype.kind in "iu":
            return [asked.as_is()]
        result = formula(Near(x.astype(np.float64), np.zeros(()), asked.format), axes)
        if asked.attribute("keepdims", 1) or not axes:
            return [result]
        shape = tuple(n for i, n in enumerate(x.shape) if i not in axes)
        return [result.shaped(lambda v: v.reshape(shape))]

    return bound


def _sum(x: Near, axes: tuple[int, ...]) -> Near:
    return x.sum(axes, extra=1)


def _mean(x: Near, axes: tuple[int, ...]) -> Near:
    return x.mean(axes)


def _l1(x: Near, axes: tuple[int, ...]) -> Near:
    return abs(x).sum(axes, extra=1)


def _squares(x: Near, axes: tuple[int, ...]) -> Near:
    return (x * x).sum(axes, extra=1)


def _l2(x: Near, axes: tuple[int, ...]) -> Near:
    return _squares(x, axes).sqrt() * x.like(1.0)


def _log_sum(x: Near, axes: tuple[int, ...]) -> Near:
    return x.sum(axes, extra=1).log()


def log_sum_exp(x: Near, axes: tuple[int, ...]) -> Near:
    """max + log sum exp(x - max) (Blanchard, Higham and Higham, 2021); with nothing shifted where that is 0."""
    top = largest(x, axes)
    shift = Near(np.where(np.isfinite(top.value), top.value, 0.0), top.error, x.format)
    return (x - shift).exp().sum(axes, extra=1).log() + shift


def _product(x: Near, axes: tuple[int, ...]) -> Near:
    value = np.prod(x.value, axis=axes, keepdims=True)
    n = int(np.prod([x.shape[a] for a in axes], dtype=np.int64)) if axes else 1
    if np.any(np.abs(np.cumprod(np.abs(x.value).reshape(-1))[-1:]) == np.inf):
        raise NoRule("a product that leaves the type's range")
    # Partial products may leave the type's range in some order only where large factors alone do.
    ahead = np.prod(np.maximum(np.abs(x.value), 1), axis=axes, keepdims=True)
    behind = np.prod(np.minimum(np.where(x.value == 0, 1, np.abs(x.value)), 1), axis=axes, keepdims=True)
    if np.any(ahead > x.format.largest) or np.any(behind < x.format.tiny):
        raise NoRule("a product whose partial products leave the type's range")
    return x.contracted(value, np.abs(value), n)


def _rule(op: str, formula: Formula, about: str, fault: str, kind: str = "float") -> Rule:
    inputs = {"x": f"{kind}[2,3,7]", "a": [1, 2]}
    return Rule(
        about,
        (op,),
        _reduction(formula),
        f"{about}, along axes",
        _HIGHAM,
        (
            Example(f"{op}<keepdims=0>(x, a)", inputs, f"{fault}<keepdims=0>(x, a)"),
            Example(f"{op}(x, a)", {"x": f"{kind}[3,512]", "a": [1]}, {"x": 1.01}),
        ),
    )


RULES = (
    _rule("ReduceSum", _sum, "sum", "ReduceMean"),
    _rule("ReduceMean", _mean, "mean", "ReduceSum"),
    _rule("ReduceL1", _l1, "sum of sizes", "ReduceSum"),
    _rule("ReduceSumSquare", _squares, "sum of squares", "ReduceL2"),
    _rule("ReduceL2", _l2, "root of the sum of squares", "ReduceSumSquare"),
    _rule("ReduceLogSum", _log_sum, "logarithm of the sum", "ReduceSum", "positive"),
    _rule("ReduceLogSumExp", log_sum_exp, "logarithm of the sum of powers", "ReduceSum"),
    Rule(
        "product",
        ("ReduceProd",),
        _reduction(_product),
        "product along axes",
        _HIGHAM,
        (Example("ReduceProd<keepdims=0>(x, a)", {"x": "positive[2,3,7]", "a": [2]}, {"x": 1.01}),),
    ),
)
