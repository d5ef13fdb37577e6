"""Two graphs side by side, for people and for programs.

Design note.  One difference is one line where it fits: what kind, at which node, what either side has.  Differences
that say the same thing of many nodes (a BatchNormalization folded into each of fifty convolutions) are one line with
their number; nothing is left out of the count.  The header tells the two files apart, producers and opsets included;
how a border is laid out and what else is no difference of the model is in the notes.  Names are foreign text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from pipeline.inspection import Difference, Differences, Inspection
from pipeline.report.inspection_json import name
from pipeline.report.lines import LABEL, emit
from pipeline.report.text import clip, prose, safe, wrap
from pipeline.report.words import count

SHOWN = 60
_NAMED = 3
_TEXT = 160
_SHORT = 60
_WORDS = {
    "pads": "pads",
    "layout": "layout",
    "attribute": "attribute",
    "operator": "operator",
    "weights": "weights",
    "type": "type",
    "border": "border",
    "only": "only",
}


def differences_lines(found: Differences, width: int = 100) -> list[Text]:
    """The comparison as finished lines for a terminal ``width`` columns wide."""
    width = max(width, 60)
    room = width - LABEL
    made = [*_header("left", found.left, width), *_header("right", found.right, width)]
    made += _block("result", [Text(_result(found), "bold" if found.differences else "green")])
    groups = _grouped(found.differences)
    kinds = list(dict.fromkeys(group[0].kind for group in groups))
    left_out = groups[SHOWN:]
    for kind in kinds:
        lines = [line for g in groups[:SHOWN] if g[0].kind == kind for line in _lines(g, room)]
        made += _block(_WORDS.get(kind, safe(kind, 10)), lines)
    if left_out:
        made += _block("and", [Text(f"{sum(map(len, left_out)):,} differences more: --json lists them all")])
    for label, names in (("only left", found.only_left), ("only right", found.only_right)):
        if names:
            made += _block(label, _wrapped(f"{count(len(names), 'node')}: {_some(names, 8)}", room))
    return made + _block("notes", [line for note in found.notes for line in _wrapped(prose(note), room)])


def render_differences(found: Differences, console: Console) -> None:
    """Print what two graphs have differently."""
    emit(differences_lines(found, console.width), console)


def differences_json(found: Differences) -> dict[str, Any]:
    """The comparison as the document ``triangulate-differences/1``, every difference of it."""
    return {
        "schema": "triangulate-differences/1",
        "left": _side(found.left),
        "right": _side(found.right),
        "matched": found.matched,
        "differences": [
            {
                "kind": d.kind,
                "what": name(d.what),
                "left": {"nodes": [name(n) for n in d.nodes], "has": name(d.left)},
                "right": {"nodes": [name(n) for n in d.others], "has": name(d.right)},
                "says": name(d.says),
                "same": d.same,
            }
            for d in found.differences
        ],
        "only_left": [name(n) for n in found.only_left],
        "only_right": [name(n) for n in found.only_right],
        "notes": [name(n) for n in found.notes],
        "at_one_size": found.at_one_size,
    }


def _side(inspected: Inspection) -> dict[str, Any]:
    """One of the two; what else there is of it is in its own document."""
    return {
        "file": None if inspected.file is None else name(inspected.file),
        "producer": name(inspected.producer),
        "opsets": {name(domain): version for domain, version in inspected.opsets.items()},
        "remarks": [
            {"code": r.code, "severity": r.severity, "nodes": [name(n) for n in r.nodes], "says": name(r.says)}
            for r in inspected.remarks
        ],
    }


def _result(found: Differences) -> str:
    matched = (
        f"{count(found.matched, 'node')} of the left {'stand' if found.matched != 1 else 'stands'} beside the right's"
    )
    at = " at the size that both take" if found.at_one_size else ""
    if not found.differences:
        alone = len(found.only_left) + len(found.only_right)
        return f"no difference found{at}; {matched}" if not alone else f"{count(alone, 'node')} alone{at}; {matched}"
    harmless = sum(d.same for d in found.differences)
    same = f" ({harmless:,} of no effect on the numbers)" if harmless else ""
    return f"{count(len(found.differences), 'difference')}{at}{same}; {matched}"


def _header(label: str, inspected: Inspection, width: int) -> list[Text]:
    opset = "" if inspected.opset is None else f"   opset {inspected.opset}"
    producer = f"   {safe(inspected.producer, 40)}" if inspected.producer else ""
    about = f"{opset}{producer}"
    file = "a model" if inspected.file is None else safe(inspected.file)
    return _block(label, [Text(clip(file, max(width - LABEL - len(about), 24)), "bold") + Text(about)])


def _grouped(found: Sequence[Difference]) -> list[list[Difference]]:
    """Differences that say one thing of several nodes, together; numbers of weights are no two the same."""
    groups: dict[tuple[Any, ...], list[Difference]] = {}
    for d in found:
        told = (
            (d.says.partition(":")[0], "", "") if d.kind == "weights" else (d.says.partition("(")[0], d.left, d.right)
        )
        told_of = d.says.startswith(("rounding", "the numbers are not there"))
        apart = len(groups) if d.kind == "weights" and not told_of else -1
        groups.setdefault((d.kind, d.what, d.same, apart, *told), []).append(d)
    return list(groups.values())


def _lines(group: Sequence[Difference], room: int) -> list[Text]:
    first = group[0]
    times = f"{len(group):,} × " if len(group) > 1 else ""
    left, right = safe(first.left, _TEXT), safe(first.right, _TEXT)
    if len(group) > 1 and first.kind == "weights":
        what = f"{safe(first.what, 40)} in rounding" if first.says.startswith("rounding") else safe(first.what, 40)
        head = f"{times}{what}"
    elif first.kind == "only":
        head = f"{times}{left} on the left only" if first.nodes else f"{times}{right} on the right only"
    elif first.kind == "operator" and first.what in ("op", "folded", "fused"):
        head = f"{times}{left} against {right}"
    else:
        head = f"{times}{safe(first.what, 40)} {left} against {right}"
    says = prose(first.says, 200) if len(group) == 1 else prose(_worst(group), 200)
    where = _where(group)
    made = _wrapped(f"{head}   {where}".rstrip(), room)
    return made + [Text("  ") + line for line in (_wrapped(says, room - 2, "dim") if says else [])]


def _worst(group: Sequence[Difference]) -> str:
    """What is said of several at once: the sentence of the first, without its numbers."""
    said = group[0].says
    return said.partition(" (")[0].partition(": at most")[0] if len({d.says for d in group}) > 1 else said


def _where(group: Sequence[Difference]) -> str:
    if len(group) == 1:
        return _pair(group[0])
    ends = [[clip(safe(names[0]), _SHORT) for names in (d.nodes, d.others) if names] for d in group[:_NAMED]]
    rest = len(group) - _NAMED
    return f"at {', '.join(' | '.join(dict.fromkeys(each)) for each in ends)}" + (
        f" and {rest:,} more" if rest > 0 else ""
    )


def _pair(difference: Difference) -> str:
    left, right = _some(difference.nodes, _NAMED), _some(difference.others, _NAMED)
    return left if left == right else " | ".join(name for name in (left, right) if name)


def _some(names: Sequence[str], limit: int) -> str:
    rest = len(names) - limit
    return ", ".join(safe(name, 60) for name in names[:limit]) + (f" and {rest:,} more" if rest > 0 else "")


def _wrapped(text: str, width: int, style: str = "") -> list[Text]:
    return [Text(line, style) for line in wrap(text, width, 2)]


def _block(label: str, content: Sequence[Text]) -> list[Text]:
    """Lines beside a label, as the other reports have them."""
    if not content:
        return []
    head = Text("  ") + Text(f"{label:<{LABEL - 4}}", "dim") + Text("  ")
    made = [head + content[0], *(Text(" " * LABEL) + line for line in content[1:])]
    for line in made:
        line.rstrip()
    return made
