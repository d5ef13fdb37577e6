"""The values of a source, written to one file as they come; shared by the frameworks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from onnx_triangulate.records.arrays import ArrayStore
from onnx_triangulate.records.faults import SourceValues
from onnx_triangulate.records.party import Party
from onnx_triangulate.records.runs import Failure


class ValueWriter:
    """Arrays written to one file as they come; written again under a name, an array takes the other's place."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)
        self._file, self._slots, self._end = file, dict[str, tuple[int, str, tuple[int, ...]]](), 0

    def __enter__(self) -> Self:
        self._stream = self._file.open("wb")
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def write(self, name: str, array: Any) -> None:
        array = np.ascontiguousarray(array).reshape(np.shape(array))
        self._end += self._stream.write(bytes(-self._end % 64))
        self._slots[name] = (self._end, array.dtype.str, array.shape)
        if array.size:
            self._end += self._stream.write(array.reshape(-1).view(np.uint8).data)

    def stored(self) -> ArrayStore:
        return ArrayStore(self._file, dict(self._slots))


def write_values(
    graph: str,
    folder: Path,
    doubles: Sequence[bool],
    write: Callable[[ValueWriter, bool], None],
    one_line: Callable[[BaseException], str],
) -> SourceValues:
    """The values of a graph's source in each precision (True is float64), as ``write`` puts them into a file.

    Without the case's own precision there are none; that a framework has no float64 for an operator is a note.
    """
    stored: dict[bool, ArrayStore] = {}
    notes = []
    for double in doubles:
        try:
            with ValueWriter(folder / f"{graph.replace(':', '.')}.values{'64' if double else ''}") as kept:
                write(kept, double)
            stored[double] = kept.stored()
        except Exception as error:  # an operator without that precision
            if not double:
                return SourceValues(graph, error=Failure("refused", one_line(error)))
            notes.append(f"{Party.parse(graph).framework} has no float64 for this: {one_line(error)[:120]}")
    return SourceValues(graph, stored.get(False), stored.get(True), notes=tuple(notes))
