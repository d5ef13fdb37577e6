"""NUM007: the logarithm of what has just been rounded to zero."""

from __future__ import annotations

from collections.abc import Iterator

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.inspection.rules._helpers import DiagnosticGroups, maker
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule

_HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (float[2,3] x) => (y)'
_BETTER = {
    "Sigmoid": "the sigmoid of −104 is 0 in float32, and its logarithm −inf instead of −104: -Softplus(-x) is right",
    "Softmax": "a probability below 1e-45 is 0 in float32, and its logarithm −inf: LogSoftmax is right",
    "Exp": "Exp overflows above 88 and is 0 below −104 in float32: together they do nothing, or break",
}


def _find(view: ModelView) -> Iterator[Occurrence]:
    """`Log(Sigmoid(x))`, `Log(Softmax(x))` and `Log(Exp(x))` are fine on paper and give −inf (or inf) in float32 for
    inputs of ordinary size, where the frameworks' own `logsigmoid` and `log_softmax` do not. Exporters write them for
    operators that ONNX lacks.
    """
    groups = DiagnosticGroups()
    for place in view.of("Log"):
        before = maker(place, place.input(0))
        if before is not None and before.op_type in _BETTER:
            groups.add(place.name, f"Log of {before.op_type} ({{n}}): {_BETTER[before.op_type]}")
    yield from groups.occurrences()


RULE = Rule(
    code="NUM007",
    name="log-of-small",
    severity="warning",
    find=_find,
    fires=(
        f"{_HEAD} {{ s = Sigmoid (x) y = Log (s) }}",
        f"{_HEAD} {{ s = Softmax <axis = 1> (x) y = Log (s) }}",
        f"{_HEAD} {{ s = Exp (x) y = Log (s) }}",
    ),
    quiet=(
        f"{_HEAD} {{ y = LogSoftmax <axis = 1> (x) }}",
        f"{_HEAD} <float e = {{1e-7}}> {{ s = Sigmoid (x) a = Add (s, e) y = Log (a) }}",
    ),
)
