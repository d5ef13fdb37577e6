"""Constants that limit, mask, are compared with 0 alone, or are off by a rounding: planted pairs and their twins."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from onnx_triangulate.comparison.options import Options
from onnx_triangulate.comparison.run import compare_with
from onnx_triangulate.diff.equivalence import prove
from onnx_triangulate.engines.workers import Workers
from onnx_triangulate.facts.limits import limiting, limits
from onnx_triangulate.locate.axis_sizes import other_sizes
from onnx_triangulate.locate.feeds import ValueInfo
from onnx_triangulate.records.errors import UnusableInput
from onnx_triangulate.records.graph_comparison import GraphComparison
from onnx_triangulate.report.comparison import comparison_lines

Compared = Callable[..., GraphComparison]
LOWEST = float(np.finfo(np.float32).min)


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compared]:
    """Two models compared in one worker for all."""
    with Workers(jobs=1, timeout=60, memory=8 * 2**30, logs=tmp_path_factory.mktemp("logs")) as workers:

        def run(a: onnx.ModelProto, b: onnx.ModelProto, **options: Any) -> GraphComparison:
            folder = tmp_path_factory.mktemp("pair")
            for name, proto in (("a", a), ("b", b)):
                onnx.save(proto, folder / f"{name}.onnx")
            return compare_with(workers, folder / "a.onnx", folder / "b.onnx", Options(**options), folder)

        yield run


def model(border: str, nodes: str, **constants: Any) -> onnx.ModelProto:
    made = onnx.parser.parse_model(f'<ir_version: 9, opset_import: ["" : 18]> g {border} {{ {nodes} }}')
    made.graph.initializer.extend(numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items())
    return made


CAUSAL = "(float[n,n] x) => (float[n,n] y)"
TIMES = "(float[t] x) => (float[t] y)"
RANGE = "s = Shape <start = 0, end = 1> (x) t = Squeeze (s) r = Range (zero, t, one)"
COUNTED = {"zero": np.int64(0), "one": np.int64(1)}
ROWS = np.random.default_rng(0).normal(size=(600, 2)).astype(np.float32)


def positions(limit: int | None = None) -> onnx.ModelProto:
    capped = "q = Identity (r)" if limit is None else "q = Min (r, limit)"
    held = {} if limit is None else {"limit": np.int64(limit)}
    return model(TIMES, f"{RANGE} {capped} f = Cast <to = 1> (q) y = Mul (x, f)", **COUNTED, **held)


def table(limit: int | None = None) -> onnx.ModelProto:
    capped = "q = Identity (r)" if limit is None else "q = Min (r, limit)"
    held = {} if limit is None else {"limit": np.int64(limit)}
    return model(
        "(float[t,2] x) => (float[t,2] y)",
        f"{RANGE} {capped} e = Gather (w, q) y = Add (x, e)",
        w=ROWS,
        **COUNTED,
        **held,
    )


def cut(end: int) -> onnx.ModelProto:
    return model(
        "(float[n,t,4] x) => (float[n,m,4] y)",
        "r = Slice (x, start, end, axis) y = Relu (r)",
        start=np.array([0]), end=np.array([end]), axis=np.array([1]),
    )  # fmt: skip


def less(limit: int) -> onnx.ModelProto:
    return model(
        TIMES, f"{RANGE} l = Less (r, limit) f = Where (l, p, q) y = Mul (x, f)",
        limit=np.int64(limit), p=np.float32(1), q=np.float32(0.5), **COUNTED,
    )  # fmt: skip


def band(below: int | None = None) -> onnx.ModelProto:
    upper = "y = Identity (l)" if below is None else "y = Trilu <upper = 1> (l, k)"
    held = {} if below is None else {"k": np.int64(-below)}
    return model(CAUSAL, "l = Trilu <upper = 0> (x, zero) " + upper, zero=np.int64(0), **held)


RELU = model("(float[n,t,4] x) => (float[n,t,4] y)", "y = Relu (x)")
LIMITED = {
    "a range that is capped": (positions(), positions(511)),
    "a range that A caps": (positions(511), positions()),
    "caps that are one apart": (positions(700), positions(701)),
    "a table whose last row is not reached": (table(), table(598)),
    "an end of a slice": (RELU, cut(900)),
    "a band of a triangle": (band(), band(300)),
    "a comparison with a position": (less(700), less(701)),
}


@pytest.mark.parametrize("name", LIMITED)
def test_a_limit_is_fed_beyond(compared: Compared, name: str) -> None:
    a, b = LIMITED[name]
    found = compared(a, b)
    assert found.outcome == "differs", comparison_lines(found)
    assert compared(b, b).outcome == "same"


def test_a_limit_that_no_size_reaches_is_said(compared: Compared) -> None:
    found = compared(positions(), positions(100_000))
    assert (found.outcome, found.problems) == ("same", ())
    assert any("the limit limit = 100000 of B" in says for says in found.unexercised), found.unexercised
    assert not any("limit" in says for says in compared(positions(), cap_elsewhere()).unexercised)
    two = compared(less(7000), less(7001))  # each has one, and they are not one
    assert two.outcome == "uncompared", comparison_lines(two)


def cap_elsewhere() -> onnx.ModelProto:
    return model(TIMES, f"{RANGE} f = Cast <to = 1> (r) y = Mul (f, x)", **COUNTED)


def test_limits_are_what_something_open_may_reach() -> None:
    assert limits(positions(511)) == (511,)
    assert limits(table(598)) == (600, 598, 2)
    assert set(limiting(cut(900))) == {"start", "end"}
    assert "end" not in limiting(cut(2**63 - 1))  # to the end, whatever that is
    fixed = model(
        "(float[n,24] x) => (float[n,24] y)", "r = Slice (x, start, end, axis) y = Relu (r)",
        start=np.array([0]), end=np.array([24]), axis=np.array([1]),
    )  # fmt: skip
    assert not limiting(fixed)


def test_sizes_at_a_limit_come_early_and_stay_small() -> None:
    ports = [ValueInfo("x", "float32", ("n", "t", 1200))]
    sizes = other_sizes(ports, {"n": 2, "t": 3}, ["n", "t"], (), (512,))
    assert {"n": 2, "t": 514} not in sizes  # a million numbers
    assert {"n": 1, "t": 514} in sizes[:12]
    assert {"n": 1, "t": 513} in sizes[:12]
    assert {"n": 2, "t": 514} in other_sizes(
        [ValueInfo("x", "float32", ("n", "t"))], {"n": 2, "t": 3}, ["n", "t"], (), (512,)
    )


KEEP = np.tril(np.ones((4, 4), bool))
SCORES = "(float[n,4,4] x) => (float[n,4,4] y)"
MASKED = "m = Where (keep, x, fill) y = Softmax <axis = -1> (m)"


def masked(fill: float, keep: Any = KEEP, nodes: str = MASKED, border: str = SCORES) -> onnx.ModelProto:
    held = {} if keep is None else {"keep": keep}
    return model(border, nodes, fill=np.float32(fill), **held)


ADDED = "b = Where (keep, zero, fill) m = Add (x, b) y = Softmax <axis = -1> (m)"


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("nodes", [MASKED, ADDED])
def test_the_lowest_number_masks_as_an_infinity_does(compared: Compared, nodes: str, turned: bool) -> None:
    zero = numpy_helper.from_array(np.zeros((4, 4), np.float32), "zero")
    pair = [masked(fill, nodes=nodes) for fill in (-np.inf, LOWEST)]
    for proto in pair if nodes == ADDED else ():
        proto.graph.initializer.append(zero)
    a, b = reversed(pair) if turned else pair
    found = compared(a, b)
    assert (found.outcome, found.faults, found.problems) == ("same", (), ()), comparison_lines(found)
    infinite = "B" if turned else "A"
    assert any(f"NaN in {infinite}" in says and "masked whole" in says for says in found.unexercised)


NEVER = KEEP.copy()
NEVER[3] = False
MASKS = {
    "a row that is masked whole": [masked(fill, NEVER) for fill in (-np.inf, LOWEST)],
    "a mask that is fed": [
        masked(fill, None, border="(float[n,4,4] x, bool[4,4] keep) => (float[n,4,4] y)") for fill in (-np.inf, LOWEST)
    ],
    "a mask that is given back": [masked(fill, nodes="y = Where (keep, x, fill)") for fill in (-np.inf, LOWEST)],
    "a mask that is not low": [masked(fill) for fill in (-np.inf, -50.0)],
    "another mask": [masked(-np.inf), masked(LOWEST, KEEP.T)],
}


@pytest.mark.parametrize("name", MASKS)
def test_a_mask_that_shows_is_another(compared: Compared, name: str) -> None:
    found = compared(*MASKS[name])
    assert found.outcome == "differs", comparison_lines(found)
    assert [node.node for node in found.faults if node.party == "B"] == ["Where_0"]


ASKED = "s = Shape (x) e = Expand (c, s) u = Trilu <upper = 1> (e, k) z = Equal (u, zero) y = Where (z, x, fill)"


def causal(number: float, zero: float = 0.0) -> onnx.ModelProto:
    return model(CAUSAL, ASKED, c=np.float32(number), zero=np.float32(zero), fill=np.float32(-3), k=np.int64(1))


def test_a_constant_that_is_compared_with_0_could_be_any_other(compared: Compared) -> None:
    found = compared(causal(1), causal(2))
    assert (found.outcome, found.problems) == ("same", ()), comparison_lines(found)
    assert compared(causal(1), causal(0)).outcome == "differs"
    assert compared(causal(1), causal(1, zero=1)).outcome == "differs"
    ways = {"x": "x"}, {"y": "y"}
    assert "c" not in prove(causal(1), causal(2), *ways).right.constants
    summed = causal(2)
    summed.graph.node[-1].input[2] = "e"  # it is more than compared
    assert "c" in prove(causal(1), summed, *ways).right.constants


def test_what_a_computes_of_sizes_is_a_constant_of_b_at_its_only_sizes(compared: Compared) -> None:
    nodes = "l = Add (x, m) y = Softmax <axis = -1> (l)"
    held = np.triu(np.full((4, 4), LOWEST, np.float32), 1)
    made = "s = Shape (x) e = Expand (c, s) m = Trilu <upper = 1> (e, k) " + nodes
    a = model("(float[n,n] x) => (float[n,n] y)", made, c=np.float32(LOWEST), k=np.int64(1))
    fixed = "(float[4,4] x) => (float[4,4] y)"
    found = compared(a, model(fixed, nodes, m=held), dims={"n": 4})
    assert found.grade == "proved the same", comparison_lines(found)
    other = held.copy()
    other[0, 0] = 1  # the one number of its row that no other stands beside
    assert compared(a, model(fixed, nodes, m=other), dims={"n": 4}).outcome != "same"
    assert compared(a, model(fixed, nodes, m=held.T.copy()), dims={"n": 4}).outcome == "differs"


def test_a_size_that_one_side_does_not_take_is_said(compared: Compared) -> None:
    one = model("(float[n,4] x) => (float[n,4] y)", "y = Relu (x)")
    two = model("(float[2,4] x) => (float[2,4] y)", "y = Relu (x)")
    with pytest.raises(UnusableInput, match="B takes n of x as 2 only; 3 was asked for"):
        compared(one, two, dims={"n": 3})
    with pytest.raises(UnusableInput, match="A takes n of x as 2 only; 3 was asked for"):
        compared(two, one, dims={"n": 3})
    assert compared(one, two, dims={"n": 2}).outcome == "same"
    with pytest.raises(UnusableInput, match="they must agree in type and"):
        compared(two, model("(float[3,4] x) => (float[3,4] y)", "y = Relu (x)"))


ROTARY = f"{RANGE} f = Cast <to = 1> (r) u = Unsqueeze (f, axis) a = Mul (u, inv) c = Sin (a) y = Mul (x, c)"
INV = np.array([1, 0.1, 0.01], np.float32)


def rotary(inv: Any) -> onnx.ModelProto:
    return model("(float[t,3] x) => (float[t,3] y)", ROTARY, inv=inv, axis=np.array([1]), **COUNTED)


def test_the_numbers_behind_a_faulty_node_are_named(compared: Compared) -> None:
    found = compared(rotary(INV), rotary(INV * np.float32([1, 1.001, 1])))
    (node,) = (node for node in found.faults if node.party == "B")
    assert (node.node, node.against) == ("Mul_5", ("Mul_5",))
    assert node.problem == "constant inv is 0.1 in A and 0.1001 in B (1 of 3 numbers differ)"
    assert node.expected is not None
    assert node.actual == pytest.approx(1.001 * node.expected)


def test_numbers_that_are_a_rounding_off_are_counted(compared: Compared) -> None:
    w = np.random.default_rng(0).normal(size=(4, 4)).astype(np.float32)
    moved = w.copy()
    moved[1, 2] = np.nextafter(moved[1, 2], np.float32(9))

    def product(weight: Any) -> onnx.ModelProto:
        return model("(float[n,4] x) => (float[n,4] y)", "p = MatMul (x, w) y = Relu (p)", w=weight)

    found = compared(product(w), product(moved))
    assert found.outcome == "same"
    assert any("1 constant of B not A's to the bit" in n and "w (1 of 16 numbers)" in n for n in found.notes), (
        found.notes
    )
    assert compared(product(w), product(w * np.float32(1.001))).outcome == "differs"
    twin = compared(
        product(w), model("(float[n,4] x) => (float[n,4] y)", "q = MatMul (x, w) r = Relu (q) y = Relu (r)", w=w)
    )
    assert twin.outcome == "same"
    assert not any("to the bit" in n for n in twin.notes)
