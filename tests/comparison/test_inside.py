"""What stands within Loop, Scan and If: never "the same" where nothing fed shows it, "the same" where it does."""

from __future__ import annotations

from collections.abc import Callable

import onnx
import pytest

from onnx_triangulate.diff.equivalence import prove
from onnx_triangulate.records.graph_comparison import GraphComparison
from onnx_triangulate.report.comparison import comparison_lines

Compared = Callable[[onnx.ModelProto, onnx.ModelProto], GraphComparison]
HELD = "<float big = {3e7}, float half = {0.5}, float zero = {0}, float minus = {-1}, int64 m = {3}, bool on = {1}>"
NEVER = "q = Equal (p, big)"
OFTEN = "q = Less (p, zero)"
SUM = "n = ReduceSum <keepdims: int = 0> (v) a = Abs (n) p = Mul (n, a)"


def model(text: str) -> onnx.ModelProto:
    return onnx.parser.parse_model(f'<ir_version: 9, opset_import: ["" : 18]> {text}')


def branch(then: str, other: str = "s = Mul (v, half)", asked: str = NEVER) -> str:
    return f"""{SUM} {asked} w = If (q) <then_branch = t () => (float[4] r) {{ {then} }},
        else_branch = e () => (float[4] s) {{ {other} }}>"""


def loop(
    body: str, held: str = "m, on", end: str = "d = Identity (c)", first: str = "z = Identity (x)"
) -> onnx.ModelProto:
    return model(
        f"""g (float[4] x) => (float[4] y) {HELD} {{ {first} y = Loop ({held}, z)
        <body = b (int64 i, bool c, float[4] v) => (bool d, float[4] w) {{ {body} {end} }}> }}"""
    )


def scan(body: str) -> onnx.ModelProto:
    return model(
        f"""g (float[6,4] x) => (float[6,4] y) {HELD} {{ y = Scan <num_scan_inputs: int = 1,
        body = b (float[4] v) => (float[4] w) {{ {body} }}> (x) }}"""
    )


def deep(then: str, asked: str = NEVER) -> onnx.ModelProto:
    """An If in an If in a Loop."""
    return loop(
        f"""h = ReduceMax <keepdims: int = 0> (v) k = Greater (h, zero)
        w = If (k) <then_branch = t2 () => (float[4] w2) {{ {branch(then, asked=asked).replace("w =", "w2 =")} }},
        else_branch = e2 () => (float[4] w3) {{ w3 = Mul (v, minus) }}>"""
    )


def two(first: str, second: str, start: str = "z") -> onnx.ModelProto:
    """Two loops of other numbers, one after the other."""
    body = "<body = b (int64 i, bool c, float[4] v) => (bool d, float[4] w) {{ {0} d = Identity (c) }}>"
    return model(
        f"""g (float[4] x) => (float[4] y, float[4] u) {HELD} {{ z = Abs (x) k = Neg (x)
        y = Loop (m, on, {start}) {body.format(branch(first))} u = Loop (m, on, k) {body.format(branch(second))} }}"""
    )


