"""A drawing as SVG: one file that shows anywhere, without a script and without a network.

Design note.  igraph's layered layout (Sugiyama) says where the boxes are; layers are given by the longest path, so no
integer program is solved.  Here its columns and rows become pixels: a row is as high as its highest box, an arrow is
straight through the rows it passes and bends between them.  A layout is a colour (of a palette that colour-blind people
tell apart) *and* a word on the box, a remark a border *and* a sign with its code, so that nothing is said by colour
alone.  Dark and light are the reader's choice.  Every name passes ``records.text`` and is then escaped for
XML; whole names, as far as they are bounded, are tooltips.
"""

from __future__ import annotations

import html
import importlib.util
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from onnx_triangulate.records.errors import MissingEngine
from onnx_triangulate.records.inspection import Arrow, Box, Drawing, Severity
from onnx_triangulate.records.text import clip, safe

MOST = 400
NEEDED = "needs igraph; pip install 'onnx-triangulate[picture]'"

_WIDTH, _GAP, _ROW = 216, 26, 46  # of a box, between boxes of a row, between rows
_MARGIN, _LINE, _HEAD = 24, 15, 24
_LEGEND_AT, _TOP = 48, 72
_COLUMNS = 30  # of the small print
_NAMED = 300
_LEGEND = 3

_SIGNS: Mapping[str, str] = {"error": "✖", "warning": "▲", "info": "●"}
_FAMILIES = {  # fill, border, dark fill, dark border, after Okabe and Ito
    "first": ("#d6e8f7", "#0072b2", "#12354f", "#56b4e9"),
    "last": ("#fdebc8", "#b87800", "#4a3608", "#e69f00"),
    "other": ("#eddcea", "#9c4f82", "#45253a", "#cc79a7"),
    "none": ("#f4f4f4", "#7a7a7a", "#2b2b2b", "#a0a0a0"),
}
_WORDS = {"first": "channels first", "last": "channels last", "other": "another layout", "none": "no layout"}
_MARKS = {"error": ("#c0392b", "#ff7a66"), "warning": ("#8a6d00", "#f0e442"), "info": ("#00735a", "#2fc49a")}


def require_engine() -> None:
    """Raises ``MissingEngine``, in one line, where the layout engine is not installed."""
    if importlib.util.find_spec("igraph") is None:
        raise MissingEngine(f"a picture {NEEDED}")


def family(layout: str) -> str:
    """``"first"`` or ``"last"``, where the channels are; ``"other"`` for any other order, ``"none"`` without one."""
    if not layout:
        return "none"
    if layout.startswith("NC") and len(layout) > 2 and layout[2:].isalpha():
        return "first"
    return "last" if layout.startswith("N") and layout.endswith("C") and layout[1:-1].isalpha() else "other"


def attribute(value: object, limit: int = _NAMED) -> str:
    """Foreign text as it may stand in XML, in an attribute as between tags: visible, bounded, escaped."""
    return html.escape(safe(value, limit), quote=True)


def _cells(character: str) -> int:
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _clipped(text: object, width: int) -> str:
    """Foreign text in at most ``width`` cells, escaped for XML."""
    shown = clip(safe(text), width)
    while sum(map(_cells, shown)) > width:
        shown = clip(shown, len(shown) - 1)
    return html.escape(shown, quote=True)


@dataclass(frozen=True)
class Placed:
    """A box with its place: the left upper corner and its height."""

    box: Box
    x: float
    y: float
    height: float

    @property
    def middle(self) -> float:
        return self.x + _WIDTH / 2


Point = tuple[float, float]


@dataclass(frozen=True)
class Plan:
    """Where everything is: boxes, and for each pair of boxes joined by arrows the points that their line passes."""

    placed: Mapping[str, Placed]
    lines: Mapping[tuple[str, str], tuple[Point, ...]]
    width: float
    height: float


def _height(box: Box) -> int:
    if box.kind == "more":
        return _HEAD
    return _HEAD + 6 + _LINE * (len(box.lines) + bool(_named(box)) + bool(box.diagnostics))


def _named(box: Box) -> bool:
    return bool(box.name) and box.name != box.title


