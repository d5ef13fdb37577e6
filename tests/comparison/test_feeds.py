"""What ordinary feeds do not tell apart: planted pairs with their twins, the feeds themselves, and what is proved."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest

from onnx_triangulate.comparison import feed_selection, further_feeds
from onnx_triangulate.comparison.options import Options, dims_of, only_of
from onnx_triangulate.comparison.run import compare_files, compare_with
from onnx_triangulate.diff.equivalence import prove
from onnx_triangulate.engines.workers import Workers
from onnx_triangulate.facts.limits import limits
from onnx_triangulate.locate import model_interface
from onnx_triangulate.locate.feeds import KINDS, Feed, Landmarks, ValueInfo, draw, drawn_kinds
from onnx_triangulate.locate.sizes import guesses, other_sizes, shapes_at
from onnx_triangulate.locate.sweep import Budget, Row, in_parts
from onnx_triangulate.records.errors import UnusableInput
from onnx_triangulate.records.graph_comparison import GraphComparison
from onnx_triangulate.records.runs import Failure
from onnx_triangulate.report.comparison import comparison_lines
from tests.compared_pairs import Made, graph, pairs

PAIRS = pairs()
Compared = Callable[..., GraphComparison]
LINE = "(float[6] x) => (float[6] y)"


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compared]:
    """Two models compared in one worker for all."""
    with Workers(jobs=1, timeout=60, memory=8 * 2**30, logs=tmp_path_factory.mktemp("logs")) as workers:

        def run(a: onnx.ModelProto, b: onnx.ModelProto, **options: object) -> GraphComparison:
            folder = tmp_path_factory.mktemp("pair")
            for name, proto in (("a", a), ("b", b)):
                onnx.save(proto, folder / f"{name}.onnx")
            chosen = Options(**options)  # type: ignore[arg-type]
            return compare_with(workers, folder / "a.onnx", folder / "b.onnx", chosen, folder)

        yield run


@pytest.mark.parametrize("pair", PAIRS, ids=[f"{p.kind}: {p.name}" for p in PAIRS])
def test_what_few_feeds_show_is_not_the_same_and_its_twin_is(compared: Compared, pair: Made) -> None:
    other = compared(pair.a, pair.other, dims=pair.dims)
    assert other.outcome != "same", comparison_lines(other)
    assert other.exit_status == 1
    twin = compared(pair.a, pair.twin, dims=pair.dims)
    meant = [node for node in twin.faults if node.party == "B"]  # a kernel far from 0 may depart from either
    assert (twin.outcome, meant, twin.problems) == ("same", [], ()), comparison_lines(twin)


def test_names_order_and_places_leave_nothing_to_feed(compared: Compared) -> None:
    a = graph(LINE + " <float k = {2}>", "m = Mul (x, k) n = Neg (x) s = Add (m, n) y = Relu (s)")
    b = graph(
        LINE,
        "p = Neg (x) c = Constant <value = float {2}> () i = Identity (x) q = Mul (c, i) r = Add (p, q) y = Relu (r)",
    )
    found = compared(a, b)
    assert (found.grade, found.exit_status, found.compared) == ("proved the same", 0, 0)
    assert comparison_lines(found)[0].plain.startswith("proved the same")


@pytest.mark.parametrize(
    "nodes",
    [
        "m = Mul (x, k) n = Neg (x) s = Sub (m, n) y = Relu (s)",
        "m = Mul (x, j) n = Neg (x) s = Add (m, n) y = Relu (s)",
        "m = Mul (x, k) n = Neg (m) s = Add (m, n) y = Relu (s)",
        "m = Mul (x, k) n = Neg (x) s = Add (m, n) y = Identity (s)",
    ],
)
def test_another_operator_constant_or_operand_proves_nothing(nodes: str) -> None:
    constants = " <float k = {2}, float j = {2.0000002}>"
    a = graph(LINE + constants, "m = Mul (x, k) n = Neg (x) s = Add (m, n) y = Relu (s)")
    assert prove(a, a, {"x": "x"}, {"y": "y"}).same
    assert not prove(a, graph(LINE + constants, nodes), {"x": "x"}, {"y": "y"}).same


def test_an_order_of_three_and_an_operator_of_nobodys_prove_nothing() -> None:
    border = "(float[6] x, float[6] z) => (float[6] y)"
    a, b = (graph(border + " <float c = {1e8}>", f"y = Sum ({names})") for names in ("x, c, z", "z, x, c"))
    assert not prove(a, b, {"x": "x", "z": "z"}, {"y": "y"}).same
    foreign = onnx.parser.parse_model(
        f'<ir_version: 9, opset_import: ["" : 18, "nobody" : 1]> g {LINE} {{ y = nobody.What (x) }}'
    )
    assert not prove(foreign, foreign, {"x": "x"}, {"y": "y"}).same


def test_what_no_feed_exercises_is_named(compared: Compared) -> None:
    pair = next(p for p in PAIRS if p.name == "a dead Relu that nothing wakes")
    found = compared(pair.a, pair.other)
    assert found.outcome == "uncompared"
    assert any(problem.startswith("h of B could be any number") for problem in found.problems)
    assert any(problem.startswith("g of A could be any number") for problem in found.problems)


def test_one_dead_row_among_live_ones_is_named(compared: Compared) -> None:
    border = "(float[2,8] x) => (float[2,5] y)"
    bias = " <float[5] k = {0,0,-1e30,0,0}>"
    changed = graph(border + bias, "m = MatMul (x, w) a = Add (m, k) y = Relu (a)")
    values = onnx.numpy_helper.to_array(next(t for t in changed.graph.initializer if t.name == "w")).copy()
    values[:, 2] *= -3
    next(t for t in changed.graph.initializer if t.name == "w").CopyFrom(onnx.numpy_helper.from_array(values, "w"))
    found = compared(graph(border + bias, "m = MatMul (x, w) a = Add (k, m) y = Relu (a)"), changed)
    assert found.outcome != "same"


COUNTED = "(int64[4] i) => (float[4,4] y) <int64 z = {0}, int64 n = {8}, int64 m = {7}, int64 e = {-8}>"
PLACES = "y = Gather (few, i)"
SHIFTED = "l = Less (i, z) p = Add (i, n) j = Where (l, p, i) y = Gather (few, j)"


@pytest.mark.parametrize("border", [COUNTED, COUNTED.replace("[4] i", "[1] i").replace("[4,4]", "[1,4]")])
@pytest.mark.parametrize(
    ("nodes", "outcome"),
    [
        (SHIFTED, "same"),
        ("l = GreaterOrEqual (i, z) p = Add (i, n) j = Where (l, i, p) y = Gather (few, j)", "same"),
        ("j = Mod (i, n) y = Gather (few, j)", "same"),
        (SHIFTED.replace("Less (i, z)", "Less (i, e)").replace("(i, n)", "(i, m)"), "uncompared"),  # no place is below
        (SHIFTED.replace("(i, n)", "(i, m)"), "differs"),
        ("l = Equal (i, e) j = Where (l, m, i) y = Gather (few, j)", "differs"),
        ("j = Max (i, z) y = Gather (few, j)", "differs"),
        ("j = Abs (i) y = Gather (few, j)", "differs"),
    ],
)
def test_places_that_are_counted_from_the_end(compared: Compared, border: str, nodes: str, outcome: str) -> None:
    """What makes them places from the start is shown by them alone; what no place reaches is not shown."""
    plain, other = graph(border, PLACES), graph(border, nodes)
    found = compared(plain, other)
    assert found.outcome == outcome, comparison_lines(found)
    turned = compared(other, plain)
    assert outcome in (turned.outcome, "uncompared"), comparison_lines(turned)  # of A's own nothing is said


def test_a_size_that_was_asked_for_is_the_only_one(compared: Compared) -> None:
    pair = next(p for p in PAIRS if p.name == "a Reshape")
    asked = compared(pair.a, pair.other, dims=dims_of(["n==2"]), only=only_of(["n==2"]))
    assert (asked.outcome, asked.sizes) == ("same", ())
    begun = compared(pair.a, pair.other, dims=dims_of(["n=2"]), only=only_of(["n=2"]))
    assert begun.outcome == "differs"


def test_sizes_at_which_a_does_not_run_say_nothing(compared: Compared) -> None:
    border = "(float[n,8] x) => (float[a,b] y) <int64[2] s = {4,4}, float k = {3}, float j = {2}>"
    a = graph(border, "d = Mul (x, k) y = Reshape (d, s)")
    b = graph(border, "e = Mul (x, j) d = Add (e, x) y = Reshape (d, s)")
    found = compared(a, b)
    assert (found.outcome, found.sizes) == ("same", ())
    assert any("A itself runs at no other size" in said for said in found.unexercised)
    assert any("n=2" in note for note in found.notes)


def test_a_feed_is_drawn_of_its_recipe_alone() -> None:
    ports = (ValueInfo("x", "float32", (2, 3)), ValueInfo("i", "int64", (4,), free=True), ValueInfo("f", "bool", ()))
    shapes = {"x": (2, 3), "i": (4,), "f": ()}
    marks = Landmarks((6.0,), (7,), (16,))
    for feed in [*(Feed(kind, shapes) for kind in KINDS), *drawn_kinds(ports, shapes, marks)]:
        one, two = draw(feed, ports, marks, 3), draw(feed, ports, marks, 3)
        assert all(np.array_equal(one[n], two[n], equal_nan=n == "x") for n in one)
        assert {n: (v.shape, v.dtype.name) for n, v in one.items()} == {
            "x": ((2, 3), "float32"), "i": ((4,), "int64"), "f": ((), "bool")
        }  # fmt: skip


def test_every_place_of_a_table_every_flag_and_both_sides_of_a_constant_are_fed() -> None:
    ports = (
        ValueInfo("i", "int64", (3,), below=10),
        ValueInfo("f", "bool", ()),
        ValueInfo("g", "bool", ()),
        ValueInfo("x", "float32", (2,)),
    )
    shapes = {"i": (3,), "f": (), "g": (), "x": (2,)}
    marks = Landmarks((5.0,))
    feeds = [draw(feed, ports, marks, 0) for feed in drawn_kinds(ports, shapes, marks)]
    assert {int(v) for f in feeds for v in f["i"]} == set(range(10))
    assert {(bool(f["f"]), bool(f["g"])) for f in feeds} == {(p, q) for p in (False, True) for q in (False, True)}
    assert {4.0, 5.0, 6.0} <= {float(v) for f in feeds for v in f["x"]}


def test_axes_of_one_name_move_together_and_large_ones_stay_small() -> None:
    ports = (ValueInfo("x", "float32", ("n", 4)), ValueInfo("z", "float32", ("n", None)))
    for sizes in other_sizes(ports, {"n": 2, "z[1]": 3}, ["n", "z[1]"], (16, 10**6)):
        shapes = shapes_at(ports, sizes)
        assert shapes["x"][0] == shapes["z"][0]
        assert max(sizes.values()) <= 17
    assert next(guesses(ports, {"z[1]": 5})) == {"n": 3, "z[1]": 5}


def test_what_was_not_measured_is_no_agreement(compared: Compared, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two spellings of one function, with constants that are not each other's: without time they may be anything."""
    border = "(float[6] x) => (float[6] y) <float two = {2}, float four = {4}>"
    a, b = (
        graph(border, "m = Mul (x, four) y = Relu (m)"),
        graph(border, "n = Mul (x, two) m = Mul (n, two) y = Relu (m)"),
    )
    whole = compared(a, b)
    assert (whole.grade, whole.unexercised) == ("same on what was fed", ())
    assert "not tried" not in comparison_lines(whole)[0].plain
    monkeypatch.setattr(further_feeds, "SEARCH", 0.0)
    found = compared(a, b)
    assert found.outcome == "uncompared", comparison_lines(found)
    assert any("no time was left to move" in problem for problem in found.problems)
    monkeypatch.undo()
    monkeypatch.setattr(further_feeds, "SWEEP", 0.0)
    found = compared(a, b)
    assert found.grade == "same on what was fed"
    assert "what was not tried is below" in comparison_lines(found)[0].plain
    assert any(line.plain.lstrip().startswith("not tried") for line in comparison_lines(found))


