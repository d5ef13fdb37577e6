"""PAD003: pads that are written beside auto_pad, and that nobody looks at."""

from __future__ import annotations

from collections.abc import Iterator

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.inspection.rules._helpers import DiagnosticGroups, words
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule

_HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (float[1,3,6,8] x, float[4,3,3,3] w)'


def _find(view: ModelView) -> Iterator[Occurrence]:
    """`pads` and `auto_pad` (or a ConvTranspose's `output_shape`) are both written, and say different things. ONNX does
    not allow `pads` beside `auto_pad`; they are not looked at, and a reader of the attributes is misled. Leave one of
    them out.
    """
    written = {p.name: p for w in {w.op for w in view.windows} for p in view.of(w)}
    groups = DiagnosticGroups()
    for window in view.windows:
        place = written.get(window.node)
        if place is None:
            continue
        given = place.attribute("pads", tuple, ())
        asked = "output_shape" if window.op == "ConvTranspose" and place.attribute("output_shape", tuple, ()) else ""
        if window.auto_pad not in ("", "NOTSET"):
            asked = f"auto_pad={window.auto_pad}"
        effective = (*(window.begin or ()), *(window.end or ()))
        if asked and any(given) and given != effective:
            says = f"pads {words(given)} stand beside {asked} ({{n}}) and are ignored"
            known = (
                f": what is padded is {words(window.begin or ())} before, {words(window.end or ())} after"
                if effective
                else ""
            )
            groups.add(window.node, says + known)
    yield from groups.occurrences()


RULE = Rule(
    code="PAD003",
    name="pads-ignored",
    severity="warning",
    find=_find,
    fires=(f'{_HEAD} => (y) {{ y = Conv <pads = [2, 2, 2, 2], auto_pad = "SAME_UPPER"> (x, w) }}',),
    quiet=(
        f'{_HEAD} => (y) {{ y = Conv <pads = [2, 2, 2, 2], auto_pad = "NOTSET"> (x, w) }}',
        f'{_HEAD} => (y) {{ y = Conv <pads = [1, 1, 1, 1], auto_pad = "SAME_UPPER"> (x, w) }}',
    ),
)
