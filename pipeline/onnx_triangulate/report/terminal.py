"""The report for people: its first 40 lines answer the question, at 80 columns as at 140.

Design note.  A report is a list of finished lines (:func:`lines`); printing them is the last step.  Wrapping is done
here and not by the console, because a line that a terminal or a CI log folds could begin with foreign text.  Rows have
a label in one narrow column and plain sentences beside it; a table whose columns do not fit becomes two lines a row.
What agrees is counted, what parts is shown, always and in full: no edge that parts is ever summarised away.
Foreign text passes ``records.text`` and is never read as markup.  Colours are few styles of rich; whether
they show is the console's decision (terminal, ``NO_COLOR``).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from onnx_triangulate.records.graphs import GraphFacts
from onnx_triangulate.records.runs import Diff, Failure
from onnx_triangulate.records.text import WHOLE, clip, prose, safe
from onnx_triangulate.records.verdict import STATUSES, ExpectationResult, Finding, Report, Verdict
from onnx_triangulate.report.lines import LABEL, Cell, block, columns, emit, fits, more, padded, paragraphs, wrapped
from onnx_triangulate.report.quantities import axes, count, figure, pair, shape_of_padding
from onnx_triangulate.report.sentences import (
    BLUNTLY,
    NODE,
    NOT_SHARP,
    Sentence,
    agreement,
    apart,
    blame_sentences,
    compress,
    everyone,
    exports,
    names,
    place,
    tally,
)

DETAILED = 3  # up to so many cases are shown in full
ROWS = 40  # up to so many cases are shown in a row each; of more, a group is
PADS_SHOWN = 8
NAMED = 4
NO_ROOM = 1e30  # times a bound: one that holds nothing but what underflow may do

STYLES = {
    "expected": "green",
    "unexpected": "bold red",
    "stale": "bold yellow",
    "undecided": "yellow",
    "undeclared": "bold red",
    "problem": "bold red",
    "died": "yellow",
}


def _block(label: str, content: Sequence[Text]) -> list[Text]:
    return block(label, content, STYLES.get(label, "dim"))


def _paragraphs(label: str, texts: Iterable[str], width: int) -> list[Text]:
    return paragraphs(label, texts, width - LABEL, STYLES.get(label, "dim"))


def _sentence(sentence: Sentence) -> str:
    where = f" ({sentence.where})" if sentence.where else ""
    return f"{sentence.blame}: {sentence.message}{where}" if sentence.blame else sentence.message


def _headline(verdict: Verdict, width: int) -> list[Text]:
    undeclared, rest = blame_sentences(verdict)
    head = (
        Text(clip(safe(verdict.case), width - 16), "bold")
        + Text("   ")
        + Text(verdict.status, STYLES.get(verdict.status, ""))
    )
    if not undeclared and len(rest) == 1:
        one = Text(f"   {_sentence(rest[0])}")
        if cell_len(head.plain) + cell_len(one.plain) <= width:
            return [head + one]
    room = width - LABEL
    made = [head]
    for label, group in (("undeclared", undeclared), ("blame", rest)):
        shown = [line for sentence in group for line in wrapped(_sentence(sentence), room, hang=2)]
        made += _block(label, shown)
        if label == "undeclared":  # where every word may help
            said = dict.fromkeys(detail for sentence in group for detail in sentence.details)
            made += _block("", [line for detail in said for line in wrapped(detail, room, "dim")])
    return made


def _agree(verdict: Verdict, width: int) -> list[Text]:
    everybody = everyone(verdict)
    groups = [
        "{" + ", ".join(safe(name) for name in compress(group, everybody)) + "}" for group in verdict.evidence.groups
    ]
    if not groups:
        return _block("agree", [Text("nobody: no two parties could be compared")])
    joined = "  ".join(groups)
    if len(joined) <= width - LABEL:
        return _block("agree", [Text(joined)])
    return _block("agree", [line for group in groups for line in wrapped(group, width - LABEL, hang=1)])


def _exports(verdict: Verdict, width: int) -> list[Text]:
    parts = [f"{what}: {', '.join(map(safe, graphs))}" for what, graphs in exports(verdict).items()]
    return _block("exports", wrapped(" · ".join(parts), width - LABEL)) if parts else []


def _given(verdict: Verdict, width: int) -> list[Text]:
    """The files that were judged in place of exports, how their borders were read, and at which sizes."""
    models = verdict.evidence.models
    said = [f"{safe(n)}: {prose('; '.join(m.notes))}" for n, m in models.items() if m.external and m.notes]
    made = _paragraphs("given", said, width)
    ran = {
        size: any(run.party.runtime and run.outputs is not None for run in runs.values())
        for size, runs in verdict.evidence.sizes.items()
    }
    parts = [
        f"{what} {'; '.join(safe(size) for size, graphs in ran.items() if graphs is some)}"
        for what, some in (("also judged at", True), ("no graph runs at", False))
        if some in ran.values()
    ]
    return made + (_block("sizes", wrapped(" · ".join(parts), width - LABEL)) if parts else [])


def _findings(verdict: Verdict, width: int) -> list[Text]:
    everybody = everyone(verdict)
    shown: list[Text] = []
    together: dict[Finding, list[str]] = {}
    for finding in verdict.findings:
        together.setdefault(replace(finding, party=""), []).append(finding.party)
    for finding, parties in together.items():
        line = Text(safe(finding.cause, 30), "bold") + Text(f", {'proved' if finding.proved else 'suspected'}")
        nodes = more([safe(node, NODE) for node in finding.nodes], 3)
        about = ", ".join(filter(None, (safe(finding.blame), names(parties, everybody), nodes)))
        # A name cut in the middle finds no node: what does not fit beside the cause goes on below.
        first, *rest = wrapped(f"{line.plain}   {about}", width - LABEL, "dim", hang=2)
        shown += [line + Text(first.plain[len(line.plain) :], "dim"), *rest]
        shown += wrapped(prose(finding.message, WHOLE), width - LABEL)
        shown += wrapped(f"change: {prose(finding.edit)}", width - LABEL, hang=8) if finding.edit else []
    return _block("cause", shown)


def _expectation(result: ExpectationResult) -> str:
    edge = " | ".join(safe(end) for end in result.edge)
    what = f"{safe(result.expected.blame)} at {edge}"
    says = f" ({prose(result.message)})" if result.message else ""
    when = f", when {safe(result.expected.when)}" if result.expected.when else ""
    reason = prose(result.expected.reason)
    return {
        "met": f"{what}{when}: {reason}",
        "stale": f"{what}{when} was declared and is no longer seen{says}; it was declared because: {reason}",
        "undecided": f"{what}{when} could not be decided{says}; it was declared because: {reason}",
    }.get(result.outcome, f"{what}{when} does not apply here{says}: {reason}")


def _expectations(verdict: Verdict, width: int, among: Iterable[str]) -> list[Text]:
    labels = {"met": "declared", "stale": "stale", "undecided": "undecided"}
    made: list[Text] = []
    for outcome in among:
        results = [result for result in verdict.expectations if result.outcome == outcome]
        texts = [line for result in results for line in wrapped(_expectation(result), width - LABEL, hang=2)]
        made += _block(labels.get(outcome, "other"), texts)
    return made


def _observed(edge: Diff) -> list[str]:
    """at, left, right, max_abs, ratio, differ: the numbers of an edge as the columns of a table."""
    left, right = pair(*edge.values) if edge.values is not None else ("", "")
    differ = f"{edge.differing:,} of {edge.compared:,}" if edge.compared else "none compared"
    finite = edge.max_abs is not None and math.isfinite(edge.max_abs)
    ratio = "exact" if finite and edge.ratio is not None and edge.ratio > NO_ROOM else figure(edge.ratio)
    return [place(edge), left, right, figure(edge.max_abs), ratio, differ]


def _ends(edge: Diff) -> str:
    size = f" at {safe(edge.size)}" if edge.size else ""
    return f"{safe(edge.left)} | {safe(edge.right)}{size}"


def _stacked(edge: Diff, width: int) -> list[Text]:
    at, left, right, max_abs, ratio, differ = _observed(edge)
    seen = []
    if left:
        seen.append(f"{at}: {left} against {right}" if at else f"{left} against {right}")
    elif at:
        seen.append(f"at {at}")
    if edge.compared:
        allowed = "no difference allowed" if ratio == "exact" else f"ratio {ratio}"
        seen += [f"max_abs {max_abs}, {allowed}", f"{differ} differ"]
    else:
        seen.append("nothing compared")
    head = f"{_ends(edge)}   {safe(edge.isolates)}   {edge.outcome}"
    return [
        *wrapped(head, width, hang=2),
        *(Text("  ") + line for line in wrapped("; ".join(seen), width - 2, hang=2)),
    ]


def _aside(edge: Diff, width: int) -> list[Text]:
    said = [prose(text) for text in (edge.problem, edge.explanation) if text]
    return [Text("  ") + line for text in said for line in wrapped(text, width - 2, "dim")]


def _edge_block(label: str, edges: Sequence[Diff], width: int) -> list[Text]:
    """Edges with what was seen on them: a table beside the label or below it where it fits, else two lines an edge;
    problems and explanations below each."""
    if not edges:
        return []
    heads = ["edge", "isolates", "outcome", "at", "left", "right", "max_abs", "ratio", "differ"]
    rows: list[list[Cell]] = [[Text(head, "dim") for head in heads]]
    for edge in edges:
        outcome = Text(edge.outcome, "" if edge.agrees else "bold")
        rows.append([_ends(edge), safe(edge.isolates), outcome, *_observed(edge)])
    made = columns(rows, right=(4, 5, 6, 7, 8))
    for indent in (LABEL, 4):
        if fits(made, width - indent):
            shown = [made[0]]
            for edge, line in zip(edges, made[1:], strict=True):
                shown += [line, *_aside(edge, width - indent)]
            beside = indent == LABEL
            return (
                _block(label, shown)
                if beside
                else [*_block(label, [Text()]), *(Text(" " * 4) + line for line in shown)]
            )
    room = width - LABEL
    return _block(label, [line for edge in edges for line in (*_stacked(edge, room), *_aside(edge, room))])


def _agreed(edges: Sequence[Diff], width: int) -> list[Text]:
    """Edges that agree, one line each: how much was compared and how near the bound it came."""
    rows: list[list[Cell]] = []
    for edge in edges:
        near = f", {figure(edge.ratio)} of its bound" if edge.outcome == "rounding" and edge.ratio is not None else ""
        rows.append([_ends(edge), safe(edge.isolates), f"{edge.outcome}{near}", f"{edge.compared:,} compared"])
    made = columns(rows, right=(3,))
    if fits(made, width - 4) and made:
        return [*_block("agreed", [Text()]), *(Text(" " * 4) + line for line in made)]
    texts = ["   ".join(str(cell) for cell in row) for row in rows]
    return _paragraphs("agreed", texts, width)


def _edges(verdict: Verdict, width: int, verbose: bool) -> list[Text]:
    edges = verdict.evidence.edges
    blamed = {blame.edge for blame in verdict.unexpected}
    apart = sorted(
        (edge for edge in edges if not edge.agrees and edge.outcome != "missing"),
        key=lambda edge: (edge.left, edge.right) not in blamed,
    )
    wavering = [] if verbose else [e for e in apart if e.outcome == "nondeterministic" and not e.compared]
    made = _edge_block("parted", [edge for edge in apart if edge not in wavering], width)
    made += _wavering(wavering, width)
    made += _block("edges", wrapped(tally(edges), width - LABEL))
    missing = [edge for edge in edges if edge.outcome == "missing"]
    if verbose:
        agreed = [edge for edge in edges if edge.agrees]
        return made + _agreed(agreed, width) + _edge_block("missing", missing, width)
    return made + _missing(verdict, missing, width)


def _wavering(edges: Sequence[Diff], width: int) -> list[Text]:
    """Edges on which nothing was compared because a side does not agree with itself, one line for each reason."""
    together: dict[str, list[str]] = {}
    for edge in edges:
        together.setdefault(prose(edge.problem or ""), []).append(_ends(edge))
    said = [f"{problem}: nothing compared on {', '.join(ends)}" for problem, ends in together.items()]
    return _paragraphs("wavering", said, width)


def _missing(verdict: Verdict, missing: Sequence[Diff], width: int) -> list[Text]:
    """Missing edges that no failed party below explains; the others are its consequence."""
    evidence = verdict.evidence
    failed = {(name, "") for name, run in evidence.runs.items() if run.error is not None}
    failed |= {(n, size) for size, runs in evidence.sizes.items() for n, run in runs.items() if run.error is not None}
    graphs = {name for name, model in evidence.models.items() if model.error is not None}

    def explained(end: str, size: str) -> bool:
        graph, runs, _ = end.partition(">")
        return (end, size) in failed or (end, "") in failed or (bool(runs) and graph in graphs)

    together: dict[str, list[str]] = {}
    for edge in missing:
        if not explained(edge.left, edge.size) and not explained(edge.right, edge.size):
            together.setdefault(prose(edge.problem or "no value on one side"), []).append(_ends(edge))
    texts = [f"{more(ends, NAMED)}: {problem}" for problem, ends in together.items()]
    return _paragraphs("missing", texts, width)


def _failures(verdict: Verdict, width: int, verbose: bool) -> list[Text]:
    """Who has no answer and why, those of one reason together; a graph that was not exported stands as its name."""
    evidence = verdict.evidence
    together: dict[Failure, list[str]] = {}
    exports: dict[Failure, list[str]] = {}
    for graph, model in evidence.models.items():
        if model.error is not None:
            exports.setdefault(model.error, []).append(graph)
    first: dict[tuple[str | None, str | None], Failure] = {}
    for name, run in evidence.runs.items():
        if run.error is not None:
            at = run.error.op, run.error.node
            told = first.setdefault(at, run.error) if all(at) and not verbose else run.error  # one node, once
            together.setdefault(told, []).append(name)
    everybody = everyone(verdict)
    limit = 4000 if verbose else 300
    shown: list[Text] = []
    for failure in dict.fromkeys([*exports, *together]):
        if failure.kind == "builder" and failure.message in verdict.problems:
            continue
        who = [f"export of {safe(graph)}" for graph in exports.get(failure, ())]
        if failure in together:
            who.append(names(together[failure], everybody))
        where = " ".join(safe(part, 60) for part in (failure.op, failure.node) if part)
        head = f"{', '.join(who)}: {safe(failure.kind)}{f' at {where}' if where else ''}"
        shown += wrapped(head, width - LABEL, hang=2)
        shown += [Text("  ") + line for line in wrapped(prose(failure.message, limit), width - LABEL - 2, "dim")]
    for (node, graph), (parties, sizes, says) in _failed_elsewhere(verdict).items():
        whom = names(parties, everybody) if len(parties) <= NAMED else f"{safe(graph)}>*"
        head = f"{whom}: none at {'; '.join(map(safe, sizes))}{f', at {node}' if node else ''}"
        shown += wrapped(head, width - LABEL, hang=2)
        shown += [Text("  ") + line for line in wrapped(prose(says, limit), width - LABEL - 2, "dim")]
    return _block("no answer", shown)


def _failed_elsewhere(verdict: Verdict) -> Mapping[tuple[str, str], tuple[Sequence[str], Sequence[str], str]]:
    """The parties that have an answer at the declared sizes and none at others, with these sizes and why: those of one
    graph and one node together, in the words of the first."""
    found: dict[tuple[str, str], tuple[list[str], list[str], str]] = {}
    runs = verdict.evidence.runs
    for size, others in verdict.evidence.sizes.items():
        for name, run in others.items():
            if run.error is None or (name in runs and runs[name].error is not None):
                continue
            at = " ".join(safe(part, 60) for part in (run.error.op, run.error.node) if part)
            parties, sizes, _ = found.setdefault((at, name.partition(">")[0]), ([], [], run.error.message))
            parties += [name] if name not in parties else []
            sizes += [size] if size not in sizes else []
    return found


def _pad_rows(facts: GraphFacts, name: int = 20) -> list[tuple[str, ...]]:
    """The kinds of padding in a graph, each with the node it is at (or how many) and its effect."""
    kinds: dict[tuple[str, ...], list[str]] = {}
    for pads in facts.pads:
        auto = "" if pads.auto_pad in ("NOTSET", "") else f"auto_pad {safe(pads.auto_pad, 20)}"
        effect = ", ".join(filter(None, (shape_of_padding(pads), auto, prose(pads.note, 80))))
        kind = (safe(pads.op, 30), f"before {axes(pads.begin)}", f"after {axes(pads.end)}", effect)
        kinds.setdefault(kind, []).append(pads.node)
    return [
        (f"{len(nodes):,} × {kind[0]}" if len(nodes) > 1 else kind[0], clip(safe(nodes[0]), name), *kind[1:])
        for kind, nodes in kinds.items()
    ]


def _padding(graphs: Mapping[str, GraphFacts], width: int, verbose: bool) -> list[Text]:
    """Effective pads per graph, graphs that share them together; the nodes' names only where there is room."""
    together: dict[tuple[tuple[str, ...], ...], list[str]] = {}
    for graph, facts in graphs.items():
        rows = tuple((kind, *effect) for kind, _, *effect in _pad_rows(facts))
        if rows:
            together.setdefault(rows, []).append(graph)
    if not together:
        return []
    table: list[list[Cell]] = []
    stacked: list[Text] = []
    for rows, sharing in together.items():
        shown = rows if verbose else rows[:PADS_SHOWN]
        label = ", ".join(safe(graph) for graph in sharing)
        if len(rows) > len(shown):
            shown = (*shown, (f"and {len(rows) - len(shown):,} kinds more", "", "", ""))
        table += [["" if i else label, *row] for i, row in enumerate(shown)]
        stacked += wrapped(label, width - LABEL)
        narrow = columns([list(row) for row in shown])
        if not fits(narrow, width - LABEL - 2):
            narrow = [line for row in shown for line in wrapped("  ".join(row), width - LABEL - 2, hang=2)]
        stacked += [Text("  ") + line for line in narrow]
    made = columns(table)
    return _block("pads", made if fits(made, width - LABEL) else stacked)


