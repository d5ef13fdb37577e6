"""What exporters refuse, as expectations of a case: the refusals that many operators of the catalogue share.

Each is a mapping for ``Case.expect``; several are joined by ``|``."""

from __future__ import annotations

from collections.abc import Mapping

from onnx_triangulate.records.case import Expected

Expectations = Mapping[tuple[str, str], Expected]


def left_by_tf2onnx(*ops: str) -> dict[tuple[str, str], Expected]:
    """tf2onnx has no handler for TensorFlow's ``ops`` and leaves them in the graph, which is then no model."""
    named = " or ".join(ops)
    return {
        ("tensorflow", "tensorflow*>*"): Expected(
            "export-failed",
            cause="operator-not-converted",
            op=ops,
            reason=f"tf2onnx has no {named} and leaves it in the graph",
            when="tf2onnx<1.18",
        )
    }


def refused_by_torchscript(*ops: str) -> dict[tuple[str, str], Expected]:
    """TorchScript's exporter, which is no longer developed, has no symbolic function for PyTorch's ``ops``."""
    named = " or ".join(ops)
    return {
        ("torch", "torch:script>*"): Expected(
            "export-failed", op=ops, reason=f"the TorchScript exporter has no symbolic function for {named}"
        )
    }


def refused_by_torch(*ops: str) -> dict[tuple[str, str], Expected]:
    """Neither of PyTorch's exporters converts its ``ops``."""
    named = " or ".join(ops)
    return {
        ("torch", "torch*>*"): Expected(
            "export-failed", op=ops, reason=f"PyTorch's exporters have no conversion of {named}"
        )
    }
