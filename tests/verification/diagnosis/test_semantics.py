"""Where two frameworks part, by node: differences planted between real models, and what cannot be compared."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from onnx_triangulate.locate import semantics
from onnx_triangulate.locate.semantics import MeaningDifference, Meanings, meaning_differences
from onnx_triangulate.records.arrays import ArrayFile
from onnx_triangulate.records.case import Case, CaseRef, Tensor
from onnx_triangulate.records.faults import Fault
from onnx_triangulate.records.party import Party
from onnx_triangulate.records.runs import Failure, Model, Run
from onnx_triangulate.records.verdict import Blame, Finding
from onnx_triangulate.verification.diagnosis.nodes import CAUSE, NOBODY
from onnx_triangulate.verification.diagnosis.semantics import MEANT, name_semantics
from onnx_triangulate.verification.verify import Options, verify
from tests.verification.sessions import case_run, session

pytestmark = pytest.mark.slow  # the engines run

CASES = Path(__file__).parents[2] / "case_files"


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    report = verify([str(CASES / "meaning.py")], Options(out=tmp_path_factory.mktemp("meaning")))
    return {verdict.case.partition("/")[2]: verdict for verdict in report.verdicts}


def named(verdict: Any) -> list[Finding]:
    found = [f for f in verdict.findings if f.blame in MEANT and f.cause in (CAUSE, NOBODY)]
    assert not any(finding.proved for finding in found)
    return found


def test_a_faithful_pair_is_not_asked(verdicts: dict[str, Any]) -> None:
    assert (verdicts["faithful"].blame, verdicts["faithful"].findings) == (("agree",), ())


def test_another_activation_is_named_in_both_graphs(verdicts: dict[str, Any]) -> None:
    verdict = verdicts["activation"]
    (finding,) = named(verdict)
    assert (finding.cause, finding.blame, len(finding.nodes)) == (CAUSE, "semantics", 2)
    assert "LeakyRelu" in finding.nodes[0]
    assert finding.nodes[1].startswith("node_relu")
    assert finding.message.startswith(f"Relu of torch ({finding.nodes[1]}) stands where tensorflow has LeakyRelu (")
    for words in ("times its bound", "alpha 0.1", "tensorflow:nchw held against torch:raw in float64"):
        assert words in finding.message
    (blamed,) = verdict.evidence.blames
    assert (blamed.nodes, blamed.op) == (finding.nodes, "LeakyRelu, Relu")


def test_weights_and_a_meaning_are_two_differences(verdicts: dict[str, Any]) -> None:
    verdict = verdicts["weights_and_activation"]
    assert verdict.blame == ("parameters",)
    weights, activation = named(verdict)
    assert "Conv of torch" in weights.message
    assert "weights that the other has not" in weights.message
    assert "Relu of torch" in activation.message


def test_differences_inside_decomposed_operators_are_each_listed(verdicts: dict[str, Any]) -> None:
    norm, gelu = named(verdicts["epsilon_and_gelu"])
    assert "LayerNormalization of torch" in norm.message
    assert norm.message.startswith("epsilon 0.001 in tensorflow, 1e-05 in torch; LayerNormalization")
    assert norm.edit == "give both one epsilon: 1e-05 in tensorflow too, or 0.001 in torch"
    assert "Gelu of torch" in gelu.message
    assert "0.044715" in gelu.message


def test_a_setting_that_float32_hides_shows_in_float64(verdicts: dict[str, Any]) -> None:
    """Two frameworks in float64 round in float64: what they keep in float32 is measured, and is no leave for more."""
    (norm,) = named(verdicts["small_epsilon"])
    assert verdicts["small_epsilon"].blame == ("semantics",)
    assert "LayerNormalization of torch" in norm.message
    assert norm.message.startswith("epsilon 1e-06 in tensorflow, 1.1e-06 in torch; ")
    assert verdicts["same_epsilon"].blame == ("agree",)


EDGE = ("tensorflow", "torch")
BLAMED = Blame("semantics", "tensorflow|torch", EDGE, message="they part")
CASE = Case("pair", {"x": Tensor("n c", (1, 2))}, {}, {"y": Tensor("n c")})
FAULT = Fault("leaky", "LeakyRelu", "y", 31.0, 0.5, None, (0, 1), 0.0, -0.5, ("leaky",), against=("relu",))
PARTED = MeaningDifference(FAULT, ("LeakyRelu",), ("Relu",))


def asked(
    folder: Path, answer: Any, *more: Blame, wrong: str = "", size: tuple[tuple[str, int], ...] = ()
) -> tuple[tuple[Blame, ...], tuple[Finding, ...], list[tuple[str, str]]]:
    """``answer`` is what the worker gives; ``wrong`` a graph that does not give its framework's answer."""
    runs = {}
    for name in ("torch", "torch>reference", "torch:raw>reference", "tensorflow", "tensorflow>reference"):
        file = folder / f"{len(runs)}.npy"
        np.save(file, np.array([2.0 if name.partition(">")[0] == wrong and ">" in name else 1.0], np.float32))
        runs[name] = Run(Party.parse(name), {"y": ArrayFile(file, (1,), "float32")})
    models = {graph: Model(graph, folder / "graph.onnx") for graph in ("tensorflow", "torch", "torch:raw")}
    calls: list[tuple[str, str]] = []

    def call(kind: str, function: Any, ref: CaseRef, judge: Model, other: Model, *_: Any) -> Any:
        assert function is semantics.meaning_differences
        calls.append((judge.graph, other.graph))
        return answer

    ref = CaseRef(folder / "case.py", "pair/pair", sizes=size)
    found = name_semantics(session(call), case_run(folder, runs, models, CASE, ref=ref), [*more, BLAMED])
    return found.blames, found.findings, calls


