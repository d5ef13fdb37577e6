"""Lines for a terminal: wrapped, in columns, beside a label; what every report for people is made of.

Design note.  Wrapping is done here and not by the console, because a line that a terminal or a CI log folds could begin
with foreign text.  What comes in has passed ``records.text`` and is never read as markup.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from onnx_triangulate.records.text import wrap

Cell = str | Text
Rows = Sequence[Sequence[Cell]]

LABEL = 14  # two of indent, ten of label, two of gap

_ASCII = str.maketrans({"·": "-", "…": "~", "×": "x"})


def _cell(value: Cell) -> Text:
    return value if isinstance(value, Text) else Text(value)


def padded(cell: Text, width: int, right: bool) -> Text:
    """A cell in ``width`` columns, flush right or left."""
    gap = " " * max(width - cell_len(cell.plain), 0)
    return Text(gap) + cell if right else cell + Text(gap)


def columns(rows: Rows, right: Iterable[int] = (), gap: int = 2) -> list[Text]:
    """Rows in aligned columns, the columns numbered in ``right`` flush right.  All rows have one length."""
    if not rows:
        return []
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(cell_len(cell.plain) for cell in column) for column in zip(*cells, strict=True)]
    flush = set(right)
    made = []
    for row in cells:
        line = Text(" " * gap).join(padded(cell, widths[i], i in flush) for i, cell in enumerate(row))
        line.rstrip()
        made.append(line)
    return made


def fits(made: Sequence[Text], width: int) -> bool:
    """Whether no line is wider."""
    return all(cell_len(line.plain) <= width for line in made)


def wrapped(text: str, width: int, style: str = "", hang: int = 0) -> list[Text]:
    """``text`` in lines of one style, those after the first indented by ``hang``."""
    return [Text(line, style) for line in wrap(text, width, hang)]


def block(label: str, content: Sequence[Text], style: str = "dim") -> list[Text]:
    """Lines beside a label; none without content."""
    if not content:
        return []
    head = Text("  ") + Text(f"{label:<{LABEL - 4}}", style) + Text("  ")
    made = [head + content[0], *(Text(" " * LABEL) + line for line in content[1:])]
    for line in made:
        line.rstrip()
    return made


def paragraphs(label: str, texts: Iterable[str], room: int, style: str = "dim") -> list[Text]:
    """Texts of one line or more beside a label, each hanging by two; none without texts."""
    return block(label, [line for text in texts for line in wrapped(text, room, hang=2)], style)


def more(items: Sequence[str], limit: int) -> str:
    """At most ``limit`` items by name and the rest as a number."""
    rest = len(items) - limit
    return ", ".join(items[:limit]) + (f" and {rest:,} more" if rest > 0 else "")


def _ascii(line: str) -> str:
    return line.translate(_ASCII).encode("ascii", "backslashreplace").decode("ascii")


def emit(made: Iterable[Text], console: Console) -> None:
    """Print finished lines as they are; a console that cannot write UTF-8 gets them in ASCII, without styles."""
    plain = not console.encoding.lower().replace("-", "").startswith("utf")
    for line in made:
        console.print(Text(_ascii(line.plain)) if plain else line, soft_wrap=True, highlight=False)
