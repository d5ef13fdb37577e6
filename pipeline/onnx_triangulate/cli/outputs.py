"""The files that a command writes: ``--report FORMAT=FILE``, and the options that are short for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onnx_triangulate.records.errors import UnusableInput
from onnx_triangulate.records.inspection import Picture
from onnx_triangulate.report.files import STDOUT, check_writable, write_text
from onnx_triangulate.report.formats import Format, format_for

PICTURES = ("svg", "html", "mermaid")


@dataclass(frozen=True)
class Outputs:
    """What is written where, in the order in which it was asked for."""

    files: tuple[tuple[Format, str], ...] = ()

    @property
    def standard(self) -> bool:
        """Whether one of them is standard output, which is then not for people."""
        return any(place == STDOUT for _, place in self.files)

    @property
    def pictures(self) -> bool:
        return any(Picture in entry.texts for entry, _ in self.files)

    @property
    def overwritten(self) -> tuple[str, ...]:
        """The files that are there already: none of them may be one that the command reads."""
        return tuple(place for _, place in self.files if place != STDOUT and Path(place).exists())

    def write(self, record: Any, draw: Callable[[int], Picture] | None = None) -> None:
        """Write every file of a record; ``draw`` gives a picture of at most so many boxes to the formats of one."""
        for entry, place in self.files:
            drawn = type(record) not in entry.texts
            if drawn and draw is not None:
                write_text(entry.texts[Picture](draw(entry.most)), place)
            elif not drawn:
                write_text(entry.texts[type(record)](record), place)


def outputs(
    options: Mapping[str, str | None],
    reports: Iterable[str],
    records: Sequence[type],
    reads: Iterable[Path | None] = (),
) -> Outputs:
    """What the options ask for, found out to be possible before any work is done.

    ``options`` are places by format.  Raises :class:`UnusableInput` for a format that is none or takes none of
    ``records``, for two on standard output, and for places that cannot be written; ``MissingEngine`` for a format that
    is made with something that is not installed.
    """
    words = [(name, place) for name, place in options.items() if place]
    words += [_word(text) for text in reports]
    if sum(place == STDOUT for _, place in words) > 1:
        options_of = "--json, --svg, --html and --mermaid" if Picture in records else "--json and --report"
        raise UnusableInput(f"standard output can be one of {options_of}; name files for the others")
    files = tuple((format_for(name, *records), place) for name, place in words)
    for entry, _ in files:
        if entry.needs is not None:
            entry.needs()
    check_writable(*(place for _, place in files), reads=[file for file in reads if file is not None])
    return Outputs(files)


def _word(text: str) -> tuple[str, str]:
    name, equals, place = text.partition("=")
    if not (name and equals and place.strip()):
        raise UnusableInput(f"--report {text}: expected FORMAT=FILE, such as html=model.html")
    return name, place
