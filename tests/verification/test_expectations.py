"""Declared divergences are held to what was seen: met, stale, undecided, and never broader than they say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from onnx_triangulate.cases.requirements import parsed
from onnx_triangulate.records.case import Case, Expected, Tensor
from onnx_triangulate.records.errors import UnusableInput
from onnx_triangulate.records.runs import Diff
from onnx_triangulate.records.verdict import Blame, ExpectationResult, Finding
from onnx_triangulate.verification.expectations import hold, status_of, undecided

VERSIONS: Mapping[str, str | None] = {
    "torch": "2.13.0+cpu",
    "tf2onnx": "1.17.0",
    "tensorflow": "2.21.0",
    "onnxruntime": "1.32.0",
}
EXPORT = Blame("export", "torch", ("torch", "torch>reference"), message="means something else")
SEMANTICS = Blame("semantics", "tensorflow|torch", ("tensorflow", "torch"), message="other meanings")


def declared(blame: str = "export", **more: Any) -> Expected:
    return Expected(blame, reason="known", **more)


def a_case(expect: Mapping[tuple[str, str], Expected | tuple[Expected, ...]]) -> Case:
    return Case("c", {"x": Tensor("n", (1,))}, {"torch": lambda torch: None}, expect=expect)


def held(
    edge: tuple[str, str],
    *expected: Expected,
    blames: Sequence[Blame] = (EXPORT,),
    absent: Sequence[str] = (),
    versions: Mapping[str, str | None] = VERSIONS,
    among: Sequence[str] | None = None,
) -> tuple[list[str], tuple[Blame, ...]]:
    case = a_case({edge: expected if len(expected) > 1 else expected[0]})
    results, unexpected = hold(case, blames, absent, versions, among)
    assert [(r.edge, r.expected) for r in results] == [(edge, one) for one in expected]
    return [r.outcome for r in results], unexpected


def test_met() -> None:
    assert held(("torch", "torch>reference"), declared()) == (["met"], ())
    (result,), _ = hold(a_case({("torch", "torch>*"): declared()}), (EXPORT,), (), VERSIONS)
    assert result.message == "means something else"


def test_nothing_declared_is_all_unexpected() -> None:
    assert hold(a_case({}), (EXPORT, SEMANTICS), (), VERSIONS) == ((), (EXPORT, SEMANTICS))


def test_another_blame_on_the_edge_does_not_meet_it() -> None:
    """The planted fault is reversed: an expectation of the kernel's must not cover the exporter's."""
    assert held(("torch", "torch>*"), declared("kernel")) == (["stale"], (EXPORT,))


def test_the_blame_on_another_edge_does_not_meet_it() -> None:
    assert held(("torch:raw", "torch:raw>*"), declared()) == (["stale"], (EXPORT,))
    assert held(("tensorflow", "tensorflow>*"), declared()) == (["stale"], (EXPORT,))


def test_no_blame_at_all_is_stale_and_says_what_to_do() -> None:
    (result,), unexpected = hold(a_case({("torch", "torch>*"): declared()}), (), (), VERSIONS)
    assert (result.outcome, unexpected) == ("stale", ())
    assert "torch | torch>* no longer shows 'export'" in result.message


@pytest.mark.parametrize(
    ("pattern", "edge", "outcome"),
    [
        (("torch", "torch>*"), ("torch", "torch>ort.all"), "met"),
        (("torch>*", "torch"), ("torch", "torch>ort.all"), "met"),  # the order of the two says nothing
        (("torch", "torch>*"), ("torch@64", "torch>reference@64"), "stale"),
        (("torch*", "torch>*"), ("torch@64", "torch>reference@64"), "met"),
        (("torch", "torch>*"), ("torch", "torch:raw>ort.all"), "stale"),
        (("torch", "torch:*>*"), ("torch", "torch:raw>ort.all"), "met"),
        (("torch", "torch>ort.*"), ("torch", "torch>reference"), "stale"),
        (("torch", "torch>ort?all"), ("torch", "torch>ort.all"), "met"),
        (("torch", "torch>*"), ("torch", "torch>*"), "met"),  # the exporter failed: no runtime is named
        (("torch", "torch>ort.all"), ("torch", "torch>*"), "stale"),
        (("torch>*", "torch>*"), ("torch", "torch>ort.all"), "stale"),
        (("*", "*"), ("torch", "torch>ort.all"), "met"),
        (("Torch", "torch>*"), ("torch", "torch>ort.all"), "stale"),
    ],
)
def test_globs_and_the_order_of_an_edge(pattern: tuple[str, str], edge: tuple[str, str], outcome: str) -> None:
    blamed = Blame("export", "torch", edge)
    assert held(pattern, declared(), blames=(blamed,)) == ([outcome], () if outcome == "met" else (blamed,))


def test_two_on_one_edge_are_held_each() -> None:
    both = declared("parameters"), declared("semantics")
    assert held(("tensorflow", "torch"), *both, blames=(SEMANTICS,)) == (["stale", "met"], ())
    parameters = Blame("parameters", "tensorflow|torch", ("tensorflow", "torch"))
    assert held(("torch", "tensorflow"), *both, blames=(SEMANTICS, parameters)) == (["met", "met"], ())


def test_one_covers_all_that_it_matches_and_nothing_else() -> None:
    raw = Blame("export", "torch:raw", ("torch", "torch:raw>reference"))
    assert held(("torch", "torch*>*"), declared(), blames=(EXPORT, raw, SEMANTICS)) == (["met"], (SEMANTICS,))


@pytest.mark.parametrize(
    ("when", "outcome"),
    [
        ("torch<2.14", "met"),
        ("torch>=2.13,<2.14", "met"),
        ("torch==2.13.0", "met"),  # 2.13.0+cpu is 2.13.0
        ("torch>=2.13", "met"),
        ("Torch<2.14", "met"),
        ("Torch<2.13", "not applicable"),
        ("TF2ONNX<1.17", "not applicable"),
        ("torch<2.13", "not applicable"),
        ("torch>2.13", "not applicable"),
        ("tf2onnx<1.17", "not applicable"),
    ],
)
def test_when(when: str, outcome: str) -> None:
    found, unexpected = held(("torch", "torch>*"), declared(when=when))
    assert found == [outcome]
    assert unexpected == (() if outcome == "met" else (EXPORT,))


@pytest.mark.parametrize(
    ("version", "outcome"),
    [
        ("2.14.0.dev20260101+cu1", "not applicable"),
        ("2.14.0rc1", "not applicable"),
        ("2.13.1", "met"),
        ("2.15", "not applicable"),
        ("2.13.0.dev1", "met"),
    ],
)
def test_when_and_a_release_in_the_making(version: str, outcome: str) -> None:
    found, _ = held(("torch", "torch>*"), declared(when="torch<2.14"), versions={"torch": version})
    assert found == [outcome]


def test_when_out_of_range_is_not_stale() -> None:
    assert held(("torch", "torch>*"), declared(when="torch<2"), blames=()) == (["not applicable"], ())


@pytest.mark.parametrize(
    "when",
    ["torch <<2", "torch 2.14", "<2.14", "", "torch", "torch; python_version<'3'", "torch[x]<2", "torch @ https://e"],
)
def test_a_when_that_is_none_is_refused(when: str) -> None:
    with pytest.raises(UnusableInput, match=r"here: when=.* is no requirement"):
        parsed(when, "here")


@pytest.mark.parametrize(
    ("edge", "absent", "outcome"),
    [
        (("tensorflow", "torch"), ["tensorflow"], "undecided"),
        (("tensorflow", "torch"), ["torch"], "undecided"),
        (("torch", "torch>*"), ["tensorflow"], "stale"),
        (("torch", "torch>reference"), ["torch"], "undecided"),
        (("torch@64", "torch>reference@64"), ["torch"], "undecided"),
        (("torch", "torch:raw>*"), ["torch"], "undecided"),
        (("torch:raw>ort.off", "torch:raw>ort.all"), ["torch"], "undecided"),
        (("tensorflow@64", "torch@64"), ["torch"], "undecided"),
        (("truth@torch", "truth@torch(tensorflow)"), ["torch"], "undecided"),
        (("*", "torch"), ["tensorflow"], "undecided"),
        (("torch", "torch>ort.all"), ["onnxruntime"], "undecided"),
        (("torch", "torch>ort.*"), ["onnxruntime"], "undecided"),
        (("torch", "torch>reference"), ["onnxruntime"], "stale"),
        (("torch>reference@64", "torch@64"), ["onnxruntime"], "stale"),
    ],
)
def test_an_absent_engine_leaves_it_undecided(edge: tuple[str, str], absent: list[str], outcome: str) -> None:
    assert held(edge, declared("semantics"), blames=(), absent=absent) == ([outcome], ())


def test_what_shows_although_an_engine_is_absent_is_met() -> None:
    assert held(("torch", "torch>*"), declared(), absent=["onnxruntime"]) == (["met"], ())


def test_parties_that_were_not_asked_for_are_no_fault_of_the_expectation() -> None:
    among = ["torch", "torch:raw>ort.all"]
    assert held(("torch", "torch>*"), declared(), blames=(), among=among) == (["not applicable"], ())
    assert held(("torch", "torch:raw>*"), declared(), blames=(), among=among) == (["stale"], ())


def an_edge(left: str, right: str, outcome: str = "equal", compared: int = 3) -> Diff:
    return Diff(left, right, "step", outcome, compared)  # type: ignore[arg-type]


AGREES = an_edge("truth", "torch")
GONE = an_edge("torch", "torch>ort.all", "missing", 0)
UNKNOWN = an_edge("torch", "torch>ort.all", "missing", 3)


def result(outcome: str) -> ExpectationResult:
    return ExpectationResult(("torch", "torch>*"), declared(), outcome)


@pytest.mark.parametrize(
    ("edges", "unexpected", "results", "problems", "status"),
    [
        ([AGREES], (), ["met", "not applicable"], (), "expected"),
        ([AGREES], (EXPORT,), ["stale", "undecided"], ("p",), "unexpected"),
        ([AGREES], (), ["stale", "undecided"], ("p",), "stale"),
        ([AGREES], (), ["undecided"], (), "undecided"),
        ([AGREES], (), [], ("the builder raised",), "undecided"),
        ([AGREES, GONE], (), [], (), "undecided"),
        ([], (), [], (), "undecided"),  # every engine of the case is absent: that is no agreement
        ([GONE], (), [], (), "undecided"),
    ],
)
def test_status(
    edges: list[Diff], unexpected: tuple[Blame, ...], results: list[str], problems: tuple[str, ...], status: str
) -> None:
    assert status_of(edges, unexpected, unexpected, [result(r) for r in results], problems) == status


@pytest.mark.parametrize(
    ("blamed", "explains"),
    [
        (Blame("crashed", "torch>ort.all", ("torch>ort.off", "torch>ort.all")), True),
        (Blame("unsupported", "torch>ort.all", ("torch", "torch>ort.all")), True),
        (Blame("unsupported", "torch", ("truth", "torch")), True),
        (Blame("export-failed", "torch", ("torch", "torch>*")), True),
        (Blame("crashed", "torch", ("torch", "torch>*")), True),
        (Blame("export", "torch", ("torch", "torch>reference")), True),
        (Blame("kernel", "torch>ort.all", ("torch>ort.off", "torch>ort.all")), True),
        (Blame("crashed", "torch>reference", ("torch", "torch>reference")), False),
        (Blame("export-failed", "torch:raw", ("torch", "torch:raw>*")), False),
        (Blame("semantics", "tensorflow|torch", ("tensorflow", "torch")), False),
        (Blame("native", "torch", ("truth", "torch")), False),
    ],
)
def test_only_the_party_that_lacks_something_explains_an_edge(blamed: Blame, explains: bool) -> None:
    assert undecided([AGREES, GONE], [blamed]) == (() if explains else (GONE,))
    assert undecided([AGREES, UNKNOWN], [blamed]) == (UNKNOWN,)


@pytest.mark.parametrize(
    "blamed",
    [
        Blame("crashed", "torch", ("torch", "torch>*")),
        Blame("export-failed", "torch", ("torch", "torch>*")),
        Blame("export", "torch", ("torch", "torch>reference")),
    ],
)
def test_a_graphs_blame_does_not_explain_a_source_without_a_value(blamed: Blame) -> None:
    """Both are named 'torch'."""
    lost = an_edge("truth", "torch", "missing", 0)
    assert undecided([an_edge("torch", "torch>reference"), lost], [blamed]) == (lost,)


def test_undecided_edges() -> None:
    sharper = an_edge("torch@64", "torch>reference@64", "missing", 0)
    twice = an_edge("torch", "torch>ort.off", "nondeterministic", 0)
    parts = an_edge("torch", "torch>reference", "diverges")
    assert undecided([AGREES, sharper, parts], []) == (parts,)
    assert undecided([AGREES, sharper, parts], [Blame("export", "torch", ("torch", "torch>ort.off"))]) == ()
    assert undecided([AGREES, sharper, parts], [Blame("export", "torch:raw", ("torch", "torch:raw>ort.off"))]) == (
        parts,
    )
    assert undecided([AGREES, twice], []) == (twice,)
    assert undecided([AGREES, twice], [Blame("nondeterministic", "torch>ort.off", ("torch", "torch>ort.off"))]) == ()
    gone = Blame("crashed", "torch>ort.all", ("torch", "torch>ort.all"))
    assert undecided([GONE, sharper], [gone]) == (GONE, sharper)  # nothing at all was compared


def test_a_when_that_names_nothing_is_refused() -> None:
    with pytest.raises(UnusableInput, match="names nothing that takes part"):
        parsed("onnx-runtime<9", "here")
    assert parsed("keras<9", "here").name == "keras"


def test_a_cause_that_is_not_suspected_makes_an_expectation_stale() -> None:
    case = a_case({("torch", "torch>*"): declared(cause="log-of-sigmoid")})
    suspected = Finding("log-of-sigmoid", "export", "torch", (), "says")
    other = Finding("constant-folded-wrong", "export", "torch", (), "says")
    for findings, outcome in (((suspected,), "met"), ((other,), "stale"), ((), "stale"), (None, "met")):
        results, _ = hold(case, (EXPORT,), (), {}, None, findings)
        assert [result.outcome for result in results] == [outcome]


@pytest.mark.parametrize(
    ("named", "op", "nodes", "outcome", "left"),
    [
        ({"op": "Mul"}, "Mul", ("m",), "met", 0),
        ({"op": ("Mul", "Add")}, "Mul, Add", ("m", "a"), "met", 0),
        ({"op": "Mul"}, "Mul, Add", ("m", "a"), "stale", 1),
        ({"op": "Mul"}, None, (), "stale", 1),
        ({"nodes": ("m*",)}, "Mul", ("m", "m_1"), "met", 0),
        ({"nodes": ("m",)}, "Mul", ("m", "m_1"), "stale", 1),
        ({"nodes": ("m",)}, "Mul", (), "stale", 1),
        ({}, "Mul, Add", ("m", "a"), "met", 0),
    ],
)
def test_what_an_expectation_does_not_name_is_not_expected(
    named: dict[str, Any], op: str | None, nodes: tuple[str, ...], outcome: str, left: int
) -> None:
    case = a_case({("torch", "torch>*"): declared(**named)})
    blamed = Blame("export", "torch", ("torch", "torch>reference"), op=op, nodes=nodes)
    results, unexpected = hold(case, (blamed,), (), {})
    assert [result.outcome for result in results] == [outcome]
    assert len(unexpected) == left


def test_a_second_fault_beside_the_declared_one_is_not_expected() -> None:
    case = a_case({("torch", "torch>*"): declared(op="Mul")})
    known = Blame("export", "torch", ("torch", "torch>reference"), op="Mul", nodes=("m",))
    new = Blame("export", "torch", ("torch", "torch>ort.off"), op="Add", nodes=("a",), size="n=5")
    results, unexpected = hold(case, (known, new), (), {})
    assert [result.outcome for result in results] == ["met"]
    assert unexpected == (new,)
