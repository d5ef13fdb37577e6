"""ONNX Runtime on the CPU, with its graph optimizations off and with all of them on: both are run, always.

One thread, for speed on small graphs and for results that do not depend on the machine's cores.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.data import Array, InvalidGraph, Unsupported


@dataclass(frozen=True)
class OnnxRuntime:
    name: str
    after: str
    step: str
    level: str
    distribution: str = "onnxruntime"
    double: bool = False

    def open(
        self, file: Path, *, double: bool = False
    ) -> Callable[[Mapping[str, Array], Sequence[str]], Sequence[Array]]:
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read on import; telemetry writes under the home folder
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, self.level)
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        try:
            session = ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # one class per status, all of them Exceptions of a private module
            raise _reason(error, file) from error

        def run(feeds: Mapping[str, Array], outputs: Sequence[str]) -> Sequence[Array]:
            try:
                return [np.asarray(v) for v in session.run(list(outputs), dict(feeds))]
            except Exception as error:  # as above
                raise _reason(error, file) from error

        return run

    def part(
        self, model: bytes, weights: Mapping[str, Array]
    ) -> Callable[[Mapping[str, Array], Sequence[str]], Sequence[Array]]:
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, self.level)
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        if weights:
            arrays = [np.require(w, requirements=["C", "A"]) for w in weights.values()]  # mapped data may be anywhere
            options.add_external_initializers(list(weights), [ort.OrtValue.ortvalue_from_numpy(a) for a in arrays])
        place = Path("part.onnx")
        try:
            session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # one class per status, all of them Exceptions of a private module
            raise _reason(error, place) from error

        def run(feeds: Mapping[str, Array], outputs: Sequence[str]) -> Sequence[Array]:
            try:
                return [np.asarray(v) for v in session.run(list(outputs), dict(feeds))]
            except Exception as error:  # as above
                raise _reason(error, place) from error

        return run


def _reason(error: Exception, file: Path) -> Exception:
    text = " ".join(str(error).replace(str(file), file.name).split())  # the same run says the same wherever it is
    named = re.search(r"No Op registered for (\w+)", text) or re.search(
        r"implementation for (?:\w+\.)*?(\w+)\(\d+\)", text
    )
    foreign = re.search(r"(\w+)\(-?\d+\) is not a registered function/op", text)
    named = (
        named or foreign or re.search(r"In Node, \(\"[^\"]*\", (\w+)", text) or re.search(r"running (\w+) node", text)
    )
    node = re.search(r"(?:node with name|In Node, \(|Name:)\s*['\"]?([^'\",]+)", text)
    op = named[1] if named else None
    where = node[1] if node else None
    if "NOT_IMPLEMENTED" in text or foreign:
        return Unsupported(text[:300], op=op, node=where)
    if "INVALID_GRAPH" in text or "INVALID_PROTOBUF" in text:
        return InvalidGraph(text[:300], op=op, node=where)
    return RuntimeError(text[:300])


RUNTIMES = (
    OnnxRuntime("ort.off", after="reference", step="kernel", level="ORT_DISABLE_ALL"),
    OnnxRuntime("ort.all", after="ort.off", step="optimizer", level="ORT_ENABLE_ALL"),
)