def test_what_the_worker_found_is_said_of_both_frameworks(tmp_path: Path) -> None:
    (blamed,), (finding,), calls = asked(tmp_path, Meanings((PARTED,), 3, 2))
    assert calls == [("torch:raw", "tensorflow")]
    assert (blamed.nodes, blamed.op, finding.nodes) == (("leaky", "relu"), "LeakyRelu, Relu", ("leaky", "relu"))
    assert (
        "Relu of torch (relu) stands where tensorflow has LeakyRelu (leaky); apart by 0.5, 31 times" in finding.message
    )
    assert "y[0, 1] is 0 in torch and -0.5 in tensorflow" in finding.message


def test_all_differences_are_listed_or_counted(tmp_path: Path) -> None:
    _, findings, _ = asked(tmp_path, Meanings((PARTED,) * 11, 3, 2))
    assert len(findings) == 9
    assert "3 more nodes" in findings[-1].message


def test_an_export_that_is_blamed_stands_for_nobody(tmp_path: Path) -> None:
    export = Blame("export", "tensorflow", ("tensorflow", "tensorflow>reference"))
    for more, wrong in (((export,), ""), ((), "tensorflow")):
        blames, (finding,), calls = asked(tmp_path, Meanings((PARTED,), 3, 2), *more, wrong=wrong)
        assert (finding.cause, calls, blames[-1]) == (NOBODY, [], BLAMED)
        assert "no export of tensorflow is known to be faithful" in finding.message


def test_a_wrong_raw_graph_leaves_the_other_one(tmp_path: Path) -> None:
    assert asked(tmp_path, Meanings((PARTED,), 3, 2), wrong="torch:raw")[2] == [("torch", "tensorflow")]


def test_where_no_node_parts_that_is_said(tmp_path: Path) -> None:
    (blamed,), (finding,), _ = asked(tmp_path, Meanings((), 3, 2, ("y: an operator without a definition",)))
    assert (blamed, finding.cause) == (BLAMED, NOBODY)
    assert (
        "no node of one graph parts from the other by more than rounding: y: an operator without a definition"
        in finding.message
    )


@pytest.mark.parametrize(("kind", "tries"), [("timeout", 1), ("memory", 1), ("crashed", 1), ("refused", 2)])
def test_a_comparison_that_fails_is_said_and_a_costly_one_not_repeated(tmp_path: Path, kind: str, tries: int) -> None:
    _, (finding,), calls = asked(tmp_path, Failure(kind, "no answer within 120 s"))
    assert (finding.cause, len(calls)) == (NOBODY, tries)
    assert f"could not be compared: {kind}: no answer within 120 s" in finding.message


def test_the_size_is_said(tmp_path: Path) -> None:
    _, (finding,), _ = asked(tmp_path, Meanings((PARTED,), 3, 2), size=(("n", 5),))
    assert finding.message.startswith("at n=5: Relu of torch")


def test_both_blames_of_an_edge_are_one_question(tmp_path: Path) -> None:
    other = Blame("parameters", "tensorflow|torch", EDGE)
    blames, (finding,), _ = asked(tmp_path, Meanings((PARTED,), 3, 2), other)
    assert finding.blame == "semantics"
    assert blames[0] == other


GRAPHS = """
from onnx_triangulate import Case, Tensor
CASES = (Case("pair", inputs={"x": Tensor("n c h", (2, 3, 4), low=-2, high=2, integers=False),
                              "z": Tensor("n", (2,), low=1, high=2, integers=False)},
              outputs={"y": Tensor("n c h")}, builders={"torch": lambda torch: torch.relu}),)
"""


def graph(folder: Path, name: str, text: str, axes: dict[str, str], *fed: str) -> Model:
    file = folder / f"{name}-{len(text)}.onnx"
    onnx.save(onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 18]> {text}'), file)
    return Model(name, file, None, {n: n for n in fed}, {"y": "y"}, axes)


