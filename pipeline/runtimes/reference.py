"""ONNX's reference evaluator: an opinion with a version, in numpy, and the runtime that runs most graphs in float64.

Some of its operators compute in float32 whatever they are given.  In float64 those would pass for an exporter's fault
of 1e-8, so there Erf and Gelu are supplied in double precision through the evaluator's public ``new_ops``, and a graph
with one of the others is refused; a Conv is computed there as a matrix product, for speed.  In float32 the evaluator
runs as it is: it is one of the parties.
"""

from __future__ import annotations

import math
import re
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.data import Array, InvalidGraph, Unsupported

# Read off the sources of onnx 1.23: float32 inside, whatever comes in.
FLOAT32_INSIDE = frozenset({"AffineGrid", "CausalConvWithState", "GridSample", "LinearAttention", "TfIdfVectorizer"})


class Reference:
    name = "reference"
    distribution = "onnx"
    after = ""
    step = "export"
    double = True

    def open(
        self, file: Path, *, double: bool = False
    ) -> Callable[[Mapping[str, Array], Sequence[str]], Sequence[Array]]:
        from onnx.reference import ReferenceEvaluator

        if double:
            _refuse_float32(file)
        try:
            evaluator = ReferenceEvaluator(str(file), new_ops=_double_precision() if double else None)
        except Exception as error:  # the evaluator raises a plain error of its own for every reason
            raise _reason(error, file) from error

        def run(feeds: Mapping[str, Array], outputs: Sequence[str]) -> Sequence[Array]:
            try:
                with np.errstate(all="ignore"):
                    return [np.asarray(value) for value in evaluator.run(list(outputs), dict(feeds))]
            except Exception as error:  # a bug in an operator's numpy raises whatever numpy raises
                op, node = _failing(error)
                if op is None:
                    raise _reason(error, file) from error
                says = f"the reference evaluator cannot run this {op}: {type(error).__name__}: {error}"
                raise Unsupported(" ".join(says.split())[:300], op=op, node=node) from error

        return run

    def part(
        self, model: bytes, weights: Mapping[str, Array]
    ) -> Callable[[Mapping[str, Array], Sequence[str]], Sequence[Array]]:
        import onnx
        from onnx.reference import ReferenceEvaluator

        proto = onnx.load_from_string(model)
        for tensor in proto.graph.initializer:
            if tensor.name in weights:
                tensor.CopyFrom(onnx.numpy_helper.from_array(weights[tensor.name], tensor.name))
        place = Path("part.onnx")
        try:
            evaluator = ReferenceEvaluator(proto)
        except Exception as error:  # the evaluator raises a plain error of its own for every reason
            raise _reason(error, place) from error

        def run(feeds: Mapping[str, Array], outputs: Sequence[str]) -> Sequence[Array]:
            with np.errstate(all="ignore"):
                return [np.asarray(value) for value in evaluator.run(list(outputs), dict(feeds))]

        return run


def _refuse_float32(file: Path) -> None:
    import onnx

    for node in onnx.load(file, load_external_data=False).graph.node:
        if node.op_type in FLOAT32_INSIDE and node.domain in ("", "ai.onnx"):
            raise Unsupported(f"the reference evaluator computes {node.op_type} in float32", op=node.op_type)


def _double_precision() -> list[Any]:
    """Erf and Gelu as their definitions in the type they are given (ONNX operators 13 and 20), and a faster Conv."""
    from onnx.reference.op_run import OpRun
    from onnx.reference.ops.op_conv import Conv as Plain

    def erf(x: Array) -> Array:
        return np.asarray(np.vectorize(math.erf, otypes=[np.float64])(x)).astype(x.dtype) if x.size else x

    class Erf(OpRun):
        op_domain = ""

        def _run(self, x: Array) -> tuple[Array]:
            return (erf(x),)

    class Gelu(OpRun):
        op_domain = ""

        def _run(self, x: Array, approximate: str = "none") -> tuple[Array]:
            if approximate == "tanh":
                return (x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),)
            return (x / 2 * (1 + erf(x / math.sqrt(2))),)

    class Conv(Plain):
        """The same sums as one matrix product per group: the evaluator's own takes minutes for a small ResNet."""

        op_domain = ""

        def _run(self, X: Array, W: Array, B: Array | None = None, **more: Any) -> tuple[Array]:
            if more.get("auto_pad") not in (None, "NOTSET"):
                return tuple(super()._run(X, W, B, **more))
            rank = X.ndim - 2
            pads, strides, dilations = (more.get(name) for name in ("pads", "strides", "dilations"))
            pads = pads or [0] * 2 * rank
            padded = np.pad(X, [(0, 0), (0, 0), *zip(pads[:rank], pads[rank:], strict=True)])
            steps, gaps = strides or [1] * rank, dilations or [1] * rank
            spans = [(size - 1) * gap + 1 for size, gap in zip(W.shape[2:], gaps, strict=True)]
            windows = np.lib.stride_tricks.sliding_window_view(padded, spans, axis=tuple(range(2, rank + 2)))
            taps = [slice(None, None, step) for step in steps] + [slice(None, None, gap) for gap in gaps]
            windows = windows[(slice(None), slice(None), *taps)]
            axes = [1, *range(rank + 2, 2 * rank + 2)]
            parts = [
                np.moveaxis(np.tensordot(taken, weight, axes=(axes, list(range(1, rank + 2)))), -1, 1)
                for taken, weight in zip(
                    np.split(windows, more.get("group") or 1, axis=1), np.split(W, more.get("group") or 1), strict=True
                )
            ]
            result = np.concatenate(parts, axis=1) if len(parts) > 1 else parts[0]
            return (result if B is None else result + B.reshape(-1, *[1] * rank),)

    return [Erf, Gelu, Conv]


def _failing(error: BaseException) -> tuple[str | None, str | None]:
    """The operator and the node in whose evaluation an error arose, innermost first."""
    from onnx.reference.op_run import OpRun

    op = node = None
    for frame, _line in traceback.walk_tb(error.__traceback__):
        holder = frame.f_locals.get("self")
        if isinstance(holder, OpRun):
            op, node = holder.onnx_node.op_type, holder.onnx_node.name or None
    return op, node


def _reason(error: Exception, file: Path) -> Exception:
    text = " ".join(str(error).replace(str(file), file.name).split())  # the same run says the same wherever it is
    found = re.search(
        r"(?:No registered implementation for operator|No Op registered for|[Nn]ode type|operator) '?(\w+)'?", text
    )
    op = found[1] if found else None
    if isinstance(error, NotImplementedError) or "No registered implementation" in text:
        return Unsupported(f"the reference evaluator does not implement this: {text[:300]}", op=op)
    return InvalidGraph(text[:300], op=op)


RUNTIMES = (Reference(),)
