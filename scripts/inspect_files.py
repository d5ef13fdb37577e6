"""Files to look into: ordinary ones of a known size, and those that somebody wrote to hang, fool or kill who looks.

Design note.  The benchmark times them and the tests hold what is said about them; nothing is downloaded and no
framework is needed.  A large file that is never read to its end is written with a hole in it, and takes no disk.
"""

from __future__ import annotations

import gzip
import os
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from onnx import FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto, parser
from onnx import helper as h

HEAD = '<ir_version: 9, opset_import: ["" : 18, "l" : 1]>'
LOCAL = '<domain: "l", opset_import: ["" : 18, "l" : 1]>'
MEGABYTE = 1 << 20


@dataclass(frozen=True)
class Hostile:
    """``write`` makes it in a folder and gives its path; ``status`` is what ``inspect`` leaves with, and ``says`` is
    part of what it says: in its one line (status 2), in a remark or in a note (status 0); ``""`` if nothing need be."""

    name: str
    write: Callable[[Path], Path]
    status: int
    says: str = ""


def resnet50(seed: int = 0) -> ModelProto:
    """The convolutions of ResNet-50 as an exporter writes them, their normalization folded, 102 MB of weights."""
    draw = np.random.default_rng(seed)
    nodes: list[NodeProto] = []
    weights: list[TensorProto] = []

    def conv(x: str, name: str, out: int, into: int, kernel: int, stride: int = 1) -> str:
        for end, shape in (("weight", (out, into, kernel, kernel)), ("bias", (out,))):
            values = draw.standard_normal(shape, np.float32)
            weights.append(h.make_tensor(f"{name}.{end}", TensorProto.FLOAT, shape, values.tobytes(), raw=True))
        pad = kernel // 2
        inputs = [x, f"{name}.weight", f"{name}.bias"]
        more = {"kernel_shape": [kernel] * 2, "pads": [pad] * 4, "strides": [stride] * 2}
        nodes.append(h.make_node("Conv", inputs, [f"{name}.out"], name=name, **more))
        return f"{name}.out"

    def plain(op: str, inputs: list[str], name: str, **more: object) -> str:
        nodes.append(h.make_node(op, inputs, [f"{name}.out"], name=name, **more))
        return f"{name}.out"

    x = plain("Relu", [conv("input", "stem", 64, 3, 7, 2)], "stem.relu")
    x = plain("MaxPool", [x], "pool", kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2])
    width = 64
    for stage, (blocks, planes) in enumerate(((3, 64), (4, 128), (6, 256), (3, 512))):
        for block in range(blocks):
            name, stride = f"layer{stage + 1}.{block}", 2 if stage and not block else 1
            y = plain("Relu", [conv(x, f"{name}.conv1", planes, width, 1)], f"{name}.relu1")
            y = plain("Relu", [conv(y, f"{name}.conv2", planes, planes, 3, stride)], f"{name}.relu2")
            y = conv(y, f"{name}.conv3", 4 * planes, planes, 1)
            if not block:
                x = conv(x, f"{name}.down", 4 * planes, width, 1, stride)
            width = 4 * planes
            x = plain("Relu", [plain("Add", [y, x], f"{name}.add")], f"{name}.relu3")
    x = plain("Flatten", [plain("GlobalAveragePool", [x], "average")], "flat")
    for end, shape in (("weight", (1000, 2048)), ("bias", (1000,))):
        values = draw.standard_normal(shape, np.float32)
        weights.append(h.make_tensor(f"fc.{end}", TensorProto.FLOAT, shape, values.tobytes(), raw=True))
    nodes.append(h.make_node("Gemm", [x, "fc.weight", "fc.bias"], ["logits"], name="fc", transB=1))
    inputs = [h.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 3, 224, 224])]
    outputs = [h.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 1000])]
    return _model(h.make_graph(nodes, "resnet50", inputs, outputs, weights))