def test_a_budget_is_of_the_processor() -> None:
    budget = Budget(0.05)
    time.sleep(0.1)  # another's work
    assert not budget.spent()
    while not budget.spent():
        sum(range(1000))
    assert Budget(0.0).spent()


@pytest.mark.parametrize(("nodes", "said"), [("d = Sub (x, x) y = Add (x, d)", True), ("y = Add (x, z)", False)])
def test_a_nan_that_infinities_make_is_left_open_and_said_to_be(tmp_path: Path, nodes: str, said: bool) -> None:
    head = '<ir_version: 8, opset_import: ["" : 17]> g (float[3,4] x) => (float[3,4] y)'
    for name, text in (("a", f"<float z = {{0}}> {{ {nodes} }}"), ("b", "{ y = Identity (x) }")):
        onnx.save(onnx.parser.parse_model(f"{head} {text}"), tmp_path / f"{name}.onnx")
    found = compare_files(tmp_path / "a.onnx", tmp_path / "b.onnx")
    assert any("a NaN that infinities make" in text for text in found.unexercised) == said


@pytest.mark.parametrize(("kind", "asked"), [("timeout", 3), ("crashed", 7)])
def test_what_never_ends_is_waited_for_a_few_times_and_what_was_left_is_said(kind: str, asked: int) -> None:
    feeds = [Feed("random", {"x": (2,)}, turn) for turn in range(32)]
    asks: list[int] = []

    def ask(some: Any, part: int, seconds: float) -> Failure:
        asks.append(len(some))
        return Failure(kind, "planted")

    rows, lost = in_parts(ask, feeds, 1.0)
    assert rows == []
    assert len(asks) >= asked
    assert lost
    assert kind != "timeout" or (len(asks) == asked and any("never ended" in text for text in lost))


