"""The search behind ``compare``: what alignment by structure finds, each with a planted fault, and what it must not."""

from __future__ import annotations

import re
from collections.abc import Mapping

import ml_dtypes
import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import numpy_helper

from onnx_triangulate.locate.feed_sweep import apart
from onnx_triangulate.locate.float64_comparison import judge_graphs, prepare
from onnx_triangulate.locate.teacher_forced import TeacherForcedResult, compare_graphs, evaluate_reference
from onnx_triangulate.locate.teacher_forced.bound import away
from onnx_triangulate.numerics.compare import same_values
from onnx_triangulate.onnxgraph.dataflow import Orientation
from onnx_triangulate.records.arrays import Array

HEAD = '<ir_version: 10, opset_import: ["" : 20]>'


def graph(nodes: str, constants: Mapping[str, Array] | None = None, border: str = "") -> onnx.ModelProto:
    border = border or "(float[2,3,4] x) => (float[a,b,c] y)"
    made = onnx.parser.parse_model(f"{HEAD} g {border} {{ {nodes} }}")
    for name, value in (constants or {}).items():
        made.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    return made


def judged(a: onnx.ModelProto, b: onnx.ModelProto) -> TeacherForcedResult:
    random = np.random.default_rng(0)
    feeds = {
        i.name: random.uniform(-1, 1, [d.dim_value for d in i.type.tensor_type.shape.dim]).astype(np.float32)
        for i in a.graph.input
    }
    borders = ({n: (n, Orientation()) for n in feeds}, {o.name: (o.name, Orientation()) for o in a.graph.output})
    return judge_graphs(prepare(a), prepare(b), feeds, *borders)


def faulty(a: onnx.ModelProto, b: onnx.ModelProto) -> list[str]:
    found = judged(a, b)
    assert found.unjudged == ()
    return [part.node for part in found.faults]


RANDOM = np.random.default_rng(1)
W = {
    name: RANDOM.normal(size=shape).astype(np.float32)
    for name, shape in {"v": (4, 4), "w": (4, 4), "k": (4,), "m": (4,), "c": (1,)}.items()
}
TAIL = "[p] r1 = MatMul(h, w) [q] r2 = Add(r1, k) [r] r3 = Tanh(r2) [s] y = MatMul(r3, v)"


