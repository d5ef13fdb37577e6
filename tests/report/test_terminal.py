"""What a reader sees, and that nothing that parts is ever out of sight."""

from __future__ import annotations

import dataclasses
import io
from typing import Any

import pytest
from rich.console import Console

from onnx_triangulate.records.graphs import Pads
from onnx_triangulate.records.runs import Failure
from onnx_triangulate.records.verdict import BLAMES, Blame, Report
from onnx_triangulate.report import terminal

WIDTHS = (80, 100, 140)
KERNEL = ("torch>reference", "torch>ort.off")


def shown(report: Report, width: int = 100, verbose: bool = False) -> list[str]:
    console = Console(record=True, width=width, file=io.StringIO())
    terminal.render(report, console, verbose)
    return console.export_text().splitlines()


def first(report: Report, width: int = 100) -> str:
    """The first 40 lines, with white space collapsed: where a line breaks is not what is tested."""
    return " ".join(" ".join(shown(report, width)[:40]).split())


@pytest.mark.parametrize("width", WIDTHS)
def test_the_even_convolution_is_answered_in_the_first_forty_lines(samples: Any, width: int) -> None:
    text = first(samples.report(samples.even_input()), width)
    assert "conv2d/even_input expected" in text
    assert "semantics: tensorflow and torch mean different things" in text
    assert "{truth@tensorflow, tensorflow, tensorflow*>*} {truth@torch, torch, torch*>*}" in text
    assert "faithful: torch, torch:raw, torch:script, tensorflow, tensorflow:nchw" in text
    assert "torch, torch:raw, torch:script Conv before 1 1 after 1 1 symmetric" in text
    assert "tensorflow, tensorflow:nchw Conv before 0 0 after 1 1 asymmetric" in text
    assert "y[0,1,2,0]" in text
    assert "12 against 30" in text or "12 30 18 exact 51 of 54" in text
    assert "asymmetric-padding, suspected" in text
    assert "change: set pads of Conv2D to [1, 1, 1, 1]" in text
    assert "declared semantics at tensorflow | torch: SAME pads only after" in text
    assert "23 edges compared: 21 equal, 1 rounding (worst 0.31 of its bound), 1 diverges" in text
    assert "tensorflow: 2 (NHWC->NCHW, NCHW->NHWC)" in text
    assert len(shown(samples.report(samples.even_input()), width)) <= 40


def test_one_blame_stands_in_the_headline_where_it_fits(samples: Any) -> None:
    line = shown(samples.report(samples.even_input()), 140)[0]
    assert line == (
        "conv2d/even_input   expected   semantics: tensorflow and torch mean different things (Conv, node Conv2D)"
    )


def test_a_proved_cause_is_called_so(samples: Any) -> None:
    verdict = samples.even_input()
    proved = tuple(dataclasses.replace(finding, proved=True) for finding in verdict.findings)
    text = first(samples.report(dataclasses.replace(verdict, findings=proved)))
    assert "asymmetric-padding, proved" in text
    assert "suspected" not in text


def test_an_export_that_departs_is_not_called_faithful(samples: Any) -> None:
    edge = ("torch@64", "torch:raw>reference@64")
    text = first(samples.report(samples.unexpected("a/b", "export", "torch:raw", edge, "exporter")))
    assert "departs: torch:raw · faithful: torch, torch:script" in text


@pytest.mark.parametrize("width", WIDTHS)
def test_no_edge_that_parts_is_ever_left_out(samples: Any, width: int) -> None:
    sound = samples.agreeing()
    for number, edge in enumerate(sound.evidence.edges):
        for outcome in ("diverges", "nondeterministic"):
            apart = dataclasses.replace(edge, outcome=outcome, index=(0, 0, 0, 7), values=(1.0, 2.0), differing=1)
            edges = (*sound.evidence.edges[:number], apart, *sound.evidence.edges[number + 1 :])
            evidence = dataclasses.replace(sound.evidence, edges=edges)
            lines = shown(samples.report(dataclasses.replace(sound, evidence=evidence)), width)
            sentence = f"{edge.left} | {edge.right} {edge.isolates} {outcome}"
            assert sentence in " ".join(" ".join(lines).split()), f"{sentence} is not in the report"
            assert any("y[0,0,0,7]" in line for line in lines)
    assert not any("diverges" in line for line in shown(samples.report(sound), width))


