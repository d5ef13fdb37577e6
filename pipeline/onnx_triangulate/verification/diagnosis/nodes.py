"""What the localization of a case comes to: the nodes and the operator of a blame, and findings that say so in words.

Nothing is computed here; of an output of another number type the worker says which node makes it.  A localization that
found nobody is said as well, with what it could not see: that the outputs differ and no node does is an answer of its
own (what the exporter captured is not the model, or the model amplifies).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from onnx_triangulate.records.faults import Contribution, Fault, Localization
from onnx_triangulate.records.party import Party
from onnx_triangulate.records.runs import Model
from onnx_triangulate.records.verdict import Blame, Finding
from onnx_triangulate.verification import worker_tasks
from onnx_triangulate.verification.case_run import CaseRun
from onnx_triangulate.verification.diagnosis.localization import localize
from onnx_triangulate.verification.diagnosis.search import Diagnosis, blamed_export
from onnx_triangulate.verification.session import Session

CAUSE = "guilty-node"
NOBODY = "no-guilty-node"
AMPLIFIED = "conditioning"
REDUCED = "reduced-precision"
_NAMED = 8


def name_nodes(
    blames: Sequence[Blame], localized: Iterable[Localization]
) -> tuple[tuple[Blame, ...], tuple[Finding, ...]]:
    """The blames with their nodes, and a finding for each faulty node, or for why there is none."""
    found = {(each.blame, each.party): each for each in localized}
    named = [_with_faults(blamed, found.get((blamed.blame, blamed.party))) for blamed in blames]
    return tuple(named), tuple(finding for each in found.values() for finding in _findings(each))


def _with_faults(blamed: Blame, found: Localization | None) -> Blame:
    """A blame that has no nodes yet with those that were found."""
    if found is None or blamed.nodes or not found.faults:
        return blamed
    nodes = tuple(dict.fromkeys(fault.node for fault in found.faults))
    ops = sorted({fault.op for fault in found.faults})
    among = {fault.node: 1 + len(fault.others) for fault in found.faults if fault.others}
    return replace(blamed, nodes=nodes, op=blamed.op or ", ".join(ops), candidates=among)


def name_faulty_nodes(
    session: Session, case_run: CaseRun, blames: Sequence[Blame], faithful: Mapping[str, Model]
) -> Diagnosis:
    """The blames with their faulty nodes, and findings for each; ``faithful`` are other exports of the same model, by
    the graph in whose place they agree."""
    named, findings = name_nodes(blames, localize(session, case_run, blames, faithful))
    return name_types(session, case_run, named, findings)


def name_types(session: Session, case_run: CaseRun, blames: Sequence[Blame], findings: Sequence[Finding]) -> Diagnosis:
    """The blames of graphs that give an output in another number type, with the node that makes it where no other was
    found, and the ``findings`` with those that say so."""
    named: list[Blame] = []
    said: list[Finding] = []
    for blamed in blames:
        others = _other_types(case_run, blamed)
        asked = {n: session.value(None, worker_tasks.maker, case_run.models[blamed.party], n) for n in others}
        makers = {name: maker for name, maker in asked.items() if maker is not None}
        ops = dict(makers.values())
        for name, (node, op) in makers.items():
            due, seen = others[name]
            says = f"{op} makes {name} {seen} where it is {due} in {blamed.edge[0]}"
            said.append(Finding(CAUSE, blamed.blame, blamed.party, (node,), says))
        if ops and any((e.left, e.right) == blamed.edge and e.output in others for e in case_run.edges):
            mine = (blamed.blame, blamed.party)  # values were not compared then
            findings = [f for f in findings if f.cause != NOBODY or (f.blame, f.party) != mine]
        if ops and not blamed.nodes:
            blamed = replace(blamed, nodes=tuple(ops), op=", ".join(dict.fromkeys(ops.values())))
        named.append(blamed)
    return Diagnosis(tuple(named), (*said, *findings))


def _other_types(case_run: CaseRun, blamed: Blame) -> dict[str, tuple[str, str]]:
    """The outputs of a blamed export whose number type is another one than the source's, with both types."""
    ran = all(case_run.parties.answered(end) and not Party.parse(end).double for end in blamed.edge)
    if not ran or blamed_export(case_run, blamed) is None:
        return {}
    return case_run.parties.other_types(*blamed.edge)


