"""Faults of ONNX Runtime's graph optimizer that are there in this release (seen in onnxruntime 1.32.0 on the CPU).

`DivMulFusion` turns (1 / x) * z into z / x.  Where x is subnormal, 1 / x is infinite and so is the product; the fused
division gives a number.  In float64, so that the model in double precision is the model itself; the other quotient has
powers of two only and is right either way.
`CastElimination` takes away a Cast that another rule, `DivMulFusion`, then reads from: a valid graph is refused.
`LayerNormFusion` computes a variance that overflows otherwise than the nodes that it replaces: NaN where x / inf is 0.
`Pad_Fusion` once gave a padding to an average pool that does not count it (in 1.20.1; no longer in 1.32).
`deep` is healthy: ninety layers in which every path rounds otherwise.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from onnx_triangulate import Case, Expected, Tensor

X = (2.0, 0.5, -4.0, 2.0**-1060, 1.0, 8.0, -(2.0**-1070), 1024.0)
Z = (3.0, 1.0, 6.0, 2.0**-1050, 0.0, -1.0, 2.0**-1070, 2.0)
W = (1.0, 2.0, 0.25, 4.0, -8.0, 1.0, 16.0, -2.0)
SHIFT = (0.0, 1.0, 0.5, -1.0, 2.0)
LARGE = ((3e38, -3e38, 1.0, 0.0, 2.0), (1e20, 3e38, 0.5, -3e38, 1.0))
THIS = "onnxruntime==1.32.*"
NORMALIZED = Expected("optimizer", "the fused variance is NaN, not infinite", cause="guilty-pass", when=THIS)
POOLED = Expected("optimizer", "padding that counts became padding that does not", when="onnxruntime==1.20.*")
FUSED = Expected("optimizer", "DivMulFusion gives z / x for (1 / x) * z", cause="guilty-pass", when=THIS)
REFUSED = Expected("optimizer", "a Cast is gone that DivMulFusion reads from", cause="guilty-pass", when=THIS)


def reciprocal(torch: Any) -> Any:
    one = torch.ones((), dtype=torch.float64)

    class Reciprocal(torch.nn.Module):
        def forward(self, x: Any, z: Any, w: Any) -> Any:
            return torch.relu(one / w * z) - torch.relu(one / x * z)

    return Reciprocal()


def copied(torch: Any) -> Any:
    one = torch.ones(())

    class Copied(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            same = x.to(torch.float32, copy=True)  # first, so that its Cast comes before the division
            return torch.relu((one / one) * same)

    return Copied()


def normalized(torch: Any) -> Any:
    """A layer normalization written out, as many models have it."""
    scale, shift = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0]), torch.tensor(SHIFT)

    class Normalized(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            x = x.to(torch.float32)  # in float64 nothing overflows: that would be another model
            centred = x - x.mean(-1, keepdim=True)
            variance = centred.pow(2).mean(-1, keepdim=True)
            return centred / torch.sqrt(variance + 1e-5) * scale + shift

    return Normalized()


def padded_pool(torch: Any) -> Any:
    functional = torch.nn.functional

    class Pool(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return functional.avg_pool2d(functional.pad(x * x, (1, 1, 1, 1)), 2, 2, count_include_pad=False)

    return Pool()


def pooled(x: Any) -> Any:
    y = np.pad(x * x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    n, c, h, w = y.shape
    return y.reshape(n, c, h // 2, 2, w // 2, 2).mean((3, 5))


def deep(torch: Any) -> Any:
    nn = torch.nn
    return nn.Sequential(*[layer for _ in range(30) for layer in (nn.Linear(24, 24), nn.GELU(), nn.LayerNorm(24))])


def double(values: tuple[float, ...]) -> Tensor:
    return Tensor("n", (8,), "float64", values=values)


def parts(graph: str, why: Expected) -> dict[tuple[str, str], Expected]:
    return {(f"{graph}>ort.off", f"{graph}>ort.all"): why}


CASES = (
    Case(
        "reciprocal",
        inputs={"x": double(X), "z": double(Z), "w": double(W)},
        builders={"torch": reciprocal},
        outputs={"y": Tensor("n", (8,), "float64")},
        truth=lambda x, z, w: np.maximum(1.0 / w * z, 0.0) - np.maximum(1.0 / x * z, 0.0),
        expect={**parts("torch", FUSED), **parts("torch:raw", FUSED), **parts("torch:script", FUSED)},
    ),
    Case(
        "copied",
        inputs={"x": Tensor("n", (8,), low=-4)},
        builders={"torch": copied},
        outputs={"y": Tensor("n", (8,))},
        truth=lambda x: np.maximum(x, 0),
        expect=parts("torch:raw", REFUSED),
    ),
    Case(
        "layer_norm",
        inputs={"x": Tensor("n c", (2, 5), values=LARGE)},
        builders={"torch": normalized},
        outputs={"y": Tensor("n c", (2, 5))},
        truth=lambda x: np.broadcast_to(SHIFT, x.shape),
        expect={**parts("torch", NORMALIZED), **parts("torch:raw", NORMALIZED), **parts("torch:script", NORMALIZED)},
    ),
    Case(
        "padded_pool",
        inputs={"x": Tensor("n c h w", (1, 2, 6, 4), low=-3)},
        builders={"torch": padded_pool},
        outputs={"y": Tensor("n c h w", (1, 2, 4, 3))},
        truth=pooled,
        expect={**parts("torch", POOLED), **parts("torch:raw", POOLED)},
    ),
    Case("deep", inputs={"x": Tensor("n c", (5, 24), low=-2, high=2, integers=False)}, builders={"torch": deep}),
)
