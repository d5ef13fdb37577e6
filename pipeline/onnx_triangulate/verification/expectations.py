"""Known divergences: declared on the case, matched by party and blame, and loud when they expire.

An expectation is about behaviour: where the edge it names no longer parts in the way it says, the case is ``stale``
and the run fails, exactly as it does for a divergence nobody declared.  Where it could not be looked at (an engine is
absent), it is ``undecided``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

from packaging.utils import canonicalize_name

from onnx_triangulate.cases.requirements import parsed, version_of
from onnx_triangulate.engines.runtimes import chain, runtimes
from onnx_triangulate.records.case import Case, Expected
from onnx_triangulate.records.party import Party
from onnx_triangulate.records.runs import Diff
from onnx_triangulate.records.verdict import Blame, ExpectationResult, Finding, Status


def expectations(case: Case) -> Iterator[tuple[tuple[str, str], Expected]]:
    """Every declared expectation with its edge."""
    for edge, declared in case.expect.items():
        for expected in declared if isinstance(declared, tuple) else (declared,):
            yield edge, expected


def hold(
    case: Case,
    blames: Sequence[Blame],
    absent: Sequence[str],
    versions: Mapping[str, str | None],
    among: Collection[str] | None = None,
    findings: Sequence[Finding] | None = None,
) -> tuple[tuple[ExpectationResult, ...], tuple[Blame, ...]]:
    """What became of each expectation, and the blames that none of them declares.

    ``absent`` names the frameworks and the runtimes' distributions that are not installed, ``among`` the parties of a
    run that leaves some out on purpose.  ``findings``, where causes were looked for, must hold the cause of an
    expectation that names one.
    """
    results: list[ExpectationResult] = []
    covered: set[Blame] = set()
    for edge, expected in expectations(case):
        matching = [b for b in blames if b.blame == expected.blame and _matches(edge, b.edge)]
        if not _applies(expected, versions):
            results.append(ExpectationResult(edge, expected, "not applicable", f"holds for {expected.when} only"))
        elif not matching:
            results.append(_not_shown(edge, expected, absent, among))
        else:
            result, declared = _shown(edge, expected, matching, findings)
            results.append(result)
            covered.update(declared)
    return tuple(results), tuple(blame for blame in blames if blame not in covered)


def _shown(
    edge: tuple[str, str], expected: Expected, matching: Sequence[Blame], findings: Sequence[Finding] | None
) -> tuple[ExpectationResult, Sequence[Blame]]:
    """What becomes of an expectation that blames match, and which of these it declares."""
    meant = [blame for blame in matching if _other(expected, blame, findings) is None]
    if meant:
        return ExpectationResult(edge, expected, "met", meant[0].message), meant
    # One whose cause alone is not the declared one is told as stale; what shows elsewhere is not declared.
    here = [blame for blame in matching if _elsewhere(expected, blame) is None]
    stale = f"{expected.blame!r} shows, but not {_other(expected, matching[0], findings)}"
    return ExpectationResult(edge, expected, "stale", stale), here


def _not_shown(
    edge: tuple[str, str], expected: Expected, absent: Sequence[str], among: Collection[str] | None
) -> ExpectationResult:
    """What becomes of an expectation that no blame matches."""
    if any(_speaks_of_absent(side, absent) for side in edge):
        return ExpectationResult(edge, expected, "undecided", "an engine it speaks of is not installed")
    if among is not None and not all(any(fnmatchcase(name, side) for name in among) for side in edge):
        return ExpectationResult(edge, expected, "not applicable", "its parties were not asked for")
    says = f"{edge[0]} | {edge[1]} no longer shows {expected.blame!r}: take the expectation out or mend it"
    return ExpectationResult(edge, expected, "stale", says)


def _elsewhere(expected: Expected, blamed: Blame) -> str | None:
    """What a blame is about that the expectation does not name, in words; None for nothing."""
    ops = (expected.op,) if isinstance(expected.op, str) else expected.op
    more = sorted(set((blamed.op or "").split(", ")) - set(ops)) if ops else []
    if more:
        return f"at {', '.join(ops)} alone: {', '.join(more).strip() or 'no operator is named'}"
    nodes = [n for n in blamed.nodes if not any(n == glob or fnmatchcase(n, glob) for glob in expected.nodes)]
    if expected.nodes and (nodes or not blamed.nodes):
        return f"at {', '.join(expected.nodes)} alone: {', '.join(nodes) or 'no node is named'}"
    return None


def _other(expected: Expected, blamed: Blame, findings: Sequence[Finding] | None) -> str | None:
    """Why a blame is not the expected one, in words; None where it is."""
    if (elsewhere := _elsewhere(expected, blamed)) is not None:
        return elsewhere
    causes = {f.cause for f in findings or () if f.blame == expected.blame}
    if findings is not None and expected.cause is not None and expected.cause not in causes:
        seen = f"suspected is {', '.join(sorted(causes))}" if causes else "no cause is suspected"
        return f"by {expected.cause!r}: {seen}"
    return None


def status_of(
    edges: Sequence[Diff],
    blames: Sequence[Blame],
    unexpected: Sequence[Blame],
    results: Sequence[ExpectationResult],
    problems: Sequence[str],
    groups: Sequence[Sequence[str]] = (),
) -> Status:
    """The case's status: what is worst comes first.  ``groups`` are the sets of parties that agree."""
    if unexpected:
        return "unexpected"
    if any(result.outcome == "stale" for result in results):
        return "stale"
    if problems or any(result.outcome == "undecided" for result in results) or undecided(edges, blames):
        return "undecided"
    if not any(edge.compared for edge in edges) or (not blames and not agreed(edges, blames, problems, groups)):
        return "undecided"
    return "expected"


