"""The vocabulary in sentences: what a blame means, and which parties a glob stands for.

Design note.  Every format says the same thing in the same words, so the words are here once.  A glob such as
``torch>*`` is written only where all that it could stand for is meant; float64 parties have globs of their own
(``torch>*@64``), so that ``*`` never reaches across a change of precision.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from onnx_triangulate.records.errors import UnusableInput
from onnx_triangulate.records.party import FILE, Party
from onnx_triangulate.records.runs import Diff
from onnx_triangulate.records.text import prose, safe
from onnx_triangulate.records.verdict import Blame, Verdict
from onnx_triangulate.report.quantities import count, figure

BLAME_WORDS: Mapping[str, str] = {
    "agree": "every path gives the same answer",
    "conditioning": "every step is inside its bound, the model amplifies rounding between {left} and {right}",
    "crashed": "killed, hung or out of memory: {who}",
    "export": "the graph of {who} means something else than the model",
    "export-failed": "no valid graph came out of {who}",
    "invalid": "no valid model: {who}",
    "kernel": "the runtime's kernel departs in {who}",
    "native": "the native kernel of {who} departs from the definition",
    "nondeterministic": "no agreement with itself: {who}",
    "optimizer": "the runtime's graph optimizer changes the answer of {who}",
    "parameters": "{left} and {right} mean the same but hold different weights or settings",
    "reference": "the reference evaluator is the odd one out in {who}",
    "semantics": "{left} and {right} mean different things",
    "unspecified": "the specification leaves this open, {left} and {right} answer differently",
    "unsupported": "a valid graph, but not implemented by {who}",
}
OWN_STEP = "the runtime's own step departs in {who}"  # one that a user's runtime brings
# A framework's own run has no graph that could be valid.
NO_ANSWER = "{who} itself gives no answer to these inputs"
NOTHING_COMPARED = "nothing was compared"
NOT_AGREED = "not agreement: nobody is blamed, and not everything was judged (below: what parts, and what is missing)"
NOTHING_JUDGED = "no path could be judged by another"
TOLD_APART = 4  # nodes; one that stands for more is not named as if it were known
NODE = 100  # characters of a node's name
PARTLY = "every path that answered gives the same answer"
NOT_SHARP = "not judged in float64"
BLUNTLY = "not in float64"

# What the blame is about: the two ends of an edge, or the party whose step it is.
_BETWEEN = frozenset(blame for blame, words in BLAME_WORDS.items() if "{left}" in words)


@dataclass(frozen=True)
class Sentence:
    """One blame as a sentence; ``who`` is its subject in short, ``where`` the operator and the nodes."""

    blame: str
    message: str
    who: str
    where: str = ""
    details: tuple[str, ...] = ()


def _parsed(name: str) -> Party | None:
    try:
        party = Party.parse(name)
    except UnusableInput:
        return None
    return party if party.runtime else None


def compress(parties: Iterable[str], everyone: Iterable[str]) -> list[str]:
    """Party names with globs where they lose nothing, in the given order.

    ``torch>*`` stands for every float32 runtime of that graph among ``everyone``, ``torch*>*`` for those of every graph
    of torch, ``…>*@64`` for the float64 ones.  A glob is used only where all of them are in ``parties`` and it stands
    for at least two; ``torch*>*`` only where there are at least two graphs.
    """
    names = list(dict.fromkeys(parties))
    members = set(names)
    running = {name: party for name in dict.fromkeys([*names, *everyone]) if (party := _parsed(name)) is not None}
    globs: dict[str, str] = {}
    for name in names:
        if name not in running or name in globs:
            continue
        party = running[name]
        siblings = {n: p for n, p in running.items() if p.framework == party.framework and p.double == party.double}
        suffix = "@64" if party.double else ""
        graphs = {p.graph for p in siblings.values()}
        if party.framework and len(graphs) > 1 and members.issuperset(siblings):
            globs.update(dict.fromkeys(siblings, f"{party.framework}*>*{suffix}"))
            continue
        runtimes = [n for n, p in siblings.items() if p.graph == party.graph]
        if len(runtimes) > 1 and members.issuperset(runtimes):
            globs.update(dict.fromkeys(runtimes, f"{party.graph}>*{suffix}"))
    return list(dict.fromkeys(globs.get(name, name) for name in names))


def everyone(verdict: Verdict) -> list[str]:
    """Every party that was planned for a case, whether or not it answered."""
    evidence = verdict.evidence
    ends = [end for edge in evidence.edges for end in (edge.left, edge.right)]
    return list(dict.fromkeys([*evidence.runs, *ends, *(name for group in evidence.groups for name in group)]))


def names(parties: Iterable[str], of: Iterable[str]) -> str:
    """Party names compressed and joined by commas, safe to print."""
    return ", ".join(safe(name) for name in compress(parties, of))


def sentences(blames: Sequence[Blame], of: Iterable[str]) -> list[Sentence]:
    """Blames as sentences: those of one blame and one operator (and, where it is about an edge, one edge) together."""
    universe = list(of)
    together: dict[tuple[object, ...], list[Blame]] = {}
    for blamed in blames:
        about = blamed.edge if blamed.blame in _BETWEEN else None
        together.setdefault((blamed.blame, blamed.op, about, _refuses_itself(blamed)), []).append(blamed)
    found = []
    for (blame, op, _, itself), members in together.items():
        left, right = (safe(end) for end in members[0].edge)
        who = names((blamed.party for blamed in members), universe)
        words = (NO_ANSWER if itself else BLAME_WORDS.get(str(blame), OWN_STEP)).format(left=left, right=right, who=who)
        where = _where(str(op) if op else "", members)
        details = _details(members, universe)
        subject = f"{left} | {right}" if blame in _BETWEEN else who
        found.append(Sentence(safe(blame), words, subject, where, details))
    return found


def _details(members: Sequence[Blame], universe: Iterable[str]) -> tuple[str, ...]:
    """What is said of blames, each once: where only the party is another, with all of them."""
    together: dict[tuple[bool, str], list[str]] = {}
    for blamed in members:
        own = f"{blamed.party} "
        about = blamed.message.startswith(own)
        together.setdefault((about, blamed.message.removeprefix(own)), []).append(blamed.party)
    said = [
        f"{names(who, universe)}: {says}" if len(who) > 1 else f"{who[0]} {says}"
        for (about, says), who in together.items()
        if about and says
    ]
    said += [says for about, says in together if not about and says]
    return tuple(dict.fromkeys(map(prose, said)))


def _refuses_itself(blamed: Blame) -> bool:
    try:
        return blamed.blame == "unsupported" and Party.parse(blamed.party).native
    except UnusableInput:
        return False


def _where(op: str, members: Sequence[Blame]) -> str:
    """The operator and the nodes of a blame; of a node that stands for a long stretch, for how many."""
    among = {node: count for blamed in members for node, count in blamed.candidates.items() if count > TOLD_APART}
    nodes = list(dict.fromkeys(node for blamed in members for node in blamed.nodes))
    if len(nodes) == 1 and nodes[0] in among:
        return f"one of {among[nodes[0]]} nodes, likeliest {safe(op, 60) + ' ' if op else ''}{safe(nodes[0], NODE)}"
    shown = [safe(n, NODE) + (f" (one of {among[n]}, the likeliest)" if n in among else "") for n in nodes[:3]]
    shown += [f"{len(nodes) - 3} more"] if len(nodes) > 3 else []
    noun = "node" if len(nodes) == 1 else "nodes"
    return ", ".join(filter(None, (safe(op, 60) if op else "", f"{noun} {', '.join(shown)}" if shown else "")))


def blame_sentences(verdict: Verdict) -> tuple[list[Sentence], list[Sentence]]:
    """The sentences of what was not declared, and of the rest; where nobody is blamed, what that means here."""
    of = everyone(verdict)
    undeclared = sentences(verdict.unexpected, of)
    others = [blamed for blamed in verdict.evidence.blames if blamed not in verdict.unexpected]
    rest = sentences(others, of)
    said = {sentence.blame for sentence in (*undeclared, *rest)}
    for blame in verdict.blame:
        if blame not in said and blame != "agree":
            rest.append(Sentence(safe(blame), BLAME_WORDS.get(blame, "").format(left="?", right="?", who="?"), ""))
    if not undeclared and not rest:
        rest.append(Sentence(*agreement(verdict), who=""))
    return undeclared, rest


def agreement(verdict: Verdict) -> tuple[str, str]:
    """The word and the sentence where nobody is blamed: agreement is claimed only for what was compared."""
    edges = verdict.evidence.edges
    if not any(edge.compared for edge in edges):
        return "", NOTHING_COMPARED
    if not any(edge.agrees for edge in edges):
        return "", NOTHING_JUDGED
    if "agree" not in verdict.blame:
        return "", NOT_AGREED
    partly = any(not edge.agrees for edge in edges) or any(run.error for run in verdict.evidence.runs.values())
    says = PARTLY if partly else BLAME_WORDS["agree"]
    blunt = exports(verdict).get(NOT_SHARP)
    return "agree", f"{says}; {NOT_SHARP}, where an exporter's small faults show: {', '.join(blunt)}" if blunt else says


def apart(verdict: Verdict) -> str:
    """The largest difference beneath what agrees, and what it means, in a line; nothing where all bits are equal."""
    found = verdict.largest_difference
    if found is None:
        return ""
    left = f"{found.digits} digits are left" if found.digits != 1 else "1 digit is left"
    parts = [f"at most {figure(found.max_abs)} of {figure(found.top)}, {left if found.digits else 'no digit is left'}"]
    if found.moved:
        parts.append(f"the largest of a row is another one in {found.moved:,} of {count(found.rows, 'row')}")
    size = f" at {safe(found.size)}" if found.size else ""
    where = f"{safe(found.left)} | {safe(found.right)}, {safe(found.output, 40)}{size}"
    return f"{'; '.join(parts)} ({where})"


def exports(verdict: Verdict) -> Mapping[str, list[str]]:
    """The planned graphs by what became of them, as the blames and edges say it: ``failed``, ``departs``, ``faithful``
    (not blamed, and an edge from its framework's native run to it agrees), ``not compared`` (neither).

    A bound in float32 hides what is small.  So "faithful" rests on the pair in float64, on equal bits, or on a
    definition that the case gives; a graph that only agrees within a derived bound is :data:`NOT_SHARP`.
    """
    evidence = verdict.evidence
    failed = _parted(verdict, "export-failed") | {g for g, model in evidence.models.items() if model.error is not None}
    departs = _parted(verdict, "export")
    agreed, blunt = _agreeing(verdict)
    found: dict[str, list[str]] = {"failed": [], "departs": [], "faithful": [], NOT_SHARP: [], "not compared": []}
    graphs = dict.fromkeys([*evidence.models, *evidence.graphs])
    graphs.pop(FILE, None)  # nobody has exported a file that is its own source
    for graph in graphs:
        ways = (("failed", failed), ("departs", departs), (NOT_SHARP, blunt), ("faithful", agreed))
        found[next((what for what, graphs in ways if graph in graphs), "not compared")].append(graph)
    return {what: graphs for what, graphs in found.items() if graphs}


def _parted(verdict: Verdict, blame: str) -> set[str]:
    """The graphs that some blame is about, as its party or at an end of its edge."""
    blames = [each for each in verdict.evidence.blames if each.blame == blame]
    ends = [end for each in blames for end in each.edge if ">" in end]
    return {name.split(">", 1)[0] for name in (*(each.party for each in blames), *ends)}


def _agreeing(verdict: Verdict) -> tuple[set[str], set[str]]:
    """The graphs that agree with their framework's native run, and those of them that only do so within a bound."""
    evidence = verdict.evidence
    defined = any(run.party.is_truth and not run.derived for run in evidence.runs.values())
    unsteady = {name for name, run in evidence.runs.items() if not run.deterministic}
    agreed, sharp, blunt = set(), set(), set()
    for edge in evidence.edges:
        left, right = edge.left.removesuffix("@64"), _parsed(edge.right)
        if left in unsteady:  # in float64 it may agree with what one call left, and that says nothing
            continue
        if edge.agrees and edge.compared and right is not None and right.framework == left:
            agreed.add(right.graph)
            if right.double or defined:
                sharp.add(right.graph)
            elif edge.outcome != "equal":
                blunt.add(right.graph)
    return agreed, blunt - sharp


def tally(edges: Sequence[Diff]) -> str:
    """All edges in one line: ``26 edges compared: 22 equal, 3 rounding (worst 0.31 of its bound), 1 diverges``."""
    if not any(edge.compared or edge.outcome == "diverges" for edge in edges):
        return f"{NOTHING_COMPARED} on {count(len(edges), 'edge')}"
    outcomes = Counter(edge.outcome for edge in edges)
    missing = outcomes.pop("missing", 0)
    parts = []
    for outcome in ("equal", "rounding", "diverges", "nondeterministic"):
        if outcomes[outcome]:
            parts.append(f"{outcomes[outcome]:,} {outcome}")
            ratios = [edge.ratio for edge in edges if edge.outcome == "rounding" and edge.ratio is not None]
            if outcome == "rounding" and ratios:
                parts[-1] += f" (worst {figure(max(ratios))} of its bound)"
    line = f"{count(sum(outcomes.values()), 'edge')} compared" + (f": {', '.join(parts)}" if parts else "")
    if missing:
        line += f"; {missing:,} missing"
    empty = sum(edge.agrees and edge.compared == 0 for edge in edges)
    return line + (f"; {empty:,} with nothing in it to compare" if empty else "")


def place(edge: Diff) -> str:
    """Where an edge is worst: ``y[0,1,2,0]``, in the case's axes."""
    output = safe(edge.output, 40) if edge.output else ""
    if edge.index is None:
        return output
    return f"{output}[{','.join(str(int(axis)) for axis in edge.index)}]"