@pytest.mark.parametrize(
    ("right", "wrong", "named"),
    [
        pytest.param("[n] t = Relu(x) [o] h = Mul(t, k)", "[o] h = Mul(x, k)", "o", id="a dropped activation"),
        pytest.param("[n] h = Relu(x)", "[n] t = Relu(x) [o] h = Neg(t)", "o", id="an inserted node"),
        pytest.param("[n] h = Relu(x)", "[n] h = Abs(x)", "n", id="another operator"),
        pytest.param("[n] h = Add(x, k)", "[n] h = Add(x, m)", "n", id="another constant"),
        pytest.param(
            "[n] t = Transpose<perm=[1, 0, 2]>(x) [o] e = Exp(t) [u] h = Transpose<perm=[1, 0, 2]>(e)",
            "[n] t = Reshape(x, other) [o] e = Exp(t) [u] h = Transpose<perm=[1, 0, 2]>(e)",
            "n",
            id="a reshape where axes should move",
        ),
        pytest.param(
            "[n] f = Exp(x) [o] i = Sin(x) [t] d = Tanh(f) [u] e = Tanh(i) [z] h = Sub(d, e)",
            "[n] f = Exp(x) [o] i = Sin(x) [t] d = Tanh(f) [u] e = Tanh(f) [z] h = Sub(d, e)",
            "u",
            id="a computation that reads the wrong value and repeats another",
        ),
        pytest.param(
            "[n] t = Greater(x, c) [o] b = Not(t) [u] f = Cast<to=1>(t) [z] g = Cast<to=1>(b) [l] h = Sub(f, g)",
            "[n] t = Less(x, c) [o] b = Not(t) [u] f = Cast<to=1>(t) [z] g = Cast<to=1>(b) [l] h = Sub(f, g)",
            "n",
            id="a comparison whose answers are another value's by chance",
        ),
        pytest.param(
            "[n] t = Slice(w, at0, at2, at0) [o] l = Slice(w, at2, at4, at0) [u] j = Concat<axis=0>(l, t)"
            " [z] h = MatMul(x, j)",
            "[n] t = Slice(w, at1, at3, at0) [o] l = Slice(w, at2, at4, at0) [u] j = Concat<axis=0>(l, t)"
            " [z] h = MatMul(x, j)",
            "n",
            id="the first wrong step of what constants become",
        ),
        pytest.param(
            "[n] t = Relu(x) [o] e = Exp(t) [u] h = Mul(e, x)",
            "[n] t = Relu(held) [o] e = Exp(t) [u] h = Mul(e, x)",
            "n",
            id="a value that the exporter held fixed",
        ),
        pytest.param(
            "[n] t = Mul(x, c) [o] e = Floor(t) [u] h = Mul(e, x)",
            "[n] t = Mul(held, c) [o] e = Floor(t) [u] h = Mul(e, x)",
            "n",
            id="a value held fixed in front of a step that jumps",
        ),
    ],
)
def test_the_faulty_node_is_named_and_nobody_else(right: str, wrong: str, named: str) -> None:
    constants = {
        **W,
        **{f"at{i}": np.array([i]) for i in range(5)},
        "other": np.array([3, 2, 4]),
        "held": RANDOM.normal(size=(2, 3, 4)).astype(np.float32),
    }
    a, b = (graph(nodes + TAIL, constants) for nodes in (right, wrong))
    assert faulty(a, b) == [named]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(
            "[n] t = Mul(x, c) [o] e = Relu(t) [u] i = Reshape(e, long) [z] f = ReduceMax<keepdims=0>(i, last)"
            " [l] h = Unsqueeze(f, last)",
            "[o] e = Relu(x) [u] i = Reshape(e, long) [z] f = ReduceMax<keepdims=0>(i, last) [n] t = Mul(f, c)"
            " [l] h = Unsqueeze(t, last)",
            id="a factor moved behind operators that let it through",
        ),
        pytest.param(
            "[n] a = Relu(x) [o] b = Exp(a) [u] h = Tanh(b)",
            "[t] z = Transpose<perm=[2, 0, 1]>(x) [n] a = Relu(z) [o] b = Exp(a) [u] i = Tanh(b)"
            " [v] h = Transpose<perm=[1, 2, 0]>(i)",
            id="another layout for a while",
        ),
        pytest.param("[n] a = Sub(x, k) [o] h = Sub(a, m)", "[n] a = Sub(x, m) [o] h = Sub(a, k)", id="two exchanged"),
        pytest.param("[n] h = Split<num_outputs=1>(x)", "[n] h = Identity(x)", id="nothing done"),
    ],
)
def test_what_means_the_same_accuses_nobody(one: str, other: str) -> None:
    constants = {**W, "c": np.float32([1.5]), "long": np.array([2, 3, 4]), "last": np.array([2])}
    tail = "[s] y = Add(h, c)"
    for a, b in ((one, other), (other, one)):
        found = judged(graph(a + tail, constants), graph(b + tail, constants))
        assert (found.faults, found.unjudged) == ((), ())
        assert found.compared > 0


WHOLE = "(int64[3,6] x, int64[3,6] y) => (int64[3,6] z)"
FLOORED = """k = Constant<value = int64 {0}>() l = Less(x, k) g = Greater(y, k) e = Equal(l, g) m = Mod(x, y)
    c = Cast<to = 9>(m) b = And(e, c) i = Cast<to = 7>(b) d = Div(x, y) z = Sub(d, i)"""
