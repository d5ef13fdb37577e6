"""An operation that the exporter did not know and left in the graph under its own name.

tf2onnx logs a line and writes ``Log1p`` into ONNX's own domain, where there is none; every runtime then refuses the
whole graph.  Whether ONNX has an operator is asked of ONNX at the graph's opset, not of a list.  Where there is no
graph, the exporter's own words must say that it knows no conversion: it may refuse a model for other reasons, of which
``causes.exporter_refused`` speaks, and a handler would not help there.
"""

from __future__ import annotations

import re

import onnx

from onnx_triangulate.causes._registry import Cause, Example, Load, graph_of, listed
from onnx_triangulate.facts.file import unknown_operators
from onnx_triangulate.onnxgraph.nodes import opset
from onnx_triangulate.records.runs import Failure
from onnx_triangulate.records.verdict import Blame, Evidence, Finding

_NO_CONVERSION = re.compile(
    r"No ONNX function found for (?!.*complex)|UnsupportedOperatorError|[Oo]perator \S+ to ONNX .*is not supported"
    r"|No Op registered for|Tensorflow op .* is not supported|is not a registered function/op|[Cc]annot convert"
)


def _named(evidence: Evidence, blamed: Blame, graph: str) -> str | None:
    """The operator that the blame, the exporter or one of the graph's runtimes named."""
    if blamed.op:
        return blamed.op
    return next((failure.op for failure in _refusals(evidence, graph) if failure.op), None)


def _refusals(evidence: Evidence, graph: str) -> list[Failure]:
    """How the exporter and the graph's runtimes failed."""
    model = evidence.models.get(graph)
    errors = [None if model is None else model.error]
    errors += [run.error for run in evidence.runs.values() if run.party.graph == graph]
    return [error for error in errors if error is not None]


def _suspect(evidence: Evidence, blamed: Blame, load: Load) -> Finding | None:
    graph = graph_of(blamed)
    if blamed.blame != "export-failed" or graph is None:
        return None
    model, named, where = load(graph), _named(evidence, blamed, graph), ""
    if model is not None:
        unknown = unknown_operators(model)
        if not unknown:
            return None
        ops = sorted({op for _, op in unknown}, key=lambda op: (op != named, op))
        nodes = tuple(name for name, _ in unknown)
        where = f"ONNX has no such operator at opset {opset(model)}"
    else:
        if (
            named is None
            or onnx.defs.has(named)
            or not any(_NO_CONVERSION.search(refusal.message) for refusal in _refusals(evidence, graph))
        ):
            return None
        ops, nodes = [named], blamed.nodes
    unconverted = listed(ops, 6)
    return CAUSE.finding(
        blamed,
        nodes,
        f"the exporter left {unconverted} unconverted: {where}"
        if where
        else f"the exporter could not convert {unconverted}",
        f"give the exporter a handler for {unconverted}, or write the model with other operations",
    )


_LEFT = """(float[4] x) => (float[4] y) {
    e = Exp (x)
    [loss] y = Log1p (e)
}"""
_FINE = "(float[4] x) => (float[4] y) { y = Exp (x) }"
_BLAMED = Blame("export-failed", "tensorflow", ("tensorflow", "tensorflow>reference"), op="Log1p")
_UNNAMED = Blame("export-failed", "tensorflow>reference", ("tensorflow", "tensorflow>reference"))

CAUSE = Cause(
    name="operator-not-converted",
    about="The exporter left an operation of the framework in the graph, under a name that ONNX does not have.",
    suspect=_suspect,
    fires=(
        Example(
            "tf2onnx and Log1p",
            _BLAMED,
            {"tensorflow": _LEFT},
            message="the exporter left Log1p unconverted: ONNX has no such operator at opset 18",
        ),
        Example("nobody named it", _UNNAMED, {"tensorflow": _LEFT}, message="left Log1p unconverted"),
        Example(
            "there is no file, but a runtime named it",
            _UNNAMED,
            errors={"tensorflow": Failure("invalid", "No Op registered for Log1p", op="Log1p")},
            message="could not convert Log1p",
        ),
    ),
    quiet=(
        Example("refused for another reason", _UNNAMED, {"tensorflow": _FINE}),
        Example(
            "refused for the types of its operands",
            Blame("export-failed", "torch", ("torch", "torch>*"), op="aten::sub"),
            errors={"torch": Failure("refused", "RuntimeError: Cannot find a compatible OpOverload", op="aten::sub")},
        ),
        Example(
            "an operator that ONNX has",
            _UNNAMED,
            errors={"tensorflow": Failure("refused", "cannot convert Conv", op="Conv")},
        ),
        Example(
            "not a failed export",
            Blame("export", "tensorflow>reference", ("tensorflow", "tensorflow>reference")),
            {"tensorflow": _LEFT},
        ),
    ),
)
