"""A batch normalization that trains in the framework and comes out with running statistics.

In training mode the mean and the variance come from the batch: BatchNormalization with ``training_mode=1``, or with
inputs that a reduction made, or a reduction and arithmetic.  A graph that normalizes by constants (or in which the
optimizer has folded them away) while another export of the same case reduces over the batch has lost the mode.  Where
there is no other export to hold it against, a BatchNormalization in inference mode is enough for a suspicion.
"""

from __future__ import annotations

from onnx import ModelProto

from onnx_triangulate.causes._registry import Cause, Example, Load, graph_of
from onnx_triangulate.onnxgraph.graph import places
from onnx_triangulate.onnxgraph.nodes import printable
from onnx_triangulate.records.errors import UnusableInput
from onnx_triangulate.records.party import Party
from onnx_triangulate.records.verdict import Blame, Evidence, Finding

_REDUCES = ("ReduceMean", "ReduceSum", "ReduceSumSquare", "GlobalAveragePool", "InstanceNormalization")
_ALL = ("torch:script", "torch:raw", "torch", "tensorflow", "tensorflow:nchw")


def _frozen(model: ModelProto) -> list[str]:
    """The BatchNormalizations that use statistics which nothing in the graph computes."""
    return [
        place.name
        for place in places(model)
        if place.op == "BatchNormalization"
        and not place.attributes.get("training_mode")
        and all(_given(place.graph.producer(n)) for n in place.inputs[3:5])
    ]


def _given(producer: object) -> bool:
    return producer is None or getattr(producer, "op_type", "") in ("Constant", "Identity")


def _trains(model: ModelProto) -> bool:
    for place in places(model):
        if place.op == "BatchNormalization" and place.attributes.get("training_mode"):
            return True
        if place.op in _REDUCES:
            return True
    return False


def _exported_blame(evidence: Evidence) -> set[str]:
    names = set()
    for blamed in evidence.blames:
        if blamed.blame in ("export", "export-failed"):
            names.add(graph_of(blamed))
    return {n for n in names if n is not None}


def _suspect(evidence: Evidence, blamed: Blame, load: Load) -> Finding | None:
    graph = graph_of(blamed)
    if blamed.blame != "export" or graph is None:
        return None
    try:
        if Party.parse(blamed.party).framework == "truth":
            return None
    except UnusableInput:
        return None
    model = load(graph)
    if model is None or _trains(model):
        return None
    guilty = _exported_blame(evidence)
    innocent = [n for n in _ALL if n not in guilty and n != graph]
    training = [n for n in innocent if (other := load(n)) is not None and _trains(other)]
    frozen = _frozen(model)
    raw = load(f"{graph}:raw") if ":" not in graph else None
    folded = not frozen and raw is not None and bool(_frozen(raw))
    if not frozen and not folded:
        return None
    if not training:  # an inference-mode graph alone says nothing: the model may be meant so
        return None
    if frozen:
        seen = f"BatchNormalization {printable(frozen[0])} runs with stored statistics (training_mode=0)"
    else:
        seen = "the graph has its batch normalization folded into other constants, as with stored statistics"
    nodes = frozen or (_frozen(raw) if raw is not None else [])
    return Finding(
        cause=CAUSE.name,
        blame=blamed.blame,
        party=blamed.party,
        nodes=tuple(nodes),
        message=f"{seen}, while {training[0]} takes them from the batch; "
        "a model in training mode was exported in inference mode",
        edit=f"set training_mode=1 on {printable(nodes[0])}",
    )


_HEAD = '<ir_version: 8, opset_import: ["" : 18]>'
_STATISTICS = "<float[2] s = {1, 1}, float[2] b = {0, 0}, float[2] m = {0, 0}, float[2] v = {1, 1}>"
_INFERENCE = f"""{_HEAD} g (float[2,2,3,3] x) => (float[2,2,3,3] y) {_STATISTICS} {{
    [norm] y = BatchNormalization (x, s, b, m, v)
}}"""
_TRAINING = f"""{_HEAD} g (float[2,2,3,3] x) => (float[2,2,3,3] y) {_STATISTICS} {{
    [norm] y, rm, rv = BatchNormalization <training_mode = 1> (x, s, b, m, v)
}}"""
_COMPUTED = f"""{_HEAD} g (float[2,2,3,3] x) => (float[2,2,3,3] y)
    <float[2] s = {{1, 1}}, float[2] b = {{0, 0}}, int64[3] a = {{0, 2, 3}}> {{
    m = ReduceMean <keepdims = 0> (x, a)
    q = ReduceSumSquare <keepdims = 0> (x, a)
    [norm] y = BatchNormalization (x, s, b, m, q)
}}"""
_FOLDED = f"""{_HEAD} g (float[2,2,3,3] x) => (float[2,2,3,3] y) <float[1,2,1,1] s = {{0.9999, 0.9999}}> {{
    [scale] y = Mul (x, s)
}}"""
_BLAMED = Blame("export", "torch>reference", ("torch", "torch>reference"))

CAUSE = Cause(
    name="training-mode-lost",
    about="Batch normalization trains in the framework and comes out with stored statistics.",
    suspect=_suspect,
    fires=(
        Example(
            "beside an export that trains",
            _BLAMED,
            {"torch": _INFERENCE, "torch:script": _TRAINING},
            message="BatchNormalization norm runs with stored statistics (training_mode=0), while torch:script "
            "takes them from the batch",
        ),
        Example(
            "folded away by the exporter's optimizer",
            _BLAMED,
            {"torch": _FOLDED, "torch:raw": _INFERENCE, "tensorflow": _COMPUTED},
            blames=(Blame("export", "torch:raw>reference", ("torch", "torch:raw>reference")),),
            message="folded into other constants",
        ),
    ),
    quiet=(
        Example("it trains", _BLAMED, {"torch": _TRAINING}),
        Example("its statistics are computed from the batch", _BLAMED, {"torch": _COMPUTED}),
        Example(
            "another exporter agrees, in inference mode too", _BLAMED, {"torch": _INFERENCE, "torch:script": _INFERENCE}
        ),
        Example("nothing to hold it against", _BLAMED, {"torch": _INFERENCE}),
        Example("no batch normalization", _BLAMED, {"torch": _FOLDED}),
        Example(
            "the frameworks are blamed",
            Blame("semantics", "torch", ("tensorflow", "torch")),
            {"torch": _INFERENCE},
        ),
    ),
)