def agreed(
    edges: Sequence[Diff], blames: Sequence[Blame], problems: Sequence[str], groups: Sequence[Sequence[str]] = ()
) -> bool:
    """Whether a case may be called agreement: something agrees, and nothing that was looked at speaks against it.

    Sets of parties that agree may overlap, for agreement within a bound is not transitive; where they fall apart into
    some that share no party, somebody parts, whatever the edges say.
    """
    if blames or problems or undecided(edges, blames) or not any(e.agrees and e.compared for e in edges):
        return False
    return _overlap(groups)


def _overlap(groups: Sequence[Sequence[str]]) -> bool:
    """Whether sets of parties hang together, each sharing one with another."""
    joined, waiting = set(groups[0]) if groups else set(), [set(group) for group in groups]
    while near := [group for group in waiting if group & joined]:
        joined = joined.union(*near)
        waiting = [group for group in waiting if not group & joined]
    return not waiting


def undecided(edges: Sequence[Diff], blames: Sequence[Blame]) -> tuple[Diff, ...]:
    """The edges that nobody's blame explains: those that part, and those that could not be compared; all if none could.

    Only the blame of a party that lacks something explains that an edge could not be compared, and only at that party.
    Where both sides had their values and no bound is known, nothing explains it.
    """
    if not any(edge.compared for edge in edges):
        return tuple(edges)
    lacking = {pattern for b in blames if (pattern := _who_lacks(b))}
    unseen, ran = never_compared(edges), {end.framework for edge in edges for end in edge.ends}

    def is_open(edge: Diff) -> bool:
        if edge.agrees:
            return not unseen.isdisjoint(edge.empty)
        if edge.diverges:
            return not any(explains(blame, edge) for blame in blames) and not _of_the_absent(edge, ran)
        if any(end.double for end in edge.ends):  # a float64 run is a sharper lens, and not every engine has one
            return False
        explained = any(fnmatchcase(side, pattern) for side in (edge.left, edge.right) for pattern in lacking)
        return bool(edge.compared) or not explained

    return tuple(edge for edge in edges if is_open(edge))


