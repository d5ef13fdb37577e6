"""ONNX's reference evaluator: an opinion with a version, in numpy, and the runtime that runs most graphs in float64.

``reference`` is the evaluator as it is shipped, faults included: they are its own.  Where it gives no answer, or a
graph holds an operator that it is known to have wrong, ``reference.patched`` stands beside it: the same evaluator with
operators by their definitions (``numerics.reference_evaluator``), given to it through its public ``new_ops``.  In
float64 it is run with these always, because many of the stock ones compute in float32 whatever they are given, which
would pass for an exporter's fault of 1e-8; a graph with one that nobody supplies is refused.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from onnx_triangulate.engines.protocols import Evaluate
from onnx_triangulate.numerics.reference_evaluator import as_specified, in_float64
from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.errors import InvalidGraph, Unsupported
from onnx_triangulate.records.graphs import GraphFacts

# Read off the sources of onnx 1.23: float32 inside, whatever comes in.
FLOAT32_INSIDE = frozenset({"CausalConvWithState", "LinearAttention", "TfIdfVectorizer"})


# Operators whose result may be another one than ONNX specifies, and the opset from which they are right.
_WRONG_BEFORE = {"BatchNormalization": 14, "Hardmax": 13, "LogSoftmax": 13, "RoiAlign": 16, "Softmax": 13}
_OFTEN_WRONG = frozenset("ConvTranspose GRU GridSample LSTM Loop LpNormalization LpPool RNN".split())


@dataclass(frozen=True)
class Reference:
    name: str
    patched: bool
    distribution: str = "onnx"
    after: str = ""
    step: str = "export"
    double: bool = False
    beside: str = ""

    def wanted(self, facts: GraphFacts) -> bool:
        """Whether a graph holds what the stock evaluator is known to have wrong."""
        opset = facts.opset or 0
        old = any(op in facts.ops and opset < version for op, version in _WRONG_BEFORE.items())
        uneven = any(pads.op == "MaxPool" and pads.symmetric is not True for pads in facts.pads)
        return old or uneven or bool(_OFTEN_WRONG & set(facts.ops))

    def open(self, file: Path, *, double: bool = False) -> Evaluate:
        if double:
            _refuse_float32(file)
        return self._opened(str(file), file, in_float64() if double or self.patched else ())

    def part(self, model: bytes, weights: Mapping[str, Array]) -> Evaluate:
        import onnx

        proto = onnx.load_from_string(model)
        for tensor in proto.graph.initializer:
            if tensor.name in weights:
                tensor.CopyFrom(onnx.numpy_helper.from_array(weights[tensor.name], tensor.name))
        return self._opened(proto, Path("part.onnx"), as_specified() if self.patched else ())

    def _opened(self, model: Any, file: Path, operators: Sequence[Any]) -> Evaluate:
        from onnx.reference import ReferenceEvaluator

        try:
            evaluator = ReferenceEvaluator(model, new_ops=list(operators))
        except Exception as error:  # the evaluator raises a plain error of its own for every reason
            raise _reason(error, file) from error

        def run(feeds: Mapping[str, Array], outputs: Sequence[str]) -> Sequence[Array]:
            try:
                with np.errstate(all="ignore"):
                    made = evaluator.run(list(outputs), dict(feeds))
            except Exception as error:  # a bug in an operator's numpy raises whatever numpy raises
                op, node = _failing(error)
                if op is None:
                    raise _reason(error, file) from error
                says = f"the reference evaluator cannot run this {op}: {type(error).__name__}: {error}"
                raise Unsupported(" ".join(says.split())[:300], op=op, node=node) from error
            for name, value in zip(outputs, made, strict=True):
                if isinstance(value, list):
                    raise Unsupported(f"output {name} is a sequence, not an array")
            return [np.asarray(value) for value in made]

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


RUNTIMES = (
    Reference("reference", patched=False, double=True),
    Reference("reference.patched", patched=True, beside="reference"),
)
