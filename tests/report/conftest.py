"""Reports as a run of ``verify`` leaves them, built by hand: each situation that a reader has to recognise."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from onnx_triangulate.records.arrays import ArrayFile
from onnx_triangulate.records.case import Absent, Expected
from onnx_triangulate.records.graphs import GraphFacts, Pads, Transpose
from onnx_triangulate.records.inspection import (
    Arrow,
    Box,
    Diagnostic,
    Drawing,
    Inspection,
    LayoutReshape,
    NestedGraph,
    SizeSummary,
    WeightLayout,
)
from onnx_triangulate.records.party import Party
from onnx_triangulate.records.runs import Diff, Failure, Model, Run
from onnx_triangulate.records.verdict import Blame, Evidence, ExpectationResult, Finding, Report, Verdict

GRAPHS = ("torch", "torch:raw", "torch:script", "tensorflow", "tensorflow:nchw")
RUNTIMES = ("reference", "ort.off", "ort.all")
VERSIONS = {
    "torch": "2.13.0+cpu",
    "tensorflow": "2.21.0",
    "tf2onnx": "1.17.0",
    "onnx": "1.23.2",
    "onnxscript": "0.7.2",
    "onnxruntime": "1.32.0",
    "numpy": "2.4.6",
}
NATIVES = ("truth@torch", "truth@tensorflow", "torch", "tensorflow", "torch@64", "tensorflow@64")
PARTIES = (
    *NATIVES,
    *(f"{graph}>{runtime}" for graph in GRAPHS for runtime in RUNTIMES),
    *(f"{graph}>reference@64" for graph in GRAPHS),
)


def a_run(name: str, error: Failure | None = None) -> Run:
    if error is not None:
        return Run(Party.parse(name), error=error)
    return Run(Party.parse(name), {"y": ArrayFile(Path("run") / f"{name}.npy", (2, 3, 3, 3), "float32", "n c h w")})


def an_edge(left: str, right: str, isolates: str, outcome: str = "equal", **more: Any) -> Diff:
    seen: dict[str, Any] = {"compared": 54, "max_abs": 0.0, "ratio": 0.0, "output": "y"}
    return Diff(left, right, isolates, outcome, **(seen | more))  # type: ignore[arg-type]


def chain(graph: str) -> list[Diff]:
    source = graph.split(":", 1)[0]
    return [
        an_edge(source, f"{graph}>reference", "exporter"),
        an_edge(f"{source}@64", f"{graph}>reference@64", "exporter"),
        an_edge(f"{graph}>reference", f"{graph}>ort.off", "kernel"),
        an_edge(f"{graph}>ort.off", f"{graph}>ort.all", "optimizer"),
    ]


def facts(graph: str, begin: tuple[int, ...], end: tuple[int, ...], *transposes: str) -> GraphFacts:
    perms = {"NHWC->NCHW": (0, 3, 1, 2), "NCHW->NHWC": (0, 2, 3, 1)}
    return GraphFacts(
        Path("run") / f"{graph}.onnx",
        20,
        "pytorch 2.13.0" if graph.startswith("torch") else "tf2onnx 1.17.0",
        {"Conv": 1} | ({"Transpose": len(transposes)} if transposes else {}),
        (Pads("node_conv2d" if graph.startswith("torch") else "Conv2D", "Conv", begin, end, "NOTSET", begin == end),),
        tuple(Transpose(f"transpose_{i}", perms[kind], kind) for i, kind in enumerate(transposes)),
        {"x": "float32[2,2,6,6]"},
        {"y": "float32[2,3,3,3]"},
        1,
        54,
    )


def conv_evidence(name: str, *edges: Diff) -> Evidence:
    """A convolution whose ``edges`` are as given and that agrees along all others."""
    given = {(edge.left, edge.right) for edge in edges}
    usual = [
        an_edge("truth@torch", "torch", "native"),
        an_edge("truth@tensorflow", "tensorflow", "native"),
        *(edge for graph in GRAPHS for edge in chain(graph)),
    ]
    graphs = {graph: facts(graph, (1, 1), (1, 1)) for graph in GRAPHS if graph.startswith("torch")}
    graphs["tensorflow"] = facts("tensorflow", (0, 0), (1, 1), "NHWC->NCHW", "NCHW->NHWC")
    graphs["tensorflow:nchw"] = facts("tensorflow:nchw", (0, 0), (1, 1))
    single = [party for party in PARTIES if not party.endswith("@64")]
    return Evidence(
        name,
        {party: a_run(party) for party in PARTIES},
        {graph: Model(graph, Path("run") / f"{graph}.onnx") for graph in GRAPHS},
        graphs,
        (*edges, *(edge for edge in usual if (edge.left, edge.right) not in given)),
        (
            tuple(party for party in single if "tensorflow" in party),
            tuple(party for party in single if "tensorflow" not in party),
        ),
        (),
    )


def even_input() -> Verdict:
    apart = an_edge(
        "tensorflow",
        "torch",
        "semantics",
        "diverges",
        max_abs=18.0,
        ratio=math.inf,
        index=(0, 1, 2, 0),
        values=(12.0, 30.0),
        differing=51,
    )
    rounding = an_edge("torch@64", "torch>reference@64", "exporter", "rounding", max_abs=3e-14, ratio=0.31, differing=3)
    declared = Expected("semantics", "SAME pads only after where the input is even", "asymmetric-padding")
    blamed = Blame("semantics", "tensorflow", ("tensorflow", "torch"), "Conv", ("Conv2D",), "y differs in 51 of 54")
    evidence = dataclasses.replace(conv_evidence("conv2d/even_input", apart, rounding), blames=(blamed,))
    return Verdict(
        "conv2d/even_input",
        "expected",
        ("semantics",),
        evidence,
        (
            Finding(
                "asymmetric-padding",
                "semantics",
                "tensorflow",
                ("Conv2D",),
                "tensorflow pads 0 before and 1 after on h and w, torch 1 and 1",
                False,
                "set pads of Conv2D to [1, 1, 1, 1]",
            ),
        ),
        (ExpectationResult(("tensorflow", "torch"), declared, "met"),),
    )


def agreeing(name: str = "conv2d/odd_input") -> Verdict:
    return Verdict(name, "expected", ("agree",), conv_evidence(name))


def crashed() -> Verdict:
    verdict = agreeing("crash/killed")
    error = Failure("crashed", "the worker was killed by SIGSEGV while it ran the model", "Unique", "node_unique")
    edge = ("torch>reference", "torch>ort.off")
    missing = an_edge(*edge, "kernel", "missing", compared=0, max_abs=None, ratio=None, problem="torch>ort.off crashed")
    evidence = verdict.evidence
    blamed = Blame("crashed", "torch>ort.off", edge, "Unique", ("node_unique",))
    refused = Failure("refused", "aten.unique is not supported", "aten.unique")
    evidence = dataclasses.replace(
        evidence,
        runs=dict(evidence.runs)
        | {"torch>ort.off": a_run("torch>ort.off", error), "torch>ort.all": a_run("torch>ort.all", error)}
        | {f"torch:script>{runtime}": a_run(f"torch:script>{runtime}", refused) for runtime in RUNTIMES},
        models=dict(evidence.models) | {"torch:script": Model("torch:script", error=refused)},
        graphs={name: graph for name, graph in evidence.graphs.items() if name != "torch:script"},
        edges=tuple(missing if (e.left, e.right) == edge else e for e in evidence.edges),
        blames=(blamed,),
        groups=(tuple(p for group in evidence.groups for p in group if "ort" not in p and "script" not in p),),
    )
    return dataclasses.replace(
        verdict, status="unexpected", blame=("crashed",), evidence=evidence, unexpected=(blamed,)
    )


def nothing_compared() -> Verdict:
    edges = (an_edge("tensorflow", "torch", "semantics", "missing", compared=0, max_abs=None, ratio=None, output=None),)
    evidence = Evidence("lonely/empty", {"torch": a_run("torch")}, {}, {}, edges, (), ())
    problems = ("no edge was compared: tensorflow is not installed",)
    return Verdict("lonely/empty", "undecided", (), evidence, problems=problems)


def stale() -> Verdict:
    declared = Expected("export", "training mode is exported in inference mode", when="torch<2.14")
    gone = ExpectationResult(("torch", "torch>reference"), declared, "stale", "the edge is equal")
    return dataclasses.replace(agreeing("batch_norm/training"), status="stale", expectations=(gone,))


def unexpected(name: str, blame: str, party: str, edge: tuple[str, str], isolates: str) -> Verdict:
    parts = an_edge(*edge, isolates, "diverges", max_abs=0.5, ratio=3.2e5, index=(1, 2, 0, 1), values=(1.0, 1.5))
    blamed = Blame(blame, party, edge, "Conv", ("node_conv2d",), f"{party} leaves its predecessor")
    evidence = dataclasses.replace(conv_evidence(name, dataclasses.replace(parts, differing=7)), blames=(blamed,))
    return Verdict(name, "unexpected", (blame,), evidence, unexpected=(blamed,))


HOSTILE = "\x1b[2J\x1b]0;owned\x07\n::error::pwned\r\n##[error]x \u202egnp.exe\u200b [bold red]markup[/]"


def hostile() -> Verdict:
    verdict = unexpected("conv2d/hostile", "kernel", "torch>ort.off", ("torch>reference", "torch>ort.off"), "kernel")
    evidence = verdict.evidence
    megabyte = "N" * 1_000_000
    blamed = dataclasses.replace(evidence.blames[0], op=HOSTILE, nodes=(HOSTILE, megabyte), message=HOSTILE)
    pads = (Pads(HOSTILE, HOSTILE, (0, 0), (1, 1), "NOTSET", False, HOSTILE),)
    graph = dataclasses.replace(
        evidence.graphs["torch"], pads=pads, transposes=(Transpose(HOSTILE, (1, 0), HOSTILE),), notes=(HOSTILE,)
    )
    error = Failure("refused", HOSTILE + megabyte, HOSTILE, megabyte)
    evidence = dataclasses.replace(
        evidence,
        blames=(blamed,),
        graphs=dict(evidence.graphs) | {"torch": graph},
        runs=dict(evidence.runs) | {"torch>ort.all": a_run("torch>ort.all", error)},
        models=dict(evidence.models) | {HOSTILE: Model(HOSTILE, error=error, notes=(HOSTILE,))},
        edges=tuple(
            dataclasses.replace(edge, output=HOSTILE, problem=HOSTILE, explanation=HOSTILE) for edge in evidence.edges
        ),
    )
    return dataclasses.replace(
        verdict,
        case=HOSTILE,
        evidence=evidence,
        unexpected=(blamed,),
        problems=(HOSTILE,),
        note=HOSTILE,
        findings=(Finding(HOSTILE, "kernel", "torch>ort.off", (HOSTILE,), HOSTILE, False, HOSTILE),),
        expectations=(ExpectationResult((HOSTILE, HOSTILE), Expected("kernel", HOSTILE), "stale", HOSTILE),),
    )


def a_report(*verdicts: Verdict, **more: Any) -> Report:
    failing = any(verdict.status != "expected" for verdict in verdicts)
    given: dict[str, Any] = {"seconds": 23.4, "out": Path("out"), "exit_status": int(failing or not verdicts)}
    return Report(VERSIONS, 0, verdicts=verdicts, **(given | more))


EVIL = (  # what names of a file may hold, one danger each
    HOSTILE,
    "<script>alert(1)</script>",
    '" onload="alert(1)" x="',
    "' onclick='x",
    "]]><x/>",
    "--><!--<b>",
    "</text></svg></title></style><img src=x>",
    "&lt;b&gt; &amp; &#60;",
    "::error::pwned",
    "line\nflowchart TD\r\nclick n0 call x()",
    "\u202eevil\u2066\u200b",
    "nul\x00 bell\x07 esc\x1b[31m del\x7f",
    "\ud800 and \udfff",
    "N" * 1_000_000,
    "end",
    "1. list",
    "# head `code` **bold** %%{init: {}}%% style a:#b; classDef x:#y;",
    '"] --> n1 ; ]) }} {{ ((',
    "\u0301" * 1000,
    "\ufffe\uffff\U0010ffff",
)


def inspected(evil: str = "name") -> Inspection:
    """An inspection with a little of everything, ``evil`` wherever a name of the file's may stand."""
    return Inspection(
        file=Path(f"{evil[:40]}.onnx".replace("/", "_").replace("\0", "_")),
        producer=evil,
        ir_version=10,
        opsets={"": 20, evil: 1},
        inputs={f"x{evil}": f"float32[{evil}]"},
        outputs={f"y{evil}": evil},
        ops={"Conv": 2, evil: 1},
        initializers=2,
        parameters=54,
        stored=(SizeSummary("float32", 2, 54, 216, 100), SizeSummary(evil, 1, 1, 8)),
        external=(evil,),
        inner=(NestedGraph(evil, "subgraph", 3), NestedGraph("f", "function", 2, 4)),
        pads=(
            Pads(evil, "Conv", (0, 0), (1, 1), "SAME_UPPER", False),
            Pads("b", evil, None, None, evil, None, evil),
        ),
        layouts={evil: "NCHW", "y": "NHWC", "z": evil},
        transposes=(Transpose(evil, (0, 3, 1, 2), "NHWC->NCHW"), Transpose("t", (), evil)),
        reshapes=(LayoutReshape(evil, "scrambles", None, evil), LayoutReshape("r", "transposes", (0, 2, 1))),
        weights=(WeightLayout(evil, evil, "OIHW", evil),),
        diagnostics=(
            Diagnostic("PAD001", "warning", (evil, "b"), evil),
            Diagnostic("NUM001", "error", ("b",), "a sentence"),
            Diagnostic("STR001", "info", (), evil),
        ),
        notes=(evil,),
    )