SHIFTED = """o = Constant<value = int64 {1}>() n = Constant<value = int64 {0}>() l = Less(x, n) u = Cast<to = 13>(x)
    v = Cast<to = 13>(o) w = Constant<value = uint64 {18446744073709551615}>()
    s = BitShift<direction = "RIGHT">(w, v) t = BitwiseNot(s) a = BitShift<direction = "RIGHT">(u, v)
    r = BitwiseOr(a, t) c = Cast<to = 7>(r) d = Cast<to = 7>(a) z = Where(l, c, d)"""


@pytest.mark.parametrize(
    ("right", "wrong", "named"),
    [
        (FLOORED, "[div] d = Div(x, y) [one] e = Cast<to = 7>(d) [two] z = Cast<to = 7>(e)", ["div"]),
        (FLOORED, "[div] d = Div(x, y) [one] e = Identity(d) [two] z = Cast<to = 7>(e)", ["div"]),
        (FLOORED, FLOORED.replace("z = Sub", "q = Sub") + " [one] z = Cast<to = 7>(q)", []),
        (
            SHIFTED,
            "o = Constant<value = float {1}>() t = Constant<value = float {2}>() [pow] p = Pow(t, o) "
            "[cast] c = Cast<to = 7>(p) [div] z = Div(x, c)",
            ["div"],
        ),
        (SHIFTED, "[two] t = Constant<value = int64 {2}>() [div] z = Div(x, t)", ["div"]),
        ("[a] a = Mul(x, y) [b] z = Add(a, x)", "[a] a = Add(x, y) [c] c = Cast<to = 7>(a) [b] z = Add(c, x)", ["a"]),
    ],
)
def test_what_hands_on_what_it_reads_and_what_is_spread_are_not_faulty(
    right: str, wrong: str, named: list[str]
) -> None:
    a, b = graph(right, border=WHOLE), graph(wrong, border=WHOLE)
    random = np.random.default_rng(0)
    feeds = {"x": random.integers(-9, 9, (3, 6)), "y": random.integers(1, 9, (3, 6))}
    borders = {n: (n, Orientation()) for n in feeds}, {"z": ("z", Orientation())}
    found = judge_graphs(prepare(a), prepare(b), feeds, *borders)
    assert [part.node for part in found.faults] == named


def test_two_faults_next_to_each_other_are_both_named() -> None:
    a = graph("[n] e = Relu(x) [o] i = Tanh(e) [u] h = Add(i, k)" + TAIL, W)
    b = graph("[n] e = Relu(x) [o] i = Erf(e) [u] h = Add(i, m)" + TAIL, W)
    assert faulty(a, b) == ["o", "u"]


SEQUENCE = """
    [parts] l = SplitToSequence<axis=1>(x)
    [first] f = SequenceAt(l, zero)
    [second] i = SequenceAt(l, one)
    [minus] y = Sub(f, i)
"""


def test_sequences_are_values_too() -> None:
    constants = {"zero": np.array(0), "one": np.array(1), "two": np.array(2)}
    a = graph(SEQUENCE, constants)
    assert faulty(a, graph(SEQUENCE, constants)) == []
    assert faulty(a, graph(SEQUENCE.replace("(l, one)", "(l, two)"), constants)) == ["second"]
    assert faulty(a, graph(SEQUENCE.replace("axis=1", "axis=2"), constants)) != []


def test_the_work_grows_with_the_graph_and_not_faster() -> None:
    def counted(length: int) -> int:
        chain = "[n] v0 = Sin(x) " + " ".join(
            f"[m{i}] u{i} = Mul(v{i}, k) [t{i}] v{i + 1} = Tanh(u{i})" for i in range(length)
        )
        a, b = (graph(f"{nodes} [s] y = Exp(v{length})", W) for nodes in (chain, chain.replace("Sin", "Cos")))
        known = evaluate_reference(prepare(a).graph, {"x": np.random.default_rng(0).uniform(-1, 1, (2, 3, 4))})
        right = prepare(b).graph
        calls, run = [0], right.run

        def counting(step: object, values: Mapping[str, Array]) -> dict[str, Array]:
            calls[0] += 1
            return run(step, values)  # type: ignore[arg-type]  # a step

        object.__setattr__(right, "run", counting)
        borders = {"x": ("x", Orientation())}, {"y": ("y", Orientation())}
        found = compare_graphs(known, right, *borders, roundings=1)
        assert [part.node for part in found.faults] == ["n"]
        return calls[0]

    assert counted(80) <= 2.5 * counted(40)


