"""Blame: whose step parts, read from all parties of a case at once.

A runtime's fault may hide an exporter's, and an optimizer may repair a kernel, so blame is read from all runs of a
graph (:class:`~onnx_triangulate.verification.graph_answers.GraphAnswers`), with the native run, float64 and the case's
definition as arbiters.  One function per blame; each says the rule that it implements."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from onnx_triangulate.engines.protocols import Runtime
from onnx_triangulate.records.party import Party
from onnx_triangulate.records.runs import Diff, Failure, Model
from onnx_triangulate.records.verdict import Blame
from onnx_triangulate.verification.edges import GONE
from onnx_triangulate.verification.graph_answers import Edges, GraphAnswers
from onnx_triangulate.verification.parties import Parties

NOBODY_ACCEPTS = "not a model that anything accepts: "


def blame(
    parties: Parties,
    models: Mapping[str, Model],
    edges: Sequence[Diff],
    runtimes: Mapping[str, Runtime],
    checks: Mapping[str, Failure | None],
    *,
    different_weights: Sequence[str] = (),
) -> tuple[Blame, ...]:
    """Whose steps part.

    ``checks`` is what the onnx checker said of each graph; ``different_weights`` names weights that one framework's
    model has and the other's has not, for cases that define no truth to tell parameters from semantics.
    """
    by_ends = {(edge.left, edge.right): edge for edge in edges}
    found = list(_run_blames(parties, by_ends))
    natives = sorted(run.party.framework for run in parties.natives)
    for framework in natives:
        found += _native_blames(parties, by_ends, framework)
    for graph, model in models.items():
        runs = GraphAnswers(parties, by_ends, model, runtimes, checks.get(graph))
        found += [*graph_blames(runs), *_chance_blames(runs)]
    found += _semantics_blames(parties, by_ends, natives, found, different_weights)
    return tuple(dict.fromkeys(found))


def graph_blames(runs: GraphAnswers) -> list[Blame]:
    """The exporter's, the kernels', the optimizer's and the reference's part in one graph."""
    if runs.check is not None and runs.check.kind in GONE:
        says, checker = f"onnx.checker: {runs.check.message}", runs.name("check")
        gone = Blame("crashed", checker, (runs.framework, checker), message=says)
        return [gone, *graph_blames(replace(runs, check=None))]
    if runs.model.party.is_own_source and runs.check is not None:
        return [_rejected_graph(runs)]  # that it means nothing either is no news
    if _unanswerable(runs):
        return []
    if runs.model.error is not None:
        return _failed_export(runs, runs.model.error)
    if runs.is_rejected():
        return [_rejected_graph(runs)]
    return [blamed for each in GRAPH_BLAMES for blamed in each(runs)]


def _run_blames(parties: Parties, edges: Edges) -> Iterator[Blame]:
    """``crashed``: the party's process was killed, hung or grew too large, twice.  ``nondeterministic``: the party does
    not agree with itself."""
    for name, run in parties.runs.items():
        if run.error is not None and run.error.kind in GONE:
            yield Blame("crashed", name, _edge_to(name, edges), op=run.error.op, message=run.error.message)
        if run.outputs is not None and not run.deterministic:
            says = run.nondeterminism or f"{name} gave two different answers to the same inputs"
            yield Blame("nondeterministic", name, _edge_to(name, edges), message=says)


def _edge_to(name: str, edges: Edges) -> tuple[str, str]:
    """The edge at which a party is first held against another."""
    return next((pair for pair in edges if pair[1] == name), next((p for p in edges if name in p), (name, name)))


def _native_blames(parties: Parties, edges: Edges, framework: str) -> list[Blame]:
    """``unsupported``: the framework refuses its own model.  ``conditioning``: the model amplifies rounding until no
    digit is left.  ``native``: the framework leaves the definition, in either precision."""
    run, truth = parties.runs[framework], parties.truth_of(framework)
    if run.error is not None:
        says = f"{framework} itself gives no answer to these inputs: {run.error.message}"
        refused = run.error.kind == "refused"
        return [Blame("unsupported", framework, (truth, framework), op=run.error.op, message=says)] if refused else []
    if lost := parties.without_digits(framework):
        says = f"{framework} amplifies rounding until {lost}"
        return [Blame("conditioning", framework, (truth, framework), message=says)]
    for name in (framework, str(Party(framework, double=True))):
        edge = edges.get((truth, name))
        if edge is not None and edge.diverges:
            says, definition = f"{name} parts from the definition{_where(edge)}", parties.runs[truth]
            if edge.output is not None and edge.output not in definition.bounds and not definition.derived:
                says += " (a plain array is an exact definition, to the bit; Rounded allows for rounding)"
            return [Blame("native", name, (truth, name), message=says)]
    return []


def _where(edge: Diff | None) -> str:
    if edge is None:
        return ""
    if edge.problem:
        return f": {edge.problem}"
    if edge.values is None or edge.index is None:
        return ""
    left, right = (f"{value:.6g}" for value in edge.values)
    left, right = (left, right) if left != right else (repr(value) for value in edge.values)
    return f" at {edge.output}{list(edge.index)}: {left} against {right}"


def _unanswerable(runs: GraphAnswers) -> bool:
    """Whether nobody says what the answer to these inputs is: a framework that does not run its own model, whose
    exporter may refuse it and whose graph a runtime may refuse as well.  A process that ended says nothing of the
    inputs."""
    error = runs.source.error if runs.source is not None else None
    if error is None:
        return False
    if runs.model.error is not None:
        return True
    truth = runs.parties.runs.get(runs.truth)
    return error.kind not in GONE and (truth is None or truth.outputs is None or bool(truth.derived))


def _failed_export(runs: GraphAnswers, error: Failure) -> list[Blame]:
    """``export-failed``: the exporter refuses the model, or dies of it.  What the builder did is the case's problem."""
    if error.kind == "builder":
        return []
    kind = "crashed" if error.kind in GONE else "export-failed"
    return [Blame(kind, runs.graph, (runs.framework, f"{runs.graph}>*"), op=error.op, message=error.message)]


