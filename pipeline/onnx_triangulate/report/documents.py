"""The documents for programs: ``triangulate/1`` and those of ``inspect``, of two inspected files and of ``compare``.

Design note.  The keys are a contract: a record may gain or rename a field without breaking a reader, because what is
published otherwise than the record has it is declared here.  Fields are only added within a version.  No wall-clock
time is in a document: the same run gives the same bytes, apart from where its files are.  Names of model files are the
file's own in the documents of ``inspect``; one of more than :data:`LONGEST` characters is cut and its checksum
appended, so that one name in a thousand diagnostics stays harmless and two names stay two.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from onnx_triangulate.records.arrays import ArrayFile
from onnx_triangulate.records.case import Absent
from onnx_triangulate.records.faults import Fault
from onnx_triangulate.records.graph_comparison import ComparedOutput, GraphComparison
from onnx_triangulate.records.graphs import GraphFacts, Pads, Transpose
from onnx_triangulate.records.inspection import (
    Diagnostic,
    Difference,
    Differences,
    Inspection,
    LayoutReshape,
    NestedGraph,
    SizeSummary,
    WeightLayout,
)
from onnx_triangulate.records.runs import Diff, Failure, Run
from onnx_triangulate.records.verdict import (
    BLAMES,
    Blame,
    ExpectationResult,
    Finding,
    LargestDifference,
    Report,
    Verdict,
)
from onnx_triangulate.report.files import write_text
from onnx_triangulate.report.sentences import exports
from onnx_triangulate.report.serializer import DISTANCE, Computed, Document, Json, Layout, to_text

LONGEST = 2000
SAYS = {"message": "says"}
Strings = tuple[str, ...]
Graph = Mapping[str, Any]

_FAILURE: Json = {"$ref": "#/$defs/failure"}
_INTEGER: Json = {"type": "integer"}
_INTEGERS: Json = {"type": "array", "items": _INTEGER}
_COUNT: Json = {"type": "integer", "minimum": 0}
_STRINGS: Json = {"type": "array", "items": {"type": "string"}}
_MAYBE_INTEGERS: Json = {"anyOf": [{"type": "array", "items": {"type": ["integer", "null"]}}, {"type": "null"}]}
_INTEGERS_OR_NULL: Json = {"anyOf": [_INTEGERS, {"type": "null"}]}
_OP_COUNTS: Json = {"type": "object", "additionalProperties": {"type": "integer", "minimum": 1}}
_OPSETS: Json = {"type": "object", "additionalProperties": _INTEGER}
_BLAME: Json = {"$ref": "#/$defs/blame"}


def name(text: object) -> str:
    """A name as the documents of ``inspect`` have it: whole, unless it is longer than :data:`LONGEST`."""
    whole = str(text)
    if len(whole) <= LONGEST:
        return whole
    checksum = zlib.crc32(whole.encode("utf-8", "surrogatepass"))
    return f"{whole[:LONGEST]}… (+{len(whole) - LONGEST:,} characters, {checksum:08x})"


# --- verify


_FACTS = "file opset producer pads transposes ops inputs outputs initializers parameters notes"


def _graph(verdict: Verdict, graph: str) -> Graph:
    """An export and what is known of it; ``error`` says why something is missing."""
    model, facts = verdict.evidence.models.get(graph), verdict.evidence.graphs.get(graph)
    error = model.error if model is not None else None
    if facts is None and error is None:
        error = Failure("tool", "the graph was exported but not inspected")
    known: Graph = {} if facts is None else {key: getattr(facts, key) for key in _FACTS.split()}
    if facts is None and model is not None and model.file is not None:
        known = {"file": model.file}
    return {"error": error, "exported": model.notes if model is not None else (), **known}


def _graphs(verdict: Verdict) -> Mapping[str, Graph]:
    return {graph: _graph(verdict, graph) for graph in {**verdict.evidence.models, **verdict.evidence.graphs}}


def _ops(result: ExpectationResult) -> Strings:
    op = result.expected.op
    return (op,) if isinstance(op, str) else op


def _case(record: type, name: str = "case") -> Layout:
    of = Computed
    return Layout(
        record,
        name,
        only="case status blame findings expectations unexpected problems note largest_difference deaths",
        keys={"largest_difference": "apart"},
        computed={
            "blames": of(tuple[Blame, ...], lambda v: v.evidence.blames),
            "groups": of({}, lambda v: v.evidence.groups),
            "parties": of(Mapping[str, Run], lambda v: v.evidence.runs),
            "sizes": of(Mapping[str, Mapping[str, Run]], lambda v: v.evidence.sizes),
            "edges": of(tuple[Diff, ...], lambda v: v.evidence.edges),
            "graphs": of({"type": "object", "additionalProperties": {"$ref": "#/$defs/graph"}}, _graphs),
            "exports": of(Mapping[str, Strings], exports),
        },
        schemas={
            "blame": {"type": "array", "items": _BLAME, "uniqueItems": True},
            "groups": {"type": "array", "items": {"type": "array", "items": {"type": "string"}, "minItems": 1}},
        },
        about={
            "groups": "Sets of parties in which every pair agrees.",
            "exports": "The graphs by what became of them: failed, departs, faithful, not judged in float64 (agrees, "
            "but only within a derived float32 bound), not compared.",
            "apart": "The largest difference that agrees, by the size of its output; null where all bits are equal.",
            "deaths": "Processes that were killed, and whose work another one did when it was asked.",
            "sizes": "The parties at other sizes of the case's dynamic axes, by these in words.",
        },
        optional="exports expectations unexpected problems note apart deaths sizes",
    )


_SIZE = "At which sizes of the case's dynamic axes it was seen (n=5); empty at the declared ones."
_VERIFY = (
    Layout(
        Report,
        "report",
        only="versions seed exit_status notices",
        computed={
            "out": Computed(str | None, lambda report: None if report.out is None else str(report.out)),
            "cases": Computed(tuple[Verdict, ...], lambda report: report.verdicts),
        },
        schemas={"exit_status": {"type": "integer", "minimum": 0, "maximum": 3}, "seed": _INTEGER},
        optional="out notices",
    ),
    _case(Verdict),
    Layout(
        Run,
        "party",
        "What one way to the answer gave.",
        only="error deterministic notes",
        computed={
            "outputs": Computed(
                {"type": "object", "additionalProperties": {"$ref": "#/$defs/output"}}, lambda run: run.outputs or {}
            ),
            "derived": Computed(str | None, lambda run: run.derived or None),
        },
        about={"derived": "Where a definition comes from that the case did not give."},
        optional="deterministic notes derived",
    ),
    Layout(ArrayFile, "array", only="shape dtype axes file", optional="file"),
    Layout(Absent, "absence", keys={"reason": "absent"}),
    Layout(
        Diff,
        "edge",
        "Two parties that differ in one step, and what was seen between them; index and values are those of the "
        "worst element, "
        "ratio its distance over its bound.",
        without="nan_only empty",
        about={"values": "The worst element on the left and on the right.", "size": _SIZE},
        schemas={"max_abs": DISTANCE, "ratio": DISTANCE},
        optional="differing output explanation size",
    ),
    Layout(
        Finding,
        "finding",
        "A cause with a name; proved only where one edit removed the divergence and undoing it brought it back.",
        keys=SAYS,
        schemas={"blame": _BLAME},
    ),
    Layout(
        ExpectationResult,
        "expectation",
        "What became of a divergence that the case declared in advance.",
        without="expected",
        keys=SAYS,
        computed={
            "blame": Computed(_BLAME, lambda result: result.expected.blame),
            "cause": Computed(str | None, lambda result: result.expected.cause),
            "reason": Computed(str, lambda result: result.expected.reason),
            "when": Computed(str | None, lambda result: result.expected.when),
            "op": Computed(Strings, _ops),
            "nodes": Computed(Strings, lambda result: result.expected.nodes),
        },
        schemas={"outcome": {"enum": ["met", "stale", "undecided", "not applicable"]}},
        about={
            "op": "The operators that it is about; any, if none is named.",
            "nodes": "The nodes, by name or glob, that it is about; any, if none is named.",
        },
        optional="op nodes",
    ),
    Layout(
        Blame,
        "blamed",
        "A step that parts, the party whose step it is, and where in its graph.",
        without="candidates",
        keys=SAYS,
        schemas={"blame": _BLAME},
        about={"size": _SIZE},
        optional="edge says size",
    ),
    Layout(
        Failure,
        "failure",
        "Why there is no answer.",
        keys=SAYS,
        schemas={
            "kind": {"enum": "refused unsupported invalid builder crashed timeout memory tool".split()},
        },
    ),
    Layout(LargestDifference, "apart"),
    Layout(
        Pads,
        "pads",
        "The effective padding of one node per spatial axis, auto_pad resolved; null where the shapes it needs are "
        "unknown.",
        only="node op begin end auto_pad symmetric note",
        schemas={"begin": _INTEGERS_OR_NULL, "end": _INTEGERS_OR_NULL},
        optional="note",
    ),
    Layout(
        Transpose,
        "transpose",
        "A Transpose node; kind reads its permutation as a change of layout, such as NHWC->NCHW.",
        only="node perm kind",
    ),
)
_FACTS_LAYOUT = Layout(
    GraphFacts, "facts", only=_FACTS, schemas={"opset": {"type": ["integer", "null"]}, "ops": _OP_COUNTS}
)


def _verify() -> Document:
    definitions: Json = {
        "blame": {
            "anyOf": [
                {"enum": list(BLAMES)},
                {
                    "type": "string",
                    "pattern": "^[a-z][a-z0-9]*(-[a-z0-9]+)*$",
                    "description": "The step of a runtime that a user's own package brings.",
                },
            ]
        },
        "output": {
            "description": "An output by reference, or why it is absent on purpose.",
            "oneOf": [{"$ref": "#/$defs/array"}, {"$ref": "#/$defs/absence"}],
        },
    }
    description = (
        "One run of `triangulate verify`. Fields are only added within a version, so readers ignore those they do not "
        "know."
    )
    document = Document("triangulate/1", description, _VERIFY, definitions)
    of_a_graph = document.layout_schema(_FACTS_LAYOUT)["properties"]
    definitions["graph"] = {
        "description": "An exported graph, or why there is none.",
        "type": "object",
        "anyOf": [
            {"required": ["file", "opset", "pads", "transposes"]},
            {"required": ["error"], "properties": {"error": _FAILURE}},
        ],
        "properties": {
            "error": {"anyOf": [_FAILURE, {"type": "null"}]},
            "exported": {
                "type": "array",
                "items": {"type": "string"},
                "description": "How it was exported, or how a given file was read.",
            },
            **of_a_graph,
        },
    }
    return document


# --- inspect, of one file and of two


_DIAGNOSTIC = Layout(
    Diagnostic,
    "remark",
    "What a rule has to say; nodes are those it is about, or values where no node is concerned.",
    keys=SAYS,
)
_NODES_AND_TEXT: Json = {
    "type": "object",
    "required": ["nodes", "has"],
    "properties": {"nodes": {"type": "array", "items": {"type": "string"}}, "has": {"type": "string"}},
}


def _with_pad(pads: Pads) -> Mapping[str, Any] | None:
    return None if pads.with_pad is None else dict(zip(("begin", "end"), pads.with_pad, strict=True))


_INSPECT = Document(
    "triangulate-inspect/1",
    "What one ONNX graph holds, read without running it. Fields are only added within a version. A name of more than "
    "2,000 characters is cut; the count of the rest and a checksum follow it.",
    (
        Layout(
            Inspection,
            "inspection",
            keys={"diagnostics": "remarks"},
            computed={"opset": Computed({"type": ["integer", "null"]}, lambda found: found.opset)},
            schemas={"ir_version": _INTEGER, "opsets": _OPSETS, "ops": _OP_COUNTS},
            about={
                "file": "null where the model was given in memory.",
                "opsets": "Versions by domain; ONNX's own is the empty name.",
                "inputs": "Types by name, such as float32[N,3,224,224]; initializers are left out.",
                "external": "Files of external data, as the graph names them; they were not opened.",
                "layouts": "The layout of each value of the main graph that has one, such as NCHW.",
                "failed": "Rules that broke down, a bug of the tool: what they would have said nobody knows.",
                "notes": "What could not be looked into, and why.",
            },
        ),
        Layout(
            SizeSummary,
            "stored",
            "The numbers of one type that the file holds; external are the bytes in other files.",
        ),
        Layout(NestedGraph, "inner", "A subgraph or a local function."),
        Layout(
            Pads,
            "pads",
            "The effective padding of one node per spatial axis (of a Pad per axis), auto_pad resolved; null where "
            "what it needs is unknown, then condition says on what it depends as far as that can be said.",
            without="with_pad torch keras",
            computed={
                "with_pad": Computed(
                    {
                        "anyOf": [
                            {
                                "type": "object",
                                "required": ["begin", "end"],
                                "properties": {"begin": _INTEGERS, "end": _INTEGERS},
                            },
                            {"type": "null"},
                        ]
                    },
                    _with_pad,
                ),
                "torch": Computed(str | None, lambda pads: pads.torch or None),
                "keras": Computed(str | None, lambda pads: pads.keras or None),
            },
            schemas={
                **dict.fromkeys(("begin", "end", "extra"), _INTEGERS_OR_NULL),
                "unread": _MAYBE_INTEGERS,
                "overhang": _MAYBE_INTEGERS,
            },
            about={
                "extra": "What a ConvTranspose adds after; begin and end are what it cuts.",
                "with_pad": "The padding together with that of Pad nodes in front.",
                "unread": "How many of the last padded columns no window reads.",
                "overhang": "How far the last window reaches beyond them.",
                "offset": "Where the first window's centre lies, in pixels of the input.",
                "torch": "PyTorch's spelling of exactly this padding; null where there is none, or none known to be "
                "exact.",
            },
        ),
        Layout(
            Transpose,
            "transpose",
            "A Transpose node; kind reads its permutation as a change of layout, such as NHWC->NCHW.",
            keys={"needed_by": "for_whom", "movable_to": "border", "removable": "vanishes"},
            schemas={"perm": _INTEGERS},
            about={
                "perm": "Empty where it is not known; as written, also where that is no permutation.",
                "for_whom": "The nodes that need the change.",
                "cancels_with": "The Transposes that it composes to the identity with.",
                "through": "The nodes in between, or those it could be moved through.",
                "border": "The inputs or outputs of the graph that it could be moved to.",
                "bytes": "What it moves; null where dims are not known.",
                "vanishes": "It and those it cancels with can be taken out, once axes and constants of the nodes "
                "through which they meet are rewritten; nothing else notices.",
            },
        ),
        Layout(
            LayoutReshape, "reshape", "A Reshape, Flatten, Squeeze or Unsqueeze that concerns the layout.", keys=SAYS
        ),
        Layout(WeightLayout, "weight", "How a weight lies in the file: layout names its axes.", keys=SAYS),
        _DIAGNOSTIC,
    ),
    text=name,
)

_DIFFERENCES = Document(
    "triangulate-differences/1",
    "What two ONNX graphs of one model have differently, read without running them. Fields are only added within a "
    "version.",
    (
        Layout(
            Differences,
            "differences",
            about={
                "at_one_size": "One leaves sizes of inputs open, and was compared at those of the other.",
                "matched": "Nodes of the left that stand beside one of the right.",
            },
        ),
        Layout(
            Inspection,
            "side",
            only="file producer opsets diagnostics",
            keys={"diagnostics": "remarks"},
            schemas={"opsets": _OPSETS},
        ),
        Layout(
            Difference,
            "difference",
            only="kind what message harmless",
            keys={**SAYS, "harmless": "same"},
            computed={
                "left": Computed(_NODES_AND_TEXT, lambda d: {"nodes": d.left_nodes, "has": d.left}),
                "right": Computed(_NODES_AND_TEXT, lambda d: {"nodes": d.right_nodes, "has": d.right}),
            },
            schemas={"kind": {"enum": "pads layout attribute operator weights type border only".split()}},
            about={"same": "It makes no difference to the numbers."},
        ),
        _DIAGNOSTIC,
    ),
    text=name,
)


# --- compare


def _worst(fault: Fault) -> tuple[float | None, float | None] | None:
    return None if fault.expected is None else (fault.expected, fault.actual)


Grade = Literal["proved the same", "same on what was fed", "same but for NaN", "departs", "differs", "uncompared"]
_COMPARE = Document(
    "triangulate-compare/1",
    "Two ONNX graphs that should mean the same. Fields are only added within a version. Numbers that JSON cannot hold "
    "are the texts nan, inf and -inf.",
    (
        Layout(
            GraphComparison,
            "comparison",
            without="inputs seconds replayed unbounded",
            keys={"peak_bytes": "held", "further_feeds": "swept", "faults": "guilty"},
            computed={
                "exit_status": Computed(Literal[0, 1], lambda found: found.exit_status),
                "grade": Computed(Grade, lambda found: found.grade),
                "nodes": Computed(
                    {
                        "type": "object",
                        "required": ["judged", "unbounded"],
                        "properties": {"judged": _COUNT, "unbounded": _COUNT},
                    },
                    lambda found: {"judged": found.replayed, "unbounded": found.unbounded},
                ),
            },
            schemas={
                "unmapped": {
                    "type": "object",
                    "required": ["A", "B"],
                    "properties": {"A": _STRINGS, "B": _STRINGS},
                },
            },
            about={
                "grade": "The outcome, and of same on what it rests.",
                "proved": "Same by structure, whatever is fed.",
                "swept": "Further feeds on which both graphs ran in their own types.",
                "sizes": "Other sizes of open axes that were fed.",
                "unexercised": "What no feed showed, although nothing speaks against it.",
                "compared": "Elements of outputs judged in float64, over all feeds.",
                "held": "Bytes of values that were there at most at one time, weights not counted.",
                "worst": "The largest ratio of a healthy region to its bound.",
            },
        ),
        Layout(
            Fault,
            "guilty",
            only="node op output ratio party introduced index counterpart against problem",
            keys={"introduced": "max_abs"},
            computed={
                "values": Computed(
                    tuple[float | None, float | None] | None,
                    _worst,
                ),
                "nodes": Computed(Strings, lambda fault: fault.nodes if fault.others else ()),
            },
            schemas={"party": {"enum": ["B", "A>ort.off", "B>ort.off"]}},
            about={"node": "As B names it; as A does where party begins with A."},
        ),
        Layout(ComparedOutput, "output", schemas={"matched": {"enum": ["by name", "by position"]}}),
    ),
)

DOCUMENTS: Mapping[type, Document] = {
    document.root.record: document for document in (_verify(), _INSPECT, _DIFFERENCES, _COMPARE)
}


def as_json(record: Any) -> Json:
    """A :class:`Report`, :class:`Inspection`, :class:`Differences` or :class:`GraphComparison` as its document."""
    folder: Path | None = record.folder if isinstance(record, Report) else None
    return DOCUMENTS[type(record)].write(record, folder)


def schema(name: str = "triangulate-1") -> Json:
    """A published schema (draft 2020-12), out of the package: ``triangulate-1``, ``-inspect-1``, ``-differences-1``
    or ``-compare-1``."""
    file = resources.files("onnx_triangulate.report") / "schema" / f"{name}.schema.json"
    document: Json = json.loads(file.read_text(encoding="utf-8"))
    return document


def write_json(record: Any, path: str | Path) -> None:
    """Write a record's document to ``path`` (``-`` is stdout), whole or not at all.

    Raises :class:`UnusableInput` where the folder is missing or cannot be written to; ``check_writable`` finds that out
    before a run starts.
    """
    write_text(to_text(as_json(record)), path)
