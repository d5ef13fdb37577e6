"""Random numbers: nobody can say what they should be, and two runs of them are not compared.

Dropout, which draws in training, is in ``movement``.
"""

from __future__ import annotations

from onnx_triangulate.ops.operator import Operator

OPERATORS = (
    Operator("Bernoulli", draws=True),
    Operator("Multinomial", draws=True),
    Operator("RandomNormal", draws=True),
    Operator("RandomNormalLike", draws=True),
    Operator("RandomUniform", draws=True),
    Operator("RandomUniformLike", draws=True),
)
