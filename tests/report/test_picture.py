"""The picture: where things are, what they look like, and that no name becomes a part of the page."""

from __future__ import annotations

import random
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from typing import Any

import jinja2
import pytest

from onnx_triangulate.records.errors import MissingEngine
from onnx_triangulate.records.inspection import Arrow, Box, Drawing, Picture
from onnx_triangulate.report import picture
from onnx_triangulate.report.formats import html, svg
from tests.counting import calls

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def igraph() -> Any:
    return pytest.importorskip("igraph", reason="the layout engine is an extra: picture")


def boxes(count: int) -> tuple[Box, ...]:
    return tuple(Box(f"b{i}", "node", "Add", f"node {i}", ("pads 1 1 | 1 1",)) for i in range(count))


def test_a_row_is_below_all_it_reads_from_and_sources_stand_near_their_readers() -> None:
    assert picture.layers("abdce", [("a", "b"), ("b", "c"), ("a", "c"), ("d", "c"), ("c", "e")]) == [0, 1, 1, 2, 3]


def test_rows_of_a_circle_end() -> None:
    assert picture.layers("ab", [("a", "b"), ("b", "a")]) == [0, 1]


@pytest.mark.parametrize(
    ("layout", "family"),
    [
        ("NCHW", "first"),
        ("NCW", "first"),
        ("NHWC", "last"),
        ("NDHWC", "last"),
        ("NC", "other"),
        ("CNHW", "other"),
        ("N(HW)C", "other"),
        ("", "none"),
    ],
)
def test_a_layout_is_a_colour(layout: str, family: str) -> None:
    assert picture.family(layout) == family


def test_boxes_lie_apart_and_arrows_go_down(igraph: Any) -> None:
    drawing = Drawing(
        "t",
        boxes(6),
        tuple(Arrow(f"b{s}", f"b{t}") for s, t in [(0, 1), (0, 2), (1, 3), (2, 3), (0, 4), (3, 4), (0, 5), (4, 5)]),
    )
    plan = picture.plan(drawing)
    placed = list(plan.placed.values())
    for i, one in enumerate(placed):
        assert one.x >= 0
        assert one.x + 216 <= plan.width
        assert one.y >= 0
        assert one.y + one.height <= plan.height
        for other in placed[:i]:
            assert abs(one.x - other.x) >= 216 or one.y + one.height <= other.y or other.y + other.height <= one.y
    for (source, target), points in plan.lines.items():
        heights = [y for _, y in points]
        assert heights == sorted(heights)
        assert heights[0] == plan.placed[source].y + plan.placed[source].height
        assert heights[-1] == plan.placed[target].y
        for x, y in points[1:-1]:
            assert not any(p.x < x < p.x + 216 and p.y < y < p.y + p.height for p in placed)


def test_an_arrow_back_ends_at_its_target(igraph: Any) -> None:
    drawing = Drawing("t", boxes(2), (Arrow("b0", "b1"), Arrow("b1", "b0"), Arrow("b1", "b1")))
    plan = picture.plan(drawing)
    assert plan.lines["b1", "b0"][0][1] == plan.placed["b1"].y
    assert ET.fromstring(picture.svg(drawing)) is not None


def test_work_grows_with_the_boxes_and_no_faster(igraph: Any) -> None:
    """In calls of our own, to each box and arrow; how igraph places them is igraph's."""

    def drawn(count: int) -> int:
        draw = random.Random(3)
        pairs = {(i - 1, i) for i in range(1, count)}
        pairs |= {tuple(sorted(draw.sample(range(count), 2))) for _ in range(count)}
        drawing = Drawing("t", boxes(count), tuple(Arrow(f"b{s}", f"b{t}") for s, t in sorted(pairs)))
        plan = picture.plan(drawing)
        bends = sum(len(points) for points in plan.lines.values())
        return calls(lambda: picture.svg(drawing)) // (count + bends)

    drawn(50)
    assert drawn(400) <= 1.5 * drawn(100)


def test_nothing_to_draw_is_drawn(igraph: Any) -> None:
    assert ET.fromstring(picture.svg(Drawing("empty", (), ()))).tag == f"{SVG}svg"


def test_without_the_engine_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "igraph", None)
    with pytest.raises(MissingEngine, match=re.escape("pip install 'onnx-triangulate[picture]'")):
        picture.plan(Drawing("t", boxes(1), ()))


def test_the_picture_says_what_it_shows(igraph: Any, samples: Any) -> None:
    root = ET.fromstring(picture.svg(samples.drawing("conv")))
    text = ["".join(element.itertext()) for element in root.iter(f"{SVG}text")]
    assert "pads 0 0 | 1 1" in text
    assert "✖ PAD001, conv" in text
    assert "▲ NUM001" in text
    assert {"NCHW", "NHWC"} <= set(text)
    assert any(line.startswith("channels first (NCHW)") for line in text)
    assert any("7 of 11 boxes are left out" in line for line in text)
    assert len(list(root.iter(f"{SVG}rect"))) == 5 + 4


