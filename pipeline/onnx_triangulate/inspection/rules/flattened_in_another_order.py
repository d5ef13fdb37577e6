"""LAY005: a Flatten or Reshape that merges axes in another order than the model's own."""

from __future__ import annotations

from collections.abc import Iterator

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule

_HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (float[2,6,8,3] x) => (y) <float[5,3,3,3] w, float[240,4] d>'
_CONV = "a = Transpose <perm = [0,3,1,2]> (x) b = Conv <pads = [1,1,1,1]> (a, w)"


def _find(view: ModelView) -> Iterator[Occurrence]:
    """A value that convolutions hold channels first, in a model whose border is channels last (or the other way round),
    is flattened or reshaped without being turned back. The numbers come out in another order than the model's own
    flatten gives them, so the weights behind it meet the wrong ones: the classic bug of moving a model between layouts
    by hand. It is right only if those weights were reordered too, which the file cannot say: compare the outputs with
    the source's.
    """
    for reshaped in view.reshapes:
        if reshaped.kind == "scrambles":
            yield Occurrence((reshaped.node,), reshaped.message)


RULE = Rule(
    code="LAY005",
    name="flattened-in-another-order",
    severity="warning",
    find=_find,
    fires=(f"{_HEAD} {{ {_CONV} f = Flatten (b) y = MatMul (f, d) }}",),
    quiet=(
        f"{_HEAD} {{ {_CONV} c = Transpose <perm = [0,2,3,1]> (b) f = Flatten (c) y = MatMul (f, d) }}",
        '<ir_version: 8, opset_import: ["" : 17]> g (float[2,3,6,8] x) => (y) <float[5,3,3,3] w, float[240,4] d> '
        "{ b = Conv <pads = [1,1,1,1]> (x, w) f = Flatten (b) y = MatMul (f, d) }",
    ),
)
