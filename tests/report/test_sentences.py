"""The vocabulary: globs that lose nothing, sentences, tallies, numbers."""

from __future__ import annotations

import dataclasses
import fnmatch
import math
from typing import Any

import numpy as np
import pytest

from onnx_triangulate.records.verdict import BLAMES, Blame, LargestDifference
from onnx_triangulate.report.quantities import figure, pair
from onnx_triangulate.report.sentences import BLAME_WORDS, agreement, apart, compress, exports, sentences, tally

TORCH = ["torch>reference", "torch>ort.off", "torch>ort.all"]
RAW = [name.replace("torch", "torch:raw") for name in TORCH]


def test_every_blame_has_words_and_no_other() -> None:
    assert set(BLAME_WORDS) == set(BLAMES)


def test_all_runtimes_of_a_graph_become_one_glob() -> None:
    assert compress(["torch", *TORCH], ["torch", *TORCH, *RAW]) == ["torch", "torch>*"]


def test_a_runtime_that_is_missing_forbids_the_glob() -> None:
    assert compress(TORCH[:2], [*TORCH, *RAW]) == TORCH[:2]


def test_all_graphs_become_one_glob_only_if_every_one_is_there() -> None:
    assert compress([*TORCH, *RAW], [*TORCH, *RAW]) == ["torch*>*"]
    assert compress([*TORCH, *RAW[:2]], [*TORCH, *RAW]) == ["torch>*", *RAW[:2]]


def test_a_glob_does_not_reach_across_precision() -> None:
    double = ["torch>reference@64", "torch:raw>reference@64"]
    everyone = [*TORCH, *RAW, *double]
    assert compress([*TORCH, *RAW], everyone) == ["torch*>*"]
    assert compress(everyone, everyone) == ["torch*>*", "torch*>*@64"]
    assert compress([*TORCH, *RAW, double[0]], everyone) == ["torch*>*", double[0]]


def test_a_lone_runtime_keeps_its_name_and_a_strange_name_passes() -> None:
    assert compress(["torch>ort.all", "what is this"], ["torch>ort.all"]) == ["torch>ort.all", "what is this"]


def test_globs_of_any_set_of_parties_expand_to_that_set(samples: Any) -> None:
    everyone = list(samples.parties)
    draw = np.random.default_rng(0)
    for _ in range(200):
        missing = draw.choice(len(everyone), size=int(draw.integers(0, 6)), replace=False)
        members = {name for i, name in enumerate(everyone) if i not in missing}
        expanded = set()
        for name in compress([name for name in everyone if name in members], everyone):
            double = name.endswith("@64")
            expanded |= {one for one in fnmatch.filter(everyone, name) if one.endswith("@64") == double}
        assert expanded == members


def test_blames_of_one_kind_and_operator_are_one_sentence() -> None:
    blames = [Blame("export", name, ("torch", name), "Conv", ("n",)) for name in (*TORCH, "torch:raw")]
    blames.append(Blame("export", "tensorflow", ("tensorflow", "tensorflow>reference"), "Pad"))
    said = sentences(blames, [*TORCH, *RAW])
    assert [(one.who, one.where) for one in said] == [("torch>*, torch:raw", "Conv, node n"), ("tensorflow", "Pad")]


def test_the_tally_counts_every_edge_once(samples: Any) -> None:
    edges = [
        samples.edge("a", "b", "native"),
        samples.edge("b", "c", "kernel", "rounding", ratio=0.31),
        samples.edge("b", "d", "kernel", "rounding", ratio=0.2),
        samples.edge("c", "d", "optimizer", "diverges"),
        samples.edge("d", "e", "optimizer", "missing", compared=0),
    ]
    line = "4 edges compared: 1 equal, 2 rounding (worst 0.31 of its bound), 1 diverges; 1 missing"
    assert tally(edges) == line


def test_agreement_on_nothing_is_not_counted_silently(samples: Any) -> None:
    empty = samples.edge("a", "b", "native", compared=0)
    assert tally([empty, samples.edge("b", "c", "kernel")]).endswith("; 1 with nothing in it to compare")
    assert tally([empty]) == "nothing was compared on 1 edge"
    assert tally([]) == "nothing was compared on 0 edges"
    shapes = samples.edge("a", "b", "native", "diverges", compared=0, problem="shape (2, 3) against (3, 2)")
    assert tally([shapes]) == "1 edge compared: 1 diverges"


