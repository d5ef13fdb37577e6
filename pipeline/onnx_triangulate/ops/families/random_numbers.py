"""Random numbers: nobody can say what they should be, and two runs of them are not compared.

Dropout, which draws in training, is in ``movement``.
"""

from __future__ import annotations

from onnx_triangulate.ops.examples import Example
from onnx_triangulate.ops.operator import Operator


def _drawing(text: str, inputs: dict[str, str], *, float_by_default: bool = False) -> Operator:
    example = Example(text, inputs, "")
    return Operator(example.op, examples=(example,), draws=True, float_by_default=float_by_default)


OPERATORS = (
    _drawing("Bernoulli(p)", {"p": "share[64]"}),
    _drawing("Multinomial<sample_size=64>(x)", {"x": "float[1,8]"}),
    _drawing("RandomNormal<shape=[64]>()", {}, float_by_default=True),
    _drawing("RandomNormalLike(x)", {"x": "float[64]"}),
    _drawing("RandomUniform<shape=[64]>()", {}, float_by_default=True),
    _drawing("RandomUniformLike(x)", {"x": "float[64]"}),
)
