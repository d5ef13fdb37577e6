"""Models with a given graph each, right in one file and a little wrong in the other: rounding is no licence.

``tests/test_licence.py`` writes the files beside a copy of this one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from onnx_triangulate import Case, Tensor

FLAT = Tensor("n c", (8, 16), low=-2, high=2, integers=False)
IMAGE = Tensor("n c h w", (2, 3, 6, 6), low=-2, high=2, integers=False)

WEIGHT = np.sin(np.arange(80)).reshape(5, 16).astype(np.float32)
KERNEL = np.cos(np.arange(108)).reshape(4, 3, 3, 3).astype(np.float32)
ROW = np.sin(np.arange(16) + 0.5).astype(np.float32)
SCALE, SHIFT, MEAN, VARIANCE = (np.abs(np.sin(np.arange(4) + s)).astype(np.float32) + np.float32(0.3) for s in range(4))
P = np.float32(2.6593)


def softplus(torch: Any) -> Any:
    class Net(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.p = torch.nn.Parameter(torch.from_numpy(ROW.copy()))

        def forward(self, x: Any) -> Any:
            return x * torch.nn.functional.softplus(self.p)

    return Net()


def exponential(torch: Any) -> Any:
    class Net(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.p = torch.nn.Parameter(torch.tensor(float(P)))

        def forward(self, x: Any) -> Any:
            return x * torch.exp(self.p)

    return Net()


def linear(torch: Any) -> Any:
    layer = torch.nn.Linear(16, 5, bias=False)
    layer.weight.data = torch.from_numpy(WEIGHT.copy())
    return layer


def folded(torch: Any) -> Any:
    convolution, norm = torch.nn.Conv2d(3, 4, 3, bias=False), torch.nn.BatchNorm2d(4, eps=1e-3)
    convolution.weight.data = torch.from_numpy(KERNEL.copy())
    norm.weight.data, norm.bias.data = torch.from_numpy(SCALE.copy()), torch.from_numpy(SHIFT.copy())
    norm.running_mean, norm.running_var = torch.from_numpy(MEAN.copy()), torch.from_numpy(VARIANCE.copy())
    return torch.nn.Sequential(convolution, norm)


MODELS: dict[str, tuple[Tensor, Callable[[Any], Any]]] = {
    "scalar": (FLAT, lambda torch: lambda x: x * 0.1),
    "minus": (FLAT, lambda torch: lambda x: 0.3 - x),
    "leaky": (FLAT, lambda torch: lambda x: torch.nn.functional.leaky_relu(x, 0.17)),
    "hardswish": (FLAT, lambda torch: torch.nn.Hardswish()),
    "epsilon": (FLAT, lambda torch: torch.nn.LayerNorm(16, elementwise_affine=False)),
    "window": (FLAT, lambda torch: lambda x: x * torch.hann_window(16)),
    "exponential": (FLAT, exponential),
    "softplus": (FLAT, softplus),
    "linear": (FLAT, linear),
    "folded": (IMAGE, folded),
}
CASES = tuple(
    Case(f"{name}_{kind}", inputs={"x": fed}, builders={"torch": make}, onnx={"torch": f"{name}_{kind}.onnx"})
    for name, (fed, make) in MODELS.items()
    for kind in ("right", "wrong")
)
