"""The comparison of two graphs as people and programs read it."""

from __future__ import annotations

import io
import json
from pathlib import Path

import jsonschema
from rich.console import Console

from onnx_triangulate.records.inspection import Difference, Differences, Inspection
from onnx_triangulate.report.differences import differences_lines, render_differences
from onnx_triangulate.report.documents import as_json, schema

LEFT = Inspection(Path("torch.onnx"), "pytorch 2.13.0", 10, {"": 20}, {"x": "float32[2,2,6,6]"}, {}, {"Conv": 1})
RIGHT = Inspection(Path("tensorflow.onnx"), "tf2onnx 1.17.0", 8, {"": 15}, {"x": "float32[2,6,6,2]"}, {}, {"Conv": 1})
PADS = Difference("pads", "pads", ("node_Conv_9",), ("Conv2D",), "(1,1,1,1)", "(0,0,1,1)")
HOSTILE = "\x1b[2J\n::error::pwned\r##[error]x \u202egnp.exe [bold red]markup[/]"


def printed(found: Differences, width: int = 100) -> str:
    stream = io.StringIO()
    render_differences(found, Console(file=stream, width=width, force_terminal=False))
    return stream.getvalue()


def test_one_difference_is_one_line() -> None:
    lines = printed(Differences(LEFT, RIGHT, 1, (PADS,))).splitlines()
    assert [line for line in lines if "against" in line] == [
        "  pads        pads (1,1,1,1) against (0,0,1,1)   node_Conv_9 | Conv2D"
    ]
    assert "opset 20" in lines[0]
    assert "opset 15" in lines[1]
    assert "1 difference;" in lines[2]


def test_no_difference_is_said() -> None:
    assert "no difference found; 3 nodes" in printed(Differences(LEFT, RIGHT, 3))


def test_a_size_that_both_take_is_said_in_the_result() -> None:
    assert "no difference found at the size that both take;" in printed(Differences(LEFT, RIGHT, 3, at_one_size=True))
    assert "1 difference at the size" in printed(Differences(LEFT, RIGHT, 1, (PADS,), at_one_size=True))
    assert as_json(Differences(LEFT, RIGHT, 1, (PADS,), at_one_size=True))["at_one_size"] is True


def test_nodes_alone_are_named_even_where_no_difference_is() -> None:
    shown = printed(Differences(LEFT, RIGHT, 3, (), ("relu",), ("a", "b")))
    assert "3 nodes alone" in shown
    assert "only left   1 node: relu" in shown
    assert "only right  2 nodes: a, b" in shown


def test_what_is_said_of_many_nodes_is_one_line_with_their_number() -> None:
    says = "folded: the numbers agree up to rounding ({}e-08)"
    many = tuple(
        Difference("operator", "folded", (f"c{i}", "n"), (f"c{i}",), "Conv, BatchNormalization", "Conv", says.format(i))
        for i in range(1, 54)
    )
    shown = printed(Differences(LEFT, RIGHT, 106, many))
    assert "53 differences" in shown
    assert "53 × Conv, BatchNormalization against Conv" in shown
    assert "50 more" in shown
    assert "folded: the numbers agree up to rounding\n" in shown


def test_weights_that_differ_by_more_than_rounding_are_not_lumped_together() -> None:
    rounding = [
        Difference("weights", "weight", (f"c{i}",), (f"c{i}",), "1", "1", f"rounding: at most {i}e-08") for i in (1, 2)
    ]
    wrong = [
        Difference("weights", "weight", (f"d{i}",), (f"d{i}",), "1", "2", "1 of 9 differ, by 1 at most") for i in (1, 2)
    ]
    shown = printed(Differences(LEFT, RIGHT, 4, (*rounding, *wrong)))
    assert "2 × weight in rounding   at c1, c2" in shown
    assert "weight 1 against 2   d1\n" in shown
    assert "weight 1 against 2   d2\n" in shown


def test_of_very_many_the_rest_is_counted() -> None:
    many = tuple(Difference("attribute", "axis", (f"n{i}",), (f"n{i}",), str(i), "0") for i in range(200))
    shown = printed(Differences(LEFT, RIGHT, 200, many))
    assert "140 differences more: --json lists them all" in shown
    assert len(as_json(Differences(LEFT, RIGHT, 200, many))["differences"]) == 200


def test_lines_fit_the_terminal() -> None:
    long = Difference("layout", "perm", ("n" * 90,), ("m" * 90,), "(0,2,1)", "none", "word " * 60)
    for width in (60, 80, 140):
        assert all(
            len(line.plain) <= max(width, 60) + 62
            for line in differences_lines(Differences(LEFT, RIGHT, 1, (long,)), width)
        )


