"""Known divergences: declared on the case, matched by party and blame, and loud when they expire.

An expectation is about behaviour: where the edge it names no longer parts in the way it says, the case is ``stale``
and the run fails, exactly as it does for a divergence nobody declared.  Where it could not be looked at (an engine is
absent), it is ``undecided``.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Collection, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from pipeline.data import Blamed, Case, Diff, ExpectationResult, Expected, Finding, Status, UnusableInput
from pipeline.runtimes import runtimes

# What an expectation may depend on a release of, whether it is installed here or not.
DATED = ("torch", "tensorflow", "keras", "tf2onnx", "onnx", "onnxscript", "onnxruntime", "numpy")


def expectations(case: Case) -> Iterator[tuple[tuple[str, str], Expected]]:
    """Every declared expectation with its edge."""
    for edge, declared in case.expect.items():
        for expected in declared if isinstance(declared, tuple) else (declared,):
            yield edge, expected


def hold(
    case: Case,
    blames: Sequence[Blamed],
    absent: Sequence[str],
    versions: Mapping[str, str | None],
    among: Collection[str] | None = None,
    findings: Sequence[Finding] | None = None,
) -> tuple[tuple[ExpectationResult, ...], tuple[Blamed, ...]]:
    """What became of each expectation, and the blames that none of them declares.

    ``absent`` names the frameworks and the runtimes' distributions that are not installed, ``among`` the parties of a
    run that leaves some out on purpose.  ``findings``, where causes were looked for, must hold the cause of an
    expectation that names one.
    """
    results: list[ExpectationResult] = []
    covered: set[Blamed] = set()
    for edge, expected in expectations(case):
        matching = [blamed for blamed in blames if blamed.blame == expected.blame and _matches(edge, blamed.edge)]
        if not _applies(expected, versions):
            results.append(ExpectationResult(edge, expected, "not applicable", f"holds for {expected.when} only"))
        elif matching:
            covered.update(matching)
            causes = {f.cause for f in findings or () if f.blame == expected.blame}
            if findings is not None and expected.cause is not None and expected.cause not in causes:
                seen = f"suspected is {', '.join(sorted(causes))}" if causes else "no cause is suspected"
                says = f"{expected.blame!r} shows, but not by {expected.cause!r}: {seen}"
                results.append(ExpectationResult(edge, expected, "stale", says))
            else:
                results.append(ExpectationResult(edge, expected, "met", matching[0].says))
        elif any(_speaks_of_absent(side, absent) for side in edge):
            results.append(ExpectationResult(edge, expected, "undecided", "an engine it speaks of is not installed"))
        elif among is not None and not all(any(fnmatchcase(name, side) for name in among) for side in edge):
            results.append(ExpectationResult(edge, expected, "not applicable", "its parties were not asked for"))
        else:
            says = f"{edge[0]} | {edge[1]} no longer shows {expected.blame!r}: take the expectation out or mend it"
            results.append(ExpectationResult(edge, expected, "stale", says))
    return tuple(results), tuple(blamed for blamed in blames if blamed not in covered)


def status_of(
    edges: Sequence[Diff],
    blames: Sequence[Blamed],
    unexpected: Sequence[Blamed],
    results: Sequence[ExpectationResult],
    problems: Sequence[str],
) -> Status:
    """The case's status: what is worst comes first."""
    if unexpected:
        return "unexpected"
    if any(result.outcome == "stale" for result in results):
        return "stale"
    if problems or any(result.outcome == "undecided" for result in results) or undecided(edges, blames):
        return "undecided"
    if not any(edge.compared for edge in edges):
        return "undecided"
    return "expected"


def undecided(edges: Sequence[Diff], blames: Sequence[Blamed]) -> tuple[Diff, ...]:
    """The edges that could not be compared and for which nobody was blamed; all of them if none could.

    Only the blame of a party that lacks something explains that an edge could not be compared, and only at that party.
    Where both sides had their values and no bound is known, nothing explains it.
    """
    if not any(edge.compared for edge in edges):
        return tuple(edges)
    lacking = {pattern for b in blames if (pattern := _who_lacks(b))}
    return tuple(
        edge
        for edge in edges
        if edge.outcome in ("missing", "nondeterministic")
        and not edge.left.endswith("@64")  # a float64 run is a sharper lens, and not every engine has one
        and not edge.right.endswith("@64")
        and (edge.compared or not any(fnmatchcase(side, p) for side in (edge.left, edge.right) for p in lacking))
    )


def _who_lacks(blamed: Blamed) -> str | None:
    """The parties (as a glob) of which a blame says that they have no value, or not every value; None for none."""
    if blamed.blame in ("conditioning", "native", "parameters", "semantics"):
        return None
    if blamed.blame in ("export", "export-failed") or blamed.edge[1] == f"{blamed.party}>*":
        return f"{blamed.party}>*"
    return blamed.party


def parsed(requirement: str, where: str) -> Requirement:
    """A ``when`` as a requirement: a name and versions.  Raises :class:`UnusableInput` where it is none."""
    says = f"{where}: when={requirement!r} is no requirement; expected such as 'tf2onnx<1.18'"
    try:
        read = Requirement(requirement)
    except (InvalidRequirement, TypeError) as error:
        raise UnusableInput(says) from error
    if canonicalize_name(read.name) not in {canonicalize_name(name) for name in DATED} and not _installed(read.name):
        raise UnusableInput(f"{where}: when={requirement!r} names nothing that takes part; expected {', '.join(DATED)}")
    if not read.specifier or read.marker or read.url or read.extras:
        raise UnusableInput(says)
    return read


def _installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _applies(expected: Expected, versions: Mapping[str, str | None]) -> bool:
    if expected.when is None:
        return True
    requirement = parsed(expected.when, expected.reason)
    known = {canonicalize_name(name): version for name, version in versions.items()}
    version = known.get(canonicalize_name(requirement.name))
    if version is None and _installed(requirement.name):
        version = importlib.metadata.version(requirement.name)
    return version is None or requirement.specifier.contains(version.partition("+")[0], prereleases=True)


def _matches(pattern: tuple[str, str], edge: tuple[str, str]) -> bool:
    return any(
        all(side == glob or fnmatchcase(side, glob) for side, glob in zip(order, pattern, strict=True))
        for order in (edge, edge[::-1])
    )


def _speaks_of_absent(side: str, absent: Sequence[str]) -> bool:
    """Whether a party, or a glob of parties, is of an engine that is not there."""
    graph, _, runtime = side.removesuffix("@64").partition(">")
    framework = graph.removeprefix("truth@").partition("(")[0].partition(":")[0]
    gone = [r.name for r in runtimes().values() if r.distribution in absent]
    return any(fnmatchcase(name, framework) for name in absent) or any(fnmatchcase(name, runtime) for name in gone)
