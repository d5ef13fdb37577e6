"""What several rules ask of a graph.

Design note.  A remark that holds for three thousand nodes is one remark: rules gather by what they would say.  Numbers
are read only where they are in the file itself and few; the rules about stored numbers have :mod:`._values`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.inspection.rules._registry import Occurrence
from onnx_triangulate.onnxgraph.graph import Place
from onnx_triangulate.onnxgraph.nodes import array, elements, in_onnx, printable, text
from onnx_triangulate.records.inspection import Severity

FEW = 4096
_NAMED = 3
_MOST_AXES = 16

FLOATS: Mapping[int, str] = {
    TensorProto.FLOAT: "float32",
    TensorProto.DOUBLE: "float64",
    TensorProto.FLOAT16: "float16",
    TensorProto.BFLOAT16: "bfloat16",
}


def count(number: int, one: str, many: str = "") -> str:
    """``1 node``, ``2,000 nodes``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def some(names: Iterable[str | bytes], limit: int = _NAMED) -> str:
    """The first few names, and how many more there are."""
    listed = list(names)
    rest = len(listed) - limit
    shown = ", ".join(printable(name, 60) for name in listed[:limit])
    return shown + (f" and {rest:,} more" if rest > 0 else "")


def number(value: float) -> str:
    """A number as short as it can be told: 1e-05, 0.001, 6."""
    return f"{value:.6g}"


def words(values: Sequence[int | None]) -> str:
    """Numbers side by side; more than anybody has axes are counted."""
    rest = len(values) - _MOST_AXES
    return " ".join("?" if v is None else str(v) for v in values[:_MOST_AXES]) + (f" … (+{rest:,})" if rest > 0 else "")


class DiagnosticGroups:
    """Nodes by what is to be said of them; one remark for each sentence."""

    def __init__(self) -> None:
        self._finds: dict[tuple[str, Severity | None], list[tuple[str, ...]]] = {}

    def add(self, nodes: str | tuple[str, ...], says: str, severity: Severity | None = None) -> None:
        """One find; ``{n}`` in its sentence becomes how often it was said: ``1 node``, ``12 nodes``."""
        self._finds.setdefault((says, severity), []).append((nodes,) if isinstance(nodes, str) else nodes)

    def occurrences(self) -> Iterator[Occurrence]:
        for (says, severity), finds in self._finds.items():
            nodes = tuple(dict.fromkeys(node for find in finds for node in find))
            yield Occurrence(nodes, says.replace("{n}", count(len(finds), "node")), severity)


def slot(node: NodeProto, index: int) -> str:
    """The name of an input, ``""`` where it is left out."""
    name: str = node.input[index] if index < len(node.input) else ""
    return name


def stored(view: ModelView, place: Place, name: str) -> TensorProto | None:
    """The tensor that a node reads under this name, where it is stored in the model."""
    return place.graph.tensor(name) if name else None


def constant(view: ModelView, place: Place, name: str, most: int = FEW) -> NDArray[Any] | None:
    """The numbers that a node reads under this name, where they are stored and at most ``most``."""
    tensor = stored(view, place, name)
    if tensor is None or tensor.data_type == TensorProto.STRING or elements(tensor) > most:
        return None
    return numbers(tensor)


def numbers(tensor: TensorProto) -> NDArray[Any] | None:
    """The numbers of a tensor, ``None`` where the file does not hold them or what it holds makes no sense."""
    try:
        return array(tensor)
    except Exception:  # damaged in one of many ways: all mean that nothing is known
        return None


def scalar(view: ModelView, place: Place, name: str) -> float | None:
    """The single stored number that a node reads under this name."""
    values = constant(view, place, name, most=1)
    if values is None or values.size != 1 or values.dtype.kind not in "fiubV":
        return None
    try:
        return float(values.reshape(-1)[0])
    except (TypeError, ValueError):
        return None


def maker(place: Place, name: str) -> NodeProto | None:
    """The node of ONNX's own operators that makes what a node reads under this name."""
    node = place.graph.producer(name) if name else None
    return node if node is not None and in_onnx(node) else None


def title(place: Place) -> str:
    """A node in a sentence: its operator and its name."""
    return f"{printable(place.op, 40)} ({printable(place.name, 60)})"


def finite(value: float) -> bool:
    return bool(np.isfinite(value))


def shown(value: str | bytes) -> str:
    return printable(text(value), 60)
