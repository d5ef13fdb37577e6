"""Gradients of PyTorch models as plain operators that the exporters know.

``make_fx`` traces forward and ``torch.autograd.grad`` together; backward operators are decomposed by torch's own table
and, where that has none, by the ones below.  A convolution's gradient is two convolutions: with respect to the input
the transposed one, with respect to the weight a convolution of the input with the output's gradient in which stride and
dilation change places (see e.g. Dumoulin and Visin, A guide to convolution arithmetic, 4).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any


def trace(function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[Any, tuple[str, ...]]:
    """``function`` traced at ``arguments`` as a module of exportable operators, and which were decomposed here."""
    import torch
    from torch.fx.experimental.proxy_tensor import make_fx

    overload = torch.ops.aten.convolution_backward.default
    used: list[str] = []

    def decomposed(*args: Any, **kwargs: Any) -> Any:
        used.append(str(overload))
        return _convolution_backward(*args, **kwargs)

    table = {**torch.export.default_decompositions(), **_training_batch_norm(), overload: decomposed}
    traced = make_fx(function, decomposition_table=table)(*arguments)
    return traced, tuple(dict.fromkeys(used))


def _training_batch_norm() -> dict[Any, Any]:
    """torch's own decomposition of training batch normalization, which its exporter's table leaves out.

    Without it the exporter writes inference mode silently.  ``torch._decomp.get_decompositions`` is private in name;
    seen in 2.13.0, and the gradient cases of batch normalization fail where it is gone.
    """
    import torch
    from torch._decomp import get_decompositions

    aten = torch.ops.aten
    names = (
        "native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_functional native_batch_norm_backward "
        "nll_loss_forward nll_loss_backward".split()
    )
    return dict(get_decompositions([getattr(aten, name) for name in names]))


def _convolution_backward(
    dy: Any,
    x: Any,
    w: Any,
    bias_sizes: Sequence[int] | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
    mask: Sequence[bool],
) -> tuple[Any, Any, Any]:
    """The gradients of a convolution's input, weight and bias; the arguments are those of
    ``aten::convolution_backward``."""
    import torch

    convolution = torch.ops.aten.convolution.default
    none = [0] * len(stride)
    grad_x = grad_w = grad_b = None
    if mask[0] and transposed:
        grad_x = convolution(dy, w, None, stride, padding, dilation, False, none, groups)
    elif mask[0]:
        extra = [
            size - ((out - 1) * s - 2 * p + d * (k - 1) + 1)
            for size, out, s, p, d, k in zip(
                x.shape[2:], dy.shape[2:], stride, padding, dilation, w.shape[2:], strict=True
            )
        ]
        grad_x = convolution(dy, w, None, stride, padding, dilation, True, extra, groups)
    if mask[1]:
        source, target = (dy, x) if transposed else (x, dy)
        grad_w = _weight_gradient(source, target, tuple(w.shape[2:]), stride, padding, dilation, groups)
    if mask[2]:
        grad_b = dy.sum([0, *range(2, dy.dim())])
    return grad_x, grad_w, grad_b


def _weight_gradient(
    source: Any,
    target: Any,
    kernel: tuple[int, ...],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Any:
    """dL/dw of a convolution of ``source`` whose result has the gradient ``target``: (out, in / groups, *kernel)."""
    import torch

    convolution = torch.ops.aten.convolution.default
    parts = []
    per_source, per_target = source.shape[1] // groups, target.shape[1] // groups
    for group in range(groups):
        left = source.narrow(1, group * per_source, per_source).transpose(0, 1)
        right = target.narrow(1, group * per_target, per_target).transpose(0, 1)
        full = convolution(left, right, None, dilation, padding, stride, False, [0] * len(kernel), 1)
        for axis, size in enumerate(kernel):
            full = full.narrow(axis + 2, 0, size)
        parts.append(full.transpose(0, 1))
    return torch.cat(parts, 0) if groups > 1 else parts[0]