def chain(count: int) -> ModelProto:
    """``count`` nodes in a row of blocks: padded convolutions, residual sums, layout changes there and back."""
    nodes: list[NodeProto] = []
    block: tuple[tuple[str, dict[str, object]], ...] = (
        ("Conv", {"pads": [0, 0, 1, 1]}),
        ("Relu", {}),
        ("Transpose", {"perm": [0, 2, 3, 1]}),
        ("Mul", {}),
        ("Transpose", {"perm": [0, 3, 1, 2]}),
        ("Add", {}),
        ("Pad", {}),
        ("MaxPool", {"kernel_shape": [2, 2]}),
    )
    value, start = "input", "input"
    for index in range(count):
        op, more = block[index % len(block)]
        start = value if op == "Conv" else start
        second = {"Conv": ["w"], "Mul": ["scale"], "Add": [start], "Pad": ["amounts"]}.get(op, [])
        made = f"/block.{index // len(block)}/{op}_output_{index}"
        nodes.append(
            h.make_node(op, [value, *second], [made], name=f"/block.{index // len(block)}/{op}_{index}", **more)
        )
        value = made
    floats = np.ones((8, 8, 2, 2), np.float32)
    weights = [
        h.make_tensor("w", TensorProto.FLOAT, floats.shape, floats.tobytes(), raw=True),
        h.make_tensor("scale", TensorProto.FLOAT, (8,), np.ones(8, np.float32).tobytes(), raw=True),
        h.make_tensor("amounts", TensorProto.INT64, (8,), np.array([0, 0, 0, 0, 0, 0, 1, 1]).tobytes(), raw=True),
    ]
    inputs = [h.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 8, 17, 13])]
    outputs = [h.make_tensor_value_info(value, TensorProto.FLOAT, None)]
    return _model(h.make_graph(nodes, "chain", inputs, outputs, weights))


def _model(graph: GraphProto) -> ModelProto:
    return h.make_model(graph, opset_imports=[h.make_opsetid("", 18)], ir_version=9)


def _relu() -> ModelProto:
    return parser.parse_model(f"{HEAD} g (float[2,3] x) => (float[2,3] y) {{ [relu] y = Relu (x) }}")


def _content(content: Callable[[], bytes], name: str = "model.onnx") -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        file = folder / name
        file.write_bytes(content())
        return file

    return write


def _graph(model: Callable[[], ModelProto]) -> Callable[[Path], Path]:
    return _content(lambda: bytes(model().SerializeToString()))


def _text(text: str) -> Callable[[Path], Path]:
    return _graph(lambda: parser.parse_model(f"{HEAD} {text}"))


def _with_hole(head: bytes, size: int) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        file = folder / "model.onnx"
        with file.open("wb") as opened:
            opened.write(head)
            opened.truncate(size)
        return file

    return write


def _zip(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "model.onnx", "w") as archive:
        archive.writestr("weights", "0")
    return folder / "model.onnx"


def _pipe(folder: Path) -> Path:
    os.mkfifo(folder / "model.onnx")
    return folder / "model.onnx"


def _loop(folder: Path) -> Path:
    (folder / "model.onnx").symlink_to(folder / "model.onnx")
    return folder / "model.onnx"


def nested(levels: int) -> bytes:
    """Ifs in Ifs, written by hand: protobuf would not write what it cannot read."""

    def field(number: int, content: bytes) -> bytes:
        length, out = len(content), bytearray([number << 3 | 2])
        while length > 127:
            out.append(length & 127 | 128)
            length >>= 7
        return bytes(out) + bytes([length]) + content

    leaf = h.make_node("Identity", ["x"], ["y"], name="leaf").SerializeToString()
    output = field(12, h.make_tensor_value_info("y", TensorProto.FLOAT, [2]).SerializeToString())
    graph = field(1, leaf) + field(2, b"g") + output
    plain = field(5, field(1, b"else_branch") + field(6, graph) + b"\xa0\x01\x05")
    for _ in range(levels):
        attribute = field(1, b"then_branch") + field(6, graph) + b"\xa0\x01\x05"
        node = field(1, b"c") + field(2, b"y") + field(3, b"if") + field(4, b"If") + field(5, attribute) + plain
        graph = field(1, node) + field(2, b"g") + output
    graph += field(11, h.make_tensor_value_info("x", TensorProto.FLOAT, [2]).SerializeToString())
    graph += field(11, h.make_tensor_value_info("c", TensorProto.BOOL, []).SerializeToString())
    return b"\x08\x09" + field(7, graph) + field(8, h.make_opsetid("", 18).SerializeToString())


def _functions(levels: int, calls: int) -> ModelProto:
    """Functions of which each calls the one before it, ``calls`` times in a row."""
    model = parser.parse_model(f"{HEAD} g (float[2] x) => (float[2] y) {{ y = l.F{levels} (x) }}")
    opsets = [h.make_opsetid("", 18), h.make_opsetid("l", 1)]
    for level in range(levels + 1):
        op, times = (f"F{level - 1}", calls) if level else ("Relu", 1)
        values = ["x", *(f"t{i}" for i in range(1, times)), "y"]
        body = [h.make_node(op, [a], [b], domain="l" if level else "") for a, b in pairwise(values)]
        model.functions.append(h.make_function("l", f"F{level}", ["x"], ["y"], body, opsets))
    return model


