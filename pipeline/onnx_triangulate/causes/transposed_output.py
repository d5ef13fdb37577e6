"""An output that holds the right numbers along the wrong axes.

The comparison has already found the permutation and said so on the edge; what is left to do is to name it as a cause
and to point at the Transposes of the graph, one of which is missing, doubled or misplaced.
"""

from __future__ import annotations

import re

from onnx_triangulate.causes._registry import Cause, Example, Load, edge_of, graph_of
from onnx_triangulate.facts.transposes import transposes
from onnx_triangulate.onnxgraph.nodes import printable
from onnx_triangulate.records.runs import Diff
from onnx_triangulate.records.verdict import Blame, Evidence, Finding

_EXPLAINED = re.compile(r"transposed by (\([\d, ]*\)|[\d, ]+)")


def _suspect(evidence: Evidence, blamed: Blame, load: Load) -> Finding | None:
    edge = edge_of(evidence, blamed)
    if edge is None or edge.agrees or not edge.explanation:
        return None
    found = _EXPLAINED.search(edge.explanation)
    if found is None:
        return None
    graph = graph_of(blamed)
    model = load(graph) if graph is not None else None
    held = transposes(model) if model is not None else ()
    listed = ", ".join(f"{printable(t.node)} {t.kind}" for t in held[:4]) or "none"
    output = f" {printable(edge.output)}" if edge.output else ""
    return CAUSE.finding(
        blamed,
        tuple(t.node for t in held),
        f"the output{output} of {edge.left} equals that of {edge.right} transposed by {found[1]}; "
        f"Transposes in {graph or 'its graph'}: {listed}",
        f"permute the output{output} of {edge.right}, or its layout at the border, by {found[1]}",
    )


_GRAPH = """(float[1,3,7,8] x) => (float[1,7,8,3] y) {
    [to_nhwc] y = Transpose <perm = [0, 2, 3, 1]> (x)
}"""
_BLAMED = Blame("export", "tensorflow>reference", ("tensorflow", "tensorflow>reference"))


def _diff(explanation: str | None) -> Diff:
    return Diff("tensorflow", "tensorflow>reference", "export", "diverges", output="y", explanation=explanation)


CAUSE = Cause(
    name="transposed-output",
    about="The output holds the right numbers along the wrong axes.",
    suspect=_suspect,
    fires=(
        Example(
            "the edge says so",
            _BLAMED,
            {"tensorflow": _GRAPH},
            (_diff("equals the other side transposed by (0, 3, 1, 2)"),),
            message="the output y of tensorflow equals that of tensorflow>reference transposed by (0, 3, 1, 2); "
            "Transposes in tensorflow: to_nhwc NCHW->NHWC",
        ),
    ),
    quiet=(
        Example("a Transpose, and other numbers", _BLAMED, {"tensorflow": _GRAPH}, (_diff(None),)),
        Example("another explanation", _BLAMED, {"tensorflow": _GRAPH}, (_diff("one factor per channel"),)),
    ),
)
