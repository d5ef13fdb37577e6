"""Where the worlds part: a page made of a run's JSON, ``docs/divergences.md`` and ``docs/divergences.html``.

Design note.  A row is a group of cases, a column a pair of neighbours (what differs in one step), a mark one case whose
run parts there, linked to what was declared of it.  Everything on the page is in the document ``triangulate/1``, and
nothing is judged here: a mark is a blame, its reason the declaration that expected it.  A blame that nobody declared is
shown as such.  Two documents give the marks that came and went, which is what a new release changes.

``python scripts/divergences.py`` runs the catalogue; ``python scripts/divergences.py RUN.json`` takes a run that was
made; ``--against OLD.json`` prints what is otherwise and writes nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "divergences.md"
REFUSALS = ("export-failed", "unsupported")
COLUMNS: Mapping[str, str] = {
    "meaning": "The frameworks mean different things, or are given different settings.",
    "torch": "PyTorch's own kernel parts from the definition.",
    "tensorflow": "TensorFlow's own kernel parts from the definition.",
    "dynamo": "The graph of torch.onnx.export(dynamo=True) means something else, or there is none.",
    "dynamo raw": "The same without the exporter's optimizer.",
    "TorchScript": "The graph of torch.onnx.export(dynamo=False).",
    "tf2onnx": "The graph of tf2onnx, in TensorFlow's own order of axes.",
    "tf2onnx NCHW": "The same with NCHW at the border.",
    "ORT kernel": "ONNX Runtime, without optimizations, parts from the graph's definition.",
    "ORT optimizer": "ONNX Runtime's graph optimizations change the result.",
    "reference": "ONNX's reference evaluator is the odd one out.",
    "open": "ONNX does not say, a process died, or the answer varies.",
}
_EXPORTERS = {
    "torch": "dynamo",
    "torch:raw": "dynamo raw",
    "torch:script": "TorchScript",
    "tensorflow": "tf2onnx",
    "tensorflow:nchw": "tf2onnx NCHW",
}
_STEPS = {
    "semantics": "meaning",
    "parameters": "meaning",
    "kernel": "ORT kernel",
    "optimizer": "ORT optimizer",
    "reference": "reference",
}


@dataclass(frozen=True, order=True)
class Mark:
    """A case that parts at one pair of neighbours: who is blamed of what, and why that is so.

    ``declared``: the case says so in advance; otherwise ``reason`` is what was seen."""

    group: str
    case: str
    column: str
    blame: str
    party: str
    reason: str = ""
    declared: bool = True

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What tells one mark from another, whatever is said of it."""
        return (f"{self.group}/{self.case}", self.column, self.blame, self.party)

    @property
    def refuses(self) -> bool:
        """Whether there is no answer, rather than another one."""
        return self.blame in REFUSALS


def marks(document: Mapping[str, Any]) -> list[Mark]:
    """Every blame of a run as a mark."""
    found = []
    for case in document["cases"]:
        group, _, name = case["case"].partition("/")
        for blame in case["blames"]:
            declared = _declared(blame, case.get("expectations", ()))
            found.append(
                Mark(
                    group,
                    name,
                    column(blame["blame"], blame["party"]),
                    blame["blame"],
                    blame["party"],
                    declared or str(blame.get("says", "")),
                    bool(declared),
                )
            )
    return sorted(found)


def column(blame: str, party: str) -> str:
    """The pair of neighbours at which a blame is seen."""
    graph = party.partition(">")[0].removesuffix("@64")
    if blame in _STEPS:
        return _STEPS[blame]
    if blame == "folding":
        return "dynamo"
    if blame == "native" or (blame == "unsupported" and ">" not in party and graph in ("torch", "tensorflow")):
        return graph
    if blame in ("export", "export-failed") and graph in _EXPORTERS:
        return _EXPORTERS[graph]
    if blame == "unsupported":
        return "reference" if "reference" in party else "ORT kernel"
    return "open"


def _declared(blame: Mapping[str, Any], expectations: Iterable[Mapping[str, Any]]) -> str:
    """The reason with which a case declares a blame; nothing where it does not."""
    for expected in expectations:
        if expected["blame"] != blame["blame"] or expected["outcome"] != "met":
            continue
        if all(
            fnmatchcase(seen, glob) or fnmatchcase(glob, seen)
            for seen, glob in zip(blame.get("edge", ()), expected["edge"], strict=False)
        ):
            return str(expected["reason"])
    return ""


def rows(document: Mapping[str, Any]) -> dict[str, int]:
    """How many cases each group has, in the order of the run."""
    found: dict[str, int] = {}
    for case in document["cases"]:
        group = case["case"].partition("/")[0]
        found[group] = found.get(group, 0) + 1
    return found


