"""A graph in parts: what is fed to each, what is asked of it, and that the parts make what the whole makes."""

from __future__ import annotations

import onnx
import pytest

from onnx_triangulate.onnxgraph.weights import Weights
from onnx_triangulate.transform.cut import Part, parts

CHAIN = """<ir_version: 8, opset_import: ["" : 18]> g (float[4] x) => (float[4] d)
{ a = Neg (x)  b = Relu (a)  c = Add (a, b)  d = Neg (c) }"""
SIZES = dict.fromkeys("xabcd", 16)


def cut(given: tuple[str, ...] = ()) -> list[Part]:
    proto = onnx.parser.parse_model(CHAIN)
    return parts(proto, Weights(proto), SIZES, budget=32, given=given)


def test_where_nothing_is_given_every_array_is_asked_of_its_part() -> None:
    first, second = cut()
    assert (list(first.nodes), first.inputs, first.outputs) == ([0, 1], ("x",), ("a", "b"))
    assert (list(second.nodes), second.inputs, second.outputs) == ([2, 3], ("a", "b"), ("c", "d"))


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        (("d",), [("a", "b"), ("d",)]),  # c is read within its part alone
        (("c",), [("a", "b"), ("c",)]),  # d is read by nobody
        (("a", "d"), [("a", "b"), ("c",), ("d",)]),  # a is fed, and takes its place in the second part too
    ],
)
def test_where_some_are_given_the_rest_is_asked_only_for_a_later_part(
    given: tuple[str, ...], asked: list[tuple[str, ...]]
) -> None:
    assert [part.outputs for part in cut(given)] == asked