def _lies() -> ModelProto:
    model = parser.parse_model(f"{HEAD} g (float[2,3] x) => (y) {{ y = Add (x, w) }}")
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, raw_data=b"\0" * 8)
    tensor.dims.extend([1 << 20, 3])
    model.graph.initializer.append(tensor)
    return model


def _endless_dims() -> ModelProto:
    model = parser.parse_model(f"{HEAD} g (float[2] x) => (y) {{ y = Add (x, w) }}")
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT)
    tensor.dims.extend([1 << 40] * 100_000)
    model.graph.initializer.append(tensor)
    return model


def _long_names() -> ModelProto:
    names = [f"{index:03}" + "n" * MEGABYTE for index in range(8)]
    nodes = [h.make_node("Relu", [a], [b], name=b + "!") for a, b in pairwise(names)]
    border = [h.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in (names[0], names[-1])]
    return _model(h.make_graph(nodes, names[0], border[:1], border[1:]))


def _long_outer_name() -> ModelProto:
    """A body of many nodes in a Loop whose name, put in front of theirs, would fill the memory."""
    count = 3000
    body = [h.make_node("Identity", ["c" if not i else f"v{i - 1}"], [f"v{i}"]) for i in range(count)]
    kinds = ("n", TensorProto.INT64), ("c", TensorProto.BOOL)
    inner = h.make_graph(
        body,
        "body",
        [h.make_tensor_value_info(name, kind, []) for name, kind in kinds],
        [h.make_tensor_value_info(f"v{count - 1}", TensorProto.BOOL, [])],
    )
    loop = h.make_node("Loop", ["n", "c"], [], name="L" * MEGABYTE, body=inner)
    keep = h.make_node("Identity", ["c"], ["y"])
    border = [h.make_tensor_value_info(name, kind, []) for name, kind in (*kinds, ("y", TensorProto.BOOL))]
    return _model(h.make_graph([loop, keep], "g", border[:2], border[2:]))


def _no_text() -> bytes:
    return bytes(_relu().SerializeToString()).replace(b"relu", b"\xff\xfe\x1b\n")


def _wrong_attributes() -> ModelProto:
    nodes = [
        h.make_node("Conv", ["x", "w"], ["c"], name="conv", pads="SAME", strides=1.5, kernel_shape=[0.5]),
        h.make_node("Transpose", ["c"], ["t"], name="turn", perm="backwards"),
        h.make_node("Constant", [], ["k"], name="constant", value=7),
        NodeProto(
            op_type="Constant",
            output=["q"],
            attribute=[h.make_attribute("value_floats", "x")],
        ),
        h.make_node("If", ["x"], ["y"], name="if", then_branch=3, else_branch=[1.0]),
        NodeProto(),
    ]
    border = [h.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("x", "w", "y")]
    return _model(h.make_graph(nodes, "g", border[:2], border[2:]))


def _unnamed() -> ModelProto:
    model = ModelProto(ir_version=9)
    model.graph.node.extend([NodeProto(input=[""], output=[""]), NodeProto(op_type="If")])
    model.functions.append(FunctionProto())
    model.graph.initializer.append(TensorProto())
    return model


def external(location: str) -> ModelProto:
    """A graph whose weights lie in the file ``location``."""
    model = parser.parse_model(f"{HEAD} g (float[2,3] x) => (float[2,3] y) {{ y = Add (x, w) }}")
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2, 3], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=location)
    model.graph.initializer.append(tensor)
    return model


def _external_pipe(folder: Path) -> Path:
    os.mkfifo(folder / "weights.bin")
    return _graph(lambda: external("weights.bin"))(folder)


def _wide() -> ModelProto:
    """One node of a million operands."""
    nodes = [h.make_node("Concat", ["x"] * 1_000_000, ["y"], axis=0)]
    border = [h.make_tensor_value_info(name, TensorProto.FLOAT, dims) for name, dims in (("x", [1, 2]), ("y", None))]
    return _model(h.make_graph(nodes, "g", border[:1], border[1:]))


def _endless_permutation() -> ModelProto:
    nodes = [h.make_node("Transpose", ["x"], ["y"], name="turn", perm=range(1_000_000))]
    border = [h.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("x", "y")]
    return _model(h.make_graph(nodes, "g", border[:1], border[1:]))