def test_edges_without_a_value_to_show_stand_together_and_all_of_them(samples: Any) -> None:
    sound = samples.agreeing()
    says = "torch gave two answers to one question"
    wavering = {"outcome": "nondeterministic", "compared": 0, "problem": says}
    edges = tuple(dataclasses.replace(edge, **wavering) for edge in sound.evidence.edges)
    evidence = dataclasses.replace(sound.evidence, edges=edges)
    text = " ".join(" ".join(shown(samples.report(dataclasses.replace(sound, evidence=evidence)), 100)).split())
    assert text.count(says) == 1
    assert all(f"{edge.left} | {edge.right}" in text for edge in edges)


@pytest.mark.parametrize("width", WIDTHS)
def test_all_edges_may_part_at_once(samples: Any, width: int) -> None:
    sound = samples.agreeing()
    edges = tuple(dataclasses.replace(edge, outcome="diverges", differing=3) for edge in sound.evidence.edges)
    evidence = dataclasses.replace(sound.evidence, edges=edges)
    text = "\n".join(shown(samples.report(dataclasses.replace(sound, evidence=evidence)), width))
    assert all(f"{edge.left} | {edge.right} " in text for edge in edges)


@pytest.mark.parametrize("blame", [blame for blame in BLAMES if blame != "agree"])
@pytest.mark.parametrize("others", [0, 1, 5, 60])
def test_every_blame_nobody_declared_is_in_the_first_forty_lines(samples: Any, blame: str, others: int) -> None:
    wrong = samples.unexpected("zz/last", blame, "torch>ort.off", KERNEL, "kernel")
    fillers = [samples.agreeing(f"conv2d/case_{i}") for i in range(others)]
    text = first(samples.report(*fillers, wrong))
    assert f"{blame}: " in text
    assert "zz/last" in text
    sound = first(samples.report(*fillers, samples.agreeing("zz/last")))
    assert f"{blame}: " not in sound


def test_many_different_blames_all_stay_in_the_first_forty_lines(samples: Any) -> None:
    blames = [blame for blame in BLAMES if blame != "agree"]
    wrong = [
        samples.unexpected(f"c/{i}", blames[i % len(blames)], "torch>ort.off", KERNEL, "kernel") for i in range(90)
    ]
    text = first(samples.report(*wrong))
    assert [blame for blame in blames if f"{blame}: " not in text] == []


def test_what_was_declared_and_what_was_not_stand_apart(samples: Any) -> None:
    verdict = samples.even_input()
    surprise = Blame("kernel", "torch>ort.off", KERNEL, "Conv")
    evidence = dataclasses.replace(verdict.evidence, blames=(*verdict.evidence.blames, surprise))
    verdict = dataclasses.replace(
        verdict, status="unexpected", blame=("kernel", "semantics"), evidence=evidence, unexpected=(surprise,)
    )
    lines = shown(samples.report(verdict))
    assert lines[1].startswith("  undeclared  kernel: ")
    assert lines[2].startswith("  blame       semantics: ")


def test_troubled_cases_come_first_and_only_they_are_shown_in_full(samples: Any) -> None:
    verdicts = [samples.agreeing(f"fine/{i}") for i in range(8)]
    verdicts += [samples.nothing_compared(), samples.stale(), samples.crashed()]
    lines = shown(samples.report(*verdicts))
    heads = [line.split()[0] for line in lines if line and not line.startswith(" ")]
    assert lines[0] == "11 cases: 8 expected · 1 unexpected · 1 stale · 1 undecided"
    assert heads[1:7] == ["crash/killed", "batch_norm/training", "lonely/empty"] * 2
    assert heads[7:15] == [f"fine/{i}" for i in range(8)]
    last = "11 cases: 8 expected · 1 unexpected · 1 stale · 1 undecided  (23 s)  exit status 1"
    assert lines[-1] == last


def test_a_stale_expectation_says_what_was_declared_and_why(samples: Any) -> None:
    text = first(samples.report(samples.stale()))
    assert "batch_norm/training stale" in text
    assert "export at torch | torch>reference, when torch<2.14 was declared and is no longer seen" in text
    assert "it was declared because: training mode is exported in inference mode" in text


def test_nothing_compared_is_never_called_agreement(samples: Any) -> None:
    text = first(samples.report(samples.nothing_compared()))
    assert "lonely/empty undecided nothing was compared" in text
    assert "problem no edge was compared: tensorflow is not installed" in text
    assert "same answer" not in text
    rows = first(samples.report(samples.nothing_compared(), samples.agreeing()))
    assert "lonely/empty undecided no edge was compared" in rows


