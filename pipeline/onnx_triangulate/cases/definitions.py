"""What the operators of the catalogue mean: definitions and derivatives in float64 numpy, with their rounding bounds.

Design note.  A case's ``truth`` calls these.  Everything is written for reading, in the case's own axes (n c h w,
o i h w, i o h w), and runs in the type of its arguments: float64 from the cases, complex where the tests differentiate
by a complex step, float32 where they look whether a bound holds.  The derivatives are written out per operator and know
nothing of the definitions beside them, so that the tests can hold one against the other.

Where float arithmetic reaches a definition only by rounding, a function ``..._rounded`` returns a
``Rounded`` whose scale and count k follow from the definition for every order of summation, with
or without fused multiply-adds, to first order in u; what is of second order is covered by one more count each time.
An elementary function (exp, log, log1p, tanh, the logistic) is assumed correct to ``ELEMENTARY`` units of roundoff,
that is two units in the last place, which the vectorized libraries of today state for themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.case import Rounded

Pads = tuple[tuple[int, int], tuple[int, int]]  # ((top, bottom), (left, right))

NO_PADS: Pads = ((0, 0), (0, 0))
ELEMENTARY = 4
"""Assumed error of one elementary function, in units of roundoff u (half a unit in the last place)."""


def _taps(kernel: tuple[int, ...], out: tuple[int, ...], stride: int, dilation: int) -> Iterator[tuple[int, int, Any]]:
    """Each place (i, j) of a kernel with the slices of the padded input that it meets, one element per output."""
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            yield (
                i,
                j,
                (
                    ...,
                    slice(i * dilation, i * dilation + (out[0] - 1) * stride + 1, stride),
                    slice(j * dilation, j * dilation + (out[1] - 1) * stride + 1, stride),
                ),
            )


def _padded(x: Array, pads: Pads) -> Array:
    return np.pad(x, ((0, 0), (0, 0), *pads))


def _cropped(x: Array, pads: Pads) -> Array:
    (top, bottom), (left, right) = pads
    return x[:, :, top : x.shape[2] - bottom, left : x.shape[3] - right]


def _grouped(x: Array, axis: int, groups: int) -> Array:
    return x.reshape(*x.shape[:axis], groups, x.shape[axis] // groups, *x.shape[axis + 1 :])


def conv2d(x: Array, w: Array, *, stride: int = 1, dilation: int = 1, groups: int = 1, pads: Pads = NO_PADS) -> Array:
    """Convolution as networks mean it: y[n,o,p,q] = sum over i,k,l of w[o,i,k,l] x[n,i,p*stride+k*dilation-top,...].

    ``x`` is (n, c, h, w), ``w`` (o, c / groups, h, w); returns (n, o, h', w').
    """
    padded = _grouped(_padded(x, pads), 1, groups)
    weight = _grouped(w, 0, groups)
    size = [padded.shape[3 + a] - dilation * (w.shape[2 + a] - 1) - 1 for a in (0, 1)]
    out = (size[0] // stride + 1, size[1] // stride + 1)
    y = np.zeros((x.shape[0], groups, weight.shape[1], *out), np.result_type(x, w))
    for i, j, places in _taps(w.shape[2:], out, stride, dilation):
        y += np.einsum("ngihw,goi->ngohw", padded[places], weight[..., i, j])
    return y.reshape(x.shape[0], w.shape[0], *out)


def conv2d_gradients(
    x: Array, w: Array, dy: Array, *, stride: int = 1, dilation: int = 1, groups: int = 1, pads: Pads = NO_PADS
) -> tuple[Array, Array]:
    """Derivatives of sum(dy * conv2d(x, w)): dx[.., p*stride+k*dilation] += w[.., k] dy[.., p], dw[.., k] += x dy."""
    padded = _grouped(_padded(x, pads), 1, groups)
    weight, cotangent = _grouped(w, 0, groups), _grouped(dy, 1, groups)
    dx, dw = np.zeros_like(padded), np.zeros_like(weight)
    for i, j, places in _taps(w.shape[2:], dy.shape[2:], stride, dilation):
        dx[places] += np.einsum("ngohw,goi->ngihw", cotangent, weight[..., i, j])
        dw[..., i, j] = np.einsum("ngohw,ngihw->goi", cotangent, padded[places])
    return _cropped(dx.reshape(_padded(x, pads).shape), pads), dw.reshape(w.shape)


def conv2d_rounded(x: Array, w: Array, **settings: Any) -> Rounded:
    """:func:`conv2d` with its bound: k products and k - 1 additions, k the length of the reduction (Higham, 3.5)."""
    return Rounded(conv2d(x, w, **settings), conv2d(abs(x), abs(w), **settings), int(np.prod(w.shape[1:])))


def conv_transpose2d(x: Array, w: Array, *, stride: int = 1, pads: Pads = NO_PADS) -> Array:
    """Transposed convolution: y[n,o,p*stride+k-top,...] += w[i,o,k,l] x[n,i,p,q]; ``pads`` are cropped from the result.

    ``x`` is (n, c, h, w), ``w`` (c, o, h, w); returns (n, o, (h-1)*stride+kh-top-bottom, ...).
    """
    size = [(x.shape[2 + a] - 1) * stride + w.shape[2 + a] for a in (0, 1)]
    y = np.zeros((x.shape[0], w.shape[1], *size), np.result_type(x, w))
    for i, j, places in _taps(w.shape[2:], x.shape[2:], stride, 1):
        y[places] += np.einsum("nihw,io->nohw", x, w[..., i, j])
    return _cropped(y, pads)


def conv_transpose2d_gradients(
    x: Array, w: Array, dy: Array, *, stride: int = 1, pads: Pads = NO_PADS
) -> tuple[Array, Array]:
    """Derivatives of sum(dy * conv_transpose2d(x, w)): dx[.., p] = sum w[.., k] dy[.., p*stride+k]; dw likewise."""
    padded = _padded(dy, pads)
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for i, j, places in _taps(w.shape[2:], x.shape[2:], stride, 1):
        dx += np.einsum("nohw,io->nihw", padded[places], w[..., i, j])
        dw[..., i, j] = np.einsum("nihw,nohw->io", x, padded[places])
    return dx, dw


def leaky_relu(x: Array, slope: float) -> Array:
    """x where it is above zero, slope * x elsewhere; NaN stays, and so does the sign of a zero."""
    return np.where(x > 0, x, slope * x)


def leaky_relu_gradient(x: Array, dy: Array, slope: float) -> Array:
    """dy where x is above zero, slope * dy elsewhere (at zero, where there is no derivative, the slope's side)."""
    return np.where(x > 0, dy, slope * dy)


def leaky_relu_rounded(x: Array, slope: float) -> Rounded:
    """:func:`leaky_relu` with its bound: the slope is rounded once and the product once; what is kept is exact."""
    y = leaky_relu(x, slope)
    return Rounded(y, np.where(x > 0, 0.0, abs(y)), 2)


def _channels(v: Array) -> Array:
    return np.asarray(v)[:, None, None]


def _mean(x: Array) -> Array:
    return np.asarray(x.mean(axis=(0, 2, 3)))


def _members(x: Array) -> int:
    return int(x.size // x.shape[1])


def moments(x: Array) -> tuple[Array, Array]:
    """Mean and biased variance of each channel of (n, c, h, w)."""
    mean = _mean(x)
    return mean, _mean((x - _channels(mean)) ** 2)


def moments_rounded(x: Array) -> tuple[Rounded, Rounded]:
    """:func:`moments` with bounds that hold for E(x-m)^2, for E x^2 - m^2 and for updating formulas.

    A mean is N - 1 additions and a division, and N itself may be rounded: N + 1.  E x^2 - m^2 passes through E x^2
    (one product more) and m^2 (the mean's error twice, which is 2 m (N + 1) E|x| u), so its scale is
    E x^2 + 2 |m| E|x| + m^2 with N + 4; E(x-m)^2 passes through less.
    """
    n = _members(x)
    mean, variance = moments(x)
    scale = _mean(x * x) + 2 * abs(mean) * _mean(abs(x)) + mean * mean
    return Rounded(mean, _mean(abs(x)), n + 1), Rounded(variance, scale, n + 4)


def batch_norm(x: Array, mean: Array, variance: Array, scale: Array, shift: Array, epsilon: float) -> Array:
    """(x - mean) / sqrt(variance + epsilon) * scale + shift, channel by channel of (n, c, h, w)."""
    return (x - _channels(mean)) / _channels(np.sqrt(variance + epsilon)) * _channels(scale) + _channels(shift)


def batch_norm_rounded(x: Array, mean: Array, variance: Array, scale: Array, shift: Array, epsilon: float) -> Rounded:
    """:func:`batch_norm` with its bound, for this form and for x * a + (shift - mean * a), a = scale / sqrt(..).

    a: epsilon and the sum under the root (half each), root, quotient, product: 4, one more where the reciprocal root
    is an elementary function of its own; then a product, two sums: 4 + ELEMENTARY with the root inside ELEMENTARY.
    """
    a = abs(scale) / np.sqrt(variance + epsilon)
    size = _channels(a) * (abs(x) + _channels(abs(mean))) + _channels(abs(shift))
    return Rounded(batch_norm(x, mean, variance, scale, shift, epsilon), size, 4 + ELEMENTARY)


def _normalized_scale(x: Array, epsilon: float) -> tuple[Array, Array, int]:
    """How far a computed (x - mean) / sqrt(variance + epsilon) may be off: (scale, amplification, k).

    The variance enters the reciprocal root at half its relative error, scale_v / (2 (v + epsilon)) gamma_{N+4}: the
    amplification A is 1 plus that.  The mean adds E|x| gamma_{N+1}.  The steps after them add 4 + ELEMENTARY, and one
    more covers the second order.
    """
    mean, variance = moments_rounded(x)
    amplified = 1 + variance.scale / (2 * (variance.value + epsilon))
    root = np.sqrt(variance.value + epsilon)
    size = (abs(x) + _channels(abs(mean.value))) * _channels(amplified) + _channels(mean.scale)
    return size / _channels(root), amplified, variance.roundings + 5 + ELEMENTARY


def batch_norm_training(x: Array, scale: Array, shift: Array, epsilon: float) -> Array:
    """:func:`batch_norm` with the batch's own mean and biased variance."""
    return batch_norm(x, *moments(x), scale, shift, epsilon)


def batch_norm_training_rounded(x: Array, scale: Array, shift: Array, epsilon: float) -> Rounded:
    """:func:`batch_norm_training` with its bound: :func:`_normalized_scale` times the scale, plus the shift."""
    size, _, k = _normalized_scale(x, epsilon)
    value = batch_norm_training(x, scale, shift, epsilon)
    return Rounded(value, _channels(abs(scale)) * size + _channels(abs(shift)), k)


def batch_norm_training_gradients(x: Array, scale: Array, dy: Array, epsilon: float) -> tuple[Array, Array, Array]:
    """Derivatives for x, scale and shift of sum(dy * batch_norm_training(x)).

    With z = (x - m) / sqrt(v + epsilon): dx = scale / sqrt(v + epsilon) (dy - E dy - z E(dy z)); dscale = sum dy z;
    dshift = sum dy (Ioffe and Szegedy, 2015, section 3).
    """
    mean, variance = moments(x)
    root = np.sqrt(variance + epsilon)
    z = (x - _channels(mean)) / _channels(root)
    inner = dy - _channels(_mean(dy)) - z * _channels(_mean(dy * z))
    return inner * _channels(scale / root), (dy * z).sum(axis=(0, 2, 3)), dy.sum(axis=(0, 2, 3))


def batch_norm_training_gradients_rounded(
    x: Array, scale: Array, dy: Array, epsilon: float
) -> tuple[Rounded, Rounded, Rounded]:
    """:func:`batch_norm_training_gradients` with bounds, for the closed form and for differentiating step by step.

    S is the scale and k the count of the computed z.  dscale: each z with k, a product, N additions.  dx: the root
    (k, amplified by A), z twice (2 k), a mean (N + 1), six more products and sums; differentiating the moments step
    by step adds a term E(x - m) that is zero but for rounding, hence S + E S in place of S.
    """
    size, amplified, k = _normalized_scale(x, epsilon)
    _, variance = moments(x)
    n = _members(x)
    dx, dscale, dshift = batch_norm_training_gradients(x, scale, dy, epsilon)
    leaning = (size + _channels(_mean(size))) * _channels(_mean(abs(dy) * size))
    around = abs(dy) + _channels(_mean(abs(dy))) + leaning
    return (
        Rounded(dx, _channels(abs(scale) / np.sqrt(variance + epsilon) * amplified) * around, 3 * k + n + 7),
        Rounded(dscale, (abs(dy) * size).sum(axis=(0, 2, 3)), k + n + 1),
        Rounded(dshift, abs(dy).sum(axis=(0, 2, 3)), n),
    )


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), written so that neither end overflows."""
    tail = np.exp(-abs(x))
    return np.asarray(np.where(x >= 0, 1 / (1 + tail), tail / (1 + tail)))


def sigmoid_rounded(x: Array) -> Rounded:
    """:func:`sigmoid` with its bound: an elementary function inside, its sum and quotient outside."""
    y = sigmoid(x)
    return Rounded(y, y, ELEMENTARY + 2)


def softmax(x: Array) -> Array:
    """exp(x - max) / sum exp(x - max) over the last axis."""
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def _softmax_scale(x: Array) -> Array:
    """Relative scale of a softmax: 1 for its own steps, and what rounding x - max does to the powers.

    exp turns u |x - max| into a relative error of its own power, and its weighted mean over the sum into one of the
    denominator (after Blanchard, Higham, Higham, 2021).
    """
    away = x.max(axis=-1, keepdims=True) - x
    return np.asarray(1 + away + (softmax(x) * away).sum(axis=-1, keepdims=True))


def softmax_rounded(x: Array) -> Rounded:
    """:func:`softmax` with its bound: two powers, c - 1 additions, a quotient, and one for the second order."""
    y = softmax(x)
    return Rounded(y, y * _softmax_scale(x), 2 * ELEMENTARY + x.shape[-1] + 1)


def _one_hot(labels: Array, classes: int) -> Array:
    return np.asarray((labels[:, None] == np.arange(classes)).astype(np.float64))


def softmax_cross_entropy(x: Array, labels: Array) -> Array:
    """Mean over the rows of log sum exp x - x[label]; ``x`` is (n, c), ``labels`` (n) holds class indices."""
    top = x.max(axis=-1)
    rows = top + np.log(np.exp(x - top[:, None]).sum(axis=-1)) - x[np.arange(len(labels)), labels]
    return np.asarray(rows.mean())


def softmax_cross_entropy_rounded(x: Array, labels: Array) -> Rounded:
    """:func:`softmax_cross_entropy` with its bound, for log-sum-exp and for the log of a softmax.

    The logarithm takes the relative error of its argument (two powers, c + 1) as an absolute one, and adds
    ELEMENTARY of itself; x - max, a sum, and the mean (n + 1) follow.
    """
    log_p = np.log(softmax(x))
    picked = np.arange(len(labels)), labels
    rows = _softmax_scale(x)[picked] + abs(log_p[picked]) + abs(np.log(np.exp(x - x.max(-1, keepdims=True)).sum(-1)))
    k = 3 * ELEMENTARY + x.shape[-1] + 3 + x.shape[0] + 1
    return Rounded(softmax_cross_entropy(x, labels), rows.mean(), k)


def softmax_cross_entropy_gradient(x: Array, labels: Array, dy: Array) -> Array:
    """dy / n (softmax(x) - onehot(labels))."""
    return np.asarray(dy * (softmax(x) - _one_hot(labels, x.shape[-1])) / x.shape[0])


def softmax_cross_entropy_gradient_rounded(x: Array, labels: Array, dy: Array) -> Rounded:
    """:func:`softmax_cross_entropy_gradient` with its bound: a softmax, or exp(log softmax), then three steps.

    The power of a logarithm takes the logarithm's absolute error, |log p| ELEMENTARY, as a relative one.
    """
    p = softmax(x)
    size = p * (_softmax_scale(x) + abs(np.log(p))) + _one_hot(labels, x.shape[-1])
    k = 3 * ELEMENTARY + x.shape[-1] + 4
    return Rounded(softmax_cross_entropy_gradient(x, labels, dy), abs(dy) * size / x.shape[0], k)


def sigmoid_cross_entropy(x: Array, z: Array) -> Array:
    """Mean of max(x, 0) - x z + log(1 + exp(-|x|)), the logistic loss of logits ``x`` for labels ``z`` in 0..1."""
    return np.asarray((np.maximum(x, 0) - x * z + np.log1p(np.exp(-abs(x)))).mean())


def sigmoid_cross_entropy_rounded(x: Array, z: Array) -> Rounded:
    """:func:`sigmoid_cross_entropy` with its bound, for any of its stable forms: (1 - z) x + log1p(exp(-x)) too.

    exp and log1p with ELEMENTARY each, at most four products and sums, the mean (n + 1).
    """
    size = (abs(x) * (1 + abs(z)) + np.log1p(np.exp(-abs(x)))).mean()
    return Rounded(sigmoid_cross_entropy(x, z), size, 2 * ELEMENTARY + 4 + x.size + 1)


def sigmoid_cross_entropy_gradient(x: Array, z: Array, dy: Array) -> Array:
    """dy / n (sigmoid(x) - z)."""
    return np.asarray(dy * (sigmoid(x) - z) / x.size)


def sigmoid_cross_entropy_gradient_rounded(x: Array, z: Array, dy: Array) -> Rounded:
    """:func:`sigmoid_cross_entropy_gradient` with its bound.

    Differentiated step by step, the logistic is put together from 1 - z, and from exp(-|x|) / (1 + exp(-|x|)): its
    scale is 1 + |z| where the closed form has sigmoid + |z|.  ELEMENTARY, two for the logistic, five products and sums.
    """
    size = abs(dy) * (1 + abs(z)) / x.size
    return Rounded(sigmoid_cross_entropy_gradient(x, z, dy), size, ELEMENTARY + 7)