def _rejected_graph(runs: GraphAnswers) -> Blame:
    """``export-failed``, or ``invalid`` where nobody exported it: no model by the checker, or by every runtime."""
    said = [error for error in (runs.check, *runs.refused.values()) if error is not None]
    error = next((error for error in said if error.op), said[0])
    edge, says = (runs.framework, f"{runs.graph}>*"), f"{NOBODY_ACCEPTS}{error.message}"
    nodes = (error.node,) if error.node else ()
    kind = "invalid" if runs.model.party.is_own_source else "export-failed"
    return Blame(kind, runs.graph, edge, op=error.op, nodes=nodes, message=says)


def _refusal_blames(runs: GraphAnswers) -> Iterator[Blame]:
    """``unsupported``: a valid graph that a runtime does not implement; where the same runtime runs it at another
    setting, the step between the two has made it unusable."""
    for name, error in runs.refused.items():
        if runs.lacks(name):
            continue
        pair = runs.other_setting(name)
        kind = runs.runtime(name).step if pair is not None else "unsupported"
        says = f"{pair[0]} runs this and {name} does not: {error.message}" if pair is not None else error.message
        nodes = (error.node,) if error.node else ()
        yield Blame(kind, name, pair or _edge_to(name, runs.edges), op=error.op, nodes=nodes, message=says)


def _export_blames(runs: GraphAnswers) -> Iterator[Blame]:
    """``export``: every runtime's answer is wrong, or the graph leaves its source in float64; not so where the
    reference evaluator alone is wrong."""
    if runs.model.party.is_own_source:
        return  # nobody has exported it
    if not runs.right:
        edges = runs.sharp[:1]  # nobody bounds the runs in float32
    elif runs.all_wrong:
        edges = [edge for name in runs.wrong if (edge := runs.edges.get((runs.framework, name)))]
    else:
        edges = [] if runs.only_reference_wrong else runs.sharp
    if not edges and not (runs.right and runs.all_wrong):
        return
    first = edges[0] if edges else runs.parties.diff(runs.truth, runs.wrong[0], "export")
    says = f"{_written(runs)} means something else than the model{_where(first)}"
    blamed = Blame("export", runs.graph, (first.left, first.right), message=says)
    yield runs.unless_open(blamed, *edges) if runs.right else blamed


def _written(runs: GraphAnswers) -> str:
    """The graph, and who wrote it."""
    if runs.model.external:
        return "the given graph"
    raw, party = Party(runs.framework, "raw"), runs.model.party
    before, after = (str(each.on("reference", double=True)) for each in (raw, party))
    folded = runs.edges.get((before, after)) if not party.exporter else None
    return f"the graph that {'its optimizer' if folded is not None and folded.diverges else 'it'} wrote"


def _runtime_blames(runs: GraphAnswers) -> Iterator[Blame]:
    """``reference``, ``kernel``, ``optimizer``: a runtime's answer is wrong, and neither the graph nor the runtime that
    it comes after was wrong before it."""
    if runs.all_wrong and (runs.stands_alone or not runs.model.party.is_own_source):
        return
    faulty_graph = bool(runs.sharp) and not runs.only_reference_wrong
    for name in runs.wrong:
        runtime, before = runs.runtime(name), runs.before(name)
        if (faulty_graph and not before) or _is_inherited(runs, name):
            continue
        pair = (before if before in runs.right else runs.framework, name)
        edge = runs.edges.get(pair) or runs.edges.get((runs.framework, name))
        kind = runtime.step if before else "reference"
        blamed = Blame(kind, name, pair, message=f"{name} parts from {pair[0]}{_where(edge)}")
        yield runs.unless_open(blamed, *([edge] if edge is not None else []))