def test_agreement_is_claimed_for_those_who_answered(samples: Any) -> None:
    verdict = samples.agreeing()
    assert "every path gives the same answer" in first(samples.report(verdict))
    run = dataclasses.replace(verdict.evidence.runs["torch"], outputs=None, error=Failure("refused", "no"))
    evidence = dataclasses.replace(verdict.evidence, runs={**verdict.evidence.runs, "torch": run})
    text = first(samples.report(dataclasses.replace(verdict, evidence=evidence)))
    assert "every path that answered gives the same answer" in text


def test_where_no_edge_agrees_no_agreement_is_claimed(samples: Any) -> None:
    verdict = samples.agreeing()
    unbounded = tuple(dataclasses.replace(e, outcome="missing", problem="no bound") for e in verdict.evidence.edges)
    evidence = dataclasses.replace(verdict.evidence, edges=unbounded)
    text = first(samples.report(dataclasses.replace(verdict, status="undecided", blame=(), evidence=evidence)))
    assert "no path could be judged by another" in text
    assert "same answer" not in text


def test_no_case_at_all_is_no_success(samples: Any) -> None:
    assert shown(samples.report())[-1] == "0 cases: nothing was checked  (23 s)  exit status 1"


def test_failures_are_grouped_with_who_when_and_why(samples: Any) -> None:
    text = first(samples.report(samples.crashed()))
    assert "export of torch:script, torch:script>*: refused at aten.unique aten.unique is not supported" in text
    assert "torch>ort.off, torch>ort.all: crashed at Unique node_unique the worker was killed by SIGSEGV" in text
    assert "1 missing" in text


def test_a_missing_edge_that_no_failure_explains_is_shown(samples: Any) -> None:
    verdict = samples.agreeing()
    gone = dataclasses.replace(
        verdict.evidence.edges[0], outcome="missing", compared=0, problem="y is absent on one side"
    )
    evidence = dataclasses.replace(verdict.evidence, edges=(gone, *verdict.evidence.edges[1:]))
    text = first(samples.report(dataclasses.replace(verdict, evidence=evidence)))
    assert f"missing {gone.left} | {gone.right}: y is absent on one side" in text


def test_explanations_and_problems_stand_under_their_edge(samples: Any) -> None:
    verdict = samples.unexpected("a/b", "kernel", "torch>ort.off", KERNEL, "kernel")
    says = "equals the other side transposed by (0, 3, 1, 2)"
    edges = tuple(
        dataclasses.replace(edge, explanation=says) if edge.outcome == "diverges" else edge
        for edge in verdict.evidence.edges
    )
    evidence = dataclasses.replace(verdict.evidence, edges=edges)
    for width in WIDTHS:
        assert says in first(samples.report(dataclasses.replace(verdict, evidence=evidence)), width)


def test_notices_versions_and_artefacts_are_there(samples: Any) -> None:
    text = first(samples.report(samples.agreeing(), notices=("tensorflow is not installed",)))
    assert text.startswith("notice tensorflow is not installed")
    assert "torch 2.13.0+cpu · tensorflow 2.21.0 · tf2onnx 1.17.0" in text
    assert "seed 0 · artefacts in out" in text
    report = dataclasses.replace(samples.report(samples.agreeing()), versions={"tensorflow": None}, out=None)
    assert "tensorflow absent · seed 0 1 case" in first(report)


def test_verbose_lists_every_edge_and_note(samples: Any) -> None:
    verdict = samples.even_input()
    runs = dict(verdict.evidence.runs)
    runs["torch"] = dataclasses.replace(runs["torch"], notes=("flushes subnormals",), deterministic=False)
    verdict = dataclasses.replace(verdict, evidence=dataclasses.replace(verdict.evidence, runs=runs))
    text = "\n".join(shown(samples.report(verdict), verbose=True))
    assert all(f"{edge.left} | {edge.right} " in text for edge in verdict.evidence.edges)
    assert "torch: flushes subnormals" in text
    assert "torch: does not agree with itself" in text


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("verbose", [False, True])
def test_lines_fit_and_hostile_names_do_nothing(samples: Any, width: int, verbose: bool) -> None:
    lines = shown(samples.everything(), width, verbose)
    assert "\\x1b[2J" in "\n".join(lines)
    assert "[bold red]markup[/]" in "\n".join(lines)
    for line in lines:
        assert line.isprintable()
        assert not line.lstrip().startswith("::")
        assert "##[" not in line
        assert len(line) <= width + 3, line
        assert line == line.rstrip()


