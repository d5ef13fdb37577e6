"""The report for programs: ``triangulate/1``, and how every document is written; each has its published JSON Schema.

Design note.  The shape is a contract, so it is written out here key by key rather than dumped from the records: a
record may gain or rename a field without breaking a reader.  Fields are only added within a version.  JSON has no NaN
and no infinities: such numbers are the texts ``"nan"``, ``"inf"`` and ``"-inf"``.  The text written is pure ASCII, so
that no terminal, log or encoding can be harmed by a name.  No wall-clock time is in it: the same run gives the same
bytes, apart from where its files are.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from onnx_triangulate.records.arrays import ArrayFile
from onnx_triangulate.records.case import Absent
from onnx_triangulate.records.graphs import GraphFacts
from onnx_triangulate.records.runs import Diff, Failure, Model, Run
from onnx_triangulate.records.verdict import (
    Blame,
    Evidence,
    ExpectationResult,
    Finding,
    LargestDifference,
    Report,
    Verdict,
)
from onnx_triangulate.report import Format
from onnx_triangulate.report.files import check_writable, write_text
from onnx_triangulate.report.words import exports

__all__ = ["FORMAT", "as_json", "check_writable", "schema", "to_text", "write_json"]

Json = dict[str, Any]


def number(value: Any) -> int | float | str | None:
    """A number as JSON can hold it: finite as it is, else ``"nan"``, ``"inf"`` or ``"-inf"``."""
    if value is None:
        return None
    if isinstance(value, (bool, np.bool_, int, np.integer)):
        return int(value)
    value = float(value)
    return value if math.isfinite(value) else repr(value)


def _failure(failure: Failure | None) -> Json | None:
    if failure is None:
        return None
    return {"kind": failure.kind, "says": failure.message, "op": failure.op, "node": failure.node}


def _file(file: Path, folder: Path | None) -> str:
    """Where a file is in the run's folder: the same in every run, wherever that folder is."""
    return file.relative_to(folder).as_posix() if folder is not None and file.is_relative_to(folder) else str(file)


def _output(output: ArrayFile | Absent, folder: Path | None) -> Json:
    if isinstance(output, Absent):
        return {"absent": output.reason}
    return {
        "shape": [int(size) for size in output.shape],
        "dtype": output.dtype,
        "axes": output.axes,
        "file": _file(output.file, folder),
    }


def _party(run: Run, folder: Path | None) -> Json:
    return {
        "error": _failure(run.error),
        "outputs": {name: _output(output, folder) for name, output in (run.outputs or {}).items()},
        "deterministic": bool(run.deterministic),
        "derived": run.derived or None,
        "notes": list(run.notes),
    }


def _edge(edge: Diff) -> Json:
    return {
        "left": edge.left,
        "right": edge.right,
        "isolates": edge.isolates,
        "outcome": edge.outcome,
        "compared": int(edge.compared),
        "differing": int(edge.differing),
        "max_abs": number(edge.max_abs),
        "ratio": number(edge.ratio),
        "output": edge.output,
        "index": None if edge.index is None else [int(place) for place in edge.index],
        "values": None if edge.values is None else [number(value) for value in edge.values],
        "problem": edge.problem,
        "explanation": edge.explanation,
        "size": edge.size,
    }


def _blamed(blamed: Blame) -> Json:
    return {
        "blame": blamed.blame,
        "party": blamed.party,
        "op": blamed.op,
        "nodes": list(blamed.nodes),
        "edge": list(blamed.edge),
        "says": blamed.message,
        "size": blamed.size,
    }


def _pads_and_transposes(facts: GraphFacts) -> Json:
    return {
        "pads": [
            {
                "node": pads.node,
                "op": pads.op,
                "begin": None if pads.begin is None else [int(pad) for pad in pads.begin],
                "end": None if pads.end is None else [int(pad) for pad in pads.end],
                "auto_pad": pads.auto_pad,
                "symmetric": pads.symmetric,
                "note": pads.note,
            }
            for pads in facts.pads
        ],
        "transposes": [
            {"node": transpose.node, "perm": [int(axis) for axis in transpose.perm], "kind": transpose.kind}
            for transpose in facts.transposes
        ],
    }


def _facts(facts: GraphFacts, folder: Path | None = None) -> Json:
    return {
        "file": _file(facts.file, folder),
        "opset": facts.opset,
        "producer": facts.producer,
        **_pads_and_transposes(facts),
        "ops": {op: int(count) for op, count in facts.ops.items()},
        "inputs": dict(facts.inputs),
        "outputs": dict(facts.outputs),
        "initializers": int(facts.initializers),
        "parameters": int(facts.parameters),
        "notes": list(facts.notes),
    }


