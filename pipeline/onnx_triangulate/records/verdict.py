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
    "invalid",
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
class Blame:
    """One step at which parties part: its kind (of :data:`BLAMES`, or a runtime's own step), the party whose step it
    is, the edge from which it was read, and the operator and nodes in the graph.

    ``candidates``: of a node that could not be told apart from others, how many they are together."""

    blame: str
    party: str
    edge: tuple[str, str]
    op: str | None = None
    nodes: tuple[str, ...] = ()
    message: str = ""
    size: str = ""  # of the case's dynamic axes; nothing at the declared ones
    candidates: Mapping[str, int] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Evidence:
    """Everything known about one case before causes are looked for.

    ``sizes`` holds the runs at other sizes of the case's dynamic axes, by these in words; ``training`` says that the
    model is run and exported in training mode."""

    case: str
    runs: Mapping[str, Run]
    models: Mapping[str, Model]
    graphs: Mapping[str, GraphFacts]
    edges: tuple[Diff, ...]
    groups: tuple[tuple[str, ...], ...]
    blames: tuple[Blame, ...]
    sizes: Mapping[str, Mapping[str, Run]] = field(default_factory=dict)
    training: bool = False


@dataclass(frozen=True)
class Finding:
    """A cause with a name.  ``proved`` only when one edit made the divergence vanish and undoing it brought it back."""

    cause: str
    blame: str
    party: str
    nodes: tuple[str, ...]
    message: str
    proved: bool = False
    edit: str | None = None


@dataclass(frozen=True)
class ExpectationResult:
    """What became of one declared expectation: ``met``, ``stale``, ``undecided`` or ``not applicable``."""

    edge: tuple[str, str]
    expected: Expected
    outcome: str
    message: str = ""


@dataclass(frozen=True)
class LargestDifference:
    """The largest absolute difference on an edge that agrees, beside the largest magnitude of its output (``top``).

    ``digits`` counts the decimal digits of ``top`` that both sides share; ``moved`` says in how many of ``rows`` (along
    the last axis of an output of up to three) the largest element is at another place.
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
    unexpected: tuple[Blame, ...] = ()
    problems: tuple[str, ...] = ()
    note: str = ""
    largest_difference: LargestDifference | None = None
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
