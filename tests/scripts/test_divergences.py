"""The page of divergences: every blame is a mark in its column, with its reason; the page that is kept is today's."""

from __future__ import annotations

import copy
import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from scripts.divergences import COLUMNS, PAGE, changes, column, html, main, markdown, marks


def blamed(blame: str, party: str, edge: tuple[str, str], says: str = "seen") -> dict[str, Any]:
    return {"blame": blame, "party": party, "edge": edge, "op": None, "nodes": [], "says": says}


def declared(blame: str, edge: tuple[str, str], reason: str, outcome: str = "met") -> dict[str, Any]:
    return {"blame": blame, "edge": edge, "reason": reason, "outcome": outcome}


def document(**cases: tuple[list[dict[str, Any]], list[dict[str, Any]]]) -> dict[str, Any]:
    return {
        "schema": "triangulate/1",
        "versions": {"torch": "2.13.0", "tensorflow": None},
        "cases": [
            {"case": name.replace("__", "/"), "blames": blames, "expectations": expectations}
            for name, (blames, expectations) in cases.items()
        ],
    }


MEANING = (
    [blamed("semantics", "tensorflow|torch", ("tensorflow", "torch"))],
    [declared("semantics", ("tensorflow", "torch"), "SAME pads after | the end <b>")],
)
EXPORT = (
    [
        blamed("export", "torch", ("torch", "torch>*")),
        blamed("export", "torch:raw", ("torch", "torch:raw>*")),
        blamed("export-failed", "tensorflow", ("tensorflow", "tensorflow>*"), "no such operator"),
    ],
    [declared("export", ("torch", "torch*>*"), "training is lost")],
)
RUN = document(pool__even=MEANING, pool__odd=([], []), norm__training=EXPORT)


@pytest.mark.parametrize(
    ("blame", "party", "expected"),
    [
        ("semantics", "tensorflow|torch", "meaning"),
        ("parameters", "tensorflow|torch", "meaning"),
        ("native", "torch", "torch"),
        ("native", "tensorflow@64", "tensorflow"),
        ("unsupported", "tensorflow", "tensorflow"),
        ("export", "torch:script", "TorchScript"),
        ("export-failed", "tensorflow:nchw", "tf2onnx NCHW"),
        ("folding", "torch", "dynamo"),
        ("kernel", "torch>ort.off", "ORT kernel"),
        ("optimizer", "tensorflow>ort.all", "ORT optimizer"),
        ("reference", "torch>reference", "reference"),
        ("unsupported", "torch:raw>reference", "reference"),
        ("unsupported", "torch>ort.all", "ORT kernel"),
        ("unspecified", "torch>ort.off", "open"),
        ("conditioning", "torch", "open"),
        ("a-users-own-step", "torch>own", "open"),
    ],
)
def test_every_blame_has_its_column(blame: str, party: str, expected: str) -> None:
    assert column(blame, party) == expected
    assert expected in COLUMNS


def test_a_mark_has_the_reason_that_was_declared_or_says_that_none_was() -> None:
    found = {(m.case, m.party): (m.reason, m.declared) for m in marks(RUN)}
    assert found == {
        ("even", "tensorflow|torch"): ("SAME pads after | the end <b>", True),
        ("training", "torch"): ("training is lost", True),
        ("training", "torch:raw"): ("training is lost", True),
        ("training", "tensorflow"): ("no such operator", False),
    }
    stale = copy.deepcopy(RUN)
    stale["cases"][0]["expectations"][0]["outcome"] = "not applicable"
    assert not next(mark for mark in marks(stale) if mark.case == "even").declared


