"""Arrays by name in one ``.npz`` file, whatever the names are and whoever wrote the file.

Design note.  ``numpy.savez`` takes names as keywords, so that an input named ``file`` or ``allow_pickle`` cannot be
saved, and ``numpy.load`` allocates what a member's header promises before it reads a byte: 240 bytes can ask for a
terabyte, and ten megabytes unpack to ten gigabytes of zeros.  So names are the members' own, as numpy writes them, and
before anything is unpacked the headers of all members are read and what they promise is added up.  A pipe makes whoever
opens it wait for ever: only regular files are opened.
"""

from __future__ import annotations

import math
import stat
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.errors import UnusableInput

_ENDING = ".npy"
_BROKEN = (
    OSError, ValueError, EOFError, KeyError, TypeError, NotImplementedError, RuntimeError, SyntaxError, OverflowError,
    RecursionError, zipfile.BadZipFile, zlib.error, struct.error, tokenize.TokenError,
)  # fmt: skip


def save(file: Path, arrays: Mapping[str, Array]) -> Path:
    """Write arrays by name, as ``numpy.load`` reads them."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(file, "w", allowZip64=True) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}{_ENDING}", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)
    return file


def load(file: Path, who: str = "", *, memory: int | None = None) -> dict[str, Array]:
    """Every array of a file, none of which is unpacked where they promise more than ``memory`` bytes together.

    Raises :class:`UnusableInput`, in one line that begins with ``who``, for a file that is none or holds none.
    """
    who = who or str(file)
    try:
        status = file.stat()
    except FileNotFoundError:
        raise UnusableInput(f"{who}: no such file, expected an .npz of arrays by name") from None
    except (OSError, ValueError) as error:
        raise UnusableInput(f"{who}: cannot be read ({_line(error)})") from None
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe or a device"
        raise UnusableInput(f"{who}: {kind}, expected an .npz of arrays by name")
    try:
        with file.open("rb") as stream:
            if stream.read(6) == b"\x93NUMPY":
                raise UnusableInput(f"{who}: one array, expected an .npz of arrays by name (np.savez)")
        with zipfile.ZipFile(file) as archive:
            return _arrays(archive, who, memory)
    except UnusableInput:
        raise
    except MemoryError:
        raise UnusableInput(f"{who}: its arrays do not fit into memory") from None
    except _BROKEN as error:
        raise UnusableInput(f"{who}: not an .npz of plain arrays ({_line(error)}); write it with np.savez") from None


def _arrays(archive: zipfile.ZipFile, who: str, memory: int | None) -> dict[str, Array]:
    promised = 0
    members = archive.namelist()
    names = [name.removesuffix(_ENDING) for name in members]
    if len(set(names)) < len(names):
        raise UnusableInput(f"{who}: holds two arrays of one name")
    for member in members:
        with archive.open(member) as stream:
            shape, dtype = _header(stream)
        if dtype.hasobject:
            raise ValueError("an array of Python objects")
        promised += math.prod(shape) * dtype.itemsize
        if memory is not None and promised > memory:
            raise UnusableInput(
                f"{who}: its arrays promise {promised / 2**30:.3g} GiB and more, over the limit of "
                f"{memory / 2**30:.3g} GiB for inputs; --memory gives it more"
            )
    arrays = {}
    for name, member in zip(names, members, strict=True):
        with archive.open(member) as stream:
            arrays[name] = np.asarray(np.lib.format.read_array(stream, allow_pickle=False))
    return arrays


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(stream)
    return shape, dtype


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:120]
