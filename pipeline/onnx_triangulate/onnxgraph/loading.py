"""Opening a file without trusting it: what it is, is settled before protobuf sees it.

Design note.  An empty file is a valid protobuf and a model to every parser, a pipe makes ``open`` wait for ever, a Git
LFS pointer is a text file, and most of what is no model says so in its first bytes.  What is left is taken apart here:
protobuf's own structure is a tag and a length per field, so a field that reaches beyond the end of the file is seen
without reading it, and a graph is handed to the parser in pieces of whole fields.  So a model takes its own size in
memory once, not twice, and half of a large download takes none.

Whatever is refused is refused in one line.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from google.protobuf.message import DecodeError
from onnx import ModelProto

from onnx_triangulate.onnxgraph.nodes import printable
from onnx_triangulate.onnxgraph.wire_format import LENGTH, Broken, field_at
from onnx_triangulate.records.errors import UnusableInput

_MOST_BYTES = 2**31 - 1  # protobuf's own limit
_MOST_FIELDS = 500_000  # nobody's graph has more nodes, values and weights
_MOST_LOOKED_AT = 100_000
_PIECE = 1 << 20
_EXPECTED = "expected an ONNX model"
_OTHERS = (
    (0, b"version https://git-lfs", "a Git LFS pointer, not the model itself; fetch it with 'git lfs pull'"),
    (0, b"PK\x03\x04", f"a zip archive (a .pt2, .pt or .keras file?), {_EXPECTED}"),
    (0, b"\x1f\x8b", f"compressed by gzip, {_EXPECTED}; unpack it first"),
    (0, b"\xfd7zXZ\x00", f"compressed by xz, {_EXPECTED}; unpack it first"),
    (0, b"BZh", f"compressed by bzip2, {_EXPECTED}; unpack it first"),
    (0, b"\x28\xb5\x2f\xfd", f"compressed by zstd, {_EXPECTED}; unpack it first"),
    (0, b"\x89HDF\r\n", f"an HDF5 file (a Keras .h5 file?), {_EXPECTED}"),
    (4, b"TFL3", f"a TensorFlow Lite model, {_EXPECTED}"),
    (4, b"ORTM", f"ONNX Runtime's own format, {_EXPECTED}; inspect the .onnx file that it was made of"),
    (0, b"<!DOCTYPE", f"a web page, {_EXPECTED} (was the link to the file itself?)"),
    (0, b"<html", f"a web page, {_EXPECTED} (was the link to the file itself?)"),
)
_GRAPH = 7  # ModelProto.graph
_INTO = {  # by kind of message, the fields that lead to further graphs
    "model": {7: "graph", 25: "function"},
    "function": {7: "node"},
    "graph": {1: "node"},
    "node": {5: "attribute"},
    "attribute": {6: "graph", 11: "graph"},
}
_MOST_VERSION = 2**31 - 1  # the ONNX library itself takes no larger one
_DEEP = 30  # graphs within graphs: protobuf stops at a hundred messages, three of which make one
_SOURCE = Callable[[int, int], bytes]


def load(file: Path) -> ModelProto:
    """Read an ONNX model for inspection; data kept in other files is not loaded.

    Raises ``UnusableInput``, in one line, where the file is not an ONNX model.
    """
    who = printable(str(file))
    try:
        status = file.stat()
    except FileNotFoundError:
        raise UnusableInput(f"{who}: no such file, {_EXPECTED}") from None
    except (OSError, ValueError) as error:
        raise UnusableInput(f"{who}: cannot be read ({printable(str(error))}), {_EXPECTED}") from None
    if stat.S_ISDIR(status.st_mode):
        raise UnusableInput(f"{who}: a folder, {_EXPECTED} file; name the .onnx file inside it")
    if not stat.S_ISREG(status.st_mode):
        raise UnusableInput(f"{who}: a pipe or a device, {_EXPECTED} in a regular file")
    if status.st_size == 0:
        raise UnusableInput(f"{who}: empty, it holds no graph; {_EXPECTED}")
    try:
        with file.open("rb", buffering=0) as opened:

            def read(at: int, count: int) -> bytes:
                opened.seek(at)
                return opened.read(count)

            return _loaded(read, status.st_size, who)
    except OSError as error:
        raise UnusableInput(f"{who}: cannot be read ({printable(str(error))}), {_EXPECTED}") from None


def _loaded(read: _SOURCE, size: int, who: str) -> ModelProto:
    head = read(0, 64)
    for at, magic, says in _OTHERS:
        if head[at:].startswith(magic):
            raise UnusableInput(f"{who}: {says}")
    if size > _MOST_BYTES:
        raise UnusableInput(
            f"{who}: {size} bytes, more than protobuf can hold (2 GiB); save the weights as external data"
        )
    try:
        model = _parsed(read, size)
    except Broken as broken:
        # An ONNX file opens with field 1, the IR version, a small number: one that does so and then breaks was cut.
        cut = head[:1] == b"\x08" and head[1:2] < b"\x40"
        seen = "begins like an ONNX model but breaks off (an incomplete download?)" if cut else "not a protobuf"
        if cut and not broken.cut:
            seen = "begins like an ONNX model but is damaged further on"
        raise UnusableInput(f"{who}: {seen}, {_EXPECTED}") from None
    except _TooDeep:
        raise UnusableInput(
            f"{who}: graphs nested too deeply within one another, protobuf ends at about {_DEEP} levels"
        ) from None
    except _TooMany:
        raise UnusableInput(f"{who}: more than {_MOST_FIELDS} nodes, values and weights, {_EXPECTED}") from None
    if not model.HasField("graph"):
        raise UnusableInput(f"{who}: holds no graph, {_EXPECTED}")
    if not model.graph.node and not model.graph.output:
        raise UnusableInput(f"{who}: its graph has no nodes and no outputs, {_EXPECTED} that computes something")
    for asked in (*model.opset_import, *(asked for function in model.functions for asked in function.opset_import)):
        if not 0 <= asked.version <= _MOST_VERSION:
            raise UnusableInput(
                f"{who}: asks for version {asked.version} of the operator set {printable(asked.domain) or 'ai.onnx'}, "
                f"which cannot be; {_EXPECTED}"
            )
    return model


class _TooDeep(Exception):
    """Graphs nested deeper than protobuf reads."""


class _TooMany(Exception):
    """More fields than anybody's graph has."""


