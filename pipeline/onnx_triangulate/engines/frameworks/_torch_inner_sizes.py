"""How large the numbers are that an operator of several steps rounds inside, where its result may be far below them.

Design note.  A rounding is relative to the number that is rounded.  Most operators round numbers no larger than their
results; those here cancel first.  Each function gives, for the results of one operator, the size that its roundings
are relative to, from the arguments, the results and the ``reach`` of its roundings (their count times one step):

- moments by updates (Welford's, which PyTorch runs) are off by their count times the mean of ``|x|``, and a variance by
  twice the deviation times that, or its square where there is no deviation (Chan, Golub and LeVeque, Algorithms for
  computing the sample variance, The American Statistician 37, 1983, table 1; Higham, Accuracy and Stability, 2nd ed.,
  1.9);
- a normalization divides that by the deviation, ``(x - m) / s`` and ``x - m`` alike;
- the logarithm of a sum of powers is off by units of 1, for the sum is at least 1 and has roundings of its own
  (Blanchard, Higham and Higham, Accurately computing the log-sum-exp and softmax functions, IMA J. Numer. Anal. 41,
  2021).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Sizes = Callable[[Sequence[Any], Sequence[Any], float], Sequence[Any]]


def sizes(name: str, args: Sequence[Any], results: Sequence[Any], reach: float) -> list[Any]:
    """By result, the size that its roundings are relative to, or None: the result's own."""
    found: Sequence[Any] = ()
    with contextlib.suppress(IndexError, TypeError, AttributeError, ValueError, RuntimeError):
        if name in _INSIDE:  # in a way that the table knows, or the results' own sizes are all there is
            found = _INSIDE[name](args, results, reach)
    by_result = [*found, *[None] * len(results)][: len(results)]
    return [
        size if size is not None and size.shape == result.shape else None
        for size, result in zip(by_result, results, strict=True)
    ]


def _logarithm_of_a_sum(args: Sequence[Any], results: Sequence[Any], _: float) -> Sequence[Any]:
    return [results[0].new_ones(results[0].shape)]


def _logit(args: Sequence[Any], results: Sequence[Any], _: float) -> Sequence[Any]:
    """log(x / (1 - x)): near 1 / 2 the quotient is rounded as 1 is."""
    return [results[0].new_ones(results[0].shape)]


def _normalized(x: Any, mean: Any, inverse: Any, weight: Any, axes: tuple[int, ...]) -> tuple[Any, Any, Any]:
    """Of a normalization over ``axes``: the sizes of its result, its mean and its inverse deviation."""
    away = x.abs().mean(axes, keepdim=True)
    lost = away * inverse
    result = lost * (1 + (x - mean).abs() * inverse)
    return (result if weight is None else result * weight.abs()), away, inverse * lost


def _layer(args: Sequence[Any], results: Sequence[Any], _: float) -> Sequence[Any]:
    axes = tuple(range(-len(args[1]), 0))
    return _normalized(args[0], results[1], results[2], args[2], axes)


def _group(args: Sequence[Any], results: Sequence[Any], _: float) -> Sequence[Any]:
    x, weight, groups = args[0], args[1], int(args[6])
    parts = x.reshape(x.shape[0], groups, x.shape[1] // groups, -1)
    mean, inverse = (t.reshape(x.shape[0], groups, 1, 1) for t in results[1:3])
    weight = None if weight is None else weight.reshape(1, groups, -1, 1)
    result, *moments = _normalized(parts, mean, inverse, weight, (2, 3))
    return [result.reshape(x.shape), *(t.reshape(results[1].shape) for t in moments)]


def _batch(args: Sequence[Any], results: Sequence[Any], _: float) -> Sequence[Any]:
    """In training; otherwise the moments are given, and moved as what is fed."""
    x, weight = args[0], args[1]
    shape = (1, -1, *[1] * (x.dim() - 2))
    if results[2].numel() != x.shape[1]:
        return ()
    mean, inverse = (t.reshape(shape) for t in results[1:3])
    weight = None if weight is None else weight.reshape(shape)
    result, *moments = _normalized(x, mean, inverse, weight, (0, *range(2, x.dim())))
    return [result, *(t.reshape(-1) for t in moments)]


def _away(args: Sequence[Any], result: Any) -> Any:
    given = args[1] if len(args) > 1 else None
    axes = given if isinstance(given, (list, tuple, int)) and not isinstance(given, bool) else None
    whole = axes is None or axes in ((), [])
    away = args[0].abs().mean() if whole else args[0].abs().mean(axes)
    return away.reshape(result.shape)


def _variance(args: Sequence[Any], results: Sequence[Any], reach: float) -> Sequence[Any]:
    away = _away(args, results[0])
    return [results[0] + 2 * results[0].sqrt() * away + reach * away**2, away]


def _deviation(args: Sequence[Any], results: Sequence[Any], _: float) -> Sequence[Any]:
    away = _away(args, results[0])
    return [results[0] + away, away]


_INSIDE: Mapping[str, Sizes] = {
    "log_softmax": _logarithm_of_a_sum,
    "logsumexp": _logarithm_of_a_sum,
    "logcumsumexp": _logarithm_of_a_sum,
    "logaddexp": _logarithm_of_a_sum,
    "logit": _logit,
    "native_layer_norm": _layer,
    "native_group_norm": _group,
    "native_batch_norm": _batch,
    "native_batch_norm_legit": _batch,
    "var": _variance,
    "var_mean": _variance,
    "std": _deviation,
    "std_mean": _deviation,
}
