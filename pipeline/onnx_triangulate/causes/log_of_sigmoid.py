"""Log(Sigmoid(x)), which a framework computes as -softplus(-x).

In float32 Sigmoid(-100) is 4e-44 or 0, and its logarithm loses its digits or is -inf; 1 - Sigmoid(x) loses them for
large x.  The framework's formula stays finite.  In float64 the fault does not show before x = -745.
"""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, NodeProto

from onnx_triangulate.causes._registry import Cause, Example, Load, edge_of, model_of
from onnx_triangulate.onnxgraph.graph import Graph, places
from onnx_triangulate.onnxgraph.nodes import array, in_onnx, printable
from onnx_triangulate.records.runs import Diff
from onnx_triangulate.records.verdict import Blame, Evidence, Finding

_PASSES = ("Identity", "Cast")


def _made_by(graph: Graph, name: str) -> NodeProto | None:
    """The node that makes a value, Identity and Cast aside."""
    for _ in range(8):
        node = graph.producer(name)
        if node is None or not in_onnx(node):
            return None
        if node.op_type not in _PASSES or not node.input:
            return node
        name = node.input[0]
    return None


def _is_one(graph: Graph, name: str) -> bool:
    tensor = graph.tensor(name)
    if tensor is None:
        node = graph.producer(name)
        return node is not None and node.op_type in _PASSES and bool(node.input) and _is_one(graph, node.input[0])
    values = array(tensor)
    return values is not None and values.size > 0 and bool(np.all(values == 1))


def _logs(model: ModelProto) -> list[tuple[str, str, str]]:
    """(name of the Log, name of the Sigmoid, formula) of each such pair."""
    found = []
    for place in places(model):
        if place.op != "Log" or not place.inputs:
            continue
        graph, formula = place.graph, "Log(Sigmoid(x))"
        inner = _made_by(graph, place.inputs[0])
        if inner is not None and inner.op_type == "Sub" and len(inner.input) == 2 and _is_one(graph, inner.input[0]):
            inner, formula = _made_by(graph, inner.input[1]), "Log(1 - Sigmoid(x))"
        if inner is not None and inner.op_type == "Sigmoid":
            found.append((place.name, graph.name_of_producer(inner.output[0]), formula))
    return found


def _suspect(evidence: Evidence, blamed: Blame, load: Load) -> Finding | None:
    model = model_of(blamed, load, "export")
    found = _logs(model) if model is not None else []
    if not found:
        return None
    log, sigmoid, formula = found[0]
    edge = edge_of(evidence, blamed)
    seen = ""
    if edge is not None and edge.values is not None and not all(np.isfinite(edge.values)):
        seen = f": {edge.left} gives {edge.values[0]:g}, {edge.right} {edge.values[1]:g}"
    return CAUSE.finding(
        blamed,
        (name for pair in found for name in pair[:2]),
        f"the graph computes {formula} ({printable(log)} of {printable(sigmoid)}), "
        f"which float32 cannot hold for large inputs{seen}",
        f"write Neg(Softplus({'x' if '1 -' in formula else 'Neg(x)'})) for {printable(log)}",
    )


_LOG_SIGMOID = """(float[4] x) => (float[4] y) {
    [sigmoid] s = Sigmoid (x)
    [log] y = Log (s)
}"""
_LOG_COMPLEMENT = """(float[4] x) => (float[4] y) <float one = {1.0}> {
    [sigmoid] s = Sigmoid (x)
    [complement] c = Sub (one, s)
    [log] y = Log (c)
}"""
_SOFTPLUS = """(float[4] x) => (float[4] y) {
    n = Neg (x)
    p = Softplus (n)
    y = Neg (p)
}"""
_CLIPPED = """(float[4] x) => (float[4] y) <float low = {0.0000001}> {
    s = Sigmoid (x)
    c = Clip (s, low)
    y = Log (c)
}"""
_BLAMED = Blame("export", "torch>reference", ("torch", "torch>reference"))
_EDGE = Diff("torch", "torch>reference", "export", "diverges", values=(50.0, float("inf")))

CAUSE = Cause(
    name="log-of-sigmoid",
    about="The graph takes the logarithm of a sigmoid, which the framework computes in a form that stays finite.",
    suspect=_suspect,
    fires=(
        Example(
            "the notebook's saturated logits",
            _BLAMED,
            {"torch": _LOG_SIGMOID},
            (_EDGE,),
            message="the graph computes Log(Sigmoid(x)) (log of sigmoid), which float32 cannot hold for large inputs: "
            "torch gives 50, torch>reference inf",
        ),
        Example("of the complement", _BLAMED, {"torch": _LOG_COMPLEMENT}, message="Log(1 - Sigmoid(x))"),
    ),
    quiet=(
        Example("the form that stays finite", _BLAMED, {"torch": _SOFTPLUS}, (_EDGE,)),
        Example("clipped away from zero first", _BLAMED, {"torch": _CLIPPED}, (_EDGE,)),
        Example(
            "a kernel is blamed, not the graph",
            Blame("kernel", "torch>ort.off", ("torch>reference", "torch>ort.off")),
            {"torch": _LOG_SIGMOID},
        ),
        Example("no graph", _BLAMED),
    ),
)
