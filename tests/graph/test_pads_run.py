"""Effective padding and its spellings, checked by running nodes.

What a node really pads is read off a run, without this project's formulas: a plane of ones moves along each axis (one
plane per batch), and the outputs that it reaches show where the first window begins; output sizes over consecutive
input sizes show where the last one may end.  ``run`` is ONNX's reference evaluator, and where that is wrong, or lacks
the operator, ONNX Runtime: :data:`WRONG` lists these node tests by name.  A spelling is run as PyTorch's or Keras's
layer against ONNX Runtime.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper
from onnx.reference import ReferenceEvaluator

from pipeline.data import Pads
from pipeline.graph import reach
from pipeline.graph.pads import pads, windows

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

Feeds = Mapping[str, Any]
Run = Callable[[ModelProto, Feeds], Any]
WINDOWS = "Conv ConvTranspose ConvInteger QLinearConv DeformConv MaxPool AveragePool LpPool MaxUnpool".split()
POOLS = ("MaxPool", "AveragePool", "LpPool")

# Node tests that the reference evaluator gets wrong: there ONNX Runtime decides.
WRONG: dict[str, str] = {}


def in_reference(model: ModelProto, feeds: Feeds) -> Any:
    return ReferenceEvaluator(model).run(None, dict(feeds))[0]


def in_onnxruntime(model: ModelProto, feeds: Feeds) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, dict(feeds))[0]


@dataclass(frozen=True)
class Node:
    """One sliding-window node, its attributes as the file has them."""

    op: str
    kernel: tuple[int, ...]
    held: Mapping[str, Any]
    opset: int = 22
    channels: int = 1  # of the input
    weight: tuple[int, int] = (1, 1)

    @property
    def rank(self) -> int:
        return len(self.kernel)

    @property
    def strides(self) -> tuple[int, ...]:
        return tuple(self.held.get("strides", (1,) * self.rank))

    @property
    def dilations(self) -> tuple[int, ...]:
        return tuple(self.held.get("dilations", (1,) * self.rank))

    @property
    def spans(self) -> tuple[int, ...]:
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations, strict=True))

    @property
    def kind(self) -> int:
        """The type of its input."""
        return int(TensorProto.UINT8 if self.op in ("ConvInteger", "QLinearConv") else TensorProto.FLOAT)

    def feeds(self, x: Any, w: Any = None) -> dict[str, Any]:
        """The node's inputs for ``x``, by name, in order; weights of ones unless given."""
        if self.op in POOLS or self.op == "MaxUnpool":
            return {"x": x}
        w = np.ones((*self.weight, *self.kernel), x.dtype) if w is None else w
        one, zero = np.array(1, np.float32), np.array(0, np.uint8)
        if self.op == "QLinearConv":
            return {"x": x, "xs": one, "xz": zero, "w": w, "ws": one, "wz": zero, "ys": one, "yz": zero}
        if self.op == "DeformConv":
            groups = int(self.held.get("offset_group", 1))
            (row,) = pads(self.model(x.shape))
            ends = [x.shape[2 + a] + row.begin[a] + row.end[a] - self.spans[a] for a in range(self.rank)]  # type: ignore[index]
            outs = [end // s + 1 for end, s in zip(ends, self.strides, strict=True)]
            taps = groups * int(np.prod(self.kernel))
            offset = np.zeros((x.shape[0], taps * self.rank, *outs), np.float32)
            return {"x": x, "w": w, "offset": offset, "b": np.zeros(self.weight[0], np.float32)}
        return {"x": x, "w": w}

    def model(self, shape: Sequence[int | str], feeds: Feeds | None = None, kind: int | None = None) -> ModelProto:
        """The node as a model whose input has this shape."""
        held = {**self.held, **({"kernel_shape": list(self.kernel)} if self.op in POOLS else {})}
        names = list(feeds) if feeds is not None else (["x"] if self.op in POOLS else ["x", "w"])
        if feeds is None and self.op == "QLinearConv":
            names = "x xs xz w ws wz ys yz".split()
        node = helper.make_node(self.op, names, ["y"], name="n", **held)
        kind = self.kind if kind is None else kind
        types = {"xs": 1, "ws": 1, "ys": 1, "offset": 1, "b": 1}
        shapes: dict[str, Any] = {"x": list(shape), "w": [*self.weight, *self.kernel]}
        given = []
        for name in names:
            dims = shapes.get(name, [] if feeds is None else list(np.shape(feeds[name])))
            given.append(helper.make_tensor_value_info(name, types.get(name, kind), dims))
        result = TensorProto.INT32 if self.op == "ConvInteger" else kind
        output = helper.make_tensor_value_info("y", result, [f"y{i}" for i in range(self.rank + 2)])
        graph = helper.make_graph([node], "g", given, [output])
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)

    def run(self, run: Run, x: Any, w: Any = None) -> Any:
        feeds = self.feeds(x, w)
        return run(self.model(x.shape, feeds), feeds)

    def said(self, size: Sequence[int]) -> tuple[Pads, reach.Window]:
        model = self.model((1, self.channels, *size))
        (row,), (window,) = pads(model), windows(model)
        return row, window


