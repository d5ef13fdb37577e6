"""Sequences of tensors: they are put together, taken apart and counted; no number is rounded."""

from __future__ import annotations

from onnx_triangulate.ops.operator import Operator

OPERATORS = (
    *(Operator(name, roundings=0) for name in ("ConcatFromSequence", "SequenceAt", "SequenceLength")),
    *(
        Operator(name, roundings=0, sequences=True)
        for name in ("SequenceConstruct", "SequenceErase", "SequenceInsert", "SplitToSequence")
    ),
    Operator("SequenceEmpty", roundings=0, sequences=True, result_type="dtype", float_by_default=True),
    Operator("SequenceMap", sequences=True),
    Operator("Optional", sequences=True),
)
