"""A family of operators: what the project is to know of a custom one."""

from onnx_triangulate.ops.operator import Operator

OPERATORS = (Operator("my.domain.Halve", roundings=0, linear=True),)  # halving rounds nothing
