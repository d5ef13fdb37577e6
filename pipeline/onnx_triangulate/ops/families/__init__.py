"""Operators, one file per family and one record per operator.

Design note.  A module in this package holds a tuple of :class:`~onnx_triangulate.ops.operator.Operator` named
``OPERATORS``; finding it is a matter of being here, there is no list to edit.  A module whose name begins with an
underscore holds none.  Bounds are derived from the standard model of floating point arithmetic (Higham, Accuracy and
Stability of Numerical Algorithms, 2nd ed.); each file says from what.
"""
