"""An axis that was declared dynamic and comes out fixed, because the model makes a Python number of its size.

torch.export follows sizes through ``+``, ``//`` and comparisons.  Through ``int(t / 2)``, ``round`` or ``t ** 0.5`` it
cannot: then it keeps the number of the example, with a guard that says which, and the graph is right at that size only.
"""

from __future__ import annotations

import re

from onnx_triangulate.causes._registry import Cause, Example, Load, graph_of
from onnx_triangulate.onnxgraph.nodes import printable
from onnx_triangulate.records.runs import Failure
from onnx_triangulate.records.verdict import Blame, Evidence, Finding

_GUARD = re.compile(r"generated guard (.+?) == (-?\d+)\b")
_SIZE = re.compile(r"L\['(?:args'\]\[)?(.+?)'?\]\.size\(\)\[(\d+)\]")
_SHOWN = 3


def _suspect(evidence: Evidence, blamed: Blame, load: Load) -> Finding | None:
    graph = graph_of(blamed)
    model = evidence.models.get(graph) if graph is not None else None
    if blamed.blame not in ("export", "export-failed") or model is None:
        return None
    said = f"{model.log} {model.error.message if model.error is not None else ''}"
    guards = dict.fromkeys(f"{_SIZE.sub(_size, term)} is {number}" for term, number in _GUARD.findall(said))
    if not guards:
        return None
    listed = "; ".join(printable(guard) for guard in list(guards)[:_SHOWN])
    return CAUSE.finding(
        blamed,
        blamed.nodes,
        f"the model makes a Python number of a size, and torch.export keeps the example's: {listed}",
        "compute with sizes by + - * // alone: t // 2 for int(t / 2), and no int(), round() or ** of a size",
    )


def _size(found: re.Match[str]) -> str:
    return f"{found[1]}.shape[{found[2]}]"


_WORDS = """Constraints violated (t)! For more information, run with TORCH_LOGS="+dynamic".
  - Not all values of t = L['x'].size()[1] satisfy the generated guard (L['x'].size()[1] // 2) == 4.
"""
_BLAMED = Blame("export-failed", "torch", ("torch", "torch>*"))

CAUSE = Cause(
    name="size-made-a-number",
    about="The model makes a Python number of the size of an axis that was declared dynamic.",
    suspect=_suspect,
    fires=(
        Example(
            "half of a length", _BLAMED, errors={"torch": Failure("refused", _WORDS)}, message="(x.shape[1] // 2) is 4"
        ),
    ),
    quiet=(
        Example("another refusal", _BLAMED, errors={"torch": Failure("refused", "no such operator")}),
        Example(
            "nothing of the exporter",
            Blame("semantics", "torch", ("tensorflow", "torch")),
            errors={"torch": Failure("refused", _WORDS)},
        ),
    ),
)