def layers(keys: Sequence[str], pairs: Iterable[tuple[str, str]]) -> list[int]:
    """The row of each box: below all it reads from; what reads from nothing stands right above its first reader."""
    number = {key: i for i, key in enumerate(keys)}
    before: list[list[int]] = [[] for _ in keys]
    after: list[list[int]] = [[] for _ in keys]
    for source, target in pairs:
        first, second = sorted((number[source], number[target]))
        before[second].append(first)
        after[first].append(second)
    rows = [0] * len(keys)
    for i in range(len(keys)):
        rows[i] = max((rows[j] + 1 for j in before[i]), default=0)
    for i in range(len(keys)):
        if not before[i] and after[i]:
            rows[i] = min(rows[j] for j in after[i]) - 1
    return rows


def plan(drawing: Drawing) -> Plan:
    """Lay a drawing out.  Raises ``MissingEngine`` where igraph is not installed."""
    try:
        import igraph
    except ImportError as error:
        raise MissingEngine(f"a picture {NEEDED}") from error
    keys = [box.key for box in drawing.boxes]
    number = {key: i for i, key in enumerate(keys)}
    joined = dict.fromkeys((a.source, a.target) for a in drawing.arrows if a.source != a.target)
    pairs = list(joined)
    rows = layers(keys, pairs)
    downward = [tuple(sorted((number[s], number[t]), key=lambda i: rows[i])) for s, t in pairs]
    graph: Any = igraph.Graph(len(keys), downward, directed=True)
    rounds = 100 if len(pairs) <= MOST else 20  # of moving boxes for fewer crossings; more cost seconds
    laid = graph.layout_sugiyama(layers=rows, maxiter=rounds)
    heights: dict[int, int] = {}
    for box, row in zip(drawing.boxes, rows, strict=True):
        heights[row] = max(heights.get(row, 0), _height(box))
    top, bottom = _row_tops(rows, heights)
    left = min((x for x, _ in [*laid, *(point for routed in laid.edge_routing for point in routed)]), default=0.0)

    def across(x: float) -> float:
        return _MARGIN + (x - left) * (_WIDTH + _GAP)

    def line(pair: tuple[str, str], ends: tuple[int, ...], routed: Iterable[Point]) -> tuple[Point, ...]:
        """Straight through the rows that it passes, from the bottom of the higher box to the top of the lower one."""
        high, low = (placed[keys[end]] for end in ends)
        whole: list[Point] = [(high.middle, high.y + high.height)]
        for x, row in sorted(routed, key=lambda point: point[1]):
            at = across(x) + _WIDTH / 2
            whole += [(at, top[int(row)]), (at, top[int(row)] + heights.get(int(row), 0))]
        whole.append((low.middle, low.y))
        return tuple(whole if pair[0] == keys[ends[0]] else reversed(whole))

    placed = {
        box.key: Placed(box, across(laid[i][0]), top[rows[i]], _height(box)) for i, box in enumerate(drawing.boxes)
    }
    lines = {pair: line(pair, ends, by) for pair, ends, by in zip(pairs, downward, laid.edge_routing, strict=True)}
    width = max([p.x + _WIDTH for p in placed.values()] + [x for line in lines.values() for x, _ in line], default=0)
    return Plan(placed, _spread(lines, placed), width + _MARGIN, bottom - _ROW + _MARGIN)


def _row_tops(rows: Sequence[int], heights: Mapping[int, int]) -> tuple[dict[int, float], float]:
    """Where each row begins, in pixels, and where the last one's gap ends."""
    top: dict[int, float] = {}
    y = float(_TOP)
    for row in range(max(rows, default=-1) + 1):
        top[row] = y
        y += heights.get(row, 0) + _ROW
    return top, y


def _spread(
    lines: Mapping[tuple[str, str], tuple[Point, ...]], placed: Mapping[str, Placed]
) -> dict[tuple[str, str], tuple[Point, ...]]:
    """Arrows into one box end side by side, in the order in which they come."""
    into: dict[str, list[tuple[str, str]]] = {}
    for pair in lines:
        into.setdefault(pair[1], []).append(pair)
    made = dict(lines)
    for target, pairs in into.items():
        apart = min(18.0, 0.7 * _WIDTH / len(pairs))
        ordered = sorted(pairs, key=lambda pair: lines[pair][-2][0])
        for i, pair in enumerate(ordered):
            x = placed[target].middle + (i - (len(pairs) - 1) / 2) * apart
            made[pair] = (*lines[pair][:-1], (x, lines[pair][-1][1]))
    return made


