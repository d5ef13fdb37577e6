"""Graphs in which every operator only copies, so that each value is the input's elements in some order.

Design note.  What is claimed of a layout is checked by running: the convolution is the 1x1 identity, products are with
the identity matrix, pads are zero, and so on, with every element of the input another number.  A value whose axes are
claimed to be N, H·W, C must then hold what numpy makes of the convolution's NCHW operand by that name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from onnx_triangulate.facts.layouts import Flow

Array = NDArray[Any]
SPATIAL = {1: "W", 2: "HW", 3: "DHW"}


class Copying:
    """A graph under construction, with the array that each value holds."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.tensors: list[onnx.TensorProto] = []
        self.arrays: dict[str, Array] = {"x": np.arange(1, np.prod(shape) + 1, dtype=np.float32).reshape(shape)}

    def ints(self, *values: int) -> str:
        return self.constant(np.array(values, np.int64))

    def constant(self, value: Array) -> str:
        name = f"k{len(self.tensors)}"
        self.tensors.append(numpy_helper.from_array(value, name))
        return name

    def add(self, op: str, inputs: list[str], result: Array, outputs: int = 1, **attributes: Any) -> str:
        name = f"v{len(self.nodes)}"
        made = [name, *(f"{name}_{i}" for i in range(1, outputs))]
        self.nodes.append(helper.make_node(op, inputs, made, name=f"n{len(self.nodes)}", **attributes))
        self.arrays[name] = np.ascontiguousarray(result)
        return name

    def transpose(self, value: str, perm: tuple[int, ...]) -> str:
        return self.add("Transpose", [value], self.arrays[value].transpose(perm), perm=perm)

    def reshape(self, value: str, shape: tuple[int, ...]) -> str:
        return self.add("Reshape", [value, self.ints(*shape)], self.arrays[value].reshape(shape))

    def convolve(self, value: str) -> str:
        array = self.arrays[value]
        channels = array.shape[1]
        kernel = np.eye(channels, dtype=np.float32).reshape(channels, channels, *(1,) * (array.ndim - 2))
        return self.add("Conv", [value, self.constant(kernel)], array)

    def model(self, *outputs: str) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, self.arrays["x"].shape)],
            [helper.make_tensor_value_info(o, TensorProto.FLOAT, None) for o in outputs],
            self.tensors,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)

    def is_what_runs(self, model: onnx.ModelProto) -> None:
        """The arrays kept beside the graph are what the reference evaluator computes."""
        names = [n for n in self.arrays if n != "x"]
        ran = ReferenceEvaluator(model).run(names, {"x": self.arrays["x"]})
        for name, array in zip(names, ran, strict=True):
            np.testing.assert_array_equal(array, self.arrays[name], err_msg=name)


def named(source: Array, names: tuple[str, ...]) -> Array:
    """The convolution's operand (N, C, spatial …) with its axes as ``names`` say; those left out are of size one."""
    letters = "NC" + SPATIAL[source.ndim - 2]
    wanted = "".join(names)
    assert set(wanted) <= set(letters), (names, letters)
    left_out = [a for a, letter in enumerate(letters) if letter not in wanted]
    assert all(source.shape[a] == 1 for a in left_out), f"{names} leaves out an axis of more than one element"
    kept = [n for n in letters if n in wanted]
    permuted = source.squeeze(tuple(left_out)).transpose([kept.index(n) for n in wanted])
    sizes = dict(zip(letters, source.shape, strict=True))
    return permuted.reshape([int(np.prod([sizes[n] for n in name])) for name in names])


def wrong_names(flow: Flow, arrays: Mapping[str, Array], source: Array) -> list[str]:
    """The values whose claimed axes are not what they hold, and how many were claimed at all (last)."""
    found, claimed = [], 0
    for value, name in enumerate(flow.names):
        names = flow.axes[value]
        if name not in arrays or value in flow.contested or not names or not all(names):
            continue
        claimed += 1
        try:
            if not np.array_equal(named(source, names), arrays[name]):
                found.append(f"{name}: {names}")
        except AssertionError as problem:
            found.append(f"{name}: {problem}")
    return [*found, str(claimed)]


