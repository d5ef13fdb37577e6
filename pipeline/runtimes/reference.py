"""ONNX's reference evaluator: an opinion with a version, in numpy, and the runtime that runs most graphs in float64.

Some of its operators compute in float32 whatever they are given.  In float64 those would pass for an exporter's fault
of 1e-8, so there they are supplied through the evaluator's public ``new_ops`` (:mod:`pipeline.numerics.evaluator`), and
a graph with one that is not is refused.  In float32 the evaluator runs as it is, for it is one of the parties, but for
operators in which it does not do what ONNX specifies: that they are wrong says nothing of anybody's export.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from pipeline.data import Array, InvalidGraph, Unsupported
from pipeline.numerics.evaluator import as_specified, in_float64

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
            evaluator = ReferenceEvaluator(str(file), new_ops=list(in_float64() if double else as_specified()))
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
            evaluator = ReferenceEvaluator(proto, new_ops=list(as_specified()))
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