def reached(node: Node, size: Sequence[int], axis: int, run: Run) -> tuple[set[tuple[int, int]], tuple[int, ...]]:
    """Which outputs (second) along an axis each plane of the input (first) reaches, and the output's spatial shape."""
    dtype = helper.tensor_dtype_to_np_dtype(node.kind)
    x = np.zeros((size[axis], node.channels, *size), dtype)
    for i in range(size[axis]):
        index: list[Any] = [i, slice(None), *[slice(None)] * len(size)]
        index[2 + axis] = i
        x[tuple(index)] = 1
    y = np.asarray(node.run(run, x))
    others = tuple(1 + a for a in range(y.ndim - 1) if a != 1 + axis)
    mask = np.abs(y).max(axis=others) > 0
    return {(int(i), int(o)) for i, o in zip(*np.nonzero(mask), strict=True)}, tuple(y.shape[2:])


def begins(node: Node, seen: set[tuple[int, int]], axis: int, size: int, out: int) -> set[int]:
    """Every beginning that explains what was seen along an axis."""
    k, s, d, span = node.kernel[axis], node.strides[axis], node.dilations[axis], node.spans[axis]
    transposed = node.op == "ConvTranspose"
    found = set()
    for begin in range(-span - s * size, span + s * size + 1):
        taps = {j * d - begin for j in range(k)}
        if transposed:
            if rng.random() < 0.5:
                held["output_padding"] = [int(rng.integers(0, s)) for s in strides]
            if rng.random() < 0.3:
                # At most what the windows reach: ONNX Runtime refuses what is not the shape of some convolution.
                lasts = [(n - 1) * s + span for n, s, span in zip(size, strides, spans, strict=True)]
                least = [max(1, n - span) for n, span in zip(lasts, spans, strict=True)]
                held["output_shape"] = [int(rng.integers(a, b + 1)) for a, b in zip(least, lasts, strict=True)]
                held.pop("pads", None)
                held.pop("output_padding", None)
            elif auto.startswith("SAME") and any(np.less(spans, strides)):
                continue  # ONNX Runtime does not add the rows that ONNX asks for
        node = Node(op, tuple(kernel), held)
        _, window = node.said(size)
        if window.output is None or any(n is None or n < 1 for n in window.output):
            continue
        count -= 1
        yield node, size


@pytest.mark.parametrize("op", ["Conv", "ConvTranspose", *POOLS])
def test_drawn_nodes_are_read_as_they_run(op: str) -> None:
    wrong = []
    for node, size in drawn(op, 5, 150):
        try:
            # ONNX Runtime refuses a dilated convolution with SAME.
            refused = node.held.get("auto_pad", "").startswith("SAME") and max(node.dilations) > 1 and op == "Conv"
            problems = parts(node, size, in_reference if refused else in_onnxruntime)
        except Exception as error:
            problems = [f"{type(error).__name__}: {error}"]
        if problems:
            wrong.append((node.kernel, dict(node.held), size, problems))
    assert wrong == []
