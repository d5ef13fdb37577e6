"""Triangulation on answers made up for the purpose: who is right is known, so who is blamed can be judged."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from onnx_triangulate.engines.runtimes import runtimes
from onnx_triangulate.records.arrays import Array, ArrayFile
from onnx_triangulate.records.case import Absent
from onnx_triangulate.records.graphs import GraphFacts
from onnx_triangulate.records.party import Party
from onnx_triangulate.records.runs import Bound, Diff, Failure, Model, Run
from onnx_triangulate.records.verdict import Blame
from onnx_triangulate.verification import expectations
from onnx_triangulate.verification.agreement import groups_of
from onnx_triangulate.verification.blame import blame
from onnx_triangulate.verification.edges import edges_of
from onnx_triangulate.verification.parties import Parties
from onnx_triangulate.verification.undeclared_axes import to_declare, undeclared

RIGHT = (1.0, 2.0, 3.0)
A, B = (1.0, 2.0, 4.0), (1.0, 9.0, 3.0)
NAN = float("nan")
REFUSED = Failure("refused", "no")
STEPS = ("reference", "ort.off", "ort.all")
NO_BOUND = Bound(floor=float("inf"))


@dataclass(frozen=True)
class Held(ArrayFile):
    """An array that is in no file; its file's name tells it from others."""

    array: Any = field(default=None, compare=False)

    def load(self) -> Array:
        return np.asarray(self.array)


def held(values: Any, dtype: str) -> Held:
    array = np.asarray(values, dtype)
    return Held(Path(f"{array}.npy"), array.shape, dtype, array=array)


@dataclass(frozen=True)
class Twice:
    """Answers that differ from one run to the next."""

    values: Any


@dataclass(frozen=True)
class Seen:
    """What triangulation made of the answers."""

    parties: Parties
    edges: tuple[Diff, ...]
    blames: tuple[Blame, ...]
    models: Mapping[str, Model] = field(default_factory=dict)

    @property
    def named(self) -> set[tuple[str, str]]:
        return {(blamed.blame, blamed.party) for blamed in self.blames}

    @property
    def groups(self) -> tuple[tuple[str, ...], ...]:
        return groups_of(self.parties)

    @property
    def undecided(self) -> set[tuple[str, str]]:
        return {(edge.left, edge.right) for edge in expectations.undecided(self.edges, self.blames)}

    @property
    def status(self) -> str:
        """With every blame declared and nothing else wrong."""
        return expectations.status_of(self.edges, self.blames, (), (), ())

    def __getitem__(self, pair: tuple[str, str]) -> Diff:
        (edge,) = (e for e in self.edges if (e.left, e.right) == pair)
        return edge


def make(
    answers: Mapping[str, Any],
    *,
    scale: float | None = 1.0,
    roundings: int = 4,
    derived: str = "",
    ops: Sequence[str] = ("Conv",),
    checks: Mapping[str, Failure | None] | None = None,
    models: Mapping[str, Model] | None = None,
    nan_fed: bool = True,
    one_meaning: bool = True,
    weights: Sequence[str] = (),
    draws: tuple[str, ...] = (),
    unordered: Sequence[str] = (),
) -> Seen:
    """``answers`` by party: values of ``y``, a mapping of outputs, a Failure, or Twice.

    Definitions carry a bound of ``roundings`` on ``scale``; ``None`` gives none, which makes them exact, or unknown
    where they are ``derived``.
    """
    runs: dict[str, Run] = {}
    for name, answer in answers.items():
        party = Party.parse(name)
        dtype = "float64" if party.double or party.framework == "truth" else "float32"
        if isinstance(answer, Failure):
            runs[name] = Run(party, error=answer)
            continue
        values = answer.values if isinstance(answer, Twice) else answer
        outputs = values if isinstance(values, Mapping) else {"y": values}
        kept = {key: v if isinstance(v, Absent) else held(v, dtype) for key, v in outputs.items()}
        bounds = {}
        if party.framework == "truth" and scale is not None:
            bounds = {
                k: Bound(held(np.full(v.shape, scale), "float64"), roundings)
                for k, v in kept.items()
                if isinstance(v, Held)
            }
        runs[name] = Run(
            party,
            kept,
            deterministic=not isinstance(answer, Twice),
            bounds=bounds,
            derived=derived if party.framework == "truth" else "",
        )
    graphs = dict.fromkeys(run.party.graph for run in runs.values() if run.party.runtime)
    exported = {graph: Model(graph, Path(f"{graph}.onnx")) for graph in graphs} | dict(models or {})
    counted = dict.fromkeys(ops, 1)
    more: dict[str, Any] = {"unordered": tuple(unordered), "draws": draws}
    facts = {g: GraphFacts(Path("x"), 20, "", counted, (), (), **more) for g in graphs}
    parties = Parties(runs, facts, one_meaning=one_meaning, nan_fed=nan_fed)
    edges = edges_of(parties, list(exported), runtimes())
    blames = blame(parties, exported, edges, runtimes(), checks or {}, different_weights=weights)
    return Seen(parties, edges, blames, exported)


