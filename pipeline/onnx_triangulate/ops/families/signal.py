"""Transforms, windows of signals and determinants: counted at most, not bounded."""

from __future__ import annotations

from onnx_triangulate.ops import rounding_counts as counts
from onnx_triangulate.ops.operator import Operator

OPERATORS = (
    Operator("Col2Im", roundings=counts.of_all()),
    Operator("DFT", roundings=counts.fourier),
    Operator("Det", roundings=counts.of_all(1)),
    *(
        Operator(name, result_type="output_datatype", float_by_default=True)
        for name in ("BlackmanWindow", "HammingWindow", "HannWindow", "MelWeightMatrix")
    ),
)
