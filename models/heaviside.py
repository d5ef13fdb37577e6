"""The step function, with its value at either zero given."""

from __future__ import annotations

import numpy as np

from onnx_triangulate import Case, Tensor
from onnx_triangulate.cases.refusals import refused_by_torchscript

CASES = (
    Case(
        "step",
        {"x": Tensor("n", values=[-2.0, -0.0, 0.0, 3.0]), "v": Tensor("n", values=[5.0, 5.0, 7.0, 5.0])},
        {"torch": lambda torch: torch.heaviside, "tensorflow": lambda tf: tf.experimental.numpy.heaviside},
        {"y": Tensor("n")},
        truth=np.heaviside,
        tags=("elementwise",),
        expect=refused_by_torchscript("aten::heaviside"),
    ),
)
