"""ONNX's reference evaluator with operators by their definitions: what it lacks, gets wrong, or computes in float32.

Design note.  The evaluator takes further operators (``new_ops``).  Those that are given to it here are of four kinds.
Some are too slow there: ``Conv`` is one matrix product per group.  Some it computes in float32 whatever it is given:
``Erf``, ``Gelu``, ``GridSample``, ``AffineGrid``.  Some it does not run, or departs in from what ONNX specifies, for
some shape, attribute or opset (:func:`as_specified`): what a sweep over operators and opsets found in onnx 1.23.  And
some are ONNX Runtime's own (``com.microsoft``), by its ContribOperators.md.

An operator has one definition.  Where the rules that bound rounding (``ops.families``) hold it, it is
taken from there (:data:`BY_RULE`); what no rule holds is in ``ops.replacements`` and, for recurrent
nodes, in ``ops.recurrence``.

The stock evaluator is one of the parties and is given none of these.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto

from onnx_triangulate.ops import replacements
from onnx_triangulate.ops.families import Asked, Format, Near, NoRule, elementary, measured, rules
from onnx_triangulate.ops.near import erf as _erf
from onnx_triangulate.ops.recurrence import GATES, recurrent
from onnx_triangulate.ops.windows import pooled_axes, windows
from onnx_triangulate.records.arrays import Array

# Operators that the evaluator of onnx 1.23 lacks or has wrong, whose definition a rule holds in full.
BY_RULE = (
    "AveragePool",
    "BatchNormalization",
    "ConvTranspose",
    "GlobalLpPool",
    "GlobalMaxPool",
    "LRN",
    "LpNormalization",
    "LpPool",
    "MeanVarianceNormalization",
    "Upsample",
)


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
    from onnx.reference.ops.op_dequantize_linear import DequantizeLinear_25 as NewestDequantizeLinear
    from onnx.reference.ops.op_loop import Loop as WrongLoop
    from onnx.reference.ops.op_resize import Resize as SlowResize
    from onnx.reference.ops.op_roi_align import RoiAlign

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
        if opset_of(self) < 13:
            # What is not written is filled in by the newest operator's default.
            chosen = axis if axis is not None and any(a.name == "axis" for a in self.onnx_node.attribute) else 1
            return tuple(range(chosen % max(rank, 1), rank))
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

    def run_gather_elements(self: Any, data: Array, indices: Array, axis: int | None = None) -> tuple[Array]:
        return (replacements.elements_gathered(data, indices, axis or 0),)

    def run_scatter(self: Any, data: Array, indices: Array, updates: Array, axis: int | None = None) -> tuple[Array]:
        return (replacements.elements_scattered(data, indices, updates, axis or 0),)

    def run_one_hot(self: Any, indices: Array, depth: Array, values: Array, axis: int | None = None) -> tuple[Array]:
        return (replacements.one_hot(indices, depth, values, -1 if axis is None else axis),)

    def run_unique(self: Any, x: Array, axis: int | None = None, sorted: int | None = None) -> tuple[Array, ...]:
        found = replacements.unique(x, axis, sorted is None or bool(sorted))
        return found[: len(self.onnx_node.output)]

    def run_affine_grid(self: Any, theta: Array, size: Array, align_corners: int | None = None) -> tuple[Array]:
        return (replacements.affine_grid(theta, [int(n) for n in size], bool(align_corners)),)

    def run_grid_sample(
        self: Any,
        x: Array,
        grid: Array,
        align_corners: int | None = None,
        mode: str | None = None,
        padding_mode: str | None = None,
    ) -> tuple[Array]:
        wide = grid.astype(x.dtype) if x.dtype.kind == "f" else grid
        how, padding = mode or "linear", padding_mode or "zeros"
        return (replacements.sampled(x, wide, how, padding, bool(align_corners)),)

    def run_suppression(
        self: Any,
        boxes: Array,
        scores: Array,
        most: Array | None = None,
        overlap: Array | None = None,
        least: Array | None = None,
        center_point_box: int | None = None,
    ) -> tuple[Array]:
        return (replacements.suppressed(boxes, scores, most, overlap, least, bool(center_point_box)),)

    def run_max_roi_pool(
        self: Any, x: Array, rois: Array, pooled_shape: Sequence[int] | None = None, spatial_scale: float | None = None
    ) -> tuple[Array]:
        scale = 1.0 if spatial_scale is None else spatial_scale
        return (replacements.roi_max_pooled(x, rois, list(pooled_shape or ()), scale),)

    def run_cumulative(
        self: Any, x: Array, axis: Array, exclusive: int | None = None, reverse: int | None = None
    ) -> tuple[Array]:
        along = int(np.asarray(axis).reshape(()))
        turned = np.flip(x, along) if reverse else x
        summed = np.cumsum(turned, axis=along, dtype=x.dtype)
        if exclusive:
            rest = np.delete(summed, -1, along) if summed.shape[along] else summed
            zero = np.zeros_like(np.take(summed, [0], along)) if summed.shape[along] else summed
            summed = np.concatenate([zero, rest], along) if summed.shape[along] else summed
        return (np.asarray(np.flip(summed, along) if reverse else summed),)

    def run_max_pool(self: Any, x: Array, **settings: Any) -> tuple[Array, ...]:
        axes = pooled_axes(asked(self, (x,), settings), x.shape[2:])
        least = np.iinfo(x.dtype).min if x.dtype.kind in "iu" else -np.inf
        begins = [lambda out, tap, a=a: out * a.stride + tap * a.dilation - a.begin for a in axes]
        most, places = replacements.places_of_most(
            x, windows(x, axes, least), begins, bool(settings.get("storage_order"))
        )
        return (most, places)[: len(self.onnx_node.output)]

    def run_roi_align(self: Any, *given: Array, **settings: Any) -> tuple[Array]:
        if opset_of(self) < 16:  # there was no such attribute, and no half pixel was taken off
            settings["coordinate_transformation_mode"] = "output_half_pixel"
        return tuple(RoiAlign._run(self, *given, **settings))

    def run_resize(self: Any, *given: Array | None, **settings: Any) -> tuple[Array, ...]:
        try:
            return by_rule(self, given, settings)
        except NotImplementedError:  # what no rule covers (antialiasing) the evaluator does
            if settings.get("cubic_coeff_a") is not None:
                # numpy computes in float32 what is made of a float32 scalar and Python's numbers: the taps
                settings["cubic_coeff_a"] = float(settings["cubic_coeff_a"])
            return tuple(SlowResize._run(self, *given, **settings))

    def run_dequantize(self: Any, *given: Array | None, **settings: Any) -> tuple[Array, ...]:
        try:
            return by_rule(self, given, settings)
        except NotImplementedError:  # blocks, and types of few bits
            return tuple(NewestDequantizeLinear._run(self, *given, **settings))

    def run_by_rule(self: Any, *given: Array | None, **settings: Any) -> tuple[Array, ...]:
        return by_rule(self, given, settings)

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
        *(made(name, run_by_rule, "") for name in BY_RULE),
        made("AffineGrid", run_affine_grid, ""),
        made("CumSum", run_cumulative, ""),
        made("GatherElements", run_gather_elements, ""),
        made("GridSample", run_grid_sample, ""),
        made("MaxPool", run_max_pool, ""),
        made("MaxRoiPool", run_max_roi_pool, ""),
        made("NonMaxSuppression", run_suppression, ""),
        made("OneHot", run_one_hot, ""),
        type("RoiAlign", (RoiAlign,), {"op_domain": "", "_run": run_roi_align}),
        made("DequantizeLinear", run_dequantize, ""),
        type("Resize", (SlowResize,), {"op_domain": "", "_run": run_resize}),
        made("Scatter", run_scatter, ""),
        made("Unique", run_unique, ""),
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


FAST = ("Conv", "Erf", "Gelu")  # right in the evaluator as well, but slow, or in float32


@cache
def as_specified() -> tuple[Any, ...]:
    """The operators of :func:`in_float64` that the evaluator of onnx 1.23 lacks or has otherwise than specified."""
    return tuple(op for op in in_float64() if op.op_domain == "" and op.__name__ not in FAST)


def opset_of(node: Any) -> int:
    """The version of ONNX's own operators that an operator of the evaluator stands in."""
    return int(node.run_params["opsets"].get("", 1))


