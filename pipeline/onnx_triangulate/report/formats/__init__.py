"""Formats, one file each, as ``--report FORMAT=FILE`` writes them.

Design note.  A module of this package holds one :class:`Format` named ``FORMAT``, and so does the module of an entry
point ``onnx_triangulate.reports``; there is no list to edit.  A format says which records it takes: a ``Report`` of
``verify``, a ``GraphComparison`` of ``compare``, an ``Inspection`` or the ``Differences`` of ``inspect``, or a
``Picture`` of an inspected graph.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from onnx_triangulate.records import plugins
from onnx_triangulate.records.errors import UnusableInput


@dataclass(frozen=True)
class Format:
    """A file format: its name, one line of help, and the text it makes of each type of record that it takes.

    ``most`` is how many boxes a picture in it may have; ``needs`` raises where what it is made with is not installed.
    """

    name: str
    about: str
    texts: Mapping[type, Callable[[Any], str]]
    most: int = 400
    needs: Callable[[], None] | None = None


@cache
def formats() -> Mapping[str, Format]:
    """Every format, of this package and of users' packages, by name."""
    return plugins.collect("reports", plugins.modules("reports", __name__), "FORMAT", Format)


def format_for(name: str, *records: type) -> Format:
    """A format that takes one of these records.  Raises :class:`UnusableInput` where there is none of that name."""
    found = formats().get(name)
    if found is None or not set(records) & set(found.texts):
        takes = ", ".join(sorted(each for each, entry in formats().items() if set(records) & set(entry.texts)))
        what = "no such format" if found is None else "this command has nothing for that format"
        raise UnusableInput(f"--report {name}=…: {what}; expected one of {takes}")
    return found
