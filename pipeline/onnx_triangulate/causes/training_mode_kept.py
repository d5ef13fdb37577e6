"""A graph that trains, exported from a model in inference.

BatchNormalization with ``training_mode=1`` takes its statistics from the batch, Dropout with a true ``training_mode``
drops.  A graph may hold them because its source trains as well, so they alone are no fault: the nodes that were found
faulty have to be them, or be lost in a stretch of nodes that nobody tells apart; a Dropout is one where the graph
gives two answers and the framework one.
"""

from __future__ import annotations

from onnx_triangulate.causes._registry import Cause, Example, Load, graph_of, model_of
from onnx_triangulate.facts.training import training_nodes
from onnx_triangulate.onnxgraph.nodes import printable
from onnx_triangulate.records.party import Party
from onnx_triangulate.records.verdict import Blame, Evidence, Finding

_SHOWN = 3
_STRETCH = 4


def _suspect(evidence: Evidence, blamed: Blame, load: Load) -> Finding | None:
    model = model_of(blamed, load, "export", "nondeterministic")
    trained = training_nodes(model) if model is not None else {}
    if trained and blamed.blame == "nondeterministic":
        framework = Party.parse(graph_of(blamed) or "").framework
        steady = all(b.blame != "nondeterministic" or b.party != framework for b in evidence.blames)
        trained = {name: op for name, op in trained.items() if op == "Dropout"} if steady else {}
    elif not blamed.nodes or not (
        trained.keys() >= set(blamed.nodes) or any(count > _STRETCH for count in blamed.candidates.values())
    ):
        return None
    if not trained or evidence.training:
        return None
    names = [printable(name) for name in trained]
    listed = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
    ops = " and ".join(dict.fromkeys(trained.values()))
    return CAUSE.finding(
        blamed,
        tuple(trained),
        f"the graph has {ops} with training_mode=1 where the model is in inference: {listed}",
        "call model.eval() before exporting, or set training_mode=0 there and give it the model's own statistics"
        if "BatchNormalization" in trained.values()
        else "call model.eval() before exporting, or set training_mode to false there",
    )


_STATISTICS = "<float[2] s = {1, 1}, float[2] b = {0, 0}, float[2] m = {0, 0}, float[2] v = {1, 1}>"
_TRAINS = f"""(float[2,2,3,3] x) => (float[2,2,3,3] y) {_STATISTICS} {{
    [norm] t, rm, rv = BatchNormalization <training_mode = 1> (x, s, b, m, v) [act] y = Relu (t)
}}"""
_INFERS = f"""(float[2,2,3,3] x) => (float[2,2,3,3] y) {_STATISTICS} {{
    [norm] t = BatchNormalization (x, s, b, m, v) [act] y = Relu (t)
}}"""
_DROPS = """(float[4] x) => (float[4] y) <float r = {0.5}, bool t = {1}> { [drop] y = Dropout (x, r, t) }"""
_KEEPS = """(float[4] x) => (float[4] y) <float r = {0.5}, bool t = {0}> { [drop] y = Dropout (x, r, t) }"""
_EDGE = ("torch", "torch>reference")
_WAVERS = Blame("nondeterministic", "torch>reference", _EDGE)

CAUSE = Cause(
    name="training-mode-kept",
    about="A model in inference was exported in training mode.",
    suspect=_suspect,
    fires=(
        Example(
            "the faulty node trains",
            Blame("export", "torch", _EDGE, nodes=("norm",)),
            {"torch": _TRAINS},
            message="BatchNormalization with training_mode=1 where the model is in inference: norm",
        ),
        Example(
            "somewhere in a stretch of nodes",
            Blame("export", "torch", _EDGE, nodes=("act",), candidates={"act": 20}),
            {"torch": _TRAINS},
            message="training_mode=1",
        ),
        Example("a Dropout that drops", _WAVERS, {"torch": _DROPS}, message="Dropout with training_mode=1"),
    ),
    quiet=(
        Example("it infers", Blame("export", "torch", _EDGE, nodes=("norm",)), {"torch": _INFERS}),
        Example(
            "the model trains as well",
            Blame("export", "torch", _EDGE, nodes=("norm",)),
            {"torch": _TRAINS},
            training=True,
        ),
        Example("another node is faulty", Blame("export", "torch", _EDGE, nodes=("act",)), {"torch": _TRAINS}),
        Example("a Dropout that keeps", _WAVERS, {"torch": _KEEPS}),
        Example(
            "the model itself drops",
            _WAVERS,
            {"torch": _DROPS},
            blames=(Blame("nondeterministic", "torch", ("torch", "torch")),),
        ),
    ),
)
