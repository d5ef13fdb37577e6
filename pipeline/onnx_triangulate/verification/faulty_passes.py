"""Which pass of a runtime's optimizer changes the answer, where in the graph, and how to switch it off.

Design note.  The question "does it still part?" is the question of the edge: the same run at another setting, compared
with the same party by the same bounds.  Who is guilty is found by ``locate.pass_search``; every run is in a worker.

*Where* is found with the optimizer's own weakness.  A pass that needs a value to itself leaves it alone when it is an
output of the graph: marking one rewritten region's inner values as outputs keeps the passes away from that region, and
the smallest set of regions whose protection removes the divergence is guilty.  For the same reason an optimizer's fault
is never looked for in intermediate values: watched, it may not be there.  The report says so, with figures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from onnx_triangulate.engines.protocols import Optimizing, Passes, Runtime
from onnx_triangulate.locate import pass_runs as tasks
from onnx_triangulate.locate.pass_runs import Rewriting, Setting
from onnx_triangulate.locate.pass_search import PassSearch, minimal, search
from onnx_triangulate.records.case import CaseRef
from onnx_triangulate.records.errors import BrokenCheck
from onnx_triangulate.records.party import Party
from onnx_triangulate.records.runs import Failure, Model, Run
from onnx_triangulate.records.verdict import Blame, Finding
from onnx_triangulate.transform.rewritten import Counted, Region
from onnx_triangulate.verification.triangulate import Parties

CAUSE = "guilty-pass"
NOBODY = "no-guilty-pass"
OBSERVER = "observer-effect"
STEP = "optimizer"
Call = Callable[..., Any]
_NAMED = 3


def name_passes(
    call: Call,
    ref: CaseRef,
    models: Mapping[str, Model],
    parties: Parties,
    blames: Sequence[Blame],
    runtimes: Mapping[str, Runtime],
    seed: int,
    folder: Path,
) -> tuple[tuple[Blame, ...], tuple[Finding, ...]]:
    """The blames of an optimizer with their nodes, and findings that say which pass it was.

    ``call(function, *arguments)`` runs a function in a runtime's worker and gives its answer or a :class:`Failure`.
    Raises ``records.errors.BrokenCheck`` where the search fails on a graph whose guilty pass is known.
    """
    named: list[Blame] = []
    findings: list[Finding] = []
    for blamed in blames:
        model, runtime = _rewriter(blamed, models, parties, runtimes)
        if model is None or runtime is None or (blamed.blame, blamed.party) in {(f.blame, f.party) for f in findings}:
            named.append(blamed)
            continue
        _trust(call, runtime.name)
        there = _There(call, ref, model, parties, blamed, runtime, seed, folder / "passes")
        blamed, found = _investigate(there)
        named.append(blamed)
        findings += found
    return tuple(named), tuple(findings)


def _rewriter(
    blamed: Blame, models: Mapping[str, Model], parties: Parties, runtimes: Mapping[str, Runtime]
) -> tuple[Model | None, Optimizing | None]:
    """The graph and the runtime whose optimizer a blame is about, if it is about one.

    A process that died is, where the same graph was run before the optimizer; one that hung or grew would take its
    limit again at every question.  What answers by chance cannot be compared.
    """
    if blamed.blame not in (STEP, "crashed") or ">" not in blamed.party:
        return None, None
    party = Party.parse(blamed.party)
    runtime, model = runtimes.get(party.runtime), models.get(party.graph)
    if not all(parties.runs[end].deterministic for end in blamed.edge if end in parties.runs):
        return None, None
    if runtime is None or runtime.step != STEP or not isinstance(runtime, Optimizing):
        return None, None
    if blamed.blame == "crashed":
        error = parties.runs[blamed.party].error
        if error is None or error.kind != "crashed" or not _answered(parties, f"{party.graph}>{runtime.after}"):
            return None, None
    return (None, None) if model is None or model.file is None else (model, runtime)


def _answered(parties: Parties, name: str) -> bool:
    return name in parties.runs and parties.runs[name].outputs is not None


def _trust(call: Call, runtime: str) -> None:
    problem = call(tasks.self_check, runtime)
    if problem is not None:
        says = problem.message if isinstance(problem, Failure) else problem
        raise BrokenCheck(f"the search for guilty passes is wrong where the answer is known ({runtime}): {says}")


class _There:
    """One blame with what is needed to ask its question again at other settings."""

    def __init__(
        self,
        call: Call,
        ref: CaseRef,
        model: Model,
        parties: Parties,
        blamed: Blame,
        runtime: Optimizing,
        seed: int,
        folder: Path,
    ) -> None:
        self.call, self.model, self.blamed, self.runtime, self.folder = call, model, blamed, runtime, folder
        self._ref, self._parties, self._seed = ref, parties, seed
        before = f"{model.graph}>{runtime.after}"
        edges = [(side, blamed.party) for side in (before, blamed.edge[0], model.graph.partition(":")[0])]
        parted = [e for e in edges if _answered(parties, e[0]) and not parties.diff(*e, STEP).agrees]
        self._edge = parted[0] if parted else blamed.edge
        self.against = self._edge[0]
        self.refused = parties.runs[blamed.party].error is not None
        self.sessions = 0

    def parts(self, setting: Setting) -> bool:
        """Whether the party, run at a setting, still does not agree."""
        self.sessions += 1
        name = self.blamed.party
        run = self.call(tasks.run_with, self._ref, self.model, name, setting, self._seed, self.folder)
        run = Run(Party.parse(name), error=run) if isinstance(run, Failure) else run
        return not self._parties.replacing(name, run).diff(*self._edge, STEP).agrees


def _investigate(there: _There) -> tuple[Blame, list[Finding]]:
    blamed, model = there.blamed, there.model
    assert model.file is not None
    known = there.call(tasks.list_passes, model.file, there.runtime.name)
    if not isinstance(known, Passes):  # the session that would list them dies of this graph: each is tried all the same
        recorded = there.runtime.recorded()
        why = "no answer" if known is None else known.says
        known = replace(recorded, source=f"{recorded.source}, for the session that lists them gave none: {why}")
    found = search(
        known.names,
        lambda off, level: there.parts(Setting(tuple(n for n in known.names if n in off), level)),
        groups=known.groups,
        levels=known.levels,
    )
    names = [n for n in known.names if n not in known.groups or n in found.on]
    seen = there.call(tasks.look, model, there.runtime.name, names, found.on, there.folder)
    seen = seen if isinstance(seen, Rewriting) else Rewriting(problem=seen.says)
    guilty, alone = _narrowed(there, names, found, seen.regions)
    effect = _observed(there, seen)
    if found.problem is not None:
        says = f"{blamed.party}: {found.problem} ({_sessions(found.sessions)}; {known.source})"
        edit = there.runtime.switch((), found.level) if found.level else None
        if edit:
            says += f"; at the level {found.level} it is gone"
        return blamed, [Finding(NOBODY, blamed.blame, blamed.party, (), says, edit=edit), *effect]
    nodes = tuple(dict.fromkeys(n for region in guilty for n in region.nodes))
    ops = sorted({op for region in guilty for op in region.ops})
    if nodes and not blamed.nodes:
        blamed = replace(blamed, nodes=nodes, op=blamed.op or ", ".join(ops))
    edit = there.runtime.switch(found.off, None)
    if found.level:
        edit += f", or {there.runtime.switch((), found.level)}"
    says = _words(there, found, known, seen, guilty, alone)
    return blamed, [Finding(CAUSE, blamed.blame, blamed.party, nodes, says, proved=True, edit=edit), *effect]


def _narrowed(
    there: _There, names: Sequence[str], found: PassSearch, regions: Sequence[Region]
) -> tuple[tuple[Region, ...], bool]:
    """The rewritten regions that are guilty, and whether protecting them, and none less, removes the divergence."""
    off = tuple(n for n in names if n not in found.on)
    inner = {str(i): region.inner for i, region in enumerate(regions) if region.inner}

    def gone(chosen: frozenset[str]) -> bool:
        return not there.parts(Setting(off, held=tuple(v for i in inner if i in chosen for v in inner[i])))

    if not inner or not gone(frozenset(inner)):
        return tuple(regions), False
    chosen = minimal(list(inner), gone)
    return tuple(region for i, region in enumerate(regions) if str(i) in chosen), True


def _observed(there: _There, seen: Rewriting) -> list[Finding]:
    """How watching every value changes what is run."""
    blamed = there.blamed
    if seen.usual is None or seen.watched is None or seen.exported is None:
        return []
    gone = not there.parts(Setting(held=seen.values))
    says = f"{_counted(seen.exported)} exported run as {_counted(seen.usual)}; with every value as an output they run "
    says += f"as {_counted(seen.watched)} and the divergence is {'gone' if gone else 'still there'}; "
    says += "intermediate values are taken from the run with the optimizer off"
    return [Finding(OBSERVER, blamed.blame, blamed.party, (), says, proved=gone)]


def _counted(graph: Counted) -> str:
    own = ", ".join(f"{n} {op}" for op, n in sorted(graph.own.items()))
    return f"{graph.nodes} node{'s' * (graph.nodes != 1)}" + (f" ({own})" if own else "")


def _words(
    there: _There, found: PassSearch, known: Passes, seen: Rewriting, guilty: Sequence[Region], alone: bool
) -> str:
    listed = _listed(found.off)
    one = len(found.off) == 1
    them, back = ("it", "it") if one else ("all of them", "any one of them")
    harm = f"make{'s' * one} the graph unusable" if there.refused else f"change{'s' * one} the answer"
    parts = [
        f"{listed} {harm}: with {them} switched off {there.blamed.party} agrees with {there.against}, "
        f"with {back} on again it {'is refused' if there.refused else 'parts'} again"
    ]
    others = [name for name in found.on if name not in found.off]
    if others:
        parts.append(f"only together with {_listed(others)}")
    if found.instead:
        parts.append(f"switching off {' or '.join(found.instead)} alone removes it too")
    elif not others and len(found.on) < len(found.off):
        parts.append(f"{_listed(found.on)} is enough for it")
    shown = [
        f"{' and '.join(f'{o} ({n})' for n, o in list(zip(r.nodes, r.ops, strict=True))[:_NAMED])} "
        f"became {', '.join(r.into) or 'nothing'}"
        for r in guilty[:_NAMED]
    ]
    if shown:
        count = f" ({len(guilty)} of {len(seen.regions)} places that it rewrote)" if len(seen.regions) > 1 else ""
        more = f", and {len(guilty) - _NAMED} more" if len(guilty) > _NAMED else ""
        parts.append(f"{'; '.join(shown)}{more}{count}")
        if alone:
            parts.append("with these values as outputs, so that they are left alone, it is gone")
        elif len(guilty) > 1:
            parts.append("which of these places is guilty could not be told apart")
    elif seen.problem:
        parts.append(f"what it rewrote could not be seen: {seen.problem}")
    return "; ".join(parts) + f" ({_sessions(there.sessions)}; {known.source})"


def _sessions(count: int) -> str:
    return f"{count} session{'s' * (count != 1)}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + (" and " if len(names) > 1 else "") + names[-1]
