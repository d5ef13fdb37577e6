"""A batch normalization that trains in the framework and comes out with running statistics.

In training mode the mean and the variance come from the batch: BatchNormalization with ``training_mode=1``, or with
inputs that a reduction made, or a reduction and arithmetic.  A graph that normalizes by constants (or in which the
optimizer has folded them away) while another export of the same case reduces over the batch has lost the mode.  Where
there is no other export to hold it against, a BatchNormalization in inference mode is enough for a suspicion.
"""

from __future__ import annotations

from onnx import ModelProto, NodeProto

from onnx_triangulate.causes._registry import Cause, Example, Load, graph_of, model_of, party_of
from onnx_triangulate.onnxgraph.graph import places
from onnx_triangulate.onnxgraph.nodes import printable
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


def _given(producer: NodeProto | None) -> bool:
    return producer is None or producer.op_type in ("Constant", "Identity")


def _trains(model: ModelProto) -> bool:
    return any(
        place.op in _REDUCES or (place.op == "BatchNormalization" and place.attributes.get("training_mode"))
        for place in places(model)
    )


def _suspect(evidence: Evidence, blamed: Blame, load: Load) -> Finding | None:
    graph, party, model = graph_of(blamed), party_of(blamed.party), model_of(blamed, load, "export")
    if model is None or graph is None or party is None or party.is_truth or _trains(model):
        return None
    blamed_too = {graph_of(other) for other in evidence.blames if other.blame in ("export", "export-failed")}
    others = [name for name in _ALL if name not in blamed_too and name != graph]
    training = [name for name in others if (other := load(name)) is not None and _trains(other)]
    if not training:  # an inference-mode graph alone says nothing: the model may be meant so
        return None
    frozen = nodes = _frozen(model)
    if not frozen and ":" not in graph and (raw := load(f"{graph}:raw")) is not None:
        nodes = _frozen(raw)
    if not nodes:
        return None
    if frozen:
        seen = f"BatchNormalization {printable(frozen[0])} runs with stored statistics (training_mode=0)"
    else:
        seen = "the graph has its batch normalization folded into other constants, as with stored statistics"
    return CAUSE.finding(
        blamed,
        tuple(nodes),
        f"{seen}, while {training[0]} takes them from the batch; "
        "a model in training mode was exported in inference mode",
        f"set training_mode=1 on {printable(nodes[0])}",
    )


_STATISTICS = "<float[2] s = {1, 1}, float[2] b = {0, 0}, float[2] m = {0, 0}, float[2] v = {1, 1}>"
_INFERENCE = f"""(float[2,2,3,3] x) => (float[2,2,3,3] y) {_STATISTICS} {{
    [norm] y = BatchNormalization (x, s, b, m, v)
}}"""
_TRAINING = f"""(float[2,2,3,3] x) => (float[2,2,3,3] y) {_STATISTICS} {{
    [norm] y, rm, rv = BatchNormalization <training_mode = 1> (x, s, b, m, v)
}}"""
_COMPUTED = """(float[2,2,3,3] x) => (float[2,2,3,3] y)
    <float[2] s = {1, 1}, float[2] b = {0, 0}, int64[3] a = {0, 2, 3}> {
    m = ReduceMean <keepdims = 0> (x, a)
    q = ReduceSumSquare <keepdims = 0> (x, a)
    [norm] y = BatchNormalization (x, s, b, m, q)
}"""
_FOLDED = """(float[2,2,3,3] x) => (float[2,2,3,3] y) <float[1,2,1,1] s = {0.9999, 0.9999}> {
    [scale] y = Mul (x, s)
}"""
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
        Example(
            "the export that trains is blamed as well",
            _BLAMED,
            {"torch": _INFERENCE, "torch:script": _TRAINING},
            blames=(Blame("export", "torch:script>reference", ("torch", "torch:script>reference")),),
        ),
        Example("no batch normalization", _BLAMED, {"torch": _FOLDED}),
        Example(
            "the frameworks are blamed",
            Blame("semantics", "torch", ("tensorflow", "torch")),
            {"torch": _INFERENCE},
        ),
    ),
)