def test_a_megabyte_name_does_not_fill_the_screen(samples: Any) -> None:
    lines = shown(samples.report(samples.hostile()))
    assert len(lines) < 80
    assert "(+999," in " ".join(lines)


def written(report: Report, **options: Any) -> str:
    stream = io.StringIO()
    terminal.render(report, Console(file=stream, width=100, **options))
    return stream.getvalue()


def test_colour_only_on_a_terminal_that_wants_it(samples: Any) -> None:
    report = samples.report(samples.crashed())
    colour = {"force_terminal": True, "color_system": "standard"}
    assert "\x1b[" not in written(report)
    assert "31m" in written(report, _environ={}, **colour)
    assert "31m" not in written(report, _environ={"NO_COLOR": "1"}, **colour)


def test_a_console_without_utf8_gets_ascii(samples: Any) -> None:
    raw = io.BytesIO()
    console = Console(file=io.TextIOWrapper(raw, encoding="ascii", write_through=True), width=100)
    terminal.render(samples.report(samples.agreeing("op/größe")), console)
    assert b"op/gr\\xf6\\xdfe" in raw.getvalue()
    assert b"1 case: 1 expected - 0 unexpected" in raw.getvalue()


def test_a_graph_with_many_kinds_of_padding_says_how_many_are_not_shown(samples: Any) -> None:
    verdict = samples.agreeing()
    pads = tuple(Pads(f"n{i}", "Conv", (i, i), (i, i), "NOTSET", True) for i in range(30) for _ in range(2))
    graphs = {"torch": dataclasses.replace(verdict.evidence.graphs["torch"], pads=pads)}
    verdict = dataclasses.replace(verdict, evidence=dataclasses.replace(verdict.evidence, graphs=graphs))
    text = first(samples.report(verdict))
    assert "2 × Conv before 1 1 after 1 1 symmetric" in text
    assert "and 22 kinds more" in text
    whole = " ".join(shown(samples.report(verdict), verbose=True))
    assert "before 29 29" in whole


def test_unknown_and_automatic_padding_are_not_called_symmetric(samples: Any) -> None:
    verdict = samples.agreeing()
    pads = (
        Pads("a", "Conv", None, None, "SAME_UPPER", None, "input shape unknown"),
        Pads("b", "MaxPool", (0, 0), (0, 0), "VALID", True),
        Pads("c", "AveragePool", (1, 0), (0, 1), "NOTSET", False),
    )
    graphs = {"torch": dataclasses.replace(verdict.evidence.graphs["torch"], pads=pads)}
    verdict = dataclasses.replace(verdict, evidence=dataclasses.replace(verdict.evidence, graphs=graphs))
    text = first(samples.report(verdict))
    assert "Conv before ? after ? unknown, auto_pad SAME_UPPER, input shape unknown" in text
    assert "MaxPool before 0 0 after 0 0 none, auto_pad VALID" in text
    assert "AveragePool before 1 0 after 0 1 asymmetric" in text


def test_a_framework_that_gives_no_answer_is_not_told_of_a_graph(samples: Any) -> None:
    edge = ("truth", "torch")
    text = first(samples.report(samples.unexpected("a/b", "unsupported", "torch", edge, "native")))
    assert "unsupported: torch itself gives no answer to these inputs" in text
    assert "a valid graph" not in text
    runtime = first(samples.report(samples.unexpected("a/b", "unsupported", "torch>ort.off", KERNEL, "kernel")))
    assert "unsupported: a valid graph, but not implemented by torch>ort.off" in runtime


@pytest.mark.parametrize(
    ("many", "says"),
    [(23, "(one of 23 nodes, likeliest Conv node_conv2d)"), (4, "(Conv, node node_conv2d)"), (0, "(Conv, node")],
)
def test_a_node_that_stands_for_a_long_stretch_is_not_plainly_named(samples: Any, many: int, says: str) -> None:
    verdict = samples.unexpected("a/b", "export", "torch", ("torch", "torch>reference"), "exporter")
    blamed = dataclasses.replace(verdict.unexpected[0], candidates={"node_conv2d": many} if many else {})
    evidence = dataclasses.replace(verdict.evidence, blames=(blamed,))
    assert says in first(samples.report(dataclasses.replace(verdict, evidence=evidence, unexpected=(blamed,))))


@pytest.mark.parametrize("width", WIDTHS)
def test_the_name_of_a_node_is_not_cut_in_the_middle(samples: Any, width: int) -> None:
    verdict = samples.even_input()
    name = "/encoder/layer.11/attention/self/query/" + "x" * 21
    finding = dataclasses.replace(verdict.findings[0], nodes=(name, "second"))
    text = "".join("".join(shown(samples.report(dataclasses.replace(verdict, findings=(finding,))), width)).split())
    assert len(name) == 60
    assert f"{name},second" in text


