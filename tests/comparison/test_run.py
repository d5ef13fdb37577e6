"""``compare``: graphs of one meaning pass, every planted edit is named as B names it, and silence is no agreement."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import jsonschema
import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import numpy_helper

from onnx_triangulate.comparison.interface import match
from onnx_triangulate.comparison.options import Options, dims_of
from onnx_triangulate.comparison.run import compare_files
from onnx_triangulate.diff.operators import COMMUTATIVE
from onnx_triangulate.locate import float64_comparison, model_interface
from onnx_triangulate.locate.feeds import ValueInfo
from onnx_triangulate.locate.teacher_forced import TeacherForcedResult
from onnx_triangulate.onnxgraph.dataflow import Namer, Orientation, orientations
from onnx_triangulate.records.errors import UnusableInput
from onnx_triangulate.records.graph_comparison import GraphComparison
from onnx_triangulate.report.comparison import comparison_lines
from onnx_triangulate.report.documents import as_json, schema
from onnx_triangulate.report.serializer import to_text

RANDOM = np.random.default_rng(0)
WEIGHTS = {
    "w1": RANDOM.normal(size=(6, 3, 3, 3)) / 5,
    "b1": RANDOM.normal(size=6),
    "scale": RANDOM.normal(size=6) + 2,
    "shift": RANDOM.normal(size=6),
    "mean": RANDOM.normal(size=6),
    "var": RANDOM.uniform(0.5, 2, size=6),
    "w2": RANDOM.normal(size=(6, 5)),
    "b2": RANDOM.normal(size=5),
    "two": np.array(2.0),
    "g": RANDOM.normal(size=5),
    "h": RANDOM.normal(size=5),
}
HEAD = '<ir_version: 10, opset_import: ["" : 20]>'
NODES = """
    [conv] c = Conv<pads=[1, 1, 1, 1], strides=[2, 2]>(x, w1, b1)
    [norm] n = BatchNormalization<epsilon=0.001>(c, scale, shift, mean, var)
    [turn] t = Transpose<perm=[0, 2, 3, 1]>(n)
    [relu] r = Relu(t)
    [mul] m = MatMul(r, w2)
    [bias] a = Add(m, b2)
    [half] d = Div(a, two)
    [rest] s = Sub(d, a)
    [layer] l = LayerNormalization<axis=-1, epsilon=0.01>(s, g, h)
    [tanh] q = Tanh(l)
    [soft] y = Softmax<axis=3>(q)
