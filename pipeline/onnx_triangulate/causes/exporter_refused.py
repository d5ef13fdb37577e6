"""An exporter that refuses a model for a reason of its own, in a few plain words and with what to do about it.

A handler for an operator is no remedy where the exporter has one: it failed in type promotion, met complex numbers, a
branch on data, or an assertion of its own.  Its words say which; words that are not known here are left to the report,
which prints them as they are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from onnx_triangulate.causes._registry import Cause, Example, Load, graph_of
from onnx_triangulate.onnxgraph.nodes import printable
from onnx_triangulate.records.runs import Failure
from onnx_triangulate.records.verdict import Blame, Evidence, Finding


@dataclass(frozen=True)
class Reason:
    """What an exporter's words look like, what they mean, and what to change in the model."""

    words: str
    message: str
    edit: str


REASONS = (
    Reason(
        r"compatible OpOverload|type promotion",
        "its type promotion finds no form of {op} for operands of these types",
        "cast the operands to one type in the model, x.to(y.dtype), before {op}",
    ),
    Reason(
        r"(?i)complex",
        "complex numbers, which ONNX has none of",
        "compute with the real and the imaginary part apart (torch.view_as_real)",
    ),
    Reason(
        r"(?i)data-dependent|GuardOnDataDependent|unbacked|untracked symbolic",
        "what the model does depends on the values that it is given",
        "choose by torch.where or torch.cond, or state what holds with torch._check",
    ),
    Reason(
        r"Exporting a ScriptModule",
        "this exporter takes no ScriptModule",
        "export the module that was scripted, or a ScriptModule with dynamo=False",
    ),
    Reason(
        r"not a known type|supported as JIT inputs/outputs",
        "it takes no structure like the one that the model is given or returns",
        "return tuples, lists or dictionaries of tensors",
    ),
    Reason(
        r"positional argument|unexpected keyword|missing \d+ required",
        "it calls the model otherwise than its signature allows",
        "give forward plain positional parameters",
    ),
    Reason(r"(?i)repeated", "repeated indices", "write the operation without them"),
    Reason(
        r"INTERNAL ASSERT|^AssertionError|Required attribute",
        "a fault of the exporter's own: its code fails where it should convert {op}",
        "write the model with other operations, and report it to the exporter's authors",
    ),
)


def _suspect(evidence: Evidence, blamed: Blame, load: Load) -> Finding | None:
    graph = graph_of(blamed)
    model = evidence.models.get(graph) if graph is not None else None
    if blamed.blame != "export-failed":
        return None
    if (twice := _TWICE.search(blamed.message)) is not None:
        return _two_of_one_name(blamed, twice)
    if model is None or model.error is None or model.file is not None:
        return None
    says = model.error.message
    reason = next((each for each in REASONS if re.search(each.words, says)), None)
    if reason is None:
        return None
    op = printable(model.error.op) if model.error.op else "an operation"
    return CAUSE.finding(
        blamed,
        (),
        f"the exporter refuses the model: {reason.message.format(op=op)}",
        reason.edit.format(op=op),
    )


def _two_of_one_name(blamed: Blame, found: re.Match[str]) -> Finding:
    """A graph whose output got the name that the exporter gives another value (``var`` of aten.var)."""
    name = printable(next(filter(None, found.groups())))
    return CAUSE.finding(
        blamed,
        blamed.nodes,
        f"two values of the graph are named {name}: the exporter calls one so after its operator",
        f"rename the output {name}, if the case or output_names calls one so",
    )


_TWICE = re.compile(r"'([^']+)' has been used as output names multiple times|Duplicate definition of name \(([^)]+)\)")
_BLAMED = Blame("export-failed", "torch", ("torch", "torch>*"), op="aten::sub")
_SSA = "onnx.checker: Graph must be in single static assignment (SSA) form, however 'var' has been used as output names"
_PROMOTION = "RuntimeError: Cannot find a compatible OpOverload for aten.sub with the provided arguments."
_NO_FUNCTION = (
    "DispatchError: No ONNX function found for <OpOverload(op='aten.foo')>. Failure message: No decompositions"
)

CAUSE = Cause(
    name="exporter-refused",
    about="The exporter refuses the model for a reason that is not a missing handler.",
    suspect=_suspect,
    fires=(
        Example(
            "one minus integers",
            _BLAMED,
            errors={"torch": Failure("refused", _PROMOTION, op="aten::sub")},
            message="its type promotion finds no form of aten::sub",
        ),
        Example(
            "complex numbers",
            _BLAMED,
            errors={"torch": Failure("refused", f"{_NO_FUNCTION} registered for the complex-valued input")},
            message="complex numbers",
        ),
        Example(
            "a branch on data",
            _BLAMED,
            errors={"torch": Failure("refused", "GuardOnDataDependentSymNode: Could not guard on Eq(u0, 1)")},
            message="depends on the values",
        ),
        Example(
            "an output called like an operator",
            Blame("export-failed", "torch", ("torch", "torch>*"), message=f"{_SSA} multiple times."),
            message="two values of the graph are named var",
        ),
    ),
    quiet=(
        Example(
            "no handler",
            _BLAMED,
            errors={"torch": Failure("refused", f"{_NO_FUNCTION} registered for the real-valued input")},
        ),
        Example("words that nobody knows", _BLAMED, errors={"torch": Failure("refused", "no")}),
        Example(
            "not a failed export",
            Blame("export", "torch", ("torch", "torch>reference")),
            errors={"torch": Failure("refused", _PROMOTION)},
        ),
    ),
)
