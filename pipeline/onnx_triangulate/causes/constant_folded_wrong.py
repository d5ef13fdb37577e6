"""A value that the exporter's optimizer computed while exporting, and got wrong.

torch's exporter folds constants with ONNX's reference evaluator, so a fault of the evaluator is baked into the file,
and all runtimes agree on the wrong value.  The unoptimized export of the same program still computes it: where that one
agrees with the framework and the optimized one does not, what folding put into the file is suspected.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray
from onnx import ModelProto

from onnx_triangulate.causes._registry import Cause, Example, Load, graph_of, listed, party_of
from onnx_triangulate.onnxgraph.graph import places
from onnx_triangulate.onnxgraph.nodes import array, constant_tensor
from onnx_triangulate.records.runs import Diff
from onnx_triangulate.records.verdict import Blame, Evidence, Finding
from onnx_triangulate.transform.float64 import computed_initializers


def _constants(model: ModelProto) -> list[NDArray[Any]]:
    tensors = list(model.graph.initializer)
    tensors += [t for p in places(model) if (t := constant_tensor(p.node)) is not None]
    return [values for t in tensors if (values := array(t)) is not None and values.dtype.kind == "f"]


def _agrees(evidence: Evidence, raw: str) -> bool:
    """Whether a run of the unoptimized graph agrees with the framework, and none parts from it."""
    framework = raw.split(":", 1)[0]
    outcomes = []
    for edge in evidence.edges:
        parties = [party for name in (edge.left, edge.right) if (party := party_of(name)) is not None]
        own = len(parties) == 2 and {party.framework for party in parties} == {framework}
        if own and any(a.native and b.graph == raw for a, b in (parties, reversed(parties))):
            outcomes.append(edge.agrees)
    return bool(outcomes) and all(outcomes)


def _suspect(evidence: Evidence, blamed: Blame, load: Load) -> Finding | None:
    graph = graph_of(blamed)
    if blamed.blame != "export" or graph is None or ":" in graph:
        return None
    raw = f"{graph}:raw"
    if any(b.blame == "export" and graph_of(b) == raw for b in evidence.blames) or not _agrees(evidence, raw):
        return None
    optimized, plain = load(graph), load(raw)
    if optimized is None or plain is None:
        return None
    names = computed_initializers(optimized, _constants(plain))
    if not names:
        return None
    users = tuple(p.name for p in places(optimized) if any(n in names for n in p.node.input))
    folded = listed(names, 4)
    return CAUSE.finding(
        blamed,
        users,
        f"{raw} agrees with {raw.split(':', 1)[0]} and {graph} does not: constants that only folding put into "
        f"the file are {folded}",
        f"export {graph} without its optimizer, or compute {folded} in the graph",
    )


_RAW = """(float[2] x) => (float[2] y) <float[2] a = {0.1, 0.7}, float[2] b = {0.3, 0.9}> {
    c = Mul (a, b)
    [scale] y = Mul (x, c)
}"""
_WRONG = """(float[2] x) => (float[2] y) <float[2] c = {0.4, 1.6}> { [scale] y = Mul (x, c) }"""
_UNFOLDED = """(float[2] x) => (float[2] y) <float[2] a = {0.7, 0.1}> { [scale] y = Mul (x, a) }"""
_BLAMED = Blame("export", "torch>reference", ("torch", "torch>reference"))
_PARTS = Diff("torch", "torch>reference", "export", "diverges")
_FAITHFUL = Diff("torch", "torch:raw>reference", "export", "rounding")
_FAULTY_TOO = Diff("torch", "torch:raw>reference", "export", "diverges")

CAUSE = Cause(
    name="constant-folded-wrong",
    about="The exporter's optimizer computed a constant while exporting, and got it wrong.",
    suspect=_suspect,
    fires=(
        Example(
            "the optimized graph multiplies by another number",
            _BLAMED,
            {"torch": _WRONG, "torch:raw": _RAW},
            (_PARTS, _FAITHFUL),
            message="torch:raw agrees with torch and torch does not: constants that only folding put into the file are "
            "c",
        ),
    ),
    quiet=(
        Example(
            "the translation is wrong already", _BLAMED, {"torch": _WRONG, "torch:raw": _RAW}, (_PARTS, _FAULTY_TOO)
        ),
        Example("nothing was folded", _BLAMED, {"torch": _UNFOLDED, "torch:raw": _RAW}, (_PARTS, _FAITHFUL)),
        Example("nobody ran the unoptimized graph", _BLAMED, {"torch": _WRONG, "torch:raw": _RAW}, (_PARTS,)),
    ),
)
