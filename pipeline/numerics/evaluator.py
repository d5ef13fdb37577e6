"""ONNX's reference evaluator for float64: what it lacks, computes in float32 whatever it is given, or gets wrong.

Design note.  The evaluator takes further operators (``new_ops``).  These are ours: ``Erf`` and ``Gelu`` in double
precision; ``Conv`` as one matrix product per group, for the evaluator's own takes minutes for a small ResNet; ``Loop``
with an axis for its iterations; ``Pad`` with negative amounts; ``RNN``, ``GRU`` and ``LSTM`` with all that they are
given (:mod:`pipeline.numerics.recurrent`); and the contributed operators that ONNX Runtime's optimizer writes
(``com.microsoft``: FusedConv, Gelu, SkipLayerNormalization and their kin), each by its definition in ONNX Runtime's
ContribOperators.md.  The evaluator in float32 is one of the parties and gets those only that are wrong in it
(:func:`as_specified`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from pipeline.data import Array
from pipeline.numerics.recurrent import GATES, recurrent
from pipeline.numerics.rules._near import erf as _erf


def erf(x: Array) -> Array:
    """The error function to float64's precision, in the type it is given."""
    return np.asarray(_erf(x)).astype(x.dtype)


def convolved(x: Array, w: Array, b: Array | None, geometry: Mapping[str, Any]) -> Array | None:
    """The convolution as a matrix product per group; None where its pads are left to the operator (``auto_pad``)."""
    if geometry.get("auto_pad") not in (None, "NOTSET"):
        return None
    rank = x.ndim - 2
    pads, strides, dilations = (geometry.get(name) for name in ("pads", "strides", "dilations"))
    pads = pads or [0] * 2 * rank
    padded = np.pad(x, [(0, 0), (0, 0), *zip(pads[:rank], pads[rank:], strict=True)])
    steps, gaps = strides or [1] * rank, dilations or [1] * rank
    spans = [(size - 1) * gap + 1 for size, gap in zip(w.shape[2:], gaps, strict=True)]
    windows = np.lib.stride_tricks.sliding_window_view(padded, spans, axis=tuple(range(2, rank + 2)))
    taps = [slice(None, None, step) for step in steps] + [slice(None, None, gap) for gap in gaps]
    windows = windows[(slice(None), slice(None), *taps)]
    axes = [1, *range(rank + 2, 2 * rank + 2)]
    group = geometry.get("group") or 1
    parts = [
        np.moveaxis(np.tensordot(taken, weight, axes=(axes, list(range(1, rank + 2)))), -1, 1)
        for taken, weight in zip(np.split(windows, group, axis=1), np.split(w, group), strict=True)
    ]
    result = np.concatenate(parts, axis=1) if len(parts) > 1 else parts[0]
    return np.asarray(result if b is None else result + b.reshape(-1, *[1] * rank))


def padded(
    data: Array,
    pads: Array | Sequence[int],
    constant: Array | None,
    axes: Array | None,
    mode: str | None,
    value: float | None = None,
) -> Array:
    """ONNX's Pad: a negative amount is cut off, and what is left is padded (the evaluator of onnx 1.23 refuses it)."""
    amounts = [int(amount) for amount in np.asarray(pads).reshape(-1)]
    chosen = range(data.ndim) if axes is None else [int(axis) % data.ndim for axis in np.asarray(axes).reshape(-1)]
    count = len(chosen)
    if len(amounts) != 2 * count:
        raise ValueError(f"{len(amounts)} amounts for {count} axes")
    cut, widths = [slice(None)] * data.ndim, [(0, 0)] * data.ndim
    for place, axis in enumerate(chosen):
        before, after = amounts[place], amounts[count + place]
        cut[axis] = slice(max(-before, 0), data.shape[axis] - max(-after, 0))
        widths[axis] = max(before, 0), max(after, 0)
    kept = data[tuple(cut)]
    if mode not in (None, "constant"):
        modes: dict[str | None, Any] = {"reflect": "reflect", "edge": "edge", "wrap": "wrap"}
        return np.asarray(np.pad(kept, widths, mode=modes[mode]))
    fill = (0 if value is None else value) if constant is None else np.asarray(constant).reshape(())
    return np.asarray(np.pad(kept, widths, constant_values=fill)).astype(data.dtype)


def looped(
    loop: Any, most: Array | None, go: Array | None, initial: Sequence[Any], context: Mapping[str, Any], attributes: Any
) -> tuple[Any, ...]:
    """ONNX's Loop: states carried from one iteration to the next, then what each iteration gave, stacked in front."""
    body = loop.body
    number, condition, *states = body.input_names
    carried = list(initial)
    gathered: list[list[Array]] = [[] for _ in body.output_names[1 + len(carried) :]]
    going, iteration = go is None or bool(np.asarray(go).all()), 0
    while going and (most is None or iteration < int(np.asarray(most).reshape(()))):
        feeds = {**context, number: np.array(iteration, np.int64), condition: np.array(True)}
        feeds |= dict(zip(states, carried, strict=True))
        given, *made = loop._run_body(feeds, attributes=attributes)
        going, iteration = bool(np.asarray(given).all()), iteration + 1
        carried = list(made[: len(carried)])
        for rows, row in zip(gathered, made[len(carried) :], strict=True):
            rows.append(np.asarray(row))
    if iteration == 0 and gathered:
        raise NotImplementedError("the scan outputs of a Loop that never ran have no known shape")
    return (*carried, *(np.stack(rows) for rows in gathered))