def test_hostile_names_are_harmless() -> None:
    difference = Difference(HOSTILE, HOSTILE, (HOSTILE, "N" * 1_000_000), (HOSTILE,), HOSTILE, HOSTILE, HOSTILE)
    inspected = Inspection(Path(HOSTILE), HOSTILE, 8, {"": 15}, {}, {}, {})
    found = Differences(inspected, inspected, 1, (difference,), (HOSTILE,), (HOSTILE,), (HOSTILE,))
    shown = printed(found)
    assert len(shown) < 6000
    assert not any(c in shown for c in "\x1b\r\u202e")
    assert not any(line.lstrip().startswith("::") for line in shown.splitlines())
    assert "##[" not in shown


def test_json_has_everything_and_is_json() -> None:
    found = Differences(LEFT, RIGHT, 1, (PADS,), ("a",), (), ("a note",))
    held = json.loads(json.dumps(as_json(found)))
    assert held["differences"] == [
        {
            "kind": "pads",
            "what": "pads",
            "left": {"nodes": ["node_Conv_9"], "has": "(1,1,1,1)"},
            "right": {"nodes": ["Conv2D"], "has": "(0,0,1,1)"},
            "says": "",
            "same": False,
        }
    ]
    assert (held["matched"], held["only_left"], held["only_right"], held["notes"]) == (1, ["a"], [], ["a note"])
    assert held["left"] == {"file": "torch.onnx", "producer": "pytorch 2.13.0", "opsets": {"": 20}, "remarks": []}


def test_json_fits_its_schema_and_every_field_is_promised() -> None:
    found = Differences(LEFT, RIGHT, 1, (PADS,), ("a",), ("b" * 10**6,), (HOSTILE,))
    document = as_json(found)
    check = jsonschema.Draft202012Validator(schema("triangulate-differences-1"))
    check.validate(document)
    assert len(json.dumps(document)) < 20_000
    for key in document:
        assert not check.is_valid({name: value for name, value in document.items() if name != key}), key
    for key in document["differences"][0]:
        broken = {name: value for name, value in document["differences"][0].items() if name != key}
        assert not check.is_valid(document | {"differences": [broken]}), key


LONG_NAME = "model." + "layers." * 40 + "conv"


def test_verbose_lists_everything_and_cuts_no_name() -> None:
    many = [Difference("attribute", "axis", (f"n{i}",), (f"n{i}",), str(i), "0") for i in range(200)]
    says = "folded: the numbers agree up to rounding ({}e-08)"
    folded = [
        Difference("operator", "folded", (f"c{i}",), (f"d{i}",), "Conv, Add", "Conv", says.format(i)) for i in range(9)
    ]
    long = Difference("pads", "pads", (LONG_NAME, *(f"m{i}" for i in range(30))), ("b",), "(1,1)", "(0,0)")
    found = Differences(LEFT, RIGHT, 1, (long, *folded, *many), (LONG_NAME, *(f"a{i}" for i in range(30))))

    def flat(text: str) -> str:
        return "".join(text.split())

    lines = "\n".join(line.plain for line in differences_lines(found, 140, verbose=True))
    for part in (*(f"n{i}" for i in range(200)), *(f"({i}e-08)" for i in range(9)), "m29", "a29"):
        assert part in lines
    assert flat(lines).count(LONG_NAME) == 2
    assert "more" not in lines
    short = printed(found)
    assert "140 differences more" not in short
    assert "more" in short
    assert LONG_NAME not in flat(short)


def test_a_long_piece_is_said_by_its_first_and_its_last_node() -> None:
    names = tuple(f"/layer/{i}/op" for i in range(81))
    piece = Difference("operator", "op", names[:21], (LONG_NAME, *names), "21 nodes (Conv 21)", "81 nodes (Conv 81)")
    shown = " ".join(printed(Differences(LEFT, RIGHT, 21, (piece,)), 200).split())
    assert "21 nodes (Conv 21) against 81 nodes (Conv 81)" in shown
    assert "/layer/0/op to /layer/20/op (21 in all) | model." in shown
    assert "…" in shown
    assert "to /layer/80/op (82 in all)" in shown
    assert "characters" not in shown


def test_hostile_names_are_harmless_where_everything_is_listed() -> None:
    difference = Difference(HOSTILE, HOSTILE, (HOSTILE, "N" * 1_000_000), (HOSTILE,), HOSTILE, HOSTILE, HOSTILE)
    inspected = Inspection(Path(HOSTILE), HOSTILE, 8, {"": 15}, {}, {}, {})
    lines = differences_lines(Differences(inspected, inspected, 1, (difference,), ("N" * 1_000_000,)), 100, True)
    shown = "\n".join(line.plain for line in lines)
    assert len(shown) < 6000
    assert not any(c in shown for c in "\x1b\r\u202e")
    assert "##[" not in shown
