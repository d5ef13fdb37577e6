"""What two nodes have differently and what makes no difference: never said of what makes one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx.reference import ReferenceEvaluator

from tests.diff.test_differences import compare, parsed


def window(op: str, attributes: str, size: str = "9", more: str = "") -> str:
    last = ",".join(["a", "b", *"cd"[: size.count(",") + 1]])
    read = "x, w" if "Conv" in op else "x"
    return f"(float[1,2,{size}] x) => (float[{last}] y) {{ {more} y = {op} <{attributes}> ({read}) }}"


W = "w = Constant <value = float[2,2,3] {1,2,3,4,5,6,7,8,9,1,2,3}> ()"
POOL = "kernel_shape = [3], strides = [2]"
NO_EFFECT = {
    "pads of a Conv that are never read": (
        window("Conv", "pads = [1,0], strides = [2]", "8", W),
        window("Conv", "pads = [1,1], strides = [2]", "8", W),
        {"pads"},
    ),
    "pads of a pool": (
        window("AveragePool", f"{POOL}, pads = [1,0], count_include_pad = 1", "8"),
        window("AveragePool", f"{POOL}, pads = [1,1], count_include_pad = 1", "8"),
        {"pads"},
    ),
    "output_padding that is cut": (
        window("ConvTranspose", "pads = [1,1], output_padding = [1], strides = [2]", "8", W),
        window("ConvTranspose", "pads = [1,0], strides = [2]", "8", W),
        {"pads", "output_padding"},
    ),
    "output_padding that is cut, at any size": (
        window("ConvTranspose", "pads = [1,1], output_padding = [1], strides = [2]", "n", W),
        window("ConvTranspose", "pads = [1,0], strides = [2]", "n", W),
        {"pads", "output_padding"},
    ),
    "ceil_mode without anything beyond the end": (
        window("MaxPool", f"{POOL}, ceil_mode = 1"),
        window("MaxPool", POOL),
        {"ceil_mode"},
    ),
    "ceil_mode and what it counts": (
        window("AveragePool", f"{POOL}, ceil_mode = 1, count_include_pad = 1"),
        window("AveragePool", POOL),
        {"ceil_mode", "count_include_pad"},
    ),
    "nearest_mode of what is linear": (
        "(float[1,2,4] x) => (float[a,b,c] y) <float[3] s = {1,1,2}> "
        '{ y = Resize <mode = "linear", nearest_mode = "floor"> (x, , s) }',
        "(float[1,2,4] x) => (float[a,b,c] y) <float[3] s = {1,1,2}> "
        '{ y = Resize <mode = "linear", nearest_mode = "ceil"> (x, , s) }',
        {"nearest_mode"},
    ),
}
EFFECT = {
    "pads of a Conv that are read": (
        window("Conv", "pads = [1,0], strides = [2]", "9", W),
        window("Conv", "pads = [1,1], strides = [2]", "9", W),
    ),
    "pads of a Conv at another place": (
        window("Conv", "pads = [0,1], strides = [2]", "8", W),
        window("Conv", "pads = [1,0], strides = [2]", "8", W),
    ),
    "pads of a Conv of a size that is not known": (
        window("Conv", "pads = [1,0], strides = [2]", "n", W),
        window("Conv", "pads = [1,1], strides = [2]", "n", W),
    ),
    "output_padding that is not cut": (
        window("ConvTranspose", "pads = [1,1], output_padding = [1], strides = [2]", "8", W),
        window("ConvTranspose", "pads = [0,1], strides = [2]", "8", W),
    ),
    "ceil_mode with something beyond the end": (
        window("MaxPool", f"{POOL}, ceil_mode = 1", "8"),
        window("MaxPool", POOL, "8"),
    ),
    "padding that is counted": (
        window("AveragePool", f"{POOL}, pads = [1,0], count_include_pad = 1", "8"),
        window("AveragePool", f"{POOL}, pads = [1,0]", "8"),
    ),
    "nearest_mode of what is nearest": tuple(
        text.replace('"linear"', '"nearest"') for text in NO_EFFECT["nearest_mode of what is linear"][:2]
    ),
}


def run(text: str) -> Any:
    model = parsed(text.replace("[1,2,n]", "[1,2,8]"))
    shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    x = np.random.default_rng(5).normal(size=shape).astype(np.float32)
    return ReferenceEvaluator(model).run(None, {"x": x})[0]


@pytest.mark.parametrize("name", NO_EFFECT)
def test_what_is_of_no_effect_is_listed_as_such(name: str) -> None:
    left, right, expected = NO_EFFECT[name]
    assert np.array_equal(run(left), run(right))
    for one, two in ((left, right), (right, left)):
        found = compare(parsed(one), parsed(two)).differences
        assert {d.what for d in found} == expected
        assert all(d.harmless and d.message for d in found)


@pytest.mark.parametrize("name", EFFECT)
def test_what_is_of_an_effect_is_not_called_of_none(name: str) -> None:
    found = compare(*map(parsed, EFFECT[name])).differences
    assert found
    assert not any(d.harmless for d in found)
