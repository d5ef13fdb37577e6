"""The report of ``inspect`` for people: one screen.

Design note.  The screen answers what people open a file for, in the order in which they ask: what it is, what goes in
and out, what it holds, then what is padded, transposed and remarkable.  Long lists are counted, what is alike is one
row, and what is out of the ordinary comes first; ``verbose`` lists everything, and cuts no name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import islice

from rich.console import Console
from rich.text import Text

from onnx_triangulate.records.graphs import Pads, Transpose
from onnx_triangulate.records.inspection import SEVERITIES, Diagnostic, Inspection, LayoutReshape, Severity
from onnx_triangulate.records.text import clip, prose, safe, whole
from onnx_triangulate.report.lines import LABEL, Cell, block, columns, emit, fits, more, wrapped
from onnx_triangulate.report.quantities import axes, count, shape_of_padding, size

SHOWN = 6  # kinds of padding
CODES = 10
OPS = 12
FEW = 4  # of everything else
NAMED = 3  # in one line
LONG = 600  # characters of a sentence
STYLES = {"error": "bold red", "warning": "yellow", "info": "cyan"}

Table = list[list[Cell]]


def effect(pads: Pads, whole: bool = False) -> str:
    """What a node's padding does beyond its numbers, in a few words.

    Where a Pad is counted in, the note says once more, with that Pad's name, what it does: only the ``whole`` has it.
    """
    said = [shape_of_padding(pads)]
    if pads.auto_pad not in ("NOTSET", ""):
        said.append(f"auto_pad {safe(pads.auto_pad, 20)}")
    extra, together, unread = pads.extra, pads.with_pad, pads.unread
    if extra and any(extra):
        said.append(f"{axes(extra)} added after")
    if together and together != (pads.begin, pads.end):
        said.append(f"with the Pad in front {axes(together[0])} before, {axes(together[1])} after")
    if unread and any(unread):
        said.append(f"never read at the end: {' '.join('?' if n is None else str(int(n)) for n in unread)}")
    note = pads.note if whole or not together else ""
    said += [prose(text, LONG if whole else 160) for text in (pads.condition, note) if text]
    return ", ".join(said)


def spellings(pads: Pads) -> list[tuple[str, str]]:
    """The frameworks that can spell this padding, and how."""
    return [(name, prose(said, 200)) for name, said in (("torch", pads.torch), ("keras", pads.keras)) if said]


def _said(pads: Pads) -> tuple[object, ...]:
    """All of what the short report says of a node's padding; of thousands of nodes, few differ in it."""
    note = "" if pads.with_pad else pads.note
    sides = (pads.op, pads.begin, pads.end, pads.symmetric, pads.auto_pad)
    return (*sides, pads.extra, pads.with_pad, pads.unread, pads.condition, note, pads.torch, pads.keras)


def worst_first(remarks: Sequence[Diagnostic]) -> dict[tuple[Severity, str], list[Diagnostic]]:
    """Remarks by severity and code, the worst and the most frequent first."""
    found: dict[tuple[Severity, str], list[Diagnostic]] = {}
    for remark in remarks:
        found.setdefault((remark.severity, remark.code), []).append(remark)
    return dict(sorted(found.items(), key=lambda item: (-SEVERITIES.index(item[0][0]), -len(item[1]), item[0][1])))


def _head(found: Inspection, width: int, verbose: bool) -> list[Text]:
    known = sorted(found.opsets.items())
    opsets = [f"{whole(domain, 24, verbose)} {version}" if domain else f"opset {version}" for domain, version in known]
    about = f"   ir {found.ir_version}, {more(opsets, len(opsets) if verbose else 4) if opsets else 'no opset'}"
    producer = f"   producer {whole(found.producer, 60, verbose)}" if found.producer else ""
    file = "a model in memory" if found.file is None else whole(found.file, 200, verbose)
    head = Text(file if verbose else clip(file, max(width - len(about) - len(producer), 24)), "bold")
    if len(head.plain) + len(about) + len(producer) <= width:
        return [head + Text(about) + Text(producer)]
    return [head, *block("is", wrapped((about + producer).strip(), width - LABEL, hang=2))]


def _border(found: Inspection, room: int, verbose: bool) -> list[Text]:
    made: list[Text] = []
    for label, values in (("inputs", found.inputs), ("outputs", found.outputs)):
        limit = len(values) if verbose else FEW
        shown = islice(values.items(), limit)
        listed = [f"{whole(name, 40, verbose)} {whole(kind, 60, verbose)}" for name, kind in shown]
        listed += [""] * (len(values) - len(listed))  # those that are only counted
        made += block(label, wrapped(more(listed, limit) if listed else "none", room, hang=2))
    return made


