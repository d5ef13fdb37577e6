"""Weights that are made of others: weight normalization, and spectral normalization as it is in inference."""

from __future__ import annotations

from typing import Any

from numpy.linalg import norm

from onnx_triangulate import Case, Rounded, Tensor
from onnx_triangulate.cases.refusals import refused_by_torchscript

REALS: dict[str, Any] = {"low": -2, "high": 2, "integers": False}
X, Y = Tensor("n i", (2, 3), **REALS), {"y": Tensor("n o")}
V = Tensor("o i", (4, 3), **REALS)
G = Tensor("o k", (4, 1), low=1, high=2, integers=False)
TAGS = ("normalization",)


def torch_weight_norm(torch: Any, v: Any, g: Any) -> Any:
    layer = torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(3, 4, bias=False))
    layer.parametrizations.weight.original0.data, layer.parametrizations.weight.original1.data = g, v
    return layer


def torch_spectral_norm(torch: Any, v: Any, left: Any, right: Any) -> Any:
    layer = torch.nn.utils.parametrizations.spectral_norm(torch.nn.Linear(3, 4, bias=False))
    layer.parametrizations.weight.original.data = v
    layer.parametrizations.weight[0]._u.data, layer.parametrizations.weight[0]._v.data = left, right
    return layer


CASES = (
    Case(
        "weight_norm",
        {"x": X},
        {
            "torch": torch_weight_norm,
            "tensorflow": lambda tf, v, g: lambda x: x @ tf.transpose(g * tf.nn.l2_normalize(v, axis=1)),
        },
        Y,
        parameters={"v": V, "g": G},
        truth=lambda x, v, g: Rounded(x @ (g * v / norm(v, axis=1, keepdims=True)).T),
        tags=TAGS,
    ),
    Case(
        "spectral_norm",
        {"x": X},
        {
            "torch": torch_spectral_norm,
            "tensorflow": lambda tf, v, left, right: (
                lambda x: x @ tf.transpose(v / tf.tensordot(left, tf.linalg.matvec(v, right), 1))
            ),
        },
        Y,
        parameters={
            "v": V,
            "left": Tensor("o", (4,), low=1, high=2, integers=False),
            "right": Tensor("i", values=[0.5, -0.25, 2.0]),
        },
        truth=lambda x, v, left, right: Rounded(x @ (v / (left @ v @ right)).T),
        tags=TAGS,
        expect=refused_by_torchscript("aten::vdot"),
    ),
)