NEG, MUL = "r = Neg (v)", "r = Mul (v, half)"
ENDLESS = SUM + " f = Equal (p, big) d = Not (f)"
LIMIT = "k = Constant <value = float {{{0}}}> () b2 = Tanh (v) w = Min (b2, k)"
UNMET = {
    "a branch in a Loop": (loop(branch(NEG)), loop(branch(MUL))),
    "a branch in a Scan": (scan(branch(NEG)), scan(branch(MUL))),
    "a branch in a branch in a Loop": (deep(NEG), deep(MUL)),
    "bodies of two loops that changed places": (two(NEG, MUL), two(MUL, NEG)),
    "the end of a loop": (loop("w = Mul (v, half)", end=ENDLESS), loop("w = Mul (v, half)")),
    "a loop that never runs": (
        loop("w = Mul (v, half)", held="n0, on", first="z = Identity (x) n0 = Sub (m, m)"),
        loop("w = Mul (v, minus)", held="n0, on", first="z = Identity (x) n0 = Sub (m, m)"),
    ),
    "a limit in a Loop": (loop(LIMIT.format("2")), loop(LIMIT.format("3"))),
}
MET = {
    "a branch in a Loop": (loop(branch(NEG, asked=OFTEN)), loop(branch("r = Mul (v, minus)", asked=OFTEN))),
    "a branch in a Scan": (scan(branch(NEG, asked=OFTEN)), scan(branch("r = Mul (v, minus)", asked=OFTEN))),
    "a branch in a branch in a Loop": (
        deep(NEG, "q = Greater (p, half)"),
        deep("r = Mul (v, minus)", "q = Greater (p, half)"),
    ),
    "the branch that is not the other's alone is asked for": (
        loop(branch("r = Mul (v, half)", "s = Neg (v)")),
        loop(branch("r = Mul (v, half)", "s = Mul (v, minus)")),
    ),
    "the end of a loop": (
        loop("w = Mul (v, half)", end="f = Greater (p, half) d = Not (f)".join((SUM + " ", ""))),
        loop("w = Mul (half, v)", end="f = Less (half, p) d0 = Not (f) d = Identity (d0)".join((SUM + " ", ""))),
    ),
    "a limit in a Loop": (
        loop(LIMIT.format("0.5")),
        loop(LIMIT.format("0.5").replace("w = Min (b2, k)", "l = Less (k, b2) w = Where (l, k, b2)")),
    ),
}


@pytest.mark.parametrize("pair", UNMET.values(), ids=list(UNMET))
def test_what_nothing_fed_shows_inside_is_said(
    compared: Compared, pair: tuple[onnx.ModelProto, onnx.ModelProto]
) -> None:
    found = compared(*pair)
    assert found.outcome == "uncompared", comparison_lines(found)
    assert any("no feed shows it" in problem or "nothing that was compared" in problem for problem in found.problems)


@pytest.mark.parametrize("pair", MET.values(), ids=list(MET))
def test_what_feeds_show_inside_is_the_same(compared: Compared, pair: tuple[onnx.ModelProto, onnx.ModelProto]) -> None:
    found = compared(*pair)
    assert (found.outcome, found.problems) == ("same", ()), comparison_lines(found)


@pytest.mark.parametrize("made", [loop, scan])
def test_what_feeds_reach_inside_differs(compared: Compared, made: Callable[[str], onnx.ModelProto]) -> None:
    found = compared(made(branch(NEG, asked=OFTEN)), made(branch(MUL, asked=OFTEN)))
    assert found.outcome == "differs", comparison_lines(found)


def untyped(made: onnx.ModelProto) -> onnx.ModelProto:
    """The same, without types of what the graphs within make."""
    copy = onnx.ModelProto.FromString(made.SerializeToString())
    waiting = list(copy.graph.node)
    while waiting:
        for attribute in waiting.pop().attribute:
            for output in attribute.g.output:
                output.ClearField("type")
            waiting += attribute.g.node
    return copy


def test_types_that_a_file_does_not_say_are_inferred(compared: Compared) -> None:
    assert compared(*map(untyped, MET["a branch in a Loop"])).outcome == "same"
    found = compared(*map(untyped, UNMET["a branch in a Loop"]))
    assert found.outcome == "uncompared"
    assert any("then_branch of If_4 in Loop_1 of B: no feed shows it" in problem for problem in found.problems)


def test_names_order_and_places_inside_leave_nothing_to_show() -> None:
    one = loop(branch(NEG))
    other = model(
        """g (float[4] x) => (float[4] y) <float huge = {3e7}, int64 times = {3}, bool yes = {1}> {
        y = Loop (times, yes, x) <body = other (int64 k, bool go, float[4] t) => (bool went, float[4] o)
        <float half = {0.5}> {
        n = ReduceSum <keepdims: int = 0> (t) dead = Neg (n) a = Abs (n) p = Mul (a, n) q = Equal (huge, p)
        o = If (q) <else_branch = e () => (float[4] s) { s = Mul (half, t) },
            then_branch = t () => (float[4] r) { u = Identity (t) r = Neg (u) }> went = Identity (go) }> }"""
    )
    assert prove(one, other, {"x": "x"}, {"y": "y"}).same
    assert not prove(one, loop(branch(MUL)), {"x": "x"}, {"y": "y"}).same
    assert not prove(two(NEG, MUL), two(NEG, MUL, "k"), {"x": "x"}, {"y": "y", "u": "u"}).same
