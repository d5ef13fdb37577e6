"""Evidence, findings and the verdict on a case: what a report shows and a program reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from onnx_triangulate.records.case import Expected
from onnx_triangulate.records.graphs import GraphFacts
from onnx_triangulate.records.runs import Diff, Model, Run

BLAMES = (
    "agree",
    "conditioning",
    "crashed",
    "export",
    "export-failed",
    "kernel",
    "native",
    "nondeterministic",
    "optimizer",
    "parameters",
    "reference",
    "semantics",
    "unspecified",
    "unsupported",
)

STATUSES = ("expected", "unexpected", "stale", "undecided")

Status = Literal["expected", "unexpected", "stale", "undecided"]


@dataclass(frozen=True)
class Blamed:
    """One step that parts: the blame, the party whose step it is, the edge it was read from, and where in the graph.

    ``among``: of a node that was not told apart from others, how many they are together."""

    blame: str
    party: str
    edge: tuple[str, str]
    op: str | None = None
    nodes: tuple[str, ...] = ()
    says: str = ""
    size: str = ""  # of the case's dynamic axes; nothing at the declared ones
    among: Mapping[str, int] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Evidence:
    """Everything known about one case before causes are looked for.

    ``sizes`` holds the runs at other sizes of the case's dynamic axes, by these in words."""

    case: str
    runs: Mapping[str, Run]
    models: Mapping[str, Model]
    graphs: Mapping[str, GraphFacts]
    edges: tuple[Diff, ...]
    groups: tuple[tuple[str, ...], ...]
    blames: tuple[Blamed, ...]
    sizes: Mapping[str, Mapping[str, Run]] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """A cause with a name.  ``proved`` only when one edit made the divergence vanish and undoing it brought it back."""

    cause: str
    blame: str
    party: str
    nodes: tuple[str, ...]
    says: str
    proved: bool = False
    edit: str | None = None


@dataclass(frozen=True)
class ExpectationResult:
    """What became of one declared expectation: ``met``, ``stale``, ``undecided`` or ``not applicable``."""

    edge: tuple[str, str]
    expected: Expected
    outcome: str
    says: str = ""


@dataclass(frozen=True)
class Apart:
    """The largest difference that an agreement covers, beside the largest number of its output, and what it means.

    ``digits`` is how many decimal digits of that number it leaves; ``moved`` in how many of ``rows`` (the last axis of
    an output of up to three) the place of the largest element is another one.
    """

    left: str
    right: str
    output: str
    max_abs: float
    top: float
    digits: int
    rows: int = 0
    moved: int = 0
    size: str = ""


@dataclass(frozen=True)
class Verdict:
    """The answer for one case: what was seen, who is blamed, why, and whether that was declared.

    ``deaths`` are sentences about processes that were killed, and whose work another one did when it was asked."""

    case: str
    status: Status
    blame: tuple[str, ...]
    evidence: Evidence
    findings: tuple[Finding, ...] = ()
    expectations: tuple[ExpectationResult, ...] = ()
    unexpected: tuple[Blamed, ...] = ()
    problems: tuple[str, ...] = ()
    note: str = ""
    apart: Apart | None = None
    deaths: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """One run of ``verify``.  ``folder`` is where its files were while it ran; ``out`` the same if they were kept."""

    versions: Mapping[str, str | None]
    seed: int
    exit_status: int
    verdicts: tuple[Verdict, ...]
    notices: tuple[str, ...] = ()
    seconds: float = 0.0
    out: Path | None = None
    folder: Path | None = None
