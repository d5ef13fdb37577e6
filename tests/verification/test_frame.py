"""What no verdict may be, whatever the parties answer: agreement above what parts and nobody explains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnx_triangulate.engines.runtimes import runtimes
from onnx_triangulate.records.runs import Diff, Failure, Run
from onnx_triangulate.records.verdict import Blame
from onnx_triangulate.verification import expectations
from onnx_triangulate.verification.agreement import largest_difference
from onnx_triangulate.verification.blame import blame
from onnx_triangulate.verification.edges import edges_of
from tests.verification.test_triangulate import RIGHT, Seen, Twice, graph_of, held, make

KINDS = ("refused", "unsupported", "invalid", "crashed", "timeout", "memory")
NEAR = (1.0, 2.0, 3.0 + 2.0**-22)  # inside the bound of every party, and not between two that are both apart
GRAPHS = {"torch": ("torch", "torch:raw", "torch:script"), "tensorflow": ("tensorflow", "tensorflow:nchw")}
USUAL: dict[str, Any] = {"truth": RIGHT}
for framework, graphs in GRAPHS.items():
    USUAL |= {framework: RIGHT, f"{framework}@64": RIGHT}
    for graph in graphs:
        USUAL |= graph_of(graph)
TORCH = {name: value for name, value in USUAL.items() if name.startswith("torch")}

values = st.sampled_from(
    [
        RIGHT,
        NEAR,
        (1.0, 2.0, 4.0),
        (1.0, 9.0, 3.0),
        (1.0, 2.0),
        (float("nan"), 2.0, 3.0),
        (1.0, float("inf"), 3.0),
        {"y": RIGHT, "z": RIGHT},
        {},
        {"y": ()},
    ]
)
answers = values | st.builds(Twice, values) | st.builds(Failure, st.sampled_from(KINDS), st.just("no"))
failures = st.builds(Failure, st.sampled_from(KINDS), st.just("no"))


@st.composite
def worlds(draw: Any) -> dict[str, Any]:
    """The parties of one framework or of both, most of them right, and how their definition is given."""
    usual = dict(draw(st.sampled_from([USUAL, TORCH, TORCH | {"truth": RIGHT}, TORCH | {"truth@torch": RIGHT}])))
    odd = draw(st.dictionaries(st.sampled_from(sorted(usual)), answers, max_size=5))
    gone = draw(st.sets(st.sampled_from(sorted(name for name in usual if ">" in name)), max_size=2))
    graphs = {name.partition(">")[0] for name in usual if ">" in name}
    return {
        "answers": {name: value for name, value in (usual | odd).items() if name not in gone},
        "scale": draw(st.sampled_from([1.0, None, float("inf")])),
        "derived": "itself" if "truth@torch" in usual else "",
        "ops": draw(st.sampled_from([("Conv",), ("Max",), ("Dropout",)])),
        "nan_fed": draw(st.booleans()),
        "checks": draw(st.dictionaries(st.sampled_from(sorted(graphs)), st.none() | failures, max_size=2)),
    }


def groups_are_whole(groups: Sequence[Sequence[str]]) -> bool:
    """Whether one can walk from every party to every other through sets that share one."""
    joined = set(groups[0]) if groups else set()
    for _ in groups:
        joined |= {name for group in groups if joined & set(group) for name in group}
    return joined == {name for group in groups for name in group}


def holds(seen: Seen) -> None:
    edges, blames, groups = seen.edges, seen.blames, seen.groups
    status = expectations.status_of(edges, blames, (), (), (), groups)
    agreed = expectations.agreed(edges, blames, (), groups)
    parted = [edge for edge in edges if edge.outcome == "diverges"]
    unexplained = [edge for edge in parted if not any(expectations.explains(b, edge) for b in blames)]
    uncompared = [
        edge
        for edge in edges
        if edge.outcome in ("missing", "nondeterministic") and not (edge.left + edge.right).count("@64") and not blames
    ]
    assert not (agreed and (parted or blames or uncompared))
    assert not (agreed and not groups_are_whole(groups))
    assert not (agreed and not any(edge.compared for edge in edges))
    assert status in ("expected", "undecided")
    if status == "expected":
        assert not unexplained
        assert not uncompared
        assert blames or agreed
        assert any(edge.compared for edge in edges)
    for blamed in blames:  # a step that is blamed for what was seen between two parties, and these do not agree
        single = not any(end.endswith("@64") for end in blamed.edge)
        if single and blamed.blame in ("native", "kernel", "optimizer", "reference"):
            assert not any(set(blamed.edge) <= set(group) for group in groups), blamed


@settings(max_examples=400, deadline=None)
@given(worlds())
def test_no_world_is_agreement_above_what_nobody_explains(world: dict[str, Any]) -> None:
    holds(make(**world))


@settings(max_examples=100, deadline=None)
@given(worlds(), st.sampled_from(["float16", "int32", "bool"]), st.sampled_from(sorted(TORCH)))
def test_nor_is_one_with_an_output_of_another_type(world: dict[str, Any], dtype: str, who: str) -> None:
    seen = make(**world)
    run = seen.parties.runs.get(who)
    if run is None or not (run.outputs or {}).get("y"):
        return
    other = replace(run, outputs={**run.outputs, "y": held(run.outputs["y"].load(), dtype)})
    holds(again(seen, who, other))


def again(seen: Seen, who: str, run: Run) -> Seen:
    """The same world with another run of one party."""
    parties = seen.parties.replacing(who, run)
    graphs = list(parties.graphs)
    edges = edges_of(parties, graphs, runtimes())
    models = {graph: make({f"{graph}>ort.off": RIGHT}).models[graph] for graph in graphs}
    return Seen(parties, edges, blame(parties, models, edges, runtimes(), {}), models)


@given(st.lists(st.sampled_from(["missing", "nondeterministic"]), min_size=1, max_size=5))
def test_a_case_in_which_every_outcome_is_missing_is_no_agreement(outcomes: list[Any]) -> None:
    edges = [Diff("torch", f"torch>ort.{i}", "export", outcome) for i, outcome in enumerate(outcomes)]
    assert not expectations.agreed(edges, (), ())
    assert expectations.status_of(edges, (), (), (), ()) == "undecided"
    assert expectations.status_of(edges, [Blame("crashed", "torch", ("torch", "torch"))], (), (), ()) == "undecided"


@pytest.mark.parametrize(
    ("blamed", "edge", "explained"),
    [
        (("export", "torch"), ("torch", "torch>ort.all"), True),
        (("export", "torch"), ("torch@64", "torch>reference@64"), True),
        (("export", "torch"), ("torch:raw>reference@64", "torch>reference@64"), True),
        (("export", "torch"), ("torch", "torch:raw>ort.all"), False),
        (("export", "torch"), ("truth@torch", "torch"), False),
        (("export", "torch"), ("tensorflow", "torch"), False),
        (("native", "torch"), ("torch", "torch:raw>ort.all"), True),
        (("native", "torch"), ("tensorflow", "torch"), True),
        (("native", "torch"), ("torch>reference", "torch>ort.off"), False),
        (("kernel", "torch>ort.off"), ("torch", "torch>ort.all"), True),
        (("kernel", "torch>ort.off"), ("torch", "torch>reference"), False),
        (("kernel", "torch>ort.off"), ("torch@64", "torch>reference@64"), False),
        (("reference", "torch>reference"), ("torch@64", "torch>reference@64"), True),
        (("reference", "torch>reference"), ("torch", "torch>ort.all"), False),
        (("optimizer", "torch>ort.all"), ("torch>reference", "torch>ort.off"), False),
        (("semantics", "tensorflow|torch"), ("tensorflow@64", "torch@64"), True),
        (("semantics", "tensorflow|torch"), ("truth@tensorflow", "truth@torch"), True),
        (("semantics", "tensorflow|torch"), ("truth@torch", "torch"), False),
        (("semantics", "tensorflow|torch"), ("torch", "torch>ort.all"), False),
        (("conditioning", "torch"), ("torch>reference", "torch>ort.off"), True),
        (("conditioning", "torch"), ("tensorflow", "tensorflow>ort.off"), False),
    ],
)
def test_what_a_blame_explains(blamed: tuple[str, str], edge: tuple[str, str], explained: bool) -> None:
    read_from = Blame(*blamed, edge=("nobody", "else"))
    assert expectations.explains(read_from, Diff(*edge, "step", "diverges")) is explained


def test_what_is_blamed_at_another_size_explains_nothing_at_the_declared_one() -> None:
    edge = Diff("torch", "torch>ort.all", "export", "diverges")
    blamed = Blame("export", "torch", ("torch", "torch>ort.all"), size="n=5")
    assert not expectations.explains(blamed, edge)
    assert expectations.explains(blamed, replace(edge, size="n=5"))
    assert expectations.explains(replace(blamed, size=""), replace(edge, size="n=5"))


def test_sets_of_parties_that_share_nobody_are_no_agreement() -> None:
    edges = [Diff("torch", "torch>ort.all", "export", "equal", 3)]
    assert expectations.agreed(edges, (), (), [("torch", "torch>ort.all")])
    assert expectations.agreed(edges, (), (), [("a", "b"), ("b", "c"), ("c", "d")])  # not transitive, and one piece
    assert not expectations.agreed(edges, (), (), [("a", "b"), ("c", "d"), ("b", "e")])
    assert expectations.status_of(edges, (), (), (), (), [("a", "b"), ("c", "d")]) == "undecided"


def test_an_output_that_never_has_an_element_is_not_agreed_on() -> None:
    seen = make(TORCH | {name: {"y": RIGHT, "z": ()} for name in TORCH}, derived="itself", scale=None)
    assert {edge.outcome for edge in seen.edges} == {"equal"}
    assert not expectations.agreed(seen.edges, seen.blames, (), seen.groups)
    assert expectations.never_compared(seen.edges) == {"z"}
    other = replace(seen.edges[0], size="n=5", empty=())
    assert expectations.never_compared((*seen.edges, other)) == frozenset()
    assert expectations.agreed((*seen.edges, other), seen.blames, (), seen.groups)


def test_how_far_apart_agreement_is_and_what_that_means() -> None:
    """The largest difference for the size of its output; whether the largest of a row is another one."""
    one, other = ((1.0, 2.0, 2.0 + 2.0**-21), (0.0, 0.0, 1e-4)), ((1.0, 2.0 + 2.0**-21, 2.0), (0.0, 0.0, 1e-4))
    seen = make(dict.fromkeys(["truth", *TORCH], one) | {"torch>ort.all": other}, scale=8.0, roundings=8)
    found = largest_difference(seen.parties, seen.edges)
    assert found is not None
    assert (found.right, found.output, found.max_abs, found.digits) == ("torch>ort.all", "y", 2.0**-21, 6)
    assert (found.rows, found.moved) == (2, 1)
    far = make(TORCH | {"truth@torch": RIGHT, "torch>ort.all": (1.0, 2.0, 3.1)}, derived="x", scale=2.0**19)
    found = largest_difference(far.parties, far.edges)
    assert found is not None
    assert found.digits == 1  # three percent apart
    equal = make(TORCH | {"truth@torch": RIGHT})
    assert largest_difference(equal.parties, equal.edges) is None
    doubles = make(TORCH | {"truth@torch": RIGHT, "torch>reference@64": NEAR}, derived="x", scale=2.0**19)
    assert largest_difference(doubles.parties, doubles.edges) is None