def test_the_page_shows_each_mark_in_its_column_linked_to_its_reason() -> None:
    text = markdown(RUN)
    assert "3 cases in 2 groups: 2 with other numbers, 0 with a refusal only, 1 in agreement." in text
    assert "tensorflow absent" in text
    heads = next(line for line in text.splitlines() if line.startswith("| group")).split(" | ")
    row = next(line for line in text.splitlines() if line.startswith("| [norm]")).split(" | ")
    cells = dict(zip(heads, row, strict=True))
    assert cells["dynamo"] == '[●](#norm-training "training: export")'
    assert cells["tf2onnx"] == '[○](#norm-training "training: export-failed")'
    assert not cells["meaning"].strip()
    assert '<a id="norm-training"></a>**norm/training**' in text
    assert "- export, `torch`, `torch:raw`: training is lost\n" in text
    assert "no such operator (not declared)" in text
    assert "SAME pads after \\| the end \\<b\\>" in text, "what is foreign is read as Markdown"
    links, targets = set(re.findall(r"\(#([^ )]+)", text)), set(re.findall(r'<a id="([^"]+)"', text))
    assert links == targets != set()


def test_the_same_stands_on_the_page_for_a_browser() -> None:
    text = html(RUN)
    assert "SAME pads after | the end &lt;b&gt;" in text
    body = re.sub(r"<!DOCTYPE html>|<meta[^>]*>", "", text)
    table = ET.fromstring(body).find(".//table")
    assert table is not None
    links = [a.get("href") for a in table.iter("a")]
    assert links == ["#pool-even", "#norm-training", "#norm-training", "#norm-training"]
    assert all(f'id="{str(link)[1:]}"' in text for link in links)


def test_two_runs_are_told_apart_by_the_marks_that_came_and_went() -> None:
    new = copy.deepcopy(RUN)
    new["versions"]["torch"] = "2.14.0"
    new["cases"][2]["blames"] = new["cases"][2]["blames"][1:]
    new["cases"][1]["blames"] = [blamed("kernel", "torch>ort.off", ("torch>reference", "torch>ort.off"), "off by one")]
    new["cases"].append({"case": "new/one", "blames": [blamed("native", "torch", ("truth", "torch"))]})
    assert changes(RUN, new).splitlines() == [
        "torch: 2.13.0 -> 2.14.0",
        "3 cases in both, 1 in one of them, left out",
        "",
        "came: 1",
        "  pool/odd  ORT kernel  kernel  torch>ort.off: off by one",
        "went: 1",
        "  norm/training  dynamo  export  torch: training is lost",
    ]
    assert changes(RUN, RUN).splitlines()[-2:] == ["came: 0", "went: 0"]


def test_the_script_writes_both_pages_and_refuses_what_is_no_run(tmp_path: Path, capsys: Any) -> None:
    run, other = tmp_path / "run.json", tmp_path / "other.json"
    run.write_text(json.dumps(RUN))
    other.write_text("{}")
    page = tmp_path / "docs" / "page.md"
    assert main([str(run), "--out", str(page)]) == 0
    assert page.read_text() == markdown(RUN)
    assert page.with_suffix(".html").read_text() == html(RUN)
    assert main([str(run), "--against", str(run), "--out", str(tmp_path / "none.md")]) == 0
    assert "came: 0" in capsys.readouterr().out
    assert not (tmp_path / "none.md").exists()
    for file in (other, tmp_path / "absent.json"):
        with pytest.raises(SystemExit, match=rf"divergences: .*{file.name}"):
            main([str(file)])


def without_versions(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("onnx-triangulate ")]


def test_the_page_is_todays(catalogue: Any) -> None:
    """Versions apart: which of them ran is said on the page, and a patch release changes nothing else."""
    today = markdown(catalogue.report)
    assert without_versions(PAGE.read_text(encoding="utf-8")) == without_versions(today), (
        "run python scripts/divergences.py"
    )
    assert all(mark.declared for mark in marks(catalogue.report))
    planted = copy.deepcopy(catalogue.report)
    next(case for case in planted["cases"] if case["case"] == "conv2d/even_input")["blames"] = []
    assert without_versions(markdown(planted)) != without_versions(today)
    assert len(marks(planted)) == len(marks(catalogue.report)) - 1