def test_windows_and_interpolation_are_evaluated_by_their_own_definitions() -> None:
    nodes = '[n] y = Resize<mode="linear", coordinate_transformation_mode="asymmetric">(x, , , sizes)'
    model = graph(nodes, {"sizes": np.array([2, 3, 6])})
    value = evaluate_reference(prepare(model).graph, {"x": np.arange(24.0).reshape(2, 3, 4)}).values["y"]
    rows = np.clip(np.arange(6) * np.float64(np.float32(4) / np.float32(6)), 0, 3)
    assert np.allclose(value[0, 0], rows, atol=1e-6)


BATCH = "(float[2,3,8,8] x) => (float[a,b,c,d] y)"
WINDOW = {"f": RANDOM.normal(size=(3, 3, 3, 3)).astype(np.float32)}
GRU = {
    name: RANDOM.normal(size=shape).astype(np.float32)
    for name, shape in {"w": (1, 12, 4), "r": (1, 12, 4), "u": (1, 24)}.items()
}


@pytest.mark.parametrize(
    ("one", "other", "constants", "border"),
    [
        pytest.param("y = Softmax(x)", "y = Softmax<axis=-1>(x)", {}, "", id="a default written out"),
        pytest.param("y = Softmax<axis=2>(x)", "y = Softmax<axis=-1>(x)", {}, "", id="an axis from the end"),
        pytest.param("y = Hardmax<axis=2>(x)", "y = Hardmax(x)", {}, "", id="an axis that is the default"),
        pytest.param(
            'y = Conv<auto_pad="SAME_UPPER">(x, f)', "y = Conv<pads=[1,1,1,1]>(x, f)", WINDOW, BATCH, id="pads"
        ),
        pytest.param(
            'y = MaxPool<kernel_shape=[3,3],auto_pad="SAME_UPPER">(x)',
            "y = MaxPool<kernel_shape=[3,3],pads=[1,1,1,1]>(x)",
            {},
            BATCH,
            id="pads of a pool",
        ),
        pytest.param(
            "y = Clip(x, low, high)",
            "y = Clip(x, low, high)",
            {"low": np.float32(-1), "high": np.float32(1)},
            "",
            id="a clip and itself",
        ),
        pytest.param("y = Relu(x)", "y = Clip(x, zero)", {"zero": np.float32(0)}, "", id="a clip for a relu"),
        pytest.param(
            "c = Clip(x, low, high) y = Exp(c)",
            "t = Max(x, low) c = Min(t, high) y = Exp(c)",
            {"low": np.float32(0), "high": np.float32(6000)},
            "",
            id="a limit in two nodes",
        ),
        pytest.param(
            "c = Clip(x, low, high) y = Exp(c)",
            "t = Min(x, high) c = Max(t, low) y = Exp(c)",
            {"low": np.float32(0), "high": np.float32(6000)},
            "",
            id="a limit in two nodes, the other one first",
        ),
        pytest.param("y = Dropout(x)", "y = Dropout<seed=3>(x)", {}, "", id="a seed that nothing draws by"),
        pytest.param(
            "t = Transpose<perm=[1,0,2]>(x) y, h = GRU<hidden_size=4>(t, w, r, u)",
            'y = GRU<hidden_size=4,activations=["Sigmoid","Tanh"],direction="forward">(t, w, r, u) '
            "t = Transpose<perm=[1,0,2]>(x)",
            GRU,
            "(float[2,3,4] x) => (float[a,b,c,d] y)",
            id="activations that are the default",
        ),
        pytest.param(
            "c = ArgMax<axis=2,keepdims=0>(x) y = Cast<to=1>(c)",
            "c = ArgMax<axis=-1,keepdims=0,select_last_index=0>(x) y = Cast<to=1>(c)",
            {},
            "(float[2,3,4] x) => (float[a,b] y)",
            id="an index",
        ),
    ],
)
def test_another_spelling_is_not_unseen(one: str, other: str, constants: Mapping[str, Array], border: str) -> None:
    for a, b in ((one, other), (other, one)):
        found = judged(graph(a, constants, border), graph(b, constants, border))
        assert (found.faults, found.unjudged) == ((), ())


