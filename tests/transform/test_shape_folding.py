"""Sizes that a graph computes of its inputs' sizes, worked out."""

from __future__ import annotations

import onnx.parser

from onnx_triangulate.ops.roundings import roundings
from onnx_triangulate.transform.shape_folding import settle

# A softmax of opset 11 behind a Reshape to sizes that are computed, as an export with open axes has it.
HEAD = """<ir_version: 7, opset_import: ["" : 11]> g (float[{n},3,{h}] x) => (float[a,b] y) {{
    s = Shape (x)
    zero = Constant <value = int64 {{0}}> ()
    n = Gather <axis = 0> (s, zero)
    first = Unsqueeze <axes = [0]> (n)
    rest = Constant <value = int64[1] {{-1}}> ()
    to = Concat <axis = 0> (first, rest)
    flat = Reshape (x, to)
    p = Softmax <axis = 1> (flat)
    y = ReduceSum <axes = [1], keepdims = 1> (p)
}}"""


def test_sizes_that_are_computed_are_known_once_the_inputs_are() -> None:
    model = onnx.parser.parse_model(HEAD.format(n=2, h=4))
    assert getattr(roundings(model), "unknown", ()) == ("Softmax", "ReduceSum")
    found = roundings(settle(model))
    assert found is not None
    assert (found.count, found.unknown) == (12 + 6 + 12 + 1, ())
    assert [node.op_type for node in model.graph.node if node.op_type != "Constant"] == [
        "Reshape",
        "Softmax",
        "ReduceSum",
    ]


def test_sizes_that_are_open_stay_open() -> None:
    model = onnx.parser.parse_model(HEAD.format(n="n", h="h"))
    settle(model)
    assert "Gather" in {node.op_type for node in model.graph.node}


def test_whole_numbers_round_nothing() -> None:
    text = '<ir_version: 8, opset_import: ["" : 17]> g ({0}[9] x, int64 a) => ({0}[9] y) {{ y = CumSum (x, a) }}'
    counts = [roundings(onnx.parser.parse_model(text.format(kind))) for kind in ("int64", "float")]
    assert [found.count for found in counts if found is not None] == [0, 9]
