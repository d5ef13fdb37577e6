"""The faulty nodes in what `verify` answers, and in words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from onnx_triangulate.records.arrays import ArrayFile
from onnx_triangulate.records.faults import Fault, Localization, Origin
from onnx_triangulate.records.party import Party
from onnx_triangulate.records.runs import Diff, Model, Run
from onnx_triangulate.records.verdict import Blame, Finding
from onnx_triangulate.verification.diagnosis.localization import by_exclusion
from onnx_triangulate.verification.diagnosis.nodes import CAUSE, NOBODY, name_nodes, name_types
from tests.verification.sessions import case_run, session

BLAMED = Blame("export", "torch", ("torch", "torch>reference"), message="it parts")
ERROR = Fault(
    "n2", "Conv", "y", 31.0, 0.5, 0.75, (0, 1), 3.0, 2.0, ("n1", "n2"), origin=Origin("conv2d", "head", "net.py:7")
)
FOUND = Localization("torch", "torch", "export", (ERROR,), judged=4, nodes=5, unmapped=2, precision="float64")


def test_a_wrong_translation_is_blamed_on_its_node(planted: Any) -> None:
    verdict = planted["faulty/batch_norm_in_training"]
    assert verdict.blame == ("export",)
    blames = {blame.party: blame for blame in verdict.evidence.blames}
    assert set(blames) == {"torch", "torch:raw"}
    assert blames["torch:raw"].op == "BatchNormalization"
    assert len(blames["torch:raw"].nodes) == len(blames["torch"].nodes) == 1
    assert blames["torch"].op == "Conv"  # the optimizer has folded the normalization into it
    said = {f.party: f for f in verdict.findings if f.cause == CAUSE}
    assert set(said) == {"torch", "torch:raw"}
    lines = (Path(__file__).parents[2] / "case_files" / "faulty.py").read_text().splitlines()
    line = next(i for i, text in enumerate(lines, 1) if "self.norm(self.first(x))" in text)
    for party, finding in said.items():
        assert finding.nodes[0] == blames[party].nodes[0]
        assert f"in norm, faulty.py:{line}" in finding.message


def test_an_export_without_names_is_held_against_one_that_is_right(planted: Any) -> None:
    verdict = planted["faulty/floor_of_negatives"]
    (blame,) = verdict.evidence.blames
    assert (blame.blame, blame.party, blame.op) == ("export", "torch:script", "Div")  # of integers: it truncates
    (found,) = [finding for finding in verdict.findings if finding.cause == CAUSE]
    assert found.nodes[: len(blame.nodes)] == blame.nodes
    assert "held against torch:raw, for it keeps no names of the source's values" in found.message


def test_where_no_node_is_faulty_that_is_said(planted: Any) -> None:
    verdict = planted["faulty/changes_when_captured"]
    assert verdict.blame == ("export",)
    assert all(blame.nodes == () for blame in verdict.evidence.blames)
    said = [finding for finding in verdict.findings if finding.cause == NOBODY]
    assert {finding.party for finding in said} == {"torch", "torch:raw"}
    assert all(
        "the program that the exporter captured is not the model: y differs" in finding.message for finding in said
    )


def test_a_wrong_evaluation_is_blamed_on_its_node(planted: Any) -> None:
    verdict = planted["faulty/indices_of_a_pool"]
    assert verdict.blame == ("reference",)
    blames = {blame.party: blame for blame in verdict.evidence.blames}
    assert set(blames) == {"torch>reference", "torch:raw>reference", "torch:script>reference"}
    assert {blame.op for blame in blames.values()} == {"MaxPool"}
    assert all(len(blame.nodes) == 1 and "MaxPool" in blame.nodes[0] for blame in blames.values())


@pytest.mark.parametrize("name", ["faults/nan_everywhere", "faults/transposed"])
def test_every_blamed_export_is_localized_or_says_why_not(planted: Any, name: str) -> None:
    verdict = planted[name]
    parties = {blame.party for blame in verdict.evidence.blames if blame.blame == "export"}
    assert parties
    assert {f.party for f in verdict.findings if f.cause in (CAUSE, NOBODY)} == parties


def test_a_blame_gets_the_nodes_and_says_what_was_seen() -> None:
    (blamed,), (finding,) = name_nodes([BLAMED], [FOUND])
    assert (blamed.nodes, blamed.op, blamed.message) == (("n2",), "Conv", "it parts")
    assert (finding.cause, finding.nodes, finding.proved) == (CAUSE, ("n2", "n1"), False)
    for words in ("introduces 0.5, 31 times its bound", "0.75 off in a whole run", "[0, 1] is 2 where 3 is due"):
        assert words in finding.message
    for words in ("conv2d, in head, net.py:7", "4 of 5 nodes judged, in float64", "2 values have none of the source"):
        assert words in finding.message


def test_a_node_that_is_named_already_keeps_its_name() -> None:
    named = Blame("export", "torch", BLAMED.edge, op="Log", nodes=("other",))
    assert name_nodes([named], [FOUND])[0] == (named,)


def test_another_partys_localization_names_nothing() -> None:
    other = Blame("kernel", "torch>ort.off", ("torch>reference", "torch>ort.off"))
    assert name_nodes([other], [FOUND])[0] == (other,)


def test_many_faulty_nodes_are_counted() -> None:
    many = Localization("torch", "torch", "export", tuple(Fault(f"n{i}", "Add", f"v{i}", np.inf) for i in range(11)))
    (blamed,), findings = name_nodes([BLAMED], [many])
    assert len(blamed.nodes) == 11
    assert findings[-1].message == "3 more nodes are above their bound"
    assert findings[-1].nodes == ("n8", "n9", "n10")


def test_a_localization_that_failed_says_so() -> None:
    lost = Localization("torch", "torch", "export", problem="the source gives no intermediate values: no")
    (blamed,), (finding,) = name_nodes([BLAMED], [lost])
    assert blamed == BLAMED
    assert (finding.cause, finding.nodes) == (NOBODY, ())
    assert "could not be judged: the source gives no intermediate values" in finding.message


def test_nodes_that_are_not_told_apart_are_counted() -> None:
    for many, words in ((1, "not told apart from 1 other, for"), (22, "not told apart from 22 others, for")):
        stretch = replace(ERROR, nodes=("n2", *(f"m{i}" for i in range(many))))
        (blamed,), (finding,) = name_nodes([BLAMED], [replace(FOUND, faults=(stretch,))])
        assert words in finding.message
        assert blamed.candidates == {"n2": many + 1}


UNSURE = Fault("n4", "GridSample", "y", problem="no rule covers it")
NO_BOUND = replace(FOUND, faults=(), blame="reference", judged=4, nodes=5, uncompared=(UNSURE,))


def test_the_node_that_no_bound_tells_of_is_named_where_every_other_one_is_inside_its_own() -> None:
    (error,) = by_exclusion(NO_BOUND).faults
    assert (error.node, error.op) == ("n4", "GridSample")
    assert "no rule covers it; it is the only node that no bound tells of" in str(error.problem)


@pytest.mark.parametrize(
    "found",
    [
        replace(NO_BOUND, judged=3),  # another one was not judged either
        replace(NO_BOUND, uncompared=(UNSURE, replace(UNSURE, node="n3"))),
        replace(NO_BOUND, captured="y differs by 1 from the native run there"),
        replace(NO_BOUND, uncompared=()),
        replace(NO_BOUND, only=UNSURE, captured="y differs by 1 from the native run there"),
        FOUND,
    ],
)
def test_nobody_else_is_named_by_exclusion(found: Localization) -> None:
    assert by_exclusion(found) is found


@pytest.mark.parametrize("blame", ["export", "kernel", "reference", "unspecified"])
def test_a_graph_of_one_node_names_it_whatever_the_blame(blame: str) -> None:
    lost = Localization("torch", "torch", blame, only=Fault("n0", "Mul", "y"), problem="no intermediate values")
    found = by_exclusion(lost)
    (blamed,), (finding,) = name_nodes([replace(BLAMED, blame=blame)], [found])
    assert (blamed.nodes, blamed.op, finding.cause) == (("n0",), "Mul", CAUSE)
    assert "it is the only node between the inputs and the outputs" in finding.message
    assert "no intermediate values" in finding.message


@pytest.mark.parametrize(("dtype", "values"), [("int32", [1, 2]), ("int64", [1, 3])])
def test_an_output_of_another_type_names_the_node_that_makes_it(tmp_path: Path, dtype: str, values: list[int]) -> None:
    runs = {}
    for name, held in (("torch", np.array([1, 2], np.int64)), ("torch>reference", np.array(values, dtype))):
        file = tmp_path / f"{len(runs)}.npy"
        np.save(file, held)
        runs[name] = Run(Party.parse(name), {"y": ArrayFile(file, held.shape, held.dtype.name)})
    text = """<ir_version: 8, opset_import: ["" : 18]> g (int64[2] x) => (int32[2] y) {
        [narrow] t = Cast <to = 6> (x) [same] y = Identity (t) }"""
    onnx.save(onnx.parser.parse_model(text), tmp_path / "g.onnx")
    models = {"torch": Model("torch", tmp_path / "g.onnx", None, {"x": "x"}, {"y": "y"})}
    blamed = Blame("export", "torch", ("torch", "torch>reference"))
    nobody = Finding(NOBODY, "export", "torch", (), "no node is above its bound")
    edges = [Diff(*blamed.edge, "export", "diverges", output="y")]
    asked = case_run(tmp_path, runs, models, edges=tuple(edges))
    found = name_types(session(lambda kind, function, *words: function(*words)), asked, [blamed], [nobody])
    (named,) = found.blames
    if dtype == "int64":
        assert (named, found.findings) == (blamed, (nobody,))
        return
    (finding,) = found.findings
    assert (named.nodes, named.op, finding.nodes) == (("narrow",), "Cast", ("narrow",))
    assert finding.message == "Cast makes y int32 where it is int64 in torch"
