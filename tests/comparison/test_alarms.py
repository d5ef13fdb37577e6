"""``compare`` and healthy rewrites: sixteen bits, kernels that depart, either order, own types, names of the file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import ModelProto, numpy_helper

from onnx_triangulate.comparison.options import Options
from onnx_triangulate.comparison.outputs import worse
from onnx_triangulate.comparison.run import compare_with, verdict
from onnx_triangulate.comparison.session import Evidence
from onnx_triangulate.locate import float64_comparison, model_interface
from onnx_triangulate.numerics.reference_evaluator import as_specified, evaluate
from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.errors import Unsupported
from onnx_triangulate.records.graph_comparison import ComparedOutput, Fault, GraphComparison

RANDOM = np.random.default_rng(0)
HEAD = '<ir_version: 8, opset_import: ["" : 17, "com.microsoft.nchwc" : 1]> g'


def graph(text: str, weights: Mapping[str, Any], kind: Any = np.float32) -> ModelProto:
    made = onnx.parser.parse_model(f"{HEAD} {text}")
    for name, value in weights.items():
        array = np.asarray(value)
        made.graph.initializer.append(
            numpy_helper.from_array(array.astype(kind) if array.dtype == float else array, name)
        )
    return made


class Here:
    """The workers' interface in this process."""

    deaths: tuple[str, ...] = ()

    def call(self, worker: str, work: Callable[..., Any], *args: Any) -> Any:
        return work(*args)


Compare = Callable[[ModelProto, ModelProto], GraphComparison]


@pytest.fixture
def compared(tmp_path: Path) -> Compare:
    def compare(a: ModelProto, b: ModelProto) -> GraphComparison:
        model_interface.load_model.cache_clear()
        files = tmp_path / "a.onnx", tmp_path / "b.onnx"
        for proto, file in zip((a, b), files, strict=True):
            onnx.save(proto, file)
        here: Any = Here()
        return compare_with(here, *files, Options(), tmp_path)

    return compare


W = RANDOM.normal(size=(6, 3, 3, 3)) / 5
B = RANDOM.normal(size=6)


@pytest.mark.parametrize("kind", ["float16", "float"])
def test_a_chain_in_sixteen_bits_is_judged_node_by_node(compared: Compare, kind: str) -> None:
    dtype = np.float16 if kind == "float16" else np.float32
    text = f"({kind}[1,3,6,6] x) => ({kind}[1,6,6,6] y) {{ c = Conv<pads=[1,1,1,1]>(x, w, b) %s y = Add(d, k) }}"
    a = graph(text % "d = Mul(c, k)", {"w": W, "b": B, "k": np.array(0.37)}, dtype)
    b = graph(text % "i = Identity(k) d = Mul(i, c)", {"w": W, "b": B, "k": np.array(0.37)}, dtype)
    wrong = graph(text % "d = Mul(c, k)", {"w": W, "b": B * 1.1, "k": np.array(0.37)}, dtype)
    assert compared(a, b).outcome == "same"
    assert compared(a, wrong).outcome == "differs"


def test_an_average_is_a_convolution_in_either_order(compared: Compare) -> None:
    head = "(float[2,3,7,7] x) => (float[2,3,5,5] y)"
    pool = graph(f"{head} {{ y = AveragePool<kernel_shape=[3,3]>(x) }}", {})
    conv = graph(f"{head} {{ y = Conv<group=3>(x, w) }}", {"w": np.full((3, 1, 3, 3), 1 / 9)})
    wrong = graph(f"{head} {{ y = Conv<group=3>(x, w) }}", {"w": np.full((3, 1, 3, 3), 1 / 9.01)})
    assert compared(pool, conv).outcome == compared(conv, pool).outcome == "same"
    assert compared(pool, wrong).outcome == compared(wrong, pool).outcome == "differs"


def test_a_variance_by_squares_differs_in_either_order(compared: Compare) -> None:
    head = "(float[4,8] x) => (float[4,1] y)"
    good = graph(
        f"{head} {{ m = ReduceMean<axes=[1]>(x) d = Sub(x, m) e = Mul(d, d) y = ReduceMean<axes=[1]>(e) }}", {}
    )
    naive = graph(
        f"{head} {{ m = ReduceMean<axes=[1]>(x) q = Mul(x, x) s = ReduceMean<axes=[1]>(q)"
        " r = Mul(m, m) y = Sub(s, r) }",
        {},
    )
    assert compared(good, naive).outcome == compared(naive, good).outcome != "same"


def test_a_number_that_is_added_and_taken_off_to_round_is_round(compared: Compare) -> None:
    head = "(float[9] x) => (float[9] y)"
    plain = graph(f"{head} {{ y = Round(x) }}", {})
    trick = graph(f"{head} {{ a = Add(x, k) y = Sub(a, k) }}", {"k": np.array(12582912.0)})
    floor = graph(f"{head} {{ y = Floor(x) }}", {})
    assert compared(plain, trick).outcome == compared(trick, plain).outcome == "same"
    assert compared(floor, trick).outcome == compared(trick, floor).outcome == "differs"


