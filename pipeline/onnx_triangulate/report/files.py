"""Writing a file so that it is whole or not there, and knowing before the run whether it can be written.

Design note.  A report is written after minutes of work: :func:`check_writable` finds out first, by creating a file in
the folder (permission bits say nothing to root and nothing about a read-only mount).  :func:`write_text` writes under
a temporary name beside the target and renames, so that a full disk leaves neither half a file nor a lost old one.  A
target that is not a regular file (``/dev/null``, a pipe) is written to directly: renaming would replace the device.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
from collections.abc import Iterable
from pathlib import Path

from onnx_triangulate.records.errors import UnusableInput
from onnx_triangulate.records.text import safe

STDOUT = "-"


def _unusable(target: Path, seen: str) -> UnusableInput:
    return UnusableInput(
        f"cannot write {safe(target)}: {seen}; name a file in an existing, writable folder, or - for standard output"
    )


def _reason(error: OSError | ValueError) -> str:
    return safe(getattr(error, "strerror", None) or error)


def _create(folder: Path) -> tuple[int, Path]:
    """A new, empty file in ``folder`` under the umask's permissions."""
    name = folder / f".triangulate-{secrets.token_hex(8)}.tmp"
    return os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666), name


def _place(path: str | Path) -> tuple[Path, bool]:
    """The file to be written (links followed) and whether it is renamed into place."""
    target = Path(path)
    try:
        if target.is_dir():
            raise _unusable(target, "it is a folder")
        if target.exists() and not target.is_file():
            return target, False
        real = target.resolve()
        if not real.parent.exists():
            raise _unusable(target, f"the folder {safe(real.parent)} does not exist")
        if not real.parent.is_dir():
            raise _unusable(target, f"{safe(real.parent)} is not a folder")
        if real.exists() and not os.access(real, os.W_OK):
            raise _unusable(target, "the file is read-only")
    except (OSError, ValueError, RuntimeError) as error:
        raise _unusable(target, safe(getattr(error, "strerror", None) or error)) from error
    return real, True


def check_writable(*paths: str | Path, reads: Iterable[str | Path] = ()) -> None:
    """Find out whether :func:`write_text` could write to all of ``paths`` now, leaving nothing behind.

    Raises :class:`UnusableInput`, in one line, where a folder is missing or refuses a new file, where one of them is a
    folder or a read-only file, one of the files that the command ``reads``, or named twice.
    """
    read = {identity for path in reads if (identity := _identity(Path(path))) is not None}
    taken: set[Path] = set()
    for path in paths:
        if str(path) == STDOUT:
            continue
        target, renamed = _place(path)
        if not renamed:
            continue
        if _identity(target) in read:
            raise UnusableInput(f"cannot write {safe(path)}: it is a file that this command reads; name another one")
        if target in taken:
            raise UnusableInput(f"cannot write {safe(path)} twice; name another file for one of them")
        taken.add(target)
        _try(target)


def _identity(path: Path) -> tuple[int, int] | None:
    """What a file is whatever it is called; ``None`` where there is none."""
    try:
        about = path.stat()
    except (OSError, ValueError):
        return None
    return about.st_dev, about.st_ino


def _try(target: Path) -> None:
    try:
        handle, temporary = _create(target.parent)
        os.close(handle)
        temporary.unlink()
    except (OSError, ValueError) as error:
        raise _unusable(target, _reason(error)) from error


def write_text(text: str, path: str | Path) -> None:
    """Write ``text`` to ``path``, wholly or not at all; ``-`` is standard output.  Raises :class:`UnusableInput`."""
    if str(path) == STDOUT:
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    target, renamed = _place(path)
    temporary: Path | None = None
    try:
        if not renamed:
            target.write_text(text, encoding="utf-8")
            return
        handle, temporary = _create(target.parent)
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        if target.exists():
            temporary.chmod(target.stat().st_mode & 0o7777)
        os.replace(temporary, target)
        temporary = None
    except (OSError, ValueError) as error:
        raise _unusable(target, _reason(error)) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink()