def _transposes(graphs: Mapping[str, GraphFacts], width: int) -> list[Text]:
    together: dict[str, list[str]] = {}
    for graph, facts in graphs.items():
        kinds = Counter(
            safe(step.kind, 40) if step.kind != "other" else f"by ({axes(step.perm, ', ')})"
            for step in facts.transposes
        )
        listed = [kind if times == 1 else f"{times:,} × {kind}" for kind, times in kinds.items()]
        said = f"{len(facts.transposes):,} ({more(listed, NAMED)})" if listed else "none"
        together.setdefault(said, []).append(safe(graph))
    if not together:
        return []
    parts = [
        f"{', '.join(sharing)}: {said}" for said, sharing in sorted(together.items(), key=lambda it: it[0] == "none")
    ]
    return _block("transposes", wrapped(" · ".join(parts), width - LABEL))


def _notes(verdict: Verdict, width: int) -> list[Text]:
    evidence = verdict.evidence
    said = [f"{safe(name)}: {prose(note)}" for name, run in evidence.runs.items() for note in run.notes]
    said += [
        f"{safe(name)}: does not agree with itself" for name, run in evidence.runs.items() if not run.deterministic
    ]
    said += [
        f"{safe(name)}: the bound of {safe(output)} was derived of {bound.derived}"
        for name, run in evidence.runs.items()
        for output, bound in run.bounds.items()
        if bound.derived
    ]
    said += [f"graph {safe(name)}: {prose(note)}" for name, model in evidence.models.items() for note in model.notes]
    said += [f"graph {safe(name)}: {prose(note)}" for name, facts in evidence.graphs.items() for note in facts.notes]
    return _paragraphs("notes", said, width)


