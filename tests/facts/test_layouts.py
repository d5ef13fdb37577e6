"""Layouts are what the data say: checked by running graphs in which every element is another number."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from onnx_triangulate.facts.layouts import canonical, word
from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.ops import axis_propagation, registry
from onnx_triangulate.ops.graph_node import GraphNode
from tests.copying import random_graph, wrong_names

HEAD = '<ir_version: 8, opset_import: ["" : 18, "com.microsoft" : 1]>'
LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data"


def view(text: str) -> ModelView:
    return ModelView(onnx.parser.parse_model(f"{HEAD} {text}"))


@pytest.mark.slow
def test_names_of_axes_are_what_random_graphs_do_with_the_data() -> None:
    claimed = values = 0
    for seed in range(150):
        graph, source = random_graph(seed)
        model = graph.model(list(graph.arrays)[-1])
        if seed % 10 == 0:
            graph.is_what_runs(model)
        *wrong, count = wrong_names(ModelView(model).flow, graph.arrays, source)
        assert wrong == [], seed
        claimed += int(count)
        values += len(graph.arrays)
    assert claimed > values / 2


@pytest.mark.parametrize("op", ["Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "ReduceSum", "Gather"])
def test_a_rule_that_is_wrong_is_found_out(op: str, monkeypatch: pytest.MonkeyPatch) -> None:
    known = registry.operators()
    right = known[op].axes
    assert right is not None

    def wrong(node: GraphNode) -> axis_propagation.Linked:
        found, rank = right(node), node.rank(0) or 0
        turned = tuple(k._replace(axes=k.axes[::-1] if k.axes else tuple(reversed(range(rank)))) for k in found.links)
        return found._replace(links=turned)

    monkeypatch.setattr(registry, "operators", lambda: {**known, op: replace(known[op], axes=wrong)})

    def found() -> Iterator[str]:
        for seed in range(150):
            graph, source = random_graph(seed)
            *problems, _ = wrong_names(ModelView(graph.model(list(graph.arrays)[-1])).flow, graph.arrays, source)
            yield from problems

    assert next(found(), None) is not None


@pytest.mark.parametrize(
    ("text", "layouts"),
    [
        (
            """g (float[2,7,9,3] x, float[5,3,3,3] w) => (y) {
                t = Transpose <perm = [0, 3, 1, 2]> (x) c = Conv (t, w) r = Relu (c)
                y = Transpose <perm = [0, 2, 3, 1]> (r) }""",
            {"x": "NHWC", "t": "NCHW", "w": "OIHW", "c": "NCHW", "r": "NCHW", "y": "NHWC"},
        ),
        ("g (float[2,7,3] x, float[5,3,3] w) => (y) { t = Transpose <perm = [0, 2, 1]> (x) y = Conv (t, w) }",
         {"x": "NWC", "t": "NCW", "w": "OIW", "y": "NCW"}),
        ("g (float[2,3,7,8,9] x) => (y) { y = MaxPool <kernel_shape = [2,2,2]> (x) }",
         {"x": "NCDHW", "y": "NCDHW"}),
        ("g (float[3,2,7,8] x) => (y) { t = Transpose <perm = [1, 0, 2, 3]> (x) y = GlobalMaxPool (t) }",
         {"x": "CNHW", "t": "NCHW", "y": "NCHW"}),
        ("g (float[2,7,8,3] x) => (y) { y = com.microsoft.NhwcMaxPool <kernel_shape = [2,2]> (x) }",
         {"x": "NHWC", "y": "NHWC"}),
        # a Resize only hints, and what is heard from others goes first
        ("g (float[2,3,7,8] x) => (y) <float[4] s = {1,1,2,2}, float[4] r = {}> { y = Resize (x, , s) }",
         {"x": "NCHW", "y": "NCHW"}),
        ("g (float[2,7,8,3] x) => (y) <float[4] s = {1,2,2,1}> { y = Resize (x, , s) }",
         {"x": "NHWC", "y": "NHWC"}),
        ("g (float[2,3,7,8] x) => (y) <float[4] s = {1,2,1,1}> { y = Resize (x, , s) }", {}),
        # a convolution over one axis, written with two
        ("""g (float[2,7,3] x, float[5,3,1,3] w) => (y) <int64[1] one = {1}, int64[1] two = {2}> {
                u = Unsqueeze (x, one) t = Transpose <perm = [0, 3, 1, 2]> (u) c = Conv (t, w)
                y = Squeeze (c, two) }""",
         {"x": "NWC", "u": "NHWC", "t": "NCHW", "w": "OIHW", "c": "NCHW", "y": "NCW"}),
        # merged axes keep their parts
        ("""g (float[2,3,7,8] x, float[5,3,1,1] w) => (y) <int64[3] s = {0,0,-1}> {
                c = Conv (x, w) r = Reshape (c, s) t = Transpose <perm = [0, 2, 1]> (r) y = Relu (t) }""",
         {"x": "NCHW", "w": "OIHW", "c": "NCHW", "r": "NC(HW)", "t": "N(HW)C", "y": "N(HW)C"}),
        # a class token makes H·W one more, which is no H·W
        ("""g (float[2,3,7,8] x, float[5,3,1,1] w, float[2,5,1] k) => (y) <int64[3] s = {0,0,-1}> {
                c = Conv (x, w) r = Reshape (c, s) y = Concat <axis = 2> (k, r) }""",
         {"x": "NCHW", "w": "OIHW", "c": "NCHW", "r": "NC(HW)"}),
        ("g (float[2,7,8,3] x) => (y) { y = Relu (x) }", {}),
    ],
)  # fmt: skip
def test_layouts(text: str, layouts: dict[str, str]) -> None:
    assert view(text).layouts == layouts


def test_where_claims_part_there_is_no_layout() -> None:
    # Height and width change places between two convolutions: no Transpose of a layout.
    text = """g (float[2,3,7,7] x, float[3,3,1,1] w) => (y) {
        a = Conv (x, w) [turn] t = Transpose <perm = [0, 1, 3, 2]> (a) r = Relu (t) y = Conv (r, w) }"""
    seen = view(text)
    assert seen.layouts == {"x": "NCHW", "w": "OIHW", "a": "NCHW", "r": "NCHW", "y": "NCHW"}
    (turn,) = seen.transposes
    assert turn.kind == "other"


def test_a_constant_hands_no_names_to_its_other_users() -> None:
    text = """g (float[2,3,7,8] x, float[1,1,4,9] z) => (y, q) <float[1,1,1,1] k = {2}> {
        p = GlobalMaxPool (x) y = Mul (p, k) q = Mul (z, k) }"""
    assert view(text).layouts == {"x": "NCHW", "p": "NCHW", "y": "NCHW"}


@pytest.mark.parametrize(("version", "layouts"), [(8, {"k"}), (3, set())])
def test_an_initializer_that_is_an_input_may_be_replaced_and_is_no_constant(version: int, layouts: set[str]) -> None:
    text = """g (float[2,3,7,8] x, float[1,3,1,1] k) => (y) {
        p = MaxPool <kernel_shape = [2,2]> (x) y = Mul (p, k) }"""
    model = onnx.parser.parse_model(f"{HEAD} {text}")
    model.graph.initializer.append(numpy_helper.from_array(np.ones((1, 3, 1, 1), np.float32), "k"))
    model.ir_version = version  # before 4 every initializer had to be an input
    assert ModelView(model).layouts == {"x": "NCHW", "p": "NCHW", "y": "NCHW"} | dict.fromkeys(layouts, "NCHW")


def test_subgraphs_and_functions_are_followed_but_only_the_main_graph_is_told() -> None:
    text = """<ir_version: 8, opset_import: ["" : 18, "local" : 1]>
    g (float[2,7,9,3] x, bool b) => (y) {
        y = If (b) <then_branch = yes () => (p)
            { [inner] q = Transpose <perm = [0, 3, 1, 2]> (x) p = GlobalMaxPool (q) },
          else_branch = no () => (r) { r = local.f (x) }>
    }
    <domain: "local", opset_import: ["" : 18]>
    f (i) => (o) { [body] j = Transpose <perm = [0, 3, 1, 2]> (i) o = GlobalMaxPool (j) }"""
    seen = ModelView(onnx.parser.parse_model(text))
    assert seen.layouts == {"x": "NHWC"}
    assert [(t.node, t.kind) for t in seen.transposes] == [
        ("If_0/then_branch/inner", "NHWC->NCHW"),
        ("f/body", "NHWC->NCHW"),
    ]


def test_words() -> None:
    assert word(("N", "H", "C")) == "NHC"  # what is left of two spatial axes is the height
    assert word(("N", "HW", "C")) == "N(HW)C"
    assert word(("N", "", "C")) == word(()) == word(None) == ""
    assert canonical(("N", "C", "D", "H")) == ("N", "C", "H", "W")


HOSTILE = {
    "rank": "g (float[2,3] x, float[5,3,3,3] w) => (y) { y = Conv (x, w) }",
    "perm": "g (float[2,3] x) => (y) { t = Transpose <perm = [0, 3, 1, 2]> (x) y = GlobalMaxPool (t) }",
    "perm type": 'g (float[2,3] x) => (y) { y = Transpose <perm = "no"> (x) }',
    "axes": "g (float[2,3,4,5] x) => (y) { t = ReduceSum <axes = [9], keepdims = 0> (x) y = Conv (t, t) }",
    "axis": 'g (float[2,3,4,5] x) => (y) { t = Concat <axis = "a"> (x, x) y = Flatten <axis = 77> (t) }',
    "no inputs": "g () => (y) { y = Transpose () c = Conv () r = Reshape () f = Flatten () u = Unsqueeze () }",
    "cycle": "g (float[2,3,4,5] x) => (y) { a = Add (x, b) b = Relu (a) y = Conv (b, b) }",
    "itself": "g (float[2,3,4,5] x) => (y) { y = Transpose <perm = [0, 2, 3, 1]> (y) z = Conv (y, y) }",
    "twice": "g (float[2,3,4,5] x) => (y) { y = Relu (x) y = Transpose <perm = [0, 2, 3, 1]> (x) }",
    "huge": "g (float[1099511627776,1099511627776,1099511627776,3] x) => (y) <int64[2] s = {-1, 3}> "
    "{ r = Reshape (x, s) y = Transpose <perm = [0, 3, 1, 2]> (x) }",
    "negative": "g (float[2,3,4,5] x) => (y) <int64[2] s = {-7, -9}> { y = Reshape (x, s) }",
    "both": "g (float[2,3,4,5] x) => (y) { y = GlobalMaxPool (x) z = com.microsoft.NhwcMaxPool (x) }",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_graph_is_unknown_and_no_exception(name: str) -> None:
    seen = view(HOSTILE[name])
    assert isinstance(seen.layouts, dict)
    assert isinstance(seen.transposes, tuple)
    assert isinstance(seen.reshapes, tuple)
    assert isinstance(seen.weights, tuple)


@pytest.mark.slow
def test_every_model_that_ships_with_onnx_is_followed() -> None:
    files = sorted(LIGHT.glob("**/*.onnx"))
    assert len(files) > 100
    layouts = 0
    for file in files:
        seen = ModelView(onnx.load(file, load_external_data=False))
        for found in (seen.transposes, seen.reshapes, seen.weights):
            assert isinstance(found, tuple)
        layouts += "NCHW" in set(seen.layouts.values())
    assert layouts >= 9


def chain(count: int) -> onnx.ModelProto:
    """Blocks of Transpose, Conv, Transpose, Relu, Add, Sigmoid, each with the one before beside it."""
    nodes, value = [], "x"
    while len(nodes) < count:
        a = f"a{len(nodes)}"
        nodes += [
            helper.make_node("Transpose", [value], [a], perm=[0, 3, 1, 2]),
            helper.make_node("Conv", [a, "w"], [f"{a}c"]),
            helper.make_node("Transpose", [f"{a}c"], [f"{a}t"], perm=[0, 2, 3, 1]),
            helper.make_node("Relu", [f"{a}t"], [f"{a}r"]),
            helper.make_node("Add", [f"{a}r", value], [f"{a}s"]),
            helper.make_node("Sigmoid", [f"{a}s"], [f"{a}g"]),
        ]
        value = f"{a}g"
    weight = numpy_helper.from_array(np.ones((3, 3, 1, 1), np.float32), "w")
    border = [helper.make_tensor_value_info(n, 1, ["N", 8, 8, 3]) for n in ("x", value)]
    graph = helper.make_graph(nodes, "g", border[:1], border[1:], [weight])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])


def fan(count: int) -> onnx.ModelProto:
    """One value, many Transposes, one sum of them all."""
    perms = ([0, 3, 1, 2], [0, 2, 3, 1])
    nodes = [helper.make_node("Transpose", ["x"], [f"a{i}"], perm=perms[i % 2]) for i in range(count)]
    nodes.append(helper.make_node("Sum", [f"a{i}" for i in range(count)], ["y"]))
    border = [helper.make_tensor_value_info(n, 1, ["N", 8, 8, 8]) for n in "xy"]
    graph = helper.make_graph(nodes, "g", border[:1], border[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])


@pytest.mark.parametrize("make", [chain, fan])
def test_time_is_flat_per_node(make: object) -> None:
    def seconds(count: int) -> float:
        seen = ModelView(make(count))  # type: ignore[operator]
        assert seen.places
        start = time.process_time()
        for found in (seen.layouts, seen.transposes, seen.reshapes, seen.weights):
            assert found is not None
        return time.process_time() - start

    small = min(seconds(1000) for _ in range(2))
    assert seconds(8000) < 8 * 4 * max(small, 0.02)