@cache
def in_float64() -> tuple[Any, ...]:
    """Operators by their definitions, in the type they are given, as classes for the evaluator's ``new_ops``."""
    from onnx.reference.op_run import OpRun
    from onnx.reference.ops.op_conv import Conv as SlowConv
    from onnx.reference.ops.op_loop import Loop as WrongLoop
    from onnx.reference.ops.op_resize import Resize as SlowResize

    def gelu(x: Array) -> Array:
        return np.asarray(x / 2 * (1 + erf(x / math.sqrt(2))))

    def tanh_gelu(x: Array) -> Array:
        return np.asarray(x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))))

    def activated(y: Array, activation: str | None, parameters: Sequence[float] | None, alpha: float | None) -> Array:
        p = list(parameters or ([] if alpha is None else [alpha]))
        known: dict[str, Callable[[], Any]] = {
            "Relu": lambda: np.maximum(y, 0),
            "Tanh": lambda: np.tanh(y),
            "Sigmoid": lambda: 1 / (1 + np.exp(-y)),
            "LeakyRelu": lambda: np.where(y >= 0, y, y * (p[0] if p else 0.01)),
            "Clip": lambda: np.clip(y, p[0], p[1]),
            "HardSigmoid": lambda: np.clip(p[0] * y + p[1], 0, 1),
        }
        return np.asarray(known[activation]()) if activation else y

    def run_erf(self: Any, x: Array) -> tuple[Array]:
        return (erf(x),)

    def run_gelu(self: Any, x: Array, approximate: str = "none") -> tuple[Array]:
        return (tanh_gelu(x) if approximate == "tanh" else gelu(x),)

    def run_microsoft_gelu(self: Any, x: Array, approximate: str | None = None) -> tuple[Array]:
        return (tanh_gelu(x) if approximate == "tanh" else gelu(x),)

    def run_bias_gelu(self: Any, x: Array, b: Array) -> tuple[Array]:
        return (gelu(x + b),)

    def run_fast_gelu(self: Any, x: Array, b: Array | None = None) -> tuple[Array]:
        return (tanh_gelu(x if b is None else x + b),)

    def run_quick_gelu(self: Any, x: Array, alpha: float = 1.702) -> tuple[Array]:
        return (np.asarray(x / (1 + np.exp(-(1.702 if alpha is None else alpha) * x))),)

    def run_fused_matmul(
        self: Any,
        a: Array,
        b: Array,
        alpha: float | None = None,
        transA: int | None = None,
        transB: int | None = None,
        transBatchA: int | None = None,
        transBatchB: int | None = None,
    ) -> tuple[Array]:
        a = np.moveaxis(a, 0, -2) if transBatchA else a
        b = np.moveaxis(b, 0, -2) if transBatchB else b
        a = np.swapaxes(a, -1, -2) if transA else a
        b = np.swapaxes(b, -1, -2) if transB else b
        return (np.asarray((1.0 if alpha is None else alpha) * np.matmul(a, b)),)

    def run_fused_gemm(
        self: Any,
        a: Array,
        b: Array,
        c: Array | None = None,
        alpha: float | None = None,
        beta: float | None = None,
        transA: int | None = None,
        transB: int | None = None,
        activation: str | None = None,
        activation_alpha: float | None = None,
        **more: Any,
    ) -> tuple[Array]:
        y = (1.0 if alpha is None else alpha) * ((a.T if transA else a) @ (b.T if transB else b))
        y = y if c is None else y + (1.0 if beta is None else beta) * c
        return (activated(np.asarray(y), activation, None, activation_alpha),)

    def run_fused_conv(
        self: Any,
        x: Array,
        w: Array,
        b: Array | None = None,
        z: Array | None = None,
        activation: str | None = None,
        activation_params: Sequence[float] | None = None,
        **geometry: Any,
    ) -> tuple[Array]:
        y = convolved(x, w, b, geometry)
        y = SlowConv._run(self, x, w, b, **geometry)[0] if y is None else y
        return (activated(np.asarray(y if z is None else y + z), activation, activation_params, None),)

    def run_skip_layer_norm(
        self: Any,
        x: Array,
        skip: Array,
        gamma: Array,
        beta: Array | None = None,
        bias: Array | None = None,
        epsilon: float | None = None,
    ) -> tuple[Array, ...]:
        s = x + skip if bias is None else x + skip + bias
        mean = s.mean(-1, keepdims=True)
        inverse = 1 / np.sqrt(((s - mean) ** 2).mean(-1, keepdims=True) + (1e-12 if epsilon is None else epsilon))
        y = (s - mean) * inverse * gamma
        found = (y if beta is None else y + beta, mean, inverse, s)
        return found[: len(self.onnx_node.output)]

    def run_conv(self: Any, X: Array, W: Array, B: Array | None = None, **geometry: Any) -> tuple[Array]:
        y = convolved(X, W, B, geometry)
        return (y,) if y is not None else tuple(SlowConv._run(self, X, W, B, **geometry))

    def together(self: Any, axis: int | None, rank: int) -> tuple[int, ...]:
        """The axes of a softmax: before opset 13 everything from ``axis`` on (the evaluator of onnx 1.23 takes one)."""
        if self.run_params["opsets"].get("", 13) < 13:
            return tuple(range((1 if axis is None else axis) % max(rank, 1), rank))
        return ((-1 if axis is None else axis) % rank,)

    def run_softmax(self: Any, x: Array, axis: int | None = None) -> tuple[Array]:
        axes = together(self, axis, x.ndim)
        powers = np.exp(x - x.max(axis=axes, keepdims=True))
        return (np.asarray(powers / powers.sum(axis=axes, keepdims=True)),)

    def run_log_softmax(self: Any, x: Array, axis: int | None = None) -> tuple[Array]:
        axes = together(self, axis, x.ndim)
        shifted = x - x.max(axis=axes, keepdims=True)
        return (np.asarray(shifted - np.log(np.exp(shifted).sum(axis=axes, keepdims=True))),)

    def run_hardmax(self: Any, x: Array, axis: int | None = None) -> tuple[Array]:
        axes = together(self, axis, x.ndim)
        back = np.moveaxis(x, axes, range(x.ndim - len(axes), x.ndim))
        rows = back.reshape(*back.shape[: x.ndim - len(axes)], -1)
        first = np.arange(rows.shape[-1]) == rows.argmax(-1)[..., None]
        turned = first.astype(x.dtype).reshape(back.shape)
        return (np.asarray(np.moveaxis(turned, range(x.ndim - len(axes), x.ndim), axes)),)

    def run_pad(
        self: Any,
        data: Array,
        pads: Array | Sequence[int] | None = None,
        constant_value: Array | None = None,
        axes: Array | None = None,
        mode: str | None = None,
        paddings: Sequence[int] | None = None,
        value: float | None = None,
    ) -> tuple[Array]:
        return (padded(data, pads if pads is not None else paddings or (), constant_value, axes, mode, value),)

    class Loop(WrongLoop):  # type: ignore[misc]
        """Its scan outputs have an axis for the iterations; the evaluator's run them together (seen in onnx 1.23)."""

        op_domain = ""

        def _run(self, M: Array | None, cond: Array | None, *initial: Any, **more: Any) -> tuple[Any, ...]:
            return looped(self, M, cond, initial, more.get("context") or {}, more.get("attributes"))

    def run_recurrent(self: Any, *given: Array | None, **settings: Any) -> tuple[Array, ...]:
        return recurrent(self.onnx_node.op_type, given, settings)[: len(self.onnx_node.output)]

    def run_resize(self: Any, *given: Any, cubic_coeff_a: float | None = None, **settings: Any) -> tuple[Array, ...]:
        # numpy computes in float32 what is made of a float32 scalar and Python's numbers: the taps of an interpolation
        a = None if cubic_coeff_a is None else float(cubic_coeff_a)
        return tuple(SlowResize._run(self, *given, cubic_coeff_a=a, **settings))

    def made(name: str, run: Callable[..., Any], domain: str = "com.microsoft") -> Any:
        return type(name, (OpRun,), {"op_domain": domain, "_run": run})

    return (
        type("Conv", (SlowConv,), {"op_domain": "", "_run": run_conv}),
        Loop,
        made("Softmax", run_softmax, ""),
        made("LogSoftmax", run_log_softmax, ""),
        made("Hardmax", run_hardmax, ""),
        *(made(name, run_recurrent, "") for name in GATES),
        made("Pad", run_pad, ""),
        type("Resize", (SlowResize,), {"op_domain": "", "_run": run_resize}),
        made("Erf", run_erf, ""),
        made("Gelu", run_gelu, ""),
        type("Gelu", (OpRun,), {"op_domain": "com.microsoft", "_run": run_microsoft_gelu}),
        made("BiasGelu", run_bias_gelu),
        made("FastGelu", run_fast_gelu),
        made("QuickGelu", run_quick_gelu),
        made("FusedMatMul", run_fused_matmul),
        made("FusedGemm", run_fused_gemm),
        made("FusedConv", run_fused_conv),
        made("SkipLayerNormalization", run_skip_layer_norm),
    )


@cache
def as_specified() -> tuple[Any, ...]:
    """The operators of :func:`in_float64` in which the evaluator of onnx 1.23 departs from ONNX's specification."""
    wrong = ("Hardmax", "LogSoftmax", "Loop", "Pad", "Softmax", *GATES)
    return tuple(op for op in in_float64() if op.op_domain == "" and op.__name__ in wrong)