"""


def model(nodes: str = NODES, weights: dict[str, np.ndarray] = WEIGHTS, shape: str = "2,3,7,8") -> onnx.ModelProto:
    made = onnx.parser.parse_model(f"{HEAD} g (float[{shape}] x) => (float[a,b,c,d] y) {{ {nodes} }}")
    used = {name for node in made.graph.node for name in node.input}
    for name, value in weights.items():
        if name in used:
            made.graph.initializer.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
    return made


@pytest.fixture
def judged(tmp_path: Path) -> Callable[[onnx.ModelProto, onnx.ModelProto], TeacherForcedResult]:
    """The float64 half alone, in this process."""

    def judge(a: onnx.ModelProto, b: onnx.ModelProto) -> TeacherForcedResult:
        files = tmp_path / "a.onnx", tmp_path / "b.onnx"
        model_interface.load_model.cache_clear()
        for proto, file in zip((a, b), files, strict=True):
            onnx.save(proto, file)
        left, right = (model_interface.read_interface(file) for file in files)
        random = np.random.default_rng(0)
        feeds = {p.name: random.uniform(-1, 1, p.shape).astype(p.dtype) for p in left.inputs}  # type: ignore[arg-type]
        np.savez(tmp_path / "feeds.npz", **feeds)
        inputs, outputs = (
            match(ours, theirs, "x", {}, strict=True).found
            for ours, theirs in ((left.inputs, right.inputs), (left.outputs, right.outputs))
        )
        return float64_comparison.compare_in_float64(*files, tmp_path / "feeds.npz", inputs, outputs)

    return judge


def healthy(found: TeacherForcedResult) -> None:
    assert found.faults == ()
    assert found.compared > 0
    assert found.unjudged == ()
    assert found.worst <= 1


Judge = Callable[[onnx.ModelProto, onnx.ModelProto], TeacherForcedResult]


def test_a_graph_is_itself_under_other_names_and_in_another_order(judged: Judge) -> None:
    a, b = model(), model()
    for node in b.graph.node:
        node.name = f"other_{node.name}"
        for names in (node.input, node.output):
            names[:] = [name if name in ("x", "y") or name in WEIGHTS else f"v_{name}" for name in names]
    nodes = list(b.graph.node)
    del b.graph.node[:]
    b.graph.node.extend(reversed(nodes))
    found = judged(a, b)
    healthy(found)
    assert found.alignment.only_left == found.alignment.only_right == ()
    assert {pair.left: pair.right for pair in found.alignment.pairs}["r"] == "v_r"


def test_a_folded_batch_normalization_leaves_aligned_values_on_both_sides(judged: Judge) -> None:
    weights = dict(WEIGHTS)
    factor = (weights["scale"] / np.sqrt(weights["var"] + np.float32(0.001))).astype(np.float32)
    weights["w1"] = weights["w1"].astype(np.float32) * factor[:, None, None, None]
    weights["b1"] = (weights["b1"] - weights["mean"]) * factor + weights["shift"]
    folded = model(
        NODES.replace("c = Conv", "n = Conv").replace("[norm]", "#").split("#")[0] + after("[turn]"), weights
    )
    for a, b in ((model(), folded), (folded, model())):
        found = judged(a, b)
        healthy(found)
        assert {"n", "t", "y"} <= {pair.right for pair in found.alignment.pairs}


def after(mark: str) -> str:
    return mark + NODES.partition(mark)[2]


def test_a_decomposed_layer_normalization_is_one_region(judged: Judge) -> None:
    parts = """
    [centre] u = ReduceMean<keepdims=1>(s, axis)
    [apart] v = Sub(s, u)
    [square] vv = Mul(v, v)
    [variance] k = ReduceMean<keepdims=1>(vv, axis)
    [safe] ke = Add(k, eps)
    [root] kr = Sqrt(ke)
    [unit] z = Div(v, kr)
    [gain] zg = Mul(z, g)
    [move] l = Add(zg, h)
    """
    nodes = NODES.split("[layer]", maxsplit=1)[0] + parts + after("[tanh]")
    decomposed = model(nodes, {**WEIGHTS, "eps": np.array(0.01)})
    decomposed.graph.initializer.append(numpy_helper.from_array(np.array([-1]), "axis"))
    healthy(judged(model(), decomposed))
    healthy(judged(decomposed, model()))
    wrong = onnx.ModelProto()
    wrong.CopyFrom(decomposed)
    eps = next(t for t in wrong.graph.initializer if t.name == "eps")
    eps.CopyFrom(numpy_helper.from_array(np.array(0.0101, np.float32), "eps"))
    (part,) = judged(model(), wrong).faults
    assert "safe" in part.nodes
    assert part.against == ("layer",)
    (part,) = judged(decomposed, wrong).faults  # operator by operator, the node itself
    assert part.nodes == ("safe",)


EDITS: list[tuple[str, str, str, str]] = [
    ("pads", "conv", "pads=[1, 1, 1, 1]", "pads=[0, 0, 2, 2]"),
    ("stride", "conv", "strides=[2, 2]", "strides=[2, 1]"),
    ("epsilon of a batch norm", "norm", "epsilon=0.001", "epsilon=0.00101"),
    ("perm", "turn", "perm=[0, 2, 3, 1]", "perm=[0, 3, 2, 1]"),
    ("operator", "relu", "r = Relu(t)", "r = Abs(t)"),
    ("dropped node", "mul", "[relu] r = Relu(t)\n    [mul] m = MatMul(r, w2)", "[mul] m = MatMul(t, w2)"),
    ("swapped quotient", "half", "Div(a, two)", "Div(two, a)"),
    ("swapped difference", "rest", "Sub(d, a)", "Sub(a, d)"),
    ("axis of a softmax", "soft", "axis=3", "axis=2"),
    ("epsilon of a layer norm", "layer", "epsilon=0.01", "epsilon=0.0101"),
    ("another value read", "rest", "Sub(d, a)", "Sub(d, m)"),
    ("inserted node", "inserted", "[tanh] q = Tanh(l)", "[inserted] l2 = Abs(l)\n    [tanh] q = Tanh(l2)"),
    (
        "half precision",
        "narrow",
        "[tanh] q = Tanh(l)",
        "[narrow] lh = Cast<to=10>(l)\n [wide] l2 = Cast<to=1>(lh)\n [tanh] q = Tanh(l2)",
    ),
]


@pytest.mark.parametrize(("kind", "node", "before", "then"), EDITS, ids=[edit[0] for edit in EDITS])
def test_an_edit_is_named_and_nothing_else(judged: Judge, kind: str, node: str, before: str, then: str) -> None:
    assert before in NODES
    found = judged(model(), model(NODES.replace(before, then)))
    assert [part.node for part in found.faults] == [node]
    assert found.faults[0].ratio > 1


@pytest.mark.parametrize(
    ("weight", "node"), [("w1", "conv"), ("b1", "conv"), ("var", "norm"), ("w2", "mul"), ("b2", "bias"), ("h", "layer")]
)
@pytest.mark.parametrize("one", [False, True], ids=["every number", "one number"])
def test_a_weight_that_is_one_percent_off_is_found_at_its_reader(
    judged: Judge, weight: str, node: str, one: bool
) -> None:
    changed = WEIGHTS[weight].copy()
    changed.flat[slice(0, 1 if one else None)] *= 1.01
    found = judged(model(), model(weights={**WEIGHTS, weight: changed}))
    assert [part.node for part in found.faults] == [node]


PAIRS = [
    (i, j)
    for i in range(len(EDITS))
    for j in range(i + 1, len(EDITS))
    if (i + j) % 3 == 0 and EDITS[i][2] not in EDITS[j][2] and EDITS[j][2] not in EDITS[i][2]
]


@pytest.mark.parametrize(("first", "second"), PAIRS, ids=[f"{EDITS[i][0]} and {EDITS[j][0]}" for i, j in PAIRS])
def test_two_edits_are_both_named(judged: Judge, first: int, second: int) -> None:
    chosen = [EDITS[first], EDITS[second]]
    nodes = NODES
    for _, _, before, then in chosen:
        assert before in nodes
        nodes = nodes.replace(before, then)
    found = judged(model(), model(nodes))
    assert {part.node for part in found.faults} == {edit[1] for edit in chosen}


def test_layouts_on_the_border_are_matched_and_said(tmp_path: Path) -> None:
    a = model("y = Relu(x)", shape="2,3,7,8")
    b = onnx.parser.parse_model(
        f"{HEAD} g (float[2,7,8,3] x) => (float[2,7,8,3] y) {{ [n] y = Relu(x) }}"  # the same, channels last
    )
    a.graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info("y", 1, [2, 3, 7, 8]))
    found = compared(tmp_path, a, b)
    assert found.outcome == "same"
    assert any("axes (0, 2, 3, 1)" in note for note in found.notes)


def compared(folder: Path, a: onnx.ModelProto, b: onnx.ModelProto, **options: object) -> GraphComparison:
    files = folder / "left.onnx", folder / "right.onnx"
    for proto, file in zip((a, b), files, strict=True):
        onnx.save(proto, file)
    found = compare_files(*files, Options(**options))  # type: ignore[arg-type]
    jsonschema.validate(json.loads(to_text(as_json(found))), schema("triangulate-compare-1"))
    return found


def test_the_whole_way_says_same_differs_and_where(tmp_path: Path) -> None:
    found = compared(tmp_path, model(), model())
    assert (found.grade, found.exit_status, found.faults) == ("proved the same", 0, ())
    assert found.replayed > 0
    halved = {**WEIGHTS, "half": np.array(0.5)}
    found = compared(tmp_path, model(), model(NODES.replace("Div(a, two)", "Mul(a, half)"), halved))
    assert (found.grade, found.exit_status, found.faults) == ("same on what was fed", 0, ())
    assert found.compared > 0
    assert found.further_feeds > 0
    found = compared(tmp_path, model(), model(NODES.replace("axis=3", "axis=2")))
    assert (found.outcome, found.exit_status) == ("differs", 1)
    assert [(node.node, node.party) for node in found.faults] == [("soft", "B")]
    lines = [line.plain for line in comparison_lines(found)]
    assert lines[0].startswith("differs")
    assert any(line.strip().startswith("faulty") and "soft" in line for line in lines[:4])


@pytest.mark.parametrize(
    ("nodes", "free"),
    [
        ("y = Mod(i, k)", True),
        ("m = Mul(i, k) c = Cast<to=1>(m) y = Tanh(c)", True),
        ("y = Gather(x, i)", False),
        ("m = Mul(i, k) y = Gather(x, m)", False),
        ("y = GatherND(x, i)", False),
        ("y = Expand(x, i)", False),
        ("r = Reshape(i, s) y = Range(r, r, r)", False),
        ("v, y = TopK(x, i)", False),
        ("y = If(c) <then_branch = t () => (int64[1] p) { p = Neg(i) }, else_branch = e () => (int64[1] q) "
         "{ q = Neg(k) }>", False),
        ("y = com.microsoft.Whatever(i)", False),
    ],
)  # fmt: skip
def test_whole_numbers_are_negative_where_they_are_no_places_and_no_sizes(
    tmp_path: Path, nodes: str, free: bool
) -> None:
    head = HEAD.replace("20]", '20, "com.microsoft" : 1]')
    border = "(float[9] x, int64[1] i, bool c) => (float[n] y) <int64[1] k = {3}, int64[0] s = {}>"
    file = tmp_path / "whole.onnx"
    onnx.save(onnx.parser.parse_model(f"{head} g {border} {{ {nodes} }}"), file)
    assert [port.free for port in model_interface.read_interface(file).inputs if port.name == "i"] == [free]


def test_nothing_compared_is_no_agreement(tmp_path: Path) -> None:
    empty = model("y = Relu(x)", shape="0,3,7,8"), model("y = Abs(x)", shape="0,3,7,8")
    found = compared(tmp_path, *empty)
    assert (found.outcome, found.exit_status) == ("uncompared", 1)


def test_an_output_without_a_counterpart_is_no_agreement(tmp_path: Path) -> None:
    a, b = model(), model()
    b.graph.output.append(onnx.helper.make_tensor_value_info("d", 1, None))
    found = compared(tmp_path, a, b)
    assert (found.outcome, found.exit_status) == ("uncompared", 1)
    assert "d float32" in found.problems[0]


def test_a_graph_that_the_runtime_refuses_is_no_agreement(tmp_path: Path) -> None:
    strange = onnx.parser.parse_model(
        '<ir_version: 10, opset_import: ["" : 20, "nobody" : 1]> g (float[2] x) => (float[2] y) { y = nobody.What(x) }'
    )
    found = compared(tmp_path, strange, strange)
    assert (found.outcome, found.exit_status) == ("uncompared", 1)


@pytest.mark.parametrize("hostile", ["\x1b[2Jx", "::error::x", "a\nb", "\u202egnp"])
def test_hostile_names_reach_no_terminal(tmp_path: Path, hostile: str) -> None:
    b = model(NODES.replace("axis=3", "axis=2"))
    b.graph.node[-1].name = hostile
    found = compared(tmp_path, model(), b)
    assert [node.node for node in found.faults] == [hostile]
    text = "\n".join(line.plain for line in comparison_lines(found))
    assert hostile not in text


def user(tmp_path: Path, **arrays: np.ndarray) -> Path:
    np.savez(tmp_path / "user.npz", **arrays)  # type: ignore[arg-type]
    return tmp_path / "user.npz"


GOOD = np.ones((2, 3, 7, 8), np.float32)


def test_user_inputs_are_used(tmp_path: Path) -> None:
    found = compared(tmp_path, model(), model(), inputs=user(tmp_path, x=GOOD))
    assert (found.outcome, found.feeds) == ("same", ("user",))


@pytest.mark.parametrize(
    ("arrays", "seen"),
    [
        ({"z": GOOD}, "holds z"),
        ({"x": GOOD[:1]}, "float32[1, 3, 7, 8]"),
        ({"x": GOOD.astype(np.float64)}, "float64[2, 3, 7, 8]"),
        ({}, "holds nothing"),
    ],
)
def test_inputs_of_the_wrong_name_shape_or_type_are_refused(
    tmp_path: Path, arrays: dict[str, np.ndarray], seen: str
) -> None:
    with pytest.raises(UnusableInput) as error:
        compared(tmp_path, model(), model(), inputs=user(tmp_path, **arrays))
    assert seen in str(error.value)
    assert "expected x float32[2,3,7,8]" in str(error.value)
    assert "\n" not in str(error.value)


def test_named_axes_need_a_size_and_take_one(tmp_path: Path) -> None:
    dynamic = model(shape="N,3,7,8")
    found = compared(tmp_path, dynamic, dynamic)
    assert (found.outcome, found.inputs) == ("same", ("x float32[3, 3, 7, 8]",))
    assert "sizes that nobody gave: N=3" in found.notes
    assert compared(tmp_path, dynamic, dynamic, dims=dims_of(["N=2"])).inputs == ("x float32[2, 3, 7, 8]",)
    border = f"{HEAD} g (float[N,M] x) => (float[a,b] y)"
    nowhere = onnx.parser.parse_model(f"{border} <int64[2] to = {{7, 5000}}> {{ y = Reshape(x, to) }}")
    with pytest.raises(UnusableInput, match="give --dim N=N --dim M=N or --inputs"):
        compared(tmp_path, nowhere, onnx.parser.parse_model(f"{border} {{ y = Relu(x) }}"))
    with pytest.raises(UnusableInput, match="expected NAME=N"):
        dims_of(["N"])


def bad_files(folder: Path) -> dict[str, Path]:
    whole = model().SerializeToString()
    outside = model()
    onnx.external_data_helper.convert_model_to_external_data(outside, location="weights.bin", size_threshold=0)
    onnx.save(outside, folder / "outside.onnx")
    (folder / "weights.bin").unlink()
    silent = model()
    del silent.graph.output[:]
    unknown = model("y = Whatever(x)")
    contents = {
        "words": b"hello",
        "empty": b"",
        "cut": whole[: len(whole) // 2],
        "silent": silent.SerializeToString(),
        "unknown": unknown.SerializeToString(),
    }
    for name, content in contents.items():
        (folder / f"{name}.onnx").write_bytes(content)
    return {name: folder / f"{name}.onnx" for name in (*contents, "outside", "absent")}


def test_files_that_cannot_be_used_are_one_line_and_status_2(tmp_path: Path) -> None:
    good = tmp_path / "good.onnx"
    onnx.save(model(), good)
    for file in bad_files(tmp_path).values():
        for pair in ((good, file), (file, good)):
            with pytest.raises(UnusableInput) as error:
                compare_files(*pair)
            assert file.name in str(error.value)
            assert "\n" not in str(error.value)


def test_inputs_that_do_not_match_are_said() -> None:
    with pytest.raises(UnusableInput, match="no counterpart in A"):
        match([ValueInfo("x", "float32", (2, 3))], [ValueInfo("z", "int64", (2, 3))], "inputs", {}, strict=True)
    found = match([ValueInfo("x", "float32", (2, 3))], [ValueInfo("z", "float32", (2, 3))], "inputs", {}, strict=True)
    assert found.found == {"z": ("x", Orientation())}
    assert "by position" in found.how["z"]


def command(*words: str) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).resolve().parents[2]
    return subprocess.run(
        [sys.executable, "-m", "onnx_triangulate", "compare", *words],
        capture_output=True,
        text=True,
        cwd=root,
        env={**os.environ, "COLUMNS": "100"},
    )


def test_the_command_leaves_with_its_status(tmp_path: Path) -> None:
    good, wrong = tmp_path / "good.onnx", tmp_path / "wrong.onnx"
    onnx.save(model(), good)
    onnx.save(model(NODES.replace("Div(a, two)", "Div(two, a)")), wrong)
    ran = command(str(good), str(wrong), "--json", "-")
    document = json.loads(ran.stdout)
    assert (ran.returncode, document["outcome"]) == (1, "differs")
    assert [node["node"] for node in document["guilty"]] == ["half"]
    assert command(str(good), str(good)).returncode == 0
    ran = command(str(good), str(tmp_path / "absent.onnx"))
    assert (ran.returncode, ran.stdout) == (2, "")
    assert len(ran.stderr.splitlines()) == 1


def test_classes_see_through_names_identities_and_transposes() -> None:
    a = model("t = Transpose<perm=[0, 2, 3, 1]>(x)\n u = Transpose<perm=[0, 3, 1, 2]>(t)\n y = Add(u, two)")
    b = model("i = Identity(x)\n y = Add(deux, i)", {"deux": WEIGHTS["two"]})
    c = model("y = Add(x, drei)", {"drei": np.array(3.0)})
    namer = Namer(17, COMMUTATIVE)

    def of_y(graph: onnx.GraphProto) -> bytes:
        known = {
            "x": namer.of_input("x"),
            **{t.name: namer.of_constant(numpy_helper.to_array(t)) for t in graph.initializer},
        }
        for node in graph.node:
            known |= namer.of_node(node, [known[name] for name in node.input], known)
        return known["y"]

    of_a, of_b, of_c = (of_y(m.graph) for m in (a, b, c))
    assert of_a == of_b
    assert of_a != of_c


def test_orientations_begin_with_the_plainest() -> None:
    assert next(orientations((2, 3), (2, 3))) == Orientation()
    assert next(orientations((1, 3, 7), (7, 1, 3))) == Orientation(perm=(2, 0, 1))
    assert list(orientations((2, 3), (6,))) == [Orientation(shape=(6,))]
    assert not list(orientations((2, 3), (2, 4)))
