"""What ``inspect`` found for programs: the document ``triangulate-inspect/1``.

Design note.  It is complete and written out key by key.  Its names are the file's own (JSON escapes them); one of more
than :data:`LONGEST` characters is cut and its checksum appended, so that one name in a thousand remarks stays harmless
and two names stay two.  Nothing here needs what a terminal needs: who asks for the document does not wait for it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from typing import Any

from onnx_triangulate.records.graphs import Pads, Transpose
from onnx_triangulate.records.inspection import Inspection

Json = dict[str, Any]

LONGEST = 2000


def name(text: object) -> str:
    """A name as the document has it: whole, unless it is longer than :data:`LONGEST`."""
    whole = str(text)
    if len(whole) <= LONGEST:
        return whole
    checksum = zlib.crc32(whole.encode("utf-8", "surrogatepass"))
    return f"{whole[:LONGEST]}… (+{len(whole) - LONGEST:,} characters, {checksum:08x})"


def _names(names: Iterable[object]) -> list[str]:
    return [name(each) for each in names]


def _integers(numbers: Iterable[int] | None) -> list[int] | None:
    return None if numbers is None else [int(number) for number in numbers]


def _maybe(numbers: Iterable[int | None] | None) -> list[int | None] | None:
    return None if numbers is None else [None if number is None else int(number) for number in numbers]


def _text(value: object) -> str | None:
    return name(value) if value else None


def _mapping(values: Mapping[str, str]) -> Json:
    return {name(key): name(value) for key, value in values.items()}


def _pads_json(pads: Pads) -> Json:
    together = pads.with_pad
    offset = pads.offset
    return {
        "node": name(pads.node),
        "op": name(pads.op),
        "begin": _integers(pads.begin),
        "end": _integers(pads.end),
        "auto_pad": name(pads.auto_pad),
        "symmetric": pads.symmetric,
        "extra": _integers(pads.extra),
        "with_pad": None if together is None else {"begin": _integers(together[0]), "end": _integers(together[1])},
        "unread": _maybe(pads.unread),
        "overhang": _maybe(pads.overhang),
        "offset": None if offset is None else [float(number) for number in offset],
        "torch": _text(pads.torch),
        "keras": _text(pads.keras),
        "condition": name(pads.condition),
        "note": name(pads.note),
    }


def _transpose_json(step: Transpose) -> Json:
    number = step.bytes
    return {
        "node": name(step.node),
        "perm": [int(axis) for axis in step.perm],
        "kind": name(step.kind),
        "for_whom": _names(step.needed_by),
        "cancels_with": _names(step.cancels_with),
        "through": _names(step.through),
        "border": _names(step.movable_to),
        "bytes": None if number is None else int(number),
        "on_constant": step.on_constant,
        "vanishes": step.removable,
    }


def inspection_json(found: Inspection) -> Json:
    """What a graph holds as the document ``triangulate-inspect/1`` (``schema("triangulate-inspect-1")``)."""
    return {
        "schema": "triangulate-inspect/1",
        "file": None if found.file is None else name(found.file),
        "opset": found.opset,
        "opsets": {name(domain): int(version) for domain, version in found.opsets.items()},
        "ir_version": int(found.ir_version),
        "producer": name(found.producer),
        "inputs": _mapping(found.inputs),
        "outputs": _mapping(found.outputs),
        "ops": {name(op): int(number) for op, number in found.ops.items()},
        "initializers": int(found.initializers),
        "parameters": int(found.parameters),
        "stored": [
            {
                "dtype": name(s.dtype),
                "tensors": int(s.tensors),
                "elements": int(s.elements),
                "bytes": int(s.bytes),
                "external": int(s.external),
            }
            for s in found.stored
        ],
        "external": _names(found.external),
        "inner": [
            {"path": name(i.path), "kind": i.kind, "nodes": int(i.nodes), "calls": int(i.calls)} for i in found.inner
        ],
        "pads": [_pads_json(pads) for pads in found.pads],
        "layouts": _mapping(found.layouts),
        "transposes": [_transpose_json(step) for step in found.transposes],
        "reshapes": [
            {"node": name(r.node), "kind": r.kind, "perm": _integers(r.perm), "says": name(r.message)}
            for r in found.reshapes
        ],
        "weights": [
            {"name": name(w.name), "node": name(w.node), "layout": name(w.layout), "says": name(w.message)}
            for w in found.weights
        ],
        "remarks": [
            {"code": name(r.code), "severity": r.severity, "nodes": _names(r.nodes), "says": name(r.message)}
            for r in found.diagnostics
        ],
        "notes": _names(found.notes),
        "failed": _names(found.failed),
    }