def test_borders_in_other_orders_and_inputs_of_one_side_only(tmp_path: Path) -> None:
    (tmp_path / "pair.py").write_text(GRAPHS)
    ref = CaseRef(tmp_path / "pair.py", "pair/pair")
    torch = graph(tmp_path, "torch", "g (float[2,3,4] x) => (float[2,3,4] y) { [r] y = Relu(x) }", {}, "x")
    leaky = """g (float[2,4,3] x, float[2] z) => (float[2,4,3] y) {
        [l] t = LeakyRelu <alpha = 0.25> (x) [e] e = ReduceSum <keepdims = 0> (z) [m] m = Mul(e, e) [s] f = Sub(m, m)
        [a] y = Add(t, f) }"""
    other = graph(tmp_path, "tensorflow", leaky, {"x": "n h c", "y": "n h c"}, "x", "z")
    found = meaning_differences(ref, torch, other, 0, tmp_path / "out")
    assert isinstance(found, Meanings)
    (parted,) = found.differences
    assert "l" in parted.fault.nodes
    assert parted.fault.against == ("r",)
    assert any("alpha 0.25" in words for words in parted.differs)
    same = graph(tmp_path, "tensorflow", "g (float[2,4,3] x) => (float[2,4,3] y) { [r2] y = Relu(x) }", other.axes, "x")
    healthy = meaning_differences(ref, torch, same, 0, tmp_path / "out")
    assert isinstance(healthy, Meanings)
    assert (healthy.differences, healthy.compared) == ((), 24)
    small = meaning_differences(ref, torch, other, 0, tmp_path / "out", memory=-1)
    assert isinstance(small, Failure)
    assert small.kind == "memory"


LAYOUTS = """
from onnx_triangulate import Case, Tensor
CASES = (Case("pair", inputs={"x": Tensor("n c h w", (SHAPE), low=-2, high=2, integers=False)},
              outputs={"y": Tensor("n c")}, builders={"torch": lambda torch: torch.relu}),)
"""
GROUPS = """g (float[N,C,H,W] x) => (float[N,C] y)
    <float[1] one = {1}, float[1] zero = {0}, int64[3] flat = {0, 1, -1}, float[C,1,1] s = {SCALE},
     int64[4] full = {N, C, H, W}, int64[2] hw = {2, 3}> {
    [to] r = Reshape(x, flat) [norm] i = InstanceNormalization <epsilon = 0.00001> (r, one, zero)
    [from] f = Reshape(i, full) [scale] m = Mul(f, s) [act] a = Relu(m)
    [pool] y = ReduceMean <keepdims = 0> (a, hw) }"""
GROUPS_LAST = """g (float[N,H,W,C] x) => (float[N,C] y)
    <float e = {EPSILON}, int64[5] five = {N, H, W, 1, C}, float[1,1,1,1,C] s = {SCALE}, int64[4] full = {N, H, W, C},
     int64[3] axes = {1, 2, 4}, int64[2] hw = {1, 2}> {
    [to5] r = Reshape(x, five) [mean] u = ReduceMean(r, axes) [off] d = Sub(r, u) [sq] q = Mul(d, d)
    [var] v = ReduceMean(q, axes) [eps] ve = Add(v, e) [root] t = Sqrt(ve) [inv] k = Reciprocal(t) [by] b = Mul(k, s)
    [own] o = Mul(r, b) [neg] g = Neg(u) [shift] h = Mul(g, b) [sum] z = Add(o, h) [back] w = Reshape(z, full)
    [act] a = Relu(w) [pool] y = ReduceMean <keepdims = 0> (a, hw) }"""


@pytest.mark.parametrize("shape", [(2, 6, 5, 4), (4, 4, 4, 4), (3, 3, 7, 3)])
def test_an_epsilon_in_another_layout_is_the_one_difference(tmp_path: Path, shape: tuple[int, ...]) -> None:
    (tmp_path / "pair.py").write_text(LAYOUTS.replace("SHAPE", ", ".join(map(str, shape))))
    ref = CaseRef(tmp_path / "pair.py", "pair/pair")

    def made(name: str, text: str, axes: dict[str, str], epsilon: str) -> Model:
        scale = ", ".join(f"{0.5 + 0.25 * i}" for i in range(shape[1]))
        for word, value in (("EPSILON", epsilon), ("SCALE", scale), *zip("NCHW", map(str, shape), strict=True)):
            text = re.sub(rf"\b{word}\b", value, text)
        return graph(tmp_path, name, text, axes, "x")

    torch = made("torch", GROUPS, {}, "")
    other = made("tensorflow", GROUPS_LAST, {"x": "n h w c"}, "0.001")
    found = meaning_differences(ref, torch, other, 0, tmp_path / "out")
    assert isinstance(found, Meanings)
    (parted,) = found.differences
    assert (parted.fault.nodes[0], parted.fault.against[0]) == ("eps", "norm")
    assert "pool" not in (*parted.fault.nodes, *parted.fault.against)
    assert parted.setting == ("epsilon", pytest.approx(1e-5), pytest.approx(1e-3))
    assert parted.fault.introduced is not None
    assert parted.fault.introduced < 0.01
    same = made("tensorflow", GROUPS_LAST, {"x": "n h w c"}, "0.00001")
    healthy = meaning_differences(ref, torch, same, 0, tmp_path / "out")
    assert isinstance(healthy, Meanings)
    assert healthy.differences == ()