def _derived(verdict: Verdict) -> list[str]:
    """What the parties were held against, where the case itself does not say."""
    runs = verdict.evidence.runs.values()
    return [f"none in the case; {safe(run.party)} is {prose(run.derived)}" for run in runs if run.derived]


def case_lines(verdict: Verdict, width: int, verbose: bool = False) -> list[Text]:
    """One case in full, what decides first: blame, agreement, cause, the edges that part; then failures, graphs."""
    room = width - LABEL
    graphs = verdict.evidence.graphs
    problems = [line for problem in verdict.problems for line in wrapped(prose(problem), room, hang=2)]
    made = _headline(verdict, width)
    made += _block("problem", problems)
    made += _block("died", [line for death in verdict.deaths for line in wrapped(prose(death), room, hang=2)])
    made += _expectations(verdict, width, ("stale", "undecided"))
    made += _agree(verdict, width)
    made += _block("apart", wrapped(beneath, room)) if (beneath := apart(verdict)) else []
    made += _exports(verdict, width)
    made += _given(verdict, width)
    made += _block("definition", [line for text in _derived(verdict) for line in wrapped(text, room, hang=2)])
    made += _findings(verdict, width)
    made += _expectations(verdict, width, ("met", *(("not applicable",) if verbose else ())))
    made += _edges(verdict, width, verbose)
    made += _failures(verdict, width, verbose)
    made += _padding(graphs, width, verbose)
    made += _transposes(graphs, width)
    made += _block("note", wrapped(prose(verdict.note), room)) if verdict.note else []
    if verbose:
        return made + _notes(verdict, width)
    natives = [run for run in verdict.evidence.runs.values() if run.party.native and not run.party.double]
    little = [f"{safe(run.party)}: {prose(note)}" for run in natives for note in run.notes]
    return made + _block("notes", [line for text in little for line in wrapped(text, room, hang=2)])


