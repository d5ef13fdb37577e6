"""NUM013: a quantization whose scale is no scale."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.inspection.rules._helpers import DiagnosticGroups, constant, count
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule

_HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (float[2,3] x) => (y)'
_SCALES = {
    "QuantizeLinear": (1,),
    "DequantizeLinear": (1,),
    "QLinearConv": (1, 4, 6),
    "QLinearMatMul": (1, 4, 6),
}


def _find(view: ModelView) -> Iterator[Occurrence]:
    """Quantizing divides by the scale. One of zero is what calibration gives for a channel that never fired, and turns
    it into NaN or the largest integer; a negative one flips signs in some runtimes and is refused by others.
    """
    groups = DiagnosticGroups()
    for place in view.of(*_SCALES):
        for index in _SCALES[place.op]:
            scales = constant(view, place, place.input(index), most=1 << 16)
            if scales is None or scales.dtype.kind != "f":
                continue
            wrong = int(np.count_nonzero(~(np.isfinite(scales) & (scales > 0))))
            if wrong:
                which = "its scale is" if scales.size == 1 else f"{wrong} of {count(int(scales.size), 'scale')} are"
                groups.add(
                    (place.name,),
                    f"{place.op}: {which} zero, negative or not finite ({{n}}): nothing can be divided by it",
                )
                break
    yield from groups.occurrences()


RULE = Rule(
    code="NUM013",
    name="quantization-scale",
    severity="warning",
    find=_find,
    fires=(f"{_HEAD} <float s = {{0.0}}, uint8 z = {{0}}> {{ y = QuantizeLinear (x, s, z) }}",),
    quiet=(f"{_HEAD} <float s = {{0.1}}, uint8 z = {{0}}> {{ y = QuantizeLinear (x, s, z) }}",),
)
