"""ONNX's reference evaluator: an opinion with a version, in numpy, and the only runtime that runs every graph in float64."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from pipeline.data import Array, InvalidGraph, Unsupported


class Reference:
    name = "reference"
    distribution = "onnx"
    after = ""
    step = "export"
    double = True

    def open(self, file: Path) -> Callable[[Mapping[str, Array], Sequence[str]], Sequence[Array]]:
        from onnx.reference import ReferenceEvaluator

        try:
            evaluator = ReferenceEvaluator(str(file))
        except Exception as error:  # the evaluator raises a plain error of its own for every reason
            raise _reason(error) from error

        def run(feeds: Mapping[str, Array], outputs: Sequence[str]) -> Sequence[Array]:
            try:
                with np.errstate(all="ignore"):
                    return [np.asarray(value) for value in evaluator.run(list(outputs), dict(feeds))]
            except NotImplementedError as error:
                raise _reason(error) from error

        return run


def _reason(error: Exception) -> Exception:
    text = " ".join(str(error).split())
    found = re.search(r"(?:No registered implementation for operator|No Op registered for|node type|operator) '?(\w+)'?", text)
    op = found[1] if found else None
    if isinstance(error, NotImplementedError) or "No registered implementation" in text:
        return Unsupported(f"the reference evaluator does not implement this: {text[:300]}", op=op)
    return InvalidGraph(text[:300], op=op)


RUNTIMES = (Reference(),)
