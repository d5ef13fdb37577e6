"""Which pass of a runtime's optimizer changes the answer, where in the graph, and how to switch it off.

Design note.  The question "does it still part?" is the question of the edge: the same run at another setting, compared
with the same party by the same bounds.  Which pass is faulty is found by ``locate.pass_search``; every run is in a
worker.

*Where* is found with the optimizer's own weakness.  A pass that needs a value to itself leaves it alone when it is an
output of the graph: marking one rewritten region's inner values as outputs keeps the passes away from that region, and
the smallest set of regions whose protection removes the divergence is faulty.  For the same reason an optimizer's fault
is never looked for in intermediate values: watched, it may not be trial.  The report says so, with figures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from onnx_triangulate.engines.protocols import Optimizing, Passes
from onnx_triangulate.locate import pass_runs as tasks
from onnx_triangulate.locate.pass_runs import Rewriting, Setting
from onnx_triangulate.locate.pass_search import PassSearch, minimal, search
from onnx_triangulate.records.party import Party
from onnx_triangulate.records.runs import Failure, Run
from onnx_triangulate.records.verdict import Blame, Finding
from onnx_triangulate.transform.optimizer_changes import Counted, Region
from onnx_triangulate.verification.case_run import CaseRun
from onnx_triangulate.verification.diagnosis.search import Diagnosis
from onnx_triangulate.verification.session import Session

CAUSE = "guilty-pass"
NOBODY = "no-guilty-pass"
OBSERVER = "observer-effect"
STEP = "optimizer"
_NAMED = 3


def name_passes(session: Session, case_run: CaseRun, blames: Sequence[Blame]) -> Diagnosis:
    """The blames of an optimizer with their nodes, and findings that say which pass it was, or why nobody is named."""
    found = Diagnosis()
    for blamed in blames:
        optimizer = _optimizer(session, case_run, blamed)
        if optimizer is None or (blamed.blame, blamed.party) in {(f.blame, f.party) for f in found.findings}:
            found = found.beside(Diagnosis((blamed,)))
            continue
        if problem := _mistrust(session, optimizer.name):
            found = found.beside(Diagnosis((blamed,), (Finding(NOBODY, blamed.blame, blamed.party, (), problem),)))
            continue
        named, findings = _investigate(_PassTrial(session, case_run, blamed, optimizer))
        found = found.beside(Diagnosis((named,), tuple(findings)))
    return found


def _optimizer(session: Session, case_run: CaseRun, blamed: Blame) -> Optimizing | None:
    """The runtime whose optimizer a blame is about, if it is about one and there is a graph to ask it of.

    A process that died is, where the same graph was run before the optimizer; one that hung or grew would take its
    limit again at every question.  What answers by chance cannot be compared.
    """
    if blamed.blame not in (STEP, "crashed"):
        return None
    party, runs = Party.parse(blamed.party), case_run.runs
    runtime, model = session.runtimes.get(party.runtime), case_run.models.get(party.graph)
    if runtime is None or runtime.step != STEP or not isinstance(runtime, Optimizing):
        return None
    if model is None or model.file is None or not all(runs[end].deterministic for end in blamed.edge if end in runs):
        return None
    if blamed.blame == STEP:
        return runtime
    error, before = runs[blamed.party].error, str(party.on(runtime.after))
    died = error is not None and error.kind == "crashed"
    return runtime if died and case_run.parties.answered(before) else None


def _mistrust(session: Session, runtime: str) -> str | None:
    """Why the search for passes is not to be trusted: it fails on a graph whose faulty pass is known.

    It runs the runtime that is blamed, which may itself be why: the blame stands, and no pass is accused."""
    problem = session.call_runtimes(tasks.self_check, runtime)
    if problem is None:
        return None
    says = problem.message if isinstance(problem, Failure) else problem
    return f"no pass was searched for, as the search is wrong where the answer is known ({runtime}): {says}"


class _PassTrial:
    """One blame, whose question is asked again at other settings of the optimizer."""

    def __init__(self, session: Session, case_run: CaseRun, blamed: Blame, runtime: Optimizing) -> None:
        self.blamed, self.runtime, self._session, self._case_run = blamed, runtime, session, case_run
        party, parties = Party.parse(blamed.party), case_run.parties
        self.model, self.folder = case_run.models[party.graph], case_run.folder / "passes"
        edges = [(side, blamed.party) for side in (str(party.on(runtime.after)), blamed.edge[0], party.framework)]
        parted = [edge for edge in edges if parties.answered(edge[0]) and not parties.diff(*edge, STEP).agrees]
        self._edge = parted[0] if parted else blamed.edge
        self.against = self._edge[0]
        self.refused = case_run.runs[blamed.party].error is not None
        self.sessions = 0

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return self._session.call_runtimes(function, *arguments)

    def parts(self, setting: Setting) -> bool:
        """Whether the party, run at a setting, still does not agree."""
        self.sessions += 1
        name, run = self.blamed.party, self._case_run
        answer = self.call(tasks.run_with, run.ref, self.model, name, setting, run.seed, self.folder)
        answer = Run(Party.parse(name), error=answer) if isinstance(answer, Failure) else answer
        return not run.parties.replacing(name, answer).diff(*self._edge, STEP).agrees


def with_regions(blamed: Blame, regions: Sequence[Region]) -> tuple[Blame, tuple[str, ...]]:
    """A blame with the nodes of rewritten regions where it has none yet, and these nodes."""
    nodes = tuple(dict.fromkeys(node for region in regions for node in region.nodes))
    ops = sorted({op for region in regions for op in region.ops})
    if nodes and not blamed.nodes:
        blamed = replace(blamed, nodes=nodes, op=blamed.op or ", ".join(ops))
    return blamed, nodes


def _investigate(trial: _PassTrial) -> tuple[Blame, list[Finding]]:
    blamed, model = trial.blamed, trial.model
    assert model.file is not None
    known = trial.call(tasks.list_passes, model.file, trial.runtime.name)
    if not isinstance(known, Passes):  # the session that would list them dies of this graph: each is tried all the same
        recorded = trial.runtime.recorded()
        why = "no answer" if known is None else known.message
        known = replace(recorded, source=f"{recorded.source}, for the session that lists them gave none: {why}")
    found = search(
        known.names,
        lambda off, level: trial.parts(Setting(tuple(n for n in known.names if n in off), level)),
        groups=known.groups,
        levels=known.levels,
    )
    names = [n for n in known.names if n not in known.groups or n in found.on]
    seen = trial.call(tasks.look, model, trial.runtime.name, names, found.on, trial.folder)
    seen = seen if isinstance(seen, Rewriting) else Rewriting(problem=seen.message)
    faulty, alone = _narrowed(trial, names, found, seen.regions)
    effect = _observed(trial, seen)
    if found.problem is not None:
        says = f"{blamed.party}: {found.problem} ({_sessions(found.sessions)}; {known.source})"
        edit = trial.runtime.switch((), found.level) if found.level else None
        if edit:
            says += f"; at the level {found.level} it is gone"
        return blamed, [Finding(NOBODY, blamed.blame, blamed.party, (), says, edit=edit), *effect]
    blamed, nodes = with_regions(blamed, faulty)
    edit = trial.runtime.switch(found.off, None)
    if found.level:
        edit += f", or {trial.runtime.switch((), found.level)}"
    says = _words(trial, found, known, seen, faulty, alone)
    return blamed, [Finding(CAUSE, blamed.blame, blamed.party, nodes, says, proved=True, edit=edit), *effect]


def _narrowed(
    trial: _PassTrial, names: Sequence[str], found: PassSearch, regions: Sequence[Region]
) -> tuple[tuple[Region, ...], bool]:
    """The rewritten regions that are faulty, and whether protecting them, and none less, removes the divergence."""
    off = tuple(n for n in names if n not in found.on)
    inner = {str(i): region.inner for i, region in enumerate(regions) if region.inner}

    def gone(chosen: frozenset[str]) -> bool:
        return not trial.parts(Setting(off, held=tuple(v for i in inner if i in chosen for v in inner[i])))

    if not inner or not gone(frozenset(inner)):
        return tuple(regions), False
    chosen = minimal(list(inner), gone)
    return tuple(region for i, region in enumerate(regions) if str(i) in chosen), True


def _observed(trial: _PassTrial, seen: Rewriting) -> list[Finding]:
    """How watching every value changes what is run."""
    blamed = trial.blamed
    if seen.usual is None or seen.watched is None or seen.exported is None:
        return []
    gone = not trial.parts(Setting(held=seen.values))
    says = f"{_counted(seen.exported)} exported run as {_counted(seen.usual)}; with every value as an output they run "
    says += f"as {_counted(seen.watched)} and the divergence is {'gone' if gone else 'still there'}; "
    says += "intermediate values are taken from the run with the optimizer off"
    return [Finding(OBSERVER, blamed.blame, blamed.party, (), says, proved=gone)]


def _counted(graph: Counted) -> str:
    own = ", ".join(f"{n} {op}" for op, n in sorted(graph.own.items()))
    return f"{graph.nodes} node{'s' * (graph.nodes != 1)}" + (f" ({own})" if own else "")


def _words(
    trial: _PassTrial, found: PassSearch, known: Passes, seen: Rewriting, faulty: Sequence[Region], alone: bool
) -> str:
    listed = _listed(found.off)
    one = len(found.off) == 1
    them, back = ("it", "it") if one else ("all of them", "any one of them")
    harm = f"make{'s' * one} the graph unusable" if trial.refused else f"change{'s' * one} the answer"
    parts = [
        f"{listed} {harm}: with {them} switched off {trial.blamed.party} agrees with {trial.against}, "
        f"with {back} on again it {'is refused' if trial.refused else 'parts'} again"
    ]
    others = [name for name in found.on if name not in found.off]
    if others:
        parts.append(f"only together with {_listed(others)}")
    if found.instead:
        parts.append(f"switching off {' or '.join(found.instead)} alone removes it too")
    elif not others and len(found.on) < len(found.off):
        parts.append(f"{_listed(found.on)} is enough for it")
    parts += _places(faulty, seen, alone)
    return "; ".join(parts) + f" ({_sessions(trial.sessions)}; {known.source})"


def _places(faulty: Sequence[Region], seen: Rewriting, alone: bool) -> list[str]:
    """Where in the graph the passes rewrote what they must not, in words."""
    if not faulty:
        return [f"what it rewrote could not be seen: {seen.problem}"] if seen.problem else []
    shown = [
        f"{' and '.join(f'{o} ({n})' for n, o in list(zip(r.nodes, r.ops, strict=True))[:_NAMED])} "
        f"became {', '.join(r.into) or 'nothing'}"
        for r in faulty[:_NAMED]
    ]
    count = f" ({len(faulty)} of {len(seen.regions)} places that it rewrote)" if len(seen.regions) > 1 else ""
    more = f", and {len(faulty) - _NAMED} more" if len(faulty) > _NAMED else ""
    said = [f"{'; '.join(shown)}{more}{count}"]
    if alone:
        said.append("with these values as outputs, so that they are left alone, it is gone")
    elif len(faulty) > 1:
        said.append("which of these places is faulty could not be told apart")
    return said


def _sessions(count: int) -> str:
    return f"{count} session{'s' * (count != 1)}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + (" and " if len(names) > 1 else "") + names[-1]
