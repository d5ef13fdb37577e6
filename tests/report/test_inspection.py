"""What ``inspect`` says: one screen for people, a document for programs, harmless whatever the names are."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from rich.console import Console

from onnx_triangulate.records.graphs import Pads, Transpose
from onnx_triangulate.records.inspection import Diagnostic, Inspection, LayoutReshape, SizeSummary, WeightLayout
from onnx_triangulate.report.documents import LONGEST, as_json, name, schema
from onnx_triangulate.report.inspection import render_inspection
from onnx_triangulate.report.serializer import to_text

WIDTHS = (80, 100, 140)


def screen(found: Inspection, width: int = 100, verbose: bool = False) -> list[str]:
    console = Console(record=True, width=width, file=io.StringIO())
    render_inspection(found, console, verbose)
    return console.export_text().splitlines()


def conv() -> Inspection:
    return Inspection(
        file=Path("run/tensorflow.onnx"),
        producer="tf2onnx 1.17.0",
        ir_version=10,
        opsets={"": 20, "ai.onnx.ml": 3},
        inputs={"x": "float32[N,2,6,6]"},
        outputs={"y": "float32[N,2,3,3]"},
        ops={"Transpose": 2, "Conv": 1},
        initializers=1,
        parameters=54,
        stored=(SizeSummary("float32", 1, 54, 216),),
        pads=(Pads("Conv2D", "Conv", (0, 0), (1, 1), "SAME_UPPER", False),),
        layouts={"x": "NCHW"},
        transposes=(
            Transpose("transpose_0", (0, 3, 1, 2), "NHWC->NCHW"),
            Transpose("transpose_1", (0, 2, 3, 1), "NCHW->NHWC"),
        ),
        diagnostics=(
            Diagnostic("STR001", "info", (), "nodes without a name"),
            Diagnostic("PAD001", "warning", ("Conv2D",), "pads more after than before"),
            Diagnostic("PAD001", "warning", ("Conv2D_1",), "pads more after than before, again"),
        ),
        notes=("one local function",),
    )


def test_a_graph_on_one_screen() -> None:
    lines = screen(conv())
    text = "\n".join(lines)
    for part in (
        "run/tensorflow.onnx   ir 10, opset 20, ai.onnx.ml 3   producer tf2onnx 1.17.0",
        "x float32[N,2,6,6]",
        "3 nodes: Transpose 2, Conv 1",
        "1 initializer with 54 parameters",
        "stored: float32 216 B (54 in 1 tensor)",
        "layouts of values: NCHW 1",
        "Conv  Conv2D  before 0 0  after 1 1  asymmetric, auto_pad SAME_UPPER",
        "transpose_0  (0, 3, 1, 2)  NHWC->NCHW",
        "PAD001 warning × 2  pads more after than before (Conv2D, Conv2D_1)",
        "STR001 info  nodes without a name",
        "one local function",
    ):
        assert part in text
    assert text.index("PAD001") < text.index("STR001")
    assert len(lines) <= 20


def test_what_is_alike_is_said_once() -> None:
    weights = tuple(WeightLayout(f"w{i}", f"c{i}", "OIHW", "as Conv reads it") for i in range(30))
    reshapes = (LayoutReshape("r1", "keeps"), LayoutReshape("r2", "scrambles", None, "an order that was not meant"))
    text = "\n".join(screen(replace(conv(), weights=weights, reshapes=reshapes)))
    assert "30 × OIHW: as Conv reads it (w0, w1, w2 and 27 more)" in text
    assert "scrambles: an order that was not meant (r2)" in text
    assert text.index("scrambles") < text.index("keeps (r1)")


def test_what_only_some_records_know_is_shown() -> None:
    pads = replace(
        Pads("Conv2D", "Conv", (0, 0), (1, 1), "NOTSET", False),
        with_pad=((1, 1), (2, 2)),
        unread=(1, 0),
        torch="F.pad(x, (1, 2, 1, 2)), padding=0",
        keras="ZeroPadding2D(((1, 2), (1, 2)))",
    )
    step = replace(Transpose("transpose_0", (0, 3, 1, 2), "NHWC->NCHW"), cancels_with=("transpose_1",), bytes=2**21)
    found = replace(conv(), pads=(pads,), transposes=(step,))
    text = "\n".join(screen(found, 140))
    assert "with the Pad in front 1 1 before, 2 2 after" in text
    assert "never read at the end: 1 0" in text
    assert "torch F.pad(x, (1, 2, 1, 2)), padding=0 · keras ZeroPadding2D(((1, 2), (1, 2)))" in text
    assert "cancels with transpose_1, 2 MiB" in text
    document = as_json(found)
    assert document["pads"][0]["with_pad"] == {"begin": [1, 1], "end": [2, 2]}
    assert document["pads"][0]["torch"] == "F.pad(x, (1, 2, 1, 2)), padding=0"
    assert (document["transposes"][0]["cancels_with"], document["transposes"][0]["bytes"]) == (["transpose_1"], 2**21)
    CHECK.validate(document)


def test_unknown_padding_is_not_called_symmetric() -> None:
    pads = (
        Pads("a", "Conv", None, None, "SAME_UPPER", None, "input shape unknown"),
        Pads("b", "MaxPool", (0, 0), (0, 0), "VALID", True),
        Pads("c", "AveragePool", (1, 0), (0, 1), "NOTSET", False),
    )
    text = " ".join(" ".join(screen(replace(conv(), pads=pads))).split())
    assert "before ? after ? unknown, auto_pad SAME_UPPER, input shape unknown" in text
    assert "before 0 0 after 0 0 none, auto_pad VALID" in text
    assert "before 1 0 after 0 1 asymmetric" in text


def large() -> Inspection:
    return replace(
        conv(),
        pads=tuple(Pads(f"/model/layers.{i}/Conv", "Conv", (i % 50, 0), (0, 1), "NOTSET", False) for i in range(300)),
        transposes=tuple(Transpose(f"/model/layers.{i}/Transpose", (1, 0), "other") for i in range(300)),
        ops={f"Operator{i}": 300 - i for i in range(60)},
        inputs={f"past_key_values.{i}.key": "float32[batch,8,past,64]" for i in range(60)},
        diagnostics=tuple(
            Diagnostic(f"PAD{i % 40:03d}", "warning", (f"n{i}",), f"a sentence, {i}") for i in range(400)
        ),
        notes=tuple(f"a note {i}" for i in range(100)),
    )


@pytest.mark.parametrize("width", WIDTHS)
def test_a_large_graph_stays_on_one_screen(width: int) -> None:
    lines = screen(large(), width)
    assert len(lines) <= (50 if width < 100 else 42)
    text = " ".join(" ".join(lines).split())
    for rest in ("and 44 kinds more", "and 296 more: 296 × other", "and 30 codes more", "and 96 more", "and 56 more"):
        assert rest in text
    assert all(len(line) <= width for line in lines)


def test_verbose_lists_everything() -> None:
    lines = screen(large(), 140, verbose=True)
    text = "\n".join(lines)
    for i in (0, 150, 299):
        assert f"/model/layers.{i}/Conv " in text
        assert f"/model/layers.{i}/Transpose" in text
        assert f"a sentence, {i} (n{i})" in text
    assert "a note 99" in text
    assert "past_key_values.59.key" in " ".join(text.split())


def test_what_is_uneven_or_unknown_comes_first() -> None:
    even = [Pads(f"e{i}", "Conv", (i, i), (i, i), "NOTSET", True) for i in range(20)]
    odd = [
        Pads("odd", "Conv", (0, 0), (1, 1), "NOTSET", False),
        Pads("unknown", "Conv", None, None, "SAME_LOWER", None),
    ]
    lines = [line for line in screen(replace(conv(), pads=(*even, *odd))) if "before" in line]
    assert "odd" in lines[0] + lines[1]
    assert "unknown" in lines[0] + lines[1]


CHECK = jsonschema.Draft202012Validator(schema("triangulate-inspect-1"))


def closed(part: Any) -> Any:
    """A schema that takes no property it does not name."""
    if isinstance(part, list):
        return [closed(each) for each in part]
    if not isinstance(part, dict):
        return part
    made = {key: closed(value) for key, value in part.items()}
    return made | {"additionalProperties": False} if isinstance(part.get("properties"), dict) else made


def test_the_document_fits_its_schema_and_the_schema_has_no_more(samples: Any) -> None:
    check = jsonschema.Draft202012Validator(closed(schema("triangulate-inspect-1")))
    for found in (conv(), samples.inspected(), replace(conv(), file=None)):
        document = json.loads(to_text(as_json(found)))
        check.validate(document)
        for key in document:
            assert not check.is_valid({k: v for k, v in document.items() if k != key}), f"{key} may be left out"
    for key in ("pads", "transposes", "reshapes", "weights", "remarks", "stored", "inner"):
        document = as_json(samples.inspected())
        del document[key][0][next(iter(document[key][0]))]
        assert not check.is_valid(document), key


def test_the_document_has_what_was_promised() -> None:
    document = as_json(conv())
    assert document["schema"] == "triangulate-inspect/1"
    pads = document["pads"][0]
    assert [pads[key] for key in ("node", "op", "begin", "end", "auto_pad", "symmetric", "torch", "keras")] == [
        "Conv2D", "Conv", [0, 0], [1, 1], "SAME_UPPER", False, None, None,
    ]  # fmt: skip
    transpose = document["transposes"][0]
    assert [transpose[key] for key in ("node", "perm", "kind", "cancels_with", "bytes")] == [
        "transpose_0", [0, 3, 1, 2], "NHWC->NCHW", [], None,
    ]  # fmt: skip
    assert document["remarks"][1] == {
        "code": "PAD001",
        "severity": "warning",
        "nodes": ["Conv2D"],
        "says": "pads more after than before",
    }


def test_hostile_names_do_not_reach_the_terminal(samples: Any) -> None:
    for evil in samples.evil:
        for verbose in (False, True):
            lines = screen(samples.inspected(evil), 100, verbose)
            assert all(line.isprintable() and not line.lstrip().startswith("::") for line in lines), evil[:40]
            assert not any("##[" in line for line in lines)
            assert len(lines) <= 90
            assert sum(map(len, lines)) < 9000


def test_hostile_names_are_ascii_in_the_document_and_of_bounded_length(samples: Any, strictly: Any) -> None:
    keys = list(as_json(samples.inspected("name")))
    for evil in samples.evil:
        found = samples.inspected(evil)
        text = to_text(as_json(found))
        assert all(character == "\n" or " " <= character <= "~" for character in text)
        assert "##[" not in text
        assert not any(line.lstrip(' "').startswith("::") and '"' not in line for line in text.splitlines())
        assert len(text) < 200_000
        document = strictly(text)
        assert list(document) == keys
        CHECK.validate(document)
        assert document["pads"][0]["node"] == name(evil)
        if len(evil) <= LONGEST:
            assert document["pads"][0]["node"] == evil


def test_long_names_stay_apart() -> None:
    one, other = "n" * 3000 + "1", "n" * 3000 + "2"
    assert name(one) != name(other)
    assert len(name(one)) < LONGEST + 60
    assert name("n" * LONGEST) == "n" * LONGEST
    found = replace(conv(), inputs={one: "a", other: "b"})
    assert list(as_json(found)["inputs"].values()) == ["a", "b"]


def test_verbose_cuts_no_name_that_is_meant_to_be_read() -> None:
    long = "model." + "layers." * 60 + "conv"
    found = replace(
        conv(),
        producer=long + "p",
        opsets={f"{long}{i}": i for i in range(9)},
        inputs={long + "x": "float32[N]"},
        ops={f"{long}op": 3},
        external=(long + ".data",),
        pads=(Pads(long + "pads", "Conv", (0, 0), (1, 1), "NOTSET", False),),
        transposes=(Transpose(long + "t", (1, 0), "other", cancels_with=tuple(f"{long}{i}c" for i in range(9))),),
        weights=tuple(WeightLayout(f"{long}{i}w", f"c{i}", "OIHW", "as Conv reads it") for i in range(9)),
        diagnostics=(Diagnostic("PAD001", "warning", (long + "r",), "a sentence"),),
    )  # fmt: skip
    verbose = "".join("".join(screen(found, 140, verbose=True)).split())
    parts = ("p", "x", "op", ".data", "pads", "t", "r", *(f"{i}c" for i in range(9)), *(f"{i}w" for i in range(9)))
    assert all(long + part in verbose for part in parts)
    assert all(f"{long}{i}{i}" in verbose for i in range(9))
    assert "more" not in verbose
    assert "characters)" not in verbose
    assert long not in "".join("".join(screen(found, 140)).split())
