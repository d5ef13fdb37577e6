"""Examples of operators: nodes in ONNX's text syntax with inputs and a fault, from which tests are generated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnx.parser

from onnx_triangulate.records.arrays import Array


@dataclass(frozen=True)
class Example:
    """A node in ONNX text, its inputs, and a fault: ``Conv<pads=[1,1,1,1]>(x, w)`` with ``x`` and ``w`` drawn.

    ``inputs`` maps names to ``"float[2,3]"`` (drawn at random, with zeros, ties and negatives), or to values (lists are
    int64, booleans bool).  The fault is another node text, or inputs with the factors they are multiplied by.
    """

    node: str
    inputs: Mapping[str, Any]
    fault: str | Mapping[str, float]
    opset: int = 18
    outputs: str = "y"

    @property
    def op(self) -> str:
        """The name of its operator."""
        return self.node.partition("(")[0].partition("<")[0].strip()

    def proto(self, text: str) -> onnx.NodeProto:
        version = f'<ir_version: 10, opset_import: ["" : {self.opset}]>'
        inputs = ", ".join(f"float[N] {name}" for name in self.inputs)
        model = onnx.parser.parse_model(f"{version} g ({inputs}) => (float[N] y) {{ {self.outputs} = {text} }}")
        return model.graph.node[0]

    def arrays(self, seed: int = 0) -> dict[str, Array]:
        return {n: drawn(v, np.random.default_rng([seed, i])) for i, (n, v) in enumerate(self.inputs.items())}


def drawn(wanted: Any, random: np.random.Generator) -> Array:
    """An array for an example's input: numbers of a type, ``positive``, ``unit`` (-1 to 1) or ``share`` (0 to 1)."""
    if not isinstance(wanted, str):
        value = np.asarray(wanted)
        return value.astype(np.float32) if value.dtype == np.float64 else value
    kind, _, dims = wanted.rstrip("]").partition("[")
    shape = tuple(int(d) for d in dims.split(",") if d)
    if kind == "bool":
        return random.random(shape) < 0.5
    if kind.startswith(("int", "uint")):
        return random.integers(0 if kind[0] == "u" else -5, 100 if "8" in kind else 9, shape).astype(kind)
    values = random.normal(size=shape) * 2
    if kind == "positive":
        return np.asarray(np.abs(values) + 0.05).astype(np.float32)
    if kind in ("unit", "share"):
        return np.asarray(np.tanh(values if kind == "unit" else np.abs(values))).astype(np.float32)
    flat = values.reshape(-1)
    if flat.size > 4:
        flat[1], flat[3] = 0.0, flat[2]
    return np.asarray(values).astype({"float": "float32", "double": "float64"}.get(kind, kind))
