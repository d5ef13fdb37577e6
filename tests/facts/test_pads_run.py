"""Effective padding and its spellings, checked by running nodes.

What a node really pads is read off a run, without this project's formulas: a plane of ones moves along each axis (one
plane per batch), and the outputs that it reaches show where the first window begins; output sizes over consecutive
input sizes show where the last one may end.  ``run`` is ONNX's reference evaluator, and where that is wrong, or lacks
the operator, ONNX Runtime: :data:`WRONG` lists these node tests by name.  A spelling is run as PyTorch's or Keras's
layer against ONNX Runtime.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from onnx_triangulate.engines.frameworks import adapter
from onnx_triangulate.facts import pads as pads_module
from onnx_triangulate.facts import receptive_field
from onnx_triangulate.facts.pads import pads, windows
from onnx_triangulate.records.graphs import Pads

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

    def said(self, size: Sequence[int]) -> tuple[Pads, receptive_field.Window]:
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
            wanted = {(i, i * s + t) for i in range(size) for t in taps if 0 <= i * s + t < out}
        else:
            wanted = {(o * s + t, o) for o in range(out) for t in taps if 0 <= o * s + t < size}
        if wanted == seen:
            found.add(begin)
    return found


def parts(node: Node, size: Sequence[int], run: Run) -> list[str]:
    """Where a run at one size contradicts what is reported for it; empty where it does not."""
    row, window = node.said(size)
    if row.begin is None or row.end is None:
        return [f"not known: {row.note}"]
    found = []
    for axis, n in enumerate(size):
        seen, outs = reached(node, size, axis, run)
        begin, end, out, span, s = row.begin[axis], row.end[axis], outs[axis], node.spans[axis], node.strides[axis]
        explained = begins(node, seen, axis, n, out)
        if begin not in explained:
            found.append(f"axis {axis}: begins at {sorted(explained)}, said {begin}")
        if window.output is None or window.output[axis] != out:
            found.append(f"axis {axis}: {out} outputs, said {window.output}")
        if row.offset is None or row.offset[axis] != (span - 1) / 2 - begin:
            found.append(f"axis {axis}: offset {row.offset}")
        if node.op == "ConvTranspose":
            continue
        beyond = n + begin + end - (out - 1) * s - span
        if row.unread is None or row.unread[axis] != max(0, beyond):
            found.append(f"axis {axis}: {beyond} unread, said {row.unread}")
        if node.held.get("ceil_mode") and (row.overhang is None or row.overhang[axis] != max(0, -beyond)):
            found.append(f"axis {axis}: {-beyond} overhang, said {row.overhang}")
        last = max((i for i, _ in seen), default=-1)
        if node.dilations[axis] == 1 and s <= span and row.unread is not None and last >= 0:
            idle = n - 1 - last
            if max(0, (row.unread[axis] or 0) - end) != idle:
                found.append(f"axis {axis}: the last {idle} of the input are not read, said {row.unread} and end {end}")
    return found


def ends(node: Node, size: Sequence[int], run: Run) -> list[set[int]]:
    """Of a node with explicit pads: the ends that explain the outputs' sizes over consecutive input sizes."""
    row, _ = node.said(size)
    assert row.begin is not None
    found = [set(range(-8, 40)) for _ in size]
    for more in range(max(node.strides)):
        larger = [n + more for n in size]
        outs = np.shape(node.run(run, np.ones((1, node.channels, *larger), helper.tensor_dtype_to_np_dtype(node.kind))))
        for axis, n in enumerate(larger):
            room = n + row.begin[axis] - node.spans[axis]
            found[axis] &= {e for e in found[axis] if (room + e) // node.strides[axis] + 1 == outs[2 + axis]}
    return found


# What ships with onnx.


@cache
def node_tests(*words: str) -> tuple[Any, ...]:
    """Every node test of onnx of which some node is about padding, from the modules named so: making all takes long."""
    from onnx.backend.test.case import node as cases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for module in pkgutil.iter_modules(cases.__path__):
            if any(word in module.name for word in words):
                importlib.import_module(f"{cases.__name__}.{module.name}")
    found = [t for t in cases._NodeTestCases if any(n.op_type in (*WINDOWS, "Pad") for n in t.model.graph.node)]
    return tuple({t.name: t for t in found}.values())


def alone(words: tuple[str, ...], *ops: str) -> list[Any]:
    return [t for t in node_tests(*words) if len(t.model.graph.node) == 1 and t.model.graph.node[0].op_type in ops]


def as_node(test: Any) -> tuple[Node, tuple[int, ...]]:
    (proto,) = test.model.graph.node
    held = {a.name: helper.get_attribute_value(a) for a in proto.attribute}
    held = {name: v.decode() if isinstance(v, bytes) else v for name, v in held.items()}
    shapes = {i.name: tuple(d.dim_value for d in i.type.tensor_type.shape.dim) for i in test.model.graph.input}
    size = shapes[proto.input[0]][2:]
    weight = (1, 1)
    kernel = tuple(held.pop("kernel_shape", ()))
    if proto.op_type not in (*POOLS, "MaxUnpool"):
        w = shapes[proto.input[3 if proto.op_type == "QLinearConv" else 1]]
        weight, kernel = w[:2], w[2:]
    versions = {o.domain: o.version for o in test.model.opset_import}
    return Node(proto.op_type, kernel, held, versions[""], shapes[proto.input[0]][1], weight), size


SLIDING = [t for t in WINDOWS if t != "MaxUnpool"]


def smaller(node: Node, size: Sequence[int]) -> tuple[int, ...]:
    """A size with the same answers, which the evaluator's loops get through: a few windows, and the same remainder."""
    few = [span + 2 * s for span, s in zip(node.spans, node.strides, strict=True)]
    return tuple(min(n, f + (n - f) % s) for n, f, s in zip(size, few, node.strides, strict=True))


@pytest.mark.slow  # making ONNX's pool tests takes ten seconds by itself
def test_every_window_node_test_of_onnx_is_read_as_it_runs() -> None:
    tests = alone(("conv", "pool"), *SLIDING)
    assert len(tests) >= 60
    assert {t.model.graph.node[0].op_type for t in tests} == set(SLIDING)
    wrong = {}
    for test in tests:
        node, size = as_node(test)
        (row,) = pads(test.model)
        said, _ = node.said(size)
        assert (row.begin, row.end) == (said.begin, said.end), test.name
        less = smaller(node, size)
        assert node.said(less)[0].begin == said.begin, test.name
        run = in_onnxruntime if test.name in WRONG else in_reference
        try:
            problems = parts(node, less, run)
        except Exception as error:
            problems = [f"{type(error).__name__}: {error}"]
        if problems:
            wrong[test.name] = problems
    assert wrong == {}


def constant(test: Any) -> ModelProto:
    """A Pad node test with its amounts and axes stored in the file."""
    model = ModelProto()
    model.CopyFrom(test.model)
    (node,) = model.graph.node
    values = dict(zip([i.name for i in model.graph.input], test.data_sets[0][0], strict=True))
    for name in node.input[1:]:
        if name:
            model.graph.initializer.append(numpy_helper.from_array(np.asarray(values[name]), name))
    kept = [i for i in model.graph.input if i.name not in node.input[1:]]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    return model


def test_every_pad_node_test_of_onnx_is_read_as_it_runs() -> None:
    tests = alone(("pad",), "Pad")
    assert len(tests) >= 6
    for test in tests:
        (open_,) = pads(test.model)
        assert (open_.begin, open_.end, open_.torch) == (None, None, None)
        assert open_.condition == f"depends on the input {test.model.graph.node[0].input[1]}"
        model = constant(test)
        (row,) = pads(model)
        assert row.begin is not None
        assert row.end is not None
        x = test.data_sets[0][0][0]
        unique = np.arange(1, x.size + 1).reshape(x.shape).astype(x.dtype)
        y = in_reference(model, {model.graph.input[0].name: unique})
        # Where the input lies in the output: every number of it that the output holds is one row of this.
        inside = np.argwhere(y == 1)[0] if "constant" in row.note else np.array(row.begin)
        assert tuple(inside) == row.begin, test.name
        assert tuple(np.subtract(y.shape, x.shape) - row.begin) == row.end, test.name
        index = tuple(slice(b, b + n) for b, n in zip(row.begin, x.shape, strict=True))
        assert np.array_equal(y[index], unique), test.name


def test_the_max_unpool_node_tests_of_onnx_are_read() -> None:
    """Its indices say where values go, so that begin and end show in the output's size only."""
    tests = alone(("maxunpool",), "MaxUnpool")
    assert len(tests) == 2
    for test in tests:
        (row,) = pads(test.model)
        assert (row.begin, row.end) == ((0, 0), (0, 0))
        assert row.torch == ("padding=0" if len(test.model.graph.node[0].input) == 2 else None)


def test_computed_amounts_in_other_node_tests_are_never_guessed() -> None:
    tests = [t for t in node_tests("pad", "causal_conv") if len(t.model.graph.node) > 1]
    assert len(tests) >= 6
    for test in tests:
        for row in pads(test.model):
            assert row.begin is not None or row.note or "depends on" in row.condition, test.name


# Drawn at random, against ONNX Runtime.


def drawn(op: str, seed: int, count: int) -> Iterator[tuple[Node, tuple[int, ...]]]:
    """Nodes with kernel, stride, dilation, pads or auto_pad, and a size that their windows fit into."""
    rng = np.random.default_rng(seed)
    pool, transposed = op in POOLS, op == "ConvTranspose"
    while count:
        rank = int(rng.choice([1, 2, 2, 3]))
        draw = lambda low, high, rank=rank: [int(v) for v in rng.integers(low, high, rank)]  # noqa: E731
        kernel, strides, dilations = draw(1, 5), draw(1, 4), draw(1, 3)
        auto = str(rng.choice(["NOTSET", "NOTSET", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"]))
        if rng.random() < 0.6:
            dilations = [1] * rank
        if rng.random() < 0.3:
            strides = [1] * rank
        held: dict[str, Any] = {"strides": strides}
        if max(dilations) > 1:
            held["dilations"] = dilations
        spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
        if pool and auto.startswith("SAME") and (max(dilations) > 1 or any(np.less(spans, strides))):
            continue  # what runtimes do not agree on
        if auto != "NOTSET":
            held["auto_pad"] = auto
        else:
            most = kernel if pool else spans
            begin = [int(rng.integers(0, m)) for m in most]
            held["pads"] = begin + (begin if rng.random() < 0.4 else [int(rng.integers(0, m)) for m in most])
        if pool and auto == "NOTSET" and rng.random() < 0.5:
            held["ceil_mode"] = 1
        if op == "AveragePool" and rng.random() < 0.5:
            held["count_include_pad"] = 1
        size = tuple(int(s) + int(rng.integers(0, 5)) for s in spans)
        if op == "LpPool":
            held["p"] = 2
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


@pytest.mark.parametrize("op", ["Conv", "MaxPool", "AveragePool", "LpPool"])
def test_the_end_of_explicit_pads_shows_in_the_sizes_of_outputs(op: str) -> None:
    checked = 0
    for node, size in drawn(op, 6, 60):
        row, _ = node.said(size)
        if "pads" in node.held and not node.held.get("ceil_mode"):
            assert row.end is not None
            assert ends(node, size, in_onnxruntime) == [{e} for e in row.end], (node, size)
            checked += 1
    assert checked > 10


def test_the_check_sees_a_beginning_and_an_end_swapped(monkeypatch: pytest.MonkeyPatch) -> None:
    right = receptive_field.split_pads
    for module in (receptive_field, pads_module):
        monkeypatch.setattr(module, "split_pads", lambda total, upper: right(total, not upper))
    for op in ("Conv", "ConvTranspose", "MaxPool"):
        assert any(parts(node, size, in_onnxruntime) for node, size in drawn(op, 5, 40) if max(node.dilations) == 1), op


def test_the_check_sees_one_column_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    right = receptive_field.same_total
    monkeypatch.setattr(receptive_field, "same_total", lambda size, stride, span: right(size, stride, span) + 2)
    assert any(parts(node, size, in_onnxruntime) for node, size in drawn("MaxPool", 5, 60))


# Spellings.


def spelled(text: str, layer: Callable[..., Any], names: dict[str, Any]) -> Any:
    """What ``BEFORE, ARGUMENTS; AFTER`` makes: a layer before is called, a tensor is the layer's input."""
    head, _, tail = text.partition("; ")

    def call(before: Any = None, **arguments: Any) -> Any:
        x = names["x"]
        if before is not None:
            x = before(x) if callable(before) and not hasattr(before, "shape") else before
        return layer(**arguments)(x)

    y = eval(f"call({head})", {**names, "call": call})
    if not tail:
        return y
    after = eval(tail, {**names, "y": y})
    return after if hasattr(after, "shape") else after(y)


def in_torch(node: Node, text: str, x: Any, w: Any) -> Any:
    import torch
    from torch import nn

    rank, k, s, d = node.rank, node.kernel, node.strides, node.dilations

    def layer(**held: Any) -> Any:
        if node.op in ("Conv", "ConvTranspose"):
            made = getattr(nn, f"{node.op}{rank}d")(1, 1, k, s, dilation=d, bias=False, **held)
            made.weight = nn.Parameter(torch.tensor(w))
            return made
        if node.op == "MaxPool":
            return getattr(nn, f"MaxPool{rank}d")(k, s, dilation=d, **held)
        if node.op == "AveragePool":
            return getattr(nn, f"AvgPool{rank}d")(k, s, **held)
        return getattr(nn, f"LPPool{rank}d")(2, k if rank > 1 else k[0], s if rank > 1 else s[0], **held)

    with torch.no_grad():
        return spelled(text, layer, {"x": torch.tensor(x), "F": nn.functional}).numpy()


@pytest.fixture(scope="module", autouse=True)
def one_thread_of_tensorflow() -> None:
    """Keras uses TensorFlow, whose threads cannot be set any more once anybody has used it in this process."""
    if find_spec("tensorflow") is not None:
        adapter("tensorflow").warm()


def in_keras(node: Node, text: str, x: Any, w: Any) -> Any:
    import keras

    rank, k, s, d = node.rank, node.kernel, node.strides, node.dilations
    last = (0, *range(2, rank + 2), 1)

    def layer(**held: Any) -> Any:
        if node.op in ("Conv", "ConvTranspose"):
            name = f"Conv{rank}D" + ("Transpose" if node.op == "ConvTranspose" else "")
            made = getattr(keras.layers, name)(1, k, s, dilation_rate=d, use_bias=False, **held)
            made.build((None, *[None] * rank, 1))
            made.set_weights([np.transpose(w, (*range(2, rank + 2), 0, 1))])
            return made
        kind = "MaxPooling" if node.op == "MaxPool" else "AveragePooling"
        return getattr(keras.layers, f"{kind}{rank}D")(k if rank > 1 else k[0], s if rank > 1 else s[0], **held)

    names = {"x": keras.ops.convert_to_tensor(np.transpose(x, last)), "keras": keras, **vars(keras.layers)}
    y = np.asarray(spelled(text, layer, names))
    return np.transpose(y, (0, rank + 1, *range(1, rank + 1)))


def misspelled(op: str, framework: str, count: int) -> tuple[list[Any], int]:
    """Drawn nodes whose spelling makes something else, and how many had one."""
    run, wrong, said = (in_torch if framework == "torch" else in_keras), [], 0
    rng = np.random.default_rng(8)
    for node, size in drawn(op, 9, count):
        row, _ = node.said(size)
        text = getattr(row, framework)
        if text is None:
            continue
        said += 1
        x = rng.permutation(np.arange(1, np.prod(size) + 1, dtype=np.float32)).reshape(1, 1, *size) - 4
        w = rng.permutation(np.arange(1, np.prod(node.kernel) + 1, dtype=np.float32)).reshape(1, 1, *node.kernel)
        refused = node.held.get("auto_pad", "").startswith("SAME") and max(node.dilations) > 1
        wanted = node.run(in_reference if refused else in_onnxruntime, x, w)
        try:
            y = run(node, text, x, w)
            good = y.shape == wanted.shape and np.allclose(y, wanted, rtol=1e-5, atol=1e-5)
            why = f"{y.shape}, wanted {wanted.shape}"
        except Exception as error:
            good, why = False, f"{type(error).__name__}: {error}"
        if not good:
            wrong.append((text, node.kernel, dict(node.held), size, row.begin, row.end, why))
    return wrong, said


@pytest.mark.parametrize(("op", "share"), [("Conv", 1), ("ConvTranspose", 0.7), *((op, 0.4) for op in POOLS)])
def test_torch_makes_of_the_spelling_what_the_node_makes(op: str, share: float) -> None:
    pytest.importorskip("torch")
    wrong, said = misspelled(op, "torch", 120)
    assert wrong == []
    assert said >= 120 * share


@pytest.mark.parametrize(
    ("op", "share"), [("Conv", 0.6), ("ConvTranspose", 0.2), ("MaxPool", 0.6), ("AveragePool", 0.4)]
)
def test_keras_makes_of_the_spelling_what_the_node_makes(op: str, share: float) -> None:
    pytest.importorskip("keras")
    wrong, said = misspelled(op, "keras", 60)
    assert wrong == []
    assert said >= 60 * share


def test_a_window_smaller_than_the_stride_is_not_same_in_three_dimensions() -> None:
    """TensorFlow's 3D operators begin inside the input there, its 2D ones at its edge."""
    for op in ("Conv", "AveragePool"):
        flat, deep = (Node(op, (1,) * rank, {"strides": [3] * rank, "auto_pad": "NOTSET"}) for rank in (2, 3))
        assert flat.said((3, 3))[0].keras == "padding='valid'"
        assert deep.said((3, 3, 3))[0].keras == "padding='valid'"
    node = Node("Conv", (2, 1, 4), {"strides": [1, 3, 1], "auto_pad": "SAME_UPPER"})
    assert node.said((6, 3, 5))[0].keras == "ZeroPadding3D(((0, 1), (0, 0), (1, 2))), padding='valid'"


PADS = [
    ("constant", [0, 0, 1, 0], [0, 0, 0, 2], 0.0),
    ("constant", [1, 0, 1, 0], [0, 0, 0, 2], -1.5),
    ("constant", [0, 0, 0, 0], [0, 0, 0, 0], 0.0),
    ("constant", [0, 0, -1, 2], [0, 1, 1, -2], 7.0),
    ("constant", [0, 0, 0, 1], [0, 0, 0, 0], float("-inf")),
    ("reflect", [0, 0, 1, 2], [0, 0, 0, 2], 0.0),
    ("reflect", [0, 1, 1, 2], [0, 0, 0, 2], 0.0),
    ("edge", [0, 0, 0, 2], [0, 0, 0, 3], 0.0),
    ("wrap", [0, 0, 3, 2], [0, 0, 1, 0], 0.0),
    ("edge", [1, 0, 0, 2], [0, 0, 0, 3], 0.0),
]


@pytest.mark.parametrize("framework", ["torch", "keras"])
def test_a_pad_node_is_spelled_as_it_runs(framework: str) -> None:
    module = pytest.importorskip(framework)
    x = np.arange(1, 2 * 3 * 4 * 5 + 1, dtype=np.float32).reshape(2, 3, 4, 5)
    said = []
    for mode, begin, end, value in PADS:
        node = helper.make_node("Pad", ["x", "p", "v"], ["y"], mode=mode)
        graph = helper.make_graph(
            [node],
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(x.shape))],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["a", "b", "c", "d"])],
            [
                numpy_helper.from_array(np.array(begin + end, np.int64), "p"),
                numpy_helper.from_array(np.array(value, np.float32), "v"),
            ],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=8)
        (row,) = pads(model)
        assert (row.begin, row.end) == (tuple(begin), tuple(end))
        text = getattr(row, framework)
        said.append(text is not None)
        if text is not None:
            names = (
                {"x": module.tensor(x), "F": module.nn.functional}
                if framework == "torch"
                else {"x": module.ops.convert_to_tensor(x), "keras": module}
            )
            y = np.asarray(eval(text, names))
            wanted = in_onnxruntime(model, {"x": x})
            assert y.shape == wanted.shape, text
            assert np.array_equal(y, wanted), text
    last = [False] if framework == "torch" else [False, False, False]
    assert said[-len(last) :] == last
    assert sum(said) >= (9 if framework == "torch" else 6)