def asked(node: Any, given: Sequence[Array | None], settings: Mapping[str, Any]) -> Any:
    """What a rule is asked of a node of the evaluator, its attributes those that are written or come from a call."""
    proto = NodeProto()
    proto.CopyFrom(node.onnx_node)
    for position, attribute in enumerate(proto.attribute):
        if attribute.ref_attr_name:
            proto.attribute[position].CopyFrom(onnx.helper.make_attribute(attribute.name, settings[attribute.name]))
    form = Format.of("float64", elementary(min(measured()["runtimes"])))  # of bounds, which nobody asks for here
    return Asked(proto, opset_of(node), tuple(given), (None,) * len(proto.output), (), form, evaluate)


def by_rule(node: Any, given: Sequence[Array | None], settings: Mapping[str, Any]) -> tuple[Array, ...]:
    """What the rule that bounds an operator's rounding takes for its value, in the type of the first float input.

    Raises ``NotImplementedError`` where the rule does not cover the node.
    """
    op = node.onnx_node.op_type
    if op == "BatchNormalization" and opset_of(node) < 14 and len(node.onnx_node.output) > 1:
        raise NotImplementedError("the training statistics of an old BatchNormalization")
    floats = (value.dtype for value in given if value is not None)
    kind = next((dtype for dtype in floats if dtype.kind == "f" or dtype.name == "bfloat16"), None)
    try:
        answers = rules()[op].bound(asked(node, given, settings))
    except NoRule as error:
        raise NotImplementedError(f"{op}: {error}") from error
    found = []
    for answer in answers[: len(node.onnx_node.output)]:
        if answer is None:
            raise NotImplementedError(f"{op}: an output that nobody defines")
        value = np.asarray(answer.value if hasattr(answer, "value") else answer)
        wide = isinstance(answer, Near) or getattr(answer, "dtype", "") == "float64"
        found.append(value.astype(kind) if wide and kind is not None and value.dtype.kind == "f" else value)
    return tuple(found)


@lru_cache(maxsize=1024)
def _of_one_node(node: bytes, opset: int) -> Any:
    from onnx.reference import ReferenceEvaluator

    proto = NodeProto.FromString(node)
    inputs = [onnx.ValueInfoProto(name=name) for name in dict.fromkeys(n for n in proto.input if n)]
    outputs = [onnx.ValueInfoProto(name=name) for name in proto.output if name]
    graph = onnx.helper.make_graph([proto], "node", inputs, outputs)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
    return ReferenceEvaluator(model, new_ops=list(as_specified()))


def evaluate(node: NodeProto, opset: int, consumed: Sequence[Array | None]) -> list[Array]:
    """The outputs of a node, in order, absent ones left out; raises whatever the operator's numpy raises."""
    short = NodeProto()
    short.CopyFrom(node)
    short.ClearField("doc_string")
    short.ClearField("metadata_props")
    evaluator = _of_one_node(short.SerializeToString(), opset)
    feeds = {name: value for name, value in zip(node.input, consumed, strict=False) if name}
    with np.errstate(all="ignore"):
        return [np.asarray(value) for value in evaluator.run(None, feeds)]