def _holds(found: Inspection, room: int, verbose: bool) -> list[Text]:
    ordered = sorted(found.ops.items(), key=lambda item: (-item[1], item[0]))
    named = [f"{whole(op, 24, verbose)} {number:,}" for op, number in ordered]
    limit = len(named) if verbose else OPS
    nodes = f"{count(sum(found.ops.values()), 'node')}: {more(named, limit)}" if named else "no nodes"
    weights = f"{count(found.initializers, 'initializer')} with {count(found.parameters, 'parameter')}"
    made = [nodes, weights]
    kinds = []
    for stored in found.stored:
        outside = f", {size(stored.external)} of them in other files" if stored.external else ""
        kinds.append(
            f"{safe(stored.dtype, 20)} {size(stored.bytes)} ({stored.elements:,} in {count(stored.tensors, 'tensor')}"
            f"{outside})"
        )
    made += ["stored: " + more(kinds, len(kinds) if verbose else FEW)] if kinds else []
    if found.external:
        files = [whole(file, 80, verbose) for file in found.external]
        made.append("in other files: " + more(files, len(files) if verbose else NAMED))
    if found.inner:
        inner = [
            f"{whole(i.path, 60, verbose)} ({count(i.nodes, 'node')}, {count(i.calls, 'call')})" for i in found.inner
        ]
        kind = Counter(i.kind for i in found.inner)
        said = " and ".join(count(number, name) for name, number in kind.items())
        made.append(f"inside: {said}: {more(inner, len(inner) if verbose else NAMED)}")
    if found.layouts:
        layouts = [f"{safe(layout, 16)} {number:,}" for layout, number in Counter(found.layouts.values()).most_common()]
        made.append(f"layouts of values: {more(layouts, len(layouts) if verbose else SHOWN)}")
    return block("holds", [line for text in made for line in wrapped(text, room, hang=2)])


def _pads(found: Inspection, room: int, verbose: bool) -> list[Text]:
    """The kinds of padding with the node they are at (or how many), the uneven and the unknown first."""
    kinds: dict[object, list[Pads]] = {}
    for pads in found.pads:
        kinds.setdefault(pads if verbose else _said(pads), []).append(pads)
    ordered = list(kinds.values())
    if not verbose:
        ordered = sorted(ordered, key=lambda alike: (alike[0].symmetric is True, -len(alike)))[:SHOWN]
    table: Table = []
    for alike in ordered:
        one = alike[0]
        node = _named(one.node, max(room - 62, 20), verbose)
        op = (f"{len(alike):,} × " if len(alike) > 1 else "") + whole(one.op, 30, verbose)
        table.append([op, node, f"before {axes(one.begin)}", f"after {axes(one.end)}", effect(one, verbose)])
    lines = columns(table)
    shown: list[Text] = []
    for alike, row, line in zip(ordered, table, lines, strict=True):
        shown += [line] if fits([line], room) else wrapped("  ".join(map(str, row)), room, hang=2)
        said = " · ".join(f"{name} {text}" for name, text in spellings(alike[0]))
        shown += [Text("  ") + line for line in wrapped(said, room - 2, "dim", hang=2)] if said else []
    if len(kinds) > len(ordered):
        rest = sum(map(len, kinds.values())) - sum(map(len, ordered))
        shown.append(Text(f"and {count(len(kinds) - len(ordered), 'kind')} more, {count(rest, 'node')}"))
    return block("pads", shown)


def moved(step: Transpose, verbose: bool = False) -> str:
    """What becomes of a Transpose: with whom it cancels, for whom it is there, the bytes that it moves."""
    cancels = [whole(node, 40, verbose) for node in step.cancels_with]
    said = [f"cancels with {more(cancels, len(cancels) if verbose else NAMED)}" if cancels else ""]
    for_whom = [whole(node, 40, verbose) for node in step.needed_by]
    limit = len(for_whom) if verbose else NAMED
    said.append(f"for {more(for_whom, limit)}" if for_whom and not cancels else "")
    said.append("of a constant" if step.on_constant else "")
    number = step.bytes
    said.append(size(number) if number is not None else "")
    return ", ".join(filter(None, said))


def _perm(perm: Sequence[int]) -> str:
    return f"({axes(perm, ', ')})" if perm else "?"


