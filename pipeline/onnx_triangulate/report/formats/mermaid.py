"""A drawing as a Mermaid flowchart, for READMEs and pull requests.

Design note.  Mermaid has no one grammar for labels: quotes end them, backticks and ``1.`` begin Markdown, ``%%``
directives, ``#`` entities, ``style … : #…;`` is rewritten before anything is parsed, and HTML is HTML.  So a label
holds letters, digits and a few harmless signs, and everything else as an entity (``#35;``), which all of them read the
same way.  Names are never identifiers: boxes are numbered.  Mermaid refuses texts of more than 50,000 characters and
more than 500 arrows, unless its host says otherwise: what does not fit is left out and counted.
"""

from __future__ import annotations

from onnx_triangulate.records.inspection import Arrow, Box, Drawing, Picture
from onnx_triangulate.records.text import clip, safe
from onnx_triangulate.report.formats import Format
from onnx_triangulate.report.picture import codes, family, left_out

MOST = 120
CHARACTERS = 48_000
ARROWS = 480

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ,_=/×→")
_LONGEST = 40
_CLASSES = (
    "classDef first fill:#d6e8f7,stroke:#0072b2,color:#222",
    "classDef last fill:#fdebc8,stroke:#b87800,color:#222",
    "classDef other fill:#eddcea,stroke:#9c4f82,color:#222",
    "classDef none fill:#f4f4f4,stroke:#7a7a7a,color:#222",
    "classDef info stroke:#00735a,stroke-width:3px",
    "classDef warning stroke:#8a6d00,stroke-width:3px",
    "classDef error stroke:#c0392b,stroke-width:4px",
    "classDef asked stroke-width:6px",
)
_SHAPES = {"node": ('["', '"]'), "input": ('(["', '"])'), "output": ('(["', '"])'), "more": ('>"', '"]')}


def label(text: object, limit: int = _LONGEST) -> str:
    """Foreign text as it may stand between the quotes of a label."""
    return "".join(sign if sign in _PLAIN else f"#{ord(sign)};" for sign in clip(safe(text), limit))


def _box(number: int, box: Box) -> str:
    rows = [box.title, *([box.name] if box.name and box.name != box.title else []), *box.lines]
    rows += [box.layout] if box.layout else []
    rows += [f"{box.severity or 'remark'} {codes(box)}"] if box.diagnostics else []
    before, after = _SHAPES[box.kind]
    return f"    n{number}{before}{'<br/>'.join(label(row) for row in rows)}{after}"


def _arrow(first: int, second: int, arrow: Arrow) -> str:
    said = label(arrow.label) if arrow.label else ""
    return f'    n{first} -->|"{said}"| n{second}' if said else f"    n{first} --> n{second}"


def _styled(drawing: Drawing, count: int) -> list[str]:
    found: dict[str, list[str]] = {}
    for number, box in enumerate(drawing.boxes[:count]):
        found.setdefault(family(box.layout), []).append(f"n{number}")
        if box.severity is not None:
            found.setdefault(box.severity, []).append(f"n{number}")
        if box.focused:
            found.setdefault("asked", []).append(f"n{number}")
    made = [f"    {style}" for style in _CLASSES if style.split()[1] in found]
    return made + [f"    class {','.join(members)} {name}" for name, members in found.items()]


def _text(drawing: Drawing, count: int) -> str:
    """The first ``count`` boxes and the arrows between them."""
    numbers = {box.key: number for number, box in enumerate(drawing.boxes[:count])}
    arrows = [
        _arrow(numbers[arrow.source], numbers[arrow.target], arrow)
        for arrow in drawing.arrows
        if arrow.source in numbers and arrow.target in numbers
    ]
    cut = sum(box.kind != "more" for box in drawing.boxes[count:])
    rest = left_out(Drawing(drawing.title, drawing.boxes[:count], (), drawing.left_out + cut))
    fewer = [f'    rest>"{label(rest, 80)}"]'] if rest else []
    if len(arrows) > ARROWS:
        fewer.append(f'    fewer>"{label(f"{len(arrows) - ARROWS:,} arrows are left out", 80)}"]')
    boxes = [_box(number, box) for number, box in enumerate(drawing.boxes[:count])]
    lines = ["flowchart TD", *boxes, *arrows[:ARROWS], *fewer, *_styled(drawing, count)]
    return "\n".join(lines) + "\n"


def mermaid(drawing: Drawing) -> str:
    """The drawing as text that Mermaid accepts: as many of its boxes as fit."""
    count = len(drawing.boxes)
    made = _text(drawing, count)
    while len(made) > CHARACTERS and count > 1:
        count = min(count - 1, count * CHARACTERS // len(made))
        made = _text(drawing, max(count, 1))
    return made


FORMAT = Format(
    "mermaid", "the graph as a Mermaid flowchart", {Picture: lambda picture: mermaid(picture.drawing)}, MOST
)