def test_a_sweep_that_ends_is_asked_once() -> None:
    feeds = [Feed("random", {"x": (2,)}, turn) for turn in range(4)]
    rows, lost = in_parts(lambda some, part, seconds: [Row(feed, "equal") for feed in some], feeds, 1.0)
    assert (len(rows), lost) == (4, [])


def test_numbers_of_no_axes_are_drawn() -> None:
    """Comparing objects gives one Python bool there, which took all further feeds with it."""
    ports = (
        ValueInfo("a", "int64", ()),
        ValueInfo("b", "int64", (2,)),
        ValueInfo("c", "float32", ()),
        ValueInfo("d", "bool", ()),
    )
    shapes = {"a": (), "b": (2,), "c": (), "d": ()}
    marks = Landmarks((0.5,), (3,), (4,))
    kinds = list(drawn_kinds(ports, shapes, marks))
    assert {"alike", "sizes", "minus zero", "flags"} <= {feed.kind for feed in kinds}
    for feed in kinds:
        arrays = draw(feed, ports, marks, 0)
        assert {name: value.shape for name, value in arrays.items()} == shapes, feed


def test_sets_of_many_flags_hold_each_alone_and_all_but_each() -> None:
    ports = tuple(ValueInfo(f"f{i}", "bool", ()) for i in range(12))
    shapes: dict[str, tuple[int, ...]] = {p.name: () for p in ports}
    drawn = [draw(f, ports, Landmarks(), 0) for f in drawn_kinds(ports, shapes, Landmarks()) if f.kind == "flags"]
    counts = [sum(bool(v) for v in arrays.values()) for arrays in drawn]
    assert counts.count(1) >= 12
    assert counts.count(11) >= 12
    assert {0, 12} <= set(counts)