def _is_inherited(runs: GraphAnswers, name: str) -> bool:
    """Whether the runtime that a wrong one comes after (or what stands beside that, for it is known to have an operator
    wrong) is as wrong."""
    runtime, before = runs.runtime(name), runs.before(name)
    beside = [r.name for r in runs.runtimes.values() if before and getattr(r, "beside", "") == runtime.after]
    meant = next((each for each in map(runs.name, beside) if each in runs.right), before)
    if runs.right.get(meant, True):
        return False
    edge = runs.edges.get((meant, name)) if meant == before else runs.parties.diff(meant, name, runtime.step)
    return edge is None or edge.agrees


def _chain_blames(runs: GraphAnswers) -> Iterator[Blame]:
    """The steps between runtimes that part although neither side was found wrong.

    Agreement is not transitive: both may be near enough to the source and too far from each other; or the source is
    wrong, one of them agrees with it and the other with the definition.
    """
    for runtime in runs.runtimes.values():
        edge = runs.edges.get((runs.name(runtime.after), runs.name(runtime.name)))
        if not runtime.after or edge is None or not edge.diverges:
            continue
        if not (runs.right.get(edge.left, True) and runs.right.get(edge.right, True)):
            continue  # a wrong side was judged, or inherits from one that was
        says = f"{edge.right} parts from {edge.left}{_where(edge)}"
        yield runs.unless_open(Blame(runtime.step, edge.right, (edge.left, edge.right), message=says), edge)


GRAPH_BLAMES: tuple[Callable[[GraphAnswers], Iterator[Blame]], ...] = (
    _refusal_blames,
    _export_blames,
    _runtime_blames,
    _chain_blames,
)


def _chance_blames(runs: GraphAnswers) -> Iterator[Blame]:
    """``optimizer``: it takes out of a graph what draws random numbers; no numbers can be compared to show that.

    A runtime that answers otherwise each time although nothing in the graph draws is at fault itself.
    """
    facts = runs.parties.graphs.get(runs.graph)
    if facts is None or not facts.draws:
        return
    for runtime in runs.runtimes.values():
        before = runs.runtimes.get(runtime.after)
        if before is None or before.distribution != runtime.distribution:
            continue
        pair = runs.name(before.name), runs.name(runtime.name)
        answered = [runs.parties.runs[name] for name in pair if runs.parties.answered(name)]
        if [run.deterministic for run in answered] != [False, True]:
            continue
        says = f"{pair[0]} draws anew each time, as the graph says, and {pair[1]} does not: what draws was taken out"
        yield Blame(runtime.step, pair[1], pair, nodes=facts.draws, message=says)


def _semantics_blames(
    parties: Parties, edges: Edges, natives: Sequence[str], found: Sequence[Blame], different_weights: Sequence[str]
) -> Iterator[Blame]:
    """``semantics``: two frameworks mean different things.  ``parameters``: they were given different ones.  The path
    of definitions tells which; without one, weights that only one of the two has."""
    path = (edge for edge in edges.values() if all(end.is_truth and end.meaning for end in edge.ends))
    steps = sorted({edge.isolates for edge in path if edge.diverges})
    wrong = {blame.party for blame in found if blame.blame == "native"} if _defined(parties) else set()
    for left, right in itertools.combinations(natives, 2):
        edge = _parted_frameworks(edges, left, right)
        if edge is not None and (steps or wrong.isdisjoint((left, right))):
            for step in steps or ["parameters" if different_weights else "semantics"]:
                yield _semantics_blame(step, left, right, edge, different_weights if step == "parameters" else ())


def _semantics_blame(step: str, left: str, right: str, edge: Diff, weights: Sequence[str]) -> Blame:
    listed = f" ({', '.join(weights[:3])})" if weights else ""
    says = f"{left} and {right} {_SEMANTICS[step]}{listed}{_where(edge)}"
    says += "; whether they mean the same cannot be seen from the outputs alone" if weights else ""
    return Blame(step, f"{left}|{right}", (left, right), message=says)


def _parted_frameworks(edges: Edges, left: str, right: str) -> Diff | None:
    """The edge at which two frameworks part, in their own precision or in float64."""
    doubles = str(Party(left, double=True)), str(Party(right, double=True))
    found = (edges.get(pair) for pair in ((left, right), doubles))
    return next((edge for edge in found if edge is not None and edge.diverges), None)


_SEMANTICS = {"semantics": "mean different things", "parameters": "were given different parameters"}


def _defined(parties: Parties) -> bool:
    """Whether the case itself defines what is right."""
    truths = [run for run in parties.runs.values() if run.party.is_truth]
    return bool(truths) and not any(run.derived for run in truths)
