"""log(exp(a) + exp(b)), which overflows where it is computed as it is written."""

from __future__ import annotations

import numpy as np

from onnx_triangulate import Case, Expected, Rounded, Tensor
from onnx_triangulate.cases.refusals import left_by_tf2onnx, refused_by_torchscript

OVERFLOWS = Expected("export", reason="the dynamo exporter writes Log(Exp(a) + Exp(b)), which overflows above 88")

CASES = (
    Case(
        "large",
        {"a": Tensor("n", values=[0.0, 90.0, -200.0, 1000.0]), "b": Tensor("n", values=[0.0, 91.0, -200.0, -1000.0])},
        {"torch": lambda torch: torch.logaddexp, "tensorflow": lambda tf: tf.experimental.numpy.logaddexp},
        {"y": Tensor("n")},
        truth=lambda a, b: Rounded(np.logaddexp(a, b)),
        tags=("elementwise",),
        expect={("torch", "torch>*"): OVERFLOWS, ("torch", "torch:raw>*"): OVERFLOWS}
        | left_by_tf2onnx("Log1p")
        | refused_by_torchscript("aten::logaddexp"),
    ),
)
