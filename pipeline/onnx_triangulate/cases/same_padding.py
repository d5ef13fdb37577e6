"""The SAME padding of TensorFlow and of ONNX's auto_pad: how much there is, and on which side."""

from __future__ import annotations


def same_total(size: int, stride: int, span: int) -> int:
    """What ``SAME`` pads on one axis in all: ceil(size / stride) windows of length ``span`` need
    (ceil(size / stride) - 1) * stride + span places.  Negative where the windows leave out part of the input."""
    return (-(-size // stride) - 1) * stride + span - size


def split_pads(total: int, upper: bool) -> tuple[int, int]:
    """A padding before and after; the odd one goes after (``SAME_UPPER``, TensorFlow) or before."""
    half = total // 2
    return (half, total - half) if upper else (total - half, half)


def same_pads(size: int, kernel: int, stride: int = 1, dilation: int = 1) -> tuple[int, int]:
    """Padding (before, after) of one axis that TensorFlow's ``SAME`` means."""
    return split_pads(max(same_total(size, stride, dilation * (kernel - 1) + 1), 0), upper=True)
