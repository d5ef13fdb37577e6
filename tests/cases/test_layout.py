"""Axes by name: there and back is the same array, and whatever names other axes is refused."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnx_triangulate.cases.layout import order, permutation, permute
from onnx_triangulate.records.case import Tensor
from onnx_triangulate.records.errors import UnusableInput

USUAL = {"n c h w": "n h w c", "o i h w": "h w i o"}


def test_the_permutations_people_know() -> None:
    assert permutation("n c h w", "n h w c") == (0, 2, 3, 1)
    assert permutation("n h w c", "n c h w") == (0, 3, 1, 2)
    assert permutation("o i h w", "h w i o") == (2, 3, 1, 0)
    assert permutation("", "") == ()


def test_an_element_goes_where_its_axes_say() -> None:
    x = np.arange(1 * 3 * 7 * 8).reshape(1, 3, 7, 8)
    y = permute(x, "n c h w", "h c w n")
    assert y.shape == (7, 3, 8, 1)
    assert all(y[h, c, w, 0] == x[0, c, h, w] for c, h, w in itertools.product(range(3), range(7), range(8)))


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.permutations("abcde"), st.permutations("abcde"), st.integers(0, 5))
def test_there_and_back(source: list[str], target: list[str], rank: int) -> None:
    kept = set(sorted(source)[:rank])
    here, there = (" ".join(axis for axis in axes if axis in kept) for axes in (source, target))
    sizes = dict(zip("abcde", (1, 3, 7, 2, 5), strict=True))
    x = np.arange(np.prod([sizes[a] for a in here.split()], dtype=int)).reshape([sizes[a] for a in here.split()])
    turned = permute(x, here, there)
    assert turned.shape == tuple(sizes[a] for a in there.split())
    assert np.array_equal(permute(turned, there, here), x)
    assert turned.flags["C_CONTIGUOUS"]


def test_a_scalar_stays_one() -> None:
    x = permute(np.array(5.0), "", "")
    assert x.shape == ()
    assert permute(np.ones((1, 1), np.float16), "n c", "c n").dtype == np.float16


def test_special_values_travel() -> None:
    x = np.array([[-0.0, np.nan], [np.inf, 1e-45]], np.float32)
    assert permute(x, "a b", "b a").tobytes() == x.T.copy().tobytes()


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("n c", "n h"),
        ("n c", "n"),
        ("n", "n c"),
        ("n n", "n n c"),
        ("n n", "n n"),
        ("", "n"),
        ("n c h", "n c c"),
        ("N c", "n c"),
    ],
)
def test_other_axes_are_refused(source: str, target: str) -> None:
    with pytest.raises(UnusableInput, match="expected a permutation of"):
        permutation(source, target)
    if source.split() != target.split():
        with pytest.raises(UnusableInput, match="each axis once"):
            permute(np.zeros([1] * len(source.split())), source, target)


def test_the_usual_order_its_exceptions_and_the_rest() -> None:
    assert order(Tensor("n c h w"), "tensorflow", USUAL) == "n h w c"
    assert order(Tensor("  n  c h w "), "tensorflow", USUAL) == "n h w c"
    assert order(Tensor("n c h w", layouts={"tensorflow": "c n h w"}), "tensorflow", USUAL) == "c n h w"
    assert order(Tensor("n c h w", layouts={"torch": "c n h w"}), "tensorflow", USUAL) == "n h w c"
    assert order(Tensor("n c w"), "tensorflow", USUAL) == "n c w"
    assert order(Tensor("n c h w"), "torch", {}) == "n c h w"
    assert order(Tensor(""), "tensorflow", USUAL) == ""