def _path(points: Sequence[Point]) -> str:
    (x, y), *rest = points
    made = [f"M{x:.1f} {y:.1f}"]
    for to_x, to_y in rest:
        if abs(to_x - x) < 0.05:
            made.append(f"V{to_y:.1f}")
        else:
            half = (y + to_y) / 2
            made.append(f"C{x:.1f} {half:.1f} {to_x:.1f} {half:.1f} {to_x:.1f} {to_y:.1f}")
        x, y = to_x, to_y
    return "".join(made)


def _styles() -> str:
    def coloured(name: str, fill: str, border: str) -> str:
        word, line = f".tri .{name} .word{{fill:{border}}}", f".tri path.{name}{{stroke:{border}}}"
        return f".tri .{name} rect{{fill:{fill};stroke:{border}}}{word}{line}"

    light = [coloured(name, fill, border) for name, (fill, border, _, _) in _FAMILIES.items()]
    dark = [coloured(name, fill, border) for name, (_, _, fill, border) in _FAMILIES.items()]
    for name, (on_light, on_dark) in _MARKS.items():
        light.append(f".tri .{name} rect{{stroke:{on_light};stroke-width:3}}.tri .{name} .mark{{fill:{on_light}}}")
        dark.append(f".tri .{name} rect{{stroke:{on_dark}}}.tri .{name} .mark{{fill:{on_dark}}}")
    common = (
        '.tri{background:#fff}.tri text{font:11px ui-monospace,"SF Mono",Menlo,Consolas,"DejaVu Sans Mono",monospace;'
        'fill:#222}.tri .head{font:bold 13px system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}'
        ".tri .name{fill:#666}.tri .pads{font-weight:bold}.tri .mark{font-weight:bold}.tri rect{stroke-width:1.2}"
        ".tri .more rect{stroke-dasharray:4 3;fill:none}.tri path{fill:none;stroke-width:1.4}"
        ".tri .tip{fill:#7a7a7a;stroke:none}.tri g rect.asked{fill:none;stroke:#222;stroke-width:2.4}"
    )
    night = ".tri{background:#161616}.tri text{fill:#eee}.tri .name{fill:#aaa}.tri g rect.asked{stroke:#eee}"
    return f"{common}{''.join(light)}@media (prefers-color-scheme:dark){{{night}{''.join(dark)}}}"


def _classes(box: Box) -> str:
    return " ".join(filter(None, (box.kind, family(box.layout), box.severity or "")))


def codes(box: Box) -> str:
    """The codes of the remarks about a box, each once."""
    said = list(dict.fromkeys(remark.split(" ", 1)[0] for remark in box.diagnostics))
    return ", ".join(said[:3]) + (f" and {len(said) - 3} more" if len(said) > 3 else "")


def _box(at: Placed) -> str:
    box = at.box
    radius = 4 if box.kind == "node" else min(at.height / 2, 14)
    tip = [f"{box.title}: {box.name}" if _named(box) else box.title, *box.lines, *box.diagnostics]
    made = [
        f'<g class="{_classes(box)}"><title>{"&#10;".join(attribute(line) for line in tip)}</title>',
        f'<rect x="{at.x:.1f}" y="{at.y:.1f}" width="{_WIDTH}" height="{at.height:.1f}" rx="{radius:.0f}"/>',
    ]
    if box.focused:  # a ring around it
        made.append(
            f'<rect class="asked" x="{at.x - 5:.1f}" y="{at.y - 5:.1f}" width="{_WIDTH + 10}" '
            f'height="{at.height + 10:.1f}" rx="{radius + 5:.0f}"/>'
        )
    layout = _clipped(box.layout, 10)
    room = 25 - (len(layout) + 2 if layout else 0)
    left, y = at.x + 9, at.y + 17
    if box.kind == "more":
        made.append(f'<text class="name" x="{at.middle:.1f}" y="{y - 1:.1f}" text-anchor="middle">')
        return "".join([*made, f"{_clipped(box.title, 28)}</text></g>"])
    made.append(f'<text class="head" x="{left:.1f}" y="{y:.1f}">{_clipped(box.title, room)}</text>')
    if layout:
        made.append(f'<text class="word" x="{at.x + _WIDTH - 8:.1f}" y="{y:.1f}" text-anchor="end">{layout}</text>')
    rows = [("name", _clipped(box.name, _COLUMNS))] if _named(box) else []
    rows += [("pads" if line.startswith("pads ") else "", _clipped(line, _COLUMNS)) for line in box.lines]
    if box.diagnostics:
        rows.append(("mark", f"{_SIGNS.get(box.severity or '', '')} {_clipped(codes(box), _COLUMNS - 2)}"))
    for style, line in rows:
        y += _LINE
        made.append(
            f'<text{f" class={chr(34)}{style}{chr(34)}" if style else ""} x="{left:.1f}" y="{y:.1f}">{line}</text>'
        )
    return "".join([*made, "</g>"])


