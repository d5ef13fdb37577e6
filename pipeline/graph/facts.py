"""What a file holds: opening it without trusting it, and the facts that ``inspect`` and every report show.

Design note.  An empty file is a valid protobuf and a model to every parser, a pipe makes ``open`` wait for ever, a
Git LFS pointer is a text file: what a file is, is settled before protobuf sees it.  Tensors kept in other files are
counted from their dims and never opened.
"""

from __future__ import annotations

import stat
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import ModelProto, TensorProto, TypeProto, ValueInfoProto

from pipeline.data import GraphFacts, UnusableInput
from pipeline.graph.pads import pads
from pipeline.graph.transposes import transposes
from pipeline.graph.walk import (
    attributes,
    constant_tensor,
    elements,
    in_onnx,
    opset,
    places,
    printable,
    text,
)

_MOST_BYTES = 2**31 - 1  # protobuf's own limit
_NARROW = frozenset(
    number
    for name, number in TensorProto.DataType.items()
    if name.startswith(("FLOAT16", "BFLOAT16", "FLOAT8", "FLOAT4"))
)
_NOT_WEIGHTS = (
    TensorProto.INT64,
    TensorProto.INT32,
    TensorProto.BOOL,
    TensorProto.STRING,
    TensorProto.UINT32,
    TensorProto.UINT64,
)


def load(file: Path) -> ModelProto:
    """Read an ONNX model for inspection; data kept in other files is not loaded.

    Raises :class:`pipeline.data.UnusableInput`, in one line, where the file is not an ONNX model.
    """
    who = printable(str(file))
    expected = "expected an ONNX model"
    try:
        status = file.stat()
    except FileNotFoundError:
        raise UnusableInput(f"{who}: no such file, {expected}") from None
    except (OSError, ValueError) as error:
        raise UnusableInput(f"{who}: cannot be read ({printable(str(error))}), {expected}") from None
    if stat.S_ISDIR(status.st_mode):
        raise UnusableInput(f"{who}: a folder, {expected} file; name the .onnx file inside it")
    if not stat.S_ISREG(status.st_mode):
        raise UnusableInput(f"{who}: a pipe or a device, {expected} in a regular file")
    if status.st_size == 0:
        raise UnusableInput(f"{who}: empty, it holds no graph; {expected}")
    if status.st_size > _MOST_BYTES:
        raise UnusableInput(
            f"{who}: {status.st_size} bytes, more than protobuf can hold (2 GiB); save the weights as external data"
        )
    try:
        content = file.read_bytes()
    except OSError as error:
        raise UnusableInput(f"{who}: cannot be read ({printable(str(error))}), {expected}") from None
    return _parse(content, who, expected)


def _parse(content: bytes, who: str, expected: str) -> ModelProto:
    if content.startswith(b"version https://git-lfs"):
        raise UnusableInput(f"{who}: a Git LFS pointer, not the model itself; fetch it with 'git lfs pull'")
    if content.startswith(b"PK\x03\x04"):
        raise UnusableInput(f"{who}: a zip archive (a .pt2, .pt or .keras file?), {expected}")
    if content.startswith(b"\x1f\x8b"):
        raise UnusableInput(f"{who}: compressed by gzip, {expected}; unpack it first")
    model = ModelProto()
    try:
        model.ParseFromString(content)
    except DecodeError:
        # An ONNX file opens with field 1, the IR version, a small number: one that does so and then breaks was cut.
        cut = content[:1] == b"\x08" and content[1:2] < b"\x40"
        seen = "begins like an ONNX model but breaks off (an incomplete download?)" if cut else "not a protobuf"
        raise UnusableInput(f"{who}: {seen}, {expected}") from None
    if not model.HasField("graph"):
        raise UnusableInput(f"{who}: holds no graph, {expected}")
    if not model.graph.node and not model.graph.output:
        raise UnusableInput(f"{who}: its graph has no nodes and no outputs, {expected} that computes something")
    return model