def reasons(found: Sequence[Mark]) -> dict[str, list[tuple[str, str, str, bool]]]:
    """By case, each (blame, who, reason, whether it was declared): parties that share a reason stand together."""
    together: dict[str, dict[tuple[str, str, bool], list[str]]] = {}
    for mark in found:
        case = together.setdefault(f"{mark.group}/{mark.case}", {})
        case.setdefault((mark.blame, mark.reason, mark.declared), []).append(mark.party)
    return {
        case: [
            (blame, ", ".join(dict.fromkeys(who)), reason, declared) for (blame, reason, declared), who in said.items()
        ]
        for case, said in together.items()
    }


def summary(document: Mapping[str, Any], found: Sequence[Mark]) -> str:
    """What the page counts, in one line."""
    parting = {f"{mark.group}/{mark.case}" for mark in found if not mark.refuses}
    refused = {f"{mark.group}/{mark.case}" for mark in found} - parting
    return (
        f"{len(document['cases'])} cases in {len(rows(document))} groups: {len(parting)} with other numbers, "
        f"{len(refused)} with a refusal only, {len(document['cases']) - len(parting) - len(refused)} in agreement"
    )


def versions(document: Mapping[str, Any]) -> str:
    """The versions of everything that ran."""
    return " · ".join(f"{name} {version or 'absent'}" for name, version in document["versions"].items())


def anchor(case: str) -> str:
    """A name for a link to a case."""
    return case.replace("/", "-")


def markdown(document: Mapping[str, Any]) -> str:
    """The page."""
    found = marks(document)
    text = [
        "# Where the worlds part",
        "",
        "Made by `python scripts/divergences.py` from a run of the catalogue; a test says when it is not today's.",
        f"{summary(document, found)}.",
        "",
        f"{versions(document)}",
        "",
        "A row is a group of cases, a column a pair of neighbours, a mark a case, linked to its reason:",
        "● other numbers, ○ no answer (the exporter refuses, or an engine lacks the operator).",
        "",
        *[f"- **{name}**: {says}" for name, says in COLUMNS.items()],
        "",
        f"| group | cases | {' | '.join(COLUMNS)} |",
        f"|---|---|{'---|' * len(COLUMNS)}",
    ]
    for group, number in rows(document).items():
        cells = [" ".join(_link(mark) for mark in _one_a_case(found, group, name)) for name in COLUMNS]
        text.append(f"| [{group}](/models/{group}.py) | {number} | {' | '.join(cells)} |")
    said = reasons(found)
    for group in rows(document):
        cases = [case for case in said if case.partition("/")[0] == group]
        text += ["", f"## {group}", ""] if cases else []
        for case in cases:
            text.append(f'- <a id="{anchor(case)}"></a>**{case}**')
            for blame, who, reason, declared in said[case]:
                text.append(f"  - {blame}, {_code(who)}: {_plain(reason)}{'' if declared else ' (not declared)'}")
    return "\n".join(text) + "\n"


def _one_a_case(found: Sequence[Mark], group: str, name: str) -> list[Mark]:
    """The marks of a cell: of several blames of one case in it, that with other numbers."""
    best: dict[str, Mark] = {}
    for mark in found:
        if (mark.group, mark.column) == (group, name) and (mark.case not in best or best[mark.case].refuses):
            best[mark.case] = mark
    return list(best.values())


def _sign(mark: Mark) -> str:
    return "○" if mark.refuses else "●"


def _link(mark: Mark) -> str:
    return f'[{_sign(mark)}](#{anchor(f"{mark.group}/{mark.case}")} "{mark.case}: {mark.blame}")'


def _code(who: str) -> str:
    return ", ".join(f"`{party}`" for party in who.split(", "))


def _plain(text: str) -> str:
    """Foreign text that Markdown reads as nothing but text, in one line."""
    quoted = "".join(f"\\{c}" if c in "\\`*_[]<>|#" else c for c in " ".join(text.split()))
    return quoted if quoted else "no reason"


