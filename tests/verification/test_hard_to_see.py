"""What is rounding although nothing responds, and what is a fault although a bound would have room for it."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from onnx_triangulate.records.verdict import Verdict
from onnx_triangulate.verification.verify import verify

pytestmark = pytest.mark.slow  # the engines run

CASES = Path(__file__).parents[1] / "case_files"
CUBE = "g (float[2,3,4] x) => (float[2,3,4] y)"
LINE = "g (float[8] x) => (float[8] y)"
ROWS = """g (float[2,6] x) => (float[4,6] y)
    <int64[1] zero = {0}, int64[2] n = {2, 6}, float[6] one = {1, 1, 1, 1, 1, 1}, float more = {0.0001}>
    { f = Gather <axis = 1> (x, zero) w = Expand (f, n) c = Concat <axis = 0> (w, x)"""
SURE = "g (float[2,3] x) => (float[2,3] y)"
SOFTMAX = f"{CUBE} <float two = {{2}}> {{ s = Softmax <axis = 1> (x) y = Mul (s, two) }}"
HALF = "Cast <to = 10>"

# The case, the graph that is given for its export, the opset, what is blamed.
GIVEN = {
    "a softmax that flattens": ("softmax", SOFTMAX, 11, {"export"}),
    "the same where that is meant": ("flattened", SOFTMAX, 11, {"reference"}),  # onnx's evaluator does not flatten
    "one that does not flatten where that is meant": ("flattened", SOFTMAX, 13, {"export"}),
    "a step in half precision that runtimes leave out": (
        "exp",
        f"{CUBE} <float two = {{2}}> {{ h = {HALF} (x) e = Exp (h) f = Cast <to = 1> (e) y = Mul (f, two) }}",
        17,
        {"export"},
    ),
    "a sum that is taken back, and rounds what it takes back": (
        "gelu",
        f"{CUBE} <float c = {{30000}}> {{ a = Add (x, c) b = Sub (a, c) y = Gelu (b) }}",
        20,
        {"export"},
    ),
    "the same beside Casts that change nothing": (
        "gelu",
        f"{CUBE} <float c = {{30000}}> {{ a = Add (x, c) d = Cast <to = 1> (a) b = Sub (d, c) y = Gelu (b) }}",
        20,
        {"export"},
    ),
    "one that leaves nothing": (
        "gelu",
        f"{CUBE} <float c = {{1e8}}> {{ a = Add (x, c) b = Sub (a, c) y = Gelu (b) }}",
        20,
        {"export"},
    ),
    "a function that is right where it is flat": ("gelu", f"{CUBE} {{ y = Gelu (x) }}", 20, set()),
    "a ten-thousandth more where rows of equal numbers are normalized": (
        "equal_rows",
        f"{ROWS} l = LayerNormalization (c, one) y = Add (l, more) }}",
        17,
        {"export"},
    ),
    "rows of equal numbers normalized": (
        "equal_rows",
        f"{ROWS} y = LayerNormalization (c, one) }}",
        17,
        set(),
    ),
    "a ten-thousandth more where a class is certain": (
        "confident",
        f"{SURE} <float more = {{0.0001}}> {{ l = LogSoftmax (x) y = Add (l, more) }}",
        17,
        {"export"},
    ),
    "a class that is certain": ("confident", f"{SURE} {{ y = LogSoftmax (x) }}", 17, set()),
    "whole numbers less one for a floor": (
        "floor",
        f"{LINE} <float one = {{1}}> {{ y = Sub (x, one) }}",
        17,
        {"export"},
    ),
    "a floor": ("floor", f"{LINE} {{ y = Floor (x) }}", 17, set()),
    "ties that are rounded up": (
        "round",
        f"{LINE} <float half = {{0.5}}> {{ h = Add (x, half) y = Floor (h) }}",
        17,
        {"export"},
    ),
    "ties that are rounded to even": ("round", f"{LINE} {{ y = Round (x) }}", 17, set()),
}


HEAD = f"""
import dataclasses, runpy

FOUND = {{case.name: case for case in runpy.run_path({str(CASES / "given.py")!r})["CASES"]}}


def given(name, case, file):
    return dataclasses.replace(FOUND[case], name=name, onnx={{"torch": file}})


"""


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Verdict]:
    """What is said of every given graph, in one run."""
    pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("given")
    cases = []
    for number, (name, (case, text, opset, _)) in enumerate(GIVEN.items()):
        file = folder / f"{number}.onnx"
        onnx.save(onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}]> {text}'), file)
        cases.append(f"given({name.replace(' ', '_').replace(',', '')!r}, {case!r}, {file.name!r})")
    (folder / "hard.py").write_text(f"{HEAD}CASES = [{', '.join(cases)}]\n")
    report = verify([str(folder / "hard.py")])
    return dict(zip(GIVEN, report.verdicts, strict=True))


@pytest.mark.parametrize("name", GIVEN)
def test_a_given_graph(name: str, verdicts: dict[str, Verdict]) -> None:
    *_, blamed = GIVEN[name]
    assert set(verdicts[name].blame) == (blamed or {"agree"})
    assert verdicts[name].status == ("unexpected" if blamed else "expected")


def test_rounding_where_nothing_responds_is_rounding() -> None:
    pytest.importorskip("torch")
    pytest.importorskip("tensorflow")
    report = verify([str(CASES / "flat.py")])
    assert {verdict.case: verdict.blame for verdict in report.verdicts if verdict.status != "expected"} == {}
