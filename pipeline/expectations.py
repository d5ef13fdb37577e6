"""Known divergences: declared on the case, matched by party and blame, and loud when they expire.

An expectation is about behaviour: where the edge it names no longer parts in the way it says, the case is ``stale``
and the run fails, exactly as it does for a divergence nobody declared.  Where it could not be looked at (an engine is
absent), it is ``undecided``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

from packaging.requirements import InvalidRequirement, Requirement

from pipeline.data import Blamed, Case, Diff, ExpectationResult, Expected, Status, UnusableInput


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
) -> tuple[tuple[ExpectationResult, ...], tuple[Blamed, ...]]:
    """What became of each expectation, and the blames that none of them declares.

    ``absent`` names the frameworks that are not installed, ``among`` the parties of a run that leaves some out on
    purpose.
    """
    results: list[ExpectationResult] = []
    covered: set[Blamed] = set()
    for edge, expected in expectations(case):
        matching = [blamed for blamed in blames if blamed.blame == expected.blame and _matches(edge, blamed.edge)]
        if not _applies(expected, versions):
            results.append(ExpectationResult(edge, expected, "not applicable", f"holds for {expected.when} only"))
        elif matching:
            covered.update(matching)
            results.append(ExpectationResult(edge, expected, "met", matching[0].says))
        elif among is not None and not all(any(fnmatchcase(name, side) for name in among) for side in edge):
            results.append(ExpectationResult(edge, expected, "not applicable", "its parties were not asked for"))
        elif any(framework in absent for framework in _frameworks(edge)):
            results.append(ExpectationResult(edge, expected, "undecided", "an engine it speaks of is not installed"))
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
    return "expected"


def undecided(edges: Sequence[Diff], blames: Sequence[Blamed]) -> tuple[Diff, ...]:
    """The edges that could not be compared and for which nobody was blamed; all of them if none could."""
    if not any(edge.compared for edge in edges):
        return tuple(edges)
    blamed = {name for b in blames for name in (b.party, *b.edge)}
    return tuple(
        edge
        for edge in edges
        if edge.outcome in ("missing", "nondeterministic")
        and not edge.left.endswith("@64")  # a float64 run is a sharper lens, and not every engine has one
        and not edge.right.endswith("@64")
        and not any(fnmatchcase(side, pattern) for side in (edge.left, edge.right) for pattern in blamed)
    )


def parsed(requirement: str, where: str) -> Requirement:
    """A ``when`` as a requirement.  Raises :class:`UnusableInput` where it is none."""
    try:
        return Requirement(requirement)
    except InvalidRequirement as error:
        raise UnusableInput(
            f"{where}: when={requirement!r} is no requirement; expected such as 'tf2onnx<1.18'"
        ) from error


def _applies(expected: Expected, versions: Mapping[str, str | None]) -> bool:
    if expected.when is None:
        return True
    requirement = parsed(expected.when, expected.reason)
    version = versions.get(requirement.name)
    return version is None or requirement.specifier.contains(version.partition("+")[0], prereleases=True)


def _matches(pattern: tuple[str, str], edge: tuple[str, str]) -> bool:
    return any(
        all(side == glob or fnmatchcase(side, glob) for side, glob in zip(order, pattern, strict=True))
        for order in (edge, edge[::-1])
    )


def _frameworks(edge: tuple[str, str]) -> set[str]:
    return {side.partition(">")[0].partition(":")[0].rstrip("*").removeprefix("truth@") for side in edge}
