"""The rules of ``inspect`` for people: the list of them, or what one of them means.

Design note.  Reports know no graphs, so rules arrive as plain records, the ones that the documentation is made of too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from rich.console import Console
from rich.text import Text

from onnx_triangulate.records.text import wrap
from onnx_triangulate.report.lines import columns, emit

_SEVERITIES = {"error": "bold red", "warning": "yellow", "info": "dim"}
_LONGEST = 400


class Described(Protocol):
    """What a rule says of itself."""

    @property
    def code(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def severity(self) -> str: ...
    @property
    def about(self) -> str: ...
    @property
    def fires(self) -> tuple[str, ...]: ...


def render_rules(rules: Sequence[Described], console: Console) -> None:
    """Print one line a rule: code, severity, name."""
    rows: list[list[str | Text]] = [[r.code, Text(r.severity, _SEVERITIES.get(r.severity, "")), r.name] for r in rules]
    emit(columns(rows), console)


def render_rule(rule: Described, console: Console) -> None:
    """Print what one rule means, and a graph on which it fires."""
    width = min(console.width, 100)
    head = Text(f"{rule.code} {rule.name}", "bold") + Text("   ")
    lines = [head + Text(rule.severity, _SEVERITIES.get(rule.severity, "")), Text("")]
    lines += [Text(line) for line in wrap(rule.about, width)]
    lines += [Text(""), Text("fires on", "dim")]
    lines += [Text(line) for line in example(rule).splitlines()]
    emit(lines, console)


def example(rule: Described) -> str:
    """The first graph on which a rule fires, one statement a line, not endless."""
    text = rule.fires[0]
    if len(text) > _LONGEST:
        half = _LONGEST // 2
        text = f"{text[:half].rstrip()} … {text[-half:].lstrip()}"
    return text.replace("> g ", ">\ng ", 1)
