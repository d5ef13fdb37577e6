"""Which value is which: by what is computed, whatever it is called, in whatever order of axes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from onnx_triangulate.onnxgraph.dataflow import Namer, Orientation, declares, digest, orientations, settings

COMMUTES = frozenset({"Add", "Mul"})


@pytest.mark.parametrize(
    ("have", "want", "due"),
    [
        ((2, 3), (2, 3), [Orientation()]),
        ((2, 3), (3, 2), [Orientation(perm=(1, 0)), Orientation(shape=(3, 2))]),
        ((2, 2), (2, 2), [Orientation(), Orientation(perm=(1, 0))]),
        ((4,), (5,), []),
        ((2, 3), (3, 3), []),
        ((6,), (2, 3), [Orientation(shape=(2, 3))]),
        (
            (1, 4, 2, 3),  # split axes, of either layout
            (1, 24),
            [
                Orientation(shape=(1, 24)),
                Orientation((0, 2, 3, 1), (1, 24)),
                Orientation((0, 3, 1, 2), (1, 24)),
            ],
        ),
        ((1, 4, 1, 1), (1, 4), [Orientation(shape=(1, 4))]),  # axes of one element may stand where they like
    ],
)
def test_the_ways_in_which_an_array_may_be_another(have: Any, want: Any, due: list[Orientation]) -> None:
    assert list(orientations(have, want)) == due


def test_an_orientation_does_what_it_says() -> None:
    value = np.arange(6).reshape(1, 2, 3)
    turned = Orientation((0, 2, 1), (3, 2)).apply(value)
    assert np.array_equal(turned, value.transpose(0, 2, 1).reshape(3, 2))
    assert Orientation().apply(value) is value
    assert Orientation((0, 2, 1), (3, 2)).says == "axes (0, 2, 1), reshaped to (3, 2)"
    assert Orientation().says == ""


def named(*nodes: onnx.NodeProto, version: int = 18, **classes: bytes) -> dict[str, bytes]:
    namer, known = Namer(version, COMMUTES), dict(classes)
    for node in nodes:
        known |= namer.of_node(node, [known[n] if n else b"" for n in node.input], known)
    return known


A, B = digest("input", "a"), digest("input", "b")


@pytest.mark.parametrize(
    ("left", "right", "one"),
    [
        (helper.make_node("Add", ["a", "b"], ["y"]), helper.make_node("Add", ["b", "a"], ["y"]), True),
        (helper.make_node("Sub", ["a", "b"], ["y"]), helper.make_node("Sub", ["b", "a"], ["y"]), False),
        (
            helper.make_node("Add", ["a", "b"], ["y"], domain="mine"),
            helper.make_node("Add", ["b", "a"], ["y"], domain="mine"),
            False,
        ),
        (helper.make_node("Relu", ["a"], ["y"], name="p"), helper.make_node("Relu", ["a"], ["y"], name="q"), True),
        (
            helper.make_node("Softmax", ["a"], ["y"]),
            helper.make_node("Softmax", ["a"], ["y"], axis=-1),  # the default, written out
            True,
        ),
        (helper.make_node("Softmax", ["a"], ["y"]), helper.make_node("Softmax", ["a"], ["y"], axis=1), False),
    ],
)
def test_nodes_of_one_class(left: onnx.NodeProto, right: onnx.NodeProto, one: bool) -> None:
    assert (named(left, a=A, b=B)["y"] == named(right, a=A, b=B)["y"]) is one


def test_transposes_in_a_row_are_one() -> None:
    there = helper.make_node("Transpose", ["a"], ["t"], perm=[1, 2, 0])
    back = helper.make_node("Transpose", ["t"], ["y"], perm=[2, 0, 1])
    assert named(there, back, a=A)["y"] == A
    once = helper.make_node("Transpose", ["t"], ["y"], perm=[1, 2, 0])
    both = helper.make_node("Transpose", ["a"], ["y"], perm=[2, 0, 1])
    assert named(there, once, a=A)["y"] == named(both, a=A)["y"]
    assert named(there, once, a=A)["y"] != named(there, a=A)["t"]


def test_a_value_of_a_known_class_turned_is_what_its_transpose_makes() -> None:
    namer = Namer(18, COMMUTES)
    turned = namer.turned_by(A, Orientation(perm=(1, 0)))
    assert turned == namer.of_node(helper.make_node("Transpose", ["a"], ["y"], perm=[1, 0]), [A], {})["y"]
    assert namer.turned_by(turned, Orientation(perm=(1, 0))) == A
    assert namer.turned_by(A, Orientation(shape=(2, 3))) not in (A, namer.turned_by(A, Orientation(shape=(3, 2))))


def test_constants_are_their_type_their_shape_and_their_numbers() -> None:
    namer = Namer(18, COMMUTES)
    one = namer.of_constant(np.float32([1, 2]))
    assert one == namer.of_constant(np.float32([1, 2]))
    others = (np.float32([1, 3]), np.float64([1, 2]), np.float32([[1, 2]]), [np.float32([1, 2])])
    assert one not in {namer.of_constant(value) for value in others}
    constant = helper.make_node("Constant", [], ["y"], value=onnx.numpy_helper.from_array(np.float32([1, 2])))
    assert named(constant)["y"] == one


def test_a_node_with_a_subgraph_is_what_it_says_and_what_it_captures() -> None:
    def branching(captured: str) -> onnx.NodeProto:
        inner = helper.make_graph([helper.make_node("Neg", [captured], ["q"])], "g", [], [])
        return helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)

    known = {"c": digest("input", "c"), "a": A, "b": B}
    assert named(branching("a"), **known)["y"] == named(branching("a"), **known)["y"]
    assert named(branching("a"), **known)["y"] != named(branching("a"), **(known | {"a": B}))["y"]
    assert named(branching("a"), **known)["y"] != named(branching("b"), **known)["y"]


def test_settings_hold_defaults_and_an_operator_that_nobody_knows_may_have_any() -> None:
    node = helper.make_node("Softmax", ["a"], ["y"])
    assert settings(node, 18)["axis"] == -1
    assert settings(node, 11)["axis"] == 1
    assert declares(node, 18, "axis")
    assert not declares(node, 18, "axes")
    assert declares(helper.make_node("Mine", ["a"], ["y"], domain="mine"), 18, "axes")
    assert declares(node, None, "axes")


def test_where_a_part_ends_counts() -> None:
    assert digest("ab", "c") != digest("a", "bc")
