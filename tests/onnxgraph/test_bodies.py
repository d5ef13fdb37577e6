"""Graphs inside of graphs: what each takes, gives and reads from outside."""

from __future__ import annotations

import onnx.parser
import pytest

from onnx_triangulate.facts.view import View
from onnx_triangulate.onnxgraph.bodies import bodies

NESTED = """<ir_version: 8, opset_import: ["" : 17, "mine" : 1]> g (float[2,3] x, bool c) => (y)
<float[3] w = {1.0, 2.0, 3.0}> {
    a = Abs (x)
    [if] y = If (c) <
        then_branch = t () => (d) { [inner] d = If (c) <
            then_branch = tt () => (p) { p = Mul (a, w) }, else_branch = ee () => (q) { q = mine.twice (a) }> },
        else_branch = e () => (b) { b = Neg (x) }>
} <domain: "mine", opset_import: ["" : 17]> twice (u) => (v) { v = Add (u, u) }"""


def test_each_graph_comes_before_those_inside_it_and_functions_last() -> None:
    found = View(onnx.parser.parse_model(NESTED)).bodies
    assert [(b.path, b.kind, len(b.places)) for b in found] == [
        ("", "graph", 2),
        ("if/then_branch/", "subgraph", 1),
        ("if/else_branch/", "subgraph", 1),
        ("if/then_branch/inner/then_branch/", "subgraph", 1),
        ("if/then_branch/inner/else_branch/", "subgraph", 1),
        ("twice/", "function", 1),
    ]
    main, then, other, inner, _, function = found
    assert (then.parent, then.holder) == (main, main.places[1])
    assert inner.parent is then
    assert function.parent is None
    assert sorted(main.captured[1]) == ["a", "c", "w", "x"]
    assert sorted(then.captured[0]) == ["a", "w"]
    assert other.captured == {}
    tensor = inner.tensor("w")
    assert tensor is not None
    assert tensor.name == "w"
    assert inner.tensor("a") is None


def test_places_of_another_model_are_refused() -> None:
    with pytest.raises(ValueError, match="not all places"):
        bodies(onnx.parser.parse_model(NESTED), ())
