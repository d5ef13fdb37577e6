"""Outputs of a given file that come in another order than the model's: said as that, and no node is accused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
import pytest

from onnx_triangulate.records.verdict import Verdict
from onnx_triangulate.verification.diagnosis.nodes import CAUSE as FAULTY
from onnx_triangulate.verification.diagnosis.order import CAUSE
from onnx_triangulate.verification.verify import Options, verify

pytestmark = pytest.mark.slow  # the engines run

MODEL = """
from onnx_triangulate import Case, Tensor
X = {"x": Tensor("n c", (3, 4), low=-2, high=2, integers=False)}
def model(torch):
    return lambda x: (x * 3 + 1, (x - 2) / 3, torch.relu(x).sum(1), torch.relu(x).sum(1) * 1)
def build(*_):
    return {"torch": model}
"""
NODES = {
    "y0": "[m] s = Mul(x, three) [a] y0 = Add(s, one)",
    "y1": "[m1] t = Sub(x, two) [d] y1 = Div(t, three)",
    "y2": "[r] u = Relu(x) [s2] y2 = ReduceSum <keepdims = 0> (u, axis)",
    "y3": "[r3] v = Relu(x) [s3] y3 = ReduceSum <keepdims = 0> (v, axis)",
}
SHAPES = {"y0": "float[3,4]", "y1": "float[3,4]", "y2": "float[3]", "y3": "float[3]"}


def written(file: Path, names: Sequence[str], *, wrong: bool = False) -> None:
    """A file whose outputs are called ``names``; the model's y0 … y3 are what it computes, in the order of names."""
    meant = dict(zip(names, NODES, strict=True))
    nodes = " ".join(NODES[own].replace(f"{own} =", f"out_{own} =") for own in NODES)
    if wrong:
        nodes = nodes.replace("Div(", "Mul(")
    nodes += " ".join(f" [i_{name}] {name} = Identity(out_{own})" for name, own in meant.items())
    outputs = ", ".join(f"{SHAPES[meant[name]]} {name}" for name in names)
    constants = "float one = {1}, float two = {2}, float three = {3}, int64[1] axis = {1}"
    text = f'<ir_version: 8, opset_import: ["" : 18]> g (float[3,4] x) => ({outputs}) <{constants}> {{ {nodes} }}'
    onnx.save(onnx.parser.parse_model(text), file)


FILES: dict[str, Any] = {
    "healthy": (["y0", "y1", "y2", "y3"], {}),
    "swapped": (["y1", "y0", "y2", "y3"], {}),  # of one shape, by name: what is called y1 is the model's y0
    "shapes": (["y2", "y1", "y0", "y3"], {}),
    "alike": (["y0", "y1", "y3", "y2"], {}),  # the same numbers either way
    "wrong": (["y0", "y1", "y2", "y3"], {"wrong": True}),
    "swapped_and_wrong": (["y1", "y0", "y2", "y3"], {"wrong": True}),
}


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Verdict]:
    folder = tmp_path_factory.mktemp("order")
    for name, (names, how) in FILES.items():
        written(folder / f"{name}.onnx", names, **how)
    written(folder / "plain.onnx", list(NODES))
    proto = onnx.load(folder / "plain.onnx")
    reverse = list(proto.graph.output)[::-1]
    del proto.graph.output[:]
    proto.graph.output.extend(reverse)
    for number, value in enumerate(proto.graph.output):
        node = next(n for n in proto.graph.node if value.name in n.output)
        value.name = node.output[0] = f"out{number}"
    onnx.save(proto, folder / "renamed.onnx")
    names = [*FILES, "renamed"]
    (folder / "order.py").write_text(
        MODEL
        + f"CASES = tuple(Case(n, inputs=X, builders=build(), onnx={{'torch': n + '.onnx'}}) for n in {names!r})\n"
    )
    report = verify([str(folder / "order.py")], Options(out=folder / "out"))
    return {verdict.case.partition("/")[2]: verdict for verdict in report.verdicts}


def claims(verdict: Verdict) -> list[str]:
    return [finding.message for finding in verdict.findings if finding.cause == CAUSE]


@pytest.mark.parametrize("name", ["healthy", "alike"])
def test_outputs_in_order_and_outputs_alike_are_no_finding(verdicts: dict[str, Verdict], name: str) -> None:
    assert (verdicts[name].blame, verdicts[name].findings) == (("agree",), ())


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("swapped", "y1 is the model's y0, y0 is the model's y1"),
        ("shapes", "y2 is the model's y0"),
        ("renamed", "out3 is the model's y0, out2 is the model's y1"),
    ],
)
def test_another_order_is_blamed_on_the_export_and_on_no_node(
    verdicts: dict[str, Verdict], name: str, said: str
) -> None:
    verdict = verdicts[name]
    (blamed,) = verdict.evidence.blames
    assert (blamed.blame, blamed.party, blamed.nodes, blamed.op) == ("export", "torch", (), None)
    (finding,) = verdict.findings
    assert (finding.cause, finding.proved, finding.nodes) == (CAUSE, True, ())
    assert finding.message.startswith(f"the outputs come in another order: {said}")
    assert blamed.message == finding.message
    assert finding.edit is not None


def test_where_outputs_are_alike_the_claim_says_so(verdicts: dict[str, Verdict]) -> None:
    assert "(or y3: the same numbers here)" in claims(verdicts["shapes"])[0]


@pytest.mark.parametrize("name", ["wrong", "swapped_and_wrong"])
def test_a_wrong_node_is_no_matter_of_order(verdicts: dict[str, Verdict], name: str) -> None:
    verdict = verdicts[name]
    assert "export" in verdict.blame
    assert claims(verdict) == []
    assert any(finding.cause != FAULTY or finding.nodes for finding in verdict.findings)
    assert (
        "the given graph means something else than the model"
        in next(b for b in verdict.evidence.blames if b.blame == "export").message
    )
