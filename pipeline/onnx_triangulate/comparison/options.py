"""What the user may ask of a comparison."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from onnx_triangulate.records.errors import UnusableInput
from onnx_triangulate.records.text import safe


@dataclass(frozen=True)
class Options:
    """``inputs`` is an ``.npz`` file; ``dims`` gives named axes a size, those of ``only`` no other.

    ``timeout`` is in seconds, ``memory`` in bytes; ``written`` are the files that whoever asks will write, of which
    none may be read.
    """

    inputs: Path | None = None
    dims: Mapping[str, int] = field(default_factory=dict)
    only: frozenset[str] = frozenset()
    seed: int = 0
    timeout: float = 120
    memory: int = 8 * 2**30
    written: tuple[str, ...] = ()


def dims_of(words: Sequence[str]) -> dict[str, int]:
    """``NAME=N`` and ``NAME==N`` as a mapping.  Raises :class:`UnusableInput` for anything else."""
    found = {}
    for word in words:
        name, _, size = word.rpartition("=")
        name = name.removesuffix("=")
        if not name or not re.fullmatch(r"[0-9]{1,9}", size):
            raise UnusableInput(f"--dim {safe(word)}: expected NAME=N, such as batch=2, or NAME==N for no other size")
        found[name] = int(size)
    return found


def only_of(words: Sequence[str]) -> frozenset[str]:
    """The names that ``NAME==N`` gives one size and no other."""
    return frozenset(name.removesuffix("=") for name, _, _ in (w.rpartition("=") for w in words) if name.endswith("="))