_HTML = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">
<title>Where the worlds part</title><style>
body{font:14px/1.45 system-ui,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;margin:24px;color:#222;background:#fff}
table{border-collapse:collapse}td,th{border:1px solid #ccc;padding:3px 8px;text-align:left;vertical-align:top}
th{position:sticky;top:0;background:#f4f4f4;font-weight:600}a{text-decoration:none}td a{margin-right:2px}
.other{color:#c0392b}.none{color:#8a6d00}
@media (prefers-color-scheme:dark){body{color:#eee;background:#161616}td,th{border-color:#444}th{background:#222}
.other{color:#ff7a66}.none{color:#f0e442}}
</style></head><body>
<h1>Where the worlds part</h1>
<p>{{ summary }}.</p><p>{{ versions }}</p>
<p>A mark is a case, linked to its reason: <span class="other">●</span> other numbers, <span class="none">○</span> no
answer.</p>
<table><thead><tr><th>group</th><th>cases</th>
{%- for name, says in columns.items() %}<th title="{{ says }}">{{ name }}</th>{% endfor %}</tr></thead><tbody>
{% for group, number, cells in rows %}<tr><td>{{ group }}</td><td>{{ number }}</td>
{%- for cell in cells %}<td>{% for mark in cell %}<a class="{{ 'none' if mark.refuses else 'other' }}"
 href="#{{ anchor(mark.group + '/' + mark.case) }}" title="{{ mark.case }}: {{ mark.blame }}">
{{- '○' if mark.refuses else '●' }}</a>{% endfor %}</td>{% endfor %}</tr>
{% endfor %}</tbody></table>
{% for case, said in reasons.items() %}<h3 id="{{ anchor(case) }}">{{ case }}</h3><ul>
{% for blame, who, reason, declared in said %}<li>{{ blame }}, <code>{{ who }}</code>: {{ reason }}
{%- if not declared %} (not declared){% endif %}</li>
{% endfor %}</ul>
{% endfor %}</body></html>
"""


def html(document: Mapping[str, Any]) -> str:
    """The page as one file that a browser shows without a network."""
    import jinja2

    found = marks(document)
    template = jinja2.Environment(autoescape=True).from_string(_HTML)
    return template.render(
        summary=summary(document, found),
        versions=versions(document),
        columns=COLUMNS,
        rows=[
            (group, number, [_one_a_case(found, group, name) for name in COLUMNS])
            for group, number in rows(document).items()
        ],
        reasons=reasons(found),
        anchor=anchor,
    )


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """What is otherwise in ``new``: versions, marks that came and marks that went, in the cases of both runs."""
    common = {case["case"] for case in old["cases"]} & {case["case"] for case in new["cases"]}
    before, after = (
        {mark.key: mark for mark in marks(document) if f"{mark.group}/{mark.case}" in common} for document in (old, new)
    )
    names = sorted({*old["versions"], *new["versions"]})
    text = [
        f"{name}: {old['versions'].get(name)} -> {new['versions'].get(name)}"
        for name in names
        if old["versions"].get(name) != new["versions"].get(name)
    ] or ["the same versions"]
    only = len({case["case"] for document in (old, new) for case in document["cases"]} - common)
    text += [f"{len(common)} cases in both" + (f", {only} in one of them, left out" if only else ""), ""]
    for title, here, there in (("came", after, before), ("went", before, after)):
        keys = [key for key in here if key not in there]
        text.append(f"{title}: {len(keys)}")
        text += [
            f"  {case}  {where}  {blame}  {party}: {here[case, where, blame, party].reason}"
            for case, where, blame, party in keys
        ]
    return "\n".join(text) + "\n"


def read(file: Path) -> dict[str, Any]:
    """The document of a run.  Raises ``SystemExit`` with one line where it is none."""
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SystemExit(f"divergences: {file}: {error}") from error
    if not isinstance(document, dict) or document.get("schema") != "triangulate/1":
        raise SystemExit(f"divergences: {file}: not a report of triangulate verify --json")
    return document


def _run() -> dict[str, Any]:
    from onnx_triangulate.cli.supervisor import verify
    from onnx_triangulate.report.documents import write_json
    from onnx_triangulate.verification.session import Options

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "run.json"
        write_json(verify((), Options()), file)
        return read(file)


def write(document: Mapping[str, Any], page: Path) -> None:
    """Write both pages, each through a temporary name."""
    from onnx_triangulate.report.files import write_text

    page.parent.mkdir(parents=True, exist_ok=True)
    write_text(markdown(document), page)
    write_text(html(document), page.with_suffix(".html"))


def main(arguments: Sequence[str]) -> int:
    """Write the pages, or print what is otherwise than in an older run."""
    parser = argparse.ArgumentParser(description="Where the worlds part, from a run of triangulate verify.")
    parser.add_argument("run", nargs="?", type=Path, metavar="RUN.json", help="a run; without, the catalogue is run")
    parser.add_argument("--against", type=Path, metavar="OLD.json", help="print what is otherwise than in this run")
    parser.add_argument("--out", type=Path, default=PAGE, metavar="PAGE", help="the page; HTML is written beside it")
    given = parser.parse_args(arguments)
    document = read(given.run) if given.run else _run()
    if given.against is not None:
        print(changes(read(given.against), document), end="")
        return 0
    write(document, given.out)
    print(f"{given.out}: {summary(document, marks(document))}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