TABLE = {
    "w": RANDOM.normal(size=(24, 5)).astype(np.float32),
    "b": RANDOM.normal(size=5).astype(np.float32),
    "last": np.array(-1),
    "t": RANDOM.normal(size=(3, 5)).astype(np.float32),
}
FOUR = "(float[9,3,2,12] x) => (float[n,m] y)"
THEN = "[g] g = Gather<axis=0>(q, last) [p] y = Gemm(g, w, b)"
SHAPED = {
    "sizes and zeros": ("[S] q = Reshape(x, s)", [9, 3, 24], "[S] q = Reshape(x, s)", [0, 0, -1], THEN),
    "axes from the end": (
        "[r] r = Reshape(x, u) [S] q = Squeeze(r, s)",
        [-2],
        "[r] r = Reshape(x, u) [S] q = Squeeze(r, s)",
        [2],
        THEN,
    ),
    "two axes in one": (
        "[S] q = Reshape(x, s) [k] k = MatMul(q, w) [m] m = Tanh(k)",
        [9, 3, 24],
        "[S] q = Reshape(x, s) [k] k = MatMul(q, w) [m] l = Tanh(k) [l] m = Reshape(l, v)",
        [27, 24],
        "[z] z = Sin(m) [y1] f = Gather<axis=0>(z, last) [y2] h = Add(f, t) [y3] y = Tanh(h)",
    ),
}


def shaped(nodes: str, numbers: list[int], stored: bool) -> onnx.ModelProto:
    made = f"[C] s = Constant<value=int64[{len(numbers)}] {{{','.join(map(str, numbers))}}}>()"
    more = {"u": np.array([9, 3, 1, 24]), "v": np.array([9, 3, 5]), **({"s": np.array(numbers)} if stored else {})}
    return graph(nodes if stored else f"{made} {nodes}", {**TABLE, **more}, FOUR)


@pytest.mark.parametrize("name", SHAPED)
@pytest.mark.parametrize("stored", [(True, False), (False, True), (True, True), (False, False)])
def test_a_shape_is_no_value_to_be_compared(name: str, stored: tuple[bool, bool]) -> None:
    one, numbers, other, others, then = SHAPED[name]
    a, b = shaped(f"{one} {then}", numbers, stored[0]), shaped(f"{other} {then}", others, stored[1])
    for found in (judged(a, b), judged(b, a)):
        assert (found.faults, found.unjudged) == ((), ())


@pytest.mark.parametrize("stored", [True, False])
def test_a_wrong_shape_is_named_all_the_same(stored: bool) -> None:
    a = shaped(f"[S] q = Reshape(x, s) {THEN}", [9, 3, 24], stored)
    b = shaped(f"[S] q = Reshape(x, s) {THEN}", [3, 9, 24], stored)
    assert faulty(a, b) == ["S" if stored else "C"]


def test_of_values_that_hold_the_same_the_one_of_the_same_shape_is_it() -> None:
    one, numbers, other, others, then = SHAPED["sizes and zeros"]
    found = judged(shaped(f"{one} {then}", numbers, True), shaped(f"{other} {then}", others, True))
    assert [(p.left, p.orientation) for p in found.alignment.pairs if p.right == "q"] == [("q", Orientation())]


