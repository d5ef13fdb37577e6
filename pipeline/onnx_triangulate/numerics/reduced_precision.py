"""Reduced precision, recognized: a sum of products whose factors were rounded to a shorter format first.

Graphics processors multiply float32 in TF32 unless told otherwise, processors with matrix units in bfloat16 when
allowed.  Such a node is thousands of times above the bound of float32 arithmetic and yet has no other meaning.  That it
is inside the bound of a coarser unit would prove little, a wrong weight may be as well.  So the rounding is done: with
both factors rounded to the format, the node in float64 must be met within the bound of *float32*, for the sums are in
float32.  What is met like that was computed so; a fault of any other kind does not pass by chance.

TF32 keeps 10 bits of the fraction and bfloat16 7 (NVIDIA, A100 white paper, 2020; Intel, BFLOAT16 numerics definition,
2018); hardware rounds to nearest or cuts off.  Formats that explain a node equally well are all named: float16 has
TF32's fraction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import onnx

from onnx_triangulate.numerics.replay import replay
from onnx_triangulate.ops.registry import operators
from onnx_triangulate.records.arrays import Array

FORMATS = {"TF32": 10, "bfloat16": 7}
NEAREST, CUT = ROUNDINGS = ("rounded to nearest", "cut off")
_FACTORS = {name: op.matrices or (0, 1) for name, op in operators().items() if op.linear and (op.kernel or op.matrices)}


def reduced_precision(
    node: onnx.NodeProto,
    opset: int,
    consumed: Sequence[Array | None],
    produced: Sequence[Array | None],
    *,
    runtime: str = "onnxruntime",
) -> str | None:
    """The formats (and how they were rounded to) whose factors explain what a node produced; None where none does.

    Arguments as ``numerics.replay.replay``'s.  Only float32 has shorter formats in use for it.
    """
    factors = _FACTORS.get(node.op_type, ())
    given = [consumed[i] for i in factors if i < len(consumed)]
    if len(given) < 2 or any(v is None or v.dtype != np.float32 for v in given):
        return None
    choices: list[tuple[str, Callable[[Array], Array]]] = [
        (f"{name}, {how}", partial(shortened, bits=bits, how=how))
        for name, bits in FORMATS.items()
        for how in ROUNDINGS
    ]
    fitting = []
    for name, shorten in [*choices, (f"float16, {NEAREST}", _halves)]:
        rounded = [shorten(v) if i in factors and v is not None else v for i, v in enumerate(consumed)]
        checks = replay(node, opset, rounded, produced, runtime=runtime)
        if checks and all(check.outcome in ("equal", "rounding") and check.compared for check in checks):
            fitting.append(name)
    return " or ".join(fitting) or None


def shortened(value: Array, bits: int, how: str) -> Array:
    """Float32 numbers with ``bits`` of their 23 bits of fraction, in float32; NaN and infinities as they are."""
    raw = np.ascontiguousarray(value, np.float32).view(np.uint32)
    cut = 23 - bits
    half = np.uint32(1 << (cut - 1))
    if how == NEAREST:
        raw = raw + (half - np.uint32(1)) + ((raw >> np.uint32(cut)) & np.uint32(1))  # ties to even
    kept = (raw & ~np.uint32((1 << cut) - 1)).view(np.float32)
    return np.where(np.isfinite(value), kept, value).reshape(value.shape)


def _halves(value: Array) -> Array:
    with np.errstate(over="ignore"):
        return value.astype(np.float16).astype(np.float32)