@pytest.mark.parametrize("scale", [1e30, 1e9, float("inf")])
def test_a_declared_bound_that_leaves_no_digit_decides_nothing(scale: float) -> None:
    """Not even where the definition is zero: what the framework gives has digits."""
    for truth in (RIGHT, (0.0, 0.0, 0.0)):
        seen = make(torch_alone(truth=truth) | graph_of("torch", usual=A), scale=scale, roundings=2**24 // 4)
        assert seen["torch", "torch>ort.all"].outcome == "missing"
        assert seen["torch@64", "torch>reference@64"].outcome != "equal"
        assert not expectations.agreed(seen.edges, seen.blames, (), seen.groups)
    sound = make(torch_alone(truth=RIGHT) | graph_of("torch", usual=(1.0, 2.0, 3.0 + 2.0**-22)), scale=3.0)
    assert sound["torch", "torch>ort.all"].outcome == "rounding"


def test_a_graph_that_parts_in_double_is_blamed_where_no_run_is_bounded() -> None:
    answers = torch_alone() | graph_of("torch", usual=A)
    seen = make(answers, scale=float("inf"), roundings=1)
    edges = tuple(
        replace(e, outcome="diverges") if (e.left, e.right) == ("torch@64", "torch>reference@64") else e
        for e in seen.edges
    )
    blames = blame(seen.parties, seen.models, edges, runtimes(), {})
    assert ("export", "torch") in {(b.blame, b.party) for b in blames}


def graph_of(name: str, answers: Mapping[str, Any] | None = None, usual: Any = RIGHT) -> dict[str, Any]:
    """The parties of one graph, all with the ``usual`` answer but for those given."""
    parties = [f"{name}>{step}" for step in (*STEPS, "reference@64")]
    return {party: (answers or {}).get(party.partition(">")[2], usual) for party in parties}


def torch_alone(**answers: Any) -> dict[str, Any]:
    """PyTorch with its optimized and its unoptimized export, everything right but for ``answers`` by party."""
    usual = {"truth": RIGHT, "torch": RIGHT, "torch@64": RIGHT} | graph_of("torch") | graph_of("torch:raw")
    return usual | answers


def test_all_agree() -> None:
    seen = make(torch_alone())
    assert seen.named == set()
    assert all(edge.outcome == "equal" and edge.compared == 3 for edge in seen.edges)
    assert seen.groups == (tuple(n for n in torch_alone() if "@64" not in n),)
    assert (seen.undecided, seen.status) == (set(), "expected")


def test_the_edges_are_the_steps() -> None:
    both = torch_alone() | {"tensorflow": RIGHT, "tensorflow@64": RIGHT} | graph_of("tensorflow:nchw")
    isolates = {(e.left, e.right): e.isolates for e in make(both).edges}
    assert {
        pair: step for pair, step in isolates.items() if "raw" not in str(pair) and "tensorflow" not in str(pair)
    } == {
        ("truth", "torch"): "native",
        ("truth", "torch@64"): "native",
        ("torch", "torch>reference"): "export",
        ("torch@64", "torch>reference@64"): "export",
        ("torch>reference", "torch>ort.off"): "kernel",
        ("torch", "torch>ort.off"): "export+kernel",
        ("torch>ort.off", "torch>ort.all"): "optimizer",
        ("torch", "torch>ort.all"): "export+kernel+optimizer",
    }
    assert isolates["torch:raw>reference@64", "torch>reference@64"] == "folding"
    assert isolates["tensorflow", "torch"] == isolates["tensorflow@64", "torch@64"] == "semantics"
    assert isolates["tensorflow", "tensorflow:nchw>reference"] == "export"
    assert len(isolates) == len(make(both).edges) == 25


def test_rounding_is_what_the_definition_allows_and_not_more() -> None:
    u = 2.0**-24
    inside, outside = (1.0, 2.0, 3.0 + 2**-22), (1.0, 2.0, 3.0 + 2**-21)
    assert 4 * u < 2**-21 <= 8 * u  # beside the definition outside, beside another party inside
    seen = make(torch_alone(**{"torch>ort.off": inside, "torch>ort.all": inside}))
    assert seen["torch>reference", "torch>ort.off"].outcome == "rounding"
    assert seen.named == set()
    assert make(torch_alone(torch=outside)).named == {("native", "torch")}
    assert ("kernel", "torch>ort.off") in make(torch_alone(**{"torch>ort.off": (1.0, 2.0, 3.0 + 2**-20)})).named
    exact = make(torch_alone(**{"torch>ort.off": inside}), scale=None)
    assert exact.named == {("kernel", "torch>ort.off")}


@pytest.mark.parametrize("wrong64", [RIGHT, A])
def test_a_wrong_export(wrong64: Any) -> None:
    """All runtimes of one graph wrong, with and without the float64 pair; the other exporter is not blamed."""
    seen = make(torch_alone() | graph_of("torch:raw", {"reference@64": wrong64}, usual=A))
    assert seen.named == {("export", "torch:raw")}
    assert seen.blames[0].edge == ("torch", "torch:raw>reference")
    assert seen.groups[1] == tuple(f"torch:raw>{step}" for step in STEPS)
    assert seen.status == "expected"  # declared and nothing uncompared


def test_an_export_wrong_in_three_ways_is_one_fault() -> None:
    given = {"reference": A, "ort.off": B, "ort.all": (NAN, 0, 0), "reference@64": A}
    assert make(torch_alone() | graph_of("torch", given)).named == {("export", "torch")}


def test_an_export_fault_that_only_float64_shows() -> None:
    """An epsilon off by one percent: far inside float32's bound, far outside float64's."""
    off = tuple(v * (1 + 1e-9) for v in RIGHT)
    seen = make(torch_alone() | {"torch>reference@64": off})
    assert seen["torch", "torch>reference"].agrees
    assert seen["torch@64", "torch>reference@64"].outcome == "diverges"
    assert seen.named == {("export", "torch")}
    assert seen.blames[0].edge == ("torch@64", "torch>reference@64")
    assert make(torch_alone() | {"torch>reference@64": tuple(v * (1 + 1e-16) for v in RIGHT)}).named == set()


def test_slack_of_a_run_is_added_to_its_bound() -> None:
    answers = torch_alone() | {"torch>reference@64": tuple(v * (1 + 1e-9) for v in RIGHT)}
    seen = make(answers)
    run = seen.parties.runs["torch>reference@64"]
    given = replace(run, bounds={"y": Bound(constant_rounding=held(np.full(3, 1e-8), "float64"))})
    parties = Parties({**seen.parties.runs, "torch>reference@64": given}, {})
    assert parties.diff("torch@64", "torch>reference@64", "export").outcome == "rounding"
    assert parties.diff("torch@64", "torch:raw>reference@64", "export").outcome == "equal"


def test_a_kernel_fault() -> None:
    seen = make(torch_alone() | graph_of("torch", {"ort.off": A, "ort.all": A}))
    assert seen.named == {("kernel", "torch>ort.off")}
    assert seen.blames[0].edge == ("torch>reference", "torch>ort.off")
    assert "3 against 4" in seen.blames[0].message


def test_an_optimizer_fault() -> None:
    seen = make(torch_alone() | graph_of("torch", {"ort.all": A}))
    assert seen.named == {("optimizer", "torch>ort.all")}
    assert seen.blames[0].edge == ("torch>ort.off", "torch>ort.all")


def test_a_fault_of_the_reference() -> None:
    assert make(torch_alone() | graph_of("torch", {"reference": A})).named == {("reference", "torch>reference")}
    both = graph_of("torch", {"reference": A, "reference@64": A})
    assert make(torch_alone() | both).named == {("reference", "torch>reference")}


def test_a_kernel_fault_that_the_optimizer_repairs_is_the_kernels() -> None:
    seen = make(torch_alone() | graph_of("torch", {"ort.off": A}))
    assert seen["torch>ort.off", "torch>ort.all"].outcome == "diverges"
    assert seen.named == {("kernel", "torch>ort.off")}


def test_an_optimizer_that_replaces_one_wrong_by_another() -> None:
    seen = make(torch_alone() | graph_of("torch", {"ort.off": A, "ort.all": B}))
    assert seen.named == {("kernel", "torch>ort.off"), ("optimizer", "torch>ort.all")}


def test_an_export_fault_that_the_optimizer_hides_is_the_exports() -> None:
    """float64 arbitrates: what the reference inherits from the graph is not its own."""
    given = {"reference": A, "ort.off": A, "reference@64": A}
    assert make(torch_alone() | graph_of("torch", given)).named == {("export", "torch")}


def test_a_native_fault_beside_an_export_that_means_the_definition() -> None:
    seen = make(torch_alone(torch=A))
    assert seen["torch", "torch>reference"].outcome == "diverges"
    assert seen.named == {("native", "torch")}


def test_a_native_fault_in_float64_does_not_excuse_an_export_that_is_wrong_in_another_way() -> None:
    seen = make(torch_alone(**{"torch@64": A, "torch>reference@64": B}))
    assert seen.named == {("native", "torch@64"), ("export", "torch")}


def test_a_native_fault_that_the_export_keeps() -> None:
    wrong = {"torch": A, "torch@64": A}
    assert make(torch_alone(**wrong) | graph_of("torch", usual=A)).named == {("native", "torch")}


def test_a_native_fault_in_both_precisions_beside_an_export_that_means_the_definition() -> None:
    """The float64 pair parts as well, and not by the exporter's fault."""
    seen = make(torch_alone(**{"torch": A, "torch@64": A}))
    assert seen["torch@64", "torch>reference@64"].outcome == "diverges"
    assert seen.named == {("native", "torch")}
    assert make(torch_alone(**{"torch@64": A})).named == {("native", "torch@64")}


def test_a_native_fault_beside_another_fault() -> None:
    wrong = make(torch_alone(torch=A) | graph_of("torch", usual=B))
    assert wrong.named == {("native", "torch"), ("export", "torch")}
    kernel = make(torch_alone(torch=A) | graph_of("torch", {"ort.off": B, "ort.all": B}))
    assert kernel.named == {("native", "torch"), ("kernel", "torch>ort.off")}


def test_runtimes_that_part_between_a_wrong_source_and_the_definition_are_not_passed_over() -> None:
    """Each agrees with somebody who could be right; but one graph means one thing."""
    seen = make(torch_alone(torch=A) | graph_of("torch", {"reference": A, "reference@64": RIGHT}))
    assert seen.named == {("native", "torch"), ("kernel", "torch>ort.off")}


def test_runtimes_too_far_from_each_other_though_near_enough_to_the_source() -> None:
    """Agreement is not transitive: 2 B on either side of the source is 4 B from one another."""
    b = 4 * 2.0**-24
    given = {"reference": (1.0, 2.0, 3.0 - 1.9 * b), "ort.off": (1.0, 2.0, 3.0 + 1.9 * b), "ort.all": RIGHT}
    seen = make(torch_alone() | graph_of("torch", given), roundings=4)
    assert seen["torch", "torch>reference"].agrees
    assert seen["torch", "torch>ort.off"].agrees
    assert seen["torch>reference", "torch>ort.off"].outcome == "diverges"
    assert seen.named == {("kernel", "torch>ort.off")}
    first, *rest = seen.groups
    assert {"torch>reference", "torch>ort.off"} - set(first)
    assert "torch>ort.all" in first
    assert any("torch>ort.all" in group and "torch>reference" in group for group in seen.groups)
    assert any("torch>ort.all" in group and "torch>ort.off" in group for group in seen.groups)
    assert rest


@pytest.mark.parametrize("parted", ["declared", "other"])
def test_parties_that_part_at_one_size_are_in_no_group_together(parted: str) -> None:
    healthy, odd = make(torch_alone()), make(torch_alone() | {"torch>ort.all": A})
    declared, other = (odd, healthy) if parted == "declared" else (healthy, odd)
    groups = groups_of(declared.parties, other.parties)
    assert groups == groups_of(odd.parties)
    assert not any({"torch", "torch>ort.all"} <= set(group) for group in groups)
    assert groups_of(healthy.parties, healthy.parties) == healthy.groups


def test_groups_are_all_the_largest_sets_that_agree_throughout() -> None:
    """Against every subset, for answers that lie on a line and agree up to a distance."""
    u = 2.0**-24
    generator = np.random.default_rng(0)
    names = ["truth", "torch", *(f"{graph}>{step}" for graph in ("torch", "torch:raw") for step in STEPS)]
    sizes = set()
    for _ in range(30):
        places = {
            name: (float(place) * u, 1.0)
            for name, place in zip(names, generator.integers(-6, 7, len(names)), strict=True)
        }
        seen = make(places, roundings=2)
        near = {
            frozenset(pair)
            for pair in itertools.combinations(names, 2)
            if seen.parties.between(*pair).outcome != "diverges"
        }
        agreeing = [
            set(some)
            for size in range(1, len(names) + 1)
            for some in itertools.combinations(names, size)
            if all(frozenset(pair) in near for pair in itertools.combinations(some, 2))
        ]
        largest = [some for some in agreeing if not any(some < other for other in agreeing)]
        assert sorted(map(sorted, seen.groups)) == sorted(map(sorted, largest))
        assert [len(group) for group in seen.groups] == sorted((len(g) for g in seen.groups), reverse=True)
        sizes |= {len(seen.groups)}
    assert max(sizes) > 3


def test_derived_definitions_agree_up_to_float64s_own_rounding() -> None:
    answers = two(RIGHT, RIGHT, torch=RIGHT, tensorflow=tuple(np.nextafter(v, 9) for v in RIGHT))
    (group,) = make(answers, derived="itself").groups
    assert {"truth@torch", "truth@tensorflow", "torch", "tensorflow"} == set(group)


def test_folding_by_the_exporters_optimizer() -> None:
    """'torch' wrong, 'torch:raw' right: said to be its optimizer, which is not said where both are wrong."""
    folded = make(torch_alone() | graph_of("torch", usual=A))
    assert folded.named == {("export", "torch")}
    assert "its optimizer" in folded.blames[0].message
    assert folded["torch:raw>reference@64", "torch>reference@64"].isolates == "folding"
    translated = make(torch_alone() | graph_of("torch", usual=A) | graph_of("torch:raw", usual=A))
    assert translated.named == {("export", "torch"), ("export", "torch:raw")}
    assert not any("its optimizer" in blamed.message for blamed in translated.blames)
    raw = make(torch_alone() | graph_of("torch:raw", usual=A))
    assert not any("its optimizer" in blamed.message for blamed in raw.blames)


@pytest.mark.parametrize("kind", ["crashed", "timeout", "memory"])
@pytest.mark.parametrize(
    "name", ["torch", "torch@64", "torch>reference", "torch>ort.off", "torch>ort.all", "torch>reference@64", "truth"]
)
def test_a_party_that_died(name: str, kind: str) -> None:
    """F5."""
    seen = make(torch_alone(**{name: Failure(kind, "gone", op="Unique")}))
    assert seen.named == {("crashed", name)}
    assert [e for e in seen.edges if e.outcome != "equal"] == [e for e in seen.edges if name in (e.left, e.right)]
    assert all(
        e.outcome == "missing" and e.compared == 0 and f"{name} has no value" in str(e.problem)
        for e in seen.edges
        if name in (e.left, e.right)
    )
    assert seen.blames[0].op == "Unique"
    assert name in seen.blames[0].edge


@pytest.mark.parametrize("kind", ["refused", "invalid"])
def test_a_graph_that_every_runtime_refuses(kind: str) -> None:
    error = Failure(kind, "No Op registered for Log1p", op="Log1p", node="log")
    seen = make(torch_alone() | graph_of("torch", usual=error))
    assert seen.named == {("export-failed", "torch")}
    assert (seen.blames[0].op, seen.blames[0].nodes) == ("Log1p", ("log",))
    assert seen.blames[0].edge == ("torch", "torch>*")
    assert (seen.undecided, seen.status) == (set(), "expected")


def test_a_graph_that_nobody_implements_is_a_valid_one() -> None:
    """The checker has nothing against it, and neither have the runtimes: they lack an operator."""
    seen = make(torch_alone() | graph_of("torch", usual=Failure("unsupported", "not implemented", op="Foo")))
    assert seen.named == {("unsupported", f"torch>{name}") for name in ("reference", "ort.off", "ort.all")}


def test_a_graph_that_its_definition_runs_is_a_valid_one() -> None:
    """Every runtime fails in its own way, and the evaluation in float64 has what the model means."""
    failure = Failure("refused", "cannot", op="ConvTranspose")
    seen = make(torch_alone() | graph_of("torch", {"reference@64": RIGHT}, usual=failure))
    assert seen.named == {("unsupported", f"torch>{name}") for name in ("reference", "ort.off", "ort.all")}
    assert make(torch_alone() | graph_of("torch", usual=failure)).named == {("export-failed", "torch")}


@pytest.mark.parametrize("kind", ["refused", "unsupported", "invalid"])
def test_what_only_the_evaluator_lacks_is_nobodys_fault(kind: str) -> None:
    lack = Failure(kind, "the evaluator cannot run this", op="GatherElements")
    seen = make(torch_alone(**{"torch>reference": lack}))
    assert seen.named == set()
    assert not [e for e in seen.edges if "torch>reference" in (e.left, e.right)]
    assert [e for e in seen.edges if (e.left, e.right) == ("torch", "torch>ort.off") and e.agrees]
    assert make(torch_alone(**{"torch>ort.off": lack})).named == {("unsupported", "torch>ort.off")}


def test_the_op_is_named_by_whoever_knows_it() -> None:
    errors = {
        "reference": Failure("refused", "?"),
        "ort.off": Failure("invalid", "!", op="Log1p"),
        "ort.all": Failure("refused", "?"),
    }
    seen = make(torch_alone() | graph_of("torch", errors, usual=Failure("refused", "?")))
    assert seen.blames[0].op == "Log1p"


def test_a_graph_that_the_checker_refuses() -> None:
    """F2, although every runtime takes it."""
    seen = make(torch_alone(), checks={"torch": Failure("invalid", "not a model", op="Conv"), "torch:raw": None})
    assert seen.named == {("export-failed", "torch")}
    assert "not a model" in seen.blames[0].message


def test_a_checker_that_died_is_no_pass() -> None:
    """F5."""
    seen = make(torch_alone(), checks={"torch": Failure("crashed", "killed by signal SIGSEGV")})
    assert {blamed.blame for blamed in seen.blames} == {"crashed"}
    assert "SIGSEGV" in seen.blames[0].message
    wrong = make(torch_alone() | graph_of("torch", {"ort.all": A}), checks={"torch": Failure("timeout", "hung")})
    assert {blamed.blame for blamed in wrong.blames} == {"crashed", "optimizer"}


@pytest.mark.parametrize("kind", ["refused", "unsupported", "invalid"])
def test_a_graph_that_one_runtime_refuses(kind: str) -> None:
    error = Failure(kind, "not implemented", op="Einsum", node="e")
    seen = make(torch_alone() | graph_of("torch", {"ort.off": error}))
    assert seen.named == {("unsupported", "torch>ort.off")}
    assert (seen.blames[0].op, seen.blames[0].nodes) == ("Einsum", ("e",))
    assert (seen.undecided, seen.status) == (set(), "expected")


@pytest.mark.parametrize("kind", ["refused", "unsupported", "invalid"])
def test_a_graph_that_a_runtime_refuses_only_when_it_optimizes(kind: str) -> None:
    error = Failure(kind, "Node input 'a' is not a graph input", op="Einsum", node="e")
    seen = make(torch_alone() | graph_of("torch", {"ort.all": error}))
    assert seen.named == {("optimizer", "torch>ort.all")}
    (blamed,) = seen.blames
    assert (blamed.op, blamed.nodes, blamed.edge) == ("Einsum", ("e",), ("torch>ort.off", "torch>ort.all"))
    assert "torch>ort.off runs this and torch>ort.all does not: Node input 'a'" in blamed.message
    assert seen.undecided == set()
    both = make(torch_alone() | graph_of("torch", {"ort.off": error, "ort.all": error}))
    assert both.named == {("unsupported", "torch>ort.off"), ("unsupported", "torch>ort.all")}


def test_a_wrong_runtime_beside_one_that_refuses_is_still_blamed() -> None:
    seen = make(torch_alone() | graph_of("torch", {"reference": REFUSED, "ort.all": A}))
    assert seen.named == {("optimizer", "torch>ort.all")}
    behind = make(torch_alone() | graph_of("torch", {"ort.off": REFUSED, "ort.all": A}))
    assert behind.named == {("unsupported", "torch>ort.off"), ("optimizer", "torch>ort.all")}
    (blamed,) = (b for b in behind.blames if b.blame == "optimizer")
    assert blamed.edge == ("torch", "torch>ort.all")


@pytest.mark.parametrize("kind", ["refused", "invalid"])
def test_an_exporter_that_refuses(kind: str) -> None:
    answers = {n: v for n, v in torch_alone().items() if not n.startswith("torch>")}
    seen = make(answers, models={"torch": Model("torch", error=Failure(kind, "data-dependent item()", op="item"))})
    assert seen.named == {("export-failed", "torch")}
    assert (seen.blames[0].op, seen.blames[0].edge) == ("item", ("torch", "torch>*"))


def test_an_exporter_that_died() -> None:
    answers = {n: v for n, v in torch_alone().items() if not n.startswith("torch>")}
    assert make(answers, models={"torch": Model("torch", error=Failure("timeout", "hung"))}).named == {
        ("crashed", "torch")
    }


def test_a_source_that_refuses() -> None:
    """The definition judges what its exports give."""
    seen = make(torch_alone(torch=REFUSED))
    assert seen.named == {("unsupported", "torch")}
    wrong = make(torch_alone(torch=REFUSED) | graph_of("torch", {"ort.off": A, "ort.all": A}))
    assert wrong.named == {("unsupported", "torch"), ("kernel", "torch>ort.off")}
    export = make(torch_alone(torch=REFUSED) | graph_of("torch", usual=A))
    assert export.named == {("unsupported", "torch"), ("export", "torch")}


@pytest.mark.parametrize("graph", [A, RIGHT, REFUSED])
def test_a_source_that_refuses_where_nothing_else_says_what_is_right(graph: Any) -> None:
    answers = {("truth@torch" if n == "truth" else n): v for n, v in torch_alone(torch=REFUSED).items()}
    answers["truth@torch"] = REFUSED
    seen = make(answers | graph_of("torch", usual=graph), derived="torch itself, which has no answer")
    assert seen.named == {("unsupported", "torch")}
    assert seen.blames[0].message == "torch itself gives no answer to these inputs: no"


@pytest.mark.parametrize(
    ("given", "says"), [(True, "the given graph means"), (False, "the graph that its optimizer wrote")]
)
def test_a_given_graph_was_not_written_here(given: bool, says: str) -> None:
    models = {graph: Model(graph, external=given) for graph in ("torch", "torch:raw")}
    seen = make(torch_alone() | graph_of("torch", usual=A), models=models)
    assert seen.blames[0].message.startswith(says)


def test_graphs_without_any_source() -> None:
    answers = {n: v for n, v in torch_alone().items() if n not in ("torch", "torch@64")} | graph_of("torch", usual=A)
    seen = make(answers)
    assert seen.named == {("export", "torch")}
    assert seen.blames[0].edge == ("truth", "torch>reference")


@pytest.mark.parametrize("name", ["torch", "torch>reference", "torch>ort.off", "torch>ort.all", "torch@64"])
def test_a_party_that_does_not_agree_with_itself(name: str) -> None:
    seen = make(torch_alone(**{name: Twice(RIGHT)}))
    assert seen.named == {("nondeterministic", name)}
    touched = [e for e in seen.edges if name in (e.left, e.right)]
    assert touched
    assert {e.outcome for e in touched} == {"nondeterministic"}
    assert not any(name in group for group in seen.groups)
    assert (seen.undecided, seen.status) == (set(), "expected")


@pytest.mark.parametrize(("ops", "kind"), [(("Max",), "unspecified"), (("Conv",), "kernel")])
def test_nan_where_onnx_says_nothing_of_it(ops: tuple[str, ...], kind: str) -> None:
    given = {"ort.off": (1.0, NAN, 3.0), "ort.all": (1.0, NAN, 3.0)}
    assert make(torch_alone() | graph_of("torch", given), ops=ops).named == {(kind, "torch>ort.off")}
    both = {"ort.off": (1.0, NAN, 4.0), "ort.all": (1.0, NAN, 4.0)}
    assert make(torch_alone() | graph_of("torch", both), ops=ops).named == {("kernel", "torch>ort.off")}


def test_a_nan_that_nobody_fed_is_not_left_open() -> None:
    """Neither an input nor the source holds one, so whoever made it is to blame, whatever ONNX says of NaN in Max."""
    given = torch_alone() | graph_of("torch", {"ort.off": (1.0, NAN, 3.0), "ort.all": (1.0, NAN, 3.0)})
    assert make(given, ops=("Max",), nan_fed=False).named == {("kernel", "torch>ort.off")}
    assert make(given, ops=("Max",), nan_fed=True).named == {("unspecified", "torch>ort.off")}


@pytest.mark.parametrize(
    ("unordered", "off", "kind"),
    [
        (("top",), (3.0, 1.0, 2.0), "unspecified"),
        ((), (3.0, 1.0, 2.0), "kernel"),
        (("top",), (3.0, 1.0, 2.5), "kernel"),
        (("top",), (3.0, 1.0, 1.0), "kernel"),
    ],
)
def test_an_order_that_onnx_leaves_open(unordered: tuple[str, ...], off: tuple[float, ...], kind: str) -> None:
    answers = torch_alone() | graph_of("torch", {"ort.off": off, "ort.all": off}, (1.0, 2.0, 3.0))
    seen = make(answers, ops=("TopK",), unordered=unordered)
    assert seen.named == {(kind, "torch>ort.off")}
    assert seen.blames[0].nodes == (unordered if kind == "unspecified" else ())


def test_an_order_that_no_runtime_keeps_is_open_as_well() -> None:
    answers = torch_alone() | graph_of("torch", usual=(3.0, 1.0, 2.0))
    assert make(answers, ops=("TopK",), unordered=("top",)).named == {("unspecified", "torch")}
    assert make(answers, ops=("TopK",)).named == {("export", "torch")}


@pytest.mark.parametrize(("ops", "kind"), [(("Max",), "unspecified"), (("Conv",), "export")])
def test_nan_in_every_runtime_where_onnx_says_nothing_of_it(ops: tuple[str, ...], kind: str) -> None:
    answers = torch_alone() | graph_of("torch", usual=(1.0, NAN, 3.0))
    assert make(answers, ops=ops).named == {(kind, "torch")}
    assert make(answers | {"torch>ort.all": (1.0, NAN, 4.0)}, ops=ops).named == {("export", "torch")}


@pytest.mark.parametrize("scale", [1.0, None])
@pytest.mark.parametrize("values", [(1.0, 2.0, float("inf")), (1.0, 2.0, NAN)])
@pytest.mark.parametrize("derived", ["", "torch in float64"])
def test_non_finite_against_finite_parts_whatever_is_known(scale: float | None, values: Any, derived: str) -> None:
    """F1, F13: also where nobody has a bound."""
    name = "truth@torch" if derived else "truth"
    answers = {name if n == "truth" else n: v for n, v in torch_alone().items()}
    seen = make(answers | graph_of("torch", {"ort.all": values}), scale=scale, derived=derived)
    assert seen.named == {("optimizer", "torch>ort.all")}
    assert make(answers | graph_of("torch", usual=values), scale=scale, derived=derived).named == {("export", "torch")}


@pytest.mark.parametrize(
    ("step", "kind"), [("reference", "reference"), ("ort.off", "kernel"), ("ort.all", "optimizer")]
)
def test_an_output_that_one_runtime_loses(step: str, kind: str) -> None:
    """F10."""
    full, short = {"y": RIGHT, "z": RIGHT}, {"y": RIGHT}
    answers = dict.fromkeys(torch_alone(), full) | {f"torch>{step}": short}
    seen = make(answers)
    assert seen.named == {(kind, f"torch>{step}")}
    assert "has no output z" in str(seen["torch", f"torch>{step}"].problem)
    assert seen["torch", f"torch>{step}"].outcome == "missing"


def test_an_output_that_every_runtime_or_the_source_loses() -> None:
    full, short = {"y": RIGHT, "z": RIGHT}, {"y": RIGHT}
    answers = dict.fromkeys(torch_alone(), full)
    assert make(answers | graph_of("torch", usual=short)).named == {("export", "torch")}
    source = make(answers | {"torch": short})
    assert ("truth", "torch") in source.undecided
    assert source.status == "undecided"


def test_an_output_of_another_shape_parts() -> None:
    """F3."""
    answers = torch_alone() | graph_of("torch", {"ort.all": (RIGHT,)})
    seen = make(answers)
    assert seen.named == {("optimizer", "torch>ort.all")}
    assert "shape" in seen.blames[0].message
    assert make(torch_alone(torch=(RIGHT,))).named == {("native", "torch")}


def test_absent_on_purpose() -> None:
    absent = {"y": RIGHT, "grad_h": Absent("not a leaf")}
    answers = dict.fromkeys(torch_alone(), absent)
    assert make(answers).named == set()
    assert make(answers | {"torch>ort.all": {"y": RIGHT, "grad_h": RIGHT}}).named == {("optimizer", "torch>ort.all")}


def derived_alone(**answers: Any) -> dict[str, Any]:
    return {("truth@torch" if n == "truth" else n): v for n, v in torch_alone(**answers).items()}


def test_a_definition_derived_without_bounds_leaves_differences_undecided() -> None:
    given = graph_of("torch", {"ort.off": A, "ort.all": A})
    seen = make(derived_alone() | given, scale=None, derived="torch in float64")
    assert seen["torch", "torch>ort.off"].outcome == "missing"
    assert seen.named == set()
    assert {
        ("torch", "torch>ort.off"),
        ("torch", "torch>ort.all"),
        ("torch>reference", "torch>ort.off"),
    } <= seen.undecided
    assert seen.status == "undecided"
    assert not any("torch" in group and "torch>ort.off" in group for group in seen.groups)
    assert make(derived_alone(), scale=None, derived="torch in float64").status == "expected"


def test_a_bound_that_could_not_be_derived_leaves_differences_undecided() -> None:
    for native, outcome in ((A, "missing"), (RIGHT, "equal")):
        seen = make(torch_alone(torch=native))
        unknown = replace(seen.parties.runs["truth"], bounds={"y": Bound()})
        assert seen.parties.replacing("truth", unknown).diff("truth", "torch", "native").outcome == outcome


def test_an_unknown_bound_is_not_excused_by_anybodys_blame() -> None:
    """The frameworks part as declared, and torch's export stays uncompared: that is not 'as expected'."""
    both = derived_alone() | {"truth@tensorflow": B, "tensorflow": (1.0, NAN, 3.0), "tensorflow@64": B}
    seen = make(both | graph_of("torch", {"ort.all": A}), scale=None, derived="itself")
    assert ("semantics", "tensorflow|torch") in seen.named
    assert ("torch", "torch>ort.all") in seen.undecided
    assert seen.status == "undecided"


def test_a_lost_output_is_not_excused_by_a_blame_of_somebody_else() -> None:
    full, short = {"y": RIGHT, "z": RIGHT}, {"y": RIGHT}
    answers = dict.fromkeys(torch_alone(), full) | {"torch": {"y": A, "z": RIGHT}, "torch>ort.all": short}
    seen = make(answers)
    assert ("native", "torch") in seen.named
    assert ("optimizer", "torch>ort.all") in seen.named or ("torch", "torch>ort.all") in seen.undecided


def test_a_derived_definition_with_bounds_judges() -> None:
    given = graph_of("torch", {"ort.off": A, "ort.all": A})
    seen = make(derived_alone() | given, derived="torch in float64")
    assert seen.named == {("kernel", "torch>ort.off")}
    assert make(derived_alone(torch=A), derived="torch in float64").named >= {("native", "torch")}


def two(torch: Any, tensorflow: Any, /, **truths: Any) -> dict[str, Any]:
    answers = {f"truth@{name}" if name != "mixed" else "truth@torch(tensorflow)": v for name, v in truths.items()}
    return answers | {"torch": torch, "torch@64": torch, "tensorflow": tensorflow, "tensorflow@64": tensorflow}


@pytest.mark.parametrize(
    ("mixed", "tensorflow", "steps"),
    [
        (RIGHT, A, {"semantics"}),
        (A, A, {"parameters"}),
        (B, A, {"parameters", "semantics"}),
    ],
)
def test_meaning_and_parameters_are_told_apart_by_the_definitions(mixed: Any, tensorflow: Any, steps: set[str]) -> None:
    seen = make(two(RIGHT, tensorflow, torch=RIGHT, mixed=mixed, tensorflow=tensorflow), one_meaning=False)
    assert seen.named == {(step, "tensorflow|torch") for step in steps}
    assert seen["truth@torch", "truth@torch(tensorflow)"].isolates == "parameters"
    assert seen["truth@torch(tensorflow)", "truth@tensorflow"].isolates == "semantics"
    assert not any("(" in name for group in seen.groups for name in group)


def test_definitions_are_themselves_rounded() -> None:
    """Two formulas of one meaning, a bit of float64 apart: not another meaning beside other parameters."""
    mixed = tuple(np.nextafter(v, 9) for v in A)
    assert make(two(RIGHT, A, torch=RIGHT, mixed=mixed, tensorflow=A), one_meaning=False).named == {
        ("parameters", "tensorflow|torch")
    }
    exact = make(two(RIGHT, A, torch=RIGHT, mixed=mixed, tensorflow=A), one_meaning=False, scale=None)
    assert exact["truth@torch(tensorflow)", "truth@tensorflow"].outcome == "diverges"


def test_one_meaning_and_two_sets_of_parameters() -> None:
    assert make(two(RIGHT, A, torch=RIGHT, tensorflow=A)).named == {("parameters", "tensorflow|torch")}
    assert make(two(RIGHT, A, torch=RIGHT, tensorflow=A), one_meaning=False).named == {
        ("semantics", "tensorflow|torch")
    }


def test_frameworks_that_part_without_a_definition() -> None:
    answers = two(RIGHT, (1.0, 2.0, NAN))
    assert make(answers).named == {("semantics", "tensorflow|torch")}
    other = make(answers, weights=("scale",))
    assert other.named == {("parameters", "tensorflow|torch")}
    assert "scale" in other.blames[0].message
    unknown = make(two(RIGHT, A))
    assert (unknown.named, unknown.status) == (set(), "undecided")


def test_a_native_fault_is_not_another_meaning() -> None:
    answers = {"truth": RIGHT} | two(RIGHT, A)
    assert make(answers).named == {("native", "tensorflow")}


@pytest.mark.parametrize("name", ["truth@torch", "truth@tensorflow"])
def test_definitions_that_part_do_not_hide_a_native_fault(name: str) -> None:
    truths = {"truth@torch": RIGHT, "truth@tensorflow": A}
    answers = truths | two(RIGHT, A) | {name.removeprefix("truth@"): B}
    native = name.removeprefix("truth@")
    assert make(answers, one_meaning=False).named == {("native", native), ("semantics", "tensorflow|torch")}


def test_zero_sign_is_open_where_an_operator_leaves_it_so() -> None:
    zeros = {"truth": (0.0,), "torch": (0.0,), "torch@64": (0.0,)} | graph_of(
        "torch", {"ort.off": (-0.0,), "ort.all": (-0.0,)}, usual=(0.0,)
    )
    assert make(zeros, scale=None, ops=("Relu",)).named == set()
    assert make(zeros, scale=None, ops=("Mul",)).named == {("kernel", "torch>ort.off")}


FLOAT32 = ("torch", *(f"torch:raw>{step}" for step in STEPS))
TRUTHS: Mapping[str, dict[str, Any]] = {
    "defined": {"truth": RIGHT},
    "none": {},
    "lost": {"truth": REFUSED},
}


def check(answers: Mapping[str, Any], seen: Seen) -> None:
    """What must hold of any answers: nothing that parts or is missing is passed over, and nobody right is blamed."""
    parties = {blamed.party for blamed in seen.blames}
    single = [e for e in seen.edges if not e.left.endswith("@64") and not e.right.endswith("@64")]
    defined = answers.get("truth") == RIGHT
    for edge in single:
        at = f"{answers}\n{edge}\n{seen.blames}"
        if edge.outcome == "diverges":
            between = {edge.left, edge.right} - {"truth"}
            if "ort" in edge.right:
                between |= {"torch:raw>reference", "torch:raw>ort.off"}
            if ">" in edge.right:
                between.add("torch:raw")
            assert parties & between, at
        elif edge.outcome in ("missing", "nondeterministic"):
            explained = {b.party for b in seen.blames if b.blame in LACKING} & {edge.left, edge.right}
            refused = ("export-failed", "torch:raw") in seen.named and ">" in edge.right
            lost = ("export", "torch:raw") in seen.named and ">" in edge.right and not edge.compared
            assert explained or refused or lost or (edge.left, edge.right) in seen.undecided, at
    clean = all(edge.agrees for edge in single)
    assert clean or seen.blames or seen.status == "undecided", answers
    if defined:
        for blamed in seen.blames:
            if blamed.blame in ("kernel", "optimizer", "reference"):
                right_source = answers["torch"] == RIGHT
                assert answers[blamed.party] != RIGHT or not right_source, f"{answers}\n{blamed}"
            if blamed.blame == "native":
                assert answers[blamed.party] != RIGHT
            if blamed.blame == "export":
                given = [answers[name] for name in FLOAT32[1:] if not isinstance(answers[name], Failure)]
                assert RIGHT not in given or answers["torch:raw>reference@64"] != answers["torch@64"], answers
    if set(map(str, answers.values())) == {str(RIGHT)}:
        assert (seen.named, seen.status) == (set(), "expected")


LACKING = ("crashed", "unsupported", "nondeterministic", "kernel", "optimizer", "reference")


@pytest.mark.parametrize("truth", ["defined", "none"])
@pytest.mark.parametrize("native64", [RIGHT, A, REFUSED])
def test_nothing_is_passed_over_whoever_is_right_wrong_or_missing(truth: str, native64: Any) -> None:
    """Every pattern of right, wrong in two ways and refused, with the float64 pair in each of its own."""
    for given in itertools.product((RIGHT, A, B, REFUSED), repeat=4):
        for reference64 in (RIGHT, A, REFUSED):
            answers = {
                **TRUTHS[truth],
                **dict(zip(FLOAT32, given, strict=True)),
                "torch@64": native64,
                "torch:raw>reference@64": reference64,
            }
            check(answers, make(answers))


@pytest.mark.parametrize("truth", ["defined", "lost"])
def test_nothing_is_passed_over_however_it_is_missing(truth: str) -> None:
    """Every pattern of right, wrong, not finite, crashed, an output lost, and two answers to one question."""
    full, short = {"y": RIGHT, "z": RIGHT}, {"y": RIGHT}
    states = (
        full,
        {"y": A, "z": RIGHT},
        {"y": RIGHT, "z": (1.0, NAN, 3.0)},
        Failure("crashed", "gone"),
        short,
        Twice(full),
    )
    definition = {name: full if value == RIGHT else value for name, value in TRUTHS[truth].items()}
    for given in itertools.product(states, repeat=4):
        answers = {
            **definition,
            **dict(zip(FLOAT32, given, strict=True)),
            "torch@64": full,
            "torch:raw>reference@64": full,
        }
        check(answers, make(answers))


@pytest.mark.parametrize(
    ("ops", "nan_fed", "blamed"),
    [(("ArgMax",), True, "unspecified"), (("ArgMax",), False, "kernel"), (("Conv",), True, "kernel")],
)
def test_the_place_of_a_nan_is_as_open_as_its_value(ops: tuple[str, ...], nan_fed: bool, blamed: str) -> None:
    """ONNX Runtime's ArgMax skips a NaN that torch and the reference evaluator take."""
    seen = make({name: RIGHT for name in torch_alone() if name != "truth"}, ops=ops, nan_fed=nan_fed, scale=None)
    parties = seen.parties
    for name, run in dict(parties.runs).items():
        place = 2 if name.startswith("torch>ort") else 1
        parties = parties.replacing(name, replace(run, outputs={"y": held(place, "int64")}))
    edges = edges_of(parties, list(seen.models), runtimes())
    found = {(b.blame, b.party) for b in blame(parties, seen.models, edges, runtimes(), {})}
    assert found == {(blamed, "torch>ort.off")}


@pytest.mark.parametrize(("graphs", "agrees"), [("bfloat16", True), ("float32", False)])
def test_numbers_that_numpy_has_no_type_for_are_held_against_their_own_type(graphs: str, agrees: bool) -> None:
    numbers = np.array([1.0, -2.5, 3.0], np.float32)
    kept = replace(held(numbers, "float32"), original_dtype="bfloat16")
    theirs = Held(Path("theirs.npy"), (3,), graphs, array=numbers.astype(getattr(ml_dtypes, graphs, graphs)))
    runs = {
        "torch": Run(Party("torch"), outputs={"y": kept}),
        "torch>reference": Run(Party.parse("torch>reference"), outputs={"y": theirs}),
    }
    edge = Parties(runs, {}).diff("torch", "torch>reference", "export")
    assert edge.agrees == agrees
    assert agrees or "bfloat16" in (edge.problem or "")


def test_an_optimizer_that_takes_chance_out_of_a_graph_is_named() -> None:
    """Where nothing draws, the level that does not agree with itself is at fault; where both levels draw, nobody is."""
    once = {"truth": RIGHT, **graph_of("torch"), "torch": Twice(RIGHT), "torch>ort.off": Twice(RIGHT)}
    seen = make(once, draws=("dropout",))
    (blamed,) = [each for each in seen.blames if each.blame == "optimizer"]
    assert (blamed.party, blamed.edge) == ("torch>ort.all", ("torch>ort.off", "torch>ort.all"))
    assert blamed.nodes == ("dropout",)
    assert "taken out" in blamed.message
    both = make(once | {"torch>ort.all": Twice(RIGHT)}, draws=("dropout",))
    for healthy in (make(once), both):
        assert not [each for each in healthy.blames if each.blame == "optimizer"]


CHANNELS_LAST = {"torch": {}, "tensorflow": {"n c h w": "n h w c"}}


@pytest.mark.parametrize(
    ("declared", "shift", "perm", "told"),
    [
        ((), 0.0, (0, 2, 3, 1), True),
        (("y",), 0.0, (0, 2, 3, 1), False),
        ((), 1.0, (0, 2, 3, 1), False),
        ((), 0.0, (0, 1, 3, 2), False),
    ],
)
def test_an_output_that_each_framework_gives_in_its_own_order(
    declared: tuple[str, ...], shift: float, perm: tuple[int, ...], told: bool
) -> None:
    y = np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4)
    theirs = (np.transpose(y, perm) + np.float32(shift)).copy()
    seen = make({"torch": y, "tensorflow": theirs, "truth@torch": y, "truth@tensorflow": theirs}, one_meaning=False)
    edge = seen["tensorflow", "torch"]
    assert edge.outcome == "diverges"
    says = undeclared(seen.parties, edge, declared, CHANNELS_LAST)
    assert bool(says) == told
    assert not told or 'declare outputs={"y": Tensor("n c h w")}' in says[0]