QDQ = """(float[3,8] x) => (float[3,8] y) {
    q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z) t = Sigmoid(d)
    r = QuantizeLinear(t, s, z) y = DequantizeLinear(r, %s, z) }"""


def test_nodes_and_values_are_called_as_in_the_file(compared: Compare) -> None:
    weights = {"s": np.float32(0.02), "z": np.uint8(128), "other": np.float32(0.021)}
    a, b = (graph(QDQ % scale, weights) for scale in ("s", "other"))
    for each in (a, b):
        each.opset_import[0].version = 13
    assert compared(a, a).outcome == "same"
    (faulty,) = [g for g in compared(a, b).faults if g.party == "B"]
    assert (faulty.node, faulty.op, faulty.output) == ("DequantizeLinear_4", "DequantizeLinear", "y")


def test_an_operand_that_A_holds_folded_is_named_by_the_node_that_makes_it(compared: Compare) -> None:
    left, right = RANDOM.normal(size=(2, 8, 2))
    head = "(float[2,8] x) => (float[2,4] y)"
    a = graph(f"{head} {{ y = MatMul(x, w) }}", {"w": np.concatenate([left, right], 1)})
    text = f"{head} {{ n = Shape(u) c = ConstantOfShape(n) p = Add(u, c)"
    text += " [joined] w = Concat<axis=1>(%s) y = MatMul(x, w) }"
    healthy, swapped = (graph(text % order, {"u": left, "v": right}) for order in ("p, v", "v, p"))
    assert compared(a, healthy).outcome == "same"
    assert [g.node for g in compared(a, swapped).faults] == ["joined"]


def test_a_blocked_layout_is_declined_with_what_to_do() -> None:
    text = "(float[1,8,4,4] x) => (float[1,8,4,4] y) { r = com.microsoft.nchwc.ReorderInput(x) y = %s }"
    with pytest.raises(Unsupported, match="ORT_ENABLE_EXTENDED"):
        float64_comparison.prepare(graph(text % "com.microsoft.nchwc.ReorderOutput<channels=8>(r)", {}))
    float64_comparison.prepare(graph("(float[1] x) => (float[1] y) { y = Relu(x) }", {}))


def test_a_kernel_that_departs_is_no_difference_of_meaning() -> None:
    kernel, node = (Fault("n", "Op", "y", 9.0, party=party) for party in ("B>ort.off", "B"))
    assert verdict(Evidence(faults=[kernel], compared=1)) == "same"
    assert verdict(Evidence(faults=[kernel], compared=1, apart=True)) == "departs"
    assert verdict(Evidence(compared=1, apart=True)) == "differs"
    assert verdict(Evidence(faults=[kernel, node], compared=1)) == "differs"
    assert verdict(Evidence(faults=[kernel], problems=["p"], compared=1, apart=True)) == "uncompared"


def test_what_is_said_of_an_output_holds_on_every_feed() -> None:
    rows = [
        ComparedOutput("y", "y", "by name", outcome, 3, far)  # type: ignore[arg-type]
        for outcome, far in (("equal", 0.0), ("rounding", 1e-7), ("rounding", 1e-6), ("diverges", 1.0))
    ]
    assert worse(rows[0], rows[1]) is rows[1]
    assert worse(rows[2], rows[1]) is rows[2]
    assert worse(rows[3], rows[2]) is rows[3]


def test_unique_in_the_order_of_occurrence() -> None:
    def unique(x: Array, outputs: list[str], **held: int) -> list[list[int]]:
        node = onnx.helper.make_node("Unique", ["x"], outputs, **held)
        return [value.tolist() for value in evaluate(node, 17, [x])]

    x = np.array([2, 1, 1, 3, 4, 3])
    assert unique(x, ["y", "i", "j", "n"], sorted=0) == [[2, 1, 3, 4], [0, 1, 3, 4], [0, 1, 1, 2, 3, 2], [1, 2, 2, 1]]
    assert unique(x, ["y"]) == [[1, 2, 3, 4]]
    assert unique(np.array([[1, 0], [1, 0], [0, 1]]), ["y"], axis=0, sorted=0) == [[[1, 0], [0, 1]]]
    assert "Unique" in {op.__name__ for op in as_specified()}


def test_a_normalization_that_the_runtime_wrote_before_ONNX_had_it_is_read(compared: Compare) -> None:
    text = "(float[2,5] x) => (float[2,5] y) { %s }"
    fused = graph(text % "y = LayerNormalization<epsilon=0.01>(x, w)", {"w": B[:5]})
    other = graph(text % "y = LayerNormalization<epsilon=0.02>(x, w)", {"w": B[:5]})
    parts = "m = ReduceMean<axes=[1]>(x) d = Sub(x, m) e = Mul(d, d) v = ReduceMean<axes=[1]>(e) k = Add(v, c)"
    apart = graph(text % f"{parts} s = Sqrt(k) q = Div(d, s) y = Mul(q, w)", {"w": B[:5], "c": np.array(0.01)})
    for each in (fused, other, apart):
        each.opset_import[0].version = 11
    assert compared(apart, fused).outcome == compared(fused, apart).outcome == "same"
    assert compared(apart, other).outcome == "differs"