DIVIDED = "(int64[n] x, int64[n] y) => (int64[n] z) <int64[1] one = {1}>"


@pytest.mark.parametrize(
    ("nodes", "outcome"),
    [
        ("d = Div (x, y) m = Mul (d, y) z = Sub (x, m)", "differs"),  # of the sign of x, where Mod is of that of y
        ("a = Add (x, one) b = Sub (a, one) z = Mod (b, y)", "same"),
        ("i = Identity (y) j = Neg (i) k = Neg (j) z = Mod (x, k)", "same"),
    ],
)
def test_nothing_is_divided_by_a_0_that_was_drawn(compared: Compared, nodes: str, outcome: str) -> None:
    found = compared(graph(DIVIDED, "z = Mod (x, y)"), graph(DIVIDED, nodes))
    assert found.outcome == outcome, comparison_lines(found)
    assert not any("run ended" in text for text in found.unexercised)


def test_a_drawn_divisor_is_never_0_and_other_numbers_are() -> None:
    ports = (ValueInfo("a", "int64", (4,), free=True, divides=True), ValueInfo("b", "int64", (4,), free=True))
    shapes = {"a": (4,), "b": (4,)}
    marks = Landmarks((), (0, 1), (4,))
    drawn = [draw(feed, ports, marks, 0) for feed in drawn_kinds(ports, shapes, marks)]
    assert all((arrays["a"] != 0).all() for arrays in drawn)
    assert any((arrays["b"] == 0).any() for arrays in drawn)


