"""The report of ``compare`` for people.

The first lines answer: same or not, the first faulty node, all others, what was compared, what was not mapped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from onnx_triangulate.records.faults import Fault
from onnx_triangulate.records.graph_comparison import ComparedOutput, GraphComparison
from onnx_triangulate.records.text import clip, prose, safe
from onnx_triangulate.report.lines import LABEL, block, emit, paragraphs, wrapped
from onnx_triangulate.report.quantities import count, figure, pair

_SHOWN = 8
_STYLES = {
    "same": "green",
    "same but for NaN": "yellow",
    "departs": "yellow",
    "differs": "bold red",
    "uncompared": "yellow",
}
_HEADLINES = {
    "proved the same": "every value that B gives is A's by structure, whatever is fed",
    "same on what was fed": "nothing that was fed tells the two graphs apart",
    "same but for NaN": "the two graphs part where NaN goes in, and nowhere else that was fed",
    "departs": "the two graphs mean the same; a kernel of ONNX Runtime departs, so that they give other numbers",
    "differs": "the two graphs do not mean the same",
    "uncompared": "not everything could be compared, which is no agreement",
}


def _ratio(value: float) -> str:
    return f"{figure(value)} times its bound" if math.isfinite(value) else "no difference allowed"


def _fault(node: Fault, width: int) -> list[Text]:
    made = wrapped(f"{safe(node.node, 80)}   {safe(node.op, 40)}   {safe(node.party)}   {_ratio(node.severity)}", width)
    says = []
    if node.expected is not None and node.actual is not None and node.index is not None:
        ours, theirs = pair(node.expected, node.actual)
        where = f"{safe(node.output, 60)}[{','.join(str(i) for i in node.index)}]"
        what = "A has {}, B" if node.party == "B" else "it means {}, the run"
        says.append(f"{where}: {what.format(ours)} has {theirs}; max_abs {figure(node.introduced)}")
    if node.problem:
        says.append(prose(node.problem))
    if node.others:
        says.append(
            f"not narrowed further than {', '.join(safe(n, 40) for n in node.nodes[:_SHOWN])}{_more(node.nodes)}"
        )
    if node.against:
        says.append(f"in its place A has {', '.join(safe(n, 40) for n in node.against[:_SHOWN])}{_more(node.against)}")
    return made + [line for sentence in says for line in wrapped(f"  {sentence}", width, hang=4)]


def _more(items: Sequence[str]) -> str:
    return f" and {len(items) - _SHOWN:,} more" if len(items) > _SHOWN else ""


def _output(output: ComparedOutput, differs: bool) -> str:
    name = safe(output.right, 60)
    if output.left != output.right:
        name += f" (A's {safe(output.left, 60)}, {output.matched})"
    if output.outcome == "equal":
        return f"{name}: equal bits in float32, {count(output.compared, 'element')}"
    if output.outcome == "missing":
        return f"{name}: {prose(output.problem)}"
    apart = f"{name}: apart by at most {figure(output.max_abs)} in the graphs' own types, {output.compared:,} elements"
    rounding = (
        ": rounding alone may do that, so it is not here that the difference shows"
        if differs
        else (": no more than rounding may do")
    )
    said = {"rounding": rounding, "unbounded": ": how much rounding may do is not known"}
    return apart + said.get(output.outcome, "")


def _faults(found: GraphComparison, room: int) -> list[Text]:
    made: list[Text] = []
    last = ""
    for fault in found.faults:
        label = "faulty" if fault.party == "B" else "kernel"
        made += block("and" if label == last else label, _fault(fault, room), "bold red")
        last = label
    return made


def _compared(found: GraphComparison) -> str:
    """How much was compared, and how near it came to what rounding may do."""
    if not found.compared:
        return ""
    kernels = sum(fault.party != "B" for fault in found.faults)
    named = f" except at {count(kernels, 'node')} named above" if kernels else ""
    nodes = f"{count(found.replayed, 'node run')} in the graphs' own types, as exact as each operator must be{named}"
    if found.unbounded:
        nodes += f"; {found.unbounded:,} more of operators for which that is not known"
    worst = f"apart by at most {figure(found.worst)} times what rounding may do" if found.worst else "equal"
    return (
        f"{count(found.compared, 'element')} of outputs in float64 on {count(len(found.feeds), 'feed')} "
        f"({', '.join(map(safe, found.feeds))}); what agrees there is {worst}; {nodes}"
    )


def _further(found: GraphComparison) -> str:
    if not found.further_feeds:
        return ""
    sizes = f"; {count(len(found.sizes), 'other size')}: {' · '.join(found.sizes[:_SHOWN])}{_more(found.sizes)}"
    return f"{count(found.further_feeds, 'further feed')} in the graphs' own types{sizes if found.sizes else ''}"


def _mapped(found: GraphComparison) -> str:
    """How many values were found on both sides; where structure proves all, none was looked for."""
    only_a, only_b = found.unmapped.get("A", ()), found.unmapped.get("B", ())
    if not (found.aligned or only_a or only_b):
        return ""
    named = f" ({', '.join(safe(n, 30) for n in only_b[:_SHOWN])}{_more(only_b)})" if only_b else ""
    alone = f"on one side alone: {len(only_a):,} of A, {len(only_b):,} of B"
    return f"{count(found.aligned, 'value')} of B found in A; {alone}{named}"


def comparison_lines(found: GraphComparison, width: int = 100) -> list[Text]:
    """The report as finished lines."""
    width = max(width, 60)
    room = width - LABEL
    open_ = ", and what was not tried is below" if found.unexercised and found.grade == "same on what was fed" else ""
    made = [Text(found.grade, _STYLES[found.outcome]) + Text(f"   {_HEADLINES[found.grade]}{open_}")]
    for label, file in (("A", found.left), ("B", found.right)):
        made += block(label, [Text(clip(safe(file, 400), room))])
    made += _faults(found, room)
    made += paragraphs("problem", map(prose, found.problems), room, "bold red")
    made += paragraphs("not tried", map(prose, found.unexercised), room, "yellow")
    made += paragraphs("outputs", (_output(output, found.outcome == "differs") for output in found.outputs), room)
    peak = f"at most {found.peak_bytes / 2**20:.3g} MiB at a time, besides the weights" if found.peak_bytes else ""
    for label, text in (
        ("compared", _compared(found)),
        ("and fed", _further(found)),
        ("memory", peak),
        ("mapped", _mapped(found)),
        ("inputs", ", ".join(safe(i, 80) for i in found.inputs) or "none"),
    ):
        made += paragraphs(label, [text] if text else [], room)
    return made + paragraphs("notes", map(prose, found.notes), room)


def render_comparison(found: GraphComparison, console: Console) -> None:
    """Print what was found."""
    emit(comparison_lines(found, console.width), console)