def _urgency(verdict: Verdict) -> int:
    order = ("unexpected", "stale", "undecided", "expected")
    return order.index(verdict.status) if verdict.status in order else 0


def _short(verdict: Verdict) -> list[str]:
    """For one row: each blame with who parted, what was not declared first."""
    undeclared, rest = blame_sentences(verdict)
    stale = [result for result in verdict.expectations if result.outcome == "stale"]
    if stale and not undeclared:
        gone = stale[0]
        return [f"{safe(gone.expected.blame)} no longer seen at {' | '.join(map(safe, gone.edge))}"]
    if not any(sentence.who for sentence in (*undeclared, *rest)):
        word, says = agreement(verdict)
        said = prose(verdict.problems[0]) if verdict.problems else ""
        if word:
            blunt = exports(verdict).get(NOT_SHARP)
            return [": ".join(filter(None, (f"{word}, {BLUNTLY}" if blunt else word, said)))]
        return [said or says.partition(" (")[0]]
    together: dict[str, list[str]] = {}
    for sentence in (*undeclared, *rest):
        together.setdefault(sentence.blame, []).extend([sentence.who] if sentence.who else [])
    return [": ".join(filter(None, (blame, ", ".join(dict.fromkeys(who))))) for blame, who in together.items()]


def _table(verdicts: Sequence[Verdict], width: int) -> list[list[Text]]:
    """A row a case, of one line or more: the case, its status, and each blame with who parted, wrapped."""
    cases = [clip(safe(verdict.case), min(48, width - 40)) for verdict in verdicts]
    heads = columns([[case, Text(v.status, STYLES.get(v.status, ""))] for case, v in zip(cases, verdicts, strict=True)])
    used = max(cell_len(head.plain) for head in heads) + 2
    room = max(width - used, 24)
    rows = []
    for head, verdict in zip(heads, verdicts, strict=True):
        said = [line for text in _short(verdict) for line in wrapped(text, room, hang=2)]
        first = padded(head, used, right=False) + said[0]
        rows.append([first, *(Text(" " * used) + line for line in said[1:])])
    return rows