def _sized(samples: Any, outputs: bool) -> Any:
    """A verdict whose graph was run at two other sizes, with an answer or without."""
    verdict = samples.agreeing()
    name, run = next((n, r) for n, r in verdict.evidence.runs.items() if r.party.runtime)
    refused = Failure("refused", "cannot reshape", op="Reshape", node="flat")
    there = run if outputs else dataclasses.replace(run, outputs=None, error=refused)
    sizes = {"n=1": {name: there}, "n=5": {name: there}}
    return dataclasses.replace(verdict, evidence=dataclasses.replace(verdict.evidence, sizes=sizes))


def test_only_sizes_at_which_a_graph_ran_are_called_judged(samples: Any) -> None:
    judged = "\n".join(line.plain for line in terminal.case_lines(_sized(samples, True), 120))
    assert "also judged at n=1; n=5" in judged
    assert "no graph runs at" not in judged
    refused = "\n".join(line.plain for line in terminal.case_lines(_sized(samples, False), 120))
    assert "no graph runs at n=1; n=5" in refused
    assert "also judged at" not in refused
    assert refused.count("cannot reshape") == 1
    assert "none at n=1; n=5, at Reshape flat" in refused


def test_the_row_of_a_case_says_what_agreement_rests_on_and_is_never_blank(samples: Any) -> None:
    verdict = samples.agreeing()
    edges = [dataclasses.replace(e, outcome="rounding") for e in verdict.evidence.edges if "@64" not in e.right]
    runs = {n: dataclasses.replace(r, derived="itself") for n, r in verdict.evidence.runs.items()}
    evidence = dataclasses.replace(verdict.evidence, edges=tuple(edges), runs=runs)
    rows = shown(samples.report(verdict, dataclasses.replace(verdict, case="conv2d/blunt", evidence=evidence)))
    said = {line.split()[0]: line for line in reversed(rows) if line.startswith("conv2d/")}
    assert said["conv2d/odd_input"].endswith("expected  agree")
    assert said["conv2d/blunt"].endswith("agree, not in float64")
    unsaid = dataclasses.replace(samples.nothing_compared(), problems=())
    lines = shown(samples.report(unsaid, verdict))
    assert any(line.startswith(unsaid.case) and line.endswith("nothing was compared") for line in lines)


def test_a_bound_that_holds_nothing_allows_no_difference(samples: Any) -> None:
    seen = {"max_abs": 1.0, "ratio": 1.9e43, "index": (0, 0, 0, 0), "values": (-3.0, -2.0), "differing": 3}
    edge = samples.edge("torch", "torch>reference", "export", "diverges", **seen)
    assert terminal._observed(edge)[4] == "exact"
    assert terminal._observed(dataclasses.replace(edge, ratio=7.0))[4] == "7"


def test_what_is_behind_a_blame_is_said_where_it_was_not_declared(samples: Any) -> None:
    undeclared = samples.unexpected("a/b", "kernel", "torch>ort.off", KERNEL, "kernel")
    declared = dataclasses.replace(undeclared, status="expected", unexpected=())
    assert "torch>ort.off leaves its predecessor" in first(samples.report(undeclared))
    assert "leaves its predecessor" not in first(samples.report(declared))


def test_of_many_cases_the_expected_ones_are_a_line_a_group(samples: Any) -> None:
    expected = samples.even_input()
    many = [dataclasses.replace(expected, case=f"conv2d/case_{i}") for i in range(terminal.ROWS)]
    agreeing = dataclasses.replace(expected, case="roll/one", blame=("agree",))
    text = shown(samples.report(*many, agreeing))
    assert next(line for line in text if line.startswith("conv2d")).split("  ")[-1] == f"{terminal.ROWS} semantics"
    assert next(line for line in text if line.startswith("roll")).split() == ["roll", "1", "case", "1", "agree"]
    assert not any("case_7" in line for line in text)
    assert any("triangulate verify GROUP" in line for line in text)
    assert any("case_7" in line for line in shown(samples.report(*many))), "of fewer, each has a row"
    odd = dataclasses.replace(expected, case="conv2d/odd", status="unexpected", unexpected=expected.evidence.blames)
    text = shown(samples.report(*many, odd))
    assert any(line.startswith("conv2d/odd") for line in text), "what is unexpected is out of sight"