def _arrows(arrows: Sequence[Arrow], points: Sequence[Point]) -> str:
    layouts = {family(arrow.layout) for arrow in arrows}
    kind = layouts.pop() if len(layouts) == 1 else "none"
    said = [" ".join(filter(None, (arrow.name and safe(arrow.name), arrow.label, arrow.layout))) for arrow in arrows]
    tip = "&#10;".join(attribute(line) for line in said[:8] if line)
    title = f"<title>{tip}</title>" if tip else ""
    x, y = points[-1]
    upward = points[-2][1] > y
    end = y + 6 if upward else y - 6
    head = f'<path class="tip" d="M{x:.1f} {y:.1f}L{x - 4:.1f} {end:.1f}H{x + 4:.1f}Z"/>'
    return f'<g>{title}<path class="{kind}" d="{_path([*points[:-1], (x, end)])}"/>{head}</g>'


def _legend(drawing: Drawing, y: float) -> tuple[str, float]:
    """What the colours and signs in this drawing mean, in a row above it; and how wide that is."""
    found: dict[str, list[str]] = {}
    for box in drawing.boxes:
        if box.kind != "more":
            words = found.setdefault(family(box.layout), [])
            if box.layout and box.layout not in words:
                words.append(box.layout)
    made, x = [], float(_MARGIN)
    for name in _FAMILIES:
        if name in found and (name != "none" or len(found) > 1):
            among = ", ".join(safe(word, 12) for word in sorted(found[name])[:_LEGEND])
            says = _WORDS[name] + (f" ({among})" if among else "")
            made.append(
                f'<g class="{name}"><rect x="{x:.0f}" y="{y - 11:.0f}" width="18" height="13" rx="3"/>'
                f'<text x="{x + 24:.0f}" y="{y:.0f}">{html.escape(says)}</text></g>'
            )
            x += 48 + 6.7 * len(says)
    severities: set[Severity | None] = {box.severity for box in drawing.boxes}
    for severity, sign in _SIGNS.items():
        if severity in severities:
            made.append(
                f'<g class="{severity}"><text class="mark" x="{x:.0f}" y="{y:.0f}">{sign} {severity}</text></g>'
            )
            x += 36 + 6.7 * len(severity)
    return "".join(made), x


def left_out(drawing: Drawing) -> str:
    """How much is not drawn, in a sentence; empty where everything is."""
    if not drawing.left_out:
        return ""
    every = drawing.left_out + sum(box.kind != "more" for box in drawing.boxes)
    return f"{drawing.left_out:,} of {every:,} boxes are left out"


def svg(drawing: Drawing) -> str:
    """The drawing as one ``<svg>`` element.  Raises ``MissingEngine`` where igraph is missing."""
    laid = plan(drawing)
    together: dict[tuple[str, str], list[Arrow]] = {}
    for arrow in drawing.arrows:
        if (arrow.source, arrow.target) in laid.lines:
            together.setdefault((arrow.source, arrow.target), []).append(arrow)
    rest = left_out(drawing)
    head = safe(drawing.title, 160) + (f"; {rest}" if rest else "")
    legend, legend_width = _legend(drawing, _LEGEND_AT)
    width = max(laid.width, legend_width + _MARGIN, 2 * _MARGIN + 7.0 * len(head))
    height = laid.height
    body = [_arrows(arrows, laid.lines[pair]) for pair, arrows in together.items()]
    body += [_box(placed) for placed in laid.placed.values()]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="tri" role="img" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}"><title>{attribute(drawing.title)}</title><style>{_styles()}</style>'
        f'<text class="name" x="{_MARGIN}" y="{_MARGIN}">{html.escape(head)}</text>{"".join(body)}{legend}</svg>\n'
    )
