"""Two graphs side by side, for people.

Design note.  One difference is one line where it fits: what kind, at which node, what either side has.  Differences
that say the same thing of many nodes (a BatchNormalization folded into each of fifty convolutions) are one line with
their number; nothing is left out of the count, and ``verbose`` lists each of them with all of its nodes.  The header
tells the two files apart, producers and opsets included; how a border is laid out and what else is no difference of the
model is in the notes.  Names are foreign text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from onnx_triangulate.records.inspection import Difference, Differences, Inspection
from onnx_triangulate.records.text import clip, prose, safe, whole
from onnx_triangulate.report.lines import LABEL, block, emit, wrapped
from onnx_triangulate.report.quantities import count

SHOWN = 60
_NAMED = 3
_ALONE = 8
_TEXT = 160
_SHORT = 60
_TOGETHER = ("rounding", "the numbers are not there")  # of weights; other numbers are no two the same
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


def differences_lines(found: Differences, width: int = 100, verbose: bool = False) -> list[Text]:
    """The comparison as finished lines for a terminal ``width`` columns wide; ``verbose`` lists everything."""
    width = max(width, 60)
    room = width - LABEL
    made = [*_header("left", found.left, width, verbose), *_header("right", found.right, width, verbose)]
    made += block("result", [Text(_result(found), "bold" if found.differences else "green")])
    groups = [[d] for d in found.differences] if verbose else _grouped(found.differences)
    kinds = list(dict.fromkeys(group[0].kind for group in groups))
    shown = groups if verbose else groups[:SHOWN]
    for kind in kinds:
        lines = [line for g in shown if g[0].kind == kind for line in _lines(g, room, verbose)]
        made += block(_WORDS.get(kind, safe(kind, 10)), lines)
    left_out = groups[len(shown) :]
    if left_out:
        made += block("and", [Text(f"{sum(map(len, left_out)):,} differences more: --json lists them all, and -v")])
    for label, names in (("only left", found.only_left), ("only right", found.only_right)):
        if names:
            listed = _some(names, len(names) if verbose else _ALONE, verbose)
            made += block(label, wrapped(f"{count(len(names), 'node')}: {listed}", room, hang=2))
    return made + block("notes", [line for note in found.notes for line in wrapped(prose(note), room, hang=2)])


def render_differences(found: Differences, console: Console, verbose: bool = False) -> None:
    """Print what two graphs have differently."""
    emit(differences_lines(found, console.width, verbose), console)


def _result(found: Differences) -> str:
    matched = (
        f"{count(found.matched, 'node')} of the left {'stand' if found.matched != 1 else 'stands'} beside the right's"
    )
    at = " at the size that both take" if found.at_one_size else ""
    if not found.differences:
        alone = len(found.only_left) + len(found.only_right)
        return f"no difference found{at}; {matched}" if not alone else f"{count(alone, 'node')} alone{at}; {matched}"
    harmless = sum(d.harmless for d in found.differences)
    same = f" ({harmless:,} of no effect on the numbers)" if harmless else ""
    return f"{count(len(found.differences), 'difference')}{at}{same}; {matched}"


def _header(label: str, inspected: Inspection, width: int, verbose: bool) -> list[Text]:
    opset = "" if inspected.opset is None else f"   opset {inspected.opset}"
    producer = f"   {whole(inspected.producer, 40, verbose)}" if inspected.producer else ""
    about = f"{opset}{producer}"
    file = "a model" if inspected.file is None else whole(inspected.file, 200, verbose)
    file = file if verbose else clip(file, max(width - LABEL - len(about), 24))
    return block(label, [Text(file, "bold") + Text(about)])


def _grouped(found: Sequence[Difference]) -> list[list[Difference]]:
    """Differences that say one thing of several nodes, together; numbers of weights are no two the same."""
    groups: dict[tuple[Any, ...], list[Difference]] = {}
    for d in found:
        told = (
            (d.message.partition(":")[0], "", "")
            if d.kind == "weights"
            else (d.message.partition("(")[0], d.left, d.right)
        )
        apart = len(groups) if d.kind == "weights" and not d.message.startswith(_TOGETHER) else -1
        groups.setdefault((d.kind, d.what, d.harmless, apart, *told), []).append(d)
    return list(groups.values())


def _lines(group: Sequence[Difference], room: int, verbose: bool) -> list[Text]:
    first = group[0]
    times = f"{len(group):,} × " if len(group) > 1 else ""
    left, right = whole(first.left, _TEXT, verbose), whole(first.right, _TEXT, verbose)
    what = whole(first.what, 40, verbose)
    if len(group) > 1 and first.kind == "weights":
        head = f"{times}{what}{' in rounding' if first.message.startswith('rounding') else ''}"
    elif first.kind == "only":
        head = f"{times}{left} on the left only" if first.left_nodes else f"{times}{right} on the right only"
    elif first.kind == "operator" and first.what in ("op", "folded", "fused"):
        head = f"{times}{left} against {right}"
    else:
        head = f"{times}{what} {left} against {right}"
    says = prose(first.message, 600 if verbose else 200) if len(group) == 1 else prose(_worst(group), 200)
    where = _where(group, verbose)
    made = wrapped(f"{head}   {where}".rstrip(), room, hang=2)
    return made + [Text("  ") + line for line in (wrapped(says, room - 2, "dim", hang=2) if says else [])]


def _worst(group: Sequence[Difference]) -> str:
    """What is said of several at once: the sentence of the first, without its numbers."""
    said = group[0].message
    return said.partition(" (")[0].partition(": at most")[0] if len({d.message for d in group}) > 1 else said


def _where(group: Sequence[Difference], verbose: bool) -> str:
    if len(group) == 1:
        return _pair(group[0], verbose)
    ends = [[_named(names[0], verbose) for names in (d.left_nodes, d.right_nodes) if names] for d in group[:_NAMED]]
    rest = len(group) - _NAMED
    return f"at {', '.join(' | '.join(dict.fromkeys(each)) for each in ends)}" + (
        f" and {rest:,} more" if rest > 0 else ""
    )


def _pair(difference: Difference, verbose: bool) -> str:
    """The nodes of both sides; of many the first and the last, which say from where to where they reach."""
    made = []
    for names in (difference.left_nodes, difference.right_nodes):
        if verbose or len(names) <= _NAMED:
            made.append(_some(names, len(names), verbose))
        else:
            made.append(f"{_named(names[0], verbose)} to {_named(names[-1], verbose)} ({len(names):,} in all)")
    left, right = made
    return left if left == right else " | ".join(text for text in made if text)


def _some(names: Sequence[str], limit: int, verbose: bool) -> str:
    rest = len(names) - limit
    return ", ".join(_named(name, verbose) for name in names[:limit]) + (f" and {rest:,} more" if rest > 0 else "")


def _named(name: str, verbose: bool) -> str:
    """A name; of a long one both ends, which tell it from others."""
    return whole(name, 200, verbose) if verbose else clip(safe(clip(name, 200)), _SHORT)