@pytest.mark.parametrize(
    ("nodes", "why"),
    [
        ("s = Sub (y, y) d = Div (x, s) z = Add (d, y)", "Integer division by zero"),
        ("s = Shape (x) t = Add (s, one) z = Reshape (x, t)", "Reshape"),
    ],
)
def test_why_a_runs_at_no_size_is_said(compared: Compared, nodes: str, why: str) -> None:
    a = graph(DIVIDED, nodes)
    with pytest.raises(UnusableInput, match=f"A runs at no size that was tried .*{why}"):
        compared(a, graph(DIVIDED, "z = Mod (x, y)"))


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([1], 1),
        (["refused"], "refused"),
        ([Failure("crashed", "killed"), 3], 4),
        ([Failure("crashed", "killed"), "refused"], "the run ended in crashed: killed"),
        ([Failure("crashed", "killed")] * 3, "the run ended in crashed: killed"),
    ],
)
def test_a_size_that_kills_the_runtime_is_not_all_sizes(answers: list[Any], expected: int | str) -> None:
    left = iter(answers)
    session: Any = SimpleNamespace(call=lambda *_: next(left), pair=None)
    assert feed_selection.first_that_runs(session, [Feed("random", {})] * 9) == expected


def test_a_node_without_inputs_divides_nothing() -> None:
    model = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["" : 18]> g (float[2] x) => (float[2] y) {
        d = Identity (x) y = Div (x, d)
    }""")
    assert model_interface._divisors(model) == {"x", "d"}
    del model.graph.node[0].input[:]
    assert model_interface._divisors(model) == {"d"}
    model.graph.node[0].op_type = "Slice"
    assert limits(model) == ()


def test_a_name_in_a_refusal_is_one_printable_line() -> None:
    port = ValueInfo("in\x1b[31m\n", "float8e8m0", (2,))
    with pytest.raises(UnusableInput) as refused:
        draw(Feed("random", {port.name: (2,)}), [port], Landmarks(), 0)
    assert str(refused.value).isprintable()


def test_an_axis_that_no_array_has_beside_an_empty_one(tmp_path: Path) -> None:
    model = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["" : 18]>
        g (float[0, 9223372036854775807, 5] x) => (float[a, b, c] y) { y = Relu (x) }""")
    same = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["" : 18]>
        g (float[0, 9223372036854775807, 5] x) => (float[a, b, c] y) { y = LeakyRelu <alpha = 0.0> (x) }""")
    files = tmp_path / "a.onnx", tmp_path / "b.onnx"
    for proto, file in zip((model, same), files, strict=True):
        onnx.save(proto, file)
    with pytest.raises(UnusableInput, match="over the limit"):
        compare_files(*files)
