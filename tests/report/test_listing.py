"""The catalogue for people: aligned lines, whole in a file, cut on a terminal; foreign text is harmless."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from onnx_triangulate.report.listing import render_groups, render_list


def listed(cases: list[Any], **options: Any) -> list[str]:
    stream = io.StringIO()
    render_list(cases, Console(file=stream, width=60, **options))
    return stream.getvalue().splitlines()


def test_the_catalogue_is_one_aligned_line_a_case(samples: Any) -> None:
    note = "a note that is " + "very " * 12 + "long"
    cases = [
        {"name": "conv2d/even_input", "frameworks": ("tensorflow", "torch"), "note": note},
        {"name": "autodiff/chain", "frameworks": ("torch",), "note": ""},
        {"name": samples.hostile_text, "frameworks": ("torch",), "note": samples.hostile_text},
    ]
    lines = listed(cases)
    assert len(lines) == 3
    assert lines[0].split("  ")[-1] == note
    assert lines[0].index("tensorflow, torch") == lines[1].index("torch")
    assert all(line.isprintable() for line in lines)
    narrow = listed(cases[:2], force_terminal=True, color_system=None)
    assert len(narrow) == 2
    assert all(len(line) <= 60 for line in narrow)
    assert listed([]) == []


def test_a_group_is_one_line_with_what_diverges_in_it() -> None:
    groups = [
        {"name": "conv2d", "cases": 15, "diverge": 5, "title": "Convolution."},
        {"name": "roll", "cases": 1, "diverge": 0, "title": "Rolling " + "on " * 30},
    ]
    stream = io.StringIO()
    render_groups(groups, Console(file=stream, width=60))
    first, second = stream.getvalue().splitlines()
    assert first.split() == ["conv2d", "15", "cases", "5", "diverge", "Convolution."]
    assert second.split()[:4] == ["roll", "1", "case", "Rolling"]
    terminal = io.StringIO()
    render_groups(groups, Console(file=terminal, width=60, force_terminal=True, color_system=None))
    *rows, last = terminal.getvalue().splitlines()
    assert len(rows) == 2
    assert all(len(row) <= 60 for row in rows)
    assert last.startswith("2 groups, 16 cases")
