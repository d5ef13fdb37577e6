"""Which operators slide a window, quantized and fused ones included, and where each keeps what.

Design note.  Operators outside ONNX's own domain are ONNX Runtime's: what its optimizer and quantizer write into files.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from onnx import NodeProto

from onnx_triangulate.onnxgraph.nodes import text


@dataclass(frozen=True)
class Form:
    """An operator that slides a window as ONNX's ``like`` does.

    ``weight`` is the input whose shape holds the kernel's, ``zero`` the input that says what zero is, ``amounts`` the
    input that holds the pads; ``last`` says that channels are the last axis, ``None`` that an attribute does.
    """

    like: str
    weight: int | None = None
    zero: int | None = None
    last: bool | None = False
    amounts: int | None = None


_ONNX = {
    "Conv": Form("Conv", 1),
    "ConvTranspose": Form("ConvTranspose", 1),
    "ConvInteger": Form("ConvInteger", 1, zero=2),
    "QLinearConv": Form("QLinearConv", 3, zero=2),
    "DeformConv": Form("DeformConv", 1),
    "MaxPool": Form("MaxPool"),
    "AveragePool": Form("AveragePool"),
    "LpPool": Form("LpPool"),
    "MaxUnpool": Form("MaxUnpool"),
}
_FORMS: dict[str, dict[str, Form]] = {
    "": _ONNX,
    "ai.onnx": _ONNX,
    "com.microsoft": {
        "FusedConv": Form("Conv", 1),
        # Which order of axes its weight has depends on who runs it: the kernel is what kernel_shape says.
        "NhwcConv": Form("Conv", last=True),
        "NhwcFusedConv": Form("Conv", 1, last=True),
        "QLinearConv": Form("QLinearConv", 3, zero=2, last=None),
        "QLinearConvTranspose": Form("ConvTranspose", 3, last=None),
        "ConvTransposeWithDynamicPads": Form("ConvTranspose", 1, amounts=2),
        "QLinearAveragePool": Form("AveragePool", zero=2, last=None),
        "NhwcMaxPool": Form("MaxPool", last=True),
        "MaxpoolWithMask": Form("MaxPool"),
    },
    "com.microsoft.nchwc": {
        "Conv": Form("Conv", 1),
        "MaxPool": Form("MaxPool"),
        "AveragePool": Form("AveragePool"),
    },
    "com.ms.internal.nhwc": {
        name: replace(form, weight=None, last=True) for name, form in _ONNX.items() if name not in ("MaxUnpool",)
    },
}


def form_of(node: NodeProto) -> Form | None:
    """What window a node slides, if it does."""
    return _FORMS.get(text(node.domain), {}).get(text(node.op_type))


def is_pad(node: NodeProto) -> bool:
    """Whether a node is a Pad."""
    return text(node.op_type) == "Pad" and text(node.domain) in ("", "ai.onnx", "com.microsoft")
