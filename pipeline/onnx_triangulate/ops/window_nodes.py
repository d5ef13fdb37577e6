"""Which nodes slide a window, quantized and fused ones included, and where each keeps what."""

from __future__ import annotations

from onnx import NodeProto

from onnx_triangulate.onnxgraph.nodes import text
from onnx_triangulate.ops.operator import WindowForm
from onnx_triangulate.ops.registry import operator_of


def form_of(node: NodeProto) -> WindowForm | None:
    """What window a node slides, if it does."""
    known = operator_of(node)
    return None if known is None else known.window


def is_pad(node: NodeProto) -> bool:
    """Whether a node is a Pad."""
    return text(node.op_type) == "Pad" and text(node.domain) in ("", "ai.onnx", "com.microsoft")
