"""Average pooling: whether what was padded is counted, where the last window ends, and what it is divided by."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnx_triangulate import Array, Case, Expected, Gradient, Tensor
from onnx_triangulate.cases.refusals import left_by_tf2onnx, refused_by_torch

IMAGE = Tensor("n c h w", (1, 2, 6, 6), low=-8, high=9)
ODD = Tensor("n c h w", (1, 2, 5, 5), low=-8, high=9)
TAGS = ("pooling",)


def windows(x: Array, k: int, s: int, pads: tuple[int, int]) -> Array:
    """(n, c, h', w', k, k), NaN where it was padded."""
    padded = np.pad(x, ((0, 0), (0, 0), pads, pads), constant_values=np.nan)
    return np.lib.stride_tricks.sliding_window_view(padded, (k, k), (2, 3))[:, :, ::s, ::s]


def mean(x: Array, k: int, s: int, pads: tuple[int, int] = (0, 0)) -> Array:
    return np.asarray(np.nanmean(windows(x, k, s, pads), (-2, -1)))


def counted(x: Array, k: int, s: int, pads: tuple[int, int], divisor: int = 0) -> Array:
    return np.asarray(np.nansum(windows(x, k, s, pads), (-2, -1)) / (divisor or k * k))


def ceil_counted(x: Array) -> Array:
    """Windows of 4 every 4 of 5 elements padded by 1: -1..2 and 3..6, of which 6 lies beyond the padding."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    parts = [(slice(0, 4), 4), (slice(4, 7), 3)]
    cells = [[padded[:, :, a, b].sum((2, 3)) / (k * m) for b, m in parts] for a, k in parts]
    return np.stack([np.stack(row, -1) for row in cells], -2)


def torch_pool(*sizes: int, **settings: Any) -> Any:
    return lambda torch: lambda x: torch.nn.functional.avg_pool2d(x, *sizes, **settings)


def tensorflow_pool(k: int, s: int, padding: str) -> Any:
    return lambda tf: lambda x: tf.nn.avg_pool2d(x, k, s, padding)


def case(name: str, x: Tensor, torch: Any, tensorflow: Any, truth: Any, **rest: Any) -> Case:
    builders = {"torch": torch} | ({"tensorflow": tensorflow} if tensorflow else {})
    return Case(name, {"x": x}, builders, {"y": Tensor("n c h w")}, truth=truth, **{"tags": TAGS, **rest})


CASES = (
    case("valid", IMAGE, torch_pool(2), tensorflow_pool(2, 2, "VALID"), lambda x: mean(x, 2, 2)),
    case(
        "same_counts_padding",
        IMAGE,
        torch_pool(2, 1, 1),
        tensorflow_pool(2, 1, "SAME"),
        {"torch": lambda x: counted(x, 2, 1, (1, 1)), "tensorflow": lambda x: mean(x, 2, 1, (0, 1))},
        expect={
            ("tensorflow", "torch"): Expected(
                "semantics",
                reason="avg_pool2d pads both sides and divides by 4 all the same, SAME pads after and divides by what "
                "is there",
            )
        },
    ),
    case(
        "padding_not_counted",
        Tensor("n c h w", (1, 2, 4, 4), low=-4, high=5),
        lambda torch: lambda x: 3 * torch.nn.functional.avg_pool2d(4 * x, 2, 2, 1, count_include_pad=False),
        None,
        lambda x: 12 * mean(x, 2, 2, (1, 1)),
    ),
    case("padding_counted", ODD, torch_pool(2, 2, 1), None, lambda x: counted(x, 2, 2, (1, 1))),
    case(
        "divisor",
        IMAGE,
        torch_pool(2, 2, divisor_override=8),
        None,
        lambda x: counted(x, 2, 2, (0, 0), 8),
        expect={
            ("torch", "torch*>*"): Expected(
                "export",
                op="AveragePool",
                reason="ONNX's AveragePool has no divisor of its own; both exporters drop divisor_override silently",
            )
        },
    ),
    case(
        "ceil_mode",
        ODD,
        torch_pool(2, 2, ceil_mode=True),
        tensorflow_pool(2, 2, "SAME"),
        lambda x: mean(x, 2, 2, (0, 1)),
        note="the window that hangs over the end is divided by what is in it",
    ),
    case(
        "ceil_mode_with_counted_padding",
        Tensor("n c h w", (1, 1, 5, 5), low=-8, high=9),
        torch_pool(4, 4, 1, ceil_mode=True, count_include_pad=True),
        None,
        ceil_counted,
        note="of the window that hangs over the end what was padded counts, what hangs over does not",
    ),
    Case(
        "gradient",
        {"x": ODD, "dy": Tensor("n c h w", (1, 2, 2, 2), low=1, high=9)},
        {"torch": torch_pool(2, 2), "tensorflow": tensorflow_pool(2, 2, "VALID")},
        {"y": Tensor("n c h w"), "grad_x": Tensor("n c h w")},
        truth=lambda x, dy: {
            "y": mean(x, 2, 2),
            "grad_x": np.pad(dy.repeat(2, 2).repeat(2, 3) / 4, ((0, 0), (0, 0), (0, 1), (0, 1))),
        },
        gradient=Gradient("y", ("x",), "dy"),
        expect=left_by_tf2onnx("AvgPoolGrad") | refused_by_torch("aten::avg_pool2d_backward"),
        tags=TAGS,
    ),
)