def test_a_graph_that_agrees_within_a_float32_bound_alone_is_not_called_faithful(samples: Any) -> None:
    """A LayerNorm with 1e-5 where the model has 1e-12 was 0.44 of its bound."""
    verdict = samples.even_input()
    runs = {n: dataclasses.replace(r, derived="torch itself") for n, r in verdict.evidence.runs.items()}
    rounding = [samples.edge("torch", "torch>ort.off", "export+kernel", "rounding")]
    blunt = dataclasses.replace(verdict.evidence, runs=runs, edges=tuple(rounding), models={}, blames=())
    blunt = dataclasses.replace(blunt, graphs={n: f for n, f in blunt.graphs.items() if n == "torch"})
    seen = dataclasses.replace(verdict, evidence=blunt, blame=("agree",))
    assert exports(seen) == {"not judged in float64": ["torch"]}
    assert "not judged in float64, where an exporter's small faults show: torch" in agreement(seen)[1]
    edges = (*rounding, samples.edge("torch@64", "torch>reference@64", "export", "rounding"))
    sharp = dataclasses.replace(seen, evidence=dataclasses.replace(blunt, edges=edges))
    assert exports(sharp) == {"faithful": ["torch"]}
    assert "float64" not in agreement(sharp)[1]
    same = (samples.edge("torch", "torch>ort.off", "export+kernel", "equal"),)
    assert exports(dataclasses.replace(seen, evidence=dataclasses.replace(blunt, edges=same))) == {
        "faithful": ["torch"]
    }


def test_a_graph_is_faithful_only_if_compared_and_not_blamed(samples: Any) -> None:
    verdict = samples.even_input()
    assert list(exports(verdict)) == ["faithful"]
    blamed = Blame("export", "torch:raw>reference", ("torch", "torch:raw>reference"))
    evidence = dataclasses.replace(verdict.evidence, blames=(blamed,))
    assert exports(dataclasses.replace(verdict, evidence=evidence))["departs"] == ["torch:raw"]
    edges = tuple(edge for edge in verdict.evidence.edges if "torch:script" not in edge.right)
    evidence = dataclasses.replace(verdict.evidence, edges=edges)
    assert exports(dataclasses.replace(verdict, evidence=evidence))["not compared"] == ["torch:script"]
    assert exports(samples.crashed())["failed"] == ["torch:script"]


@pytest.mark.parametrize(
    ("left", "right", "shown"),
    [
        (12.0, 30.0, ("12", "30")),
        (1.0, 1.0 + 2**-23, ("1", "1.0000001")),
        (1.0, 1.0 + 2**-52, ("1", "1.0000000000000002")),
        (math.inf, 50.0, ("inf", "50")),
        (math.nan, 50.0, ("nan", "50")),
        (-0.0, 0.0, ("-0", "0")),
        (2.0, 2.0, ("2.0", "2.0")),
    ],
)
def test_two_values_are_shown_with_enough_digits_to_differ(left: float, right: float, shown: tuple[str, str]) -> None:
    assert pair(left, right) == shown


def test_numbers_for_reading() -> None:
    assert [figure(value) for value in (None, 18.0, math.inf, 1.23456e-7)] == ["-", "18", "inf", "1.235e-07"]


def test_agreement_says_how_far_apart_it_is(samples: Any) -> None:
    sound = samples.agreeing()
    assert apart(sound) == ""
    far = dataclasses.replace(
        sound, largest_difference=LargestDifference("torch", "torch>ort.all", "y", 0.03, 1.0, 1, 10, 2)
    )
    assert apart(far) == (
        "at most 0.03 of 1, 1 digit is left; the largest of a row is another one in 2 of 10 rows "
        "(torch | torch>ort.all, y)"
    )
    none = dataclasses.replace(sound, largest_difference=LargestDifference("torch", "torch>ort.all", "y", 3.0, 1.0, 0))
    assert "no digit is left (" in apart(none)