CHECKER = "not a valid ONNX graph"
SHAPES = "shapes are those that the file gives"
HOSTILE = (
    Hostile("text", _content(lambda: b"hello, world\n"), 2, "not a protobuf"),
    Hostile("random", _content(lambda: np.random.default_rng(0).bytes(1 << 20)), 2, "not a protobuf"),
    Hostile("empty", _content(lambda: b""), 2, "holds no graph"),
    Hostile("truncated", _content(lambda: bytes(_relu().SerializeToString())[:-20]), 2, "breaks off"),
    Hostile("large_truncated", _with_hole(b"\x08\x09\x3a\xff\xff\xff\xff\x07", 1_900_000_000), 2, "breaks off"),
    Hostile("zeros", _with_hole(b"", 1_900_000_000), 2, "not a protobuf"),
    Hostile("lfs", _content(lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"), 2, "git lfs pull"),
    Hostile("zip", _zip, 2, "zip archive"),
    Hostile("gzip", _content(lambda: gzip.compress(bytes(_relu().SerializeToString()))), 2, "gzip"),
    Hostile("web_page", _content(lambda: b"<!DOCTYPE html><html></html>"), 2, "web page"),
    Hostile("folder", lambda folder: folder, 2, "a folder"),
    Hostile("pipe", _pipe, 2, "a pipe or a device"),
    Hostile("device", lambda _: Path("/dev/zero"), 2, "a pipe or a device"),
    Hostile("link_to_itself", _loop, 2, "cannot be read"),
    Hostile("too_large", _with_hole(b"\x08\x09", 3_000_000_000), 2, "more than protobuf can hold"),
    Hostile("no_graph", _content(lambda: b"\x08\x09"), 2, "holds no graph"),
    Hostile("nodes_of_nothing", _content(lambda: b"\x08\x09\x3a\x80\xc2\xd7\x2f" + b"\x0a\0" * 50_000_000), 2, "more"),
    Hostile("nested_too_deeply", _content(lambda: nested(60)), 2, "nested too deeply"),
    Hostile("nested", _content(lambda: nested(30)), 0),
    Hostile("cyclic", _text("g (float[2] x) => (float[2] y) { a = Add (x, b) b = Relu (a) y = Relu (b) }"), 0, CHECKER),
    Hostile("doubling", _graph(lambda: _functions(40, 2)), 0, SHAPES),
    Hostile("a_stair_of_functions", _graph(lambda: _functions(9_000, 1)), 0, SHAPES),
    Hostile(
        "mutual",
        _text(
            f"g (float[2] x) => (float[2] y) {{ y = l.A (x) }} {LOCAL} A (x) => (y) {{ y = l.B (x) }} "
            f"{LOCAL} B (x) => (y) {{ y = l.A (x) }}"
        ),
        0,
        "in a circle",
    ),
    Hostile("dims", _text("g (float[1099511627776,1099511627776,8] x) => (float[n,m] y) { y = Flatten (x) }"), 0),
    Hostile("negative_dims", _text("g (float[-5,3] x) => (float[-5,3] y) { y = Relu (x) }"), 0),
    Hostile("no_outputs", _text("g (float[2] x) => () { y = Relu (x) }"), 0),
    Hostile(
        "many_outputs", _text("g (float[2] x) => (a) { a, b = Split <num_outputs = 1099511627776> (x) }"), 0, SHAPES
    ),
    Hostile("wide", _graph(_wide), 0),
    Hostile("endless_permutation", _graph(_endless_permutation), 0, "(+999,984)"),
    Hostile("lying_tensor", _graph(_lies), 0, "promise"),
    Hostile("endless_dims", _graph(_endless_dims), 0, CHECKER),
    Hostile("long_names", _graph(_long_names), 0),
    Hostile("long_outer_name", _graph(_long_outer_name), 0),
    Hostile("no_text", _content(_no_text), 0),
    Hostile("wrong_attributes", _graph(_wrong_attributes), 0, CHECKER),
    Hostile("unnamed", _graph(_unnamed), 0),
    Hostile("external_pipe", _external_pipe, 0, "in other files"),
    Hostile("external_missing", _graph(lambda: external("missing.bin")), 0, "in other files"),
    Hostile("external_elsewhere", _graph(lambda: external("/dev/zero")), 0, "in other files"),
)


def main() -> None:
    """Write one file into a folder and say which; in a process of its own, because a large model stays in memory, and
    Linux counts what a parent has as the peak of the child that it starts."""
    name, folder = sys.argv[1], Path(sys.argv[2])
    models = {"resnet50": resnet50, "smallest": lambda: chain(1)}
    if name.startswith("chain_"):
        models[name] = lambda: chain(int(name.removeprefix("chain_")))
    writers = {hostile.name: hostile.write for hostile in HOSTILE} | {n: _graph(model) for n, model in models.items()}
    print(writers[name](folder))


if __name__ == "__main__":
    main()