def _of_the_absent(edge: Diff, ran: Collection[str]) -> bool:
    """Whether an edge lies between two definitions, one of which is of a framework that is not among those that ran."""
    return all(end.is_truth for end in edge.ends) and not {end.meaning for end in edge.ends if end.meaning} <= set(ran)


def never_compared(edges: Sequence[Diff]) -> frozenset[str]:
    """The outputs of which no edge, at any size, has compared an element, because they never had one."""
    looked = [edge for edge in edges if edge.agrees]
    return frozenset.intersection(*(frozenset(edge.empty) for edge in looked)) if looked else frozenset()


def explains(blamed: Blame, edge: Diff) -> bool:
    """Whether a blame says why an edge parts: the step that is blamed lies on the way to one of its ends.

    What is blamed at another size than the declared one is healthy at that one, or it would be blamed there.
    """
    if blamed.size and not edge.size:
        return False
    if blamed.edge == (edge.left, edge.right):
        return True
    left, right = (Party.parse(end) for end in (edge.left, edge.right))
    if blamed.blame in ("semantics", "parameters"):
        return not left.runtime and not right.runtime and _meant(left) != _meant(right)
    return any(_on_the_way(blamed, end) for end in (left, right))


def _meant(party: Party) -> tuple[str, str]:
    """What a party without a runtime means, and with whose parameters."""
    meaning = party.meaning or ("" if party.framework == "truth" else party.framework)
    return meaning, party.parameters or meaning


def _on_the_way(blame: Blame, end: Party) -> bool:
    """Whether the party whose step is blamed is ``end``, or one that makes what ``end`` starts from."""
    faulty = Party.parse(blame.party)
    if blame.blame == "conditioning" or (blame.blame == "nondeterministic" and faulty.native):
        # of the model, whoever computes it
        return faulty.framework in (end.framework, end.meaning if end.is_truth else end.framework)
    if blame.blame == "native":
        return end.native and end.framework == faulty.framework
    if end.graph != faulty.graph or (faulty.runtime and faulty.double and not end.double):
        return False
    if not faulty.runtime:
        return bool(end.runtime)
    if blame.blame == "reference":
        return end.runtime == faulty.runtime
    return not end.double and faulty.runtime in chain(runtimes(), end.runtime)


def _who_lacks(blamed: Blame) -> str | None:
    """The parties (as a glob) of which a blame says that they have no value, or not every value; None for none."""
    if blamed.blame in ("conditioning", "native", "parameters", "semantics"):
        return None
    if blamed.blame in ("export", "export-failed") or blamed.edge[1] == f"{blamed.party}>*":
        return f"{blamed.party}>*"
    return blamed.party


def _applies(expected: Expected, versions: Mapping[str, str | None]) -> bool:
    if expected.when is None:
        return True
    requirement = parsed(expected.when, expected.reason)
    known = {canonicalize_name(name): version for name, version in versions.items()}
    version = known.get(canonicalize_name(requirement.name)) or version_of(requirement.name)
    return version is None or requirement.specifier.contains(version.partition("+")[0], prereleases=True)


def _matches(pattern: tuple[str, str], edge: tuple[str, str]) -> bool:
    return any(
        all(side == glob or fnmatchcase(side, glob) for side, glob in zip(order, pattern, strict=True))
        for order in (edge, edge[::-1])
    )


def _speaks_of_absent(side: str, absent: Sequence[str]) -> bool:
    """Whether a party, or a glob of parties, is of an engine that is not there."""
    graph, _, runtime = side.removesuffix("@64").partition(">")  # a glob is no party
    framework = graph.removeprefix("truth@").partition("(")[0].partition(":")[0]
    gone = [r.name for r in runtimes().values() if r.distribution in absent]
    return any(fnmatchcase(name, framework) for name in absent) or any(fnmatchcase(name, runtime) for name in gone)
