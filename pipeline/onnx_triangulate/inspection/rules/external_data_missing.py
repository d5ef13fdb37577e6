"""STR025: numbers that should lie in another file, and do not."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from onnx import TensorProto

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.facts.size_summary import size
from onnx_triangulate.inspection.rules._external import external, number, outside
from onnx_triangulate.inspection.rules._helpers import count, shown, some
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule

_HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (float[2,3] x) => (y)'


def _length(path: Path) -> int | str:
    """How long a file is, or what is wrong with it; it is not opened."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return "is not there"
    except (OSError, ValueError):
        return "cannot be looked at"
    return status.st_size if stat.S_ISREG(status.st_mode) else "is no regular file"


def _short(tensor: TensorProto, held: int) -> bool:
    needed, given = size(tensor), number(tensor, "length")
    return (number(tensor, "offset") or 0) + max(needed, given or 0) > held or (given is not None and given < needed)


def _find(view: ModelView) -> Iterator[Occurrence]:
    """Weights may lie in other files beside the model. One of these is not there, or is shorter than what should be in
    it: the model was copied without it, or the download broke off. The files are not opened for this.
    """
    by_file: dict[str, list[tuple[str, TensorProto]]] = {}
    for name, tensor, file in external(view):
        if not outside(file) or not file:
            by_file.setdefault(file, []).append((name, tensor))
    for file, held in by_file.items():
        names = tuple(name for name, _ in held)
        which = f"{count(len(names), 'tensor')} ({some(names)})"
        if not file:
            yield Occurrence(names, f"{which} should lie in another file, and which one is not said")
            continue
        if view.file is None:
            continue
        length = _length(view.file.parent / file)
        if isinstance(length, str):
            yield Occurrence(names, f"{which} should lie in {shown(file)} beside the model, which {length}")
            continue
        short = tuple(name for name, tensor in held if _short(tensor, length))
        if short:
            yield Occurrence(
                short,
                f"{count(len(short), 'tensor')} ({some(short)}) not whole in {shown(file)}, a file of {length:,} bytes",
            )


RULE = Rule(
    code="STR025",
    name="external-data-missing",
    severity="error",
    find=_find,
    fires=(f'{_HEAD} <float[3] w = ["offset": "0"]> {{ y = Mul (x, w) }}',),
    quiet=(f"{_HEAD} <float[3] w = {{1.0, 2.0, 3.0}}> {{ y = Mul (x, w) }}",),
)
