"""Arrays by reference: ``.npy`` files and mapped stores that a worker wrote, so that no record holds numbers.

Design note.  Arrays do not travel between processes: a run refers to the files its worker wrote, so that the supervisor
stays small and every number in a report can be looked at afterwards.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]
else:
    Array = Any  # numpy takes a tenth of a second, which `--help` and `list` do without


@dataclass(frozen=True)
class ArrayFile:
    """An array by reference: a ``.npy`` file in the run's folder, in the case's own order of axes.

    ``shape`` counts elements per axis, ``axes`` names these axes (``"n c h w"``), ``dtype`` is numpy's name of the type
    in the file.  ``original_dtype`` is set where the party gave a type that numpy lacks and the file holds a wider one.
    """

    file: Path
    shape: tuple[int, ...]
    dtype: str
    axes: str | None = None
    original_dtype: str = ""

    @property
    def party_dtype(self) -> str:
        """The element type of the party's own answer: ``original_dtype``, else ``dtype``."""
        return self.original_dtype or self.dtype

    def load(self) -> Array:
        import numpy as np

        array = np.asarray(np.load(self.file, allow_pickle=False))
        if array.dtype.name == self.dtype:
            return array
        import ml_dtypes  # a type that numpy lacks (bfloat16, float8) is stored as unsigned integers of its size

        return array.view(getattr(ml_dtypes, self.dtype))


@dataclass(frozen=True)
class ArrayStore:
    """Arrays by name, one after another in one file: a spill store that a worker writes.

    ``slots`` gives each name its byte offset, numpy type and shape.  The file is memory-mapped: reading an array reads
    the pages that are used and keeps nothing in memory.
    """

    file: Path
    slots: Mapping[str, tuple[int, str, tuple[int, ...]]] = field(default_factory=dict)

    def load(self, name: str) -> Array | None:
        """One array, read-only and C-contiguous; ``None`` where the store has no such name."""
        import numpy as np

        if name not in self.slots:
            return None
        offset, dtype, shape = self.slots[name]
        if not math.prod(shape):
            return np.zeros(shape, dtype)
        state = self.file.stat()
        return np.ndarray(shape, dtype, _mapped(self.file, state.st_size, state.st_mtime_ns), offset)

    def bytes(self, name: str) -> int:
        """The size of one array in bytes.  Raises ``KeyError`` where the store has no such name."""
        _, dtype, shape = self.slots[name]
        import numpy as np

        return math.prod(shape) * np.dtype(dtype).itemsize


@lru_cache(maxsize=4)
def _mapped(file: Path, size: int, changed: int) -> mmap.mmap:
    with file.open("rb") as stream:
        return mmap.mmap(stream.fileno(), size, access=mmap.ACCESS_READ)
