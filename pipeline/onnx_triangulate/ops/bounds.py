"""How far float arithmetic may land from its definition: derived, never chosen.

The standard model: each operation is exact up to a factor (1 + d), |d| <= u.  After k of them, in any order,
|computed - exact| <= gamma_k * scale with gamma_k = k u / (1 - k u) and scale the same formula on absolute values
(Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., chapter 3).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.runs import Bound

_UNIT = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}


def unit_roundoff(dtype: npt.DTypeLike) -> float:
    """u of a float type; 0 for types that do not round."""
    return _UNIT.get(np.dtype(dtype).name, 0.0)


def gamma(k: int, u: float) -> float:
    """gamma_k = k u / (1 - k u); infinite where k u reaches 1, for there is no bound any more."""
    return k * u / (1 - k * u) if k * u < 1 else math.inf


def allowance(bound: Bound | None, dtype: npt.DTypeLike, *, exact: float = 0.0) -> Array:
    """The largest distance that ``bound`` permits a result of type ``dtype``, in the result's own units, elementwise.

    Without a bound it is ``exact``: nothing, for a result that is declared exact.
    """
    if bound is None:
        return np.asarray(exact)
    allowed: Any = np.asarray(bound.floor, dtype=np.float64)
    if bound.scale is not None:
        scale = np.abs(bound.scale.load().astype(np.float64))
        with np.errstate(invalid="ignore"):  # no rounding of an infinite scale is no bound all the same
            allowed = allowed + np.where(np.isinf(scale), np.inf, gamma(bound.roundings, unit_roundoff(dtype)) * scale)
    if bound.constant_rounding is not None:
        allowed = allowed + np.abs(bound.constant_rounding.load().astype(np.float64))
    return np.asarray(allowed)