@pytest.mark.usefixtures("igraph")
def test_what_was_asked_for_has_a_ring() -> None:
    drawn = (Box("a", "node", "Relu", "a"), Box("b", "node", "Conv", "b", focused=True))
    root = ET.fromstring(picture.svg(Drawing("t", drawn, (Arrow("a", "b"),))))
    (ring,) = [rect for rect in root.iter(f"{SVG}rect") if rect.get("class") == "asked"]
    (group,) = [group for group in root.iter(f"{SVG}g") if ring in list(group)]
    assert "Conv" in "".join(group.itertext())


def tree(root: ET.Element) -> list[tuple[str, tuple[str, ...]]]:
    """The elements and the names of their attributes, in order."""
    return [(element.tag, tuple(element.attrib)) for element in root.iter()]


@pytest.fixture
def one_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    """The legend says which layouts there are, and an evil one is one more."""
    monkeypatch.setattr(picture, "family", lambda layout: "first")


@pytest.mark.usefixtures("igraph", "one_colour")
def test_no_name_becomes_an_element_or_an_attribute_of_the_picture(samples: Any) -> None:
    harmless = tree(ET.fromstring(svg.page(Picture(samples.drawing("name"), samples.inspected()))))
    for evil in samples.evil:
        text = svg.page(Picture(samples.drawing(evil), samples.inspected(evil)))
        root = ET.fromstring(text)
        assert tree(root) == harmless, evil[:40]
        assert_visible(text)
        assert len(text) < 40_000
        for element in root.iter():
            assert all(picture_value(value) for name, value in element.attrib.items() if name != "d"), evil[:40]


def picture_value(value: str) -> bool:
    return bool(re.fullmatch(r"[\w .:/-]*", value))


def assert_visible(text: str) -> None:
    assert all(character == "\n" or character.isprintable() for character in text)
    assert "##[" not in text
    assert not any(line.lstrip().startswith("::") for line in text.splitlines())


class Page(HTMLParser):
    """The elements of a page with the names of their attributes, and what it would load or run."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, tuple[str, ...]]] = []
        self.comments: list[str] = []
        self.values: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, tuple(name for name, _ in attrs)))
        self.values += [value or "" for name, value in attrs if name != "xmlns"]

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)


def read(text: str) -> Page:
    parser = Page()
    parser.feed(text)
    parser.close()
    return parser


@pytest.mark.usefixtures("igraph", "one_colour")
def test_no_name_becomes_a_part_of_the_page(samples: Any) -> None:
    harmless = read(html.page(Picture(samples.drawing("name"), samples.inspected("name"))))
    for evil in samples.evil:
        text = html.page(Picture(samples.drawing(evil), samples.inspected(evil)))
        seen = read(text)
        assert seen.found == harmless.found, evil[:40]
        assert seen.comments == []
        assert_visible(text)
        assert len(text) < 80_000


@pytest.mark.usefixtures("igraph")
def test_the_page_has_no_script_and_loads_nothing(samples: Any) -> None:
    text = html.page(Picture(samples.drawing(samples.evil[1]), samples.inspected(samples.evil[1])))
    seen = read(text)
    tags = {tag for tag, _ in seen.found}
    assert not tags & {"script", "img", "link", "iframe", "object", "foreignobject", "image", "use", "a", "form"}
    assert not any(
        name.startswith("on") or name in ("href", "src", "style") for _, names in seen.found for name in names
    )
    assert not any("//" in value for value in seen.values)
    assert "url(" not in text
    assert "@import" not in text
    assert "default-src 'none'; style-src 'unsafe-inline'" in seen.values


@pytest.mark.usefixtures("igraph")
def test_a_planted_element_is_noticed(samples: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    harmless = read(html.page(Picture(samples.drawing("name"), samples.inspected("name"))))
    unescaped = jinja2.Environment(autoescape=False)  # the fault that is planted
    unescaped.filters["bounded"] = html.safe
    monkeypatch.setattr(html, "_environment", lambda: unescaped)
    assert read(html.page(Picture(samples.drawing("<b>"), samples.inspected("<b>")))).found != harmless.found


@pytest.mark.usefixtures("igraph")
def test_the_page_has_the_tables(samples: Any) -> None:
    text = html.page(Picture(samples.drawing("conv"), samples.inspected("conv")))
    for part in (
        "<h2>Remarks</h2>",
        "<h2>Pads</h2>",
        "<h2>Transposes</h2>",
        "NUM001",
        "auto_pad SAME_UPPER",
        "7 of 11",
    ):
        assert part in text


@pytest.mark.usefixtures("igraph")
def test_long_tables_are_counted(samples: Any) -> None:
    found = samples.inspected("conv")
    many = type(found)(**{**vars(found), "pads": found.pads * 1000})
    text = html.page(Picture(samples.drawing("conv"), many))
    assert "and 1,500 more" in text
    assert len(text) < 300_000