def random_graph(seed: int) -> tuple[Copying, Array]:
    """A graph of operators that copy, with one convolution somewhere, and what that convolution reads."""
    random = np.random.default_rng(seed)
    rank = int(random.integers(3, 6))
    sizes = [2, 3, 5, 7, 11][:rank]
    for axis in range(rank):
        if random.random() < 0.25:
            sizes[axis] = 1
    g = Copying(tuple(int(s) for s in random.permutation(sizes)))
    value, source, convolved = "x", None, int(random.integers(1, 6))
    values = ["x"]
    for step in range(14):
        array = g.arrays[value]
        if step >= convolved and source is None and 3 <= array.ndim <= 5:
            source, value = array, g.convolve(value)
        else:
            value = _step(g, random, value)
        values.append(value)
    if source is None:
        if not 3 <= g.arrays[value].ndim <= 5:
            value = g.reshape(value, (1, 1, -1))
        source, value = g.arrays[value], g.convolve(value)
    return g, source


def _step(g: Copying, random: np.random.Generator, value: str) -> str:  # noqa: C901  one arm an operator
    array = g.arrays[value]
    rank = array.ndim
    axis = int(random.integers(rank))
    choice = str(
        random.choice(
            "Transpose Transpose Reshape Merge Split1 Squeeze Unsqueeze Relu Add Cast Concat Slice Pad MatMul "
            "ReduceSum Flatten Gather Split Expand Identity Where Clip Dropout Ones Tile Resize".split()
        )
    )
    zero = np.zeros((1,) * rank, np.float32)
    if choice == "Transpose":
        return g.transpose(value, tuple(int(p) for p in random.permutation(rank)))
    if choice == "Reshape":  # axes of size one go elsewhere
        shape = [s for s in array.shape if s != 1]
        while len(shape) < rank:
            shape.insert(int(random.integers(len(shape) + 1)), 1)
        return g.reshape(value, tuple(shape))
    if choice == "Merge" and rank > 2:
        at = int(random.integers(rank - 1))
        return g.reshape(value, (*array.shape[:at], array.shape[at] * array.shape[at + 1], *array.shape[at + 2 :]))
    if choice == "Squeeze" and 1 in array.shape and rank > 2:
        at = array.shape.index(1)
        return g.add("Squeeze", [value, g.ints(at - rank)], array.squeeze(at))
    if choice in ("Unsqueeze", "Split1") and rank < 5:
        return g.add("Unsqueeze", [value, g.ints(axis - rank - 1)], np.expand_dims(array, axis - rank - 1))
    if choice == "Add":
        return g.add("Add", [value, g.constant(zero if random.random() < 0.5 else zero.reshape(-1)[:1])], array)
    if choice == "Ones":
        return g.add("Mul", [g.constant(np.ones(array.shape[-1:], np.float32)), value], array)
    if choice == "Cast":
        return g.add("Cast", [value], array, to=TensorProto.FLOAT)
    if choice == "Concat":
        return g.add("Concat", [value], array, axis=axis - rank)
    if choice == "Slice":
        return g.add("Slice", [value, g.ints(0), g.ints(99), g.ints(axis)], array)
    if choice == "Pad":
        return g.add("Pad", [value, g.ints(*[0] * (2 * rank))], array)
    if choice == "MatMul" and rank > 1:
        return g.add("MatMul", [value, g.constant(np.eye(array.shape[-1], dtype=np.float32))], array)
    if choice == "ReduceSum" and array.shape[axis] == 1 and rank > 2:
        keep = bool(random.random() < 0.5)
        made = array if keep else array.squeeze(axis)
        return g.add("ReduceSum", [value, g.ints(axis)], made, keepdims=int(keep))
    if choice == "Flatten" and rank < 4:
        at = int(random.integers(rank + 1))
        return g.add("Flatten", [value], array.reshape(int(np.prod(array.shape[:at])), -1), axis=at)
    if choice == "Gather":
        if array.shape[axis] == 1 and rank > 2:
            return g.add("Gather", [value, g.constant(np.array(0, np.int64))], array.squeeze(axis), axis=axis)
        return g.add("Gather", [value, g.ints(*range(array.shape[axis]))], array, axis=axis)
    if choice == "Split":
        return g.add("Split", [value], array, axis=axis, num_outputs=1)
    if choice == "Expand":
        return g.add("Expand", [value, g.ints(*array.shape)], array)
    if choice == "Where":
        return g.add("Where", [g.constant(np.ones((1,), np.bool_)), value, g.constant(zero)], array)
    if choice == "Clip":
        return g.add("Clip", [value, g.constant(np.float32(0.0).reshape(()))], array)
    if choice == "Dropout":
        return g.add("Dropout", [value], array)
    if choice == "Tile":
        return g.add("Tile", [value, g.ints(*[1] * rank)], array)
    if choice == "Identity":
        return g.add("Identity", [value], array)
    return g.add("Relu", [value], array)
