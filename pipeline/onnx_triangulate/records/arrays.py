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
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class ArrayFile:
    """An array by reference: a ``.npy`` file in the run's folder, in the case's own axes.

    ``meant``: the type in which the party gave it, where numpy has none and the numbers are kept in a wider one."""

    file: Path
    shape: tuple[int, ...]
    dtype: str
    axes: str | None = None
    meant: str = ""

    @property
    def given(self) -> str:
        """The type that the party gave the array in."""
        return self.meant or self.dtype

    def load(self) -> Array:
        array = np.asarray(np.load(self.file, allow_pickle=False))
        if array.dtype.name == self.dtype:
            return array
        import ml_dtypes  # a type that numpy lacks (bfloat16, float8) is stored as unsigned integers of its size

        return array.view(getattr(ml_dtypes, self.dtype))


@dataclass(frozen=True)
class Stored:
    """Arrays one after another in one file, as they came; ``slots`` are their places: offset, type, shape.

    The file is mapped, so that reading an array is reading what is used of it, and nothing is held.
    """

    file: Path
    slots: Mapping[str, tuple[int, str, tuple[int, ...]]] = field(default_factory=dict)

    def load(self, name: str) -> Array | None:
        """One array, not to be written to; None where it is not there."""
        if name not in self.slots:
            return None
        offset, dtype, shape = self.slots[name]
        if not math.prod(shape):
            return np.zeros(shape, dtype)
        state = self.file.stat()
        return np.ndarray(shape, dtype, _mapped(self.file, state.st_size, state.st_mtime_ns), offset)

    def bytes(self, name: str) -> int:
        _, dtype, shape = self.slots[name]
        return math.prod(shape) * np.dtype(dtype).itemsize


@lru_cache(maxsize=4)
def _mapped(file: Path, size: int, changed: int) -> mmap.mmap:
    with file.open("rb") as stream:
        return mmap.mmap(stream.fileno(), size, access=mmap.ACCESS_READ)