def a_drawing(evil: str = "name") -> Drawing:
    """Every kind of box and arrow, ``evil`` wherever a name of the file's may stand."""
    boxes = (
        Box("i", "input", f"x{evil}", f"x{evil}", (evil,), "NHWC"),
        Box("a", "node", evil, f"a{evil}", ("pads 0 0 | 1 1", evil), "NCHW", "error", (f"PAD001 {evil}", evil)),
        Box("m", "more", "3 more"),
        Box("b", "node", "Relu", "relu", (), evil, "warning", ("NUM001 says",)),
        Box("o", "output", f"y{evil}", f"y{evil}", (), ""),
    )
    ends = (("i", "a"), ("a", "b"), ("i", "b"), ("m", "b"), ("b", "o"))
    return Drawing(evil, boxes, tuple(Arrow(s, t, evil, "NCHW", evil) for s, t in ends), 7)


@dataclasses.dataclass(frozen=True)
class Samples:
    """The situations by name, as functions, and the makers for others."""

    even_input: Callable[[], Verdict] = even_input
    agreeing: Callable[..., Verdict] = agreeing
    crashed: Callable[[], Verdict] = crashed
    nothing_compared: Callable[[], Verdict] = nothing_compared
    stale: Callable[[], Verdict] = stale
    hostile: Callable[[], Verdict] = hostile
    unexpected: Callable[..., Verdict] = unexpected
    report: Callable[..., Report] = a_report
    edge: Callable[..., Diff] = an_edge
    facts: Callable[..., GraphFacts] = facts
    parties: Sequence[str] = PARTIES
    hostile_text: str = HOSTILE
    inspected: Callable[..., Inspection] = inspected
    drawing: Callable[..., Drawing] = a_drawing
    evil: Sequence[str] = EVIL

    def absent_output(self) -> Verdict:
        verdict = self.agreeing("autodiff/chain")
        run = Run(Party("torch"), {"grad_h": Absent("not a leaf")})
        return dataclasses.replace(
            verdict, evidence=dataclasses.replace(verdict.evidence, runs={**verdict.evidence.runs, "torch": run})
        )

    def everything(self) -> Report:
        kernel = ("torch>reference", "torch>ort.off")
        return self.report(
            self.even_input(),
            self.agreeing(),
            self.crashed(),
            self.nothing_compared(),
            self.stale(),
            self.hostile(),
            self.absent_output(),
            self.unexpected("conv2d/kernel", "kernel", "torch>ort.off", kernel, "kernel"),
            notices=("tensorflow is not installed; its parties are left out",),
        )


@pytest.fixture(scope="session")
def samples() -> Samples:
    return Samples()


@pytest.fixture(scope="session")
def strictly() -> Callable[[str], Any]:
    """Read JSON as the standard has it: Python's reader accepts NaN and Infinity."""

    def refuse(word: str) -> Any:
        raise ValueError(f"{word} is no JSON")

    return lambda text: json.loads(text, parse_constant=refuse)
