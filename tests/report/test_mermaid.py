"""The Mermaid text: its few kinds of lines, whatever the names are, and never more than Mermaid reads."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest

from onnx_triangulate.records.inspection import Arrow, Box, Drawing
from onnx_triangulate.report.formats.mermaid import label, mermaid

LABEL = r'"[A-Za-z0-9 ,_=/×→#;]*(?:<br/>[A-Za-z0-9 ,_=/×→#;]*)*"'
LINES = re.compile(
    rf"""flowchart\ TD
    |\ {{4}}\w+(?:\[{LABEL}\]|\(\[{LABEL}\]\)|>{LABEL}\])
    |\ {{4}}n\d+\ -->(?:\|{LABEL}\|)?\ n\d+
    |\ {{4}}classDef\ \w+\ [\w:\#,-]+
    |\ {{4}}class\ n\d+(?:,n\d+)*\ \w+""",
    re.VERBOSE,
)
ENTITY = re.compile(r"#(\d+);")


def shown(text: str) -> str:
    """What Mermaid shows for a label."""
    return html.unescape(ENTITY.sub(r"&#\1;", text))


def test_a_small_drawing_reads_as_it_should() -> None:
    boxes = (
        Box("i", "input", "x", "x", ("float32[1,2,8,8]",), "NHWC"),
        Box("c", "node", "Conv", "conv", ("pads 0 0 | 1 1",), "NCHW", "warning", ("PAD001 says",), True),
    )
    drawing = Drawing("t", boxes, (Arrow("i", "c", "float32[1,2,8,8]", "NHWC", "x"),), 3)
    assert mermaid(drawing).splitlines() == [
        "flowchart TD",
        '    n0(["x<br/>float32#91;1,2,8,8#93;<br/>NHWC"])',
        '    n1["Conv<br/>conv<br/>pads 0 0 #124; 1 1<br/>NCHW<br/>warning PAD001"]',
        '    n0 -->|"float32#91;1,2,8,8#93;"| n1',
        '    rest>"3 of 5 boxes are left out"]',
        "    classDef first fill:#d6e8f7,stroke:#0072b2,color:#222",
        "    classDef last fill:#fdebc8,stroke:#b87800,color:#222",
        "    classDef warning stroke:#8a6d00,stroke-width:3px",
        "    classDef asked stroke-width:6px",
        "    class n0 last",
        "    class n1 first",
        "    class n1 warning",
        "    class n1 asked",
    ]


@pytest.mark.parametrize(
    "text", ['a"b', "a]b", "end", "`x`", "a#b", "<b>", "1. a", "%%{init}%%", "a;b:#c", "x\\y", "{{}}"]
)
def test_a_label_shows_its_text_and_nothing_else_sees_it(text: str) -> None:
    made = label(text)
    assert re.fullmatch(r"(?:[A-Za-z0-9 ,_=/×→]|#\d+;)*", made)
    assert shown(made) == text


def test_no_name_becomes_a_line_or_ends_a_label(samples: Any) -> None:
    kinds = [re.sub(LABEL, '""', line) for line in mermaid(samples.drawing("name")).splitlines()]
    for evil in samples.evil:
        text = mermaid(samples.drawing(evil))
        lines = text.split("\n")[:-1]
        assert [line for line in lines if not LINES.fullmatch(line)] == [], evil[:40]
        seen = [re.sub(LABEL, '""', line) for line in lines]
        assert [line for line in seen if "class" not in line] == [line for line in kinds if "class" not in line]
        assert len(text) < 5000
        assert all(character == "\n" or character.isprintable() for character in text)


@pytest.mark.parametrize(
    "line", ['    n0["a"b"]', "    click n0 call x()", '    n0 --> n1["x"]', '    n0["<img>"]', "%%{init}%%"]
)
def test_a_planted_line_is_noticed(line: str) -> None:
    assert not LINES.fullmatch(line)


def test_a_large_drawing_fits_and_what_is_left_out_is_counted(samples: Any) -> None:
    boxes = tuple(Box(f"b{i}", "node", "Conv", f'"{i}"' * 10, ("[" * 40,) * 7) for i in range(400))
    arrows = tuple(Arrow(f"b{i}", f"b{j}", "[" * 30) for i in range(400) for j in range(i + 1, min(i + 6, 400)))
    text = mermaid(Drawing("t", boxes, arrows, 10))
    assert len(text) <= 50_000
    nodes = len(re.findall(r"^    n\d+\[", text, re.MULTILINE))
    assert 10 < nodes < 400
    assert f"{410 - nodes} of 410 boxes are left out" in text


def test_more_arrows_than_mermaid_takes_are_counted() -> None:
    boxes = tuple(Box(f"b{i}", "node", "A") for i in range(60))
    arrows = tuple(Arrow(f"b{i}", f"b{j}") for i in range(60) for j in range(i + 1, 60))
    text = mermaid(Drawing("t", boxes, arrows))
    assert text.count(" --> ") == 480
    assert "1,290 arrows are left out" in shown(text)
