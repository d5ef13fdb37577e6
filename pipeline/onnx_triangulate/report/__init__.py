"""Reports: what a verdict looks like to a person, a program, a file.  A report decides nothing.

Design note.  A format is one module of this package that holds a ``FORMAT``; :func:`formats` finds them, so that a new
format is a new file and there is no list to edit.  ``text`` makes foreign text harmless, ``words`` says what the
vocabulary means, ``files`` writes; they hold no ``FORMAT`` and are shared by all.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import ModuleType

from onnx_triangulate.records.verdict import Report


@dataclass(frozen=True)
class Format:
    """A file format: its name, one line of help, and the function that writes a report to a path (``-`` is stdout)."""

    name: str
    message: str
    write: Callable[[Report, str], None]


def modules() -> list[ModuleType]:
    """Every module of this package."""
    return [importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)]


def formats(among: Iterable[ModuleType] | None = None) -> Mapping[str, Format]:
    """The formats by name.  Raises :class:`ValueError` where two share a name or there is none at all."""
    found: dict[str, Format] = {}
    for module in modules() if among is None else among:
        entry = getattr(module, "FORMAT", None)
        if entry is None:
            continue
        if entry.name in found:
            raise ValueError(f"report format {entry.name!r}: {module.__name__} registers it a second time; rename one")
        found[entry.name] = entry
    if not found:
        raise ValueError("no report format found: expected modules with a FORMAT in pipeline/onnx_triangulate/report")
    return found
