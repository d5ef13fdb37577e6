"""Pairs of graphs that mean different things, or cannot be told to mean the same: never "same"; and pairs that do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from onnx_triangulate.comparison.options import Options
from onnx_triangulate.comparison.run import compare_files
from onnx_triangulate.onnxgraph.nodes import message
from onnx_triangulate.records.errors import UnusableInput

pytestmark = pytest.mark.slow

FLAT = "g (float[3,4] x) => (float[3,4] y)"
CUBE = "g (float[2,3,4] x) => (float[2,3,4] y)"
RANDOM = np.random.default_rng(0)


def model(text: str, opset: int = 17, **initializers: Any) -> onnx.ModelProto:
    made = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}, "com.microsoft" : 1]> {text}')
    made.graph.initializer.extend(numpy_helper.from_array(np.asarray(v), n) for n, v in initializers.items())
    return made


def loop(operands: str, first: str = "c", second: str = "d", body: str = "p q r") -> onnx.ModelProto:
    p, q, r = body.split()
    return model(
        f"""g (float[3] x) => (float[3] y, float[3] z, float[3] w) {{
        m = Constant <value = int64 {{3}}> () on = Constant <value = bool {{1}}> ()
        {first} = Relu (x) {second} = Neg (x)
        y, z, w = Loop (m, on, {operands}) <body = b (int64 i, bool k, float[3] p, float[3] q, float[3] r)
            => (bool o, float[3] s, float[3] t, float[3] u) {{
            o = Identity (k) s = Add ({p}, {r}) t = Sub ({q}, {r}) u = Identity (r) }}> }}"""
    )


def branch(opset: int) -> onnx.ModelProto:
    return model(
        f"""{CUBE} {{ on = Constant <value = bool {{1}}> ()
        y = If (on) <then_branch = t () => (float[2,3,4] a) {{ a = Hardmax <axis = 1> (x) }},
                     else_branch = e () => (float[2,3,4] b) {{ b = Identity (x) }}> }}""",
        opset,
    )


def table(rows: np.ndarray[Any, Any]) -> onnx.ModelProto:
    return model("g (int64[2,3] x) => (float[2,3,4] y) { y = Gather (w, x) }", w=rows.astype(np.float32))


def softmax(op: str, opset: int) -> onnx.ModelProto:
    return model(f"{CUBE} {{ y = {op} <axis = 1> (x) }}", opset)


def clip(limit: float) -> onnx.ModelProto:
    return model(f"{FLAT} <float low = {{-1e30}}, float high = {{{limit}}}> {{ y = Clip (x, low, high) }}")


ROWS = RANDOM.normal(size=(1000, 4))
CHANGED = ROWS.copy()
CHANGED[100:] *= 2
RELU6 = f"{FLAT} <float z = {{0}}, float six = {{6}}> {{ y = Clip (x, z, six) }}"
DRAWN = f"{FLAT} {{ r = RandomNormalLike (x) s = RandomNormalLike (x) y = Sub (r, s) }}"
CANCELLED = f"{FLAT} <float c = {{1e8}}> {{ a = Add (x, c) b = Sub (a, c) y = Relu (b) }}"
PERMUTED = (
    "g (float[2,3,4,5] x) => (float[2,4,5,3] y) { z = Relu (x) y = Transpose <perm = [0,2,3,1]> (z) }",
    "g (float[2,3,4,5] x) => (float[2,3,4,5] y) { y = Relu (x) }",
)
DOUBLE = "g (double[4] x) => (double[4] y)"

DIFFERENT = {
    "operands of a loop": (loop("c, d, c"), loop("c, d, d")),
    "captured values exchanged": (loop("c, d, c", body="c q r"), loop("d, c, d", "d", "c", body="c q r")),
    "Softmax before opset 13 and after": (softmax("Softmax", 11), softmax("Softmax", 13)),
    "LogSoftmax before opset 13 and after": (softmax("LogSoftmax", 11), softmax("LogSoftmax", 13)),
    "Hardmax in a branch, before opset 13 and after": (branch(11), branch(13)),
    "rows of a table": (table(ROWS), table(CHANGED)),
    "a limit that only large inputs reach": (model(RELU6), model(f"{FLAT} {{ y = Relu (x) }}")),
    "a limit that nothing reaches": (clip(1e10), clip(1e20)),
    "a batch that only A leaves open": (
        model("g (float[batch,3] x) => (float[batch,3] y) { y = Relu (x) }"),
        model("g (float[2,3] x) => (float[2,3] y) { y = Relu (x) }"),
    ),
    "an output turned, inputs as they are": (model(PERMUTED[1]), model(PERMUTED[0])),
    "random numbers": (model(DRAWN), model(DRAWN)),
    "what float32 alone destroys": (model(f"{FLAT} {{ y = Relu (x) }}"), model(CANCELLED)),
    "a tie that is rounded another way": (
        model(f"{FLAT} <float h = {{0.5}}> {{ d = Mul (x, h) y = Round (d) }}"),
        model(f"{FLAT} <float h = {{0.5}}> {{ d = Mul (x, h) e = Add (d, h) y = Floor (e) }}"),
    ),
    "nothing but NaN": (
        model(f"{FLAT} <float c = {{-1000}}> {{ a = Abs (x) b = Sub (c, a) y = Log (b) }}"),
        model(f"{FLAT} <float c = {{-1000}}> {{ a = Abs (x) b = Sub (c, a) y = Sqrt (b) }}"),
    ),
    "Mod of negative numbers": (
        model("g (int64[4] x) => (int64[4] y) <int64[1] k = {3}> { y = Mod (x, k) }"),
        model("g (int64[4] x) => (int64[4] y) <int64[1] k = {3}> { y = Mod <fmod = 1> (x, k) }"),
    ),
    "a float32 constant in a double graph": (
        model(f"{DOUBLE} {{ y = Mul (x, c) }}", c=np.float64(0.1)),
        model(f"{DOUBLE} {{ y = Mul (x, c) }}", c=np.float64(np.float32(0.1))),
    ),
}

LINE = "g (float[4] x) => (float[4] y)"
NUMBER = "g (float[4] x) => (float[n] y)"


def rounds(most: str, limit: float = -1e9) -> onnx.ModelProto:
    """A loop that ends by itself on everything that is fed."""
    return model(
        f"""{LINE} <int64 M = {{5}}, int64 N = {{7}}, float k = {{{limit}}}> {{ y = Loop ({most}, "", x)
        <body = b (int64 i, bool c, float[4] v) => (bool o, float[4] w) {{
            w = Add (v, x) m = ReduceMax <keepdims = 0> (w) o = Less (m, k) }}> }}"""
    )


def branches(rest: str, opset: int = 17) -> onnx.ModelProto:
    return model(
        f"""{LINE} <float k = {{1e6}}> {{ s = ReduceMax <keepdims = 0> (x) c = Less (s, k)
        y = If (c) <then_branch = t () => (float[4] t) {{ t = Neg (x) }},
                    else_branch = e () => (float[4] e) {{ e = {rest} (x) }}> }}""",
        opset,
    )


def node(text: str, opset: int = 18) -> onnx.ModelProto:
    return model(f"{LINE} {{ y = {text} (x) }}", opset)


def eighths(saturate: int) -> onnx.ModelProto:
    return model(f"{LINE} {{ c = Cast <to = 17, saturate = {saturate}> (x) y = Cast <to = 1> (c) }}", 19)


def counted(text: str) -> onnx.ModelProto:
    return model(f"{NUMBER} {{ i = {text} (x) y = Cast <to = 1> (i) }}", 18)


# What differs, and that the first feeds do not show: B's word for it, where no further feed shows it either.
UNSEEN = {
    "how often a loop may run": (rounds("M"), rounds("N"), "another N than A"),
    "how often a loop may run, once without a limit": (rounds("M"), rounds('""'), "other operands"),
    "a branch that is not taken": (branches("Relu"), branches("Sigmoid"), "another graph inside"),
    "a limit in an attribute": (node("Clip <max = 1000.>", 10), node("Clip <max = 2000.>", 10), "max 2000 where"),
    "a limit that only A has": (node("Clip <max = 1000.>", 10), node("Identity", 10), "stands for"),
    "a limit that only B has": (node("Identity", 10), node("Clip <max = 1000.>", 10), "stands for"),
    "a threshold": (
        node("ThresholdedRelu <alpha = 1e-12>"),
        node("ThresholdedRelu <alpha = 1e-9>"),
        "alpha 1e-09 where A has 1e-12",
    ),
    "a limit in a branch that is not taken": (
        branches("Clip <max = 1e20>", 10),
        branches("Clip <max = 1e25>", 10),
        "another graph inside",
    ),
    "an order of axes of nothing but zeros": (
        *(
            model(f"""g (float[4,4] x) => (float[4,4] y) {{ a = Abs (x) n = Neg (a) r = Relu (n)
            y = Transpose <perm = {perm}> (r) }}""")
            for perm in ([1, 0], [0, 1])
        ),
        "perm (0, 1) where A has (1, 0)",
    ),
    "whole numbers of a table": (
        model("g (int64[4] x) => (int64[4] y) { y = Gather (w, x) }", w=np.arange(1000)),
        model("g (int64[4] x) => (int64[4] y) { y = Gather (w, x) }", w=np.arange(1000) // 999 + np.arange(1000)),
        "1 of 1000 numbers of which are not A's",
    ),
    "what becomes of too large a number": (eighths(0), eighths(1), "saturate 1 where A has 0"),
    "which infinities count": (counted("IsInf"), counted("IsInf <detect_negative = 0>"), "detect_negative 0"),
    "which of the largest counts": (
        counted("ArgMax <axis = 0>"),
        counted("ArgMax <axis = 0, select_last_index = 1>"),
        "select_last_index 1 where A has 0",
    ),
}


def looped(before: str, after: str) -> onnx.ModelProto:
    """A product, and a loop: of as many numbers as the model holds nobody can say how often they are rounded."""
    return model(
        f"""g (float[8,300] x) => (float[8,100] y) <float three = {{3}}> {{
        m = Constant <value = int64 {{1}}> () on = Constant <value = bool {{1}}> ()
        {before} p = MatMul (a, w) {after}
        y = Loop (m, on, b) <body = l (int64 i, bool k, float[8,100] v) => (bool o, float[8,100] s) {{
            o = Identity (k) s = Add (v, v) }}> }}""",
        w=RANDOM.normal(size=(300, 100)).astype(np.float32),
    )


UNBOUNDED = (looped("a = Identity (x)", "b = Identity (p)"), looped("a = Mul (x, three)", "b = Div (p, three)"))
for _each in UNBOUNDED:
    _each.graph.initializer[-1].CopyFrom(UNBOUNDED[0].graph.initializer[-1])
DIFFERENT["roundings that nobody can bound"] = UNBOUNDED
SAME = {
    "a Hardmax of opset 11 and itself": (softmax("Hardmax", 11), softmax("Hardmax", 11)),
    "a flattening Softmax written out": (
        softmax("Softmax", 11),
        model(f"{CUBE} {{ s = Shape (x) f = Flatten <axis = 1> (x) t = Softmax <axis = 1> (f) y = Reshape (t, s) }}"),
    ),
    "a fused Gelu": (
        model(
            f"{FLAT} <float r = {{1.4142135}}, float one = {{1}}, float h = {{0.5}}> "
            "{ d = Div (x, r) e = Erf (d) a = Add (e, one) m = Mul (x, a) y = Mul (m, h) }"
        ),
        model(f"{FLAT} {{ y = com.microsoft.Gelu (x) }}"),
    ),
    "a scale that the file computes and one that was folded": (
        model(
            f"{FLAT} {{ s = Shape (x) f = Cast <to = 1> (s) r = Sqrt (f) q = ReduceProd <keepdims = 0> (r) "
            "y = Mul (x, q) }"
        ),
        model(f"{FLAT} {{ y = Mul (x, q) }}", q=np.float32(np.sqrt(12.0))),
    ),
    "a branch under other names": (
        branches("Relu"),
        onnx.parser.parse_model(
            onnx.printer.to_text(branches("Relu")).replace("float[4] e)", "float[4] f)").replace("e = Relu", "f = Relu")
        ),
    ),
    "8-bit floats": (eighths(0), eighths(0)),
    "powers by one exponent": (model(f"{FLAT} <float e = {{3}}> {{ y = Pow (x, e) }}"),) * 2,
}


def outcome(tmp_path: Path, pair: tuple[onnx.ModelProto, onnx.ModelProto], options: Options | None = None) -> Any:
    for name, made in zip("ab", pair, strict=True):
        onnx.save(made, tmp_path / f"{name}.onnx")
    return compare_files(tmp_path / "a.onnx", tmp_path / "b.onnx", options)


@pytest.mark.parametrize("name", DIFFERENT)
def test_never_same(name: str, tmp_path: Path) -> None:
    found = outcome(tmp_path, DIFFERENT[name])
    assert found.outcome in ("differs", "uncompared")
    assert found.exit_status == 1
    assert found.faults or found.problems


@pytest.mark.parametrize("name", UNSEEN)
def test_what_no_feed_shows_is_said(name: str, tmp_path: Path) -> None:
    a, b, says = UNSEEN[name]
    found = outcome(tmp_path, (a, b), Options(timeout=20))  # on far numbers one of them never ends
    assert found.exit_status == 1
    if found.outcome == "differs":  # a further feed shows it: who is faulty is known, and nothing is said to be unseen
        assert [node.party for node in found.faults] == ["B"] or found.problems
        assert not any("nothing that was compared shows it" in problem for problem in found.problems if found.faults)
    else:
        silent = [problem for problem in found.problems if not problem.startswith("on NaN")]
        assert silent
        assert all(says in problem and "nothing that was compared shows it" in problem for problem in silent)


@pytest.mark.parametrize("name", SAME)
def test_same(name: str, tmp_path: Path) -> None:
    found = outcome(tmp_path, SAME[name])
    assert (found.outcome, found.faults, found.problems) == ("same", (), ())


def test_a_size_that_was_asked_for_is_a_size_that_was_compared(tmp_path: Path) -> None:
    pair = DIFFERENT["a batch that only A leaves open"]
    assert outcome(tmp_path, pair, Options(dims={"batch": 2})).outcome == "same"
    with pytest.raises(UnusableInput, match="rows: no input has an axis of that name; there is batch"):
        outcome(tmp_path, pair, Options(dims={"rows": 2}))


def test_a_problem_of_every_feed_is_said_once_and_without_the_places_of_an_engines_sources(tmp_path: Path) -> None:
    pair = (
        model("g (float[3] x) => (float[1] y) <int64[1] i = {2}> { y = Gather (x, i) }"),
        model("g (float[3] x) => (float[1] y) <int64[1] i = {5}> { j = Abs (i) y = Gather (x, j) }"),
    )
    found = outcome(tmp_path, pair)
    (said,) = [problem for problem in found.problems if "does not run B" in problem]
    assert said.startswith("on random, integers, large: B: ")
    assert "onnxruntime_src" not in said


@pytest.mark.parametrize(
    "behind", ["", " virtual onnxruntime::common::Status onnxruntime::Gather::Compute(onnx::K*) const"]
)
def test_an_engines_message_is_cut_behind_a_word(behind: str) -> None:
    place = "/onnxruntime_src/onnxruntime/core/providers/cpu/tensor/gather.cc:583"
    assert message(f"Status Message: {place}{behind} out of bounds (idx=5)") == "Status Message: out of bounds (idx=5)"
    assert message("one two three", 9) == "one two…"
    assert message("one two three", 13) == "one two three"
    assert message("x" * 30, 9) == "x" * 8 + "…"
