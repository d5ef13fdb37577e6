"""VAL003: stored numbers so small that they lose digits."""

from __future__ import annotations

from collections.abc import Iterator

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.inspection.rules._helpers import count, some
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule
from onnx_triangulate.inspection.rules._values import Values

_HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (float[2,3] x) => (y)'
_SHARE = 0.01


def _find(view: ModelView) -> Iterator[Occurrence]:
    """One in a hundred numbers of a tensor, or more, is nearer to zero than float32 can hold in full (below 1.2e-38).
    Weight decay on channels that are never used leaves them. Setting them to zero changes nothing that matters.
    """
    held = [d for d in Values.of(view).digests.values() if d.count > 1 and d.denormal >= _SHARE]
    if held:
        names = tuple(d.name for d in held)
        most = max(d.denormal for d in held)
        yield Occurrence(
            names,
            f"{count(len(names), 'stored tensor')} of denormal numbers, up to {most:.0%} ({some(names)}): many times "
            "slower on some processors, and zero on those that flush them",
        )


RULE = Rule(
    code="VAL003",
    name="denormal-numbers",
    severity="info",
    find=_find,
    fires=(f"{_HEAD} <float[3] w = {{1.0, 1e-40, 3.0}}> {{ y = Mul (x, w) }}",),
    quiet=(f"{_HEAD} <float[3] w = {{1.0, 1e-30, 0.0}}> {{ y = Mul (x, w) }}",),
)