def _graph(model: Model | None, facts: GraphFacts | None, folder: Path | None) -> Json:
    error = model.error if model is not None else None
    if facts is None and error is None:
        error = Failure("tool", "the graph was exported but not inspected")
    known = {} if facts is None else _facts(facts, folder)
    if facts is None and model is not None and model.file is not None:
        known["file"] = _file(model.file, folder)
    exported = list(model.notes) if model is not None else []
    return {"error": _failure(error), "exported": exported, **known}


def _graphs(evidence: Evidence, folder: Path | None) -> Json:
    planned = dict.fromkeys([*evidence.models, *evidence.graphs])
    return {name: _graph(evidence.models.get(name), evidence.graphs.get(name), folder) for name in planned}


def _finding(finding: Finding) -> Json:
    return {
        "cause": finding.cause,
        "blame": finding.blame,
        "party": finding.party,
        "nodes": list(finding.nodes),
        "proved": bool(finding.proved),
        "says": finding.message,
        "edit": finding.edit,
    }


def _apart(apart: LargestDifference) -> Json:
    return {
        "left": apart.left,
        "right": apart.right,
        "output": apart.output,
        "max_abs": number(apart.max_abs),
        "top": number(apart.top),
        "digits": int(apart.digits),
        "rows": int(apart.rows),
        "moved": int(apart.moved),
        "size": apart.size,
    }


def _expectation(result: ExpectationResult) -> Json:
    return {
        "edge": list(result.edge),
        "blame": result.expected.blame,
        "cause": result.expected.cause,
        "reason": result.expected.reason,
        "when": result.expected.when,
        "op": [result.expected.op] if isinstance(result.expected.op, str) else list(result.expected.op),
        "nodes": list(result.expected.nodes),
        "outcome": result.outcome,
        "says": result.message,
    }


def _each(function: Any, records: Iterable[Any]) -> list[Json]:
    return [function(record) for record in records]


def _case(verdict: Verdict, folder: Path | None) -> Json:
    evidence = verdict.evidence
    return {
        "case": verdict.case,
        "status": verdict.status,
        "blame": list(verdict.blame),
        "blames": _each(_blamed, evidence.blames),
        "groups": [list(group) for group in evidence.groups],
        "parties": {name: _party(run, folder) for name, run in evidence.runs.items()},
        "sizes": {
            size: {name: _party(run, folder) for name, run in runs.items()} for size, runs in evidence.sizes.items()
        },
        "edges": _each(_edge, evidence.edges),
        "graphs": _graphs(evidence, folder),
        "exports": {what: list(graphs) for what, graphs in exports(verdict).items()},
        "findings": _each(_finding, verdict.findings),
        "expectations": _each(_expectation, verdict.expectations),
        "unexpected": _each(_blamed, verdict.unexpected),
        "problems": list(verdict.problems),
        "note": verdict.note,
        "apart": None if verdict.largest_difference is None else _apart(verdict.largest_difference),
        "deaths": list(verdict.deaths),
    }


def as_json(report: Report) -> Json:
    """A run of ``verify`` as the document ``triangulate/1`` (``schema("triangulate-1")``)."""
    return {
        "schema": "triangulate/1",
        "versions": dict(report.versions),
        "seed": int(report.seed),
        "exit_status": int(report.exit_status),
        "out": None if report.out is None else str(report.out),
        "notices": list(report.notices),
        "cases": [_case(verdict, report.folder) for verdict in report.verdicts],
    }


def schema(name: str = "triangulate-1") -> Json:
    """A published schema (draft 2020-12), out of the package: ``triangulate-1``, ``-inspect-1``, ``-differences-1``
    or ``-compare-1``."""
    file = resources.files("onnx_triangulate.report") / "schema" / f"{name}.schema.json"
    document: Json = json.loads(file.read_text(encoding="utf-8"))
    return document


def to_text(document: Mapping[str, Any]) -> str:
    """A document as ASCII text.  Raises :class:`ValueError` on a NaN or an infinity that is not a text."""
    text = json.dumps(document, indent=2, ensure_ascii=True, allow_nan=False)
    # DEL is ASCII, and ``##[`` is a command to some CI logs; both occur in strings only, where an escape may stand.
    return text.replace("\x7f", "\\u007f").replace("##", "#\\u0023") + "\n"


def write_json(content: Report | Mapping[str, Any], path: str | Path) -> None:
    """Write a report or a finished document to ``path`` (``-`` is stdout), whole or not at all.

    Raises :class:`UnusableInput` where the folder is missing or cannot be written to; :func:`check_writable` finds that
    out before a run starts.
    """
    write_text(to_text(as_json(content) if isinstance(content, Report) else content), path)


FORMAT = Format("json", "the records, as the published schema triangulate/1 describes them", write_json)