def _type(kind: TypeProto) -> str:
    which = kind.WhichOneof("value")
    if which in ("tensor_type", "sparse_tensor_type"):
        tensor = getattr(kind, which)
        try:
            name = TensorProto.DataType.Name(tensor.elem_type).lower()
        except ValueError:
            name = f"type {tensor.elem_type}"
        name = {"float": "float32", "double": "float64"}.get(name, name)
        prefix = "sparse " if which == "sparse_tensor_type" else ""
        if not tensor.HasField("shape"):
            return f"{prefix}{name}[...]"
        dims = (str(d.dim_value) if d.HasField("dim_value") else (text(d.dim_param) or "?") for d in tensor.shape.dim)
        return f"{prefix}{name}[{','.join(dims)}]"
    if which == "sequence_type":
        return f"sequence({_type(kind.sequence_type.elem_type)})"
    if which == "optional_type":
        return f"optional({_type(kind.optional_type.elem_type)})"
    return "map" if which == "map_type" else "?"


def _border(values: Sequence[ValueInfoProto], without: frozenset[str] = frozenset()) -> dict[str, str]:
    return {text(v.name): _type(v.type) for v in values if v.name not in without}


def unknown_operators(model: ModelProto) -> tuple[tuple[str, str], ...]:
    """(node, operator) of every node in ONNX's own domain whose operator this ONNX does not define at its opset.

    An exporter leaves such a node behind where it does not know how to convert an operation.
    """
    version = opset(model)
    local = {text(f.name) for f in model.functions if text(f.domain) in ("", "ai.onnx")}
    found = []
    for place in places(model):
        if not in_onnx(place.node) or place.op in local:
            continue
        known = onnx.defs.has(place.op) if version is None else onnx.defs.has(place.op, version, "")
        if not known:
            found.append((place.name, place.op))
    return tuple(found)


def read_facts(file: Path, model: ModelProto | None = None) -> GraphFacts:
    """What the graph in ``file`` holds.  ``model`` is its content, where the caller has it already.

    ``initializers`` counts those of every graph of the file; ``parameters`` sums the elements of those that can be
    weights (not 32- and 64-bit integers, bools or strings), Constant nodes with more than one element included.
    Raises :class:`pipeline.data.UnusableInput` where the file is not an ONNX model.
    """
    model = load(file) if model is None else model
    ops: Counter[str] = Counter()
    parameters = 0
    narrows = []
    for place in places(model):
        ops[place.op] += 1
        if place.op == "Cast" and attributes(place.node).get("to") in _NARROW:
            narrows.append(place.name)
        constant = constant_tensor(place.node)
        if constant is not None and elements(constant) > 1 and constant.data_type not in _NOT_WEIGHTS:
            parameters += elements(constant)
    held = _initializers(model)
    parameters += sum(elements(t) for t in held if t.data_type not in _NOT_WEIGHTS)
    notes = []
    outside = sum(t.data_location == TensorProto.EXTERNAL for t in held)
    if outside:
        notes.append(f"{outside} initializers are kept in other files")
    if model.functions:
        notes.append(f"{len(model.functions)} local functions, each read once")
    if model.graph.sparse_initializer:
        notes.append(f"{len(model.graph.sparse_initializer)} sparse initializers")
    notes += [
        f"{printable(op)} ({printable(node)}) is no operator of ONNX: the exporter left it unconverted"
        for node, op in unknown_operators(model)
    ]
    return GraphFacts(
        file=file,
        opset=opset(model),
        producer=" ".join(p for p in (text(model.producer_name), text(model.producer_version)) if p),
        ops=dict(sorted(ops.items(), key=lambda item: (-item[1], item[0]))),
        pads=pads(model),
        transposes=transposes(model),
        inputs=_border(model.graph.input, frozenset(t.name for t in model.graph.initializer)),
        outputs=_border(model.graph.output),
        initializers=len(held),
        parameters=parameters,
        notes=tuple(notes),
        narrows=tuple(narrows),
    )


def _initializers(model: ModelProto) -> list[TensorProto]:
    held = list(model.graph.initializer)
    for place in places(model):
        for attribute in place.node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                held += graph.initializer
    return held
