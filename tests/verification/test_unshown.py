"""A given file that holds something else than its source, where nothing that is asked of the model shows it.

It is undecided then, with what the file has and a fresh export has not; its healthy twin is as expected.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, numpy_helper

from onnx_triangulate.records.verdict import Report, Verdict
from onnx_triangulate.verification.verify import exit_status, verify

pytestmark = pytest.mark.slow  # the engines run

SOURCE = """
import numpy as np
from onnx_triangulate import Case, Tensor

def drawn(k, *shape):
    return np.random.default_rng(k).normal(size=shape).astype(np.float32)

def sevens(torch):
    return lambda x: (x == 7).sum(1) >= 3

def halves(torch):
    w, b = torch.tensor(drawn(0, 8, 16)).half(), torch.tensor(drawn(1, 8)).half()
    return lambda x: torch.softmax(torch.nn.functional.linear(x.half(), w, b).float(), -1)

def places(torch):
    p = torch.tensor(drawn(2, 64, 8))
    return lambda x: x + p[: x.shape[1]]

def scaled(torch):
    return lambda x, k: torch.relu(x) * k

D = Tensor("n c", (3, 6), "int64", low=0, high=10)
H = Tensor("n c", (3, 16), low=-1, high=1, integers=False)
P = Tensor("n t d", (2, 5, 8), low=-2, high=2, integers=False)
OPEN = {"dynamic": {"t": (4, 12)}}
S = {"x": Tensor("n c", (2, 3), low=-1, high=1, integers=False), "k": Tensor("", (), low=1, high=2, integers=False)}

def case(name, build, inputs, **more):
    return Case(name, inputs=inputs, builders={"torch": build}, onnx={"torch": f"{name}.onnx"}, **more)

CASES = [
    case("sevens", sevens, {"x": D}), case("fours", sevens, {"x": D}),
    case("halves", halves, {"x": H}), case("halves_off", halves, {"x": H}),
    case("places", places, {"x": P}, **OPEN), case("places_off", places, {"x": P}, **OPEN),
    case("scaled", scaled, S), case("scaled_off", scaled, S),
]
"""
HEAD = '<ir_version: 8, opset_import: ["" : 18]> g'


def drawn(k: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(k).normal(size=shape).astype(np.float32)


def held(text: str, **weights: np.ndarray) -> ModelProto:
    model = onnx.parser.parse_model(f"{HEAD} {text}")
    model.graph.initializer.extend(numpy_helper.from_array(np.asarray(v), n) for n, v in weights.items())
    return model


def sevens(least: int) -> ModelProto:
    return held(
        """(int64[3, 6] x) => (bool[3] y) { e = Equal (x, seven) c = Cast <to = 7> (e)
           s = ReduceSum <keepdims = 0> (c, one) y = GreaterOrEqual (s, least) }""",
        seven=np.array(7),
        one=np.array([1]),
        least=np.array(least),
    )


def halves(factor: float) -> ModelProto:
    w = drawn(0, 8, 16).astype(np.float16)
    w[3] = (w[3] * factor).astype(np.float16)
    return held(
        """(float[3, 16] x) => (float[3, 8] y) { h = Cast <to = 10> (x) m = Gemm <transB = 1> (h, w, b)
           f = Cast <to = 1> (m) y = Softmax <axis = -1> (f) }""",
        w=w,
        b=drawn(1, 8).astype(np.float16),
    )


def places(factor: float) -> ModelProto:
    p = drawn(2, 64, 8)
    p[40] *= factor
    return held(
        """(float[2, t, 8] x) => (float[2, t, 8] y) { s = Shape (x) t = Slice (s, one, two)
           r = Slice (p, zero, t, zero) y = Add (x, r) }""",
        p=p,
        zero=np.array([0]),
        one=np.array([1]),
        two=np.array([2]),
    )


def scaled(least: str) -> ModelProto:
    return held(f"(float[2, 3] x, float k) => (float[2, 3] y) {{ {least} y = Mul (r, k) }}", o=np.float32(0))


FILES: dict[str, Callable[[], ModelProto]] = {
    "sevens": lambda: sevens(3),
    "fours": lambda: sevens(4),
    "halves": lambda: halves(1),
    "halves_off": lambda: halves(1.004),
    "places": lambda: places(1),
    "places_off": lambda: places(2),
    "scaled": lambda: scaled("r = Relu (x)"),
    "scaled_off": lambda: scaled("q = Mul (x, o) r = Max (x, q)"),
}
SAID = {
    "fours": "of the file reads least, 1 of 1 numbers of which are not those of a fresh export",
    "halves_off": "weight of Gemm_1: 1.80859 where the model has 1.80176",
    "places_off": "8 of 512 numbers of p are not those of a fresh export, and no input shows it",
}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    folder = tmp_path_factory.mktemp("unshown")
    for name, made in FILES.items():
        onnx.save(made(), Path(folder) / f"{name}.onnx")
    (folder / "held.py").write_text(SOURCE)
    return verify([str(folder / "held.py")])


def of(report: Report, name: str) -> Verdict:
    return next(v for v in report.verdicts if v.case == f"held/{name}")


@pytest.mark.parametrize("name", ["sevens", "halves", "places", "scaled"])
def test_a_file_that_holds_what_its_source_holds_is_expected(report: Report, name: str) -> None:
    verdict = of(report, name)
    assert (verdict.status, verdict.blame) == ("expected", ("agree",))


@pytest.mark.parametrize("name", SAID)
def test_what_no_input_shows_is_said_and_no_agreement(report: Report, name: str) -> None:
    verdict = of(report, name)
    assert verdict.status == "undecided"
    assert exit_status([verdict]) == 1
    problems = [edge.problem or "" for edge in verdict.evidence.edges if edge.outcome == "missing"]
    assert any(SAID[name] in problem for problem in problems), problems


def test_further_inputs_keep_the_rank_of_a_scalar(report: Report) -> None:
    """The file makes NaN of an infinity: inputs are sought that show it, one of them a scalar."""
    assert not of(report, "scaled_off").problems