def _groups(verdicts: Sequence[Verdict]) -> list[Text]:
    """A line a group: how many of its cases agree, and how many are of each blame."""
    by_group: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        by_group.setdefault(verdict.case.partition("/")[0], []).append(verdict)
    rows = []
    for group, held in by_group.items():
        counts = Counter(blame for verdict in held for blame in verdict.blame)
        said = [f"{counts.pop('agree')} agree"] if "agree" in counts else []
        said += [f"{number} {safe(blame)}" for blame, number in counts.most_common()]
        rows.append([clip(safe(group), 32), count(len(held), "case"), " · ".join(said) or "nothing is said"])
    return columns(rows)


def _statuses(verdicts: Sequence[Verdict]) -> Text:
    counts: Counter[str] = Counter(verdict.status for verdict in verdicts)
    line = Text(f"{count(len(verdicts), 'case')}: ")
    for i, status in enumerate(STATUSES):
        line += Text(" · " if i else "") + Text(
            f"{counts[status]:,} {status}", STYLES[status] if counts[status] else "dim"
        )
    return line if verdicts else Text("0 cases: nothing was checked", "bold red")


def _undeclared(verdicts: Sequence[Verdict], width: int) -> list[Text]:
    """Every blame that nobody declared, with the cases it is in: the answer of a run that fails, in a few lines."""
    where: dict[str, list[str]] = {}
    for verdict in verdicts:
        for blamed in verdict.unexpected:
            where.setdefault(safe(blamed.blame), []).append(clip(safe(verdict.case), 48))
    said = [f"{blame}: {more(list(dict.fromkeys(cases)), NAMED)}" for blame, cases in where.items()]
    return _paragraphs("undeclared", said, width)


