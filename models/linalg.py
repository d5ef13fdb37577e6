"""Determinants, inverses, triangular systems and the short-time Fourier transform, where they export."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnx_triangulate import Array, Case, Expected, Rounded, Tensor
from onnx_triangulate.cases.refusals import left_by_tf2onnx, refused_by_torch

A = Tensor("n i j", values=[[[4, 1, 0], [1, 3, 1], [0, 1, 2]], [[2, 0, 1], [0, 2, 0], [1, 0, 3]]])
L = Tensor("i j", values=[[2, 0, 0], [1, 4, 0], [-1, 2, 8]])
B = Tensor("i k", values=[[2, 4], [5, 8], [7, 16]])
TAGS = ("linear-algebra",)
COMPLEX = {
    ("torch", "torch:script>*"): Expected(
        "export-failed",
        cause="exporter-refused",
        reason="the TorchScript exporter refuses an STFT with complex results",
    )
}


def triangular(a: Array, b: Array) -> Array:
    """Forward substitution."""
    x = np.zeros_like(b)
    for i in range(len(a)):
        x[i] = (b[i] - a[i, :i] @ x[:i]) / a[i, i]
    return x


CASES = (
    Case(
        "det",
        {"a": A},
        {"torch": lambda torch: torch.linalg.det, "tensorflow": lambda tf: tf.linalg.det},
        {"y": Tensor("n")},
        truth=lambda a: Rounded(np.linalg.det(a)),
        tags=TAGS,
    ),
    Case(
        "inverse",
        {"a": A},
        {"torch": lambda torch: torch.linalg.inv, "tensorflow": lambda tf: tf.linalg.inv},
        {"y": Tensor("n i j")},
        truth=lambda a: Rounded(np.linalg.inv(a)),
        tags=TAGS,
        expect=left_by_tf2onnx("MatrixInverse")
        | refused_by_torch(
            "aten::linalg_inv_ex",
            "aten::linalg_inv",
        ),
    ),
    Case(
        "triangular",
        {"a": L, "b": B},
        {
            "torch": lambda torch: lambda a, b: torch.linalg.solve_triangular(a, b, upper=False),
            "tensorflow": lambda tf: tf.linalg.triangular_solve,
        },
        {"y": Tensor("i k")},
        truth=lambda a, b: Rounded(triangular(a, b)),
        tags=TAGS,
        expect=left_by_tf2onnx("MatrixTriangularSolve") | refused_by_torch("aten::linalg_solve_triangular"),
    ),
    Case(
        "band",
        {"a": A},
        {
            "torch": lambda torch: lambda a: torch.triu(torch.tril(a, 1), -1),
            "tensorflow": lambda tf: lambda a: tf.linalg.band_part(a, 1, 1),
        },
        {"y": Tensor("n i j")},
        truth=lambda a: np.triu(np.tril(a, 1), -1),
        tags=TAGS,
    ),
)


def stft(x: Array) -> Array:
    frames = np.stack([x[i : i + 8] for i in range(0, 9, 4)])
    return np.stack([np.fft.rfft(frames).real, np.fft.rfft(frames).imag], -1)


def torch_stft(torch: Any) -> Any:
    return lambda x: torch.view_as_real(
        torch.stft(x, 8, hop_length=4, window=torch.ones(8), center=False, return_complex=True)
    ).transpose(0, 1)


def tensorflow_stft(tf: Any) -> Any:
    def model(x: Any) -> Any:
        found = tf.signal.stft(x, 8, 4, 8, window_fn=None)
        return tf.stack([tf.math.real(found), tf.math.imag(found)], -1)

    return model


CASES += (
    Case(
        "stft",
        {"x": Tensor("t", (16,), low=-4, high=5)},
        {"torch": torch_stft, "tensorflow": tensorflow_stft},
        {"y": Tensor("f k two")},
        truth=lambda x: Rounded(stft(x)),
        tags=("signal",),
        expect=left_by_tf2onnx("RFFT", "Imag", "Real") | COMPLEX,
    ),
)