@pytest.mark.parametrize(
    ("said", "other"),
    [
        ('activations=["Sigmoid","Tanh"]', 'activations=["Sigmoid","Relu"]'),
        (
            'activations=["Sigmoid","ScaledTanh"],activation_alpha=[1.0],activation_beta=[1.0]',
            'activations=["Sigmoid","ScaledTanh"],activation_alpha=[1.00002],activation_beta=[1.0]',
        ),
        ("clip=0.5", "clip=0.50001"),
        ("hidden_size=4", "linear_before_reset=1"),
    ],
)
def test_a_recurrent_operator_is_named_by_any_of_its_attributes(said: str, other: str) -> None:
    nodes = "[t] t = Transpose<perm=[1,0,2]>(x) [gru] y, h = GRU<hidden_size=4,SAID>(t, w, r, u)"
    border = "(float[2,3,4] x) => (float[a,b,c,d] y)"
    one, two = (graph(nodes.replace(",SAID", "" if "hidden" in s else f",{s}"), GRU, border) for s in (said, other))
    assert faulty(one, two) == ["gru"]


WITHIN = """c = ReduceMax<keepdims=0>(x) t = Less(c, m)
    y = If(t) <then_branch = t () => (float[2,3,4] A) { A = Neg(x) }, else_branch = e () => (float[2,3,4] B) {
        M = Constant<value = int64 {3}>() Q = Identity(t)
        B = Loop(M, Q, x) <body = b (int64 I, bool C, float[2,3,4] V) => (bool O, float[2,3,4] W) {
            O = Identity(C) W = Add(V, k) }> }>"""


def test_a_loop_in_a_branch_that_is_not_taken_counts_without_its_names() -> None:
    constants = {"k": np.float32(2), "m": np.float32(1e6)}
    renamed = re.sub(r"\b([ABMQICVOW])\b", r"other\1", WITHIN)
    longer = renamed.replace("c = ReduceMax<keepdims=0>(x)", "o = Identity(x) c = ReduceMax<keepdims=0>(o)")
    assert judged(graph(WITHIN, constants), graph(longer, constants)).unjudged == ()
    (said,) = judged(graph(WITHIN, constants), graph(renamed.replace("Add(", "Sub("), constants)).unjudged
    assert "another graph inside" in said


SMALLEST = {"high": np.float32(1000), "ax": np.array([1])}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("c = Min(x, high) y = ReduceMin(c, ax)", "c = Identity(x) y = ReduceMin(c, ax)"),
        ("c = Identity(x) y = ReduceMin(c, ax)", "c = Min(x, high) y = ReduceMin(c, ax)"),
        ("c = Min(x, high) y = ReduceMax(c, ax)", "y = ReduceMax(x, ax)"),
    ],
)
def test_a_limit_that_nothing_reached_is_not_hidden_by_what_picks_one_of_many(one: str, other: str) -> None:
    border = "(float[2,3] x) => (float[a,b] y)"
    found = judged(graph(one, SMALLEST, border), graph(other, SMALLEST, border))
    assert found.unjudged


def test_nan_is_nan_in_types_that_numpy_lacks() -> None:
    for kind in (ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2, np.float16, np.float32):
        one = np.array([1.0, np.nan, 0.0]).astype(kind)
        assert same_values(one, one.copy())
        assert same_values(one, np.array([1.0, np.nan, -0.0]).astype(kind))
        assert not same_values(one, np.array([1.0, 2.0, 0.0]).astype(kind))
        assert not same_values(one, one[:2])
        assert away(one, one.copy()) == 0
        assert apart(one, one.copy(), Orientation(), None)[0] == 0
        assert apart(one, np.array([1.0, 2.0, 0.0]).astype(kind), Orientation(), None)[0] == np.inf