@pytest.mark.parametrize(
    ("declared", "perm", "told"), [((), (0, 2, 3, 1), True), (("y",), (0, 2, 3, 1), False), ((), (0, 1, 3, 2), False)]
)
def test_where_more_than_the_order_parts_it_is_said_what_to_declare(
    declared: tuple[str, ...], perm: tuple[int, ...], told: bool
) -> None:
    y = np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4)
    theirs = (np.transpose(y, perm) + np.float32(1)).copy()
    seen = make({"torch": y, "tensorflow": theirs, "truth@torch": y, "truth@tensorflow": theirs}, one_meaning=False)
    says = to_declare(seen.parties, seen["tensorflow", "torch"], declared, CHANNELS_LAST)
    assert says == ('declare outputs={"y": Tensor("n c h w")}, so that elements can be compared' if told else "")


def test_an_output_without_declared_axes_excuses_no_other() -> None:
    y = np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4)
    mine, theirs = {"y": y, "z": RIGHT}, {"y": np.transpose(y, (0, 2, 3, 1)).copy(), "z": (1.0, 2.0, 4.0)}
    answers = {"torch": mine, "truth@torch": mine, "tensorflow": theirs, "truth@tensorflow": theirs}
    seen = make(answers, one_meaning=False)
    assert undeclared(seen.parties, seen["tensorflow", "torch"], (), CHANNELS_LAST) == ()
    seen = make(answers | {name: {**theirs, "z": RIGHT} for name in answers if "tensorflow" in name}, one_meaning=False)
    assert len(undeclared(seen.parties, seen["tensorflow", "torch"], (), CHANNELS_LAST)) == 1