def _findings(each: Localization) -> list[Finding]:
    if each.problem is not None:
        says = f"{each.party}: its nodes could not be judged: {each.problem}"
        return [Finding(NOBODY, each.blame, each.party, (), says)]
    if each.faults:
        return _fault_findings(each)
    if each.contributions and not each.captured:
        return [Finding(AMPLIFIED, each.blame, each.party, *_amplified(each))]
    why = "the outputs differ and no node is above its bound"
    if each.captured:
        why += f"; the program that the exporter captured is not the model: {each.captured}"
    return [Finding(NOBODY, each.blame, each.party, (), f"{why} ({_coverage(each)})")]


def _fault_findings(each: Localization) -> list[Finding]:
    """One finding for each of the first faulty nodes, and one for all that are left."""
    shown, rest = each.faults[:_NAMED], each.faults[_NAMED:]
    words = [_words(fault, each) for fault in shown]
    words[0] += f" ({_coverage(each)})"
    causes = [REDUCED if fault.precision else CAUSE for fault in shown]
    nodes = [(fault.node, *fault.others) for fault in shown]
    if rest:
        words.append(f"{len(rest)} more {'nodes are above their' if len(rest) > 1 else 'node is above its'} bound")
        causes.append(CAUSE)
        nodes.append(tuple(fault.node for fault in rest))
    named = zip(causes, nodes, words, strict=True)
    return [Finding(cause, each.blame, each.party, where, says) for cause, where, says in named]


def _amplified(each: Localization) -> tuple[tuple[str, ...], str]:
    """The nodes that contribute most, and how much, in words."""
    parts, nodes = [], []
    for output in dict.fromkeys(c.output for c in each.contributions):
        mine = [c for c in each.contributions if c.output == output]
        top = [c for c in mine if c.nodes][:3]
        nodes += [c.nodes[0] for c in top]
        total = sum(c.difference for c in mine)
        shares = "; ".join(f"{_span(c)} {c.difference:.3g}{_condition(c)}" for c in top)
        rest = total - sum(c.difference for c in top)
        parts.append(f"{output}{list(mine[0].index)} is {total:.3g} off, of it {shares}; the others {rest:.3g}")
    says = "conditioning: no node is above its bound, and what all round adds up; " + "; ".join(parts)
    return tuple(dict.fromkeys(nodes)), f"{says} ({_coverage(each)})"


def _span(part: Contribution) -> str:
    return part.nodes[0] if len(part.nodes) == 1 else f"{part.nodes[0]} to {part.nodes[-1]}"


def _condition(part: Contribution) -> str:
    return "" if part.condition is None else f" (condition {part.condition:.3g})"


def _words(error: Fault, each: Localization) -> str:
    parts = [f"{error.op} introduces {_number(error.introduced)}" if error.introduced is not None else error.op]
    if error.ratio is not None:
        parts[0] += f", {_number(error.ratio)} times its bound" if error.ratio < 1e9 else ", far above its bound"
    if error.propagated is not None:
        parts.append(f"{error.output} is {_number(error.propagated)} off in a whole run")
    if error.expected is not None and error.actual is not None and error.index is not None:
        due = error.expected
        other = f"and {due:.6g} by this project's definition" if error.ratio is None else f"where {due:.6g} is due"
        parts.append(f"{list(error.index)} is {error.actual:.6g} {other}")
    if error.problem:
        parts.append(error.problem)
    if error.precision:
        parts.append(f"it is what float32 sums make of factors in {error.precision}: a setting, no other meaning")
    if error.others:
        others = f"{len(error.others)} other{'s' * (len(error.others) > 1)}"
        parts.append(f"not told apart from {others}, for the source has no value between them")
    if error.origin is not None:
        parts.append(f"the source's {error.origin}")
    return "; ".join(parts)


def _coverage(each: Localization) -> str:
    precision = f", in {each.precision}" if each.precision else ""
    said = [f"{each.judged} of {each.nodes} nodes judged{precision}"] if each.nodes else ["no node was judged"]
    if each.unmapped:
        said.append(f"{each.unmapped} values have none of the source beside them")
    if each.uncompared:
        said.append(f"{len(each.uncompared)} outputs uncompared by bound")
    if each.peak:
        said.append(f"{each.peak / 2**20:.3g} MiB held at most")
    return "; ".join([*said, *each.notes[:2]])


def _number(value: float | None) -> str:
    return "nothing" if value is None else f"{value:.3g}"