def _footer(report: Report, width: int) -> list[Text]:
    seconds = f"{report.seconds:.0f} s" if report.seconds >= 10 else f"{report.seconds:.1f} s"
    last = _statuses(report.verdicts) + Text(f"  ({seconds})", "dim")
    if report.exit_status:
        last += Text(f"  exit status {report.exit_status}", "bold red")
    versions = [f"{safe(name)} {safe(version) if version else 'absent'}" for name, version in report.versions.items()]
    about = [*versions, f"seed {report.seed}", *([f"artefacts in {safe(report.out)}"] if report.out else [])]
    return [*wrapped(" · ".join(about), width, "dim", hang=2), last]


def lines(report: Report, width: int = 100, verbose: bool = False) -> list[Text]:
    """The whole report as finished lines for a terminal ``width`` columns wide.

    Of many cases those in trouble come first, as rows and then in full, and the rows of the others after them; of more
    than :data:`ROWS` the others are a row a group.
    """
    width = max(width, 60)
    verdicts = sorted(report.verdicts, key=_urgency)
    detailed = verdicts if verbose or len(verdicts) <= DETAILED else [v for v in verdicts if v.status != "expected"]
    others = [verdict for verdict in verdicts if verdict not in detailed]
    made = _notices(
        [*report.notices, *(f"{safe(v.case)}: {prose(death)}" for v in others for death in v.deaths)], width
    )
    rows = _table(verdicts, width) if len(verdicts) > 1 else []
    if rows:
        made += [_statuses(verdicts), *_undeclared(verdicts, width), Text()]
        made += [line for row in rows[: len(detailed)] for line in row]
    if made and detailed:
        made.append(Text())
    for verdict in detailed:
        made += [*case_lines(verdict, width, verbose), Text()]
    if rows[len(detailed) :]:
        by_group = len(rows) > ROWS
        made += _groups(others) if by_group else [line for row in rows[len(detailed) :] for line in row]
        made.append(Text())
        where = "; what is expected was declared there" if any(v.expectations for v in others) else ""
        target = "GROUP or GROUP/CASE" if by_group else "CASE"
        made += wrapped(f"why, for one of them: triangulate verify {target}{where}", width, "dim")
    return made + _footer(report, width)


def _notices(notices: Iterable[str], width: int) -> list[Text]:
    return [Text("notice  ", "yellow") + line for notice in notices for line in wrapped(notice, width - 8)]


def render(report: Report, console: Console, verbose: bool = False) -> None:
    """Print the report of a run of ``verify``; ``verbose`` lists every edge, note and message."""
    emit(lines(report, console.width, verbose), console)
