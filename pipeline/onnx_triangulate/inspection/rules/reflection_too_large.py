"""PAD009: a Pad that reflects more than there is."""

from __future__ import annotations

from collections.abc import Iterator

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.inspection.rules._helpers import DiagnosticGroups, constant, words
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule

_HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (float[1,3,4] x)'


def _find(view: ModelView) -> Iterator[Occurrence]:
    """A Pad in `reflect` mode mirrors the input without its border: at most `size - 1` elements. ONNX does not say what
    happens beyond; PyTorch and TensorFlow refuse it, numpy mirrors again and again.
    """
    groups = DiagnosticGroups()
    for place in view.of("Pad"):
        shape = place.graph.shape(place.input(0))
        if place.attribute("mode", str, "constant") != "reflect" or shape is None or place.input(3):
            continue
        amounts = place.attribute("pads", tuple, ())
        if not amounts:
            values = constant(view, place, place.input(1))
            amounts = () if values is None or values.dtype.kind != "i" else tuple(int(v) for v in values.reshape(-1))
        if len(amounts) != 2 * len(shape):
            continue
        sides = zip((*shape, *shape), amounts, strict=True)
        if any(size is not None and size > 0 and amount >= size for size, amount in sides):
            groups.add(
                (place.name,),
                f"Pad reflects by {words(amounts)} a value of {words(shape)} ({{n}}): beyond size - 1 there is nothing "
                "to mirror, and engines refuse it or each does something else",
            )
    yield from groups.occurrences()


RULE = Rule(
    code="PAD009",
    name="reflection-too-large",
    severity="warning",
    find=_find,
    fires=(f'{_HEAD} => (y) {{ p = Constant <value_ints = [0,0,4,0,0,0]> () y = Pad <mode = "reflect"> (x, p) }}',),
    quiet=(
        f'{_HEAD} => (y) {{ p = Constant <value_ints = [0,0,3,0,0,3]> () y = Pad <mode = "reflect"> (x, p) }}',
        f"{_HEAD} => (y) {{ p = Constant <value_ints = [0,0,4,0,0,0]> () y = Pad (x, p) }}",
    ),
)
