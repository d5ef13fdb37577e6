"""Where a tensor's numbers lie, when they lie in another file."""

from __future__ import annotations

import re
from collections.abc import Iterator

from onnx import TensorProto

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.facts.size_summary import location, tensors
from onnx_triangulate.onnxgraph.nodes import text


def outside(file: str) -> bool:
    """Whether a location leads out of the model's own folder, on whichever system."""
    parts = re.split(r"[/\\]", file)
    return ".." in parts or parts[0] == "" or bool(re.match(r"[A-Za-z]:", file)) or "\0" in file


def external(view: ModelView) -> Iterator[tuple[str, TensorProto, str]]:
    """Name, tensor and location of each whose numbers lie elsewhere."""
    for name, tensor in tensors(view):
        file = location(tensor)
        if file is not None:
            yield name, tensor, file


def number(tensor: TensorProto, key: str) -> int | None:
    """The offset or the length in an external file; ``None`` where it is not given or no number."""
    value = next((text(e.value) for e in tensor.external_data if e.key == key), "")
    return int(value) if re.fullmatch(r"[0-9]{1,19}", value) else None
