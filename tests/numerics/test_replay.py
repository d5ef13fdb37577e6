"""What a node's check must never let pass, and what it must say where it cannot judge."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import pytest

from onnx_triangulate.numerics.reference_evaluator import evaluate
from onnx_triangulate.numerics.replay import NodeCheck, replay
from onnx_triangulate.ops.registry import operators
from onnx_triangulate.records.arrays import Array


def node(text: str, inputs: str = "x, z", outputs: str = "y") -> onnx.NodeProto:
    values = ", ".join(f"float[N] {name.strip()}" for name in inputs.split(",") if name.strip())
    model = onnx.parser.parse_model(
        f'<ir_version: 10, opset_import: ["" : 20]> g ({values}) => (float[N] y) {{ {outputs} = {text} }}'
    )
    return model.graph.node[0]


def check(
    text: str,
    consumed: Sequence[Array | None],
    produced: Array | None,
    slack: Sequence[Array | None] = (),
    unit: float | None = None,
) -> NodeCheck:
    (found,) = replay(node(text), 20, consumed, [produced], slack=slack, unit=unit)
    return found


def f(*values: float) -> Array:
    return np.array(values, dtype=np.float32)


ROWS = np.random.default_rng(0).normal(size=(3, 64)).astype(np.float32)
COLUMNS = np.random.default_rng(1).normal(size=(64, 5)).astype(np.float32)


def test_the_same_bits_are_equal() -> None:
    found = check("Relu(x)", [f(-1, 0, 2)], f(0, 0, 2))
    assert (found.outcome, found.ratio, found.compared, found.rule) == ("equal", 0.0, 3, "relu")


def test_rounding_is_inside_its_bound_and_says_where_it_is_worst() -> None:
    found = check("MatMul(x, z)", [ROWS, COLUMNS], ROWS @ COLUMNS)
    assert found.outcome in ("equal", "rounding")
    assert found.ratio is not None
    assert 0 <= found.ratio <= 1
    assert found.compared == 15


@pytest.mark.parametrize("at", [(0, 0), (2, 4)])
def test_one_wrong_element_is_found_where_it_is(at: tuple[int, int]) -> None:
    produced = ROWS @ COLUMNS
    produced[at] += np.float32(0.01)
    found = check("MatMul(x, z)", [ROWS, COLUMNS], produced)
    assert (found.outcome, found.index) == ("diverges", at)
    assert found.ratio is not None
    assert found.ratio > 1
    assert found.actual == produced[at]
    assert found.max_abs == pytest.approx(0.01, rel=0.01)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("everywhere", [False, True])
def test_what_is_not_finite_is_strict(wrong: float, everywhere: bool) -> None:
    produced = ROWS @ COLUMNS
    if everywhere:
        produced[:] = wrong
    else:
        produced[1, 2] = wrong
    found = check("MatMul(x, z)", [ROWS, COLUMNS], produced)
    assert (found.outcome, found.ratio) == ("diverges", np.inf)


def test_a_nan_that_is_due_must_be_there() -> None:
    assert check("Sqrt(x)", [f(-1, 4)], f(np.nan, 2)).outcome == "equal"
    assert check("Sqrt(x)", [f(-1, 4)], f(0, 2)).outcome == "diverges"


def test_an_infinity_is_only_itself() -> None:
    assert check("Exp(x)", [f(1e4, 0)], f(np.inf, 1)).outcome == "equal"
    assert check("Exp(x)", [f(1e4, 0)], f(3.4e38, 1)).outcome == "diverges"
    assert check("Exp(x)", [f(1e4, 0)], f(-np.inf, 1)).outcome == "diverges"
    assert check("Neg(x)", [f(np.inf)], f(np.inf)).outcome == "diverges"


def test_an_overflow_at_the_very_edge_may_go_either_way() -> None:
    top = np.finfo(np.float32).max
    assert check("Add(x, z)", [f(top), f(2.0**103)], f(np.inf)).outcome in ("equal", "rounding")
    assert check("Add(x, z)", [f(1e38), f(1e38)], f(np.inf)).outcome == "diverges"


@pytest.mark.parametrize(
    ("produced", "says"),
    [
        (np.zeros((1, 3), np.float32), "has shape (1, 3) where (3) is due"),
        (np.float32(0), "has shape () where (3) is due"),
        (np.zeros(3, np.float64), "is float64 where float32 is due"),
        (np.zeros(3, np.int32), "is int32 where float32 is due"),
    ],
)
def test_shape_and_type_come_first(produced: Array, says: str) -> None:
    found = check("Abs(x)", [f(0, 0, 0)], np.asarray(produced))
    assert (found.outcome, found.problem, found.compared) == ("diverges", says, 0)


def test_nothing_compared_is_never_a_pass() -> None:
    empty = np.zeros((0, 3), np.float32)
    assert check("Abs(x)", [empty], empty).outcome == "uncompared by bound"
    assert check("Abs(x)", [f(1)], None).outcome == "uncompared by bound"


def test_an_operator_without_a_rule_is_said_to_be_uncompared() -> None:
    assert operators()["Det"].bound is None
    found = check("Det(x)", [np.eye(2, dtype=np.float32)], f(1))
    assert (found.outcome, found.ratio, found.rule) == ("uncompared by bound", None, None)
    assert found.problem == "there is no rule for Det"


def test_an_operator_of_another_domain_has_no_rule() -> None:
    other = node("Relu(x)")
    other.domain = "com.example"
    (found,) = replay(other, 20, [f(1)], [f(1)])
    assert found.outcome == "uncompared by bound"


def test_a_subgraph_has_no_rule() -> None:
    text = """<ir_version: 10, opset_import: ["" : 20]> g (bool c, float[1] x) => (float[1] y) {
        y = If (c) <then_branch = a () => (float[1] p) { p = Identity(x) },
                    else_branch = b () => (float[1] q) { q = Neg(x) }>
    }"""
    (held,) = onnx.parser.parse_model(text).graph.node
    (found,) = replay(held, 20, [np.array(True)], [f(1)])
    assert found.outcome == "uncompared by bound"
    assert "subgraph" in (found.problem or "")


def test_a_use_that_the_formula_does_not_cover_is_uncompared() -> None:
    found = check("Resize<antialias=1>(x, z, s)", [ROWS, None, f(1, 0.5)], ROWS[:, ::2])
    assert found.outcome == "uncompared by bound"
    assert "antialiasing" in (found.problem or "")


def test_a_node_that_cannot_be_evaluated_is_uncompared_not_passed() -> None:
    found = check("MatMul(x, z)", [ROWS, ROWS], ROWS)
    assert found.outcome == "uncompared by bound"
    assert "could not be evaluated" in (found.problem or "")
    assert (found.problem or "").isprintable()


def test_every_named_output_is_judged_by_itself() -> None:
    split = node("Split<axis=1,num_outputs=2>(x)", outputs="y, second")
    left, right = np.split(ROWS, 2, 1)
    found = replay(split, 20, [ROWS], [left, right + 1])
    assert [c.outcome for c in found] == ["equal", "diverges"]
    assert [c.output for c in found] == ["y", "second"]


def test_moved_bits_include_the_sign_of_zero_and_computed_ones_do_not() -> None:
    assert check("Identity(x)", [f(0.0)], f(-0.0)).outcome == "diverges"
    assert check("Relu(x)", [f(-0.0)], f(-0.0)).outcome in ("equal", "rounding")
    assert check("Relu(x)", [f(-0.0)], f(0.0)).outcome in ("equal", "rounding")


def test_integers_do_not_wrap() -> None:
    found = check("Identity(x)", [np.array([0, -128], np.int8)], np.array([1, 127], np.int8))
    assert (found.outcome, found.max_abs) == ("diverges", 255.0)
    found = check("Identity(x)", [np.array([0], np.uint8)], np.array([255], np.uint8))
    assert found.max_abs == 255.0


def test_where_onnx_says_nothing_a_difference_is_no_verdict() -> None:
    found = check("Max(x, z)", [f(np.nan, 1), f(2, 2)], f(2, 2))
    assert found.outcome == "uncompared by bound"
    assert "ONNX does not say" in (found.problem or "")
    assert check("Max(x, z)", [f(np.nan, 1), f(2, 2)], f(2, 1)).outcome == "diverges"


@pytest.mark.parametrize(
    ("text", "consumed", "right", "flipped", "margin"),
    [
        ("Round(x)", [f(0.4999, 3)], f(0, 3), f(1, 3), 1e-3),
        ("Floor(x)", [f(0.9999, 3.5)], f(0, 3), f(1, 3), 1e-3),
        ("Greater(x, z)", [f(1, 2), f(1.0001, 0)], np.array([False, True]), np.array([True, True]), 1e-3),
        ("Cast<to=7>(x)", [f(0.9999, 3.5)], np.array([0, 3]), np.array([1, 3]), 1e-3),
        ("ArgMax<axis=0>(x)", [f(1, 1.0001, 0)], np.array([1]), np.array([0]), 1e-3),
        ("Sign(x)", [f(1e-5, 2)], f(1, 1), f(-1, 1), 1e-3),
    ],
)
def test_a_flip_is_rounding_only_inside_the_inputs_own_bound(
    text: str, consumed: list[Array], right: Array, flipped: Array, margin: float
) -> None:
    assert check(text, consumed, right).outcome == "equal"
    assert check(text, consumed, flipped).outcome == "diverges"
    slack = [np.asarray(margin)]
    assert check(text, consumed, flipped, slack).outcome == "flip within rounding"
    assert check(text, consumed, flipped, [np.asarray(margin / 1e3)]).outcome == "diverges"


@pytest.mark.parametrize(
    ("text", "consumed", "wrong"),
    [
        ("Round(x)", [f(0.4999, 3)], f(0, 4)),
        ("Greater(x, z)", [f(1, 2), f(1.0001, 0)], np.array([False, False])),
        ("Cast<to=7>(x)", [f(0.9999, 3.5)], np.array([0, 4])),
        ("ArgMax<axis=0>(x)", [f(1, 1.0001, 0)], np.array([2])),
    ],
)
def test_a_flip_elsewhere_stays_a_divergence(text: str, consumed: list[Array], wrong: Array) -> None:
    assert check(text, consumed, wrong, [np.asarray(1e-3)]).outcome == "diverges"


def test_a_quantized_value_may_step_only_beside_a_half() -> None:
    scale, zero = np.float32(0.1), np.uint8(10)
    x = f(0.25, 0.55, 1.0)
    step = check("QuantizeLinear(x, z, o)", [x, np.asarray(scale), np.asarray(zero)], np.array([13, 15, 20], np.uint8))
    assert step.outcome in ("equal", "flip within rounding")
    away = check("QuantizeLinear(x, z, o)", [x, np.asarray(scale), np.asarray(zero)], np.array([12, 16, 21], np.uint8))
    assert away.outcome == "diverges"


def test_a_coarser_unit_is_a_class_of_its_own() -> None:
    tf32 = (ROWS.view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32)
    produced = tf32 @ COLUMNS
    assert check("MatMul(x, z)", [ROWS, COLUMNS], produced).outcome == "diverges"
    assert check("MatMul(x, z)", [ROWS, COLUMNS], produced, unit=2.0**-10).outcome == "rounding"


@pytest.mark.parametrize("kind", [np.float16, np.float64])
def test_the_unit_is_that_of_the_type(kind: type) -> None:
    x, z = ROWS.astype(kind), COLUMNS.astype(kind)
    healthy = check("MatMul(x, z)", [x, z], x @ z)
    assert healthy.outcome in ("equal", "rounding")
    half = (x.astype(np.float64) @ z.astype(np.float64)) * (1 + 400 * np.finfo(kind).eps)
    assert check("MatMul(x, z)", [x, z], half.astype(kind)).outcome == "diverges"


def test_a_flushed_subnormal_is_rounding() -> None:
    found = check("Mul(x, z)", [f(1e-30, 1), f(1e-10, 1)], f(0, 1))
    assert found.outcome == "rounding"
    assert check("Mul(x, z)", [f(1e-30, 1), f(1e-5, 1)], f(0, 1)).outcome == "diverges"


def test_a_possible_overflow_on_the_way_is_no_bound() -> None:
    found = check("ReduceL2(x)", [f(3e19, 4e19)], f(np.inf).reshape(1))
    assert found.outcome == "uncompared by bound"


def test_a_tiny_tensor_that_is_all_wrong_is_found() -> None:
    found = check("MatMul(x, z)", [ROWS * np.float32(1e-6), COLUMNS], np.zeros((3, 5), np.float32))
    assert found.outcome == "diverges"


@pytest.mark.parametrize(
    "text", ["Conv(x, z, b)", "Add(x, z)", "ScatterND(x, z, b)", "BatchNormalization(x, b, b, b, b)"]
)
def test_what_was_consumed_is_left_as_it_was(text: str) -> None:
    values = {"x": np.ones((1, 3, 4, 5), np.float32), "z": np.ones((2, 3, 3, 3), np.float32), "b": f(1, 2)}
    if text.startswith("Scatter"):
        values = {"x": np.ones((4, 2), np.float32), "z": np.array([[1]]), "b": np.ones((1, 2), np.float32)}
    if text.startswith("Batch"):
        values["b"] = f(1, 2, 3)
    if text.startswith("Add"):
        values["z"] = np.ones((1, 3, 4, 5), np.float32)
    asked = node(text, "x, z, b")
    consumed = [values[name] for name in asked.input]
    for value in values.values():
        value.flags.writeable = False
    before = [v.copy() for v in consumed]
    replay(asked, 20, consumed, [None])
    (produced,) = evaluate(asked, 20, consumed)
    (found,) = replay(asked, 20, consumed, [produced])
    assert found.outcome in ("equal", "rounding"), found
    assert all(np.array_equal(a, b) for a, b in zip(before, consumed, strict=True))


def test_a_runtime_that_nobody_measured_is_refused() -> None:
    with pytest.raises(KeyError):
        replay(node("Exp(x)"), 20, [f(1)], [f(np.e)], runtime="nobody")


def test_a_recurrent_step_is_judged_on_the_state_that_the_run_made() -> None:
    random = np.random.default_rng(0)
    text = "RNN<hidden_size=4>(x, w, r)"
    rnn = node(text, "x, w, r", "y, last")
    values = [random.normal(size=s).astype(np.float32) for s in ((6, 1, 3), (1, 4, 3), (1, 4, 4))]
    y, last = evaluate(rnn, 20, values)
    assert all(c.outcome in ("equal", "rounding") for c in replay(rnn, 20, values, [y, last]))
    broken = y.copy()
    broken[2, 0, 0, 1] += np.float32(0.01)
    found = replay(rnn, 20, values, [broken, last])[0]
    assert (found.outcome, found.index) == ("diverges", (2, 0, 0, 1))


def test_a_pooled_place_may_be_any_of_equal_ones_and_no_other() -> None:
    x = np.array([[[[1, 3, 3, 0]]]], np.float32)
    pool = node("MaxPool<kernel_shape=[1,4]>(x)", "x", "y, i")
    y = np.array([[[[3]]]], np.float32)
    for place in (1, 2):
        assert all(c.outcome == "equal" for c in replay(pool, 20, [x], [y, np.array([[[[place]]]])]))
    assert replay(pool, 20, [x], [y, np.array([[[[3]]]])])[1].outcome == "diverges"
    assert replay(pool, 20, [x], [y, np.array([[[[9]]]])])[1].outcome == "diverges"