def _parsed(read: _SOURCE, size: int) -> ModelProto:
    model = ModelProto()
    at = fields = 0
    while at < size:
        piece = _all(read, at, min(_PIECE, size - at))
        whole = 0  # as far as fields go that lie in this piece and are not the graph
        number = wire = content = stop = 0
        while whole < len(piece) and fields < _MOST_FIELDS:
            fields += 1
            if whole and len(piece) - whole < 20 < size - at - whole:
                break  # a tag may lie across the end of the piece
            number, wire, content, stop = field_at(piece, whole)
            if at + stop > size:
                raise Broken(cut=True)
            if stop > len(piece) or (number == _GRAPH and wire == LENGTH):
                break
            whole = stop
        if fields == _MOST_FIELDS:
            raise _TooMany
        if whole:
            _merge(model, piece[:whole], "model")
            at += whole
        elif number == _GRAPH and wire == LENGTH:
            model.graph.SetInParent()
            for part in _pieces(read, at + content, at + stop):
                _merge(model.graph, part, "graph")
            at += stop
        else:
            _merge(model, _all(read, at, stop), "model")
            at += stop
    return model


def _merge(message: object, piece: bytes, kind: str) -> None:
    try:
        message.MergeFromString(piece)  # type: ignore[attr-defined]
    except DecodeError:
        if _nested(piece, kind) >= _DEEP:
            raise _TooDeep from None
        raise Broken(cut=False) from None


def _all(read: _SOURCE, at: int, count: int) -> bytes:
    found = read(at, count)
    if len(found) < count:  # it is being written to
        raise Broken(cut=True)
    return found


def _pieces(read: _SOURCE, at: int, end: int) -> Iterator[bytes]:
    """The content of a message in pieces of whole fields, each about :data:`_PIECE` long, or one field that is
    longer."""
    fields = 0
    while at < end:
        piece = _all(read, at, min(_PIECE, end - at))
        whole = longer = 0
        while whole < len(piece):
            fields += 1
            try:
                _, _, _, stop = field_at(piece, whole)
            except Broken as broken:
                if not broken.cut or at + len(piece) == end or not whole:
                    raise
                break  # a tag that lies across the end of the piece
            if stop > len(piece):
                longer = stop
                break
            whole = stop
        if fields > _MOST_FIELDS:
            raise _TooMany
        if not whole:
            if at + longer > end:
                raise Broken(cut=False)
            piece, whole = _all(read, at, longer), longer
        elif longer > end - at:
            raise Broken(cut=False)
        yield piece if whole == len(piece) else piece[:whole]
        at += whole


def _nested(content: bytes, kind: str) -> int:
    """How deeply graphs are nested in ``content``, as far as that can be seen in a moment."""
    deepest, waiting, fields = 0, [(0, len(content), kind, 1)], 0
    while waiting and deepest < _DEEP and fields < _MOST_LOOKED_AT:
        at, end, kind, depth = waiting.pop()
        deepest = max(deepest, depth)
        while at < end and fields < _MOST_LOOKED_AT:
            fields += 1
            try:
                number, wire, begin, at = field_at(content, at)
            except Broken:
                break
            inner = _INTO.get(kind, {}).get(number)
            if inner is not None and wire == LENGTH and at <= end:
                waiting.append((begin, at, inner, depth + (inner == "graph")))
    return deepest
