"""Sequences of tensors: they are put together, taken apart and counted; no number is rounded."""

from __future__ import annotations

from onnx_triangulate.ops.operator import Operator

OPERATORS = tuple(
    Operator(name, roundings=0)
    for name in (
        "ConcatFromSequence",
        "SequenceAt",
        "SequenceConstruct",
        "SequenceEmpty",
        "SequenceErase",
        "SequenceInsert",
        "SequenceLength",
        "SplitToSequence",
    )
)