def _transposes(found: Inspection, room: int, verbose: bool) -> list[Text]:
    limit = len(found.transposes) if verbose else FEW
    table: Table = [
        [_named(step.node, 32, verbose), _perm(step.perm), safe(step.kind, 40), moved(step, verbose)]
        for step in found.transposes[:limit]
    ]
    lines = columns(table)
    shown: list[Text] = []
    for row, line in zip(table, lines, strict=True):
        shown += [line] if fits([line], room) else wrapped("  ".join(map(str, row)), room, hang=2)
    if len(found.transposes) > limit:
        kinds = Counter(safe(step.kind, 40) for step in found.transposes[limit:])
        rest = [f"{number:,} × {kind}" for kind, number in kinds.most_common()]
        shown.append(Text(f"and {len(found.transposes) - limit:,} more: {more(rest, NAMED)}"))
    return block("transposes", shown or [Text("none")])


def _counted(label: str, texts: Sequence[str], room: int, limit: int) -> list[Text]:
    shown = [line for text in texts[:limit] for line in wrapped(text, room, hang=2)]
    if len(texts) > limit:
        shown.append(Text(f"and {len(texts) - limit:,} more"))
    return block(label, shown)


def reshaped(reshapes: Sequence[LayoutReshape]) -> list[LayoutReshape]:
    """Those that may have put numbers into a wrong order first, those that change nothing last."""
    last = {"scrambles": 0, "keeps": 2}
    return sorted(reshapes, key=lambda reshape: last.get(reshape.kind, 1))


def _reshaped(reshape: LayoutReshape) -> str:
    return f"{reshape.kind} {_perm(reshape.perm)}" if reshape.perm else reshape.kind


def _alike(label: str, rows: Sequence[tuple[str, str, str]], room: int, verbose: bool) -> list[Text]:
    """What several have in common, and who they are: of each a name, a word and a sentence."""
    together: dict[tuple[str, str], list[str]] = {}
    for one, what, says in rows:
        together.setdefault((what, says), []).append(one)
    texts = []
    for (what, says), who in together.items():
        times = f"{len(who):,} × " if len(who) > 1 else ""
        why = f": {prose(says, LONG if verbose else 240)}" if says else ""
        texts.append(f"{times}{safe(what, 60)}{why} ({_about(who, len(who) if verbose else NAMED, verbose)})")
    return _counted(label, texts, room, len(texts) if verbose else FEW)


def _about(nodes: Sequence[str], limit: int, verbose: bool) -> str:
    return more([_named(node, 60, verbose) for node in nodes], limit)


def _named(node: str, width: int, verbose: bool) -> str:
    """A name; of a long one both ends, unless everything was asked for."""
    return whole(node, 200, verbose) if verbose else clip(safe(clip(node, 200)), width)


def _remarks(found: Inspection, room: int, verbose: bool) -> list[Text]:
    """A code a paragraph: its first sentence, and the nodes of all."""
    shown: list[Text] = []
    groups = worst_first(found.diagnostics)
    for (severity, code), remarks in list(groups.items())[: len(groups) if verbose else CODES]:
        alike = f" × {len(remarks):,}" if len(remarks) > 1 and not verbose else ""
        head = f"{safe(code, 20)} {severity}{alike}"
        if verbose:
            texts = [
                f"{prose(remark.message)} ({_about(remark.nodes, len(remark.nodes), verbose)})"
                if remark.nodes
                else prose(remark.message)
                for remark in remarks
            ]
        else:
            nodes = list(dict.fromkeys(node for remark in remarks for node in remark.nodes))
            about = f" ({_about(nodes, NAMED, verbose)})" if nodes else ""
            texts = [f"{prose(remarks[0].message, 240)}{about}"]
        for text in texts:
            first, *rest = wrapped(f"{head}  {text}", room, hang=2)
            first.stylize(STYLES.get(severity, ""), 0, len(head))
            shown += [first, *rest]
    if len(groups) > CODES and not verbose:
        shown.append(Text(f"and {count(len(groups) - CODES, 'code')} more"))
    return block("remarks", shown or [Text("none")])


def inspection_lines(found: Inspection, width: int = 100, verbose: bool = False) -> list[Text]:
    """What a graph holds, on one screen; ``verbose`` lists everything."""
    width = max(width, 60)
    room = width - LABEL
    made = _head(found, width, verbose) + _border(found, room, verbose) + _holds(found, room, verbose)
    made += _pads(found, room, verbose) + _transposes(found, room, verbose)
    made += _alike("reshapes", [(r.node, _reshaped(r), r.message) for r in reshaped(found.reshapes)], room, verbose)
    made += _alike("weights", [(w.name, w.layout, w.message) for w in found.weights], room, verbose)
    made += _remarks(found, room, verbose)
    notes = [prose(note) for note in found.notes]
    return made + _counted("notes", notes, room, len(notes) if verbose else FEW)


def render_inspection(found: Inspection, console: Console, verbose: bool = False) -> None:
    """Print what a graph holds."""
    emit(inspection_lines(found, console.width, verbose), console)
