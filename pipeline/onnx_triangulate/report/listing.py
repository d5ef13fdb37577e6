"""The catalogue for people: a line a group, or a line a case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from onnx_triangulate.records.text import prose, safe
from onnx_triangulate.report.lines import Cell, columns, emit
from onnx_triangulate.report.quantities import count


def render_list(cases: Sequence[Mapping[str, Any]], console: Console) -> None:
    """Print the rows of ``cases.listing.rows``.

    On a terminal lines are cut to its width; elsewhere they are whole, for ``grep`` and ``cut``.
    """
    _emit([[safe(c["name"]), _dim(", ".join(c["frameworks"])), prose(c["note"])] for c in cases], console)


def render_groups(groups: Sequence[Mapping[str, Any]], console: Console) -> None:
    """Print the rows of ``cases.listing.groups``, and of how many groups and cases they are."""
    _emit(
        [
            [
                safe(group["name"]),
                _dim(count(group["cases"], "case")),
                _dim(f"{group['diverge']} diverge" if group["diverge"] else ""),
                prose(group["title"]),
            ]
            for group in groups
        ],
        console,
    )
    if console.is_terminal and groups:
        total = count(sum(group["cases"] for group in groups), "case")
        said = (
            f"{count(len(groups), 'group')}, {total}; triangulate list GROUP names its cases, --tag and --status choose"
        )
        emit([Text(said, "dim")], console)


def _dim(text: str) -> Text:
    return Text(safe(text), "dim")


def _emit(rows: list[list[Cell]], console: Console) -> None:
    made = columns(rows)
    if console.is_terminal:
        for line in made:
            line.truncate(console.width, overflow="ellipsis")
    emit(made, console)
