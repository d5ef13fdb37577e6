"""The list of rules and the page of one, as the command prints them."""

from __future__ import annotations

import io
from dataclasses import dataclass

from rich.console import Console

from onnx_triangulate.report.rules import example, render_rule, render_rules


@dataclass(frozen=True)
class Planted:
    code: str = "PAD001"
    name: str = "planted"
    severity: str = "warning"
    about: str = "Why it [bold]matters[/bold]. " * 10
    fires: tuple[str, ...] = ("<ir_version: 8> g (float[1] x) => (y) { y = Relu (x) }",)


def printed(render: object, what: object) -> str:
    stream = io.StringIO()
    render(what, Console(file=stream, width=80))  # type: ignore[operator]
    return stream.getvalue()


def test_the_list_has_one_line_a_rule() -> None:
    lines = printed(render_rules, [Planted(), Planted("STR002", "other", "error")]).splitlines()
    assert [line.split() for line in lines] == [["PAD001", "warning", "planted"], ["STR002", "error", "other"]]


def test_one_rule_is_said_in_full_and_no_markup_is_obeyed() -> None:
    text = printed(render_rule, Planted())
    assert "PAD001 planted" in text
    assert text.count("[bold]matters[/bold]") == 10
    assert "y = Relu (x)" in text
    assert all(len(line) <= 80 for line in text.splitlines())


def test_an_endless_example_is_shortened() -> None:
    assert len(example(Planted(fires=("g" * 10_000,)))) < 500
