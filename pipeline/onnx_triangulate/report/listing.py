"""The catalogue for people: a line a case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from onnx_triangulate.records.text import prose, safe
from onnx_triangulate.report.lines import Cell, columns, emit


def render_list(cases: Sequence[Mapping[str, Any]], console: Console) -> None:
    """Print the rows of ``cases.listing``.

    On a terminal notes are cut to its width; elsewhere lines are whole, for ``grep`` and ``cut``.
    """
    rows: list[list[Cell]] = [
        [safe(case["name"]), Text(safe(", ".join(case["frameworks"])), "dim"), prose(case["note"])] for case in cases
    ]
    made = columns(rows)
    if console.is_terminal:
        for line in made:
            line.truncate(console.width, overflow="ellipsis")
    emit(made, console)
